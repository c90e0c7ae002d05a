//! Where data live: `$THALWEG_DATA`, else the user's cache folder; one sub-folder a set.
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The folder of all sets: `$THALWEG_DATA`, else `$XDG_CACHE_HOME/thalweg`, else `~/.cache/thalweg`.
///
/// # Errors
/// Where none of the three variables is set.
pub fn root() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name);
    root_of(set("THALWEG_DATA"), set("XDG_CACHE_HOME"), set("HOME"))
}

/// The folder of what can be made anew: `$XDG_CACHE_HOME/thalweg`, else `~/.cache/thalweg`; none where neither variable is set.
pub fn cache() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name);
    cache_of(set("XDG_CACHE_HOME"), set("HOME"))
}

fn root_of(data: Option<OsString>, cache: Option<OsString>, home: Option<OsString>) -> Result<PathBuf> {
    given(data)
        .or_else(|| cache_of(cache, home))
        .ok_or_else(|| Error::parameter("THALWEG_DATA", "a folder for data (HOME is not set either)", "nothing"))
}

fn cache_of(cache: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let of_home = |home: PathBuf| home.join(".cache").join("thalweg");
    given(cache).map(|cache| cache.join("thalweg")).or_else(|| given(home).map(of_home))
}

fn given(value: Option<OsString>) -> Option<PathBuf> {
    value.filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The error for a set whose files are not in `folder`; `hint` says how else they can be named.
pub(super) fn missing(name: &str, folder: &Path, files: &str, hint: &str) -> Error {
    let found = if folder.is_dir() { "a folder without them" } else { "no such folder" };
    let expected = format!("{files} ({hint})");
    Error::NoData { name: name.into(), folder: folder.to_path_buf(), expected, found: found.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_wins() {
        let some = |text: &str| Some(OsString::from(text));
        assert_eq!(root_of(some("/d"), some("/c"), some("/h")).unwrap(), Path::new("/d"));
        assert_eq!(root_of(some(""), some("/c"), some("/h")).unwrap(), Path::new("/c/thalweg"));
        assert_eq!(root_of(None, None, some("/h")).unwrap(), Path::new("/h/.cache/thalweg"));
        assert!(root_of(None, None, None).unwrap_err().to_string().contains("THALWEG_DATA"));
        assert_eq!(cache_of(some(""), some("/h")).unwrap(), Path::new("/h/.cache/thalweg"));
        assert_eq!(
            (cache_of(some("/c"), None).unwrap().as_path(), cache_of(None, None)),
            (Path::new("/c/thalweg"), None)
        );
    }
}
