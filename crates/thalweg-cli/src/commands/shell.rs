//! `thalweg completions` and `thalweg man`: what shells and `man` want of a program, made of the command line's own description.
use crate::common::Outcome;
use crate::output::Plan;
use crate::session::Session;
use anyhow::{Result, bail};
use clap_complete::Shell;

/// Print completions for a shell
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg completions bash > thalweg.bash
  thalweg completions zsh --out _thalweg")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Print a page of the manual
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg man > thalweg.1
  thalweg man zoo train --out thalweg-zoo-train.1")]
pub struct Man {
    /// The command whose page it is; the program itself by default
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

/// Prints the completions of `program`.
///
/// # Errors
/// `--set`; a target that exists.
pub fn completions(args: &Completions, mut program: clap::Command, session: &Session) -> Result<Outcome> {
    session.no_settings("completions")?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, "thalweg", &mut script);
    session.text(&Plan { command: "completions", ..Plan::default() }, String::from_utf8_lossy(&script).trim_end())?;
    Ok(Outcome::Done)
}

/// Prints a page of the manual of `program`.
///
/// # Errors
/// An unknown command; `--set`; a target that exists.
pub fn man(args: &Man, mut program: clap::Command, session: &Session) -> Result<Outcome> {
    session.no_settings("man")?;
    program.build();
    let mut page = program;
    for word in &args.command {
        let Some(inner) = page.find_subcommand(word) else {
            let known: Vec<&str> = page.get_subcommands().map(clap::Command::get_name).collect();
            bail!("man: no command {word}; there are: {}", known.join(", "));
        };
        page = inner.clone();
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    session.text(&Plan { command: "man", ..Plan::default() }, String::from_utf8_lossy(&text).trim_end())?;
    Ok(Outcome::Done)
}
