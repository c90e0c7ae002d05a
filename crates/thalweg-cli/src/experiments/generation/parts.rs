//! Zoos and fits of the tables, as they are made one by one or by many processes.
use super::parameters::{Generation, Listed};
use crate::experiments::experiment::Run;
use crate::experiments::made::{self, Zoos, folder, model_dir, zoo_dir};
use crate::experiments::parts::{Part, Stage};
use anyhow::Result;
use std::path::PathBuf;
use thalweg::model::MetaModel;
use thalweg_nets::zoo::ZooStore;

/// The folder of the control's model.
fn control_dir(run: &Run, data: &str, kind: &str) -> PathBuf {
    run.out.join("models").join(format!("{}-shuffled", folder(data, kind)))
}

impl Generation {
    /// What the tables are made from, of one stage.
    pub(super) fn all_parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::new();
        for (data, kind) in self.data.iter().flat_map(|data| self.kinds.iter().map(move |kind| (data, kind))) {
            parts.extend(match stage {
                Stage::Fits => self.fits(run, data, kind),
                _ => self.zoos(run).parts(data, kind, stage)?,
            });
        }
        Ok(parts)
    }

    pub(super) fn zoos<'a>(&'a self, run: Run<'a>) -> Zoos<'a> {
        Zoos { run, tables: &self.zoo, seed: self.seed }
    }

    /// Every fit on the zoo of `kind` on `data` as a part, the control among them.
    fn fits<'a>(&'a self, run: Run<'a>, data: &'a str, kind: &'a str) -> Vec<Part<'a>> {
        let part = |(method, fit): (&'a Listed, u64)| {
            let dir = model_dir(&run, &folder(data, kind), &method.name, fit);
            Part::model(dir.clone(), move || {
                let zoo = self.zoos(run).get(data, kind)?;
                made::fitted(&run, &zoo, &self.config(method, kind, fit)?, &dir).map(drop)
            })
        };
        let fits = self.chosen(kind).flat_map(|method| (0..self.fits).map(move |fit| (method, fit)));
        let mut parts: Vec<Part> = fits.map(part).collect();
        if let Some(first) = self.chosen(kind).next().filter(|_| self.control) {
            parts.push(Part::model(control_dir(&run, data, kind), move || {
                self.shuffled(&run, &self.zoos(run).get(data, kind)?, data, kind, first).map(drop)
            }));
        }
        parts
    }

    /// The control: the first method fitted to the zoo with its weights shuffled.
    pub(super) fn shuffled(
        &self,
        run: &Run,
        zoo: &ZooStore,
        data: &str,
        kind: &str,
        first: &Listed,
    ) -> Result<MetaModel> {
        let zoo = made::shuffled(run, zoo, &zoo_dir(run, &folder(data, kind), "-shuffled"))?;
        made::fitted(run, &zoo, &self.config(first, kind, 0)?, &control_dir(run, data, kind))
    }
}
