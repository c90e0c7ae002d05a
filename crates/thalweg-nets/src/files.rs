//! Files that are whole or not there: written under a temporary name, flushed to the disk, renamed.
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path`, replacing what stands there. After a crash at any moment the path holds the old content or the
/// new, never a part; the temporary neighbour `.NAME.part` that a kill can leave behind is overwritten by the next attempt.
///
/// # Errors
/// Whatever the system refuses, named by path; the temporary file is then removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = part_of(path);
    let written = File::create(&part).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let renamed = match written {
        Ok(()) => fs::rename(&part, path).map_err(Error::io("rename", path)),
        Err(e) => Err(Error::io("write", path)(e)),
    };
    if renamed.is_err() {
        // Best effort: the first error is the one that tells the user something.
        let _ = fs::remove_file(&part);
        return renamed;
    }
    sync_folder(path)
}

/// The name under which `path` is being written.
pub fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}

/// Makes a rename outlive a power cut, where folders can be flushed.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("flush", folder))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_whole_and_no_temporary_file_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(part_of(&path), "left by a kill").unwrap();
        for text in ["one", "two and more"] {
            write_whole(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let message = write_whole(&path.join("under-a-file"), b"x").unwrap_err().to_string();
        assert!(message.contains("under-a-file"), "{message}");
    }
}
