#![allow(clippy::single_range_in_vec_init)] // a selection is a list of ranges, often of one

use serde_json::Value;

use super::*;
use crate::{
    geometry::DirectionFrame,
    spectral::observatory_position,
    units::{Dimension, Quantity, angle, frequency},
};

fn axis_value(given: &Value, key: &str) -> AxisValue {
    match &given[key] {
        Value::Null => AxisValue::Default,
        Value::Number(n) => AxisValue::Channel(n.as_i64().unwrap()),
        Value::String(text) => match text.parse() {
            Ok(channel) => AxisValue::Channel(channel),
            Err(_) => {
                let kinds = [Dimension::Frequency, Dimension::Velocity];
                let quantity = Quantity::parse(key, text, &kinds).unwrap();
                match quantity.dimension() {
                    Dimension::Velocity => AxisValue::Velocity(quantity.value()),
                    _ => AxisValue::Frequency(quantity.value()),
                }
            }
        },
        other => panic!("{other}"),
    }
}

/// "0:5~10;15~20" to ranges.
fn selection(given: &Value, nchan: usize) -> Vec<Range<usize>> {
    let Some((_, channels)) = given["spw"].as_str().and_then(|s| s.split_once(':')) else {
        return std::iter::once(0..nchan).collect();
    };
    channels
        .split(';')
        .map(|range| {
            let (a, b) = range.split_once('~').unwrap();
            a.parse().unwrap()..b.parse::<usize>().unwrap() + 1
        })
        .collect()
}

fn frame(name: &str) -> FreqFrame {
    serde_json::from_value(Value::String(name.into())).unwrap()
}

/// What we make of one of tclean's runs.
fn ours(data: &Value, given: &Value) -> Result<ChannelGrid> {
    let number = |key: &str| data[key].as_f64().unwrap();
    let nchan = data["nchan"].as_u64().unwrap() as usize;
    let step = (number("last_hz") - number("first_hz")) / (nchan - 1) as f64;
    let windows = [DataChannels::new(
        0,
        FreqFrame::from_code(data["frame"].as_i64().unwrap() as i32).unwrap(),
        (0..nchan).map(|i| number("first_hz") + step * i as f64).collect(),
        step.abs(),
        selection(given, nchan),
    )
    .unwrap()];
    let direction = match given["phasecenter"].as_str() {
        Some(text) => Direction::parse("phasecenter", text).unwrap(),
        None => Direction::new(number("ra"), number("dec"), DirectionFrame::J2000),
    };
    let origin = AxisOrigin {
        time: number("time"),
        position_m: observatory_position(data["telescope"].as_str().unwrap()).unwrap(),
        direction,
        source_restfreq_hz: data["source_restfreq"].as_f64(),
    };
    let request = AxisRequest {
        nchan: given["nchan"].as_u64().map(|n| n as usize),
        start: axis_value(given, "start"),
        width: axis_value(given, "width"),
        outframe: given["outframe"].as_str().map_or(FreqFrame::Lsrk, frame),
        veltype: match given["veltype"].as_str() {
            Some("optical") => VelocityType::Optical,
            _ => VelocityType::Radio,
        },
        restfreq_hz: given["restfreq"]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(|text| frequency("restfreq", text).unwrap()),
    };
    request.channel_grid(&windows, &origin)
}

/// Where we do on purpose what tclean does not (see [`AxisRequest::channel_grid`]).
fn deviates(ms: &str, given: &Value) -> bool {
    let start = given["start"].as_str();
    // Beyond the band or its channels: tclean moves the start silently.
    let outside = matches!(start, Some("230.530GHz" | "230.560GHz"))
        || matches!(given["start"].as_i64(), Some(40 | -2));
    // A channel number as a string: tclean takes channel 0 silently.
    let text_number = start == Some("5");
    // A negative width without a start: tclean's cube has channel 0 only.
    let backwards = given["width"] == -1 && given["start"].is_null();
    // With a gap in the selection, tclean sometimes counts to the end of the spectral window.
    let gap = given["spw"].as_str().is_some_and(|s| s.contains(';'))
        && (ms == "alma_b3_mssel.ms" || given["start"] == 8);
    // tclean refuses a width below the data's by any amount, this program by more than 1 %.
    let slightly_narrow = given["width"] == "488kHz";
    outside || text_number || backwards || gap || slightly_narrow
}

/// tclean's own axes for some 170 combinations of parameters (assets/spectral/make_grids.py).
#[test]
fn grids_are_those_of_tclean() {
    let golden: Value =
        serde_json::from_str(include_str!("../../assets/spectral/grids.json")).unwrap();
    let (mut compared, mut worst) = (0, 0.0f64);
    for run in golden["runs"].as_array().unwrap() {
        let (ms, given) = (run["ms"].as_str().unwrap(), &run["given"]);
        if deviates(ms, given) {
            continue;
        }
        let grid = ours(&golden["data"][ms], given);
        if run["error"].is_string() {
            let message = grid.expect_err(&run.to_string()).to_string();
            assert!(message.contains("width=") || message.contains("restfreq="), "{message}");
            continue;
        }
        let grid = grid.unwrap_or_else(|e| panic!("{run}: {e}"));
        assert_eq!(grid.nchan as u64, run["nchan"].as_u64().unwrap(), "{run}");
        assert_eq!(grid.frame, frame(run["frame"].as_str().unwrap()), "{run}");
        let close =
            |ours: f64, key: &str| (ours - run[key].as_f64().unwrap()).abs() / grid.width_hz.abs();
        assert!((grid.restfreq_hz - run["restfreq"].as_f64().unwrap()).abs() < 1e-3, "{run}");
        // 0.2 m/s of the Doppler shift is 3e-4 of the narrowest channel here (635 m/s).
        let optical = given["veltype"] == "optical" && given["width"].is_string();
        let error =
            close(grid.freq_hz(0), "first_hz").max(close(grid.freq_hz(grid.nchan - 1), "last_hz"));
        worst = worst.max(error);
        assert!(error < 3e-4, "{run}: {grid:?} off by {error} channels");
        let middle = close(grid.freq_hz((grid.nchan - 1) / 2), "middle_hz");
        assert!(middle < if optical { 0.011 } else { 3e-4 }, "{run}: middle off by {middle}");
        compared += 1;
    }
    println!("{compared} grids, worst {worst:.1e} channels");
    assert!(compared > 120);
}

fn window() -> DataChannels {
    let freq = (0..32).map(|i| 230.538e9 + 488_281.25 * f64::from(i)).collect();
    DataChannels::new(0, FreqFrame::Topo, freq, 488_281.25, vec![0..32]).unwrap()
}

fn request(start: AxisValue, width: AxisValue, nchan: Option<usize>) -> Result<ChannelGrid> {
    let origin = AxisOrigin {
        time: f64::NAN, // not needed within one frame
        position_m: [0.0; 3],
        direction: Direction::new(0.0, angle("", "1deg").unwrap(), DirectionFrame::Icrs),
        source_restfreq_hz: None,
    };
    let request = AxisRequest {
        nchan,
        start,
        width,
        outframe: FreqFrame::Topo,
        veltype: VelocityType::Radio,
        restfreq_hz: None,
    };
    request.channel_grid(&[window()], &origin)
}

#[test]
fn what_deviates_from_tclean_does_what_was_asked() {
    use AxisValue::{Channel, Default, Frequency};
    // The start stays where it was asked for, with empty channels before the band.
    let early = request(Frequency(230.530e9), Frequency(1e6), Some(15)).unwrap();
    assert_eq!((early.start_hz, early.width_hz, early.nchan), (230.530e9, 1e6, 15));
    // Backwards over all channels.
    let back = request(Default, Channel(-1), None).unwrap();
    assert_eq!((back.width_hz, back.nchan), (-488_281.25, 32));
    assert!((back.start_hz - window().freq_hz[31]).abs() < 1e-3);
    for (start, width, nchan, named) in [
        (Channel(32), Default, None, "start=32"),
        (Channel(-2), Default, Some(5), "start=-2"),
        (Frequency(230.560e9), Default, Some(5), "start=230.56GHz"),
        (Frequency(230.560e9), Default, None, "nchan=-1"),
        (Frequency(230.5e9), Frequency(1e6), Some(3), "start=230.5GHz"),
        (Default, Frequency(0.3e6), None, "width=0.0003GHz"),
        (Default, Channel(0), None, "width=0"),
        (Channel(3), Frequency(1e6), None, "width=0.001GHz"),
        (AxisValue::Velocity(0.0), Default, None, "restfreq="),
    ] {
        let message = request(start, width, nchan).unwrap_err().to_string();
        assert!(message.starts_with(named), "{message}");
    }
}

#[test]
fn bad_spectral_windows_are_errors() {
    let make = |freq: Vec<f64>, width, selected| {
        DataChannels::new(3, FreqFrame::Topo, freq, width, selected).unwrap_err().to_string()
    };
    let whole = |n: usize| vec![0..n];
    for (message, part) in [
        (make(vec![], 1.0, whole(0)), "CHAN_FREQ of spectral window 3"),
        (make(vec![1e9, f64::NAN], 1.0, whole(2)), "positive frequency"),
        (make(vec![1e9, 3e9, 2e9], 1.0, whole(3)), "neither rises nor falls"),
        (make(vec![1e9], 0.0, whole(1)), "CHAN_WIDTH"),
        (make(vec![1e9, 2e9], 1.0, vec![1..3]), "spw=3:[1..3]"),
        (make(vec![1e9, 2e9], 1.0, vec![]), "2 channels"),
    ] {
        assert!(message.contains(part), "{message}");
    }
}
