//! The claims, each with the experiment that decides it and what of its rows is compared. To add one: a line in [`CLAIMS`] and its two functions; a
//! claim whose experiment there is not is left out.
mod generated;

use super::rule::{Comparison, Estimate, Sense, compare};
use super::select::{Selection, is_true, key, number, whole};
use crate::results::Row;
use generated::{
    behaviour, behaviour_rival, deepweightflow, deepweightflow_novelty, deepweightflow_rival, ensembles,
    ensembles_rival, equivariance, equivariance_novelty, equivariance_rival, generation, generation_beside,
    generation_rival, latent, latent_rival, refine, refine_rival, zoos,
};

/// A claim.
pub struct Claim {
    /// In one sentence.
    pub text: &'static str,
    /// Where it is made.
    pub source: &'static str,
    /// The experiment whose rows decide it.
    pub experiment: &'static str,
    /// What to look at in its figures.
    pub look: &'static str,
    /// What decides it.
    pub decide: fn(&[Row]) -> Vec<Comparison>,
    /// The same number beside that of a trivial rival, which decides nothing.
    pub rival: fn(&[Row]) -> Vec<Comparison>,
    /// What has to be known beside them: where accuracy decides, how novel the networks are.
    pub beside: fn(&[Row]) -> Vec<Comparison>,
}

/// All claims, the paper's first.
pub const CLAIMS: &[Claim] = &[
    Claim {
        text: "Networks that a flow generates are as accurate as trained ones and as those of published generators.",
        source: "paper, table of accuracies",
        experiment: "generation",
        look: "In each figure of accuracy and novelty a good generator stands at the upper end of the rule: accurate, with answers as unlike any training run's as a new run's are.",
        decide: generation,
        rival: generation_rival,
        beside: generation_beside,
    },
    Claim {
        text: "Intermediate marginals bring generated trajectories nearer to real ones.",
        source: "paper, Figure 3",
        experiment: "marginals",
        look: "Compare the energy distance of MMFM with that of CFM between the ends; W₁ alone rewards a law that is too narrow.",
        decide: marginals,
        rival: none,
        beside: none,
    },
    Claim {
        text: "The loss of the networks falls along inference without rising again.",
        source: "paper, Figure 2",
        experiment: "inference-loss",
        look: "The lines should fall from left to right and end where the dots of real runs end.",
        decide: inference_loss,
        rival: none,
        beside: none,
    },
    Claim {
        text: "A generator tuned to a reward makes networks for another task.",
        source: "paper, Figure 1",
        experiment: "reward",
        look: "The tuned generator against the generator as it is, and against gradient ascent in the same seconds.",
        decide: reward,
        rival: reward_rival,
        beside: none,
    },
    Claim {
        text: "Generated weights are better initialisations than Kaiming's.",
        source: "paper",
        experiment: "initialisation",
        look: "Accuracy after one epoch: the line of the conditional flow against that of Kaiming.",
        decide: initialisation,
        rival: initialisation_rival,
        beside: none,
    },
    Claim {
        text: "A generator conditioned on a few rows of a task makes networks for that task, seen and unseen.",
        source: "paper",
        experiment: "context",
        look: "The conditional flow against the same flow without a context, on seen and on unseen tasks.",
        decide: context,
        rival: context_rival,
        beside: none,
    },
    Claim {
        text: "Meta-detectron finds harmful shift better than the closest baseline.",
        source: "paper, Figure 4",
        experiment: "shift-curve",
        look: "AUROC along the iterations of tuning, beside the levels of Detectron and of the bank.",
        decide: meta_detectron,
        rival: meta_detectron_rival,
        beside: none,
    },
    Claim {
        text: "Flow matching in a latent space is as good as on weights, in accuracy and in novelty.",
        source: "paper, Figure 5",
        experiment: "generation",
        look: "The latent variants against NM-CFM, kind of zoo by kind of zoo.",
        decide: latent,
        rival: latent_rival,
        beside: none,
    },
    Claim {
        text: "What a flow generates is as often novel in weights, novel in behaviour and accurate at once as unseen runs are.",
        source: "ours",
        experiment: "generation",
        look: "d_f beside d_w in the tables: noise that no input feels raises the distance in weights and leaves d_f at the copy's.",
        decide: behaviour,
        rival: behaviour_rival,
        beside: none,
    },
    Claim {
        text: "A bank of networks trained once is as powerful as Detectron, which trains for every query.",
        source: "ours",
        experiment: "shift",
        look: "Power of the bank against Detectron's, and the milliseconds of a query.",
        decide: bank,
        rival: bank_rival,
        beside: none,
    },
    Claim {
        text: "Alignment lowers the loss barrier between independent runs.",
        source: "ours",
        experiment: "connectivity",
        look: "The barrier by width, before and after alignment; the flow against midpoints of two runs in the table of each width.",
        decide: connectivity,
        rival: none,
        beside: connectivity_beside,
    },
    Claim {
        text: "A flow from a narrow Gaussian to 100 independent networks makes networks as accurate as they are.",
        source: "DeepWeightFlow",
        experiment: "deepweightflow",
        look: "d_w and d_f beside those of runs that nothing has seen: accurate networks that lie on the training runs are copies.",
        decide: deepweightflow,
        rival: deepweightflow_rival,
        beside: deepweightflow_novelty,
    },
    Claim {
        text: "An ensemble that a flow makes of one's own checkpoints predicts better than SWAG's.",
        source: "ours",
        experiment: "ensembles",
        look: "Negative log-likelihood, and the deep ensemble that took as many steps of training.",
        decide: ensembles,
        rival: ensembles_rival,
        beside: none,
    },
    Claim {
        text: "Steps along gradients whose coefficients were trained on one task make better networks of another than Adam tuned there, at as many gradients.",
        source: "ours",
        experiment: "refine",
        look: "Accuracy at the same number of gradients; Muon, which asks for no training of coefficients; and whether any of them is novel and performs.",
        decide: refine,
        rival: refine_rival,
        beside: none,
    },
    Claim {
        text: "From fresh initialisations a flow with an equivariant field makes networks as accurate as independent runs that nothing has aligned.",
        source: "ours",
        experiment: "equivariance",
        look: "The same flow with the default field, which is at chance there; d_w and the copying score, which tell networks of its own from copies.",
        decide: equivariance,
        rival: equivariance_rival,
        beside: equivariance_novelty,
    },
];

fn none(_: &[Row]) -> Vec<Comparison> {
    Vec::new()
}

/// Energy distance, summed over the marginals between the ends, of the MMFM with most marginals and of the CFM with the same noise of the path.
fn marginals(rows: &[Row]) -> Vec<Comparison> {
    let sum = |zoo: &Selection, method: &str| {
        let inner = zoo.with("method", method).having("marginal");
        let last = inner.iter().filter_map(|row| whole(row, "marginal")).max()?;
        let inner = inner.filtered(|row| whole(row, "marginal").is_some_and(|k| k > 0 && k < last));
        inner.total(method, "energy_distance", "energy_distance_sem", "fits")
    };
    let of = |(name, zoo): (String, Selection)| {
        let most = ["MMFM_5", "MMFM_3", "MMFM_1"].into_iter().find_map(|method| sum(&zoo, method))?;
        let ends = ["CFM, σ .1", "CFM"].into_iter().find_map(|method| sum(&zoo, method))?;
        Some(compare(format!("{name}: energy distance between the ends"), most, Sense::Below, ends))
    };
    zoos(rows).into_iter().filter_map(of).collect()
}

/// How much of its fall a mean curve may rise again.
const RISE: f64 = 0.05;

fn inference_loss(rows: &[Row]) -> Vec<Comparison> {
    let mut all = Vec::new();
    for (name, zoo) in zoos(rows) {
        for method in zoo.having("rise").groups(&["method"]) {
            let Some(row) = method.first() else { continue };
            let curve = zoo.with("method", key(row, "method")).having("t");
            let n = curve.iter().filter_map(|row| whole(row, "fits")).max().unwrap_or(0) as usize;
            let rise = Estimate {
                of: key(row, "method").into(),
                mean: number(row, "rise").unwrap_or(f64::NAN),
                error: f64::NAN,
                n,
            };
            let bound = Estimate { of: "bound".into(), mean: RISE, error: f64::NAN, n: 0 };
            all.push(compare(format!("{name}: rise of the mean loss, over its fall"), rise, Sense::Below, bound));
        }
    }
    all
}

fn reward(rows: &[Row]) -> Vec<Comparison> {
    reward_beside(rows, "base", Sense::Above)
}

/// Gradient ascent on the samples, in the same seconds.
fn reward_rival(rows: &[Row]) -> Vec<Comparison> {
    reward_beside(rows, "ascent", Sense::Above)
}

fn reward_beside(rows: &[Row], beside: &str, sense: Sense) -> Vec<Comparison> {
    let of = |task: Selection| {
        let best = |method: &str| {
            let judged = task.with("method", method).having("accuracy_mean");
            judged.estimate(method, "accuracy_mean", "accuracy_sem", "n")
        };
        let what = format!("{}: test accuracy", key(task.first()?, "task"));
        Some(compare(what, best("tuned")?, sense, best(beside)?))
    };
    Selection::of(rows).groups(&["task"]).into_iter().filter_map(of).collect()
}

fn initialisation(rows: &[Row]) -> Vec<Comparison> {
    initialisation_beside(rows, "Kaiming")
}

/// The network of all zoos that is best on the support set.
fn initialisation_rival(rows: &[Row]) -> Vec<Comparison> {
    initialisation_beside(rows, "nearest zoo network")
}

fn initialisation_beside(rows: &[Row], beside: &str) -> Vec<Comparison> {
    let of = |task: Selection| {
        // The first point of the curves at or after one epoch.
        let after = |start: &str| {
            let curve = task.with("start", start).filtered(|row| number(row, "epoch").is_some_and(|e| e >= 1.0));
            let first = curve.iter().filter_map(|row| number(row, "epoch")).fold(f64::INFINITY, f64::min);
            let at = curve.filtered(|row| number(row, "epoch") == Some(first));
            at.estimate(start, "accuracy_mean", "accuracy_standard_error", "networks")
        };
        let rows = if is_true(task.first()?, "few_shot") { "few rows" } else { "all rows" };
        let what = format!("{}, {rows}: test accuracy after an epoch", key(task.first()?, "task"));
        Some(compare(what, after("conditional flow")?, Sense::Above, after(beside)?))
    };
    Selection::of(rows).groups(&["task", "few_shot"]).into_iter().filter_map(of).collect()
}

fn context(rows: &[Row]) -> Vec<Comparison> {
    context_beside(rows, "unconditional flow")
}

/// The network of all zoos that is best on the support set.
fn context_rival(rows: &[Row]) -> Vec<Comparison> {
    context_beside(rows, "best of all zoos by support loss")
}

/// Means over tasks, each task's support sets averaged before, so that the error is that of tasks.
fn context_beside(rows: &[Row], beside: &str) -> Vec<Comparison> {
    let of = |cell: Selection| {
        let over_tasks = |method: &str| {
            let tasks = cell.with("method", method).groups(&["task"]);
            let each: Vec<f64> = tasks.iter().filter_map(|task| task.mean("accuracy_mean")).collect();
            (!each.is_empty()).then(|| Estimate::mean_of(method, &each))
        };
        let first = cell.first()?;
        let seen = if is_true(first, "seen") { "seen" } else { "unseen" };
        let what = format!("{seen} tasks, {} rows a class: test accuracy", whole(first, "rows_a_class")?);
        Some(compare(what, over_tasks("conditional flow")?, Sense::Above, over_tasks(beside)?))
    };
    Selection::of(rows).groups(&["seen", "rows_a_class"]).into_iter().filter_map(of).collect()
}

fn meta_detectron(rows: &[Row]) -> Vec<Comparison> {
    meta_beside(rows, "detectron")
}

/// The bank, which is trained once.
fn meta_detectron_rival(rows: &[Row]) -> Vec<Comparison> {
    meta_beside(rows, "bank")
}

fn meta_beside(rows: &[Row], beside: &str) -> Vec<Comparison> {
    let all = Selection::of(rows);
    let tuned = all.with("method", "meta-detectron");
    let last = tuned.iter().filter_map(|row| whole(row, "iterations")).max();
    let tuned = tuned.filtered(|row| whole(row, "iterations") == last);
    let of = |(statistic, words): (&str, &str)| {
        let at = |rows: &Selection, name: &str| {
            rows.estimate(
                name,
                &format!("auroc_{statistic}"),
                &format!("auroc_{statistic}_standard_error"),
                "base_networks",
            )
        };
        let (ours, theirs) = (at(&tuned, "meta-detectron")?, at(&all.with("method", beside), beside)?);
        Some(compare(format!("AUROC of {words}"), ours, Sense::Above, theirs))
    };
    [("count", "rows disagreed on"), ("max_drop", "the greatest drop"), ("entropy", "the entropy")]
        .into_iter()
        .filter_map(of)
        .collect()
}

/// Zoos of an experiment by data, width and weight decay.
fn widths(rows: &[Row]) -> Vec<(String, Selection<'_>)> {
    let all = Selection::of(rows).having("width");
    let name = |row: &Row| {
        Some(format!("{}, width {}, decay {}", key(row, "data"), whole(row, "width")?, number(row, "decay")?))
    };
    all.groups(&["data", "width", "decay"])
        .into_iter()
        .filter_map(|group| Some((name(group.first()?)?, group)))
        .collect()
}

fn connectivity(rows: &[Row]) -> Vec<Comparison> {
    let of = |(name, zoo): (String, Selection)| {
        let barrier =
            |method: &str| zoo.with("method", method).estimate(method, "barrier_mean", "barrier_sem", "pairs");
        let (aligned, before) = (barrier("aligned jointly")?, barrier("as they are")?);
        Some(compare(format!("{name}: loss barrier"), aligned, Sense::Below, before))
    };
    widths(rows).into_iter().filter_map(of).collect()
}

/// Whether a flow makes more of the aligned runs than a midpoint of two of them is.
fn connectivity_beside(rows: &[Row]) -> Vec<Comparison> {
    let of = |(name, zoo): (String, Selection)| {
        let flow = generated::accuracy(&zoo, "NM-CFM, PCA")?;
        let midpoint = generated::accuracy(&zoo, "soup-2")?;
        Some(compare(format!("{name}: test accuracy"), flow, Sense::Above, midpoint))
    };
    widths(rows).into_iter().filter_map(of).collect()
}

/// What a shift has to cost in accuracy to count as harmful.
const HARM: f64 = 0.02;

fn bank(rows: &[Row]) -> Vec<Comparison> {
    bank_beside(rows, "detectron", Sense::NotBelow)
}

/// The classifier's own entropy.
fn bank_rival(rows: &[Row]) -> Vec<Comparison> {
    bank_beside(rows, "entropy", Sense::Above)
}

fn bank_beside(rows: &[Row], beside: &str, sense: Sense) -> Vec<Comparison> {
    let harmful = |row: &Row| {
        let accuracy = |name: &str| number(row, name).unwrap_or(f64::NAN);
        accuracy("accuracy_on_p") - accuracy("accuracy_on_q") > HARM
    };
    let of = |cell: Selection| {
        let power = |method: &str| {
            let test = cell.with("method", method);
            let combined = test.with("statistic", "combined");
            let decides =
                if combined.first().is_some() { combined } else { test.filtered(|row| is_true(row, "verdict")) };
            decides.estimate(method, "tpr", "tpr_standard_error", "base_networks")
        };
        let first = cell.first()?;
        let what =
            format!("{}, {}, {} rows: power", key(first, "home"), key(first, "shift"), whole(first, "query_rows")?);
        Some(compare(what, power("bank")?, sense, power(beside)?))
    };
    let cells = Selection::of(rows).filtered(harmful).groups(&["home", "shift", "query_rows"]);
    cells.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests;
