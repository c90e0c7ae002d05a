//! The groups of networks that a [`table`](super::table) judges. The logits of their networks on the test inputs are most of its work, and pieces that
//! many processes may share: blocks of neighbouring networks of a group.
use super::baseline::{Baseline, Finals};
use super::reference::ZooReference;
use crate::{Error, Result, Streams};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use thalweg_nets::evaluate::AT_ONCE;
use thalweg_nets::pieces::Pieces;

/// Numbers of the groups that are always there; those that were generated follow, then the baselines.
pub(super) const TRAINING: usize = 0;
pub(super) const HELD_OUT: usize = 1;
pub(super) const GENERATED: usize = 2;

/// Training runs, held-out runs, what was generated, baselines, in this order.
pub struct Groups<'a> {
    zoo: ZooReference<'a>,
    generated: Vec<&'a [f32]>,
    trivial: Vec<(Baseline, &'a Streams)>,
    median: f64,
    /// The baseline that was drawn last: its pieces are neighbours.
    drawn: Mutex<Option<(usize, Arc<Vec<f32>>)>>,
}

impl<'a> Groups<'a> {
    /// Of a table of `generated` networks `[n, P]` beside a zoo, and beside baselines where these are given streams; `median` is the zoo's leave-one-out
    /// median distance ([`Neighbourhood::median`](crate::metric::novelty::Neighbourhood::median)).
    pub fn new(zoo: ZooReference<'a>, generated: &[&'a [f32]], baselines: Option<&'a Streams>, median: f64) -> Self {
        let trivial = Baseline::table(&finals(&zoo, None));
        let trivial = baselines.into_iter().flat_map(|streams| trivial.iter().map(move |b| (*b, streams))).collect();
        Self { zoo, generated: generated.to_vec(), trivial, median, drawn: Mutex::new(None) }
    }

    /// The baselines, with their groups' numbers.
    pub(super) fn baselines(&self) -> impl Iterator<Item = (usize, Baseline)> {
        let first = GENERATED + self.generated.len();
        self.trivial.iter().enumerate().map(move |(i, (baseline, _))| (first + i, *baseline))
    }

    /// The networks `[n, P]` of a group.
    ///
    /// # Errors
    /// A group that is not there; as [`Baseline::sample`].
    pub(super) fn theta(&self, group: usize) -> Result<Cow<'a, [f32]>> {
        let zoo = &self.zoo;
        Ok(match group {
            TRAINING => zoo.training.into(),
            HELD_OUT => zoo.held_out.into(),
            _ => match self.generated.get(group - GENERATED) {
                Some(theta) => (*theta).into(),
                None => self.baseline(group - GENERATED - self.generated.len())?.into(),
            },
        })
    }

    fn baseline(&self, index: usize) -> Result<Vec<f32>> {
        let zoo = &self.zoo;
        let Some((baseline, streams)) = self.trivial.get(index) else {
            return Err(Error::parameter("group", format!("a baseline below {}", self.trivial.len()), index));
        };
        let finals = finals(zoo, Some(self.median));
        baseline.sample(&finals, self.drawn(), streams)
    }

    /// Networks that a baseline makes: as many as the first group that was generated has.
    fn drawn(&self) -> usize {
        self.generated.first().map_or(1, |theta| theta.len() / self.zoo.layout().len().max(1))
    }

    /// Networks of every group.
    fn sizes(&self) -> Vec<usize> {
        let own = |theta: &[f32]| theta.len() / self.zoo.layout().len().max(1);
        let real = [self.zoo.training, self.zoo.held_out].map(own).into_iter();
        let made = self.generated.iter().map(|theta| own(theta));
        let trivial = self.trivial.iter().map(|(b, _)| if *b == Baseline::Mean { 1 } else { self.drawn() });
        real.chain(made).chain(trivial).collect()
    }

    /// The number of the piece in which the network `first` of a group stands.
    pub fn piece(&self, group: usize, first: usize) -> usize {
        self.sizes().iter().take(group).map(|n| n.div_ceil(AT_ONCE)).sum::<usize>() + first / AT_ONCE
    }

    /// The number of the group that was generated as the `index`th.
    pub fn generated(index: usize) -> usize {
        GENERATED + index
    }
}

/// What baselines are drawn from.
fn finals<'a>(zoo: &'a ZooReference<'_>, median: Option<f64>) -> Finals<'a> {
    let networks = zoo.networks.evaluator();
    let probe = (networks.probes() > 0).then_some(networks);
    let (layout, training, start, symmetry) = (networks.layout(), zoo.training, zoo.start, zoo.symmetry);
    Finals { layout, training, median, start, courses: zoo.courses, probe, symmetry }
}

impl Pieces for Groups<'_> {
    fn count(&self) -> usize {
        self.sizes().iter().map(|n| n.div_ceil(AT_ONCE)).sum()
    }

    fn make(&self, index: usize) -> Result<Vec<f32>> {
        let (mut block, size) = (index, (AT_ONCE * self.zoo.layout().len()).max(1));
        for (group, n) in self.sizes().into_iter().enumerate() {
            if block >= n.div_ceil(AT_ONCE) {
                block -= n.div_ceil(AT_ONCE);
                continue;
            }
            let logits = |theta: &[f32]| match theta.chunks(size).nth(block) {
                Some(block) => self.zoo.networks.evaluator().logits(block),
                None => Err(Error::parameter("networks of a group", n, theta.len() / size)),
            };
            if group < GENERATED + self.generated.len() {
                return logits(&self.theta(group)?);
            }
            let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let theta = match drawn.take().filter(|(known, _)| *known == group) {
                Some((_, theta)) => theta,
                None => Arc::new(self.theta(group)?.into_owned()),
            };
            *drawn = Some((group, theta.clone()));
            drop(drawn);
            return logits(&theta);
        }
        Err(Error::parameter("piece", format!("below {}", self.count()), index))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ByEngine, Evaluation, Judge, table};
    use super::*;
    use crate::metric::novelty::Neighbourhood;
    use thalweg_nets::Architecture;
    use thalweg_nets::architecture::{Layer, Operation};
    use thalweg_nets::engine::Engine;
    use thalweg_nets::pieces::here;
    use thalweg_nets::progress::Silent;
    use thalweg_nets::testing::normals;

    #[test]
    fn a_table_of_logits_that_others_made_is_that_of_the_engine_and_evaluates_nothing() {
        let layers = vec![Layer { name: None, operation: Operation::Dense { out: 3, bias: true } }];
        let architecture = Architecture::new("linear", [4, 1, 1], layers).unwrap();
        let (engine, p) = (Engine::new(&architecture).unwrap(), 15);
        let draw = |n: usize, seed: u64| normals(&Streams::new(seed), n);
        let (training, held_out, probe) = (draw(70 * p, 1), draw(3 * p, 2), draw(40 * 4, 3));
        let (x, labels) = (engine.pack(&draw(50 * 4, 4)).unwrap(), (0..50).map(|i| i % 3).collect::<Vec<u32>>());
        let (a, b) = (draw(130 * p, 5), draw(2 * p, 6));
        let zoo = ZooReference {
            networks: Evaluation::Engine(ByEngine { engine: &engine, test: &x, probe: &probe }),
            training: &training,
            held_out: &held_out,
            labels: &labels,
            start: None,
            courses: None,
            symmetry: None,
            logits: None,
        };
        let (streams, generated) = (Streams::new(9), [("a", &a[..]), ("b", &b[..])]);
        let truth = table(zoo, &generated, Some(&streams), &Silent).unwrap();
        let median = Neighbourhood::new(&training, p).unwrap().median();
        assert_eq!(median, Judge::new(zoo).unwrap().median());
        let groups = Groups::new(zoo, &[&a, &b], Some(&streams), median);
        let all = here(&groups).unwrap();
        // Blocks of 64 of 70, 3, 130 and 2 networks, of one mean, and of 130 of every other baseline.
        assert_eq!(all.len(), 2 + 1 + 3 + 1 + 1 + 3 * (groups.baselines().count() - 1));
        let before = engine.evaluated();
        let kept = |group: usize, first: usize, _: &[f32]| Ok(all[groups.piece(group, first)].clone());
        let by_others =
            table(ZooReference { logits: Some(&kept), ..zoo }, &generated, Some(&streams), &Silent).unwrap();
        // But for the stiffness of eight flat noises, chosen on the probe: five times 4 networks as they are and with each of six; three times 16, and 16 runs, and the
        // networks once more, and up to 15 times.
        let chosen = 5 * 4 * 7 + 3 * 16 * (7 + 2);
        assert!((0..=3).any(|n| engine.evaluated() == before + chosen + 16 * 15 * n));
        // NaN is not itself.
        let said = |rows: &[super::super::Judged]| format!("{rows:?}");
        assert_eq!(said(&by_others), said(&truth));
        assert!(groups.make(all.len()).is_err());
    }
}
