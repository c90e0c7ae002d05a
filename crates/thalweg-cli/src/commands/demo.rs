//! `thalweg demo`: the whole way on the embedded digits: zoo → flows → samples → judged → report.
use crate::common::Outcome;
use crate::output::{Inputs, JSON, Plan, REPORT, Resumes, settings};
use crate::results::{Results, object};
use crate::session::Session;
use crate::verdict::{self, Verdict};
use crate::work::demo::Demo;
use crate::work::judge::about;
use anyhow::Result;
use clap::ValueEnum;
use thalweg_nets::progress::Progress;

/// All steps at once, in about half a minute and without a download: zoo, flows, samples, judgement, report
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg demo  # into thalweg-demo/: open thalweg-demo/report.html in a browser
  thalweg demo --out d/ --seed 7
  thalweg demo --set zoo.runs=3000 --set fit.all.steps=3000 --out larger/")]
pub struct Args {
    /// Its size
    #[arg(long, default_value = "full", hide = true)]
    scale: Scale,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scale {
    /// About a minute
    Full,
    /// Seconds, for tests
    Smoke,
}

/// Goes the whole way.
///
/// # Errors
/// A folder that exists, wrong settings, Ctrl-C.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let scale = if matches!(args.scale, Scale::Full) { "full" } else { "smoke" };
    let demo = Demo::prepare(scale, session)?;
    let plan = Plan {
        command: "demo",
        names: &[JSON, REPORT, "zoo/", "model-*/", "samples-*.safetensors"],
        resumes: Resumes::Again,
        settings: settings([
            ("seed", demo.seed.to_string().into()),
            ("scale", scale.into()),
            ("set", session.common.overrides().into()),
        ]),
        inputs: Inputs::default().data(Some(&demo.spec.data)),
    };
    let Some(out) = session.folder("thalweg-demo", &plan)? else { return Ok(Outcome::Done) };
    let made = demo.run(out.dir(), session)?;
    let about = about(&made.study);
    let mut results = Results::new(demo.seed);
    results.settings = object(&demo.spec)?;
    results.rows = made.judged.iter().map(|(verdict, _)| verdict.row(&about)).collect::<Result<_>>()?;
    session.progress.begin("drawing the report", 1);
    let report = out.dir().join(REPORT);
    demo.page(&made)?.write(&report)?;
    session.progress.end();
    results.made(&report);
    let verdicts: Vec<Verdict> = made.judged.into_iter().map(|(verdict, _)| verdict).collect();
    session.show(&verdict::table(&verdicts));
    let report = out.shown().join(REPORT);
    session.finish(Some(out), results)?;
    session.say(&format!(
        "Made {} in {:.0} s: open it in a browser. The zoo, the models and the samples lie beside it.",
        report.display(),
        session.seconds()
    ));
    Ok(Outcome::Done)
}
