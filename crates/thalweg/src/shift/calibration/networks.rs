//! The networks that the tests of a calibration train independently of one another: pieces of work that many processes may share.
use crate::{Error, Result};
use thalweg_nets::pieces::Pieces;

/// The networks `[P]` of a test, given the number of its first piece among those of all tests, and its own work.
pub type Trained<'a> = dyn Fn(usize, &dyn Pieces) -> Result<Vec<Vec<f32>>> + 'a;

/// The trainings of all tests of a request, one after the other.
pub struct Networks<'a>(Vec<Box<dyn Pieces + 'a>>);

impl<'a> Networks<'a> {
    pub(super) fn new(tests: Vec<Box<dyn Pieces + 'a>>) -> Self {
        Self(tests)
    }
}

impl Pieces for Networks<'_> {
    fn count(&self) -> usize {
        self.0.iter().map(|work| work.count()).sum()
    }

    fn make(&self, mut index: usize) -> Result<Vec<f32>> {
        for work in &self.0 {
            if index < work.count() {
                return work.make(index);
            }
            index -= work.count();
        }
        Err(Error::parameter("piece", format!("below {}", self.count()), index))
    }
}
