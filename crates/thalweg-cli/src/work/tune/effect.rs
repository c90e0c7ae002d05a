//! What a tuning has changed: test accuracies of networks before and after it.
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::study::Labelled;
use crate::table::{Cell, Table, Weight};
use anyhow::Result;
use thalweg::metric::summary::{Better, Summary};
use thalweg::model::MetaModel;
use thalweg::model::sample::SampleRequest;
use thalweg::tune::{TuneConfig, TuneRecord};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;

/// Accuracies of networks of the base and of the tuned model, from the same starts.
pub struct Effect {
    /// Of the base.
    pub before: Summary,
    /// Of the tuned model.
    pub after: Summary,
    /// Labelled that they were taken on.
    rows: usize,
}

impl Effect {
    /// Samples `n` networks of each of `models`, the base and the tuned one, and evaluates them on the rows `test`.
    ///
    /// # Errors
    /// A model that cannot be sampled.
    pub fn of(
        models: [&MetaModel; 2],
        n: usize,
        seed: u64,
        engine: &Engine,
        test: &Labelled,
        session: &Session,
    ) -> Result<Self> {
        session.progress.begin("sampling and evaluating, before and after", 2);
        let [before, after] = models.map(|model| {
            let samples = model.sample(&SampleRequest::new(n, seed))?;
            let accuracies = test.accuracies(engine, &samples.theta)?;
            session.progress.advance(1);
            Ok::<_, anyhow::Error>(Summary::of("accuracy", &accuracies, Better::Higher)?)
        });
        session.progress.end();
        Ok(Self { before: before?, after: after?, rows: test.labels.len() })
    }

    /// As a table, on test rows of `data`.
    pub fn table(&self, data: &str) -> Table {
        let mut table = Table::new(&["networks", "test accuracy", "best", "n"])
            .note(format!("On the {} test rows of {data}. ± is one standard error over networks.", self.rows));
        for (weight, name, s) in [(Weight::Faint, "before", &self.before), (Weight::Strong, "after", &self.after)] {
            let cells = vec![name.into(), Cell::Estimate(s.mean, s.sem, 4), Cell::Number(s.best, 4), s.n.into()];
            table.push(weight, cells);
        }
        table
    }

    /// For results.json: before and after, then the course of the tuning.
    pub fn rows(&self, record: &TuneRecord, config: &TuneConfig, data: &str) -> Vec<Row> {
        let state = |state: &str, s: &Summary| {
            row! {
                "method" => "adjoint-matching", "state" => state, "reward" => record.reward, "strength" => config.strength, "data" => data,
                "accuracy_mean" => s.mean, "accuracy_sem" => s.sem, "accuracy_best" => s.best, "n" => s.n,
            }
        };
        let mut rows = vec![state("before", &self.before), state("after", &self.after)];
        for look in &record.validations {
            rows.push(row! {
                "method" => "adjoint-matching", "iteration" => look.iteration, "reward_training" => look.training,
                "reward_held_out" => look.held_out, "distance" => look.distance, "seconds" => look.seconds,
                "kept" => look.iteration == record.best_iteration,
            });
        }
        rows
    }
}
