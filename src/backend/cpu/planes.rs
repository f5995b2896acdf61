//! Image planes in host memory.

use std::borrow::Cow;

use super::CpuBackend;
use crate::{
    backend::PlaneStore,
    error::{Error, Result},
};

/// A stack of planes of `ny × nx` values, x fastest; one allocation per plane, so that planes can be
/// worked on by different threads.
#[derive(Clone, Debug, PartialEq)]
pub struct CpuPlanes {
    ny: usize,
    nx: usize,
    planes: Vec<Vec<f32>>,
}

impl CpuPlanes {
    /// Rows of a plane.
    pub fn ny(&self) -> usize {
        self.ny
    }

    /// Columns of a plane.
    pub fn nx(&self) -> usize {
        self.nx
    }

    /// Number of planes.
    pub fn len(&self) -> usize {
        self.planes.len()
    }

    /// Whether there is no plane.
    pub fn is_empty(&self) -> bool {
        self.planes.is_empty()
    }

    /// Plane `index`, `ny·nx` values.
    pub fn plane(&self, index: usize) -> &[f32] {
        &self.planes[index]
    }

    /// Plane `index`, `ny·nx` values.
    pub fn plane_mut(&mut self, index: usize) -> &mut [f32] {
        &mut self.planes[index]
    }

    /// All planes, each `ny·nx` values, for work in parallel over planes.
    pub fn as_mut_slices(&mut self) -> Vec<&mut [f32]> {
        self.planes.iter_mut().map(Vec::as_mut_slice).collect()
    }

    /// The planes of ascending or arbitrary distinct `indices`, in that order.
    ///
    /// # Errors
    /// An index that is out of range or given twice.
    pub fn select_mut(&mut self, indices: &[usize]) -> Result<Vec<&mut [f32]>> {
        let count = self.planes.len();
        let mut all: Vec<Option<&mut [f32]>> =
            self.planes.iter_mut().map(|p| Some(p.as_mut_slice())).collect();
        indices
            .iter()
            .map(|&i| all.get_mut(i).and_then(Option::take).ok_or_else(|| bad_index(i, count)))
            .collect()
    }
}

/// The error for a plane that is not there, or asked for twice in one call.
pub(super) fn bad_index(index: usize, count: usize) -> Error {
    Error::Device {
        device: "cpu".into(),
        problem: format!("plane {index} of a stack of {count} is missing or given twice"),
        remedy: "give each channel of the batch once".into(),
    }
}

impl PlaneStore for CpuBackend {
    type Planes = CpuPlanes;

    fn zeros(&self, n: usize, ny: usize, nx: usize) -> Result<CpuPlanes> {
        Ok(CpuPlanes { ny, nx, planes: (0..n).map(|_| vec![0.0; ny * nx]).collect() })
    }

    fn put(&self, planes: &mut CpuPlanes, index: usize, values: &[f32]) -> Result<()> {
        let (count, expected) = (planes.len(), planes.ny * planes.nx);
        if values.len() != expected {
            return Err(Error::Device {
                device: "cpu".into(),
                problem: format!("a plane of {} values was given, not {expected}", values.len()),
                remedy: "give ny·nx values".into(),
            });
        }
        let plane = planes.planes.get_mut(index).ok_or_else(|| bad_index(index, count))?;
        plane.copy_from_slice(values);
        Ok(())
    }

    fn get(&self, planes: &CpuPlanes, index: usize) -> Result<Vec<f32>> {
        planes.planes.get(index).cloned().ok_or_else(|| bad_index(index, planes.len()))
    }

    fn view<'p>(&self, planes: &'p CpuPlanes, index: usize) -> Result<Cow<'p, [f32]>> {
        let plane = planes.planes.get(index).ok_or_else(|| bad_index(index, planes.len()))?;
        Ok(Cow::Borrowed(plane))
    }

    fn take_all(&self, planes: &mut CpuPlanes) -> Option<Vec<Vec<f32>>> {
        Some(std::mem::take(&mut planes.planes))
    }

    fn clear(&self, planes: &mut CpuPlanes, indices: &[usize]) -> Result<()> {
        for plane in planes.select_mut(indices)? {
            plane.fill(0.0);
        }
        Ok(())
    }

    fn copy(&self, from: &CpuPlanes, to: &mut CpuPlanes, indices: &[usize]) -> Result<()> {
        let (from_shape, to_shape) = ((from.ny, from.nx), (to.ny, to.nx));
        let mut targets = to.select_mut(indices)?;
        if from_shape != to_shape {
            return Err(Error::Device {
                device: "cpu".into(),
                problem: format!("planes of {from_shape:?} do not fit planes of {to_shape:?}"),
                remedy: "copy between planes of one shape".into(),
            });
        }
        for (target, &index) in targets.iter_mut().zip(indices) {
            let source = from.planes.get(index).ok_or_else(|| bad_index(index, from.len()))?;
            target.copy_from_slice(source);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_keep_what_is_put_and_refuse_what_does_not_fit() {
        let cpu = CpuBackend;
        let mut planes = cpu.zeros(2, 2, 3).unwrap();
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        cpu.put(&mut planes, 1, &values).unwrap();
        assert_eq!(cpu.get(&planes, 1).unwrap(), values);
        assert_eq!(cpu.get(&planes, 0).unwrap(), [0.0; 6]);
        assert!(cpu.put(&mut planes, 0, &values[1..]).is_err());
        assert!(cpu.put(&mut planes, 2, &values).is_err());
        assert!(cpu.get(&planes, 2).is_err());
        assert!(planes.select_mut(&[1, 1]).is_err());
        let mut copies = cpu.zeros(2, 2, 3).unwrap();
        cpu.copy(&planes, &mut copies, &[1]).unwrap();
        assert_eq!(copies.planes, planes.planes);
        assert!(cpu.copy(&planes, &mut copies, &[0, 0]).is_err());
        assert!(cpu.copy(&planes, &mut cpu.zeros(2, 3, 2).unwrap(), &[0]).is_err());
        assert!(cpu.copy(&cpu.zeros(1, 2, 3).unwrap(), &mut copies, &[1]).is_err());
        assert_eq!(planes.select_mut(&[1, 0]).unwrap()[0], values);
    }
}
