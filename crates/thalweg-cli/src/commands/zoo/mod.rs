//! `thalweg zoo`: zoos are made, brought in from elsewhere, aligned, looked at.
pub mod align;
mod import;
mod info;
pub mod train;

use crate::common::Outcome;
use crate::session::Session;
use anyhow::{Result, bail};
use clap::Subcommand;

/// What to do with zoos.
#[derive(Subcommand, Debug)]
pub enum Command {
    Train(Box<train::Args>),
    Import(Box<import::Args>),
    Align(align::Args),
    Info(info::Args),
}

impl Command {
    /// The folder that its tasks fill without `--out`, where its work can be shared out.
    ///
    /// # Errors
    /// A command that is told already which task it is.
    pub fn shared(&self) -> Result<Option<&'static str>> {
        let (shard, folder) = match self {
            Self::Train(args) => (&args.shard, train::FOLDER),
            Self::Align(args) => (&args.shard, align::FOLDER),
            Self::Import(_) | Self::Info(_) => return Ok(None),
        };
        match shard.is_said() {
            true => bail!("--shard: expected none in a command that is shared out, which gives every task its own"),
            false => Ok(Some(folder)),
        }
    }
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
