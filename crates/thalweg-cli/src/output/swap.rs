//! Whole new files put in the place of old ones, so that a kill at any moment leaves the old ones or comes to the new ones.
//!
//! The new files lie in the sub-folder [`NEW`] with a marker of their own. Once that says that they are whole, [`finish`] moves them, removes
//! old files that have no successor, and ends with the marker. It may be stopped anywhere and called again.
use super::marker::{Marker, NAME, State};
use super::names;
use anyhow::{Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use thalweg_nets::Error;

/// Where the files of a command lie until they are whole, within the folder that they are for.
pub const NEW: &str = ".thalweg.new";

/// Moves the whole files of `dir/NEW` into `dir`; does nothing where there are none.
///
/// # Errors
/// A file of the user's in the way; whatever the system refuses.
pub fn finish(dir: &Path) -> Result<()> {
    let new = dir.join(NEW);
    let Some(marker) = Marker::read(&new)?.filter(|marker| marker.state == State::Whole) else { return Ok(()) };
    for name in &marker.made {
        let (from, to) = (new.join(name), dir.join(name));
        if !from.exists() {
            continue; // Moved before a kill.
        }
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        fs::rename(&from, &to).map_err(Error::io("rename", &to))?;
    }
    let gone: Vec<&String> = marker.replaces.iter().filter(|name| !marker.made.contains(name)).collect();
    remove(dir, &gone)?;
    Marker { state: State::Finished, replaces: Vec::new(), ..marker }.write(dir)?;
    discard(dir)
}

/// Refuses where moving `made` into `dir` would replace what is not among `replaces`.
///
/// # Errors
/// Naming the first file in the way.
pub fn spare(dir: &Path, made: &[String], replaces: &[String]) -> Result<()> {
    for name in made.iter().filter(|name| !replaces.contains(name)) {
        if names::kind(&dir.join(name)).is_some() {
            bail!(
                "{} was not made by thalweg and is in the way; move it or choose another path",
                dir.join(name).display()
            );
        }
    }
    Ok(())
}

/// Removes the files `names` of `dir`, and folders that this leaves empty. What is no regular file any more is left alone.
///
/// # Errors
/// Whatever the system refuses.
pub fn remove(dir: &Path, names: &[impl AsRef<str>]) -> Result<()> {
    for name in names {
        let path = dir.join(name.as_ref());
        let folders = || path.ancestors().skip(1).take_while(|folder| *folder != dir && folder.starts_with(dir));
        if folders().any(|folder| names::kind(folder) != Some(names::Kind::Folder)) {
            continue; // A link, by now: what it leads to is not ours.
        }
        if names::kind(&path) == Some(names::Kind::File) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
        for folder in folders() {
            // Fails where something is left in it, as it should.
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// Removes `dir/NEW` with all that is in it: nobody else writes there.
///
/// # Errors
/// One that is not ours; whatever the system refuses.
pub fn discard(dir: &Path) -> Result<()> {
    let new = dir.join(NEW);
    if names::kind(&new).is_none() {
        return Ok(());
    }
    // A kill before its marker stood leaves the marker's own temporary file at most.
    if Marker::read(&new)?.is_none() && !names::all(&new, NAME)?.iter().all(|name| names::is_part(name)) {
        bail!("{} was not made by thalweg and is in the way; move it or choose another path", new.display());
    }
    remove_but_marker(&new)?;
    gone(fs::remove_dir_all(&new), &new)
}

/// Removes all that is in `new` but its marker: without that a kill in between would leave files that nobody owns.
fn remove_but_marker(new: &Path) -> Result<()> {
    for entry in fs::read_dir(new).map_err(Error::io("read", new))? {
        let entry = entry.map_err(Error::io("read", new))?;
        let path = entry.path();
        if entry.file_name() != NAME {
            let folder = names::kind(&path) == Some(names::Kind::Folder);
            gone(if folder { fs::remove_dir_all(&path) } else { fs::remove_file(&path) }, &path)?;
        }
    }
    Ok(())
}

/// What is not there any more needs no removing.
fn gone(removed: std::io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", path)(e).into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Plan;

    fn put(dir: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            let path = dir.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn the_marker_is_the_last_to_go() {
        let dir = tempfile::tempdir().unwrap();
        ready(dir.path());
        let new = dir.path().join(NEW);
        remove_but_marker(&new).unwrap();
        assert_eq!(names::all(&new, "").unwrap(), [NAME]);
        // A kill there leaves what the next command knows for ours.
        assert!(Marker::read(&new).unwrap().is_some());
        discard(dir.path()).unwrap();
        assert!(!new.exists());
    }

    /// A folder with old files, whole new ones, and a file of the user's; returns what finishing takes to.
    fn ready(dir: &Path) {
        let plan = Plan { command: "fit", ..Plan::default() };
        put(dir, &[("a", "old"), ("sub/b", "old"), ("sub/mine", "mine")]);
        put(&dir.join(NEW), &[("a", "new"), ("c/d", "new")]);
        let (made, replaces) = (vec!["a".into(), "c/d".into()], vec!["a".into(), "sub/b".into()]);
        let marker = Marker { made, state: State::Whole, ..Marker::new(&plan, replaces) };
        marker.write(&dir.join(NEW)).unwrap();
    }

    #[test]
    fn a_swap_ends_the_same_from_wherever_it_was_stopped() {
        let stops: [fn(&Path); 4] = [
            |_| (),
            |dir| fs::rename(dir.join(NEW).join("a"), dir.join("a")).unwrap(),
            |dir| {
                fs::rename(dir.join(NEW).join("a"), dir.join("a")).unwrap();
                put(dir, &[("c/.d.part", "")]);
                fs::remove_file(dir.join("c/.d.part")).unwrap();
                fs::rename(dir.join(NEW).join("c/d"), dir.join("c/d")).unwrap();
                fs::remove_file(dir.join("sub/b")).unwrap();
            },
            |dir| finish(dir).unwrap(),
        ];
        for stop in stops {
            let dir = tempfile::tempdir().unwrap();
            ready(dir.path());
            stop(dir.path());
            finish(dir.path()).unwrap();
            assert_eq!(names::all(dir.path(), NAME).unwrap(), ["a", "c/d", "sub/mine"]);
            assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "new");
            let marker = Marker::read(dir.path()).unwrap().unwrap();
            assert_eq!((marker.state, marker.made), (State::Finished, vec!["a".to_owned(), "c/d".into()]));
        }
    }

    #[test]
    fn what_is_not_whole_is_not_moved_and_what_is_not_ours_is_not_discarded() {
        let dir = tempfile::tempdir().unwrap();
        ready(dir.path());
        let marker = Marker::read(&dir.path().join(NEW)).unwrap().unwrap();
        Marker { state: State::Begun, ..marker }.write(&dir.path().join(NEW)).unwrap();
        finish(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "old");
        discard(dir.path()).unwrap();
        assert_eq!(names::all(dir.path(), NAME).unwrap(), ["a", "sub/b", "sub/mine"]);
        put(&dir.path().join(NEW), &[("..thalweg.part", "# thal")]);
        discard(dir.path()).unwrap();
        put(&dir.path().join(NEW), &[("x", "mine")]);
        assert!(discard(dir.path()).unwrap_err().to_string().contains("not made by thalweg"));
        assert!(dir.path().join(NEW).join("x").exists());
        assert!(spare(dir.path(), &["a".into()], &["a".into()]).is_ok());
        let said = spare(dir.path(), &["a".into(), "sub".into()], &["a".into()]).unwrap_err().to_string();
        assert!(said.contains("sub was not made"), "{said}");
    }
}
