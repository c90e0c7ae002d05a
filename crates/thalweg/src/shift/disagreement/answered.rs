//! What networks that are the same for every query say of rows, laid out row by row so that queries of these rows cost little each.
//!
//! All probabilities of all networks are kept where they are few ([`MOST`]). Of many classes only what the choice of networks needs is kept, two numbers a
//! row and network, and the networks that a query takes are asked about its rows again: memory does not grow with networks times classes.
use super::subset;
use crate::shift::base::Sample;
use crate::shift::baselines::entropy::{Answers, Reading, entropies};
use crate::{Error, Result};
use rayon::prelude::*;
use std::ops::Range;
use thalweg_nets::evaluate::argmax;
use thalweg_nets::loss::softmax;

/// Numbers of logits that are kept for later queries, at most: 32 MiB of a file, three times that in memory.
pub const MOST: usize = 1 << 23;

/// Networks of a block: of so many logits, or one.
pub fn blocks(networks: usize, numbers: usize) -> impl Iterator<Item = Range<usize>> {
    let wide = (MOST / numbers.max(1)).max(1);
    (0..networks).step_by(wide).map(move |first| first..(first + wide).min(networks))
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Answered {
    classes: usize,
    networks: usize,
    /// How many of the networks a query takes.
    members: usize,
    /// f's probabilities `[N, C]`, classes `[N]` and entropies `[N]`.
    base: Vec<f32>,
    predictions: Vec<u32>,
    entropies: Vec<f64>,
    /// The networks' `[N, M, C]`, empty where these are too many; and whether their class is another than f's, `[N, M]`.
    probabilities: Vec<f32>,
    differs: Vec<bool>,
    /// Probability that each network takes from f's class, `[N, M]`.
    drops: Vec<f32>,
}

impl Answered {
    /// Of `networks` networks on `rows`, of which a query takes `members`; `logits` gives those of some networks `[M, N, C]`.
    ///
    /// # Errors
    /// Those of `logits`.
    pub fn new(
        rows: &Sample,
        [networks, members]: [usize; 2],
        logits: impl Fn(Range<usize>) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        if networks * rows.logits.len() <= MOST {
            return Ok(Self::of_logits(rows, [networks, members], &logits(0..networks)?));
        }
        let mut of = Self::bare(rows, [networks, members]);
        for block in blocks(networks, rows.logits.len()) {
            of.add(&logits(block.clone())?, block.start);
        }
        Ok(of)
    }

    /// With all probabilities, from logits `[M, N, C]`.
    pub fn of_logits(rows: &Sample, counts: [usize; 2], logits: &[f32]) -> Self {
        let mut of = Self { probabilities: vec![0.0; logits.len()], ..Self::bare(rows, counts) };
        of.add(logits, 0);
        of
    }

    /// Of what [`Self::compact`] gave of the same rows, `[N, M]` both.
    ///
    /// # Errors
    /// Numbers of another length.
    pub fn of_compact(
        rows: &Sample,
        [networks, members]: [usize; 2],
        (drops, differs): (Vec<f32>, &[f32]),
    ) -> Result<Self> {
        let bare = Self::bare(rows, [networks, members]);
        if drops.len() != bare.drops.len() || differs.len() != bare.differs.len() {
            let found = format!("[{}], [{}]", drops.len(), differs.len());
            return Err(Error::shape("answers that are kept", format!("[{}, {networks}]", rows.len()), found));
        }
        Ok(Self { drops, differs: differs.iter().map(|d| *d != 0.0).collect(), ..bare })
    }

    fn bare(rows: &Sample, [networks, members]: [usize; 2]) -> Self {
        let base = rows.probabilities();
        Self {
            classes: rows.classes(),
            networks,
            members: members.min(networks),
            probabilities: Vec::new(),
            differs: vec![false; rows.len() * networks],
            drops: vec![0.0; rows.len() * networks],
            entropies: entropies(&base, rows.classes()),
            base,
            predictions: rows.predictions(),
        }
    }

    /// Adds networks from number `first` on by their logits `[M, N, C]`, in parallel over rows.
    fn add(&mut self, logits: &[f32], first: usize) {
        let (c, n, networks) = (self.classes, self.len(), self.networks.max(1));
        let count = logits.len() / (n * c).max(1);
        let Self { base, predictions, probabilities, differs, drops, .. } = self;
        let kept: Vec<&mut [f32]> = match probabilities.is_empty() {
            true => (0..n).map(|_| &mut [][..]).collect(),
            false => probabilities.chunks_exact_mut(networks * c).collect(),
        };
        let rows = kept.into_par_iter().zip(differs.par_chunks_mut(networks)).zip(drops.par_chunks_mut(networks));
        rows.enumerate().for_each(|(i, ((kept, differs), drops))| {
            let (f, mut p) = (predictions[i], vec![0.0; c]);
            for m in 0..count {
                let (z, at) = (&logits[(m * n + i) * c..][..c], first + m);
                softmax(z, &mut p);
                if !kept.is_empty() {
                    kept[at * c..(at + 1) * c].copy_from_slice(&p);
                }
                differs[at] = argmax(z) != f;
                drops[at] = (base[i * c + f as usize] - p[f as usize]).max(0.0);
            }
        });
    }

    /// Drops and whether classes differ (1 or 0), `[N, M]` both, where probabilities are not kept.
    pub fn compact(&self) -> Option<(&[f32], Vec<f32>)> {
        let is_compact = self.probabilities.is_empty();
        is_compact.then(|| (&self.drops[..], self.differs.iter().map(|d| f32::from(u8::from(*d))).collect()))
    }

    /// N.
    pub fn len(&self) -> usize {
        self.predictions.len()
    }

    fn row(&self, i: usize) -> (&[f32], u32, f64) {
        (&self.base[i * self.classes..(i + 1) * self.classes], self.predictions[i], self.entropies[i])
    }

    fn drops(&self, i: usize) -> &[f32] {
        &self.drops[i * self.networks..(i + 1) * self.networks]
    }

    fn answer(&self, i: usize, m: usize) -> (&[f32], bool) {
        let at = i * self.networks + m;
        (&self.probabilities[at * self.classes..(at + 1) * self.classes], self.differs[at])
    }
}

/// Which piece each of the given rows of `pieces`, counted through one after the other, stands in, and its number there.
fn places<'a>(pieces: &[&'a Answered], rows: &[usize]) -> Vec<(&'a Answered, usize)> {
    let place = |&row: &usize| {
        let mut left = row;
        for piece in pieces {
            if left < piece.len() {
                return (*piece, left);
            }
            left -= piece.len();
        }
        unreachable!("row {row} of fewer")
    };
    rows.iter().map(place).collect()
}

/// The share of the given rows of `pieces` on which each network names another class than f, `[M]`.
pub fn disagreements(pieces: &[&Answered], rows: &[usize]) -> Vec<f64> {
    let places = places(pieces, rows);
    let differs = |m: usize| places.iter().filter(|(of, i)| of.differs[i * of.networks + m]).count();
    let same = |m: usize| (rows.len() - differs(m)) as f64 / rows.len().max(1) as f64;
    (0..pieces.first().map_or(0, |of| of.networks)).map(|m| 1.0 - same(m)).collect()
}

/// What the networks say of a query that is made of the given rows of `pieces`, counted through one after the other; `logits` gives the query's of one
/// network, `[N, C]`.
///
/// # Errors
/// Those of `logits`.
pub fn read(
    pieces: &[&Answered],
    rows: &[usize],
    logits: impl Fn(usize) -> Result<Vec<f32>> + Sync,
) -> Result<Reading> {
    let rows = places(pieces, rows);
    let any = pieces[0];
    let chosen: Vec<usize> = match any.members < any.networks {
        true => subset::greedy(&rows.iter().map(|(of, i)| of.drops(*i)).collect::<Vec<_>>(), any.members),
        false => (0..any.networks).collect(),
    };
    let (c, shape) = (any.classes, [any.classes, rows.len(), chosen.len()]);
    let f = |i: usize| rows[i].0.row(rows[i].1);
    if pieces.iter().all(|piece| !piece.probabilities.is_empty()) {
        return Ok(Reading::of(shape, f, |i, k| rows[i].0.answer(rows[i].1, chosen[k])));
    }
    let answers: Vec<Answers> = chosen.par_iter().map(|&m| Ok(Answers::new(&logits(m)?, c))).collect::<Result<_>>()?;
    let of = |i: usize, k: usize| {
        let answer = &answers[k];
        (&answer.probabilities[i * c..(i + 1) * c], answer.classes[i] != rows[i].0.predictions[rows[i].1])
    };
    Ok(Reading::of(shape, f, of))
}
