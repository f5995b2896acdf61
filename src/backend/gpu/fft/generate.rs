//! Writes the WGSL of one transform done by one workgroup: a mixed-radix Stockham FFT whose values
//! stay in registers and change threads through workgroup memory.
//!
//! Stage by stage (radix r, Ns the product of the radices before it), butterfly j of the L/r takes
//! elements j + k·L/r, k = 0..r, times `exp(±2πi·(j mod Ns)·k/(Ns·r))`, and its outputs become
//! elements (j − j mod Ns)·r + j mod Ns + k·Ns (Stockham's self-sorting order; Govindaraju et al.
//! 2008, "High performance discrete Fourier transforms on graphics processors").

use std::f64::consts::PI;
use std::fmt::Write;

/// Radices used; the factors of a length beyond them cannot be transformed.
const RADICES: [usize; 6] = [8, 7, 5, 4, 3, 2];

/// Elements that a thread should hold at most: 16 complex values are 32 registers, which leave room
/// for many workgroups on every GPU.
const PER_THREAD: usize = 16;

/// How a value changes threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exchange {
    /// Both parts at once: 8 bytes of workgroup memory an element.
    Whole,
    /// First the real, then the imaginary parts: half the memory, twice the barriers.
    Split,
}

/// The sign of the exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::backend::gpu) enum Sign {
    /// `exp(−2πi·…)`.
    Minus,
    /// `exp(+2πi·…)`.
    Plus,
}

/// What becomes of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::backend::gpu) enum Finish {
    /// `store_output(k, value)` for each k.
    Store,
    /// `store_pair(k, Z[k], Z[(L−k) mod L])` for k = 0..=L/2, as the split of a real transform needs.
    Pairs,
}

/// What a device allows one workgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backend::gpu) struct Workgroup {
    /// Bytes of shared memory.
    pub(in crate::backend::gpu) bytes: usize,
    /// Threads.
    pub(in crate::backend::gpu) threads: usize,
}

impl Workgroup {
    /// The longest transform that one workgroup can do.
    pub(in crate::backend::gpu) fn longest(self) -> usize {
        self.bytes / size_of::<f32>()
    }
}

/// The radices of a length, or `None` if it has other factors.
pub(super) fn radices(length: usize) -> Option<Vec<usize>> {
    let mut rest = length;
    let mut found = Vec::new();
    while rest > 1 {
        let radix = *RADICES.iter().find(|r| rest.is_multiple_of(**r))?;
        found.push(radix);
        rest /= radix;
    }
    if found.is_empty() {
        found.push(1);
    }
    Some(found)
}

/// Text that defines `SIGN`, `THREADS` and `fn transform(t: u32)` for thread t: `load_input(i)` gives the L
/// elements; `twiddle(i)` must be `exp(±2πi·i/L)` with the sign asked for.
pub(in crate::backend::gpu) fn transform(
    length: usize,
    sign: Sign,
    finish: Finish,
    workgroup: Workgroup,
) -> Option<String> {
    let radices = radices(length)?;
    let exchange = if length * 8 <= workgroup.bytes {
        Exchange::Whole
    } else if length * 4 <= workgroup.bytes {
        Exchange::Split
    } else {
        return None;
    };
    let wanted = length.div_ceil(PER_THREAD).next_multiple_of(32);
    let threads = wanted.min(workgroup.threads);
    let writer = Writer { out: String::new(), length, threads, sign, exchange };
    Some(writer.write(&radices, finish))
}

struct Writer {
    out: String,
    length: usize,
    threads: usize,
    sign: Sign,
    exchange: Exchange,
}

macro_rules! emit {
    ($writer:expr, $($arg:tt)*) => {
        // Writing to a String cannot fail.
        let _ = writeln!($writer.out, $($arg)*);
    };
}

impl Writer {
    fn write(mut self, radices: &[usize], finish: Finish) -> String {
        let ty = if self.exchange == Exchange::Whole { "vec2<f32>" } else { "f32" };
        let sign = if self.sign == Sign::Minus { "-1.0" } else { "1.0" };
        emit!(self, "const SIGN: f32 = {sign};");
        emit!(self, "const THREADS: u32 = {}u;", self.threads);
        emit!(self, "var<workgroup> exchange: array<{ty}, {}>;", self.length);
        emit!(self, "fn transform(t: u32) {{");
        self.load(radices[0]);
        let mut before = 1;
        for (stage, &radix) in radices.iter().enumerate() {
            self.butterflies(stage, radix, before);
            match (radices.get(stage + 1), finish) {
                (Some(&next), _) => {
                    self.declare(stage + 1, next);
                    self.exchange(stage, radix, before, |writer, part| {
                        writer.read_stage(stage + 1, next, part);
                    });
                }
                (None, Finish::Store) => self.store(stage, radix, before),
                (None, Finish::Pairs) => {
                    self.declare_pairs();
                    self.exchange(stage, radix, before, Self::read_pairs);
                    self.store_pairs();
                }
            }
            before *= radix;
        }
        emit!(self, "}}");
        self.out
    }

    /// Butterflies of a stage that each thread does.
    fn rounds(&self, radix: usize) -> usize {
        (self.length / radix).div_ceil(self.threads)
    }

    /// Opens the block of butterfly `round`; threads beyond the last butterfly skip it.
    fn open(&mut self, radix: usize, round: usize) {
        let (butterflies, start) = (self.length / radix, round * self.threads);
        emit!(self, "  {{ let j = t + {start}u;");
        if start + self.threads > butterflies {
            emit!(self, "  if j < {butterflies}u {{");
        } else {
            emit!(self, "  {{");
        }
    }

    fn close(&mut self) {
        emit!(self, "  }} }}");
    }

    /// The first stage's elements into registers `x0_{round}_{k}`.
    fn load(&mut self, radix: usize) {
        self.declare(0, radix);
        for round in 0..self.rounds(radix) {
            self.open(radix, round);
            for k in 0..radix {
                let i = k * self.length / radix;
                emit!(self, "  x0_{round}_{k} = load_input(j + {i}u);");
            }
            self.close();
        }
    }

    fn declare(&mut self, stage: usize, radix: usize) {
        for round in 0..self.rounds(radix) {
            for k in 0..radix {
                emit!(self, "  var x{stage}_{round}_{k} = vec2(0.0);");
            }
        }
    }

    /// Twiddles and transforms of length `radix`, registers to registers.
    fn butterflies(&mut self, stage: usize, radix: usize, before: usize) {
        for round in 0..self.rounds(radix) {
            self.open(radix, round);
            if before > 1 {
                let step = self.length / (before * radix);
                emit!(self, "  let m = (j % {before}u) * {step}u;");
                for k in 1..radix {
                    let x = format!("x{stage}_{round}_{k}");
                    emit!(self, "  {x} = cmul({x}, twiddle(m * {k}u));");
                }
            }
            let names: Vec<_> = (0..radix).map(|k| format!("x{stage}_{round}_{k}")).collect();
            self.dft(&names);
            self.close();
        }
    }

    /// A transform of the registers `x` in place, straight-line.
    fn dft(&mut self, x: &[String]) {
        match x.len() {
            1 => {}
            2 => {
                emit!(self, "  {{ let d = {0} - {1}; {0} = {0} + {1}; {1} = d; }}", x[0], x[1]);
            }
            4 => self.dft4(x),
            8 => self.dft8(x),
            _ => self.dft_odd(x),
        }
    }

    /// ±i times a vector, by the sign of the transform.
    fn quarter(&self, v: &str) -> String {
        match self.sign {
            Sign::Minus => format!("vec2({v}.y, -{v}.x)"),
            Sign::Plus => format!("vec2(-{v}.y, {v}.x)"),
        }
    }

    fn dft4(&mut self, x: &[String]) {
        let turned = self.quarter("d1");
        emit!(self, "  {{ let s0 = {0} + {1}; let d0 = {0} - {1};", x[0], x[2]);
        emit!(self, "  let s1 = {0} + {1}; let d1 = {0} - {1};", x[1], x[3]);
        emit!(self, "  let q = {turned};");
        emit!(self, "  {} = s0 + s1; {} = d0 + q;", x[0], x[1]);
        emit!(self, "  {} = s0 - s1; {} = d0 - q; }}", x[2], x[3]);
    }

    /// Two transforms of four, of the even and of the odd elements, and the joining twiddles.
    fn dft8(&mut self, x: &[String]) {
        let half = |first: usize| (0..4).map(|k| x[2 * k + first].clone()).collect::<Vec<_>>();
        let (even, odd) = (half(0), half(1));
        self.dft4(&even);
        self.dft4(&odd);
        let h = std::f64::consts::FRAC_1_SQRT_2;
        // An eighth of a turn of v, and of w a quarter more.
        let eighth = |v: &str| match self.sign {
            Sign::Minus => format!("{h:.17} * vec2({v}.x + {v}.y, {v}.y - {v}.x)"),
            Sign::Plus => format!("{h:.17} * vec2({v}.x - {v}.y, {v}.y + {v}.x)"),
        };
        let turned = [eighth("v1"), self.quarter("v2"), eighth("v3"), self.quarter("w")];
        for (k, value) in even.iter().enumerate() {
            emit!(self, "  {} let e{k} = {value};", if k == 0 { "{" } else { "" });
        }
        emit!(self, "  let o0 = {}; let v1 = {}; let o1 = {};", odd[0], odd[1], turned[0]);
        emit!(self, "  let v2 = {}; let o2 = {};", odd[2], turned[1]);
        emit!(self, "  let v3 = {}; let w = {}; let o3 = {};", odd[3], turned[2], turned[3]);
        for k in 0..4 {
            emit!(self, "  {} = e{k} + o{k}; {} = e{k} - o{k};", x[k], x[k + 4]);
        }
        emit!(self, "  }}");
    }

    /// Any odd length, from sums and differences of elements k and r − k.
    fn dft_odd(&mut self, x: &[String]) {
        let (r, half) = (x.len(), x.len() / 2);
        emit!(self, "  {{ let z = {};", x[0]);
        for k in 1..=half {
            emit!(self, "  let s{k} = {0} + {1}; let d{k} = {0} - {1};", x[k], x[r - k]);
        }
        let sum: String = (1..=half).map(|k| format!(" + s{k}")).collect();
        emit!(self, "  {} = z{sum};", x[0]);
        for m in 1..=half {
            let angle = |k: usize| 2.0 * PI * ((m * k) % r) as f64 / r as f64;
            let terms = |prefix: &str, f: fn(f64) -> f64| -> String {
                let term = |k: usize| format!(" + ({:.17}) * {prefix}{k}", f(angle(k)));
                (1..=half).map(term).collect()
            };
            let (a, b) = (terms("s", f64::cos), terms("d", f64::sin));
            let turned = self.quarter("b");
            emit!(self, "  {{ let a = z{a}; let b = vec2(0.0){b}; let q = {turned};");
            emit!(self, "  {} = a + q; {} = a - q; }}", x[m], x[r - m]);
        }
        emit!(self, "  }}");
    }

    /// Results of the last stage to `store_output`.
    fn store(&mut self, stage: usize, radix: usize, before: usize) {
        for round in 0..self.rounds(radix) {
            self.open(radix, round);
            for k in 0..radix {
                emit!(self, "  store_output(j + {}u, x{stage}_{round}_{k});", k * before);
            }
            self.close();
        }
    }

    /// Results of a stage through workgroup memory to the threads that go on with them: `read` takes
    /// each part (all of a value, or `.x` and then `.y`) to its registers.
    fn exchange(
        &mut self,
        stage: usize,
        radix: usize,
        before: usize,
        read: impl Fn(&mut Self, &str),
    ) {
        let parts: &[&str] = if self.exchange == Exchange::Whole { &[""] } else { &[".x", ".y"] };
        for (n, part) in parts.iter().enumerate() {
            // What was there has to be read by all before it is overwritten.
            if stage > 0 || n > 0 {
                emit!(self, "  workgroupBarrier();");
            }
            for round in 0..self.rounds(radix) {
                self.open(radix, round);
                emit!(self, "  let i = (j / {before}u) * {}u + j % {before}u;", before * radix);
                for k in 0..radix {
                    let i = k * before;
                    emit!(self, "  exchange[i + {i}u] = x{stage}_{round}_{k}{part};");
                }
                self.close();
            }
            emit!(self, "  workgroupBarrier();");
            read(self, part);
        }
    }

    /// A part of the elements of a stage's butterflies into its registers.
    fn read_stage(&mut self, stage: usize, radix: usize, part: &str) {
        for round in 0..self.rounds(radix) {
            self.open(radix, round);
            for k in 0..radix {
                let i = k * self.length / radix;
                emit!(self, "  x{stage}_{round}_{k}{part} = exchange[j + {i}u];");
            }
            self.close();
        }
    }

    /// Pairs (k, L − k) that each thread finishes; k = 0..=L/2.
    fn pair_rounds(&self) -> usize {
        (self.length / 2 + 1).div_ceil(self.threads)
    }

    fn open_pair(&mut self, round: usize) {
        let start = round * self.threads;
        emit!(self, "  {{ let k = t + {start}u; if k <= {}u {{", self.length / 2);
    }

    fn declare_pairs(&mut self) {
        for round in 0..self.pair_rounds() {
            emit!(self, "  var a{round} = vec2(0.0); var b{round} = vec2(0.0);");
        }
    }

    fn read_pairs(&mut self, part: &str) {
        let length = self.length;
        for round in 0..self.pair_rounds() {
            self.open_pair(round);
            emit!(self, "  a{round}{part} = exchange[k];");
            emit!(self, "  b{round}{part} = exchange[({length}u - k) % {length}u];");
            self.close();
        }
    }

    fn store_pairs(&mut self) {
        for round in 0..self.pair_rounds() {
            self.open_pair(round);
            emit!(self, "  store_pair(k, a{round}, b{round});");
            self.close();
        }
    }
}
