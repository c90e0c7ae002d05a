//! Fits as pieces of one work: folders of models, made by one process or shared out to many.
use super::fitted;
use crate::session::Session;
use crate::work::model;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg::model::{FitConfig, MetaModel};
use thalweg_nets::Error;
use thalweg_nets::pieces::{Kept, apart};
use thalweg_nets::zoo::ZooStore;

/// Fits a model into the folder `dir`, whole or not at all, though other processes may be fitting the same one; nothing is done where it is there.
/// Autoencoders are taken from the folder `latents` and put there, as [`super::fit_into`] does.
///
/// # Errors
/// As [`super::fit_into`]; what was done until then is gone on from by the next attempt on this machine.
pub fn fit_among_others(
    zoos: &[&ZooStore],
    config: &FitConfig,
    dir: &Path,
    latents: &Path,
    session: &Session,
) -> Result<()> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    // A model without its autoencoder's file is not whole yet, only the folder with its last name is.
    apart(
        dir,
        |dir| model::is_in(dir) && !dir.join(OWN).exists(),
        |own| -> Result<()> {
            let kept = own.join(OWN);
            fs::create_dir_all(&kept).map_err(Error::io("create", &kept))?;
            if !model::is_in(own) {
                if config.latent.is_some() && latents.is_dir() {
                    each_file(latents, |file, name| copied(file, &kept.join(name)))?;
                }
                fitted(zoos, config, own, &kept, true, session)?;
            }
            if config.latent.is_some() {
                fs::create_dir_all(latents).map_err(Error::io("create", latents))?;
                each_file(&kept, |file, name| {
                    let to = latents.join(name);
                    fs::rename(file, &to).map_err(Error::io("rename", to))
                })?;
            }
            Ok(fs::remove_dir_all(&kept).map_err(Error::io("remove", &kept))?)
        },
    )
}

/// Where a fit keeps its autoencoders while it is being made.
const OWN: &str = "latents";

/// Copies an autoencoder that another fit has finished; one that an earlier attempt has made itself stays.
fn copied(file: &Path, to: &Path) -> thalweg_nets::Result<()> {
    if to.exists() { Ok(()) } else { fs::copy(file, to).map(|_| ()).map_err(Error::io("copy", file)) }
}

/// Every file of `dir` that is whole, with its name.
fn each_file(dir: &Path, what: impl Fn(&Path, &str) -> thalweg_nets::Result<()>) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && !name.starts_with('.') {
            what(&path, &name)?;
        }
    }
    Ok(())
}

/// Models in folders of their own, in the order of their fits.
pub struct Models {
    /// The folders.
    pub dirs: Vec<PathBuf>,
}

impl Kept for Models {
    fn count(&self) -> usize {
        self.dirs.len()
    }

    fn stands(&self, index: usize) -> bool {
        model::is_in(&self.dirs[index])
    }

    fn check(&self, index: usize) -> thalweg_nets::Result<()> {
        MetaModel::load(&self.dirs[index]).map(|_| ())
    }

    fn remove(&self, index: usize) -> thalweg_nets::Result<()> {
        fs::remove_dir_all(&self.dirs[index]).map_err(Error::io("remove", &self.dirs[index]))
    }
}
