//! `thalweg zoo align`: a zoo whose runs are permuted to lie close to one of them (M3), and what that does to the lines between them.
use super::next::Next;
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, Plan, Resumes, settings};
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::study::Rows;
use crate::table::{Cell, Table, Weight};
use crate::work::outlook::Outlook;
use crate::work::zoo::best_run;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use thalweg::coupling::assignment::squared_distance;
use thalweg::metric::barrier;
use thalweg::metric::summary::{Better, Summary};
use thalweg::space::align::align_zoo;
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;
use thalweg_nets::zoo::{DeriveOptions, ZooStore};

/// Points on the line between two networks.
const POINTS: usize = 11;

/// Permute the hidden units of every run so that it lies close to a reference run
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo align zoo/ --out aligned/
  thalweg zoo align zoo/ --reference 3 --pairs 50 --out aligned/
  # without the table of loss barriers
  thalweg zoo align zoo/ --pairs 0 --out aligned/

Networks compute what they computed before; whole trajectories move by the permutation of their final checkpoint.")]
pub struct Args {
    /// Folder of the zoo
    #[arg(value_name = "ZOO")]
    zoo: PathBuf,
    /// The run that the others are aligned to; the one of least final validation loss by default
    #[arg(long, value_name = "RUN")]
    reference: Option<usize>,
    /// Pairs of runs between which the loss barrier is measured, on validation rows
    #[arg(long, value_name = "N", default_value_t = 20)]
    pairs: usize,
    /// Data in the place of what the zoo says, as its networks take them
    #[arg(long, value_name = "NAME[:PATH]")]
    data: Option<String>,
}

/// Aligns and tells.
///
/// # Errors
/// A zoo without architecture, too few runs, an output folder that holds something else.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let set = data::only_data("zoo align", &session.common.set)?;
    let named = data::named(args.data.as_deref(), set)?;
    let zoo = ZooStore::open(&args.zoo)?;
    let alive = zoo.alive();
    let reference = match args.reference {
        Some(run) => run,
        None => best_run(&zoo).with_context(|| format!("{}: no run that is alive", args.zoo.display()))?,
    };
    let others: Vec<usize> = alive.iter().copied().filter(|&run| run != reference).collect();
    if others.is_empty() {
        bail!("{}: expected at least two runs that are alive, found {}", args.zoo.display(), alive.len());
    }
    // Data that changed are told before the work, not after.
    let pairs = pairs(&others, args.pairs);
    let ground = ground(&zoo, &pairs, named.as_ref(), session)?;
    let plan = Plan {
        command: "zoo align",
        names: super::files::FILES,
        resumes: Resumes::Again,
        settings: settings([("zoo", zoo.origin().id().into()), ("reference", i64::try_from(reference)?.into())]),
        inputs: Inputs::default().path(&args.zoo).data(named.as_ref()),
    };
    let Some(out) = session.folder("zoo-aligned", &plan)? else { return Ok(Outcome::Done) };
    let options = DeriveOptions { resume: session.common.resume, force: false };
    let aligned = align_zoo(&zoo, reference, out.dir(), options, &session.progress)?;
    session.progress.end();

    let mut table = Table::new(&["zoo", "distance to reference", "loss barrier", "accuracy halfway"]).note(format!(
        "Final networks. Distance: L2 of {} runs to run {reference}. Barrier: how far the loss rises above the chord on the straight line \
         between two runs, on validation rows, over {} pairs; ± standard errors.",
        others.len(),
        pairs.len(),
    ));
    let mut results = Results::new(0);
    for (name, zoo) in [("as it was", &zoo), ("aligned", &aligned)] {
        let distance = distances(zoo, reference, &others)?;
        let lines = ground.as_ref().map(|(engine, rows)| lines(zoo, &pairs, engine, rows)).transpose()?;
        let mut row = row! { "zoo" => name, "reference" => reference, "runs" => others.len(), "distance_mean" => distance.mean, "distance_sem" => distance.sem };
        let mut cells = vec![name.into(), Cell::Estimate(distance.mean, distance.sem, 2)];
        match &lines {
            Some([loss, accuracy]) => {
                cells.extend([Cell::Estimate(loss.mean, loss.sem, 3), Cell::Estimate(accuracy.mean, accuracy.sem, 3)]);
                row.extend(row! { "pairs" => loss.n, "barrier_mean" => loss.mean, "barrier_sem" => loss.sem, "middle_accuracy_mean" => accuracy.mean, "middle_accuracy_sem" => accuracy.sem });
            }
            None => cells.extend(["–".into(), "–".into()]),
        }
        table.push(Weight::Plain, cells);
        results.rows.push(row);
    }
    session.show(&table);
    results.made(out.shown());
    let prospect = Outlook::of_made(&aligned, out.shown())?;
    let next = Next::of(&aligned, out.shown(), prospect).told(out.shown());
    session.finish(Some(out), results)?;
    session.say(&next);
    Ok(Outcome::Done)
}

/// Neighbours among `runs`, then every second one, and so on, until there are `wanted`.
fn pairs(runs: &[usize], wanted: usize) -> Vec<(usize, usize)> {
    let gaps = 1..runs.len();
    gaps.flat_map(|gap| runs.windows(gap + 1).map(move |w| (w[0], w[gap]))).take(wanted).collect()
}

fn distances(zoo: &ZooStore, reference: usize, runs: &[usize]) -> Result<Summary> {
    let target = zoo.finals(&[reference])?;
    let distance = |&run: &usize| Ok(squared_distance(&target, &zoo.finals(&[run])?).sqrt());
    let all: Vec<f64> = runs.iter().map(distance).collect::<Result<_>>()?;
    Ok(Summary::of("distance", &all, Better::Lower)?)
}

/// What barriers are measured by, for both zoos; none where there are no pairs or no data to evaluate on.
fn ground(
    zoo: &ZooStore,
    pairs: &[(usize, usize)],
    named: Option<&DataSpec>,
    session: &Session,
) -> Result<Option<(Engine, Rows)>> {
    let (Some(architecture), false) = (zoo.architecture(), pairs.is_empty()) else { return Ok(None) };
    let Some(splits) = data::load_for(named, zoo.data(), &session.progress)? else { return Ok(None) };
    fits(architecture, &splits.validation)?;
    let engine = Engine::new(architecture)?;
    let rows = Rows::new(&engine, splits.validation)?;
    Ok(Some((engine, rows)))
}

/// Barrier and accuracy halfway over `pairs`.
fn lines(zoo: &ZooStore, pairs: &[(usize, usize)], engine: &Engine, rows: &Rows) -> Result<[Summary; 2]> {
    let ends = pairs.iter().map(|&(a, b)| Ok((zoo.finals(&[a])?, zoo.finals(&[b])?))).collect::<Result<Vec<_>>>()?;
    let ends: Vec<(&[f32], &[f32])> = ends.iter().map(|(a, b)| (&a[..], &b[..])).collect();
    let found = barrier::barriers(engine, &ends, &rows.inputs, &rows.labels, POINTS)?;
    Ok(barrier::summaries(&found)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_distinct_and_as_many_as_wanted_or_there_are() {
        assert_eq!(pairs(&[3, 5, 9], 2), [(3, 5), (5, 9)]);
        assert_eq!(pairs(&[3, 5, 9], 20), [(3, 5), (5, 9), (3, 9)]);
        assert!(pairs(&[3, 5, 9], 0).is_empty());
    }
}
