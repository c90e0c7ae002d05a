//! The judgement of networks beside those of a zoo.
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::study::Study;
use crate::table::Weight;
use crate::verdict::Verdict;
use anyhow::Result;
use thalweg::Streams;
use thalweg::judge::baseline::Baseline;
use thalweg_nets::Error;
use thalweg_nets::evaluate::evaluate;
use thalweg_nets::progress::Progress;

/// Verdicts and the accuracies behind them: the samples, the zoo, held-out runs, the baselines.
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
    study.judged(|judge, finals| {
        let all = if baselines { Baseline::table(study.split.train.len(), finals.start.is_some()) } else { Vec::new() };
        session
            .progress
            .begin("judging", (1 + usize::from(!study.runs.held_out.is_empty()) + samples.len() + all.len()) as u64);
        let n = samples.first().map_or(1, |(_, _, theta)| theta.len() / study.parameters());
        let mut verdicts = Vec::new();
        let mut add = |weight: Weight, name: &str, theta: &[f32]| -> Result<()> {
            if session.progress.interrupted() {
                return Err(Error::Interrupted.into());
            }
            let judged = judge.judge(theta)?;
            let row = judge.summarise(name, &judged, f64::NAN)?;
            verdicts.push((Verdict::once(weight, row), judged.accuracy));
            session.progress.advance(1);
            Ok(())
        };
        for (weight, name, theta) in samples {
            add(*weight, name, theta)?;
        }
        if !study.runs.held_out.is_empty() {
            add(Weight::Faint, "held-out", &study.runs.held_out)?;
        }
        for baseline in all {
            add(Weight::Plain, &baseline.name(), &baseline.sample(finals, n, &Streams::new(seed).child("eval"))?)?;
        }
        // The zoo is judged by leaving each run out, unlike everything else here, so it has a way of its own.
        let own = evaluate(&study.engine, &study.runs.training, &study.test.inputs, &study.test.labels)?;
        let own = own.iter().map(|score| score.accuracy).collect();
        session.progress.advance(1);
        verdicts.insert(samples.len(), (Verdict::once(Weight::Faint, judge.zoo_row()?), own));
        session.progress.end();
        Ok(verdicts)
    })
}

/// What every row of a study carries.
pub fn about(study: &Study) -> Row {
    let kind = study.zoo.spec().map_or("imported", |s| s.kind.name());
    let data = study.zoo.data().map_or("", |d| d.name.as_str());
    row! { "data" => data, "zoo_kind" => kind, "runs" => study.split.train.len() }
}
