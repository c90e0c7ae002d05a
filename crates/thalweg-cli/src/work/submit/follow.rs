//! An array followed to its end, whoever runs it: one bar over all tasks, what is remembered of it, and what failed.
use super::Array;
use super::engine::{Engine, Submitted, TICK, Told};
use crate::output::leave;
use crate::session::Session;
use anyhow::{Result, bail};
use std::fs;
use std::path::Path;
use thalweg_nets::Error;
use thalweg_nets::files::{lock, write_whole};
use thalweg_nets::progress::Progress;

/// Submits `array` to `engine`, or finds it there where an earlier call of the same command submitted it, and follows it until every task has ended.
/// `unfinished` says which tasks have something to make, where the engine does not know how they ended.
///
/// # Errors
/// As the engine's own; tasks that failed, each named with what it said; [`Error::Interrupted`], the tasks go on.
pub fn follow(
    array: &Array,
    engine: &dyn Engine,
    unfinished: &dyn Fn() -> Result<Vec<usize>>,
    session: &Session,
) -> Result<()> {
    let (logs, state) = (array.logs(), array.logs().join("job.json"));
    fs::create_dir_all(&logs).map_err(Error::io("create", &logs))?;
    let earlier = fs::read(&state).ok().and_then(|bytes| serde_json::from_slice::<Submitted>(&bytes).ok());
    let earlier = earlier.filter(|earlier| earlier.name == array.name());
    let mut running = engine.start(array, earlier.as_ref())?;
    session.progress.begin("tasks", array.of as u64);
    let mut tasks = array.tasks.clone();
    let mut shown = 0;
    loop {
        match running.next()? {
            None => {}
            Some(Told::Begun(submitted)) => {
                write_whole(&state, serde_json::to_string(&submitted)?.as_bytes())?;
                let (job, name) = (submitted.job, engine.name());
                leave(format!("the tasks go on as job {job} of {name}, and the same command finds them again"));
                session.progress.detail(&format!("job {job} of {name}, {} tasks", submitted.tasks.len()));
                tasks = submitted.tasks;
            }
            Some(Told::Progress(ended)) => {
                let done = (array.of - tasks.len().min(array.of)) as u64 + ended;
                session.progress.advance(done.saturating_sub(shown));
                shown = shown.max(done);
            }
            Some(Told::Ended(failed)) => {
                session.progress.end();
                let failed = match failed {
                    Some(failed) => failed,
                    None => unfinished()?.into_iter().map(|task| (task, LOST.into())).collect(),
                };
                return complain(&logs, array.of, failed);
            }
        }
        // After what was told is remembered.
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
    }
}

/// What is said of a task that said nothing itself.
const LOST: &str = "it ended before its work was done";

/// Says which tasks failed, and of what.
fn complain(logs: &Path, of: usize, mut failed: Vec<(usize, String)>) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    failed.sort_unstable();
    let line = |(index, error): &(usize, String)| {
        let log = fs::read_to_string(logs.join(format!("{index}.err"))).unwrap_or_default();
        let said = log.lines().rev().find_map(|line| line.strip_prefix("thalweg: "));
        format!("\n  task {index}: {}", said.unwrap_or(error))
    };
    let lines: String = failed.iter().map(line).collect();
    bail!("{} of {of} tasks failed; the same command submits them again:{lines}", failed.len())
}

/// Waits a minute at most until no task is at work in `dir` any more: one whose worker was lost may still be, though another has done its work.
///
/// # Errors
/// A folder that cannot be opened; [`Error::Interrupted`].
pub fn settled(dir: &Path, session: &Session) -> Result<()> {
    for _ in 0..600 {
        let folder = fs::File::open(dir).map_err(Error::io("read", dir))?;
        if lock(&folder, dir).is_ok() {
            break;
        }
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}
