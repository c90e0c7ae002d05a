//! What `thalweg shift calibrate` tells of the tests that it has made.
use crate::results::Row;
use crate::row;
use crate::session::Session;
use crate::table::{Cell, Table, Weight};
use thalweg::shift::calibration::Calibration;
use thalweg::shift::law::outcome::{self, Question};

/// A row for every statistic.
pub fn rows(calibration: &Calibration) -> Vec<Row> {
    let mut rows = Vec::new();
    for (test, method) in calibration.tests().zip(&calibration.record.methods) {
        for statistic in test.statistics() {
            rows.push(row! {
                "method" => method, "statistic" => statistic.name, "counts" => Question::of(test.statistics()).takes(statistic),
                "question" => Question::of(test.statistics()), "looks_at" => method.looks_at(),
                "seconds" => calibration.seconds.get(method.name()),
            });
        }
    }
    rows
}

/// The tests in a table, and what a user should know of them.
pub fn tell(calibration: &Calibration, session: &Session) {
    let record = &calibration.record;
    let mut table = Table::new(&["test", "asks for", "looks at", "setup (s)"]);
    for (test, method) in calibration.tests().zip(&record.methods) {
        let question = match Question::of(test.statistics()) {
            Question::Harm => "harm",
            Question::Difference => "any difference",
        };
        let seconds = calibration.seconds.get(method.name()).copied().unwrap_or(f64::NAN);
        let cells = vec![method.name().into(), question.into(), method.looks_at().into(), Cell::Number(seconds, 2)];
        table.push(Weight::Plain, cells);
    }
    let redraws = calibration.redraws(record.level);
    table.note = format!(
        "Every query is compared with {redraws} redraws of as many rows from its own and {} held-out rows of P together: p-values are exact for any number of rows.",
        record.rows[2]
    );
    session.show(&table);
    let trained: Vec<&str> = record.methods.iter().filter(|m| m.trains_per_query()).map(|m| m.name()).collect();
    if !trained.is_empty() {
        session.say(&format!(
            "Of these, {} train networks for every redraw too: each `shift test` takes {} times as long as one query. {} redraws are the least for level {}.",
            trained.join(", "),
            redraws + 1,
            outcome::redraws(&calibration.questions(), record.level),
            record.level
        ));
    }
    calibration.caveats().iter().for_each(|said| session.say(said));
    if let Some(choice) = &record.choice {
        let c = choice.config;
        session.say(&format!(
            "CDCs: κ = {:.2e}, learning rate {}, {} steps, found in {} trials{}.",
            c.kappa,
            c.learning_rate,
            c.steps,
            choice.trials.len(),
            if choice.inside { "" } else { "; none lay in the window, this came nearest: expect little power" }
        ));
    }
}
