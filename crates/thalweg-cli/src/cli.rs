//! The command line as a tree. Each command's own flags stand in its file under `commands/`.
use crate::commands::{
    config, data, demo, encode, eval, fit, gather, list, reproduce, sample, shell, shift, submit, tune, zoo,
};
use crate::common::{Common, Outcome};
use crate::session::Session;
use crate::work::submit::Shared;
use anyhow::{Result, bail};
use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::error::Error;
use std::ffi::OsString;
use std::num::{IntErrorKind, ParseFloatError, ParseIntError};
use std::sync::OnceLock;
use thalweg_nets::engine::Instructions;

/// Learn the flow that carries random initialisations of a neural network to trained weights, and sample it.
#[derive(Parser, Debug)]
#[command(
    name = "thalweg",
    version = version(),
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

What there is to choose from, and every setting:
  thalweg list
  thalweg config fit

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
    /// Detect harmful covariate shift: calibrate tests for a model, apply them to new rows
    #[command(subcommand)]
    Shift(shift::Command),
    Reproduce(reproduce::Args),
    Submit(submit::Args),
    Gather(gather::Args),
    List(list::Args),
    Config(config::Args),
    Completions(shell::Completions),
    Man(shell::Man),
}

impl Cli {
    /// Parses the words of a command line, the program's name the first.
    ///
    /// # Errors
    /// Help that was asked for, and wrong use.
    pub fn read(words: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = numbers_taken(Self::command());
        let matches = command.try_get_matches_from_mut(words);
        let matches = matches.map_err(in_words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// Runs the command.
    ///
    /// # Errors
    /// As the command's own.
    pub fn run(self) -> Result<Outcome> {
        let mut session = Session::start(self.common)?;
        match &self.command {
            Command::Demo(args) => demo::run(args, &session),
            Command::Data(command) => data::run(command, &session),
            Command::Zoo(command) => zoo::run(command, &session),
            Command::Fit(args) => fit::run(args, &session),
            Command::Tune(args) => tune::run(args, &session),
            Command::Sample(args) => sample::run(args, &session),
            Command::Encode(args) => encode::run(args, &session),
            Command::Eval(args) => eval::run(args, &session),
            Command::Shift(command) => shift::run(command, &session),
            Command::Reproduce(args) => reproduce::run(args, &mut session),
            Command::Submit(args) => submit::run(args, &session, &Self::shared),
            Command::Gather(args) => gather::run(args, &session),
            Command::List(args) => list::run(args, &session),
            Command::Config(args) => config::run(args, &session),
            Command::Completions(args) => shell::completions(args, Self::command(), &session),
            Command::Man(args) => shell::man(args, Self::command(), &session),
        }
    }

    /// A command whose work can be shared out, of its words; the program's name may stand before them.
    fn shared(words: &[String]) -> Result<Shared> {
        let named = words.first().is_some_and(|word| word.rsplit('/').next() == Some("thalweg"));
        let words = if named { &words[1..] } else { words };
        let cli = match Self::read(std::iter::once("thalweg").chain(words.iter().map(String::as_str)).map(Into::into)) {
            Ok(cli) => cli,
            Err(usage) => bail!("the command behind --: {}", usage.render().to_string().trim()),
        };
        let default = match &cli.command {
            Command::Zoo(command) => command.shared()?,
            _ => None,
        };
        let Some(default) = default else {
            bail!(
                "submit: expected a command whose work can be shared out (zoo train, zoo align), found {}",
                words.join(" ")
            )
        };
        if cli.common.force {
            bail!("--force: tasks share their folder; choose another path, or remove the folder first");
        }
        Ok(Shared { words: words.to_vec(), out: cli.common.out.unwrap_or_else(|| default.into()) })
    }
}

/// Version, commit where it was known when the program was built, and the instruction set of this machine.
fn version() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let commit = option_env!("THALWEG_COMMIT").map_or(String::new(), |commit| format!("commit {commit}, "));
        format!("{} ({commit}{})", env!("CARGO_PKG_VERSION"), Instructions::best().name())
    })
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
