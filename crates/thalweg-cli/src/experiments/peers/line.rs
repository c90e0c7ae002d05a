//! What one method came to in one cell.
use super::contenders::{GIVEN, MISSED};
use crate::results::Row;
use crate::row;

/// A fall of f's accuracy from which on a shift is harmful, and one below which it is benign.
pub const HARM: f64 = 0.05;
pub const BENIGN: f64 = 0.02;

/// Alarms of one method in one cell, over the base networks.
#[derive(Clone, Debug)]
pub struct Line {
    pub home: String,
    pub shift: String,
    pub size: usize,
    pub method: String,
    /// f's accuracy on P and Q of each base network.
    pub accuracies: Vec<[f64; 2]>,
    pub hits: usize,
    pub draws: usize,
}

impl Line {
    pub fn fall(&self) -> f64 {
        self.accuracies.iter().map(|[p, q]| p - q).sum::<f64>() / self.accuracies.len() as f64
    }

    pub fn share(&self) -> f64 {
        self.hits as f64 / self.draws as f64
    }

    /// Whether it counts estimates of f's accuracy, and no alarms.
    pub fn is_of_estimate(&self) -> bool {
        [GIVEN, MISSED].contains(&self.method.as_str())
    }

    pub fn row(&self) -> Row {
        let n = self.accuracies.len() as f64;
        let mean = |at: usize| self.accuracies.iter().map(|a| a[at]).sum::<f64>() / n;
        let share = self.share();
        let error = (share * (1.0 - share) / self.draws as f64).sqrt();
        let mut row = row! {
            "home" => self.home, "shift" => self.shift, "query_rows" => self.size, "method" => self.method,
            "accuracy_on_p" => mean(0), "accuracy_on_q" => mean(1), "harm" => kind(self.fall()), "draws" => self.draws,
        };
        row.extend(match self.is_of_estimate() {
            true => row! { "share" => share, "share_standard_error" => error },
            false => row! { "alarms" => share, "alarms_standard_error" => error },
        });
        row
    }
}

/// What a fall of accuracy is called.
pub fn kind(fall: f64) -> &'static str {
    match fall {
        _ if fall >= HARM => "harmful",
        _ if fall < BENIGN => "benign",
        _ => "between",
    }
}

/// Adds alarms of one base network.
pub fn put(
    lines: &mut Vec<Line>,
    (home, shift, size, method): (&str, &str, usize, &str),
    accuracies: [f64; 2],
    [hits, draws]: [usize; 2],
) {
    let same = |l: &&mut Line| l.home == home && l.shift == shift && l.size == size && l.method == method;
    match lines.iter_mut().find(same) {
        Some(line) => {
            line.accuracies.push(accuracies);
            (line.hits, line.draws) = (line.hits + hits, line.draws + draws);
        }
        None => lines.push(Line {
            home: home.into(),
            shift: shift.into(),
            size,
            method: method.into(),
            accuracies: vec![accuracies],
            hits,
            draws,
        }),
    }
}
