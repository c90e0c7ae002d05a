//! Long work for Python: done by a thread of its own without the interpreter's lock, while the calling thread hears Ctrl-C and tells the progress.
use crate::errors::raised;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thalweg::{Result, interrupt};
use thalweg_nets::progress::Progress;

/// How often signals are looked for and progress is told.
const TICK: Duration = Duration::from_millis(50);

/// Stack of the working thread, as large as that of a program's main thread.
const STACK: usize = 8 << 20;

/// Works under way in this process: the request to stop is withdrawn when the last of them has stopped.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// What the working thread says of itself.
#[derive(Default)]
struct Stage {
    what: String,
    total: u64,
    notes: Vec<String>,
    over: bool,
}

/// The progress of one work.
#[derive(Default)]
pub struct Watch {
    stage: Mutex<Stage>,
    change: Condvar,
    done: AtomicU64,
    stopped: AtomicBool,
}

impl Watch {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self) {
        self.stage().over = true;
        self.change.notify_all();
    }

    /// Waits for a tick or for the end, and says whether it is the end.
    fn wait(&self) -> bool {
        let waited = self.change.wait_timeout_while(self.stage(), TICK, |stage| !stage.over);
        waited.unwrap_or_else(PoisonError::into_inner).0.over
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        interrupt::request();
    }

    /// Calls `observer(what, done, total, notes)`.
    fn tell(&self, py: Python<'_>, observer: &Py<PyAny>) -> PyResult<()> {
        let (what, total, notes) = {
            let mut stage = self.stage();
            (stage.what.clone(), stage.total, std::mem::take(&mut stage.notes))
        };
        observer.call1(py, (what, self.done.load(Ordering::Relaxed), total, notes)).map(|_| ())
    }
}

impl Progress for Watch {
    fn begin(&self, what: &str, total: u64) {
        let mut stage = self.stage();
        (stage.what, stage.total) = (what.to_owned(), total);
        self.done.store(0, Ordering::Relaxed);
    }

    fn advance(&self, n: u64) {
        self.done.fetch_add(n, Ordering::Relaxed);
    }

    fn note(&self, text: &str) {
        self.stage().notes.push(text.to_owned());
    }

    fn interrupted(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// Marks a thread's work as over, however it ends.
struct Ending<'a>(&'a Watch);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.finish();
    }
}

/// Does `work` on another thread, while this one tells `observer` of it and runs Python's signal handlers.
///
/// # Errors
/// The work's, as exceptions; what a signal handler raised (KeyboardInterrupt), or the observer, after the work has stopped.
pub fn run<T: Send>(
    py: Python<'_>,
    observer: &Bound<'_, PyAny>,
    work: impl FnOnce(&Watch) -> Result<T> + Send,
) -> PyResult<T> {
    let observer = observer.clone().unbind();
    py.detach(|| {
        let watch = Watch::default();
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        let (made, stopped) = std::thread::scope(|scope| {
            let worker = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || {
                let _ending = Ending(&watch);
                work(&watch)
            });
            match worker {
                Ok(worker) => {
                    let stopped = attend(&watch, &observer);
                    let made =
                        worker.join().map_err(|_| PyRuntimeError::new_err("a defect of thalweg: its work panicked"));
                    (made.and_then(|made| made.map_err(raised)), stopped)
                }
                Err(e) => (Err(e.into()), None),
            }
        });
        if UNDER_WAY.fetch_sub(1, Ordering::SeqCst) == 1 {
            interrupt::withdraw();
        }
        stopped.map_or(made, Err)
    })
}

/// Until the work is over: signals, and progress. The first exception asks the work to stop and is given back.
fn attend(watch: &Watch, observer: &Py<PyAny>) -> Option<PyErr> {
    let mut stopped = None;
    loop {
        let over = watch.wait();
        let told = Python::attach(|py| py.check_signals().and_then(|()| watch.tell(py, observer)));
        if let (Err(e), None) = (told, &stopped) {
            watch.stop();
            stopped = Some(e);
        }
        if over {
            return stopped;
        }
    }
}
