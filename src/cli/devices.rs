//! `cubeclean devices`: which GPUs there are, and what fits on them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::say;
use crate::{
    backend::gpu::{AdapterSummary, Capacity, adapter},
    error::Result,
    report::size_text,
    run::free_memory,
};

/// Runs `cubeclean devices`.
pub fn run(as_json: bool) -> Result<()> {
    let devices: Vec<Device> = adapter::adapters().into_iter().map(Device::new).collect();
    if as_json {
        let text = serde_json::to_string_pretty(&json(&devices)).unwrap_or_default();
        say(&text);
    } else {
        say(&text(&devices));
    }
    Ok(())
}

/// An adapter with what fits on it.
struct Device {
    adapter: AdapterSummary,
    capacity: Capacity,
}

impl Device {
    fn new(adapter: AdapterSummary) -> Self {
        // A software device takes what the host has free.
        let bytes = adapter.job_bytes().unwrap_or_else(free_memory);
        let capacity = Capacity::new(bytes, adapter.max_binding_bytes);
        Self { adapter, capacity }
    }

    fn text(&self) -> String {
        let (a, fits) = (&self.adapter, &self.capacity);
        let memory = match (a.memory_bytes, a.shares_host_memory) {
            (Some(bytes), false) => size_text(bytes),
            (Some(bytes), true) => format!("{} (the host's)", size_text(bytes)),
            (None, true) => "of the host".to_owned(),
            (None, false) => "of unknown size".to_owned(),
        };
        let use_of_it = match (&a.unfit, a.software) {
            (Some(why), _) => format!("cannot be used: {why}"),
            (None, true) => format!("usable when named: --device {}", a.index),
            (None, false) => "usable".to_owned(),
        };
        let channels: Vec<String> = fits
            .channels
            .iter()
            .map(|(side, channels)| format!("{channels} of {side} x {side}"))
            .collect();
        format!(
            "{}: {}\n   {}, {}, {}\n   memory {memory}; buffers up to {}, bindings {}, workgroup memory \
             {}\n   {use_of_it}\n   fits into {}: images up to {side} x {side}; channels at once: {}\n",
            a.index,
            a.name,
            a.kind,
            a.api,
            a.driver,
            size_text(a.max_buffer_bytes),
            size_text(a.max_binding_bytes),
            size_text(a.workgroup_bytes.into()),
            size_text(fits.bytes),
            channels.join(", "),
            side = fits.largest_image,
        )
    }

    fn json(&self) -> Value {
        let mut value = serde_json::to_value(&self.adapter).unwrap_or_default();
        let channels: serde_json::Map<String, Value> = (self.capacity.channels.iter())
            .map(|(side, channels)| (side.to_string(), json!(channels)))
            .collect();
        value["usable"] = json!(self.adapter.unfit.is_none());
        value["fits"] = json!({
            "bytes": self.capacity.bytes,
            "largest_square_image": self.capacity.largest_image,
            "channels_of_square_images": channels,
        });
        value
    }
}

/// The device that `--backend auto` looks at, or why there is none.
fn automatic(devices: &[Device]) -> Result<usize, String> {
    let adapters: Vec<AdapterSummary> = devices.iter().map(|d| d.adapter.clone()).collect();
    adapter::automatic(&adapters).map_err(|e| e.to_string())
}

fn text(devices: &[Device]) -> String {
    let mut text: String = devices.iter().map(Device::text).collect();
    let _ = match automatic(devices) {
        Ok(index) => write!(text, "--backend auto takes {index}: {}", devices[index].adapter.name),
        Err(why) => write!(text, "--backend auto takes the CPU ({why})"),
    };
    text
}

fn json(devices: &[Device]) -> Value {
    json!({
        "devices": devices.iter().map(Device::json).collect::<Vec<_>>(),
        "auto": automatic(devices).ok(),
    })
}
