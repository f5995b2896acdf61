//! What a user should know of the channels of a run: those without data, those that did not converge,
//! those left out of the common beam.

use serde_json::{Value, json};

use super::{ChannelSummary, Summary};
use crate::clean::Rollback;

/// Most channels that a sentence describes one by one.
const MOST: usize = 20;

impl Summary {
    /// Channels without data.
    pub fn channels_without_data(&self) -> Vec<usize> {
        self.which(|c| c.sumwt <= 0.0)
    }

    /// Channels whose models went back to their best, because the peak residual had grown.
    pub fn channels_rolled_back(&self) -> Vec<usize> {
        self.which(|c| c.rollback.is_some())
    }

    /// Channels that were left out of the common beam, and whose restored images are blank.
    pub fn common_beam_outliers(&self) -> Vec<usize> {
        self.which(|c| c.common_beam_outlier)
    }

    fn which(&self, holds: impl Fn(&ChannelSummary) -> bool) -> Vec<usize> {
        self.channels.iter().filter(|c| holds(c)).map(|c| c.channel).collect()
    }

    /// Sentences about all such channels.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match &self.unfinished {
            Some(missing) if missing.is_empty() => {
                notes.push("another process completes the cube".into());
            }
            Some(missing) => notes.push(format!(
                "the cube is not complete: {} channels are still to be imaged ({}); the process that ends \
                 last completes it",
                missing.len(),
                ranges(missing)
            )),
            None => (),
        }
        let empty = self.channels_without_data();
        if !empty.is_empty() {
            notes.push(format!("no data in {} channels: {}", empty.len(), ranges(&empty)));
        }
        let diverged = self.channels_rolled_back();
        if !diverged.is_empty() {
            let described = self.described(|c| c.rollback.as_ref().map(kept));
            notes.push(format!(
                "the peak residual grew in {} channels, which went back to their best model: \
                 {described}",
                diverged.len()
            ));
        }
        let outliers = self.common_beam_outliers();
        if !outliers.is_empty() {
            let described = self.described(|c| {
                c.beam.filter(|_| c.common_beam_outlier).map(super::summary::beam_text)
            });
            notes.push(format!(
                "{} channels are left out of the common beam, and their restored images are blank \
                 (--common-beam-outliers include would enlarge the beam for them): {described}",
                outliers.len()
            ));
        }
        notes
    }

    /// "3 (this), 7 (that)", of the channels that there is something to say of.
    fn described(&self, of: impl Fn(&ChannelSummary) -> Option<String>) -> String {
        let mut described = self.channels.iter().filter_map(|c| Some((c.channel, of(c)?)));
        let first = described.by_ref().take(MOST).map(|(c, text)| format!("{c} ({text})"));
        let mut text = first.collect::<Vec<_>>().join("; ");
        let rest = described.count();
        if rest > 0 {
            text += &format!("; and {rest} more, which --summary lists");
        }
        text
    }
}

/// What a channel kept, and how it came to it.
pub(super) fn kept(rollback: &Rollback) -> String {
    format!(
        "{} retries, gain {}, cyclefactor {}, peak {:.4} mJy kept",
        rollback.retries,
        rollback.gain,
        rollback.cyclefactor,
        1e3 * rollback.peak
    )
}

/// A roll-back in the summary; what is not finite is null.
pub(super) fn rollback_json(rollback: &Rollback) -> Value {
    json!({
        "retries": rollback.retries,
        "gain": rollback.gain,
        "cyclefactor": rollback.cyclefactor,
        "peak_jy_per_beam": rollback.peak,
        "peak_given_up_jy_per_beam": rollback.peak_given_up,
        "iterations_given_up": rollback.iterations_given_up,
    })
}

/// Ascending numbers as CASA writes channels: "1, 3~5".
fn ranges(numbers: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &n in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => parts.push((n, n)),
        }
    }
    let text = |&(first, last): &(usize, usize)| match first == last {
        true => first.to_string(),
        false => format!("{first}~{last}"),
    };
    parts.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beam::Beam;

    #[test]
    fn channels_are_named_as_casa_does() {
        assert_eq!(ranges(&[1, 3, 4, 5, 9]), "1, 3~5, 9");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn what_is_amiss_is_said_and_listed() {
        let beam = Beam::new(3e-5, 2e-5, 0.1).unwrap();
        let channel = |channel| ChannelSummary {
            channel,
            sumwt: 1.0,
            beam: Some(beam),
            ..ChannelSummary::default()
        };
        let rollback = Rollback {
            retries: 2,
            gain: 0.025,
            cyclefactor: 4.0,
            peak: 0.0125,
            peak_given_up: f32::INFINITY,
            iterations_given_up: 77,
        };
        let mut summary = Summary {
            unfinished: None,
            performance: crate::report::Performance::default(),
            command: String::new(),
            control: super::super::Control { niter: 9, ..Default::default() },
            channels: (0..40).map(channel).collect(),
            resources: super::super::Resources::default(),
            products: vec![],
        };
        assert!(summary.notes().is_empty());
        summary.channels[0].sumwt = 0.0;
        summary.channels[1].sumwt = 0.0;
        summary.channels[3] =
            ChannelSummary { rollback: Some(rollback), stopcode: 5, ..channel(3) };
        summary.channels[4] = ChannelSummary { common_beam_outlier: true, ..channel(4) };
        let notes = summary.notes();
        assert_eq!(notes[0], "no data in 2 channels: 0~1");
        let kept = "3 (2 retries, gain 0.025, cyclefactor 4, peak 12.5000 mJy kept)";
        assert!(notes[1].ends_with(kept), "{}", notes[1]);
        assert!(notes[2].ends_with("4 (6.188 x 4.125, 5.7)"), "{}", notes[2]);
        assert!(summary.table().contains("rolled back"), "{}", summary.table());
        let json = summary.to_json();
        assert_eq!(json["channels_without_data"], json!([0, 1]));
        assert_eq!(json["channels_rolled_back"], json!([3]));
        assert_eq!(json["common_beam_outliers"], json!([4]));
        let rollback = &json["channels"][3]["rollback"];
        assert_eq!((&rollback["retries"], &rollback["gain"]), (&json!(2), &json!(0.025f32)));
        assert_eq!(rollback["peak_given_up_jy_per_beam"], Value::Null);
        assert_eq!(json["channels"][2]["rollback"], Value::Null);
        for channel in &mut summary.channels {
            channel.rollback = Some(rollback_of(77));
        }
        assert!(summary.notes()[1].ends_with("and 20 more, which --summary lists"));
    }

    fn rollback_of(iterations_given_up: usize) -> Rollback {
        Rollback {
            retries: 0,
            gain: 0.1,
            cyclefactor: 1.0,
            peak: 1.0,
            peak_given_up: 5.0,
            iterations_given_up,
        }
    }
}
