//! A file that a command writes, with the file of its results beside it; or a pipe or device that its bytes go through.
use super::folder::{Made, refuse_resume};
use super::place::located;
use super::{Plan, leave, names};
use crate::common::Common;
use crate::results;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use thalweg_nets::Error;
use thalweg_nets::files::Held;

/// A claimed file. Dropped before [`OutFile::finish`], it leaves everything as it was.
#[derive(Debug)]
pub struct OutFile {
    shown: PathBuf,
    path: PathBuf,
    side: Option<PathBuf>,
    stream: bool,
    finished: bool,
    /// Temporary neighbours, locked.
    _held: Vec<Held>,
    _made: Made,
}

impl OutFile {
    /// Claims `shown` for `plan` under the flags of `common`; with `side` also the file of its results, `NAME.json`.
    ///
    /// # Errors
    /// A target that touches an input, is a folder, exists without `--force`, is being written by another process, or cannot be written to;
    /// a file of results that is someone else's.
    pub fn claim(shown: &Path, side: bool, plan: &Plan, common: &Common) -> Result<Self> {
        refuse_resume(plan, common)?;
        let said = shown.display();
        if shown.is_dir() || shown.file_name().is_none() || ends_as_folder(shown) {
            bail!("{said} is a folder; --out takes a file here");
        }
        let path = located(shown);
        let inputs = plan.inputs.clone().overrides(&common.set);
        inputs.spare(&path, shown)?;
        let at = fs::metadata(shown).ok();
        if let Some(at) = at.as_ref().filter(|at| !at.is_file()) {
            return Self::stream(shown, at);
        }
        // `/dev/shm` is a file system in memory, for everybody's files.
        let system = ["/dev", "/proc", "/sys"].iter().any(|system| path.starts_with(system));
        if system && !path.starts_with("/dev/shm") {
            bail!(
                "{said} lies among the system's own files; --out takes a file elsewhere, a pipe or a character device"
            );
        }
        let side = side.then(|| beside(shown));
        if let Some(side) = &side {
            inputs.spare(&located(side), side)?;
        }
        let look = || {
            if fs::symlink_metadata(&path).is_ok() && !common.force {
                bail!("{said} exists already; choose another path, or pass --force to replace it");
            }
            side.as_deref().map_or(Ok(()), |side| spare_side(side, shown, common.force))
        };
        look()?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made = Made::folder(folder)?;
        let held = [Some(&path), side.as_ref()].into_iter().flatten().map(|path| Held::begin(path));
        let held = held.collect::<Result<Vec<_>, _>>()?;
        // Another process may have finished it before its lock was lifted.
        look()?;
        Ok(Self { shown: shown.into(), path, side, stream: false, finished: false, _held: held, _made: made })
    }

    /// A named pipe or character device: written through at the end, from a temporary file.
    fn stream(shown: &Path, at: &Metadata) -> Result<Self> {
        if !is_stream(at) {
            bail!("{} is neither a file, nor a named pipe, nor a character device", shown.display());
        }
        if is_device(at) {
            // Opening a pipe waits for its reader, a device tells at once.
            File::options().write(true).open(shown).map_err(Error::io("write", shown))?;
        }
        let name = shown.file_name().context("a pipe has a name")?.to_string_lossy();
        let path = std::env::temp_dir().join(format!("thalweg-{}-{name}", std::process::id()));
        let held = vec![Held::begin(&path)?];
        let made = Made::default();
        Ok(Self { shown: shown.into(), path, side: None, stream: true, finished: false, _held: held, _made: made })
    }

    /// Where the command writes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file as the user knows it.
    pub fn shown(&self) -> &Path {
        &self.shown
    }

    /// Whether it is this process's own stdout.
    pub fn is_stdout(&self) -> bool {
        self.stream && same(&self.shown, Path::new("/dev/stdout"))
    }

    /// Where its results go, if anywhere.
    pub fn side(&self) -> Option<&Path> {
        self.side.as_deref()
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// A pipe or device that does not take the bytes.
    pub fn finish(mut self) -> Result<()> {
        if self.stream {
            let through = || -> io::Result<u64> {
                let mut to = File::options().write(true).open(&self.shown)?;
                io::copy(&mut File::open(&self.path)?, &mut to)
            };
            through().map_err(Error::io("write", &self.shown))?;
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if self.stream {
            // Best effort: a temporary file.
            drop(fs::remove_file(&self.path));
        } else if !self.finished && self.path.exists() {
            leave(format!("{} is as it was", self.shown.display()));
        }
    }
}

/// Whether `shown` ends with a separator, as only folders do.
fn ends_as_folder(shown: &Path) -> bool {
    shown.as_os_str().to_string_lossy().ends_with(std::path::is_separator)
}

/// The file of the results of `shown`: `a.json` for `a.safetensors` and `a`, else `NAME.json`, so that two outputs never share one.
fn beside(shown: &Path) -> PathBuf {
    match shown.extension() {
        Some(extension) if extension != "safetensors" => {
            let mut name = shown.file_name().unwrap_or_default().to_owned();
            name.push(".json");
            shown.with_file_name(name)
        }
        _ => shown.with_extension("json"),
    }
}

/// Refuses a file of results that stands already: without `force` any, with it those of another output, and what is not ours.
fn spare_side(side: &Path, shown: &Path, force: bool) -> Result<()> {
    let (said, out) = (side.display(), shown.display());
    match names::kind(side) {
        None => Ok(()),
        Some(names::Kind::File) if results::are_of(side, shown) => match force {
            true => Ok(()),
            false => bail!(
                "{said}, the results of {out}, exists already; choose another path, or pass --force to replace it"
            ),
        },
        _ => bail!(
            "{said}, where the results of {out} go, exists already and is not theirs; move it or choose another path"
        ),
    }
}

#[cfg(unix)]
fn same(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let known = |path: &Path| fs::metadata(path).ok().map(|at| (at.dev(), at.ino()));
    known(a).is_some() && known(a) == known(b)
}

#[cfg(not(unix))]
fn same(_a: &Path, _b: &Path) -> bool {
    false
}

#[cfg(unix)]
fn is_stream(at: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    at.file_type().is_fifo() || is_device(at)
}

#[cfg(unix)]
fn is_device(at: &Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    at.file_type().is_char_device()
}

#[cfg(not(unix))]
fn is_stream(_at: &Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn is_device(_at: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_outputs_share_their_results() {
        let said = |name: &str| beside(Path::new(name)).display().to_string();
        assert_eq!(said("d/a.safetensors"), "d/a.json");
        assert_eq!(said("a"), "a.json");
        assert_eq!(said("a.st"), "a.st.json");
        assert_eq!(said("net.json"), "net.json.json");
    }
}
