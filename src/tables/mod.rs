//! casacore's tables, writing: streams of objects, descriptions, and the data managers that
//! MeasurementSets and CASA images are kept by. (`ms` reads them.)

pub(crate) mod aips;
pub(crate) mod column;
pub(crate) mod dat;
pub(crate) mod standard;
pub(crate) mod table;
pub(crate) mod tiled;
