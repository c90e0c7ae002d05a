//! `thalweg zoo`: zoos are made, brought in from elsewhere, aligned, looked at, written for others.
pub mod align;
mod export;
mod import;
mod info;
pub mod train;

use crate::common::Outcome;
use crate::session::Session;
use anyhow::Result;
use clap::Subcommand;
use std::path::{Path, PathBuf};

/// What to do with zoos.
#[derive(Subcommand, Debug)]
pub enum Command {
    Train(Box<train::Args>),
    Import(Box<import::Args>),
    Align(align::Args),
    Info(info::Args),
    Export(export::Args),
}

impl Command {
    /// The folder that its tasks fill, for a command that writes to `out`; none where its work cannot be shared out.
    ///
    /// # Errors
    /// A command that is told already which task it is.
    pub fn shared(&self, out: Option<&Path>) -> Result<Option<PathBuf>> {
        let (shard, folder) = match self {
            Self::Train(args) => (&args.shard, train::FOLDER),
            Self::Align(args) => (&args.shard, align::FOLDER),
            Self::Import(_) | Self::Info(_) | Self::Export(_) => return Ok(None),
        };
        shard.none()?;
        Ok(Some(out.map_or_else(|| folder.into(), Path::to_path_buf)))
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
        Command::Export(args) => export::run(args, session),
    }
}
