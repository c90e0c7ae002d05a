//! `thalweg shift`: does a classifier still know what it does on new rows? Calibrated once, asked as often as one likes, or day after day.
mod calibrate;
mod check;
mod test;
mod watch;

use crate::common::Outcome;
use crate::session::Session;
use anyhow::Result;
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// What to do about shift.
#[derive(Subcommand, Debug)]
pub enum Command {
    Check(Box<check::Args>),
    Calibrate(Box<calibrate::Args>),
    Test(Box<test::Args>),
    Watch(Box<watch::Args>),
}

impl Command {
    /// The folder that its tasks fill, for a command that writes to `out`; none where its work cannot be shared out.
    ///
    /// # Errors
    /// A command that is told already which task it is.
    pub fn shared(&self, out: Option<&Path>) -> Result<Option<PathBuf>> {
        match self {
            Self::Calibrate(args) => args.shared(out).map(Some),
            Self::Check(_) | Self::Test(_) | Self::Watch(_) => Ok(None),
        }
    }
}

/// Runs it.
///
/// # Errors
/// As the command's own.
pub fn run(command: &Command, session: &Session) -> Result<Outcome> {
    match command {
        Command::Check(args) => check::run(args, session),
        Command::Calibrate(args) => calibrate::run(args, session),
        Command::Test(args) => test::run(args, session),
        Command::Watch(args) => watch::run(args, session),
    }
}
