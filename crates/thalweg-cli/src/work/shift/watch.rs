//! Watches in files, and what is told of them.
use super::stream;
use super::verdict::FailOn;
use crate::common::Outcome as Ended;
use crate::output::leave;
use crate::report::{Axis, Look, Mark, Plot, Report, Scale, Tone};
use crate::results::{Results, Row};
use crate::row;
use crate::session::Session;
use crate::table::{Cell, Table, Weight};
use anyhow::{Result, bail};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use thalweg::shift::Sample;
use thalweg::shift::calibration::Calibration;
use thalweg::shift::law::outcome::Outcome;
use thalweg::shift::watch::{Batch, Seen, Watch};
use thalweg_nets::Error;
use thalweg_nets::files::Held;
use thalweg_nets::zoo::checkpoints::order::natural;

/// Batches shown in the table.
const SHOWN: usize = 14;

/// A watch with the file that keeps it.
pub struct State {
    path: PathBuf,
    watch: Watch,
    seed: u64,
}

impl State {
    /// The watch in the file `path`, or a new one at `level` where there is no such file.
    ///
    /// # Errors
    /// A file of something else, or of another calibration; another level than it was begun with.
    pub fn open(path: &Path, calibration: &Calibration, level: Option<f64>, session: &Session) -> Result<Self> {
        let seed = session.seed_or(1);
        let watch = match path.exists() {
            false => Watch::new(calibration, level.unwrap_or(calibration.record.level), seed)?,
            true => {
                let watch = Watch::read(path, calibration)?;
                if let Some(level) = level.filter(|level| *level != watch.level()) {
                    bail!(
                        "{}: level: expected {}, which it was begun with, found --level {level}: begin another state for another level",
                        path.display(),
                        watch.level()
                    );
                }
                watch
            }
        };
        Ok(Self { path: path.to_path_buf(), watch, seed })
    }

    /// Takes in a batch, and writes the file where that was new.
    ///
    /// # Errors
    /// As [`Watch::add`]; another process at work on the file.
    pub fn add(&mut self, name: &str, rows: &Sample, calibration: &Calibration, session: &Session) -> Result<()> {
        // Held from before the file is read to after it is written, so that two processes cannot each leave out the other's batch.
        let held = Held::begin(&self.path)?;
        if self.path.exists() {
            self.watch = Watch::read(&self.path, calibration)?;
        }
        match self.watch.add(calibration, name, rows, &session.progress)? {
            Seen::Before => session.say(&format!("{name}: all of its {} rows were watched before.", rows.len())),
            Seen::New(_) => drop(held.write(&self.watch.bytes()?)?),
        }
        let (kept, path) = (self.watch.batches().len(), self.path.display());
        leave(format!("{kept} batches are kept in {path}, and the same command goes on from there"));
        Ok(())
    }

    /// Takes in the batch that `read` reads from the file or data `text`; where that is stdin, batches of `every` of its rows (of all, without that) until
    /// it ends or `fail_on` says that the watch has failed.
    ///
    /// # Errors
    /// As [`Self::add`]; those of `read`; a stdin that cannot be read; rows to be parted that do not come from there.
    pub fn take(
        &mut self,
        text: &str,
        name: &str,
        read: impl Fn(&str) -> Result<Sample>,
        (every, fail_on): (Option<NonZeroUsize>, FailOn),
        (calibration, session): (&Calibration, &Session),
    ) -> Result<()> {
        if !stream::is_stdin(text) {
            if every.is_some() {
                bail!(
                    "--every: expected rows from stdin, which it parts into batches (--query - or --query-logits -), found {text}"
                );
            }
            return self.add(name, &read(text)?, calibration, session);
        }
        let mut batches = stream::Batches::of_stdin(every.map(NonZeroUsize::get))?;
        while let Some(batch) = batches.next()? {
            self.add(&batch.name, &read(&stream::in_file(text, &batch.file))?, calibration, session)?;
            if every.is_some() {
                session.say(&format!("{}: {}", batch.name, said(&self.watch)));
            }
            if fail_on.of(self.watch.outcome()) != Ended::Done {
                break;
            }
        }
        Ok(())
    }

    /// The watch.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// The seed of a new one.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}

/// The files of a folder of batches, in natural order.
///
/// # Errors
/// No such folder, or none of them in it.
pub fn batches(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let path = entry.map_err(Error::io("read", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_file() && !name.starts_with('.') && [".csv", ".csv.gz", ".npz"].iter().any(|end| name.ends_with(end))
        {
            found.push((name, path));
        }
    }
    if found.is_empty() {
        bail!("{}: expected batches in it, files .csv, .csv.gz or .npz, found none", folder.display());
    }
    found.sort_by(|a, b| natural(&a.0, &b.0));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Its course on a page.
pub fn page(watch: &Watch, calibration: &Calibration) -> Report {
    let (tone, title) = match watch.outcome() {
        Outcome::HarmfulShift => (Tone::Bad, "Harmful shift"),
        Outcome::ShiftedHarmNotEstablished => (Tone::Open, "Shifted, harm not established"),
        Outcome::NoEvidenceOfHarm => (Tone::Good, "No evidence of harm so far"),
    };
    let mut report = Report::new(title, said(watch).trim_start_matches("Verdict: "));
    report.tone(tone);
    report.fact("batches", watch.batches().len().to_string(), None);
    report.fact("rows", watch.rows().to_string(), None);
    report.fact("p-value, valid at any time", format!("{:.4}", watch.p_value()), None);
    let line = |of: &dyn Fn(&Batch) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = watch.batches().iter().enumerate();
        points.filter_map(|(i, batch)| of(batch).map(|evidence| ((i + 1) as f64, evidence))).collect()
    };
    let mut plot = Plot { title: "Evidence of shift, batch by batch".into(), size: (820.0, 320.0), ..Plot::default() };
    plot.x.label = "batch".into();
    plot.y = Axis { label: "evidence".into(), scale: Scale::Log, ..Axis::default() };
    for (points, colour, name) in
        [(line(&|b| Some(b.evidence)), 1, "any shift"), (line(&|b| b.evidence_of_harm), 5, "harm")]
    {
        plot.marks.push(Mark::Dots { points: points.clone(), look: Look::new(colour, "").size(2.6) });
        plot.marks.push(Mark::Line { points, arrow: false, look: Look::new(colour, name) });
    }
    plot.marks.push(Mark::Rule { at: 1.0 / watch.level(), upright: false, look: Look::new(8, "alarm").dashed() });
    report.heading("Its course").figure(
        &plot,
        format!(
            "Evidence is 1 at the beginning. Without any shift it ever reaches {:.0} with probability at most {}, however long the watch goes on; an alarm of harm needs \
             both lines above it.",
            1.0 / watch.level(),
            watch.level()
        ),
    );
    let record = &calibration.record;
    report.heading("What was compared").paragraph(format!(
        "Every batch with {} rows of {} that the model was not trained on and with all batches before it, by {} redraws.",
        record.rows[2],
        record.data,
        calibration.redraws(watch.level())
    ));
    report.heading("Batches").table(&table(watch));
    report
}

/// The last batches.
pub fn table(watch: &Watch) -> Table {
    let mut table = Table::new(&["batch", "rows", "p of harm", "p of any", "evidence of harm", "of any", "so far"]);
    let all = watch.batches();
    for batch in &all[all.len().saturating_sub(SHOWN)..] {
        let number = |value: Option<f64>, digits| Cell::Number(value.unwrap_or(f64::NAN), digits);
        let cells = vec![
            batch.name.as_str().into(),
            batch.rows.into(),
            number(batch.harm, 4),
            number(Some(batch.overall), 4),
            number(batch.evidence_of_harm, 2),
            number(Some(batch.evidence), 2),
            batch.outcome.words().into(),
        ];
        let weight = if batch.outcome == Outcome::NoEvidenceOfHarm { Weight::Plain } else { Weight::Strong };
        table.push(weight, cells);
    }
    table.note = format!(
        "Evidence is 1 at the beginning, and reaches {:.0} at any time with probability at most {} without shift. A batch's own p-values are not for verdicts: \
         among many batches some are small.",
        1.0 / watch.level(),
        watch.level()
    );
    table
}

/// All batches.
///
/// # Errors
/// None that a watch could lead to.
pub fn results(watch: &Watch, seed: u64) -> Result<Results> {
    let mut results = Results::new(seed);
    let since = watch.since().map(|batch| batch.name.clone());
    results.summary = row! {
        "outcome" => watch.outcome(), "said" => said(watch), "p_value" => watch.p_value(), "level" => watch.level(), "since" => since,
        "batches" => watch.batches().len(), "watched_rows" => watch.rows(),
    };
    let of = |batch: &Batch| -> Row {
        row! {
            "batch" => batch.name, "rows" => batch.rows, "appended" => batch.appended, "p_value_of_harm" => batch.harm,
            "p_value" => batch.overall, "evidence_of_harm" => batch.evidence_of_harm, "evidence" => batch.evidence, "outcome" => batch.outcome,
        }
    };
    results.rows = watch.batches().iter().map(of).collect();
    Ok(results)
}

/// What it has come to, in a sentence.
pub fn said(watch: &Watch) -> String {
    let (p, level, batches) = (watch.p_value(), watch.level(), watch.batches().len());
    let plural = if batches == 1 { "batch" } else { "batches" };
    let over = format!("over {batches} {plural} ({} rows)", watch.rows());
    let since = watch.since().map_or(String::new(), |batch| format!(", first seen with {}", batch.name));
    match watch.outcome() {
        Outcome::HarmfulShift => {
            format!(
                "Verdict: harmful shift, p = {p:.4} ≤ {level} {over}{since}. Do not trust the model on rows like these."
            )
        }
        Outcome::ShiftedHarmNotEstablished => format!(
            "Verdict: shifted, harm not established: p = {p:.4} ≤ {level} {over}{since}. That does not clear the model: label some of these rows to know."
        ),
        Outcome::NoEvidenceOfHarm if batches == 0 => "Nothing has been watched yet.".into(),
        Outcome::NoEvidenceOfHarm => format!("Verdict: no evidence of harm, p = {p:.4} > {level} {over}."),
    }
}
