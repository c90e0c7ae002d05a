//! Tests that train on one half of the query and judge on the other, then the other way about, and average.
use crate::shift::base::{Sample, Schema};
use crate::shift::test::{self, Measured};
use crate::{Error, Result, Streams};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use thalweg_nets::engine::{Engine, Workspace};
use thalweg_nets::streams::shuffle;

/// One half of a query to train on, the other to judge on.
pub struct Fold<'a> {
    /// The rows trained on.
    pub train: Sample,
    /// The rows judged on.
    pub judge: Sample,
    /// What this fold draws from, apart from `rng`.
    pub streams: Streams,
    /// The query's generator, which goes on from fold to fold.
    pub rng: &'a mut ChaCha8Rng,
    /// Of the engine.
    pub workspace: &'a mut Workspace,
}

/// Queries that can be halved.
pub struct Halves<'a> {
    /// What they look like.
    pub schema: &'a Schema,
    /// Their fewest rows, and why so many.
    pub least: (usize, &'static str),
    /// What works on them.
    pub engine: &'a Engine,
}

impl Halves<'_> {
    /// The mean of what `fold` says of the two halves of each query in random order, in parallel over queries.
    ///
    /// # Errors
    /// Queries that do not fit or have too few rows; those of `fold`.
    pub fn measure(
        &self,
        queries: &[Sample],
        streams: &Streams,
        fold: impl Fn(Fold) -> Result<f64> + Sync,
    ) -> Result<Measured> {
        let one = |workspace: &mut Workspace, (i, query): (usize, &Sample)| {
            test::check(query, self.schema, true)?;
            let (least, why) = self.least;
            if query.len() < least {
                let expected = format!("[N ≥ {least}, D], {why}");
                return Err(Error::shape("query Q", expected, format!("[{}, D]", query.len())));
            }
            let streams = streams.index(i as u64);
            let mut rng = streams.rng();
            let mut order: Vec<usize> = (0..query.len()).collect();
            shuffle(&mut order, &mut rng);
            let (a, b) = order.split_at(order.len() / 2);
            let mut of = |name: &str, train: &[usize], judge: &[usize]| {
                let (train, judge) = (query.rows(train), query.rows(judge));
                fold(Fold { train, judge, streams: streams.child(name), rng: &mut rng, workspace: &mut *workspace })
            };
            Ok(0.5 * (of("first", a, b)? + of("second", b, a)?))
        };
        let each = queries.par_iter().enumerate();
        let values = each.map_init(|| self.engine.workspace(), one).collect::<Result<_>>()?;
        Ok(Measured { values, ..Measured::default() })
    }
}
