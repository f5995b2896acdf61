//! The part of a cube that this process images: what is to be done of it, what is done already, and how
//! the cube is completed by whoever finishes its last channel.

use std::{ops::Range, path::PathBuf, sync::Arc};

use rayon::prelude::*;

use super::{
    journal::{self, Beginning, Claim, Header, Journal, State, identity},
    plan::Plan,
    products::{self, ProductBeams, Products},
    stoppable::check_stop,
};
use crate::{
    beam::Beam,
    config::{Config, CycleControl, RestoringBeam},
    cube::{self, CubeSpec, Start},
    error::{Error, Result},
    report::{ChannelSummary, Event, Progress},
};

/// The channels of this process, and the journal of the cube.
pub(super) struct Part<'a> {
    config: &'a Config,
    progress: &'a dyn Progress,
    /// Channels of the whole cube.
    nchan: usize,
    pub journal: Arc<Journal>,
    /// Whether products of an unfinished cube are joined.
    joins: bool,
    pub channels: Range<usize>,
    /// When this process began.
    pub before: State,
}

/// How a run ends.
pub(super) enum End {
    /// The cube is complete: its products, and all its channels.
    /// The journal is removed with the claim, when all else is done.
    Complete { paths: Vec<PathBuf>, channels: Vec<ChannelSummary>, claim: Claim },
    /// Other processes have still to image channels, or one of them is completing the cube.
    Unfinished { channels: Vec<ChannelSummary>, missing: Vec<usize> },
}

/// Refuses, before any work, a run whose products, or an interrupted run of the same name, are in its way.
pub(super) fn check_free(config: &Config) -> Result<()> {
    journal::check(&config.imagename, &beginning(config))?;
    if config.replaces() || journal::exists(&config.imagename) {
        return Ok(());
    }
    let checked = cube::check_absent(&config.imagename, &config.products, &config.formats);
    match checked {
        Err(Error::Exists { path, .. }) if config.resume => {
            journal::sweep(&config.imagename)?;
            let problem = match path.extension() == Some("incomplete".as_ref()) {
                true => {
                    "an interrupted run left it, but not its journal, without which none can resume it"
                }
                false => "there is no interrupted run of that name to resume",
            };
            let remedy = format!("{problem}: give --overwrite to start anew, or another imagename");
            Err(Error::Exists { path, remedy })
        }
        checked => checked,
    }
}

fn beginning(config: &Config) -> Beginning {
    let part = config.channel_range.clone();
    Beginning { resume: config.resume, part, overwrite: config.overwrite }
}

/// The channels that this process images.
fn channels(config: &Config, nchan: usize) -> Result<Range<usize>> {
    let Some(range) = &config.channel_range else { return Ok(0..nchan) };
    if range.end > nchan {
        return Err(Error::parameter(
            "channel-range",
            format!("{}~{}", range.start, range.end - 1),
            format!("is not within the cube, whose channels are 0~{}", nchan - 1),
            "give channels of the cube",
        ));
    }
    Ok(range.clone())
}

impl<'a> Part<'a> {
    /// Begins, joins or resumes the cube of a plan on a device of this name; nothing is written before.
    ///
    /// # Errors
    /// An interrupted run of another job; other processes at the same channels; what the system refuses.
    pub fn open(
        config: &'a Config,
        plan: &Plan,
        device: &str,
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let nchan = plan.nchan();
        let channels = channels(config, nchan)?;
        let (journal, joins) = Journal::open(
            &config.imagename,
            &Header::new(identity(config, device)?, plan.spec.history.clone()),
            channels.clone(),
            &beginning(config),
            || products::remove_incomplete(config, nchan),
        )?;
        let before = journal.state()?;
        Ok(Self { config, progress, nchan, journal: Arc::new(journal), joins, channels, before })
    }

    /// Starts the products, or joins them; this process' channels that an interrupted run finished are
    /// verified, and those that are not on disk as they were recorded are forgotten. Those of others are
    /// for others to answer for: they may be at work on another machine.
    pub fn products(&mut self, plan: &Plan) -> Result<Products> {
        let start = match self.joins {
            true => Start::Join,
            false => Start::New { overwrite: self.config.replaces() },
        };
        let spec = CubeSpec { history: self.journal.history.clone(), ..plan.spec.clone() };
        let products = Products::create(self.config, &spec, start)?;
        let own: Vec<(&usize, &journal::Done)> =
            self.before.done.range(self.channels.clone()).collect();
        if !own.is_empty() {
            self.progress.event(Event::Stage { name: "verifying finished channels".into() });
            let check = |(&channel, done): (&usize, &journal::Done)| {
                check_stop(self.config, self.progress)?;
                Ok((channel, products.verify(channel, &done.sums)?))
            };
            let found: Vec<(usize, bool)> =
                own.into_par_iter().map(check).collect::<Result<_>>()?;
            for (channel, _) in found.into_iter().filter(|(_, good)| !good) {
                self.journal.void(channel)?;
                self.before.done.remove(&channel);
            }
        }
        Ok(products)
    }

    /// Channels that this process has to image.
    pub fn to_do(&self) -> Vec<usize> {
        let to_do: Vec<usize> =
            self.channels.clone().filter(|c| !self.before.done.contains_key(c)).collect();
        // One control over the cube is all or nothing.
        match self.config.cyclecontrol == CycleControl::Cube && !to_do.is_empty() {
            true => self.channels.clone().collect(),
            false => to_do,
        }
    }

    /// Channels that were finished before.
    pub fn finished_before(&self) -> usize {
        self.channels.len() - self.to_do().len()
    }

    /// Forgets a cube that was begun by this process and has no products yet, so that the next run is not
    /// told of it. One that was stopped may be resumed.
    pub fn give_up(self, error: &Error) {
        if !self.joins && !matches!(error, Error::Stopped { .. }) {
            // The error is what counts.
            let _ = self.journal.claim().and_then(|claim| match claim {
                Some(claim) => self.journal.remove(claim),
                None => Ok(()),
            });
        }
    }

    /// Brings what is finished to the disk before a run ends with an error, so that it survives whatever comes
    /// next; where nothing is, a run that failed leaves nothing behind.
    pub fn keep_or_give_up(self, products: Products, error: &Error) {
        // Should any of this fail, the first error is the greater news: what is not on disk is found out by
        // its checksum, and what was not removed is named when it is in the way.
        let nothing = self.journal.state().is_ok_and(|state| state.done.is_empty());
        if nothing && !self.joins && !matches!(error, Error::Stopped { .. }) {
            drop(products);
            let _ = products::remove_incomplete(self.config, self.nchan);
            self.give_up(error);
        } else {
            let _ = products.sync().and_then(|()| self.journal.sync());
        }
    }

    /// Names products that a run which was killed had completed.
    pub fn publish_rest(self) -> Result<End> {
        let Some(claim) = self.journal.claim()? else { return self.unfinished(Vec::new()) };
        let stop = || check_stop(self.config, self.progress);
        let paths = products::publish_completed(self.config, self.nchan, &stop)?;
        let channels = self.before.done.into_values().map(|done| done.summary).collect();
        Ok(End::Complete { paths, channels, claim })
    }

    /// Completes and names the products, if every channel of the cube is done and nobody else is at it.
    pub fn finish(self, products: Products) -> Result<End> {
        // In this order: of two processes that end at the same time, one sees all channels on disk.
        products.sync()?;
        self.journal.on_disk(&self.channels)?;
        let state = match self.journal.state() {
            // The other one was faster, and is through with it.
            Err(_) if self.journal.has_served() => return self.unfinished(Vec::new()),
            state => state?,
        };
        let missing = state.missing(self.nchan);
        if !missing.is_empty() {
            let served = self.journal.has_served();
            return self.unfinished(if served { Vec::new() } else { missing });
        }
        let Some(claim) = self.journal.claim()? else { return self.unfinished(missing) };
        let channels: Vec<ChannelSummary> =
            state.done.into_values().map(|done| done.summary).collect();
        (0..self.nchan).for_each(|channel| products.adopt(channel));
        let fitted = channels.iter().map(|c| c.beam).collect();
        let restored = self.restored(&channels);
        products.complete(&ProductBeams { fitted, restored })?;
        self.journal.completed()?;
        let stop = || check_stop(self.config, self.progress);
        let paths = products.publish(self.config, self.nchan, &stop)?;
        Ok(End::Complete { paths, channels, claim })
    }

    /// The beam that all restored images have.
    fn restored(&self, channels: &[ChannelSummary]) -> Option<Beam> {
        match self.config.restoringbeam {
            RestoringBeam::PerChannel => None,
            _ => channels.iter().find_map(|c| c.restoring_beam),
        }
    }

    /// The end of a process that is not the last.
    fn unfinished(self, missing: Vec<usize>) -> Result<End> {
        let mut state = self.journal.state().unwrap_or_default();
        let own = self.channels.clone().filter_map(|c| state.done.remove(&c));
        Ok(End::Unfinished { channels: own.map(|done| done.summary).collect(), missing })
    }
}
