//! The parts of P: rows that CDCs must agree on, rows for choices, rows held out for the null law.
//!
//! Tests of a query permute its rows with held-out rows that f was never trained on ([`super::law::permutation`]). Experiments, which ask thousands of queries
//! of the same P, draw null queries from the held-out rows alone. Where the rows suffice, those draws are **disjoint**: a fresh query
//! of P is then exchangeable with them, and p-values are exact. Where they do not, draws **overlap**: they are exchangeable with further
//! draws from the same rows, and for fresh rows of P the law is that of this sample of P, an approximation that gets better with the number of
//! held-out rows. [`Draws`] says which.
use super::base::Sample;
use crate::ranges::{self, MOST};
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use thalweg_nets::streams::shuffle;

/// P in three disjoint parts, as f sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// Rows to agree on (f's training rows); empty of inputs where only logits are known.
    pub train: Sample,
    /// Rows for choices and for synthetic shifts.
    pub validation: Sample,
    /// Rows for the null law, never trained on.
    pub held_out: Sample,
}

/// Rows that stand in more than one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Held-out rows beyond the first of equal ones.
    pub within: usize,
    /// Held-out rows that are training or validation rows too.
    pub elsewhere: usize,
    /// Validation rows that are training rows too: what chance gives.
    pub by_chance: usize,
}

/// Share of held-out rows that may be rows of another part without being asked about.
const LEAKED: f64 = 0.05;

/// Training and validation rows of P that are kept; CDCs see no more.
pub const KEPT: usize = 4096;

/// `count` of `n` rows in random order; all of them in random order where `count` is greater.
pub fn drawn(n: usize, count: usize, streams: &Streams) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    shuffle(&mut all, &mut streams.rng());
    all.truncate(count);
    all
}

/// The rows of a `part` of P ("train", "validation") of `n` rows that are kept, at most [`KEPT`] in random order.
pub fn kept(n: usize, part: &str, seed: u64) -> Vec<usize> {
    drawn(n, KEPT, &Streams::new(seed).child("kept").child(part))
}

/// A quarter of `n` rows to train on, a quarter to choose on, half of them held out, in random order: P from rows that f was not trained on.
///
/// # Errors
/// Fewer than eight rows.
pub fn quarters(n: usize, seed: u64) -> Result<[Vec<usize>; 3]> {
    if n < 8 {
        return Err(Error::parameter("P", "at least 8 rows", n));
    }
    let order = drawn(n, n, &Streams::new(seed).child("logits"));
    let (held_out, rest) = order.split_at(n / 2);
    let (train, validation) = rest.split_at(rest.len() / 2);
    Ok([train.to_vec(), validation.to_vec(), held_out.to_vec()])
}

/// Whether so many of some rows stand elsewhere too that chance, which gives this share of them, does not explain it.
fn beyond_chance(count: usize, of: usize, chance: f64) -> bool {
    let share = count as f64 / of.max(1) as f64;
    share > LEAKED && share > 2.0 * chance
}

/// What a look at the rows of a query needs to know of those of P.
#[derive(Clone, Debug)]
pub struct Known {
    copies: Copies,
    /// Validation rows, held-out rows.
    validation: usize,
    held_out: usize,
    /// Of training and validation rows, where these have inputs: [`Bits::number`].
    made_with: HashSet<u64>,
}

impl Known {
    /// What is to be said of copies among the held-out rows.
    pub fn held_out_copies(&self) -> Option<String> {
        let (within, held) = (self.copies.within, self.held_out);
        beyond_chance(within, held, 0.0).then(|| format!(
            "{within} of {held} held-out rows of P are copies of others. Rows are taken as independent: if copies were made, take them out, or p-values come out too small."
        ))
    }

    /// A look at the rows of a query: for each row the first that equals it, where more of them are copies than chance explains (as among held-out rows, for
    /// rows that take few values); and what is to be said of them.
    pub fn looked_over(&self, query: &Sample) -> (Option<Vec<usize>>, Vec<String>) {
        let n = query.len();
        let mut caveats = Vec::new();
        let seen = bits(query).filter(|row| self.made_with.contains(&row.number())).count();
        if beyond_chance(seen, n, self.copies.by_chance as f64 / self.validation as f64) {
            caveats.push(format!(
                "{seen} of {n} rows are training or validation rows of P. The model is surer of those than of fresh rows, and an alarm may mean no more than that: ask about rows that it was not made with."
            ));
        }
        let mut first = HashMap::new();
        let of_row: Vec<usize> = bits(query).enumerate().map(|(i, row)| *first.entry(row).or_insert(i)).collect();
        let within = n - first.len();
        // Copies among P's own rows that pass for chance are few enough to be let pass here too.
        let own = if self.held_out_copies().is_some() { self.copies.within } else { 0 };
        if !beyond_chance(within, n, own as f64 / self.held_out as f64) {
            return (None, caveats);
        }
        caveats
            .push(format!("{within} of {n} rows are copies of others and count once: tests take rows as independent."));
        (Some(of_row), caveats)
    }
}

/// The numbers of a row, which are compared bit for bit.
struct Bits<'a>(&'a [f32]);

impl Bits<'_> {
    fn each(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().map(|v| v.to_bits())
    }

    /// A number that equal rows share, and others by no more than chance.
    fn number(&self) -> u64 {
        // FNV-1a, a word at a time.
        self.each().fold(0xcbf2_9ce4_8422_2325, |number, v| (number ^ u64::from(v)).wrapping_mul(0x0100_0000_01b3))
    }
}

impl PartialEq for Bits<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.each().eq(other.each())
    }
}

impl Eq for Bits<'_> {}

impl Hash for Bits<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.number());
    }
}

fn bits(rows: &Sample) -> impl Iterator<Item = Bits<'_>> {
    let values = if rows.inputs.is_empty() { &rows.logits } else { &rows.inputs };
    values.chunks_exact((values.len() / rows.len().max(1)).max(1)).map(Bits)
}

/// How null queries lie among the held-out rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draws {
    /// No row in two queries: p-values are exact.
    Disjoint,
    /// Queries share rows.
    Overlapping,
}

impl Reference {
    /// Parts that fit together.
    ///
    /// # Errors
    /// A part without rows, other widths or classes.
    pub fn new(train: Sample, validation: Sample, held_out: Sample) -> Result<Self> {
        for (name, part) in [("train", &train), ("validation", &validation), ("held-out", &held_out)] {
            let of = |s: &Sample| format!("[N ≥ 1, {}] with {} classes", s.width(), s.classes());
            if part.is_empty() || (part.width(), part.classes()) != (held_out.width(), held_out.classes()) {
                let found = format!("[{}, {}] with {} classes", part.len(), part.width(), part.classes());
                return Err(Error::shape(format!("rows of P ({name})"), of(&held_out), found));
            }
        }
        Ok(Self { train, validation, held_out })
    }

    /// How many held-out rows are bit for bit others of the held-out rows, and how many are rows of the other parts, as are how many validation rows
    /// of the training rows; by inputs, or logits where only those are known.
    pub fn copies(&self) -> Copies {
        let train: HashSet<Bits> = bits(&self.train).collect();
        let validation: HashSet<Bits> = bits(&self.validation).collect();
        let distinct: HashSet<Bits> = bits(&self.held_out).collect();
        Copies {
            within: self.held_out.len() - distinct.len(),
            elsewhere: bits(&self.held_out).filter(|row| train.contains(row) || validation.contains(row)).count(),
            by_chance: bits(&self.validation).filter(|row| train.contains(row)).count(),
        }
    }

    /// Checks that held-out rows are not those that f was trained on: so many rows of both that chance (as between validation and training rows, for
    /// rows that take few values) does not explain them. f is surer of rows that it was trained on, so that fresh rows would look shifted.
    ///
    /// # Errors
    /// Says how many.
    pub fn held_out_is_fresh(&self) -> Result<()> {
        let Copies { elsewhere, by_chance, .. } = self.copies();
        let chance = by_chance as f64 / self.validation.len() as f64;
        if self.held_out.width() == 0 || !beyond_chance(elsewhere, self.held_out.len(), chance) {
            return Ok(());
        }
        let expected = "rows that the model was not trained on: it is surer of those that it was, and every fresh row would look shifted";
        let found =
            format!("{elsewhere} of {} rows that are also training or validation rows of P", self.held_out.len());
        Err(Error::parameter("held-out rows of P", expected, found))
    }

    /// What a look at the rows of a query needs to know of those of P, the same for every query.
    pub fn known(&self) -> Known {
        let made_with = if self.held_out.width() > 0 { [&self.train, &self.validation].to_vec() } else { Vec::new() };
        Known {
            copies: self.copies(),
            validation: self.validation.len(),
            held_out: self.held_out.len(),
            made_with: made_with.into_iter().flat_map(bits).map(|row| row.number()).collect(),
        }
    }

    /// Null queries of `size` rows each: row numbers within the held-out part, `count` of them, and how they lie.
    ///
    /// # Errors
    /// A size of 0 or above the held-out rows.
    pub fn draws(&self, size: usize, count: usize, streams: &Streams) -> Result<(Vec<Vec<usize>>, Draws)> {
        draws(self.held_out.len(), size, count, streams)
    }

    /// `count` queries of `size` validation rows, or of all where there are fewer: for choices, and for reference entropies.
    ///
    /// # Errors
    /// A size of 0, no query.
    pub fn validation_queries(&self, size: usize, count: usize, streams: &Streams) -> Result<Vec<Sample>> {
        let (rows, _) = draws(self.validation.len(), size.min(self.validation.len()), count, streams)?;
        Ok(rows.iter().map(|rows| self.validation.rows(rows)).collect())
    }
}

/// `count` queries of `size` among `rows`: disjoint where that is possible, else each without replacement by itself.
///
/// # Errors
/// A size of 0 or above the rows, no query.
pub fn draws(rows: usize, size: usize, count: usize, streams: &Streams) -> Result<(Vec<Vec<usize>>, Draws)> {
    if size == 0 || size > rows {
        return Err(Error::parameter("query size |Q|", format!("from 1 to the {rows} held-out rows of P"), size));
    }
    ranges::check("", [("null draws", count as u64, 1..=MOST)])?;
    // Row numbers are twice as wide as the numbers that are counted here.
    ranges::numbers("null draws (their rows)", &[count, size, 2])?;
    let mut all: Vec<usize> = (0..rows).collect();
    if rows / size >= count {
        shuffle(&mut all, &mut streams.rng());
        return Ok((all.chunks_exact(size).take(count).map(<[usize]>::to_vec).collect(), Draws::Disjoint));
    }
    let one = |i: usize| {
        let mut all = all.clone();
        shuffle(&mut all, &mut streams.index(i as u64).rng());
        all.truncate(size);
        all
    };
    Ok(((0..count).map(one).collect(), Draws::Overlapping))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::testing::normals;

    #[test]
    fn quarters_are_all_rows_once_and_the_held_out_ones_are_half() {
        for n in [8, 11, 100] {
            let parts = quarters(n, 3).unwrap();
            let mut all = parts.concat();
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            assert_eq!(parts.map(|part| part.len()), [(n - n / 2) / 2, n - n / 2 - (n - n / 2) / 2, n / 2]);
        }
        assert_ne!(quarters(100, 3).unwrap(), quarters(100, 4).unwrap());
        assert!(quarters(7, 3).unwrap_err().to_string().contains("at least 8 rows"));
        // So many rows in random order, and no more than there are.
        assert_eq!(kept(3, "train", 1).into_iter().collect::<HashSet<_>>(), (0..3).collect());
        assert_eq!(kept(KEPT + 9, "train", 1).into_iter().collect::<HashSet<_>>().len(), KEPT);
    }

    #[test]
    fn draws_are_disjoint_where_rows_suffice() {
        let (queries, kind) = draws(100, 10, 10, &Streams::new(1)).unwrap();
        assert_eq!((kind, queries.concat().iter().collect::<HashSet<_>>().len()), (Draws::Disjoint, 100));
        let (queries, kind) = draws(100, 10, 11, &Streams::new(1)).unwrap();
        assert_eq!((kind, queries.len()), (Draws::Overlapping, 11));
        assert!(queries.iter().all(|q| q.iter().collect::<HashSet<_>>().len() == 10));
        // Every row is as likely as any other: 4,000 draws of 3 among 12, a thousand each.
        let (queries, _) = draws(12, 3, 4000, &Streams::new(2)).unwrap();
        let mut counts = [0f64; 12];
        queries.iter().flatten().for_each(|&r| counts[r] += 1.0);
        assert!(counts.iter().all(|c| (c - 1000.0).abs() < 130.0), "{counts:?}");
    }

    #[test]
    fn training_rows_given_as_held_out_are_recognised_and_rows_of_few_values_are_not_taken_for_them() {
        let of = |x: &[f32]| {
            let mut rows = Sample::of_logits(x.iter().flat_map(|v| [*v, 0.0]).collect(), 2).unwrap();
            rows.inputs = x.to_vec();
            rows
        };
        let range = |from: i32, to: i32| of(&(from..to).map(|i| i as f32).collect::<Vec<_>>());
        let leaked = Reference::new(range(0, 100), range(100, 120), range(90, 110)).unwrap();
        assert_eq!(leaked.copies(), Copies { within: 0, elsewhere: 20, by_chance: 0 });
        assert!(leaked.held_out_is_fresh().unwrap_err().to_string().contains("20 of 20 rows"));
        assert!(Reference::new(range(0, 100), range(100, 120), range(120, 150)).unwrap().held_out_is_fresh().is_ok());
        let dice = |n: i32| of(&(0..n).map(|i| (i % 6) as f32).collect::<Vec<_>>());
        let few = Reference::new(dice(60), dice(30), dice(30)).unwrap();
        assert_eq!(few.copies(), Copies { within: 24, elsewhere: 30, by_chance: 30 });
        assert!(few.held_out_is_fresh().is_ok());
    }

    #[test]
    fn wrong_sizes_are_named() {
        let said = |size, count| draws(20, size, count, &Streams::new(0)).unwrap_err().to_string();
        assert!(said(0, 5).contains("from 1 to the 20 held-out rows"));
        assert!(said(21, 5).contains("found 21"));
        assert!(said(5, 0).contains("null draws"));
        let few = Sample::of_logits(vec![0.0; 4], 2).unwrap();
        let other = Sample::of_logits(vec![0.0; 6], 3).unwrap();
        assert!(Reference::new(few.clone(), other, few).unwrap_err().to_string().contains("validation"));
    }

    #[test]
    fn copies_in_a_query_and_rows_that_f_was_made_with_are_seen() {
        let of = |inputs: Vec<f32>, seed: u64| {
            let mut sample = Sample::of_logits(normals(&Streams::new(seed + 9), 2 * inputs.len() / 3), 2).unwrap();
            sample.inputs = inputs;
            sample
        };
        let rows = |n: usize, seed: u64| of(normals(&Streams::new(seed), 3 * n), seed);
        let reference = Reference::new(rows(50, 1), rows(40, 2), rows(60, 3)).unwrap();
        let query = rows(20, 4);
        assert_eq!(reference.known().looked_over(&query), (None, vec![]));
        // One copy in twenty is no more than is let pass, three are not.
        let copied = |copies: usize| query.rows(&(0..20).map(|i| if i < copies { 19 } else { i }).collect::<Vec<_>>());
        assert_eq!(reference.known().looked_over(&copied(1)).0, None);
        let (of_row, said) = reference.known().looked_over(&copied(3));
        let expected: Vec<usize> = (0..20).map(|i| if i < 3 || i == 19 { 0 } else { i }).collect();
        assert!(
            of_row == Some(expected) && said.len() == 1 && said[0].starts_with("3 of 20 rows are copies"),
            "{said:?}"
        );
        let (of_row, said) = reference.known().looked_over(&reference.train.rows(&(0..10).collect::<Vec<_>>()));
        assert!(of_row.is_none() && said.len() == 1 && said[0].starts_with("10 of 10 rows are training"), "{said:?}");
        // Where P's own rows take few values, so may the query's.
        let coarse =
            |n: usize, seed: u64| of(normals(&Streams::new(seed), 3 * n).iter().map(|v| v.signum()).collect(), seed);
        let few = Reference::new(coarse(50, 1), coarse(40, 2), coarse(60, 3)).unwrap();
        assert_eq!(few.known().looked_over(&coarse(20, 4)), (None, vec![]));
        let said = few.known().held_out_copies().unwrap();
        assert!(
            said.contains("held-out rows of P are copies") && reference.known().held_out_copies().is_none(),
            "{said}"
        );
    }
}
