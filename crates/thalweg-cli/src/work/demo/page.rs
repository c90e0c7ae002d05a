//! The demo's report: what was made, told from the picture to the table.
use super::drawn::Drawn;
use crate::common::STEPS;
use crate::report::pictures::{self, Trajectory};
use crate::report::{Report, figures};
use crate::study::Study;
use crate::verdict::{self, Verdict, colour, label};
use anyhow::Result;

/// The page. `judged` begins with the flows' verdicts, in the order of `drawn`; the zoo's follows.
///
/// # Errors
/// A zoo that cannot be read any more.
pub fn page(
    study: &Study,
    drawn: &[Drawn],
    judged: &[(Verdict, Vec<f64>)],
    seconds_of_zoo: f64,
    paths: usize,
) -> Result<Report> {
    let names: Vec<String> = drawn.iter().map(|d| label(d.model.config.method.name())).collect();
    let mut trajectories = Vec::new();
    for (d, name) in drawn.iter().zip(&names) {
        let theta = d.samples.states.theta.chunks_exact(d.samples.theta.len()).collect();
        trajectories.push(Trajectory {
            name,
            colour: colour(d.model.config.method.name()),
            times: &d.samples.states.times,
            theta,
        });
    }
    let mut report = Report::new("Networks without training of their own", lede(study, drawn, judged));
    facts(&mut report, study, drawn, judged, seconds_of_zoo);
    report.heading("Paths of the flows").paragraph(
        "Dark lines are real training runs; coloured ones are the paths of fresh \
         initialisations along a flow. NM-CFM knows only both ends of a run and goes straight; NM-MMFM knows the \
         checkpoints between and follows the bend.",
    );
    report.figure_in_time(
        &pictures::landscape(study, &trajectories, paths)?,
        drawn.first().map_or(&[], |d| &d.samples.states.times),
        "The slider moves networks along their paths; training runs go straight between their checkpoints. All paths projected onto the two directions in which the runs spread most. Background: validation loss of the networks \
         on this plane, paler is lower, in equal steps of its logarithm. The paths run through all dimensions, so their own loss \
         is not the plane's.",
    );
    report.heading("Loss along the flows").paragraph(
        "A flow passes through networks that work better and better. How they do at time t, beside real runs at their checkpoints:",
    );
    report.figure(
        &pictures::losses(study, &trajectories)?,
        "Validation loss: mean, and for a flow the band from the 10 % to the 90 % quantile over its networks.",
    );
    filters(&mut report, study, drawn);
    report.heading("How good, and how new?").paragraph(
        "Accuracy alone proves little: a copy of a training run has it, and so has a copy with noise. A generator is worth \
         something where its networks work and lie as far from every training run as a new run would. So the table holds real \
         runs that nothing has seen beside the flows, and generators so simple that they need no learning.",
    );
    let verdicts: Vec<Verdict> = judged.iter().map(|(verdict, _)| verdict.clone()).collect();
    report.table(&verdict::table(&verdicts));
    let groups: Vec<_> = judged.iter().map(|(v, a)| (v.label.clone(), colour(&v.method), a.clone())).collect();
    report.figure(
        &figures::histogram("Test accuracies", "test accuracy", 30, &[groups[drawn.len()].clone(), groups[0].clone()]),
        format!("Test accuracies of the training runs and of the networks from {}.", names[0]),
    );
    report.figure(
        &figures::strips("Test accuracy by method", "test accuracy", &groups),
        "Test accuracy of every network, a dot each; the tick is the mean, the bar its standard error.",
    );
    report.heading("Go on").paragraph("The same steps, one by one. For your own data use another --data and --arch; for your own networks, `thalweg zoo import`:");
    report.code(STEPS.join("\n"));
    Ok(report)
}

/// The first network of the last flow, its filters at five times.
fn filters(report: &mut Report, study: &Study, drawn: &[Drawn]) {
    let (Some(last), Some(architecture)) = (drawn.last(), study.zoo.architecture()) else { return };
    let p = study.parameters();
    let (states, times) = (&last.samples.states, &last.samples.states.times);
    let n = last.samples.theta.len() / p;
    let looks: Vec<usize> = (0..5).map(|i| i * (times.len() - 1) / 4).collect();
    let network = |&k: &usize| &states.theta[k * n * p..][..p];
    let (at, theta): (Vec<f64>, Vec<&[f32]>) =
        (looks.iter().map(|&k| times[k]).collect(), looks.iter().map(network).collect());
    if let Some(picture) = crate::report::filters::filters(architecture, &at, &theta) {
        report.picture(
            picture,
            format!(
                "The strongest filters of the first layer of one network from {}, from its initialisation (top) to its end (bottom). Grey is 0.",
                label(last.model.config.method.name())
            ),
        );
    }
}

/// The whole of it in one paragraph: where the runs start, where the samples end, and what a Gaussian does on the same zoo.
fn lede(study: &Study, drawn: &[Drawn], judged: &[(Verdict, Vec<f64>)]) -> String {
    let (p, k) = (study.parameters(), study.zoo.checkpoints());
    let n = drawn[0].samples.theta.len() / p;
    let starts: Vec<f64> = study.split.train.iter().map(|run| f64::from(study.zoo.accuracies()[run * k])).collect();
    let (start, _) = figures::mean_sem(&starts);
    let flow = &judged[0].0;
    let gaussian = judged.iter().map(|(verdict, _)| verdict).find(|verdict| verdict.method == "diagonal-gaussian");
    let rival = gaussian.map_or(String::new(), |gaussian| {
        format!(
            " A diagonal Gaussian fitted to the final weights, which needs no flow, has {:.4} and {}",
            gaussian.accuracy().0,
            beside(flow.novel_and_performing(), gaussian.novel_and_performing()),
        )
    });
    format!(
        "{} training runs of a small digit classifier ({p} weights) were recorded. They share their first steps: they start around \
         one network that was trained already, and have a mean validation accuracy of {start:.3} before their own first step. A flow \
         learned from them how weights move from there to the end of training. Carried along it, {n} fresh starts became networks of \
         mean test accuracy {:.4} (the runs: {:.4}) without a training step of their own.{rival}",
        study.zoo.runs(),
        flow.accuracy().0,
        judged[drawn.len()].0.accuracy().0,
    )
}

/// How a flow's share of novel and performing networks compares with a rival's: apart only beyond two standard errors.
fn beside((flow, flow_sem): (f64, f64), (rival, rival_sem): (f64, f64)) -> String {
    let error = flow_sem.hypot(rival_sem);
    let verdict = match flow - rival {
        lead if lead > 2.0 * error => "the flow is ahead of it",
        lead if lead < -2.0 * error => "the flow is behind it",
        _ => "the two are level within two standard errors",
    };
    format!(
        "a share of novel and performing networks of {:.0} % against the flow's {:.0} %: here {verdict}.",
        100.0 * rival,
        100.0 * flow
    )
}

fn facts(report: &mut Report, study: &Study, drawn: &[Drawn], judged: &[(Verdict, Vec<f64>)], seconds_of_zoo: f64) {
    let n = drawn[0].samples.theta.len() / study.parameters();
    let name = label(drawn[0].model.config.method.name());
    let ((accuracy, sem), (zoo, zoo_sem)) = (judged[0].0.accuracy(), judged[drawn.len()].0.accuracy());
    let (novel, novel_sem) = judged[0].0.novel_and_performing();
    let error = |sem: f64, digits: usize| sem.is_finite().then(|| format!("± {sem:.digits$}"));
    report.fact(
        &format!("mean test accuracy of {n} sampled networks ({name})"),
        format!("{accuracy:.4}"),
        error(sem, 4),
    );
    report.fact("mean test accuracy of the training runs", format!("{zoo:.4}"), error(zoo_sem, 4));
    let unseen = judged.iter().map(|(verdict, _)| verdict).find(|verdict| verdict.method == "held-out");
    let unseen = unseen.map(|unseen| format!(" (real unseen runs: {:.0} %)", 100.0 * unseen.novel_and_performing().0));
    report.fact(
        &format!("novel and performing{}", unseen.unwrap_or_default()),
        format!("{:.0} %", 100.0 * novel),
        error(100.0 * novel_sem, 0),
    );
    let milliseconds = 1e3 * drawn[0].samples.seconds / n as f64;
    report.fact("a network, sampled", format!("{milliseconds:.1} ms"), None);
    let each = 1e3 * seconds_of_zoo / study.zoo.runs() as f64;
    report.fact(
        &format!("for {} training runs ({each:.1} ms each)", study.zoo.runs()),
        format!("{seconds_of_zoo:.1} s"),
        None,
    );
    let fits: f64 = drawn.iter().map(|d| d.model.record.seconds).sum();
    report.fact(
        &format!("to fit {}", if drawn.len() == 1 { "the flow" } else { "the flows" }),
        format!("{fits:.1} s"),
        None,
    );
}

#[cfg(test)]
mod tests {
    use super::beside;

    #[test]
    fn a_lead_within_two_standard_errors_is_no_lead() {
        assert!(beside((0.50, 0.03), (0.42, 0.03)).contains("level"), "2 √2 · .03 = .085");
        assert!(beside((0.50, 0.03), (0.41, 0.03)).contains("ahead"));
        assert!(beside((0.41, 0.03), (0.50, 0.03)).contains("behind"));
        assert!(beside((0.50, 0.03), (0.42, 0.03)).starts_with("a share of novel and performing networks of 42 %"));
    }
}
