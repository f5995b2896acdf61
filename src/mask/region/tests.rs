//! Pixel counts are those that casatools (rg.fromtext, ia.set) gives on the same grid.

use super::*;
use crate::{geometry::Direction, mask::MaskPolicy, spectral::FreqFrame};

/// The grid of `small`'s images.
fn grid() -> ImageGrid {
    let phase_center =
        Direction::parse("phasecenter", "ICRS 16:27:00.00059126 -24.29.59.98717507").unwrap();
    let cell = (0.1f64 / 3600.0).to_radians();
    ImageGrid { nx: 256, ny: 256, cell_x: cell, cell_y: cell, phase_center }
}

fn channels() -> ChannelGrid {
    ChannelGrid {
        frame: FreqFrame::Topo,
        start_hz: 230.541906e9,
        width_hz: 488281.25,
        nchan: 5,
        restfreq_hz: 230.538e9,
    }
}

/// Pixels of the mask of each channel.
fn counts(text: &str) -> Vec<usize> {
    let masks = Regions::read(text).unwrap().masks(&grid(), &channels()).unwrap();
    (0..5).map(|c| masks.mask(c).unwrap().count()).collect()
}

#[test]
fn shapes_hold_casas_pixels() {
    for (text, count) in [
        ("circle[[128pix,128pix],50pix]", 7845),
        ("circle[[128pix,128pix],5pix]", 81),
        ("circle[[128.5pix,128.3pix],5pix]", 80),
        ("circle[[100pix,128pix],3.3pix]", 37),
        ("circle[[2pix,3pix],6pix]", 71),
        ("box[[120pix,130pix],[125pix,133pix]]", 24),
        ("box[[120.4pix,130.6pix],[125.4pix,133.5pix]]", 15),
        ("box[[120.5pix,130.5pix],[125.5pix,133.5pix]]", 15),
        ("box[[-5pix,-5pix],[3pix,4pix]]", 20),
        ("centerbox[[128pix,128pix],[10pix,6pix]]", 77),
        ("centerbox[[128pix,128pix],[11pix,7pix]]", 77),
        ("centerbox[[128.5pix,128.5pix],[10pix,6pix]]", 60),
        ("rotbox[[128pix,128pix],[20pix,10pix],30deg]", 201),
        ("rotbox[[128pix,128pix],[20pix,10pix],0deg]", 231),
        ("ellipse[[128pix,128pix],[20pix,10pix],30deg]", 633),
        ("ellipse[[128pix,128pix],[20pix,10pix],0deg]", 629),
        ("annulus[[128pix,128pix],[5pix,10pix]]", 236),
        ("poly[[120pix,120pix],[140pix,122pix],[130pix,140pix]]", 198),
        ("poly[[120pix,120pix],[140pix,120pix],[140pix,130pix],[120pix,130pix]]", 231),
    ] {
        assert_eq!(counts(text), [count; 5], "{text}");
    }
}

#[test]
fn regions_on_the_sky() {
    let at = "[16:27:00.00059126,-24.29.59.98717507]";
    for (text, count) in [
        (format!("circle[{at},2.05arcsec], coord=ICRS"), 1313),
        (format!("ellipse[{at},[2arcsec,1arcsec],30deg], coord=ICRS"), 633),
        (format!("centerbox[{at},[2arcsec,1arcsec]], coord=ICRS"), 231),
        (format!("rotbox[{at},[4arcsec,2arcsec],30deg] coord=ICRS"), 801),
    ] {
        assert_eq!(counts(&text), [count; 5], "{text}");
    }
}

#[test]
fn ellipses_and_boxes_turn_as_casas_do() {
    let mask = |text: &str| {
        Regions::read(text).unwrap().masks(&grid(), &channels()).unwrap().mask(0).unwrap().clone()
    };
    // CASA's mean of (x − 128)·(y − 128): the ellipse leans east (−x) of north, the box from x to y.
    let lean = |text: &str| {
        let mask = mask(text);
        let offset = |i: usize| ((i % 256) as f64 - 128.0) * ((i / 256) as f64 - 128.0);
        mask.pixels().map(offset).sum::<f64>() / mask.count() as f64
    };
    assert!((lean("ellipse[[128pix,128pix],[20pix,10pix],30deg]") + 32.38546603).abs() < 1e-6);
    assert!((lean("rotbox[[128pix,128pix],[20pix,10pix],30deg]") - 10.82587065).abs() < 1e-6);
}

#[test]
fn ranges_select_channels() {
    let circle = "circle[[128pix,128pix],5pix], ";
    let count = |range: &str| counts(&format!("{circle}{range}"));
    assert_eq!(count("range=[1chan,2chan]"), [0, 81, 81, 0, 0]);
    assert_eq!(count("corr=[I], range=[1chan, 1chan], color=red"), [0, 81, 0, 0, 0]);
    assert_eq!(count("range=[230.5415GHz,230.5425GHz]"), [81, 81, 0, 0, 0]);
    // Radio velocities fall by 0.635 km/s a channel, from −5.08 km/s.
    assert_eq!(count("range=[-5.2km/s,-6.4km/s]"), [0, 81, 81, 0, 0]);
    assert_eq!(count("range=[-6.4km/s,-5.2km/s], frame=TOPO, veltype=RADIO"), [0, 81, 81, 0, 0]);
}

#[test]
fn lines_add_and_take_out() {
    let file = "#CRTFv0\n# comment\nglobal coord=J2000, color=blue\ncircle[[128pix,128pix],10pix]\n\
                -circle[[132pix,128pix],4pix]\nbox[[10pix,10pix],[20pix,20pix]]\n\
                symbol[[128pix,128pix],.]\nann circle[[1pix,1pix],90pix]\n";
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), file).unwrap();
    assert_eq!(counts(path.path().to_str().unwrap()), [389; 5]);
    // Later lines put back in what earlier ones took out.
    assert_eq!(
        counts(
            "circle[[50pix,50pix],9pix]\n-circle[[50pix,50pix],9pix]\nbox[[5pix,5pix],[5pix,6pix]]"
        ),
        [2; 5]
    );
}

#[test]
fn channels_with_the_same_regions_share_a_mask() {
    let text = "circle[[9pix,9pix],3pix]\nbox[[1pix,1pix],[2pix,2pix]], range=[4chan,4chan]";
    let masks = Regions::read(text).unwrap().masks(&grid(), &channels()).unwrap();
    assert!(Arc::ptr_eq(masks.mask(0).unwrap(), masks.mask(3).unwrap()));
    assert!(masks.channel(4).unwrap().mask().count() > masks.channel(3).unwrap().mask().count());
    assert!(masks.channel(5).is_err());
}

#[test]
fn mistakes_are_explained() {
    for (text, expected) in [
        ("circle[[128pix,128pix],50]", "no angle"),
        ("circle[[128pix,128pix]", "no ]"),
        ("circle[[128pix,1deg],5pix]", "mixes"),
        ("circle[[128pix,128pix],-5pix]", "negative"),
        ("circle[[128pix],5pix]", "[a, b]"),
        ("disk[[128pix,128pix],5pix]", "unknown shape"),
        ("circle[[1pix,1pix],5pix], coord=GALACTIC", "GALACTIC"),
        ("circle[[1pix,1pix],5pix], rage=[1chan,2chan]", "unknown keyword rage"),
        ("circle[[1pix,1pix],5pix], range=[1chan,2GHz]", "1chan"),
        ("-circle[[1pix,1pix],5pix]", "exclusion"),
        ("poly[[1pix,1pix],[2pix,2pix]]", "poly wants"),
        ("circle[[1deg,99deg],5pix]", "pole"),
    ] {
        let error = Regions::read(text).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
        assert_eq!(error.exit_code(), 2);
    }
    let nowhere = Regions::read("circle[[1280pix,128pix],5pix]").unwrap();
    assert!(nowhere.masks(&grid(), &channels()).unwrap_err().to_string().contains("no pixel"));
    let other = Regions::read("circle[[9pix,9pix],5pix], range=[1GHz,2GHz], frame=LSRK").unwrap();
    assert!(other.masks(&grid(), &channels()).unwrap_err().to_string().contains("frame"));
    assert!(matches!(Regions::read("/nonexistent.crtf"), Err(Error::Io { .. })));
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), "hello").unwrap();
    assert!(matches!(Regions::read(path.path().to_str().unwrap()), Err(Error::Data { .. })));
}
