//! Accuracy and novelty of generated networks against the number of training runs, on independent zoos: where no generator works with some
//! hundred runs, do thousands help? One zoo of the largest size; smaller ones are parts of it, and the rest of it is held out.
use super::experiment::{Experiment, Findings, Run, Scale};
use super::flows::{Flows, Named, look};
use super::made::{self, folder, model_dir};
use super::parts::{Part, Stage};
use crate::common::Outcome;
use crate::report::{Mark, Plot, Report};
use crate::results::Row;
use crate::row;
use crate::study::Study;
use crate::table::{Table, Weight};
use crate::verdict::{self, Verdict};
use crate::work::judge::judge_all;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FitConfig, Split};
use thalweg_nets::zoo::ZooStore;

/// Baselines that stand beside the methods.
const BASELINES: [&str; 3] = ["mean-move", "diagonal-gaussian", "pca-gaussian"];
/// Runs that nobody trained on, judged as a perfect generator would be, at most.
const HELD_OUT: usize = 100;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ByRuns {
    /// Sizes of the part of the zoo that is fitted on, a tenth of them to choose the step; the last is nine tenths of the zoo or less.
    runs: Vec<usize>,
    flows: Flows,
}

/// A method or baseline at one number of runs.
struct Point {
    runs: usize,
    verdict: Verdict,
}

/// One zoo.
struct Curve {
    data: String,
    kind: String,
    points: Vec<Point>,
}

impl Curve {
    fn rows(&self) -> impl Iterator<Item = Result<Row>> {
        let about = |runs: usize| row! { "data" => self.data, "zoo_kind" => self.kind, "runs" => runs };
        self.points.iter().map(move |p| p.verdict.row(&about(p.runs)))
    }

    fn table(&self) -> Table {
        let named = |p: &Point| Verdict { label: format!("{}, {} runs", p.verdict.label, p.runs), ..p.verdict.clone() };
        let mut table = verdict::table(&self.points.iter().map(named).collect::<Vec<_>>());
        table.columns[0] = format!("{}, {} zoo", self.data, self.kind);
        table
    }
}

impl Experiment for ByRuns {
    const NAME: &'static str = "by-runs";
    const TOML: &'static str = include_str!("../../../../experiments/by-runs.toml");

    fn seed(&self) -> u64 {
        self.flows.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.flows.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        self.flows.check()?;
        if self.runs.is_empty() || !self.runs.windows(2).all(|w| w[0] < w[1]) || self.runs[0] < 10 {
            bail!("expected runs that rise from 10 or more, found {:?}", self.runs);
        }
        Ok(())
    }

    fn parts<'a>(&'a self, run: Run<'a>, stage: Stage) -> Result<Vec<Part<'a>>> {
        self.flows.parts(run, stage, |data, kind| self.fits(run, data, kind))
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let curves = self.flows.each_zoo(run, |data, kind| self.curve(run, data, kind))?;
        Ok(Findings {
            rows: curves.iter().flat_map(Curve::rows).collect::<Result<_>>()?,
            tables: curves.iter().map(Curve::table).collect(),
            report: self.page(&curves, run.scale),
            outcome: Outcome::Done,
        })
    }
}

/// What a part of so many `runs` of the zoo of `kind` on `data` is called.
fn part_of(data: &str, kind: &str, runs: usize) -> String {
    format!("{}-{runs}", folder(data, kind))
}

/// The split of `zoo` that fits on `runs` of its runs have.
fn split(run: &Run, zoo: &ZooStore, runs: usize) -> Result<Split> {
    let finished = zoo.finished_runs().len();
    if 10 * runs > 9 * finished + 9 {
        bail!("{}: expected runs of at most nine tenths of {finished} that did not fail, found {runs}", run.origin);
    }
    let share = runs as f64 / finished as f64;
    Ok(Split { validation: share / 10.0, test: 1.0 - share, seed: 0 })
}

impl ByRuns {
    fn curve(&self, run: &Run, data: &str, kind: &str) -> Result<Curve> {
        let (flows, session) = (&self.flows, run.session);
        let zoo = flows.zoo(run, data, kind)?;
        let mut points = Vec::new();
        for &runs in &self.runs {
            let split = split(run, &zoo, runs)?;
            let mut made = Vec::new();
            for method in flows.chosen() {
                for fit in 0..flows.fits {
                    let config = FitConfig { split, ..flows.config(method, fit)? };
                    let model = made::fitted(
                        run,
                        &zoo,
                        &config,
                        &model_dir(run, &part_of(data, kind, runs), &method.name, fit),
                    )?;
                    let samples = model.sample(&SampleRequest::new(flows.samples, config.seed))?;
                    made.push((method.name.as_str(), samples, model.record.seconds));
                }
            }
            let mut parts = split.of(&zoo)?;
            parts.test.truncate(HELD_OUT);
            let study = Study::new(ZooStore::open(zoo.dir())?, parts, None, &session.progress)?;
            let samples: Vec<_> = made.iter().map(|(name, s, _)| (Weight::Strong, *name, &s.theta[..])).collect();
            let mut judged = judge_all(&study, &samples, true, flows.seed, session)?;
            for ((verdict, _), (_, samples, seconds)) in judged.iter_mut().zip(&made) {
                verdict.timed(*seconds, samples.seconds);
            }
            let verdicts = verdict::by_method(judged).0.into_iter();
            let shown = verdicts.filter(|v| v.weight != Weight::Plain || BASELINES.contains(&v.method.as_str()));
            points.extend(shown.map(|verdict| Point { runs, verdict }));
        }
        Ok(Curve { data: data.into(), kind: kind.into(), points })
    }

    /// Every fit on the zoo of `kind` on `data` as a part.
    fn fits<'a>(&'a self, run: Run<'a>, data: &'a str, kind: &'a str) -> Vec<Part<'a>> {
        let flows = &self.flows;
        let part = |(runs, method, fit): (usize, &'a Named, u64)| {
            let dir = model_dir(&run, &part_of(data, kind, runs), &method.name, fit);
            Part::model(dir.clone(), move || {
                let zoo = flows.zoo(&run, data, kind)?;
                let config = FitConfig { split: split(&run, &zoo, runs)?, ..flows.config(method, fit)? };
                made::fitted(&run, &zoo, &config, &dir).map(drop)
            })
        };
        let of_method = |runs, method| (0..flows.fits).map(move |fit| (runs, method, fit));
        let of_runs = |&runs: &usize| flows.chosen().flat_map(move |method| of_method(runs, method));
        self.runs.iter().flat_map(of_runs).map(part).collect()
    }

    fn page(&self, curves: &[Curve], scale: Scale) -> Report {
        let flows = &self.flows;
        let mut report = Report::new(
            "How many runs does a generator need?",
            format!(
                "Networks generated after fits on {:?} training runs, {} fits each, {} networks a fit from fresh starts, beside the trivial \
                 baselines made from the same runs. Scale: {}.",
                self.runs, flows.fits, flows.samples, scale
            ),
        );
        if let Some(caveat) = scale.caveat() {
            report.paragraph(caveat);
        }
        for curve in curves {
            report.heading(format!("{}, {} zoo", curve.data, curve.kind));
            let mut methods: Vec<&str> = curve.points.iter().map(|p| p.verdict.label.as_str()).collect();
            methods.sort_unstable();
            methods.dedup();
            let mut plot = Plot { title: "Accuracy by number of runs".into(), size: (820.0, 360.0), ..Plot::default() };
            plot.x.label = "training runs".into();
            plot.x.scale = crate::report::Scale::Log;
            plot.y.label = "mean test accuracy".into();
            for (i, method) in methods.iter().enumerate() {
                let of = curve.points.iter().filter(|p| p.verdict.label == *method);
                let points = of.map(|p| (p.runs as f64, p.verdict.accuracy().0)).collect();
                plot.marks.push(Mark::Line { points, look: look(i, method), arrow: false });
            }
            report.figure(&plot, "Mean test accuracy of generated networks, of the zoo's runs, and of held-out runs.");
            report.table(&curve.table());
        }
        report
    }
}
