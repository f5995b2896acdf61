//! The cube's channel grid from tclean's `nchan`, `start`, `width`, `outframe`, `veltype` and
//! `restfreq`.
//!
//! The rules are those measured on tclean (assets/spectral/README.md), but for a few places where
//! tclean changes silently what was asked for; those are named at [`AxisRequest::channel_grid`].

use std::{fmt, ops::Range};

use super::{ChannelGrid, FreqFrame, VelocityType, frequency_ratio};
use crate::{
    SPEED_OF_LIGHT,
    error::{Error, Result},
    geometry::Direction,
};

/// Channels that may be missing at the end of the band, as a fraction of a channel: widths given in
/// the image's frame differ from the data's by a Doppler factor and by rounding in the text.
const COUNT_TOLERANCE: f64 = 0.01;

/// The channels of one spectral window, and which of them are selected.
#[derive(Clone, Debug, PartialEq)]
pub struct DataChannels {
    /// Spectral window id.
    pub spw: usize,
    /// Frame of the frequencies.
    pub frame: FreqFrame,
    /// Channel centres, Hz, strictly ascending or descending.
    pub freq_hz: Vec<f64>,
    /// Channel width, Hz, positive.
    pub width_hz: f64,
    /// Selected channels: ascending ranges that do not overlap; none of them empty.
    pub selected: Vec<Range<usize>>,
}

impl DataChannels {
    /// Checks the columns CHAN_FREQ and CHAN_WIDTH (its first value; only its size counts, and only
    /// where there is a single channel, since otherwise channels are as wide as they lie apart).
    ///
    /// # Errors
    /// [`Error::Data`] if the frequencies are not finite, positive and strictly monotonic;
    /// [`Error::Parameter`] if the selection is empty or reaches beyond the channels.
    pub fn new(
        spw: usize,
        frame: FreqFrame,
        freq_hz: Vec<f64>,
        chan_width_hz: f64,
        selected: Vec<Range<usize>>,
    ) -> Result<Self> {
        let bad = |what: &str, problem: &str| {
            let what = format!("{what} of spectral window {spw}");
            let remedy = "leave this window out with spw, or correct the table";
            Err(Error::data("SPECTRAL_WINDOW", what, problem, remedy))
        };
        if freq_hz.is_empty() {
            return bad("CHAN_FREQ", "has no channels");
        }
        if freq_hz.iter().any(|f| !f.is_finite() || *f <= 0.0) {
            return bad("CHAN_FREQ", "holds a value that is not a positive frequency");
        }
        let rising = freq_hz.windows(2).all(|pair| pair[0] < pair[1]);
        let falling = freq_hz.windows(2).all(|pair| pair[0] > pair[1]);
        if !rising && !falling {
            return bad("CHAN_FREQ", "neither rises nor falls from channel to channel");
        }
        let n = freq_hz.len();
        let width_hz = match n {
            1 => chan_width_hz.abs(),
            _ => (freq_hz[n - 1] - freq_hz[0]).abs() / (n - 1) as f64,
        };
        if !width_hz.is_finite() || width_hz == 0.0 {
            return bad("CHAN_WIDTH", "is zero or not finite");
        }
        let ordered = selected.windows(2).all(|pair| pair[0].end <= pair[1].start);
        let within = selected.iter().all(|r| r.start < r.end && r.end <= n);
        if selected.is_empty() || !ordered || !within {
            return Err(Error::parameter(
                "spw",
                format!("{spw}:{selected:?}"),
                format!("is not a selection of the window's {n} channels"),
                "give channels that exist, first to last, as in 0:5~50",
            ));
        }
        Ok(Self { spw, frame, freq_hz, width_hz, selected })
    }

    /// Whether the window runs upwards in frequency (as one with a single channel does).
    pub fn rising(&self) -> bool {
        self.freq_hz[0] <= self.freq_hz[self.freq_hz.len() - 1]
    }

    /// Channels from the first selected one to the last.
    pub fn hull(&self) -> Range<usize> {
        self.selected[0].start..self.selected[self.selected.len() - 1].end
    }

    /// Whether a channel is selected.
    pub fn is_selected(&self, channel: usize) -> bool {
        self.selected.iter().any(|range| range.contains(&channel))
    }

    /// Lowest and highest frequency of the selected channels' edges, Hz.
    pub fn band_hz(&self) -> (f64, f64) {
        let hull = self.hull();
        let (a, b) = (self.freq_hz[hull.start], self.freq_hz[hull.end - 1]);
        (a.min(b) - self.width_hz / 2.0, a.max(b) + self.width_hz / 2.0)
    }

    /// Frequency step from channel to channel, Hz, negative where the window runs downwards.
    fn step_hz(&self) -> f64 {
        if self.rising() { self.width_hz } else { -self.width_hz }
    }
}

/// `start` or `width` of the spectral axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum AxisValue {
    /// Not given.
    Default,
    /// A channel number, or a number of channels.
    Channel(i64),
    /// A frequency, Hz.
    Frequency(f64),
    /// A velocity, m/s.
    Velocity(f64),
}

impl fmt::Display for AxisValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("''"),
            Self::Channel(n) => write!(f, "{n}"),
            Self::Frequency(hz) => write!(f, "{}GHz", hz / 1e9),
            Self::Velocity(v) => write!(f, "{}km/s", v / 1e3),
        }
    }
}

/// tclean's parameters of the spectral axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisRequest {
    /// Number of channels; `None`: all that the selection covers.
    pub nchan: Option<usize>,
    /// First channel.
    pub start: AxisValue,
    /// Channel width.
    pub width: AxisValue,
    /// Frame of the axis.
    pub outframe: FreqFrame,
    /// Definition of velocities in `start` and `width`.
    pub veltype: VelocityType,
    /// Rest frequency, Hz; `None`: the data's.
    pub restfreq_hz: Option<f64>,
}

/// What ties the data's frame to the cube's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AxisOrigin {
    /// Time of the first selected row, flagged or not, UTC, MJD seconds: tclean converts the axis
    /// there.
    pub time: f64,
    /// The observatory, ITRF metres.
    pub position_m: [f64; 3],
    /// Phase centre of the image.
    pub direction: Direction,
    /// First REST_FREQUENCY of the SOURCE table for the first selected field and spectral window.
    pub source_restfreq_hz: Option<f64>,
}

impl AxisRequest {
    /// The channel grid for the selected spectral windows (in the order of the selection; channel
    /// numbers are those of the first).
    ///
    /// With w the width and the band from the lowest to the highest edge of the selected channels,
    /// both in `outframe` at [`AxisOrigin::time`]:
    ///
    /// * `start` a channel: with a width of n channels, channel 0 is centred on channels
    ///   start … start+n−1 (start−n+1 for a negative width). A frequency or velocity is the centre
    ///   of channel 0.
    /// * no `start`: from the band's edge (the channels' own order for a width in channels). For a
    ///   width in frequency or velocity channels are laid from the lowest frequency upwards, and
    ///   reversed where the axis runs downwards in frequency. (For a width in optical velocity the
    ///   channels are laid about the middle of the band.)
    /// * no `width`: that of the data, upwards in frequency after a start in frequency, downwards
    ///   after one in velocity, else in the order of the data.
    /// * no `nchan`: as many as fit between the outer edge of channel 0 and the end of the band.
    ///
    /// Other than tclean, a start outside the band stays where it was asked for, and a negative
    /// width in channels without a start begins at the last channel.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming `start`, `width` or `restfreq` where they do not fit each other
    /// or the data; [`Error::Data`] for unusable times.
    pub fn channel_grid(
        &self,
        windows: &[DataChannels],
        origin: &AxisOrigin,
    ) -> Result<ChannelGrid> {
        let band = Band::new(windows, self.outframe, origin)?;
        self.check_kinds()?;
        let restfreq = self.restfreq_hz.or(origin.source_restfreq_hz);
        let (start_hz, width_hz, nchan) = if self.wants_optical_axis() {
            self.optical_axis(&band, self.restfreq(restfreq)?)?
        } else {
            self.linear_axis(&band, restfreq)?
        };
        let grid = ChannelGrid {
            frame: self.outframe,
            start_hz,
            width_hz,
            nchan,
            // Without any information tclean labels velocities from the middle of the selection.
            restfreq_hz: restfreq.unwrap_or(band.middle_hz),
        };
        self.check_grid(&grid, &band)?;
        Ok(grid)
    }

    fn check_kinds(&self) -> Result<()> {
        use std::mem::discriminant;
        let default = |v| v == AxisValue::Default;
        let same = discriminant(&self.start) == discriminant(&self.width);
        if default(self.start) || default(self.width) || same {
            return Ok(());
        }
        Err(Error::parameter(
            "width",
            self.width.to_string(),
            format!("is not of the kind of start={}", self.start),
            "give start and width both as channels, as frequencies, or as velocities",
        ))
    }

    fn restfreq(&self, known: Option<f64>) -> Result<f64> {
        known.filter(|f| f.is_finite() && *f > 0.0).ok_or_else(|| {
            Error::parameter(
                "restfreq",
                "''",
                "a velocity is given, but the data have no rest frequency",
                "give restfreq, as in restfreq=115.271202GHz",
            )
        })
    }

    fn linear_axis(&self, band: &Band, restfreq: Option<f64>) -> Result<(f64, f64, usize)> {
        let width = match self.width {
            AxisValue::Frequency(hz) => hz,
            AxisValue::Velocity(v) => -self.restfreq(restfreq)? * v / SPEED_OF_LIGHT,
            AxisValue::Channel(n) => n as f64 * band.step_hz,
            AxisValue::Default => match self.start {
                AxisValue::Frequency(_) => band.step_hz.abs(),
                AxisValue::Velocity(_) => -band.step_hz.abs(),
                AxisValue::Default | AxisValue::Channel(_) => band.step_hz,
            },
        };
        if !width.is_finite() || width == 0.0 {
            let remedy = "give a width other than zero, or leave it out";
            return Err(Error::parameter(
                "width",
                self.width.to_string(),
                "is not a width",
                remedy,
            ));
        }
        let physical = matches!(self.width, AxisValue::Frequency(_) | AxisValue::Velocity(_));
        if self.start == AxisValue::Default && physical {
            let fitting = (band.high_hz - band.low_hz) / width.abs();
            let nchan = self.count(fitting)?;
            let lowest = band.low_hz + width.abs() / 2.0;
            let highest = lowest + width.abs() * (nchan - 1) as f64;
            return Ok((if width > 0.0 { lowest } else { highest }, width, nchan));
        }
        let start = match self.start {
            AxisValue::Frequency(hz) => hz,
            AxisValue::Velocity(v) => self.veltype.frequency(v, self.restfreq(restfreq)?),
            AxisValue::Default if width > 0.0 => band.low_hz + width / 2.0,
            AxisValue::Default => band.high_hz + width / 2.0,
            AxisValue::Channel(k) => {
                band.channel_hz(k)? + (width - width.signum() * band.step_hz.abs()) / 2.0
            }
        };
        let end = if width > 0.0 { band.high_hz } else { band.low_hz };
        Ok((start, width, self.count((end - (start - width / 2.0)) / width)?))
    }

    fn wants_optical_axis(&self) -> bool {
        self.veltype == VelocityType::Optical && matches!(self.width, AxisValue::Velocity(_))
    }

    /// Channels equidistant in optical velocity are not equidistant in frequency. This program's
    /// cubes are; so the ends of the axis are placed exactly, and the request is refused where a
    /// channel between them would be off by more than a hundredth of its width.
    fn optical_axis(&self, band: &Band, restfreq: f64) -> Result<(f64, f64, usize)> {
        let AxisValue::Velocity(dv) = self.width else { unreachable!("asked for by the caller") };
        let frequency = |v: f64| VelocityType::Optical.frequency(v, restfreq);
        let velocity = |hz: f64| VelocityType::Optical.velocity(hz, restfreq);
        let (slow, fast) = (velocity(band.high_hz), velocity(band.low_hz));
        let (v0, nchan) = match self.start {
            AxisValue::Velocity(v0) => {
                let end = if dv > 0.0 { fast } else { slow };
                (v0, self.count((end - (v0 - dv / 2.0)) / dv)?)
            }
            _ => {
                let nchan = self.count((fast - slow) / dv.abs())?;
                let middle = velocity((band.low_hz + band.high_hz) / 2.0);
                (middle - dv * (nchan - 1) as f64 / 2.0, nchan)
            }
        };
        let at = |i: f64| frequency(v0 + i * dv);
        if nchan == 1 {
            return Ok((at(0.0), at(0.5) - at(-0.5), 1));
        }
        let last = (nchan - 1) as f64;
        let width = (at(last) - at(0.0)) / last;
        let off = (at(last / 2.0) - (at(0.0) + width * last / 2.0)).abs() / width.abs();
        if off > 0.01 {
            return Err(Error::parameter(
                "veltype",
                "optical",
                format!(
                    "{nchan} channels of {} are not equidistant in frequency (the middle one is off by {off:.2} channels)",
                    self.width
                ),
                "give width as a frequency, use veltype=radio, or image fewer channels",
            ));
        }
        Ok((at(0.0), width, nchan))
    }

    /// The number of channels: the one asked for, or those that fit.
    fn count(&self, fitting: f64) -> Result<usize> {
        if let Some(nchan) = self.nchan {
            return Ok(nchan);
        }
        let whole = (fitting + COUNT_TOLERANCE).floor();
        if whole >= 1.0 {
            return Ok(whole as usize);
        }
        Err(Error::parameter(
            "nchan",
            "-1",
            format!(
                "no whole channel fits between start={} and the end of the selected data",
                self.start
            ),
            "give another start or width, or nchan",
        ))
    }

    fn check_grid(&self, grid: &ChannelGrid, band: &Band) -> Result<()> {
        let ghz = |hz: f64| format!("{:.6} GHz", hz / 1e9);
        if grid.width_hz.abs() < band.narrowest_hz * (1.0 - COUNT_TOLERANCE) {
            return Err(Error::parameter(
                "width",
                self.width.to_string(),
                format!(
                    "{:.3} kHz is less than a channel of the data, {:.3} kHz",
                    grid.width_hz.abs() / 1e3,
                    band.narrowest_hz / 1e3
                ),
                "give a larger width, or leave it out",
            ));
        }
        let half = grid.width_hz.abs() / 2.0;
        let (first, last) = (grid.freq_hz(0), grid.freq_hz(grid.nchan.max(1) - 1));
        if first.max(last) + half <= band.low_hz || first.min(last) - half >= band.high_hz {
            return Err(Error::parameter(
                "start",
                self.start.to_string(),
                format!(
                    "channels from {} to {} hold no data: the selection covers {} to {} in {}",
                    ghz(first),
                    ghz(last),
                    ghz(band.low_hz),
                    ghz(band.high_hz),
                    self.outframe
                ),
                "give a start within that range, or leave it out",
            ));
        }
        if !first.is_finite() || !last.is_finite() || first.min(last) <= 0.0 {
            let problem = "the axis leaves the positive frequencies";
            return Err(Error::parameter(
                "nchan",
                grid.nchan.to_string(),
                problem,
                "give a smaller nchan or width",
            ));
        }
        Ok(())
    }
}

/// The selected data channels, in the cube's frame.
struct Band {
    low_hz: f64,
    high_hz: f64,
    /// Step from channel to channel in the order of the first window.
    step_hz: f64,
    narrowest_hz: f64,
    /// Middle of the first window's selection, in the frame of the data.
    middle_hz: f64,
    /// All channels of the first window.
    first_window_hz: Vec<f64>,
}

impl Band {
    fn new(windows: &[DataChannels], outframe: FreqFrame, origin: &AxisOrigin) -> Result<Self> {
        let [first, ..] = windows else {
            let remedy = "give spectral windows that the data have";
            return Err(Error::parameter("spw", "", "selects no spectral window", remedy));
        };
        let ratio = |from| {
            frequency_ratio(from, outframe, origin.time, &origin.position_m, &origin.direction)
        };
        let (mut low_hz, mut high_hz, mut narrowest_hz) = (f64::INFINITY, 0.0f64, f64::INFINITY);
        for window in windows {
            let r = ratio(window.frame)?;
            let (low, high) = window.band_hz();
            low_hz = low_hz.min(low * r);
            high_hz = high_hz.max(high * r);
            narrowest_hz = narrowest_hz.min(window.width_hz * r);
        }
        let r = ratio(first.frame)?;
        let hull = first.hull();
        Ok(Self {
            low_hz,
            high_hz,
            step_hz: narrowest_hz.copysign(first.step_hz()),
            narrowest_hz,
            middle_hz: (first.freq_hz[hull.start] + first.freq_hz[hull.end - 1]) / 2.0,
            first_window_hz: first.freq_hz.iter().map(|f| f * r).collect(),
        })
    }

    fn channel_hz(&self, channel: i64) -> Result<f64> {
        let found = usize::try_from(channel).ok().and_then(|k| self.first_window_hz.get(k));
        found.copied().ok_or_else(|| {
            let last = self.first_window_hz.len() - 1;
            Error::parameter(
                "start",
                channel.to_string(),
                format!("the first selected spectral window has channels 0 to {last}"),
                "give one of them, a frequency, or a velocity",
            )
        })
    }
}

#[cfg(test)]
#[path = "axis_tests.rs"]
mod tests;
