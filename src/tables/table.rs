//! Whole tables: a small one in one go, and the description of a large one.

use std::{fs, path::Path};

use super::{
    aips::Record,
    column::{Cell, Column},
    dat::{Manager, column_set, lock, plain_table, table_desc, write_file},
    standard::{Layout, StandardWriter},
};
use crate::error::{Error, Result};

/// What is said of a table besides its rows.
pub(crate) struct TableInfo<'a> {
    /// First line of `table.info`.
    pub(crate) kind: &'a str,
    /// The rest of it.
    pub(crate) readme: &'a str,
    pub(crate) comment: &'a str,
    pub(crate) keywords: &'a Record,
    /// Definitions of hypercolumns.
    pub(crate) private_keywords: &'a Record,
}

/// Writes `table.info`, `table.lock` and `table.dat` of a table whose data managers have written
/// theirs. Each column goes with the number of its manager.
pub(crate) fn describe(
    directory: &Path,
    info: &TableInfo,
    nrow: usize,
    columns: &[(&Column, usize)],
    managers: &[Manager],
) -> Result<()> {
    let text = format!("Type = {}\nSubType = \n\n{}", info.kind, info.readme);
    write_file(&directory.join("table.info"), text.as_bytes())?;
    let nrow = nrow as u32;
    let lock = lock(nrow, columns.len() as i32, managers.len());
    write_file(&directory.join("table.lock"), &lock)?;
    let dat = plain_table(nrow, |s| {
        table_desc(s, info.comment, info.keywords, info.private_keywords, |s| {
            s.u32(columns.len() as u32);
            columns.iter().for_each(|(column, _)| column.describe(s));
        });
        column_set(s, nrow, managers, |s| {
            columns.iter().for_each(|&(column, manager)| column.bind(s, manager));
        });
    });
    write_file(&directory.join("table.dat"), &dat)
}

/// Makes the directory of a small table and writes it, all columns by one StandardStMan.
pub(crate) fn write(
    directory: &Path,
    info: &TableInfo,
    columns: &[Column],
    rows: &[Vec<Cell>],
) -> Result<()> {
    fs::create_dir_all(directory).map_err(|e| Error::io("create", directory, e))?;
    let layout = Layout::new(columns, rows.len());
    let manager = layout.manager();
    let mut writer = StandardWriter::create(directory, 0, layout)?;
    rows.iter().try_for_each(|row| writer.push(row))?;
    writer.finish()?;
    let columns: Vec<_> = columns.iter().map(|column| (column, 0)).collect();
    describe(directory, info, rows.len(), &columns, &[manager])
}
