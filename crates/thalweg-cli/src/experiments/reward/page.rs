//! The report and the tables of the reward experiment.
use super::bench::Rewards;
use super::found::Found;
use super::tuning::Tuning;
use crate::common::Outcome;
use crate::experiments::experiment::Scale;
use crate::report::figures::mean_sem;
use crate::report::{Axis, Look, Mark, Plot, Point, Report};
use crate::table::{Cell, Table, Weight};
use thalweg::tune::TuneValidation;

/// A way's name for people.
fn label(method: &str) -> String {
    if let Some((generator, method)) = method.rsplit_once(", ").filter(|(_, method)| ["base", "tuned"].contains(method))
    {
        return format!("{generator}, {}", if method == "base" { "as it is" } else { "tuned" });
    }
    let name = match method {
        "base" => "the generator as it is",
        "tuned" => "tuned generator",
        "best-of-n" => "best of n, by reward",
        "ascent" => "ascent on its samples",
        "ascent-from-initialisations" => "ascent from initialisations",
        "guidance" => "guided sampling",
        other => other,
    };
    name.into()
}

/// One task's table.
pub fn table(found: &Found) -> Table {
    let columns =
        [found.task.as_str(), "setting", "test accuracy", "best", "at home", "moved", "spread", "nats", "seconds", "n"];
    let mut table = Table::new(&columns);
    table.note = "Test accuracy on the task, ± one standard error over networks; at home: on the base's own test rows. Moved: root mean \
                  square move of a weight from the base's network of the same start, in standardised units; spread: of the networks, over \
                  that of the base's; nats: relative entropy of the tuned path law to the base's. Seconds: for all n networks, tuning included; \
                  both ascents had the seconds of the chosen tuning, and every rival the setting with the best validation accuracy."
        .into();
    for (i, j) in found.judged.iter().enumerate() {
        let weight = match j.method.as_str() {
            "tuned" if i == found.chosen + 1 => Weight::Strong,
            "base" => Weight::Faint,
            _ => Weight::Plain,
        };
        let s = &j.accuracy;
        let cells = vec![
            label(&j.method).into(),
            j.setting.clone().into(),
            Cell::Estimate(s.mean, s.sem, 3),
            Cell::Number(s.best, 3),
            Cell::Number(j.home, 3),
            Cell::Number(j.moved, 2),
            Cell::Number(j.spread, 2),
            Cell::Number(j.distance, 0),
            Cell::Number(j.seconds, 1),
            s.n.into(),
        ];
        table.push(weight, cells);
    }
    table
}

/// The page.
pub fn page(set: &Rewards, scale: Scale, found: &[Found], outcome: Outcome) -> Report {
    let lede = format!(
        "A flow over networks of one task is steered to others by adjoint matching: the law of its samples is tilted by the \
         exponential of a reward, minus the loss on the new task's training rows, by minibatches of {}. No network trained on \
         the new task is ever seen. {} networks behind every accuracy, {} strengths a task. Scale: {scale}.",
        set.rows,
        set.samples,
        set.strengths.len()
    );
    let mut report = Report::new("Generators tuned towards a reward", lede);
    for f in found.iter().take(4) {
        let (accuracy, sem) = mean_sem(&f.over_seeds);
        let name = format!("{}: before {:.3}, tuned", f.task, f.judged[0].accuracy.mean);
        let error = sem.is_finite().then(|| format!("± {sem:.3} over {} tunings", f.over_seeds.len()));
        report.fact(&name, format!("{accuracy:.3}"), error);
    }
    report.paragraph(match (scale.caveat(), outcome) {
        (Some(caveat), _) => caveat.to_string(),
        (_, Outcome::Done) => format!(
            "The gate holds: {} reaches {:.2} mean test accuracy within {} iterations and {:.0} seconds.",
            set.gate.task, set.gate.accuracy, set.gate.iterations, set.gate.seconds
        ),
        (_, Outcome::Negative | Outcome::Open) => format!(
            "Negative finding: {} does not reach {:.2} mean test accuracy within {} iterations and {:.0} seconds.",
            set.gate.task, set.gate.accuracy, set.gate.iterations, set.gate.seconds
        ),
    });
    for f in found {
        one(&mut report, f);
    }
    report
}

fn one(report: &mut Report, f: &Found) {
    report.heading(f.task.clone());
    report.table(&table(f));
    let mut plot = plot("Accuracy along tuning", "iteration", "validation accuracy");
    for (i, tuning) in f.tunings.iter().enumerate() {
        let points = tuning.looks.iter().zip(&tuning.accuracies).map(|(l, a)| (l.iteration as f64, *a));
        plot.marks.push(line(points, i, &strength(tuning)));
    }
    report.figure(
        &plot,
        "Mean accuracy on validation rows of networks sampled from the averaged parameters, along tuning.",
    );
    let mut plot = self::plot("Accuracy against wall time", "seconds", "validation accuracy");
    let chosen = &f.tunings[f.chosen];
    let points = chosen.looks.iter().zip(&chosen.accuracies).map(|(l, a)| (l.seconds, *a));
    plot.marks.push(line(points, 0, &format!("tuned generator, {}", strength(chosen))));
    let ascent = f.ascent.course.iter().map(|(_, seconds, accuracy)| (*seconds, *accuracy));
    let name = format!("ascent on {} samples", f.judged[0].accuracy.n);
    plot.marks.push(line(ascent, 1, &name));
    report.figure(
        &plot,
        "The generator, once tuned, makes any number of networks; ascent has made those that it was begun with.",
    );
    let mut plot = self::plot("Reward along tuning", "iteration", "reward on validation rows");
    for (i, tuning) in f.tunings.iter().enumerate() {
        plot.marks.push(line(of(tuning, |l| (l.iteration as f64, l.held_out)), i, &strength(tuning)));
    }
    report.figure(
        &plot,
        "Mean reward of sampled networks on validation rows; the parameters at the highest point are kept.",
    );
    let mut plot =
        self::plot("Reward against distance", "relative entropy to the base, nats", "reward on validation rows");
    plot.x.scale = crate::report::Scale::Log;
    for (i, tuning) in f.tunings.iter().enumerate() {
        plot.marks.push(line(of(tuning, |l| (l.distance, l.held_out)), i, &strength(tuning)));
    }
    report.figure(&plot, "What a distance from the base law buys. A tilted law has the most reward that its distance allows, so lines of a lower strength should not lie below those of a higher one where they meet.");
    if !f.costs.is_empty() {
        costs(report, f);
    }
}

fn costs(report: &mut Report, f: &Found) {
    let mut plot = plot("Cost of N good networks", "networks wanted, N", "seconds in all");
    (plot.x.scale, plot.y.scale) = (crate::report::Scale::Log, crate::report::Scale::Log);
    plot.marks.push(line(f.costs.iter().map(|c| (c.n as f64, c.tuned)), 0, "tune the generator, then sample"));
    plot.marks.push(line(f.costs.iter().map(|c| (c.n as f64, c.ascent)), 1, "ascent on every sample"));
    report.figure(
        &plot,
        format!(
            "Seconds until N networks are, on average, as accurate on validation rows as the chosen tuned generator's ({:.3}). \
             Sampling is measured at every N; ascent as the steps it needed on {} networks times the measured seconds a step at every N.",
            f.tunings[f.chosen].validation(),
            f.judged[0].accuracy.n
        ),
    );
    let crossing = f.costs.windows(2).find(|w| w[0].ascent < w[0].tuned && w[1].ascent >= w[1].tuned).map(|w| {
        // Between two measured points costs are lines in logarithms.
        let gap = |c: &super::found::Cost| (c.ascent / c.tuned).ln();
        let share = gap(&w[0]) / (gap(&w[0]) - gap(&w[1]));
        (w[0].n as f64) * (w[1].n as f64 / w[0].n as f64).powf(share)
    });
    report.paragraph(match (crossing, f.costs.iter().all(|c| c.ascent.is_nan())) {
        (Some(n), _) => format!("Plain ascent on samples is cheaper up to about {n:.0} networks; beyond, tuning the generator is."),
        (None, true) => "Ascent on samples did not get as far within the seconds of the tuning.".into(),
        (None, false) if f.costs.iter().all(|c| c.ascent < c.tuned) => {
            "Plain ascent on samples is cheaper at every number of networks measured: tune the generator where its other \
             properties are wanted (spread, no training loop a network), not for time."
                .into()
        }
        _ => "Tuning the generator is cheaper at every number of networks measured.".into(),
    });
}

fn strength(tuning: &Tuning) -> String {
    format!("strength {}", tuning.strength)
}

fn of(tuning: &Tuning, point: fn(&TuneValidation) -> Point) -> impl Iterator<Item = Point> {
    tuning.looks.iter().map(point)
}

fn line(points: impl Iterator<Item = Point>, colour: usize, name: &str) -> Mark {
    let points = points.filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    Mark::Line { points, arrow: false, look: Look::new(colour, name) }
}

fn plot(title: &str, x: &str, y: &str) -> Plot {
    let mut plot = Plot { title: title.into(), size: (820.0, 320.0), ..Plot::default() };
    plot.x.label = x.into();
    plot.y = Axis { label: y.into(), ..Axis::default() };
    plot
}
