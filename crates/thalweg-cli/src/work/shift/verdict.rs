//! What tests say of a query, in sentences and as results.
use crate::common::Outcome;
use crate::results::{Results, Row, object};
use crate::row;
use anyhow::Result;
use thalweg::shift::calibration::{Calibration, Verdict};
use thalweg::shift::counterpart::{Change, Explained, FALL};
use thalweg::shift::law::outcome::{self, Question};

/// The mildest outcome that is not exit code 0.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// Harmful shift (1), and shifted without harm being established (3)
    Shifted,
    /// Harmful shift (1)
    Harmful,
    /// None: read the outcome from --json
    Never,
}

impl FailOn {
    /// How a command ends that came to this.
    pub fn of(self, outcome: outcome::Outcome) -> Outcome {
        match (outcome, self) {
            (outcome::Outcome::HarmfulShift, Self::Shifted | Self::Harmful) => Outcome::Negative,
            (outcome::Outcome::ShiftedHarmNotEstablished, Self::Shifted) => Outcome::Open,
            _ => Outcome::Done,
        }
    }
}

/// All of a verdict, with the sentences `said`.
///
/// # Errors
/// A record that is no table.
pub fn results(calibration: &Calibration, verdict: &Verdict, said: &str, seed: u64) -> Result<Results> {
    let mut results = Results::new(seed);
    results.settings = object(&calibration.record)?;
    let evidence: Vec<Row> = verdict
        .findings
        .iter()
        .map(|finding| {
            row! {
                "name" => finding.method.looks_at(), "test" => finding.method, "question" => finding.question,
                "p_value" => finding.p_value, "alarms" => finding.p_value <= verdict.level,
            }
        })
        .collect();
    results.summary = row! {
        "outcome" => verdict.outcome, "said" => said, "p_value" => verdict.p_value, "level" => verdict.level,
        "p_value_of_harm" => verdict.answer.adjusted(Question::Harm),
        "p_value_of_difference" => verdict.answer.adjusted(Question::Difference),
        "harmless_change" => verdict.explained, "evidence" => evidence, "estimate" => verdict.estimate,
        "caveats" => verdict.caveats,
    };
    for finding in &verdict.findings {
        for (name, counts, value, p, mean) in &finding.statistics {
            results.rows.push(row! {
                "method" => finding.method, "question" => finding.question, "statistic" => name, "counts" => counts, "value" => value,
                "mean_of_redraws" => mean, "p_value" => p, "combined_p_value" => finding.p_value, "seconds" => finding.seconds,
            });
        }
    }
    Ok(results)
}

/// Which change of P explains an alarm, in words.
pub fn explained(found: &Explained) -> String {
    let (how, p) = match found.by {
        Change::Classes => ("rows of P in which the model names the classes as often as here", found.p_value),
        Change::Features => ("rows of P whose inputs are given the values found here", found.p_value),
        Change::Noise => ("rows of P with noise that brings them as far from P as these rows", found.p_value),
    };
    let falls = match found.fall {
        fall if fall >= FALL => {
            format!("is worse by {:.0} points of accuracy, which so few held-out rows give by chance too", 100.0 * fall)
        }
        fall if fall >= 0.005 => format!("is worse by {:.0} points of accuracy only", 100.0 * fall),
        _ => "is no worse".into(),
    };
    format!("{how} look the same to them (p = {p:.4} beside those), on which the model {falls}")
}

/// The outcome in sentences.
pub fn told(verdict: &Verdict, logits_alone: bool) -> String {
    let Verdict { outcome, p_value, level, answer, .. } = verdict;
    let harm = answer.adjusted(Question::Harm);
    match (outcome, harm) {
        (outcome::Outcome::HarmfulShift, _) => {
            format!("Verdict: harmful shift found, p = {p_value:.4} ≤ {level}. Do not trust the model on these rows.")
        }
        (outcome::Outcome::ShiftedHarmNotEstablished, Some(harm)) if verdict.explained.is_some() => format!(
            "Verdict: shifted, harm not established: the tests of harm alarm, p = {harm:.4} ≤ {level}, and {}. That does not clear the model: label some of these rows to know.",
            verdict.explained.as_ref().map_or(String::new(), explained)
        ),
        (outcome::Outcome::ShiftedHarmNotEstablished, Some(harm)) => format!(
            "Verdict: shifted, harm not established: the rows differ from P, p = {p_value:.4} ≤ {level}, and the tests of harm are silent, p = {harm:.4}. That does not clear the model, which may be sure and wrong: label some of these rows to know."
        ),
        (outcome::Outcome::ShiftedHarmNotEstablished, None) => format!(
            "Verdict: shifted, harm not established: the rows differ from P, p = {p_value:.4} ≤ {level}, and no test of harm was asked."
        ),
        (outcome::Outcome::NoEvidenceOfHarm, None) => {
            format!("Verdict: no evidence of any difference, p = {p_value:.4} > {level}; no test of harm was asked.")
        }
        (outcome::Outcome::NoEvidenceOfHarm, Some(_)) => format!(
            "Verdict: no evidence of harm (no harmful shift found), p = {p_value:.4} > {level}.{}",
            match logits_alone {
                true =>
                    " Logits alone cannot show everything: a model that answers as on P, and wrongly, looks like this.",
                false => "",
            }
        ),
    }
}
