//! Networks judged by their weights alone, with scores from elsewhere where there are some: for zoos whose architecture is not known here.
use super::eval::Judged;
use super::pieces::Found;
use super::scores::ScoreFlags;
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::table::{Cell, Table, Weight};
use crate::verdict::label;
use anyhow::{Result, ensure};
use std::path::Path;
use thalweg::Streams;
use thalweg::judge::{Origin, Weights, WeightsRow, ZooRuns, by_weights};
use thalweg::metric::summary::{Better, Summary, mean_sem, quantile};
use thalweg::model::Networks;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// Judges the networks of `file` beside those of `zoo`; beside trivial `baselines` too where they are wanted and can be scored as the others are.
///
/// # Errors
/// Files that do not fit, scores that cannot be had.
pub fn beside(file: &Path, zoo: &ZooStore, scores: &ScoreFlags, baselines: bool, session: &Session) -> Result<Judged> {
    let layout = zoo.layout();
    let networks = Networks::read_laid_out(file, layout, &|line| session.progress.note(line))?;
    ensure!(
        networks.parameters == layout.len(),
        "{}: expected networks of {} weights, as those of the zoo, found {}",
        file.display(),
        layout.len(),
        networks.parameters
    );
    let split = networks.split.unwrap_or_default().of(zoo)?;
    let runs = ZooRuns::modelled(zoo, &split)?;
    let weights = Weights { layout, training: &runs.training, held_out: &runs.held_out, start: runs.start() };
    let mut score = |origin: Origin, _: &str, theta: &[f32]| {
        let from_file = match origin {
            Origin::Generated => scores.of_networks(theta.len() / layout.len()),
            Origin::Zoo => scores.of_runs(&split.train, zoo.runs()),
            Origin::HeldOut => scores.of_runs(&split.test, zoo.runs()),
            Origin::Baseline => Ok(None),
        };
        match from_file? {
            Some(found) => Ok(Some(found)),
            None => scores.asked(theta, zoo, session),
        }
    };
    let streams = baselines.then(|| Streams::new(session.seed_or(0)).child("eval"));
    let samples = ("samples", &networks.theta[..]);
    let rows = by_weights(weights, samples, streams.as_ref(), &mut score, &session.progress)?;
    session.progress.end();
    let better = if scores.lower_is_better() { Better::Lower } else { Better::Higher };
    let bar = rows.iter().find(|row| row.origin == Origin::Zoo).and_then(|row| row.scores.as_deref());
    let bar = bar.map(|all| quantile("score", all, if better == Better::Higher { 0.05 } else { 0.95 })).transpose()?;
    let table = table(&rows, better, bar)?;
    let mean = rows[0].scores.as_deref().map_or(f64::NAN, |all| mean_sem(all).0);
    let rows = rows.iter().map(|judged| row_of(judged, better, bar)).collect::<Result<_>>()?;
    Ok(Judged { accuracy: mean, table, rows, report: None, found: Found::default() })
}

/// Share of the networks that are novel and, where scores and a bar are known, perform.
fn novel(row: &WeightsRow, better: Better, bar: Option<f64>) -> Option<f64> {
    let (scores, bar) = (row.scores.as_deref()?, bar?);
    let performs = |score: f64| if better == Better::Higher { score >= bar } else { score <= bar };
    let both = scores.iter().zip(&row.d).filter(|(score, d)| performs(**score) && **d > 1.0).count();
    Some(both as f64 / row.d.len() as f64)
}

fn table(rows: &[WeightsRow], better: Better, bar: Option<f64>) -> Result<Table> {
    let scored = rows.iter().any(|row| row.scores.is_some());
    let mut columns = vec!["method"];
    columns.extend(if scored { &["score", "best", "top 5"][..] } else { &[] });
    columns.push("d");
    columns.extend(bar.map(|_| "N&P"));
    columns.extend(["precision", "recall", "diversity", "n"]);
    let mut table = Table::new(&columns).note(
        "By weights alone. ± is one standard error over networks. d: distance in weights to the nearest training run, in units of the zoo's own (1 = as far as a \
         new run, 0 = a copy). Precision: share of the networks that lie among the training runs (within the ball of one to its third nearest other); \
         recall: share of the training runs that lie among the networks. Diversity: d among the networks themselves. N&P: share that is novel (d > 1) \
         and scores no worse than all but a twentieth of the training runs.",
    );
    for row in rows {
        let mut cells = vec![label(&row.method).into()];
        if scored {
            let summary = row.scores.as_deref().map(|all| Summary::of("score", all, better)).transpose()?;
            let number = |of: fn(&Summary) -> f64| Cell::Number(summary.as_ref().map_or(f64::NAN, of), 4);
            cells.push(summary.map_or(Cell::Number(f64::NAN, 4), |s| Cell::Estimate(s.mean, s.sem, 4)));
            cells.extend([number(|s| s.best), number(|s| s.top5)]);
        }
        let (d, sem) = mean_sem(&row.d);
        cells.push(Cell::Estimate(d, sem, 2));
        cells.extend(bar.map(|_| Cell::Number(novel(row, better, bar).unwrap_or(f64::NAN), 2)));
        let shares = row.overlap.map_or([f64::NAN; 2], |o| [o.precision, o.recall]);
        cells.extend(shares.map(|share| Cell::Number(share, 2)));
        cells.extend([Cell::Number(row.diversity, 2), Cell::Count(row.d.len())]);
        let weight = match row.origin {
            Origin::Generated => Weight::Strong,
            Origin::Baseline => Weight::Plain,
            Origin::Zoo | Origin::HeldOut => Weight::Faint,
        };
        table.push(weight, cells);
    }
    Ok(table)
}

fn row_of(judged: &WeightsRow, better: Better, bar: Option<f64>) -> Result<Row> {
    let (d, sem) = mean_sem(&judged.d);
    let mut row = row! {
        "method" => judged.method, "novelty_l2" => d, "novelty_l2_sem" => sem, "novelty_l2_nearest" => judged.nearest,
        "diversity_l2" => judged.diversity, "n" => judged.d.len(),
    };
    if let Some(overlap) = judged.overlap {
        row.extend(row! { "precision" => overlap.precision, "recall" => overlap.recall });
    }
    if let Some(scores) = &judged.scores {
        let s = Summary::of("score", scores, better)?;
        row.extend(
            row! { "score_mean" => s.mean, "score_sem" => s.sem, "score_best" => s.best, "score_top5" => s.top5 },
        );
        row.extend(row! { "novel_and_performing" => novel(judged, better, bar) });
    }
    Ok(row)
}
