//! The price list: what one novel and performing network costs, in gradients and in milliseconds, by each way to make one: a few gradients from what a flow samples,
//! from trivial rivals, from fresh starts, and training anew. A way that makes them with probability π costs 1/π of one of its networks.
mod place;
mod starts;

use super::experiment::{Experiment, Findings, Run, Scale};
use super::few_gradients::{Goal, Made, timed};
use super::made;
use crate::common::Outcome;
use crate::report::Report;
use crate::results::Row;
use crate::row;
use crate::table::{Cell, Table, Weight};
use crate::verdict::Verdict;
use crate::work::judge::judge_all;
use crate::work::new_runs::NewRuns;
use anyhow::{Result, bail};
use place::Place;
pub use place::Prices;
use starts::Start;
use thalweg::Streams;
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Progress;

/// Networks with what they were made from; their milliseconds are those of start and gradients together.
struct Begun {
    start: String,
    made: Made,
}

impl Begun {
    fn name(&self) -> String {
        match self.made.gradients {
            0 => self.start.clone(),
            n => format!("{} + {n} × {}", self.start, self.made.way),
        }
    }
}

/// A row of the price list.
struct Offer {
    start: String,
    way: String,
    gradients: usize,
    milliseconds: f64,
    /// What tuning or training took, all of it.
    seconds: f64,
    verdict: Verdict,
}

impl Offer {
    /// What one novel and performing network costs of `each`; infinite where there was none.
    fn price(&self, each: f64) -> f64 {
        each / self.verdict.novel_and_performing().0
    }
}

impl Prices {
    /// Networks from `start` by every way and number of gradients.
    fn made(&self, place: &Place, start: &Start, run: &Run) -> Result<Vec<Begun>> {
        let streams = Streams::new(self.seed).child("prices").child(&start.name);
        let [training, tuning, steps] = ["training", "tuning", "steps"].map(|name| streams.child(name));
        let (begin, drawing) = timed(self.networks, || start.draw(self.networks, &streams.child("starts")))?;
        let tune = start.draw(self.tuning.networks, &tuning)?;
        let goal = Goal { layout: place.study.engine.layout(), reward: &place.reward, chooses: &place.chooses };
        let draw = |streams: &Streams| start.draw(self.training.starts, streams).map_err(starts::as_library);
        let mut all = Vec::new();
        for &gradients in self.gradients_from(start.fresh) {
            if gradients == 0 {
                let (theta, chosen) = (begin.clone(), String::new());
                all.push(Made { way: "", gradients, theta, milliseconds: 0.0, chosen, seconds: 0.0 });
                continue;
            }
            for &optimiser in &self.optimisers {
                all.push(self.tuning.made(optimiser, &goal, &tune, &begin, gradients, [&tuning, &steps])?);
                run.session.progress.advance(1);
            }
            if self.trained_steps.contains(&gradients) {
                let trained =
                    self.training.made(&goal, (goal.reward, &draw), &begin, gradients, [&training, &steps])?;
                all.push(Made { chosen: "trained on the task".into(), ..trained });
                run.session.progress.advance(1);
            }
        }
        let with_start = |made: Made| Begun {
            start: start.name.clone(),
            made: Made { milliseconds: drawing + made.milliseconds, ..made },
        };
        Ok(all.into_iter().map(with_start).collect())
    }

    /// Every offer on one data set, and the seconds of the fits in words.
    fn offers(&self, run: &Run, data: &str) -> Result<(Vec<Offer>, String, Row)> {
        let place = Place::new(self, run, data)?;
        let starts = starts::all(self, run, data, &place)?;
        let fits = starts.iter().filter(|start| start.seconds > 0.0);
        let fits: Vec<String> = fits.map(|start| format!("{} {:.0} s", start.name, start.seconds)).collect();
        let count = starts.iter().map(|start| {
            let numbers = self.gradients_from(start.fresh);
            let trained = numbers.iter().filter(|n| self.trained_steps.contains(n)).count();
            numbers.iter().filter(|n| **n > 0).count() * self.optimisers.len() + trained
        });
        run.session.progress.begin("ways to make networks", count.sum::<usize>() as u64);
        let mut made = Vec::new();
        for start in &starts {
            made.extend(self.made(&place, start, run)?);
        }
        run.session.progress.end();
        let names: Vec<String> = made.iter().map(Begun::name).collect();
        let samples: Vec<(Weight, &str, &[f32])> =
            names.iter().zip(&made).map(|(name, m)| (Weight::Plain, name.as_str(), &m.made.theta[..])).collect();
        let judged = judge_all(&place.study, &samples, false, self.seed, run.session)?;
        let anew = NewRuns::train(&place.unaligned, self.new_runs, run.session)?;
        let offers = judged.into_iter().map(|(verdict, _)| match made.iter().find(|m| m.name() == verdict.method) {
            Some(m) => Offer {
                start: m.start.clone(),
                way: if m.made.chosen.is_empty() {
                    "–".into()
                } else {
                    format!("{} ({})", m.made.way, m.made.chosen)
                },
                gradients: m.made.gradients,
                milliseconds: m.made.milliseconds,
                seconds: m.made.seconds,
                verdict,
            },
            None => Offer {
                start: verdict.label.clone(),
                way: "the zoo's recipe".into(),
                gradients: place.steps,
                milliseconds: 1e3 * anew.seconds,
                seconds: 0.0,
                verdict,
            },
        });
        let mut words = format!(
            "What is not fresh is made from {} runs, which took {} gradients first.",
            place.study.split.train.len(),
            place.study.split.train.len() * place.steps
        );
        if !fits.is_empty() {
            words += &format!(" Fits, not counted: {}.", fits.join("; "));
        }
        Ok((offers.collect(), words, row! { "data" => data }))
    }
}

/// The cheapest ways, in words.
fn words(offers: &[Offer]) -> String {
    let cheapest = |what: &str, of: &dyn Fn(&Offer) -> f64| -> Option<String> {
        let real = offers
            .iter()
            .find(|o| o.verdict.method == "held-out")
            .or(offers.iter().find(|o| o.verdict.method == "zoo"))?;
        let made = offers.iter().filter(|o| !["zoo", "held-out"].contains(&o.verdict.method.as_str()));
        let best =
            made.filter(|o| o.price(of(o)).is_finite()).min_by(|a, b| a.price(of(a)).total_cmp(&b.price(of(b))))?;
        Some(format!(
            "The cheapest in {what}: {} ({:.1}; training anew {:.1}).",
            best.verdict.method,
            best.price(of(best)),
            real.price(of(real))
        ))
    };
    let none = || "No way but training anew made a novel and performing network.".to_owned();
    let gradients = cheapest("gradients", &|o| o.gradients as f64);
    let time = cheapest("milliseconds", &|o| o.milliseconds);
    gradients.zip(time).map_or_else(none, |(gradients, time)| format!("{gradients} {time}"))
}

fn table(title: &str, offers: &[Offer], note: &str) -> Table {
    let note = format!(
        "Gradients and milliseconds: for one network, and for one novel and performing one (divided by their share; – where there was none). Networks are made together \
         on all threads; what was fitted, trained or tuned is not counted. d_w, d_f: distance in weights and in answers to the nearest run. ± is one standard error over \
         networks. {note}"
    );
    let columns =
        [title, "steps by", "gradients", "accuracy", "d_w", "d_f", "N&P", "ms", "gradients for one", "ms for one"];
    let mut table = Table::new(&columns).note(note);
    for offer in offers {
        let (verdict, (novel, novel_sem)) = (&offer.verdict, offer.verdict.novel_and_performing());
        let (accuracy, sem) = verdict.accuracy();
        let [(weights, _), (behaviour, _)] = verdict.novelty();
        let cells = vec![
            offer.start.clone().into(),
            offer.way.clone().into(),
            offer.gradients.into(),
            Cell::Estimate(accuracy, sem, 4),
            Cell::Number(weights, 2),
            Cell::Number(behaviour, 2),
            Cell::Estimate(novel, novel_sem, 2),
            Cell::Number(offer.milliseconds, 1),
            Cell::Number(offer.price(offer.gradients as f64), 1),
            Cell::Number(offer.price(offer.milliseconds), 1),
        ];
        table.push(verdict.weight, cells);
    }
    table
}

impl Experiment for Prices {
    const NAME: &'static str = "prices";
    const TOML: &'static str = include_str!("../../../../../experiments/prices.toml");

    fn seed(&self) -> u64 {
        self.seed
    }

    fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    fn check(&self, _: Scale) -> Result<()> {
        if self.data.is_empty() || self.networks < 2 || self.rows == 0 || self.new_runs == 0 {
            bail!("expected some data, networks of at least 2, rows and new-runs of at least 1");
        }
        if self.fresh_gradients.contains(&0) {
            bail!("fresh-gradients: expected at least 1 each: fresh starts are no networks yet");
        }
        for name in &self.data {
            DataSpec::parse(name)?;
        }
        for method in self.aligned.iter().chain(&self.unaligned) {
            method.config(&self.fit, self.seed)?;
        }
        self.tuning.check()?;
        self.training.check()?;
        made::check(&self.zoo)
    }

    fn run(&self, run: &Run) -> Result<Findings> {
        let lede = format!(
            "What one novel and performing network costs, by each way to make one: few gradients from what flows sample, from trivial rivals and from fresh starts, and \
             training anew. Scale: {}.",
            run.scale
        );
        let mut report = Report::new("The price of a network", lede);
        if let Some(caveat) = run.scale.caveat() {
            report.paragraph(caveat);
        }
        let (mut rows, mut tables) = (Vec::new(), Vec::new());
        for data in &self.data {
            run.session.say(data);
            let (offers, fits, about) = self.offers(run, data)?;
            let words = format!("{} {fits}", words(&offers)).trim().to_owned();
            let table = table(data, &offers, &words);
            report.heading(data).paragraph(&words).table(&table);
            tables.push(table);
            for offer in &offers {
                let mut row = offer.verdict.row(&about)?;
                row.extend(row! {
                    "start" => offer.start, "way" => offer.way, "gradients" => offer.gradients, "milliseconds" => offer.milliseconds, "seconds_to_choose" => offer.seconds,
                    "gradients_for_one" => offer.price(offer.gradients as f64), "milliseconds_for_one" => offer.price(offer.milliseconds),
                });
                rows.push(row);
            }
        }
        Ok(Findings { rows, report, tables, outcome: Outcome::Done })
    }
}
