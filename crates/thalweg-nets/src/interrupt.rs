//! The request to stop that a whole process received: Ctrl-C, or the signal of a scheduler.
//!
//! Whoever starts long work can watch and stop it by a [`Progress`](crate::progress::Progress). Loops that lie too deep for one to reach
//! them (the steps of a solver inside a sample, of a classifier inside a null law) ask here in its place: a signal is the whole process's, so a
//! single flag says all there is to say. Work that was stopped returns [`Error::Interrupted`], and only before it has changed anything
//! that it keeps, so that whatever is resumed ends with the same bytes.
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Asks all long work of this process to stop. For signal handlers of programs.
pub fn request() {
    REQUESTED.store(true, Ordering::SeqCst);
}

/// Takes the request back, once all work that should stop has stopped: for processes that live on, as interpreters do.
pub fn withdraw() {
    REQUESTED.store(false, Ordering::SeqCst);
}

/// Whether [`request`] was called.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Ends a long loop where it was: to be called between units of work that take well under a second.
///
/// # Errors
/// [`Error::Interrupted`] after [`request`].
pub fn check() -> Result<()> {
    match requested() {
        true => Err(Error::Interrupted),
        false => Ok(()),
    }
}
