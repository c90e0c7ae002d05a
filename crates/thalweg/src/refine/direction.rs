//! Directions of ascent of one tensor, each with root mean square 1 (or zero where no gradient came). One struct a direction, one line in [`ALL`].
use super::orthogonal::orthogonalised;
use super::whitened::whitened;
use thalweg_nets::layout::Slot;

/// What is known of the gradients of one tensor so far, this step's among them; each `[len]`.
pub struct Seen<'a> {
    /// Bias-corrected running mean.
    pub mean: &'a [f32],
    /// Bias-corrected running mean of squares.
    pub squares: &'a [f32],
    /// What the tensor multiplies on this step's rows `[N, i]`, where it is the weight of a dense layer and the reward says so.
    pub inputs: Option<&'a [f32]>,
}

/// A direction e(g₁, …, g_s).
pub trait Direction: Send + Sync {
    /// Whether it is defined for a tensor.
    fn applies(&self, slot: &Slot) -> bool;

    /// Writes the direction to `out [len]`, of any scale: the caller normalises it.
    fn write(&self, seen: &Seen, slot: &Slot, out: &mut [f32]);
}

/// Every direction, in the order of the coefficients.
pub const ALL: [&dyn Direction; 4] = [&Momentum, &Adam, &Muon, &Foof];

/// e = m, the running mean.
struct Momentum;

/// e = m / (√v + ε).
struct Adam;

/// e = U Vᵀ of the running mean M = U S Vᵀ as a matrix `[out, rest]`.
struct Muon;

/// e = M (A + λ I)⁻¹ with A the second moment of the layer's inputs, λ a tenth of its mean eigenvalue; zero for what is no weight of a dense layer.
struct Foof;

/// FOOF's damping, in mean eigenvalues.
const DAMPING: f64 = 0.1;

impl Direction for Momentum {
    fn applies(&self, _: &Slot) -> bool {
        true
    }

    fn write(&self, seen: &Seen, _: &Slot, out: &mut [f32]) {
        out.copy_from_slice(seen.mean);
    }
}

impl Direction for Adam {
    fn applies(&self, _: &Slot) -> bool {
        true
    }

    fn write(&self, seen: &Seen, _: &Slot, out: &mut [f32]) {
        let moments = seen.mean.iter().zip(seen.squares);
        out.iter_mut().zip(moments).for_each(|(e, (m, v))| *e = m / (v.sqrt() + 1e-8));
    }
}

impl Direction for Muon {
    fn applies(&self, slot: &Slot) -> bool {
        slot.shape.len() > 1
    }

    fn write(&self, seen: &Seen, slot: &Slot, out: &mut [f32]) {
        let rows = slot.shape[0];
        out.copy_from_slice(&orthogonalised(seen.mean, rows, slot.len() / rows));
    }
}

impl Direction for Foof {
    fn applies(&self, slot: &Slot) -> bool {
        slot.shape.len() == 2
    }

    fn write(&self, seen: &Seen, slot: &Slot, out: &mut [f32]) {
        match seen.inputs {
            Some(inputs) => out.copy_from_slice(&whitened(seen.mean, inputs, slot.shape[1], DAMPING)),
            None => out.fill(0.0),
        }
    }
}

/// Scales `e` to root mean square 1; a zero vector stays.
pub(super) fn normalise(e: &mut [f32]) {
    let square: f64 = e.iter().map(|v| f64::from(*v).powi(2)).sum();
    if square > 0.0 {
        let scale = (e.len() as f64 / square).sqrt();
        e.iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
    }
}
