//! [`Factory`]: what the registry ([`super::method`]) holds of a test, written beside the test; and the [`Parts`] that tests are made from.
use super::base::Base;
use super::config::Config;
use super::reference::Reference;
use super::stored::Stored;
use super::test::ShiftTest;
use crate::{Error, Result, Streams};
use std::sync::Arc;
use thalweg_nets::pieces::Pieces;

/// What a test may need besides rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// f's logits.
    Logits,
    /// Inputs too.
    Inputs,
    /// f's weights too, and gradients at them.
    Network,
    /// An architecture that the engine knows too.
    Engine,
}

/// What tests are made from.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    /// f; none where only its logits are known.
    pub base: Option<Arc<Base>>,
    /// P.
    pub reference: &'a Reference,
    /// Labels of the training rows `[N]`; f's predictions serve where there are none.
    pub labels: &'a [u32],
    /// |Q|.
    pub size: usize,
    /// Parameters.
    pub config: &'a Config,
}

impl Parts<'_> {
    /// f.
    ///
    /// # Errors
    /// Only its logits are known.
    pub fn base(&self) -> Result<Arc<Base>> {
        let missing = || Error::parameter("classifier f", "its weights and architecture", "logits alone");
        self.base.clone().ok_or_else(missing)
    }
}

/// A prepared test.
pub type Prepared = Result<Box<dyn ShiftTest>>;

/// A kind of test.
#[derive(Debug)]
pub struct Factory {
    /// Its name on the command line, in tables and in files.
    pub name: &'static str,
    /// What it looks at, in words for people who do not know its name.
    pub looks_at: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// Whether networks are trained or tuned for every query, so that every redraw of a permutation test costs a training.
    pub trains_per_query: bool,
    /// Prepares it: trains what is to be trained, or, where it was prepared before, takes that from what [`ShiftTest::save`] stored.
    pub prepare: fn(&Parts, Option<&Stored>, &Streams) -> Prepared,
    /// What it trains first, for tests that begin with networks which do not need one another.
    pub trained: Option<Trained>,
}

/// Networks that a test trains independently of one another before anything else. To prepare the test at once is to make them here, and to prepare it
/// from them.
#[derive(Debug)]
pub struct Trained {
    /// The work; its pieces one after the other are the networks, a whole number of them each, one where the engine computes them.
    pub pieces: for<'a> fn(&Parts<'a>, &Streams) -> Result<Box<dyn Pieces + 'a>>,
    /// Prepares the test from networks `[M, P]`.
    pub prepare: fn(&Parts, Vec<f32>, &Streams) -> Prepared,
}
