//! Where a path leads: through links, `.` and `..`, and beyond what exists.
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Links followed one after the other, at most: as many as systems follow.
const LINKS: usize = 40;

/// The place that `path` leads to, absolute and without links, also where nothing stands there yet.
pub fn located(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    follow(&absolute, LINKS)
}

fn follow(path: &Path, links: usize) -> PathBuf {
    if let Ok(found) = fs::canonicalize(path) {
        return found;
    }
    let mut components = path.components();
    let last = components.next_back();
    let parent = components.as_path();
    match last {
        Some(Component::Normal(name)) => {
            let at = follow(parent, links).join(name);
            match fs::read_link(&at) {
                // A link to nothing, yet.
                Ok(to) if links > 0 => follow(&at.with_file_name("").join(to), links - 1),
                _ => at,
            }
        }
        Some(Component::ParentDir) => {
            let before = follow(parent, links);
            before.parent().map_or(before.clone(), Path::to_path_buf)
        }
        Some(Component::CurDir) => follow(parent, links),
        _ => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn every_spelling_leads_to_one_place() {
        let dir = tempfile::tempdir().unwrap();
        let at = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(at.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a/b", at.join("link")).unwrap();
        std::os::unix::fs::symlink("a/none", at.join("dangling")).unwrap();
        std::os::unix::fs::symlink("loop", at.join("loop")).unwrap();
        for spelling in ["a/b", "link", "a/../link", "link/../b", "a/./b/", "none/../a/b"] {
            assert_eq!(located(&at.join(spelling)), at.join("a/b"), "{spelling}");
        }
        assert_eq!(located(&at.join("link/new/deeper")), at.join("a/b/new/deeper"));
        assert_eq!(located(&at.join("dangling")), at.join("a/none"));
        assert_eq!(located(&at.join("dangling/x")), at.join("a/none/x"));
        located(&at.join("loop"));
    }
}
