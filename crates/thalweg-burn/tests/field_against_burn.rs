//! The residual MLP of `thalweg` against automatic differentiation: velocities, gradients, products in x.
#![allow(clippy::unwrap_used)] // a test fails by panicking
mod support;

use support::{normal, relative, relative_by_tensor};
use thalweg::field::{Field, Gate, Gradient, Parameters, ResidualMlp, ResidualMlpConfig, Tape};
use thalweg_burn::{BurnField, Device, place};
use thalweg_nets::{Layout, Streams};

const TOLERANCE: f64 = 1e-4;

/// A field away from the zero tensors of its start, so that every path carries something.
fn field(dimension: usize, config: &ResidualMlpConfig, streams: &Streams) -> ResidualMlp {
    let mut field = ResidualMlp::new(dimension, config, streams).unwrap();
    let noise = normal(field.parameters().len(), &streams.child("noise"));
    field.parameters_mut().iter_mut().zip(noise).for_each(|(p, e)| *p += 0.05 * e);
    field
}

fn configs() -> Vec<(usize, ResidualMlpConfig)> {
    let base = ResidualMlpConfig { width: 24, embedding: 10, time_features: 6, ..Default::default() };
    vec![
        (1110, ResidualMlpConfig::default()),
        (11, base.clone()),
        (7, ResidualMlpConfig { blocks: 0, ..base.clone() }),
        (5, ResidualMlpConfig { blocks: 3, expansion: 2, time_features: 2, ..base.clone() }),
        (33, ResidualMlpConfig { context: 4, ..base.clone() }),
        (21, ResidualMlpConfig { gate: Gate::LowRank, ..base.clone() }),
        (21, ResidualMlpConfig { gate: Gate::Shared, context: 2, ..base.clone() }),
        (9, ResidualMlpConfig { context: 3, blocks: 0, ..base }),
    ]
}

struct Inputs {
    x: Vec<f32>,
    t: Vec<f32>,
    c: Option<Vec<f32>>,
    dv: Vec<f32>,
}

fn inputs(field: &dyn Field, rows: usize, streams: &Streams) -> Inputs {
    let (p, d) = (field.dimension(), field.context());
    let mut t: Vec<f32> = normal(rows, &streams.child("t")).iter().map(|t| 0.5 + 0.5 * t.tanh()).collect();
    t[0] = 1.0;
    Inputs {
        x: normal(rows * p, &streams.child("x")),
        t,
        c: (d > 0).then(|| normal(rows * d, &streams.child("c"))),
        dv: normal(rows * p, &streams.child("dv")),
    }
}

/// Velocity, gradient and product in x.
fn run(field: &dyn Field, at: &Inputs) -> [Vec<f32>; 3] {
    let mut tape = Tape::default();
    let (mut v, mut dx) = (vec![f32::NAN; at.x.len()], vec![f32::NAN; at.x.len()]);
    let mut gradient = vec![f32::NAN; field.parameters().len()];
    field.velocity(&at.x, &at.t, at.c.as_deref(), &mut v, &mut tape);
    field.backward(&at.dv, &mut tape, Gradient::Write(&mut gradient), Some(&mut dx));
    [v, gradient, dx]
}

#[test]
fn velocities_gradients_and_products_agree() {
    let mut worst = [0.0f64; 3];
    for (i, (dimension, config)) in configs().into_iter().enumerate() {
        let streams = Streams::new(8).index(i as u64);
        let native = field(dimension, &config, &streams);
        let burn = BurnField::new(&native, Device::Flex).unwrap();
        for (rows, one_time) in [(1, false), (5, false), (6, true), (48, false), (48, true)] {
            let mut at = inputs(&native, rows, &streams);
            if one_time {
                at.t.fill(0.37); // as samplers call it
            }
            let [v, gradient, dx] = run(&native, &at);
            let [v_burn, gradient_burn, dx_burn] = run(&burn, &at);
            let (by_tensor, tensor) = relative_by_tensor(native.layout(), &gradient, &gradient_burn);
            let found = [relative(&v, &v_burn), by_tensor, relative(&dx, &dx_burn)];
            assert!(found.iter().all(|d| *d < TOLERANCE), "{config:?}, {rows} rows: {found:?} at {tensor}");
            worst.iter_mut().zip(found).for_each(|(worst, d)| *worst = worst.max(d));
        }
    }
    println!("velocity, gradient, product in x: {worst:?}");
}

#[test]
fn the_squared_error_has_the_gradient_that_two_calls_give() {
    let (dimension, config) = configs().remove(4);
    let native = field(dimension, &config, &Streams::new(1));
    let burn = BurnField::new(&native, Device::Flex).unwrap();
    let mut at = inputs(&native, 13, &Streams::new(2));
    let u = at.dv.clone();
    let (loss, gradient) = burn.mse_gradient(&at.x, &at.t, at.c.as_deref(), &u).unwrap();
    let [v, ..] = run(&native, &at);
    let n = v.len() as f32;
    let truth = v.iter().zip(&u).map(|(v, u)| f64::from((v - u).powi(2))).sum::<f64>() / f64::from(n);
    assert!((loss - truth).abs() < 1e-5 * truth, "{loss} {truth}");
    at.dv = v.iter().zip(&u).map(|(v, u)| 2.0 * (v - u) / n).collect();
    let [_, truth, _] = run(&native, &at);
    assert!(relative(&gradient, &truth) < TOLERANCE, "{}", relative(&gradient, &truth));
    assert!(burn.mse_gradient(&at.x, &at.t, None, &u).is_err());
    assert!(burn.mse_gradient(&at.x, &at.t, at.c.as_deref(), &u[1..]).is_err());
}

#[test]
fn a_tape_serves_several_backward_passes_and_every_kind_of_request() {
    let (dimension, config) = configs().remove(1);
    let native = field(dimension, &config, &Streams::new(3));
    let burn = BurnField::new(&native, Device::Flex).unwrap();
    let at = inputs(&burn, 4, &Streams::new(4));
    let [mut v, gradient, dx] = run(&burn, &at);
    let mut tape = Tape::default();
    burn.velocity(&at.x, &at.t, None, &mut v, &mut tape);
    let mut alone = vec![f32::NAN; dx.len()];
    burn.backward(&at.dv, &mut tape, Gradient::Skip, Some(&mut alone));
    assert!(relative(&alone, &dx) < 1e-6);
    let mut twice = gradient.clone();
    burn.backward(&at.dv, &mut tape, Gradient::Add(&mut twice), None);
    let double: Vec<f32> = gradient.iter().map(|g| 2.0 * g).collect();
    assert!(relative(&twice, &double) < 1e-6);
    burn.backward(&at.dv, &mut tape, Gradient::Skip, None);
}

#[test]
fn only_what_is_a_residual_mlp_is_placed() {
    struct Still(Layout);
    impl Parameters for Still {
        fn layout(&self) -> &Layout {
            &self.0
        }
        fn parameters(&self) -> &[f32] {
            &[]
        }
        fn parameters_mut(&mut self) -> &mut [f32] {
            &mut []
        }
    }
    impl Field for Still {
        fn dimension(&self) -> usize {
            2
        }
        fn context(&self) -> usize {
            0
        }
        fn velocity(&self, _: &[f32], _: &[f32], _: Option<&[f32]>, out: &mut [f32], _: &mut Tape) {
            out.fill(0.0);
        }
        fn backward(&self, _: &[f32], _: &mut Tape, _: Gradient<'_>, _: Option<&mut [f32]>) {}
    }
    let place = place(Device::Flex).unwrap();
    let other = Still(Layout::of_tensors([("input.weight".to_string(), vec![3, 2])]));
    let message = place(&other).err().unwrap().to_string();
    assert!(message.contains("residual MLP") && message.contains("input.weight"), "{message}");
    for (dimension, config) in configs() {
        let native = field(dimension, &config, &Streams::new(1));
        let again = place(&*place(&native).unwrap()).unwrap();
        assert!(again.parameters() == native.parameters() && again.layout() == native.layout());
    }
}

#[test]
fn moved_parameters_reach_the_device() {
    let (dimension, config) = configs().remove(1);
    let native = field(dimension, &config, &Streams::new(3));
    let mut burn = BurnField::new(&native, Device::Flex).unwrap();
    let at = inputs(&burn, 4, &Streams::new(4));
    let [before, ..] = run(&burn, &at);
    burn.parameters_mut().fill(0.0);
    let [after, ..] = run(&burn, &at);
    assert!(before.iter().any(|v| *v != 0.0) && after.iter().all(|v| *v == 0.0));
}
