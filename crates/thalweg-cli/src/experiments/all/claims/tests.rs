//! Every claim on rows that are made up, so that what has to come out is known.
use super::super::rule::Verdict;
use super::*;
use crate::row;

fn claim(text: &str) -> &'static Claim {
    CLAIMS.iter().find(|claim| claim.text.contains(text)).unwrap()
}

fn verdict(text: &str, rows: &[Row]) -> Verdict {
    Verdict::of(&(claim(text).decide)(rows))
}

fn judged(kind: &str, method: &str, accuracy: f64) -> Row {
    row! {
        "method" => method, "data" => "mnist", "zoo_kind" => kind, "accuracy_mean" => accuracy, "accuracy_sem" => 0.001, "n" => 100,
    }
}

#[test]
fn accuracies_are_compared_zoo_by_zoo() {
    let mut rows = vec![judged("fork", "NM-CFM", 0.95), judged("fork", "zoo", 0.951), judged("fork", "mean", 0.96)];
    assert_eq!(verdict("as accurate as trained", &rows), Verdict::Holds, "within two errors of the difference");
    rows.extend([
        judged("independent", "NM-CFM", 0.1),
        judged("independent", "zoo", 0.95),
        judged("fork", "p-diff", 0.94),
    ]);
    assert_eq!(verdict("as accurate as trained", &rows), Verdict::InPart(2, 3));
    // The trivial rival is the most accurate one.
    let rival = (claim("as accurate as trained").rival)(&rows);
    assert_eq!((rival.len(), rival[0].theirs.of.as_str(), rival[0].won()), (1, "mean", false));
    assert_eq!(verdict("as accurate as trained", &[]), Verdict::Unmeasured);
    rows.push(judged("fork", "NM-CFM, VAE", 0.9));
    assert_eq!(verdict("in a latent space", &rows), Verdict::Not);
}

#[test]
fn an_accurate_generator_that_makes_nothing_novel_is_shown_as_one() {
    let of = |kind: &str, method: &str, accuracy: f64, share: f64| {
        let mut row = judged(kind, method, accuracy);
        row.extend(row! { "novel_and_performing" => share, "novel_and_performing_sem" => 0.02 });
        row
    };
    // Collapsed to the mean of the runs, and more accurate than they are.
    let mut rows =
        vec![of("fork", "NM-CFM", 0.95, 0.8), of("fork", "p-diff", 0.96, 0.0), of("fork", "NM-CFM, VAE", 0.96, 0.0)];
    let beside = (claim("as accurate as trained").beside)(&rows);
    assert_eq!((beside.len(), beside[0].theirs.of.as_str(), beside[0].won()), (1, "p-diff", true));
    assert_eq!(verdict("in a latent space", &rows), Verdict::InPart(1, 2), "as accurate, not as novel");
    // Where nobody makes any, there is nothing to compare but accuracy.
    rows =
        vec![of("shared", "NM-CFM", 0.7, 0.0), of("shared", "p-diff", 0.9, 0.0), of("shared", "NM-CFM, VAE", 0.9, 0.0)];
    assert!((claim("as accurate as trained").beside)(&rows).is_empty());
    assert_eq!(verdict("in a latent space", &rows), Verdict::Holds);
}

#[test]
fn novelty_is_held_against_unseen_runs_and_the_best_gaussian() {
    let of = |method: &str, share: f64| {
        row! {
            "method" => method, "data" => "mnist", "zoo_kind" => "fork", "n" => 100, "novel_and_performing" => share,
            "novel_and_performing_sem" => 0.02,
        }
    };
    let rows = [of("NM-CFM", 0.85), of("held-out", 0.86), of("diagonal-gaussian", 0.6), of("pca-gaussian", 0.83)];
    assert_eq!(verdict("novel in behaviour", &rows), Verdict::Holds);
    let rival = &(claim("novel in behaviour").rival)(&rows)[0];
    assert_eq!((rival.theirs.of.as_str(), rival.won()), ("pca-gaussian", false));
}

#[test]
fn marginals_between_the_ends_are_summed() {
    let at = |method: &str, k: u64, energy: f64| {
        row! {
            "method" => method, "data" => "mnist", "zoo_kind" => "fork", "fits" => 3, "marginal" => k,
            "energy_distance" => energy, "energy_distance_sem" => 0.3,
        }
    };
    // The ends, where MMFM is made worse, do not count.
    let rows: Vec<Row> = [("CFM", 2.0), ("MMFM_3", 0.5), ("MMFM_5", 1.0)]
        .into_iter()
        .flat_map(|(method, inner)| {
            [at(method, 0, 9.0 / inner), at(method, 1, inner), at(method, 2, inner), at(method, 3, 9.0 / inner)]
        })
        .collect();
    let compared = (claim("Intermediate marginals").decide)(&rows);
    assert_eq!(compared.len(), 1);
    let (ours, theirs) = (&compared[0].ours, &compared[0].theirs);
    assert_eq!((ours.of.as_str(), ours.mean, theirs.of.as_str(), theirs.mean), ("MMFM_5", 2.0, "CFM", 4.0));
    assert!((ours.error - 0.3 * 2f64.sqrt()).abs() < 1e-12);
    assert!(compared[0].won());
}

#[test]
fn a_loss_that_rises_again_does_not_fall() {
    let of = |method: &str, rise: f64| {
        let about = row! { "method" => method, "data" => "mnist", "zoo_kind" => "fork" };
        let mut curve = about.clone();
        curve.extend(row! { "t" => 0.5, "loss_mean" => 1.0, "fits" => 3 });
        let mut end = about;
        end.extend(row! { "rise" => rise });
        [curve, end]
    };
    let rows: Vec<Row> = of("CFM", 0.0).into_iter().chain(of("MMFM_3", 0.12)).collect();
    assert_eq!(verdict("falls along inference", &rows), Verdict::InPart(1, 2));
    assert_eq!((claim("falls along inference").decide)(&rows)[0].ours.n, 3);
}

#[test]
fn tuned_networks_are_held_against_untuned_ones_and_against_ascent() {
    let of = |method: &str, accuracy: f64| row! { "task" => "rotated", "method" => method, "accuracy_mean" => accuracy, "accuracy_sem" => 0.01, "n" => 100 };
    let rows = [
        of("base", 0.2),
        row! { "task" => "rotated", "method" => "tuned", "iteration" => 4 },
        of("tuned", 0.7),
        of("ascent", 0.8),
    ];
    assert_eq!(verdict("tuned to a reward", &rows), Verdict::Holds);
    assert!(!(claim("tuned to a reward").rival)(&rows)[0].won());
}

#[test]
fn initialisations_are_compared_after_an_epoch() {
    let at = |start: &str, epoch: f64, accuracy: f64| {
        row! {
            "task" => "a", "few_shot" => false, "start" => start, "epoch" => epoch, "accuracy_mean" => accuracy,
            "accuracy_standard_error" => 0.01, "networks" => 20,
        }
    };
    // Ahead at the start, behind after an epoch.
    let rows = [
        at("conditional flow", 0.0, 0.6),
        at("conditional flow", 1.0, 0.5),
        at("conditional flow", 5.0, 0.9),
        at("Kaiming", 0.0, 0.1),
        at("Kaiming", 1.0, 0.7),
        at("Kaiming", 5.0, 0.7),
    ];
    assert_eq!(verdict("better initialisations", &rows), Verdict::Not);
}

#[test]
fn tasks_are_averaged_over_their_support_sets_before_errors_are_taken() {
    let of = |task: &str, draw: u64, method: &str, accuracy: f64| {
        row! { "task" => task, "seen" => true, "rows_a_class" => 5, "support_set" => draw, "method" => method, "accuracy_mean" => accuracy }
    };
    let mut rows = Vec::new();
    for (task, accuracy) in [("a", 0.8), ("b", 0.6)] {
        for (draw, by) in [(0, 0.1), (1, -0.1)] {
            rows.extend([of(task, draw, "conditional flow", accuracy + by), of(task, draw, "unconditional flow", 0.1)]);
        }
    }
    let compared = &(claim("conditioned on").decide)(&rows)[0];
    assert!(
        (compared.ours.mean - 0.7).abs() < 1e-12 && (compared.ours.error - 0.1).abs() < 1e-12 && compared.ours.n == 2
    );
    assert!(compared.won());
}

#[test]
fn meta_detectron_is_judged_at_its_last_iteration() {
    let of = |method: &str, iterations: Option<u64>, auroc: f64| {
        row! {
            "method" => method, "iterations" => iterations, "base_networks" => 3, "auroc_count" => auroc, "auroc_count_standard_error" => 0.01,
            "auroc_max_drop" => auroc, "auroc_max_drop_standard_error" => 0.01, "auroc_entropy" => auroc, "auroc_entropy_standard_error" => 0.01,
        }
    };
    let flow = claim("Meta-detectron");
    let rows = [
        of("bank", None, 0.99),
        of("detectron", None, 0.9),
        of("meta-detectron", Some(0), 0.6),
        of("meta-detectron", Some(40), 0.97),
    ];
    assert_eq!(Verdict::of(&(flow.decide)(&rows)), Verdict::Holds);
    assert_eq!(Verdict::of(&(flow.rival)(&rows)), Verdict::Not);
}

#[test]
fn only_harmful_shifts_count_for_power() {
    let of = |shift: &str, q: f64, method: &str, statistic: &str, tpr: f64| {
        row! {
            "home" => "heart", "shift" => shift, "query_rows" => 10, "method" => method, "statistic" => statistic, "verdict" => true,
            "base_networks" => 3, "tpr" => tpr, "tpr_standard_error" => 0.01, "accuracy_on_p" => 0.8, "accuracy_on_q" => q,
        }
    };
    let rows = [
        of("sites", 0.5, "bank", "count", 0.1),
        of("sites", 0.5, "bank", "combined", 0.9),
        of("sites", 0.5, "detectron", "combined", 0.89),
        of("sites", 0.5, "entropy", "entropy", 0.2),
        of("benign", 0.8, "bank", "combined", 0.0),
        of("benign", 0.8, "detectron", "combined", 0.5),
    ];
    let compared = (claim("A bank of networks").decide)(&rows);
    assert_eq!((compared.len(), compared[0].ours.mean), (1, 0.9));
    assert_eq!(verdict("A bank of networks", &rows), Verdict::Holds);
    assert!((claim("A bank of networks").rival)(&rows)[0].won());
}

#[test]
fn barriers_are_compared_width_by_width() {
    let of = |method: &str, width: u64, barrier: f64| {
        row! {
            "method" => method, "data" => "mnist", "width" => width, "decay" => 0.003, "pairs" => 6, "barrier_mean" => barrier, "barrier_sem" => 0.01,
        }
    };
    let mut rows = vec![of("as they are", 16, 0.5), of("aligned to one run", 16, 0.01), of("aligned jointly", 16, 0.2)];
    rows.extend([of("as they are", 64, 0.3), of("aligned jointly", 64, 0.29)]);
    assert_eq!(verdict("loss barrier", &rows), Verdict::InPart(1, 2));
    let compared = (claim("loss barrier").decide)(&rows);
    assert_eq!((compared[0].what.as_str(), compared[0].ours.n), ("mnist, width 16, decay 0.003: loss barrier", 6));
}

#[test]
fn every_claim_names_an_experiment_there_is_and_has_nothing_to_say_of_no_rows() {
    for claim in CLAIMS {
        assert!((claim.decide)(&[]).is_empty() && (claim.rival)(&[]).is_empty(), "{}", claim.text);
        // Rows that lack everything are passed over.
        assert!((claim.decide)(&[row! { "other" => 1 }]).is_empty(), "{}", claim.text);
        assert!(claim.text.ends_with('.') && claim.look.ends_with('.'));
    }
}
