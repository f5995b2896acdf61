//! Compiles the C shim of VkFFT, with the feature `vkfft`; without it there is nothing to build.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "vkfft")]
    vkfft::build();
}

#[cfg(feature = "vkfft")]
mod vkfft {
    use std::{env, path::Path, process::Command};

    const SHIM: &str = "src/backend/gpu/fft/vkfft/shim.c";
    const VERSION: &str = "1.3.4";
    /// What [`VERSION`] is in the header.
    const NUMBER: &str = "return 10304;";

    /// glslang and what it needs, in the order in which static libraries must be linked. Newer
    /// releases have fewer: those that are not found are left out.
    const GLSLANG: [&str; 9] = [
        "SPIRV",
        "glslang",
        "MachineIndependent",
        "GenericCodeGen",
        "OSDependent",
        "OGLCompiler",
        "glslang-default-resource-limits",
        "SPIRV-Tools-opt",
        "SPIRV-Tools",
    ];

    pub fn build() {
        println!("cargo::rerun-if-changed={SHIM}");
        println!("cargo::rerun-if-env-changed=VKFFT_ROOT");
        if let Err(problem) = compile() {
            println!("cargo::error=feature vkfft: {problem}");
        }
    }

    fn compile() -> Result<(), String> {
        if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
            return Err("it is for Linux only".into());
        }
        let root = env::var("VKFFT_ROOT").map_err(|_| {
            format!("set VKFFT_ROOT to the folder of VkFFT {VERSION} that holds vkFFT/vkFFT.h")
        })?;
        let header = Path::new(&root).join("vkFFT/vkFFT.h");
        let text = std::fs::read_to_string(&header)
            .map_err(|e| format!("VKFFT_ROOT={root}: {}: {e}", header.display()))?;
        if !text.contains(NUMBER) {
            println!("cargo::warning=VKFFT_ROOT={root} is not VkFFT {VERSION}, which was tested");
        }
        let mut shim = cc::Build::new();
        shim.file(SHIM)
            .include(Path::new(&root).join("vkFFT"))
            .include("/usr/include/glslang/Include")
            .warnings(false)
            // It writes shaders, and computes nothing.
            .opt_level(1);
        let compiler = shim.get_compiler();
        shim.try_compile("cubeclean_vkfft").map_err(|e| {
            format!("{e} (Debian: apt-get install glslang-dev spirv-tools libvulkan-dev)")
        })?;
        for library in GLSLANG {
            // The compiler answers with a path if it finds the file, else with what it was asked.
            let file = format!("lib{library}.a");
            let answer = Command::new(compiler.path())
                .arg(format!("-print-file-name={file}"))
                .output()
                .map_err(|e| format!("{}: {e}", compiler.path().display()))?;
            let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
            if let Some(folder) = Path::new(&path).parent().filter(|p| !p.as_os_str().is_empty()) {
                println!("cargo::rustc-link-search=native={}", folder.display());
                println!("cargo::rustc-link-lib=static={library}");
            }
        }
        println!("cargo::rustc-link-lib=stdc++");
        println!("cargo::rustc-link-lib=vulkan");
        Ok(())
    }
}
