//! Tests prepared once for a model, in one file: f, the rows of P that tests need, all that was trained or computed for the tests, and a record of
//! how it was made. Afterwards a query needs nothing but this file, and reading it trains nothing.
//!
//! Laws without shift are not kept: they are made for every query, of any number of rows, by permutation ([`super::law::permutation`]) of its rows and the
//! held-out rows of P, which the file holds. Every test goes through the same redraws, and [`super::law::outcome`] makes one answer of all of them.
use self::accuracy::Accuracy;
pub use self::file::NetworkNamed;
pub use self::networks::{Networks, Trained};
pub use self::request::Request;
use super::base::{Base, Sample};
use super::counterpart::{self, Ask, Explained, Home};
use super::disagreement::cdc::Trainer;
use super::disagreement::choose::{Choice, choose};
use super::encoding::Encoding;
use super::estimate::Estimate;
use super::law::outcome::{self, Answer, Measurement, Outcome, Question, together};
use super::law::permutation;
use super::method::{Config, Method, Parts};
use super::reference::{Known, Reference};
use super::test::ShiftTest;
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use thalweg_nets::Architecture;
use thalweg_nets::data::DataRecord;
use thalweg_nets::pieces::here;
use thalweg_nets::progress::Progress;

pub mod accuracy;
mod file;
mod key;
#[cfg(test)]
mod level;
mod networks;
mod request;
#[cfg(test)]
mod tests;

/// Held-out rows that are kept, at most: a random part of more.
pub const HELD_OUT: usize = 4096;

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
    /// Rows of P: training, validation, held out.
    pub rows: [usize; 3],
    /// C.
    pub classes: usize,
    /// Names of the columns of logits; empty where they have none.
    pub columns: Vec<String>,
    /// Whether logits are known up to a constant of each row only: they were made of probabilities.
    pub probabilities: bool,
    /// Where f is known by its answers alone and a network stands in for it ([`super::disagreement::distil`]): on which share of validation rows the two
    /// name the same class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<f64>,
    /// How tables become inputs, where f takes tables as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// The architecture of f, or of what stands in for it; none where only logits are known, or where f is a network that the engine does not know.
    pub architecture: Option<Architecture>,
    /// The name of f where it is a network that the engine does not know: to read the file takes that network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// What P's inputs are, for queries to be read alike; none where only logits are known.
    pub source: Option<DataRecord>,
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
    /// Seconds that each test took to be prepared here; not kept in the file.
    pub seconds: BTreeMap<&'static str, f64>,
    base: Option<Arc<Base>>,
    reference: Reference,
    accuracy: Option<Accuracy>,
    tests: Vec<Box<dyn ShiftTest>>,
    /// Of the reference, told when it is first asked for.
    known: OnceLock<Known>,
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
    /// A change of P that f bears and that explains what the tests of harm see, which then is no evidence of harm.
    pub explained: Option<Explained>,
    /// Test by test.
    pub findings: Vec<Finding>,
    /// How much each row of the query looks out of place by the first test that can tell, `[N]`; empty where none can.
    pub row_scores: Vec<f64>,
    /// How often f is right on the query; none where no labels of P are known.
    pub estimate: Option<Estimate>,
    /// What is to be known beside it, in sentences: copies among the rows, rows that f was trained on, answers that are right by chance.
    pub caveats: Vec<String>,
}

impl Calibration {
    /// Trains what is to be trained.
    ///
    /// # Errors
    /// As [`Request::check`]; a test that needs more than is known; as the tests' own; interruption.
    pub fn make(request: &Request, progress: &dyn Progress) -> Result<Self> {
        Self::make_by(request, &|_, work| here(work), progress)
    }

    /// As [`Self::make`], with the networks that tests train independently of one another as `networks` gives them: for work whose pieces
    /// ([`Request::pieces`]) others have made.
    ///
    /// # Errors
    /// As [`Self::make`]; networks of another number.
    pub fn make_by(request: &Request, networks: &Trained<'_>, progress: &dyn Progress) -> Result<Self> {
        request.check()?;
        let Request { parts, methods, null, seed, .. } = request;
        let streams = Streams::new(*seed).child("shift");
        let mut config = parts.config.clone();
        let (mut choice, mut seconds) = (None, BTreeMap::new());
        let (mut tests, mut first) = (Vec::new(), 0);
        progress.begin("calibrating", methods.len() as u64);
        for method in *methods {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            let start = Instant::now();
            if let (true, true, Some(base)) = (request.choose, *method == Method::DETECTRON, &parts.base) {
                let trainer = Trainer::new(base.clone(), parts.reference, config.cdc, &streams.child("detectron"))?;
                let found = choose(&trainer, parts.reference, config.detectron, parts.size, &streams)?;
                config.cdc = found.config;
                choice = Some(found);
            }
            let parts = Parts { config: &config, ..parts.clone() };
            tests.push(match method.pieces(&parts, &streams)? {
                Some(work) => {
                    let thetas = networks(first, &*work)?;
                    first += work.count();
                    method.prepare_from(&parts, thetas.concat(), &streams)?
                }
                None => method.prepare(&parts, None, &streams)?,
            });
            seconds.insert(method.name(), start.elapsed().as_secs_f64());
            progress.advance(1);
        }
        let kept = parts.reference.held_out.part(HELD_OUT, &mut streams.child("held").rng());
        let labels: Vec<u32> = kept.iter().filter_map(|&row| request.held_out_labels.get(row).copied()).collect();
        let reference = Reference { held_out: parts.reference.held_out.rows(&kept), ..parts.reference.clone() };
        for test in &mut tests {
            test.keep(&reference.held_out, None)?;
        }
        let record = Record {
            size: parts.size,
            methods: methods.to_vec(),
            seed: *seed,
            null: *null,
            level: request.level,
            rows: [reference.train.len(), reference.validation.len(), reference.held_out.len()],
            classes: reference.held_out.classes(),
            columns: request.columns.clone(),
            probabilities: request.probabilities,
            stand_in: request.stand_in,
            encoding: request.encoding.clone(),
            architecture: parts.base.as_ref().and_then(|base| base.architecture().cloned()),
            network: parts.base.as_ref().and_then(|base| base.name().map(str::to_owned)),
            source: request.source.clone(),
            data: request.data.clone(),
            config,
            choice,
        };
        let of: Vec<&dyn ShiftTest> = tests.iter().map(AsRef::as_ref).collect();
        let accuracy = Accuracy::new(&reference, labels, &of)?;
        Ok(Self { record, seconds, base: parts.base.clone(), reference, accuracy, tests, known: OnceLock::new() })
    }

    /// f; none where only its logits are known.
    pub fn base(&self) -> Option<&Arc<Base>> {
        self.base.as_ref()
    }

    /// The rows of P.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Labels of the held-out rows; empty where they are not known.
    fn labels(&self) -> &[u32] {
        self.accuracy.as_ref().map_or(&[], Accuracy::labels)
    }

    /// The tests, in the order of the record's methods.
    pub fn tests(&self) -> impl Iterator<Item = &dyn ShiftTest> {
        self.tests.iter().map(AsRef::as_ref)
    }

    /// What is to be known of P beside whatever is said of a query, in sentences.
    pub fn caveats(&self) -> Vec<String> {
        let unrelated = self.accuracy.as_ref().and_then(Accuracy::unrelated);
        unrelated.cloned().into_iter().chain(self.known().held_out_copies()).collect()
    }

    fn known(&self) -> &Known {
        self.known.get_or_init(|| self.reference.known())
    }

    /// Redraws of a query at `level`: as many as were asked for, or as both questions need.
    pub fn redraws(&self, level: f64) -> usize {
        self.record.null.max(outcome::redraws(&self.questions(), level))
    }

    /// What its tests ask, in their order.
    pub fn questions(&self) -> Vec<Question> {
        self.tests().map(|test| Question::of(test.statistics())).collect()
    }

    /// How much each row of `query` looks out of place by the first test that can tell, `[N]`, and which test that is; none where none can.
    ///
    /// # Errors
    /// A query that does not fit; as the test's own.
    pub fn row_scores(&self, query: &Sample, streams: &Streams) -> Result<Option<(Method, Vec<f64>)>> {
        for (test, method) in self.tests.iter().zip(&self.record.methods) {
            let scores = test.measure(std::slice::from_ref(query), &streams.child(method.name()))?.row_scores;
            if !scores.is_empty() {
                return Ok(Some((*method, scores)));
            }
        }
        Ok(None)
    }

    /// What the tests say of `query`, rows of any number, at `level`. Rows that are copies of others, more than P's own rows are by chance, count once:
    /// tests take rows as independent.
    ///
    /// # Errors
    /// A query without rows; a level that the redraws or the held-out rows cannot reach; as the tests' own; interruption.
    pub fn test(&self, query: &Sample, level: f64, seed: u64, progress: &dyn Progress) -> Result<Verdict> {
        self.test_asking(query, level, seed, None, progress)
    }

    /// As [`Self::test`], with what answers for an f that a network stands in for: rows of P that were changed are given to it
    /// ([`super::counterpart`]).
    ///
    /// # Errors
    /// As [`Self::test`]; those of `ask`.
    pub fn test_asking(
        &self,
        query: &Sample,
        level: f64,
        seed: u64,
        ask: Option<&Ask>,
        progress: &dyn Progress,
    ) -> Result<Verdict> {
        permutation::check(self.record.null, level)?;
        let (single, of_query) = self.known().looked_over(query);
        let mut caveats = self.caveats();
        caveats.extend(of_query);
        let held_out = &self.reference.held_out;
        let silenced = |n: usize| outcome::silenced(&self.questions(), [held_out.len(), n], level);
        let streams = Streams::new(seed).child("shift query");
        let told = |query: &Sample| {
            permutation::enough(held_out.len(), query.len(), level)?;
            self.against(held_out, query, level, ask, &streams, progress)
        };
        let Some(of_row) = single else {
            caveats.extend(silenced(query.len()));
            return Ok(Verdict { caveats, ..told(query)? });
        };
        let firsts: Vec<usize> = (0..of_row.len()).filter(|&row| of_row[row] == row).collect();
        caveats.extend(silenced(firsts.len()));
        let verdict = told(&query.rows(&firsts))?;
        let score = |row: &usize| verdict.row_scores[firsts.partition_point(|first| first < row)];
        let row_scores = if verdict.row_scores.is_empty() { Vec::new() } else { of_row.iter().map(score).collect() };
        Ok(Verdict { caveats, row_scores, ..verdict })
    }

    /// What the tests say of `query` beside the rows `held_out` of P, which no test was made with.
    ///
    /// # Errors
    /// A query without rows or one that does not fit; as the tests' own; interruption.
    pub(in crate::shift) fn against(
        &self,
        held_out: &Sample,
        query: &Sample,
        level: f64,
        ask: Option<&Ask>,
        streams: &Streams,
        progress: &dyn Progress,
    ) -> Result<Verdict> {
        let (null, own) = (self.redraws(level), &self.reference.held_out);
        // The rows that the tests keep, as they are unless a watch has drawn others.
        let kept = if std::ptr::eq(held_out, own) || held_out.begins_with(own) { own.len() } else { 0 };
        super::test::check(query, &held_out.schema(), held_out.width() > 0)?;
        let rows = held_out.clone().joined(query);
        let queries = permutation::redraws(held_out.len(), query.len(), null, streams)?;
        let (mut measured, mut findings, mut row_scores) = (Vec::new(), Vec::new(), Vec::new());
        let mut disagreements = Vec::new();
        progress.begin("testing", self.tests.len() as u64);
        for (test, method) in self.tests.iter().zip(&self.record.methods) {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            let start = Instant::now();
            let all = test.measure_rows(&rows, kept, &queries, &streams.child(method.name()))?;
            let of = Measurement::new(method.name(), test.statistics(), &all, queries.len())?;
            if row_scores.is_empty() && !all.row_scores.is_empty() {
                row_scores = vec![0.0; query.len()];
                queries[0].iter().zip(&all.row_scores).for_each(|(&r, score)| row_scores[r - held_out.len()] = *score);
            }
            disagreements.push(all.disagreements);
            findings.push(finding(*method, &of, start.elapsed().as_secs_f64()));
            measured.push(of);
            progress.advance(1);
        }
        let answer = Answer::of(&measured)?;
        let (mut outcome, p_value) = answer.outcome(level);
        let mut explained = None;
        if outcome == Outcome::HarmfulShift {
            // What stands in for f is not what f answers to changed rows.
            let base = self.base.as_deref().filter(|_| self.record.stand_in.is_none());
            let own = base.map(|base| move |inputs: &[f32]| base.sample(inputs));
            let ask = ask.or(own.as_ref().map(|own| own as &Ask));
            let labels = if kept > 0 && kept == held_out.len() { self.labels() } else { &[] };
            let tests = self.record.methods.iter().copied().zip(self.tests());
            let home = Home { ask, held_out, labels };
            explained = counterpart::explained(tests, &home, query, (level, null), &streams.child("counterpart"))?;
            if explained.is_some() {
                outcome = Outcome::ShiftedHarmNotEstablished;
            }
        }
        let estimate = match &self.accuracy {
            Some(known) => {
                let tests: Vec<&dyn ShiftTest> = self.tests().collect();
                Some(known.estimate(query, outcome, level, (&self.reference, &tests), &disagreements)?)
            }
            None => None,
        };
        Ok(Verdict { outcome, p_value, level, answer, explained, findings, row_scores, estimate, caveats: Vec::new() })
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
