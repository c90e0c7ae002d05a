//! Who is compared: our outcome, our tests, and the peers, all on the same redraws of query and held-out rows where they can be.
use crate::experiments::shift::world::World;
use anyhow::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use thalweg::Streams;
use thalweg::shift::calibration::accuracy::Accuracy;
use thalweg::shift::counterpart::{Home, explained};
use thalweg::shift::law::null::NullLaw;
use thalweg::shift::law::outcome::{Answer, Measurement, Outcome, Question, together};
use thalweg::shift::law::permutation;
use thalweg::shift::{Base, Method, Reference, Sample, ShiftTest};

/// Our outcome, by what it says.
pub const HARMFUL: &str = "default: harmful";
pub const ANY: &str = "default: harmful or shifted";

/// What is counted of our estimate of f's accuracy: the queries that have an interval, and those of them whose accuracy lies outside it.
pub const GIVEN: &str = "estimate: interval given";
pub const MISSED: &str = "estimate: truth outside it";

/// The first of them without asking whether a change that f bears explains it.
pub const UNEXPLAINED: &str = "default: harm alarms";

/// Tests, prepared.
pub type Tests = Vec<(Method, Box<dyn ShiftTest>)>;

/// What the peers say, ready for queries.
pub struct Contenders {
    reference: Reference,
    base: Arc<Base>,
    /// Of the held-out rows.
    labels: Vec<u32>,
    accuracy: Option<Accuracy>,
    /// The default tests, and others that need no training a query.
    tests: Tests,
    /// How many of them are the default.
    default: usize,
    /// Tests that train for every query, with laws from draws of held-out rows.
    trained: Vec<(Method, Box<dyn ShiftTest>, NullLaw)>,
    /// Confidence on rows of P that as many exceed as f is right on.
    threshold: f64,
    /// Values of every feature on validation rows, in order.
    columns: Vec<Vec<f32>>,
    null: usize,
    level: f64,
}

/// How queries are judged.
#[derive(Clone, Copy, Debug)]
pub struct Judging {
    /// Redraws, and null draws of tests that train for every query.
    pub null: usize,
    pub null_trained: usize,
    pub level: f64,
}

fn sure(sample: &Sample) -> Vec<f64> {
    let rows = sample.probabilities();
    rows.chunks_exact(sample.classes()).map(|p| f64::from(p.iter().copied().fold(0.0, f32::max))).collect()
}

impl Contenders {
    /// From prepared tests: the default ones, others, and those that train for every query, for queries of `size` rows.
    ///
    /// # Errors
    /// As the tests' own.
    pub fn new(
        world: &World,
        (mut tests, default): (Tests, usize),
        trained: Tests,
        (size, judging): (usize, Judging),
        streams: &Streams,
    ) -> Result<Self> {
        let reference = &world.reference;
        // Every query is measured among the held-out rows, of which the tests say what they have to say once.
        tests.iter_mut().try_for_each(|(_, test)| test.keep(&reference.held_out, None))?;
        let validation = &reference.validation;
        let right = validation.predictions().iter().zip(&world.validation_labels).filter(|(a, b)| a == b).count();
        let mut confidences = sure(validation);
        confidences.sort_by(|a, b| b.total_cmp(a));
        let threshold = confidences[right.clamp(1, confidences.len()) - 1];
        let wide = validation.width();
        let column = |j: usize| {
            let mut values: Vec<f32> = validation.inputs.iter().skip(j).step_by(wide).copied().collect();
            values.sort_by(f32::total_cmp);
            values
        };
        let with_law = |(method, test): (Method, Box<dyn ShiftTest>)| -> Result<_> {
            let (rows, _) = reference.draws(size, judging.null_trained, &streams.child("null"))?;
            let draws: Vec<Sample> = rows.iter().map(|r| reference.held_out.rows(r)).collect();
            let law = NullLaw::new(test.measure(&draws, &streams.child("law"))?.values, test.statistics().len())?;
            Ok((method, test, law))
        };
        let ours: Vec<&dyn ShiftTest> = tests[..default].iter().map(|(_, test)| &**test).collect();
        Ok(Self {
            accuracy: Accuracy::new(reference, world.held_out_labels.clone(), &ours)?,
            reference: reference.clone(),
            base: world.base.clone(),
            labels: world.held_out_labels.clone(),
            tests,
            default,
            trained: trained.into_iter().map(with_law).collect::<Result<_>>()?,
            threshold,
            columns: (0..wide).map(column).collect(),
            null: judging.null,
            level: judging.level,
        })
    }

    /// The tests again, for another size: those that need no training a query, and the others.
    pub fn into_tests(self) -> (Tests, Tests) {
        (self.tests, self.trained.into_iter().map(|(method, test, _)| (method, test)).collect())
    }

    /// On how many of `queries`, which f is right on to this share, each alarms, and of how many that is.
    ///
    /// # Errors
    /// As the tests' own.
    pub fn alarms(&self, queries: &[(Sample, f64)], streams: &Streams) -> Result<BTreeMap<String, [usize; 2]>> {
        let each: Vec<Vec<(String, bool)>> = queries
            .par_iter()
            .enumerate()
            .map(|(i, (query, right))| self.judged(query, *right, &streams.index(i as u64)))
            .collect::<Result<_>>()?;
        let mut counts = BTreeMap::new();
        for (name, alarm) in each.into_iter().flatten() {
            let [hits, of] = counts.entry(name).or_insert([0; 2]);
            (*hits, *of) = (*hits + usize::from(alarm), *of + 1);
        }
        Ok(counts)
    }

    fn judged(&self, query: &Sample, right: f64, streams: &Streams) -> Result<Vec<(String, bool)>> {
        let held_out = &self.reference.held_out;
        let rows = held_out.clone().joined(query);
        let draws = permutation::redraws(held_out.len(), query.len(), self.null, streams)?;
        let (mut measured, mut disagreements) = (Vec::new(), Vec::new());
        let mut found = Vec::new();
        for (method, test) in &self.tests {
            let values = test.measure_rows(&rows, held_out.len(), &draws, &streams.child(method.name()))?;
            let of = Measurement::new(method.name(), test.statistics(), &values, draws.len())?;
            let p = together(&[&of]).map_or(1.0, |p| p[0]);
            found.push((method.name().to_owned(), p <= self.level));
            measured.push(of);
            disagreements.push(values.disagreements);
        }
        let mut outcome = Answer::of(&measured[..self.default])?.outcome(self.level).0;
        found.push((UNEXPLAINED.into(), outcome == Outcome::HarmfulShift));
        if outcome == Outcome::HarmfulShift {
            let tests = self.tests[..self.default].iter().map(|(method, test)| (*method, &**test));
            let ask = |inputs: &[f32]| self.base.sample(inputs);
            let home = Home { ask: Some(&ask), held_out, labels: &self.labels };
            let how = (self.level, self.null);
            if explained(tests, &home, query, how, &streams.child("counterpart"))?.is_some() {
                outcome = Outcome::ShiftedHarmNotEstablished;
            }
        }
        if let Some(accuracy) = &self.accuracy {
            let ours: Vec<&dyn ShiftTest> = self.tests[..self.default].iter().map(|(_, test)| &**test).collect();
            let interval =
                accuracy.estimate(query, outcome, self.level, (&self.reference, &ours), &disagreements)?.interval;
            found.push((GIVEN.into(), interval.is_some()));
            found.extend(interval.map(|[low, high]| (MISSED.into(), !(low..=high).contains(&right))));
        }
        found.push((HARMFUL.into(), outcome == Outcome::HarmfulShift));
        found.push((ANY.into(), outcome != Outcome::NoEvidenceOfHarm));
        let confidence = sure(&rows);
        let mean = |of: &dyn Fn(usize) -> f64| -> Vec<f64> {
            draws.iter().map(|draw| draw.iter().map(|&r| of(r)).sum::<f64>() / draw.len() as f64).collect()
        };
        found.push(("average confidence".into(), self.rejects(&mean(&|r| -confidence[r]))));
        let below = |r: usize| f64::from(u8::from(confidence[r] < self.threshold));
        found.push(("thresholded confidence".into(), self.rejects(&mean(&below))));
        found.push((
            "KS on inputs".into(),
            self.rejects(&draws.iter().map(|d| self.apart(&rows, d)).collect::<Vec<_>>()),
        ));
        for (method, test, law) in &self.trained {
            let statistics = test.statistics();
            let values = test.measure(std::slice::from_ref(query), &streams.child(method.name()))?.values;
            let used: Vec<bool> = statistics.iter().map(|s| Question::of(statistics).takes(s)).collect();
            found.push((method.name().to_owned(), law.combined(&values, &used)? <= self.level));
        }
        Ok(found)
    }

    /// Whether the first of values, the query's, is so large among all.
    fn rejects(&self, values: &[f64]) -> bool {
        let as_large = values.iter().filter(|v| **v >= values[0]).count();
        as_large as f64 / values.len() as f64 <= self.level
    }

    /// The greatest Kolmogorov-Smirnov distance of rows from the validation rows, over features.
    fn apart(&self, rows: &Sample, draw: &[usize]) -> f64 {
        let (wide, n) = (rows.width(), draw.len() as f64);
        let of = |(j, column): (usize, &Vec<f32>)| {
            let mut values: Vec<f32> = draw.iter().map(|&r| rows.inputs[r * wide + j]).collect();
            values.sort_by(f32::total_cmp);
            let share = |v: f32, upto: bool| {
                column.partition_point(|x| if upto { *x <= v } else { *x < v }) as f64 / column.len() as f64
            };
            let below = |v: f32, upto: bool| values.partition_point(|x| if upto { *x <= v } else { *x < v }) as f64 / n;
            let gap =
                |v: &f32| (below(*v, true) - share(*v, true)).abs().max((below(*v, false) - share(*v, false)).abs());
            values.iter().map(gap).fold(0.0, f64::max)
        };
        self.columns.iter().enumerate().map(of).fold(0.0, f64::max)
    }
}
