//! Slurm, driven by its own commands: `sbatch --array` submits, `squeue` says who is waiting or at work, `sacct` how tasks ended.
//!
//! Where, for how long and on whose account tasks run is said as for any job of Slurm's: by SBATCH_PARTITION, SBATCH_TIMELIMIT, SBATCH_ACCOUNT and the
//! like, which `sbatch` reads.
use super::Array;
use super::engine::{Engine, Running, Submitted, TICK, Told};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use thalweg_nets::files::rooted;
use thalweg_nets::pieces::task::ranges;

/// What remembered arrays of Slurm's have for a server, before the name of a cluster.
const SERVER: &str = "slurm";

/// Least and most time between two questions; between them a twentieth of the time since the beginning.
const POLL: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(10)];

/// Questions in a row that may fail before following ends: a controller may be restarted.
const FAILURES: usize = 30;

/// How long `sacct`, which is told with a delay, may still take a task that `squeue` does not know any more for one at work.
const DELAY: Duration = Duration::from_secs(30);

/// The engine.
pub struct Slurm;

impl Engine for Slurm {
    fn name(&self) -> &'static str {
        "Slurm"
    }

    fn start(&self, array: &Array, earlier: Option<&Submitted>) -> Result<Box<dyn Running>> {
        let earlier = earlier.filter(|earlier| earlier.server.starts_with(SERVER));
        if let Some(earlier) = earlier {
            let job = Job::new(earlier.clone());
            if job.waiting()? > 0 {
                return Ok(Box::new(job));
            }
        }
        let log = array.logs().display().to_string().replace('%', "%%");
        let asked = Command::new("sbatch")
            .args(["--parsable", "--output=/dev/null"])
            .arg(format!("--array={}", ranges(&array.tasks)))
            .arg(format!("--cpus-per-task={}", array.cores))
            .arg(format!("--job-name={}", array.name()))
            .arg(format!("--error={log}/%a.err"))
            .arg(format!("--chdir={}", rooted(Path::new(".")).display()))
            .arg(format!("--wrap={}", array.line()))
            .said();
        let said = asked?.map_err(|wrong| anyhow::anyhow!("sbatch: {wrong}"))?;
        // A number, and the cluster after a semicolon where there are several.
        let (job, cluster) = said.trim().split_once(';').unwrap_or((said.trim(), ""));
        let job =
            job.parse().with_context(|| format!("sbatch: expected the number of a job, found {}", said.trim()))?;
        let server = if cluster.is_empty() { SERVER.to_owned() } else { format!("{SERVER}:{cluster}") };
        Ok(Box::new(Job::new(Submitted { name: array.name(), server, job, tasks: array.tasks.clone() })))
    }
}

/// An array in Slurm's hands.
struct Job {
    submitted: Submitted,
    told: bool,
    begun: Instant,
    /// When to ask next.
    next: Instant,
    failures: usize,
    /// Since when `squeue` knows no task any more.
    over: Option<Instant>,
}

impl Job {
    fn new(submitted: Submitted) -> Self {
        let now = Instant::now();
        Self { submitted, told: false, begun: now, next: now, failures: 0, over: None }
    }

    /// `command` with the flags that name the job.
    fn asked(&self, command: &str, flags: &[&str]) -> Result<Result<String, String>> {
        let mut command = Command::new(command);
        if let Some((_, cluster)) = self.submitted.server.split_once(':') {
            command.arg(format!("--clusters={cluster}"));
        }
        command.args(flags).arg(format!("--jobs={}", self.submitted.job)).said()
    }

    /// Tasks that wait or are at work.
    fn waiting(&self) -> Result<usize> {
        match self.asked("squeue", &["--noheader", "--array", "--format=%K %T"])? {
            Ok(lines) => Ok(lines.lines().filter(|line| line.trim().split(' ').count() == 2).count()),
            // What has ended some minutes ago is not known any more.
            Err(wrong) if wrong.contains("Invalid job id") => Ok(0),
            Err(wrong) => bail!("squeue: {wrong}"),
        }
    }

    /// The states of tasks that have ended, or are said to be at work still; none where no account is kept.
    fn states(&self) -> Result<Option<BTreeMap<usize, String>>> {
        let flags = ["--noheader", "--parsable2", "--allocations", "--format=JobID,State,ExitCode"];
        let Ok(lines) = self.asked("sacct", &flags)? else { return Ok(None) };
        let prefix = format!("{}_", self.submitted.job);
        let line = |line: &str| {
            let (id, state) = line.strip_prefix(&prefix)?.split_once('|')?;
            Some((id.parse().ok()?, state.replacen('|', ", exit code ", 1)))
        };
        let states: BTreeMap<usize, String> = lines.lines().filter_map(line).collect();
        Ok((!states.is_empty()).then_some(states))
    }
}

impl Running for Job {
    fn next(&mut self) -> Result<Option<Told>> {
        if !self.told {
            self.told = true;
            return Ok(Some(Told::Begun(self.submitted.clone())));
        }
        let now = Instant::now();
        if now < self.next {
            std::thread::sleep(TICK.min(self.next - now));
            return Ok(None);
        }
        self.next = now + (self.begun.elapsed() / 20).clamp(POLL[0], POLL[1]);
        let waiting = match self.waiting() {
            Err(wrong) if self.failures + 1 >= FAILURES => return Err(wrong),
            Err(_) => {
                self.failures += 1;
                return Ok(None);
            }
            Ok(waiting) => waiting,
        };
        self.failures = 0;
        if waiting > 0 {
            return Ok(Some(Told::Progress(self.submitted.tasks.len().saturating_sub(waiting) as u64)));
        }
        let over = *self.over.get_or_insert(now);
        let Some(states) = self.states()? else { return Ok(Some(Told::Ended(None))) };
        let ended = |task: &usize| states.get(task).is_some_and(|state| !is_open(state));
        if !self.submitted.tasks.iter().all(ended) && over.elapsed() < DELAY {
            return Ok(None);
        }
        let failed = self.submitted.tasks.iter().filter_map(|task| {
            let state = states.get(task).map_or("it is not accounted for", String::as_str);
            (!state.starts_with("COMPLETED")).then(|| (*task, format!("Slurm says {state}")))
        });
        Ok(Some(Told::Ended(Some(failed.collect()))))
    }
}

/// Whether a task in this state may still end.
fn is_open(state: &str) -> bool {
    ["PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "REQUEUED", "RESIZING"]
        .iter()
        .any(|open| state.starts_with(open))
}

/// What a command says: on stdout where it ends well, on stderr where it does not.
trait Said {
    /// Runs it, out of the reach of Ctrl-C, which is for us.
    ///
    /// # Errors
    /// A command that is not there.
    fn said(&mut self) -> Result<Result<String, String>>;
}

impl Said for Command {
    fn said(&mut self) -> Result<Result<String, String>> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(self, 0);
        let name = self.get_program().to_string_lossy().into_owned();
        let output = self.stdin(Stdio::null()).output();
        let output = output.with_context(|| {
            format!("{name}: expected Slurm's command on the PATH; --dry-run prints what to type elsewhere")
        })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(match output.status.success() {
            true => Ok(text(&output.stdout)),
            false => Err(text(&output.stderr)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_in_which_a_task_may_still_end_are_told_from_those_in_which_it_has() {
        assert!(["RUNNING, exit code 0:0", "PENDING, exit code 0:0", "REQUEUED"].iter().all(|state| is_open(state)));
        assert!(
            ["COMPLETED, exit code 0:0", "FAILED", "CANCELLED by 7", "TIMEOUT", "NODE_FAIL"]
                .iter()
                .all(|s| !is_open(s))
        );
    }
}
