//! What `thalweg shift test` shows: its table and its report.
use crate::report::{Report, pixels};
use crate::table::{Cell, Table, Weight};
use thalweg::shift::Sample;
use thalweg::shift::calibration::{Calibration, Verdict};
use thalweg::shift::estimate::Estimate;
use thalweg::shift::law::outcome::Question;

/// Every statistic with its p-value, test by test, and the answers to the two questions.
pub fn table(verdict: &Verdict) -> Table {
    let mut table = Table::new(&["test", "statistic", "value", "mean of redraws", "p", "ms"]);
    let none = || Cell::Number(f64::NAN, 0);
    for finding in &verdict.findings {
        for (name, counts, value, p, mean) in &finding.statistics {
            let mark = match (counts, finding.question) {
                (true, Question::Harm) => " *",
                _ => "",
            };
            let cells = vec![
                finding.method.name().into(),
                format!("{name}{mark}").into(),
                Cell::Number(*value, 4),
                Cell::Number(*mean, 4),
                Cell::Number(*p, 4),
                none(),
            ];
            table.push(if *counts { Weight::Plain } else { Weight::Faint }, cells);
        }
        let (p, ms) = (Cell::Number(finding.p_value, 4), Cell::Number(1e3 * finding.seconds, 2));
        table.push(Weight::Plain, vec![finding.method.name().into(), "combined".into(), none(), none(), p, ms]);
    }
    for (name, question) in [("harm", Question::Harm), ("any difference", Question::Difference)] {
        if let Some(p) = verdict.answer.adjusted(question) {
            let cells = vec![name.into(), "all its tests".into(), none(), none(), Cell::Number(p, 4), none()];
            table.push(Weight::Strong, cells);
        }
    }
    table.note = format!(
        "Statistics marked * speak of harm; those of the other tests of any difference, harmless ones too. The two answers at the foot are corrected for each \
         other, so that without shift either alarms at level {0} with probability at most {0}; the p-values above them are not.",
        verdict.level
    );
    table
}

/// How often f is right on Q, beside P, in a sentence.
pub fn accuracy(estimate: &Estimate) -> String {
    let Estimate { accuracy_on_p, rows_of_p, coverage, .. } = estimate;
    let percent = |share: f64| format!("{:.0} %", 100.0 * share);
    let on_q = match (estimate.interval, estimate.reason) {
        (Some([low, high]), _) => {
            format!("on Q between {} and {} ({} interval)", percent(low), percent(high), percent(*coverage))
        }
        (None, reason) => format!("on Q cannot be told: {}", reason.unwrap_or("nothing is known")),
    };
    let by = |name: &str, share: f64| format!("{name} {}", percent(share));
    let each = [
        Some(by("average confidence", estimate.average_confidence)),
        Some(by("difference of confidences", estimate.difference_of_confidences)),
        Some(by("thresholded confidence", estimate.average_thresholded_confidence)),
        estimate.disagreement_bound.map(|bound| by("at least, by disagreement,", bound)),
    ];
    format!(
        "Accuracy of the model: on P {} ({rows_of_p} held-out rows), {on_q}. Estimates: {}.",
        percent(*accuracy_on_p),
        each.into_iter().flatten().collect::<Vec<_>>().join("; ")
    )
}

/// The report.
pub fn page(
    calibration: &Calibration,
    query: &Sample,
    verdict: &Verdict,
    said: &str,
    worst: &[usize],
    picked: &[usize],
) -> Report {
    let (record, scores) = (&calibration.record, &verdict.row_scores);
    let mut report = Report::new(
        "Does the model still know what it does?",
        format!(
            "{said} Tested on {} rows, against {} redraws of as many from these and {} held-out rows of {} together.",
            query.len(),
            record.null,
            record.rows[2],
            record.data
        ),
    );
    if let Some(estimate) = &verdict.estimate {
        report.heading("How often the model is right").paragraph(accuracy(estimate)).paragraph(
            "Without shift the interval holds the share of these rows that the model is right on with the probability named; under shift that was \
             measured on some shifts, and is not proved for any. Where confidence alone would have to be trusted, nothing is claimed.",
        );
    }
    report.heading("Statistics").table(&table(verdict));
    let Some(base) = calibration.base().filter(|_| !worst.is_empty()) else { return report };
    report.heading("Rows that look most out of place").paragraph(
        "Ordered by how readily networks that agree with the model on P disagree with it here. This does not say that the model is wrong \
         on them, but that its training data do not decide what is right.",
    );
    let shape = base.architecture().input();
    let predictions = query.predictions();
    if shape[1] > 1 && matches!(shape[0], 1 | 3) {
        let d = query.width();
        let images: Vec<(&[f32], String)> = worst
            .iter()
            .map(|&i| (&query.inputs[i * d..(i + 1) * d], format!("row {}: {}", picked[i], predictions[i])))
            .collect();
        report
            .picture(pixels::gallery(shape, &images), "The row's number in Q, and the class that the model gives it.");
    }
    let mut rows = Table::new(&["row of Q", "class by the model", "score"]);
    for &i in worst {
        rows.push(Weight::Plain, vec![picked[i].into(), (predictions[i] as usize).into(), Cell::Number(scores[i], 3)]);
    }
    report.table(&rows);
    report
}
