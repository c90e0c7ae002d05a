//! How a fit is run, and the name by which its state is known.
use crate::model::FitConfig;
use crate::train::Checkpointing;
use crate::{Error, Result};
use std::path::PathBuf;
use thalweg_nets::zoo::ZooStore;

/// How a fit is run; nothing here changes its bytes.
#[derive(Clone, Debug, Default)]
pub struct FitOptions {
    /// Where the state between steps is kept; nowhere if not given.
    pub state: Option<PathBuf>,
    /// Steps between two savings of the state; 0 for on interruption only.
    pub save_every: u64,
    /// Go on from the state where there is one.
    pub resume: bool,
    /// The folder where trained autoencoders are kept, each under a name of its own, and taken from by every fit that would train the same one;
    /// nowhere if not given.
    pub latents: Option<PathBuf>,
}

impl FitOptions {
    /// Where the state of the fit called `identity` is kept.
    pub(crate) fn saving<'a>(&'a self, identity: &'a str) -> Option<Checkpointing<'a>> {
        let path = self.state.as_deref()?;
        Some(Checkpointing { path, identity, every: self.save_every, last: false, resume: self.resume })
    }
}

/// Names a fit: a state may only go on with the fit that it belongs to.
pub(crate) fn identity(zoos: &[&ZooStore], config: &FitConfig) -> Result<String> {
    let text =
        toml::to_string(config).map_err(|e| Error::parameter("fit configuration", "values that TOML can hold", e))?;
    let ids: String = zoos.iter().map(|zoo| format!("{}\n", zoo.origin().id())).collect();
    Ok(blake3::hash(format!("{ids}{text}").as_bytes()).to_hex().to_string())
}
