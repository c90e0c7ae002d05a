//! Rows of judgements in files: `results.json`, in which `thalweg eval` tells more of its run beside them.
use super::Row;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::path::Path;
use thalweg_nets::files::write_whole;

/// The format of files of results, with its version.
pub const RESULTS: &str = "thalweg results 1";

#[derive(Serialize)]
struct Written<'a> {
    format: &'static str,
    rows: &'a [Row],
}

#[derive(Deserialize)]
struct Read {
    format: String,
    rows: Vec<Value>,
}

/// Writes `rows` as JSON; a file that is there is replaced.
///
/// # Errors
/// A file that cannot be written.
pub fn write_rows(path: &Path, rows: &[Row]) -> Result<()> {
    let text = serde_json::to_string_pretty(&Written { format: RESULTS, rows });
    let text = text.map_err(|e| Error::parameter("rows", "what JSON can hold", e))?;
    write_whole(path, (text + "\n").as_bytes())
}

/// Reads the rows of a judgement; whatever else the file tells is passed over.
///
/// # Errors
/// No such file; no JSON of this format; rows of something else than a judgement.
pub fn read_rows(path: &Path) -> Result<Vec<Row>> {
    let text = fs::read(path).map_err(Error::io("read", path))?;
    let read: Read = serde_json::from_slice(&text)
        .map_err(|e| Error::format(path, "file", "results as JSON, with a format and rows", e))?;
    if read.format != RESULTS {
        return Err(Error::format(path, "format", RESULTS, read.format));
    }
    let row = |(i, row): (usize, Value)| {
        let row = named_as_now(row);
        serde_json::from_value(row).map_err(|e| Error::format(path, format!("row {i}"), "a row of a judgement", e))
    };
    read.rows.into_iter().enumerate().map(row).collect()
}

/// A row in which what older versions called N&P bears today's name for it.
fn named_as_now(mut row: Value) -> Value {
    if let Value::Object(row) = &mut row
        && !row.contains_key("novel_performing_weights")
        && let Some(old) = row.insert("novel_and_performing".into(), Value::Null)
    {
        row.insert("novel_performing_weights".into(), old);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        let row = Row {
            method: "cfm".into(),
            accuracy_mean: 0.1 + 0.2,
            accuracy_sem: 0.01,
            accuracy_best: 1.0 / 3.0,
            accuracy_top5: 0.5,
            loss_mean: f64::INFINITY,
            novelty_l2: 1.25,
            novelty_l2_nearest: 7.0,
            novelty_weights: 1.0,
            novelty_behaviour: 0.9,
            novelty_iou: 0.5,
            novel_and_performing: 0.75,
            novel_performing_weights: 0.5,
            performing: 0.8,
            new_in_weights: 0.7,
            new_in_behaviour: 0.9,
            copying_weights: -1.5,
            copying_behaviour: 0.5,
            spread_weights: 0.9,
            spread_behaviour: 1.1,
            ensemble_gain: 0.01,
            diversity_l2: 1e-300,
            diversity_iou: 0.5,
            n: 4,
            seconds: 2.5,
            accuracy_sd: 0.02,
            accuracy_floor: 0.3,
        };
        write_rows(&path, &[row.clone(), Row { n: 5, ..row.clone() }]).unwrap();
        let read = read_rows(&path).unwrap();
        // What is not finite is null in JSON, and not a number afterwards.
        assert!(read[0].loss_mean.is_nan() && read.len() == 2 && read[1].n == 5);
        assert_eq!(Row { loss_mean: row.loss_mean, ..read[0].clone() }, row);
        // Rows of older versions have another N&P, and say nothing of the rest.
        let mut old = serde_json::to_value(&row).unwrap();
        let new = ["novel_performing_weights", "novelty_behaviour", "copying_weights", "ensemble_gain"];
        new.iter().for_each(|key| drop(old.as_object_mut().unwrap().remove(*key)));
        fs::write(&path, serde_json::json!({ "format": RESULTS, "rows": [old] }).to_string()).unwrap();
        let read = &read_rows(&path).unwrap()[0];
        assert!(read.novel_and_performing.is_nan() && read.novelty_behaviour.is_nan());
        assert_eq!((read.novel_performing_weights, read.spread_weights), (0.75, 0.9));
        let said = |text: &str| {
            fs::write(&path, text).unwrap();
            read_rows(&path).unwrap_err().to_string()
        };
        assert!(said("{").contains("results.json: file"));
        assert!(said("{\"format\": \"thalweg results 2\", \"rows\": []}").contains("found thalweg results 2"));
        let other = said("{\"format\": \"thalweg results 1\", \"rows\": [{\"method\": \"sample\", \"n\": 3}]}");
        assert!(other.contains("row 0") && other.contains("accuracy_mean"), "{other}");
    }
}
