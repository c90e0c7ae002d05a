//! The law of statistics without shift, by permutation: held-out rows of P and the rows of Q are put together, and as many rows as Q has are drawn
//! from all of them, again and again.
//!
//! **Why p-values are exact.** Let H be the m held-out rows and Q the n rows of the query; the test is any function T of a list of n rows that was
//! fixed without looking at H or Q (training and validation rows, trained networks and settings may enter it; what it trains or chooses for a query is
//! part of T). Without shift the m + n rows are exchangeable. Let π₁, …, π_B be random orders of them, π₀ the order in which they came with the rows of Q
//! shuffled, and T_b the value of T on the first n rows in order π_b. Then (T₀, …, T_B) is exchangeable, so that
//! p = #{b ≥ 0: T_b ≥ T₀}/(1 + B) has P(p ≤ α) ≤ α for every α, m, n and B (Hemerik and Goeman 2018, theorem 2). Ties count against shift. The
//! error that a small H has as a picture of P is inside: the redraws mix H and Q, while draws from H alone would take H for P, which gave
//! false alarms of .14 to .88 at level .05 with some hundred rows.
//! Several statistics, of one test or of several, are computed on the *same* redraws: the vectors of all statistics are exchangeable too, and any
//! combination that treats all B + 1 alike ([`super::combined`], [`super::outcome`]) is as valid.
//! Valid means: over H and Q together. A calibration keeps one H for all its queries, so its false alarms come together or not at all.
//!
//! What it costs: a test by networks that are trained for the query trains B + 1 times. What cannot be: with m and n rows there are no more than
//! C(m + n, n) sets, so p is at least one over that ([`least`]); and rows that stand several times in H are not independent rows.
use crate::{Error, Result, Streams, interrupt};
use rand::seq::index;
use rayon::prelude::*;
use thalweg_nets::streams::shuffle;

/// Most redraws that may be asked for.
pub const MOST: usize = 100_000;

/// Redraws that p-values at `level` need at least: 1/level − 1.
pub fn needed(level: f64) -> usize {
    // A hair off the quotient, for 1/.05 − 1 in floating point may be a hair above 19.
    ((1.0 / level - 1.0) * (1.0 - 1e-12)).ceil().max(1.0) as usize
}

/// Checks that `draws` redraws can lead to a p-value at or below `level`.
///
/// # Errors
/// A level outside (0, 1); too few redraws, with the number that would do; more than [`MOST`].
pub fn check(draws: usize, level: f64) -> Result<()> {
    if !(level > 0.0 && level < 1.0) {
        return Err(Error::parameter("level", "a number between 0 and 1", level));
    }
    let least = needed(level);
    if draws < least {
        let expected = format!(
            "at least {least}: the least p-value of N draws is 1/(N + 1), and the level is {level}; fewer draws could never reject"
        );
        return Err(Error::parameter("null draws", expected, draws));
    }
    if draws > MOST {
        return Err(Error::parameter("null draws", format!("at most {MOST}"), draws));
    }
    Ok(())
}

/// The least p-value that `held` held-out rows and `query` rows of Q allow, whatever the number of redraws: one over the number of sets.
pub fn least(held: usize, query: usize) -> f64 {
    let few = held.min(query);
    let mut sets = 1.0;
    for i in 0..few {
        sets *= (held + query - i) as f64 / (i + 1) as f64;
        if sets > 1e12 {
            break;
        }
    }
    1.0 / sets
}

/// Held-out rows, `held` or more, that queries of `query` rows need for a p-value at or below `level`; of no rows, no number would do.
pub fn held_out(held: usize, query: usize, level: f64) -> usize {
    let mut enough = (held..).take_while(|_| query > 0).filter(|&held| least(held, query) <= level);
    enough.next().unwrap_or(usize::MAX)
}

/// Checks that `held` held-out rows suffice for queries of `query` rows at `level`.
///
/// # Errors
/// Names the number of held-out rows that would.
pub fn enough(held: usize, query: usize, level: f64) -> Result<()> {
    let would = held_out(held, query, level);
    if would == held {
        return Ok(());
    }
    let expected =
        format!("at least {would} for queries of {query} rows at level {level}; with fewer no p-value can be so small");
    Err(Error::parameter("held-out rows of P", expected, held))
}

/// Row numbers among H and Q together (those of Q from `held` on): first the `query` rows of Q in random order, then `count` redraws of as many.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn redraws(held: usize, query: usize, count: usize, streams: &Streams) -> Result<Vec<Vec<usize>>> {
    let mut observed: Vec<usize> = (held..held + query).collect();
    shuffle(&mut observed, &mut streams.child("observed").rng());
    // As many draws as rows are wanted, in random order: the first rows of a random order of all, without the rest of it.
    let redraw = |i: usize| -> Result<Vec<usize>> {
        let mut rng = streams.child("redraw").index(i as u64).rng();
        interrupt::check().map(|()| index::sample(&mut rng, held + query, query).into_vec())
    };
    let redrawn: Vec<Vec<usize>> = (0..count).into_par_iter().map(redraw).collect::<Result<_>>()?;
    Ok(std::iter::once(observed).chain(redrawn).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn draws_that_could_never_reject_are_refused_with_the_number_that_would() {
        for (level, least) in [(0.05, 19), (0.01, 99), (0.001, 999), (0.1, 9), (0.5, 1), (0.03, 33)] {
            assert_eq!(needed(level), least, "{level}");
            assert!(check(least, level).is_ok());
            if least > 1 {
                let said = check(least - 1, level).unwrap_err().to_string();
                assert!(said.contains(&format!("at least {least}")), "{said}");
            }
        }
        assert!(check(MOST + 1, 0.05).is_err() && check(99, 0.0).is_err() && check(99, f64::NAN).is_err());
    }

    #[test]
    fn rows_that_could_never_reject_are_refused_with_the_number_that_would() {
        assert_eq!(least(19, 1), 0.05);
        assert_eq!(least(4, 2), 1.0 / 15.0);
        assert!(least(4000, 4000) > 0.0);
        assert!(enough(19, 1, 0.05).is_ok() && enough(5, 2, 0.05).is_ok());
        assert!(enough(18, 1, 0.05).unwrap_err().to_string().contains("at least 19"));
        assert!(enough(2, 2, 0.05).unwrap_err().to_string().contains("at least 5"));
    }

    #[test]
    fn redraws_hold_every_row_once_and_all_rows_alike() {
        let all = redraws(7, 5, 3000, &Streams::new(1)).unwrap();
        assert_eq!(all[0].iter().copied().collect::<HashSet<_>>(), (7..12).collect());
        assert!(all.iter().all(|rows| rows.iter().collect::<HashSet<_>>().len() == 5));
        let mut counts = [0f64; 12];
        all[1..].iter().flatten().for_each(|&r| counts[r] += 1.0);
        // 3,000 · 5/12 each, with a deviation of 27.
        assert!(counts.iter().all(|c| (c - 1250.0).abs() < 110.0), "{counts:?}");
        // In random order: each row stands first in 3,000/12, with a deviation of 15.
        let mut first = [0f64; 12];
        all[1..].iter().for_each(|rows| first[rows[0]] += 1.0);
        assert!(first.iter().all(|c| (c - 250.0).abs() < 61.0), "{first:?}");
    }
}
