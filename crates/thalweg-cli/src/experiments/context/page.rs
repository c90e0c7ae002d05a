//! What was found, as tables and a page: accuracy by method and size of the support set, for seen and unseen tasks of each kind.
use super::judge::Judged;
use super::parameters::Contexts;
use crate::common::Outcome;
use crate::experiments::experiment::Scale;
use crate::report::figures::mean_sem;
use crate::report::{Look, Mark, Plot, Report};
use crate::table::{Cell, Table, Weight};
use thalweg::model::MetaModel;

/// The findings.
pub struct Page<'a> {
    /// How large it was.
    pub scale: Scale,
    /// In force.
    pub settings: &'a Contexts,
    /// The conditional flow.
    pub model: &'a MetaModel,
    /// Every method on every support set.
    pub judged: &'a [Judged],
}

const FLOW: &str = "conditional flow";
const ZOO: &str = "best of all zoos by support loss";
const WHOLE: &str = "trained on all rows";

impl Page<'_> {
    /// The mean over tasks of the means over their support sets, and its standard error over tasks (over support sets for one task).
    fn mean(&self, method: &str, shots: usize, keep: impl Fn(&Judged) -> bool) -> (f64, f64) {
        let rows: Vec<&Judged> =
            self.judged.iter().filter(|j| j.method == method && j.shots == shots && keep(j)).collect();
        let mut tasks: Vec<&str> = rows.iter().map(|j| j.task.as_str()).collect();
        tasks.dedup();
        let of = |task: &str| rows.iter().filter(|j| j.task == task).map(|j| j.accuracy).collect::<Vec<f64>>();
        match tasks[..] {
            [task] => mean_sem(&of(task)),
            _ => mean_sem(&tasks.iter().map(|task| mean_sem(&of(task)).0).collect::<Vec<_>>()),
        }
    }

    fn methods(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for judged in self.judged {
            if !names.contains(&judged.method) {
                names.push(judged.method.clone());
            }
        }
        names.sort_by_key(|name| !name.starts_with(FLOW));
        names
    }

    /// Seen and unseen tasks by size, then unseen tasks by kind.
    pub fn tables(&self) -> Vec<Table> {
        let shots = &self.settings.shots;
        let heads: Vec<String> = [true, false]
            .iter()
            .flat_map(|seen| {
                shots.iter().map(move |n| format!("{}, {n} a class", if *seen { "seen" } else { "unseen" }))
            })
            .collect();
        let count = |seen: bool| {
            let mut names: Vec<&str> = self.judged.iter().filter(|j| j.seen == seen).map(|j| j.task.as_str()).collect();
            names.dedup();
            names.len()
        };
        let mut all = Table::new(&["networks for a task"]).note(format!(
            "Mean test accuracy ± standard error over tasks ({} seen, {} unseen), {} support sets a task and size, {} networks for each. \
             Trained on the support set: one network, for the wall time in which the flow samples all of its networks.",
            count(true),
            count(false),
            self.settings.draws,
            self.settings.networks
        ));
        all.columns.extend(heads);
        all.columns.push("seconds".into());
        for method in self.methods() {
            let mut cells = vec![Cell::from(method.as_str())];
            for seen in [true, false] {
                for &n in shots {
                    let (mean, sem) = self.mean(&method, n, |j| j.seen == seen);
                    cells.push(Cell::Estimate(mean, sem, 3));
                }
            }
            let seconds: Vec<f64> = self.judged.iter().filter(|j| j.method == method).map(|j| j.seconds).collect();
            cells.push(Cell::Number(mean_sem(&seconds).0, 3));
            all.push(weight(&method), cells);
        }
        let last = shots.iter().copied().max().unwrap_or(1);
        let families: Vec<&str> = self.settings.tasks.families.iter().map(|f| f.name.as_str()).collect();
        let mut kinds = Table::new(&["unseen tasks by kind"]).note(format!(
            "{last} rows a class. ± over the tasks of the kind, or over support sets where it has one task."
        ));
        kinds.columns.extend(families.iter().map(|f| f.to_string()));
        for method in self.methods() {
            let mut cells = vec![Cell::from(method.as_str())];
            cells.extend(families.iter().map(|family| {
                let (mean, sem) = self.mean(&method, last, |j| !j.seen && j.family == *family);
                Cell::Estimate(mean, sem, 3)
            }));
            kinds.push(weight(&method), cells);
        }
        vec![all, kinds]
    }

    /// Negative where the conditional flow is not above the unconditional one and above training from scratch on unseen tasks.
    pub fn outcome(&self) -> Outcome {
        let unseen = |method: &str, n| self.mean(method, n, |j: &Judged| !j.seen).0;
        let above = |n: &usize| {
            let flow = unseen(FLOW, *n);
            flow > unseen("unconditional flow", *n) && flow > unseen("trained on the support set", *n)
        };
        if self.settings.shots.iter().all(above) { Outcome::Done } else { Outcome::Negative }
    }

    /// Kinds of unseen tasks where the best network of the zoos is at least as good as the flow's samples.
    fn lost(&self, shots: usize) -> Vec<&str> {
        let mean = |method: &str, family: &str| self.mean(method, shots, |j| !j.seen && j.family == family).0;
        let families = self.settings.tasks.families.iter().map(|f| f.name.as_str());
        families.filter(|family| mean(FLOW, family) <= mean(ZOO, family)).collect()
    }

    /// The page.
    pub fn report(&self, tables: &[Table]) -> Report {
        let set = self.settings;
        let mut report = Report::new(
            "Networks for a task by a few of its rows",
            format!(
                "One flow over the zoos of {} tasks, conditioned on support sets; {} networks sampled for each of {} support sets a task. Scale: {}.",
                set.tasks.seen().count(),
                set.networks,
                set.draws,
                self.scale
            ),
        );
        for &n in &set.shots {
            let ((flow, sem), (zoo, _)) = (self.mean(FLOW, n, |j| !j.seen), self.mean(ZOO, n, |j| !j.seen));
            let name = format!("unseen tasks, {n} a class (best of zoos: {zoo:.3})");
            report.fact(&name, format!("{flow:.3}"), sem.is_finite().then(|| format!("± {sem:.3}")));
        }
        let last = set.shots.iter().copied().max().unwrap_or(1);
        let lost = self.lost(last);
        report.paragraph(match (self.scale.caveat(), lost.is_empty()) {
            (Some(caveat), _) => caveat.to_owned(),
            (_, true) => format!("With {last} rows a class the flow's samples are above the best network of all zoos on every kind of unseen tasks."),
            (_, false) => format!(
                "With {last} rows a class the best network of all zoos, chosen by its loss on the support set, is not beaten on these kinds of unseen tasks: {}.",
                lost.join(", ")
            ),
        });
        for table in tables {
            report.heading(table.columns[0].clone()).table(table);
        }
        let mut plot = Plot { title: "Unseen tasks".into(), size: (820.0, 360.0), ..Plot::default() };
        plot.x.label = "rows a class in the support set".into();
        plot.y.label = "test accuracy".into();
        for (i, method) in self.methods().iter().enumerate().filter(|(_, m)| *m != WHOLE) {
            let points = set.shots.iter().map(|&n| (n as f64, self.mean(method, n, |j| !j.seen).0)).collect();
            plot.marks.push(Mark::Line { points, arrow: false, look: Look::new(i, method) });
        }
        report.figure(&plot, "Mean accuracy on unseen tasks by the size of the support set.");
        let losses = &self.model.record.history;
        let mut course = Plot { title: "Loss along the fit".into(), size: (820.0, 260.0), ..Plot::default() };
        course.x.label = "optimiser step".into();
        let curve = |of: fn(&(u64, f64, f64)) -> f64| losses.iter().map(|l| (l.0 as f64, of(l))).collect();
        let look = |c, name| Look::new(c, name);
        course.marks.push(Mark::Line { points: curve(|l| l.1), arrow: false, look: look(0, "training runs") });
        course.marks.push(Mark::Line {
            points: curve(|l| l.2),
            arrow: false,
            look: look(1, "held-out runs and tasks"),
        });
        report.figure(
            &course,
            "Half of the held-out points are runs of training tasks, half are runs of tasks that nothing else sees.",
        );
        report
    }
}

fn weight(method: &str) -> Weight {
    match method {
        FLOW => Weight::Strong,
        WHOLE => Weight::Faint,
        _ => Weight::Plain,
    }
}
