//! The flags by which an experiment's zoos and fits are made by many processes, and what they lead to.
use super::experiment::Scale;
use super::parts::Stage;
use super::share::{Sharing, Sources};
use crate::output::{Plan, SAID};
use crate::session::Session;
use crate::work::submit::{ENGINES, Workers};
use crate::work::task::{Shard, same_bytes};
use anyhow::{Result, bail};
use std::num::NonZeroUsize;
use std::path::Path;
use thalweg_nets::Error;

/// Which experiments are meant.
pub struct What<'a> {
    /// The name, or that of all of them.
    pub name: &'a str,
    /// Of all: only these.
    pub only: &'a [String],
    /// Their size.
    pub scale: Scale,
    /// The folder without `--out`.
    pub default: &'a str,
}

/// Who makes what an experiment is made from.
#[derive(clap::Args, Debug)]
pub struct Spread {
    /// Have an engine make its zoos and fits: hq (HyperQueue) or slurm; after Ctrl-C the same command finds them again
    #[arg(long, value_name = "NAME", value_parser = ENGINES)]
    on: Option<String>,
    /// Tasks of each stage, at most; one for each shard or fit by default
    #[arg(long, value_name = "N")]
    tasks: Option<NonZeroUsize>,
    #[command(flatten)]
    workers: Workers,
    /// What a task makes: parts of this stage, by --shard, and no report
    #[arg(long, value_name = "STAGE")]
    stage: Option<Stage>,
    #[command(flatten)]
    shard: Shard,
}

impl Spread {
    /// Does what is to be done by one of many processes, or through an engine, for an experiment that writes by `plan`; says whether that is all. If
    /// not, what an engine has made is found as under `--resume`.
    ///
    /// # Errors
    /// Flags that do not go together; a folder that holds something else; tasks that failed; Ctrl-C.
    pub fn is_all(&self, what: &What<'_>, plan: &Plan, session: &mut Session) -> Result<bool> {
        match (&self.on, self.stage, self.shard.task()?) {
            (None, Some(stage), Some(task)) => {
                same_bytes(session)?;
                let joined = session.joined(what.default, plan)?;
                session.common.resume = true;
                Sources::new(what.name, what.only, what.scale, joined.dir(), session)?.make(stage, task, session)?;
                session.say(&format!(
                    "task {} of {}: {stage} are in {}",
                    task.index(),
                    task.of(),
                    joined.shown().display()
                ));
                joined.finish();
                Ok(true)
            }
            (Some(engine), None, None) => self.through(engine, what, plan, session),
            (None, None, None) if self.tasks.is_some() || self.workers.are_said() => {
                bail!("expected --on beside --tasks, --cpus, --dry-run, --program and --python, found none")
            }
            (None, None, None) => Ok(false),
            _ => bail!("expected --stage and --shard together, and not beside --on, which gives every task its own"),
        }
    }

    /// As [`Self::is_all`], with the engine of this name.
    fn through(&self, engine: &str, what: &What<'_>, plan: &Plan, session: &mut Session) -> Result<bool> {
        let out = session.common.out.clone().unwrap_or_else(|| what.default.into());
        let sources = Sources::new(what.name, what.only, what.scale, &out, session)?;
        let sharing = Sharing {
            words: self.words(what, &out, session),
            out: &out,
            program: self.workers.program()?,
            tasks: self.tasks.map(NonZeroUsize::get),
            cores: self.workers.cores(),
        };
        if self.workers.dry_run {
            session.say(&sharing.typed(&sources, &|array| Workers::typed(engine, array), session)?);
            return Ok(true);
        }
        // What stands there of something else is refused before anything is submitted.
        session.joined(what.default, plan)?.finish();
        sharing.run(&sources, &*self.workers.engine(engine), session)?;
        session.common.resume = true;
        Ok(false)
    }

    /// The words of a task, but for those that say which it is.
    fn words(&self, what: &What<'_>, out: &Path, session: &Session) -> Vec<String> {
        let common = &session.common;
        let mut words = vec!["reproduce".into(), what.name.into(), "--scale".into(), what.scale.to_string()];
        let mut add = |flag: &str, value: String| words.extend([flag.to_owned(), value]);
        add("--out", out.display().to_string());
        add("--threads", self.workers.cores().to_string());
        what.only.iter().for_each(|name| add("--only", name.clone()));
        common.set.iter().for_each(|text| add("--set", text.clone()));
        common.seed.iter().for_each(|seed| add("--seed", seed.to_string()));
        common.memory.iter().for_each(|bytes| add("--memory", bytes.to_string()));
        common.device.iter().for_each(|name| add("--device", name.clone()));
        common.instructions.iter().for_each(|name| add("--instructions", name.clone()));
        words
    }

    /// Removes what the tasks said, when the report is made in `out`.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn ended(&self, out: &Path) -> Result<()> {
        let said = out.join(SAID);
        if self.on.is_some() && said.exists() {
            std::fs::remove_dir_all(&said).map_err(Error::io("remove", &said))?;
        }
        Ok(())
    }
}
