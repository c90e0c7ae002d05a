//! The table of a judgement: what was generated, the zoo itself, held-out runs, the trivial baselines, in this order.
//!
//! Every network is evaluated exactly once, the training runs among them: the zoo's row comes from the evaluation that everything else is compared with.
use super::baseline::Baseline;
use super::groups::Groups;
use super::reference::ZooReference;
use super::{Judge, Judgement, Row};
use crate::{Error, Result, Streams};
use thalweg_nets::progress::Progress;

/// Where the networks of a row come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A generator under judgement.
    Generated,
    /// The training runs, each judged against the others (leave-one-out): what the zoo itself scores.
    Zoo,
    /// Held-out runs, judged as if a generator had made them: what a perfect generator scores.
    HeldOut,
    /// A trivial generator.
    Baseline,
}

/// A row of the table with the numbers of each network behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Where the networks come from.
    pub origin: Origin,
    /// The row.
    pub row: Row,
    /// Its networks.
    pub networks: Judgement,
}

/// Judges `generated` networks `[n, P]`, each group under its name, beside the zoo, its held-out runs where there are some, and the baselines, drawn
/// from streams, where these are given. A baseline makes as many networks as the first group has. `progress` advances by one for every row.
///
/// # Errors
/// As [`Judge::new`] and [`Judge::judge`]; [`Error::Interrupted`].
pub fn table(
    zoo: ZooReference<'_>,
    generated: &[(&str, &[f32])],
    baselines: Option<&Streams>,
    progress: &dyn Progress,
) -> Result<Vec<Judged>> {
    let networks: Vec<&[f32]> = generated.iter().map(|(_, theta)| *theta).collect();
    let groups = |median| Groups::new(zoo, &networks, baselines, median);
    progress.begin("judging", (1 + generated.len() + groups(f64::NAN).baselines().count()) as u64);
    let next = || {
        progress.advance(1);
        if progress.interrupted() { Err(Error::Interrupted) } else { Ok(()) }
    };
    let judge = Judge::new(zoo)?;
    next()?;
    let groups = groups(judge.median());
    let judged = |origin, name: &str, group: usize| -> Result<Judged> {
        let (networks, together) = judge.examine(Some(group), &groups.theta(group)?)?;
        next()?;
        Ok(Judged { origin, row: judge.summarise(name, &networks, together, f64::NAN)?, networks })
    };
    let mut rows = Vec::new();
    for (i, (name, _)) in generated.iter().enumerate() {
        rows.push(judged(Origin::Generated, name, Groups::generated(i))?);
    }
    rows.push(Judged { origin: Origin::Zoo, row: judge.zoo_row()?, networks: judge.training.0.clone() });
    if let Some((networks, together)) = &judge.held_out {
        let row = judge.summarise("held-out", networks, *together, f64::NAN)?;
        rows.push(Judged { origin: Origin::HeldOut, row, networks: networks.clone() });
    }
    for (group, baseline) in groups.baselines() {
        // Where alignment leaves the runs as they are, it is interpolation once more.
        if baseline == Baseline::AlignedInterpolation && !judge.reorders() {
            progress.advance(1);
            continue;
        }
        rows.push(judged(Origin::Baseline, &baseline.name(), group)?);
    }
    Ok(rows)
}
