//! What can be done next with a zoo: the `fit` that works for it, with the flags that it needs, or why none can.
use crate::shell::quoted;
use crate::work::outlook::{Prospect, UNCONNECTED};
use anyhow::Result;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use thalweg::fit::{Character, Suited, suited};
use thalweg_nets::zoo::{Origin, ZooStore};

/// What to say once a zoo is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A command that works as it stands, and why it has the flags that it has.
    Run { command: String, because: Option<String> },
    /// No fit can work.
    Nothing { because: String },
}

impl Next {
    /// For the zoo in `dir`, of which so much is known.
    ///
    /// # Errors
    /// A zoo that cannot be read.
    pub fn of(zoo: &ZooStore, dir: &Path, prospect: Option<Prospect>) -> Result<Self> {
        let finished = zoo.finished_runs().len();
        if finished == 0 {
            return Ok(Self::Nothing { because: all_dead(zoo) });
        }
        if finished == 1 {
            let failed = if zoo.runs() > 1 { " that did not fail" } else { "" };
            let because = format!(
                "a law of networks cannot be learned from one run{failed}: it takes several, better some dozens"
            );
            return Ok(Self::Nothing { because });
        }
        if let Some(Prospect::Unconnected { accuracy, middle, .. }) = prospect {
            let why = format!(
                "networks halfway between two runs have accuracy {middle:.2} where the runs have {accuracy:.2}"
            );
            return Ok(match zoo.origin() {
                Origin::Derived(_) => Self::Run {
                    command: format!("thalweg fit {} {UNCONNECTED}", quoted(dir)),
                    because: Some(format!("{why}, so a latent space is learned on what they answer")),
                },
                _ => Self::Run {
                    command: format!("thalweg zoo align {} --out {}", quoted(dir), quoted(&beside(dir))),
                    because: Some(format!("{why}, so they are aligned before a fit")),
                },
            });
        }
        // What a fit without flags chooses for it.
        let Suited { because, .. } = suited(zoo, &Character::of(zoo)?, None)?;
        let because = (!because.is_empty()).then(|| because.join("; "));
        Ok(Self::Run { command: format!("thalweg fit {}", quoted(dir)), because })
    }

    /// The closing lines for the zoo in `dir`.
    pub fn told(&self, dir: &Path) -> String {
        match self {
            Self::Run { command, because: None } => format!("Made {}. Next: {command}", dir.display()),
            Self::Run { command, because: Some(because) } => {
                format!("Made {} ({because}). Next: {command}", dir.display())
            }
            Self::Nothing { because } => format!("Made {}, but nothing can be fitted to it: {because}.", dir.display()),
        }
    }
}

/// Why there is no run to learn from.
fn all_dead(zoo: &ZooStore) -> String {
    let first = zoo.diverged_at().iter().flatten().min();
    let when = first.map_or(String::new(), |step| format!(", the first at step {step}"));
    format!(
        "all of its {} runs failed: their losses left the finite numbers{when}. A smaller learning rate keeps them finite",
        zoo.runs()
    )
}

/// Where the aligned zoo of `dir` goes: beside it.
fn beside(dir: &Path) -> PathBuf {
    let dir = std::path::absolute(dir).ok().filter(|_| dir.file_name().is_none()).unwrap_or_else(|| dir.to_path_buf());
    let name = dir.file_name().map(OsStr::to_os_string).unwrap_or_else(|| "zoo".into());
    dir.with_file_name([name, "-aligned".into()].into_iter().collect::<OsString>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_zoos_go_beside_their_own() {
        for (zoo, aligned) in [("zoo/", "zoo-aligned"), ("a/b", "a/b-aligned"), ("/a.b", "/a.b-aligned")] {
            assert_eq!(beside(Path::new(zoo)), Path::new(aligned));
        }
        assert!(beside(Path::new("..")).is_absolute());
    }
}
