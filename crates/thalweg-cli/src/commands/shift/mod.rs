//! `thalweg shift`: does a classifier still know what it does on new rows? Calibrated once, asked as often as one likes, or day after day.
mod calibrate;
mod check;
mod test;
mod watch;

use crate::common::Outcome;
use crate::session::Session;
use anyhow::Result;
use clap::Subcommand;

/// What to do about shift.
#[derive(Subcommand, Debug)]
pub enum Command {
    Check(Box<check::Args>),
    Calibrate(Box<calibrate::Args>),
    Test(Box<test::Args>),
    Watch(Box<watch::Args>),
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
