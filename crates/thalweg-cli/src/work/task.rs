//! Work that many processes share: which of its tasks this process is (`--shard`), and what is said of them.
use crate::common::Outcome;
use crate::results::{Results, Row};
use crate::row;
use crate::session::Session;
use crate::shell::quoted;
use anyhow::{Context, Result, bail};
use std::ops::Range;
use std::path::Path;
use thalweg_nets::engine::Instructions;
use thalweg_nets::pieces::task::ranges;
use thalweg_nets::pieces::{Gathered, Task};

/// Variables in which engines say the number of the task that they run.
const NUMBERS: [&str; 2] = ["HQ_TASK_ID", "SLURM_ARRAY_TASK_ID"];

/// The flag that shares a command out to many processes.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Shard {
    /// Make the pieces of task I of N alone (I from 0), into a folder that the other tasks share: shards of a zoo and models of a sweep in --out, others in
    /// PATH.pieces beside it; auto/N takes I from HQ_TASK_ID or
    /// SLURM_ARRAY_TASK_ID, auto takes both from a Slurm array that starts at 0. `thalweg gather` ends the work
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
}

impl Shard {
    /// Whether the flag is there.
    pub fn is_said(&self) -> bool {
        self.shard.is_some()
    }

    /// Refuses the flag in a command that is shared out.
    ///
    /// # Errors
    /// Where it is there.
    pub fn none(&self) -> Result<()> {
        match self.is_said() {
            true => bail!("--shard: expected none in a command that is shared out, which gives every task its own"),
            false => Ok(()),
        }
    }

    /// `words` of a command without the flag.
    pub fn without(&self, words: &[String]) -> Vec<String> {
        let mut words = words.iter();
        let mut kept = Vec::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--shard" => drop(words.next()),
                word if word.starts_with("--shard=") => {}
                word => kept.push(word.to_owned()),
            }
        }
        kept
    }

    /// The task; none where the command is to do all of its work.
    ///
    /// # Errors
    /// A text that is no task; a variable that is needed and not there.
    pub fn task(&self) -> Result<Option<Task>> {
        self.shard.as_deref().map(|text| parsed(text, &|name| std::env::var(name).ok())).transpose()
    }
}

fn parsed(text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Task> {
    let wrong = || format!("--shard: expected I/N with I from 0 to N - 1, auto/N or auto, found {text}");
    let number = |name: &str| variable(name).and_then(|value| value.parse::<usize>().ok());
    let (index, of) = text.split_once('/').map_or((text, None), |(index, of)| (index, Some(of)));
    let of = match of {
        Some(of) => of.parse().ok().with_context(wrong)?,
        None if index == "auto" => {
            let [first, last, count] = ["MIN", "MAX", "COUNT"].map(|part| number(&format!("SLURM_ARRAY_TASK_{part}")));
            match (first, last, count) {
                (Some(0), Some(last), Some(count)) if last + 1 == count => count,
                _ => bail!(
                    "--shard auto: expected a Slurm array from 0 to N - 1 that says its size, found none; write auto/N"
                ),
            }
        }
        None => bail!(wrong()),
    };
    let index = match index {
        "auto" => NUMBERS.into_iter().find_map(number).with_context(|| {
            format!("--shard {text}: expected the task's number in {}, found none", NUMBERS.join(" or "))
        })?,
        index => index.parse().ok().with_context(wrong)?,
    };
    Task::new(index, of).with_context(wrong)
}

/// Refuses a machine whose engine gives other bytes than those of its peers, unless all were told to.
///
/// # Errors
/// A processor without AVX2, where no instruction set was named.
pub fn same_bytes(session: &Session) -> Result<()> {
    let named = session.common.instructions.is_some() || std::env::var_os("THALWEG_INSTRUCTIONS").is_some();
    if Instructions::best().name() == "portable" && !named {
        bail!(
            "this machine has no AVX2, so its networks would differ in their last digits from those of machines that have; give every task --instructions portable, or run this one elsewhere"
        );
    }
    Ok(())
}

/// Says that `task` is done: its `runs` are in `out`.
///
/// # Errors
/// Results that cannot be printed.
pub fn told(session: &Session, task: Task, runs: Range<usize>, out: &Path, seed: u64) -> Result<()> {
    session.progress.end();
    let mut results = Results::new(seed);
    let row: Row = [
        ("task", task.index()),
        ("tasks", task.of()),
        ("first_run", runs.start),
        ("last_run", runs.end.saturating_sub(1)),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value.into()))
    .collect();
    results.rows = vec![row];
    results.made(out);
    session.say(&format!(
        "task {} of {}: runs {} to {} are in {}",
        task.index(),
        task.of(),
        runs.start,
        runs.end.saturating_sub(1),
        out.display()
    ));
    session.finish(None, results)
}

/// Says which of `what` (shards, pieces) in `dir` have to be made, and by `how` (of their numbers, as ranges).
///
/// # Errors
/// Results that cannot be printed.
pub fn lacking(
    dir: &Path,
    what: &str,
    discard: bool,
    found: &Gathered,
    how: &dyn Fn(&str) -> String,
    session: &Session,
) -> Result<Outcome> {
    let to_make = found.to_make();
    session.say(&format!(
        "{} of {} {what} of {} are there and sound",
        found.pieces - to_make.len(),
        found.pieces,
        dir.display()
    ));
    if !found.missing.is_empty() {
        session.say(&format!("missing: {}", ranges(&found.missing)));
    }
    for (_, wrong) in &found.damaged {
        session.say(&format!("damaged: {wrong}"));
    }
    session.say(&match found.damaged.is_empty() || discard {
        false => format!(
            "`thalweg gather {} --discard` removes the damaged ones, so that they can be made again",
            quoted(dir)
        ),
        true => how(&ranges(&to_make)),
    });
    let mut results = Results::new(0);
    let key = what.trim_end_matches('s');
    let gone = found.missing.iter().map(|index| row! { key => index, "damaged" => None::<&str> });
    results.rows =
        gone.chain(found.damaged.iter().map(|(index, wrong)| row! { key => index, "damaged" => wrong })).collect();
    session.finish(None, results)?;
    Ok(Outcome::Negative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_that_ends_the_work_has_all_words_but_the_task() {
        let without = |text: &str| {
            let words: Vec<String> = text.split(' ').map(Into::into).collect();
            Shard::default().without(&words).join(" ")
        };
        assert_eq!(without("eval s --shard auto/3 --out x"), "eval s --out x");
        assert_eq!(without("eval s --out x --shard=1/3"), "eval s --out x");
    }

    #[test]
    fn tasks_are_named_by_hand_by_hyperqueue_and_by_slurm() {
        let with = |text: &str, variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, v)| (*v).to_owned());
            parsed(text, &variable).map(|task| (task.index(), task.of())).map_err(|e| format!("{e:#}"))
        };
        assert_eq!(with("3/16", &[]), Ok((3, 16)));
        assert_eq!(with("auto/16", &[("HQ_TASK_ID", "7")]), Ok((7, 16)));
        assert_eq!(with("auto/4", &[("SLURM_ARRAY_TASK_ID", "2")]), Ok((2, 4)));
        let slurm = |first, last, count| {
            [
                ("SLURM_ARRAY_TASK_ID", "5"),
                ("SLURM_ARRAY_TASK_MIN", first),
                ("SLURM_ARRAY_TASK_MAX", last),
                ("SLURM_ARRAY_TASK_COUNT", count),
            ]
        };
        assert_eq!(with("auto", &slurm("0", "7", "8")), Ok((5, 8)));
        // A part of an array does not say of how many tasks it is a part.
        assert!(with("auto", &slurm("4", "7", "4")).unwrap_err().contains("auto/N"));
        assert!(with("auto", &[("HQ_TASK_ID", "7")]).unwrap_err().contains("auto/N"));
        assert!(with("auto/16", &[]).unwrap_err().contains("HQ_TASK_ID"));
        for wrong in ["16/16", "3", "a/4", "3/b", "", "/", "-1/4", "0/0"] {
            assert!(with(wrong, &[]).unwrap_err().contains("--shard"), "{wrong}");
        }
    }
}
