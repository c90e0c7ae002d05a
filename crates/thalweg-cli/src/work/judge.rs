//! The judgement of networks beside those of a zoo.
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::study::Study;
use crate::table::Weight;
use crate::verdict::Verdict;
use anyhow::Result;
use thalweg::Streams;
use thalweg::judge::{Judged, Origin, ZooReference, table};

/// Random numbers of the baselines beside networks that are judged with this seed.
pub fn streams(seed: u64) -> Streams {
    Streams::new(seed).child("eval")
}

/// Verdicts and the accuracies behind them, in the order of the library's [`table`].
///
/// # Errors
/// Samples that are not of the zoo's networks.
pub fn judge_all(
    study: &Study,
    samples: &[(Weight, &str, &[f32])],
    baselines: bool,
    seed: u64,
    session: &Session,
) -> Result<Vec<(Verdict, Vec<f64>)>> {
    judge_beside(study.reference(), samples, baselines.then(|| streams(seed)).as_ref(), session)
}

/// As [`judge_all`], beside a `zoo` that says where logits come from, with the baselines of these streams where there are some.
///
/// # Errors
/// As [`judge_all`]; as the source of logits.
pub fn judge_beside(
    zoo: ZooReference<'_>,
    samples: &[(Weight, &str, &[f32])],
    baselines: Option<&Streams>,
    session: &Session,
) -> Result<Vec<(Verdict, Vec<f64>)>> {
    let generated: Vec<(&str, &[f32])> = samples.iter().map(|(_, name, theta)| (*name, *theta)).collect();
    let rows = table(zoo, &generated, baselines, &session.progress)?;
    session.progress.end();
    let mut weights = samples.iter().map(|(weight, _, _)| *weight);
    let weight = |origin| match origin {
        Origin::Generated => weights.next().unwrap_or_default(),
        Origin::Zoo | Origin::HeldOut => Weight::Faint,
        Origin::Baseline => Weight::Plain,
    };
    let weights: Vec<Weight> = rows.iter().map(|judged| judged.origin).map(weight).collect();
    let verdict = |(weight, Judged { row, networks, .. })| (Verdict::once(weight, row), networks.accuracy);
    Ok(weights.into_iter().zip(rows).map(verdict).collect())
}

/// What every row of a study carries.
pub fn about(study: &Study) -> Row {
    let kind = study.zoo.spec().map_or("imported", |s| s.kind.name());
    let data = study.zoo.data().map_or("", |d| d.name.as_str());
    row! { "data" => data, "zoo_kind" => kind, "runs" => study.split.train.len() }
}
