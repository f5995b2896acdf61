//! The command `cubeclean`.

/// Planes and grids are the same few sizes from batch to batch: their memory is used again.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: cubeclean::recycling::Recycling = cubeclean::recycling::Recycling::new();

fn main() -> std::process::ExitCode {
    cubeclean::cli::main()
}
