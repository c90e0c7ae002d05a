//! The order of names: as people count, and in time.
//!
//! Time is told by numbers (`step-2`, `epoch_3.5`, `1k`, `1M`, `epoch=3-step=1200`) and by words (`init`, `before`, `final`, `last`). What all
//! names have in common at either end says nothing and is left out. Names that give no order are sorted naturally, which [`By`] says.
use super::tokens::{Token, tokens, word};
use std::cmp::Ordering;
use std::fmt;

/// What decided the order of checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// There is but one.
    Single,
    /// Numbers in the names.
    Numbers,
    /// Words such as `init` and `final`.
    Words,
    /// Both.
    NumbersAndWords,
    /// Nothing but the alphabet: the names give no order in time.
    Alphabet,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            By::Single => "only one",
            By::Numbers => "in the order of the numbers in their names",
            By::Words => "in the order that words in their names give",
            By::NumbersAndWords => "in the order that numbers and words in their names give",
            By::Alphabet => "in alphabetical order, since their names give none in time",
        })
    }
}

/// Names in order of time.
#[derive(Clone, Debug, PartialEq)]
pub struct InTime {
    /// Index of each name among those given, first to last.
    pub order: Vec<usize>,
    /// What decided it.
    pub by: By,
    /// Pairs of names that stand at one time, by their indices; they keep the alphabet's order.
    pub ties: Vec<(usize, usize)>,
    /// The one number of each name in the new order, where that alone decided.
    pub numbers: Option<Vec<f64>>,
}

/// Compares names with their runs of digits as numbers; equal numbers by their writing, so that the order is total.
pub fn natural(a: &str, b: &str) -> Ordering {
    let (mut x, mut y) = (a, b);
    loop {
        let digits = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (m, n) = (digits(x), digits(y));
        let order = if m > 0 && n > 0 {
            let (p, q) = (x[..m].trim_start_matches('0'), y[..n].trim_start_matches('0'));
            let order = p.len().cmp(&q.len()).then_with(|| p.cmp(q));
            (x, y) = (&x[m..], &y[n..]);
            order
        } else {
            let (mut p, mut q) = (x.chars(), y.chars());
            let order = p.next().cmp(&q.next());
            (x, y) = (p.as_str(), q.as_str());
            order
        };
        if order.is_ne() || (x.is_empty() && y.is_empty()) {
            return order.then_with(|| a.cmp(b));
        }
    }
}

/// Words that count time where a number follows.
const UNITS: [&str; 22] = [
    "epoch",
    "epochs",
    "ep",
    "e",
    "step",
    "steps",
    "s",
    "it",
    "iter",
    "iters",
    "iteration",
    "iterations",
    "update",
    "updates",
    "checkpoint",
    "checkpoints",
    "ckpt",
    "round",
    "episode",
    "time",
    "t",
    "tokens",
];

/// Units that are too short to name a folder's purpose by themselves.
const SHORT: [&str; 4] = ["e", "s", "t", "it"];

/// Where a word stands in a run; numbers of words of one meaning are equal.
fn rank(word: &str) -> Option<i8> {
    Some(match word {
        "init" | "initial" | "initialisation" | "initialization" | "initialised" | "initialized" | "start"
        | "begin" | "beginning" | "before" | "untrained" | "random" | "scratch" | "pretrained" | "pre" | "first" => -2,
        "early" => -1,
        "mid" | "middle" | "half" | "halfway" | "during" => 0,
        "late" => 1,
        "best" => 2,
        "final" | "last" | "latest" | "end" | "after" | "trained" | "finetuned" | "finished" | "done" | "post"
        | "converged" => 3,
        _ => return None,
    })
}

/// Whether a name says of itself when in a run it was written: `checkpoint-500`, `epoch_3`, `final`.
pub fn names_a_time(name: &str) -> bool {
    let tokens = tokens(name);
    let counted = tokens.windows(2).any(|pair| {
        matches!(pair, [Token::Word(w), Token::Number(_)] if UNITS.contains(&w.as_str()) && !SHORT.contains(&w.as_str()))
    });
    let other = |w: &str| rank(w).is_none() && !UNITS.contains(&w) && w != "global" && w != "model";
    let words: Vec<&str> = tokens.iter().filter_map(word).collect();
    let ranked = words.iter().any(|w| rank(w).is_some());
    (counted || ranked) && !words.iter().any(|w| other(w))
}

/// What a name says beyond what all names have in common.
#[derive(Debug)]
struct Said {
    /// Numbers with the unit before each, if any.
    numbers: Vec<(Option<String>, f64)>,
    rank: Option<i8>,
    /// Its other words and the places of its numbers: names that differ here are of different kinds.
    pattern: String,
    empty: bool,
}

impl Said {
    /// `before` is the last word that all names have in common at their beginning.
    fn of(tokens: &[Token], before: Option<&Token>) -> Self {
        let mut said = Said { numbers: Vec::new(), rank: None, pattern: String::new(), empty: tokens.is_empty() };
        let mut last = before;
        for token in tokens {
            match token {
                Token::Number(value) => {
                    let unit = last.and_then(word).filter(|w| UNITS.contains(w)).map(str::to_owned);
                    said.numbers.push((unit, *value));
                    said.pattern.push('#');
                }
                Token::Word(w) => match rank(w) {
                    Some(rank) => said.rank = Some(rank),
                    None => said.pattern += w,
                },
            }
            last = Some(token);
        }
        said
    }

    fn units(&self) -> Vec<&str> {
        let mut units: Vec<&str> = self.numbers.iter().filter_map(|(unit, _)| unit.as_deref()).collect();
        units.sort_unstable();
        units
    }

    /// Its numbers, epochs first, then other counts of time, then the rest.
    fn key(&self) -> Vec<f64> {
        let class = |unit: &Option<String>| match unit.as_deref() {
            Some("epoch" | "epochs" | "ep" | "e") => 0,
            Some(_) => 1,
            None => 2,
        };
        (0..3).flat_map(|c| self.numbers.iter().filter(move |(unit, _)| class(unit) == c).map(|(_, v)| *v)).collect()
    }
}

/// Where a name stands: before the numbers, among them, or after.
type Key = (i8, Vec<f64>, i8);

/// Orders the names of checkpoints of one run by time, as far as they give one.
pub fn in_time(names: &[&str]) -> InTime {
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| natural(names[a], names[b]));
    if names.len() < 2 {
        return InTime { order, by: By::Single, ties: Vec::new(), numbers: None };
    }
    let said = said(names);
    let Some((keys, by)) = keys(&said) else {
        return InTime { order, by: By::Alphabet, ties: Vec::new(), numbers: None };
    };
    let compare = |a: &Key, b: &Key| {
        let numbers = a.1.iter().zip(&b.1).map(|(x, y)| x.total_cmp(y)).find(|o| o.is_ne());
        a.0.cmp(&b.0).then(numbers.unwrap_or(a.1.len().cmp(&b.1.len()))).then(a.2.cmp(&b.2))
    };
    // Stable: names at one time keep the natural order.
    order.sort_by(|&a, &b| compare(&keys[a], &keys[b]));
    let ties = order.windows(2).filter(|w| compare(&keys[w[0]], &keys[w[1]]).is_eq()).map(|w| (w[0], w[1])).collect();
    let single = by == By::Numbers && keys.iter().all(|k| k.1.len() == 1);
    let numbers = single.then(|| order.iter().map(|&i| keys[i].1[0]).collect());
    InTime { order, by, ties, numbers }
}

fn said(names: &[&str]) -> Vec<Said> {
    let all: Vec<Vec<Token>> = names.iter().map(|name| tokens(name)).collect();
    let shortest = all.iter().map(Vec::len).min().unwrap_or(0);
    let head = (0..shortest).take_while(|&i| all.iter().all(|t| t[i] == all[0][i])).count();
    let from_end = |t: &[Token], i: usize| t[t.len() - 1 - i].clone();
    let tail = (0..shortest - head).take_while(|&i| all.iter().all(|t| from_end(t, i) == from_end(&all[0], i))).count();
    let before = |t: &[Token]| head.checked_sub(1).map(|i| t[i].clone());
    all.iter().map(|t| Said::of(&t[head..t.len() - tail], before(t).as_ref())).collect()
}

/// A key for every name, or none where they give no order.
fn keys(said: &[Said]) -> Option<(Vec<Key>, By)> {
    // Words decide where every name has one and they differ, unless its numbers count time.
    let ranks: Vec<Option<i8>> = said.iter().map(|s| s.rank).collect();
    let differ = ranks.iter().any(|r| r != &ranks[0]);
    let timed = |s: &Said| !s.units().is_empty();
    if ranks.iter().all(Option::is_some) && differ && !said.iter().all(timed) {
        let keys = said.iter().map(|s| (s.rank.unwrap_or(0), s.key(), 0)).collect();
        return Some((keys, By::Words));
    }
    let plain: Vec<&Said> = said.iter().filter(|s| !s.numbers.is_empty() && s.rank.is_none()).collect();
    let first = plain.first().copied().or_else(|| said.iter().find(|s| !s.numbers.is_empty()))?;
    let alike = |s: &Said| match timed(first) {
        true => s.units() == first.units(),
        false => s.pattern == first.pattern,
    };
    if !plain.iter().all(|s| alike(s)) {
        return None;
    }
    let ended = said.iter().any(|s| s.rank.is_some_and(|rank| rank > 0) && (s.numbers.is_empty() || !alike(s)));
    let key = |s: &Said| -> Option<Key> {
        match (s.rank, s.numbers.is_empty()) {
            (rank, false) if alike(s) => Some((0, s.key(), rank.unwrap_or(0))),
            (Some(rank), _) if rank != 0 => Some((rank, Vec::new(), 0)),
            // `model` beside `model-100`, `model-200`: the one without a number is what a run ends with.
            (None, true) if s.empty && !ended => Some((1, Vec::new(), 0)),
            _ => None,
        }
    };
    let keys: Vec<Key> = said.iter().map(key).collect::<Option<_>>()?;
    let words = keys.iter().any(|k| k.0 != 0);
    Some((keys, if words { By::NumbersAndWords } else { By::Numbers }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_as_people_count() {
        let mut names = ["step-10", "step-2", "step-02", "a", "step-2b", "10", "9", "step-", "schritt-é"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["9", "10", "a", "schritt-é", "step-", "step-02", "step-2", "step-2b", "step-10"]);
    }

    /// The order given is the right one; the names are handed over sorted, and sorted backwards.
    fn right(names: &[&str], by: By) {
        for reversed in [false, true] {
            let mut given = names.to_vec();
            given.sort_unstable();
            if reversed {
                given.reverse();
            }
            let found = in_time(&given);
            let sorted: Vec<&str> = found.order.iter().map(|&i| given[i]).collect();
            assert_eq!((sorted, found.by), (names.to_vec(), by));
        }
    }

    #[test]
    fn numbers_anywhere_in_a_name_order_it() {
        right(&["step-2", "step-10", "step-100"], By::Numbers);
        right(&["step_500", "step_1k", "step_20K", "step_1M"], By::Numbers);
        right(&["0", "1e3", "2e3", "1e4"], By::Numbers);
        right(&["epoch_3", "epoch_3.5", "epoch_10"], By::Numbers);
        right(&["2-epoch-model", "10-epoch-model"], By::Numbers);
        right(&["seed10_step_9", "seed10_step_11"], By::Numbers);
        right(&["ckpt-999", "ckpt-1,000", "ckpt-20,000"], By::Numbers);
        right(&["epoch=2-step=900", "epoch=10-step=100", "epoch=10-step=90000"], By::Numbers);
        right(&["step=100-epoch=1", "step=10-epoch=2"], By::Numbers);
        right(&["acc0.9-epoch1", "acc0.7-epoch2"], By::Numbers);
        right(&["modelEpoch9", "modelEpoch10"], By::Numbers);
        right(&["iter500tok", "iter1500tok"], By::Numbers);
    }

    #[test]
    fn words_say_what_is_first_and_last() {
        right(&["init", "final"], By::Words);
        right(&["before", "after"], By::Words);
        right(&["initial", "best", "last"], By::Words);
        right(&["start", "middle", "end"], By::Words);
        right(&["run3_init", "run3_final"], By::Words);
        right(&["weightsInit", "weightsFinal"], By::Words);
        right(&["init_seed42", "final_seed7"], By::Words);
        right(&["init", "step-20", "step-100", "best", "final"], By::NumbersAndWords);
        right(&["checkpoint-500", "checkpoint-1000", "checkpoint-last"], By::NumbersAndWords);
        right(&["model-500", "model-1000", "model"], By::NumbersAndWords);
        right(&["step_100", "step_200", "final_300"], By::NumbersAndWords);
        right(&["epoch-1", "epoch-2-best", "epoch-3"], By::Numbers);
    }

    #[test]
    fn names_without_an_order_are_said_to_have_none() {
        right(&["a", "b"], By::Alphabet);
        right(&["apple-7", "pear-3"], By::Alphabet);
        right(&["final", "other"], By::Alphabet);
        right(&["alone"], By::Single);
        let tied = in_time(&["step-2", "step-02", "step-3"]);
        assert_eq!((tied.order, tied.ties), (vec![1, 0, 2], vec![(1, 0)]));
        assert_eq!(in_time(&["step-1k", "step-0"]).numbers, Some(vec![0.0, 1000.0]));
        assert_eq!(in_time(&["init", "step-5"]).numbers, None);
    }

    #[test]
    fn a_name_says_whether_it_is_a_time_or_a_run() {
        for time in ["checkpoint-500", "epoch_3", "final", "global_step1000", "step-1k", "init", "model_best"] {
            assert!(names_a_time(time), "{time}");
        }
        for run in ["run0", "seed-3", "model-3", "run0-final", "net_7", "runs", "a", "3"] {
            assert!(!names_a_time(run), "{run}");
        }
    }
}
