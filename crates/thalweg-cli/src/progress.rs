//! Progress for people: bars with rate and time left on a terminal, plain lines at intervals elsewhere, nothing under `-q`.
//! All of it goes to stderr. Signals that ask the work to stop are heard in `signals.rs`.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use thalweg_nets::interrupt;
use thalweg_nets::progress::Progress;

/// Seconds between plain lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// What interrupted work said that it has kept.
static KEPT: Mutex<Option<String>> = Mutex::new(None);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Bars,
    Lines,
    Silent,
}

/// The stage under way.
struct Stage {
    what: String,
    total: u64,
    begun: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

/// The program's progress.
pub struct Terminal {
    manner: Manner,
    verbose: bool,
    done: AtomicU64,
    /// Of those, the ones that an earlier process did: the rate is without them.
    before: AtomicU64,
    stage: Mutex<Option<Stage>>,
    /// Notes that were told: each is told once.
    told: Mutex<BTreeSet<String>>,
}

impl Terminal {
    /// Chooses the manner by flags and by what stderr is, and listens for the signals.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        let manner = match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Manner::Silent,
            (false, true) => Manner::Bars,
            (false, false) => Manner::Lines,
        };
        crate::signals::watch();
        Self {
            manner,
            verbose,
            done: AtomicU64::new(0),
            before: AtomicU64::new(0),
            stage: Mutex::new(None),
            told: Mutex::default(),
        }
    }

    /// Runs `f` (which prints) with the bar out of the way.
    pub fn pause(&self, f: impl FnOnce()) {
        match self.lock().as_ref().and_then(|stage| stage.bar.as_ref()) {
            Some(bar) => bar.suspend(f),
            None => f(),
        }
    }

    /// A line that only `-v` shows.
    pub fn detail(&self, text: &str) {
        if self.verbose {
            self.note(text);
        }
    }

    /// Ends the stage under way, leaving one line that says what was done and how long it took.
    pub fn end(&self) {
        if let Some(stage) = self.lock().take() {
            if let Some(bar) = &stage.bar {
                bar.finish_and_clear();
            }
            let done = self.done.load(Ordering::Relaxed);
            let count = if stage.total > 1 { format!(": {done}") } else { String::new() };
            self.line(&format!("{}{count} in {}", stage.what, duration(stage.begun.elapsed())));
        }
    }

    fn line(&self, text: &str) {
        match self.manner {
            Manner::Silent => {}
            Manner::Lines => drop(writeln!(std::io::stderr().lock(), "{text}")),
            Manner::Bars => drop(writeln!(std::io::stderr().lock(), "\u{1b}[2m  {text}\u{1b}[0m")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time that is left, once there is a rate to tell it by: at the start nothing is known.
fn left(state: &ProgressState, to: &mut dyn std::fmt::Write) {
    if state.pos() > 0 && state.elapsed() > Duration::from_secs(1) && state.eta() > Duration::ZERO {
        let _ = write!(to, "  {} left", duration(state.eta()));
    }
}

/// How many a second, once there are some to tell it by.
fn rate(state: &ProgressState, to: &mut dyn std::fmt::Write) {
    if state.pos() > 0 {
        let _ = write!(to, "{}/s", per_second(state.per_sec()));
    }
}

/// A rate to three figures.
fn per_second(rate: f64) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.2}"),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

impl Progress for Terminal {
    fn begin(&self, what: &str, total: u64) {
        self.end();
        self.done.store(0, Ordering::Relaxed);
        self.before.store(0, Ordering::Relaxed);
        let bar = (self.manner == Manner::Bars).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            let style = match total {
                0 | 1 => ProgressStyle::with_template("  {spinner:.cyan} {msg}  {elapsed:.dim}"),
                _ => ProgressStyle::with_template(
                    "  {msg}  {bar:28.cyan/black.bright}  {human_pos}/{human_len}  {rate:.dim}{left}",
                ),
            };
            bar.set_style(
                style
                    .unwrap_or_else(|_| ProgressStyle::default_bar())
                    .progress_chars("━╸─")
                    .with_key("left", left)
                    .with_key("rate", rate),
            );
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if self.manner == Manner::Lines && total > 1 {
            self.line(&format!("{what}: 0 of {total}"));
        }
        let now = Instant::now();
        *self.lock() = Some(Stage { what: what.to_owned(), total, begun: now, told: now, bar });
    }

    fn advance(&self, n: u64) {
        let done = self.done.fetch_add(n, Ordering::Relaxed) + n;
        // Whoever finds the lock taken leaves the telling to the holder: workers never wait for the screen.
        let Ok(mut stage) = self.stage.try_lock() else { return };
        let Some(stage) = stage.as_mut() else { return };
        if let Some(bar) = &stage.bar {
            bar.set_position(done);
        } else if self.manner == Manner::Lines && stage.told.elapsed() >= INTERVAL && done < stage.total {
            stage.told = Instant::now();
            let seconds = stage.begun.elapsed().as_secs_f64();
            let rate = (done - self.before.load(Ordering::Relaxed)) as f64 / seconds.max(1e-9);
            let left = Duration::from_secs_f64((stage.total - done) as f64 / rate.max(1e-9));
            let line = format!(
                "{}: {done} of {} ({} %), {rate:.1} a second, {} left",
                stage.what,
                stage.total,
                100 * done / stage.total,
                duration(left)
            );
            self.line(&line);
        }
    }

    fn resumed(&self, n: u64) {
        if n == 0 {
            return;
        }
        self.before.store(n, Ordering::Relaxed);
        self.done.store(n, Ordering::Relaxed);
        if let Some(stage) = self.lock().as_ref() {
            match &stage.bar {
                Some(bar) => {
                    bar.set_position(n);
                    bar.reset_eta();
                }
                None => self.line(&format!("{}: going on from {n} of {}", stage.what, stage.total)),
            }
        }
    }

    fn note(&self, text: &str) {
        let new = self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(text.to_owned());
        if new && self.manner != Manner::Silent {
            self.pause(|| self.line(text));
        }
    }

    fn kept(&self, done: u64, total: u64, units: &str) {
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some(format!("{done} of {total} {units} kept"));
    }

    fn interrupted(&self) -> bool {
        interrupt::requested()
    }
}

/// What is to be said of work that was interrupted: what the work itself says is kept, and what the command has `left`.
pub fn interruption(left: &str) -> String {
    match KEPT.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
        Some(kept) => format!("interrupted; {kept}; {left}"),
        None => format!("interrupted; {left}"),
    }
}

/// "0.4 s", "12 s", "3 min 20 s", "2 h 05 min".
pub fn duration(d: Duration) -> String {
    let seconds = d.as_secs_f64();
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..120 => format!("{whole} s"),
        120..7200 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let said = |s: f64| duration(Duration::from_secs_f64(s));
        assert_eq!(said(0.42), "0.4 s");
        assert_eq!(said(9.97), "10 s");
        assert_eq!(said(119.4), "119 s");
        assert_eq!(said(200.0), "3 min 20 s");
        assert_eq!(said(7500.0), "2 h 05 min");
    }

    #[test]
    fn rates_have_three_figures() {
        for (rate, expected) in [(0.0123, "0.01"), (2.5, "2.50"), (26.3302, "26.3"), (1234.5, "1234")] {
            assert_eq!(per_second(rate), expected);
        }
    }

    #[test]
    fn counting_is_exact_from_many_threads() {
        let terminal = Terminal::new(true, false);
        terminal.begin("work", 8000);
        std::thread::scope(|s| {
            for _ in 0..8 {
                s.spawn(|| (0..1000).for_each(|_| terminal.advance(1)));
            }
        });
        assert_eq!(terminal.done.load(Ordering::Relaxed), 8000);
        assert!(!terminal.interrupted());
    }
}
