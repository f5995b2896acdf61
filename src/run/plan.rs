//! What a job is going to do, decided from its parameters and the data's metadata before anything
//! is written.

use std::sync::Arc;

use crate::{
    backend::Deconvolver,
    config::{Config, PhaseCenter},
    cube::CubeSpec,
    error::{Error, Result},
    geometry::{Direction, ImageGrid},
    gridding::{OperatorPlan, Pointing},
    mask::Mask,
    ms::{MeasurementSet, Rows, Selected, Selection, slot_frames},
    pb::PrimaryBeam,
    spectral::{AxisOrigin, AxisRequest, Sampling},
};

/// Fields may point this far apart and still be one pointing, rad: what pointing models and
/// rounding of catalogues leave, far below any beam.
const SAME_POINTING: f64 = 1.0 / 206_264.8;

/// A planned job: its data, axes and operator.
pub(super) struct Plan {
    pub selected: Selected,
    pub grid: ImageGrid,
    pub sampling: Sampling,
    /// Selected rows, referred to the image's phase centre.
    pub rows: Arc<Rows>,
    pub operator: OperatorPlan,
    /// The minor cycle.
    pub deconvolver: Deconvolver,
    /// Where the antennas pointed.
    pub pointing: Direction,
    pub primary_beam: PrimaryBeam,
    pub spec: CubeSpec,
    /// What the user should know of the plan.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Plans the job.
    ///
    /// # Errors
    /// If the data cannot be read, or do not fit the parameters.
    pub fn new(config: &Config) -> Result<Self> {
        let ms = Arc::new(MeasurementSet::open(&config.vis)?);
        let selected = ms.select(&Selection {
            field: config.field.clone(),
            spw: config.spw.clone(),
            datacolumn: config.datacolumn,
            stokes: config.stokes,
        })?;
        let mut warnings = Vec::new();
        let pointing = pointing(&ms, &selected)?;
        let grid = ImageGrid {
            nx: config.imsize[0],
            ny: config.imsize[1],
            cell_x: config.cell[0],
            cell_y: config.cell[1],
            phase_center: match config.phasecenter {
                PhaseCenter::FirstField => pointing,
                PhaseCenter::Field(field) => ms.phase_center(field)?,
                PhaseCenter::Direction(direction) => direction,
            },
        };
        let centers = phase_centers(&selected)?;
        let origin = selected.axis_origin(&grid.phase_center)?;
        let sampling = sampling(config, &selected, &origin, &centers)?;
        let rows = Arc::new(selected.rows().to_phase_center(&centers, &grid.phase_center));
        let freq_range = sampling.observed_range_hz();
        let pointings = [Pointing { direction: pointing }];
        let operator = OperatorPlan::new(&grid, &rows, freq_range, &pointings, config.operator)?;
        if operator.rows_off_grid > 0 {
            warnings.push(format!(
                "{} of {} rows lie outside the uv grid at {:.6} GHz and are left out: their fringes \
                 are finer than two cells (choose a smaller cell to have them in)",
                operator.rows_off_grid,
                rows.uvw_m.len(),
                freq_range.1 / 1e9
            ));
        }
        Ok(Self {
            primary_beam: primary_beam(&selected, &mut warnings)?,
            spec: cube_spec(config, &selected, &grid, &sampling, origin.position_m),
            selected,
            grid,
            sampling,
            rows,
            operator,
            deconvolver: config.deconvolver.clone(),
            pointing,
            warnings,
        })
    }

    /// Image, axis and operator in one line.
    pub fn describe(&self) -> String {
        let axis = self.sampling.grid();
        format!(
            "{} x {} pixels x {} channels from {:.6} GHz by {:.3} kHz ({}); {} rows, uv grid {} x {}, \
             {} w-term passes",
            self.grid.nx,
            self.grid.ny,
            axis.nchan,
            axis.start_hz / 1e9,
            axis.width_hz / 1e3,
            axis.frame,
            self.rows.uvw_m.len(),
            self.operator.grid.nu,
            self.operator.grid.nv,
            self.operator.passes.len(),
        )
    }

    /// The `.pb` plane of an image channel.
    pub fn primary_beam_plane(&self, channel: usize, pblimit: f64) -> Result<Vec<f32>> {
        let freq_hz = self.sampling.grid().freq_hz(channel);
        self.primary_beam.plane(&self.grid, &self.pointing, freq_hz, pblimit)
    }

    /// The same, in place of what `plane` holds.
    pub fn primary_beam_into(
        &self,
        plane: &mut Vec<f32>,
        channel: usize,
        pblimit: f64,
    ) -> Result<()> {
        let freq_hz = self.sampling.grid().freq_hz(channel);
        self.primary_beam.plane_into(plane, &self.grid, &self.pointing, freq_hz, pblimit)
    }

    /// Where the primary beam of an image channel is at or above |pblimit|.
    pub fn primary_beam_mask(&self, channel: usize, pblimit: f64) -> Result<Mask> {
        let freq_hz = self.sampling.grid().freq_hz(channel);
        self.primary_beam.mask(&self.grid, &self.pointing, freq_hz, pblimit)
    }

    /// Number of image channels.
    pub fn nchan(&self) -> usize {
        self.sampling.grid().nchan
    }
}

/// The direction that the selected fields share.
fn pointing(ms: &MeasurementSet, selected: &Selected) -> Result<Direction> {
    let fields = selected.fields();
    let first = ms.phase_center(fields[0])?;
    for &field in &fields[1..] {
        let separation = ms.phase_center(field)?.separation(&first);
        if separation > SAME_POINTING {
            let arcsec = separation.to_degrees() * 3600.0;
            return Err(Error::Selection {
                parameter: "field".into(),
                value: fields.iter().map(usize::to_string).collect::<Vec<_>>().join(","),
                path: ms.path().to_owned(),
                problem: format!(
                    "fields {} and {field} point {arcsec:.1} arcsec apart, and mosaics are not \
                     supported yet",
                    fields[0]
                ),
                remedy: "select one field (`cubeclean ms` lists them)".into(),
            });
        }
    }
    Ok(first)
}

/// Phase centre of every field by its id; fields that are not selected get the first one's.
fn phase_centers(selected: &Selected) -> Result<Vec<Direction>> {
    let ms = selected.measurement_set();
    let mut centers = vec![ms.phase_center(selected.fields()[0])?; ms.fields().len()];
    for &field in selected.fields() {
        centers[field] = ms.phase_center(field)?;
    }
    Ok(centers)
}

/// The cube's spectral axis and what feeds it.
fn sampling(
    config: &Config,
    selected: &Selected,
    origin: &AxisOrigin,
    centers: &[Direction],
) -> Result<Sampling> {
    let windows = selected.data_channels()?;
    let request = AxisRequest {
        nchan: config.nchan,
        start: config.start,
        width: config.width,
        outframe: config.outframe,
        veltype: config.veltype,
        restfreq_hz: config.restfreq,
    };
    let channels = request.channel_grid(&windows, origin)?;
    let frames =
        slot_frames(selected.rows(), &windows, centers, config.outframe, &origin.position_m)?;
    Sampling::new(channels, config.interpolation, windows, &frames)
}

/// The primary beam of the antennas that most of the selected rows belong to.
fn primary_beam(selected: &Selected, warnings: &mut Vec<String>) -> Result<PrimaryBeam> {
    let ms = selected.measurement_set();
    let mut diameters: Vec<(f64, usize)> = Vec::new();
    for &antenna in selected.antennas().iter().flatten() {
        let diameter = ms.antennas().get(antenna as usize).map_or(0.0, |a| a.dish_diameter_m);
        match diameters.iter_mut().find(|(d, _)| *d == diameter) {
            Some((_, count)) => *count += 1,
            None => diameters.push((diameter, 1)),
        }
    }
    diameters.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.total_cmp(&b.0)));
    let diameter = diameters.first().map_or(0.0, |d| d.0);
    if diameters.len() > 1 {
        warnings.push(format!(
            "antennas of different diameters ({} m) are imaged with the primary beam of the {} m \
             dishes, as tclean's gridder='standard' does",
            diameters.iter().map(|d| d.0.to_string()).collect::<Vec<_>>().join(", "),
            diameter
        ));
    }
    PrimaryBeam::for_telescope(ms.telescope(), diameter)
}

/// What the products' headers say.
fn cube_spec(
    config: &Config,
    selected: &Selected,
    grid: &ImageGrid,
    sampling: &Sampling,
    telescope_position_m: [f64; 3],
) -> CubeSpec {
    let ms = selected.measurement_set();
    let observation = ms.observations().first();
    CubeSpec {
        grid: grid.clone(),
        channels: sampling.grid().clone(),
        stokes: vec![config.stokes],
        telescope: ms.telescope().to_owned(),
        observer: observation.map_or_else(String::new, |o| o.observer.clone()),
        object: ms.fields()[selected.fields()[0]].name.clone(),
        obsdate_mjd: selected.rows().slots[0].time / 86_400.0,
        telescope_position_m,
        history: vec![
            format!("cubeclean {}", env!("CARGO_PKG_VERSION")),
            config.cube_command.clone(),
        ],
    }
}
