//! Our tests of shift beside their peers, in the two columns that decide: power where the shift harms f, alarms where it does not.
//!
//! f, P and queries are those of `shift`'s homes; held-out rows and the rows that queries come from are other rows. Whether a change harms is measured, on all
//! rows that f was not trained on: f's accuracy falls by [`line::HARM`] or more, or by less than [`line::BENIGN`].
mod changes;
mod contenders;
mod line;
mod page;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::shift::world::{self, Home, World};
use crate::common::Outcome;
use crate::session::Session;
use anyhow::{Context, Result, bail};
use changes::Change;
use contenders::{Contenders, Judging, Tests};
use line::{Line, put};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thalweg::Streams;
use thalweg::shift::method::Parts;
use thalweg::shift::{Method, Sample};
use thalweg_nets::progress::Progress;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    seed: u64,
    homes: Vec<String>,
    sizes: Vec<usize>,
    bases: u64,
    draws: usize,
    null: usize,
    /// Draws for the laws of tests that train for every query.
    #[serde(rename = "null-trained")]
    null_trained: usize,
    level: f64,
    /// Beside the default tests.
    methods: Vec<Method>,
    /// What differs from the parameters measured for the kind of rows.
    #[serde(default)]
    tests: toml::Table,
    changes: Vec<Change>,
    home: BTreeMap<String, Home>,
}

/// The rows that a change leads to.
struct Shift {
    name: String,
    rows: Sample,
    /// Whether f is right on each.
    right: Vec<bool>,
    /// f's, of all rows that it was not trained on.
    accuracy: f64,
}

impl Experiment for Peers {
    const NAME: &'static str = "peers";
    const TOML: &'static str = include_str!("../../../../../experiments/peers.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        if self.homes.is_empty()
            || self.sizes.is_empty()
            || self.sizes.contains(&0)
            || self.bases == 0
            || self.draws < 2
        {
            bail!("homes and sizes must name some; bases be at least 1, draws at least 2");
        }
        thalweg::shift::law::permutation::check(self.null, self.level)?;
        thalweg::shift::law::permutation::check(self.null_trained, self.level)?;
        world::tests(&self.tests, true)?;
        for name in &self.homes {
            self.home.get(name).with_context(|| format!("no table [home.{name}]"))?.recipe.check()?;
        }
        Ok(())
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let mut lines: Vec<Line> = Vec::new();
        for name in &self.homes {
            for index in 0..self.bases {
                let world = world::world(&self.home[name], index, self.seed, true, run.session)?;
                let (right, seconds) = (world.fresh.1, world.seconds);
                let number = index + 1;
                run.session
                    .say(&format!("{name}, network {number}: accuracy {right:.3} on P, trained in {seconds:.1} s"));
                self.of_world(name, index, &world, &mut lines, run.session)?;
            }
        }
        Ok(Findings {
            rows: lines.iter().map(Line::row).collect(),
            tables: page::tables(&lines, &self.sizes),
            report: page::page((self.draws, self.bases, self.level, &self.sizes), run.scale, &lines),
            outcome: Outcome::Done,
        })
    }
}

impl Peers {
    fn of_world(&self, home: &str, index: u64, world: &World, lines: &mut Vec<Line>, session: &Session) -> Result<()> {
        let streams = Streams::new(self.seed).child("peers").child(home).index(index);
        let images = world.base.takes_images();
        let (base, unseen) = (&world.base, &world.unseen);
        let on_p = world::accuracy(base, unseen)?;
        let shift = |name: &str, rows: &Sample, labels: &[u32], accuracy: f64| {
            let right = rows.predictions().iter().zip(labels).map(|(a, b)| a == b).collect();
            Shift { name: name.into(), rows: rows.clone(), right, accuracy }
        };
        let mut shifts = vec![shift("none", &world.fresh.0, &world.data.labels, on_p)];
        shifts.extend(world.shifted.iter().map(|s| shift(&s.name, &s.rows, &s.labels, s.accuracy)));
        for change in &self.changes {
            let streams = streams.child(&change.name());
            let [rows, all] = [&world.data, unseen].map(|rows| change.of(rows, unseen, base, &streams));
            let (rows, accuracy) = (rows?, world::accuracy(base, &all?)?);
            shifts.push(shift(&change.name(), &base.sample(&rows.inputs)?, &rows.labels, accuracy));
        }
        let config = world::tests(&self.tests, images)?;
        let default = Method::defaults(true);
        let (mut tests, mut trained) = (Tests::new(), Tests::new());
        for method in default.iter().chain(self.methods.iter().filter(|m| !default.contains(m))) {
            let parts = Parts {
                base: Some(world.base.clone()),
                reference: &world.reference,
                labels: &world.labels,
                size: self.sizes[0],
                config: &config,
            };
            let test = (*method, method.prepare(&parts, None, &streams)?);
            if method.trains_per_query() { trained.push(test) } else { tests.push(test) }
        }
        for &size in &self.sizes {
            let resized = |all: &mut Tests| -> Result<()> {
                all.iter_mut()
                    .try_for_each(|(m, test)| Ok(test.resize(&world.reference, size, &streams.child(m.name()))?))
            };
            resized(&mut tests)?;
            resized(&mut trained)?;
            let judging = Judging { null: self.null, null_trained: self.null_trained, level: self.level };
            let all = ((tests, default.len()), trained, (size, judging));
            let ready = Contenders::new(world, all.0, all.1, all.2, &streams.child("laws"))?;
            session.progress.begin(&format!("{home}, network {}, {size} rows", index + 1), shifts.len() as u64);
            for Shift { name: shift, rows, right, accuracy } in &shifts {
                if session.progress.interrupted() {
                    return Err(thalweg_nets::Error::Interrupted.into());
                }
                let streams = streams.child(shift).index(size as u64);
                if let Some(drawn) = world::drawn(rows.len(), size, self.draws, &streams) {
                    let share = |query: &[usize]| query.iter().filter(|&&row| right[row]).count() as f64 / size as f64;
                    let queries: Vec<_> = drawn.iter().map(|query| (rows.rows(query), share(query))).collect();
                    for (method, counts) in ready.alarms(&queries, &streams.child("judged"))? {
                        put(lines, (home, shift, size, &method), [on_p, *accuracy], counts);
                    }
                }
                session.progress.advance(1);
            }
            session.progress.end();
            (tests, trained) = ready.into_tests();
        }
        Ok(())
    }
}
