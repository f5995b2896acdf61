//! How the machine is used.

use super::{BackendChoice, Parameters, given};
use crate::error::{Error, Result};

pub(super) fn backend(p: &Parameters) -> Result<BackendChoice> {
    let choice = p.choice(
        "backend",
        &[("auto", BackendChoice::Auto), ("gpu", BackendChoice::Gpu), ("cpu", BackendChoice::Cpu)],
    )?;
    if choice == BackendChoice::Cpu {
        for name in ["device", "device-memory"] {
            if let Some(value) = given(p, name) {
                return Err(Error::parameter(
                    name,
                    value,
                    "is for GPUs, and --backend cpu uses none",
                    format!("leave out --{name}, or say --backend gpu"),
                ));
            }
        }
    }
    Ok(choice)
}

/// Elements are separated by commas alone: names of devices have spaces in them.
pub(super) fn devices(p: &Parameters) -> Result<Vec<String>> {
    let Some(text) = given(p, "device") else { return Ok(Vec::new()) };
    let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
    let bad = |problem: &str| {
        let remedy = "give a part of a device's name, its index, several of these separated by \
                      commas, or all (`cubeclean devices` lists what there is)";
        Err(Error::parameter("device", text, problem, remedy))
    };
    if names.iter().any(String::is_empty) {
        return bad("has an empty element");
    }
    if names.len() > 1 && names.iter().any(|name| name.eq_ignore_ascii_case("all")) {
        return bad("names all and others");
    }
    Ok(names)
}

/// "8GB", "512MiB", "2000000000": bytes.
pub(super) fn bytes(p: &Parameters, name: &str) -> Result<Option<u64>> {
    let Some(text) = given(p, name) else { return Ok(None) };
    let bad = || {
        Error::parameter(
            name,
            text,
            "is not a size",
            "give bytes, or a number with MB, GB, MiB or GiB (8GB)",
        )
    };
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| bad())?;
    let scale = match text[split..].trim() {
        "" | "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" | "G" => 1e9,
        "TB" => 1e12,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return Err(bad()),
    };
    let bytes = number * scale;
    if bytes < 1.0 || bytes > u64::MAX as f64 { Err(bad()) } else { Ok(Some(bytes as u64)) }
}
