//! An experiment of `reproduce all` with what it found.
use crate::experiments::experiment::Scale;
use crate::report::Report;
use crate::results::Row;
use std::path::Path;

/// An experiment with what it found.
pub struct Found {
    /// Its NAME.
    pub name: &'static str,
    /// The scale it was run at.
    pub scale: Scale,
    /// Its seed.
    pub seed: u64,
    /// Seeds on which its settings were chosen; empty where that is not known.
    pub chosen_on: Vec<u64>,
    /// Seconds that it took.
    pub seconds: f64,
    /// What is not as its own file has it, as `--set` says it.
    pub set: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// Its own page.
    pub report: Report,
}

impl Found {
    /// Its seed, with what it was to those who chose the settings.
    pub fn seed_in_words(&self) -> String {
        let chosen: Vec<String> = self.chosen_on.iter().map(u64::to_string).collect();
        match self.chosen_on.contains(&self.seed) {
            true => format!("seed {}, on which settings were chosen", self.seed),
            false if chosen.is_empty() => format!("seed {}", self.seed),
            false => format!("seed {} (settings chosen on {})", self.seed, chosen.join(", ")),
        }
    }

    /// The command that makes it by itself.
    pub fn command(&self) -> String {
        let set = self.set.iter().map(|set| format!(" --set {}", crate::shell::quoted(Path::new(set))));
        format!(
            "thalweg reproduce {} --scale {} --seed {}{}",
            self.name,
            self.scale,
            self.seed,
            set.collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_that_settings_were_chosen_on_is_told_as_one() {
        let of = |seed, chosen_on: &[u64]| {
            let (rows, report) = (Vec::new(), Report::new("a", "b"));
            let (chosen_on, scale) = (chosen_on.to_vec(), Scale::Laptop);
            Found { name: "x", scale, seed, chosen_on, seconds: 1.0, set: Vec::new(), rows, report }.seed_in_words()
        };
        assert_eq!(of(1, &[1]), "seed 1, on which settings were chosen");
        assert_eq!((of(2, &[1]), of(2, &[])), ("seed 2 (settings chosen on 1)".into(), "seed 2".into()));
    }
}
