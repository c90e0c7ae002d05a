//! The tables and the page of `reproduce peers`.
use super::contenders::{ANY, GIVEN, HARMFUL, MISSED, UNEXPLAINED};
use super::line::{BENIGN, HARM, Line, kind};
use crate::experiments::experiment::Scale;
use crate::report::Report;
use crate::table::{Cell, Table, Weight};

/// Methods in the tables of single shifts.
const SHOWN: [&str; 10] = [
    HARMFUL,
    ANY,
    UNEXPLAINED,
    "bank",
    "detectron",
    "d3m",
    "entropy",
    "average confidence",
    "thresholded confidence",
    "mmd",
];

/// Intervals below which a shift is not looked at alone.
const FEW: usize = 10;
/// What shifts are counted together under.
const UNSHIFTED: &str = "none";

/// Power at harm and alarms at benign over all shifts; estimates of accuracy; then every shift.
pub fn tables(lines: &[Line], sizes: &[usize]) -> Vec<Table> {
    let mut all = vec![whole(lines, sizes), estimates(lines, sizes)];
    all.extend(sizes.iter().map(|&size| single(lines, size)));
    all
}

fn methods(lines: &[Line]) -> Vec<&str> {
    let mut names: Vec<&str> = vec![HARMFUL, ANY, UNEXPLAINED];
    lines.iter().for_each(|line| {
        if !line.is_of_estimate() && !names.contains(&line.method.as_str()) {
            names.push(&line.method);
        }
    });
    names
}

/// Mean of shares over cells with its standard error from the draws, and the greatest.
fn mean(lines: &[&Line]) -> (f64, f64, f64) {
    let n = lines.len() as f64;
    let variance: f64 = lines.iter().map(|l| l.share() * (1.0 - l.share()) / l.draws as f64).sum();
    let greatest = lines.iter().map(|l| l.share()).fold(f64::NAN, f64::max);
    (lines.iter().map(|l| l.share()).sum::<f64>() / n, variance.sqrt() / n, greatest)
}

fn whole(lines: &[Line], sizes: &[usize]) -> Table {
    let mut heads = vec!["method".to_owned()];
    for column in ["power at harm", "alarms at benign", "worst benign", "alarms unshifted"] {
        heads.extend(sizes.iter().map(|size| format!("{column}, {size}")));
    }
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for method in methods(lines) {
        let of = |size: usize, wanted: &dyn Fn(&Line) -> bool| -> (f64, f64, f64) {
            let own: Vec<&Line> = lines.iter().filter(|l| l.method == method && l.size == size && wanted(l)).collect();
            mean(&own)
        };
        let shifted = |what: &'static str| move |l: &Line| l.shift != UNSHIFTED && kind(l.fall()) == what;
        let estimate = |(mean, error, _): (f64, f64, f64)| Cell::Estimate(mean, error, 2);
        let mut cells: Vec<Cell> = vec![method.into()];
        cells.extend(sizes.iter().map(|&size| estimate(of(size, &shifted("harmful")))));
        cells.extend(sizes.iter().map(|&size| estimate(of(size, &shifted("benign")))));
        cells.extend(sizes.iter().map(|&size| Cell::Number(of(size, &shifted("benign")).2, 2)));
        cells.extend(sizes.iter().map(|&size| estimate(of(size, &|l| l.shift == UNSHIFTED))));
        table.push(if [HARMFUL, ANY].contains(&method) { Weight::Strong } else { Weight::Plain }, cells);
    }
    table.note = format!(
        "Shares of queries that alarm at the level, means over shifts with standard errors of the draws. Harmful: f's accuracy falls by {HARM} or more; benign: by less \
         than {BENIGN}. Tests that train for every query (detectron, two-sample) have laws from draws of the held-out rows, which alarm too often where these are few; \
         all others permute query and held-out rows."
    );
    table
}

/// How often an interval for f's accuracy is given, and how often the accuracy of the query lies outside it then.
fn estimates(lines: &[Line], sizes: &[usize]) -> Table {
    let mut heads = vec!["shift".to_owned()];
    for column in [GIVEN, MISSED, "worst shift"] {
        heads.extend(sizes.iter().map(|size| format!("{column}, {size}")));
    }
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for what in [UNSHIFTED, "benign", "between", "harmful"] {
        let of = |method: &'static str| {
            move |l: &&Line| {
                let own = if l.shift == UNSHIFTED { UNSHIFTED } else { kind(l.fall()) };
                l.method == method && own == what
            }
        };
        let all = |method, size: usize| lines.iter().filter(of(method)).filter(move |l| l.size == size);
        let share = |method, size| {
            let (hits, draws) = all(method, size).fold((0, 0), |(hits, draws), l| (hits + l.hits, draws + l.draws));
            let share = hits as f64 / draws as f64;
            Cell::Estimate(share, (share * (1.0 - share) / draws as f64).sqrt(), 2)
        };
        let worst = |size| {
            let often = all(MISSED, size).filter(|l| l.draws >= FEW).map(Line::share);
            Cell::Number(often.fold(f64::NAN, f64::max), 2)
        };
        let mut cells: Vec<Cell> = vec![if what == UNSHIFTED { "unshifted" } else { what }.into()];
        cells.extend(sizes.iter().map(|&size| share(GIVEN, size)));
        cells.extend(sizes.iter().map(|&size| share(MISSED, size)));
        cells.extend(sizes.iter().map(|&size| worst(size)));
        table.push(Weight::Plain, cells);
    }
    table.note = format!(
        "Shares of queries that are given an interval for f's accuracy, and of those the share whose accuracy lies outside it; in the worst of the shifts that gave {FEW} or \
         more. Where no interval is given, the estimate says that it cannot tell. Unshifted the level bounds the share outside; under shift nothing can, and it is measured."
    );
    table
}

fn single(lines: &[Line], size: usize) -> Table {
    let shown: Vec<&str> = methods(lines).into_iter().filter(|m| SHOWN.contains(m)).collect();
    let title = format!("{size} rows: shift");
    let table_heads = [&[title.as_str(), "accuracy", "kind"][..], &shown].concat();
    let mut table = Table::new(&table_heads);
    for first in lines.iter().filter(|l| l.size == size && l.method == HARMFUL) {
        let n = first.accuracies.len() as f64;
        let accuracy = |at: usize| first.accuracies.iter().map(|a| a[at]).sum::<f64>() / n;
        let what = if first.shift == UNSHIFTED { "unshifted" } else { kind(first.fall()) };
        let mut cells: Vec<Cell> = vec![
            format!("{}: {}", first.home, first.shift).into(),
            format!("{:.2} → {:.2}", accuracy(0), accuracy(1)).into(),
            what.into(),
        ];
        for method in &shown {
            let same =
                |l: &&Line| l.size == size && l.method == *method && l.home == first.home && l.shift == first.shift;
            cells.push(Cell::Number(lines.iter().find(same).map_or(f64::NAN, Line::share), 2));
        }
        table.push(if what == "harmful" { Weight::Strong } else { Weight::Plain }, cells);
    }
    table
}

/// The page.
pub fn page((draws, bases, level, sizes): (usize, u64, f64, &[usize]), scale: Scale, lines: &[Line]) -> Report {
    let mut report = Report::new(
        "Tests of shift beside their peers",
        format!(
            "Power where the shift harms the model, alarms where it does not; {draws} queries a shift and network, {bases} networks a table, level {level}."
        ),
    );
    scale.caveat().into_iter().for_each(|caveat| {
        report.paragraph(caveat);
    });
    report.heading("All shifts").table(&whole(lines, sizes));
    report.heading("Estimates of accuracy").table(&estimates(lines, sizes));
    for &size in sizes {
        report.heading(format!("Shift by shift, {size} rows")).table(&single(lines, size));
    }
    report
}
