//! `thalweg zoo info`: what a zoo holds and how its runs went.
use crate::common::Outcome;
use crate::output::{Inputs, JSON, Plan, REPORT};
use crate::report::{Axis, Look, Plot, Report, Scale, figures};
use crate::results::{Results, Row};
use crate::row;
use crate::session::Session;
use crate::table::{Cell, Table, Weight};
use crate::work::evidence::Evidence;
use anyhow::Result;
use std::path::PathBuf;
use thalweg_nets::zoo::{Summary, ZooStore};

/// Summarise a zoo: what it holds, how its runs went, and what lies between them
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg zoo info zoo/
  thalweg zoo info zoo/ --out look/  # with pictures: look/report.html
  thalweg zoo info zoo/ --json")]
pub struct Args {
    /// Folder of the zoo
    #[arg(value_name = "ZOO")]
    zoo: PathBuf,
}

/// Opens the zoo (which checks every shard) and tells.
///
/// # Errors
/// A folder that is no zoo, or a damaged one.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("zoo info")?;
    let inputs = Inputs::default().path(&args.zoo);
    let plan = Plan { command: "zoo info", names: &[JSON, REPORT], inputs, ..Plan::default() };
    let out = session.folder_if_given(&plan)?;
    let zoo = ZooStore::open(&args.zoo)?;
    let summary = Summary::of(&zoo)?;
    let evidence = Evidence::of(&zoo, &args.zoo)?;
    let mut results = Results::new(zoo.spec().map_or(0, |s| s.seed));
    results.rows = rows(&summary);
    results.summary = evidence.row();
    session.say(&format!("{summary}\n{}", evidence.told(&zoo)));
    let made = out.as_ref().map(|out| out.shown().join(REPORT));
    if let Some(out) = &out {
        let report = out.dir().join(REPORT);
        page(&zoo, &summary).write(&report)?;
        results.made(&report);
    }
    session.finish(out, results)?;
    if let Some(made) = made {
        session.say(&format!("Made {}", made.display()));
    }
    Ok(Outcome::Done)
}

/// One row a checkpoint, or a single one for a zoo without scores.
pub fn rows(summary: &Summary) -> Vec<Row> {
    let zoo = || {
        row! {
            "zoo_kind" => summary.kind, "architecture" => summary.architecture, "data" => summary.data,
            "runs" => summary.runs, "failed" => summary.failed, "checkpoints" => summary.checkpoints,
            "parameters" => summary.parameters, "bytes" => summary.bytes,
        }
    };
    if summary.course.is_empty() {
        return vec![zoo()];
    }
    let moment = |m: &thalweg_nets::zoo::info::Moment| {
        let mut row = zoo();
        row.extend(row! { "time" => m.time, "loss_mean" => m.loss, "accuracy_mean" => m.accuracy });
        row
    };
    summary.course.iter().map(moment).collect()
}

fn page(zoo: &ZooStore, summary: &Summary) -> Report {
    let lede = format!(
        "A zoo of {} runs of {} ({} weights) on {}, {} checkpoints each, trained from {} starts.",
        summary.runs, summary.architecture, summary.parameters, summary.data, summary.checkpoints, summary.kind
    );
    let title = if summary.name.is_empty() { "A zoo of networks" } else { &summary.name };
    let mut report = Report::new(title, lede);
    report.fact("training runs", summary.runs.to_string(), None);
    report.fact("of them failed", summary.failed.to_string(), None);
    report.fact("megabytes on disk", format!("{:.1}", summary.bytes as f64 / 1e6), None);
    let Some(accuracy) = &summary.accuracy else {
        report.paragraph(format!("There are {}.", summary.no_scores()));
        return report;
    };
    report.fact("median final accuracy", format!("{:.3}", accuracy.median), None);
    let (k, finished) = (zoo.checkpoints(), zoo.finished_runs());
    let of = |values: &[f32]| -> Vec<Vec<f64>> {
        finished.iter().map(|&r| values[r * k..(r + 1) * k].iter().map(|&v| f64::from(v)).collect()).collect()
    };
    let (losses, accuracies) = (of(zoo.losses()), of(zoo.accuracies()));
    if k > 1 {
        let mut plot = Plot { title: "Loss along training".into(), size: (820.0, 320.0), ..Plot::default() };
        plot.x.label = "share of the run".into();
        plot.y = Axis { label: "validation loss".into(), scale: Scale::Log, ..Axis::default() };
        plot.marks = figures::fan(zoo.times(), &losses, &Look::new(1, "mean of the runs"));
        report.heading("How the runs went");
        report.figure(&plot, "Validation loss at the recorded checkpoints: mean, and the band from the 10 % to the 90 % quantile of the runs that did not fail.");
    }
    let finals: Vec<f64> = accuracies.iter().filter_map(|run| run.last().copied()).collect();
    let plot =
        figures::histogram("Final accuracies", "validation accuracy", 30, &[("final networks".into(), 1, finals)]);
    report
        .heading("Where they ended")
        .figure(&plot, "Validation accuracy of the final networks of runs that did not fail.");
    let mut table =
        Table::new(&["time", "loss", "accuracy"]).note("Means over the runs that did not fail, on validation data.");
    for m in &summary.course {
        table.push(Weight::Plain, vec![Cell::Number(m.time, 2), Cell::Number(m.loss, 3), Cell::Number(m.accuracy, 3)]);
    }
    report.table(&table);
    report
}
