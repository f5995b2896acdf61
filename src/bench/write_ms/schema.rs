//! The columns of a MeasurementSet v2 and of its subtables: all that the definition requires, with
//! units and frames as CASA writes them.

use crate::tables::{
    aips::Record,
    column::{
        Column,
        Kind::{self, Bool, Complex, Double, Float, Int, Text},
        Shape::{self, Any, Fixed, Scalar},
    },
};

/// casacore's code of the frame LSRK.
pub(super) const LSRK: i32 = 1;

fn number(name: &'static str, kind: Kind) -> Column {
    Column::new(name, kind, Scalar)
}

fn quantity(name: &'static str, shape: Shape, units: &[&str]) -> Column {
    Column::new(name, Double, shape).with(quantum(units))
}

fn quantum(units: &[&str]) -> Record {
    let units: Vec<String> = units.iter().map(|&unit| unit.to_owned()).collect();
    Record::default().with("QuantumUnits", units)
}

/// A measure in one frame.
fn measure(
    name: &'static str,
    shape: Shape,
    units: &[&str],
    kind: &'static str,
    frame: &'static str,
) -> Column {
    let info = Record::default().with("type", kind).with("Ref", frame);
    Column::new(name, Double, shape).with(quantum(units).with("MEASINFO", info))
}

fn epoch(name: &'static str) -> Column {
    measure(name, Scalar, &["s"], "epoch", "UTC")
}

fn seconds(name: &'static str) -> Column {
    quantity(name, Scalar, &["s"])
}

fn position(name: &'static str) -> Column {
    measure(name, Fixed(&[3]), &["m"; 3], "position", "ITRF")
}

fn direction(name: &'static str, shape: Shape) -> Column {
    measure(name, shape, &["rad"; 2], "direction", "J2000")
}

/// Frequencies whose frame is a column of its own.
fn frequency(name: &'static str, shape: Shape) -> Column {
    const FRAMES: [(&str, u32); 10] = [
        ("REST", 0),
        ("LSRK", LSRK as u32),
        ("LSRD", 2),
        ("BARY", 3),
        ("GEO", 4),
        ("TOPO", 5),
        ("GALACTO", 6),
        ("LGROUP", 7),
        ("CMB", 8),
        ("Undefined", 64),
    ];
    let names: Vec<String> = FRAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let codes: Vec<u32> = FRAMES.iter().map(|&(_, code)| code).collect();
    let info = Record::default()
        .with("type", "frequency")
        .with("VarRefCol", "MEAS_FREQ_REF")
        .with("TabRefTypes", names)
        .with("TabRefCodes", codes);
    Column::new(name, Double, shape).with(quantum(&["Hz"]).with("MEASINFO", info))
}

fn numbers<const N: usize>(kind: Kind, names: [&'static str; N]) -> [Column; N] {
    names.map(|name| number(name, kind))
}

/// Columns of the main table that are one number a row, and FLAG_CATEGORY, which is never there.
pub(super) fn main_scalars() -> Vec<Column> {
    let category = Record::default().with("CATEGORY", Vec::<String>::new());
    let mut columns = numbers(
        Int,
        [
            "ANTENNA1",
            "ANTENNA2",
            "ARRAY_ID",
            "DATA_DESC_ID",
            "FEED1",
            "FEED2",
            "FIELD_ID",
            "OBSERVATION_ID",
            "PROCESSOR_ID",
            "SCAN_NUMBER",
            "STATE_ID",
        ],
    )
    .to_vec();
    columns.extend([
        epoch("TIME"),
        epoch("TIME_CENTROID"),
        seconds("EXPOSURE"),
        seconds("INTERVAL"),
        number("FLAG_ROW", Bool),
        Column::new("FLAG_CATEGORY", Bool, Any(3)).with(category),
    ]);
    columns
}

/// Columns of the main table that lie in tiles: UVW, DATA, FLAG, WEIGHT, SIGMA.
pub(super) fn main_tiled() -> [Column; 5] {
    [
        measure("UVW", Fixed(&[3]), &["m"; 3], "uvw", "J2000"),
        Column::new("DATA", Complex, Any(2)),
        Column::new("FLAG", Bool, Any(2)),
        Column::new("WEIGHT", Float, Any(1)),
        Column::new("SIGMA", Float, Any(1)),
    ]
}

pub(super) fn antenna() -> Vec<Column> {
    let mut columns = vec![
        position("OFFSET"),
        position("POSITION"),
        quantity("DISH_DIAMETER", Scalar, &["m"]),
        number("FLAG_ROW", Bool),
    ];
    columns.extend(numbers(Text, ["TYPE", "MOUNT", "NAME", "STATION"]));
    columns
}

pub(super) fn data_description() -> Vec<Column> {
    vec![
        number("FLAG_ROW", Bool),
        number("POLARIZATION_ID", Int),
        number("SPECTRAL_WINDOW_ID", Int),
    ]
}

pub(super) fn feed() -> Vec<Column> {
    let mut columns = vec![
        position("POSITION"),
        direction("BEAM_OFFSET", Any(2)),
        Column::new("POLARIZATION_TYPE", Text, Any(1)),
        Column::new("POL_RESPONSE", Complex, Any(2)),
        quantity("RECEPTOR_ANGLE", Any(1), &["rad"]),
    ];
    let ids = ["ANTENNA_ID", "BEAM_ID", "FEED_ID", "NUM_RECEPTORS", "SPECTRAL_WINDOW_ID"];
    columns.extend(numbers(Int, ids));
    columns.extend([seconds("INTERVAL"), epoch("TIME")]);
    columns
}

pub(super) fn field() -> Vec<Column> {
    vec![
        direction("DELAY_DIR", Any(2)),
        direction("PHASE_DIR", Any(2)),
        direction("REFERENCE_DIR", Any(2)),
        number("CODE", Text),
        number("NAME", Text),
        number("FLAG_ROW", Bool),
        number("NUM_POLY", Int),
        number("SOURCE_ID", Int),
        epoch("TIME"),
    ]
}

pub(super) fn flag_cmd() -> Vec<Column> {
    vec![
        number("APPLIED", Bool),
        number("COMMAND", Text),
        number("REASON", Text),
        number("TYPE", Text),
        number("LEVEL", Int),
        number("SEVERITY", Int),
        seconds("INTERVAL"),
        epoch("TIME"),
    ]
}

pub(super) fn history() -> Vec<Column> {
    vec![
        Column::new("APP_PARAMS", Text, Any(1)),
        Column::new("CLI_COMMAND", Text, Any(1)),
        number("APPLICATION", Text),
        number("MESSAGE", Text),
        number("ORIGIN", Text),
        number("PRIORITY", Text),
        number("OBJECT_ID", Int),
        number("OBSERVATION_ID", Int),
        epoch("TIME"),
    ]
}

pub(super) fn observation() -> Vec<Column> {
    vec![
        measure("TIME_RANGE", Fixed(&[2]), &["s"], "epoch", "UTC"),
        Column::new("LOG", Text, Any(1)),
        Column::new("SCHEDULE", Text, Any(1)),
        number("FLAG_ROW", Bool),
        number("OBSERVER", Text),
        number("PROJECT", Text),
        number("SCHEDULE_TYPE", Text),
        number("TELESCOPE_NAME", Text),
        epoch("RELEASE_DATE"),
    ]
}

pub(super) fn pointing() -> Vec<Column> {
    vec![
        direction("DIRECTION", Any(2)),
        direction("TARGET", Any(-1)),
        number("ANTENNA_ID", Int),
        number("NUM_POLY", Int),
        number("NAME", Text),
        number("TRACKING", Bool),
        seconds("INTERVAL"),
        epoch("TIME"),
        epoch("TIME_ORIGIN"),
    ]
}

pub(super) fn polarization() -> Vec<Column> {
    vec![
        Column::new("CORR_TYPE", Int, Any(1)),
        Column::new("CORR_PRODUCT", Int, Any(2)),
        number("FLAG_ROW", Bool),
        number("NUM_CORR", Int),
    ]
}

pub(super) fn processor() -> Vec<Column> {
    vec![
        number("FLAG_ROW", Bool),
        number("MODE_ID", Int),
        number("TYPE_ID", Int),
        number("TYPE", Text),
        number("SUB_TYPE", Text),
    ]
}

pub(super) fn source() -> Vec<Column> {
    vec![
        direction("DIRECTION", Fixed(&[2])),
        quantity("PROPER_MOTION", Fixed(&[2]), &["rad/s"]),
        measure("REST_FREQUENCY", Any(1), &["Hz"], "frequency", "LSRK"),
        measure("SYSVEL", Any(1), &["m/s"], "radialvelocity", "LSRK"),
        Column::new("TRANSITION", Text, Any(1)),
        number("CALIBRATION_GROUP", Int),
        number("NUM_LINES", Int),
        number("SOURCE_ID", Int),
        number("SPECTRAL_WINDOW_ID", Int),
        number("CODE", Text),
        number("NAME", Text),
        seconds("INTERVAL"),
        epoch("TIME"),
    ]
}

pub(super) fn spectral_window() -> Vec<Column> {
    let mut columns = vec![
        frequency("CHAN_FREQ", Any(1)),
        frequency("REF_FREQUENCY", Scalar),
        quantity("CHAN_WIDTH", Any(1), &["Hz"]),
        quantity("EFFECTIVE_BW", Any(1), &["Hz"]),
        quantity("RESOLUTION", Any(1), &["Hz"]),
        quantity("TOTAL_BANDWIDTH", Scalar, &["Hz"]),
        number("FLAG_ROW", Bool),
    ];
    let ids = ["MEAS_FREQ_REF", "FREQ_GROUP", "IF_CONV_CHAIN", "NET_SIDEBAND", "NUM_CHAN"];
    columns.extend(numbers(Int, ids));
    columns.extend(numbers(Text, ["FREQ_GROUP_NAME", "NAME"]));
    columns
}

pub(super) fn state() -> Vec<Column> {
    vec![
        quantity("CAL", Scalar, &["K"]),
        quantity("LOAD", Scalar, &["K"]),
        number("FLAG_ROW", Bool),
        number("REF", Bool),
        number("SIG", Bool),
        number("SUB_SCAN", Int),
        number("OBS_MODE", Text),
    ]
}
