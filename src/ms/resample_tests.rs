#![allow(clippy::single_range_in_vec_init)] // a selection is a list of ranges, often of one

use super::*;
use crate::{
    ms::Slot,
    spectral::{ChannelGrid, Interpolation},
};

const START: f64 = 1.4e9;
const STEP: f64 = 1e6;

fn window(spw: usize) -> DataChannels {
    let freq = (0..6).map(|i| START + STEP * f64::from(i)).collect();
    DataChannels::new(spw, FreqFrame::Topo, freq, STEP, vec![0..6]).unwrap()
}

/// Two rows of window 0 at different times, one of window 7, one of window 0 again.
fn rows() -> Rows {
    let slot = |time, spw| Slot { time, spw, field: 0 };
    Rows {
        uvw_m: vec![[10.0, 20.0, 5.0]; 4],
        shift_m: vec![0.0, 3.5, -1e6, 12.25],
        slot: vec![0, 1, 2, 0],
        slots: vec![slot(0.0, 0), slot(1.0, 0), slot(0.0, 7)],
    }
}

/// Data channels 1 to 4 of rows; the visibility is (10·channel, row), the weight 1 + channel.
fn raw(spw: usize, rows: &[u32]) -> RawBlock {
    let samples = (1..5).flat_map(|c| rows.iter().map(move |&row| (c, row)));
    let (vis, weight) = samples
        .map(|(c, row)| (Complex32::new(10.0 * c as f32, row as f32), 1.0 + c as f32))
        .unzip();
    RawBlock { spw, channels: 1..5, rows: rows.to_vec(), vis, weight }
}

fn sampling(start: f64, interpolation: Interpolation, slots: &[SlotFrame]) -> Sampling {
    let grid = ChannelGrid {
        frame: FreqFrame::Topo,
        start_hz: START + start * STEP,
        width_hz: STEP,
        nchan: 3,
        restfreq_hz: START,
    };
    Sampling::new(grid, interpolation, vec![window(0), window(7)], slots).unwrap()
}

fn slots() -> Vec<SlotFrame> {
    [0, 0, 7].map(|spw| SlotFrame { spw, to_image: 1.0 }).to_vec()
}

/// Interpolation, weights and the phase shift at the observed frequency, written out by hand.
#[test]
fn linear_samples_are_interpolated_and_moved() {
    let rows = Arc::new(rows());
    let mut first = raw(0, &[0, 1, 3]);
    first.weight[2 * 3 + 1] = 0.0; // channel 3 of row 1
    let raws = [first, raw(7, &[2])];
    let sampling = sampling(1.25, Interpolation::Linear, &slots());
    let block = resample(&sampling, &rows, &raws, 0..3);
    assert_eq!(block.channels, 0..3);
    assert_eq!(block.layers.len(), 3);
    for (c, layer) in block.layers.iter().enumerate() {
        assert_eq!(layer.channel, c);
        let at = c as f32 + 1.25;
        let nu = START + f64::from(at) * STEP;
        assert!(layer.freq_hz.iter().all(|f| (f - nu).abs() < 1e-3));
        for row in 0..4 {
            // Row 1 has no channel 3: image channels 1 (from 2 and 3) and 2 (from 3 and 4) lack it.
            if row == 1 && c > 0 {
                assert_eq!((layer.vis[row], layer.weight[row]), (Complex32::default(), 0.0));
                continue;
            }
            let turns = (rows.shift_m[row] * nu / SPEED_OF_LIGHT).rem_euclid(1.0);
            let expected = Complex64::new(10.0 * f64::from(at), row as f64)
                * Complex64::cis(-std::f64::consts::TAU * turns);
            let got = Complex64::new(layer.vis[row].re.into(), layer.vis[row].im.into());
            assert!((got - expected).norm() < 1e-5, "{got} {expected}");
            assert!((layer.weight[row] - (1.0 + at)).abs() < 1e-6);
        }
    }
}

#[test]
fn nearest_samples_are_the_data_and_no_shift_leaves_them_alone() {
    let rows = Arc::new(Rows { shift_m: vec![], ..rows() });
    let raws = [raw(0, &[0, 1, 3]), raw(7, &[2])];
    let sampling = sampling(2.0, Interpolation::Nearest, &slots());
    let block = resample(&sampling, &rows, &raws, 1..2);
    assert_eq!(block.layers.len(), 1);
    let layer = &block.layers[0];
    let vis: Vec<Complex32> = (0..4).map(|row| Complex32::new(30.0, row as f32)).collect();
    assert_eq!((layer.channel, &layer.vis, &layer.weight), (1, &vis, &vec![4.0; 4]));
}

/// Same bits for any number of threads and for any batch of channels.
#[test]
fn threads_and_batches_do_not_matter() {
    let rows = Arc::new(rows());
    let raws = [raw(0, &[0, 1, 3]), raw(7, &[2])];
    let sampling = sampling(1.25, Interpolation::Linear, &slots());
    let run = |threads, batches: &[Range<usize>]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let blocks = batches.iter().map(|b| resample(&sampling, &rows, &raws, b.clone()));
            let layers: Vec<Layer> = blocks.flat_map(|block| block.layers).collect();
            format!("{layers:?}")
        })
    };
    let whole = run(1, std::slice::from_ref(&(0..3)));
    assert_eq!(whole, run(4, std::slice::from_ref(&(0..3))));
    assert_eq!(whole, run(2, &[0..1, 1..2, 2..3]));
}

/// Doppler shifts are taken at each slot's time and towards its field.
#[test]
fn slot_frames_follow_time_and_field() {
    use crate::geometry::DirectionFrame;
    let day = 86_400.0;
    let mut rows = rows();
    rows.slots = vec![
        Slot { time: 59_000.0 * day, spw: 0, field: 0 },
        Slot { time: 59_100.0 * day, spw: 0, field: 0 },
        Slot { time: 59_000.0 * day, spw: 0, field: 1 },
    ];
    let fields = [1.0, 1.1].map(|ra| Direction::new(ra, 0.1, DirectionFrame::J2000));
    let position = [2_225_142.2, -5_440_307.4, -2_481_029.9];
    let frames = slot_frames(&rows, &[window(0)], &fields, FreqFrame::Bary, &position).unwrap();
    for (slot, frame) in rows.slots.iter().zip(&frames) {
        let expected = frequency_ratio(
            FreqFrame::Topo,
            FreqFrame::Bary,
            slot.time,
            &position,
            &fields[slot.field],
        );
        assert_eq!(frame.to_image, expected.unwrap());
    }
    assert!(frames[0].to_image != frames[1].to_image && frames[0].to_image != frames[2].to_image);
    let same = slot_frames(&rows, &[window(0)], &fields, FreqFrame::Topo, &position).unwrap();
    assert!(same.iter().all(|frame| frame.to_image == 1.0));
}
