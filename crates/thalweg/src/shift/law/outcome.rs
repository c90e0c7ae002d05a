//! What tests together say of a query: harmful shift, no evidence of harm, or shifted without harm being established.
//!
//! Two questions are asked. *Harm*: do the statistics that stay quiet where f still works ([`Statistic::verdict`]) say that f is out of its depth?
//! *Difference*: do the tests of any difference say that the rows are not like those of P? A silent test of harm does not clear f where a test of
//! difference alarms: f may be sure and wrong.
//!
//! **Two questions, one level.** Statistics of one question become one p-value for every redraw alike ([`super::combined`]). Of the two
//! p-values the smaller of p_harm/.8 and p_difference/.2 is ranked among the redraws again, which gives an overall p-value: without shift it is at
//! most α with probability at most α, whatever the dependence, so that any alarm at all comes with at most that probability. A question is answered yes
//! where its own p-value and the overall one are at most α (a closed test: Marcus, Peritz, Gabriel 1976): where the rows are shifted harmlessly, harm is
//! still claimed with probability at most α. The weights leave most of the level to harm; a difference worth an alarm mostly has a tiny p-value.
use super::combined::combined;
use super::permutation;
use crate::shift::test::{Measured, Statistic};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Shares of the level that the questions have where both are asked: harm, difference.
pub const SHARES: [f64; 2] = [0.8, 0.2];

/// What a query comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// f is out of its depth.
    HarmfulShift,
    /// The rows differ from those of P; whether f suffers is open.
    ShiftedHarmNotEstablished,
    /// Nothing was found.
    NoEvidenceOfHarm,
}

impl Outcome {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::HarmfulShift => "harmful shift",
            Outcome::ShiftedHarmNotEstablished => "shifted, harm not established",
            Outcome::NoEvidenceOfHarm => "no evidence of harm",
        }
    }
}

/// What a test is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Whether f is out of its depth.
    Harm,
    /// Whether the rows differ at all.
    Difference,
}

impl Question {
    /// That of a test: harm where a statistic of its is for the verdict.
    pub fn of(statistics: &[Statistic]) -> Self {
        if statistics.iter().any(|s| s.verdict) { Question::Harm } else { Question::Difference }
    }

    /// Whether it is decided by `statistic`: all statistics of a test of difference, those for the verdict of a test of harm.
    pub fn takes(self, statistic: &Statistic) -> bool {
        self == Question::Difference || statistic.verdict
    }
}

/// The share of the level that the question with the smaller one has, where tests ask these `questions`.
fn least_share(questions: &[Question]) -> f64 {
    let both = [Question::Harm, Question::Difference].iter().all(|question| questions.contains(question));
    if both { SHARES[1] } else { 1.0 }
}

/// Redraws that tests which ask these `questions` need at least so that each can be answered yes at `level`: where both are asked, difference has the smaller
/// share of it.
pub fn redraws(questions: &[Question], level: f64) -> usize {
    permutation::needed(level * least_share(questions))
}

/// What is to be said of so few held-out rows and rows of Q that no test of any difference can alarm at `level` beside those of harm.
pub fn silenced(questions: &[Question], [held, query]: [usize; 2], level: f64) -> Option<String> {
    let would = permutation::held_out(held, query, level * least_share(questions));
    (would > held).then(|| format!(
        "With {held} held-out rows and {query} new ones no test of any difference can alarm at level {level}: their silence means nothing. At least {would} held-out rows are needed, or more new ones."
    ))
}

/// The statistics of one test on the query (first) and on every redraw.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// What they are.
    pub statistics: &'static [Statistic],
    /// `[1 + B, S]`.
    pub values: Vec<f64>,
}

impl Measurement {
    /// Of a test with these statistics.
    ///
    /// # Errors
    /// A number that is NaN, for the test of this name; another number of them.
    pub fn new(test: &str, statistics: &'static [Statistic], measured: &Measured, draws: usize) -> Result<Self> {
        let (values, s) = (measured.values.clone(), statistics.len());
        if values.len() != draws * s || draws == 0 {
            let expected = format!("[{draws} ≥ 1, {s}]");
            return Err(Error::shape(format!("statistics of {test}"), expected, format!("[{}]", values.len())));
        }
        match values.iter().position(|v| v.is_nan()) {
            Some(i) => Err(Error::NotFinite {
                what: format!("statistic {} of {test}", statistics[i % s].name),
                place: format!("draw {}", i / s),
                value: f64::NAN,
            }),
            None => Ok(Self { statistics, values }),
        }
    }

    /// Statistic `s` of the query and of every redraw.
    pub fn column(&self, s: usize) -> Vec<f64> {
        self.values.iter().skip(s).step_by(self.statistics.len()).copied().collect()
    }

    /// The p-value of statistic `s`.
    pub fn p_value(&self, s: usize) -> f64 {
        let column = self.column(s);
        column.iter().filter(|v| **v >= column[0]).count() as f64 / column.len() as f64
    }
}

/// The p-values of the two questions and the overall one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// Of harm; none where no test asks.
    pub harm: Option<f64>,
    /// Of any difference; none where no test asks.
    pub difference: Option<f64>,
    /// Of both.
    pub overall: f64,
}

impl Answer {
    /// Of tests measured on the same redraws.
    ///
    /// # Errors
    /// No test, other numbers of redraws.
    pub fn of(tests: &[Measurement]) -> Result<Self> {
        let draws = |m: &Measurement| m.values.len() / m.statistics.len();
        if tests.is_empty() || tests.iter().any(|m| draws(m) != draws(&tests[0])) {
            return Err(Error::parameter("tests", "at least one, all on the same redraws", tests.len()));
        }
        let [harm, difference] = [Question::Harm, Question::Difference].map(|question| {
            let asked = tests.iter().filter(|m| Question::of(m.statistics) == question);
            together(&asked.collect::<Vec<_>>())
        });
        let overall = match (&harm, &difference) {
            (Some(harm), Some(difference)) => {
                let both = harm.iter().zip(difference);
                at_most(&both.map(|(h, d)| (h / SHARES[0]).min(d / SHARES[1])).collect::<Vec<_>>())[0]
            }
            (Some(one), None) | (None, Some(one)) => one[0],
            (None, None) => 1.0,
        };
        Ok(Self { harm: harm.map(|p| p[0]), difference: difference.map(|p| p[0]), overall })
    }

    /// The p-value at which a question is answered yes: its own or the overall one, whichever is greater.
    pub fn adjusted(&self, question: Question) -> Option<f64> {
        let own = if question == Question::Harm { self.harm } else { self.difference };
        own.map(|p| p.max(self.overall))
    }

    /// What it comes to at a level, and the p-value of that: of the shift found, or of harm (of difference, where nobody asked for harm) where none was.
    pub fn outcome(&self, level: f64) -> (Outcome, f64) {
        let [harm, difference] = [Question::Harm, Question::Difference].map(|q| self.adjusted(q));
        match (harm, difference) {
            (Some(p), _) if p <= level => (Outcome::HarmfulShift, p),
            (_, Some(p)) if p <= level => (Outcome::ShiftedHarmNotEstablished, p),
            (Some(p), _) | (None, Some(p)) => (Outcome::NoEvidenceOfHarm, p),
            (None, None) => (Outcome::NoEvidenceOfHarm, 1.0),
        }
    }
}

/// One p-value of the query and of every redraw, `[1 + B]`, from all statistics that decide these tests; none without a test.
pub fn together(tests: &[&Measurement]) -> Option<Vec<f64>> {
    combined(tests.iter().flat_map(|test| {
        let question = Question::of(test.statistics);
        let taken = (0..test.statistics.len()).filter(move |&s| question.takes(&test.statistics[s]));
        taken.map(|s| test.column(s))
    }))
}

/// The share of values that are at most each.
fn at_most(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    values.iter().map(|v| sorted.partition_point(|s| s <= v) as f64 / values.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use crate::shift::law::power::Share;
    use rand::RngExt;

    const HARM: &[Statistic] = &[Statistic::verdict("a"), Statistic::printed("b")];
    const ANY: &[Statistic] = &[Statistic::printed("c"), Statistic::printed("d")];

    fn measurement(statistics: &'static [Statistic], values: Vec<f64>) -> Measurement {
        let draws = values.len() / statistics.len();
        Measurement::new("x", statistics, &Measured { values, ..Measured::default() }, draws).unwrap()
    }

    #[test]
    fn where_both_questions_are_asked_either_can_be_answered() {
        let (both, harm) = ([Question::Harm, Question::Difference, Question::Harm], [Question::Harm]);
        assert_eq!([&both[..], &harm].map(|questions| redraws(questions, 0.05)), [99, 19]);
        assert_eq!(redraws(&both, 0.001), 4_999);
        // One row of Q beside 20 has a p-value of 1/21 at least, and difference may have .01.
        let said = silenced(&both, [20, 1], 0.05).unwrap();
        assert!(said.contains("At least 99 held-out rows"), "{said}");
        assert!(silenced(&both, [99, 1], 0.05).is_none() && silenced(&harm, [20, 1], 0.05).is_none());
    }

    #[test]
    fn answers_by_hand() {
        // The query and four redraws. Harm: a alone counts; the query has the second greatest: p = 2/5.
        let harm = measurement(HARM, vec![4.0, 9.0, 5.0, 0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0]);
        // Difference: c is 3, 1, 1, 1, 1 and d is 0, 7, 6, 5, 4: least ranks 1, 1, 2, 3, 4 (c ties at 5). The query's c lies 2 deviations above the
        // mean, the first redraw's d (7 - 4.4)/2.42 = 1.08, so p = 1/5 for the query.
        let any = measurement(ANY, vec![3.0, 0.0, 1.0, 7.0, 1.0, 6.0, 1.0, 5.0, 1.0, 4.0]);
        assert_eq!((harm.p_value(0), harm.p_value(1)), (0.4, 0.2));
        let answer = Answer::of(&[harm.clone(), any.clone()]).unwrap();
        // Of the draws, p_harm/.8 is .5, .25, 1.25, 1, .75 and p_difference/.2 is 1, 2, 3, 4, 5: the query is second.
        assert_eq!(answer, Answer { harm: Some(0.4), difference: Some(0.2), overall: 0.4 });
        assert_eq!(answer.outcome(0.4), (Outcome::HarmfulShift, 0.4));
        assert_eq!(answer.outcome(0.3), (Outcome::NoEvidenceOfHarm, 0.4));
        let alone = Answer::of(&[any]).unwrap();
        assert_eq!(alone, Answer { harm: None, difference: Some(0.2), overall: 0.2 });
        assert_eq!(alone.outcome(0.5).0, Outcome::ShiftedHarmNotEstablished);
        let answer = Answer { harm: Some(0.3), difference: Some(0.005), overall: 0.02 };
        assert_eq!(answer.outcome(0.05), (Outcome::ShiftedHarmNotEstablished, 0.02));
        assert!(Answer::of(&[]).is_err());
        assert!(Answer::of(&[harm, measurement(ANY, vec![0.0; 4])]).is_err());
    }

    #[test]
    fn numbers_that_are_none_are_named() {
        let measured = Measured { values: vec![0.0, 0.0, f64::NAN, 0.0], ..Measured::default() };
        let said = Measurement::new("bank", HARM, &measured, 2).unwrap_err().to_string();
        assert!(said.contains("statistic a of bank") && said.contains("draw 1"), "{said}");
        assert!(Measurement::new("bank", HARM, &measured, 3).is_err());
    }

    #[test]
    fn any_alarm_keeps_the_level_and_so_does_harm_under_harmless_shift() {
        // Statistics that depend on each other, one with many ties; with `shift` the tests of difference see a great one and those of harm none.
        let mut rng = Streams::new(5).rng();
        let mut draw = |shift: f64| {
            let (a, b): (f64, f64) = (rng.random(), rng.random());
            ([a, b], [0.5 * a + 0.5 * b + shift, (3.0 * b).floor() + shift])
        };
        for shift in [0.0, 9.0] {
            let (mut alarms, mut harms, n) = (0, 0, 6000);
            for _ in 0..n {
                let (mut harm, mut any) = (Vec::new(), Vec::new());
                for b in 0..100 {
                    let (h, d) = draw(if b == 0 { shift } else { 0.0 });
                    harm.extend(h);
                    any.extend(d);
                }
                let (outcome, _) = Answer::of(&[measurement(HARM, harm), measurement(ANY, any)]).unwrap().outcome(0.05);
                alarms += usize::from(outcome != Outcome::NoEvidenceOfHarm);
                harms += usize::from(outcome == Outcome::HarmfulShift);
            }
            let harms = Share::of(harms, n).unwrap();
            assert!(harms.low <= 0.05, "{harms:?}");
            match shift {
                0.0 => {
                    let alarms = Share::of(alarms, n).unwrap();
                    assert!(alarms.low <= 0.05 && alarms.share > 0.03, "{alarms:?}");
                }
                _ => assert!(alarms == n && harms.share > 0.03, "{alarms} {harms:?}"),
            }
        }
    }
}
