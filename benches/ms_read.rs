//! Speed of reading visibilities, beside python-casacore's.
//!
//!     CUBECLEAN_BENCH_MS=X.ms CUBECLEAN_TEST_PYTHON=python cargo bench --bench ms_read
//!
//! Ours reads the visibilities, FLAG and weights of all rows and channels, and makes Stokes I of them;
//! python-casacore reads the visibilities and FLAG into memory that is there already (`getcolnp`), its
//! fastest way, in pieces of rows. Both read from the system's cache, best of several runs. Without
//! a python-casacore, or a set, only what is there is timed.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Instant,
};

use cubeclean::{
    Result,
    ms::{DataColumn, MeasurementSet, ReadStats, Selection, Stokes},
};

const RUNS: usize = 5;

const PYTHON: &str = r#"
import sys, time
import numpy as np
from casacore.tables import table
t = table(sys.argv[1], ack=False)
name, runs, rows = sys.argv[2], int(sys.argv[3]), t.nrows()
shape = t.getcell(name, 0).shape
piece = max(1, min(rows, (64 << 20) // (8 * shape[0] * shape[1])))
data = np.empty((piece, *shape), np.complex64)
flag = np.empty((piece, *shape), bool)
best = [1e9, 1e9]
for _ in range(runs):
    for k, columns in enumerate([[(name, data)], [(name, data), ("FLAG", flag)]]):
        begin = time.perf_counter()
        for start in range(0, rows - piece + 1, piece):
            for column, array in columns:
                t.getcolnp(column, array, start, piece)
        best[k] = min(best[k], time.perf_counter() - begin)
done = rows // piece * piece
print(done * shape[0] * shape[1] * 8, *best)
"#;

/// Bytes of visibilities, and seconds for them without and with FLAG.
fn python_casacore(path: &Path, column: &str) -> Option<[f64; 3]> {
    let python = std::env::var_os("CUBECLEAN_TEST_PYTHON")?;
    let mut command = Command::new(python);
    let output = command.args(["-c", PYTHON]).arg(path).args([column, &RUNS.to_string()]).output();
    let output = output.ok().filter(|o| o.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    numbers.try_into().ok()
}

fn main() -> Result<()> {
    let path = std::env::var_os("CUBECLEAN_BENCH_MS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-data/small.ms"),
        PathBuf::from,
    );
    if !path.is_dir() {
        println!("{} is not there: set CUBECLEAN_BENCH_MS", path.display());
        return Ok(());
    }
    let ms = Arc::new(MeasurementSet::open(&path)?);
    let corrected = ms.table().find("CORRECTED_DATA").is_some();
    let (datacolumn, name) = match corrected {
        true => (DataColumn::Corrected, "CORRECTED_DATA"),
        false => (DataColumn::Data, "DATA"),
    };
    let begin = Instant::now();
    let selected =
        ms.select(&Selection { datacolumn, stokes: Stokes::I, ..Selection::default() })?;
    println!("select: {:.3} s for {} rows", begin.elapsed().as_secs_f64(), ms.table().rows());
    let threads = rayon::current_num_threads();
    let mut best = f64::INFINITY;
    let mut stats = ReadStats::default();
    for _ in 0..RUNS {
        let begin = Instant::now();
        stats = ReadStats::default();
        for spw in selected.spws() {
            // Blocks of 256 MB, as a program with bounded memory would have them.
            let width = ((256 << 20) / (12 * spw.rows.len())).max(1);
            let hull = spw.hull();
            for start in hull.clone().step_by(width) {
                let part = start..(start + width).min(hull.end);
                stats += selected.read(spw.id, part)?.1;
            }
        }
        best = best.min(begin.elapsed().as_secs_f64());
    }
    let ours = stats.bytes_read as f64 / best / 1e9;
    println!(
        "read: {best:.3} s, {:.1} MB, {ours:.2} GB/s, {:.1} million samples/s, {threads} threads",
        stats.bytes_read as f64 / 1e6,
        stats.samples as f64 / best / 1e6
    );
    match python_casacore(&path, name) {
        None => println!("no python-casacore: set CUBECLEAN_TEST_PYTHON"),
        Some([bytes, data, both]) => {
            println!("python-casacore, {name}: {data:.3} s, {:.2} GB/s", bytes / data / 1e9);
            println!(
                "python-casacore, {name} and FLAG: {both:.3} s, {:.2} GB/s",
                bytes / both / 1e9
            );
            // Our bytes include flags and weights; theirs are those of the visibilities.
            println!(
                "ratio of times, theirs over ours: {:.2} and {:.2} with FLAG",
                data / best,
                both / best
            );
        }
    }
    Ok(())
}
