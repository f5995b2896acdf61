//! The loop over synthetic channels whose major cycle subtracts the PSF at every component.

use std::sync::Arc;

use super::*;
use crate::{
    backend::cpu::CpuBackend,
    geometry::{Direction, DirectionFrame},
    mask::FixedMask,
};

pub(super) const N: usize = 64;

pub(super) fn grid() -> ImageGrid {
    let phase_center = Direction::new(0.0, 0.0, DirectionFrame::Icrs);
    ImageGrid { nx: N, ny: N, cell_x: 1e-6, cell_y: 1e-6, phase_center }
}

/// A Gaussian main lobe and a ring of sidelobes of 8 %.
fn psf() -> Vec<f32> {
    (0..N * N)
        .map(|i| {
            let (x, y) = ((i % N) as f32 - (N / 2) as f32, (i / N) as f32 - (N / 2) as f32);
            let r2 = x * x + y * y;
            (-r2 / 8.0).exp() + 0.08 * (-(r2.sqrt() - 14.0).powi(2) / 8.0).exp()
        })
        .collect()
}

/// Subtracts components from a plane.
fn subtract(plane: &mut [f32], psf: &[f32], model: &[f32]) {
    for (i, &flux) in model.iter().enumerate().filter(|(_, f)| **f != 0.0) {
        for y in 0..N {
            for x in 0..N {
                let (px, py) = ((x + N / 2).wrapping_sub(i % N), (y + N / 2).wrapping_sub(i / N));
                if px < N && py < N {
                    plane[y * N + x] -= flux * psf[py * N + px];
                }
            }
        }
    }
}

pub(super) struct Synthetic<B: Minor = CpuBackend> {
    backend: B,
    sumwt: Vec<f64>,
    dirty: Vec<Vec<f32>>,
    psf: B::Planes,
    residual: B::Planes,
    model: B::Planes,
    majors: Vec<usize>,
    /// What the major cycle sees of a component in a pixel (y·N + x), relative to its flux: where this
    /// is above 2 or so, what the minor cycle does makes it worse.
    pub response: fn(usize) -> f32,
}

impl Synthetic {
    pub fn new(channels: &[&[(usize, usize, f32)]]) -> Self {
        Self::on(CpuBackend, channels)
    }
}

impl<B: Minor> Synthetic<B> {
    /// Channels with point sources (x, y, Jy); one without any has no data.
    pub fn on(backend: B, channels: &[&[(usize, usize, f32)]]) -> Self {
        let n = channels.len();
        let zeros = || backend.zeros(n, N, N).unwrap();
        let (psfs, residual, model) = (zeros(), zeros(), zeros());
        let mut this = Self {
            backend,
            sumwt: channels.iter().map(|c| if c.is_empty() { 0.0 } else { 1.0 }).collect(),
            dirty: Vec::new(),
            psf: psfs,
            residual,
            model,
            majors: vec![0; n],
            response: |_| 1.0,
        };
        for (i, sources) in channels.iter().enumerate() {
            let mut dirty = vec![0.0; N * N];
            for &(x, y, flux) in *sources {
                let mut sky = vec![0.0; N * N];
                sky[y * N + x] = -flux;
                subtract(&mut dirty, &psf(), &sky);
            }
            if !sources.is_empty() {
                this.set_psf(i, &psf());
            }
            this.dirty.push(dirty.clone());
            this.set_dirty(i, &dirty);
        }
        this
    }

    pub fn fit(&self, channel: usize, params: &CleanParams) -> PsfFit {
        match self.sumwt[channel] > 0.0 {
            true => PsfFit::new(&self.psf(channel), &grid(), params.psfcutoff),
            false => PsfFit::without_data(),
        }
    }

    pub fn set_dirty(&mut self, channel: usize, values: &[f32]) {
        self.dirty[channel] = values.to_vec();
        self.backend.put(&mut self.residual, channel, values).unwrap();
    }

    pub fn set_psf(&mut self, channel: usize, values: &[f32]) {
        self.backend.put(&mut self.psf, channel, values).unwrap();
    }

    pub fn psf(&self, channel: usize) -> Vec<f32> {
        self.backend.get(&self.psf, channel).unwrap()
    }

    pub fn residual(&self, channel: usize) -> Vec<f32> {
        self.backend.get(&self.residual, channel).unwrap()
    }

    pub fn model(&self, channel: usize) -> Vec<f32> {
        self.backend.get(&self.model, channel).unwrap()
    }

    pub fn clean(&mut self, params: &CleanParams, policy: &dyn MaskPolicy) -> Vec<ChannelClean> {
        let n = self.dirty.len();
        let valid = vec![Mask::new(N, N, true); n];
        let psfs: Vec<PsfFit> = (0..n).map(|i| self.fit(i, params)).collect();
        clean(self, &grid(), 0..n, params, policy, &psfs, &valid).unwrap()
    }
}

impl<B: Minor> Cycles for Synthetic<B> {
    fn sumwt(&self) -> &[f64] {
        &self.sumwt
    }

    fn residual_view(&self, channel: usize) -> Result<Cow<'_, [f32]>> {
        self.backend.view(&self.residual, channel)
    }

    fn peak(&self, channels: &[(usize, &Mask)]) -> Result<Vec<Option<Peak>>> {
        self.backend.peak(&self.residual, channels)
    }

    fn minor_cycle(
        &mut self,
        _: &Deconvolver,
        controls: &[MinorControl<'_>],
    ) -> Result<Vec<MinorResult>> {
        self.backend.hogbom(&mut self.residual, &self.psf, &mut self.model, controls)
    }

    fn make_residual(&mut self, channels: &[usize]) -> Result<()> {
        for &i in channels {
            self.majors[i] += 1;
            let mut plane = self.dirty[i].clone();
            let model = self.model(i).into_iter().enumerate();
            let seen: Vec<f32> = model
                .map(|(pixel, f)| if f == 0.0 { 0.0 } else { f * (self.response)(pixel) })
                .collect();
            match seen.iter().all(|v| v.is_finite()) {
                true => subtract(&mut plane, &psf(), &seen),
                // A Fourier transform leaves no pixel without it.
                false => plane.fill(f32::NAN),
            }
            self.backend.put(&mut self.residual, i, &plane)?;
        }
        Ok(())
    }

    fn starting_model(&self, channel: usize) -> Result<Option<Vec<f32>>> {
        self.backend.get(&self.model, channel).map(Some)
    }

    fn set_model(&mut self, channel: usize, values: &[f32]) -> Result<()> {
        self.backend.put(&mut self.model, channel, values)
    }
}

pub(super) const BRIGHT: &[(usize, usize, f32)] = &[(30, 33, 1.0), (40, 20, 0.3)];
pub(super) const FAINT: &[(usize, usize, f32)] = &[(20, 40, 0.2), (45, 45, 0.15)];

pub(super) fn params() -> CleanParams {
    CleanParams { niter: 1000, threshold: 0.004, ..CleanParams::default() }
}

pub(super) fn everywhere() -> FixedMask {
    FixedMask::everywhere(N, N)
}

#[test]
fn cleans_to_the_threshold() {
    let mut batch = Synthetic::new(&[BRIGHT]);
    let result = batch.clean(&params(), &everywhere()).remove(0);
    assert_eq!(result.stop, StopCode::Threshold);
    let peak = batch.residual(0).iter().fold(0.0f32, |a, v| a.max(v.abs()));
    assert!(peak < 0.004 * 1.01, "{peak}");
    let last = result.minor.last().unwrap();
    assert!((last.model_flux - 1.3).abs() < 0.05);
    assert_eq!(last.peak_res_nm, peak);
    assert_eq!(result.iterations, result.minor.iter().map(|m| m.iter_done).sum::<usize>());
    assert_eq!(result.majors, result.minor.len());
    assert_eq!(batch.majors, [result.majors]);
    // Sidelobes of 8 % set the levels of the cycles.
    assert!((result.sidelobe_level - 0.08).abs() < 0.01);
    for m in &result.minor {
        let level = (result.sidelobe_level as f32 * m.start_peak_res).max(0.004);
        assert_eq!(m.cycle_thresh, level);
        assert!(m.peak_res <= level);
        assert_eq!(m.stop, Some(MinorStop::CycleThreshold));
    }
}

#[test]
fn a_channel_alone_is_cleaned_as_among_others() {
    let all = Synthetic::new(&[BRIGHT, &[], FAINT]).clean(&params(), &everywhere());
    for (i, sources) in [BRIGHT, &[], FAINT].iter().enumerate() {
        let one = Synthetic::new(&[sources]).clean(&params(), &everywhere()).remove(0);
        assert_eq!(one.minor, all[i].minor);
        assert_eq!((one.stop, one.majors), (all[i].stop, all[i].majors));
    }
}

#[test]
fn a_channel_without_data_is_left_alone() {
    let mut batch = Synthetic::new(&[&[], FAINT]);
    let results = batch.clean(&params(), &everywhere());
    assert_eq!(results[0].stop, StopCode::ZeroMask);
    assert_eq!(results[0].beam, Err(NoBeam::NoPeak));
    assert_eq!(results[0].iterations, 0);
    assert_eq!(batch.majors[0], 0);
    assert!(results[1].iterations > 0);
    assert!(Synthetic::new(&[]).clean(&params(), &everywhere()).is_empty());
}

#[test]
fn no_iterations_are_asked_for() {
    let dirty = CleanParams { niter: 0, ..params() };
    let mut batch = Synthetic::new(&[BRIGHT]);
    let result = batch.clean(&dirty, &everywhere()).remove(0);
    assert_eq!((result.stop.code(), result.iterations, result.majors), (3, 0, 0));
    assert!(result.beam.is_ok());
    assert_eq!(result.minor.len(), 1);
    assert!((result.minor[0].start_peak_res - 1.0).abs() < 0.1);
    assert_eq!(batch.majors, [0]);
}

#[test]
fn an_empty_mask_ends_cleaning() {
    let mut batch = Synthetic::new(&[BRIGHT, FAINT]);
    let mask = |x0| Arc::new(Mask::from_fn(N, N, |x, _| x < x0));
    let results = batch.clean(&params(), &FixedMask::per_channel(vec![mask(0), mask(N)]));
    assert_eq!(results[0].stop.code(), 7);
    assert!(results[1].iterations > 0);
}

#[test]
fn niter_is_kept_per_channel() {
    let limited = CleanParams { niter: 25, threshold: 0.0, cycleniter: Some(10), ..params() };
    for result in Synthetic::new(&[BRIGHT, FAINT]).clean(&limited, &everywhere()) {
        assert_eq!((result.stop, result.iterations), (StopCode::IterationLimit, 25));
        assert!(result.minor.iter().all(|m| m.iter_done <= 10));
        let starts: Vec<_> = result.minor.iter().map(|m| m.start_iter_done).collect();
        assert!(starts.is_sorted() && starts[0] == 0);
    }
}

#[test]
fn one_control_for_the_cube() {
    let cube = CleanParams { scope: Scope::Cube, ..params() };
    let mut batch = Synthetic::new(&[BRIGHT, FAINT, &[]]);
    let results = batch.clean(&cube, &everywhere());
    // Levels follow the brightest channel; the faint one's first cycle is shallow.
    assert_eq!(results[0].minor[0].cycle_thresh, results[1].minor[0].cycle_thresh);
    assert!(results[1].minor[0].cycle_thresh > 0.07);
    // Components are counted through the channels.
    let first = |i: usize| results[i].minor[0];
    assert_eq!(first(0).start_iter_done, 0);
    assert_eq!(first(1).start_iter_done, first(0).iter_done);
    assert_eq!(first(1).cycle_start_iter, 0);
    assert_eq!(results[0].minor[1].cycle_start_iter, first(0).iter_done + first(1).iter_done);
    assert!(results.iter().all(|r| r.stop == StopCode::Threshold));

    // As in tclean, each channel may take what is left: the sum overshoots niter.
    let limited = CleanParams { niter: 30, threshold: 0.0, ..cube };
    let results = Synthetic::new(&[BRIGHT, BRIGHT]).clean(&limited, &everywhere());
    let total: usize = results.iter().map(|r| r.iterations).sum();
    assert!(total > 30, "{total}");
    assert!(results.iter().all(|r| r.stop == StopCode::IterationLimit));
}

#[test]
fn nmajor_bounds_the_major_cycles() {
    let one = CleanParams { nmajor: Some(1), ..params() };
    let result = Synthetic::new(&[BRIGHT]).clean(&one, &everywhere()).remove(0);
    assert_eq!((result.stop.code(), result.majors), (9, 1));
}

#[test]
fn a_round_without_progress_ends() {
    // The cycle threshold is the peak itself: there is nothing to do, for ever.
    let stuck = CleanParams { minpsffraction: 1.0, maxpsffraction: 1.0, ..params() };
    let result = Synthetic::new(&[BRIGHT]).clean(&stuck, &everywhere()).remove(0);
    assert_eq!((result.stop.code(), result.iterations), (4, 0));
}

#[test]
fn nsigma_stops_at_the_noise() {
    let mut batch = Synthetic::new(&[BRIGHT]);
    let noise = |i: usize| 0.002 * (((i * 7919) % 2001) as f32 / 1000.0 - 1.0);
    let dirty: Vec<f32> = batch.dirty[0].iter().enumerate().map(|(i, v)| v + noise(i)).collect();
    batch.set_dirty(0, &dirty);
    let five = CleanParams { threshold: 0.0, nsigma: 5.0, niter: 100_000, ..params() };
    let result = batch.clean(&five, &everywhere()).remove(0);
    assert_eq!(result.stop, StopCode::Nsigma);
    let sigma = Noise::of(&batch.residual(0), &Mask::new(N, N, true)).sigma;
    assert!(f64::from(result.minor.last().unwrap().peak_res) < 5.5 * sigma);
}

/// A mask that exists only once it has been updated, as auto-multithresh's.
pub(super) struct Late;

#[derive(Clone)]
struct LateChannel(Mask);

impl MaskPolicy for Late {
    fn channel(&self, _channel: usize) -> Result<Box<dyn ChannelMask>> {
        Ok(Box::new(LateChannel(Mask::new(N, N, false))))
    }
}

impl ChannelMask for LateChannel {
    fn update(&mut self, input: &MaskInput<'_>) -> Result<()> {
        let level = 0.5 * input.residual.iter().fold(0.0f32, |a, v| a.max(*v));
        self.0.or(&Mask::from_fn(N, N, |x, y| input.residual[y * N + x] >= level));
        Ok(())
    }

    fn mask(&self) -> &Mask {
        &self.0
    }

    fn needs_residual(&self) -> bool {
        true
    }

    fn boxed(&self) -> Box<dyn ChannelMask> {
        Box::new(self.clone())
    }
}
