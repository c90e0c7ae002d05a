//! What was found, as tables and a page: accuracy along fine-tuning by start, and the epochs to 90 % of what Kaiming comes to.
use super::parameters::{Curves, Initialisation};
use super::starts::{CONDITIONAL, KAIMING, KINDS, NEAREST};
use crate::common::Outcome;
use crate::experiments::experiment::Scale;
use crate::report::figures::mean_sem;
use crate::report::{Axis, Look, Mark, Plot, Report};
use crate::results::Row;
use crate::row;
use crate::table::{Cell, Table, Weight};

/// The findings.
pub struct Page<'a> {
    /// How large it was.
    pub scale: Scale,
    /// In force.
    pub settings: &'a Initialisation,
    /// Every kind of start on every target.
    pub curves: &'a [Curves],
}

impl Curves {
    /// Mean accuracy and its standard error at `step`.
    fn at(&self, step: u64) -> (f64, f64) {
        match self.steps.iter().position(|s| *s == step) {
            Some(t) => mean_sem(&self.accuracy.iter().map(|a| a[t]).collect::<Vec<_>>()),
            None => (f64::NAN, f64::NAN),
        }
    }

    fn last(&self) -> f64 {
        self.at(self.steps.last().copied().unwrap_or(0)).0
    }

    /// Epochs until each network has `goal` (those that never do count with the whole course), mean and standard error.
    fn epochs_to(&self, goal: f64) -> (f64, f64) {
        let reached = self.accuracy.iter().map(|a| {
            let t = a.iter().position(|a| *a >= goal).unwrap_or(a.len() - 1);
            self.steps[t] as f64 / self.epoch as f64
        });
        mean_sem(&reached.collect::<Vec<_>>())
    }
}

impl Page<'_> {
    /// Curves of one target and variant.
    fn of(&self, target: &str, few: bool) -> Vec<&Curves> {
        self.curves.iter().filter(|c| c.target == target && c.few == few).collect()
    }

    fn start<'b>(&self, of: &[&'b Curves], name: &str) -> Option<&'b Curves> {
        of.iter().copied().find(|c| c.start == name)
    }

    /// 90 % of Kaiming's final accuracy.
    fn goal(&self, of: &[&Curves]) -> f64 {
        0.9 * self.start(of, KAIMING).map_or(f64::NAN, Curves::last)
    }

    fn each(&self) -> impl Iterator<Item = (&String, bool)> {
        self.settings.targets.iter().flat_map(|target| [(target, false), (target, true)])
    }

    /// For results.json.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (target, few) in self.each() {
            let of = self.of(target, few);
            let goal = self.goal(&of);
            for curves in &of {
                let (epochs, epochs_error) = curves.epochs_to(goal);
                for &step in &curves.steps {
                    let (accuracy, error) = curves.at(step);
                    rows.push(row! {
                        "task" => target, "seen" => curves.seen, "few_shot" => few, "start" => curves.start, "step" => step,
                        "epoch" => step as f64 / curves.epoch as f64, "accuracy_mean" => accuracy, "accuracy_standard_error" => error,
                        "networks" => curves.accuracy.len(), "goal" => goal, "epochs_to_goal" => epochs,
                        "epochs_to_goal_standard_error" => epochs_error, "seconds_for_starts" => curves.seconds,
                    });
                }
            }
        }
        rows
    }

    /// One table a target and variant.
    pub fn tables(&self) -> Vec<Table> {
        self.each().map(|(target, few)| self.table(target, few)).collect()
    }

    fn table(&self, target: &str, few: bool) -> Table {
        let (set, of) = (self.settings, self.of(target, few));
        let goal = self.goal(&of);
        let rows = if few { format!("{} rows a class", set.few) } else { format!("{} rows", set.rows) };
        let seen = if of.first().is_some_and(|c| c.seen) { "seen" } else { "unseen" };
        let mut table = Table::new(&[]);
        table.columns.push(format!("{target} ({seen}), {rows}"));
        let epoch = of.first().map_or(1, |c| c.epoch);
        let mut points: Vec<(String, u64)> = set.epochs.iter().map(|e| (format!("epoch {e}"), e * epoch)).collect();
        points.extend(set.steps.iter().filter(|s| **s > 0).map(|s| (format!("step {s}"), *s)));
        table.columns.extend(points.iter().map(|(name, _)| name.clone()));
        table.columns.push(format!("epochs to {goal:.3}"));
        table.note = format!(
            "Test accuracy ± standard error over {} networks, each with its own start, support set and order of the data. An epoch is {epoch} steps. The \
             last column: until 90 % of Kaiming's final accuracy, at the points looked at.",
            set.networks
        );
        for kind in KINDS {
            let Some(curves) = self.start(&of, kind) else { continue };
            let mut cells = vec![Cell::from(kind)];
            cells.extend(points.iter().map(|(_, step)| {
                let (mean, sem) = curves.at(*step);
                Cell::Estimate(mean, sem, 3)
            }));
            let (epochs, error) = curves.epochs_to(goal);
            cells.push(Cell::Estimate(epochs, error, 2));
            table.push(if kind == CONDITIONAL { Weight::Strong } else { Weight::Plain }, cells);
        }
        table
    }

    /// What was expected of a target: above Kaiming at every early point, and at the goal in at most half its epochs.
    fn kept(&self, target: &str, few: bool) -> bool {
        let of = self.of(target, few);
        let (Some(flow), Some(kaiming)) = (self.start(&of, CONDITIONAL), self.start(&of, KAIMING)) else {
            return false;
        };
        let early = self.settings.epochs.iter().map(|e| e * flow.epoch).filter(|s| *s <= 5 * flow.epoch);
        let early = early.chain(self.settings.steps.iter().copied().filter(|s| *s <= 100));
        let goal = self.goal(&of);
        early.into_iter().all(|step| flow.at(step).0 > kaiming.at(step).0)
            && flow.epochs_to(goal).0 <= 0.5 * kaiming.epochs_to(goal).0
    }

    /// Negative where that is not kept on some target.
    pub fn outcome(&self) -> Outcome {
        if self.each().all(|(target, few)| self.kept(target, few)) { Outcome::Done } else { Outcome::Negative }
    }

    /// The page.
    pub fn report(&self, tables: &[Table]) -> Report {
        let set = self.settings;
        let mut report = Report::new(
            "Generated weights as initialisations",
            format!(
                "Fine-tuning from starts of {} kinds with one recipe (Adam, {}, batches of 64); {} networks each. Scale: {}.",
                KINDS.len(),
                set.learning_rate,
                set.networks,
                self.scale
            ),
        );
        let describe = |(target, few): &(&String, bool)| format!("{target}{}", if *few { " (few rows)" } else { "" });
        let named = |keep: &dyn Fn(&str, bool) -> bool| -> String {
            let all: Vec<String> = self.each().filter(|(t, few)| keep(t, *few)).map(|x| describe(&x)).collect();
            if all.is_empty() { "none".into() } else { all.join(", ") }
        };
        let before = |target: &str, few: bool| {
            let of = self.of(target, few);
            let at = |name: &str| self.start(&of, name).map_or(f64::NAN, |c| c.at(0).0);
            at(CONDITIONAL) <= at(NEAREST)
        };
        let kept = self.each().filter(|(t, few)| self.kept(t, *few)).count();
        report.fact("targets where what was expected holds", format!("{kept} / {}", self.each().count()), None);
        if let Some(caveat) = self.scale.caveat() {
            report.paragraph(caveat);
        } else {
            report.paragraph(format!(
                "Expected: samples of the conditional flow are above Kaiming at every early point (to five epochs and 100 steps), and reach 90 % of its final accuracy in \
                 at most half the epochs. Not so on: {}. Before the first step the nearest zoo network is not beaten on: {}.",
                named(&|t, few| !self.kept(t, few)),
                named(&before)
            ));
        }
        for ((target, few), table) in self.each().zip(tables) {
            report.heading(table.columns[0].clone()).table(table);
            let mut plot = Plot { title: describe(&(target, few)), size: (820.0, 340.0), ..Plot::default() };
            plot.x = Axis { label: "optimiser step + 1".into(), scale: crate::report::Scale::Log, ..Axis::default() };
            plot.y.label = "test accuracy".into();
            for (i, kind) in KINDS.iter().enumerate() {
                let of = self.of(target, few);
                let Some(curves) = self.start(&of, kind) else { continue };
                let points = curves.steps.iter().map(|&s| (s as f64 + 1.0, curves.at(s).0)).collect();
                plot.marks.push(Mark::Line { points, arrow: false, look: Look::new(i, kind) });
            }
            report.figure(&plot, "Mean accuracy along fine-tuning.");
        }
        report
    }
}
