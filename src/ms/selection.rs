//! What of a MeasurementSet is imaged: rows with their geometry, channels, correlations.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    DataColumn, MeasurementSet, Rows, Slot, Stokes,
    metadata::correlation_name,
    syntax::{self, SpwChoice, listing},
};
use crate::error::{Error, Result};

/// A selection, in tclean's terms.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Fields, in CASA's syntax; empty: all.
    pub field: String,
    /// Spectral windows and channels, in CASA's syntax; empty: all.
    pub spw: String,
    /// The column of visibilities.
    pub datacolumn: DataColumn,
    /// What to make of the correlations.
    pub stokes: Stokes,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            field: String::new(),
            spw: String::new(),
            datacolumn: DataColumn::Corrected,
            stokes: Stokes::I,
        }
    }
}

/// The rows, channels and correlations of a MeasurementSet that a selection leaves.
#[derive(Debug)]
pub struct Selected {
    pub(super) ms: Arc<MeasurementSet>,
    rows: Arc<Rows>,
    antennas: Vec<[u32; 2]>,
    fields: Vec<usize>,
    spws: Vec<SelectedSpw>,
    counts: RowCounts,
    first_time: f64,
    /// Name of the column of visibilities.
    pub(super) column: &'static str,
    /// Row of the main table of each selected row.
    pub(super) table_rows: Vec<u64>,
    /// Index in `layouts` of each selected row.
    pub(super) layout_of: Vec<u8>,
    pub(super) layouts: Vec<Layout>,
}

/// Where in a cell the correlations that make the wanted Stokes parameter are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    /// Correlations of a cell.
    pub(super) correlations: usize,
    /// Index of the wanted correlation, and of the second one for Stokes I.
    pub(super) wanted: (usize, Option<usize>),
}

/// A selected spectral window.
#[derive(Clone, Debug)]
pub struct SelectedSpw {
    /// Spectral window id.
    pub id: usize,
    /// For each of its channels, whether it is selected.
    pub channels: Vec<bool>,
    /// Indices in [`Rows`] of its rows, ascending.
    pub rows: Vec<u32>,
}

impl SelectedSpw {
    /// First selected channel and one after the last.
    pub fn hull(&self) -> std::ops::Range<usize> {
        let first = self.channels.iter().position(|&c| c).unwrap_or(0);
        let last = self.channels.iter().rposition(|&c| c).map_or(0, |c| c + 1);
        first..last
    }
}

/// What became of the rows of the main table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RowCounts {
    /// Rows of the main table.
    pub all: u64,
    /// Rows of the selected fields and spectral windows.
    pub selected: u64,
    /// Of these, autocorrelations, which are not imaged.
    pub autocorrelations: u64,
    /// Of the rest, rows with FLAG_ROW set.
    pub flagged: u64,
    /// Of the rest, rows whose uvw is not finite, which are dropped.
    pub bad_uvw: u64,
}

impl MeasurementSet {
    /// Selects rows, channels and correlations, and reads the rows' geometry.
    ///
    /// # Errors
    /// If the selection names what is not there, or leaves nothing; if the column of visibilities is
    /// missing, or the correlations do not give the Stokes parameter.
    pub fn select(self: &Arc<Self>, selection: &Selection) -> Result<Selected> {
        let column = self.data_column(selection.datacolumn)?;
        let fields = syntax::fields(self, &selection.field)?;
        let choices = syntax::spws(self, &selection.spw)?;
        let setups = Setups::new(self, selection, &choices)?;
        let scan = Scan::read(self, &fields, &setups)?;
        scan.finish(self, selection, column, choices, setups.layouts)
    }

    /// The name of a column of visibilities that is there.
    fn data_column(&self, wanted: DataColumn) -> Result<&'static str> {
        const DATA: &str = "DATA";
        const CORRECTED: &str = "CORRECTED_DATA";
        let there = |name| self.table().find(name).is_some();
        let (name, other, value, alternative) = match wanted {
            DataColumn::Data => (DATA, CORRECTED, "data", "datacolumn=corrected"),
            DataColumn::Corrected => (CORRECTED, DATA, "corrected", "datacolumn=data"),
        };
        if there(name) {
            return Ok(name);
        }
        let remedy = match there(other) {
            true => format!("it has {other}: give {alternative} to image that"),
            false => "it has no visibilities that can be imaged".to_owned(),
        };
        Err(Error::Selection {
            parameter: "datacolumn".into(),
            value: value.into(),
            path: self.path().to_owned(),
            problem: format!("there is no column {name}"),
            remedy,
        })
    }
}

/// For each data description, whether and how its rows are read.
struct Setups {
    /// Spectral window and index of the layout, where it is selected.
    of: Vec<Option<(usize, u8)>>,
    layouts: Vec<Layout>,
    /// Data descriptions that are selected but lack the correlations.
    unfit: HashSet<usize>,
}

impl Setups {
    fn new(
        ms: &MeasurementSet,
        selection: &Selection,
        choices: &BTreeMap<usize, SpwChoice>,
    ) -> Result<Self> {
        let mut setups = Self { of: Vec::new(), layouts: Vec::new(), unfit: HashSet::new() };
        for (id, description) in ms.data_descriptions().iter().enumerate() {
            setups.of.push(None);
            let chosen = choices.get(&description.spw);
            if chosen.is_none_or(|choice| !choice.channels.contains(&true)) {
                continue;
            }
            let setup = ms.polarizations().get(description.polarization);
            let correlations = setup.map(|p| p.corr_types.as_slice()).unwrap_or_default();
            match wanted(selection.stokes, correlations) {
                Some(wanted) => {
                    let layout = Layout { correlations: correlations.len(), wanted };
                    let known = setups.layouts.iter().position(|l| *l == layout);
                    let index = known.unwrap_or_else(|| {
                        setups.layouts.push(layout);
                        setups.layouts.len() - 1
                    });
                    let index = u8::try_from(index).map_err(|_| {
                        Error::data(
                            ms.path(),
                            "POLARIZATION",
                            "more than 256 different setups",
                            "select fewer spectral windows",
                        )
                    })?;
                    setups.of[id] = Some((description.spw, index));
                }
                None => {
                    setups.unfit.insert(id);
                }
            }
        }
        Ok(setups)
    }
}

/// The correlations that make a Stokes parameter.
fn wanted(stokes: Stokes, correlations: &[i32]) -> Option<(usize, Option<usize>)> {
    const RR: i32 = 5;
    const LL: i32 = 8;
    const XX: i32 = 9;
    const YY: i32 = 12;
    let at = |code| correlations.iter().position(|&c| c == code);
    match stokes {
        Stokes::I => {
            let pair = |a, b| Some((at(a)?, Some(at(b)?)));
            pair(XX, YY).or_else(|| pair(RR, LL))
        }
        Stokes::XX => Some((at(XX)?, None)),
        Stokes::YY => Some((at(YY)?, None)),
        Stokes::RR => Some((at(RR)?, None)),
        Stokes::LL => Some((at(LL)?, None)),
    }
}

/// The selected rows, as the main table is gone through.
#[derive(Default)]
struct Scan {
    rows: Rows,
    antennas: Vec<[u32; 2]>,
    table_rows: Vec<u64>,
    layout_of: Vec<u8>,
    counts: RowCounts,
    /// TIME of the first selected row, on the set's own scale.
    first_time: f64,
    /// Data descriptions met whose correlations do not give the Stokes parameter.
    unfit: Option<usize>,
}

impl Scan {
    fn read(ms: &MeasurementSet, fields: &[usize], setups: &Setups) -> Result<Self> {
        let table = ms.table();
        let ids = |name: &str| table.scalars::<i32>(name);
        let (field_id, description_id) = (ids("FIELD_ID")?, ids("DATA_DESC_ID")?);
        let (antenna1, antenna2) = (ids("ANTENNA1")?, ids("ANTENNA2")?);
        let flag_row = match table.find("FLAG_ROW") {
            Some(_) => table.scalars::<bool>("FLAG_ROW")?,
            None => vec![false; field_id.len()],
        };
        let time = table.scalars::<f64>("TIME")?;
        let mut is_field = vec![false; ms.fields().len()];
        fields.iter().for_each(|&id| is_field[id] = true);

        let mut scan = Self::default();
        scan.counts.all = table.rows();
        let mut slots = SlotTable::default();
        for row in 0..field_id.len() {
            let wrong_id = |column: &str, id: i32| {
                Error::data(
                    table.path(),
                    format!("column {column}"),
                    format!("row {row} refers to row {id}, which does not exist"),
                    "the MeasurementSet contradicts itself: copy it again from its origin",
                )
            };
            let field = usize::try_from(field_id[row]).ok().filter(|&f| f < is_field.len());
            let field = field.ok_or_else(|| wrong_id("FIELD_ID", field_id[row]))?;
            let description = description_id[row];
            let id = usize::try_from(description).ok().filter(|&d| d < setups.of.len());
            let id = id.ok_or_else(|| wrong_id("DATA_DESC_ID", description))?;
            if !is_field[field] {
                continue;
            }
            let Some((spw, layout)) = setups.of[id] else {
                if setups.unfit.contains(&id) {
                    scan.unfit.get_or_insert(id);
                }
                continue;
            };
            scan.counts.selected += 1;
            if scan.counts.selected == 1 {
                scan.first_time = time[row];
            }
            let antennas = [antenna1[row], antenna2[row]].map(u32::try_from);
            let [Ok(antenna1), Ok(antenna2)] = antennas else {
                return Err(wrong_id("ANTENNA1 or ANTENNA2", -1));
            };
            if antenna1 == antenna2 {
                scan.counts.autocorrelations += 1;
                continue;
            }
            if flag_row[row] {
                scan.counts.flagged += 1;
                continue;
            }
            let slot = slots.index(ms, &mut scan.rows.slots, time[row], spw, field)?;
            scan.rows.slot.push(slot);
            scan.antennas.push([antenna1, antenna2]);
            scan.table_rows.push(row as u64);
            scan.layout_of.push(layout);
        }
        scan.read_uvw(ms)?;
        Ok(scan)
    }

    /// Reads the rows' baselines, and drops rows where they are not finite.
    fn read_uvw(&mut self, ms: &MeasurementSet) -> Result<()> {
        let (table, mut scratch) = (ms.table(), Vec::new());
        self.rows.uvw_m = vec![[0.0; 3]; self.table_rows.len()];
        let uvw: &mut [f64] = bytemuck::cast_slice_mut(&mut self.rows.uvw_m);
        let column = table.column("UVW")?;
        table.read_cells(column, &self.table_rows, &[3], 0..3, uvw, &mut scratch)?;
        let good: Vec<bool> =
            self.rows.uvw_m.iter().map(|uvw| uvw.iter().all(|x| x.is_finite())).collect();
        let bad = good.iter().filter(|&&g| !g).count();
        if bad > 0 {
            self.counts.bad_uvw = bad as u64;
            keep(&mut self.rows.uvw_m, &good);
            keep(&mut self.rows.slot, &good);
            keep(&mut self.antennas, &good);
            keep(&mut self.table_rows, &good);
            keep(&mut self.layout_of, &good);
        }
        Ok(())
    }

    fn finish(
        self,
        ms: &Arc<MeasurementSet>,
        selection: &Selection,
        column: &'static str,
        choices: BTreeMap<usize, SpwChoice>,
        layouts: Vec<Layout>,
    ) -> Result<Selected> {
        if let Some(id) = self.unfit {
            return Err(unfit(ms, selection, id));
        }
        if self.table_rows.is_empty() {
            return Err(no_rows(ms, selection, &self.counts));
        }
        if u32::try_from(self.table_rows.len()).is_err() {
            return Err(Error::data(
                ms.path(),
                "selection",
                format!("{} rows", self.table_rows.len()),
                "select fewer fields or spectral windows: at most 4294967295 rows at once",
            ));
        }
        let mut rows_of: HashMap<usize, Vec<u32>> = HashMap::new();
        let mut fields = Vec::new();
        for slot in &self.rows.slots {
            fields.push(slot.field);
        }
        fields.sort_unstable();
        fields.dedup();
        for (row, &slot) in (0..).zip(&self.rows.slot) {
            rows_of.entry(self.rows.slots[slot as usize].spw).or_default().push(row);
        }
        let mut spws = Vec::new();
        for (id, SpwChoice { channels, explicit }) in choices {
            match rows_of.remove(&id) {
                Some(rows) => spws.push(SelectedSpw { id, channels, rows }),
                None if explicit => return Err(no_rows_of(ms, selection, id)),
                None => {}
            }
        }
        Ok(Selected {
            ms: ms.clone(),
            rows: Arc::new(self.rows),
            antennas: self.antennas,
            fields,
            spws,
            counts: self.counts,
            first_time: utc(ms, self.first_time)?,
            column,
            table_rows: self.table_rows,
            layout_of: self.layout_of,
            layouts,
        })
    }
}

fn keep<T>(list: &mut Vec<T>, good: &[bool]) {
    let mut good = good.iter();
    list.retain(|_| good.next().copied().unwrap_or(false));
}

/// A value of the column TIME, as UTC.
fn utc(ms: &MeasurementSet, time: f64) -> Result<f64> {
    let utc = Some(time).filter(|t| t.is_finite());
    utc.and_then(|t| ms.time_scale().to_utc(t)).ok_or_else(|| {
        Error::data(
            ms.path(),
            "column TIME",
            format!("the time {time} s is not one of UTC's (since 1960)"),
            "the MeasurementSet is damaged: copy it again from its origin",
        )
    })
}

/// Numbers the distinct (time, spectral window, field).
#[derive(Default)]
struct SlotTable {
    index: HashMap<(u64, usize, usize), u32>,
    last: Option<((u64, usize, usize), u32)>,
}

impl SlotTable {
    fn index(
        &mut self,
        ms: &MeasurementSet,
        slots: &mut Vec<Slot>,
        time: f64,
        spw: usize,
        field: usize,
    ) -> Result<u32> {
        let key = (time.to_bits(), spw, field);
        if let Some((last, slot)) = self.last
            && last == key
        {
            return Ok(slot);
        }
        let slot = match self.index.get(&key) {
            Some(&slot) => slot,
            None => {
                let utc = utc(ms, time)?;
                slots.push(Slot { time: utc, spw, field });
                let slot = (slots.len() - 1) as u32;
                self.index.insert(key, slot);
                slot
            }
        };
        self.last = Some((key, slot));
        Ok(slot)
    }
}

fn selection_error(
    ms: &MeasurementSet,
    parameter: &str,
    value: &str,
    problem: String,
    remedy: String,
) -> Error {
    Error::Selection {
        parameter: parameter.into(),
        value: value.into(),
        path: ms.path().to_owned(),
        problem,
        remedy,
    }
}

/// A data description that is selected lacks the correlations.
fn unfit(ms: &MeasurementSet, selection: &Selection, id: usize) -> Error {
    let spw = ms.data_descriptions()[id].spw;
    let polarization = ms.data_descriptions()[id].polarization;
    let has = ms.polarizations().get(polarization).map_or_else(String::new, |p| {
        p.corr_types.iter().map(|&c| correlation_name(c)).collect::<Vec<_>>().join(",")
    });
    let mut fit: Vec<usize> = ms
        .data_descriptions()
        .iter()
        .filter(|d| {
            let setup = ms.polarizations().get(d.polarization);
            setup.is_some_and(|p| wanted(selection.stokes, &p.corr_types).is_some())
        })
        .map(|d| d.spw)
        .collect();
    fit.sort_unstable();
    fit.dedup();
    let fit: Vec<_> = fit.iter().map(usize::to_string).collect();
    let remedy = match fit.is_empty() {
        true => "give a stokes that its correlations make".to_owned(),
        false => format!("give another stokes, or select spw={}", fit.join(",")),
    };
    let problem = format!("cannot be made of the correlations {has} of spw {spw}");
    selection_error(ms, "stokes", &format!("{:?}", selection.stokes), problem, remedy)
}

/// Nothing is left.
fn no_rows(ms: &MeasurementSet, selection: &Selection, counts: &RowCounts) -> Error {
    let problem = match counts.selected {
        0 => "no rows have this field and spectral window".to_owned(),
        n => format!(
            "all {n} rows are left out: {} autocorrelations, {} flagged, {} without baselines",
            counts.autocorrelations, counts.flagged, counts.bad_uvw
        ),
    };
    let remedy = format!(
        "there are fields {}; spectral windows {}",
        listing(ms.fields().iter().map(|f| f.name.as_str())),
        listing(ms.spectral_windows().iter().map(|w| w.name.as_str()))
    );
    let value = format!("{} spw={}", selection.field, selection.spw);
    selection_error(ms, "field", &value, problem, remedy)
}

/// A spectral window that was asked for by its id has no rows.
fn no_rows_of(ms: &MeasurementSet, selection: &Selection, id: usize) -> Error {
    let problem = format!("spectral window {id} has no usable rows of the selected fields");
    let remedy = "leave it out (`cubeclean ms` lists what has data)".to_owned();
    selection_error(ms, "spw", &selection.spw, problem, remedy)
}

impl Selected {
    /// Geometry of the selected rows: baselines as they are in the data, `shift_m` empty.
    pub fn rows(&self) -> &Arc<Rows> {
        &self.rows
    }

    /// Both antennas of each row.
    pub fn antennas(&self) -> &[[u32; 2]] {
        &self.antennas
    }

    /// Fields that have rows, ascending.
    pub fn fields(&self) -> &[usize] {
        &self.fields
    }

    /// Spectral windows that have rows, ascending.
    pub fn spws(&self) -> &[SelectedSpw] {
        &self.spws
    }

    /// Time of the first row of the selected fields and spectral windows, also if it is flagged,
    /// UTC, MJD seconds.
    pub fn first_time(&self) -> f64 {
        self.first_time
    }

    /// How many rows were left out, and why.
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// The set.
    pub fn measurement_set(&self) -> &Arc<MeasurementSet> {
        &self.ms
    }
}
