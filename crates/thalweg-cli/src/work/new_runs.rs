//! The rival that spends a method's seconds on training: new runs of the zoo's own recipe, looked at on their way.
//!
//! A method's price for a network is its fit and its sampling over the networks that were sampled; the course of new runs tells what training alone has
//! come to for that price. Runs are stopped as they are: one whose learning rate was to fall later is not what a shorter recipe would make.
use crate::data;
use crate::session::Session;
use crate::verdict::Verdict;
use anyhow::{Context, Result};
use rayon::prelude::*;
use std::time::Instant;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::Trainer;
use thalweg_nets::zoo::ZooStore;

/// Shares of the steps of a run after which it is looked at.
const SHARES: [f64; 5] = [0.0625, 0.125, 0.25, 0.5, 1.0];

/// New runs on their way.
pub struct NewRuns {
    /// Seconds a run, with all threads at work on many of them.
    pub seconds: f64,
    /// A name and the networks `[runs, P]` after each of the shares.
    pub stops: Vec<(String, Vec<f32>)>,
}

impl NewRuns {
    /// Trains `runs` by the recipe of `zoo`, which was trained here, from starts and orders of the data that none of its runs had.
    ///
    /// # Errors
    /// A zoo that was not trained here; data that cannot be read; an interruption.
    pub fn train(zoo: &ZooStore, runs: usize, session: &Session) -> Result<Self> {
        let missing = || format!("{} was not trained here: its recipe is not known", zoo.dir().display());
        let (spec, named) = (zoo.spec().with_context(missing)?, zoo.data().with_context(missing)?);
        let splits = data::load(named, &session.progress)?;
        let engine = Engine::new(&spec.architecture)?;
        let mut recipe = spec.recipe.clone();
        recipe.checkpoints = [&[0.0], &SHARES[..]].concat();
        let trainer = Trainer::new(&engine, &spec.architecture, &splits.train, &splits.validation, &recipe)?;
        let (law, p) = (zoo.initial_law()?, engine.parameters());
        session.progress.begin("training new runs", runs as u64);
        let clock = Instant::now();
        let train = |i: usize| {
            let streams = spec.streams(spec.runs + i);
            let start = law.draw(engine.layout(), &streams.child("start"))?;
            let run = trainer.train(&start, &streams, &|| session.progress.interrupted())?;
            session.progress.advance(1);
            Ok(run.theta)
        };
        let all: Vec<Vec<f32>> =
            (0..runs).into_par_iter().with_max_len(1).map(train).collect::<thalweg_nets::Result<_>>()?;
        let seconds = clock.elapsed().as_secs_f64() / runs as f64;
        session.progress.end();
        let stop = |(k, share): (usize, &f64)| {
            let networks = all.iter().flat_map(|run| run[(k + 1) * p..(k + 2) * p].iter().copied()).collect();
            (format!("new-run-{share}"), networks)
        };
        Ok(Self { seconds, stops: SHARES.iter().enumerate().map(stop).collect() })
    }

    /// What they cost, in a sentence for below a table.
    pub fn price(&self) -> String {
        format!(" A new run takes {:.2} s here, its share of the threads counted.", self.seconds)
    }
}

/// What the seconds of one network of each of `methods` come to when they are spent on training instead, in sentences; `all` holds the rows of the new runs.
pub fn words(methods: &[&Verdict], all: &[Verdict], seconds: f64) -> String {
    let accuracy = |share: f64| {
        let name = format!("new-run-{share}");
        all.iter().find(|v| v.method == name).map(|v| v.accuracy().0)
    };
    let sentence = |method: &&Verdict| -> Option<String> {
        let price = method.seconds_a_network()?;
        let share = price / seconds;
        // The least share that costs at least as much: in favour of training.
        let reached = SHARES.iter().copied().find(|stop| *stop >= share).unwrap_or(1.0);
        Some(format!(
            "{}: {price:.2} s a network, fit and sampling together; a new run takes {seconds:.2} s, and after {} of its steps has accuracy {:.4} \
             (the method {:.4}).",
            method.label,
            if share > 1.0 { format!("all (the price is that of {share:.1} runs)") } else { reached.to_string() },
            accuracy(reached)?,
            method.accuracy().0
        ))
    };
    methods.iter().filter_map(sentence).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::tests::judged;

    #[test]
    fn the_same_seconds_are_told_in_favour_of_training() {
        let stops = [(0.25, 0.91), (0.5, 0.93), (1.0, 0.95)];
        let all: Vec<Verdict> = stops.iter().map(|(s, a)| judged(&format!("new-run-{s}"), *a, 0.5, 1.0)).collect();
        let mut flow = judged("flow", 0.94, 0.3, 0.7);
        assert_eq!(words(&[&flow], &all, 2.0), "", "nothing was fitted");
        // 100 networks: (59 + 1)/100 s each, .3 of a run of 2 s.
        flow.timed(59.0, 1.0);
        let found = words(&[&flow], &all, 2.0);
        assert!(found.starts_with("flow: 0.60 s a network"), "{found}");
        assert!(found.contains("after 0.5 of its steps has accuracy 0.9300 (the method 0.9400)"), "{found}");
        flow.timed(599.0, 1.0);
        let dear = words(&[&flow], &all, 2.0);
        assert!(dear.contains("after all (the price is that of 3.0 runs) of its steps has accuracy 0.9500"), "{dear}");
    }
}
