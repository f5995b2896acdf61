//! Cubes written by several writers, one after another or at a time, and what a crash at any moment of
//! publishing leaves.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    geometry::{Direction, DirectionFrame},
    spectral::FreqFrame,
};

const FORMATS: [Format; 2] = [Format::Casa, Format::Fits];
const NEW: Start = Start::New { overwrite: false };
const OVERWRITE: Start = Start::New { overwrite: true };
const NX: usize = 140;
const NY: usize = 30;
const NCHAN: usize = 5;

fn spec() -> CubeSpec {
    CubeSpec {
        grid: ImageGrid {
            nx: NX,
            ny: NY,
            cell_x: 1e-6,
            cell_y: 1e-6,
            phase_center: Direction { ra: 1.0, dec: 0.5, frame: DirectionFrame::Icrs },
        },
        channels: ChannelGrid {
            frame: FreqFrame::Lsrk,
            start_hz: 1e11,
            width_hz: 1e6,
            nchan: NCHAN,
            restfreq_hz: 1e11,
        },
        stokes: vec![Stokes::I],
        telescope: "ALMA".into(),
        observer: "nobody".into(),
        object: "nothing".into(),
        obsdate_mjd: 59000.0,
        telescope_position_m: [0.0; 3],
        history: vec!["one line".into()],
    }
}

/// Pixels of a channel: mostly zeros, so that there are holes.
fn plane(channel: usize) -> (Vec<f32>, Mask) {
    let mut values = vec![0.0; NX * NY];
    values[channel * NX + 3] = channel as f32 + 0.5;
    (values, Mask::from_fn(NX, NY, |x, y| !(x + y + channel).is_multiple_of(3)))
}

fn write_channels(writer: &dyn CubeWriter, channels: impl IntoIterator<Item = usize>) -> Vec<u32> {
    let write = |channel| {
        let (values, valid) = plane(channel);
        writer.write_plane(0, channel, &values, Some(&valid)).unwrap()
    };
    channels.into_iter().map(write).collect()
}

/// Every file below a path but the log, which holds the time of writing.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn visit(path: &Path, root: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        if path.is_dir() {
            for entry in fs::read_dir(path).unwrap() {
                visit(&entry.unwrap().path(), root, files);
            }
        } else if !path.parent().unwrap().ends_with("logtable") {
            files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(path).unwrap());
        }
    }
    let mut found = BTreeMap::new();
    visit(path, path.parent().unwrap(), &mut found);
    found
}

/// What lies in a directory, by name.
fn names(directory: &Path) -> Vec<String> {
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(directory).unwrap().map(name).collect();
    names.sort();
    names
}

#[test]
fn writers_that_share_a_cube_make_what_one_makes() {
    for format in FORMATS {
        for product in [Product::Image, Product::Model] {
            let directory = tempfile::tempdir().unwrap();
            let alone = directory.path().join("alone/im");
            let shared = directory.path().join("shared/im");
            let open = |name: &Path, start| create(name, product, format, &spec(), start).unwrap();

            // Channel 4 is never written.
            let writer = open(&alone, NEW);
            let sums = write_channels(&*writer, 0..4);
            let alone = writer.finish(&Beams::None).unwrap();

            // One that dies, having written nonsense too; two that go on at the same time.
            let dead = open(&shared, Start::Join);
            dead.write_plane(0, 0, &[7.0; NX * NY], None).unwrap();
            write_channels(&*dead, [1]);
            drop(dead);
            let (a, b) = (open(&shared, Start::Join), open(&shared, Start::Join));
            assert_ne!(a.checksum(0, 0).unwrap(), sums[0]);
            assert_eq!(a.checksum(0, 1).unwrap(), sums[1]);
            assert_eq!(write_channels(&*a, [3, 0]), [sums[3], sums[0]]);
            assert_eq!(write_channels(&*b, [2]), [sums[2]]);
            for (channel, sum) in sums.iter().enumerate() {
                assert_eq!(b.checksum(0, channel).unwrap(), *sum, "{format:?} {channel}");
                b.adopt_plane(0, channel);
            }
            drop(a);
            // Completing twice is as good as once: the first may have been killed.
            b.complete(&Beams::None).unwrap();
            drop(b);
            let last = open(&shared, Start::Join);
            (0..4).for_each(|channel| last.adopt_plane(0, channel));
            let shared = last.finish(&Beams::None).unwrap();
            assert!(files(&alone) == files(&shared), "{format:?} {product:?}");
            assert_eq!(names(shared.parent().unwrap()).len(), 1);
        }
    }
}

#[test]
fn what_others_are_writing_is_not_removed() {
    for format in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("im");
        let open = |start| create(&name, Product::Image, format, &spec(), start);
        let first = open(NEW).unwrap();
        let second = open(Start::Join).unwrap();
        drop(first);
        assert!(remove_incomplete(&name, Product::Image, format).is_err());
        assert!(open(OVERWRITE).is_err());
        drop(second);
        remove_incomplete(&name, Product::Image, format).unwrap();
        assert!(names(directory.path()).is_empty());
        remove_incomplete(&name, Product::Image, format).unwrap();
    }
}

/// Makes a completed image of one value at `path`.
fn image(path: &Path, format: Format, value: f32) {
    let directory = tempfile::tempdir().unwrap();
    let name = directory.path().join("im");
    let writer = create(&name, Product::Image, format, &spec(), NEW).unwrap();
    for channel in 0..NCHAN {
        writer.write_plane(0, channel, &[value; NX * NY], None).unwrap();
    }
    fs::rename(writer.finish(&Beams::None).unwrap(), path).unwrap();
}

/// Every state in which a crash can leave an image that takes the place of another, in the order of
/// [`staging::Staging::publish`].
#[test]
fn a_crash_while_publishing_loses_neither_image() {
    type State = fn(&Path, &Path, &Path);
    fn marked(image: &Path) {
        fs::write(image.join("cubeclean.new"), "").unwrap();
    }
    const OLD: f32 = 1.0;
    const NEWER: f32 = 2.0;
    let casa: [(&str, State); 9] = [
        ("not begun", |target, temporary, _| {
            image(target, Format::Casa, OLD);
            image(temporary, Format::Casa, NEWER);
        }),
        ("not begun, and a crash left a mark in the older one", |target, temporary, _| {
            image(target, Format::Casa, OLD);
            marked(target);
            image(temporary, Format::Casa, NEWER);
            marked(temporary);
        }),
        ("marked", |target, temporary, _| {
            image(target, Format::Casa, OLD);
            image(temporary, Format::Casa, NEWER);
            marked(temporary);
        }),
        ("exchanged", |target, temporary, _| {
            image(target, Format::Casa, NEWER);
            marked(target);
            image(temporary, Format::Casa, OLD);
        }),
        ("half removed", |target, temporary, _| {
            image(target, Format::Casa, NEWER);
            marked(target);
            image(temporary, Format::Casa, OLD);
            fs::remove_file(temporary.join("table.dat")).unwrap();
        }),
        ("removed", |target, _, _| {
            image(target, Format::Casa, NEWER);
            marked(target);
        }),
        ("set aside", |_, temporary, replaced| {
            image(replaced, Format::Casa, OLD);
            image(temporary, Format::Casa, NEWER);
            marked(temporary);
        }),
        ("set aside and renamed", |target, _, replaced| {
            image(target, Format::Casa, NEWER);
            marked(target);
            image(replaced, Format::Casa, OLD);
        }),
        ("done", |target, _, _| image(target, Format::Casa, NEWER)),
    ];
    let fits: [(&str, State); 2] = [
        ("not begun", |target, temporary, _| {
            image(target, Format::Fits, OLD);
            image(temporary, Format::Fits, NEWER);
        }),
        ("done", |target, _, _| image(target, Format::Fits, NEWER)),
    ];
    let states = casa.map(|state| (Format::Casa, state)).into_iter();
    for (format, (what, make)) in states.chain(fits.map(|state| (Format::Fits, state))) {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().join("im");
        let target = format.path(&name, Product::Image);
        let with = |ending: &str| PathBuf::from(format!("{}{ending}", target.display()));
        make(&target, &with(".incomplete"), &with(".replaced"));
        let published = publish_completed(&name, Product::Image, format).unwrap();
        assert_eq!(published, target);
        let found = CubeReader::open(&target).unwrap().read_plane(0, 2).unwrap().values[17];
        assert_eq!(found, NEWER, "{what}");
        assert_eq!(names(directory.path()).len(), 1, "{what}: {:?}", names(directory.path()));
        assert!(!target.join("cubeclean.new").exists(), "{what}");
        // And once more, as often as it takes.
        publish_completed(&name, Product::Image, format).unwrap();
        fs::rename(&target, directory.path().join("elsewhere")).unwrap();
        let error = publish_completed(&name, Product::Image, format).unwrap_err();
        assert!(error.to_string().contains("is gone"), "{error}");
    }
}

/// Subcubes that were copied into a cube go one by one; a kill among them is told from one that was lost.
#[test]
fn subcubes_are_removed_whenever_a_kill_comes() {
    let how = Subcubes { mode: ConcatMode::Paged, channels: 2, keep: false };
    let begin = |dir: &Path| {
        let name = dir.join("im");
        let writer = create_subcubes(&name, Product::Image, &spec(), NEW, how, false).unwrap();
        write_channels(&*writer, 0..NCHAN);
        writer.complete(&Beams::PerPlane(vec![None; NCHAN])).unwrap();
        name
    };
    let publish = |name: &Path, overwrite: bool| {
        publish_subcubes(name, Product::Image, NCHAN, how, overwrite, &|| Ok(()))
    };
    let is_whole = |out: &Path| {
        let cube = CubeReader::open(out).unwrap();
        (0..NCHAN).all(|c| cube.read_plane(0, c).unwrap().values == plane(c).0)
    };
    let names = |dir: &Path| -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
        let mut names: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };

    let dir = tempfile::tempdir().unwrap();
    let name = begin(dir.path());
    let keep = Subcubes { keep: true, ..how };
    let published = publish_subcubes(&name, Product::Image, NCHAN, keep, false, &|| Ok(()));
    let out = published.unwrap();
    // A kill while the first is being removed: half of it is left, under another name.
    let [first, last] = [0, 2].map(|k| dir.path().join(format!("im.subcube.{k}.image")));
    let half = dir.path().join("im.subcube.0.image.replaced");
    fs::rename(&first, &half).unwrap();
    fs::remove_file(half.join("table.dat")).unwrap();
    assert_eq!(publish(&name, false).unwrap(), out);
    assert_eq!(names(dir.path()), ["im.image"]);
    assert!(is_whole(&out));
    // A kill when all were gone.
    assert_eq!(publish(&name, false).unwrap(), out);

    // The last one is lost while an older cube is there: nothing else goes.
    let older = fs::read(out.join("table.f0_TSM0")).unwrap();
    let start = Start::New { overwrite: true };
    let writer = create_subcubes(&name, Product::Image, &spec(), start, how, true).unwrap();
    write_channels(&*writer, (0..NCHAN).rev());
    writer.complete(&Beams::PerPlane(vec![None; NCHAN])).unwrap();
    drop(writer);
    fs::remove_dir_all(staging::incomplete(&last)).unwrap();
    assert!(publish(&name, true).unwrap_err().to_string().contains("is gone"));
    assert!(first.exists() && fs::read(out.join("table.f0_TSM0")).unwrap() == older);

    // Stopped between planes: no half of a cube, all subcubes, and the next one goes on.
    let dir = tempfile::tempdir().unwrap();
    let name = begin(dir.path());
    let stop = || Err(Error::Stopped { signal: "SIGTERM".into(), remedy: String::new() });
    let stopped = publish_subcubes(&name, Product::Image, NCHAN, how, false, &stop);
    assert!(matches!(stopped, Err(Error::Stopped { .. })));
    assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
    assert!(is_whole(&publish(&name, false).unwrap()));
}

/// A mark of an image that took another's place, left by a kill, does not make the next one's predecessor win.
#[test]
fn an_old_mark_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().join("im");
    let finish = |start, channel: usize| {
        let writer = create(&name, Product::Model, Format::Casa, &spec(), start).unwrap();
        write_channels(&*writer, [channel]);
        writer.complete(&Beams::PerPlane(vec![None; NCHAN])).unwrap();
        writer
    };
    let out = finish(NEW, 1).publish().unwrap();
    fs::write(out.join("cubeclean.new"), "").unwrap();
    drop(finish(OVERWRITE, 2));
    publish_completed(&name, Product::Model, Format::Casa).unwrap();
    let cube = CubeReader::open(&out).unwrap();
    assert_eq!(cube.read_plane(0, 2).unwrap().values, plane(2).0);
    assert!(!out.join("cubeclean.new").exists());
}
