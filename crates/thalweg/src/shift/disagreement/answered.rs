//! What networks that are the same for every query say of rows, laid out row by row so that queries of these rows cost little each.
use super::subset;
use crate::shift::base::Sample;
use crate::shift::baselines::entropy::Reading;
use thalweg_nets::evaluate::argmax;
use thalweg_nets::loss::softmax_rows;

/// Numbers of logits that are kept for later queries, at most: 32 MiB of a file, three times that in memory.
pub const MOST: usize = 1 << 23;

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Answered {
    classes: usize,
    networks: usize,
    /// How many of the networks a query takes.
    members: usize,
    /// f's probabilities `[N, C]` and classes `[N]`.
    base: Vec<f32>,
    predictions: Vec<u32>,
    /// The networks' `[N, M, C]`, and whether their class is another than f's, `[N, M]`.
    probabilities: Vec<f32>,
    differs: Vec<bool>,
    /// Probability that each network takes from f's class, `[N, M]`.
    drops: Vec<f32>,
}

impl Answered {
    /// From logits `[M, N, C]` on `rows`, of which a query takes `members`.
    pub fn new(rows: &Sample, logits: &[f32], members: usize) -> Self {
        let (c, n) = (rows.classes(), rows.len());
        let (base, predictions) = (rows.probabilities(), rows.predictions());
        let networks = logits.len().checked_div(n * c).unwrap_or(0);
        let mut of = Self {
            classes: c,
            networks,
            members: members.min(networks),
            probabilities: vec![0.0; logits.len()],
            differs: vec![false; n * networks],
            drops: vec![0.0; n * networks],
            base,
            predictions,
        };
        for (m, logits) in logits.chunks_exact((n * c).max(1)).enumerate() {
            for (i, (z, p)) in logits.chunks_exact(c).zip(softmax_rows(logits, c).chunks_exact(c)).enumerate() {
                let (at, f) = (i * networks + m, of.predictions[i]);
                of.probabilities[at * c..(at + 1) * c].copy_from_slice(p);
                of.differs[at] = argmax(z) != f;
                of.drops[at] = (of.base[i * c + f as usize] - p[f as usize]).max(0.0);
            }
        }
        of
    }

    /// N.
    pub fn len(&self) -> usize {
        self.predictions.len()
    }

    fn row(&self, i: usize) -> (&[f32], u32) {
        (&self.base[i * self.classes..(i + 1) * self.classes], self.predictions[i])
    }

    fn drops(&self, i: usize) -> &[f32] {
        &self.drops[i * self.networks..(i + 1) * self.networks]
    }

    fn answer(&self, i: usize, m: usize) -> (&[f32], bool) {
        let at = i * self.networks + m;
        (&self.probabilities[at * self.classes..(at + 1) * self.classes], self.differs[at])
    }
}

/// What the networks say of a query that is made of the given rows of `pieces`, counted through one after the other.
pub fn read(pieces: &[&Answered], rows: &[usize]) -> Reading {
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
    let rows: Vec<(&Answered, usize)> = rows.iter().map(place).collect();
    let any = pieces[0];
    let chosen: Vec<usize> = match any.members < any.networks {
        true => subset::greedy(&rows.iter().map(|(of, i)| of.drops(*i)).collect::<Vec<_>>(), any.members),
        false => (0..any.networks).collect(),
    };
    Reading::of(
        [any.classes, rows.len(), chosen.len()],
        |i| rows[i].0.row(rows[i].1),
        |i, k| rows[i].0.answer(rows[i].1, chosen[k]),
    )
}
