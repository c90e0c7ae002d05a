//! What an alignment has changed: distances of runs to their reference, and loss barriers between runs.
use crate::data;
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::study::Labelled;
use crate::table::{Cell, Table, Weight};
use anyhow::Result;
use thalweg::coupling::assignment::squared_distance;
use thalweg::metric::barrier;
use thalweg::metric::summary::{Better, Summary};
use thalweg_nets::data::DataSpec;
use thalweg_nets::engine::Engine;
use thalweg_nets::train::fits;
use thalweg_nets::zoo::ZooStore;

/// Points on the line between two networks.
const POINTS: usize = 11;

/// Runs of a zoo to be compared: with a reference, and pairwise.
pub struct Comparison {
    /// The run that the others lie close to.
    reference: usize,
    /// The others.
    others: Vec<usize>,
    /// Neighbours among the others.
    pairs: Vec<(usize, usize)>,
    /// What barriers are measured on; none where there are no pairs or no data to evaluate on.
    ground: Option<(Engine, Labelled)>,
}

impl Comparison {
    /// Of `others` with `reference`, and of so many `pairs` of the others on validation rows of `named`, or of what the zoo says.
    ///
    /// # Errors
    /// Data that cannot be had, or that changed.
    pub fn new(
        zoo: &ZooStore,
        reference: usize,
        others: Vec<usize>,
        wanted: usize,
        named: Option<&DataSpec>,
        session: &Session,
    ) -> Result<Self> {
        let pairs = pairs(&others, wanted);
        let ground = ground(zoo, &pairs, named, session)?;
        Ok(Self { reference, others, pairs, ground })
    }

    /// The comparison in each of `zoos`, as a table and as rows for results.json.
    ///
    /// # Errors
    /// A zoo that cannot be read.
    pub fn table(&self, zoos: [(&str, &ZooStore); 2]) -> Result<(Table, Vec<Row>)> {
        let Self { reference, others, pairs, ground } = self;
        let mut table = Table::new(&["zoo", "distance to reference", "loss barrier", "accuracy halfway"]).note(format!(
            "Final networks. Distance: L2 of {} runs to run {reference}. Barrier: how far the loss rises above the chord on the straight line \
             between two runs, on validation rows, over {} pairs; ± standard errors.",
            others.len(),
            pairs.len(),
        ));
        let mut rows = Vec::new();
        for (name, zoo) in zoos {
            let distance = distances(zoo, *reference, others)?;
            let lines = ground.as_ref().map(|(engine, rows)| lines(zoo, pairs, engine, rows)).transpose()?;
            let mut row = row! { "zoo" => name, "reference" => reference, "runs" => others.len(), "distance_mean" => distance.mean, "distance_sem" => distance.sem };
            let mut cells = vec![name.into(), Cell::Estimate(distance.mean, distance.sem, 2)];
            match &lines {
                Some([loss, accuracy]) => {
                    cells.extend([
                        Cell::Estimate(loss.mean, loss.sem, 3),
                        Cell::Estimate(accuracy.mean, accuracy.sem, 3),
                    ]);
                    row.extend(row! { "pairs" => loss.n, "barrier_mean" => loss.mean, "barrier_sem" => loss.sem, "middle_accuracy_mean" => accuracy.mean, "middle_accuracy_sem" => accuracy.sem });
                }
                None => cells.extend(["–".into(), "–".into()]),
            }
            table.push(Weight::Plain, cells);
            rows.push(row);
        }
        Ok((table, rows))
    }
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
) -> Result<Option<(Engine, Labelled)>> {
    let (Some(architecture), false) = (zoo.architecture(), pairs.is_empty()) else { return Ok(None) };
    let Some(splits) = data::load_for(named, zoo.data(), &session.progress)? else { return Ok(None) };
    fits(architecture, &splits.validation)?;
    let engine = Engine::new(architecture)?;
    let rows = Labelled::new(&engine, splits.validation)?;
    Ok(Some((engine, rows)))
}

/// Barrier and accuracy halfway over `pairs`.
fn lines(zoo: &ZooStore, pairs: &[(usize, usize)], engine: &Engine, rows: &Labelled) -> Result<[Summary; 2]> {
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
