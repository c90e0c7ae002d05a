//! [`apart()`]: a folder as a piece, made under a hidden name and renamed when it is whole.
use crate::error::{Error, Result};
use crate::files::{lock, stands_at, sync_folder};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Makes the folder `dir` by `make`, whole or not at all, though other processes, perhaps on other machines, may be making it at the same time. Each
/// works in a hidden neighbour of its own; the first that is done renames it, and what the others made, which is the same, is removed. Nothing is
/// done where `dir` is `whole` already.
///
/// `make` is given the neighbour, and finds in it what an earlier attempt on the same machine, ended early, has left there; or what stands at
/// `dir` and is not whole.
///
/// # Errors
/// Those of `make`, after which the neighbour stays as it is; whatever the system refuses.
pub fn apart<E: From<Error>>(
    dir: &Path,
    whole: impl Fn(&Path) -> bool,
    make: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    if whole(dir) {
        return Ok(());
    }
    let (own, _held) = neighbour(dir, &whole)?;
    if !whole(&own) {
        make(&own)?;
    }
    placed(&own, dir, &whole).map_err(E::from)
}

/// Removes what processes that were ended early have left of folders in `dir` whose names `is_own` takes.
///
/// # Errors
/// Whatever the system refuses.
pub fn remove_neighbours(dir: &Path, is_own: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && neighbour_of(&name).is_some_and(&is_own) {
            fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Digits of what tells one machine's neighbours from another's.
const ID: usize = 8;

/// The name of the folder that is, or was, being made under `name`.
fn neighbour_of(name: &str) -> Option<&str> {
    let (name, id) = name.strip_prefix('.')?.strip_suffix(".part")?.rsplit_once('.')?;
    let (machine, count) = id.split_once('-')?;
    let is_id = machine.len() == ID && machine.bytes().all(|b| b.is_ascii_hexdigit());
    (is_id && count.parse::<usize>().is_ok()).then_some(name)
}

/// The first hidden neighbour of `dir` of this machine's that no other process holds, made and held.
fn neighbour(dir: &Path, whole: &impl Fn(&Path) -> bool) -> Result<(PathBuf, File)> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    // Locks may be known to one machine alone: no other's neighbour is taken over.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine = blake3::hash(host.as_bytes()).to_hex();
    for count in 0.. {
        let own = dir.with_file_name(format!(".{name}.{}-{count}.part", &machine[..ID]));
        if !own.exists() && dir.exists() && !whole(dir) {
            // Best effort: where another process was faster, there is nothing to go on from.
            let _ = fs::rename(dir, &own);
        }
        fs::create_dir_all(&own).map_err(Error::io("create", &own))?;
        // One that is renamed between two of these lines was another process's.
        let Ok(held) = File::open(&own) else { continue };
        if lock(&held, &own).is_ok() && stands_at(&held, &own) {
            return Ok((own, held));
        }
    }
    Err(Error::format(dir, "folder", "a hidden neighbour that no other process holds", "none"))
}

/// Gives `own` the name `dir`, or removes it where a whole folder stands there.
fn placed(own: &Path, dir: &Path, whole: &impl Fn(&Path) -> bool) -> Result<()> {
    match fs::rename(own, dir) {
        Ok(()) => sync_folder(dir),
        Err(_) if whole(dir) => fs::remove_dir_all(own).map_err(Error::io("remove", own)),
        Err(e) => Err(Error::io("rename", dir)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn whole(dir: &Path) -> bool {
        dir.join("last").exists()
    }

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Writes two files, and fails between them where it is to.
    fn write(dir: &Path, fails: bool) -> Result<()> {
        fs::write(dir.join("first"), "1").unwrap();
        if fails {
            return Err(Error::Interrupted);
        }
        fs::write(dir.join("last"), "2").unwrap();
        Ok(())
    }

    #[test]
    fn a_folder_is_whole_or_not_there_and_the_next_attempt_goes_on() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("fit");
        assert!(apart(&dir, whole, |own| write(own, true)).is_err());
        assert!(!dir.exists() && names(home.path()).len() == 1);
        let seen = AtomicUsize::new(0);
        let again = apart(&dir, whole, |own| {
            seen.fetch_add(usize::from(own.join("first").exists()), Ordering::Relaxed);
            write(own, false)
        });
        again.unwrap();
        assert_eq!((seen.into_inner(), names(home.path()), names(&dir).len()), (1, vec!["fit".to_owned()], 2));
        apart(&dir, whole, |_| -> Result<()> { panic!("it is there") }).unwrap();
        // What stands there unfinished, as a process that worked alone leaves it, is gone on from.
        fs::remove_file(dir.join("last")).unwrap();
        fs::write(dir.join("state"), "").unwrap();
        apart(&dir, whole, |own| write(own, false)).unwrap();
        assert_eq!((names(home.path()).len(), names(&dir).len()), (1, 3));
    }

    #[test]
    fn many_at_once_leave_one_folder_and_what_the_killed_leave_is_removed_by_name() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("a.b");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| apart(&dir, whole, |own| write(own, false)).unwrap());
            }
        });
        assert_eq!((names(home.path()), names(&dir).len()), (vec!["a.b".to_owned()], 2));
        for name in [".a.b.0123abcd-0.part", ".other.0123abcd-1.part", ".a.b.part", ".mine"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        remove_neighbours(home.path(), |name| name == "a.b").unwrap();
        assert_eq!(names(home.path()), [".a.b.part", ".mine", ".other.0123abcd-1.part", "a.b"]);
    }
}
