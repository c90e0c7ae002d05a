//! The table and the page of `reproduce shift`.
use super::parameters::{Line, Shifts};
use super::world::BENIGN;
use crate::experiments::experiment::Scale;
use crate::report::{Look, Mark, Plot, Report};
use crate::table::{Cell, Table, Weight};
use anyhow::Result;
use std::collections::BTreeMap;

const NOTE: &str = "TPR: shifted draws rejected at the level, with thresholds from null draws. Type I: unshifted draws rejected, with the exact 95 % \
    binomial interval over the draws of all base networks. ± are standard errors (over base networks where there are several, and never less than \
    that of the draws). Statistics marked * count for a verdict of harm; the others also fire where nothing is wrong.";

/// What counts as equally good: in TPR and in AUROC.
const NEAR: (f64, f64) = (0.02, 0.005);

/// One table a home and shift.
///
/// # Errors
/// Never for lines with draws.
pub fn tables(lines: &[Line]) -> Result<Vec<Table>> {
    let mut out: Vec<Table> = Vec::new();
    for (home, shift) in cells(lines) {
        let title = format!("{home}: {shift}");
        let mut table = Table::new(&[&title, "|Q|", "TPR", "AUROC", "type I", "interval", "ms a query", "set-up s"]);
        for line in lines.iter().filter(|l| l.home == home && l.shift == shift) {
            let ((power, power_error), (auroc, auroc_error), one) = (line.power(), line.auroc(), line.type_one()?);
            let weight = match (line.method, line.verdict) {
                ("bank" | "detectron", true) => Weight::Strong,
                (_, true) => Weight::Plain,
                _ => Weight::Faint,
            };
            table.push(
                weight,
                vec![
                    name(line).into(),
                    line.size.into(),
                    Cell::Estimate(power, power_error, 2),
                    Cell::Estimate(auroc, auroc_error, 3),
                    Cell::Number(one.share, 3),
                    format!("{:.3} to {:.3}", one.low, one.high).into(),
                    Cell::Number(line.mean(|b| b.milliseconds), 2),
                    Cell::Number(line.mean(|b| b.setup), 2),
                ],
            );
        }
        out.push(table);
    }
    if let Some(last) = out.last_mut() {
        last.note = NOTE.into();
    }
    Ok(out)
}

fn name(line: &Line) -> String {
    format!("{} {}{}", line.method, line.statistic, if line.verdict { " *" } else { "" })
}

/// Homes with their shifts, in order of appearance.
fn cells(lines: &[Line]) -> Vec<(&str, &str)> {
    let mut out: Vec<(&str, &str)> = Vec::new();
    for line in lines {
        if !out.contains(&(&line.home, &line.shift)) {
            out.push((&line.home, &line.shift));
        }
    }
    out
}

/// The page.
///
/// # Errors
/// Never for lines with draws.
pub fn page(set: &Shifts, scale: Scale, lines: &[Line], notes: &[String]) -> Result<Report> {
    let mut report = Report::new(
        "Harmful covariate shift",
        format!(
            "{} tests on {}: {} shifted and {} unshifted draws of |Q| = {} rows for each of {} base networks, null laws of {} draws, level {}. Scale: {scale}.",
            set.methods.len(),
            set.homes.join(" and "),
            set.draws,
            set.draws,
            set.sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            set.bases,
            set.null,
            set.level
        ),
    );
    if let Some(caveat) = scale.caveat() {
        report.paragraph(caveat);
    }
    report.heading("Who wins where").paragraph(
        "For every shift and query size the test with the greatest power and AUROC, among those that count for a verdict of harm and among all; \
         where several are as good to .02 and .005, the fastest. A shift that f bears well is no failure to miss: see its accuracy. Benign rows, \
         further down, are rows of P that f is sure of and right about: a test of harm must stay silent there.",
    );
    report.table(&winners(lines)?);
    for (home, shift) in cells(lines) {
        let here: Vec<&Line> = lines.iter().filter(|l| l.home == home && l.shift == shift).collect();
        let (p, q) = (here[0].mean(|b| b.accuracy.0), here[0].mean(|b| b.accuracy.1));
        report.heading(format!("{home}: {shift}")).paragraph(format!(
            "f is right on {:.1} % of P and on {:.1} % of Q.",
            100.0 * p,
            100.0 * q
        ));
        report.figure(
            &picture(home, shift, &here),
            "Power against query size, one line a statistic that counts for a verdict.",
        );
    }
    for table in tables(lines)? {
        report.table(&table);
    }
    if !notes.is_empty() {
        report.heading("Parameters of detectron, found on validation draws").code(notes.join("\n"));
    }
    Ok(report)
}

/// The best test of each cell.
fn winners(lines: &[Line]) -> Result<Table> {
    let mut table = Table::new(&[
        "shift",
        "|Q|",
        "accuracy on P",
        "on Q",
        "best test of harm",
        "TPR",
        "AUROC",
        "best of all",
        "TPR of it",
    ]);
    let mut sizes: BTreeMap<(usize, usize), Vec<&Line>> = BTreeMap::new();
    let order = cells(lines);
    for line in lines.iter().filter(|l| l.shift != BENIGN) {
        let at = order.iter().position(|c| *c == (&*line.home, &*line.shift)).unwrap_or(0);
        sizes.entry((at, line.size)).or_default().push(line);
    }
    for ((at, size), here) in sizes {
        let best = |harm: bool| {
            let among: Vec<&&Line> = here.iter().filter(|l| !harm || l.verdict).collect();
            let top = among
                .iter()
                .copied()
                .max_by(|a, b| (a.power().0 + a.auroc().0).total_cmp(&(b.power().0 + b.auroc().0)))?;
            let near = |l: &&&&Line| l.power().0 >= top.power().0 - NEAR.0 && l.auroc().0 >= top.auroc().0 - NEAR.1;
            among
                .iter()
                .filter(near)
                .min_by(|a, b| a.mean(|x| x.milliseconds).total_cmp(&b.mean(|x| x.milliseconds)))
                .copied()
        };
        let (Some(harm), Some(all)) = (best(true), best(false)) else { continue };
        table.push(
            Weight::Plain,
            vec![
                format!("{}: {}", order[at].0, order[at].1).into(),
                size.into(),
                Cell::Number(harm.mean(|b| b.accuracy.0), 3),
                Cell::Number(harm.mean(|b| b.accuracy.1), 3),
                name(harm).into(),
                Cell::Estimate(harm.power().0, harm.power().1, 2),
                Cell::Estimate(harm.auroc().0, harm.auroc().1, 3),
                name(all).into(),
                Cell::Estimate(all.power().0, all.power().1, 2),
            ],
        );
    }
    Ok(table)
}

fn picture(home: &str, shift: &str, here: &[&Line]) -> Plot {
    let mut plot = Plot { title: format!("Power, {home}: {shift}"), size: (820.0, 300.0), ..Plot::default() };
    plot.x.label = "rows in the query, |Q|".into();
    plot.y.label = "TPR".into();
    plot.y.domain = Some((0.0, 1.02));
    let shown = |l: &&&Line| {
        l.verdict
            && matches!(&*l.statistic, "combined" | "entropy")
            && (l.method != "ensemble" || l.statistic == "combined")
    };
    let mut series: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for line in here.iter().filter(shown) {
        let (name, point) = (format!("{} {}", line.method, line.statistic), (line.size as f64, line.power().0));
        match series.iter_mut().find(|s| s.0 == name) {
            Some(s) => s.1.push(point),
            None => series.push((name, vec![point])),
        }
    }
    for (i, (name, points)) in series.into_iter().enumerate() {
        let look = Look::new(i % 8 + 1, &name);
        plot.marks.push(Mark::Dots { points: points.clone(), look: Look { name: String::new(), ..look.clone() } });
        plot.marks.push(Mark::Line { points, arrow: false, look });
    }
    plot
}
