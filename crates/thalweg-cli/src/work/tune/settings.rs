//! What a tuning is asked for: a TOML file, flags and `--set` together give one checked [`TuneConfig`].
use crate::session::Session;
use crate::settings;
use anyhow::Result;
use std::path::PathBuf;
use thalweg::tune::TuneConfig;
use thalweg_nets::Error;

/// Flags that say what a tuning is.
#[derive(clap::Args, Debug)]
pub struct TuneFlags {
    /// Weight of the reward against the distance from the model as it is (for losses, 300 to 30000)
    #[arg(long, value_name = "NUMBER")]
    strength: Option<f64>,
    /// Iterations
    #[arg(long, value_name = "N")]
    iterations: Option<u64>,
    /// A TOML file with the tuning's settings; flags override it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

impl TuneFlags {
    /// The configuration of the tuning.
    ///
    /// # Errors
    /// A file that cannot be read; unknown keys; values out of range.
    pub fn settings(&self, session: &Session) -> Result<TuneConfig> {
        let mut config = match &self.config {
            Some(path) => {
                TuneConfig::from_toml_str(path, &std::fs::read_to_string(path).map_err(Error::io("read", path))?)?
            }
            None => TuneConfig::default(),
        };
        if let Some(strength) = self.strength {
            config.strength = strength;
        }
        if let Some(iterations) = self.iterations {
            config.iterations = iterations;
        }
        if !session.common.set.is_empty() {
            config = settings::read("the tuning's settings", &toml::to_string(&config)?, &session.common.set)?;
        }
        config.seed = session.seed_or(config.seed);
        config.check()?;
        Ok(config)
    }
}
