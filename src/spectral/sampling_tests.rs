#![allow(clippy::single_range_in_vec_init)] // a selection is a list of ranges, often of one

use super::*;
use crate::spectral::FreqFrame;

const START: f64 = 230.538e9;
const WIDTH: f64 = 488_281.25;

fn window(spw: usize, n: usize, step: f64, selected: Vec<Range<usize>>) -> DataChannels {
    let freq = (0..n).map(|i| START + step * i as f64).collect();
    DataChannels::new(spw, FreqFrame::Topo, freq, step, selected).unwrap()
}

fn grid(start_hz: f64, width_hz: f64, nchan: usize) -> ChannelGrid {
    ChannelGrid { frame: FreqFrame::Lsrk, start_hz, width_hz, nchan, restfreq_hz: START }
}

/// Slots of window 0 whose Doppler factors drift as over a night, about a tenth of a channel each.
fn drifting(n: usize) -> Vec<SlotFrame> {
    (0..n).map(|i| SlotFrame { spw: 0, to_image: 1.0 - 9.5e-6 + 2e-7 * i as f64 }).collect()
}

fn same_frame() -> Vec<SlotFrame> {
    vec![SlotFrame { spw: 0, to_image: 1.0 }]
}

/// Grids that run up and down, finer and coarser, on and off the data's channels, within the band
/// and beyond its ends.
fn grids() -> Vec<ChannelGrid> {
    let mut grids = Vec::new();
    for width in [1.0, -1.0, 2.0, 2.6, -3.0, 1.002] {
        for start in [0.0, 0.3, 12.5, 26.0, -4.0] {
            let channel = if width > 0.0 { start } else { 31.0 - start };
            grids.push(grid(START + channel * WIDTH, width * WIDTH, 20));
        }
    }
    grids
}

fn windows() -> [DataChannels; 3] {
    let whole = || std::iter::once(0..32).collect();
    [
        window(0, 32, WIDTH, whole()),
        window(0, 32, WIDTH, vec![3..10, 12..30]),
        // Downwards over the same band.
        DataChannels {
            freq_hz: (0..32).rev().map(|i| START + WIDTH * f64::from(i)).collect(),
            ..window(0, 32, WIDTH, whole())
        },
    ]
}

/// Against a plain loop over all data channels.
#[test]
fn nearest_puts_every_data_channel_into_the_image_channel_around_it() {
    for grid in grids() {
        for window in windows() {
            let slots = drifting(7);
            let Ok(sampling) =
                Sampling::new(grid.clone(), Interpolation::Nearest, vec![window.clone()], &slots)
            else {
                panic!("{grid:?} overlaps the band");
            };
            for c in 0..grid.nchan {
                let layers = sampling.layers(c);
                for (s, slot) in slots.iter().enumerate() {
                    let expected: Vec<usize> = (0..window.freq_hz.len())
                        .filter(|&d| window.is_selected(d))
                        .filter(|&d| {
                            let away = window.freq_hz[d] * slot.to_image - grid.freq_hz(c);
                            // Half-open: [-½, ½) of a channel in the axis's own direction.
                            let away = away / grid.width_hz;
                            (-0.5..0.5).contains(&away)
                        })
                        .collect();
                    let taps: Vec<Tap> = layers.iter().filter_map(|layer| layer[s]).collect();
                    let found: Vec<usize> = taps.iter().map(|tap| tap.first).collect();
                    assert_eq!(found, expected, "{grid:?} channel {c}");
                    assert!(
                        taps.iter()
                            .all(|t| t.second.is_none() && t.freq_hz == window.freq_hz[t.first])
                    );
                }
            }
        }
    }
}

/// Interpolating the channels' own frequencies must give the frequency asked for, exactly where
/// two selected neighbours are around it, once per N-th of the image channel.
#[test]
fn linear_gives_the_frequency_asked_for() {
    for grid in grids() {
        for window in windows() {
            for slots in [drifting(7), same_frame()] {
                let sampling = Sampling::new(
                    grid.clone(),
                    Interpolation::Linear,
                    vec![window.clone()],
                    &slots,
                )
                .unwrap();
                for c in 0..grid.nchan {
                    let layers = sampling.layers(c);
                    let n = (grid.width_hz.abs() / WIDTH).round().max(1.0);
                    assert_eq!(layers.len(), n as usize);
                    for (j, layer) in layers.iter().enumerate() {
                        for (tap, slot) in layer.iter().zip(&slots) {
                            let part = (j as f64 + 0.5) / n - 0.5;
                            let wanted = (grid.freq_hz(c) + part * grid.width_hz) / slot.to_image;
                            check_linear(&window, *tap, wanted, slot.to_image == 1.0);
                        }
                    }
                }
            }
        }
    }
}

fn check_linear(window: &DataChannels, tap: Option<Tap>, wanted: f64, same_frame: bool) {
    let index = (wanted - window.freq_hz[0]) / (window.freq_hz[1] - window.freq_hz[0]);
    let on_channel = (index - index.round()).abs() < 1e-6;
    let needs: Vec<f64> = if on_channel && same_frame {
        vec![index.round()]
    } else if on_channel {
        vec![index.round(), index.round() + 1.0]
    } else {
        vec![index.floor(), index.ceil()]
    };
    let at_the_start = on_channel && !same_frame && index.round() == 0.0;
    let available =
        !at_the_start && needs.iter().all(|&d| d >= 0.0 && window.is_selected(d as usize));
    let Some(tap) = tap else {
        assert!(!available, "{index}: a sample is missing");
        return;
    };
    assert!(available, "{index}: not both neighbours are there");
    let (second, f) = tap.second.unwrap_or((tap.first, 0.0));
    assert!((0.0..=1.0).contains(&f));
    let value = window.freq_hz[tap.first] * (1.0 - f) + window.freq_hz[second] * f;
    assert!((value - wanted).abs() < 2e-6 * WIDTH && (tap.freq_hz - wanted).abs() < 2e-6 * WIDTH);
}

#[test]
fn needed_covers_what_layers_use_and_little_more() {
    for interpolation in [Interpolation::Nearest, Interpolation::Linear] {
        for grid in grids() {
            for window in windows() {
                let slots = drifting(7);
                let sampling =
                    Sampling::new(grid.clone(), interpolation, vec![window.clone()], &slots)
                        .unwrap();
                let (low, high) = sampling.observed_range_hz();
                for channels in [0..20, 3..4, 18..20] {
                    let needed = sampling.needed(channels.clone());
                    let used: Vec<Tap> = channels
                        .clone()
                        .flat_map(|c| sampling.layers(c))
                        .flatten()
                        .flatten()
                        .collect();
                    for tap in &used {
                        assert!(low <= tap.freq_hz && tap.freq_hz <= high);
                        for d in std::iter::once(tap.first).chain(tap.second.map(|s| s.0)) {
                            assert!(needed[0].1.contains(&d), "{d} not in {needed:?}");
                        }
                    }
                    let wide = channels.len() as f64 * (grid.width_hz / WIDTH).abs();
                    let read: usize = needed.iter().map(|(_, r)| r.len()).sum();
                    assert!((read as f64) < wide + 5.0, "{read} for {wide}");
                }
            }
        }
    }
}

/// Windows of different channel widths fill an image channel side by side.
#[test]
fn two_windows_share_layers() {
    let mut fine = window(4, 64, WIDTH / 2.0, vec![0..64]);
    fine.freq_hz.iter_mut().for_each(|f| *f += 0.1 * WIDTH);
    let coarse = window(2, 32, WIDTH, vec![0..32]);
    let slots = [SlotFrame { spw: 2, to_image: 1.0 }, SlotFrame { spw: 4, to_image: 1.0 }];
    for interpolation in [Interpolation::Nearest, Interpolation::Linear] {
        let sampling = Sampling::new(
            grid(START + WIDTH, WIDTH, 5),
            interpolation,
            vec![coarse.clone(), fine.clone()],
            &slots,
        )
        .unwrap();
        let layers = sampling.layers(2);
        assert_eq!(layers.len(), 2, "the finer window has two samples to a channel");
        assert!(layers[0][0].is_some() && layers[1][0].is_none());
        assert!(layers[0][1].is_some() && layers[1][1].is_some());
        assert_eq!(sampling.needed(0..5).len(), 2);
    }
}

#[test]
fn what_cannot_be_sampled_is_an_error() {
    let single = DataChannels::new(1, FreqFrame::Topo, vec![START], WIDTH, vec![0..1]).unwrap();
    let slots = [SlotFrame { spw: 1, to_image: 1.0 }];
    let new = |grid, interpolation, slots: &[SlotFrame]| {
        Sampling::new(grid, interpolation, vec![single.clone()], slots).map_err(|e| e.to_string())
    };
    let message = new(grid(START, WIDTH, 1), Interpolation::Linear, &slots).unwrap_err();
    assert!(message.contains("interpolation=nearest"), "{message}");
    assert!(new(grid(START, WIDTH, 1), Interpolation::Nearest, &slots).is_ok());
    let message = new(grid(2.0 * START, WIDTH, 1), Interpolation::Nearest, &slots).unwrap_err();
    assert!(message.contains("no channel of the cube gets any data"), "{message}");
    let message = new(grid(START, WIDTH, 1), Interpolation::Nearest, &same_frame()).unwrap_err();
    assert!(message.starts_with("spw=0"), "{message}");
}
