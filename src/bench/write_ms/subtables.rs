//! The subtables of a synthetic job.

use std::path::Path;

use super::{END_S, START_S, schema};
use crate::{
    bench::{
        array::{DECLINATION, DURATION, RIGHT_ASCENSION, Tracks},
        job::{Job, WIDTH_HZ, freq_hz},
    },
    error::Result,
    tables::{
        aips::Record,
        column::{Cell, Column},
        table::{self, TableInfo},
    },
};

/// ALMA's geocentric position (ITRF), m.
const ALMA_M: [f64; 3] = [2_225_015.308_8, -5_440_016.418_0, -2_481_631.274_3];

/// Diameter of the dishes, m.
const DISH_M: f64 = 12.0;

/// Names of the subtables, in the order in which they are written.
pub(super) const NAMES: [&str; 13] = [
    "././ANTENNA",
    "././DATA_DESCRIPTION",
    "././FEED",
    "././FIELD",
    "././FLAG_CMD",
    "././HISTORY",
    "././OBSERVATION",
    "././POINTING",
    "././POLARIZATION",
    "././PROCESSOR",
    "././SOURCE",
    "././SPECTRAL_WINDOW",
    "././STATE",
];

/// Writes all subtables.
pub(super) fn write(directory: &Path, job: &Job, tracks: &Tracks) -> Result<()> {
    let none = Record::default();
    let write = |name: &str, columns: Vec<Column>, rows: &[Vec<Cell>]| {
        let info = TableInfo {
            kind: "",
            readme: "",
            comment: "",
            keywords: &none,
            private_keywords: &none,
        };
        table::write(&directory.join(name), &info, &columns, rows)
    };
    let antennas = antennas(tracks);
    let feeds: Vec<_> = (0..antennas.len()).map(feed).collect();
    write("ANTENNA", schema::antenna(), &antennas)?;
    write(
        "DATA_DESCRIPTION",
        schema::data_description(),
        &[vec![false.into(), 0.into(), 0.into()]],
    )?;
    write("FEED", schema::feed(), &feeds)?;
    write("FIELD", schema::field(), &[field()])?;
    write("FLAG_CMD", schema::flag_cmd(), &[])?;
    write("HISTORY", schema::history(), &[history(job)])?;
    write("OBSERVATION", schema::observation(), &[observation()])?;
    write("POINTING", schema::pointing(), &[])?;
    write("POLARIZATION", schema::polarization(), &[polarization()])?;
    write("PROCESSOR", schema::processor(), &[])?;
    write("SOURCE", schema::source(), &[source(job)])?;
    write("SPECTRAL_WINDOW", schema::spectral_window(), &[spectral_window(job)])?;
    write("STATE", schema::state(), &[state()])
}

/// Antennas at the mirror images of the job's: in a MeasurementSet the first antenna of a pair is that
/// of the lower number, and (u, v, w) points from the second to the first.
fn antennas(tracks: &Tracks) -> Vec<Vec<Cell>> {
    let [x, y, _] = ALMA_M;
    let (sin, cos) = y.atan2(x).sin_cos();
    let row = |(number, [meridian, east, pole]): (usize, [f64; 3])| {
        let position = [
            ALMA_M[0] - (cos * meridian - sin * east),
            ALMA_M[1] - (sin * meridian + cos * east),
            ALMA_M[2] - pole,
        ];
        vec![
            vec![0.0; 3].into(),
            position.to_vec().into(),
            DISH_M.into(),
            false.into(),
            "GROUND-BASED".into(),
            "ALT-AZ".into(),
            Cell::Text(format!("DA{:02}", number + 1)),
            Cell::Text(format!("A{:03}", number + 1)),
        ]
    };
    tracks.antennas_m().enumerate().map(row).collect()
}

fn feed(antenna: usize) -> Vec<Cell> {
    let response = vec![[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]];
    vec![
        vec![0.0; 3].into(),
        Cell::Doubles(vec![2, 2], vec![0.0; 4]),
        Cell::Texts(vec!["X".into(), "Y".into()]),
        Cell::Complexes(vec![2, 2], response),
        vec![0.0; 2].into(),
        (antenna as i32).into(),
        (-1).into(),
        0.into(),
        2.into(),
        (-1).into(),
        DURATION.into(),
        (START_S + DURATION / 2.0).into(),
    ]
}

fn field() -> Vec<Cell> {
    let direction = || Cell::Doubles(vec![2, 1], vec![RIGHT_ASCENSION, DECLINATION]);
    vec![
        direction(),
        direction(),
        direction(),
        "".into(),
        "synthetic".into(),
        false.into(),
        0.into(),
        0.into(),
        START_S.into(),
    ]
}

fn history(job: &Job) -> Vec<Cell> {
    let Job { pixels, channels, rows, mask_fraction, .. } = job;
    let command = format!(
        "cubeclean bench --pixels {pixels} --channels {channels} --rows {rows} \
         --mask-fraction {mask_fraction} --write-ms"
    );
    vec![
        Cell::Texts(vec![String::new()]),
        Cell::Texts(vec![command.clone()]),
        concat!("cubeclean ", env!("CARGO_PKG_VERSION")).into(),
        Cell::Text(command),
        "cubeclean".into(),
        "INFO".into(),
        0.into(),
        0.into(),
        START_S.into(),
    ]
}

fn observation() -> Vec<Cell> {
    vec![
        vec![START_S, END_S].into(),
        Cell::Texts(vec![String::new()]),
        Cell::Texts(vec![String::new()]),
        false.into(),
        "cubeclean".into(),
        "bench".into(),
        "".into(),
        "ALMA".into(),
        END_S.into(),
    ]
}

fn polarization() -> Vec<Cell> {
    // XX and YY, of receptors 0, 0 and 1, 1.
    vec![
        Cell::Ints(vec![2], vec![9, 12]),
        Cell::Ints(vec![2, 2], vec![0, 0, 1, 1]),
        false.into(),
        2.into(),
    ]
}

fn source(job: &Job) -> Vec<Cell> {
    vec![
        vec![RIGHT_ASCENSION, DECLINATION].into(),
        vec![0.0; 2].into(),
        vec![freq_hz(job.channels / 2)].into(),
        vec![0.0].into(),
        Cell::Texts(vec!["line".into()]),
        0.into(),
        1.into(),
        0.into(),
        0.into(),
        "".into(),
        "synthetic".into(),
        DURATION.into(),
        (START_S + DURATION / 2.0).into(),
    ]
}

fn spectral_window(job: &Job) -> Vec<Cell> {
    let widths = || Cell::from(vec![WIDTH_HZ; job.channels]);
    let frequencies: Vec<f64> = (0..job.channels).map(freq_hz).collect();
    vec![
        frequencies.into(),
        freq_hz(0).into(),
        widths(),
        widths(),
        widths(),
        (WIDTH_HZ * job.channels as f64).into(),
        false.into(),
        // Not TOPO: tclean would follow the Earth's rotation, by a channel and more over the track, and image
        // other data than programs that take channels as they are.
        schema::LSRK.into(),
        0.into(),
        0.into(),
        1.into(),
        (job.channels as i32).into(),
        "".into(),
        "synthetic".into(),
    ]
}

fn state() -> Vec<Cell> {
    vec![
        0.0.into(),
        0.0.into(),
        false.into(),
        false.into(),
        true.into(),
        0.into(),
        "OBSERVE_TARGET#ON_SOURCE".into(),
    ]
}
