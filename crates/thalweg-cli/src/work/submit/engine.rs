//! [`Engine`]: what is asked of an engine that runs arrays of tasks, whichever it is.
use super::Array;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How often a request to stop is looked for.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// What is remembered of an array, so that the same command finds it again.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Submitted {
    /// The array's name.
    pub name: String,
    /// Where it was submitted: job numbers are a server's own.
    pub server: String,
    /// Its number there.
    pub job: u64,
    /// Its tasks, in the order in which they were submitted.
    pub tasks: Vec<usize>,
}

/// What is told of an array.
#[derive(Debug)]
pub enum Told {
    /// It is in the engine's hands, as what is remembered from now on.
    Begun(Submitted),
    /// So many of its tasks have ended, well or not.
    Progress(u64),
    /// All have ended; those that failed with what the engine says of each. None where the engine does not know how they ended.
    Ended(Option<Vec<(usize, String)>>),
}

/// An engine.
pub trait Engine {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Takes up the array that was submitted `earlier` where it is still at work, and submits `array` where it is not.
    ///
    /// # Errors
    /// An engine that is not there or refuses the array.
    fn start(&self, array: &Array, earlier: Option<&Submitted>) -> Result<Box<dyn Running>>;
}

/// An array in an engine's hands. Dropped, it goes on there.
pub trait Running {
    /// What is told next; none where nothing is for the tenth of a second.
    ///
    /// # Errors
    /// An engine that does not answer.
    fn next(&mut self) -> Result<Option<Told>>;
}
