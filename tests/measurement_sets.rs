//! MeasurementSets against python-casacore (whose findings are in assets/ms/reference.json, made by
//! tests/interop/make_ms_reference.py), and damaged ones, which must be errors, never panics.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use cubeclean::{
    Error, Result,
    ms::{DataColumn, MeasurementSet, Selected, Selection, Stokes, describe},
};
use proptest::prelude::*;
use serde_json::Value;

fn reference() -> Value {
    let path = common::assets().join("ms/reference.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn open(path: &Path) -> Arc<MeasurementSet> {
    Arc::new(MeasurementSet::open(path).unwrap())
}

/// CRC-32 as zlib has it.
fn crc32(bytes: &[u8]) -> u64 {
    let crc = bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8)
            .fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ (0xEDB8_8320 & 0u32.wrapping_sub(c & 1)))
    });
    u64::from(!crc)
}

fn stokes(name: &str) -> Stokes {
    serde_json::from_value(Value::from(name)).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

/// As close as serde_json reads numbers: it may err by their last bit.
fn assert_same(ours: &[f64], expected: &Value) {
    let expected = floats(expected);
    assert_eq!(ours.len(), expected.len());
    for (a, b) in ours.iter().zip(expected) {
        assert!((a - b).abs() <= 4e-16 * b.abs(), "{a} {b}");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn check_metadata(name: &str, ms: &MeasurementSet, expected: &Value) {
    let list = |key: &str| expected[key].as_array().unwrap().iter();
    assert_eq!(ms.table().rows(), expected["rows"].as_u64().unwrap(), "{name}");
    assert_eq!(ms.antennas().len(), list("antennas").len());
    for (antenna, e) in ms.antennas().iter().zip(list("antennas")) {
        assert_eq!(antenna.name, text(&e[0]), "{name}");
        assert_same(&antenna.position_m, &e[1]);
        assert_eq!(antenna.dish_diameter_m, e[2].as_f64().unwrap(), "{name}");
    }
    assert_eq!(ms.fields().len(), list("fields").len());
    for (field, e) in ms.fields().iter().zip(list("fields")) {
        assert_eq!(field.name, text(&e[0]), "{name}");
        assert_same(&field.phase_dir, &e[1]);
        assert_eq!(field.frame, text(&e[2]), "{name}");
        assert_eq!(field.moving, None);
    }
    assert_eq!(ms.spectral_windows().len(), list("spws").len());
    for (spw, e) in ms.spectral_windows().iter().zip(list("spws")) {
        assert_eq!(spw.name, text(&e[0]), "{name}");
        assert_same(&spw.chan_freq_hz, &e[1]);
        assert_same(&spw.chan_width_hz, &e[2]);
        assert_eq!(spw.frame, text(&e[3]), "{name}");
    }
    assert_eq!(ms.polarizations().len(), list("polarizations").len());
    for (polarization, e) in ms.polarizations().iter().zip(list("polarizations")) {
        let types: Vec<f64> = polarization.corr_types.iter().map(|&c| f64::from(c)).collect();
        assert_eq!(types, floats(e), "{name}");
    }
    for (description, e) in ms.data_descriptions().iter().zip(list("descriptions")) {
        let ids = vec![description.spw as f64, description.polarization as f64];
        assert_eq!(ids, floats(e), "{name}");
    }
    for (observation, e) in ms.observations().iter().zip(list("observations")) {
        assert_eq!(observation.telescope, text(&e[0]), "{name}");
        assert_eq!(observation.observer, text(&e[1]), "{name}");
        // casacore keeps epochs in days, of which a double resolves 1 µs.
        for (time, e) in observation.time_range.iter().zip(floats(&e[2])) {
            assert!((time - e).abs() < 2e-6, "{name}: {time} {e}");
        }
    }
    assert_eq!(ms.sources().len(), list("sources").len());
    for (source, e) in ms.sources().iter().zip(list("sources")) {
        assert_eq!(f64::from(source.source_id), e[0].as_f64().unwrap(), "{name}");
        assert_eq!(f64::from(source.spw), e[1].as_f64().unwrap(), "{name}");
        assert_same(&source.rest_freq_hz, &e[2]);
    }
}

fn select(ms: &Arc<MeasurementSet>, case: &Value) -> Result<Selected> {
    let fields = case["fields"].as_array();
    let field = fields.map(|ids| ids.iter().map(Value::to_string).collect::<Vec<_>>().join(","));
    ms.select(&Selection {
        field: field.unwrap_or_default(),
        spw: case["spw"].to_string(),
        datacolumn: match text(&case["column"]) {
            "DATA" => DataColumn::Data,
            _ => DataColumn::Corrected,
        },
        stokes: stokes(text(&case["stokes"])),
    })
}

fn check_block(name: &str, ms: &Arc<MeasurementSet>, case: &Value) {
    let n = |key: &str| case[key].as_u64().unwrap();
    let selected = select(ms, case).unwrap();
    let rows = selected.rows();
    assert_eq!(rows.uvw_m.len() as u64, n("rows"), "{name}");
    assert_eq!(crc32(bytemuck::cast_slice(&rows.uvw_m)), n("uvw_crc"), "{name}: uvw");
    assert_eq!(crc32(bytemuck::cast_slice(selected.antennas())), n("antennas_crc"), "{name}");
    assert_eq!(rows.slots.len() as u64, n("slots"), "{name}");
    for (slot, time) in rows.slots.iter().zip(floats(&case["slot_times"])) {
        assert!((slot.time - time).abs() < 2e-6, "{name}: {} {time}", slot.time);
    }
    let spw = n("spw") as usize;
    let range = floats(&case["channels"]);
    let range = range[0] as usize..range[1] as usize;
    let (block, stats) = selected.read(spw, range.clone()).unwrap();
    assert_eq!(block.rows, (0..rows.uvw_m.len() as u32).collect::<Vec<_>>());
    let counts = [stats.samples, stats.flagged, stats.non_finite, stats.bad_weight];
    assert_eq!(counts, [n("samples"), n("flagged"), n("non_finite"), n("bad_weight")], "{name}");
    assert_eq!(crc32(bytemuck::cast_slice(&block.vis)), n("vis_crc"), "{name}: visibilities");
    assert_eq!(crc32(bytemuck::cast_slice(&block.weight)), n("weight_crc"), "{name}: weights");

    // The same bits, channel by channel.
    for channel in range.clone().step_by(7) {
        let (one, _) = selected.read(spw, channel..channel + 1).unwrap();
        let k = (channel - range.start) * block.rows.len();
        assert_eq!(one.vis, block.vis[k..k + block.rows.len()], "{name}");
        assert_eq!(one.weight, block.weight[k..k + block.rows.len()], "{name}");
    }
}

fn check_set(name: &str, path: &Path, expected: &Value) {
    let ms = open(path);
    check_metadata(name, &ms, &expected["metadata"]);
    for case in expected["blocks"].as_array().unwrap() {
        check_block(name, &ms, case);
    }
}

/// Every shipped set, bit by bit.
#[test]
fn as_python_casacore_reads_them() {
    for (name, expected) in reference().as_object().unwrap() {
        check_set(name, &common::ms(name), expected);
    }
}

/// Sets that cannot be shipped: `MS_EXTRA_SET=X.ms MS_EXTRA_REFERENCE=X.json cargo test -- --ignored`.
#[test]
#[ignore = "needs a set that is not shipped"]
fn an_extra_set() {
    let of = |name: &str| PathBuf::from(std::env::var_os(name).expect(name));
    let json = fs::read_to_string(of("MS_EXTRA_REFERENCE")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    for (name, expected) in json.as_object().unwrap() {
        check_set(name, &of("MS_EXTRA_SET"), expected);
    }
}

/// The same bits whatever the number of threads.
#[test]
fn threads_do_not_matter() {
    let ms = open(&common::ms("small_ws"));
    let selected = ms.select(&Selection::default()).unwrap();
    let read = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| selected.read(0, 4..20).unwrap())
    };
    let (one, stats) = read(1);
    for threads in [2, 4] {
        let (other, others) = read(threads);
        assert_eq!((&one.vis, &one.weight), (&other.vis, &other.weight));
        assert_eq!(stats, others);
    }
}

/// What `cubeclean ms` prints; the numbers of `small` are how it was simulated.
#[test]
fn descriptions() {
    let small = describe(&open(&common::ms("small"))).unwrap();
    assert_eq!((small.telescope.as_str(), small.rows), ("ALMA", 21672));
    assert_eq!(small.antennas, (43, vec![12.0]));
    assert_eq!(small.columns, ["DATA", "CORRECTED_DATA"]);
    assert_eq!((small.fields[0].name.as_str(), small.fields[0].rows), ("disk", 21672));
    let spw = &small.spectral_windows[0];
    assert_eq!((spw.channels, spw.frame.as_str()), (32, "TOPO"));
    assert_eq!(spw.correlations, ["XX", "YY"]);
    // It is imaged with 256 pixels of 0.1 arcsec, a fifth to a third of the beam.
    let suggestion = spw.suggestion.unwrap();
    assert!((0.05..0.2).contains(&suggestion.cell_arcsec), "{suggestion:?}");
    assert!((0.03..0.08).contains(&spw.flagged.unwrap()), "{:?}", spw.flagged);

    for (name, _) in reference().as_object().unwrap() {
        let text = describe(&open(&common::ms(name))).unwrap().to_string();
        println!("{text}");
        assert!(text.contains("--cell"), "{text}");
    }
}

// ---- Selection ---------------------------------------------------------------------------------

fn data(field: &str, spw: &str) -> Selection {
    Selection {
        field: field.into(),
        spw: spw.into(),
        datacolumn: DataColumn::Data,
        stokes: Stokes::I,
    }
}

/// The channels that `spw` selects of each spectral window, as runs.
fn chosen(name: &str, spw: &str) -> Result<Vec<(usize, Vec<usize>)>> {
    let selected = open(&common::ms(name)).select(&data("", spw))?;
    let channels =
        |mask: &[bool]| mask.iter().enumerate().filter(|(_, on)| **on).map(|(c, _)| c).collect();
    Ok(selected.spws().iter().map(|s| (s.id, channels(&s.channels))).collect())
}

#[test]
fn channels_are_selected_as_casa_does() {
    let one = |spw: &str| chosen("small", spw).unwrap().remove(0).1;
    assert_eq!(one("0:5~8"), [5, 6, 7, 8]);
    assert_eq!(one("band6:5"), [5]);
    assert_eq!(one("*:0~2;30~31"), [0, 1, 2, 30, 31]);
    assert_eq!(one("0:1~9^4,0:20"), [1, 5, 9, 20]);
    assert_eq!(one("0:<2"), [0, 1]);
    assert_eq!(one("0:>29"), [30, 31]);
    assert_eq!(one("b*6").len(), 32);
    assert_eq!(one("").len(), 32);

    let ms = open(&common::ms("small"));
    let freq = &ms.spectral_windows()[0].chan_freq_hz;
    let (low, high) = (freq[3] / 1e9 - 1e-6, freq[6] / 1e9 + 1e-6);
    assert_eq!(one(&format!("0:{low}~{high}GHz")), [3, 4, 5, 6]);

    let both = chosen("vla_l_simple", "*").unwrap();
    assert_eq!(both, [(0, vec![0, 1]), (1, vec![0, 1, 2, 3])]);
    assert_eq!(chosen("vla_l_simple", "0:1,1:2~3").unwrap(), [(0, vec![1]), (1, vec![2, 3])]);
    // Spectral windows without rows of their own are passed over where no id names them.
    assert_eq!(chosen("alma_b3_mssel", "ALMA_RB*").unwrap().len(), 2);
}

#[test]
fn unselected_channels_have_no_weight() {
    let ms = open(&common::ms("small"));
    let all = ms.select(&data("", "")).unwrap().read(0, 0..8).unwrap().0;
    let some = ms.select(&data("", "0:2,0:5")).unwrap();
    let (some, stats) = some.read(0, 0..8).unwrap();
    let rows = some.rows.len();
    assert_eq!(stats.samples, 2 * rows as u64);
    for (channel, (a, b)) in all.weight.chunks(rows).zip(some.weight.chunks(rows)).enumerate() {
        let selected = channel == 2 || channel == 5;
        assert!(if selected { a == b } else { b.iter().all(|&w| w == 0.0) }, "channel {channel}");
    }
}

fn fields(name: &str, field: &str) -> Result<Vec<usize>> {
    let spw = if name == "alma_b3_mssel" { "1" } else { "" };
    Ok(open(&common::ms(name)).select(&data(field, spw))?.fields().to_vec())
}

#[test]
fn fields_are_selected_as_casa_does() {
    for field in ["", "1", "J1423-7829", "J1423*", "0~1", ">0", "\"J1423-7829\"", "0, 1"] {
        assert_eq!(fields("alma_b3_mssel", field).unwrap(), [1], "field={field}");
    }
    assert_eq!(fields("alma_b3_2ant", "GAMA?67624").unwrap(), [2]);
}

/// The error that a selection gives, as its user reads it.
fn refusal(name: &str, selection: Selection) -> String {
    match open(&common::ms(name)).select(&selection) {
        Err(error @ Error::Selection { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn empty_selections_name_what_there_is() {
    let says = |message: String, words: &[&str]| {
        for word in words {
            assert!(message.contains(word), "{message}");
        }
    };
    says(refusal("small", data("7", "")), &["field=7", "0 (disk)"]);
    says(refusal("small", data("M31", "")), &["M31", "0 (disk)"]);
    says(refusal("small", data("NGC*", "")), &["NGC*", "0 (disk)"]);
    says(refusal("small", data("3~1", "")), &["field=3~1", "0 (disk)"]);
    says(refusal("small", data(",", "")), &["field=,", "0 (disk)"]);
    says(refusal("small", data("", "3")), &["spw=3", "0 (band6)"]);
    says(refusal("small", data("", "0:5~32")), &["0:5~32", "channels 0~31"]);
    says(refusal("small", data("", "0:9~5")), &["channels 0~31"]);
    says(refusal("small", data("", "0:1~5^0")), &["step"]);
    says(refusal("small", data("", "0:fast")), &["fast", "channels 0~31"]);
    says(refusal("small", data("", "0:1~2GHz")), &["1~2GHz", "230."]);
    // All rows of field 0 are flagged.
    says(refusal("alma_b3_mssel", data("0", "1")), &["spw=1", "field"]);
    says(refusal("alma_b3_2ant", data("0", "")), &["J1337-1257", "GAMA567624"]);
    let circular = Selection { stokes: Stokes::RR, ..data("", "") };
    says(refusal("small", circular), &["stokes=RR", "XX,YY"]);
    // No silent step from one column to the other.
    let corrected = Selection { datacolumn: DataColumn::Corrected, ..data("", "") };
    says(refusal("ngc5921_contsub", corrected), &["CORRECTED_DATA", "datacolumn=data"]);
}

// ---- Faults ------------------------------------------------------------------------------------

/// A copy of a set that may be spoilt.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    fn all(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => all(&entry.path(), &target),
                false => {
                    fs::copy(entry.path(), target).unwrap();
                }
            }
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("copy.ms");
    all(&common::ms(name), &path);
    (dir, path)
}

/// Reads all of a set that imaging reads.
fn read_all(path: &Path) -> Result<()> {
    let ms = Arc::new(MeasurementSet::open(path)?);
    for field in 0..ms.fields().len() {
        ms.phase_center(field)?;
    }
    let selected = ms.select(&data("", ""))?;
    for spw in selected.spws() {
        ms.freq_frame(spw.id)?;
        selected.read(spw.id, spw.hull())?;
    }
    Ok(())
}

fn message(path: &Path) -> String {
    match read_all(path) {
        Err(error) => error.to_string(),
        Ok(()) => panic!("{} was read", path.display()),
    }
}

fn truncate(path: &Path, keep: impl Fn(usize) -> usize) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
}

#[test]
fn wrong_paths() {
    assert!(message(Path::new("/nowhere.ms")).contains("no such directory"));
    let (dir, path) = copy("vla_l_simple");
    assert!(message(dir.path()).contains("not a casacore table"));
    assert!(message(&path.join("table.dat")).contains("this is a file"));
    assert!(message(&path.join("FIELD")).contains("not a MeasurementSet"));
}

#[test]
fn truncated_files() {
    for file in ["table.dat", "FIELD/table.dat", "FIELD/table.f0", "SPECTRAL_WINDOW/table.f0i"] {
        let (_dir, path) = copy("vla_l_simple");
        assert!(read_all(&path).is_ok());
        truncate(&path.join(file), |n| n / 2);
        let message = message(&path);
        assert!(message.contains("copy it again"), "{file}: {message}");
        let name = file.rsplit('/').next().unwrap();
        assert!(message.contains(name), "{file}: {message}");
    }
    let (_dir, path) = copy("vla_l_simple");
    let tiles = fs::read_dir(&path).unwrap().map(|e| e.unwrap().path());
    let mut tiles: Vec<_> = tiles.filter(|p| p.to_string_lossy().contains("_TSM")).collect();
    tiles.sort();
    let mut noticed = 0;
    for tile in tiles {
        let whole = fs::read(&tile).unwrap();
        truncate(&tile, |n| n - 1);
        if let Err(error) = read_all(&path) {
            assert!(error.to_string().contains("has only"), "{error}");
            noticed += 1;
        }
        fs::write(&tile, whole).unwrap();
    }
    // DATA and FLAG of two shapes, UVW and WEIGHT; SIGMA is not read.
    assert_eq!(noticed, 6);
}

#[test]
fn missing_subtable() {
    for name in ["FIELD", "POLARIZATION", "SPECTRAL_WINDOW", "DATA_DESCRIPTION", "ANTENNA"] {
        let (_dir, path) = copy("vla_l_simple");
        fs::remove_dir_all(path.join(name)).unwrap();
        assert!(message(&path).contains(&format!("subtable {name}: missing")));
    }
}

/// Replaces bytes in a file by as many others.
fn replace(path: &Path, from: &str, to: &str) {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(path).unwrap();
    let mut found = false;
    for k in 0..=bytes.len() - from.len() {
        if &bytes[k..k + from.len()] == from.as_bytes() {
            bytes[k..k + to.len()].copy_from_slice(to.as_bytes());
            found = true;
        }
    }
    assert!(found, "{from} in {}", path.display());
    fs::write(path, bytes).unwrap();
}

#[test]
fn missing_column() {
    let (_dir, path) = copy("vla_l_simple");
    replace(&path.join("table.dat"), "UVW", "VWU");
    assert!(message(&path).contains("column UVW: missing"));
}

/// A manager that is not supported matters only if a column it keeps is read.
#[test]
fn unsupported_managers() {
    let (_dir, path) = copy("vla_l_simple");
    let table = path.join("table.dat");
    // StandardStMan of FLAG_ROW, ANTENNA1 and others.
    replace(&table, "StandardStMan", "DyscoStoreMan");
    let message = message(&path);
    assert!(message.contains("DyscoStoreMan") && message.contains("split"), "{message}");
    let (_dir, path) = copy("vla_l_simple");
    // The processor's table is not needed.
    replace(&path.join("PROCESSOR/table.dat"), "StandardStMan", "DyscoStoreMan");
    assert!(read_all(&path).is_ok());
}

/// A table that only refers to another.
#[test]
fn reference_tables() {
    let (_dir, path) = copy("vla_l_simple");
    for (kind, words) in [("RefTable", "full copy"), ("ConcatTable", "multi-MS")] {
        let mut bytes =
            b"\xbe\xbe\xbe\xbe\0\0\0\0\0\0\0\x05Table\0\0\0\x02\0\0\0\x07\0\0\0\0".to_vec();
        bytes.extend((kind.len() as u32).to_be_bytes());
        bytes.extend(kind.bytes());
        let length = (bytes.len() - 4) as u32;
        bytes[4..8].copy_from_slice(&length.to_be_bytes());
        fs::write(path.join("table.dat"), bytes).unwrap();
        let message = message(&path);
        assert!(message.contains(kind) && message.contains(words), "{message}");
    }
}

/// Non-finite visibilities and impossible weights are dropped and counted, and nothing else is.
#[test]
fn bad_values_are_dropped_and_counted() {
    use std::{io::Write, os::unix::fs::FileExt};
    let (_dir, path) = copy("alma_b3_2ant");
    let clean = open(&path).select(&data("", "")).unwrap().read(0, 0..11).unwrap();
    assert_eq!((clean.1.non_finite, clean.1.bad_weight), (0, 0));
    let file = |column: &str| {
        // Found through their sizes: DATA is the only column of complex numbers, WEIGHT and SIGMA
        // have the same tiles, of which WEIGHT's come first.
        let number = if column == "DATA" { 17 } else { 21 };
        path.join(format!("table.f{number}_TSM1"))
    };
    let write = |path: PathBuf, offset: u64, value: f32| {
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&value.to_le_bytes(), offset).unwrap();
        file.flush().unwrap();
    };
    // DATA [2 correlations, 11 channels, rows]: imaginary part of YY of channel 3, row 5.
    write(file("DATA"), 8 * (2 * (11 * 5 + 3) + 1) + 4, f32::NAN);
    // WEIGHT [2, rows]: XX of row 7, and both of row 9.
    write(file("WEIGHT"), 4 * (2 * 7), -1.0);
    write(file("WEIGHT"), 4 * (2 * 9), f32::INFINITY);
    let (block, stats) = open(&path).select(&data("", "")).unwrap().read(0, 0..11).unwrap();
    let spoilt = |channel: usize, row: usize| row == 7 || row == 9 || (channel, row) == (3, 5);
    let mut expected = (0, 0);
    for channel in 0..11 {
        for row in 0..40 {
            let k = channel * 40 + row;
            if spoilt(channel, row) {
                if clean.0.weight[k] > 0.0 {
                    match row {
                        5 => expected.0 += 1,
                        _ => expected.1 += 1,
                    }
                }
                assert_eq!((block.vis[k].norm(), block.weight[k]), (0.0, 0.0));
            } else {
                assert_eq!(block.vis[k], clean.0.vis[k]);
                assert_eq!(block.weight[k], clean.0.weight[k]);
            }
        }
    }
    assert!(expected.0 > 0 && expected.1 > 0);
    assert_eq!((stats.non_finite, stats.bad_weight), expected);
}

/// The files whose content decides what is read and how much memory is taken.
const HEADERS: [&str; 14] = [
    "table.dat",
    "table.lock",
    "table.f1",
    "table.f5",
    "table.f14",
    "table.f17",
    "table.f19",
    "table.f20",
    "FIELD/table.dat",
    "FIELD/table.f0",
    "FIELD/table.f0i",
    "SPECTRAL_WINDOW/table.f0",
    "SPECTRAL_WINDOW/table.f0i",
    "POLARIZATION/table.f0i",
];

/// Number of damaged sets to try; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 0, ..Default::default() })]

    /// Whatever is flipped or cut off, reading ends with values or an error.
    #[test]
    fn damaged_headers_are_no_disaster(
        file in 0..HEADERS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        thread_local!(static SET: (tempfile::TempDir, PathBuf) = copy("vla_l_simple"));
        SET.with(|(_, path)| {
            let file = path.join(HEADERS[file]);
            let whole = fs::read(&file).unwrap();
            let mut spoilt = whole.clone();
            for (at, value) in damage {
                let at = at.index(spoilt.len());
                spoilt[at] = value;
            }
            if let Some(cut) = cut {
                spoilt.truncate(cut.index(whole.len()));
            }
            fs::write(&file, spoilt).unwrap();
            let _ = read_all(path);
            fs::write(&file, whole).unwrap();
        });
    }
}
