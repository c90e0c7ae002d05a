//! Which names are ours, where no marker lists them yet: in the folder of a command that has not finished.
use anyhow::Result;
use std::fs;
use std::path::Path;
use thalweg::model::FILES;
use thalweg_nets::Error;

/// The results of every command that writes into a folder.
pub const JSON: &str = "results.json";
/// The page of a command that draws one.
pub const REPORT: &str = "report.html";

/// Names of files that commands make in folders within their own; any `.safetensors` is one as well.
const INNER: [&str; 12] = {
    let [a, b, c, d, e, f] = FILES;
    [JSON, REPORT, "page.json", "zoo.toml", a, b, c, d, e, f, "accuracies.json", "*.safetensors"]
};

/// Files below `dir` that match `names` (as in [`Plan::names`](super::Plan)), as paths relative to it with `/`, sorted. Links are
/// never ours.
///
/// # Errors
/// A folder that cannot be read.
pub fn ours(dir: &Path, names: &[impl AsRef<str>]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for (name, kind) in entries(dir)? {
        let is = |pattern: &&str| matches(pattern, whole_name(&name));
        let mut patterns = names.iter().map(AsRef::as_ref);
        match kind {
            Kind::File if patterns.any(|p| is(&p)) => found.push(name),
            Kind::Folder if patterns.any(|p| p.strip_suffix('/').is_some_and(|p| matches(p, &name))) => {
                inner(&dir.join(&name), &name, &mut found)?;
            }
            _ => {}
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn inner(dir: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
    for (name, kind) in entries(dir)? {
        let path = format!("{prefix}/{name}");
        match kind {
            Kind::File if INNER.iter().any(|p| matches(p, whole_name(&name))) => found.push(path),
            Kind::Folder => inner(&dir.join(&name), &path, found)?,
            _ => {}
        }
    }
    Ok(())
}

/// Every file below `dir`, but `but` at its top, as paths relative to it with `/`, sorted.
///
/// # Errors
/// A folder that cannot be read.
pub fn all(dir: &Path, but: &str) -> Result<Vec<String>> {
    fn walk(dir: &Path, prefix: &str, found: &mut Vec<String>) -> Result<()> {
        for (name, kind) in entries(dir)? {
            match kind {
                Kind::Folder => walk(&dir.join(&name), &format!("{prefix}{name}/"), found)?,
                Kind::File | Kind::Other => found.push(format!("{prefix}{name}")),
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk(dir, "", &mut found)?;
    found.retain(|name| name != but);
    found.sort_unstable();
    Ok(found)
}

/// What stands under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A link, pipe, device, ….
    Other,
}

/// What stands at `path` itself, links not followed; none where nothing does.
pub fn kind(path: &Path) -> Option<Kind> {
    let at = fs::symlink_metadata(path).ok()?;
    Some(match () {
        () if at.is_file() => Kind::File,
        () if at.is_dir() => Kind::Folder,
        () => Kind::Other,
    })
}

/// Names in `dir` with what they are, sorted; a name that is not UTF-8 is never ours and shown as well as can be.
///
/// # Errors
/// A folder that cannot be read.
pub fn entries(dir: &Path) -> Result<Vec<(String, Kind)>> {
    let read = fs::read_dir(dir).and_then(|all| all.collect::<std::io::Result<Vec<_>>>());
    let mut all: Vec<_> = read
        .map_err(Error::io("read", dir))?
        .iter()
        .filter_map(|entry| Some((entry.file_name().to_string_lossy().into_owned(), kind(&entry.path())?)))
        .collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// Whether `name` is that of a file which was still being written.
pub fn is_part(name: &str) -> bool {
    name.rsplit('/').next().is_some_and(|name| whole_name(name) != name)
}

/// `name`, or the name of the file that was being written under it.
fn whole_name(name: &str) -> &str {
    name.strip_prefix('.').and_then(|name| name.strip_suffix(".part")).unwrap_or(name)
}

/// Whether `name` is `pattern`, in which one `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((a, b)) => name.len() >= a.len() + b.len() && name.starts_with(a) && name.ends_with(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_ours_are_taken_at_every_depth() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "model.toml",
            "notes.txt",
            "samples-cfm.safetensors",
            ".model.safetensors.part",
            "zoo/zoo.toml",
            "zoo/mine.csv",
            "zoo/deep/shard-00000.safetensors",
            "other/model.toml",
        ] {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names = ["model.toml", "model.safetensors", "samples-*.safetensors", "zoo/"];
        let expected = [
            ".model.safetensors.part",
            "model.toml",
            "samples-cfm.safetensors",
            "zoo/deep/shard-00000.safetensors",
            "zoo/zoo.toml",
        ];
        assert_eq!(ours(dir.path(), &names).unwrap(), expected);
        assert_eq!(all(dir.path(), "notes.txt").unwrap().len(), 7);
        assert!(is_part("zoo/.zoo.toml.part") && !is_part("zoo/zoo.toml") && !is_part(".part"));
        assert!(!matches("a*a", "a"), "the parts of a pattern do not overlap");
    }
}
