//! What `thalweg shift test` shows: its table and its report.
use super::looking;
use super::query::Rows;
use crate::report::figures::histogram;
use crate::report::{Plot, Report, Tone, pixels};
use crate::table::{Cell, Table, Weight};
use thalweg::shift::Sample;
use thalweg::shift::calibration::{Calibration, Verdict};
use thalweg::shift::estimate::Estimate;
use thalweg::shift::explain::feature::Kind;
use thalweg::shift::explain::{self, Explanation};
use thalweg::shift::law::outcome::{Outcome, Question};

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

/// What a page tells of.
pub struct Told<'a> {
    /// With P's rows.
    pub calibration: &'a Calibration,
    /// What was found.
    pub verdict: &'a Verdict,
    /// In sentences.
    pub said: &'a str,
    /// What to look at.
    pub explanation: Option<&'a Explanation>,
    /// Q.
    pub rows: &'a Rows,
}

/// The report.
pub fn page(of: &Told) -> Report {
    let Told { calibration, verdict, said, .. } = of;
    let (tone, title, means) = outcome_in_words(verdict);
    let mut report = Report::new(title, said.trim_start_matches("Verdict: "));
    report.tone(tone);
    report.fact("p-value of this outcome", format!("{:.4}", verdict.p_value), None);
    report.fact("rows tested", of.rows.sample.len().to_string(), None);
    if let Some(estimate) = &verdict.estimate {
        let percent = |share: f64| format!("{:.0} %", 100.0 * share);
        report.fact("accuracy on P", percent(estimate.accuracy_on_p), None);
        let on_q = estimate.interval.map(|[low, high]| format!("{:.0} to {}", 100.0 * low, percent(high)));
        report.fact("accuracy on these rows", on_q.unwrap_or("unknown".into()), None);
    }
    report.heading("What this means").paragraph(means);
    if let Some(estimate) = &verdict.estimate {
        report.heading("How often the model is right").paragraph(accuracy(estimate)).paragraph(
            "Without shift the interval holds the share of these rows that the model is right on with the probability named; under shift that was \
             measured on some shifts, and is not proved for any. Where confidence alone would have to be trusted, nothing is claimed.",
        );
    }
    report.heading("What was compared").paragraph(compared(of));
    if let Some(found) = of.explanation {
        pictures(&mut report, of, found);
        to_look_at(&mut report, of, found);
    }
    report.heading("Statistics").paragraph(format!(
        "Every test turns rows into a few numbers, larger the more out of place the rows look. Then rows of P and the rows tested are mixed and as many \
         drawn from all of them, {} times: the p-value p is the share of these draws with so large a number, the rows tested counted as one. Without any \
         shift it is at most {} with at most that probability, however many rows there are. Tests of harm stay quiet where rows differ and the model still \
         knows what it does; tests of any difference do not.",
        calibration.redraws(verdict.level), verdict.level
    ));
    let mut tests = Table::new(&["test", "asks for", "looks at"]);
    for finding in &verdict.findings {
        let question = if finding.question == Question::Harm { "harm" } else { "any difference" };
        tests
            .push(Weight::Plain, vec![finding.method.name().into(), question.into(), finding.method.looks_at().into()]);
    }
    report.table(&tests).table(&table(verdict));
    report
}

/// How an outcome looks, what it is called, and what it means for whoever relies on the model.
fn outcome_in_words(verdict: &Verdict) -> (Tone, &'static str, &'static str) {
    match verdict.outcome {
        Outcome::HarmfulShift => (
            Tone::Bad,
            "Harmful shift",
            "These rows are not like those that the model knows, and where they differ its training data do not decide what is right. Do not rely on what it says \
             of them: label some, find out what changed (below), and train it anew if the change is to stay.",
        ),
        Outcome::ShiftedHarmNotEstablished if verdict.explained.is_some() => (
            Tone::Open,
            "Shifted, harm not established",
            "These rows are not like those that the model knows, and networks that agree with the model there disagree with it here. But rows of P that were changed \
             to look like these raise the same disagreement, and the model is about as often right on them as before. If what is right did not change with these \
             values, the model still knows what it does; whether it did, only labels of some of these rows can tell.",
        ),
        Outcome::ShiftedHarmNotEstablished => (
            Tone::Open,
            "Shifted, harm not established",
            "These rows are not like those that the model knows. The tests that see whether a model is out of its depth are silent, which does not clear it: a model \
             that is sure and wrong, or that meets its hard classes more often than before, looks like this. Label some of these rows to know, before you rely on it.",
        ),
        Outcome::NoEvidenceOfHarm => (
            Tone::Good,
            "No evidence of harm",
            "As far as these rows can show, they are like those that the model knows. That is no proof: few rows show large shifts only, and a change of what is right, \
             while the rows stay as they were, cannot be seen without labels.",
        ),
    }
}

fn compared(of: &Told) -> String {
    let record = &of.calibration.record;
    let f = match (&record.architecture, record.stand_in) {
        (_, Some(agreement)) => format!(
            "a model known by its answers, with a network in its place (it names the model's class on {:.0} % of other rows of P) where tests need one",
            100.0 * agreement
        ),
        (Some(net), None) => format!("the network {} ({} inputs)", net.name(), net.input().iter().product::<usize>()),
        (None, None) => "a model known by its outputs alone".into(),
    };
    format!(
        "The model is {f}, with {} classes. P, the rows that it knows: {}; {} of its rows, which the model was not trained on, were mixed with the {} rows tested. \
         The tests were made with {} other rows of P.",
        record.classes,
        record.data,
        record.rows[2],
        of.rows.sample.len(),
        record.rows[0] + record.rows[1]
    )
}

/// Scores of Q beside P; then the feature that moved most, or the images that look most out of place.
fn pictures(report: &mut Report, of: &Told, found: &Explanation) {
    const BINS: usize = 24;
    let groups = |p: Vec<f64>, q: Vec<f64>| [("rows of P".to_owned(), 0, p), ("rows tested".to_owned(), 5, q)];
    let shares = |mut plot: Plot| {
        plot.y.label = "share of rows".into();
        plot
    };
    let [on_p, on_q] = &found.all_scores;
    if !on_q.is_empty() {
        let plot = histogram("How much rows look out of place", "score", BINS, &groups(on_p.clone(), on_q.clone()));
        let by = found.scored_by.map_or("", |method| method.looks_at());
        report.figure(&shares(plot), format!("Scores of rows: {by}. Farther to the right means more out of place."));
    }
    if let Some(svg) = images(of, found) {
        report.picture(svg, "The rows that look most out of place: number in Q, and the class that the model gives.");
        return;
    }
    let moved = found.features.iter().find_map(|moved| of.rows.features.iter().find(|f| f.name == moved.name));
    if let Some((feature, Kind::Number { mean, deviation })) = moved.map(|feature| (feature, &feature.kind)) {
        let values = |sample: &Sample| {
            let rows = sample.inputs.chunks_exact(sample.width().max(1));
            rows.map(|row| f64::from(row[feature.columns.start]) * deviation + mean).collect::<Vec<f64>>()
        };
        let groups = groups(values(&of.calibration.reference().held_out), values(&of.rows.sample));
        let title = format!("{} on P and in the rows tested", feature.name);
        report.figure(
            &shares(histogram(&title, &feature.name, BINS, &groups)),
            "The feature whose values lie farthest from those of P.",
        );
    }
}

/// The worst rows, where they are images.
fn images(of: &Told, found: &Explanation) -> Option<String> {
    let shape = of.calibration.base()?.architecture()?.input();
    if shape[1] <= 1 || !matches!(shape[0], 1 | 3) || found.rows.is_empty() {
        return None;
    }
    let (sample, d) = (&of.rows.sample, of.rows.sample.width());
    let image = |row: &explain::Row| {
        let inputs = &sample.inputs[row.row * d..(row.row + 1) * d];
        (inputs, format!("row {}: {}", of.rows.picked[row.row], row.class))
    };
    Some(pixels::gallery(shape, &found.rows.iter().map(image).collect::<Vec<_>>(), pixels::ACROSS, None))
}

fn to_look_at(report: &mut Report, of: &Told, found: &Explanation) {
    let parts = [
        ("Features", looking::of_features(found)),
        ("Subgroups", looking::of_subgroups(found)),
        ("Classes", looking::of_classes(found)),
        ("Rows that look most out of place", looking::of_rows(found, &of.rows.picked)),
    ];
    for (heading, table) in parts.iter().filter(|(_, table)| !table.rows.is_empty()) {
        report.heading(*heading).table(table);
    }
}
