//! Files that are whole or not there: written under a temporary name, flushed to the disk, renamed.
use crate::error::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` to `path`, replacing what stands there. After a crash at any moment the path holds the old content or the
/// new, never a part; the temporary neighbour `.NAME.part` that a kill can leave behind is overwritten by the next attempt.
///
/// # Errors
/// Whatever the system refuses, named by path; the temporary file is then removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(path, &part_of(path), bytes)
}

/// As [`write_whole`], for a file that other processes, perhaps on other machines, may be writing at the same time: the temporary neighbour
/// `.NAME.ID.part` is this process's own, so that the last of them wins and no reader ever sees a part. What a kill leaves behind stays: whoever
/// ends the common work removes it ([`remove_parts`]).
///
/// # Errors
/// As [`write_whole`].
pub fn write_among_others(path: &Path, bytes: &[u8]) -> Result<()> {
    write_by(path, &own_part_of(path), bytes)
}

/// Writes `bytes` to `path` where nothing stands there yet, and says whether it did: of many processes at once, one does.
///
/// # Errors
/// As [`write_whole`].
pub fn write_first(path: &Path, bytes: &[u8]) -> Result<bool> {
    let part = own_part_of(path);
    let written = File::create(&part).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    // A hard link, unlike a rename, does not replace what is there. File systems without them take the rename.
    let placed = written.map_err(Error::io("write", path)).and_then(|()| match fs::hard_link(&part, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) => fs::rename(&part, path).map(|()| true).map_err(Error::io("rename", path)),
    });
    // Best effort: after a rename it is gone already.
    let _ = fs::remove_file(&part);
    placed.and_then(|first| sync_folder(path).map(|()| first))
}

/// Removes what killed processes left of writing files in `dir` whose names `is_own` takes, whoever they were.
///
/// # Errors
/// Whatever the system refuses.
pub fn remove_parts(dir: &Path, is_own: impl Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("read", dir))? {
        let path = entry.map_err(Error::io("read", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if written_under(&name).is_some_and(&is_own) {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// The name of the file that is, or was, being written under `name`.
pub fn written_under(name: &str) -> Option<&str> {
    let inner = name.strip_prefix('.')?.strip_suffix(".part")?;
    let own = inner.rsplit_once('.').filter(|(_, id)| id.len() == ID && id.bytes().all(|b| b.is_ascii_hexdigit()));
    Some(own.map_or(inner, |(name, _)| name))
}

/// Digits of what tells one process's temporary files from another's.
const ID: usize = 16;

/// The name under which this process alone writes `path`.
pub(crate) fn own_part_of(path: &Path) -> PathBuf {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let who = format!("{host} {} {now} {}", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", &blake3::hash(who.as_bytes()).to_hex()[..ID]))
}

fn write_by(path: &Path, part: &Path, bytes: &[u8]) -> Result<()> {
    let written = File::create(part).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let renamed = match written {
        Ok(()) => fs::rename(part, path).map_err(Error::io("rename", path)),
        Err(e) => Err(Error::io("write", path)(e)),
    };
    if renamed.is_err() {
        // Best effort: the first error is the one that tells the user something.
        let _ = fs::remove_file(part);
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

/// A file that will be written, held against other processes from now on: its temporary neighbour stands and is locked, which also
/// proves that the folder can be written to. The system lifts the lock when the process ends, however it ends.
///
/// [`write_whole`] may write the file meanwhile; what is left of the temporary neighbour goes away with this.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    file: Option<File>,
}

/// Tries to take a lock on a file that its last holder is just removing or renaming.
const TRIES: usize = 100;

impl Held {
    /// Takes hold of `path`; nothing there is touched yet.
    ///
    /// # Errors
    /// A folder that cannot be written to; another process that holds the same file.
    pub fn begin(path: &Path) -> Result<Self> {
        let part = part_of(path);
        for _ in 0..TRIES {
            let opened = File::options().read(true).write(true).create(true).truncate(false).open(&part);
            let file = opened.map_err(Error::io("write", path))?;
            lock(&file, path)?;
            // The last holder may have renamed it or removed it between the two lines above.
            if stands_at(&file, &part) {
                return Ok(Self { path: path.to_path_buf(), file: Some(file) });
            }
        }
        Err(Error::format(path, "file", FREE, TAKEN))
    }

    /// Writes `bytes` as [`write_whole`] does; the lock then is on the file itself, from before it appears, for as long as the returned
    /// handle lives.
    ///
    /// # Errors
    /// Whatever the system refuses.
    pub fn write(mut self, bytes: &[u8]) -> Result<File> {
        let Some(mut file) = self.file.take() else { return Err(Error::format(&self.path, "file", FREE, TAKEN)) };
        let part = part_of(&self.path);
        let written = file.set_len(0).and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all());
        let moved = written
            .map_err(Error::io("write", &self.path))
            .and_then(|()| fs::rename(&part, &self.path).map_err(Error::io("rename", &self.path)));
        if moved.is_err() {
            // Best effort: the first error is the one that tells the user something.
            let _ = fs::remove_file(&part);
        }
        moved.and_then(|()| sync_folder(&self.path)).map(|()| file)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let part = part_of(&self.path);
        if self.file.as_ref().is_some_and(|file| stands_at(file, &part)) {
            // Best effort: an empty temporary file does no harm.
            let _ = fs::remove_file(part);
        }
    }
}

const FREE: &str = "one that no other process writes to";
const TAKEN: &str = "another process at work on it";

/// Locks `file`, which stands for `what`, until the handle is closed.
///
/// # Errors
/// Where another process holds it. File systems without locks are taken at the user's word.
pub fn lock(file: &File, what: &Path) -> Result<()> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(Error::format(what, "output", FREE, TAKEN)),
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

/// Locks `file`, which stands for `what`, together with others that lock it so: [`lock`] is refused to everyone meanwhile.
///
/// # Errors
/// Where a process holds it for itself. File systems without locks are taken at the user's word.
pub fn lock_among_others(file: &File, what: &Path) -> Result<()> {
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(Error::format(what, "output", FREE, TAKEN)),
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

/// Whether `path` still leads to the opened `file`.
#[cfg(unix)]
pub fn stands_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let known = |found: std::io::Result<fs::Metadata>| found.ok().map(|at| (at.dev(), at.ino()));
    known(file.metadata()).is_some_and(|ours| known(fs::metadata(path)) == Some(ours))
}

/// Whether `path` still leads to the opened `file`; elsewhere than on Unix an open file cannot be removed.
#[cfg(not(unix))]
pub fn stands_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// What a folder holds, in a few words, for errors of whoever looked for something else there.
pub fn content_of(dir: &Path) -> String {
    let has = |name: &str| dir.join(name).exists();
    let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    match () {
        () if has("model.toml") => "a model (it has a model.toml)".into(),
        () if has("zoo.toml") => "a zoo (it has a zoo.toml)".into(),
        () if names.is_empty() => "an empty folder".into(),
        () if names.iter().any(|name| name.ends_with(".safetensors")) => "a folder of .safetensors files".into(),
        () => format!(
            "a folder with {}{}",
            names[..names.len().min(3)].join(", "),
            if names.len() > 3 { ", …" } else { "" }
        ),
    }
}

/// `path` from the root on, so that it leads to the same place from anywhere: links are kept, unless `..` would have to be resolved through them.
pub fn rooted(path: &Path) -> PathBuf {
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    let resolved = if climbs { fs::canonicalize(path).ok() } else { None };
    resolved.or_else(|| std::path::absolute(path).ok()).unwrap_or_else(|| path.to_path_buf())
}

/// The name under which `path` is being written.
pub fn part_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}

/// Makes a rename outlive a power cut, where folders can be flushed.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
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
    fn many_writers_of_one_file_leave_it_whole_and_the_first_of_them_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (path, once) = (dir.path().join("a.bin"), dir.path().join("once.bin"));
        let firsts: usize = std::thread::scope(|scope| {
            let writers = (0..8u8).map(|i| {
                let (path, once) = (&path, &once);
                scope.spawn(move || {
                    for _ in 0..20 {
                        write_among_others(path, &vec![i; 40_000]).unwrap();
                        let read = fs::read(path).unwrap();
                        assert!(read.len() == 40_000 && read.iter().all(|b| *b == read[0]));
                    }
                    usize::from(write_first(once, &[i; 100]).unwrap())
                })
            });
            writers.collect::<Vec<_>>().into_iter().map(|writer| writer.join().unwrap()).sum()
        });
        assert_eq!(firsts, 1);
        let read = fs::read(&once).unwrap();
        assert!(read.len() == 100 && read.iter().all(|b| *b == read[0]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        let left = own_part_of(&path);
        fs::write(&left, "").unwrap();
        fs::write(dir.path().join(".b.part"), "").unwrap();
        assert_eq!(written_under(&left.file_name().unwrap().to_string_lossy()), Some("a.bin"));
        assert_eq!(written_under(".zoo.toml.part"), Some("zoo.toml"));
        assert_eq!((written_under("a.part"), written_under(".a")), (None, None));
        remove_parts(dir.path(), |name| name == "a.bin").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn whoever_shares_a_lock_keeps_out_who_wants_it_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (open, what) = (|| File::open(dir.path()).unwrap(), dir.path());
        let (one, two) = (open(), open());
        lock_among_others(&one, what).unwrap();
        lock_among_others(&two, what).unwrap();
        assert!(lock(&open(), what).unwrap_err().to_string().contains("another process"));
        drop((one, two));
        let alone = open();
        lock(&alone, what).unwrap();
        assert!(lock_among_others(&open(), what).is_err());
    }

    #[test]
    fn a_file_that_is_held_is_refused_to_others_until_it_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        let held = Held::begin(&path).unwrap();
        let said = Held::begin(&path).unwrap_err().to_string();
        assert!(said.contains("a.txt") && said.contains("another process"), "{said}");
        drop(held);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left of a file that was not written");
        let held = Held::begin(&path).unwrap();
        write_whole(&path, b"by the way").unwrap();
        drop(held);
        assert_eq!(fs::read_to_string(&path).unwrap(), "by the way");
        let locked = Held::begin(&path).unwrap().write(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        lock(&File::open(&path).unwrap(), &path).unwrap_err();
        drop(locked);
        lock(&File::open(&path).unwrap(), &path).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let said = Held::begin(&dir.path().join("none/a.txt")).unwrap_err().to_string();
        assert!(said.contains("none/a.txt"), "{said}");
    }

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
