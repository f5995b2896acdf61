//! Which compute devices there are, which one a user means, and whether it can do the work.

use wgpu::{Adapter, Backends, DeviceType, Instance, Limits};

use super::memory;
use crate::{Error, Result};

/// How to get a software Vulkan driver, for machines (and tests) without a GPU.
pub const SOFTWARE_HINT: &str =
    "install a driver for your GPU, or Mesa's software Vulkan: apt-get install mesa-vulkan-drivers";

/// What one adapter is and what it can hold, for listings and reports.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct AdapterSummary {
    /// Position in the listing; `--device` accepts it.
    pub index: usize,
    /// The name that the driver gives the device.
    pub name: String,
    /// Graphics interface it is reached by: vulkan, metal, dx12.
    pub api: String,
    /// discrete, integrated, virtual, software or other.
    pub kind: &'static str,
    /// Driver name and version.
    pub driver: String,
    /// Whether it computes on CPU cores (lavapipe, SwiftShader, WARP).
    pub software: bool,
    /// Largest single buffer, bytes.
    pub max_buffer_bytes: u64,
    /// Largest part of a buffer that a shader can address through one binding, bytes.
    pub max_binding_bytes: u64,
    /// Memory that the threads of one workgroup share, bytes.
    pub workgroup_bytes: u32,
    /// Memory of its own, bytes, where the driver tells; software has none.
    pub memory_bytes: Option<u64>,
    /// Whether it works in the host's memory: software and integrated devices.
    pub shares_host_memory: bool,
    /// What keeps it from being used here, if anything.
    pub unfit: Option<String>,
}

impl AdapterSummary {
    fn new(index: usize, adapter: &Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        Self {
            index,
            api: info.backend.to_string(),
            kind: kind(info.device_type),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            software: info.device_type == DeviceType::Cpu,
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            workgroup_bytes: limits.max_compute_workgroup_storage_size,
            memory_bytes: memory::heap_bytes(adapter),
            shares_host_memory: memory::is_shared(info.device_type),
            unfit: unfit(&limits),
            name: info.name,
        }
    }
}

impl AdapterSummary {
    /// Bytes of it that a job takes unless told otherwise; `None`: what the host has free.
    pub fn job_bytes(&self) -> Option<u64> {
        if self.software { None } else { Some(memory::share_of(self.memory_bytes)) }
    }
}

/// The adapter that is taken when none is named: the first usable hardware one.
///
/// # Errors
/// [`Error::Device`] if there is none, with what there is instead.
pub fn automatic(found: &[AdapterSummary]) -> Result<usize> {
    choose_index(None, found)
}

/// All adapters of this machine, hardware first, in a stable order.
pub fn adapters() -> Vec<AdapterSummary> {
    enumerate().iter().enumerate().map(|(i, a)| AdapterSummary::new(i, a)).collect()
}

fn kind(device_type: DeviceType) -> &'static str {
    match device_type {
        DeviceType::DiscreteGpu => "discrete",
        DeviceType::IntegratedGpu => "integrated",
        DeviceType::VirtualGpu => "virtual",
        DeviceType::Cpu => "software",
        DeviceType::Other => "other",
    }
}

/// Adapters by falling preference. OpenGL is left out: it lists the same devices a second time,
/// with fewer storage bindings.
fn enumerate() -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = Backends::VULKAN | Backends::METAL | Backends::DX12;
    // Refuse an allocation before the driver starts to page: an error is better than a machine that
    // crawls, or a driver that resets.
    descriptor.memory_budget_thresholds.for_resource_creation = Some(97);
    let instance = Instance::new(descriptor);
    let mut found = pollster::block_on(instance.enumerate_adapters(Backends::all()));
    found.sort_by_key(|a| match a.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::VirtualGpu => 1,
        DeviceType::IntegratedGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    });
    found
}

/// What it is called, the least that will do, and where the limits have it.
type Requirement = (&'static str, u64, fn(&Limits) -> u64);

/// What the shaders need of every device. The limits that bound only sizes are not among them:
/// buffers are split, and transforms done in more passes, to fit those.
const NEEDED: [Requirement; 5] = [
    ("storage bindings per shader", 8, |l| l.max_storage_buffers_per_shader_stage.into()),
    ("invocations per workgroup", 256, |l| l.max_compute_invocations_per_workgroup.into()),
    ("bytes of workgroup memory", 16 << 10, |l| l.max_compute_workgroup_storage_size.into()),
    ("workgroups per dimension", 65535, |l| l.max_compute_workgroups_per_dimension.into()),
    ("bytes per storage binding", 1 << 20, |l| l.max_storage_buffer_binding_size),
];

/// The first requirement that the limits do not meet, in words.
pub(super) fn unfit(limits: &Limits) -> Option<String> {
    NEEDED.iter().find(|(_, needed, of)| of(limits) < *needed).map(|(what, needed, of)| {
        format!("it offers {} {what}, and {needed} are needed", of(limits))
    })
}

/// The adapters that `devices` name, each by a part of its name or its index in the listing, or all
/// hardware adapters by the one word `all`; without names the first hardware adapter. One that is named
/// twice is there twice. A software adapter is taken only when it is named.
pub(super) fn choose(devices: &[String]) -> Result<Vec<Adapter>> {
    let found = enumerate();
    let summaries: Vec<_> =
        found.iter().enumerate().map(|(i, a)| AdapterSummary::new(i, a)).collect();
    let indices = choose_indices(devices, &summaries)?;
    Ok(indices.into_iter().map(|i| found[i].clone()).collect())
}

fn choose_indices(devices: &[String], found: &[AdapterSummary]) -> Result<Vec<usize>> {
    match devices {
        [all] if all.eq_ignore_ascii_case("all") => {
            let first = choose_index(None, found)?;
            // Where one device can be reached by two interfaces, it is listed under both.
            let usable = found
                .iter()
                .filter(|a| !a.software && a.unfit.is_none() && a.api == found[first].api);
            Ok(usable.map(|a| a.index).collect())
        }
        [] => Ok(vec![choose_index(None, found)?]),
        names => names.iter().map(|name| choose_index(Some(name), found)).collect(),
    }
}

fn choose_index(device: Option<&str>, found: &[AdapterSummary]) -> Result<usize> {
    let error = |problem: String, remedy: &str| Error::Device {
        device: device.unwrap_or("gpu").to_owned(),
        problem,
        remedy: remedy.to_owned(),
    };
    let listing = || {
        let names: Vec<_> = found.iter().map(|a| format!("{}: {}", a.index, a.name)).collect();
        names.join(", ")
    };
    if found.is_empty() {
        return Err(error(
            "this machine offers no adapter for compute shaders".into(),
            &format!("{SOFTWARE_HINT}; or use --backend cpu"),
        ));
    }
    let chosen = match device {
        None => found.iter().find(|a| !a.software && a.unfit.is_none()).ok_or_else(|| {
            let unfit: Vec<_> = found
                .iter()
                .filter(|a| !a.software)
                .filter_map(|a| Some(format!("{}: {}", a.name, a.unfit.as_ref()?)))
                .collect();
            let problem = if unfit.is_empty() {
                format!("no hardware GPU, only software adapters ({})", listing())
            } else {
                format!("no usable hardware GPU ({})", unfit.join("; "))
            };
            error(problem, "name a software adapter with --device, or use --backend cpu")
        })?,
        Some(name) => {
            let wanted = name.to_lowercase();
            let by_index = name.parse::<usize>().ok().and_then(|i| found.get(i));
            by_index
                .or_else(|| found.iter().find(|a| a.name.to_lowercase().contains(&wanted)))
                .ok_or_else(|| {
                    error("no adapter of that name".into(), &format!("there are: {}", listing()))
                })?
        }
    };
    match &chosen.unfit {
        None => Ok(chosen.index),
        Some(why) => Err(Error::Device {
            device: chosen.name.clone(),
            problem: why.clone(),
            remedy: "choose another with --device, or use --backend cpu".into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(index: usize, name: &str, software: bool, unfit: Option<&str>) -> AdapterSummary {
        AdapterSummary {
            index,
            name: name.into(),
            api: "vulkan".into(),
            kind: if software { "software" } else { "discrete" },
            driver: String::new(),
            software,
            max_buffer_bytes: 1 << 31,
            max_binding_bytes: 1 << 31,
            workgroup_bytes: 32 << 10,
            memory_bytes: None,
            shares_host_memory: software,
            unfit: unfit.map(str::to_owned),
        }
    }

    #[test]
    fn software_is_taken_only_by_name() {
        let found = [summary(0, "NVIDIA H100", false, None), summary(1, "llvmpipe", true, None)];
        assert_eq!(choose_index(None, &found).unwrap(), 0);
        assert_eq!(choose_index(Some("LLVM"), &found).unwrap(), 1);
        assert_eq!(choose_index(Some("1"), &found).unwrap(), 1);
        let lonely = [summary(0, "llvmpipe", true, None)];
        let message = choose_index(None, &lonely).unwrap_err().to_string();
        assert!(message.contains("llvmpipe") && message.contains("--device"), "{message}");
    }

    #[test]
    fn several_devices_are_named_in_a_list_or_all_at_once() {
        let found = [
            summary(0, "NVIDIA H100", false, None),
            summary(1, "NVIDIA H100", false, None),
            AdapterSummary { api: "dx12".into(), ..summary(2, "NVIDIA H100", false, None) },
            summary(3, "Old GPU", false, Some("it offers too little")),
            summary(4, "llvmpipe", true, None),
        ];
        let of = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            choose_indices(&names, &found)
        };
        assert_eq!(of(&[]).unwrap(), [0]);
        assert_eq!(of(&["all"]).unwrap(), [0, 1]);
        assert_eq!(of(&["1", "h100"]).unwrap(), [1, 0]);
        assert_eq!(of(&["llvm", "4"]).unwrap(), [4, 4]);
        assert!(of(&["0", "old"]).unwrap_err().to_string().contains("too little"));
        assert!(of(&["0", "9"]).unwrap_err().to_string().starts_with("9: no adapter"));
    }

    #[test]
    fn missing_and_unfit_adapters_are_explained() {
        let message = choose_index(None, &[]).unwrap_err().to_string();
        assert!(message.contains("mesa-vulkan-drivers") && message.contains("--backend cpu"));
        let old = [summary(0, "Old GPU", false, Some("it offers too little"))];
        for device in [None, Some("old")] {
            let message = choose_index(device, &old).unwrap_err().to_string();
            assert!(message.contains("Old GPU") && message.contains("too little"), "{message}");
        }
        let all = ["all".to_owned()];
        assert!(choose_indices(&all, &old).unwrap_err().to_string().contains("Old GPU"));
        let message = choose_index(Some("radeon"), &old).unwrap_err().to_string();
        assert!(message.contains("radeon") && message.contains("0: Old GPU"), "{message}");
    }

    #[test]
    fn the_first_unmet_limit_is_named() {
        assert_eq!(unfit(&Limits::default()), None);
        let poor = Limits { max_storage_buffers_per_shader_stage: 4, ..Limits::default() };
        assert!(unfit(&poor).unwrap().contains("4 storage bindings"));
    }
}
