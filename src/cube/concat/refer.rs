//! Virtual concatenation: `imageconcat.json`, CASA's ConcatImage.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{check_free, parts::Parts};
use crate::{
    cube::{
        Format, Start,
        staging::{LIST, NEW, Staging, incomplete, sync_directory},
    },
    error::{Error, Result},
};

/// Makes `out` of references to the images, which stay.
pub(super) fn refer(out: &Path, parts: &Parts, overwrite: bool) -> Result<PathBuf> {
    if let Ok(known) = fs::canonicalize(out) {
        let within = |path: &Path| fs::canonicalize(path).is_ok_and(|p| p.starts_with(&known));
        if let Some(part) = parts.parts.iter().find(|part| within(&part.path)) {
            let problem = format!("lies within {}, which would be replaced", out.display());
            let remedy = "move it out, or use another mode or name for OUT";
            return Err(Error::data(&part.path, "IN", problem, remedy));
        }
    }
    check_free(out, overwrite)?;
    let names = parts.parts.iter().map(|part| reference(&part.path, out));
    let names = names.collect::<Result<Vec<_>>>()?;
    let staging = Staging::new(out.to_owned(), Format::Casa, Start::New { overwrite })?;
    staging.create_directory(staging.temporary())?;
    write(staging.temporary(), parts, &names)?;
    sync_directory(staging.temporary())?;
    staging.publish()
}

/// Makes `out` of the images, which are renamed into it.
pub(super) fn take_in(out: &Path, inputs: &[PathBuf], overwrite: bool) -> Result<PathBuf> {
    let temporary = incomplete(out);
    let names = names(inputs)?;
    Staging::settle(out)?;
    let there = |path: &Path| fs::symlink_metadata(path).is_ok();
    if inputs.iter().zip(&names).all(|(input, name)| !there(input) && there(&out.join(name))) {
        // They were moved, and the cube had its name, before this process began.
        return Ok(out.to_owned());
    }
    // An interrupted run may have moved some already.
    let began = holds_only(&temporary, &names);
    if began && there(out) && !overwrite {
        let remedy = "give --overwrite to replace it, or move it away".into();
        return Err(Error::Exists { path: out.to_owned(), remedy });
    }
    let now: Vec<PathBuf> = inputs
        .iter()
        .zip(&names)
        .map(|(input, name)| {
            let moved = temporary.join(name);
            if !there(input) && began && there(&moved) { moved } else { input.clone() }
        })
        .collect();
    if !began {
        check_free(out, overwrite)?;
    }
    let parts = Parts::open(&now, out)?;
    let start = if began { Start::Join } else { Start::New { overwrite } };
    let staging = Staging::new(out.to_owned(), Format::Casa, start)?;
    staging.create_directory(staging.temporary())?;
    // What was moved is in there, and found by its name.
    let name = |path: &Path| Ok(format!("././{}", text(Path::new(file_name(path)?))?));
    let names: Vec<String> = parts.parts.iter().map(|p| name(&p.path)).collect::<Result<_>>()?;
    let to_move: Vec<&PathBuf> = now.iter().filter(|path| !path.starts_with(&temporary)).collect();
    let moved = check_movable(&to_move, &temporary)
        .and_then(|()| write(staging.temporary(), &parts, &names))
        .and_then(|()| move_all(&to_move, &temporary));
    if let Err(error) = moved {
        remove_empty(&temporary);
        return Err(error);
    }
    sync_directory(&temporary)?;
    if began { staging.publish_rest() } else { staging.publish() }
}

/// The names that images will have within the cube.
fn names(inputs: &[PathBuf]) -> Result<Vec<&OsStr>> {
    let names: Vec<&OsStr> = inputs.iter().map(|path| file_name(path)).collect::<Result<_>>()?;
    for (i, name) in names.iter().enumerate() {
        text(Path::new(name))?;
        if names[..i].contains(name) {
            let remedy = "rename one of them, or use another mode";
            return Err(Error::data(&inputs[i], "IN", "has the name of another image", remedy));
        }
    }
    Ok(names)
}

fn file_name(path: &Path) -> Result<&OsStr> {
    path.file_name().ok_or_else(|| {
        Error::data(path, "IN", "has no name that could be kept", "name it without ..")
    })
}

/// Whether a directory is there and holds nothing but what a move of these images puts there.
fn holds_only(directory: &Path, names: &[&OsStr]) -> bool {
    let ours = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let name = entry.file_name();
            name == LIST || name == NEW || names.contains(&name.as_os_str())
        })
    };
    fs::read_dir(directory).is_ok_and(|mut entries| entries.all(ours))
}

/// Renames images into a directory; all go back if one cannot.
fn move_all(images: &[&PathBuf], directory: &Path) -> Result<()> {
    for (i, image) in images.iter().enumerate() {
        let to = directory.join(file_name(image)?);
        if let Err(error) = fs::rename(image, &to) {
            for image in &images[..i] {
                let from = directory.join(file_name(image)?);
                let _ = fs::rename(from, image);
            }
            return Err(Error::io("rename", *image, error));
        }
    }
    Ok(())
}

/// Removes what a move that failed has made, unless an earlier one has moved images into it.
fn remove_empty(directory: &Path) {
    if holds_only(directory, &[]) {
        let _ = fs::remove_file(directory.join(LIST));
        let _ = fs::remove_dir(directory);
    }
}

/// Refuses, before anything moves, links, which might not lead anywhere from another place, and images that lie
/// on another file system, to which nothing can be renamed.
fn check_movable(images: &[&PathBuf], directory: &Path) -> Result<()> {
    for image in images {
        if image.is_symlink() {
            let remedy = "name the image that it leads to, or use another mode";
            return Err(Error::data(image, "IN", "is a link, not an image", remedy));
        }
    }
    check_file_system(images, directory)
}

#[cfg(unix)]
fn check_file_system(images: &[&PathBuf], directory: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let device =
        |path: &Path| fs::metadata(path).map(|m| m.dev()).map_err(|e| Error::io("read", path, e));
    let here = device(directory)?;
    for image in images {
        if device(image)? != here {
            let remedy = "give OUT a place on its file system, or use --mode paged";
            let problem = "lies on another file system than OUT, and cannot be renamed into it";
            return Err(Error::data(image, "IN", problem, remedy));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_file_system(_: &[&PathBuf], _: &Path) -> Result<()> {
    Ok(())
}

/// How a ConcatImage names an image: `./X` beside it, so that both can move together; else by its full path.
fn reference(image: &Path, out: &Path) -> Result<String> {
    let io = |e: io::Error| Error::io("read", image, e);
    let full = fs::canonicalize(image).map_err(io)?;
    let here = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let beside = fs::canonicalize(here).is_ok_and(|here| full.parent() == Some(&here));
    match full.file_name().filter(|_| beside) {
        Some(name) => Ok(format!("./{}", text(Path::new(name))?)),
        None => text(&full).map(str::to_owned),
    }
}

/// A name as the list of images can hold it.
fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        let problem = "is not UTF-8, as a virtual image's references must be";
        Error::data(path, "name", problem, "rename it, or use --mode paged")
    })
}

/// Writes the file that makes a directory a ConcatImage.
fn write(directory: &Path, parts: &Parts, names: &[String]) -> Result<()> {
    let path = directory.join(LIST);
    let axis = parts.parts[0].channel_axis();
    let concat = json!({
        "Version": 1,
        "DataType": "float",
        "Axis": axis,
        "TempClose": true,
        "Images": names,
        "MiscInfo": {},
    });
    crate::tables::dat::write_file(&path, format!("{concat:#}\n").as_bytes())
}
