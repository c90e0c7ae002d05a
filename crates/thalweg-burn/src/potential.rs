//! The scalar potential of `thalweg::field::potential` on Burn: V, ∇_x V and ∂_t V as one explicit forward graph (book/src/mathematics.md
//! section 7), and the derivatives of a scalar of the three by automatic differentiation through that graph, where the
//! native code writes a pass of tangents out by hand.
//!
//! Points are `[B, P]`, times and values `[B]`. Cost and when not to use it: as [`crate::field`].
use crate::device::Device;
use crate::parameters::{DeviceParameters, read};
use crate::time;
use burn::tensor::Tensor;
use burn::tensor::activation::{sigmoid, softplus};
use thalweg::field::potential::{Cotangents, Jet};
use thalweg::field::{Field, Gradient, MlpPotential, MlpPotentialConfig, Parameters, Potential, Tape};
use thalweg_nets::{Error, Layout, Result, Streams};

/// An [`MlpPotential`] on a device.
#[derive(Clone, Debug)]
pub struct BurnPotential {
    config: MlpPotentialConfig,
    dimension: usize,
    parameters: DeviceParameters,
}

/// What the graph gives: V `[B, 1]`, ∇_x V `[B, P]`, ∂_t V `[B, 1]`.
struct Found {
    value: Tensor<2>,
    gradient: Tensor<2>,
    rate: Tensor<2>,
}

/// The last points `[B, P]` and times `[B, 1]`, for the backward pass.
#[derive(Default)]
struct Recorded(Option<(Tensor<2>, Tensor<2>)>);

impl BurnPotential {
    /// The potential with the sizes and parameters of `potential`, which must be an [`MlpPotential`] or another of these.
    ///
    /// # Errors
    /// A potential of another kind; and as [`Device::open`].
    pub fn new(potential: &dyn Field, device: Device) -> Result<Self> {
        let config = sizes(potential)?;
        Ok(Self { config, dimension: potential.dimension(), parameters: DeviceParameters::of(potential, device)? })
    }

    /// The jet at `x [B, P]`, `t [B, 1]` under parameters `q [Q]`.
    fn graph(&self, q: &Tensor<1>, x: Tensor<2>, t: &Tensor<2>) -> Found {
        let layers = self.parameters.layers(q);
        let (rows, p, depth) = (t.dims()[0], self.dimension, self.config.layers);
        let (phi, slope) = (time::features(t, self.config.time_features), time::slopes(t, self.config.time_features));
        let halves = |gate: Tensor<2>| (gate.clone().slice([0..rows, 0..p]), gate.slice([0..rows, p..2 * p]));
        let quadratic =
            |(g, h): (Tensor<2>, Tensor<2>)| (g.mul_scalar(0.5) * x.clone().square() + h * x.clone()).sum_dim(1);

        let mut a = x.clone();
        let mut slopes = Vec::with_capacity(depth);
        for l in 0..depth {
            let z = layers.linear(&format!("layers.{l}"), a) + layers.affine(&format!("time.{l}"), phi.clone());
            slopes.push(sigmoid(z.clone()));
            a = softplus(z, 1.0);
        }
        let (g, h) = halves(layers.affine("gate", phi));
        let value = layers.linear("output", a) + quadratic((g.clone(), h.clone()));

        // From the output down: `down` is ∂V/∂a_l, then times sigmoid(z_l) it is ∂V/∂z_l.
        let mut down = layers.weight("output");
        let mut rate = quadratic(halves(layers.linear("gate", slope.clone())));
        for l in (0..depth).rev() {
            let at_z = down * slopes[l].clone();
            rate = rate + (at_z.clone() * layers.linear(&format!("time.{l}"), slope.clone())).sum_dim(1);
            down = at_z.matmul(layers.weight(&format!("layers.{l}")));
        }
        Found { value, gradient: down + g * x + h, rate }
    }
}

/// The sizes of an MLP potential, read from the shapes of its tensors.
fn sizes(potential: &dyn Field) -> Result<MlpPotentialConfig> {
    let slots = potential.layout().slots();
    let size = |name: &str, axis: usize| {
        slots.iter().find(|s| s.name == name).and_then(|s| s.shape.get(axis).copied()).unwrap_or(0)
    };
    let config = MlpPotentialConfig {
        width: size("layers.0.weight", 0),
        layers: slots.iter().filter(|s| s.name.starts_with("layers.")).count(),
        time_features: size("time.0.weight", 1),
    };
    let same = MlpPotential::new(potential.dimension(), &config, &Streams::new(0));
    if !same.is_ok_and(|same| same.layout() == potential.layout()) {
        let names: Vec<&str> = slots.iter().map(|s| s.name.as_str()).collect();
        let expected = "an MLP potential, the potential that Burn devices know";
        return Err(Error::parameter("potential", expected, names.join(", ")));
    }
    Ok(config)
}

impl Potential for BurnPotential {
    fn evaluate(&self, x: &[f32], t: &[f32], out: Jet<'_>, tape: &mut Tape) {
        let rows = t.len();
        assert!(rows > 0 && x.len() == rows * self.dimension, "points are [B, P] for t [B], B at least 1");
        let (x, t) = (self.parameters.tensor(x, [rows, self.dimension]), self.parameters.tensor(t, [rows, 1]));
        let found = self.graph(self.parameters.resident(), x.clone(), &t);
        tape.of::<Recorded>().0 = Some((x, t));
        out.gradient.copy_from_slice(&read(found.gradient));
        for (slice, found) in [(out.value, found.value), (out.rate, found.rate)] {
            if let Some(slice) = slice {
                slice.copy_from_slice(&read(found));
            }
        }
    }

    fn vjp(&self, weights: &Cotangents<'_>, tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let (x, t) = tape.of::<Recorded>().0.clone().expect("a vector-Jacobian product follows an evaluation");
        let tensor =
            |values: Option<&[f32]>, width| values.map(|v| self.parameters.tensor(v, [v.len() / width, width]));
        let [value, along, rate] =
            [tensor(weights.value, 1), tensor(weights.gradient, self.dimension), tensor(weights.rate, 1)];
        self.parameters.vjp(&x, gradient, dx, |q, x| {
            let found = self.graph(q, x, &t);
            let terms = [(value, found.value), (along, found.gradient), (rate, found.rate)];
            let nothing = Tensor::zeros([1], &self.parameters.device);
            terms.into_iter().filter_map(|(w, f)| w.map(|w| (w * f).sum())).fold(nothing, |a, b| a + b)
        });
    }
}

impl Parameters for BurnPotential {
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

impl Field for BurnPotential {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn context(&self) -> usize {
        0
    }

    fn velocity(&self, x: &[f32], t: &[f32], _: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
        self.evaluate(x, t, Jet { value: None, gradient: out, rate: None }, tape);
        out.iter_mut().for_each(|v| *v = -*v);
    }

    fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
        let direction: Vec<f32> = dv.iter().map(|d| -d).collect();
        let weights = Cotangents { gradient: Some(&direction), ..Cotangents::default() };
        self.vjp(&weights, tape, gradient, dx);
    }
}
