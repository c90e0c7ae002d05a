//! The page of a tuning.
use crate::report::{Look, Mark, Plot, Report};
use crate::table::Table;
use thalweg::tune::{TuneRecord, TuneValidation};

/// How the tuning of `record` went, with the `table` of accuracies before and after it.
pub fn page(record: &TuneRecord, table: &Table) -> Report {
    let lede = format!("Tuned towards {}; {}.", record.reward, record.process);
    let mut report = Report::new("A generator of networks, tuned towards a reward", lede);
    report.fact("of the iterations kept", format!("{} / {}", record.best_iteration, record.iterations), None);
    report.fact("seconds", format!("{:.1}", record.seconds), None);
    report.table(table);
    let curve = |of: fn(&TuneValidation) -> f64| -> Vec<(f64, f64)> {
        record.validations.iter().map(|l| (l.iteration as f64, of(l))).filter(|(_, y)| y.is_finite()).collect()
    };
    let plot = |title: &str, label: &str, lines: Vec<(Vec<(f64, f64)>, Look)>| {
        let mut plot = Plot { title: title.into(), size: (820.0, 300.0), ..Plot::default() };
        plot.x.label = "iteration".into();
        plot.y.label = label.into();
        for (points, look) in lines {
            plot.marks.push(Mark::Line { points, arrow: false, look });
        }
        let kept = record.best_iteration as f64;
        plot.marks.push(Mark::Rule { at: kept, upright: true, look: Look::new(5, "kept").dashed() });
        plot
    };
    let rewards = vec![
        (curve(|l| l.training), Look::new(0, "simulated ends, training rows").size(1.6)),
        (curve(|l| l.held_out), Look::new(1, "sampled networks, validation rows")),
    ];
    report.heading("How the tuning went");
    report.figure(
        &plot("Reward along the tuning", "mean reward", rewards),
        "The reward of what the noisy process ends at, and of networks sampled without noise, on rows that the tuning does not see.",
    );
    report.figure(
        &plot("Distance from the base", "relative entropy", vec![(curve(|l| l.distance), Look::new(2, ""))]),
        "How far the tuned law of paths has moved from the base law: ½ ∫ E ‖(2/σ)(v − v₀)‖² dt, in nats.",
    );
    report
}
