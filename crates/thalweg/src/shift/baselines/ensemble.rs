//! Deep ensemble (M16; Lakshminarayanan et al. 2017, as Ginsberg et al. use it): networks like f from other starts. Where they and f differ,
//! or are unsure together, f is out of its depth. The strongest baseline, at the price of training several f's on labelled rows.
pub use super::ensemble_config::EnsembleConfig;
use super::entropy::Reading;
use crate::ranges;
use crate::shift::base::{Base, Sample};
use crate::shift::disagreement::members::{Members, Shared, referenced};
use crate::shift::factory::{Factory, Needs, Parts, Prepared, Trained};
use crate::shift::reference::Reference;
use crate::shift::stored::{Store, Stored};
use crate::{Error, Result, Streams, interrupt};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::Arc;
use thalweg_nets::data::{Dataset, Normalisation};
use thalweg_nets::init::Initialisation;
use thalweg_nets::pieces::{Pieces, here};
use thalweg_nets::train::{Recipe, Trainer};

/// The test, ready for queries.
#[derive(Clone, Debug)]
pub struct DeepEnsemble {
    shared: Shared,
    thetas: Vec<f32>,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "ensemble",
    looks_at: "how far networks trained as the model was disagree with it",
    needs: Needs::Engine,
    trains_per_query: false,
    prepare: prepared,
    trained: Some(Trained { pieces, prepare: from_networks }),
};

fn prepared(parts: &Parts, stored: Option<&Stored>, streams: &Streams) -> Prepared {
    let Some(stored) = stored else {
        return from_networks(parts, here(&*pieces(parts, streams)?)?.concat(), streams);
    };
    let base = parts.base()?;
    let thetas = stored.rows("networks", base.theta().len())?;
    Ok(Box::new(DeepEnsemble { shared: Shared::stored(base, parts.reference, stored)?, thetas }))
}

fn pieces<'a>(parts: &Parts<'a>, streams: &Streams) -> Result<Box<dyn Pieces + 'a>> {
    let labels = match parts.labels {
        [] => parts.reference.train.predictions(),
        labels => labels.to_vec(),
    };
    Ok(Box::new(Trainings::new(parts.base()?, parts.reference, labels, &parts.config.ensemble, *streams)?))
}

fn from_networks(parts: &Parts, thetas: Vec<f32>, streams: &Streams) -> Prepared {
    Ok(Box::new(DeepEnsemble::of(parts.base()?, parts.reference, thetas, parts.size, streams)?))
}

/// The trainings of the members, on the training rows with their labels.
struct Trainings {
    base: Arc<Base>,
    data: Dataset,
    recipe: Recipe,
    members: usize,
    streams: Streams,
}

impl Trainings {
    fn new(
        base: Arc<Base>,
        reference: &Reference,
        labels: Vec<u32>,
        config: &EnsembleConfig,
        streams: Streams,
    ) -> Result<Self> {
        ranges::check("ensemble.", [("members", config.members as u64, 1..=10_000)])?;
        let (net, engine) = base.engine()?;
        let classes = engine.classes();
        let as_they_are = Normalisation::identity(net.input());
        let data = Dataset::new("P", net.input(), classes, reference.train.inputs.clone(), labels, as_they_are)?;
        let recipe =
            Recipe { batch: config.recipe.batch.min(data.len()), checkpoints: vec![1.0], ..config.recipe.clone() };
        let made = Self { base, data, recipe, members: config.members, streams };
        made.trainer().map(|_| ())?;
        Ok(made)
    }

    fn trainer(&self) -> Result<Trainer<'_>> {
        let (architecture, engine) = self.base.engine()?;
        Trainer::new(engine, architecture, &self.data, &self.data.first(64), &self.recipe)
    }
}

impl Pieces for Trainings {
    fn count(&self) -> usize {
        self.members
    }

    fn make(&self, m: usize) -> Result<Vec<f32>> {
        let streams = self.streams.child("member").index(m as u64);
        let start = Initialisation::default().draw(self.base.network().layout(), &streams.child("start"));
        let run = self.trainer()?.train(&start, &streams, &interrupt::requested)?;
        #[cfg(test)]
        crate::nn::steps::note(1);
        match run.diverged_at {
            Some(step) => Err(Error::NotFinite {
                what: "loss of the ensemble".into(),
                place: format!("member {m}, step {step}"),
                value: f64::NAN,
            }),
            None => Ok(run.theta),
        }
    }
}

impl DeepEnsemble {
    /// Trains the members on the training rows with `labels` `[N]`, in parallel.
    ///
    /// # Errors
    /// No member, labels of another number, a recipe that does not fit, a training that diverged.
    pub fn train(
        base: Arc<Base>,
        reference: &Reference,
        labels: &[u32],
        config: &EnsembleConfig,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        let trainings = Trainings::new(base.clone(), reference, labels.to_vec(), config, *streams)?;
        Self::of(base, reference, here(&trainings)?.concat(), query, streams)
    }

    /// Members `[M, P]` that are there already.
    ///
    /// # Errors
    /// Weights that are no networks of f's architecture.
    pub fn of(
        base: Arc<Base>,
        reference: &Reference,
        thetas: Vec<f32>,
        query: usize,
        streams: &Streams,
    ) -> Result<Self> {
        base.network().layout().check("ensemble", &thetas)?;
        referenced(Self { shared: Shared::new(base, reference), thetas }, reference, query, streams)
    }

    fn members(&self) -> usize {
        self.thetas.len() / self.shared.base.theta().len()
    }

    fn read(&self, query: &Sample) -> Result<Reading> {
        let all = self.shared.logits(&self.thetas, query)?;
        Ok(Reading::new(query, all.chunks_exact(query.logits.len())))
    }
}

impl Members for DeepEnsemble {
    const DRAWS: bool = false;

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn shared_mut(&mut self) -> &mut Shared {
        &mut self.shared
    }

    fn readings(&self, queries: &[Sample], _: &Streams) -> Result<Vec<Reading>> {
        queries.par_iter().map(|query| self.read(query)).collect()
    }

    fn fixed(&self) -> Option<[usize; 2]> {
        Some([self.members(), self.members()])
    }

    fn logits(&self, networks: Range<usize>, rows: &Sample) -> Result<Vec<f32>> {
        self.shared.logits_of_many(&self.thetas, networks, rows)
    }

    fn save_networks(&self, store: &mut Store) {
        store.single("networks", &[self.members(), self.shared.base.theta().len()], &self.thetas);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::test::ShiftTest;
    use crate::shift::world;

    #[test]
    fn members_learn_the_task_and_doubt_what_f_was_never_shown() {
        let world = world::two_clouds(1);
        let config = EnsembleConfig { members: 3, ..EnsembleConfig::default() };
        let test =
            DeepEnsemble::train(world.base.clone(), &world.reference, &world.labels, &config, 10, &Streams::new(2))
                .unwrap();
        let p = world.base.theta().len();
        assert_eq!(test.thetas.len(), 3 * p);
        // The clouds are 1.5 from the boundary with a spread of .7: no classifier errs less than Φ(−1.5/.7). 200 rows teach all but .02 of it.
        let least = 0.016_06;
        let near = world.near(2000, 1);
        let errors = |logits: &[f32]| {
            let wrong = logits.chunks(2).enumerate().filter(|(i, z)| (z[1] > z[0]) != (i % 2 == 0));
            wrong.count() as f64 / 2000.0
        };
        let deviation = (least * (1.0 - least) / 2000f64).sqrt();
        let all = world.base.logits_of(&test.thetas, &near).unwrap();
        let members: Vec<&[f32]> = all.chunks(near.logits.len()).collect();
        for member in &members {
            assert!((errors(member) - least).abs() < 0.02 + 3.7 * deviation, "{}", errors(member));
        }
        // The statistics by their definitions.
        let own = near.probabilities();
        let disagree = |i: usize| members.iter().any(|z| (z[2 * i + 1] > z[2 * i]) != (own[2 * i + 1] > own[2 * i]));
        let taken = |i: usize| {
            let f = usize::from(own[2 * i + 1] > own[2 * i]);
            let of = |z: &&[f32]| own[2 * i + f] - 1.0 / (1.0 + (z[2 * i + 1 - f] - z[2 * i + f]).exp());
            f64::from(members.iter().map(of).fold(0.0, f32::max))
        };
        let expected = [(0..2000).filter(|&i| disagree(i)).count() as f64, (0..2000).map(taken).sum::<f64>() / 2000.0];
        let s = test.measure(&[near.clone(), world.far(2000, 1)], &Streams::new(0)).unwrap().values;
        assert!(
            (s[0] - expected[0] - expected[1]).abs() < 1e-3 && (s[1] - expected[1]).abs() < 1e-6,
            "{s:?} {expected:?}"
        );
        // A row that a member and f disagree on is one where either errs.
        let most = errors(&near.logits) + members.iter().map(|m| errors(m)).sum::<f64>();
        assert!(s[0] > 1.0 && s[0] / 2000.0 <= most + 1e-3, "{s:?} {most}");
        // More probability is taken where f was never shown anything, by members that learned the same task.
        assert!(s[6] > 2.0 * s[1], "{s:?}");
        let none = EnsembleConfig { members: 0, ..config };
        assert!(
            DeepEnsemble::train(world.base.clone(), &world.reference, &world.labels, &none, 10, &Streams::new(2))
                .is_err()
        );
    }
}
