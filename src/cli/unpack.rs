//! Unpacks the test and demonstration data of `assets/`: `NAME.ms.tar.xz` to `NAME.ms`, once, whole
//! or not at all.

use std::{
    fs::{self, File},
    io::BufReader,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use crate::error::{Error, Result};

/// Unpacks the MeasurementSet `name` of `archives` (`NAME.ms.tar.xz`, one directory `NAME.ms` inside)
/// into the directory `into`, and returns the path of `NAME.ms`.
///
/// With `base`, the archive holds only what differs from that set, which is unpacked first. What is
/// there already and belongs to the same archive is left alone. Threads and processes may ask for the same
/// set at once: a lock file makes them wait for the first. A set appears under its name only when
/// all of it is on disk, so an interrupted run leaves nothing that looks complete.
///
/// # Errors
/// [`Error::Io`] or [`Error::Data`] for an archive that is missing or damaged, or a directory that cannot be written.
pub fn measurement_set(
    archives: &Path,
    name: &str,
    base: Option<&str>,
    into: &Path,
) -> Result<PathBuf> {
    let base = base.map(|base| measurement_set(archives, base, None, into)).transpose()?;

    let archive = archives.join(format!("{name}.ms.tar.xz"));
    let stamp = stamp_of(&archive)?;
    let unpacked = into.join(format!("{name}.ms"));
    let stamp_file = into.join(format!(".{name}.ms.stamp"));
    let staging = into.join(format!(".{name}.ms.unpacking"));

    fs::create_dir_all(into).map_err(|e| Error::io("create", into, e))?;
    let lock_path = into.join(format!(".{name}.ms.lock"));
    let lock = File::create(&lock_path).map_err(|e| Error::io("create", &lock_path, e))?;
    // Released when `lock` is dropped, also if this process dies.
    lock.lock().map_err(|e| Error::io("lock", &lock_path, e))?;

    if unpacked.is_dir() && fs::read_to_string(&stamp_file).is_ok_and(|s| s == stamp) {
        return Ok(unpacked);
    }
    remove_if_there(&unpacked)?;
    remove_if_there(&staging)?;
    if let Some(base) = &base {
        copy_tree(base, &staging.join(format!("{name}.ms")))?;
    }
    extract(&archive, &staging)?;
    let inside = staging.join(format!("{name}.ms"));
    fs::rename(&inside, &unpacked).map_err(|e| Error::io("rename", &inside, e))?;
    remove_if_there(&staging)?;
    fs::write(&stamp_file, stamp).map_err(|e| Error::io("write", &stamp_file, e))?;
    Ok(unpacked)
}

/// What tells one version of an archive from another without reading all of it.
fn stamp_of(archive: &Path) -> Result<String> {
    let meta = fs::metadata(archive).map_err(|e| Error::io("read", archive, e))?;
    let modified = meta.modified().ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    Ok(format!("{} bytes, modified {:?}", meta.len(), modified))
}

/// Extracts a `.tar.xz` into a directory.
fn extract(archive: &Path, into: &Path) -> Result<()> {
    let file = File::open(archive).map_err(|e| Error::io("read", archive, e))?;
    let mut tar = Vec::new();
    lzma_rs::xz_decompress(&mut BufReader::new(file), &mut tar).map_err(|e| {
        Error::data(
            archive,
            "xz stream",
            format!("{e:?}"),
            "the archive is damaged: get it again from the repository",
        )
    })?;
    fs::create_dir_all(into).map_err(|e| Error::io("create", into, e))?;
    tar::Archive::new(tar.as_slice()).unpack(into).map_err(|e| Error::io("unpack into", into, e))
}

fn remove_if_there(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", dir, e)),
        _ => Ok(()),
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| Error::io("create", to, e))?;
    for entry in fs::read_dir(from).map_err(|e| Error::io("read", from, e))? {
        let entry = entry.map_err(|e| Error::io("read", from, e))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &target)?;
        } else {
            fs::copy(&source, &target).map_err(|e| Error::io("copy", &source, e))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `NAME.ms.tar.xz` with the given files.
    fn archive(dir: &Path, name: &str, files: &[(&str, &str)]) {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder
                .append_data(&mut header, format!("{name}.ms/{path}"), text.as_bytes())
                .expect("append");
        }
        let tar = builder.into_inner().expect("tar");
        let mut packed = Vec::new();
        lzma_rs::xz_compress(&mut tar.as_slice(), &mut packed).expect("xz");
        fs::write(dir.join(format!("{name}.ms.tar.xz")), packed).expect("write");
    }

    #[test]
    fn many_threads_get_one_whole_set() {
        let (archives, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        archive(archives.path(), "a", &[("table.dat", "rows"), ("SUB/table.dat", "sub")]);
        let (archives, into) = (archives.path(), into.path());
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let ms = measurement_set(archives, "a", None, into).expect("unpack");
                    assert_eq!(fs::read_to_string(ms.join("SUB/table.dat")).unwrap(), "sub");
                });
            }
        });
    }

    #[test]
    fn an_interrupted_unpacking_is_done_again() {
        let (archives, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        archive(archives.path(), "a", &[("table.dat", "rows")]);
        // What a killed process leaves: a staging directory, and a set without its stamp.
        fs::create_dir_all(into.path().join(".a.ms.unpacking/a.ms")).unwrap();
        fs::create_dir_all(into.path().join("a.ms")).unwrap();
        fs::write(into.path().join("a.ms/junk"), "half").unwrap();
        let ms = measurement_set(archives.path(), "a", None, into.path()).expect("unpack");
        assert_eq!(fs::read_to_string(ms.join("table.dat")).unwrap(), "rows");
        assert!(!ms.join("junk").exists());
        assert!(!into.path().join(".a.ms.unpacking").exists());
    }

    #[test]
    fn a_patch_lies_over_a_copy_of_its_base() {
        let (archives, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        archive(archives.path(), "a", &[("table.dat", "old"), ("table.f0", "kept")]);
        archive(archives.path(), "b", &[("table.dat", "new")]);
        let b = measurement_set(archives.path(), "b", Some("a"), into.path()).expect("unpack");
        assert_eq!(fs::read_to_string(b.join("table.dat")).unwrap(), "new");
        assert_eq!(fs::read_to_string(b.join("table.f0")).unwrap(), "kept");
        assert_eq!(fs::read_to_string(into.path().join("a.ms/table.dat")).unwrap(), "old");
    }

    #[test]
    fn damage_and_absence_are_named() {
        let (archives, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(archives.path().join("a.ms.tar.xz"), b"not xz at all").unwrap();
        let error = measurement_set(archives.path(), "a", None, into.path()).unwrap_err();
        assert!(error.to_string().contains("a.ms.tar.xz"), "{error}");
        assert!(!into.path().join("a.ms").exists());
        let error = measurement_set(archives.path(), "none", None, into.path()).unwrap_err();
        assert!(error.to_string().contains("none.ms.tar.xz"), "{error}");
    }
}
