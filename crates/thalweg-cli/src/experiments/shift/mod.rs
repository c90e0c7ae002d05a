//! Harmful covariate shift: every test on every home and shift, with type-I error on unshifted draws and a benign control; thresholds come
//! from null draws, which are others than those judged.
mod hearts;
mod page;
mod parameters;
pub mod world;

use super::experiment::{Experiment, Findings, Run, Scale};
use crate::common::Outcome;
use crate::session::Session;
use anyhow::{Context, Result, bail};
pub use parameters::Shifts;
use parameters::{Line, OfBase};
use std::collections::BTreeMap;
use std::time::Instant;
use thalweg::Streams;
use thalweg::shift::disagreement::cdc::Trainer;
use thalweg::shift::disagreement::choose::choose;
use thalweg::shift::law::null::NullLaw;
use thalweg::shift::law::outcome::Question;
use thalweg::shift::law::power::{Share, auroc};
use thalweg::shift::method::Parts;
use thalweg::shift::{Method, Sample, ShiftTest};
use thalweg_nets::progress::Progress;
use world::{Shifted, World};

/// Queries that are timed one by one.
const TIMED: usize = 15;

impl Experiment for Shifts {
    const NAME: &'static str = "shift";
    const TOML: &'static str = include_str!("../../../../../experiments/shift.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        let empty = self.homes.is_empty() || self.sizes.is_empty() || self.methods.is_empty();
        if empty || self.bases == 0 || self.draws < 2 || self.null == 0 || self.sizes.contains(&0) {
            bail!("homes, sizes and methods must name some; bases, null and sizes be at least 1, draws at least 2");
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            bail!("level: expected a number in (0, 1), found {}", self.level);
        }
        world::tests(&self.tests, true)?;
        for name in &self.homes {
            let home = self.home.get(name).with_context(|| format!("no table [home.{name}]"))?;
            home.recipe.check()?;
            thalweg_nets::data::DataSpec::parse(&home.data)?;
        }
        Ok(())
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let mut lines: Vec<Line> = Vec::new();
        let mut notes = Vec::new();
        for name in &self.homes {
            let home = &self.home[name];
            for index in 0..self.bases {
                let world = world::world(home, index, self.seed, false, run.session)?;
                run.session.say(&format!(
                    "{name}, base network {}: accuracy {:.3} on held-out rows, trained in {:.1} s",
                    index + 1,
                    world.fresh.1,
                    world.seconds
                ));
                if index == 0 {
                    let rows = match world.shared {
                        true => "the held-out rows that null draws come from",
                        false => "other rows than null draws do",
                    };
                    notes.push(format!("{name}: unshifted draws come from {rows}."));
                }
                self.of_world(name, index, &world, &mut lines, &mut notes, run.session)?;
            }
        }
        Ok(Findings {
            rows: lines.iter().map(Line::row).collect::<Result<_>>()?,
            tables: page::tables(&lines)?,
            report: page::page(self, run.scale, &lines, &notes)?,
            outcome: Outcome::Done,
        })
    }
}

impl Shifts {
    fn of_world(
        &self,
        home: &str,
        index: u64,
        world: &World,
        lines: &mut Vec<Line>,
        notes: &mut Vec<String>,
        session: &Session,
    ) -> Result<()> {
        let images = world.base.takes_images();
        let streams = Streams::new(self.seed).child("shift").child(home).index(index);
        let mut config = world::tests(&self.tests, images)?;
        let mut prepared: BTreeMap<&str, (Box<dyn ShiftTest>, f64)> = BTreeMap::new();
        for &size in &self.sizes {
            session
                .progress
                .begin(&format!("{home}, base network {}, |Q| = {size}", index + 1), self.methods.len() as u64);
            let (rows, _) = world.reference.draws(size, self.null, &streams.child("null"))?;
            let null: Vec<Sample> = rows.iter().map(|r| world.reference.held_out.rows(r)).collect();
            let draw = |away: &Sample, share: f64, what: &str| {
                world::queries(away, &world.fresh.0, share, size, self.draws, &streams.child(what).index(size as u64))
            };
            let unshifted = draw(&world.fresh.0, 1.0, "unshifted")
                .with_context(|| format!("{home}: |Q| = {size} exceeds the held-out rows"))?;
            for &method in &self.methods {
                if session.progress.interrupted() {
                    return Err(thalweg_nets::Error::Interrupted.into());
                }
                let start = Instant::now();
                let mut agreement = None;
                if method == Method::DETECTRON && self.choose {
                    let trainer = Trainer::new(world.base.clone(), &world.reference, config.cdc, &streams)?;
                    let choice = choose(&trainer, &world.reference, config.detectron, size, &streams)?;
                    config.cdc = choice.config;
                    let last = choice.trials.iter().find(|t| t.config == choice.config).context("no trial")?;
                    agreement = Some(last.agreement);
                    notes.push(format!(
                        "{home}, base network {}, |Q| = {size}: κ = {:.2e}, learning rate {}, {} steps; {:.2} of null rows still agreed on{}; agreement with f on P's training rows {:.4}, on validation rows {:.4}.",
                        index + 1, choice.config.kappa, choice.config.learning_rate, choice.config.steps, last.agreed,
                        if choice.inside { "" } else { " (outside the window)" }, last.agreement[0], last.agreement[1]
                    ));
                }
                let parts = Parts {
                    base: Some(world.base.clone()),
                    reference: &world.reference,
                    labels: &world.labels,
                    size,
                    config: &config,
                };
                let name = method.name();
                // What was trained for another size serves again, but where its parameters were chosen anew.
                let (test, before) = match prepared.remove(name).filter(|_| agreement.is_none()) {
                    Some((mut test, seconds)) => {
                        test.resize(&world.reference, size, &streams.child(name))?;
                        (test, seconds)
                    }
                    None => (method.prepare(&parts, None, &streams)?, 0.0),
                };
                let ready = before + start.elapsed().as_secs_f64();
                let law = NullLaw::new(test.measure(&null, &streams.child("law"))?.values, test.statistics().len())?;
                let setup = before + start.elapsed().as_secs_f64();
                let milliseconds = timed(test.as_ref(), &unshifted, &streams)?;
                let usual = judged(test.as_ref(), &law, &unshifted, &streams.child("usual"))?;
                for Shifted { name: shift, rows, accuracy, share, .. } in &world.shifted {
                    let Some(queries) = draw(rows, *share, shift) else { continue };
                    let found = judged(test.as_ref(), &law, &queries, &streams.child("away").child(shift))?;
                    for (f, u) in found.iter().zip(&usual) {
                        let power = Share::rejected(&f.p, self.level)?;
                        let known = world.fresh.1;
                        let of = OfBase {
                            power,
                            auroc: auroc(&f.values, &u.values)?,
                            milliseconds,
                            setup,
                            accuracy: (known, share * accuracy + (1.0 - share) * known),
                            agreement,
                        };
                        let one = u.p.iter().filter(|p| **p <= self.level).count();
                        put(lines, home, shift, size, name, f, of, (one, u.p.len()));
                    }
                }
                prepared.insert(name, (test, ready));
                session.progress.advance(1);
            }
            session.progress.end();
        }
        Ok(())
    }
}

#[allow(clippy::too_many_arguments, reason = "a cell's coordinates")]
fn put(
    lines: &mut Vec<Line>,
    home: &str,
    shift: &str,
    size: usize,
    method: &'static str,
    f: &Judged,
    of: OfBase,
    one: (usize, usize),
) {
    let same = |l: &&mut Line| {
        l.home == home && l.shift == shift && l.size == size && l.method == method && l.statistic == f.statistic
    };
    match lines.iter_mut().find(same) {
        Some(line) => {
            line.of_base.push(of);
            line.type_one.0 += one.0;
            line.type_one.1 += one.1;
        }
        None => lines.push(Line {
            home: home.into(),
            shift: shift.into(),
            size,
            method,
            statistic: f.statistic.clone(),
            verdict: f.verdict,
            of_base: vec![of],
            type_one: one,
        }),
    }
}

/// Values and p-values of one statistic over queries; larger values are more shifted.
struct Judged {
    statistic: String,
    verdict: bool,
    values: Vec<f64>,
    p: Vec<f64>,
}

/// Every statistic, and the combined p-value of those in use where there are several (its value is −p).
fn judged(test: &dyn ShiftTest, law: &NullLaw, queries: &[Sample], streams: &Streams) -> Result<Vec<Judged>> {
    let statistics = test.statistics();
    let question = Question::of(statistics);
    let used: Vec<bool> = statistics.iter().map(|s| question.takes(s)).collect();
    let values = test.measure(queries, streams)?.values;
    let blank = |name: &str, verdict| Judged { statistic: name.into(), verdict, values: Vec::new(), p: Vec::new() };
    let mut out: Vec<Judged> = statistics.iter().map(|s| blank(s.name, s.verdict)).collect();
    let mut combined = blank("combined", question == Question::Harm);
    for row in values.chunks_exact(statistics.len()) {
        for ((judged, value), p) in out.iter_mut().zip(row).zip(law.p_values(row)?) {
            judged.values.push(*value);
            judged.p.push(p);
        }
        let p = law.combined(row, &used)?;
        combined.values.push(-p);
        combined.p.push(p);
    }
    if used.iter().filter(|u| **u).count() > 1 {
        out.push(combined);
    }
    Ok(out)
}

/// Median milliseconds of one query, asked by itself.
fn timed(test: &dyn ShiftTest, queries: &[Sample], streams: &Streams) -> Result<f64> {
    let mut each = Vec::new();
    for query in queries.iter().take(TIMED) {
        let start = Instant::now();
        test.measure(std::slice::from_ref(query), streams)?;
        each.push(1e3 * start.elapsed().as_secs_f64());
    }
    each.sort_by(f64::total_cmp);
    Ok(each[each.len() / 2])
}
