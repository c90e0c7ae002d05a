//! A test made ready, once for a model, in one file: f, the rows of P that tests need, trained CDCs, and a record of how all of it was made.
//! Afterwards a query needs nothing but this file.
//!
//! Laws without shift are not kept: they are made for every query, of any number of rows, by permutation ([`super::law::permutation`]) of its rows and the
//! held-out rows of P, which the file holds. Every test goes through the same redraws, and [`super::law::outcome`] makes one answer of all of them.
use super::base::{Base, Sample};
use super::disagreement::cdc::Trainer;
use super::disagreement::choose::{Choice, choose};
use super::law::outcome::{Answer, Measurement, Outcome, Question, together};
use super::law::permutation;
use super::method::{Config, Method, Parts};
use super::reference::Reference;
use super::test::{ShiftTest, Statistic};
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use thalweg_nets::Architecture;
use thalweg_nets::data::DataRecord;
use thalweg_nets::progress::Progress;

mod file;
#[cfg(test)]
mod level;

/// Held-out rows that are kept, at most: a random part of more.
pub const HELD: usize = 4096;

/// How a calibration was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// |Q| that tests were tuned for; other sizes are as valid.
    pub size: usize,
    /// Tests, in the order in which they are told.
    pub methods: Vec<Method>,
    /// Seed of all randomness.
    pub seed: u64,
    /// Redraws of every query.
    pub null: usize,
    /// Level that the redraws were counted for.
    pub level: f64,
    /// Rows of P: trained on, chosen on, held out.
    pub rows: [usize; 3],
    /// C.
    pub classes: usize,
    /// Names of the columns of logits; empty where they have none.
    pub columns: Vec<String>,
    /// Whether logits are known up to a constant of each row only: they were made of probabilities.
    pub probabilities: bool,
    /// f's architecture; none where only its logits are known.
    pub architecture: Option<Architecture>,
    /// What P's inputs are, for queries to be read alike; none where only logits are known.
    pub home: Option<DataRecord>,
    /// What P is called.
    pub data: String,
    /// Parameters in force.
    pub config: Config,
    /// How κ, learning rate and steps were found, where they were.
    pub choice: Option<Choice>,
}

/// Tests with the rows that they are judged against.
pub struct Calibration {
    /// How it was made.
    pub record: Record,
    /// Seconds that each test took to be made ready here; not kept in the file.
    pub seconds: BTreeMap<String, f64>,
    base: Option<Arc<Base>>,
    reference: Reference,
    tests: Vec<Box<dyn ShiftTest>>,
}

/// What one test says of a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// The test.
    pub method: Method,
    /// What it asks.
    pub question: Question,
    /// Name, whether the answer takes it in, value, p-value, mean over the redraws.
    pub statistics: Vec<(&'static str, bool, f64, f64, f64)>,
    /// One p-value of all that the answer takes in.
    pub p_value: f64,
    /// Seconds for the query and all redraws.
    pub seconds: f64,
}

/// What all tests say of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What it comes to at the level.
    pub outcome: Outcome,
    /// The p-value of that, see [`Answer::outcome`].
    pub p_value: f64,
    /// The level.
    pub level: f64,
    /// The p-values of the questions.
    pub answer: Answer,
    /// Test by test.
    pub findings: Vec<Finding>,
    /// How much each row of the query looks out of place by the first test that can tell, `[N]`; empty where none can.
    pub blame: Vec<f64>,
}

/// What a calibration is asked for.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// f, rows, |Q|, parameters.
    pub parts: Parts<'a>,
    /// Tests.
    pub methods: &'a [Method],
    /// Redraws of every query.
    pub null: usize,
    /// Level that they are for.
    pub level: f64,
    /// Seed.
    pub seed: u64,
    /// Names of the columns of logits; empty where they have none.
    pub columns: Vec<String>,
    /// Whether logits were made of probabilities.
    pub probabilities: bool,
    /// What P's inputs are; none where only logits are known.
    pub home: Option<DataRecord>,
    /// What P is called.
    pub data: String,
    /// Whether CDC parameters are to be found on validation draws.
    pub choose: bool,
}

impl Request<'_> {
    /// Checks what needs no work.
    ///
    /// # Errors
    /// No method, one twice; a size of 0; redraws or held-out rows that could never reject; held-out rows that are training rows.
    pub fn check(&self) -> Result<()> {
        let methods = self.methods;
        if methods.is_empty() || (1..methods.len()).any(|i| methods[..i].contains(&methods[i])) {
            let found = methods.iter().map(|m| m.name()).collect::<Vec<_>>().join(", ");
            return Err(Error::parameter("methods", "at least one, none twice", found));
        }
        if self.parts.size == 0 {
            return Err(Error::parameter("query size |Q|", "at least 1", 0));
        }
        permutation::check(self.null, self.level)?;
        permutation::enough(self.parts.reference.held.len(), self.parts.size, self.level)?;
        self.parts.reference.held_is_fresh()
    }
}

impl Calibration {
    /// Trains what is to be trained.
    ///
    /// # Errors
    /// As [`Request::check`]; a test that needs more than is known; as the tests' own; interruption.
    pub fn make(request: &Request, progress: &dyn Progress) -> Result<Self> {
        request.check()?;
        let Request { parts, methods, null, seed, .. } = request;
        let streams = Streams::new(*seed).child("shift");
        let mut config = parts.config.clone();
        let (mut choice, mut seconds) = (None, BTreeMap::new());
        let mut tests = Vec::new();
        progress.begin("calibrating", methods.len() as u64);
        for method in *methods {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            let start = Instant::now();
            if let (true, Method::Detectron, Some(base)) = (request.choose, method, &parts.base) {
                let trainer = Trainer::new(base.clone(), parts.reference, config.cdc, &streams.child("detectron"))?;
                let found = choose(&trainer, parts.reference, config.detectron, parts.size, &streams)?;
                config.cdc = found.config;
                choice = Some(found);
            }
            let parts = Parts { config: &config, ..parts.clone() };
            tests.push(method.prepare(&parts, None, &streams)?);
            seconds.insert(method.name().to_owned(), start.elapsed().as_secs_f64());
            progress.advance(1);
        }
        let held = parts.reference.held.part(HELD, &mut streams.child("held").rng());
        let reference = Reference { held, ..parts.reference.clone() };
        let record = Record {
            size: parts.size,
            methods: methods.to_vec(),
            seed: *seed,
            null: *null,
            level: request.level,
            rows: [reference.train.len(), reference.validation.len(), reference.held.len()],
            classes: reference.held.classes(),
            columns: request.columns.clone(),
            probabilities: request.probabilities,
            architecture: parts.base.as_ref().map(|b| b.architecture().clone()),
            home: request.home.clone(),
            data: request.data.clone(),
            config,
            choice,
        };
        Ok(Self { record, seconds, base: parts.base.clone(), reference, tests })
    }

    /// f; none where only its logits are known.
    pub fn base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref()
    }

    /// The rows of P.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The tests, in the order of the record's methods.
    pub fn tests(&self) -> impl Iterator<Item = &dyn ShiftTest> {
        self.tests.iter().map(AsRef::as_ref)
    }

    /// What the tests say of `query`, rows of any number, at `level`.
    ///
    /// # Errors
    /// A query without rows; a level that the redraws or the held-out rows cannot reach; as the tests' own; interruption.
    pub fn test(&self, query: &Sample, level: f64, seed: u64, progress: &dyn Progress) -> Result<Verdict> {
        if query.is_empty() {
            return Err(Error::shape("query Q", "[N ≥ 1, D]", "[0, D]"));
        }
        let (null, held) = (self.record.null, &self.reference.held);
        permutation::check(null, level)?;
        permutation::enough(held.len(), query.len(), level)?;
        super::test::check(query, held, held.width() > 0)?;
        let streams = Streams::new(seed).child("shift query");
        let rows = held.clone().joined(query);
        let queries = permutation::redraws(held.len(), query.len(), null, &streams)?;
        let (mut measured, mut findings, mut blame) = (Vec::new(), Vec::new(), Vec::new());
        progress.begin("testing", self.tests.len() as u64);
        for (test, method) in self.tests.iter().zip(&self.record.methods) {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            let start = Instant::now();
            let all = test.measure_rows(&rows, &queries, &streams.child(test.name()))?;
            let of = Measurement::new(test.name(), test.statistics(), &all, queries.len())?;
            if blame.is_empty() && !all.blame.is_empty() {
                blame = vec![0.0; query.len()];
                queries[0].iter().zip(&all.blame).for_each(|(&r, b)| blame[r - held.len()] = *b);
            }
            findings.push(finding(*method, &of, start.elapsed().as_secs_f64()));
            measured.push(of);
            progress.advance(1);
        }
        let answer = Answer::of(&measured)?;
        let (outcome, p_value) = answer.outcome(level);
        Ok(Verdict { outcome, p_value, level, answer, findings, blame })
    }
}

fn finding(method: Method, of: &Measurement, seconds: f64) -> Finding {
    let question = Question::of(of.statistics);
    let each = of.statistics.iter().enumerate().map(|(s, statistic)| {
        let column = of.column(s);
        let mean = column[1..].iter().sum::<f64>() / (column.len() - 1) as f64;
        (statistic.name, question.takes(statistic), column[0], of.p_value(s), mean)
    });
    let p_value = together(&[of]).map_or(1.0, |p| p[0]);
    Finding { method, question, statistics: each.collect(), p_value, seconds }
}

/// The statistics that make one p-value: those for the verdict, or all where none is; and whether it then speaks of harm.
pub fn used(statistics: &[Statistic]) -> (Vec<bool>, bool) {
    let harmful = statistics.iter().any(|s| s.verdict);
    (statistics.iter().map(|s| s.verdict || !harmful).collect(), harmful)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shift::config::small;
    use crate::shift::world;
    use thalweg_nets::progress::Silent;

    #[test]
    fn a_file_says_of_a_query_what_was_said_before_it_was_written() {
        let world = world::two_clouds(1);
        let config = small(30);
        let request = Request {
            parts: Parts {
                base: Some(world.base.clone()),
                reference: &world.reference,
                labels: &world.labels,
                size: 10,
                config: &config,
            },
            methods: &Method::ALL,
            null: 40,
            level: 0.05,
            seed: 3,
            columns: vec!["a".into(), "b".into()],
            probabilities: false,
            home: None,
            data: "clouds".into(),
            choose: true,
        };
        let made = Calibration::make(&request, &Silent).unwrap();
        assert!(made.record.choice.as_ref().is_some_and(|c| c.inside));
        let path = tempfile::tempdir().unwrap().path().join("c.safetensors");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        made.write(&path).unwrap();
        let read = Calibration::read(&path).unwrap();
        assert_eq!(read.record, made.record);
        let of = |c: &Calibration, query: &Sample| {
            let verdict = c.test(query, 0.05, 9, &Silent).unwrap();
            let each = verdict.findings.into_iter().map(|f| (f.method, f.statistics, f.p_value));
            (verdict.outcome, verdict.answer, verdict.blame, each.collect::<Vec<_>>())
        };
        let (near, far) = (world.near(10, 5), world.far(12, 5));
        let said = of(&read, &far);
        assert_eq!(of(&made, &far), said);
        assert_eq!(said.0, Outcome::HarmfulShift);
        assert!(said.3[0].0 == Method::Bank && said.3[0].2 < 0.03, "{:?}", said.3[0]);
        assert_eq!(said.2.len(), 12);
        assert_eq!(of(&read, &near).0, Outcome::NoEvidenceOfHarm);
        assert!(read.test(&near, 0.01, 9, &Silent).unwrap_err().to_string().contains("at least 99"));
        std::fs::write(&path, b"no").unwrap();
        assert!(Calibration::read(&path).is_err());
    }

    #[test]
    fn logits_alone_calibrate_what_needs_no_more() {
        let world = world::two_clouds(1);
        let of = |s: &Sample| Sample::of_logits(s.logits.clone(), 2).unwrap();
        let r = &world.reference;
        let reference = Reference::new(of(&r.train), of(&r.validation), of(&r.held)).unwrap();
        let config = Config::default();
        let request = |methods, null, size| Request {
            parts: Parts { base: None, reference: &reference, labels: &[], size, config: &config },
            methods,
            null,
            level: 0.05,
            seed: 1,
            columns: Vec::new(),
            probabilities: false,
            home: None,
            data: "logits".into(),
            choose: true,
        };
        let made = Calibration::make(&request(&[Method::Entropy, Method::Bbsd], 50, 8), &Silent).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.safetensors");
        made.write(&path).unwrap();
        let read = Calibration::read(&path).unwrap();
        let query = of(&world.near(8, 2));
        let p = |c: &Calibration| c.test(&query, 0.05, 0, &Silent).unwrap().answer;
        assert_eq!(p(&read), p(&made));
        let said = |methods: &'static [Method], null, size| {
            Calibration::make(&request(methods, null, size), &Silent).err().map(|e| e.to_string())
        };
        let says = |methods: &'static [Method], null, size, what: &str| {
            said(methods, null, size).is_some_and(|e| e.contains(what))
        };
        assert!(says(&[Method::Bank], 50, 8, "logits alone"));
        assert!(says(&[Method::Entropy, Method::Entropy], 50, 8, "none twice"));
        assert!(says(&[], 50, 8, "at least one"));
        assert!(says(&[Method::Entropy], 18, 8, "at least 19"));
        assert!(says(&[Method::Entropy], 50, 0, "at least 1"));
    }
}
