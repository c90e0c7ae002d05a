//! The program `thalweg` as a function, [`run`]: parses a command line, runs one command, turns its outcome into an exit code. The binary `thalweg` calls it,
//! and the Python package, whose script `thalweg` is the same program.
//!
//! Exit codes: 0 done, 1 a negative finding, 2 an error or wrong use, 3 shifted but harm not established (`shift test`),
//! 130 interrupted (143 by SIGTERM, 129 by SIGHUP). A panic is a defect of ours; it is
//! caught here and told as one, with what to report.
mod cli;
mod commands;
mod common;
mod complain;
mod data;
mod experiments;
mod for_torch;
#[cfg(test)]
mod fuzz;
mod output;
mod progress;
mod report;
mod results;
mod schema;
mod session;
mod settings;
mod shell;
mod signals;
mod study;
mod table;
mod verdict;
mod work;

use common::Outcome;
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the program with the words of its command line, the first of which is the program's own name, and gives its exit code back.
///
/// What it sets up is the whole process's (signals, the pool of threads, the silence of panics): it is called once in a process.
pub fn run(words: impl IntoIterator<Item = OsString>) -> u8 {
    let words: Vec<OsString> = words.into_iter().collect();
    results::called_with(&words);
    let cli = match cli::Cli::read(words) {
        Ok(cli) => cli,
        Err(usage) => {
            // Clap writes help to stdout with code 0 and complaints to stderr with code 2.
            session::keep(usage.print());
            return ended(u8::try_from(usage.exit_code()).unwrap_or(2));
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    let outcome = catch_unwind(AssertUnwindSafe(|| cli.run()));
    let complain = |text: &str| complain::complain(text);
    match outcome {
        Ok(Ok(Outcome::Done)) => ended(0),
        Ok(Ok(Outcome::Negative)) => ended(1),
        Ok(Ok(Outcome::Open)) => ended(3),
        Ok(Err(error)) => {
            let interrupted = |e: &thalweg_nets::Error| matches!(e, thalweg_nets::Error::Interrupted);
            if error.chain().any(|e| e.downcast_ref().is_some_and(interrupted)) {
                complain(&progress::interruption(&output::left()));
                return signals::exit_code();
            }
            complain(&complain::told(&error));
            2
        }
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            complain(&format!(
                "a defect in thalweg {}: {}\nPlease report it with the command line; finished results on disk are safe.",
                env!("CARGO_PKG_VERSION"),
                what.unwrap_or("a panic without a message"),
            ));
            2
        }
    }
}

/// `code`, or that of an error where something that was printed did not arrive: a full disk, a closed stdout.
fn ended(code: u8) -> u8 {
    match session::stdout_error() {
        Some(error) => {
            complain::complain(&format!("cannot write to stdout: {error}"));
            2
        }
        None => code,
    }
}
