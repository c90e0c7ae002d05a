//! Calibrated ensembles (M22): accuracy, negative log-likelihood and calibration error of averaged networks, generated beside trained ones.
use crate::report::figures::mean_sem;
use crate::results::Row;
use crate::row;
use crate::study::Study;
use crate::table::{Cell, Table, Weight};
use anyhow::Result;
use rayon::prelude::*;
use thalweg::metric::calibration::{Calibration, Ensemble};

/// Groups of one size that are averaged over, at most.
const GROUPS: usize = 16;
/// Networks whose logits are held at once.
const AT_ONCE: usize = 32;

/// Ensembles of one size from one source of networks.
#[derive(Clone, Debug)]
pub struct Ensembles {
    source: String,
    weight: Weight,
    members: usize,
    /// One a fit (mean over its groups), or one a group where there is one fit.
    judged: Vec<Calibration>,
}

/// The ensembles of each of `sizes` that the networks of `fits`, each `[n, P]`, make: groups of neighbours, none in two.
///
/// # Errors
/// Weights that are not finite.
pub fn of_fits(
    study: &Study,
    source: &str,
    weight: Weight,
    fits: &[&[f32]],
    sizes: &[usize],
) -> Result<Vec<Ensembles>> {
    let fits: Vec<Vec<Vec<Calibration>>> =
        fits.iter().map(|theta| of_fit(study, theta, sizes)).collect::<Result<_>>()?;
    let of_size = |(i, &members): (usize, &usize)| {
        let judged = match &fits[..] {
            [one] => one[i].clone(),
            several => several.iter().map(|fit| &fit[i]).filter(|groups| !groups.is_empty()).map(|g| mean(g)).collect(),
        };
        Ensembles { source: source.into(), weight, members, judged }
    };
    Ok(sizes.iter().enumerate().map(of_size).filter(|e| !e.judged.is_empty()).collect())
}

/// The judged groups of each size that networks `theta [n, P]` fill; every network is evaluated once.
fn of_fit(study: &Study, theta: &[f32], sizes: &[usize]) -> Result<Vec<Vec<Calibration>>> {
    let (p, test, classes) = (study.parameters(), &study.test, study.engine.classes());
    let n = theta.len() / p;
    let groups = |members: usize| (n / members).min(GROUPS);
    let empty = |members: usize| (0..groups(members)).map(|_| Ensemble::new(test.labels.len(), classes)).collect();
    let mut ensembles: Vec<Vec<Ensemble>> =
        sizes.iter().map(|&members| empty(members)).collect::<thalweg::Result<_>>()?;
    let used = sizes.iter().map(|&members| groups(members) * members).max().unwrap_or(0);
    for (block, theta) in theta[..used * p].chunks(AT_ONCE * p).enumerate() {
        let logits = study.engine.logits_of_many(theta, &test.inputs)?;
        let of_size = |(&members, ensembles): (&usize, &mut Vec<Ensemble>)| {
            ensembles.par_iter_mut().enumerate().try_for_each(|(group, ensemble)| {
                let all = logits.chunks_exact(test.labels.len() * classes).enumerate();
                let own = all.filter(|(i, _)| (block * AT_ONCE + i) / members == group);
                own.map(|(_, logits)| logits).try_for_each(|logits| ensemble.add(logits))
            })
        };
        sizes.iter().zip(&mut ensembles).try_for_each(of_size)?;
    }
    let judge = |groups: &Vec<Ensemble>| groups.iter().map(|e| Ok(e.judge(&test.labels)?)).collect();
    ensembles.iter().map(judge).collect()
}

fn mean(groups: &[Calibration]) -> Calibration {
    let of = |f: fn(&Calibration) -> f64| groups.iter().map(f).sum::<f64>() / groups.len() as f64;
    Calibration { members: groups[0].members, accuracy: of(|c| c.accuracy), nll: of(|c| c.nll), ece: of(|c| c.ece) }
}

impl Ensembles {
    fn estimates(&self) -> [(f64, f64); 3] {
        let of = |f: fn(&Calibration) -> f64| mean_sem(&self.judged.iter().map(f).collect::<Vec<_>>());
        [of(|c| c.accuracy), of(|c| c.nll), of(|c| c.ece)]
    }

    /// The row of results.json.
    pub fn row(&self, about: &Row) -> Row {
        let [accuracy, nll, ece] = self.estimates();
        let mut row = row! { "method" => self.source, "ensemble" => self.members };
        row.extend(about.clone());
        row.extend(row! {
            "accuracy_mean" => accuracy.0, "accuracy_sem" => accuracy.1, "nll_mean" => nll.0, "nll_sem" => nll.1,
            "ece_mean" => ece.0, "ece_sem" => ece.1, "n" => self.judged.len(),
        });
        row
    }
}

/// All ensembles as a table, size by size.
pub fn table(title: &str, ensembles: &[Ensembles]) -> Table {
    let mut table = Table::new(&[title, "networks", "accuracy", "NLL", "ECE"]).note(
        "Ensembles: probabilities averaged over so many networks, on test data. ± is one standard error over fits, over groups of networks where \
         there is one fit. ECE: fifteen bins.",
    );
    let mut sizes: Vec<usize> = ensembles.iter().map(|e| e.members).collect();
    sizes.sort_unstable();
    sizes.dedup();
    for members in sizes {
        for e in ensembles.iter().filter(|e| e.members == members) {
            let cells = e.estimates().map(|(mean, sem)| Cell::Estimate(mean, sem, 4));
            table.push(e.weight, [vec![e.source.clone().into(), members.into()], cells.to_vec()].concat());
        }
    }
    table
}
