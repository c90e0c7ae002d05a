//! The registry of tests: all of them by name. A new test is its file, which ends in a [`Factory`], its module's line, and its line in [`Method::ALL`].
use super::baselines::{
    bbsd, d3m, deep_kernel, divergence, energy, ensemble, entropy, hotelling, mahalanobis, mmd, two_sample,
};
pub use super::config::{BankCdc, Config, MetaCdc};
use super::disagreement::{bank, conditional, detectron, meta};
use super::factory::Factory;
pub use super::factory::{Needs, Parts};
use super::stored::Stored;
use super::test::ShiftTest;
use crate::{Error, Result, Streams};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::hash::{Hash, Hasher};
use thalweg_nets::pieces::Pieces;

/// A test of shift, by the entry that the registry holds of it.
#[derive(Clone, Copy)]
pub struct Method(&'static Factory);

impl Method {
    /// All, the default first.
    pub const ALL: &'static [Method] = &[
        Method(&bank::FACTORY),
        Method(&detectron::FACTORY),
        Method(&meta::FACTORY),
        Method(&conditional::FACTORY),
        Method(&ensemble::FACTORY),
        Method(&d3m::FACTORY),
        Method(&entropy::FACTORY),
        Method(&bbsd::FACTORY),
        Method(&energy::FACTORY),
        Method(&mahalanobis::FACTORY),
        Method(&mahalanobis::RELATIVE),
        Method(&hotelling::FACTORY),
        Method(&mmd::FACTORY),
        Method(&mmd::OF_FEATURES),
        Method(&divergence::FACTORY),
        Method(&two_sample::FACTORY),
        Method(&deep_kernel::FACTORY),
    ];

    /// The one whose CDCs have parameters to be chosen ([`super::disagreement::choose`]).
    pub const DETECTRON: Method = Method(&detectron::FACTORY);

    /// The tests to take where nobody chooses: for a classifier whose network is known, or (`network` false) one known by its logits alone, all that
    /// these suffice for.
    pub fn defaults(network: bool) -> Vec<Method> {
        let chosen: [&'static Factory; 7] = [
            &bank::FACTORY,
            &entropy::FACTORY,
            &bbsd::FACTORY,
            &mahalanobis::FACTORY,
            &mahalanobis::RELATIVE,
            &hotelling::FACTORY,
            &mmd::OF_FEATURES,
        ];
        match network {
            true => chosen.map(Method).to_vec(),
            false => Self::ALL.iter().copied().filter(|m| m.needs() == Needs::Logits).collect(),
        }
    }

    /// The test called `name`.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self> {
        let names = || Self::ALL.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ");
        let found = Self::ALL.iter().find(|m| m.name() == name).copied();
        found.ok_or_else(|| Error::parameter("method", format!("one of {}", names()), name))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// See [`Factory::looks_at`].
    pub fn looks_at(self) -> &'static str {
        self.0.looks_at
    }

    /// What it needs.
    pub fn needs(self) -> Needs {
        self.0.needs
    }

    /// See [`Factory::trains_per_query`].
    pub fn trains_per_query(self) -> bool {
        self.0.trains_per_query
    }

    /// Prepares it: trains what is to be trained, or takes it from what was `stored` when it was prepared before from the same parts and streams.
    ///
    /// # Errors
    /// What it needs is not there; stored tensors that do not fit; as the test's own.
    pub fn prepare(self, parts: &Parts, stored: Option<&Stored>, streams: &Streams) -> Result<Box<dyn ShiftTest>> {
        self.check(parts)?;
        (self.0.prepare)(parts, stored, &streams.child(self.name()))
    }

    /// The networks that it trains independently of one another before anything else, a piece each; none for tests that train none so.
    ///
    /// # Errors
    /// As [`Self::prepare`], but for trainings.
    pub fn pieces<'a>(self, parts: &Parts<'a>, streams: &Streams) -> Result<Option<Box<dyn Pieces + 'a>>> {
        self.check(parts)?;
        self.0.trained.as_ref().map(|trained| (trained.pieces)(parts, &streams.child(self.name()))).transpose()
    }

    /// As [`Self::prepare`], from the networks `[M, P]` that [`Self::pieces`] come to.
    ///
    /// # Errors
    /// As [`Self::prepare`]; a test that begins with no networks.
    pub fn prepare_from(self, parts: &Parts, thetas: Vec<f32>, streams: &Streams) -> Result<Box<dyn ShiftTest>> {
        self.check(parts)?;
        match &self.0.trained {
            Some(trained) => (trained.prepare)(parts, thetas, &streams.child(self.name())),
            None => Err(Error::parameter(format!("method {}", self.name()), "no networks", thetas.len())),
        }
    }

    fn check(self, parts: &Parts) -> Result<()> {
        let (expected, found) = match (self.needs(), &parts.base) {
            (Needs::Network | Needs::Engine, None) => ("f's weights and architecture", "logits alone"),
            (Needs::Engine, Some(base)) if base.architecture().is_none() => {
                ("an architecture that the engine knows", base.name().unwrap_or("another"))
            }
            (Needs::Inputs, _) if parts.reference.held_out.width() == 0 => ("rows with inputs", "logits alone"),
            _ => return Ok(()),
        };
        Err(Error::parameter(format!("method {}", self.name()), expected, found))
    }
}

impl PartialEq for Method {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Method {}

impl Hash for Method {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Method {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::small;
    use super::*;
    use crate::shift::law::null::NullLaw;
    use crate::shift::law::power::Share;
    use crate::shift::reference::Reference;
    use crate::shift::world;

    /// Every statistic of every test, and their combination, over queries of P drawn as the null law's are: p ≤ .1 in at most a tenth of
    /// them, up to chance (a one-sided binomial bound at 1e-4 for each).
    #[test]
    fn every_p_value_is_super_uniform_on_unshifted_draws() {
        let world = world::two_clouds(1);
        let config = small(40);
        let parts = Parts {
            base: Some(world.base.clone()),
            reference: &world.reference,
            labels: &world.labels,
            size: 10,
            config: &config,
        };
        let streams = Streams::new(11);
        let draw = |name: &str, n: usize| -> Vec<_> {
            let (rows, _) = world.reference.draws(10, n, &streams.child(name)).unwrap();
            rows.iter().map(|r| world.reference.held_out.rows(r)).collect()
        };
        // Where nothing is trained for a query there are draws enough to tell a level of .1 from one of .15.
        let (few, many) = ([draw("null", 99), draw("fresh", 200)], [draw("null", 999), draw("fresh", 2000)]);
        for method in Method::ALL {
            let costly = method.trains_per_query() || method.name() == conditional::FACTORY.name;
            let [null, fresh] = if costly { &few } else { &many };
            let test = method.prepare(&parts, None, &streams).unwrap();
            let s = test.statistics().len();
            let law = NullLaw::new(test.measure(null, &streams.child("a")).unwrap().values, s).unwrap();
            let observed = test.measure(fresh, &streams.child("b")).unwrap().values;
            let mut p: Vec<Vec<f64>> = vec![Vec::new(); s + 1];
            for row in observed.chunks_exact(s) {
                let each = law.p_values(row).unwrap();
                each.iter().enumerate().for_each(|(j, v)| p[j].push(*v));
                p[s].push(law.combined(row, &vec![true; s]).unwrap());
            }
            for p in &p {
                let share = Share::rejected(p, 0.1).unwrap();
                let bound = 0.1 + 3.7 * (0.09 / null.len() as f64 + 0.09 / fresh.len() as f64).sqrt();
                assert!(costly || bound < 0.15, "{bound}");
                assert!(share.share <= bound, "{}: {share:?} above {bound}", method.name());
            }
        }
    }

    #[test]
    fn names_lead_back_and_needs_are_checked() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.name()).unwrap(), *method);
        }
        let named: std::collections::HashSet<&Method> = Method::ALL.iter().collect();
        assert_eq!(named.len(), Method::ALL.len(), "no name twice");
        assert!(Method::named("magic").unwrap_err().to_string().contains("relative-mahalanobis"));
        let logits = crate::shift::Sample::of_logits((0..80).map(|i| (i as f32 * 0.9).sin()).collect(), 2).unwrap();
        let reference = Reference::new(logits.clone(), logits.clone(), logits.clone()).unwrap();
        let config = Config::default();
        let parts = Parts { base: None, reference: &reference, labels: &[], size: 5, config: &config };
        for method in Method::ALL {
            let ready = method.prepare(&parts, None, &Streams::new(0));
            match ready {
                Ok(test) => {
                    assert_eq!(method.needs(), Needs::Logits);
                    assert!(test.measure(&[logits.rows(&[0, 1, 2])], &Streams::new(0)).is_ok());
                }
                Err(e) => assert!(method.needs() > Needs::Logits && e.to_string().contains("logits alone"), "{e}"),
            }
        }
    }
}
