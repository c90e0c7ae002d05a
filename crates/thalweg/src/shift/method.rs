//! All tests by name, made ready from the same parts.
use super::base::Base;
use super::baselines::bbsd::Bbsd;
use super::baselines::deep_kernel::DeepKernel;
use super::baselines::divergence::HDivergence;
use super::baselines::energy::Energy;
use super::baselines::ensemble::DeepEnsemble;
use super::baselines::entropy::MeanEntropy;
use super::baselines::mahalanobis::{Distance, Mahalanobis};
use super::baselines::mmd::{Mmd, Space};
use super::baselines::two_sample::TwoSample;
pub use super::config::{BankCdc, Config, MetaCdc};
use super::disagreement::bank::Bank;
use super::disagreement::cdc::Trainer;
use super::disagreement::conditional::Conditional;
use super::disagreement::detectron::Detectron;
use super::disagreement::meta::MetaDetectron;
use super::reference::Reference;
use super::test::ShiftTest;
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A test of shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// CDCs trained once (M15, amortised).
    Bank,
    /// CDCs trained for the query (M14).
    Detectron,
    /// CDCs drawn from a flow tuned to the query (M15).
    MetaDetectron,
    /// CDCs drawn from a generator that takes the query as its context (M15, amortised).
    Conditional,
    /// f's mean entropy.
    Entropy,
    /// Networks like f from other starts.
    Ensemble,
    /// f's outputs, two-sided.
    Bbsd,
    /// How large f's logits are, two-sided.
    Energy,
    /// Distance of inputs.
    Mahalanobis,
    /// Distance of features, classes against the whole.
    RelativeMahalanobis,
    /// Mean discrepancy of inputs.
    Mmd,
    /// Mean discrepancy of features.
    FeatureMmd,
    /// H-divergence of features.
    HDivergence,
    /// A network that tells Q from P.
    TwoSample,
    /// Mean discrepancy by a kernel trained on the query.
    #[serde(rename = "deep-kernel-mmd")]
    DeepKernel,
}

/// What a test may need besides rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// f's logits.
    Logits,
    /// Inputs too.
    Inputs,
    /// f's weights too.
    Network,
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

impl Method {
    /// All, the default first.
    pub const ALL: [Method; 15] = [
        Method::Bank,
        Method::Detectron,
        Method::MetaDetectron,
        Method::Conditional,
        Method::Ensemble,
        Method::Entropy,
        Method::Bbsd,
        Method::Energy,
        Method::Mahalanobis,
        Method::RelativeMahalanobis,
        Method::Mmd,
        Method::FeatureMmd,
        Method::HDivergence,
        Method::TwoSample,
        Method::DeepKernel,
    ];

    /// Its name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Method::Bank => "bank",
            Method::Detectron => "detectron",
            Method::MetaDetectron => "meta-detectron",
            Method::Conditional => "conditional",
            Method::Ensemble => "ensemble",
            Method::Entropy => "entropy",
            Method::Bbsd => "bbsd",
            Method::Energy => "energy",
            Method::Mahalanobis => "mahalanobis",
            Method::RelativeMahalanobis => "relative-mahalanobis",
            Method::Mmd => "mmd",
            Method::FeatureMmd => "feature-mmd",
            Method::HDivergence => "h-divergence",
            Method::TwoSample => "two-sample",
            Method::DeepKernel => "deep-kernel-mmd",
        }
    }

    /// What it looks at, in words for people who do not know its name.
    pub fn looks_at(self) -> &'static str {
        match self {
            Method::Bank => "how far networks that agree with the model on P can disagree with it on Q",
            Method::Detectron => {
                "how far networks trained for these rows can disagree with the model on Q but not on P"
            }
            Method::MetaDetectron => {
                "how far networks drawn for these rows from a tuned generator disagree with the model"
            }
            Method::Conditional => "how far networks drawn for these rows from a generator disagree with the model",
            Method::Ensemble => "how far networks trained as the model was disagree with it",
            Method::Entropy => "how unsure the model is",
            Method::Bbsd => "predicted classes and their probabilities",
            Method::Energy => "size of the logits and their margins",
            Method::Mahalanobis => "distance of the inputs from those of P",
            Method::RelativeMahalanobis => "distance of the model's features from those of its classes on P",
            Method::Mmd => "distribution of the inputs",
            Method::FeatureMmd => "distribution of the model's features",
            Method::HDivergence => "means and variances of the model's features",
            Method::TwoSample => "how well a network can tell the inputs from those of P",
            Method::DeepKernel => "distribution of the inputs, by a kernel trained for these rows",
        }
    }

    /// The test called `name`.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self> {
        let names = || Self::ALL.map(Method::name).join(", ");
        Self::ALL
            .into_iter()
            .find(|m| m.name() == name)
            .ok_or_else(|| Error::parameter("method", format!("one of {}", names()), name))
    }

    /// What it needs.
    pub fn needs(self) -> Needs {
        match self {
            Method::Entropy
            | Method::Bbsd
            | Method::Energy
            | Method::RelativeMahalanobis
            | Method::FeatureMmd
            | Method::HDivergence => Needs::Logits,
            Method::Mahalanobis | Method::Mmd | Method::TwoSample | Method::DeepKernel => Needs::Inputs,
            Method::Bank | Method::Detectron | Method::MetaDetectron | Method::Conditional | Method::Ensemble => {
                Needs::Network
            }
        }
    }

    /// Whether networks are trained or tuned for every query, so that every redraw of a permutation test costs a training.
    pub fn trains(self) -> bool {
        matches!(self, Method::Detectron | Method::MetaDetectron | Method::TwoSample | Method::DeepKernel)
    }

    /// Makes it ready. `weights` are those that [`ShiftTest::weights`] gave when it was made ready before, or none to train them.
    ///
    /// # Errors
    /// What it needs is not there; as the test's own.
    pub fn prepare(self, parts: &Parts, weights: Option<Vec<f32>>, streams: &Streams) -> Result<Box<dyn ShiftTest>> {
        let Parts { reference, config, size, .. } = *parts;
        let streams = streams.child(self.name());
        let base = || {
            let missing =
                || Error::parameter(format!("method {}", self.name()), "f's weights and architecture", "logits alone");
            parts.base.clone().ok_or_else(missing)
        };
        Ok(match self {
            Method::Bank => match weights {
                Some(thetas) => Box::new(Bank::of(base()?, reference, config.bank, thetas, size, &streams)?),
                None => {
                    let trainer = Trainer::new(base()?, reference, config.bank_cdc.0, &streams)?;
                    Box::new(Bank::train(&trainer, reference, config.bank, size, &streams)?)
                }
            },
            Method::Detectron => {
                let trainer = Trainer::new(base()?, reference, config.cdc, &streams)?;
                Box::new(Detectron::new(trainer, reference, config.detectron, size, &streams)?)
            }
            Method::MetaDetectron => match weights {
                Some(zoo) => {
                    Box::new(MetaDetectron::of(base()?, reference, (config.bank, zoo), config.meta, size, &streams)?)
                }
                None => {
                    let trainer = Trainer::new(base()?, reference, config.meta_cdc.0, &streams)?;
                    Box::new(MetaDetectron::train(&trainer, reference, config.bank, config.meta, size, &streams)?)
                }
            },
            Method::Conditional => match weights {
                Some(zoo) => {
                    let kept = (config.bank, zoo);
                    Box::new(Conditional::of(base()?, reference, kept, config.conditional, size, &streams)?)
                }
                None => {
                    let trainer = Trainer::new(base()?, reference, config.bank_cdc.0, &streams)?;
                    Box::new(Conditional::train(&trainer, reference, config.bank, config.conditional, size, &streams)?)
                }
            },
            Method::Ensemble => match weights {
                Some(thetas) => Box::new(DeepEnsemble::of(base()?, reference, thetas, size, &streams)?),
                None => {
                    let labels =
                        if parts.labels.is_empty() { reference.train.predictions() } else { parts.labels.to_vec() };
                    Box::new(DeepEnsemble::train(base()?, reference, &labels, &config.ensemble, size, &streams)?)
                }
            },
            Method::Entropy => Box::new(MeanEntropy::new(&reference.validation)),
            Method::Bbsd => Box::new(Bbsd::new(&reference.validation)),
            Method::Energy => Box::new(Energy::new(&reference.validation)),
            Method::Mahalanobis => Box::new(Mahalanobis::new(Distance::Inputs, &reference.train)?),
            Method::RelativeMahalanobis => Box::new(Mahalanobis::new(Distance::Relative, &reference.train)?),
            Method::Mmd => Box::new(Mmd::new(Space::Inputs, &reference.train)?),
            Method::FeatureMmd => Box::new(Mmd::new(Space::Features, &reference.train)?),
            Method::HDivergence => Box::new(HDivergence::new(&reference.train)?),
            Method::TwoSample => Box::new(TwoSample::new(&reference.train, &reference.validation, &streams)?),
            Method::DeepKernel => Box::new(DeepKernel::new(&reference.train, &reference.validation, &streams)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::small;
    use super::*;
    use crate::shift::law::null::NullLaw;
    use crate::shift::law::power::Share;
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
            rows.iter().map(|r| world.reference.held.rows(r)).collect()
        };
        // Where nothing is trained for a query there are draws enough to tell a level of .1 from one of .15.
        let (few, many) = ([draw("null", 99), draw("fresh", 200)], [draw("null", 999), draw("fresh", 2000)]);
        for method in Method::ALL {
            let costly = method.trains() || method == Method::Conditional;
            let [null, fresh] = if costly { &few } else { &many };
            let test = method.prepare(&parts, None, &streams).unwrap();
            let s = test.statistics().len();
            let law = NullLaw::new(test.measure(null, &streams.child("a")).unwrap(), s).unwrap();
            let observed = test.measure(fresh, &streams.child("b")).unwrap();
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
                assert!(share.share <= bound, "{}: {share:?} above {bound}", test.name());
            }
        }
    }

    #[test]
    fn names_lead_back_and_needs_are_checked() {
        for method in Method::ALL {
            assert_eq!(Method::named(method.name()).unwrap(), method);
        }
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
