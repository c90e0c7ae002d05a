//! Calibrated ensembles (M22): accuracy, negative log-likelihood and calibration error of averaged networks, generated beside trained ones.
use crate::report::figures::mean_sem;
use crate::results::Row;
use crate::row;
use crate::study::Study;
use crate::table::{Cell, Table, Weight};
use anyhow::Result;
use thalweg::metric::calibration::{Calibration, of_groups};

/// Groups of one size that are averaged over, at most.
const GROUPS: usize = 16;

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
    let (engine, test) = (&study.engine, &study.test);
    let of_fit = |theta: &&[f32]| of_groups(engine, theta, &test.inputs, &test.labels, sizes, GROUPS);
    let fits: Vec<Vec<Vec<Calibration>>> = fits.iter().map(of_fit).collect::<thalweg::Result<_>>()?;
    let of_size = |(i, &members): (usize, &usize)| {
        let judged = match &fits[..] {
            [one] => one[i].clone(),
            several => several.iter().map(|fit| &fit[i]).filter(|groups| !groups.is_empty()).map(|g| mean(g)).collect(),
        };
        Ensembles { source: source.into(), weight, members, judged }
    };
    Ok(sizes.iter().enumerate().map(of_size).filter(|e| !e.judged.is_empty()).collect())
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
