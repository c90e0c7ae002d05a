//! Output targets, checked before the long run: nothing is overwritten unasked, and `--force` only ever empties a folder
//! that this program made.
use crate::common::Common;
use crate::results::command_line;
use anyhow::{Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use thalweg_nets::Error;

/// Names that show that a folder is ours. The first is written on claiming and holds the command line.
const MARKS: [&str; 4] = [".thalweg", "results.json", "zoo.toml", "model.toml"];

/// Makes `path` ready to be written into: created, or empty, or ours to resume or to replace.
///
/// # Errors
/// [`Error::Exists`] for a folder with content and neither flag; a plain file; a foreign folder under `--force`.
pub fn claim(path: &Path, common: &Common) -> Result<PathBuf> {
    if path.is_file() {
        bail!("{} is a file; --out wants a folder here", path.display());
    }
    let filled = path.is_dir() && fs::read_dir(path).map_err(Error::io("read", path))?.next().is_some();
    if filled && common.force {
        if !MARKS.iter().any(|mark| path.join(mark).exists()) {
            bail!("{} was not made by thalweg; --force does not empty it, remove it by hand", path.display());
        }
        fs::remove_dir_all(path).map_err(Error::io("replace", path))?;
    } else if filled && !common.resume {
        return Err(Error::Exists(path.to_path_buf()).into());
    }
    fs::create_dir_all(path).map_err(Error::io("create", path))?;
    let mark = path.join(MARKS[0]);
    fs::write(&mark, command_line() + "\n").map_err(Error::io("write", &mark))?;
    Ok(path.to_path_buf())
}

/// Checks that the file at `path` may be written: absent, or `--force`; creates its parent.
///
/// # Errors
/// [`Error::Exists`], or a parent that cannot be made.
pub fn claim_file(path: &Path, common: &Common) -> Result<PathBuf> {
    if path.is_dir() {
        bail!("{} is a folder; --out wants a file here", path.display());
    }
    if path.exists() && !common.force {
        return Err(Error::Exists(path.to_path_buf()).into());
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    Ok(path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_folder_needs_a_flag_and_a_foreign_one_is_never_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("ours");
        claim(&ours, &Common::default()).unwrap();
        assert!(claim(&ours, &Common::default()).unwrap_err().to_string().contains("--force"));
        claim(&ours, &Common { resume: true, ..Common::default() }).unwrap();
        fs::write(ours.join("old"), "x").unwrap();
        claim(&ours, &Common { force: true, ..Common::default() }).unwrap();
        assert!(!ours.join("old").exists());
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "x").unwrap();
        let error = claim(&foreign, &Common { force: true, ..Common::default() }).unwrap_err();
        assert!(error.to_string().contains("not made by thalweg"));
        assert!(foreign.join("thesis.tex").exists());
    }
}
