//! CASA's selection syntax for fields and spectral windows.
//!
//! `field`: comma-separated ids (`0`), ranges (`0~3`, `<2`, `>5`), names and globs (`NGC*`).
//! `spw`: comma-separated items of the same kinds, each with an optional channel selection after a
//! colon: channels `0:5~50`, several ranges `0:5~20;30~40`, every third `0:5~50^3`, or frequencies in
//! the spectral window's frame `0:86.1~86.3GHz`. See CASA's "Visibility data selection".

use std::collections::BTreeMap;

use globset::GlobBuilder;

use super::MeasurementSet;
use crate::{
    error::{Error, Result},
    units::{Dimension, Quantity},
};

/// What an item before the colon selects.
struct Ids {
    ids: Vec<usize>,
    /// Whether ids were written, not names: then each of them has to have data.
    explicit: bool,
}

/// A selected spectral window.
#[derive(Debug)]
pub(super) struct SpwChoice {
    /// For each channel, whether it is selected.
    pub(super) channels: Vec<bool>,
    /// Whether the user wrote its id.
    pub(super) explicit: bool,
}

/// Makes errors about one parameter's value in one set.
struct Complaint<'a> {
    ms: &'a MeasurementSet,
    parameter: &'static str,
    value: &'a str,
}

impl Complaint<'_> {
    fn error(&self, problem: impl Into<String>, remedy: impl Into<String>) -> Error {
        Error::Selection {
            parameter: self.parameter.into(),
            value: self.value.into(),
            path: self.ms.path().to_owned(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

/// `0 (NGC5921), 1 (3C286)`: what there is to choose from.
pub(super) fn listing<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 40;
    let mut items: Vec<_> = names.enumerate().map(|(id, name)| format!("{id} ({name})")).collect();
    if items.len() > MOST {
        let rest = items.len() - MOST;
        items.truncate(MOST);
        items.push(format!("and {rest} more"));
    }
    items.join(", ")
}

/// Splits at `separator`, but not within double quotes, which names with commas need.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .map(str::trim)
    .filter(|item| !item.is_empty())
}

/// The ids that one item selects of the things with these names.
fn ids(item: &str, names: &[&str], complaint: &Complaint) -> Result<Ids> {
    let count = names.len();
    let exists = || format!("there are {}", listing(names.iter().copied()));
    let none = |problem: String| complaint.error(problem, exists());
    let checked = |id: usize| match id < count {
        true => Ok(id),
        false => Err(none(format!("there is no {id}"))),
    };
    let explicit = |ids: Vec<usize>| match ids.is_empty() {
        true => Err(none(format!("{item} selects nothing"))),
        false => Ok(Ids { ids, explicit: true }),
    };
    if let Ok(id) = item.parse() {
        return explicit(vec![checked(id)?]);
    }
    let below = item.strip_prefix('<').and_then(|n| n.trim().parse::<usize>().ok());
    if let Some(end) = below {
        return explicit((0..end.min(count)).collect());
    }
    let above = item.strip_prefix('>').and_then(|n| n.trim().parse::<usize>().ok());
    if let Some(first) = above {
        return explicit((first.saturating_add(1)..count).collect());
    }
    if let Some((first, last)) = item.split_once('~')
        && let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse())
    {
        return explicit((checked(first)?..=checked(last)?).collect());
    }
    let pattern = item.trim_matches('"');
    let matching = |is: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..count).filter(|&id| is(names[id])).collect()
    };
    let mut found = matching(&|name| name == pattern);
    if found.is_empty() && pattern.contains(['*', '?', '{']) {
        let glob = GlobBuilder::new(pattern).literal_separator(false).build();
        let glob = glob.map_err(|e| complaint.error(e.to_string(), exists()))?.compile_matcher();
        found = matching(&|name| glob.is_match(name));
    }
    match found.is_empty() {
        true => Err(none(format!("nothing is called {pattern}"))),
        false => Ok(Ids { ids: found, explicit: false }),
    }
}

/// The fields that `field` selects, ascending; an empty text selects all.
pub(super) fn fields(ms: &MeasurementSet, text: &str) -> Result<Vec<usize>> {
    let names: Vec<_> = ms.fields().iter().map(|f| f.name.as_str()).collect();
    if text.trim().is_empty() {
        return Ok((0..names.len()).collect());
    }
    let complaint = Complaint { ms, parameter: "field", value: text };
    let mut selected = Vec::new();
    for item in split(text, ',') {
        selected.extend(ids(item, &names, &complaint)?.ids);
    }
    selected.sort_unstable();
    selected.dedup();
    match selected.is_empty() {
        true => Err(complaint
            .error("selects no field", format!("there are {}", listing(names.into_iter())))),
        false => Ok(selected),
    }
}

/// The spectral windows and channels that `spw` selects; an empty text selects all.
pub(super) fn spws(ms: &MeasurementSet, text: &str) -> Result<BTreeMap<usize, SpwChoice>> {
    let windows = ms.spectral_windows();
    let names: Vec<_> = windows.iter().map(|w| w.name.as_str()).collect();
    let complaint = Complaint { ms, parameter: "spw", value: text };
    let everything = text.trim().is_empty();
    let mut selected = BTreeMap::new();
    for item in split(if everything { "*" } else { text }, ',') {
        let (windows_item, channels_item) = match item.split_once(':') {
            Some((windows, channels)) => (windows.trim(), Some(channels)),
            None => (item, None),
        };
        let found = match windows_item {
            "*" | "" => Ids { ids: (0..windows.len()).collect(), explicit: false },
            other => ids(other, &names, &complaint)?,
        };
        for id in found.ids {
            let count = windows[id].chan_freq_hz.len();
            let choice = selected
                .entry(id)
                .or_insert_with(|| SpwChoice { channels: vec![false; count], explicit: false });
            choice.explicit |= found.explicit;
            match channels_item {
                None => choice.channels.fill(true),
                Some(list) => {
                    for range in split(list, ';') {
                        let frequencies = &windows[id].chan_freq_hz;
                        channels(range, id, frequencies, &mut choice.channels, &complaint)?;
                    }
                }
            }
        }
    }
    match selected.values().any(|choice| choice.channels.contains(&true)) {
        true => Ok(selected),
        false => {
            let exists = format!("there are {}", listing(names.into_iter()));
            Err(complaint.error("selects no channel", exists))
        }
    }
}

/// Marks the channels of one range such as `5`, `5~50`, `5~50^3`, `<10`, `86.1~86.3GHz`.
fn channels(
    text: &str,
    spw: usize,
    frequencies: &[f64],
    selected: &mut [bool],
    complaint: &Complaint,
) -> Result<()> {
    let count = selected.len();
    let span = frequencies.iter().fold((f64::MAX, f64::MIN), |s, &f| (s.0.min(f), s.1.max(f)));
    let exists = || {
        let (low, high) = (span.0 / 1e9, span.1 / 1e9);
        format!("spw {spw} has channels 0~{}, {low:.6}~{high:.6}GHz", count.saturating_sub(1))
    };
    let bad = |problem: String| complaint.error(problem, exists());
    let (range, step) = match text.split_once('^') {
        None => (text, 1),
        Some((range, step)) => match step.trim().parse() {
            Ok(step) if step > 0 => (range.trim(), step),
            _ => return Err(bad(format!("the step in {text} is not a positive whole number"))),
        },
    };
    let number = |text: &str| text.trim().parse::<usize>().ok();
    let (first, last) = if range == "*" {
        (Some(0), count.checked_sub(1))
    } else if let Some(end) = range.strip_prefix('<') {
        (Some(0), number(end).and_then(|n| n.checked_sub(1)))
    } else if let Some(below) = range.strip_prefix('>') {
        (number(below).map(|n| n.saturating_add(1)), count.checked_sub(1))
    } else {
        match range.split_once('~') {
            Some((first, last)) => (number(first), number(last)),
            None => (number(range), number(range)),
        }
    };
    if let (Some(first), Some(last)) = (first, last) {
        if first > last || last >= count {
            return Err(bad(format!("there are no channels {range}")));
        }
        selected[first..=last].iter_mut().step_by(step).for_each(|channel| *channel = true);
        return Ok(());
    }
    let Some((low, high)) = frequency_range(range) else {
        return Err(bad(format!("{text} is neither channels nor frequencies")));
    };
    let inside = (0..count).filter(|&c| (low..=high).contains(&frequencies[c]));
    let inside: Vec<usize> = inside.step_by(step).collect();
    if inside.is_empty() {
        return Err(bad(format!("no channel centre lies in {range}")));
    }
    inside.into_iter().for_each(|c| selected[c] = true);
    Ok(())
}

/// `86.1~86.3GHz` or `86100MHz~86.3GHz` in Hz: the first unit may be left to the second.
fn frequency_range(text: &str) -> Option<(f64, f64)> {
    let (first, last) = text.split_once('~')?;
    let parse = |text: &str| Quantity::parse("spw", text, &[Dimension::Frequency]).ok();
    let last = parse(last)?;
    let first = match first.trim().parse::<f64>() {
        Ok(number) => Quantity { number, unit: last.unit },
        Err(_) => parse(first)?,
    };
    Some((first.value().min(last.value()), first.value().max(last.value())))
}
