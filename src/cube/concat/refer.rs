//! Virtual concatenation: `imageconcat.json`, CASA's ConcatImage.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::parts::Parts;
use crate::{
    cube::{
        Format, Start,
        staging::{Staging, incomplete, sync_directory},
    },
    error::{Error, Result},
};

/// Makes `out` of references to the images, which stay.
pub(super) fn refer(out: &Path, parts: &Parts, overwrite: bool) -> Result<PathBuf> {
    let staging = Staging::new(out.to_owned(), Format::Casa, Start::New { overwrite })?;
    let names = parts.parts.iter().map(|part| reference(&part.path, out));
    let names = names.collect::<Result<Vec<_>>>()?;
    staging.create_directory(staging.temporary())?;
    write(staging.temporary(), parts, &names)?;
    staging.publish()
}

/// Makes `out` of the images, which are renamed into it.
pub(super) fn take_in(out: &Path, inputs: &[PathBuf], overwrite: bool) -> Result<PathBuf> {
    let temporary = incomplete(out);
    if Staging::settle(out)? && inputs.iter().all(|input| !input.exists()) {
        // They were moved, and the cube had its name, before this process began.
        return Ok(out.to_owned());
    }
    // An interrupted run has moved some already; nothing that is not among the inputs may be there.
    let began = temporary.join("imageconcat.json").exists();
    let name = |path: &Path| {
        path.file_name().map(|name| temporary.join(name)).ok_or_else(|| {
            Error::data(path, "IN", "has no name that could be kept", "name it without ..")
        })
    };
    let mut now = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        let moved = name(input)?;
        if inputs[..i].iter().any(|other| other.file_name() == input.file_name()) {
            let remedy = "rename one of them, or use another mode";
            return Err(Error::data(input, "IN", "has the name of another image", remedy));
        }
        now.push(if !input.exists() && began && moved.exists() { moved } else { input.clone() });
    }
    let parts = Parts::open(&now, out)?;
    let start = if began { Start::Join } else { Start::New { overwrite } };
    let staging = Staging::new(out.to_owned(), Format::Casa, start)?;
    staging.create_directory(staging.temporary())?;
    // What was moved is in there, and found by its name.
    let names: Vec<String> = parts
        .parts
        .iter()
        .map(|part| format!("././{}", part.path.file_name().unwrap_or_default().to_string_lossy()))
        .collect();
    let to_move: Vec<&PathBuf> = now.iter().filter(|path| !path.starts_with(&temporary)).collect();
    if let Err(error) = check_file_system(&to_move, &temporary) {
        if !began {
            let _ = fs::remove_dir(&temporary);
        }
        return Err(error);
    }
    write(staging.temporary(), &parts, &names)?;
    move_all(&to_move, &temporary)?;
    sync_directory(&temporary)?;
    if began { staging.publish_rest() } else { staging.publish() }
}

/// Renames images into a directory; all go back if one cannot.
fn move_all(images: &[&PathBuf], directory: &Path) -> Result<()> {
    for (i, image) in images.iter().enumerate() {
        let to = directory.join(image.file_name().unwrap_or_default());
        if let Err(error) = fs::rename(image, &to) {
            for image in &images[..i] {
                let from = directory.join(image.file_name().unwrap_or_default());
                let _ = fs::rename(from, image);
            }
            let _ = fs::remove_file(directory.join("imageconcat.json"));
            let _ = fs::remove_dir(directory);
            return Err(Error::io("rename", *image, error));
        }
    }
    Ok(())
}

/// Refuses, before anything moves, images that lie on another file system, to which nothing can be renamed.
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
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| {
            let remedy = "rename it, or use --mode paged";
            Error::data(
                image,
                "name",
                "is not UTF-8, as a virtual image's references must be",
                remedy,
            )
        })
    };
    match full.file_name().filter(|_| beside) {
        Some(name) => Ok(format!("./{}", text(Path::new(name))?)),
        None => text(&full),
    }
}

/// Writes the file that makes a directory a ConcatImage.
fn write(directory: &Path, parts: &Parts, names: &[String]) -> Result<()> {
    let path = directory.join("imageconcat.json");
    let axis = parts.parts[0].cube.channel_axis();
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
