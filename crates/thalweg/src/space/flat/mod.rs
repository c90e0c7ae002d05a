//! Noise that networks hardly feel, by the Kronecker-factored curvature of their answers (M8, M20).
//!
//! About a network θ the softmax changes by ½ δᵀ F δ in Kullback–Leibler divergence, F = mean over inputs of Jᵀ (diag p − p pᵀ) J the generalised
//! Gauss–Newton matrix (Martens 2020). Noise is drawn from N(0, S (I + κ S F S)⁻¹ S): a Laplace approximation with S, a deviation for each weight, as its
//! prior and κ, the stiffness, in the place of the number of observations.
//!
//! F is taken apart by tensors, and each part replaced by a Kronecker product (K-FAC; Martens & Grosse 2015; for Laplace approximations Ritter, Botev &
//! Barber 2018). A tensor of weights is a matrix `[outputs, inputs]`, with its bias as one more column. With g = ∂(slope · logits)/∂(the scaled matrix) of a
//! sketch, E vec(g) vec(g)ᵀ = S F S, and
//!
//! S F S ≈ L ⊗ R / tr L,  L = E g gᵀ,  R = E gᵀ g,  tr L = tr R = E |g|²
//!
//! (Shampoo's factors; Morwani et al. 2024 show that this is one step of power iteration towards the nearest Kronecker product). It has the trace of S F S, its
//! partial traces, and it *is* S F S wherever that is a Kronecker product, as at a dense layer whose inputs and back-propagated slopes are independent, K-FAC's
//! assumption: L is then E|a|² · E δδᵀ and R is E|δ|² · E aaᵀ. Unlike K-FAC's own it asks for nothing but gradients, so convolutions and networks from outside
//! are treated alike. A tensor with one axis is one column, its part of F exact; an axis of more than 2,048 numbers gets the diagonal of its factor.
//! In the eigenvectors of L and R the noise is independent, with variance 1/(1 + κ l_i r_j / tr L). Tensors that no gradient reaches get no noise.
//! A draw is (I + κ L ⊗ R / tr L)^{-1/2} ε with the symmetric root and ε ~ N(0, I) in the weights' own coordinates: which eigenvectors span a common eigenvalue,
//! the many of 0 above all, is rounding's choice, and does not matter to it.
//!
//! A sketch is g = Jᵀ (diag p − p pᵀ)^{1/2} s with independent signs s, summed over sixteen inputs and divided by 4: its second moment is F in the mean.
//! Inputs need no labels. Seven eighths of them are for sketches, the others to choose κ ([`Curvature::choose`]).
//! Cost: 256 sketches, each a gradient of 16 inputs and m n (m + n) multiplications a tensor `[m, n]`, at most 10¹¹ in all; a draw 2 m n (m + n).
mod factors;
mod probe;

pub use probe::{ByEngine, Probe, Slope};

use crate::nn::dense::{Accumulate, product, view};
use crate::nn::normal;
use crate::{Error, Layout, Result, Streams, interrupt};
use factors::{Factors, Place, places};
use rand::RngExt;
use thalweg_nets::evaluate::argmax;
use thalweg_nets::loss::softmax;

/// Sketches of a curvature, at most.
const SKETCHES: usize = 256;
/// Inputs of a sketch.
const GROUP: usize = 16;
/// Most multiplications for the factors of all sketches.
const WORK: usize = 100_000_000_000;
/// Numbers of sketches in memory.
const AT_ONCE: usize = 1 << 23;
/// Inputs that a stiffness is chosen by, at most.
const CHOOSING: usize = 512;
/// Networks that it is chosen by, at most, where it is to change answers least.
const FEW: usize = 4;
/// Probe inputs that are made use of, at most.
pub const PROBES: usize = SKETCHES * GROUP + CHOOSING;
/// Stiffnesses to choose from, in divergence for a squared prior deviation.
const STIFFNESSES: [f64; 6] = [1e2, 1e4, 1e6, 1e8, 1e10, 1e12];
/// The softest noise of a given share of felt change; nothing that a network feels is spared by it.
const SOFTEST: f64 = 1e-2;
/// Halvings of the logarithm of a stiffness between that and the one that is felt least: to a thousandth.
const HALVINGS: usize = 15;

/// The Kronecker factors of the generalised Gauss–Newton matrix about some networks.
pub struct Curvature {
    factors: Vec<Factors>,
    noise: FlatNoise,
    /// The first of the inputs to choose by.
    sketched: usize,
}

impl Curvature {
    /// About the networks `thetas [C, P]`, sketches shared out among them, with weights in units of `scale [P]`.
    ///
    /// # Errors
    /// Fewer than two probe inputs; sketches that are not finite; [`Error::Interrupted`].
    pub fn about(layout: &Layout, thetas: &[f32], scale: &[f32], probe: &dyn Probe, streams: &Streams) -> Result<Self> {
        let p = layout.check("networks", thetas).map(|_| layout.len())?;
        if probe.probes() < 2 {
            return Err(Error::shape("probe", "[N, D] with N at least 2", format!("[{}]", probe.probes())));
        }
        let sketched = probe.probes() - (probe.probes() / 8).clamp(1, CHOOSING);
        let mut factors: Vec<Factors> = places(layout).into_iter().map(Factors::new).collect();
        let work: usize = factors.iter().map(Factors::work).sum();
        let sketches = SKETCHES.min(WORK / work.max(1)).max(GROUP);
        let at_once = (AT_ONCE / p).clamp(1, 32);
        let centres = thetas.len() / p;
        for (c, theta) in thetas.chunks_exact(p).enumerate() {
            let own: Vec<usize> = (c..sketches).step_by(centres).collect();
            for some in own.chunks(at_once) {
                interrupt::check()?;
                let mut drawn = sketch(theta, some, sketched, probe, streams)?;
                for (k, g) in some.iter().zip(drawn.chunks_exact_mut(p)) {
                    g.iter_mut().zip(scale).for_each(|(g, s)| *g *= s);
                    if let Some(value) = g.iter().find(|v| !v.is_finite()) {
                        let (what, place) = ("gradient".into(), format!("sketch {k}"));
                        return Err(Error::NotFinite { what, place, value: f64::from(*value) });
                    }
                }
                factors.iter_mut().for_each(|f| drawn.chunks_exact(p).for_each(|g| f.add(g)));
            }
        }
        let mut noise = FlatNoise::unfitted(layout);
        for (k, factors) in factors.iter_mut().enumerate() {
            interrupt::check()?;
            factors.diagonalise(sketches)?;
            noise.set_directions(k, factors);
        }
        Ok(Self { factors, noise, sketched })
    }

    /// The noise of a stiffness κ: its standard deviation is 1 in units of the scale along what is not felt at all.
    pub fn noise(&mut self, stiffness: f64) -> &FlatNoise {
        self.factors.iter().enumerate().for_each(|(k, factors)| self.noise.set_deviations(k, factors, stiffness));
        &self.noise
    }

    /// The stiffness of the noise, by what `noised` makes of each of `centres` `[P]` and the noise, on inputs that no sketch saw. With a `share` of 0 the one of six, from
    /// 10² to 10¹², that changes answers least, in mean Kullback–Leibler divergence. With another the softest by which networks answer otherwise on at most this share of the
    /// inputs on which `runs` do, one a centre; or the one that changes least, where that changes more.
    ///
    /// # Errors
    /// The evaluation's own; [`Error::Interrupted`].
    pub fn choose(
        &mut self,
        (share, runs): (f64, &[&[f32]]),
        centres: &[&[f32]],
        noised: &dyn Fn(&FlatNoise, usize) -> Vec<f32>,
        probe: &dyn Probe,
    ) -> Result<f64> {
        let rows: Vec<usize> = (self.sketched..probe.probes()).collect();
        // A share of few answers is known from many networks.
        let centres = &centres[..if share > 0.0 { centres.len() } else { centres.len().min(FEW) }];
        let logits = |theta: &[f32]| probe.probe_logits(theta, &rows);
        let before = centres.iter().map(|theta| logits(theta)).collect::<Result<Vec<_>>>()?;
        // The mean of a measure of the logits before and after what `of` makes of a centre.
        let mean = |measure: Measure, of: &dyn Fn(usize) -> Result<Vec<f32>>| -> Result<f64> {
            interrupt::check()?;
            let each = before.iter().enumerate().map(|(c, before)| Ok(measure(before, &of(c)?, probe.classes())));
            Ok(each.sum::<Result<f64>>()? / before.len().max(1) as f64)
        };
        let mut change = |measure: Measure, stiffness: f64| {
            let noise = self.noise(stiffness);
            mean(measure, &|c| logits(&noised(noise, c)))
        };
        let mut least = (f64::INFINITY, STIFFNESSES[0]);
        for stiffness in STIFFNESSES {
            let found = change(divergence, stiffness)?;
            if found < least.0 {
                least = (found, stiffness);
            }
        }
        if share == 0.0 {
            return Ok(least.1);
        }
        let asked = share * mean(disagreement, &|c| logits(runs[c]))?;
        if asked <= change(disagreement, least.1)? {
            return Ok(least.1);
        }
        // The softer, the more is felt: bisection between no stiffness to speak of and the one that is felt least.
        let [mut soft, mut stiff] = [SOFTEST.ln(), least.1.ln()];
        for _ in 0..HALVINGS {
            let middle = 0.5 * (soft + stiff);
            match change(disagreement, middle.exp())? > asked {
                true => soft = middle,
                false => stiff = middle,
            }
        }
        Ok(stiff.exp())
    }
}

/// Of logits `[N, C]` before and after noise.
type Measure = fn(&[f32], &[f32], usize) -> f64;

/// Independent noise in the eigenvectors of Kronecker factors, in flat numbers, as files hold them.
#[derive(Clone)]
pub struct FlatNoise {
    places: Vec<Place>,
    layout: Layout,
    /// For each place: eigenvectors of the left factor `[m, m]` and of the right one `[n, n]` where these are kept, deviations `[m, n]`.
    numbers: Vec<f32>,
    p: usize,
}

impl FlatNoise {
    /// Room for the noise of networks of `layout`.
    pub fn unfitted(layout: &Layout) -> Self {
        let places = places(layout);
        let tensors = places.iter().flat_map(Place::tensors);
        let own = Layout::of_tensors(tensors);
        Self { numbers: vec![0.0; own.len()], layout: own, places, p: layout.len() }
    }

    /// Its numbers by name.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its numbers.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The same with other numbers, of its [layout](Self::layout).
    pub fn numbers_mut(&mut self) -> &mut [f32] {
        &mut self.numbers
    }

    /// The same noise so long that in units of `scale [P]` the mean square length of four draws is `length`²; in so many dimensions draws hardly differ in length.
    pub fn of_length(mut self, length: f64, scale: &[f32], streams: &Streams) -> Self {
        const DRAWS: u64 = 4;
        let square = |k: u64| {
            let noise = self.draw(&streams.index(k));
            noise.iter().zip(scale).map(|(e, s)| f64::from(e * s).powi(2)).sum::<f64>()
        };
        let own = (0..DRAWS).map(square).sum::<f64>() / DRAWS as f64;
        let factor = if own > 0.0 { (length / own.sqrt()) as f32 } else { 0.0 };
        (0..self.places.len()).for_each(|k| self.part_mut(k, 2).iter_mut().for_each(|s| *s *= factor));
        self
    }

    /// Adds a draw in units of `scale [P]` to `theta [P]`.
    pub fn add(&self, scale: &[f32], streams: &Streams, theta: &mut [f32]) {
        let noise = self.draw(streams);
        theta.iter_mut().zip(noise.iter().zip(scale)).for_each(|(w, (e, s))| *w += s * e);
    }

    /// A draw `[P]` in units of the scale.
    pub fn draw(&self, streams: &Streams) -> Vec<f32> {
        let mut out = vec![0.0; self.p];
        for (k, place) in self.places.iter().enumerate() {
            let [left, right, deviations] = self.parts(k);
            let (m, n) = (place.rows, place.columns);
            let mut noise = vec![0.0; m * n];
            normal::fill(&mut streams.index(k as u64).rng(), &mut noise);
            noise = rotated(noise, [left, right], [m, n], true);
            noise.iter_mut().zip(deviations).for_each(|(e, s)| *e *= s);
            noise = rotated(noise, [left, right], [m, n], false);
            place.scatter(&noise, &mut out);
        }
        out
    }

    fn parts(&self, k: usize) -> [&[f32]; 3] {
        let mut slots = self.layout.slots()[3 * k..3 * k + 3].iter();
        std::array::from_fn(|_| slots.next().map_or(&[][..], |slot| &self.numbers[slot.range()]))
    }

    fn part_mut(&mut self, k: usize, part: usize) -> &mut [f32] {
        &mut self.numbers[self.layout.slots()[3 * k + part].range()]
    }

    fn set_directions(&mut self, k: usize, factors: &Factors) {
        for (part, axis) in factors.axes().into_iter().enumerate() {
            if !axis.vectors.is_empty() {
                self.part_mut(k, part).copy_from_slice(&axis.vectors);
            }
        }
    }

    fn set_deviations(&mut self, k: usize, factors: &Factors, stiffness: f64) {
        factors.deviations(stiffness, self.part_mut(k, 2));
    }
}

/// Uᵀ X V of `x [m, n]` with U `[m, m]` and V `[n, n]` where these are kept, into the coordinates of eigenvectors; U X Vᵀ back from there.
fn rotated(mut x: Vec<f32>, [left, right]: [&[f32]; 2], [m, n]: [usize; 2], into: bool) -> Vec<f32> {
    if right.len() == n * n {
        let own = std::mem::replace(&mut x, vec![0.0; m * n]);
        let right = view(right, n, n);
        product(&mut x, Accumulate::Overwrite, view(&own, m, n), if into { right } else { right.transpose() });
    }
    if left.len() == m * m {
        let own = std::mem::replace(&mut x, vec![0.0; m * n]);
        let left = view(left, m, m);
        product(&mut x, Accumulate::Overwrite, if into { left.transpose() } else { left }, view(&own, m, n));
    }
    x
}

/// The sketches `some` `[K, P]`, each over [`GROUP`] of the first `inputs` probe inputs.
fn sketch(theta: &[f32], some: &[usize], inputs: usize, probe: &dyn Probe, streams: &Streams) -> Result<Vec<f32>> {
    let rows: Vec<usize> = some.iter().flat_map(|k| (0..GROUP).map(move |i| (k * GROUP + i) % inputs)).collect();
    let classes = probe.classes();
    let signs: Vec<f32> = some
        .iter()
        .flat_map(|&k| {
            let mut rng = streams.index(k as u64).rng();
            let sign = move |_| if rng.random::<bool>() { 1.0 } else { -1.0 };
            (0..GROUP * classes).map(sign).collect::<Vec<f32>>()
        })
        .collect();
    probe.pulled_back(theta, &rows, GROUP, &|i, logits, d| {
        root_times(&signs[i * classes..(i + 1) * classes], logits, d);
        d.iter_mut().for_each(|d| *d /= (GROUP as f32).sqrt());
    })
}

/// (diag p − p pᵀ)^{1/2} s = √p ⊙ s − p (√p · s), written over `d`, p the softmax of the logits.
fn root_times(signs: &[f32], logits: &[f32], d: &mut [f32]) {
    softmax(logits, d);
    d.iter_mut().for_each(|p| *p = p.sqrt());
    let along: f32 = d.iter().zip(signs).map(|(r, s)| r * s).sum();
    d.iter_mut().zip(signs).for_each(|(r, s)| *r = *r * s - *r * *r * along);
}

/// Mean Kullback–Leibler divergence of the softmax of logits `after [N, C]` from that of `before [N, C]`, in nats; infinite where it is no number.
fn divergence(before: &[f32], after: &[f32], classes: usize) -> f64 {
    let (mut p, mut q) = (vec![0.0; classes], vec![0.0; classes]);
    let one = |(w, z): (&[f32], &[f32])| {
        let [from, to] = [softmax(w, &mut p), softmax(z, &mut q)];
        let terms = p.iter().zip(w.iter().zip(z));
        terms.map(|(p, (w, z))| f64::from(*p) * ((f64::from(*w) - from) - (f64::from(*z) - to))).sum::<f64>()
    };
    let n = before.len() / classes;
    let total: f64 = before.chunks_exact(classes).zip(after.chunks_exact(classes)).map(one).sum();
    if total.is_finite() { total / n as f64 } else { f64::INFINITY }
}

/// Share of the inputs whose greatest logit is another one in `after [N, C]` than in `before [N, C]`.
fn disagreement(before: &[f32], after: &[f32], classes: usize) -> f64 {
    let rows = || before.chunks_exact(classes).zip(after.chunks_exact(classes));
    rows().filter(|(w, z)| argmax(w) != argmax(z)).count() as f64 / rows().len().max(1) as f64
}

#[cfg(test)]
mod tests;
