//! Accuracy against novelty in behaviour: one picture a zoo with every method and rival in it, and a verdict in words from the same rows.
use crate::report::{Look, Mark, Plot};
use crate::table::{Weight, estimate};
use crate::verdict::{Verdict, colour};
use std::cmp::Ordering::Less;

/// Mean accuracy against d_f of each of `verdicts`, with a line through those that no other one beats.
pub fn figure(title: &str, verdicts: &[Verdict]) -> Plot {
    let mut plot = Plot { title: title.into(), size: (820.0, 400.0), ..Plot::default() };
    plot.x.label = "answers unlike those of the most similar training run, d_f (1: as a new run)".into();
    plot.y.label = "mean test accuracy".into();
    plot.marks.push(Mark::Rule { at: 1.0, upright: true, look: Look::new(0, "").dashed() });
    let frontier: Vec<(f64, f64)> = unbeaten(verdicts).iter().map(|v| (v.novelty()[1].0, v.accuracy().0)).collect();
    plot.marks.push(Mark::Line { points: frontier, arrow: false, look: Look::new(7, "").opacity(0.5) });
    for v in verdicts {
        let at = (v.novelty()[1].0, v.accuracy().0);
        let (colour, size) = (colour(&v.method), if v.weight == Weight::Strong { 6.5 } else { 4.5 });
        plot.marks.push(Mark::Dots { points: vec![at], look: Look::new(colour, "").size(size).opacity(0.95) });
        plot.marks.push(Mark::Label { at, text: v.label.clone(), look: Look::new(colour, "") });
    }
    plot
}

/// The methods and trivial rivals that no other one of them beats: none whose answers are at least as new, counted up to those of a new run (d_f = 1), is more accurate
/// by more than two standard errors of the difference. With rising d_f.
pub fn unbeaten(verdicts: &[Verdict]) -> Vec<&Verdict> {
    let novelty = |v: &Verdict| v.novelty()[1].0.min(1.0);
    let beats = |a: &Verdict, b: &Verdict| {
        let ((of_a, sem_a), (of_b, sem_b)) = (a.accuracy(), b.accuracy());
        // The error of one network is unknown: it decides nothing.
        let error = [sem_a, sem_b].into_iter().filter(|e| e.is_finite()).fold(0.0, f64::hypot);
        novelty(a) >= novelty(b) && of_a - of_b > 2.0 * error
    };
    let entrants: Vec<&Verdict> = verdicts.iter().filter(|v| v.weight != Weight::Faint).collect();
    let mut left: Vec<&Verdict> = entrants.iter().copied().filter(|b| !entrants.iter().any(|a| beats(a, b))).collect();
    left.sort_by(|a, b| novelty(a).total_cmp(&novelty(b)));
    left
}

/// How many of the goals the best method reaches, in words: accuracy within a hundredth of the runs', N&P at least .8 of what real unseen runs have, N&P above every
/// trivial rival's by two standard errors, copying scores of at least 0, spread in both senses at least .9 of the runs'.
pub fn goals(verdicts: &[Verdict]) -> String {
    let (Some(best), Some(zoo)) = (best_of(verdicts, Weight::Strong), named(verdicts, "zoo")) else {
        return String::new();
    };
    let real = named(verdicts, "held-out").unwrap_or(zoo).novel_and_performing().0;
    let (novel, sem) = best.novel_and_performing();
    let ahead = best_of(verdicts, Weight::Plain).map_or((true, f64::NAN), |rival| {
        let (own, own_sem) = rival.novel_and_performing();
        (novel - own > 2.0 * sem.hypot(own_sem), own)
    });
    let least = |of: [f64; 2]| of.into_iter().fold(f64::INFINITY, f64::min);
    let (accuracy, copying, spread) =
        (zoo.accuracy().0 - best.accuracy().0, least(best.copying()), least(best.spread()));
    let goals = [
        (accuracy <= 0.01, format!("accuracy {accuracy:.4} below the runs' (.01)")),
        (novel >= 0.8 * real, format!("N&P {novel:.2} of the {real:.2} of real runs (.8 of it)")),
        (ahead.0, format!("best trivial rival {:.2} (two standard errors below)", ahead.1)),
        (copying >= 0.0, format!("least copying score {copying:.1} (0)")),
        (spread >= 0.9, format!("least spread {spread:.2} (.9)")),
    ];
    let of = |met: bool| goals.iter().filter(|g| g.0 == met).map(|g| &g.1[..]).collect::<Vec<_>>().join("; ");
    let [met, missed] = [of(true), of(false)].map(|words| if words.is_empty() { "none".to_owned() } else { words });
    format!("{}. Goals met: {met}. Goals missed: {missed}.", best.label)
}

fn named<'a>(verdicts: &'a [Verdict], name: &str) -> Option<&'a Verdict> {
    verdicts.iter().find(|v| v.method == name)
}

/// The one of a weight with the greatest N&P, and of equals the most accurate.
fn best_of(verdicts: &[Verdict], weight: Weight) -> Option<&Verdict> {
    let all = verdicts.iter().filter(move |v| v.weight == weight);
    all.max_by(|a, b| (score(a), a.accuracy().0).partial_cmp(&(score(b), b.accuracy().0)).unwrap_or(Less))
}

/// What the rows come to: the best method by its share of novel and performing networks beside unseen runs and the best trivial rival.
pub fn words(verdicts: &[Verdict]) -> String {
    let (Some(best), Some(zoo)) = (best_of(verdicts, Weight::Strong), named(verdicts, "zoo")) else {
        return String::new();
    };
    let real = named(verdicts, "held-out").unwrap_or(zoo);
    let (novel, sem) = best.novel_and_performing();
    let mut words = format!(
        "{} is the best of the methods: {} of its networks are novel and performing, of real runs {}; its accuracy is {:.4} where the runs have {:.4}.",
        best.label,
        share(best.novel_and_performing()),
        share(real.novel_and_performing()),
        best.accuracy().0,
        zoo.accuracy().0
    );
    if let Some(rival) = best_of(verdicts, Weight::Plain) {
        let (own, own_sem) = rival.novel_and_performing();
        let error = sem.hypot(own_sem);
        let place = match novel - own {
            lead if lead > 2.0 * error => "ahead of",
            lead if lead < -2.0 * error => "behind",
            _ => "level, within two standard errors, with",
        };
        let rival_has = share(rival.novel_and_performing());
        words += &format!(" It is {place} the best trivial rival, {} ({rival_has}).", rival.label);
    }
    let lacks = best.lacking();
    if !lacks.is_empty() && novel < real.novel_and_performing().0 - 2.0 * sem {
        words += &format!(" What its networks lack: {lacks}.");
    }
    words
}

/// A share with its error, in words.
fn share((share, sem): (f64, f64)) -> String {
    estimate(share, sem, 2)
}

fn score(verdict: &Verdict) -> f64 {
    verdict.novel_and_performing().0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::judged;

    #[test]
    fn the_words_follow_the_rows() {
        let flow = |novel| Verdict { weight: Weight::Strong, ..judged("flow", 0.95, novel, 0.7) };
        let (zoo, rival) = (judged("zoo", 0.96, 0.86, 1.0), judged("soup-3", 0.96, 0.30, 0.9));
        let of = |novel| words(&[flow(novel), Verdict { weight: Weight::Faint, ..zoo.clone() }, rival.clone()]);
        // 100 networks each: the error of the difference is about .065.
        assert!(
            of(0.60).contains("ahead of the best trivial rival, mean of three finals (0.30 ± 0.05)"),
            "{}",
            of(0.60)
        );
        assert!(of(0.35).contains("level, within two standard errors, with") && of(0.05).contains("It is behind"));
        assert!(of(0.60).starts_with("flow is the best of the methods: 0.60 ± 0.05 of its networks"));
        assert!(
            of(0.60).contains("lack: distance in weights, d_w 0.70 (a share of 0.00 reaches the zoo's 5 % quantile)"),
            "{}",
            of(0.60)
        );
        assert!(!of(0.86).contains("lack"), "{}", of(0.86));
        assert_eq!(words(&[]), "");
        assert_eq!(figure("", &[flow(0.5), zoo.clone()]).marks.len(), 6);
        assert!(figure("", &[]).svg().contains("<svg"));
    }

    #[test]
    fn the_frontier_is_what_no_other_beats_in_both() {
        let at = |name: &str, accuracy: f64, d_f: f64| {
            let mut verdict = judged(name, accuracy, 0.5, 1.0);
            (verdict.rows[0].novelty_behaviour, verdict.rows[0].accuracy_sem) = (d_f, 0.001);
            verdict
        };
        let zoo = Verdict { weight: Weight::Faint, ..at("zoo", 0.99, 1.0) };
        let rows = [
            zoo,
            at("copy", 0.97, 0.2),
            at("worse", 0.95, 0.2),
            at("mean", 0.96, 0.8),
            at("gaussian", 0.93, 1.9),
            // As new as a new run, and no more counts; within two errors of the difference, .0028.
            at("flow", 0.932, 1.0),
            at("noise", 0.80, 5.0),
        ];
        let left: Vec<&str> = unbeaten(&rows).iter().map(|v| v.method.as_str()).collect();
        assert_eq!(left, ["copy", "mean", "gaussian", "flow"]);
    }

    #[test]
    fn goals_are_told_by_their_numbers() {
        let zoo = Verdict { weight: Weight::Faint, ..judged("zoo", 0.96, 0.86, 1.0) };
        let flow = |accuracy, novel, copying, spread| {
            let mut flow = Verdict { weight: Weight::Strong, ..judged("flow", accuracy, novel, 1.0) };
            (flow.rows[0].copying_weights, flow.rows[0].copying_behaviour) = (copying, copying + 1.0);
            (flow.rows[0].spread_weights, flow.rows[0].spread_behaviour) = (spread + 1.0, spread);
            flow
        };
        let rival = judged("soup-3", 0.96, 0.30, 0.9);
        let all = goals(&[flow(0.955, 0.70, 0.1, 0.95), zoo.clone(), rival.clone()]);
        assert!(all.ends_with("Goals missed: none."), "{all}");
        // .8 of .86 is .688; .42 is not two errors above .30.
        let none = goals(&[flow(0.94, 0.42, -3.0, 0.5), zoo, rival]);
        assert!(
            none.contains("Goals met: none. Goals missed: accuracy 0.0200 below the runs' (.01); N&P 0.42 of the 0.86"),
            "{none}"
        );
        assert!(none.contains("least copying score -3.0 (0); least spread 0.50 (.9)"), "{none}");
        assert_eq!(goals(&[]), "");
    }
}
