//! Choosing among the flat rows of an experiment.
use super::rule::Estimate;
use crate::results::Row;

/// The text under `key`, or nothing.
pub fn key<'a>(row: &'a Row, key: &str) -> &'a str {
    row.get(key).and_then(|value| value.as_str()).unwrap_or_default()
}

/// The number under `key`.
pub fn number(row: &Row, key: &str) -> Option<f64> {
    row.get(key)?.as_f64()
}

/// The count under `key`.
pub fn whole(row: &Row, key: &str) -> Option<u64> {
    row.get(key)?.as_u64()
}

/// Whether `key` says true.
pub fn is_true(row: &Row, key: &str) -> bool {
    row.get(key).is_some_and(|value| value == true)
}

/// Some rows of an experiment.
#[derive(Clone, Debug)]
pub struct Selection<'a>(Vec<&'a Row>);

impl<'a> Selection<'a> {
    /// All of `rows`.
    pub fn of(rows: &'a [Row]) -> Self {
        Self(rows.iter().collect())
    }

    /// The rows.
    pub fn iter(&self) -> impl Iterator<Item = &'a Row> {
        self.0.iter().copied()
    }

    /// The first one.
    pub fn first(&self) -> Option<&'a Row> {
        self.0.first().copied()
    }

    /// Those for which `fits` says so.
    pub fn filtered(&self, fits: impl Fn(&Row) -> bool) -> Self {
        Self(self.iter().filter(|row| fits(row)).collect())
    }

    /// Those with this text under `name`.
    pub fn with(&self, name: &str, text: &str) -> Self {
        self.filtered(|row| key(row, name) == text)
    }

    /// Those that say something of `name`.
    pub fn having(&self, name: &str) -> Self {
        self.filtered(|row| row.get(name).is_some_and(|value| !value.is_null()))
    }

    /// The rows by what they have under `names`, in the order in which that first comes up. Rows that say nothing of one of them are left out.
    pub fn groups(&self, names: &[&str]) -> Vec<Self> {
        let mut groups: Vec<(Vec<&serde_json::Value>, Vec<&'a Row>)> = Vec::new();
        for row in self.iter() {
            let Some(label) = names.iter().map(|name| row.get(*name)).collect::<Option<Vec<_>>>() else { continue };
            match groups.iter_mut().find(|(known, _)| *known == label) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((label, vec![row])),
            }
        }
        groups.into_iter().map(|(_, rows)| Self(rows)).collect()
    }

    /// The mean of a number over the rows that have it.
    pub fn mean(&self, name: &str) -> Option<f64> {
        let values: Vec<f64> = self.iter().filter_map(|row| number(row, name)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// The number `name` of the first row that has one, with its error and count.
    pub fn estimate(&self, of: &str, name: &str, error: &str, n: &str) -> Option<Estimate> {
        let row = self.iter().find(|row| row.get(name).is_some_and(serde_json::Value::is_number))?;
        let or_nan = |name: &str| number(row, name).unwrap_or(f64::NAN);
        Some(Estimate {
            of: of.into(),
            mean: or_nan(name),
            error: or_nan(error),
            n: whole(row, n).unwrap_or(0) as usize,
        })
    }

    /// The sum of a number over all rows, with the error of independent ones; none where there is no row.
    pub fn total(&self, of: &str, name: &str, error: &str, n: &str) -> Option<Estimate> {
        let each: Vec<Estimate> = self.iter().filter_map(|row| Self(vec![row]).estimate(of, name, error, n)).collect();
        let n = each.iter().map(|e| e.n).min()?;
        let square = each.iter().map(|e| e.error * e.error).sum::<f64>();
        Some(Estimate { of: of.into(), mean: each.iter().map(|e| e.mean).sum(), error: square.sqrt(), n })
    }
}
