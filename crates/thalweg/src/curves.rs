//! Curves to learn from: for chosen runs, their points at each marginal, in standardised coordinates, coupled (M4, M5).
//!
//! Every draw is a pure function of its stream. Memory does not depend on the number of runs: what fits the budget is kept
//! standardised from the start, larger zoos are gathered from their files batch by batch.
use crate::coupling::Coupling;
use crate::latent::{Decoder, Space};
use crate::source::Source;
use crate::{Error, Result, Streams};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use std::collections::HashMap;
use thalweg_nets::zoo::ZooStore;

/// Bytes of standardised points that are kept in memory.
pub const BUDGET: usize = 512 << 20;

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
    rows: HashMap<usize, usize>,
    /// `[marginals, rows, P]`, or nothing where that is above the budget.
    kept: Vec<f32>,
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
        let mut curves = Self { zoo, space, source, coupling, marginals, rows: HashMap::new(), kept: vec![] };
        let bytes = curves.marginals.len() * runs.len() * space.dimension() * size_of::<f32>();
        if bytes <= budget {
            let each = vec![runs; curves.marginals.len()];
            // Rows of a source marginal are never looked up; they cost a little memory and keep the indexing plain.
            let kept = curves.gather(&each)?;
            curves.rows = runs.iter().enumerate().map(|(row, &run)| (run, row)).collect();
            curves.kept = kept;
        }
        Ok(curves)
    }

    /// Numbers of a point: P, or those of the latent space.
    pub fn dimension(&self) -> usize {
        self.space.dimension()
    }

    /// `size` curves of `runs`: `[marginals, size, P]`. Paired curves go through all of `runs` before one comes twice; otherwise every
    /// marginal takes runs of its own, and the coupling joins them.
    ///
    /// # Errors
    /// No run, or a file that cannot be read.
    pub fn draw(&self, runs: &[usize], size: usize, streams: &Streams) -> Result<Vec<f32>> {
        if runs.is_empty() {
            return Err(Error::parameter("split", "at least one run to draw curves from", "none"));
        }
        let pick = |streams: Streams| {
            let mut order = runs.to_vec();
            order.shuffle(&mut streams.rng());
            (0..size).map(|i| order[i % order.len()]).collect::<Vec<_>>()
        };
        let streams_of = |marginal: usize| match self.coupling {
            Coupling::Paired => streams.child("runs"),
            _ => streams.child("runs").index(marginal as u64),
        };
        let picked: Vec<Vec<usize>> = (0..self.marginals.len()).map(|m| pick(streams_of(m))).collect();
        let mut points = self.gather(&picked)?;
        let (p, each) = (self.dimension(), size * self.dimension());
        for (marginal, points) in self.marginals.iter().zip(points.chunks_exact_mut(each)) {
            if *marginal == Marginal::Source {
                let streams = streams.child("source");
                points.par_chunks_exact_mut(p).enumerate().try_for_each(|(i, z)| {
                    z.copy_from_slice(&self.space.draw(self.source, i as u64, self.zoo.layout(), &streams)?);
                    Ok(())
                })?;
            }
        }
        if self.coupling == Coupling::Paired {
            return Ok(points);
        }
        let views: Vec<&[f32]> = points.chunks_exact(each).collect();
        let order = self.coupling.chain(&views, p, None, &streams.child("coupling"))?;
        let coupled =
            views.iter().zip(&order).flat_map(|(view, order)| order.iter().flat_map(|&i| &view[i * p..(i + 1) * p]));
        Ok(coupled.copied().collect())
    }

    /// Standardised points `[marginals, B, P]` of the runs of each marginal; zeros for a source marginal.
    fn gather(&self, runs: &[impl AsRef<[usize]>]) -> Result<Vec<f32>> {
        let (p, size) = (self.dimension(), runs[0].as_ref().len());
        let mut points = vec![0.0; self.marginals.len() * size * p];
        for (m, (runs, points)) in runs.iter().zip(points.chunks_exact_mut((size * p).max(1))).enumerate() {
            let (Marginal::Checkpoint(checkpoint), runs) = (self.marginals[m], runs.as_ref()) else { continue };
            if self.kept.is_empty() || !runs.iter().all(|run| self.rows.contains_key(run)) {
                let items: Vec<_> = runs.iter().map(|&run| (run, checkpoint)).collect();
                let mut theta = vec![0.0; items.len() * self.zoo.parameters()];
                self.zoo.gather(&items, &mut theta)?;
                points.copy_from_slice(&self.space.points(theta));
            } else {
                let kept = &self.kept[m * self.rows.len() * p..];
                for (run, point) in runs.iter().zip(points.chunks_exact_mut(p)) {
                    point.copy_from_slice(&kept[self.rows[run] * p..][..p]);
                }
            }
        }
        Ok(points)
    }
}
