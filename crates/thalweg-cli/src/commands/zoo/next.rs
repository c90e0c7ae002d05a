//! What can be done next with a zoo: the `fit` that works for it, with the flags that it needs, or why none can.
use std::path::Path;
use thalweg_nets::zoo::ZooStore;

/// What to say once a zoo is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A command that works as it stands, and why it has the flags that it has.
    Fit { command: String, because: Option<String> },
    /// No fit can work.
    Nothing { because: String },
}

impl Next {
    /// For the zoo in `dir`.
    pub fn of(zoo: &ZooStore, dir: &Path) -> Self {
        let alive = zoo.alive().len();
        if alive == 0 {
            return Self::Nothing { because: all_dead(zoo) };
        }
        if alive == 1 {
            let dead = if zoo.runs() > 1 { " that is alive" } else { "" };
            let because =
                format!("a law of networks cannot be learned from one run{dead}: it takes several, better some dozens");
            return Self::Nothing { because };
        }
        let (mut flags, mut because) = (String::new(), Vec::new());
        if zoo.initial_law().is_err() {
            flags += " --set method.cfm.source=gaussian --set method.cfm.coupling=independent";
            because.push("the law that its runs started from is not known, so the flow starts from a Gaussian");
        } else if zoo.checkpoints() == 1 {
            flags += " --set method.cfm.coupling=independent";
            because.push("only final networks are kept, so none is paired with its own start");
        }
        if alive == 2 {
            flags += " --set split.test=0";
            because.push("of two runs one is learned from and one chosen on");
        }
        let because = (!because.is_empty()).then(|| because.join("; "));
        Self::Fit { command: format!("thalweg fit {}{flags}", quoted(dir)), because }
    }

    /// The closing lines for the zoo in `dir`.
    pub fn told(&self, dir: &Path) -> String {
        match self {
            Self::Fit { command, because: None } => format!("Made {}. Next: {command}", dir.display()),
            Self::Fit { command, because: Some(because) } => {
                format!("Made {} ({because}). Next: {command}", dir.display())
            }
            Self::Nothing { because } => format!("Made {}, but nothing can be fitted to it: {because}.", dir.display()),
        }
    }
}

/// Why there is no run to learn from.
fn all_dead(zoo: &ZooStore) -> String {
    let first = zoo.died().iter().flatten().min();
    let when = first.map_or(String::new(), |step| format!(", the first at step {step}"));
    format!(
        "all of its {} runs are dead: their losses left the finite numbers{when}. A smaller learning rate keeps runs alive",
        zoo.runs()
    )
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        true => text,
        false if text.starts_with('-') => format!("'./{}'", text.replace('\'', "'\\''")),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
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
    }
}
