//! The binary `thalweg`.
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(thalweg_cli::run(std::env::args_os()))
}
