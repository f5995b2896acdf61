//! Image cubes read back, plane by plane: CASA images, paged and virtual, and FITS files, our own and others'.

mod casa;
mod fits;
mod virtual_image;

use std::path::{Path, PathBuf};

use crate::{
    cube::staging::LIST,
    error::{Error, Result},
    geometry::Direction,
    mask::Mask,
};

/// An image cube that is open for reading.
#[derive(Debug)]
pub struct CubeReader {
    path: PathBuf,
    axes: Axes,
    world: World,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Casa(Box<casa::CasaImage>),
    Fits(fits::FitsImage),
    /// Images one behind the other.
    Virtual(virtual_image::Parts),
}

/// One plane of a cube.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// `ny·nx` pixels, x fastest.
    pub values: Vec<f32>,
    /// Which pixels are good; NaN pixels of a FITS file are not.
    pub valid: Mask,
}

/// Where a cube lies on the sky and in frequency, as far as its header tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct World {
    /// The first two axes.
    pub sky: Sky,
    /// The spectral axis, unless the header lacks it or it is not linear in frequency.
    pub spectral: Option<SpectralAxis>,
    /// Unit of the pixels.
    pub unit: Option<String>,
}

/// What a header says about the first two axes.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Sky {
    /// Nothing.
    #[default]
    Unknown,
    /// They are right ascension and declination.
    Equatorial(SkyAxes),
    /// They are coordinates of another frame, such as `GALACTIC`.
    Other(String),
}

/// The axes of a plane on the sky.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SkyAxes {
    /// Direction of the reference pixel.
    pub reference: Direction,
    /// The reference pixel (x, y), 0-based.
    pub pixel: [f64; 2],
    /// Increments along x and y, rad.
    pub increment: [f64; 2],
}

/// The channels of a cube.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpectralAxis {
    /// Centre of channel 0, Hz.
    pub start_hz: f64,
    /// Increment, Hz.
    pub width_hz: f64,
}

impl CubeReader {
    /// Opens a CASA image (a directory) or a FITS file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is not an image of real numbers with
    /// right ascension and declination as its first axes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let kind = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let (axes, world, source) = if path.join(LIST).exists() {
            let (axes, world, parts) = virtual_image::open(path)?;
            (axes, world, Source::Virtual(parts))
        } else if kind.is_dir() {
            let (axes, world, image) = casa::open(path)?;
            (axes, world, Source::Casa(Box::new(image)))
        } else {
            let (axes, world, image) = fits::open(path)?;
            (axes, world, Source::Fits(image))
        };
        Ok(Self { path: path.to_owned(), axes, world, source })
    }

    /// The file or directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Pixels along x and y, Stokes planes, channels.
    pub fn shape(&self) -> [usize; 4] {
        self.axes.shape()
    }

    /// Lengths of the axes as they are in the file, and which of them are those of Stokes parameters and of
    /// channels.
    pub(super) fn axes(&self) -> (&[usize], [Option<usize>; 2]) {
        (&self.axes.lengths, [self.axes.stokes, self.axes.channel])
    }

    /// What the header says about coordinates and unit.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Reads the plane of a Stokes index and channel.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the cube has no such plane; [`Error::Io`] or [`Error::Data`] if it
    /// cannot be read.
    pub fn read_plane(&self, stokes: usize, channel: usize) -> Result<Plane> {
        let [nx, ny, nstokes, nchan] = self.shape();
        if stokes >= nstokes || channel >= nchan {
            return Err(Error::parameter(
                "plane",
                format!("stokes {stokes}, channel {channel}"),
                format!("{} has {nstokes} stokes, {nchan} channels", self.path.display()),
                "choose one that exists",
            ));
        }
        match &self.source {
            Source::Casa(image) => image.read_plane(&self.axes.plane(stokes, channel)),
            Source::Fits(image) => image.read_plane(nx, ny, &self.axes.plane(stokes, channel)),
            Source::Virtual(parts) => parts.read_plane(stokes, channel),
        }
    }
}

/// What an axis of a file shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    RightAscension,
    Declination,
    Stokes,
    Spectral,
    /// Not told, or something else.
    Other,
}

/// A file's axes, and which of them are ours.
#[derive(Clone, Debug, PartialEq)]
struct Axes {
    lengths: Vec<usize>,
    stokes: Option<usize>,
    channel: Option<usize>,
}

impl Axes {
    /// The first two axes make the plane. An axis that is not told is taken for the spectral one, if
    /// it is the only candidate; axes of length 1 do not matter.
    fn new(path: &Path, lengths: Vec<usize>, roles: &[Role]) -> Result<Self> {
        let refuse = |problem: String| {
            Err(Error::data(
                path,
                "axes",
                problem,
                "bring it to the order RA, Dec, Stokes, frequency with CASA's imtrans",
            ))
        };
        let plane_first = matches!(roles.first(), Some(Role::RightAscension | Role::Other))
            && matches!(roles.get(1), Some(Role::Declination | Role::Other));
        if !plane_first || lengths.contains(&0) {
            return refuse(format!("{roles:?} of lengths {lengths:?} do not begin with a plane"));
        }
        let find = |role| roles.iter().skip(2).position(|&r| r == role).map(|i| i + 2);
        let (stokes, mut channel) = (find(Role::Stokes), find(Role::Spectral));
        for axis in 2..lengths.len() {
            if lengths[axis] > 1 && Some(axis) != stokes && Some(axis) != channel {
                if channel.is_some() || roles[axis] != Role::Other {
                    return refuse(format!("axis {} of length {}", axis + 1, lengths[axis]));
                }
                channel = Some(axis);
            }
        }
        Ok(Self { lengths, stokes, channel })
    }

    fn shape(&self) -> [usize; 4] {
        let length = |axis: Option<usize>| axis.map_or(1, |a| self.lengths[a]);
        [self.lengths[0], self.lengths[1], length(self.stokes), length(self.channel)]
    }

    /// The box that is a plane: a range along every axis.
    fn plane(&self, stokes: usize, channel: usize) -> Vec<std::ops::Range<usize>> {
        let range = |axis: usize| match Some(axis) {
            a if a == self.stokes => stokes..stokes + 1,
            a if a == self.channel => channel..channel + 1,
            _ if axis < 2 => 0..self.lengths[axis],
            _ => 0..1,
        };
        (0..self.lengths.len()).map(range).collect()
    }
}
