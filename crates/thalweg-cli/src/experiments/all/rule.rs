//! The rule by which a claim is judged. It sees numbers only: nothing here knows what is claimed.
//!
//! A claim is a list of comparisons. One that claims *better* is won where the difference is more than two standard errors of itself on the right
//! side; one that claims *as good* is won where it is not more than two standard errors on the wrong side. A claim holds where all of its comparisons
//! are won, in part where some are, and does not hold where none is. Where no error is known the sign of the difference decides.
use crate::table::Cell;

/// The rule in words, for the page.
pub const WORDS: &str = "A claim is a list of comparisons. A comparison that claims “better” is won where the difference is on the right side by more \
    than two of its standard errors; one that claims “as good” where it is not on the wrong side by more than that. A claim holds where all \
    comparisons are won, in part where some are, and does not hold here where none is. A trivial rival decides nothing, but where it is not beaten the \
    verdict says so. Verdicts are computed from the rows of results.json.";

/// A measured number.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimate {
    /// Whose it is.
    pub of: String,
    /// The number.
    pub mean: f64,
    /// Its standard error; NaN where it is not known.
    pub error: f64,
    /// What it was measured on: networks, fits, tasks, draws.
    pub n: usize,
}

impl Estimate {
    /// The mean of `values` with its standard error.
    pub fn mean_of(of: &str, values: &[f64]) -> Self {
        let (mean, error) = crate::report::figures::mean_sem(values);
        Self { of: of.into(), mean, error, n: values.len() }
    }

    /// The number with its error, for a table.
    pub fn cell(&self, digits: usize) -> Cell {
        Cell::Estimate(self.mean, self.error, digits)
    }
}

/// What is claimed of ours beside theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sense {
    /// Ours is larger.
    Above,
    /// Ours is smaller.
    Below,
    /// Ours is not smaller.
    NotBelow,
}

impl Sense {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
            Self::NotBelow => "not below",
        }
    }
}

/// Two numbers side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is compared, where: `MNIST, fork zoo: test accuracy`.
    pub what: String,
    /// The number that the claim is about.
    pub ours: Estimate,
    /// What it is held against.
    pub theirs: Estimate,
    /// What is claimed.
    pub sense: Sense,
}

impl Comparison {
    /// Whether what is claimed is so, by the rule above. A number that is not finite wins nothing.
    pub fn won(&self) -> bool {
        let square = |error: f64| if error.is_finite() { error * error } else { 0.0 };
        let error = (square(self.ours.error) + square(self.theirs.error)).sqrt();
        let difference = self.ours.mean - self.theirs.mean;
        match self.sense {
            Sense::Above => difference > 2.0 * error,
            Sense::Below => -difference > 2.0 * error,
            Sense::NotBelow => difference >= -2.0 * error,
        }
    }
}

/// What a claim comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All comparisons are won.
    Holds,
    /// So many of so many are.
    InPart(usize, usize),
    /// None is.
    Not,
    /// There is nothing to compare.
    Unmeasured,
}

impl Verdict {
    /// Of these comparisons.
    pub fn of(comparisons: &[Comparison]) -> Self {
        let (won, all) = (comparisons.iter().filter(|c| c.won()).count(), comparisons.len());
        match won {
            _ if all == 0 => Self::Unmeasured,
            0 => Self::Not,
            _ if won == all => Self::Holds,
            _ => Self::InPart(won, all),
        }
    }

    /// In words, with what became of the trivial rival.
    pub fn beside(self, rival: &[Comparison]) -> String {
        let (won, all) = (rival.iter().filter(|c| c.won()).count(), rival.len());
        match self {
            Self::Holds | Self::InPart(..) if won < all => {
                format!("{}; a trivial rival is beaten in {won} of {all}", self.words())
            }
            _ => self.words(),
        }
    }

    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Holds => "holds".into(),
            Self::InPart(won, all) => format!("holds in part ({won} of {all})"),
            Self::Not => "does not hold here".into(),
            Self::Unmeasured => "not measured".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(ours: (f64, f64), theirs: (f64, f64), sense: Sense) -> Comparison {
        let of = |(mean, error)| Estimate { of: "x".into(), mean, error, n: 5 };
        Comparison { what: "made up".into(), ours: of(ours), theirs: of(theirs), sense }
    }

    #[test]
    fn two_standard_errors_of_the_difference_decide() {
        // √(.03² + .04²) = .05: the difference has to be above .1.
        for (difference, above, not_below) in
            [(0.11, true, true), (0.09, false, true), (-0.09, false, true), (-0.11, false, false)]
        {
            let at = |sense| comparison((0.5 + difference, 0.03), (0.5, 0.04), sense).won();
            assert_eq!((at(Sense::Above), at(Sense::NotBelow)), (above, not_below), "{difference}");
            assert_eq!(at(Sense::Below), difference < -0.1);
        }
    }

    #[test]
    fn without_errors_the_sign_decides_and_what_is_not_a_number_wins_nothing() {
        assert!(comparison((0.6, f64::NAN), (0.5, f64::NAN), Sense::Above).won());
        for sense in [Sense::Above, Sense::Below, Sense::NotBelow] {
            assert!(!comparison((f64::NAN, 0.1), (0.5, 0.1), sense).won());
        }
    }

    #[test]
    fn a_verdict_counts_what_is_won() {
        let (won, lost) =
            (comparison((1.0, 0.1), (0.0, 0.1), Sense::Above), comparison((0.0, 0.1), (0.0, 0.1), Sense::Above));
        assert_eq!(Verdict::of(&[]), Verdict::Unmeasured);
        assert_eq!(Verdict::of(&[won.clone(), won.clone()]), Verdict::Holds);
        assert_eq!(Verdict::of(&[won.clone(), lost.clone(), lost.clone()]), Verdict::InPart(1, 3));
        assert_eq!(Verdict::of(std::slice::from_ref(&lost)), Verdict::Not);
        // A claim that holds is no more than it is where something trivial does as well.
        let rival = [won.clone(), lost];
        assert_eq!(Verdict::Holds.beside(&rival), "holds; a trivial rival is beaten in 1 of 2");
        assert_eq!(
            Verdict::InPart(1, 3).beside(&rival[1..]),
            "holds in part (1 of 3); a trivial rival is beaten in 0 of 1"
        );
        assert_eq!(
            (Verdict::Holds.beside(&[won]), Verdict::Not.beside(&rival)),
            ("holds".into(), Verdict::Not.words())
        );
    }
}
