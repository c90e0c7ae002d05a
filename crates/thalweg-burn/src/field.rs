//! The velocity field of `thalweg::field::residual` on Burn: the same formula over the same flat parameters `[Q]`, with
//! gradients by automatic differentiation, on any [`Device`].
//!
//! Points and velocities are `[B, P]`, times `[B]`, contexts `[B, D]`.
//!
//! Cost: [`Field::backward`] runs the field again, since Burn's graph is consumed by one pass; training on the device
//! takes [`BurnField::mse_gradient`], one pass forward and one back, instead. When not to use it: on a CPU, where
//! [`ResidualMlp`] is faster and allocates nothing.
use crate::device::{Device, numbers};
use crate::parameters::{DeviceParameters, read};
use crate::potential::BurnPotential;
use crate::time;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;
use thalweg::field::{Field, Gate, Gradient, Parameters, ResidualMlp, ResidualMlpConfig, Tape};
use thalweg_nets::{Error, Layout, Result, Streams};

/// Added to variances by `norm`.
const EPSILON: f64 = 1e-5;

/// A [`ResidualMlp`] on a device.
#[derive(Clone, Debug)]
pub struct BurnField {
    config: ResidualMlpConfig,
    dimension: usize,
    parameters: DeviceParameters,
}

/// What a field is evaluated at.
#[derive(Clone)]
struct Batch {
    x: Tensor<2>,
    t: Tensor<2>,
    c: Option<Tensor<2>>,
}

/// Moves fields to `device`, residual MLPs and potentials alike: what fitting and sampling take where a user names one.
///
/// # Errors
/// As [`Device::open`], at once; the returned function fails for a field of another kind.
pub fn place(device: Device) -> Result<impl Fn(&dyn Field) -> Result<Box<dyn Field>>> {
    device.open()?;
    Ok(move |field: &dyn Field| -> Result<Box<dyn Field>> {
        let potential = field.layout().slots().first().is_some_and(|slot| slot.name == "layers.0.weight");
        Ok(if potential {
            Box::new(BurnPotential::new(field, device)?)
        } else {
            Box::new(BurnField::new(field, device)?)
        })
    })
}

/// The last batch, for the backward pass.
#[derive(Default)]
struct Recorded(Option<Batch>);

impl BurnField {
    /// The field with the sizes and parameters of `field`, which must be a [`ResidualMlp`] or another of these.
    ///
    /// # Errors
    /// A field of another kind; and as [`Device::open`].
    pub fn new(field: &dyn Field, device: Device) -> Result<Self> {
        Ok(Self {
            config: sizes(field)?,
            dimension: field.dimension(),
            parameters: DeviceParameters::of(field, device)?,
        })
    }

    /// Mean over all B · P numbers of (v(x, t, c) − u)², and its gradient `[Q]`.
    ///
    /// # Errors
    /// Shapes that do not fit, or a failing device.
    pub fn mse_gradient(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, u: &[f32]) -> Result<(f64, Vec<f32>)> {
        let rows = self.check(x, t, c)?;
        if rows == 0 || u.len() != x.len() {
            return Err(Error::shape("velocities", format!("[{rows}, {}]", self.dimension), format!("[{}]", u.len())));
        }
        let q = self.parameters.resident().clone().autodiff().require_grad();
        let u = self.parameters.tensor(u, [rows, self.dimension]);
        let loss = (self.forward(&q, self.batch(x, t, c)) - u).square().mean();
        let gradient = q.grad(&loss.backward()).expect("the velocity depends on the parameters");
        Ok((f64::from(numbers(loss)?[0]), numbers(gradient)?))
    }

    fn batch(&self, x: &[f32], t: &[f32], c: Option<&[f32]>) -> Batch {
        let rows = t.len();
        Batch {
            x: self.parameters.tensor(x, [rows, self.dimension]),
            t: self.parameters.tensor(t, [rows, 1]),
            c: c.map(|c| self.parameters.tensor(c, [rows, self.config.context])),
        }
    }

    /// v `[B, P]` under parameters `q [Q]`.
    fn forward(&self, q: &Tensor<1>, Batch { x, t, c }: Batch) -> Tensor<2> {
        let layers = self.parameters.layers(q);
        let (rows, width) = (t.dims()[0], self.config.width);
        let phi = time::features(&t, self.config.time_features);
        let mut e = layers.affine("time", phi.clone());
        if let Some(c) = c {
            e = e + layers.affine("context", c);
        }
        let e = silu(e);
        let mut h = layers.affine("input", x.clone());
        if self.config.blocks > 0 {
            let modulation = layers.affine("modulation", e).reshape([rows, self.config.blocks, 2, width]);
            for i in 0..self.config.blocks {
                let part = |j: usize| modulation.clone().slice([0..rows, i..i + 1, j..j + 1]).reshape([rows, width]);
                let a = norm(h.clone()) * part(0).add_scalar(1.0) + part(1);
                let hidden = silu(layers.affine(&format!("blocks.{i}.up"), a));
                h = h + layers.affine(&format!("blocks.{i}.down"), hidden);
            }
        }
        let gate = match self.config.gate {
            Gate::Full => layers.affine("gate", phi),
            Gate::LowRank => layers.affine("gate", layers.linear("courses", phi)),
            Gate::Shared => layers.linear("courses", phi) + layers.bias("gate"),
        };
        layers.affine("output", h) + gate * x
    }
}

/// The sizes of a residual MLP, read from the shapes of its tensors; [`Field`] does not tell its kind.
fn sizes(field: &dyn Field) -> Result<ResidualMlpConfig> {
    let slots = field.layout().slots();
    let size = |name: &str, axis: usize| slots.iter().find(|s| s.name == name).and_then(|s| s.shape.get(axis).copied());
    let width = size("input.weight", 0).unwrap_or(0);
    let config = ResidualMlpConfig {
        width,
        blocks: slots.iter().filter(|s| s.name.ends_with(".up.weight")).count(),
        expansion: size("blocks.0.up.weight", 0).map_or(1, |hidden| hidden / width.max(1)),
        time_features: size("time.weight", 1).unwrap_or(0),
        embedding: size("time.weight", 0).unwrap_or(0),
        context: field.context(),
        gate: match (size("courses.weight", 0), size("gate.weight", 0)) {
            (None, _) => Gate::Full,
            (Some(_), Some(_)) => Gate::LowRank,
            (Some(_), None) => Gate::Shared,
        },
    };
    let same =
        ResidualMlp::new(field.dimension(), &config, &Streams::new(0)).is_ok_and(|f| f.layout() == field.layout());
    if !same {
        let names: Vec<&str> = slots.iter().map(|s| s.name.as_str()).collect();
        return Err(Error::parameter("field", "a residual MLP, the field that Burn devices know", names.join(", ")));
    }
    Ok(config)
}

/// Layer normalisation of every row `[B, W]`, without parameters.
fn norm(h: Tensor<2>) -> Tensor<2> {
    let (variance, mean) = h.clone().var_mean_bias(1);
    (h - mean) / variance.add_scalar(EPSILON).sqrt()
}

impl Parameters for BurnField {
    fn layout(&self) -> &Layout {
        &self.parameters.layout
    }

    fn parameters(&self) -> &[f32] {
        &self.parameters.host
    }

    fn parameters_mut(&mut self) -> &mut [f32] {
        self.parameters.host_mut()
    }
}

impl Field for BurnField {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn context(&self) -> usize {
        self.config.context
    }

    fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        assert!(x.len() == t.len() * self.dimension && out.len() == x.len(), "points and velocities are [B, P], t [B]");
        assert_eq!(c.map_or(0, <[f32]>::len), t.len() * self.config.context, "contexts are [B, D]");
        if t.is_empty() {
            tape.of::<Recorded>().0 = None;
            return;
        }
        let batch = self.batch(x, t, c);
        tape.of::<Recorded>().0 = Some(batch.clone());
        out.copy_from_slice(&read(self.forward(self.parameters.resident(), batch)));
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let Some(batch) = tape.of::<Recorded>().0.clone() else {
            assert!(dv.is_empty(), "backward follows velocity on the same tape");
            if let Gradient::Write(slice) = gradient {
                slice.fill(0.0);
            }
            return;
        };
        let dv = self.parameters.tensor(dv, batch.x.dims());
        let along = |q: &Tensor<1>, x| (self.forward(q, Batch { x, ..batch.clone() }) * dv).sum();
        self.parameters.vjp(&batch.x, gradient, dx, along);
    }
}
