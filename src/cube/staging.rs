//! Output under a temporary name that becomes the product only when it is whole.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

use super::Format;

/// Ending of a product's name while it is being written. What a killed run leaves behind carries it,
/// so that it can never be taken for a product.
const INCOMPLETE: &str = ".incomplete";

/// Ending of the old product's name for the instant between two renames, on file systems that
/// cannot exchange two names at once.
const REPLACED: &str = ".replaced";

/// Name of the file that holds the pixels of a CASA image or of its mask.
pub(super) const TILE_FILE: &str = "table.f0_TSM0";

/// The two names of a product in the making.
#[derive(Debug)]
pub(super) struct Staging {
    format: Format,
    target: PathBuf,
    temporary: PathBuf,
}

impl Staging {
    /// Claims the name of a product and makes the directory it goes to. With `overwrite`, what an
    /// interrupted run left is removed; a finished product stays until [`Staging::publish`].
    pub(super) fn new(target: PathBuf, format: Format, overwrite: bool) -> Result<Self> {
        let temporary = incomplete(&target);
        if overwrite {
            check_replaceable(&target, format)?;
            check_abandoned(&temporary, format)?;
            remove(&temporary)?;
        } else {
            check_free(&target)?;
        }
        if let Some(parent) = target.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        }
        Ok(Self { format, target, temporary })
    }

    /// Makes the file of pixels, sparse, and locks it as long as it is open, so that no other run
    /// takes it for abandoned.
    pub(super) fn create_pixels(path: &Path, bytes: u64) -> Result<fs::File> {
        let create = || {
            let file = fs::File::create_new(path)?;
            // Some network file systems know no locks; there, only `--overwrite` can do harm.
            let _ = file.try_lock();
            file.set_len(bytes)?;
            Ok(file)
        };
        create().map_err(|e| Error::io("create", path, e))
    }

    /// Where to write.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Gives the finished output its name, and only then removes what had it before.
    pub(super) fn publish(self) -> Result<PathBuf> {
        // Checked again: hours may have passed since the run began.
        check_replaceable(&self.target, self.format)?;
        if fs::symlink_metadata(&self.target).is_ok() {
            self.exchange()?;
        } else {
            fs::rename(&self.temporary, &self.target)
                .map_err(|e| Error::io("rename", &self.temporary, e))?;
        }
        sync_directory(parent_of(&self.target))?;
        Ok(self.target)
    }

    /// Puts the new product in the place of the old one. No moment exists at which a crash could
    /// lose both; with a file, or where the system can exchange names, none at which the name is free.
    fn exchange(&self) -> Result<()> {
        if self.format == Format::Fits {
            return fs::rename(&self.temporary, &self.target)
                .map_err(|e| Error::io("rename", &self.temporary, e));
        }
        if exchange_names(&self.temporary, &self.target).is_ok() {
            return remove(&self.temporary);
        }
        let old = with_ending(&self.target, REPLACED);
        remove(&old)?;
        fs::rename(&self.target, &old).map_err(|e| Error::io("rename", &self.target, e))?;
        if let Err(e) = fs::rename(&self.temporary, &self.target) {
            // The old product goes back; should that fail too, it keeps its data as `.replaced`.
            let _ = fs::rename(&old, &self.target);
            return Err(Error::io("rename", &self.temporary, e));
        }
        remove(&old)
    }
}

/// Fails with [`Error::Exists`] if a product, or what an interrupted run left of it, has this name.
pub(super) fn check_free(target: &Path) -> Result<()> {
    if fs::symlink_metadata(target).is_ok() {
        return Err(Error::Exists {
            path: target.to_owned(),
            remedy: "give --overwrite to start anew, --restart to continue from it, or another imagename"
                .into(),
        });
    }
    let temporary = incomplete(target);
    if fs::symlink_metadata(&temporary).is_ok() {
        return Err(Error::Exists {
            path: temporary,
            remedy: "an interrupted run left it: give --overwrite to start anew".into(),
        });
    }
    Ok(())
}

/// Fails if `target` is something that `--overwrite` must not delete: only a CASA table directory,
/// or a plain file for FITS, can be an older product.
fn check_replaceable(target: &Path, format: Format) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(target) else { return Ok(()) };
    let product = found.is_symlink()
        || match format {
            Format::Casa => found.is_dir() && target.join("table.dat").exists(),
            Format::Fits => found.is_file(),
        };
    if product {
        return Ok(());
    }
    let what = match format {
        Format::Casa => "a CASA image",
        Format::Fits => "a file",
    };
    Err(Error::Exists {
        path: target.to_owned(),
        remedy: format!("it is not {what}, so --overwrite leaves it: move it away yourself"),
    })
}

/// Fails if the run that writes `temporary` is still alive.
fn check_abandoned(temporary: &Path, format: Format) -> Result<()> {
    let pixels = match format {
        Format::Casa => temporary.join(TILE_FILE),
        Format::Fits => temporary.to_owned(),
    };
    let Ok(file) = fs::File::open(pixels) else { return Ok(()) };
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(Error::Exists {
            path: temporary.to_owned(),
            remedy: "another run is writing it: wait for its end, or give another imagename".into(),
        }),
        // Locked by nobody, or a file system without locks.
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(()),
    }
}

fn incomplete(target: &Path) -> PathBuf {
    with_ending(target, INCOMPLETE)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(ending));
    name.into()
}

/// Removes a file, a link (not what it points to) or a directory tree; nothing there is fine.
fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    };
    removed.map_err(|e| Error::io("remove", path, e))
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes the names in a directory survive a power failure.
#[cfg(unix)]
pub(super) fn sync_directory(directory: &Path) -> Result<()> {
    fs::File::open(directory)
        .and_then(|d| d.sync_all())
        .map_err(|e| Error::io("sync", directory, e))
}

/// Windows has no such call, and needs none.
#[cfg(not(unix))]
pub(super) fn sync_directory(_: &Path) -> Result<()> {
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange_names(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange_names(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Writes all bytes at a place of the file, whatever other threads write elsewhere in it.
#[cfg(unix)]
pub(super) fn write_all_at(file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

/// Writes all bytes at a place of the file, whatever other threads write elsewhere in it.
#[cfg(windows)]
pub(super) fn write_all_at(file: &fs::File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    while !bytes.is_empty() {
        let written = file.seek_write(bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}
