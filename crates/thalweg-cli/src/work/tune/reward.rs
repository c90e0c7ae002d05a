//! The reward that a tuning follows, as flags name it, on data that are read for it.
use super::Target;
use crate::data;
use crate::session::Session;
use crate::study::Labelled;
use anyhow::{Context, Result, bail};
use thalweg::model::MetaModel;
use thalweg::reward::{OnData, Rows};
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;

/// Validation rows that the kept iteration is chosen on.
const VALIDATION_ROWS: usize = 2_000;

/// Flags that say what the reward is.
#[derive(clap::Args, Debug)]
pub struct RewardFlags {
    /// loss:NAME[:PATH] (minus cross-entropy on data) or margin:NAME[:PATH] (hinge on log-odds); for data see `thalweg data list`
    #[arg(long, value_name = "KIND:DATA")]
    pub reward: String,
    /// Training rows of a reward, drawn anew for every iteration
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub rows: usize,
    /// Log-odds that the reward margin: asks for
    #[arg(long, value_name = "NUMBER", default_value_t = 3.0)]
    pub margin: f32,
}

/// A task to tune to: rewards on its training and validation rows, and its test rows.
pub struct Task {
    /// What it is called.
    pub name: String,
    /// Its data, as they were named.
    pub data: DataSpec,
    /// The checksum of what was read.
    pub checksum: String,
    /// The engine of the networks.
    pub engine: Engine,
    /// Its test rows.
    pub test: Labelled,
    reward: OnData,
    held_out: OnData,
    bound: DataSpec,
}

impl Task {
    /// Reads the data of a reward for networks of `base`, whose folder is called `folder`.
    ///
    /// # Errors
    /// An unknown reward, data that cannot be had or that the networks do not take, a model that does not know what its networks are.
    pub fn read(flags: &RewardFlags, base: &MetaModel, folder: &str, session: &Session) -> Result<Self> {
        let (kind, data) = Kind::parse(&flags.reward, flags.margin)?;
        let architecture =
            base.architecture.as_ref().with_context(|| format!("{folder} does not know its architecture"))?;
        let engine = Engine::new(architecture)?;
        let splits = data::load_for_reward(&data, base.data.as_ref(), &session.progress)?;
        fits(architecture, &splits.test)?;
        let name = data.name.clone();
        let validation = splits.validation.first(VALIDATION_ROWS);
        Ok(Self {
            bound: data.bound(&splits.record),
            checksum: splits.record.checksum,
            reward: kind.on(&name, &engine, splits.train, Rows::Batch(flags.rows))?,
            held_out: kind.on(&format!("{name}, validation"), &engine, validation, Rows::All)?,
            test: Labelled::new(&engine, splits.test)?,
            name,
            data,
            engine,
        })
    }

    /// What a model is tuned to, and its networks are for then.
    pub fn target(&self) -> Target<'_> {
        Target { reward: &self.reward, held_out: &self.held_out, data: Some(&self.bound) }
    }
}

/// A reward on data, before its data are read.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Minus cross-entropy.
    Loss,
    /// Minus the hinge at this margin of log-odds.
    Margin(f32),
}

impl Kind {
    /// Reads `KIND:NAME[:PATH]`.
    ///
    /// # Errors
    /// An unknown kind or data set.
    fn parse(text: &str, margin: f32) -> Result<(Self, DataSpec)> {
        let (kind, data) = text
            .split_once(':')
            .with_context(|| format!("--reward {text}: expected loss:DATA or margin:DATA, e.g. loss:fashion-mnist"))?;
        let kind = match kind {
            "loss" => Self::Loss,
            "margin" => Self::Margin(margin),
            other => bail!("--reward {text}: expected loss or margin before the colon, found {other}"),
        };
        Ok((kind, DataSpec::parse(data)?))
    }

    /// The reward on `data`, called `name` in cards.
    ///
    /// # Errors
    /// Data that do not fit the engine.
    fn on(self, name: &str, engine: &Engine, data: Dataset, rows: Rows) -> Result<OnData> {
        Ok(match self {
            Self::Loss => OnData::loss(name, engine, data.inputs, data.labels, rows)?,
            Self::Margin(margin) => OnData::margin(name, engine, data.inputs, data.labels, margin, rows)?,
        })
    }
}
