//! A fit checked before it begins and after it: whether a flow over its zoo can work, and what its samples are worth.
use crate::complain::complain;
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::shell::quoted;
use crate::table::estimate;
use crate::work::outlook::{Between, EQUIVARIANT, Outlook, Prospect, UNCONNECTED};
use anyhow::Result;
use thalweg::field::FieldConfig;
use thalweg::fit::{Character, Relation};
use thalweg::metric::summary::{Better, Summary};
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FitConfig, MetaModel};
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::{Origin, ZooStore};

/// Networks sampled to judge a fitted model by.
const SAMPLES: usize = 16;

/// What a fit is checked by.
pub struct Check<'a> {
    zoo: &'a ZooStore,
    outlook: Outlook,
}

impl<'a> Check<'a> {
    /// Warns where networks halfway between two training runs have lost more than half of what training gained over chance, and where
    /// training gained nothing; in a zoo without architecture or data, where the weights look like runs from independent starts. None where nothing
    /// can be checked on data: such a zoo, or a model of tasks, which is sampled for one of them (nothing here says for which).
    ///
    /// # Errors
    /// A zoo that cannot be read, a split that leaves no runs to train on.
    pub fn before(
        zoos: &'a [ZooStore],
        config: &FitConfig,
        character: Option<&Character>,
        progress: &dyn Progress,
    ) -> Result<Option<Self>> {
        let Some(check) = Self::of(zoos, config, progress)? else {
            if let (None, Some(character)) = (&config.context, character) {
                warn_by_weights(&zoos[0], character);
            }
            return Ok(None);
        };
        let (Self { zoo, outlook }, split) = (&check, config.split.of(check.zoo)?);
        // A latent space trained on answers, and a field that follows hidden units, do without the lines between runs.
        let functional = config.latent.as_ref().is_some_and(|latent| latent.functional().weight > 0.0);
        let bound = !functional && !matches!(config.field, FieldConfig::Equivariant(_));
        let dir = quoted(zoo.dir());
        match outlook.prospect(zoo, &split.train, 3)? {
            Prospect::Untrained { accuracy } => outlook.warn_untrained(zoo, zoo.dir(), accuracy),
            Prospect::Unconnected(Between { trained, middle, .. }) if bound => complain(&format!(
                "warning: the runs of {dir} are not linearly connected: halfway between two of them networks have validation accuracy \
                 {:.3} ({} pairs), the runs themselves {trained:.3}. A flow over such weights samples networks at chance. What \
                 works: runs that share their first steps (thalweg zoo train … --kind fork); or, for these runs,\n  \
                 thalweg zoo align {dir} --out aligned\n  \
                 thalweg fit aligned {UNCONNECTED} --out model\n\
                 or as they are, at more seconds a step and some cost in accuracy, with a field that follows hidden units\n  \
                 thalweg fit {dir} {EQUIVARIANT} --out model",
                middle.mean, middle.n
            )),
            _ => {}
        }
        Ok(Some(check))
    }

    /// What models fitted to `zoos` are checked by, `config` being that of one of them; none where nothing can be checked on data, as for [`Self::before`].
    ///
    /// # Errors
    /// A zoo that cannot be read.
    pub fn of(zoos: &'a [ZooStore], config: &FitConfig, progress: &dyn Progress) -> Result<Option<Self>> {
        let (zoo, None) = (&zoos[0], &config.context) else { return Ok(None) };
        let Some(outlook) = Outlook::of(zoo, progress)? else { return Ok(None) };
        Ok(Some(Self { zoo, outlook }))
    }

    /// Samples a few networks and tells how they do beside the zoo's, with a warning where they have lost more than half of what
    /// training gained over chance. Returns the row for `results.json`.
    ///
    /// # Errors
    /// A model that cannot be sampled, a zoo that cannot be read.
    pub fn after(&self, model: &MetaModel, session: &Session) -> Result<Row> {
        let Outlook { rows, chance, .. } = &self.outlook;
        let [sampled, trained] = self.accuracies(model, session.seed_or(0))?;
        session.say(&format!(
            "Check: {SAMPLES} sampled networks have validation accuracy {}, the zoo's runs {} (chance {chance:.3}). Accuracy alone does not show \
             that they are new: thalweg eval does.",
            estimate(sampled.mean, sampled.sem, 3),
            estimate(trained.mean, trained.sem, 3)
        ));
        if self.outlook.learned(trained.mean) && sampled.mean < (trained.mean + chance) / 2.0 {
            complain(&format!(
                "warning: sampled networks have validation accuracy {:.3} where the zoo's runs have {:.3} (chance {chance:.3}): they are not \
                 usable as they are",
                sampled.mean, trained.mean
            ));
        }
        Ok(row! {
            "method" => model.config.method.name(), "samples" => SAMPLES, "validation_rows" => rows.labels.len(),
            "accuracy_sampled_mean" => sampled.mean, "accuracy_sampled_sem" => sampled.sem,
            "accuracy_zoo_mean" => trained.mean, "accuracy_zoo_sem" => trained.sem, "accuracy_chance" => chance,
        })
    }

    /// Validation accuracy of a few networks sampled from `model`, and of as many training runs at most.
    ///
    /// # Errors
    /// As [`Self::after`].
    pub fn accuracies(&self, model: &MetaModel, seed: u64) -> Result<[Summary; 2]> {
        let Outlook { engine, rows, .. } = &self.outlook;
        let accuracy = |theta: &[f32]| -> Result<Summary> {
            Ok(Summary::of("accuracy", &rows.accuracies(engine, theta)?, Better::Higher)?)
        };
        let sampled = accuracy(&model.sample(&SampleRequest::new(SAMPLES, seed))?.theta)?;
        let train = model.config.split.of(self.zoo)?.train;
        Ok([sampled, accuracy(&self.zoo.finals(&train[..train.len().min(SAMPLES)])?)?])
    }
}

/// Warns where the runs of a zoo whose networks cannot be evaluated look like runs from independent starts.
fn warn_by_weights(zoo: &ZooStore, character: &Character) {
    if character.relation != Relation::Independent || matches!(zoo.origin(), Origin::Derived(_)) {
        return;
    }
    let dir = quoted(zoo.dir());
    complain(&format!(
        "warning: the runs of {dir} have {:.1} % of their squared norm in common, as runs from independent starts do. Networks between such runs are \
         at chance as a rule, and so are the samples of any law over their weights. Runs that share their first steps or a pretrained start can be \
         learned from; independent ones can be aligned where the architecture and data are known (thalweg zoo import … --arch NAME --data NAME, then \
         thalweg zoo align)",
        100.0 * character.common
    ));
}
