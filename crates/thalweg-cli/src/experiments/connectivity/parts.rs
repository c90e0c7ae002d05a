//! Zoos and fits of every place, as they are made one by one or by many processes.
use super::parameters::Connectivity;
use crate::experiments::experiment::Run;
use crate::experiments::flows::Named;
use crate::experiments::made::{self, folder, model_dir, zoo_dir};
use crate::experiments::parts::{Part, Stage};
use crate::verdict::SHUFFLED;
use crate::work::outlook::Between;
use anyhow::{Context, Result};
use thalweg::space::align::Target;
use thalweg_nets::zoo::ZooStore;

/// What ends the name of an aligned zoo's folder, and the target, given a run.
type Aligned = (&'static str, fn(usize) -> Target);

/// The two alignments of a zoo.
pub(super) const ALIGNED: [Aligned; 2] = [("-aligned", Target::Run), ("-joint", Target::Mean)];

/// What the folders of a place are called by.
pub(super) fn name(data: &str, width: usize, decay: f64) -> String {
    folder(data, &format!("{width}-{decay}"))
}

/// The one of two aligned zoos with the lower barrier on validation rows, as everything that is chosen; and what lies between the runs of each.
///
/// # Errors
/// Zoos that cannot be read.
pub(super) fn better(aligned: Vec<ZooStore>) -> Result<(ZooStore, [Option<Between>; 2])> {
    let [one, joint] = <[ZooStore; 2]>::try_from(aligned).ok().context("two alignments")?;
    let between = [Between::of(&one)?, Between::of(&joint)?];
    let [of_one, of_joint] = between.each_ref().map(|b| b.as_ref().map_or(f64::NAN, |b| b.barrier.mean));
    Ok((if of_joint <= of_one { joint } else { one }, between))
}

/// What all places are made from, of one stage.
///
/// # Errors
/// Settings that say no zoo.
pub(super) fn of<'a>(set: &'a Connectivity, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
    let mut parts = Vec::new();
    for data in &set.data {
        for &width in &set.widths {
            for &decay in &set.decays {
                parts.extend(Place { set, run, data, width, decay, name: name(data, width, decay) }.parts(stage)?);
            }
        }
    }
    Ok(parts)
}

#[derive(Clone)]
struct Place<'a> {
    set: &'a Connectivity,
    run: Run<'a>,
    data: &'a str,
    width: usize,
    decay: f64,
    name: String,
}

impl<'a> Place<'a> {
    fn parts(self, stage: Stage) -> Result<Vec<Part<'a>>> {
        let recipe = || {
            let table = self.set.table(self.data, self.width, self.decay)?;
            made::recipe(&self.run, table, self.set.seed, &zoo_dir(&self.run, &self.name, ""))
        };
        match stage {
            Stage::Starts => Ok(Vec::new()),
            Stage::Zoos => Ok(recipe()?.parts(self.run)),
            Stage::Derived => Ok((0..ALIGNED.len()).map(|index| self.derived(index)).collect()),
            Stage::Fits => Ok(self.fits()),
        }
    }

    fn derived(&self, index: usize) -> Part<'a> {
        let (how, _) = ALIGNED[index];
        let dir = zoo_dir(&self.run, &self.name, how);
        let (place, at) = (self.clone(), dir.clone());
        Part::zoo(dir.display().to_string(), move || Some(at.clone()), move || place.aligned(index).map(drop))
    }

    fn fits(&self) -> Vec<Part<'a>> {
        let part = |method: &'a Named, named: String, fit: u64, shuffled: bool| {
            let (place, dir) = (self.clone(), model_dir(&self.run, &self.name, &named, fit));
            Part::model(dir.clone(), move || {
                let (mut zoo, _) =
                    better((0..ALIGNED.len()).map(|index| place.aligned(index)).collect::<Result<_>>()?)?;
                if shuffled {
                    zoo = made::shuffled(&place.run, &zoo, &zoo_dir(&place.run, &place.name, "-shuffled"))?;
                }
                made::fitted(&place.run, &zoo, &place.set.methods().config(method, fit)?, &dir).map(drop)
            })
        };
        let methods = self.set.methods().methods;
        let each = methods.iter().flat_map(|method| (0..self.set.fits).map(move |fit| (*method, fit)));
        let mut parts: Vec<Part> = each.map(|(method, fit)| part(method, method.name.clone(), fit, false)).collect();
        if let Some(first) = methods.first().filter(|_| self.set.control) {
            parts.push(part(first, format!("{}{SHUFFLED}", first.name), 0, true));
        }
        parts
    }

    /// One of the zoos aligned.
    fn aligned(&self, index: usize) -> Result<ZooStore> {
        let table = self.set.table(self.data, self.width, self.decay)?;
        let zoo = made::zoo(&self.run, table, self.set.seed, &zoo_dir(&self.run, &self.name, ""))?;
        let (how, target) = ALIGNED[index];
        made::aligned_to(&self.run, &zoo, target, &zoo_dir(&self.run, &self.name, how))
    }
}
