//! How a fit is run, and the name by which its state is known.
use crate::model::FitConfig;
use crate::space::latent::Probes;
use crate::tensors::BY;
use crate::train::Checkpointing;
use crate::{Error, Result};
use std::path::PathBuf;
use thalweg_nets::zoo::ZooStore;

/// How a fit is run; but for `probes` nothing here changes its bytes.
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
    /// What evaluates networks for the functional term of an autoencoder; the engine on the zoo's own data if not given. What it is called and its
    /// inputs are part of the fit's name.
    pub probes: Option<Probes>,
}

impl FitOptions {
    /// Checks that what is given here is asked for.
    ///
    /// # Errors
    /// Probes without a functional term.
    pub(crate) fn check(&self, config: &FitConfig) -> Result<()> {
        let asked = config.latent.as_ref().is_some_and(|latent| latent.functional().weight > 0.0);
        match self.probes.is_some() && !asked {
            true => {
                let expected = "above 0 in a latent space that is learned, beside what evaluates networks for it";
                Err(Error::parameter("functional.weight", expected, "no functional term"))
            }
            false => Ok(()),
        }
    }

    /// Where the state of the fit called `identity` is kept.
    pub(crate) fn saving<'a>(&'a self, identity: &'a str) -> Option<Checkpointing<'a>> {
        let path = self.state.as_deref()?;
        Some(Checkpointing { path, identity, every: self.save_every, last: false, resume: self.resume })
    }
}

/// Names a fit: a state may only go on with the fit that it belongs to.
pub(crate) fn identity(zoos: &[&ZooStore], config: &FitConfig, probes: Option<&Probes>) -> Result<String> {
    let text =
        toml::to_string(config).map_err(|e| Error::parameter("fit configuration", "values that TOML can hold", e))?;
    let ids: String = zoos.iter().map(|zoo| format!("{}\n", zoo.origin().id())).collect();
    Ok(named(&format!("{ids}{text}"), probes))
}

/// The hash of a text and of the inputs of `probes`, with the name of what evaluates networks on them.
pub(super) fn named(text: &str, probes: Option<&Probes>) -> String {
    let hash = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    match probes {
        None => hash(text),
        Some(probes) => format!("{}{BY}{}", hash(&format!("{text}{}", probes.hash())), probes.name),
    }
}
