//! Curves to learn from: for chosen runs, their points at each marginal, in standardised coordinates, coupled (M4, M5).
//!
//! Every draw is a pure function of its stream. Memory does not depend on the number of runs: what fits the budget is kept
//! standardised from the start, larger zoos are gathered from their files batch by batch.
use super::anchors::{Anchors, MarginalPoints};
use crate::coupling::Coupling;
use crate::space::latent::{Decoder, Space};
use crate::space::source::Source;
use crate::{Error, Result, Streams};
use rand::seq::{SliceRandom, index};
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;
use thalweg_nets::memory;
use thalweg_nets::zoo::ZooStore;

/// Bytes of standardised points that are kept in memory, at most.
pub const BUDGET: usize = 512 << 20;

/// Those of them that the memory budget allows: what is kept decides the speed and not the bytes.
pub fn budget() -> usize {
    memory::cached(BUDGET)
}

/// Where the points of one marginal come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marginal {
    /// Fresh draws from the source.
    Source,
    /// A checkpoint of recorded runs.
    Checkpoint(usize),
}

/// A zoo seen as curves through marginals.
pub struct Curves<'a> {
    zoo: &'a ZooStore,
    space: Space<'a>,
    source: &'a Source,
    coupling: Coupling,
    marginals: Vec<Marginal>,
    /// Row of each run in `kept`.
    row_of: HashMap<usize, usize>,
    /// `[marginals, rows, P]`, or nothing where that is above the budget.
    kept: Vec<f32>,
    /// Means `[k, D]` of the source's families, where it has some.
    families: Vec<f32>,
    /// How many starts there are, and their stream, where they are drawn once.
    starts: Option<(usize, Streams)>,
}

impl<'a> Curves<'a> {
    /// Curves of `zoo` through `marginals`; what `runs` need is loaded now if it fits `budget` bytes.
    ///
    /// # Errors
    /// Paired curves that would start at fresh draws, or a file that cannot be read.
    pub fn new(
        zoo: &'a ZooStore,
        runs: &[usize],
        space: Space<'a>,
        source: &'a Source,
        coupling: Coupling,
        marginals: Vec<Marginal>,
        budget: usize,
    ) -> Result<Self> {
        if coupling == Coupling::Paired && marginals.contains(&Marginal::Source) {
            let expected = "independent or optimal-transport where starts are drawn afresh or not recorded";
            return Err(Error::parameter("coupling", expected, "paired"));
        }
        let families = match source {
            Source::Families(law) => space.latent.map_or_else(|| law.means.clone(), |latent| latent.encode(&law.means)),
            _ => Vec::new(),
        };
        let mut curves = Self {
            zoo,
            space,
            source,
            coupling,
            marginals,
            row_of: HashMap::new(),
            kept: vec![],
            families,
            starts: None,
        };
        let bytes = curves.marginals.len() * runs.len() * space.dimension() * size_of::<f32>();
        if bytes <= budget {
            // MarginalPoints of a source marginal are never looked up; they cost a little memory and keep the indexing plain.
            curves.kept.reserve(curves.marginals.len() * runs.len() * space.dimension());
            for m in 0..curves.marginals.len() {
                let points = curves.gathered(m, runs)?;
                curves.kept.extend(points);
            }
            curves.row_of = runs.iter().enumerate().map(|(row, &run)| (run, row)).collect();
        }
        Ok(curves)
    }

    /// The same with `count` starts in all, those that `streams` gives; 0 for fresh ones at every draw.
    #[must_use]
    pub fn with_starts(mut self, count: usize, streams: Streams) -> Self {
        self.starts = (count > 0).then_some((count, streams));
        self
    }

    /// Numbers of a point: P, or those of the latent space.
    pub fn dimension(&self) -> usize {
        self.space.dimension()
    }

    /// `size` curves of `runs`. Paired curves go through all of `runs` before one comes twice; otherwise every
    /// marginal takes runs of its own, and the coupling joins them.
    ///
    /// # Errors
    /// No run, or a file that cannot be read.
    pub fn draw(&self, runs: &[usize], size: usize, streams: &Streams) -> Result<Anchors<'_>> {
        if runs.is_empty() {
            return Err(Error::parameter("split", "at least one run to draw curves from", "none"));
        }
        let paired = (self.coupling == Coupling::Paired).then(|| drawn(runs, size, &streams.child("runs")));
        let marginals = (0..self.marginals.len()).map(|m| match (self.marginals[m], &paired) {
            (Marginal::Source, _) => self.fresh(size, &streams.child("source")),
            (Marginal::Checkpoint(_), Some(drawn)) => self.rows(m, drawn),
            (Marginal::Checkpoint(_), None) => self.rows(m, &drawn(runs, size, &streams.child("runs").index(m as u64))),
        });
        let (p, mut marginals) = (self.dimension(), marginals.collect::<Result<Vec<_>>>()?);
        match self.coupling {
            Coupling::Paired => {}
            Coupling::Independent => {
                // Marginals without their points: this coupling does not read them.
                let nothing = vec![0.0; size];
                let order =
                    self.coupling.chain(&vec![&nothing[..]; marginals.len()], 1, None, &streams.child("coupling"))?;
                reorder(&mut marginals, &order);
                self.start_in_families(&mut marginals, &streams.child("source"))?;
            }
            Coupling::OptimalTransport => {
                self.start_in_families(&mut marginals, &streams.child("source"))?;
                let dense = Anchors::new(p, marginals.clone())?.to_dense();
                let views: Vec<&[f32]> = dense.chunks_exact(size * p).collect();
                let order = self.coupling.chain(&views, p, None, &streams.child("coupling"))?;
                reorder(&mut marginals, &order);
            }
        }
        Anchors::new(p, marginals)
    }

    /// Curves through all of `runs`, in their order.
    ///
    /// # Errors
    /// As [`Self::draw`].
    pub fn in_order(&self, runs: &[usize], streams: &Streams) -> Result<Anchors<'_>> {
        let marginals = (0..self.marginals.len()).map(|m| match self.marginals[m] {
            Marginal::Source => self.fresh(runs.len(), &streams.child("source")),
            Marginal::Checkpoint(_) => self.rows(m, runs),
        });
        Anchors::new(self.dimension(), marginals.collect::<Result<_>>()?)
    }

    /// Draws every start anew from the family that the end of its curve is of, where the source has families: the coupling is then that of its name
    /// within each, and no curve leads from one to another.
    fn start_in_families<'b>(&'b self, marginals: &mut [MarginalPoints<'b>], streams: &Streams) -> Result<()> {
        let (Source::Families(law), Some((ends, starts))) = (self.source, marginals.split_last_mut()) else {
            return Ok(());
        };
        let (Some(start), Some(Marginal::Source), p) = (starts.first_mut(), self.marginals.first(), self.dimension())
        else {
            return Ok(());
        };
        let size = ends.row_of_curve.len();
        let mut points = vec![0.0; size * p];
        points.par_chunks_exact_mut(p).zip(&ends.row_of_curve).enumerate().for_each(|(i, (z, &row))| {
            let family = nearest(&ends.points[row * p..(row + 1) * p], &self.families);
            z.copy_from_slice(&self.space.draw_of_family(law, family, &streams.index(i as u64)));
        });
        *start = MarginalPoints { points: Cow::Owned(points), row_of_curve: (0..size).collect() };
        Ok(())
    }

    /// `size` draws of the source: fresh ones, or some of those that were drawn once.
    fn fresh(&self, size: usize, streams: &Streams) -> Result<MarginalPoints<'_>> {
        let p = self.dimension();
        let mut points = vec![0.0; size * p];
        let (which, streams) = match &self.starts {
            Some((count, once)) => (drawn(&(0..*count).collect::<Vec<_>>(), size, streams), once),
            None => ((0..size).collect(), streams),
        };
        points.par_chunks_exact_mut(p).zip(which).try_for_each(|(z, i)| {
            z.copy_from_slice(&self.space.draw(self.source, i as u64, self.zoo.layout(), streams)?);
            Ok(())
        })?;
        Ok(MarginalPoints { points: Cow::Owned(points), row_of_curve: (0..size).collect() })
    }

    /// The points of `runs` at marginal `m`: named where they are kept, gathered where they are not.
    fn rows(&self, m: usize, runs: &[usize]) -> Result<MarginalPoints<'_>> {
        let kept = runs.iter().map(|run| self.row_of.get(run).copied()).collect::<Option<Vec<_>>>();
        Ok(match kept {
            Some(row_of_curve) => {
                let each = self.row_of.len() * self.dimension();
                MarginalPoints { points: Cow::Borrowed(&self.kept[m * each..(m + 1) * each]), row_of_curve }
            }
            None => {
                MarginalPoints { points: Cow::Owned(self.gathered(m, runs)?), row_of_curve: (0..runs.len()).collect() }
            }
        })
    }

    /// Points `[B, P]` of `runs` at marginal `m`, from their files; zeros for the source.
    fn gathered(&self, m: usize, runs: &[usize]) -> Result<Vec<f32>> {
        let Marginal::Checkpoint(checkpoint) = self.marginals[m] else {
            return Ok(vec![0.0; runs.len() * self.dimension()]);
        };
        let items: Vec<_> = runs.iter().map(|&run| (run, checkpoint)).collect();
        let p = self.zoo.parameters();
        // Latents are encoded some networks at a time, whose weights are dropped again.
        let at_once = if self.space.latent.is_some() { memory::rows(64 * p as u64, 64) } else { items.len().max(1) };
        let mut points = Vec::with_capacity(items.len() * self.dimension());
        for items in items.chunks(at_once) {
            let mut theta = vec![0.0; items.len() * p];
            self.zoo.gather(items, &mut theta)?;
            let some = self.space.points(theta);
            match points.is_empty() {
                true => points = some,
                false => points.extend(some),
            }
        }
        Ok(points)
    }
}

/// Runs above which a draw takes as long as what is drawn, not as all of them.
const MANY: usize = 1 << 12;

/// `size` of `runs` in random order, each once before one comes twice.
fn drawn(runs: &[usize], size: usize, streams: &Streams) -> Vec<usize> {
    let mut rng = streams.rng();
    if runs.len() > MANY.max(size) {
        return index::sample(&mut rng, runs.len(), size).iter().map(|i| runs[i]).collect();
    }
    let mut order = runs.to_vec();
    order.shuffle(&mut rng);
    (0..size).map(|i| order[i % order.len()]).collect()
}

/// Which of `centres [k, D]` is nearest to `point [D]`.
fn nearest(point: &[f32], centres: &[f32]) -> usize {
    let far = |c: &[f32]| c.iter().zip(point).map(|(c, x)| f64::from(c - x).powi(2)).sum::<f64>();
    let all = centres.chunks_exact(point.len()).map(far).enumerate();
    all.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(i, _)| i)
}

/// Curve i takes the row that `order[marginal][i]` had.
fn reorder(marginals: &mut [MarginalPoints], order: &[Vec<usize>]) {
    for (rows, order) in marginals.iter_mut().zip(order) {
        rows.row_of_curve = order.iter().map(|&i| rows.row_of_curve[i]).collect();
    }
}

#[cfg(test)]
#[path = "curves_tests.rs"]
mod tests;
