//! HyperQueue, driven by its own client, the Python package `hyperqueue` (see `hyperqueue.py` beside this file): an array is submitted, or found again where
//! an earlier call of the same command submitted it, and followed to its end.
use super::Array;
use crate::output::leave;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use thalweg_nets::Error;
use thalweg_nets::files::{lock, rooted, write_whole};
use thalweg_nets::progress::Progress;

/// The client, which Python runs.
const CLIENT: &str = include_str!("hyperqueue.py");

/// How often a request to stop is looked for.
const TICK: Duration = Duration::from_millis(100);

/// What is remembered of an array, so that the same command finds it again.
#[derive(Debug, Deserialize, Serialize)]
struct Submitted {
    name: String,
    server: String,
    job: u64,
    /// Its tasks, in the order in which the engine numbers them.
    tasks: Vec<usize>,
}

/// What the client is asked.
#[derive(Serialize)]
struct Request<'a> {
    folder: Option<String>,
    name: String,
    cwd: PathBuf,
    cpus: usize,
    tasks: Vec<TaskRequest>,
    attach: Option<&'a Submitted>,
}

#[derive(Serialize)]
struct TaskRequest {
    words: Vec<String>,
    stderr: PathBuf,
}

/// What the client tells, a line each.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    error: Option<String>,
    job: Option<u64>,
    server: Option<String>,
    attached: bool,
    finished: Option<u64>,
    failed: u64,
    ended: Option<std::collections::BTreeMap<String, String>>,
}

/// Submits `array` to the server whose folder HQ_SERVER_DIR names (HyperQueue's own choice without it), or finds it there, and follows it by
/// `python` until every task has ended.
///
/// # Errors
/// No Python, no package, no server; tasks that failed, each named with what it said; [`Error::Interrupted`], the tasks go on.
pub fn follow(array: &Array, python: &str, session: &Session) -> Result<()> {
    let (logs, state) = (array.logs(), array.logs().join("job.json"));
    fs::create_dir_all(&logs).map_err(Error::io("create", &logs))?;
    let earlier = fs::read(&state).ok().and_then(|bytes| serde_json::from_slice::<Submitted>(&bytes).ok());
    let earlier = earlier.filter(|earlier| earlier.name == array.name());
    let program = array.program.to_string_lossy().into_owned();
    let task = |index: &usize| TaskRequest {
        words: [vec![program.clone()], array.words_of(index)].concat(),
        stderr: logs.join(format!("{index}.err")),
    };
    let request = Request {
        folder: std::env::var("HQ_SERVER_DIR").ok().filter(|folder| !folder.is_empty()),
        name: array.name(),
        cwd: rooted(Path::new(".")),
        cpus: array.cores,
        tasks: array.tasks.iter().map(task).collect(),
        attach: earlier.as_ref(),
    };
    let client = Client::start(python, &serde_json::to_string(&request)?)?;
    session.progress.begin("tasks", array.of as u64);
    let mut tasks = array.tasks.clone();
    let mut shown = 0;
    loop {
        let told = client.next(session)?;
        if let Some(error) = told.error {
            bail!("{error}; --dry-run prints what to type without the client");
        }
        if let (Some(job), Some(server)) = (told.job, told.server) {
            let name = array.name();
            tasks = match earlier.as_ref().filter(|_| told.attached) {
                Some(earlier) => earlier.tasks.clone(),
                None => array.tasks.clone(),
            };
            let submitted = Submitted { name, server, job, tasks: tasks.clone() };
            write_whole(&state, serde_json::to_string(&submitted)?.as_bytes())?;
            leave(format!("the tasks go on as job {job} of HyperQueue, and the same command finds them again"));
            session.progress.detail(&format!("job {job} of HyperQueue, {} tasks", tasks.len()));
        }
        if let Some(finished) = told.finished {
            let done = (array.of - tasks.len()) as u64 + finished + told.failed;
            session.progress.advance(done.saturating_sub(shown));
            shown = shown.max(done);
        }
        if let Some(failed) = told.ended {
            session.progress.end();
            return ended(&logs, &tasks, array.of, &failed);
        }
    }
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

/// Says which tasks failed, and of what.
fn ended(logs: &Path, tasks: &[usize], of: usize, failed: &std::collections::BTreeMap<String, String>) -> Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, error) in failed {
        let index = number.parse::<usize>().ok().and_then(|number| tasks.get(number)).copied();
        let index = index.with_context(|| format!("HyperQueue named a task {number}, which was not submitted"))?;
        let log = fs::read_to_string(logs.join(format!("{index}.err"))).unwrap_or_default();
        let said = log.lines().rev().find_map(|line| line.strip_prefix("thalweg: "));
        lines.push((index, said.unwrap_or(error).to_owned()));
    }
    lines.sort_unstable();
    let lines: Vec<String> = lines.iter().map(|(index, said)| format!("\n  task {index}: {said}")).collect();
    bail!("{} of {of} tasks failed; the same command submits them again:{}", lines.len(), lines.concat())
}

/// The client's process.
struct Client {
    child: Child,
    lines: Receiver<std::io::Result<String>>,
}

impl Client {
    fn start(python: &str, request: &str) -> Result<Self> {
        let mut command = Command::new(python);
        command.args(["-c", CLIENT]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // Ctrl-C is for us: the client ends with us.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let started = command.spawn();
        let mut child = started.with_context(|| format!("{python}: expected an interpreter of Python with the package hyperqueue (THALWEG_PYTHON or --python names another)"))?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(request.as_bytes()).context("the client of HyperQueue does not listen")?;
        }
        let (sender, lines) = channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                let all = |stdout: ChildStdout| {
                    for line in BufReader::new(stdout).lines() {
                        if sender.send(line).is_err() {
                            return;
                        }
                    }
                };
                all(stdout);
            });
        }
        Ok(Self { child, lines })
    }

    /// What it tells next; lines that are not for us are passed over.
    fn next(&self, session: &Session) -> Result<Told> {
        loop {
            match self.lines.recv_timeout(TICK) {
                Ok(line) => {
                    if let Ok(told) = serde_json::from_str(&line.context("the client of HyperQueue")?) {
                        return Ok(told);
                    }
                }
                Err(RecvTimeoutError::Timeout) if session.progress.interrupted() => {
                    return Err(Error::Interrupted.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the client of HyperQueue ended without a word"),
            }
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Best effort: it may have ended already. The tasks are the server's and go on.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
