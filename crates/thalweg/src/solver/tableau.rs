//! Runge–Kutta tableaus, and steps by them.

/// A Runge–Kutta method: stage i is at t + c_i h, x + h Σ_j a_ij k_j; the step ends at x + h Σ_i b_i k_i.
pub(super) struct Tableau {
    pub(super) a: &'static [&'static [f64]],
    pub(super) b: &'static [f64],
    pub(super) c: &'static [f64],
}

/// Buffers of one step.
pub(super) struct Stepper {
    pub(super) tableau: &'static Tableau,
    pub(super) dimension: usize,
    pub(super) stages: Vec<Vec<f32>>,
    pub(super) point: Vec<f32>,
    pub(super) next: Vec<f32>,
    pub(super) evaluations: usize,
}

impl Stepper {
    pub(super) fn new(tableau: &'static Tableau, len: usize, dimension: usize) -> Self {
        let stages = vec![vec![0.0; len]; tableau.b.len()];
        Self { tableau, dimension, stages, point: vec![0.0; len], next: vec![0.0; len], evaluations: 0 }
    }

    /// Evaluates stages `first` … of a step from `x` at `t [B]` of size `h [B]`.
    pub(super) fn stages(&mut self, x: &[f32], t: &[f64], h: &[f64], first: usize, drift: &mut Drift) {
        for stage in first..self.tableau.b.len() {
            combine(x, h, self.dimension, self.tableau.a[stage], &self.stages, &mut self.point);
            let c = self.tableau.c[stage];
            let times: Vec<f32> = t.iter().zip(h).map(|(t, h)| (t + c * h) as f32).collect();
            drift(&self.point, &times, &mut self.stages[stage]);
            self.evaluations += 1;
        }
    }

    /// Leaves the end of the step in `next`.
    pub(super) fn end(&mut self, x: &[f32], h: &[f64]) {
        combine(x, h, self.dimension, self.tableau.b, &self.stages, &mut self.next);
    }

    /// The row's values of Σ_i w_i k_i.
    pub(super) fn sum<'a>(&'a self, row: usize, weights: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        let stages = weights.iter().zip(&self.stages).filter(|(w, _)| **w != 0.0);
        (row * self.dimension..(row + 1) * self.dimension)
            .map(move |i| stages.clone().map(|(w, k)| w * f64::from(k[i])).sum())
    }

    /// Root mean square of the row's error over what is allowed.
    pub(super) fn error(&self, x: &[f32], row: usize, h: f64, tolerance: f64) -> f64 {
        let range = row * self.dimension..(row + 1) * self.dimension;
        let sizes = x[range.clone()].iter().zip(&self.next[range]).map(|(a, b)| f64::from(a.abs().max(b.abs())));
        let squares: f64 =
            self.sum(row, &ERROR).zip(sizes).map(|(e, size)| (h * e / (tolerance * (1.0 + size))).powi(2)).sum();
        (squares / self.dimension as f64).sqrt()
    }

    /// The row's state after `share` of the step just made.
    pub(super) fn between(&self, x: &[f32], row: usize, h: f64, share: f64, out: &mut [f32]) {
        let from = row * self.dimension;
        for (i, (out, extra)) in out.iter_mut().zip(self.sum(row, &DENSE)).enumerate() {
            let value = |v: &[f32]| f64::from(v[from + i]);
            let (x0, x1, k0, k1) = (value(x), value(&self.next), value(&self.stages[0]), value(&self.stages[6]));
            let change = x1 - x0;
            let bend = h * k0 - change;
            let rest = 1.0 - share;
            *out = (x0 + share * (change + rest * (bend + share * (change - h * k1 - bend + rest * h * extra)))) as f32;
        }
    }

    /// Moves the row to the end of its step.
    pub(super) fn accept(&mut self, x: &mut [f32], row: usize) {
        let range = row * self.dimension..(row + 1) * self.dimension;
        x[range.clone()].copy_from_slice(&self.next[range.clone()]);
        let (first, last) = self.stages.split_at_mut(6);
        first[0][range.clone()].copy_from_slice(&last[0][range]);
    }
}

/// out = x + h Σ_j w_j k_j, row by row.
pub(super) fn combine(x: &[f32], h: &[f64], dimension: usize, weights: &[f64], stages: &[Vec<f32>], out: &mut [f32]) {
    out.copy_from_slice(x);
    for (&w, k) in weights.iter().zip(stages).filter(|(w, _)| **w != 0.0) {
        for ((out, k), h) in out.chunks_exact_mut(dimension).zip(k.chunks_exact(dimension)).zip(h) {
            let step = (h * w) as f32;
            out.iter_mut().zip(k).for_each(|(out, k)| *out += step * k);
        }
    }
}

pub(super) const EULER: Tableau = Tableau { a: &[&[]], b: &[1.0], c: &[0.0] };

pub(super) const HEUN: Tableau = Tableau { a: &[&[], &[1.0]], b: &[0.5, 0.5], c: &[0.0, 1.0] };

pub(super) const MIDPOINT: Tableau = Tableau { a: &[&[], &[0.5]], b: &[0.0, 1.0], c: &[0.0, 0.5] };

pub(super) const RK4: Tableau = Tableau {
    a: &[&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0]],
    b: &[1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0],
    c: &[0.0, 0.5, 0.5, 1.0],
};

pub(super) const DORMAND_PRINCE: Tableau = Tableau {
    a: &[
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0],
        &[9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0],
        &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
    ],
    b: &[35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0, 0.0],
    c: &[0.0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1.0, 1.0],
};

/// b − b̂ of the embedded fourth-order method.
pub(super) const ERROR: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];

/// The fourth-order continuous extension (Hairer, Nørsett & Wanner, II.6).
pub(super) const DENSE: [f64; 7] = [
    -12715105075.0 / 11282082432.0,
    0.0,
    87487479700.0 / 32700410799.0,
    -10690763975.0 / 1880347072.0,
    701980252875.0 / 199316789632.0,
    -1453857185.0 / 822651844.0,
    69997945.0 / 29380423.0,
];

/// Writes v(x, t) for points `[B, P]` at times `[B]`.
pub type Drift<'a> = dyn FnMut(&[f32], &[f32], &mut [f32]) + 'a;
