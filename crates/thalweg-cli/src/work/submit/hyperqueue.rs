//! HyperQueue, driven by its own client, the Python package `hyperqueue` (see `hyperqueue.py` beside this file).
use super::Array;
use super::engine::{Engine, Running, Submitted, TICK, Told};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use thalweg_nets::files::rooted;

/// The client, which Python runs.
const CLIENT: &str = include_str!("hyperqueue.py");

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
struct Line {
    error: Option<String>,
    job: Option<u64>,
    server: Option<String>,
    attached: bool,
    finished: Option<u64>,
    failed: u64,
    ended: Option<BTreeMap<String, String>>,
}

/// The engine, at the server whose folder HQ_SERVER_DIR names (HyperQueue's own choice without it).
pub struct HyperQueue {
    /// The interpreter of Python that has its client.
    pub python: String,
}

impl Engine for HyperQueue {
    fn name(&self) -> &'static str {
        "HyperQueue"
    }

    fn start(&self, array: &Array, earlier: Option<&Submitted>) -> Result<Box<dyn Running>> {
        let program = array.program.to_string_lossy().into_owned();
        let task = |index: &usize| TaskRequest {
            words: [vec![program.clone()], array.words_of(index)].concat(),
            stderr: array.logs().join(format!("{index}.err")),
        };
        let request = Request {
            folder: std::env::var("HQ_SERVER_DIR").ok().filter(|folder| !folder.is_empty()),
            name: array.name(),
            cwd: rooted(Path::new(".")),
            cpus: array.cores,
            tasks: array.tasks.iter().map(task).collect(),
            attach: earlier,
        };
        let new = Submitted { name: array.name(), server: String::new(), job: 0, tasks: array.tasks.clone() };
        Ok(Box::new(Client::start(&self.python, &serde_json::to_string(&request)?, new, earlier.cloned())?))
    }
}

/// The client's process.
struct Client {
    child: Child,
    lines: Receiver<std::io::Result<String>>,
    /// What was submitted now, before its number is known, and what was submitted earlier.
    new: Submitted,
    earlier: Option<Submitted>,
    /// The tasks of what is followed, in the order in which HyperQueue numbers them.
    tasks: Vec<usize>,
}

impl Client {
    fn start(python: &str, request: &str, new: Submitted, earlier: Option<Submitted>) -> Result<Self> {
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
        Ok(Self { child, lines, new, earlier, tasks: Vec::new() })
    }

    /// What a line tells.
    fn told(&mut self, line: Line) -> Result<Option<Told>> {
        if let Some(error) = line.error {
            bail!("{error}; --dry-run prints what to type without the client");
        }
        if let (Some(job), Some(server)) = (line.job, line.server) {
            let known = self.earlier.clone().filter(|_| line.attached);
            let submitted = Submitted { server, job, ..known.unwrap_or_else(|| self.new.clone()) };
            self.tasks = submitted.tasks.clone();
            return Ok(Some(Told::Begun(submitted)));
        }
        if let Some(failed) = line.ended {
            let task = |(number, error): (String, String)| {
                let index = number.parse::<usize>().ok().and_then(|number| self.tasks.get(number)).copied();
                let index = index.with_context(|| format!("HyperQueue named a task {number}, which was not submitted"));
                Ok((index?, error))
            };
            return Ok(Some(Told::Ended(Some(failed.into_iter().map(task).collect::<Result<_>>()?))));
        }
        Ok(line.finished.map(|finished| Told::Progress(finished + line.failed)))
    }
}

impl Running for Client {
    /// Lines that are not for us are passed over.
    fn next(&mut self) -> Result<Option<Told>> {
        match self.lines.recv_timeout(TICK) {
            Ok(line) => match serde_json::from_str(&line.context("the client of HyperQueue")?) {
                Ok(line) => self.told(line),
                Err(_) => Ok(None),
            },
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("the client of HyperQueue ended without a word"),
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
