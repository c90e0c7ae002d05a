//! How long a run is, and how many rows a mini-batch has, where the user says neither: enough steps to train on whatever rows there are.
//!
//! A recipe's own default is a few passes over the data. Of a large set these are thousands of steps; of a small table they are a dozen, after
//! which networks are at chance.
use thalweg_nets::train::Recipe;

/// Which of the two the user has said, by a flag or by `--set`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The length of a run.
    pub length: bool,
    /// The rows of a mini-batch.
    pub batch: bool,
}

impl Said {
    /// By flags, and by `--set recipe.…` among `overrides`.
    pub fn of(length: bool, batch: bool, overrides: &[String]) -> Self {
        let set = |field: &str| {
            let key = |text: &String| text.split(['=', '.']).map(str::trim).take(2).eq(["recipe", field]);
            overrides.iter().any(key)
        };
        Self { length: length || set("length"), batch: batch || set("batch") }
    }
}

/// Gives `recipe`, made of defaults, what suits `rows` training rows wherever the user has not `said` it. Returns a sentence on what was chosen
/// and how to change it; none where nothing was left to choose.
pub fn suit(recipe: &mut Recipe, rows: usize, said: Said) -> Option<String> {
    // A batch that does not fit is refused later, with its reason.
    let steps = recipe.suit(rows, !said.length, !said.batch).ok()?;
    let flags = match (said.length, said.batch) {
        (true, true) => return None,
        (true, false) => "--batch changes that",
        (false, true) => "--epochs or --steps change that",
        (false, false) => "--epochs or --steps and --batch change that",
    };
    let epochs = steps as f64 / rows.div_ceil(recipe.batch) as f64;
    Some(format!(
        "Each run: {steps} steps of {} rows ({epochs:.0} passes over {rows} training rows); {flags}",
        recipe.batch
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suited(rows: usize, said: Said) -> (u64, usize, Option<String>) {
        let mut recipe = Recipe::default();
        let told = suit(&mut recipe, rows, said);
        (recipe.steps(rows).unwrap_or(0), recipe.batch, told)
    }

    #[test]
    fn small_tables_get_enough_steps_and_large_sets_keep_their_epochs() {
        assert_eq!(suited(55_000, Said::default()).0, 4 * 860);
        let (steps, batch, told) = suited(36, Said::default());
        assert_eq!((steps, batch), (1_000, 36));
        let told = told.expect("two choices");
        assert!(told.contains("1000 steps of 36 rows (1000 passes over 36") && told.contains("--batch"), "{told}");
        assert_eq!(suited(182, Said::default()).0, 1_000);
        assert_eq!(suited(1, Said::default()).1, 1);
    }

    #[test]
    fn what_was_said_stays() {
        let said = Said { length: true, batch: false };
        assert_eq!(suited(182, said).0, 4 * 3);
        assert_eq!(suited(36, Said { batch: true, ..said }), (0, 64, None));
        let set = |text: &str| Said::of(false, false, &[text.to_owned()]);
        assert_eq!(set("recipe.length.epochs=3"), Said { length: true, batch: false });
        assert_eq!(set("recipe.batch = 3"), Said { length: false, batch: true });
        assert_eq!(set("recipe.learning-rate=3"), Said::default());
        assert_eq!(Said::of(true, true, &[]), Said { length: true, batch: true });
    }
}
