//! Files that are whole or not there: written under a temporary name, flushed to the disk, renamed.
use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io::{Read, Write};
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

/// Opens a file to read it. Named pipes, sockets, devices and folders are refused before they are opened: a pipe without a writer would
/// block for ever, a device may never end.
///
/// # Errors
/// No such file, no regular file, whatever the system refuses.
pub fn open_regular(path: &Path) -> Result<File> {
    let kind = fs::metadata(path).map_err(Error::io("read", path))?.file_type();
    if !kind.is_file() {
        return Err(Error::format(path, "file", "a regular file (save what it gives to one first)", kind_name(kind)));
    }
    File::open(path).map_err(Error::io("read", path))
}

/// The whole of a regular file, at most `limit` bytes of it: what its length says is not believed, since files of the system say 0.
///
/// # Errors
/// As [`open_regular`]; more than `limit` bytes.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open_regular(path)?;
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let too_long = |found: String| Err(Error::format(path, "size", format!("at most {limit} bytes"), found));
    if length > limit {
        return too_long(length.to_string());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(Error::io("read", path))?;
    match bytes.len() as u64 > limit {
        true => too_long("more".into()),
        false => Ok(bytes),
    }
}

/// What a path leads to where it is no regular file.
fn kind_name(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
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

    #[test]
    fn only_regular_files_are_read_and_never_more_of_them_than_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read_regular(&path, 5).unwrap(), b"12345");
        let said = |path: &Path, limit: u64| read_regular(path, limit).unwrap_err().to_string();
        assert!(said(&path, 4).contains("at most 4 bytes, found 5"));
        assert!(said(dir.path(), 9).contains("a folder"));
        if cfg!(target_os = "linux") {
            assert!(said(Path::new("/dev/zero"), 9).contains("a device"));
            // Its length is 0 on paper.
            assert!(said(Path::new("/proc/cpuinfo"), 9).contains("at most 9 bytes, found more"));
        }
    }
}
