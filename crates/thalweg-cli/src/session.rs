//! One run of the program: its flags, its progress, its clock, what it says and what it leaves behind.
use crate::common::Common;
use crate::output::{Claimed, Folder, JSON, Joined, OutFile, Plan};
use crate::progress::Terminal;
use crate::results::Results;
use crate::table::Table;
use anyhow::{Context, Result, bail};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use thalweg_nets::Error;
use thalweg_nets::engine::Instructions;
use thalweg_nets::files::write_whole;
use thalweg_nets::memory;
use thalweg_nets::progress::Progress;

/// The most worker threads that make sense; more is a typing error.
const MOST_THREADS: usize = 1024;

/// A running command.
pub struct Session {
    /// The common flags.
    pub common: Common,
    /// Where library code reports to.
    pub progress: Terminal,
    started: Instant,
    /// Whether stdout carries the output itself, so that people are told on stderr.
    stdout_taken: AtomicBool,
}

impl Session {
    /// Sets threads, Ctrl-C and progress up.
    ///
    /// # Errors
    /// More threads than any machine has.
    pub fn start(common: Common) -> Result<Self> {
        if let Some(n) = common.threads {
            if n.get() > MOST_THREADS {
                bail!("--threads: expected 1 to {MOST_THREADS}, found {n}");
            }
            rayon::ThreadPoolBuilder::new().num_threads(n.get()).build_global()?;
        }
        if let Some(bytes) = common.memory {
            memory::set_budget(bytes).context("--memory")?;
        }
        let variable = std::env::var("THALWEG_INSTRUCTIONS").ok().filter(|name| !name.is_empty());
        if let Some(name) = common.instructions.clone().or(variable) {
            Instructions::choose(&name)?;
        }
        if let Some(name) = common.device.as_deref().filter(|name| *name != "cpu") {
            choose_device(name)?;
        }
        let progress = Terminal::new(common.quiet, common.verbose);
        let session = Self { common, progress, started: Instant::now(), stdout_taken: AtomicBool::new(false) };
        let (threads, set) = (session.threads(), Instructions::best().name());
        let memory = memory::size(memory::budget());
        let version = env!("CARGO_PKG_VERSION");
        session.progress.detail(&format!("thalweg {version} on {threads} threads, {set}, at most {memory} of memory"));
        Ok(session)
    }

    /// Refuses `--set` for a command that has nothing to set: better than to let it look obeyed.
    ///
    /// # Errors
    /// Where there is a `--set`.
    pub fn no_settings(&self, command: &str) -> Result<()> {
        match self.common.set.first() {
            Some(text) => bail!("--set {text}: `thalweg {command}` has no settings beyond its flags"),
            None => Ok(()),
        }
    }

    /// Worker threads in use.
    pub fn threads(&self) -> usize {
        rayon::current_num_threads()
    }

    /// The seed: the flag, or `default` (of the command, or from its TOML).
    pub fn seed_or(&self, default: u64) -> u64 {
        self.common.seed.unwrap_or(default)
    }

    /// Seconds since the command began.
    pub fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// The folder of the command, `--out` or `default`, claimed for `plan`. None where the same command has finished there already, which
    /// is then told.
    ///
    /// # Errors
    /// As [`Folder::claim`].
    pub fn folder(&self, default: &str, plan: &Plan) -> Result<Option<Folder>> {
        let path = self.common.out.clone().unwrap_or_else(|| PathBuf::from(default));
        match Folder::claim(&path, plan, &self.common)? {
            Claimed::Open(folder) => Ok(Some(*folder)),
            Claimed::Finished => {
                self.say(&format!("{} is finished already.", path.display()));
                if self.common.json {
                    let path = path.join(JSON);
                    print(std::fs::read_to_string(&path).map_err(Error::io("read", &path))?.trim_end());
                }
                Ok(None)
            }
        }
    }

    /// The folder of the command, `--out` or `default`, which other tasks of the same work fill as well.
    ///
    /// # Errors
    /// As [`Joined::claim`].
    pub fn joined(&self, default: &str, plan: &Plan) -> Result<Joined> {
        let path = self.common.out.clone().unwrap_or_else(|| PathBuf::from(default));
        self.joined_at(&path, plan)
    }

    /// The folder `path`, which other tasks of the same work fill as well.
    ///
    /// # Errors
    /// As [`Joined::claim`].
    pub fn joined_at(&self, path: &Path, plan: &Plan) -> Result<Joined> {
        Joined::claim(path, plan, &self.common)
    }

    /// This session with the flags of another command, which is run in its place: threads, memory and what is told stay those of this one.
    ///
    /// # Errors
    /// An instruction set that is not the one in use.
    pub fn of_command(&self, common: Common) -> Result<Self> {
        if let Some(name) = &common.instructions {
            Instructions::choose(name)?;
        }
        let Common { json, quiet, verbose, threads, memory, .. } = self.common.clone();
        let common = Common { json, quiet, verbose, threads, memory, ..common };
        let progress = Terminal::new(quiet, verbose);
        Ok(Self { common, progress, started: self.started, stdout_taken: AtomicBool::new(false) })
    }

    /// The folder `path`, whose work by `plan` others have done, to be ended.
    ///
    /// # Errors
    /// As [`Folder::claim`].
    pub fn resumed(&self, path: &Path, plan: &Plan) -> Result<Folder> {
        let common = Common { out: Some(path.into()), resume: true, force: false, ..self.common.clone() };
        match Folder::claim(path, plan, &common)? {
            Claimed::Open(folder) => Ok(*folder),
            Claimed::Finished => bail!("{}: the work is ended already", path.display()),
        }
    }

    /// The folder `--out` of a command that writes only where it is given.
    ///
    /// # Errors
    /// As [`Folder::claim`].
    pub fn folder_if_given(&self, plan: &Plan) -> Result<Option<Folder>> {
        crate::output::refuse_resume(plan, &self.common)?;
        self.common.out.as_ref().map_or(Ok(None), |_| self.folder("", plan))
    }

    /// The file of the command, `--out` or `default`, claimed for `plan`; with `side` also that of its results.
    ///
    /// # Errors
    /// As [`OutFile::claim`]; `--json` where the file is stdout itself.
    pub fn file(&self, default: &str, side: bool, plan: &Plan) -> Result<OutFile> {
        let path = self.common.out.clone().unwrap_or_else(|| PathBuf::from(default));
        let file = OutFile::claim(&path, side, plan, &self.common)?;
        if file.is_stdout() {
            if self.common.json {
                bail!(
                    "--json: stdout carries the output itself ({}); choose a file or leave --json out",
                    path.display()
                );
            }
            self.stdout_taken.store(true, Ordering::Relaxed);
        }
        Ok(file)
    }

    /// A line for people, on stdout; silent under `-q`, and under `--json`, which keeps stdout for machines.
    /// A line that could not be written makes the program fail at its end: see [`stdout_error`].
    pub fn say(&self, text: &str) {
        if self.common.quiet || self.common.json {
            return;
        }
        match self.stdout_taken.load(Ordering::Relaxed) {
            true => self.progress.note(text),
            false => self.progress.pause(|| print(text)),
        }
    }

    /// Text that is the command's output itself: on stdout, or in the file `--out`.
    ///
    /// # Errors
    /// A file that exists or cannot be written.
    pub fn text(&self, plan: &Plan, text: &str) -> Result<()> {
        if self.common.out.is_none() {
            print(text);
            return Ok(());
        }
        let file = self.file("", false, plan)?;
        write_whole(file.path(), format!("{text}\n").as_bytes())?;
        file.finish()
    }

    /// A table for people, fitted to the terminal.
    pub fn show(&self, table: &Table) {
        self.say(&format!("\n{}\n", table.for_terminal(io::stdout().is_terminal())));
    }

    /// Ends the command: writes `results.json` into `folder` where there is one, finishes it, and prints the results under `--json`.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn finish(&self, folder: Option<Folder>, mut results: Results) -> Result<()> {
        if let Some(folder) = &folder {
            results.moved(folder.dir(), folder.shown());
        }
        self.end(folder.as_ref().map(|folder| folder.dir().join(JSON)), &mut results)?;
        folder.map_or(Ok(()), Folder::finish)?;
        self.print(&results)
    }

    /// As [`Self::finish`], for a command whose target is a file: the results go beside it.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn finish_file(&self, file: OutFile, mut results: Results) -> Result<()> {
        self.end(file.side().map(Into::into), &mut results)?;
        file.finish()?;
        self.print(&results)
    }

    fn end(&self, path: Option<PathBuf>, results: &mut Results) -> Result<()> {
        self.progress.end();
        results.seal(self.seconds(), self.threads());
        path.map_or(Ok(()), |path| results.write(&path))
    }

    fn print(&self, results: &Results) -> Result<()> {
        if self.common.json {
            print(&results.to_json()?);
        }
        Ok(())
    }
}

/// The first failure to write to stdout, if any.
static STDOUT: OnceLock<io::Error> = OnceLock::new();

/// Prints a line on stdout. A closed pipe (`thalweg … | head`) is no failure; any other is kept for [`stdout_error`].
fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    keep(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}

/// Remembers what went wrong on stdout, unless its reader has merely gone away.
pub fn keep(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = STDOUT.set(error);
    }
}

/// What went wrong on stdout, as on a full disk: a program whose output is lost has failed.
pub fn stdout_error() -> Option<&'static io::Error> {
    keep(io::stdout().flush());
    STDOUT.get()
}

/// Moves the fields of this process to the device of this name.
#[cfg(feature = "burn")]
fn choose_device(name: &str) -> Result<()> {
    let place = thalweg_burn::place(name.parse()?)?;
    Ok(thalweg::field::place_fields(Box::new(place))?)
}

/// Moves the fields of this process to the device of this name.
#[cfg(not(feature = "burn"))]
fn choose_device(name: &str) -> Result<()> {
    bail!(
        "--device {name}: this program was built for the cpu alone; build it with cargo build --release -p thalweg-cli --features cuda (or wgpu)"
    )
}
