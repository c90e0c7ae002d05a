//! Judgements as rows: of `results.json`, of the table on the terminal and in the report. Repeated fits of one method become
//! one row whose standard errors are over fits; a single sample's are over its networks.
use crate::report::figures::mean_sem;
use crate::results::{Row, object};
use crate::row;
use crate::table::{Cell, Table, Weight};
use anyhow::Result;
use thalweg::judge;
use thalweg::metric::summary::share_error;

/// One method on one zoo, judged once or several times.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The method's name in results.json.
    pub method: String,
    /// What it is, for people.
    pub label: String,
    /// How much its row stands out.
    pub weight: Weight,
    /// One judgement a fit (or one alone).
    pub rows: Vec<judge::Row>,
    /// Seconds that each fit took; empty where nothing was fitted.
    pub fit_seconds: Vec<f64>,
}

impl Verdict {
    /// A method judged once.
    pub fn once(weight: Weight, row: judge::Row) -> Self {
        let (method, label) = (row.method.clone(), label(&row.method));
        Self { method, label, weight, rows: vec![row], fit_seconds: Vec::new() }
    }

    /// What its one fit and its sampling took, in seconds.
    pub fn timed(&mut self, fit: f64, sampling: f64) {
        self.fit_seconds = vec![fit];
        self.rows.iter_mut().for_each(|row| row.seconds = sampling);
    }

    /// Seconds that one of its networks cost, its share of the fit included; none where nothing was fitted.
    pub fn seconds_a_network(&self) -> Option<f64> {
        let fits = mean_sem(&self.fit_seconds).0;
        let each = self.mean(|row| (fits + row.seconds) / row.n as f64);
        each.is_finite().then_some(each)
    }

    /// Mean and standard error of a number over the judgements; for a single one the error is `alone`.
    fn estimate(&self, of: impl Fn(&judge::Row) -> f64, alone: impl Fn(&judge::Row) -> f64) -> (f64, f64) {
        match &self.rows[..] {
            [one] => (of(one), alone(one)),
            all => mean_sem(&all.iter().map(of).collect::<Vec<_>>()),
        }
    }

    /// Mean accuracy with its standard error.
    pub fn accuracy(&self) -> (f64, f64) {
        self.estimate(|r| r.accuracy_mean, |r| r.accuracy_sem)
    }

    /// Mean share of novel and performing networks with its standard error.
    pub fn novel_and_performing(&self) -> (f64, f64) {
        self.estimate(|r| r.novel_and_performing, |r| share_error(r.novel_and_performing, r.n))
    }

    /// Median distances d_w in weights and d_f in behaviour to the nearest training network, with their standard errors over fits.
    pub fn novelty(&self) -> [(f64, f64); 2] {
        [self.estimate(|r| r.novelty_weights, |_| f64::NAN), self.estimate(|r| r.novelty_behaviour, |_| f64::NAN)]
    }

    /// Which of the three numbers keep its networks from being novel and performing, each with what it is; empty where none is below the zoo's.
    pub fn lacking(&self) -> String {
        let [(weights, _), (behaviour, _)] = self.novelty();
        let reach = |what: String, share: f64| format!("{what} (a share of {share:.2} reaches the zoo's 5 % quantile)");
        let shares = [
            ("accuracy".to_owned(), self.mean(|r| r.performing)),
            (format!("distance in weights, d_w {weights:.2}"), self.mean(|r| r.new_in_weights)),
            (format!("answers of their own, d_f {behaviour:.2}"), self.mean(|r| r.new_in_behaviour)),
        ];
        let lacks: Vec<String> =
            shares.into_iter().filter(|(_, share)| *share < 0.9).map(|(what, share)| reach(what, share)).collect();
        lacks.join(", ")
    }

    /// Data-copying scores in weights and in behaviour; below −2 copies, as far as the held-out runs can tell.
    pub fn copying(&self) -> [f64; 2] {
        [self.mean(|r| r.copying_weights), self.mean(|r| r.copying_behaviour)]
    }

    /// Spread among its networks over the runs' own, in weights and in behaviour.
    pub fn spread(&self) -> [f64; 2] {
        [self.mean(|r| r.spread_weights), self.mean(|r| r.spread_behaviour)]
    }

    fn mean(&self, of: impl Fn(&judge::Row) -> f64) -> f64 {
        mean_sem(&self.rows.iter().map(of).collect::<Vec<_>>()).0
    }

    /// The row of results.json, with `about` (data, zoo kind, …) after the method.
    ///
    /// # Errors
    /// Never for rows made of numbers.
    pub fn row(&self, about: &Row) -> Result<Row> {
        let mut row = row! { "method" => self.method };
        row.extend(about.clone());
        let Some(first) = self.rows.first() else { return Ok(row) };
        let (accuracy, novel, novelty) = (self.accuracy(), self.novel_and_performing(), self.novelty());
        let several = self.rows.len() > 1;
        for (key, value) in object(first)? {
            let over_all = match value.as_f64() {
                Some(_) if several => {
                    let all = self.rows.iter().map(object).collect::<Result<Vec<_>>>()?;
                    let values: Vec<f64> = all.iter().filter_map(|r| r[&key].as_f64()).collect();
                    serde_json::json!(mean_sem(&values).0)
                }
                _ => value,
            };
            if key != "method" {
                row.insert(key, over_all);
            }
        }
        row.extend(row! {
            "accuracy_mean" => accuracy.0,
            "accuracy_sem" => accuracy.1,
            "accuracy_best" => self.rows.iter().map(|r| r.accuracy_best).fold(f64::NEG_INFINITY, f64::max),
            "novelty_weights_sem" => novelty[0].1,
            "novelty_behaviour_sem" => novelty[1].1,
            "novel_and_performing_sem" => novel.1,
            "n" => self.rows.iter().map(|r| r.n).sum::<usize>(),
            "fits" => self.fit_seconds.len(),
            "fit_seconds" => mean_sem(&self.fit_seconds).0,
            "errors_over" => if several { "fits" } else { "networks" },
        });
        Ok(row)
    }
}

/// Fits of one method become one verdict; the accuracies behind them are joined.
pub fn by_method(judged: Vec<(Verdict, Vec<f64>)>) -> (Vec<Verdict>, Vec<Vec<f64>>) {
    let (mut verdicts, mut accuracies): (Vec<Verdict>, Vec<Vec<f64>>) = (Vec::new(), Vec::new());
    for (verdict, accuracy) in judged {
        match verdicts.iter().position(|v| v.method == verdict.method) {
            Some(at) => {
                verdicts[at].rows.extend(verdict.rows);
                verdicts[at].fit_seconds.extend(verdict.fit_seconds);
                accuracies[at].extend(accuracy);
            }
            None => {
                verdicts.push(verdict);
                accuracies.push(accuracy);
            }
        }
    }
    (verdicts, accuracies)
}

/// What ends the name of a method that started from recorded training initialisations.
pub const PROBE: &str = "-from-training-starts";

/// What ends the name of a method that was fitted to weights shuffled within tensors.
pub const SHUFFLED: &str = "-on-shuffled-weights";

/// Colour class of a method, the same in every picture.
pub fn colour(method: &str) -> usize {
    match method {
        "zoo" | "held-out" => 0,
        "samples" | "cfm" | "NM-CFM" => 5,
        "mmfm" | "NM-MMFM" => 3,
        probe if probe.ends_with(PROBE) || probe.ends_with(SHUFFLED) => 7,
        other if other.starts_with("NM-") => 4,
        _ => 2,
    }
}

/// What a method's name means, for people.
pub fn label(method: &str) -> String {
    match method {
        "zoo" => "training runs of the zoo".into(),
        "held-out" => "held-out real runs".into(),
        "cfm" => "NM-CFM".into(),
        "mmfm" => "NM-MMFM".into(),
        "ddpm" => "DDPM".into(),
        "mean" => "mean of the finals".into(),
        "interpolation" => "interpolation of two finals".into(),
        "aligned-interpolation" => "interpolation of a final and another aligned to it".into(),
        "diagonal-gaussian" => "diagonal Gaussian of the finals".into(),
        "pca-gaussian" => "PCA Gaussian of the finals".into(),
        "swag" => "SWAG's Gaussian of the finals".into(),
        "run-swag" => "SWAG's Gaussian of a run's own checkpoints".into(),
        "mean-move" => "fresh start + mean move".into(),
        other => {
            if let Some((of, level)) = other.split_once("-flat-noise-") {
                format!("{} + noise in flat directions ({level} d)", label(of))
            } else if let Some((of, (share, level))) =
                other.split_once("-felt-").and_then(|(of, rest)| Some((of, rest.split_once("-noise-")?)))
            {
                format!(
                    "{} + noise that changes {share} of the answers by which runs differ from it ({level} d)",
                    label(of)
                )
            } else if let Some(level) = other.strip_prefix("flat-noise-") {
                format!("a final + noise in flat directions ({level} d)")
            } else if let Some(members) = other.strip_prefix("soup-") {
                match members {
                    "2" => "midpoint of two finals".into(),
                    "3" => "mean of three finals".into(),
                    many => format!("soup of {many} finals"),
                }
            } else if let Some(share) = other.strip_prefix("new-run-") {
                if share == "1" { "new runs".into() } else { format!("new runs after {share} of their steps") }
            } else if let Some(level) = other.strip_prefix("noise-") {
                format!("a final + noise ({level} d)")
            } else if let Some(method) = other.strip_suffix(SHUFFLED) {
                format!("{}, control on shuffled weights", label(method))
            } else if let Some(method) = other.strip_suffix(PROBE) {
                format!("{}, memorisation probe", label(method))
            } else {
                other.to_owned()
            }
        }
    }
}

/// The table of verdicts.
pub fn table(verdicts: &[Verdict]) -> Table {
    let mut columns = vec!["method", "accuracy", "best", "d_w", "d_f", "N&P", "pass acc.", "pass w", "pass f"];
    columns.extend(["copying w", "copying f", "spread w", "spread f", "overlap", "gain of 16", "n"]);
    let timed = verdicts.iter().any(|v| !v.fit_seconds.is_empty());
    if timed {
        columns.extend(["fit s", "ms each"]);
    }
    let mut table = Table::new(&columns).least(&["method", "accuracy", "d_w", "d_f", "N&P", "n"]);
    for v in verdicts {
        let (accuracy, novel, [weights, behaviour]) = (v.accuracy(), v.novel_and_performing(), v.novelty());
        let best = v.rows.iter().map(|r| r.accuracy_best).fold(f64::NEG_INFINITY, f64::max);
        let mean = |of: fn(&judge::Row) -> f64, digits: usize| Cell::Number(v.mean(of), digits);
        let mut cells = vec![
            v.label.clone().into(),
            Cell::Estimate(accuracy.0, accuracy.1, 4),
            Cell::Number(best, 4),
            Cell::Estimate(weights.0, weights.1, 2),
            Cell::Estimate(behaviour.0, behaviour.1, 2),
            Cell::Estimate(novel.0, novel.1, 2),
            mean(|r| r.performing, 2),
            mean(|r| r.new_in_weights, 2),
            mean(|r| r.new_in_behaviour, 2),
            mean(|r| r.copying_weights, 1),
            mean(|r| r.copying_behaviour, 1),
            mean(|r| r.spread_weights, 2),
            mean(|r| r.spread_behaviour, 2),
            mean(|r| r.novelty_iou, 2),
            mean(|r| r.ensemble_gain, 4),
            Cell::Count(v.rows.iter().map(|r| r.n).sum()),
        ];
        if timed {
            cells.push(Cell::Number(mean_sem(&v.fit_seconds).0, 1));
            cells.push(Cell::Number(1e3 * v.mean(|r| r.seconds / r.n as f64), 2));
        }
        table.push(v.weight, cells);
    }
    let over = if verdicts.iter().any(|v| v.rows.len() > 1) {
        ", over fits where a method was fitted several times and over networks elsewhere"
    } else {
        " over networks"
    };
    table.note = format!("On test data. ± is one standard error{over}. {LEGEND}");
    table
}

/// What the columns of [`table`] are.
const LEGEND: &str = "d_w: distance in weights to the nearest training run, after the network's hidden units are brought into \
    that run's order; d_f: share of test rows answered differently from the training run that answers most alike (where a twentieth \
    of the runs answer every row as another does, how far class probabilities are apart, in its place); both are medians in units of the \
    zoo's own (1 = as far as a new run, 0 = a copy). N&P (novel and performing): share of networks that reach the zoo's own 5 % quantile in accuracy, in d_w and in d_f; \
    pass: the share that reaches it in one of the three; the rows of real runs show what can be expected; its error is the standard deviation of Beta(k + 1, n − k + 1) for k of n networks, which is not 0 where none or all do. Copying: z of a test whether networks lie nearer to the training runs than held-out runs do, in weights (w) \
    and in behaviour (f); far below 0: copies. Spread: how different the networks are from each other, over the training runs' own. Overlap: how far the errors of a network coincide \
    with those of its most similar training run (1 = the same errors). Gain of 16: what averaging the answers of 16 networks adds to the accuracy.";

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A verdict on 100 networks of `method`.
    pub fn judged(method: &str, accuracy: f64, novel: f64, d_weights: f64) -> Verdict {
        let row = judge::Row {
            method: method.into(),
            accuracy_mean: accuracy,
            novel_and_performing: novel,
            performing: 1.0,
            new_in_weights: if d_weights < 0.9 { 0.0 } else { 0.95 },
            new_in_behaviour: 0.95,
            novelty_weights: d_weights,
            novelty_behaviour: 1.0,
            ..row(accuracy, d_weights)
        };
        Verdict::once(Weight::Plain, row)
    }

    fn row(accuracy: f64, d: f64) -> judge::Row {
        judge::Row {
            method: "cfm".into(),
            accuracy_mean: accuracy,
            accuracy_sem: 0.01,
            accuracy_best: accuracy + 0.02,
            accuracy_top5: accuracy + 0.01,
            loss_mean: f64::NAN,
            novelty_l2: d,
            novelty_l2_nearest: d,
            novelty_weights: d,
            novelty_behaviour: d,
            novelty_iou: 0.5,
            novel_and_performing: 0.5,
            novel_performing_weights: 0.5,
            performing: 0.5,
            new_in_weights: 0.5,
            new_in_behaviour: 0.5,
            copying_weights: -1.0,
            copying_behaviour: 1.0,
            spread_weights: 1.0,
            spread_behaviour: 1.0,
            ensemble_gain: f64::NAN,
            diversity_l2: 1.0,
            diversity_iou: 0.5,
            n: 100,
            seconds: 1.0,
            accuracy_sd: 0.1,
            accuracy_floor: 0.9,
        }
    }

    #[test]
    fn errors_are_over_fits_where_there_are_several() {
        let about = row! { "data" => "digits", "zoo_kind" => "fork" };
        let one = Verdict::once(Weight::Plain, row(0.9, 1.0)).row(&about).unwrap();
        assert_eq!(
            (&one["accuracy_sem"], &one["errors_over"], &one["data"]),
            (&0.01.into(), &"networks".into(), &"digits".into())
        );
        assert!(one["fit_seconds"].is_null() && one["loss_mean"].is_null());
        let rows = vec![row(0.90, 1.0), row(0.92, 1.2), row(0.94, 1.1)];
        let three = Verdict { rows, fit_seconds: vec![1.0, 2.0, 3.0], ..Verdict::once(Weight::Strong, row(0.0, 0.0)) };
        let all = three.row(&about).unwrap();
        let number = |key: &str| all[key].as_f64().unwrap();
        assert!((number("accuracy_mean") - 0.92).abs() < 1e-12);
        // Standard deviation .02 of three.
        assert!((number("accuracy_sem") - 0.02 / 3f64.sqrt()).abs() < 1e-12);
        assert!((number("accuracy_best") - 0.96).abs() < 1e-12 && (number("novelty_weights") - 1.1).abs() < 1e-12);
        assert_eq!((number("n"), number("fits"), number("fit_seconds")), (300.0, 3.0, 2.0));
        assert_eq!(all.keys().next().unwrap(), "method");
        assert_eq!(table(&[three]).rows.len(), 1);
    }

    #[test]
    fn labels_are_for_people() {
        assert_eq!(label("mmfm"), "NM-MMFM");
        assert_eq!(label("soup-16"), "soup of 16 finals");
        assert_eq!(label("noise-1.1"), "a final + noise (1.1 d)");
        assert_eq!(label("flat-noise-1.02"), "a final + noise in flat directions (1.02 d)");
        assert_eq!(label("soup-3-flat-noise-1.02"), "mean of three finals + noise in flat directions (1.02 d)");
        let noisy = label("interpolation-flat-noise-1");
        assert_eq!(noisy, "interpolation of two finals + noise in flat directions (1 d)");
        assert_eq!(label("something-else"), "something-else");
    }
}
