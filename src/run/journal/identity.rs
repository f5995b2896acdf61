//! What decides the bits of a cube: only a run of which all of it is the same may go on with another's
//! planes.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    config::{Config, Group, MaskChoice, PARAMETERS, Support},
    error::{Error, Result},
};

/// Parameters that say how a cube is made or where it goes, but change no pixel.
const WITHOUT_EFFECT: [&str; 7] =
    ["imagename", "overwrite", "summary", "report", "resume", "channel-range", "verbose"];

/// What decides the bits, by name.
pub(in crate::run) type Identity = BTreeMap<String, String>;

/// Of a run on a device of this name (the CPU has none: its bits depend neither on its kind nor on the
/// number of threads).
///
/// # Errors
/// Data that cannot be looked at.
pub(in crate::run) fn identity(config: &Config, device: &str) -> Result<Identity> {
    let mut identity = Identity::new();
    for p in PARAMETERS {
        let counts = p.group != Group::Machine
            && !matches!(p.support, Support::NoEffect(_) | Support::DefaultOnly(_))
            && !WITHOUT_EFFECT.contains(&p.name);
        if counts {
            let given = config.given.iter().find(|(name, _)| *name == p.name);
            let value = given.map_or(p.default, |(_, value)| value);
            identity.insert(p.name.to_owned(), value.to_owned());
        }
    }
    identity.insert("program".into(), format!("cubeclean {}", env!("CARGO_PKG_VERSION")));
    identity.insert("device".into(), device.to_owned());
    identity.insert("contents of vis".into(), fingerprint(&config.vis)?);
    if let MaskChoice::User(path) = &config.mask
        && Path::new(path).exists()
    {
        identity.insert("contents of mask".into(), fingerprint(Path::new(path))?);
    }
    if let Some(path) = &config.restart.startmodel {
        identity.insert("contents of startmodel".into(), fingerprint(path)?);
    }
    // Wherever it is called from, it is the same set.
    let vis = fs::canonicalize(&config.vis).map_err(|e| Error::io("read", &config.vis, e))?;
    identity.insert("vis".into(), vis.display().to_string());
    Ok(identity)
}

/// Sizes and times of change of a file, or of the files right in a directory: a table that was written to,
/// replaced or cut has others.
fn fingerprint(path: &Path) -> Result<String> {
    let io = |e| Error::io("read", path, e);
    let mut files: Vec<(String, u64, u128)> = Vec::new();
    let mut add = |name: String, metadata: fs::Metadata| {
        let time = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let nanos = time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        files.push((name, metadata.len(), nanos));
    };
    let metadata = fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let metadata = entry.metadata().map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Readers that lock a table write to this one.
            if metadata.is_file() && name != "table.lock" {
                add(name, metadata);
            }
        }
    } else {
        add(String::new(), metadata);
    }
    files.sort();
    let (bytes, latest) =
        files.iter().fold((0, 0), |(bytes, latest), file| (bytes + file.1, latest.max(file.2)));
    let text = format!("{files:?}");
    let seconds = latest / 1_000_000_000;
    let crc = crc32fast::hash(text.as_bytes());
    Ok(format!("{} files, {bytes} bytes, last changed at {seconds} s ({crc:08x})", files.len()))
}

/// What differs between the run that began and this one, one sentence for each.
pub(super) fn differences(before: &Identity, now: &Identity) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let of = |identity: &Identity, name: &str| match identity.get(name) {
        Some(value) if value.is_empty() => "not given".to_owned(),
        Some(value) => value.clone(),
        None => "nothing".to_owned(),
    };
    names
        .into_iter()
        .filter(|name| before.get(*name) != now.get(*name))
        .map(|name| format!("{name}: {} before, {} now", of(before, name), of(now, name)))
        .collect()
}
