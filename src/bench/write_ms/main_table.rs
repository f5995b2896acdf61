//! The main table, row by row.

use std::path::Path;

use rayon::prelude::*;

use super::{CORRELATIONS, SIGMA, START_S, WEIGHT, schema, subtables};
use crate::{
    bench::{
        array::{DURATION, Tracks},
        job::{Job, freq_hz},
        sky::Sky,
    },
    error::Result,
    tables::{
        aips::{Record, Value},
        column::{Cell, Kind},
        standard::{Layout, StandardWriter},
        table::{self, TableInfo},
        tiled::{TileWriter, Tiled},
    },
};

/// Bytes of a tile of visibilities, about.
const TILE_BYTES: usize = 1 << 20;

/// A row of the table.
struct Row {
    number: usize,
    integration: usize,
    antennas: [usize; 2],
    uvw_m: [f64; 3],
}

/// Writes the main table into the set's directory, which has its subtables.
pub(super) fn write(
    directory: &Path,
    job: &Job,
    tracks: &Tracks,
    tile_channels: usize,
) -> Result<()> {
    let scalars = schema::main_scalars();
    let tiled_columns = schema::main_tiled();
    let layout = Layout::new(&scalars, job.rows);
    let tiled = tiled(job, tile_channels);

    let mut managers = vec![layout.manager()];
    managers.extend(tiled.iter().map(Tiled::manager));
    let definitions = tiled.iter().zip(&tiled_columns).map(|(t, c)| t.definition(c.name));
    let private = definitions.fold(Record::default(), |r, (name, d)| r.with(name, d));
    let columns: Vec<_> = scalars
        .iter()
        .map(|column| (column, 0))
        .chain(tiled_columns.iter().zip(&tiled).map(|(column, t)| (column, t.number)))
        .collect();
    let keywords =
        subtables::NAMES.iter().fold(Record::default().with("MS_VERSION", 2.0_f32), |r, &path| {
            r.with(path.trim_start_matches("./"), Value::Table(path))
        });

    let writer = StandardWriter::create(directory, 0, layout)?;
    write_rows(directory, job, tracks, writer, tiled)?;
    let info = TableInfo {
        kind: "Measurement Set",
        readme: "A synthetic MeasurementSet by cubeclean bench\n",
        comment: "",
        keywords: &keywords,
        private_keywords: &private,
    };
    table::describe(directory, &info, job.rows, &columns, &managers)
}

/// How the columns of [`schema::main_tiled`] lie in tiles.
fn tiled(job: &Job, tile_channels: usize) -> [Tiled; 5] {
    let channels = job.channels;
    let tile_channels = channels.div_ceil(channels.div_ceil(tile_channels));
    let tile_rows = (TILE_BYTES / (8 * CORRELATIONS * tile_channels)).clamp(1, job.rows);
    let column = |by_shape, name, kind, number, shape: &[(usize, usize)], tile_rows: usize| Tiled {
        by_shape,
        name,
        kind,
        number,
        cell: shape.iter().map(|s| s.0).collect(),
        tile: shape.iter().map(|s| s.1).collect(),
        nrow: job.rows,
        tile_rows: tile_rows.min(job.rows),
    };
    let data = [(CORRELATIONS, CORRELATIONS), (channels, tile_channels)];
    let weight = [(CORRELATIONS, CORRELATIONS)];
    [
        column(false, "TiledUVW", Kind::Double, 1, &[(3, 3)], TILE_BYTES / 24),
        column(true, "TiledDATA", Kind::Complex, 2, &data, tile_rows),
        column(true, "TiledFlag", Kind::Bool, 3, &data, 8 * tile_rows),
        column(true, "TiledWeight", Kind::Float, 4, &weight, TILE_BYTES / 8),
        column(true, "TiledSigma", Kind::Float, 5, &weight, TILE_BYTES / 8),
    ]
}

fn write_rows(
    directory: &Path,
    job: &Job,
    tracks: &Tracks,
    mut scalars: StandardWriter,
    [uvw, data, flag, weight, sigma]: [Tiled; 5],
) -> Result<()> {
    // Nothing is flagged.
    flag.write_header(directory)?;
    flag.write_zeros(directory)?;
    let block_rows = data.tile_rows;
    let writer = |tiled| TileWriter::create(directory, tiled);
    let [mut uvw, mut data, mut weight, mut sigma] =
        [writer(uvw)?, writer(data)?, writer(weight)?, writer(sigma)?];
    let bytes_of = |value: f32| [value; CORRELATIONS].map(f32::to_le_bytes).concat();
    let (weight_cell, sigma_cell) = (bytes_of(WEIGHT), bytes_of(SIGMA));
    let sky = Sky::new(job.sky_radius());
    let interval = DURATION / (tracks.integrations() - 1).max(1) as f64;

    let mut rows = rows(tracks);
    loop {
        let block: Vec<Row> = rows.by_ref().take(block_rows).collect();
        if block.is_empty() {
            break;
        }
        let cells: Vec<Vec<u8>> =
            block.par_iter().map(|row| visibilities(job.channels, &sky, row)).collect();
        for (row, cell) in block.iter().zip(&cells) {
            scalars.push(&scalar_cells(row, START_S + tracks.time(row.integration), interval))?;
            uvw.push(&row.uvw_m.map(f64::to_le_bytes).concat())?;
            data.push(cell)?;
            weight.push(&weight_cell)?;
            sigma.push(&sigma_cell)?;
        }
    }
    scalars.finish()?;
    [uvw, data, weight, sigma].into_iter().try_for_each(|writer| writer.finish(directory))
}

fn rows(tracks: &Tracks) -> impl Iterator<Item = Row> {
    let of_integration = |t| tracks.uvw_m(t).zip(tracks.pairs()).map(move |row| (t, row));
    let all = (0..tracks.integrations()).flat_map(of_integration).enumerate();
    all.map(|(number, (integration, (uvw_m, &(later, earlier))))| Row {
        number,
        integration,
        antennas: [earlier, later],
        uvw_m,
    })
}

/// A row's cell of DATA.
fn visibilities(channels: usize, sky: &Sky, row: &Row) -> Vec<u8> {
    let mut cell = Vec::with_capacity(8 * CORRELATIONS * channels);
    for channel in 0..channels {
        let seen = sky.visibility(row.uvw_m, freq_hz(channel), channel, row.number);
        let bytes = [seen.re, seen.im].map(f32::to_le_bytes).concat();
        (0..CORRELATIONS).for_each(|_| cell.extend(&bytes));
    }
    cell
}

/// A row's cells of the columns of [`schema::main_scalars`].
fn scalar_cells(row: &Row, time: f64, interval: f64) -> [Cell; 17] {
    let [first, second] = row.antennas.map(|antenna| Cell::Int(antenna as i32));
    let zero = || Cell::Int(0);
    [
        first,
        second,
        zero(),        // ARRAY_ID
        zero(),        // DATA_DESC_ID
        zero(),        // FEED1
        zero(),        // FEED2
        zero(),        // FIELD_ID
        zero(),        // OBSERVATION_ID
        Cell::Int(-1), // PROCESSOR_ID
        Cell::Int(1),  // SCAN_NUMBER
        zero(),        // STATE_ID
        time.into(),
        time.into(),
        interval.into(),
        interval.into(),
        false.into(),
        Cell::Undefined,
    ]
}
