//! A method of one's own: every network moves by one and the same displacement, which is learned. Fitted, sampled, judged, written and read by the
//! functions of all methods, and known in closed form: the displacement is the mean of those of the training runs.
use crate::common::{config, zoo};
use thalweg::coupling::Coupling;
use thalweg::field::{FieldConfig, Tape};
use thalweg::fit::{FitOptions, fit};
use thalweg::judge::{ZooRuns, table};
use thalweg::method::{Method, MethodConfig, MethodParameters, OwnMethod, Scratch, Transport};
use thalweg::model::sample::SampleRequest;
use thalweg::model::{FitConfig, MetaModel, Split};
use thalweg::path::anchors::Anchors;
use thalweg::path::interpolant::Interpolant;
use thalweg::path::{Batch, Path, ProbabilityPath, TimeLaw, Width};
use thalweg::solver::Solution;
use thalweg::space::source::SourceKind;
use thalweg::{Layout, Parameters, Result, Streams};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Silent;

/// Its parameters: none.
#[derive(Debug)]
struct MeanMoveConfig;

impl MethodParameters for MeanMoveConfig {
    fn check(&self) -> Result<()> {
        Ok(())
    }

    fn coupling(&self) -> Coupling {
        Coupling::Paired
    }

    fn source(&self) -> SourceKind {
        SourceKind::Zoo
    }

    fn build(&self, times: &[f64], dimension: usize, _: &FieldConfig, _: &Streams) -> Result<Box<dyn Method>> {
        let path = Path::new(Interpolant::Linear, times, Width::Constant { sigma: 0.0 }, TimeLaw::Uniform)?;
        let layout = Layout::of_tensors([("displacement".to_string(), vec![dimension])]);
        Ok(Box::new(MeanMove { path, layout, displacement: vec![0.0; dimension] }))
    }
}

/// v(x, t) = m.
struct MeanMove {
    path: Path,
    layout: Layout,
    displacement: Vec<f32>,
}

impl Parameters for MeanMove {
    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn parameters(&self) -> &[f32] {
        &self.displacement
    }

    fn parameters_mut(&mut self) -> &mut [f32] {
        &mut self.displacement
    }
}

impl Method for MeanMove {
    fn batch(&self, curves: &Anchors, c: Option<Vec<f32>>, streams: &Streams) -> Result<Batch> {
        self.path.batch(curves, c, streams)
    }

    /// Mean of (m − u)².
    fn loss(&self, batch: &Batch, _: &mut Scratch, gradient: Option<&mut [f32]>) -> f64 {
        let (p, n) = (self.displacement.len(), batch.u.len() as f64);
        let off = |(i, u): (usize, &f32)| self.displacement[i % p] - u;
        if let Some(gradient) = gradient {
            gradient.fill(0.0);
            batch.u.iter().enumerate().for_each(|(i, u)| gradient[i % p] += 2.0 * off((i, u)) / n as f32);
        }
        batch.u.iter().enumerate().map(|at| f64::from(off(at)).powi(2)).sum::<f64>() / n
    }

    fn velocity(&self, _: &[f32], _: &[f32], _: Option<&[f32]>, out: &mut [f32], _: &mut Tape) {
        out.chunks_exact_mut(self.displacement.len()).for_each(|v| v.copy_from_slice(&self.displacement));
    }

    fn transport(&self, x: &mut [f32], _: Option<&[f32]>, how: &Transport, _: &[Streams]) -> Result<Solution> {
        let p = self.displacement.len();
        let at = |t: f64| x.iter().enumerate().map(move |(i, x)| x + t as f32 * self.displacement[i % p]);
        let states = how.at.iter().flat_map(|&t| at(t).collect::<Vec<_>>()).collect();
        let end: Vec<f32> = at(1.0).collect();
        x.copy_from_slice(&end);
        Ok(Solution { states, evaluations: 1 })
    }
}

#[test]
fn a_method_of_ones_own_is_fitted_sampled_judged_and_kept_as_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let zoo = zoo("fork", 20, &dir.path().join("zoo"));
    let own = || OwnMethod::new("mean-move", MeanMoveConfig);
    // Nothing held out to choose by: the last parameters are kept.
    let split = Split { validation: 0.0, test: 0.2, seed: 0 };
    let runs = split.of(&zoo).unwrap();
    // A batch of all training runs: every step has the whole gradient, so that the optimum is reached.
    let mut config =
        FitConfig { method: MethodConfig::Own(own()), split, steps: 1500, batch: runs.train.len(), ..config() };
    config.optimiser.betas = [0.9, 0.98];
    (config.optimiser.learning_rate, config.optimiser.weight_decay, config.optimiser.average) = (0.05, 0.0, 0.9);
    let model = fit(&zoo, &config, &FitOptions::default(), &Silent).unwrap();

    let p = zoo.parameters();
    let mut mean = vec![0.0f64; p];
    for &run in &runs.train {
        let mut theta = zoo.trajectory(run).unwrap();
        let end = theta.split_off(theta.len() - p);
        let [mut from, mut to] = [theta[..p].to_vec(), end];
        model.coordinates.standardise(&mut from);
        model.coordinates.standardise(&mut to);
        for i in 0..p {
            mean[i] += f64::from(to[i] - from[i]) / runs.train.len() as f64;
        }
    }
    for (found, truth) in model.method.parameters().iter().zip(&mean) {
        assert!((f64::from(*found) - truth).abs() < 2e-3 * (1.0 + truth.abs()), "{found} {truth}");
    }

    let request = SampleRequest { at: vec![0.0, 0.5], ..SampleRequest::new(30, 3) };
    let samples = model.sample(&request).unwrap();
    let mut moved = samples.states.theta[..30 * p].to_vec();
    model.coordinates.standardise(&mut moved);
    moved.iter_mut().enumerate().for_each(|(i, z)| *z += model.method.parameters()[i % p]);
    model.coordinates.destandardise(&mut moved);
    assert!(moved.iter().zip(&samples.theta).all(|(a, b)| (a - b).abs() < 1e-4 * (1.0 + b.abs())));

    // It is the baseline "mean-move" of every judgement, up to the draw of its starts.
    let data = zoo.data().unwrap().load().unwrap();
    let engine = Engine::new(zoo.architecture().unwrap()).unwrap();
    let test = engine.pack(&data.test.inputs).unwrap();
    let of_zoo = ZooRuns::of(&zoo, &runs).unwrap();
    let reference = of_zoo.reference(&engine, &test, &data.test.labels);
    let generated = [("mean-move of one's own", &samples.theta[..])];
    let rows = table(reference, &generated, Some(&Streams::new(1)), &Silent).unwrap();
    let (row, same) = (&rows[0].row, &rows.last().unwrap().row);
    assert_eq!((&row.method[..], &same.method[..]), (generated[0].0, "mean-move"));
    let error = 4.0 * row.accuracy_sem.hypot(same.accuracy_sem);
    assert!((row.accuracy_mean - same.accuracy_mean).abs() < error, "{row:?} {same:?}");
    assert!((row.novelty_l2 / same.novelty_l2 - 1.0).abs() < 0.1, "{row:?} {same:?}");

    let folder = dir.path().join("model");
    model.save(&folder, false).unwrap();
    let loaded = MetaModel::load_with(&folder, &own()).unwrap();
    let again = loaded.sample(&request).unwrap();
    assert_eq!((again.theta, again.states), (samples.theta, samples.states));
    let refused = MetaModel::load(&folder).err().unwrap().to_string();
    assert!(refused.contains("mean-move") && refused.contains("load_with"), "{refused}");
    let another = MetaModel::load_with(&folder, &OwnMethod::new("median-move", MeanMoveConfig)).err().unwrap();
    assert!(another.to_string().contains("median-move"), "{another}");
}
