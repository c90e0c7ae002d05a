//! Commands of the user's: started by the shell as the leaders of groups of processes, so that all they start can be stopped, and waited for with a limit.
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::{Error, Result};

/// Between two looks at a command that works.
const LOOK: Duration = Duration::from_millis(5);

/// Starts `command`, as the shell takes it, with its ends and further words as `ends` says.
///
/// # Errors
/// Whatever the system refuses.
pub fn start(command: &str, ends: impl FnOnce(&mut Command)) -> std::io::Result<Child> {
    let (shell, flag) = if cfg!(windows) { ("cmd", "/C") } else { ("sh", "-c") };
    let mut called = Command::new(shell);
    called.args([flag, command]);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut called, 0);
    ends(&mut called);
    called.spawn()
}

/// How it ended; none where it was stopped at its `limit`. What it has started and left running is stopped with it, since it would hold the pipes.
///
/// # Errors
/// What `stopped` says: then the command is stopped too.
pub fn wait(child: &mut Child, limit: Duration, mut stopped: impl FnMut() -> Result<()>) -> Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io("wait for", "the command"))? {
            stop(child);
            return Ok(Some(status));
        }
        let interrupted = stopped();
        if interrupted.is_err() || begun.elapsed() >= limit {
            stop(child);
            child.wait().map_err(Error::io("wait for", "the command"))?;
            interrupted?;
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Stops the command with all it has started; best effort.
fn stop(child: &mut Child) {
    #[cfg(unix)]
    drop(Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).stderr(Stdio::null()).status());
    drop(child.kill());
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn piped(command: &mut Command) {
        command.stdout(Stdio::piped());
    }

    #[test]
    fn what_a_command_leaves_running_does_not_hold_its_pipes() {
        let begun = Instant::now();
        let mut child = start("sleep 30 & echo done", piped).unwrap();
        let status = wait(&mut child, Duration::from_secs(20), || Ok(())).unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut text).unwrap();
        assert!(status.is_some_and(|status| status.success()) && text == "done\n");
        let mut slow = start("sh -c 'sleep 30'", piped).unwrap();
        assert!(wait(&mut slow, Duration::from_millis(200), || Ok(())).unwrap().is_none());
        let mut unwanted = start("sleep 30", piped).unwrap();
        let found = wait(&mut unwanted, Duration::from_secs(20), || Err(thalweg::Error::Interrupted));
        assert!(found.is_err() && begun.elapsed() < Duration::from_secs(15));
    }
}
