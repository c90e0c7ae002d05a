//! What is claimed of generated networks: how accurate they are, and how many of them are novel and perform.
use super::super::rule::{Comparison, Estimate, Sense, compare};
use super::super::select::{Selection, key, whole};
use crate::results::Row;

const NM_CFM: &str = "NM-CFM";

/// Every zoo of an experiment with its rows.
pub(super) fn zoos(rows: &[Row]) -> Vec<(String, Selection<'_>)> {
    let all = Selection::of(rows);
    let name = |row: &Row| format!("{}, {} zoo", key(row, "data"), key(row, "zoo_kind"));
    all.groups(&["data", "zoo_kind"]).into_iter().filter_map(|group| Some((name(group.first()?), group))).collect()
}

/// Accuracy of a method in the rows of a judgement.
pub(super) fn accuracy(zoo: &Selection, method: &str) -> Option<Estimate> {
    zoo.with("method", method).estimate(method, "accuracy_mean", "accuracy_sem", "n")
}

/// Share of a method's networks that are novel and perform.
fn novelty(zoo: &Selection, method: &str) -> Option<Estimate> {
    zoo.with("method", method).estimate(method, "novel_and_performing", "novel_and_performing_sem", "n")
}

/// Generators of other papers.
const PUBLISHED: [&str; 4] = ["p-diff", "D2NWG, unconditional", "SANE's recipe", "CFM, Gaussian source"];

pub(super) fn generation(rows: &[Row]) -> Vec<Comparison> {
    let mut all = Vec::new();
    for (name, zoo) in zoos(rows) {
        let Some(ours) = accuracy(&zoo, NM_CFM) else { continue };
        for rival in ["zoo"].into_iter().chain(PUBLISHED) {
            let theirs = accuracy(&zoo, rival);
            all.extend(
                theirs.map(|theirs| compare(format!("{name}: test accuracy"), ours.clone(), Sense::NotBelow, theirs)),
            );
        }
    }
    all
}

/// Whether the published generators make novel networks that perform: a mean of the runs is accurate, too. A zoo where nobody makes any tells nothing.
pub(super) fn generation_beside(rows: &[Row]) -> Vec<Comparison> {
    let mut all = Vec::new();
    for (name, zoo) in zoos(rows) {
        let Some(ours) = novelty(&zoo, NM_CFM) else { continue };
        let some = |theirs: &Estimate| ours.mean > 0.0 || theirs.mean > 0.0;
        for theirs in PUBLISHED.into_iter().filter_map(|rival| novelty(&zoo, rival)).filter(some) {
            all.push(compare(format!("{name}: novel and performing"), ours.clone(), Sense::NotBelow, theirs));
        }
    }
    all
}

/// The most accurate of the generators that need no learning.
fn most_accurate(zoo: &Selection) -> Option<Estimate> {
    let all = ["mean", "mean-move", "diagonal-gaussian", "pca-gaussian"].map(|name| accuracy(zoo, name));
    all.into_iter().flatten().max_by(|a, b| a.mean.total_cmp(&b.mean))
}

/// The most accurate of the generators that need no learning, beside NM-CFM.
pub(super) fn generation_rival(rows: &[Row]) -> Vec<Comparison> {
    let of = |(name, zoo): (String, Selection)| {
        Some(compare(format!("{name}: test accuracy"), accuracy(&zoo, NM_CFM)?, Sense::Above, most_accurate(&zoo)?))
    };
    zoos(rows).into_iter().filter_map(of).collect()
}

pub(super) fn latent(rows: &[Row]) -> Vec<Comparison> {
    latent_beside(rows, NM_CFM, Sense::NotBelow)
}

/// A linear latent space.
pub(super) fn latent_rival(rows: &[Row]) -> Vec<Comparison> {
    latent_beside(rows, "NM-CFM, PCA", Sense::Above)
}

/// By accuracy, and by the share that is novel and performs where there are any such networks: an accurate latent flow may have collapsed.
fn latent_beside(rows: &[Row], beside: &str, sense: Sense) -> Vec<Comparison> {
    const VAE: &str = "NM-CFM, VAE";
    let of = |(name, zoo): (String, Selection)| {
        let accuracies = accuracy(&zoo, VAE).zip(accuracy(&zoo, beside));
        let shares = novelty(&zoo, VAE).zip(novelty(&zoo, beside)).filter(|(a, b)| a.mean > 0.0 || b.mean > 0.0);
        let pairs = [("test accuracy", accuracies), ("novel and performing", shares)];
        let named = move |(what, pair): (&str, Option<(Estimate, Estimate)>)| {
            pair.map(|(ours, theirs)| compare(format!("{name}: {what}"), ours, sense, theirs))
        };
        pairs.into_iter().filter_map(named).collect::<Vec<_>>()
    };
    zoos(rows).into_iter().flat_map(of).collect()
}

/// Share of networks that are novel in weights and in behaviour and perform, beside unseen runs.
pub(super) fn behaviour(rows: &[Row]) -> Vec<Comparison> {
    behaviour_beside(rows, &["held-out"], Sense::NotBelow)
}

/// The trivial generators that are nearest to it.
pub(super) fn behaviour_rival(rows: &[Row]) -> Vec<Comparison> {
    behaviour_beside(rows, &["diagonal-gaussian", "pca-gaussian"], Sense::Above)
}

fn behaviour_beside(rows: &[Row], beside: &[&str], sense: Sense) -> Vec<Comparison> {
    let of = |(name, zoo): (String, Selection)| {
        let share = |method: &&str| novelty(&zoo, method);
        let theirs = beside.iter().filter_map(share).max_by(|a, b| a.mean.total_cmp(&b.mean))?;
        Some(compare(format!("{name}: novel and performing"), novelty(&zoo, NM_CFM)?, sense, theirs))
    };
    zoos(rows).into_iter().filter_map(of).collect()
}

/// What DeepWeightFlow's recipe is called, whatever the zoo is aligned to.
const DEEP_WEIGHT_FLOW: &str = "DeepWeightFlow, 99 components";

/// What the flow with the equivariant field is called.
const EQUIVARIANT: &str = "NM-CFM, equivariant";

/// What is compared on each zoo of a frontier, which is told with its name.
fn frontier(rows: &[Row], compared: impl Fn(&str, &Selection) -> Vec<Option<Comparison>>) -> Vec<Comparison> {
    let groups = Selection::of(rows).having("zoo").groups(&["data", "zoo"]);
    let of = |zoo: Selection| {
        let name = zoo.first().map_or(String::new(), |row| format!("{}, {}", key(row, "data"), key(row, "zoo")));
        compared(&name, &zoo).into_iter().flatten().collect::<Vec<_>>()
    };
    groups.into_iter().flat_map(of).collect()
}

/// The networks of `method` beside the runs that it learns from.
fn as_accurate_as_runs(rows: &[Row], method: &str) -> Vec<Comparison> {
    frontier(rows, |name, zoo| {
        let pair = accuracy(zoo, method).zip(accuracy(zoo, "zoo"));
        vec![pair.map(|(ours, runs)| compare(format!("{name}: test accuracy"), ours, Sense::NotBelow, runs))]
    })
}

/// The networks of `method` beside the most accurate of the generators that need no learning.
fn as_accurate_as_trivial(rows: &[Row], method: &str) -> Vec<Comparison> {
    frontier(rows, |name, zoo| {
        let pair = accuracy(zoo, method).zip(most_accurate(zoo));
        vec![pair.map(|(ours, theirs)| compare(format!("{name}: test accuracy"), ours, Sense::Above, theirs))]
    })
}

/// Whether the networks of `method` are as new as runs that nothing has seen.
fn as_new_as_unseen(rows: &[Row], method: &str) -> Vec<Comparison> {
    const MEASURES: [(&str, &str); 3] = [
        ("novel and performing", "novel_and_performing"),
        ("d_w, distance in weights to the nearest run", "novelty_weights"),
        ("d_f, answers unlike the most similar run's", "novelty_behaviour"),
    ];
    frontier(rows, |name, zoo| {
        let of = |(what, measure): (&str, &str)| {
            let found =
                |method: &str| zoo.with("method", method).estimate(method, measure, &format!("{measure}_sem"), "n");
            let (ours, theirs) = (found(method)?, found("held-out")?);
            Some(compare(format!("{name}: {what}"), ours, Sense::NotBelow, theirs))
        };
        MEASURES.map(of).into()
    })
}

pub(super) fn deepweightflow(rows: &[Row]) -> Vec<Comparison> {
    as_accurate_as_runs(rows, DEEP_WEIGHT_FLOW)
}

pub(super) fn deepweightflow_rival(rows: &[Row]) -> Vec<Comparison> {
    as_accurate_as_trivial(rows, DEEP_WEIGHT_FLOW)
}

pub(super) fn deepweightflow_novelty(rows: &[Row]) -> Vec<Comparison> {
    as_new_as_unseen(rows, DEEP_WEIGHT_FLOW)
}

pub(super) fn equivariance(rows: &[Row]) -> Vec<Comparison> {
    as_accurate_as_runs(rows, EQUIVARIANT)
}

pub(super) fn equivariance_rival(rows: &[Row]) -> Vec<Comparison> {
    as_accurate_as_trivial(rows, EQUIVARIANT)
}

pub(super) fn equivariance_novelty(rows: &[Row]) -> Vec<Comparison> {
    as_new_as_unseen(rows, EQUIVARIANT)
}

/// Negative log-likelihood of the flows' ensembles beside SWAG's.
pub(super) fn ensembles(rows: &[Row]) -> Vec<Comparison> {
    ensembles_beside(rows, "SWAG", Sense::Below)
}

/// Training other runs for as many steps.
pub(super) fn ensembles_rival(rows: &[Row]) -> Vec<Comparison> {
    ensembles_beside(rows, "deep ensemble of as many steps", Sense::Below)
}

fn ensembles_beside(rows: &[Row], beside: &str, sense: Sense) -> Vec<Comparison> {
    let all = Selection::of(rows);
    let nll = |method: &str| all.with("method", method).estimate(method, "nll_mean", "nll_sem", "n");
    let of = |ours: &str| Some(compare("negative log-likelihood".into(), nll(ours)?, sense, nll(beside)?));
    ["NM-CFM", "NM-CFM, PCA 16 + residual noise"].into_iter().filter_map(of).collect()
}

/// Trained steps beside tuned Adam, at as many gradients.
pub(super) fn refine(rows: &[Row]) -> Vec<Comparison> {
    refine_beside(rows, "Adam")
}

/// Tuned Muon, which asks for no training of coefficients.
pub(super) fn refine_rival(rows: &[Row]) -> Vec<Comparison> {
    refine_beside(rows, "Muon")
}

fn refine_beside(rows: &[Row], beside: &str) -> Vec<Comparison> {
    let of = |at: Selection| {
        let accuracy = |way: &str| at.with("way", way).estimate(way, "accuracy_mean", "accuracy_sem", "n");
        let what = format!("test accuracy after {} gradients", whole(at.first()?, "gradients")?);
        Some(compare(what, accuracy("trained steps")?, Sense::Above, accuracy(beside)?))
    };
    Selection::of(rows).having("gradients").groups(&["gradients"]).into_iter().filter_map(of).collect()
}
