//! Accuracy against novelty in behaviour: one picture a zoo with every method and rival in it, and a verdict in words from the same rows.
use crate::report::{Look, Mark, Plot};
use crate::table::{Weight, estimate};
use crate::verdict::{Verdict, colour};
use std::cmp::Ordering::Less;

/// Mean accuracy against d_f of each of `verdicts`, the runs' own as rules.
pub fn figure(title: &str, verdicts: &[Verdict]) -> Plot {
    let mut plot = Plot { title: title.into(), size: (820.0, 400.0), ..Plot::default() };
    plot.x.label = "answers unlike those of the most similar training run, d_f (1: as a new run)".into();
    plot.y.label = "mean test accuracy".into();
    plot.marks.push(Mark::Rule { at: 1.0, upright: true, look: Look::new(0, "").dashed() });
    for v in verdicts {
        let at = (v.novelty()[1].0, v.accuracy().0);
        let (colour, size) = (colour(&v.method), if v.weight == Weight::Strong { 6.5 } else { 4.5 });
        plot.marks.push(Mark::Dots { points: vec![at], look: Look::new(colour, "").size(size).opacity(0.95) });
        plot.marks.push(Mark::Label { at, text: v.label.clone(), look: Look::new(colour, "") });
    }
    plot
}

/// What the rows come to: the best method by its share of novel and performing networks beside unseen runs and the best trivial rival.
pub fn words(verdicts: &[Verdict]) -> String {
    let of = |weight: Weight| {
        let all = verdicts.iter().filter(move |v| v.weight == weight);
        all.max_by(|a, b| (score(a), a.accuracy().0).partial_cmp(&(score(b), b.accuracy().0)).unwrap_or(Less))
    };
    let runs = |name: &str| verdicts.iter().find(|v| v.method == name);
    let (Some(best), Some(zoo)) = (of(Weight::Strong), runs("zoo")) else { return String::new() };
    let real = runs("held-out").unwrap_or(zoo);
    let (novel, sem) = best.novel_and_performing();
    let mut words = format!(
        "{} is the best of the methods: {} of its networks are novel and performing, of real runs {}; its accuracy is {:.4} where the runs have {:.4}.",
        best.label,
        share(best.novel_and_performing()),
        share(real.novel_and_performing()),
        best.accuracy().0,
        zoo.accuracy().0
    );
    if let Some(rival) = of(Weight::Plain) {
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
        assert_eq!(figure("", &[flow(0.5), zoo.clone()]).marks.len(), 5);
    }
}
