//! The reward that a tuning follows, as flags name it, on data that are read for it.
use super::Target;
use crate::data;
use crate::session::Session;
use crate::study::Labelled;
use anyhow::{Context, Result};
use thalweg::model::MetaModel;
use thalweg::reward::{Kind, Request, Reward, Rows};
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;

/// Validation rows that the kept iteration is chosen on.
const VALIDATION_ROWS: usize = 2_000;

/// Flags that say what the reward is.
#[derive(clap::Args, Debug)]
pub struct RewardFlags {
    // The library knows its rewards.
    #[arg(long, value_name = "KIND:DATA", help = format!("{}; for data see `thalweg data list`", Kind::help()))]
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
    reward: Box<dyn Reward>,
    held_out: Box<dyn Reward>,
    bound: DataSpec,
}

impl Task {
    /// Reads the data of a reward for networks of `base`, whose folder is called `folder`.
    ///
    /// # Errors
    /// An unknown reward, data that cannot be had or that the networks do not take, a model that does not know what its networks are.
    pub fn read(flags: &RewardFlags, base: &MetaModel, folder: &str, session: &Session) -> Result<Self> {
        let (kind, data) = Kind::parse(&flags.reward).with_context(|| format!("--reward {}", flags.reward))?;
        let architecture =
            base.architecture.as_ref().with_context(|| format!("{folder} does not know its architecture"))?;
        let engine = Engine::new(architecture)?;
        let splits = data::load_for_reward(&data, base.data.as_ref(), &session.progress)?;
        fits(architecture, &splits.test)?;
        let name = data.name.clone();
        let validation = splits.validation.first(VALIDATION_ROWS);
        let on = |name: &str, data: Dataset, rows: Rows| {
            (kind.make)(Request { name, engine: &engine, data, rows, margin: flags.margin })
        };
        let reward = on(&name, splits.train, Rows::Batch(flags.rows))?;
        let held_out = on(&format!("{name}, validation"), validation, Rows::All)?;
        Ok(Self {
            bound: data.bound(&splits.record),
            checksum: splits.record.checksum,
            reward,
            held_out,
            test: Labelled::new(&engine, splits.test)?,
            name,
            data,
            engine,
        })
    }

    /// What a model is tuned to, and its networks are for then.
    pub fn target(&self) -> Target<'_> {
        Target { reward: &*self.reward, held_out: &*self.held_out, data: Some(&self.bound) }
    }
}
