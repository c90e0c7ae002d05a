//! Fitting a conditional flow to many zoos, one a task (M10): field and encoder learn together, by the loop of every fit.
//!
//! A step takes some tasks; of each, curves (coupled among themselves, so that no coupling crosses tasks unless that is asked), and one support set
//! of random size, whose context all of its curves see. A context is dropped at random, and classes are permuted at random where that is asked.
//! Held-out runs choose the step: those of the training tasks, and all runs of some tasks that nothing else sees, in equal parts.
use super::need;
use super::options::{FitOptions, identity};
use super::plan::Plan;
use crate::context::Context;
use crate::context::config::ContextConfig;
use crate::context::encoder::Encoder;
use crate::context::extractor::Extractor;
use crate::context::joint::{Grouped, Joint};
use crate::context::pool::Pool;
use crate::context::relabel::{self, Outputs};
use crate::context::support::Support;
use crate::coupling::Coupling;
use crate::method::Method;
use crate::model::FitConfig;
use crate::model::{MetaModel, Record};
use crate::path::Batch;
use crate::path::anchors::Anchors;
use crate::path::curves::{self, Curves};
use crate::space::latent::Decoder;
use crate::space::source::Source;
use crate::train::{self, Learner, Updates};
use crate::{Error, Result, Streams};
use rand::RngExt;
use rayon::prelude::*;
use thalweg_nets::progress::Progress;
use thalweg_nets::streams::shuffle;
use thalweg_nets::zoo::{RunSplit, ZooStore};

/// Checks that `zoos` can be fitted together: one layout and as many checkpoints everywhere, one law of starts.
///
/// # Errors
/// None at all, or the first that differs, by name.
pub fn check_many(zoos: &[&ZooStore], config: &FitConfig) -> Result<()> {
    let Some((first, others)) = zoos.split_first() else {
        return Err(Error::parameter("zoos", "at least one", "none"));
    };
    let kind = config.method.source();
    let source = Source::law(kind, first)?;
    for zoo in others {
        let name = zoo.dir().display();
        if zoo.layout() != first.layout() || zoo.checkpoints() != first.checkpoints() {
            let expected = format!("the layout and checkpoints of {}", first.dir().display());
            return Err(Error::parameter("zoos", expected, format!("others in {name}")));
        }
        if Source::law(kind, zoo)? != source {
            let expected =
                format!("runs that start by the law of {} (shared zoos around one centre)", first.dir().display());
            return Err(Error::parameter("zoos", expected, format!("another law in {name}")));
        }
    }
    Ok(())
}

/// Fits a conditional meta-model to `zoos`, one a task; `config.context` says how.
///
/// # Errors
/// As [`super::fit`]; zoos that do not fit each other or do not know their data; a method whose net takes no contexts.
pub fn fit_tasks(
    zoos: &[&ZooStore],
    config: &FitConfig,
    options: &FitOptions,
    progress: &dyn Progress,
) -> Result<MetaModel> {
    config.check()?;
    let asked = config.context.clone().unwrap_or_default();
    let config = FitConfig { context: Some(asked.clone()), ..config.clone() };
    check_many(zoos, &config)?;
    let config = &config.for_zoo(zoos[0])?;
    options.check(config)?;
    for zoo in zoos {
        if config.for_zoo(zoo)? != *config {
            let expected = "the architecture of the first zoo, which field equivariant follows";
            return Err(Error::format(zoo.dir(), "architecture", expected, "another with as many weights"));
        }
    }
    let coupling = config.method.coupling();
    if asked.couple_across_tasks && coupling == Coupling::Paired {
        return Err(Error::parameter(
            "context.couple-across-tasks",
            "false with the paired coupling, which joins ends of one run",
            true,
        ));
    }
    let streams = Streams::new(config.seed).child("fit");
    let splits = zoos.iter().map(|zoo| config.split.of(zoo)).collect::<Result<Vec<_>>>()?;
    need::check(zoos[0], config, &splits[0])?;
    let (seen, choosing) = split_tasks(zoos.len(), asked.validation_tasks, config.split.seed);
    let learned: Vec<(&ZooStore, &RunSplit)> = seen.iter().map(|&i| (zoos[i], &splits[i])).collect();
    let mut plan = Plan::new(&learned, config, options, progress)?;
    let first = zoos[0];
    let Some(architecture) = first.architecture() else {
        return Err(Error::parameter("zoos", "zoos that know their architecture", first.dir().display()));
    };
    let classes = architecture.classes();
    let outputs = match asked.relabel > 0.0 {
        true if plan.latent.is_some() => {
            return Err(Error::parameter(
                "context.relabel",
                "0 in a latent space, where outputs have no place",
                asked.relabel,
            ));
        }
        true => Some(Outputs::of(first.layout(), classes)?),
        false => None,
    };
    if let Some(outputs) = &outputs {
        plan.coordinates = outputs.symmetrise(&plan.coordinates, first.layout())?;
    }
    let extractor = Extractor::new(&asked.features, first)?;
    progress.begin("reading tasks", zoos.len() as u64);
    let pools = zoos.par_iter().enumerate().map(|(i, zoo)| {
        if progress.interrupted() {
            return Err(Error::Interrupted);
        }
        let pools = Pool::of_zoo(zoo, &extractor, asked.pool_per_class, &streams.child("pool").index(i as u64))?;
        progress.advance(1);
        Ok(pools)
    });
    let pools = pools.collect::<Result<Vec<_>>>()?;
    let inputs = pools[0][0].wide();
    if let Some(i) = pools.iter().position(|[a, b]| a.wide() != inputs || b.wide() != inputs) {
        let name = zoos[i].dir().display();
        return Err(Error::shape(
            format!("rows of {name}"),
            format!("[n, {inputs}]"),
            format!("[n, {}]", pools[i][0].wide()),
        ));
    }
    let encoder = Encoder::new(inputs, classes, &asked, &streams.child("encoder"))?;
    let field = config.field.with_context(encoder.dimension());
    let method = config.method.build(&plan.times, plan.space().dimension(), &field, &streams.child("field"))?;
    if method.context() != encoder.dimension() {
        return Err(Error::parameter("method", "one whose net takes contexts (cfm, mmfm, ddpm)", config.method.name()));
    }
    let tasks = zoos.iter().zip(&splits).enumerate().map(|(i, (zoo, split))| {
        let runs = [&split.train[..], &split.validation, &split.test].concat();
        let budget = curves::budget() / zoos.len();
        let curves = Curves::new(zoo, &runs, plan.space(), &plan.source, coupling, plan.marginals.clone(), budget)?;
        Ok(curves.with_starts(config.method.source_points(), streams.child("starts").index(i as u64)))
    });
    let curves = tasks.collect::<Result<Vec<_>>>()?;
    let mut identity = identity(zoos, config, options.probes.as_ref())?;
    if let Extractor::Onnx(onnx) = &extractor {
        identity = blake3::hash(&[identity.as_bytes(), onnx.bytes()].concat()).to_hex().to_string();
    }
    let shared = Shared { config: &asked, curves: &curves, splits: &splits, pools: &pools, outputs, coupling, classes };
    let held_out =
        shared.held_out(&seen, &choosing, config.validation_points, &*method, &streams.child("validation"))?;
    let mut learner =
        ManyZoos { shared, seen: &seen, batch: config.batch, held_out, joint: Joint::new(method, encoder), streams };
    let (schedule, saving) = (config.schedule(), options.saving(&identity));
    let mut state = train::start(&mut learner, &schedule, saving)?;
    train::run(&mut learner, &mut state, &schedule, saving, progress)?;
    let (method, encoder) = learner.joint.finish(&state.best);
    let total = |part: fn(&RunSplit) -> usize| seen.iter().map(|&i| part(&splits[i])).sum();
    let record = Record {
        zoo: format!("{} zoos, the first {}", zoos.len(), first.dir().display()),
        zoo_id: identity[..16].to_owned(),
        training_runs: total(|s| s.train.len()),
        validation_runs: total(|s| s.validation.len())
            + choosing.iter().map(|&i| zoos[i].finished_runs().len()).sum::<usize>(),
        test_runs: total(|s| s.test.len()),
        ..Record::new(first, &splits[0], &state, plan.latent_record.clone())
    };
    Ok(MetaModel {
        residual: None,
        config: config.clone(),
        times: plan.times.clone(),
        layout: first.layout().clone(),
        architecture: Some(architecture.clone()),
        data: None,
        template: first.template()?.map(std::sync::Arc::new),
        record,
        coordinates: plan.coordinates.clone(),
        latent: plan.latent.clone(),
        source: plan.source.clone(),
        context: Some(Context { encoder, extractor }),
        method,
    })
}

/// Tasks to learn from, and tasks that only choose: at least one of those where the share is above 0 and there are five tasks or more.
fn split_tasks(n: usize, share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, &mut Streams::new(seed).child("task split").rng());
    let count = if share == 0.0 || n < 5 { 0 } else { ((share * n as f64).round() as usize).max(1) };
    let mut choosing = order.split_off(n - count);
    order.sort_unstable();
    choosing.sort_unstable();
    (order, choosing)
}

/// What all draws share.
struct Shared<'a> {
    config: &'a ContextConfig,
    curves: &'a [Curves<'a>],
    splits: &'a [RunSplit],
    pools: &'a [[Pool; 2]],
    outputs: Option<Outputs>,
    coupling: Coupling,
    classes: usize,
}

/// Curves of one task, and the support set that says which.
struct Group {
    /// `[A, n, P]`.
    points: Vec<f32>,
    size: usize,
    support: Support,
}

impl Shared<'_> {
    /// `size` curves of `runs` of `task`, with a support set from its training (0) or validation rows (1).
    fn group(&self, task: usize, runs: &[usize], size: usize, part: usize, streams: &Streams) -> Result<Group> {
        let curves = &self.curves[task];
        let mut points = curves.draw(runs, size, &streams.child("curves"))?.to_dense();
        let [from, to] = self.config.support_per_class;
        let each = streams.child("samples").rng().random_range(from..=to);
        let mut support = self.pools[task][part].draw(each, &streams.child("support"))?;
        if let Some(outputs) = &self.outputs
            && let Some(becomes) = relabel::draw(self.classes, self.config.relabel, &streams.child("relabel"))
        {
            outputs.permute(&mut points, curves.dimension(), &becomes);
            support = support.relabelled(&becomes);
        }
        Ok(Group { points, size, support })
    }

    /// All groups as one batch without its contexts.
    fn batch(&self, groups: &[Group], method: &dyn Method, streams: &Streams) -> Result<Batch> {
        let p = self.curves[0].dimension();
        let size: usize = groups.iter().map(|g| g.size).sum();
        let marginals = groups[0].points.len() / (groups[0].size * p);
        let of = |m: usize| groups.iter().flat_map(move |g| &g.points[m * g.size * p..(m + 1) * g.size * p]);
        let mut points: Vec<f32> = (0..marginals).flat_map(of).copied().collect();
        if self.config.couple_across_tasks {
            let views: Vec<&[f32]> = points.chunks_exact(size * p).collect();
            let order = self.coupling.chain(&views, p, None, &streams.child("coupling"))?;
            let joined =
                views.iter().zip(&order).flat_map(|(v, order)| order.iter().flat_map(|&i| &v[i * p..(i + 1) * p]));
            points = joined.copied().collect();
        }
        method.batch(&Anchors::dense(&points, marginals, p)?, None, &streams.child("path"))
    }

    /// One fixed batch of runs that nothing learns from, with the support sets of its groups.
    fn held_out(
        &self,
        seen: &[usize],
        choosing: &[usize],
        size: usize,
        method: &dyn Method,
        streams: &Streams,
    ) -> Result<Option<Grouped>> {
        let seen: Vec<usize> = seen.iter().copied().filter(|&task| !self.splits[task].validation.is_empty()).collect();
        let parts = usize::from(!seen.is_empty()) + usize::from(!choosing.is_empty());
        let mut groups = Vec::new();
        for (tasks, whole) in [(&seen[..], false), (choosing, true)].into_iter().filter(|(tasks, _)| !tasks.is_empty())
        {
            for &task in tasks {
                let split = &self.splits[task];
                let all = [&split.train[..], &split.validation, &split.test].concat();
                let runs = if whole { &all } else { &split.validation };
                let points = size.div_ceil(parts * tasks.len());
                groups.push(self.group(task, runs, points, 1, &streams.child("task").index(task as u64))?);
            }
        }
        if groups.is_empty() {
            return Ok(None);
        }
        let batch = self.batch(&groups, method, &streams.child("batch"))?;
        let (supports, sizes) = groups.into_iter().map(|g| (g.support, g.size)).unzip();
        Ok(Some(Grouped { batch, supports, sizes }))
    }
}

/// Field and encoder, learning from the curves of many zoos.
struct ManyZoos<'a> {
    shared: Shared<'a>,
    seen: &'a [usize],
    batch: usize,
    /// What the step is chosen by.
    held_out: Option<Grouped>,
    joint: Joint,
    streams: Streams,
}

impl Learner for ManyZoos<'_> {
    fn parameters(&self) -> Vec<&[f32]> {
        self.joint.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        self.joint.parameters_mut()
    }

    fn step(&mut self, step: u64, updates: &mut Updates<'_>) -> Result<()> {
        let shared = &self.shared;
        let streams = self.streams.child("step").index(step);
        let mut order = self.seen.to_vec();
        shuffle(&mut order, &mut streams.child("tasks").rng());
        let count = shared.config.tasks.min(self.batch).min(order.len());
        let groups = (0..count).map(|g| {
            let task = order[g];
            // The batch in nearly equal parts.
            let size = (g + 1) * self.batch / count - g * self.batch / count;
            shared.group(task, &shared.splits[task].train, size, 0, &streams.child("group").index(g as u64))
        });
        let groups = groups.collect::<Result<Vec<_>>>()?;
        let batch = shared.batch(&groups, self.joint.method(), &streams)?;
        let (supports, sizes): (Vec<_>, Vec<_>) = groups.into_iter().map(|g| (g.support, g.size)).unzip();
        let mut rng = streams.child("drop").rng();
        let dropped: Vec<bool> = sizes.iter().map(|_| rng.random::<f64>() < shared.config.context_dropout).collect();
        let loss = self.joint.gradient(&mut Grouped { batch, supports, sizes }, &dropped, updates.gradient)?;
        updates.descend(loss, self.joint.parameters_mut())
    }

    fn held_out(&mut self, _: u64) -> Result<Option<f64>> {
        Ok(self.held_out.as_mut().map(|groups| self.joint.loss(groups)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_split_without_overlap() {
        let (seen, choosing) = split_tasks(20, 0.1, 3);
        assert_eq!((seen.len(), choosing.len()), (18, 2));
        assert!(choosing.iter().all(|task| !seen.contains(task)));
        assert_eq!(split_tasks(4, 0.5, 3).1, [0usize; 0]);
        assert_eq!(split_tasks(9, 0.0, 3).1, [0usize; 0]);
    }
}
