//! The command line as a tree. Each command's own flags stand in its file under `commands/`.
use crate::commands::{data, demo, encode, eval, fit, predict, reproduce, sample, shift, tune, zoo};
use crate::common::{Common, Outcome};
use crate::session::Session;
use anyhow::Result;
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::error::Error;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};

/// Learn the flow that carries random initialisations of a neural network to trained weights, and sample it.
#[derive(Parser, Debug)]
#[command(
    name = "thalweg",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    max_term_width = 110,
    after_help = "The whole way, in a minute, with nothing to fetch:
  thalweg demo

The same way, step by step:
  thalweg zoo train --arch cnn-s --data mnist --kind fork --runs 200 \\
    --out zoo/
  thalweg fit zoo/ --method cfm --out model/
  thalweg sample model/ -n 100 --out samples.safetensors
  thalweg eval samples.safetensors --zoo zoo/

A table of the paper:
  thalweg reproduce generation --scale smoke --out smoke/

Exit codes: 0 done, 1 a negative finding, 2 an error or wrong use, 3 shifted but harm not established (shift test),
130 interrupted (143 by SIGTERM, 129 by SIGHUP)."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand, Debug)]
enum Command {
    Demo(demo::Args),
    /// Data sets: list them, fetch them
    #[command(subcommand)]
    Data(data::Command),
    /// Train, import, align and inspect zoos (many training runs of one architecture)
    #[command(subcommand)]
    Zoo(zoo::Command),
    Fit(fit::Args),
    Tune(tune::Args),
    Sample(sample::Args),
    Encode(encode::Args),
    Eval(eval::Args),
    Predict(predict::Args),
    /// Detect harmful covariate shift: calibrate tests for a model, apply them to new rows
    #[command(subcommand)]
    Shift(shift::Command),
    Reproduce(reproduce::Args),
}

impl Cli {
    /// Parses the words of this process.
    ///
    /// # Errors
    /// Help that was asked for, and wrong use.
    pub fn read() -> Result<Self, clap::Error> {
        let mut command = numbers_taken(Self::command());
        let matches = command.try_get_matches_from_mut(std::env::args_os());
        let matches = matches.map_err(in_words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// As the command's own.
    pub fn run(self) -> Result<Outcome> {
        let session = Session::start(self.common)?;
        match &self.command {
            Command::Demo(args) => demo::run(args, &session),
            Command::Data(command) => data::run(command, &session),
            Command::Zoo(command) => zoo::run(command, &session),
            Command::Fit(args) => fit::run(args, &session),
            Command::Tune(args) => tune::run(args, &session),
            Command::Sample(args) => sample::run(args, &session),
            Command::Encode(args) => encode::run(args, &session),
            Command::Eval(args) => eval::run(args, &session),
            Command::Predict(args) => predict::run(args, &session),
            Command::Shift(command) => shift::run(command, &session),
            Command::Reproduce(args) => reproduce::run(args, &session),
        }
    }
}

/// The command with options that take negative numbers for values: they are refused as what they are, not as unknown flags.
fn numbers_taken(command: clap::Command) -> clap::Command {
    let taken = |arg: clap::Arg| match arg.is_positional() || !arg.get_action().takes_values() {
        true => arg,
        false => arg.allow_negative_numbers(true),
    };
    command.mut_args(taken).mut_subcommands(numbers_taken)
}

/// A value that is no number, told by what is expected.
fn in_words(error: clap::Error) -> clap::Error {
    let cause = error.source();
    let integer = cause.and_then(|cause| cause.downcast_ref::<ParseIntError>()).map(|e| match e.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "expected a smaller number",
        IntErrorKind::Zero => "expected a whole number from 1",
        _ => "expected a whole number, not negative",
    });
    let number = cause.and_then(|cause| cause.downcast_ref::<ParseFloatError>()).map(|_| "expected a number");
    let (Some(expected), Some(flag), Some(value)) =
        (integer.or(number), error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return error;
    };
    let text = format!("invalid value '{value}' for '{flag}': {expected}\n\nFor more information, try '--help'.\n");
    clap::Error::raw(ErrorKind::ValueValidation, text)
}
