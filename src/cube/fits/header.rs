//! What the headers of a FITS cube say: the world coordinate system (Greisen & Calabretta 2002,
//! Calabretta & Greisen 2002, Greisen et al. 2006), beams and provenance, in the words of CASA's
//! `exportfits`.

use crate::{
    SPEED_OF_LIGHT,
    beam::Beam,
    cube::{CubeShape, CubeSpec, HeaderBeams, Product},
    geometry::DirectionFrame,
    ms::Stokes,
    spectral::{ChannelGrid, FreqFrame},
};

use super::card::Header;

/// Cards that beams take at most: BMAJ, BMIN, BPA.
pub(super) const BEAM_CARDS: usize = 3;

/// The primary header but for its beams.
pub(super) fn primary(product: Product, spec: &CubeSpec, shape: CubeShape) -> Header {
    let mut h = Header::default();
    h.logical("SIMPLE", true, "Standard FITS");
    h.integer("BITPIX", -32, "Floating point (32 bit)");
    h.integer("NAXIS", 4, "");
    for (i, n) in [shape.nx, shape.ny, shape.nchan, shape.nstokes].into_iter().enumerate() {
        h.integer(&format!("NAXIS{}", i + 1), n as i64, "");
    }
    h.logical("EXTEND", true, "");
    h.string("BTYPE", "Intensity", "");
    h.string("OBJECT", &spec.object, "");
    if let Some(unit) = product.unit() {
        h.string("BUNIT", unit, "Brightness (pixel) unit");
    }
    celestial(&mut h, spec);
    spectral(&mut h, &spec.channels);
    stokes(&mut h, &spec.stokes);
    observation(&mut h, spec);
    h.string("ORIGIN", concat!("cubeclean ", env!("CARGO_PKG_VERSION")), "");
    for line in &spec.history {
        h.history(line);
    }
    h
}

/// The primary header with its beams. The cards come last, so that the others stay where they are.
pub(super) fn with_beams(mut h: Header, beams: &HeaderBeams) -> Header {
    match beams {
        HeaderBeams::None => {}
        HeaderBeams::One(beam) => {
            h.real("BMAJ", beam.major.to_degrees(), "Restoring beam, degrees");
            h.real("BMIN", beam.minor.to_degrees(), "");
            h.real("BPA", beam.pa.to_degrees(), "");
        }
        HeaderBeams::PerChannel(_) => {
            h.logical("CASAMBM", true, "CASA multiple BEAMS table present");
        }
    }
    h
}

fn celestial(h: &mut Header, spec: &CubeSpec) {
    let grid = &spec.grid;
    let ra = grid.phase_center.ra.to_degrees().rem_euclid(360.0);
    let dec = grid.phase_center.dec.to_degrees();
    match grid.phase_center.frame {
        DirectionFrame::J2000 => {
            h.string("RADESYS", "FK5", "");
            h.real("EQUINOX", 2000.0, "");
        }
        DirectionFrame::Icrs => h.string("RADESYS", "ICRS", ""),
    }
    h.real("LONPOLE", 180.0, "");
    h.real("LATPOLE", dec, "");
    // FITS counts pixels from 1.
    axis(h, 1, "RA---SIN", ra, -grid.cell_x.to_degrees(), (grid.nx / 2 + 1) as f64, "deg");
    axis(h, 2, "DEC--SIN", dec, grid.cell_y.to_degrees(), (grid.ny / 2 + 1) as f64, "deg");
    h.real("OBSRA", ra, "");
    h.real("OBSDEC", dec, "");
}

fn spectral(h: &mut Header, channels: &ChannelGrid) {
    // VELREF: AIPS's code of the frame, with casacore's additions, + 256 for radio velocities.
    let (frame, velref) = match channels.frame {
        FreqFrame::Lsrk => ("LSRK", 1),
        FreqFrame::Bary => ("BARYCENT", 2),
        FreqFrame::Topo => ("TOPOCENT", 3),
        FreqFrame::Lsrd => ("LSRD", 4),
        FreqFrame::Geo => ("GEOCENTR", 5),
    };
    axis(h, 3, "FREQ", channels.start_hz, channels.width_hz, 1.0, "Hz");
    h.string("SPECSYS", frame, "Spectral reference frame");
    let rest = channels.restfreq_hz;
    if rest > 0.0 {
        h.real("RESTFRQ", rest, "Rest frequency (Hz)");
        let velocity = SPEED_OF_LIGHT * (1.0 - channels.start_hz / rest);
        h.real("ALTRVAL", velocity, "Radio velocity of ALTRPIX, m/s");
        h.real("ALTRPIX", 1.0, "");
    }
    h.integer("VELREF", velref + 256, "1 LSR, 2 HEL, 3 OBS, 4 LSD, 5 GEO, +256 Radio");
}

/// The Stokes axis. FITS numbers are equidistant, so that only sets like I, or XX, YY can be told;
/// others are refused where the parameters are read.
fn stokes(h: &mut Header, stokes: &[Stokes]) {
    let code = |s: Stokes| match s {
        Stokes::I => 1.0,
        Stokes::RR => -1.0,
        Stokes::LL => -2.0,
        Stokes::XX => -5.0,
        Stokes::YY => -6.0,
    };
    let first = stokes.first().map_or(1.0, |&s| code(s));
    let step = stokes.get(1).map_or(1.0, |&s| code(s) - first);
    axis(h, 4, "STOKES", first, step, 1.0, "");
}

fn observation(h: &mut Header, spec: &CubeSpec) {
    h.string("TELESCOP", &spec.telescope, "");
    h.string("INSTRUME", &spec.telescope, "");
    h.string("OBSERVER", &spec.observer, "");
    h.string("DATE-OBS", &iso_date(spec.obsdate_mjd), "");
    h.string("TIMESYS", "UTC", "");
    if spec.telescope_position_m != [0.0; 3] {
        for (key, value) in
            ["OBSGEO-X", "OBSGEO-Y", "OBSGEO-Z"].into_iter().zip(spec.telescope_position_m)
        {
            h.real(key, value, "");
        }
    }
}

fn axis(
    h: &mut Header,
    number: usize,
    kind: &str,
    value: f64,
    increment: f64,
    pixel: f64,
    unit: &str,
) {
    h.string(&format!("CTYPE{number}"), kind, "");
    h.real(&format!("CRVAL{number}"), value, "");
    h.real(&format!("CDELT{number}"), increment, "");
    h.real(&format!("CRPIX{number}"), pixel, "");
    if !unit.is_empty() {
        h.string(&format!("CUNIT{number}"), unit, "");
    }
}

/// The header and the rows of CASA's `BEAMS` table: major and minor axis, position angle, channel and
/// Stokes index of each plane. Returns nothing where one beam serves all planes.
pub(super) fn beams_table(beams: &HeaderBeams, nstokes: usize) -> Option<(Header, Vec<u8>)> {
    let HeaderBeams::PerChannel(beams) = beams else { return None };
    let mut h = Header::default();
    h.string("XTENSION", "BINTABLE", "Binary table");
    h.integer("BITPIX", 8, "");
    h.integer("NAXIS", 2, "");
    h.integer("NAXIS1", 20, "Bytes of a row");
    h.integer("NAXIS2", (beams.len() * nstokes) as i64, "Rows");
    h.integer("PCOUNT", 0, "");
    h.integer("GCOUNT", 1, "");
    h.integer("TFIELDS", 5, "");
    let columns = [
        ("BMAJ", "1E", "arcsec"),
        ("BMIN", "1E", "arcsec"),
        ("BPA", "1E", "deg"),
        ("CHAN", "1J", ""),
        ("POL", "1J", ""),
    ];
    for (i, (name, form, unit)) in columns.into_iter().enumerate() {
        h.string(&format!("TTYPE{}", i + 1), name, "");
        h.string(&format!("TFORM{}", i + 1), form, "");
        if !unit.is_empty() {
            h.string(&format!("TUNIT{}", i + 1), unit, "");
        }
    }
    h.string("EXTNAME", "BEAMS", "");
    h.integer("EXTVER", 1, "");
    h.integer("NCHAN", beams.len() as i64, "");
    h.integer("NPOL", nstokes as i64, "");
    let mut rows = Vec::new();
    for stokes in 0..nstokes {
        for (channel, beam) in beams.iter().enumerate() {
            rows.extend(beam_row(beam, channel, stokes));
        }
    }
    Some((h, rows))
}

fn beam_row(beam: &Beam, channel: usize, stokes: usize) -> Vec<u8> {
    let arcsec = |rad: f64| rad.to_degrees() * 3600.0;
    let values = [arcsec(beam.major), arcsec(beam.minor), beam.pa.to_degrees()];
    let mut row: Vec<u8> = values.iter().flat_map(|&v| (v as f32).to_be_bytes()).collect();
    row.extend((channel as i32).to_be_bytes());
    row.extend((stokes as i32).to_be_bytes());
    row
}

/// A modified Julian date as `2022-06-15T04:00:52.000`. The calendar is Howard Hinnant's
/// `civil_from_days`, which counts from 0000-03-01 so that leap days end their years.
fn iso_date(mjd: f64) -> String {
    let millis = (mjd * 86_400_000.0).round() as i64;
    let (day, millis) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    let z = day + 678_881; // days since 0000-03-01
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (s, ms) = (millis / 1000, millis % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}",
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

#[cfg(test)]
mod tests {
    use super::iso_date;

    /// Dates from astropy.time.Time(mjd, format="mjd").isot.
    #[test]
    fn dates_agree_with_astropy() {
        for (mjd, date) in [
            (59745.16726851852, "2022-06-15T04:00:52.000"),
            (51544.0, "2000-01-01T00:00:00.000"),
            (60368.999994, "2024-02-28T23:59:59.482"),
            (60369.5, "2024-02-29T12:00:00.000"),
            (40587.0, "1970-01-01T00:00:00.000"),
            (0.0, "1858-11-17T00:00:00.000"),
        ] {
            assert_eq!(iso_date(mjd), date);
        }
    }
}
