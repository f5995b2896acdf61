//! How much work a job is: what throughputs are quotients of.

use super::Synthetic;
use crate::backend::Stage;

/// Work of one channel, over all that is measured: PSF, dirty image and the residual of one major
/// cycle (three adjoints), the prediction of that cycle (one forward operator), one minor cycle.
///
/// Bytes are the *memory floor*: the least that device memory must move when every stage reads its
/// input once and writes its output once. With P pixels, C uv columns that hold data, a padded
/// column of V cells and Y image rows, a pass (one term of the w-expansion) moves:
///
/// - `fft`, either direction: 8·C·V for the uv columns, 2·8·C·Y for their transforms, which no chip
///   holds and so are written and read again, and 4·P for the image;
/// - `correct`, adjoint: 12·P (image in, plane in and out); forward: 8·P;
/// - `normalise`, once an adjoint and not once a pass: 8·P.
///
/// On the CPU a row is transformed when `correct` has it at hand, so that its `fft` moves less, and takes
/// less time, than this.
///
/// Visibilities count once for each pass that grids or predicts them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Visibilities.
    Visibilities(u64),
    /// Bytes of the memory floor.
    Bytes(u64),
    /// Hogbom iterations.
    Iterations(u64),
}

const ADJOINTS: u64 = 3;
const FORWARDS: u64 = 1;

impl Work {
    /// Of a stage; `iterations` is the mean of what the minor cycles did.
    pub(super) fn of(stage: Stage, synthetic: &Synthetic, iterations: u64) -> Self {
        let plan = &synthetic.plan;
        let (passes, rows) = (plan.passes.len() as u64, synthetic.job.rows as u64);
        let pixels = plan.image.npix() as u64;
        match stage {
            Stage::Samples => Self::Visibilities(rows),
            Stage::Grid => Self::Visibilities(ADJOINTS * passes * rows),
            Stage::Degrid => Self::Visibilities(FORWARDS * passes * rows),
            Stage::Fft => {
                let columns = plan.grid.columns as u64;
                let along_v = 8 * columns * (plan.grid.nv + 2 * plan.image.ny) as u64;
                Self::Bytes((ADJOINTS + FORWARDS) * passes * (along_v + 4 * pixels))
            }
            Stage::Correct => Self::Bytes((ADJOINTS * 12 + FORWARDS * 8) * passes * pixels),
            Stage::Normalise => Self::Bytes(ADJOINTS * 8 * pixels),
            Stage::Minor => Self::Iterations(iterations),
        }
    }

    /// How much.
    pub fn amount(self) -> u64 {
        match self {
            Self::Visibilities(n) | Self::Bytes(n) | Self::Iterations(n) => n,
        }
    }

    /// Of what.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Visibilities(_) => "visibilities",
            Self::Bytes(_) => "bytes",
            Self::Iterations(_) => "iterations",
        }
    }

    /// An amount of this a second, for people.
    pub fn rate_text(self, per_second: f64) -> String {
        match self {
            Self::Visibilities(_) => format!("{} Mvis/s", three_digits(per_second * 1e-6)),
            Self::Bytes(_) => format!("{} GB/s", three_digits(per_second * 1e-9)),
            Self::Iterations(_) => format!("{per_second:.0} iter/s"),
        }
    }
}

/// Three digits or more, without an exponent.
pub(super) fn three_digits(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bench::Job, gridding::WTermMode};

    #[test]
    fn floors_are_as_documented() {
        let wterm = WTermMode::None;
        let job = Job { pixels: 100, channels: 1, rows: 780, wterm, ..Job::default() };
        let made = Synthetic::new(&job).unwrap();
        let (c, v) = (made.plan.grid.columns as u64, made.plan.grid.nv as u64);
        let of = |stage| Work::of(stage, &made, 7);
        assert_eq!(of(Stage::Grid), Work::Visibilities(3 * 780));
        assert_eq!(of(Stage::Degrid), Work::Visibilities(780));
        assert_eq!(of(Stage::Fft), Work::Bytes(4 * (8 * c * v + 16 * c * 100 + 40_000)));
        assert_eq!(of(Stage::Correct), Work::Bytes(44 * 10_000));
        assert_eq!(of(Stage::Normalise), Work::Bytes(24 * 10_000));
        assert_eq!(of(Stage::Minor), Work::Iterations(7));
    }

    #[test]
    fn rates_are_readable() {
        assert_eq!(Work::Visibilities(1).rate_text(1.234_5e9), "1234 Mvis/s");
        assert_eq!(Work::Bytes(1).rate_text(12.345e9), "12.3 GB/s");
        assert_eq!(Work::Iterations(1).rate_text(123_456.7), "123457 iter/s");
        assert_eq!(three_digits(0.01234), "0.012");
    }
}
