//! The `logtable` of a CASA image: its history, one row per line.
//!
//! casacore refuses an image without this table.

use std::path::Path;

use crate::{
    error::Result,
    tables::{
        aips::Record,
        column::{Cell, Column, Kind, Shape},
        table::{self, TableInfo},
    },
};

/// Each row's `LOCATION`.
const LOCATION: &str = "cubeclean";

/// Writes the table `directory/logtable` with one row per line; `time` is in MJD seconds, UTC.
pub(super) fn write(directory: &Path, lines: &[String], time: f64) -> Result<()> {
    let none = Record::default();
    let info = TableInfo {
        kind: "Log message",
        readme: "Repository for software-generated logging messages\n",
        comment: "Log message table",
        keywords: &none,
        private_keywords: &none,
    };
    let row = |line: &String| -> Vec<Cell> {
        vec![time.into(), "INFO".into(), line.as_str().into(), LOCATION.into(), "".into()]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    table::write(&directory.join("logtable"), &info, &columns(), &rows)
}

fn columns() -> [Column; 5] {
    let text = |name| Column::new(name, Kind::Text, Shape::Scalar);
    let time_keywords = Record::default()
        .with("UNIT", "s")
        .with("MEASURE_TYPE", "EPOCH")
        .with("MEASURE_REFERENCE", "UTC");
    let time = Column::new("TIME", Kind::Double, Shape::Scalar).with(time_keywords);
    [
        Column { comment: "MJD in seconds", ..time },
        Column { max_length: 9, ..text("PRIORITY") },
        text("MESSAGE"),
        text("LOCATION"),
        text("OBJECT_ID"),
    ]
}
