//! The page of a fit.
use crate::report::{Axis, Look, Mark, Plot, Report, Scale};
use thalweg::model::MetaModel;

/// How the fit of `model` went.
pub fn page(model: &MetaModel) -> Report {
    let record = &model.record;
    let zoo = if record.zoo.is_empty() { &record.zoo_id } else { &record.zoo };
    let fitted = format!("{} fitted to {} runs of {zoo}", model.config.method.name(), record.training_runs);
    if record.history.is_empty() {
        let mut report = Report::new("A law over weights, fitted", format!("{fitted} in closed form."));
        report.fact("seconds", format!("{:.1}", record.seconds), None);
        return report;
    }
    let lede = format!(
        "{fitted}; the averaged parameters with the least loss on {} held-out runs were kept.",
        record.validation_runs
    );
    let mut report = Report::new("A flow over weights, fitted", lede);
    report.fact("of the steps kept", format!("{} / {}", record.best_step, model.config.steps), None);
    if let Some(loss) = record.best_loss {
        report.fact("held-out loss", format!("{loss:.4}"), None);
    }
    report.fact("seconds", format!("{:.1}", record.seconds), None);
    let mut plot = Plot { title: "Loss along the fit".into(), size: (820.0, 320.0), ..Plot::default() };
    plot.x.label = "optimiser step".into();
    plot.y = Axis { label: "loss".into(), scale: Scale::Log, ..Axis::default() };
    let curve = |of: fn(&(u64, f64, f64)) -> f64| record.history.iter().map(|look| (look.0 as f64, of(look))).collect();
    let (training, held_out) = (curve(|look| look.1), curve(|look| look.2));
    plot.marks.push(Mark::Line { points: training, arrow: false, look: Look::new(0, "training runs").size(1.6) });
    plot.marks.push(Mark::Line {
        points: held_out,
        arrow: false,
        look: Look::new(1, "held-out runs, averaged parameters"),
    });
    plot.marks.push(Mark::Rule { at: record.best_step as f64, upright: true, look: Look::new(5, "kept").dashed() });
    report.heading("How the fit went");
    report.figure(&plot, "The loss of the batches since the last validation, and of the averaged parameters on held-out runs. Part of the loss cannot be learned: it is the spread of the velocities at one point.");
    report
}
