//! What to look at after an alarm, in tables and as JSON.
use crate::row;
use crate::table::{Cell, Table, Weight};
use anyhow::Result;
use serde_json::Value;
use thalweg::shift::calibration::Calibration;
use thalweg::shift::explain::Explanation;
use thalweg::shift::explain::feature::{Feature, Kind};

/// Features with a smaller p-value stand out.
const SEEN: f64 = 0.05;
/// Features shown.
const FEATURES: usize = 8;
/// Classes shown.
const CLASSES: usize = 6;

/// The features of a calibrated network's inputs by the names of P's columns; none for images.
pub fn features(calibration: &Calibration) -> Vec<Feature> {
    if let Some(encoding) = &calibration.record.encoding {
        return encoding.features();
    }
    let Some(source) = calibration.record.source.as_ref().filter(|source| source.shape[1..] == [1, 1]) else {
        return Vec::new();
    };
    let normal = &source.normalisation;
    let of = |at: usize| Feature {
        name: source.feature_names.get(at).map_or_else(|| format!("column {at}"), Clone::clone),
        columns: at..at + 1,
        kind: Kind::Number {
            mean: f64::from(normal.mean[at]) + normal.offset_of(at),
            deviation: f64::from(normal.std[at]),
        },
    };
    (0..source.shape[0]).map(of).collect()
}

fn share(value: f64) -> Cell {
    Cell::Text(format!("{:.0} %", 100.0 * value))
}

fn optional(value: Option<f64>, digits: usize) -> Cell {
    Cell::Number(value.unwrap_or(f64::NAN), digits)
}

/// Features, subgroups, classes and rows; those of which nothing is known are left out.
pub fn tables(found: &Explanation, picked: &[usize]) -> Vec<Table> {
    let all = [of_features(found), of_subgroups(found), of_classes(found), of_rows(found, picked)];
    all.into_iter().filter(|table| !table.rows.is_empty()).collect()
}

/// The features that lie farthest from P.
pub fn of_features(found: &Explanation) -> Table {
    let mut table = Table::new(&["feature", "mean on P", "mean on Q", "distance", "p", "explains"]);
    for moved in found.features.iter().take(FEATURES) {
        let number = |at: usize| {
            moved.means.map_or(Cell::Number(f64::NAN, 0), |means| Cell::Number(means[at], digits(means[0], means[1])))
        };
        let cells = vec![
            moved.name.as_str().into(),
            number(0),
            number(1),
            Cell::Number(moved.distance, 2),
            Cell::Number(moved.p_value, 3),
            moved.explains.map_or(Cell::Number(f64::NAN, 0), share),
        ];
        table.push(if moved.p_value <= SEEN { Weight::Strong } else { Weight::Plain }, cells);
    }
    table.note = "Distance: the greatest difference of the shares of P and Q below a value (Kolmogorov-Smirnov; of a category the greatest difference of \
                  shares). p: how often rows mixed at random have so great a distance in any feature. Explains: the part of the disagreement beyond P's that is gone \
                  where Q has values of P in place of the feature's; parts of features that go together need not add up to 100 %."
        .into();
    table
}

/// Digits after the point that tell two means apart.
fn digits(a: f64, b: f64) -> usize {
    let size = a.abs().max(b.abs()).max(1e-9).log10().floor() as i32;
    usize::try_from(3 - size).unwrap_or(0).min(4)
}

/// Parts of Q.
pub fn of_subgroups(found: &Explanation) -> Table {
    let mut table = Table::new(&["rows of Q where", "rows", "share of Q", "share of P", "mean score"]);
    for (i, group) in found.subgroups.iter().enumerate() {
        let cells = vec![
            group.conditions.join(" and ").into(),
            group.rows.into(),
            share(group.shares[1]),
            share(group.shares[0]),
            Cell::Number(group.score, 3),
        ];
        table.push(if i == 0 { Weight::Strong } else { Weight::Plain }, cells);
    }
    table.note = "A shallow tree that parts rows which look out of place from others.".into();
    table
}

/// The classes whose share changed most.
pub fn of_classes(found: &Explanation) -> Table {
    let mut table = Table::new(&["class by the model", "share of P", "share of Q", "mean score"]);
    for class in found.classes.iter().take(CLASSES) {
        let cells = vec![
            class.class.to_string().into(),
            share(class.shares[0]),
            share(class.shares[1]),
            optional(class.score, 3),
        ];
        table.push(Weight::Plain, cells);
    }
    table
}

/// The rows that look most out of place; `picked` are numbers of rows in Q.
pub fn of_rows(found: &Explanation, picked: &[usize]) -> Table {
    let mut table = Table::new(&["row of Q", "score", "class by the model", "farthest from P in"]);
    for row in &found.rows {
        let values: Vec<String> = row.values.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let cells = vec![
            picked[row.row].to_string().into(),
            Cell::Number(row.score, 3),
            row.class.to_string().into(),
            values.join(", ").into(),
        ];
        table.push(Weight::Plain, cells);
    }
    let by = found.scored_by.map_or("", |method| method.looks_at());
    let on_p = found.scores.map_or(String::new(), |[on_p, on_q]| format!(" Mean on P {on_p:.3}, on Q {on_q:.3}."));
    table.note = format!(
        "Rows counted from 0. Score: {by}.{on_p} A great one does not say that the model is wrong on the row, but that its training data do not decide what is right."
    );
    table
}

/// All of it, rows by their numbers in Q.
///
/// # Errors
/// None that an explanation could lead to.
pub fn json(found: &Explanation, picked: &[usize]) -> Result<Value> {
    let mut value = serde_json::to_value(found)?;
    let rows = found.rows.iter().map(|row| {
        let values: serde_json::Map<String, Value> =
            row.values.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        Value::Object(row! { "row" => picked[row.row], "score" => row.score, "class" => row.class, "values" => values })
    });
    value["rows"] = Value::Array(rows.collect());
    Ok(value)
}
