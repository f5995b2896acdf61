//! VkFFT itself, on wgpu's own Vulkan handles through `shim.c`, and what keeps that sound:
//!
//! - Everything that VkFFT makes belongs to a device that the application keeps open, and is deleted
//!   only when the device has nothing left to do.
//! - VkFFT submits to wgpu's queue while it is set up, with the recorder locked: nobody else does then.
//! - wgpu does not see which buffer VkFFT's commands use. It is the application's own, and a full
//!   barrier before and after them stands for those that wgpu would set.
//! - A descriptor set is written when the first transform in its direction is recorded, and not again.

use std::{
    ffi::{CStr, c_char, c_int},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::{self, NonNull},
    sync::{Mutex, PoisonError},
};

use ash::vk::Handle;
use wgpu::hal::api::Vulkan;

use crate::{
    Result,
    backend::gpu::{device::Device, recorder::Recorder},
};

/// `cubeclean_vkfft` of the shim.
#[repr(C)]
struct Fft {
    _opaque: [u8; 0],
}

/// `cubeclean_vkfft_options` of the shim.
#[repr(C)]
struct Options {
    physical: u64,
    device: u64,
    queue: u64,
    work: u64,
    bytes: u64,
    length: u64,
    lines: u64,
    family: u32,
    real: u32,
}

unsafe extern "C" {
    fn cubeclean_vkfft_create(options: *const Options, out: *mut *mut Fft) -> c_int;
    fn cubeclean_vkfft_append(fft: *mut Fft, commands: u64, exponent: c_int) -> c_int;
    fn cubeclean_vkfft_destroy(fft: *mut Fft);
    fn cubeclean_vkfft_message(result: c_int) -> *const c_char;
}

/// glslang, which compiles VkFFT's shaders, keeps state of the whole process.
static COMPILER: Mutex<()> = Mutex::new(());

/// What is transformed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    /// Complex values.
    Complex,
    /// Real values, to and from the half of their Hermitian spectrum, with room for it: two more.
    Real,
}

/// Adjacent lines at the beginning of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines {
    pub(super) values: Values,
    pub(super) length: usize,
    pub(super) count: usize,
}

/// Transforms of lines in one buffer, in both directions.
pub(super) struct Application {
    /// Locked while VkFFT uses it: it keeps notes of its own there.
    fft: Mutex<Owned>,
    work: wgpu::Buffer,
    device: wgpu::Device,
}

/// The only pointer to what the shim made.
struct Owned(NonNull<Fft>);

// SAFETY: nothing in it belongs to a thread: Vulkan's handles may be used by any, one at a time.
unsafe impl Send for Owned {}

fn error(device: &Device, what: &str, result: c_int) -> crate::Error {
    // SAFETY: the shim gives a literal for every result.
    let message = unsafe { CStr::from_ptr(cubeclean_vkfft_message(result)) };
    device.bug(format!("VkFFT cannot {what}: {}", message.to_string_lossy()))
}

impl Application {
    /// Compiles the transforms of lines in `work`.
    pub(super) fn new(
        device: &Device,
        recorder: &Recorder,
        work: &wgpu::Buffer,
        lines: Lines,
    ) -> Result<Self> {
        device.check()?;
        let no_handle = |what: &str| device.bug(format!("wgpu has no Vulkan {what} for VkFFT"));
        // SAFETY: neither handle is destroyed through these guards.
        let (hal, buffer) = unsafe { (device.raw.as_hal::<Vulkan>(), work.as_hal::<Vulkan>()) };
        let hal = hal.ok_or_else(|| no_handle("device"))?;
        let buffer = buffer.ok_or_else(|| no_handle("buffer"))?;
        let options = Options {
            physical: hal.raw_physical_device().as_raw(),
            device: hal.raw_device().handle().as_raw(),
            queue: hal.raw_queue().as_raw(),
            // SAFETY: VkFFT does not destroy the buffer.
            work: unsafe { buffer.raw_handle() }.as_raw(),
            bytes: work.size(),
            length: lines.length as u64,
            lines: lines.count as u64,
            family: hal.queue_family_index(),
            real: matches!(lines.values, Values::Real).into(),
        };
        let mut fft = ptr::null_mut();
        let result = {
            let _compiler = COMPILER.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: the handles are those of an open device, held by `hal` and `work`. The queue is
            // used by nobody else: all submissions go through the recorder.
            recorder.exclusively(|| unsafe { cubeclean_vkfft_create(&options, &mut fft) })
        };
        match (result, NonNull::new(fft)) {
            (0, Some(fft)) => Ok(Self {
                fft: Mutex::new(Owned(fft)),
                work: work.clone(),
                device: device.raw.clone(),
            }),
            _ => Err(error(device, &format!("transform {lines:?}"), result)),
        }
    }

    /// Records one transform of the buffer with the exponent's sign, after everything recorded so far.
    pub(super) fn record(
        &self,
        device: &Device,
        recorder: &Recorder,
        exponent: c_int,
    ) -> Result<()> {
        recorder.record_apart(device, 2 * self.work.size(), |encoder| {
            let append = |encoder: Option<&mut wgpu::hal::vulkan::CommandEncoder>| {
                let encoder = encoder?;
                let fft = self.fft.lock().unwrap_or_else(PoisonError::into_inner);
                // SAFETY: wgpu gives an encoder whose command buffer is being recorded, and nothing
                // but this transform goes into it. The shim's object lives as long as `self`, and is
                // used by one thread at a time.
                Some(unsafe {
                    let commands = encoder.raw_handle().as_raw();
                    cubeclean_vkfft_append(fft.0.as_ptr(), commands, exponent)
                })
            };
            // SAFETY: the command buffer is neither ended nor destroyed, and the encoder not used in
            // any other way.
            match unsafe { encoder.as_hal_mut::<Vulkan, _, _>(append) } {
                Some(0) => Ok(()),
                Some(result) => Err(error(device, "record a transform", result)),
                None => Err(device.bug("wgpu has no Vulkan encoder for VkFFT")),
            }
        })
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let all = wgpu::PollType::Wait { submission_index: None, timeout: None };
        // As in `Device::poll`: wgpu panics where the driver reports that the device is lost.
        let idle = catch_unwind(AssertUnwindSafe(|| self.device.poll(all)));
        if matches!(idle, Ok(Ok(_))) {
            let fft = self.fft.get_mut().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: nothing submitted uses it any more, and nobody else holds it.
            unsafe { cubeclean_vkfft_destroy(fft.0.as_ptr()) };
        } else {
            // Commands may still run: what they use, and the device, stay until the process ends.
            std::mem::forget((self.work.clone(), self.device.clone()));
        }
    }
}
