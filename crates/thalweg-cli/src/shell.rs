//! Command lines in messages, as they can be copied into a shell.
use std::path::Path;

/// A path as a shell takes it; one that begins with a hyphen is not taken for a flag.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    match text.starts_with('-') {
        true => format!("'./{}'", text.replace('\'', "'\\''")),
        false => word(&text),
    }
}

/// A word as a shell takes it.
pub fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Words as a shell takes them.
pub fn line<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|text| word(text.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_where_a_shell_would_split_them() {
        for (path, as_typed) in [
            ("a/zoo-1", "a/zoo-1"),
            ("my zoo", "'my zoo'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("-zoo", "'./-zoo'"),
        ] {
            assert_eq!(quoted(Path::new(path)), as_typed);
        }
        assert_eq!(line(&["--runs", "a b", ""]), "--runs 'a b' ''");
    }
}
