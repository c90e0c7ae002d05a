//! The command line as a tree. Each command's own flags stand in its file under `commands/`.
use crate::commands::{
    config, data, demo, encode, eval, fit, gather, list, predict, reproduce, sample, shell, shift, submit, tune, zoo,
};
use crate::common::{Common, Outcome, STEPS};
use crate::session::Session;
use crate::work::fit::sweep;
use crate::work::submit::Shared;
use anyhow::{Result, anyhow, bail};
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
    after_help = help()
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
        self.command.run(&mut session)
    }

    /// The command line behind `--` of another, or in a record of shared work.
    fn inner(words: &[String]) -> Result<Self> {
        Self::read(std::iter::once("thalweg").chain(words.iter().map(String::as_str)).map(Into::into))
            .map_err(|usage| anyhow!("the command behind --: {}", usage.render().to_string().trim()))
    }

    /// A command whose work can be shared out, of its words; the program's name may stand before them.
    fn shared(words: &[String]) -> Result<Shared> {
        let named = words.first().is_some_and(|word| word.rsplit('/').next() == Some("thalweg"));
        let words = &words[usize::from(named)..];
        let cli = Self::inner(words)?;
        let out = cli.common.out.as_deref();
        let folder = match &cli.command {
            Command::Zoo(command) => command.shared(out)?,
            Command::Fit(args) => Some(sweep::shared(&args.flags, &args.shard, out)?),
            Command::Eval(args) => Some(args.shard.beside(out)?),
            Command::Shift(command) => command.shared(out)?,
            _ => None,
        };
        let Some(out) = folder else {
            bail!(
                "submit: expected a command whose work can be shared out (zoo train, zoo align, fit --sweep, eval, shift calibrate), found {}",
                words.join(" ")
            )
        };
        if cli.common.force {
            bail!("--force: tasks share their folder; choose another path, or remove the folder first");
        }
        Ok(Shared { words: words.to_vec(), out })
    }

    /// Runs the command of these words, which ends work that tasks have shared, in the place of the running one.
    fn ended(words: &[String], session: &Session) -> Result<Outcome> {
        let Self { command, common } = Self::inner(words)?;
        command.run(&mut session.of_command(common)?)
    }
}

impl Command {
    fn run(&self, session: &mut Session) -> Result<Outcome> {
        match self {
            Self::Demo(args) => demo::run(args, session),
            Self::Data(command) => data::run(command, session),
            Self::Zoo(command) => zoo::run(command, session),
            Self::Fit(args) => fit::run(args, session),
            Self::Tune(args) => tune::run(args, session),
            Self::Sample(args) => sample::run(args, session),
            Self::Encode(args) => encode::run(args, session),
            Self::Eval(args) => eval::run(args, session),
            Self::Predict(args) => predict::run(args, session),
            Self::Shift(command) => shift::run(command, session),
            Self::Reproduce(args) => reproduce::run(args, session),
            Self::Submit(args) => submit::run(args, session, &Cli::shared, &Cli::ended),
            Self::Gather(args) => gather::run(args, session, &Cli::ended),
            Self::List(args) => list::run(args, session),
            Self::Config(args) => config::run(args, session),
            Self::Completions(args) => shell::completions(args, Cli::command(), session),
            Self::Man(args) => shell::man(args, Cli::command(), session),
        }
    }
}

/// What stands below the commands.
fn help() -> String {
    let steps: String = STEPS.iter().map(|step| format!("  {step}\n")).collect();
    format!(
        "All steps at once, in about half a minute and without a download:
  thalweg demo

The same steps, one by one:
{steps}
A table of the paper:
  thalweg reproduce generation --scale smoke --out smoke/

What there is to choose from, and every setting:
  thalweg list
  thalweg config fit

Exit codes: 0 done, 1 a negative finding, 2 an error or wrong use, 3 shifted but harm not established (shift test),
130 interrupted (143 by SIGTERM, 129 by SIGHUP)."
    )
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
