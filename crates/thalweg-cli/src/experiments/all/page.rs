//! The page of `reproduce all`: claims with verdicts, what decides them, then every experiment's own page.
use super::claims::{CLAIMS, Claim};
use super::found::Found;
use super::rule::{Comparison, Estimate, Verdict, WORDS};
use crate::common::Outcome;
use crate::experiments::experiment::{Findings, Scale};
use crate::report::{Card, Report, Tone};
use crate::results::Row;
use crate::row;
use crate::table::{Cell, Table, Weight};

/// Comparisons that a claim's line tells of; its own table has all of them.
const SHOWN: usize = 3;
/// Digits of numbers.
const DIGITS: usize = 3;

/// A claim with what was found of it.
struct Judged<'a> {
    /// Its number among all claims, whichever of them are told.
    number: usize,
    claim: &'static Claim,
    found: &'a Found,
    decisive: Vec<Comparison>,
    rival: Vec<Comparison>,
    beside: Vec<Comparison>,
    verdict: Verdict,
}

impl Judged<'_> {
    /// Every comparison, with its part in the verdict.
    fn all(&self) -> impl Iterator<Item = (&Comparison, &'static str)> {
        let lists = [(&self.decisive, DECIDES), (&self.rival, "trivial rival"), (&self.beside, "beside it")];
        lists.into_iter().flat_map(|(list, part)| list.iter().map(move |c| (c, part)))
    }

    /// The verdict in words.
    fn words(&self) -> String {
        self.verdict.beside(&self.rival)
    }

    /// Whether nothing stands against it.
    fn is_clear(&self) -> bool {
        self.verdict == Verdict::Holds && self.rival.iter().all(Comparison::won)
    }
}

/// The part of a comparison that decides.
const DECIDES: &str = "decides";

/// Never negative: what does not hold is a finding of the page, not a failure of the command.
const OUTCOME: Outcome = Outcome::Done;

/// Rows, tables and page of all that was found.
pub fn findings(all: &[Found], scale: Scale) -> Findings {
    let of = |(i, claim): (usize, &'static Claim)| {
        let found = all.iter().find(|found| found.name == claim.experiment)?;
        let [decisive, rival, beside] = [claim.decide, claim.rival, claim.beside].map(|of| of(&found.rows));
        let verdict = Verdict::of(&decisive);
        Some(Judged { number: i + 1, claim, found, decisive, rival, beside, verdict })
    };
    let judged: Vec<Judged> = CLAIMS.iter().enumerate().filter_map(of).collect();
    let overview = overview(&judged, all);
    Findings { rows: rows(&judged, all), report: page(&judged, all, scale), tables: vec![overview], outcome: OUTCOME }
}

fn rows(judged: &[Judged], all: &[Found]) -> Vec<Row> {
    let mut rows = Vec::new();
    for j in judged {
        let about = row! {
            "claim" => j.number, "text" => j.claim.text, "source" => j.claim.source, "experiment" => j.found.name, "seed" => j.found.seed,
            "settings_chosen_on" => j.found.chosen_on,
            "verdict" => j.words(),
        };
        for (c, part) in j.all() {
            let mut row = about.clone();
            row.extend(row! {
                "decides" => part == DECIDES, "part" => part, "compared" => c.what, "sense" => c.sense.words(), "won" => c.won(),
                "ours" => c.ours.of, "ours_mean" => c.ours.mean, "ours_sem" => c.ours.error, "ours_n" => c.ours.n,
                "theirs" => c.theirs.of, "theirs_mean" => c.theirs.mean, "theirs_sem" => c.theirs.error, "theirs_n" => c.theirs.n,
            });
            rows.push(row);
        }
        if j.decisive.is_empty() {
            rows.push(about);
        }
    }
    for found in all {
        for row in &found.rows {
            let mut told = row! {
                "experiment" => found.name, "scale" => found.scale.to_string(), "seed" => found.seed,
                "settings_chosen_on" => found.chosen_on,
            };
            told.extend(row.clone());
            rows.push(told);
        }
    }
    rows
}

fn words(c: &Comparison) -> String {
    let number = |e: &Estimate| match e.cell(DIGITS).parts() {
        (mean, Some(error)) => format!("{mean} {error}"),
        (mean, None) => mean,
    };
    let n = if c.ours.n > 0 { format!(" (n = {})", c.ours.n) } else { String::new() };
    format!("{}: {} {}{n}, {} {}", c.what, c.ours.of, number(&c.ours), c.theirs.of, number(&c.theirs))
}

/// What was lost comes first: it is what a reader has to know.
fn lost_first(list: &[Comparison]) -> Vec<Comparison> {
    let mut list = list.to_vec();
    list.sort_by_key(Comparison::won);
    list
}

/// The first of these comparisons, a line each, in which no number is parted from its error; their number where there are more.
fn told(list: &[Comparison]) -> Vec<String> {
    let whole = |c: &Comparison| words(c).replace(" ± ", "\u{a0}±\u{a0}").replace("n = ", "n\u{a0}=\u{a0}");
    let mut lines: Vec<String> = list.iter().take(SHOWN).map(whole).collect();
    if list.len() > SHOWN {
        lines.push(format!("and {} more", list.len() - SHOWN));
    }
    lines
}

fn note(all: &[Found]) -> String {
    let total: f64 = all.iter().map(|found| found.seconds).sum();
    format!(
        "{WORDS} ± is one standard error. Minutes are those of the claim's experiment, {:.1} for all of them.",
        total / 60.0
    )
}

/// Claims, verdicts, of what decides them and of a trivial rival the first numbers, minutes: for the terminal.
fn overview(judged: &[Judged], all: &[Found]) -> Table {
    let first = |list: &[Comparison]| list.first().map_or("–".to_owned(), words);
    let mut table =
        Table::new(&["claim", "made in", "verdict", "what decides", "a trivial rival", "minutes"]).note(note(all));
    for j in judged {
        let weight = if j.is_clear() { Weight::Strong } else { Weight::Plain };
        let cells = vec![
            format!("({}) {}", j.number, j.claim.text).into(),
            j.claim.source.into(),
            j.words().into(),
            first(&lost_first(&j.decisive)).into(),
            first(&lost_first(&j.rival)).into(),
            Cell::Number(j.found.seconds / 60.0, 1),
        ];
        table.push(weight, cells);
    }
    table
}

/// A claim for a reader who has seconds for it.
fn card(j: &Judged) -> Card {
    let found = j.found;
    let reasons = [("decided by", &j.decisive), ("trivial rival", &j.rival), ("beside it", &j.beside)];
    let reasons = reasons.into_iter().filter(|(_, list)| !list.is_empty());
    Card {
        title: format!("({}) {}", j.number, j.claim.text),
        verdict: j.words(),
        tone: match j.verdict {
            Verdict::Holds if j.is_clear() => Some(Tone::Good),
            Verdict::Holds | Verdict::InPart(..) => Some(Tone::Open),
            Verdict::Not => Some(Tone::Bad),
            Verdict::Unmeasured => None,
        },
        about: vec![j.claim.source.into(), found.seed_in_words(), format!("{:.1} min", found.seconds / 60.0)],
        reasons: reasons.map(|(word, list)| (word.to_owned(), told(&lost_first(list)))).collect(),
        code: found.command(),
    }
}

fn page(judged: &[Judged], all: &[Found], scale: Scale) -> Report {
    let lede = format!(
        "The paper's claims and ours, each with the experiment that decides it, run here at the scale {scale}."
    );
    let mut report = Report::new("What is claimed, and what was found", lede);
    if let Some(caveat) = scale.caveat() {
        report.paragraph(caveat);
    }
    report.heading("Claims").paragraph(note(all));
    report.cards(judged.iter().map(card).collect());
    report.heading("Every comparison");
    for j in judged {
        let table = comparisons(j);
        if !table.rows.is_empty() {
            report
                .paragraph(format!("({}) {} What to look at: {}", j.number, j.claim.text, j.claim.look))
                .table(&table);
        }
    }
    for found in all {
        report.append(&found.report);
    }
    report
}

/// Every comparison of a claim.
fn comparisons(j: &Judged) -> Table {
    let mut table = Table::new(&["compared", "ours", "", "claimed", "theirs", "", "n", "so"]);
    for (c, part) in j.all() {
        let yes = if c.won() { "yes" } else { "no" };
        let so = if part == DECIDES { yes.to_owned() } else { format!("{yes} ({part})") };
        let cells = vec![
            c.what.as_str().into(),
            c.ours.of.as_str().into(),
            c.ours.cell(DIGITS),
            c.sense.words().into(),
            c.theirs.of.as_str().into(),
            c.theirs.cell(DIGITS),
            c.ours.n.into(),
            so.into(),
        ];
        table.push(if part == DECIDES { Weight::Plain } else { Weight::Faint }, cells);
    }
    table
}
