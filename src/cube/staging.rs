//! Output under a temporary name that becomes the product only when it is whole.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

use super::{Format, Start, pixel_file::PixelFile};

/// Ending of a product's name while it is being written. What a killed run leaves behind carries it,
/// so that it can never be taken for a product.
const INCOMPLETE: &str = ".incomplete";

/// Ending of the old product's name for the instant between two renames, on file systems that
/// cannot exchange two names at once.
const REPLACED: &str = ".replaced";

/// A file in a CASA image that is complete but whose older namesake may still be there: it tells the two
/// apart when a run is killed while they change places. Nothing reads it but [`Staging::publish_rest`].
pub(super) const NEW: &str = "cubeclean.new";

/// The file that makes a directory CASA's ConcatImage: it lists the images that it is made of.
pub(super) const LIST: &str = "imageconcat.json";

/// Name of the file that holds the pixels of a CASA image or of its mask.
pub(super) const TILE_FILE: &str = "table.f0_TSM0";

/// The two names of a product in the making.
#[derive(Debug)]
pub(super) struct Staging {
    format: Format,
    target: PathBuf,
    temporary: PathBuf,
    join: bool,
}

impl Staging {
    /// Claims the name of a product and makes the directory it goes to. Where it may be overwritten, what
    /// an interrupted run left is removed; a finished product stays until [`Staging::publish`].
    pub(super) fn new(target: PathBuf, format: Format, start: Start) -> Result<Self> {
        match start {
            Start::New { overwrite: false } => check_free(&target)?,
            Start::New { overwrite: true } => {
                check_replaceable(&target, format)?;
                remove_abandoned(&target, format)?;
            }
            Start::Join => check_replaceable(&target, format)?,
        }
        if let Some(parent) = target.parent().filter(|p| !p.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|e| Error::io("create", parent, e))?;
        }
        Ok(Self { join: start == Start::Join, ..Self::completed(target, format) })
    }

    /// A product that is complete and only lacks its name.
    pub(super) fn completed(target: PathBuf, format: Format) -> Self {
        Self { format, temporary: incomplete(&target), target, join: true }
    }

    /// Makes a file of pixels below the temporary name.
    pub(super) fn create_pixels(&self, path: &Path, bytes: u64) -> Result<PixelFile> {
        PixelFile::create(path, bytes, self.join)
    }

    /// Makes a directory at the temporary name or below it.
    pub(super) fn create_directory(&self, path: &Path) -> Result<()> {
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && self.join => Ok(()),
            made => made.map_err(|e| Error::io("create", path, e)),
        }
    }

    /// Where to write.
    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// Gives the finished output its name, and only then removes what had it before.
    pub(super) fn publish(self) -> Result<PathBuf> {
        self.put_in_place()?;
        Ok(self.target)
    }

    fn put_in_place(&self) -> Result<()> {
        // Checked again: hours may have passed since the run began.
        check_replaceable(&self.target, self.format)?;
        match fs::symlink_metadata(&self.target).is_ok() && self.format == Format::Casa {
            true => self.exchange()?,
            // A file takes another's place in one step.
            false => rename(&self.temporary, &self.target)?,
        }
        sync_directory(parent_of(&self.target))
    }

    /// [Publishes](Staging::publish) what a killed run may have published already, or been about to.
    pub(super) fn publish_rest(self) -> Result<PathBuf> {
        let there = |path: &Path| fs::symlink_metadata(path).is_ok();
        let old = with_ending(&self.target, REPLACED);
        // Where both names are taken, the mark is with the new one once they may have changed places.
        let changed = there(&self.target.join(NEW)) && !there(&self.temporary.join(NEW));
        match (there(&self.temporary), there(&self.target)) {
            (true, true) if changed => remove(&self.temporary)?,
            (true, _) => self.put_in_place()?,
            (false, true) => (),
            (false, false) => {
                return Err(Error::data(
                    &self.target,
                    "product",
                    "is gone, under this and under its temporary name",
                    "start anew with --overwrite",
                ));
            }
        }
        remove(&old)?;
        if self.format == Format::Casa {
            remove(&self.target.join(NEW))?;
        }
        sync_directory(parent_of(&self.target))?;
        Ok(self.target)
    }

    /// Takes up a change of places that a crash interrupted when it had happened: the old image is removed.
    /// Tells whether there was one.
    pub(super) fn settle(target: &Path) -> Result<bool> {
        let changed = target.join(NEW).exists() && !incomplete(target).join(NEW).exists();
        if changed {
            Self::completed(target.to_owned(), Format::Casa).publish_rest()?;
        }
        Ok(changed)
    }

    /// Puts the new image in the place of the old one. No moment exists at which a crash could lose
    /// both; where the system can exchange names, none at which the name is free.
    fn exchange(&self) -> Result<()> {
        // A mark that a crash left in the older image would be taken for this one's.
        remove(&self.target.join(NEW))?;
        let mark = self.temporary.join(NEW);
        fs::write(&mark, "").map_err(|e| Error::io("create", &mark, e))?;
        sync_directory(&self.temporary)?;
        if exchange_names(&self.temporary, &self.target).is_ok() {
            remove(&self.temporary)?;
        } else {
            let old = with_ending(&self.target, REPLACED);
            remove(&old)?;
            rename(&self.target, &old)?;
            if let Err(e) = rename(&self.temporary, &self.target) {
                // The old product goes back; should that fail too, it keeps its data as `.replaced`.
                let _ = fs::rename(&old, &self.target);
                return Err(e);
            }
            remove(&old)?;
        }
        remove(&self.target.join(NEW))
    }
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| Error::io("rename", from, e))
}

/// Removes what an interrupted run left under the temporary name of a product, unless it is alive.
pub(super) fn remove_abandoned(target: &Path, format: Format) -> Result<()> {
    let temporary = incomplete(target);
    check_abandoned(&temporary, format)?;
    if format == Format::Casa {
        // Also a mark that was left in the older image: it would be taken for that of the one that is begun now.
        Staging::settle(target)?;
    }
    if temporary.join(LIST).exists() && has_directories(&temporary) {
        let remedy = "an interrupted concatenation has moved images into it: run it again, with --mode \
                      movevirtual, or move them out";
        return Err(Error::Exists { path: temporary, remedy: remedy.into() });
    }
    remove(&temporary)
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
            remedy: "an interrupted run left it: give --resume to go on from it, or --overwrite to start anew"
                .into(),
        });
    }
    Ok(())
}

/// Fails if `target` is something that `--overwrite` must not delete: only an image of the format, or a
/// link, can be an older product. A MeasurementSet is a table too, but no image.
pub(super) fn check_replaceable(target: &Path, format: Format) -> Result<()> {
    let Ok(found) = fs::symlink_metadata(target) else { return Ok(()) };
    let product = found.is_symlink()
        || match format {
            Format::Casa => found.is_dir() && is_casa_image(target),
            Format::Fits => found.is_file() && (found.len() == 0 || is_fits(target)),
        };
    if product {
        return Ok(());
    }
    let what = match format {
        Format::Casa => "a CASA image",
        Format::Fits => "a FITS file",
    };
    Err(Error::Exists {
        path: target.to_owned(),
        remedy: format!("it is not {what}, so --overwrite leaves it: move it away yourself"),
    })
}

/// Whether a directory is a CASA image: a table of that type, or a virtual one.
fn is_casa_image(directory: &Path) -> bool {
    let info = fs::read_to_string(directory.join("table.info")).unwrap_or_default();
    let image = info.lines().next().is_some_and(|line| line.trim_end() == "Type = Image");
    (image && directory.join("table.dat").exists()) || directory.join(LIST).exists()
}

/// Whether a file begins as FITS files do.
fn is_fits(path: &Path) -> bool {
    use io::Read;
    let mut magic = [0; 9];
    fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut magic))
        .is_ok_and(|()| &magic == b"SIMPLE  =")
}

fn has_directories(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(|entry| entry.path().is_dir()))
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

pub(super) fn incomplete(target: &Path) -> PathBuf {
    with_ending(target, INCOMPLETE)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(ending));
    name.into()
}

/// Removes a finished image so that it is there as a whole or not at all, whenever this is interrupted and done
/// again.
pub(super) fn remove_at_once(path: &Path) -> Result<()> {
    let removed = with_ending(path, REPLACED);
    remove(&removed)?;
    if fs::symlink_metadata(path).is_ok() {
        rename(path, &removed)?;
    }
    remove(&removed)
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
