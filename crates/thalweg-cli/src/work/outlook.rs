//! Whether a flow over a zoo can work.
//!
//! A flow on weights averages over runs, so its samples work only where networks between runs do: where the runs are linearly
//! connected (no loss barrier on the straight line between them). Runs from independent initialisations are not, and samples of
//! their flow are then at chance. That is looked at on validation rows, so tables on test rows stay honest; nothing is said of a zoo
//! without architecture or data. Networks that have learned nothing are told wherever they are met.
use crate::complain::{complain, told};
use crate::data;
use crate::results::Row;
use crate::row;
use crate::shell::quoted;
use crate::study::Labelled;
use crate::table::estimate;
use anyhow::Result;
use std::path::Path;
use thalweg::metric::barrier::{barriers, summaries};
use thalweg::metric::summary::{Better, Summary};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::{Progress, Silent};
use thalweg_nets::zoo::{Origin, ZooStore};

/// Pairs of runs whose midpoints are evaluated.
const PAIRS: usize = 6;
/// Points on the line between two runs where a barrier is told.
const POINTS: usize = 11;
/// Validation rows used, at most.
const ROWS: usize = 1000;

/// Settings of a fit that works for aligned runs that are not linearly connected: a latent space trained on what its networks answer.
pub const UNCONNECTED: &str = "--set latent.vae.beta=0.1 --set latent.vae.training.functional.weight=0.02 \
     --set method.cfm.coupling=independent --set method.cfm.source=gaussian --set field.residual-mlp.width=64";

/// Settings of a fit to runs that are neither connected nor aligned (M23).
pub const EQUIVARIANT: &str = "--set field={equivariant={}} --set standardiser=per-tensor";

/// What a flow over the weights of a zoo's runs can come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prospect {
    /// The networks have learned nothing: neither will samples.
    Untrained {
        /// Their mean validation accuracy.
        accuracy: f64,
    },
    /// Networks between runs are at chance, and so are samples of a flow on weights.
    Unconnected(Between),
    /// Nothing speaks against it.
    Good {
        /// Mean validation accuracy of the runs.
        accuracy: f64,
        /// What lies between them; none for a single one.
        between: Option<Between>,
    },
}

impl Prospect {
    /// What it means for a fit to `zoo`, in a sentence.
    pub fn told(&self, zoo: &ZooStore) -> String {
        match self {
            Self::Untrained { accuracy } => {
                format!("the runs have learned nothing (validation accuracy {accuracy:.3})")
            }
            Self::Unconnected(between) | Self::Good { between: Some(between), .. } => between.told(zoo),
            Self::Good { accuracy, between: None } => format!("validation accuracy of the runs {accuracy:.3}"),
        }
    }

    /// What lies between the runs, where that was looked at.
    pub fn between(&self) -> Option<&Between> {
        match self {
            Self::Unconnected(between) | Self::Good { between: Some(between), .. } => Some(between),
            _ => None,
        }
    }
}

/// What the straight lines between runs pass through, on validation rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Between {
    /// Mean accuracy of the runs.
    pub trained: f64,
    /// How far the loss rises above the chord.
    pub barrier: Summary,
    /// Accuracy halfway.
    pub middle: Summary,
    /// Accuracy of always answering the most frequent class.
    chance: f64,
}

impl Between {
    /// Of the runs of `zoo`; none where they cannot be judged, or have learned nothing that could be lost.
    ///
    /// # Errors
    /// A zoo that cannot be read.
    pub fn of(zoo: &ZooStore) -> Result<Option<Self>> {
        Ok(Outlook::of_finished(zoo)?.and_then(|(_, prospect)| prospect.between().copied()))
    }

    /// For results.json.
    pub fn row(&self) -> Row {
        let Self { trained, barrier, middle, .. } = self;
        row! {
            "accuracy_runs" => trained, "pairs" => barrier.n, "barrier_mean" => barrier.mean, "barrier_sem" => barrier.sem,
            "middle_accuracy_mean" => middle.mean, "middle_accuracy_sem" => middle.sem,
        }
    }

    /// What it means for a fit to `zoo`, in a sentence.
    pub fn told(&self, zoo: &ZooStore) -> String {
        let aligned = matches!(zoo.origin(), Origin::Derived(_));
        let Self { trained, barrier, middle, chance } = self;
        let kept = (middle.mean - chance) / (trained - chance);
        let wider = "Wider networks with weight decay (3e-3) connect better";
        let align = if aligned { wider.to_owned() } else { format!("Try thalweg zoo align; {}", wider.to_lowercase()) };
        let means = match kept {
            // Two standard errors of the accuracy halfway are no loss.
            kept if kept >= 0.995 || middle.mean + 2.0 * middle.sem >= *trained => {
                "they are linearly connected: a flow over their weights or principal components can reach their accuracy. Averages of runs \
                 are strong rivals here"
                    .to_owned()
            }
            kept if kept >= 0.5 => format!(
                "they are connected in part: a flow over weights loses accuracy, most in many dimensions; principal components or an autoencoder with \
                 a functional term lose less. {align}"
            ),
            _ => format!(
                "they are not linearly connected: a flow over their weights by a field that does not know hidden units samples networks at chance. \
                 {align}; or make runs that share their first steps (--kind fork)"
            ),
        };
        format!(
            "Between runs: halfway between two of them networks have validation accuracy {} where they themselves have {trained:.3}, and the loss rises \
             by up to {} above the chord ({} pairs): {means}.",
            estimate(middle.mean, middle.sem, 3),
            estimate(barrier.mean, barrier.sem, 3),
            barrier.n
        )
    }
}

/// A zoo with the rows that networks are checked on.
pub struct Outlook {
    /// The engine of its networks.
    pub engine: Engine,
    /// Some of its validation rows.
    pub rows: Labelled,
    /// Accuracy of always answering the most frequent class.
    pub chance: f64,
}

impl Outlook {
    /// Reads the zoo's validation rows; `None` for a zoo that does not know its architecture or its data. A fit does not need the data:
    /// where they cannot be had, that is told, and nothing is checked.
    ///
    /// # Errors
    /// An architecture that the engine does not take.
    pub fn of(zoo: &ZooStore, progress: &dyn Progress) -> Result<Option<Self>> {
        let (Some(architecture), Some(data)) = (zoo.architecture(), zoo.data()) else { return Ok(None) };
        let engine = Engine::new(architecture)?;
        let validation = match data::load(data, progress) {
            Ok(splits) => splits.validation,
            Err(error) => {
                progress.note(&format!("the model will not be checked on data: {}", told(&error)));
                return Ok(None);
            }
        };
        if validation.is_empty() {
            return Ok(None);
        }
        let validation = validation.first(ROWS.min(validation.len()));
        let most = validation.class_counts().into_iter().max().unwrap_or(0);
        let chance = most as f64 / validation.len() as f64;
        Ok(Some(Self { rows: Labelled::new(&engine, validation)?, engine, chance }))
    }

    /// What a flow over the weights of some `runs` can come to, with so many `points` on the line between two of them.
    ///
    /// # Errors
    /// A zoo that cannot be read.
    pub fn prospect(&self, zoo: &ZooStore, runs: &[usize], points: usize) -> Result<Prospect> {
        let trained = self.trained(zoo, runs)?;
        if !self.learned(trained) {
            return Ok(Prospect::Untrained { accuracy: trained });
        }
        let between = self.between(zoo, runs, points, trained)?;
        Ok(match between {
            Some(between) if between.middle.mean < (trained + self.chance) / 2.0 => Prospect::Unconnected(between),
            between => Prospect::Good { accuracy: trained, between },
        })
    }

    /// Mean validation accuracy of some `runs`.
    fn trained(&self, zoo: &ZooStore, runs: &[usize]) -> Result<f64> {
        let some = zoo.finals(&runs[..runs.len().min(PAIRS + 1)])?;
        Ok(Summary::of("accuracy", &self.rows.accuracies(&self.engine, &some)?, Better::Higher)?.mean)
    }

    /// What lies between neighbours among `runs` of mean accuracy `trained`, at so many `points` of each line; none for fewer than two.
    fn between(&self, zoo: &ZooStore, runs: &[usize], points: usize, trained: f64) -> Result<Option<Between>> {
        let finals = |run: usize| zoo.finals(&[run]);
        let pairs = runs.windows(2).take(PAIRS);
        let ends = pairs.map(|pair| Ok((finals(pair[0])?, finals(pair[1])?))).collect::<Result<Vec<_>>>()?;
        let lines: Vec<(&[f32], &[f32])> = ends.iter().map(|(a, b)| (&a[..], &b[..])).collect();
        if lines.is_empty() {
            return Ok(None);
        }
        let found = barriers(&self.engine, &lines, &self.rows.inputs, &self.rows.labels, points)?;
        let [barrier, middle] = summaries(&found)?;
        Ok(Some(Between { trained, barrier, middle, chance: self.chance }))
    }

    /// What a flow over the zoo in `dir`, which was just made, can come to; none where nothing is known. Warns where its networks have
    /// learned nothing.
    ///
    /// # Errors
    /// A zoo that cannot be read.
    pub fn of_made(zoo: &ZooStore, dir: &Path) -> Result<Option<Prospect>> {
        let Some((outlook, prospect)) = Self::of_finished(zoo)? else { return Ok(None) };
        if let Prospect::Untrained { accuracy } = prospect {
            outlook.warn_untrained(zoo, dir, accuracy);
        }
        Ok(Some(prospect))
    }

    /// What the finished runs of `zoo` can come to; none where there are none, or nothing is known. What there is to be said of the data was said when
    /// the command read them.
    fn of_finished(zoo: &ZooStore) -> Result<Option<(Self, Prospect)>> {
        let runs = zoo.finished_runs();
        if runs.is_empty() {
            return Ok(None);
        }
        let Some(outlook) = Self::of(zoo, &Silent)? else { return Ok(None) };
        let prospect = outlook.prospect(zoo, &runs, POINTS)?;
        Ok(Some((outlook, prospect)))
    }

    /// Whether networks of this mean accuracy answer better than always with the most frequent class: by a twentieth of what is to be gained.
    pub fn learned(&self, accuracy: f64) -> bool {
        accuracy > self.chance + 0.05 * (1.0 - self.chance)
    }

    /// Tells that the networks of the zoo in `dir` answer no better than always with the most frequent class.
    pub fn warn_untrained(&self, zoo: &ZooStore, dir: &Path, accuracy: f64) {
        let remedy = match zoo.spec() {
            // Nothing can be told apart on such rows, and nothing was to be learned from them.
            _ if self.chance == 1.0 => "all validation rows are of one class: judge them on --data with several",
            Some(_) => "train longer (--epochs or --steps) or at another --learning-rate",
            None => {
                "if they do better elsewhere, they expect other inputs (--raw, or --mean and --std) or other --data"
            }
        };
        complain(&format!(
            "warning: the networks of {} have learned nothing: they answer hardly better than always with the most frequent class \
             (validation accuracy {accuracy:.3}, {:.3} without a network): {remedy}",
            quoted(dir),
            self.chance
        ));
    }
}
