//! The command `cubeclean`.

fn main() -> std::process::ExitCode {
    cubeclean::cli::main()
}
