//! What the curves are made from, as parts that many processes can make.
use super::parameters::Initialisation;
use crate::experiments::context;
use crate::experiments::experiment::Run;
use crate::experiments::parts::{Part, Stage};
use crate::experiments::tasks::Common;
use anyhow::Result;
use std::path::PathBuf;

/// The zoo of the one task `home` lies beside those of the others' experiment.
pub(super) fn at_home(common: &Common, run: &Run) -> Common {
    Common { dir: run.out.join("home"), ..common.clone() }
}

/// The folder of the flow over it.
pub(super) fn model_dir(run: &Run) -> PathBuf {
    run.out.join("home-model")
}

/// Those of one stage: the other experiment's where it is not made already, and the zoo and the flow at home.
pub(super) fn of<'a>(set: &'a Initialisation, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
    let contexts = set.contexts(run.scale)?;
    let (mut parts, common) = match &set.made_in {
        Some(dir) => (Vec::new(), context::open(&contexts.tasks, dir)?.common),
        None => context::parts(&contexts.tasks, &contexts.conditional()?, set.seed, run, stage)?,
    };
    let home = at_home(&common, &run);
    match stage {
        Stage::Zoos => parts.extend(contexts.tasks.parts(&set.home, set.home_runs, &home, set.seed, run.session)?),
        Stage::Fits => {
            parts.push(Part::model(model_dir(&run), move || set.home_flow(&contexts.tasks, &common, &run).map(drop)))
        }
        Stage::Starts | Stage::Derived => {}
    }
    Ok(parts)
}
