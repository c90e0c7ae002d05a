//! `thalweg zoo`: zoos are made, brought in from elsewhere, aligned, looked at.
pub mod align;
mod import;
mod info;
mod train;

use crate::common::Outcome;
use crate::session::Session;
use anyhow::Result;
use clap::Subcommand;

/// What to do with zoos.
#[derive(Subcommand, Debug)]
pub enum Command {
    Train(Box<train::Args>),
    Import(import::Args),
    Align(align::Args),
    Info(info::Args),
}

/// Runs it.
///
/// # Errors
/// As the command's own.
pub fn run(command: &Command, session: &Session) -> Result<Outcome> {
    match command {
        Command::Train(args) => train::run(args, session),
        Command::Import(args) => import::run(args, session),
        Command::Align(args) => align::run(args, session),
        Command::Info(args) => info::run(args, session),
    }
}
