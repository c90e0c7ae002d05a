//! The Kronecker factors of the curvature of one tensor, with its bias.
use crate::{Error, Layout, Result};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;
use std::ops::Range;
use thalweg_nets::layout::{Role, Slot};

/// Numbers of an axis whose factor is kept whole, at most.
const WHOLE: usize = 2048;
/// Rows of a block of a factor: blocks are summed in parallel.
const BLOCK: usize = 64;

/// Where the numbers of a matrix `[rows, columns]` lie in θ: a tensor's, whose first axis is that of the rows, and a bias as the last column.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    name: String,
    weight: Range<usize>,
    bias: Option<Range<usize>>,
    pub rows: usize,
    pub columns: usize,
}

/// The matrices of the trained tensors of `layout`, in their order.
pub(super) fn places(layout: &Layout) -> Vec<Place> {
    let mut slots = layout.slots().iter().filter(|slot| slot.role.is_trained() && !slot.is_empty()).peekable();
    let mut places = Vec::new();
    while let Some(slot) = slots.next() {
        let matrix = slot.shape.len() > 1;
        let rows = slot.shape.first().copied().filter(|_| matrix).unwrap_or(slot.len());
        let own = |next: &&Slot| matrix && next.shape == [rows] && next.offset == slot.range().end && is_bias(next);
        let bias = slots.next_if(own).map(Slot::range);
        let columns = slot.len() / rows + usize::from(bias.is_some());
        places.push(Place { name: slot.name.clone(), weight: slot.range(), bias, rows, columns });
    }
    places
}

/// Whether a tensor is the bias of the one before; imported layouts know no roles, but PyTorch's name tells.
fn is_bias(slot: &Slot) -> bool {
    slot.role == Role::Bias || (slot.role == Role::Unknown && slot.name.ends_with("bias"))
}

impl Place {
    /// What is kept of the noise there: a name and a shape each.
    pub fn tensors(&self) -> [(String, Vec<usize>); 3] {
        // A tensor has a number: that of an axis without eigenvectors means nothing.
        let axis = |n: usize| if n <= WHOLE { vec![n, n] } else { vec![1] };
        let named = |what: &str| format!("{}.{what}", self.name);
        [
            (named("left"), axis(self.rows)),
            (named("right"), axis(self.columns)),
            (named("deviations"), vec![self.rows, self.columns]),
        ]
    }

    /// The matrix `[rows, columns]` of what lies there in `theta [P]`.
    fn gather(&self, theta: &[f32]) -> Vec<f64> {
        let (weight, wide) = (&theta[self.weight.clone()], self.weight.len() / self.rows);
        let mut matrix = Vec::with_capacity(self.rows * self.columns);
        for (i, row) in weight.chunks_exact(wide).enumerate() {
            matrix.extend(row.iter().map(|v| f64::from(*v)));
            matrix.extend(self.bias.as_ref().map(|bias| f64::from(theta[bias.start + i])));
        }
        matrix
    }

    /// Writes `matrix [rows, columns]` to its place in `theta [P]`.
    pub fn scatter(&self, matrix: &[f32], theta: &mut [f32]) {
        let wide = self.weight.len() / self.rows;
        for (i, row) in matrix.chunks_exact(self.columns).enumerate() {
            theta[self.weight.start + i * wide..][..wide].copy_from_slice(&row[..wide]);
            if let Some(bias) = &self.bias {
                theta[bias.start + i] = row[wide];
            }
        }
    }
}

/// A factor: its moments while sketches come, then its eigenvalues.
pub(super) struct Axis {
    n: usize,
    /// `[n, n]`, of which the lower half counts; `[n]` where only the diagonal is kept.
    moments: Vec<f64>,
    /// Eigenvalues `[n]`.
    pub values: Vec<f64>,
    /// Eigenvectors in columns `[n, n]`; empty where only the diagonal is kept.
    pub vectors: Vec<f32>,
}

impl Axis {
    fn new(n: usize) -> Self {
        let moments = vec![0.0; if n <= WHOLE { n * n } else { n }];
        Self { n, moments, values: Vec::new(), vectors: Vec::new() }
    }

    fn is_whole(&self) -> bool {
        self.n <= WHOLE
    }

    /// Adds xᵀx of `x [k, n]`.
    fn add(&mut self, x: MatRef<'_, f64>) {
        let n = self.n;
        if !self.is_whole() {
            let each = self.moments.iter_mut().enumerate();
            return each.for_each(|(j, m)| *m += (0..x.nrows()).map(|i| x[(i, j)] * x[(i, j)]).sum::<f64>());
        }
        self.moments.par_chunks_mut(BLOCK * n).enumerate().for_each(|(block, rows)| {
            let (first, m) = (block * BLOCK, rows.len() / n);
            let out = MatMut::from_row_major_slice_mut(rows, m, n).get_mut(.., ..first + m);
            let (left, right) = (x.get(.., first..first + m).transpose(), x.get(.., ..first + m));
            matmul(out, Accum::Add, left, right, 1.0, Par::Seq);
        });
    }

    fn diagonalise(&mut self, sketches: usize) -> Result<()> {
        let (n, share) = (self.n, 1.0 / sketches as f64);
        let moments = std::mem::take(&mut self.moments);
        if !self.is_whole() {
            self.values = moments.iter().map(|m| m * share).collect();
            return Ok(());
        }
        let matrix = Mat::from_fn(n, n, |i, j| share * moments[i.max(j) * n + i.min(j)]);
        let eigen = matrix
            .self_adjoint_eigen(Side::Lower)
            .map_err(|e| Error::parameter("curvature", "an eigendecomposition", format!("{e:?}")))?;
        self.values = eigen.S().column_vector().iter().map(|v| v.max(0.0)).collect();
        self.vectors = (0..n * n).map(|i| eigen.U()[(i / n, i % n)] as f32).collect();
        Ok(())
    }
}

/// Both factors of a place.
pub(super) struct Factors {
    place: Place,
    left: Axis,
    right: Axis,
}

impl Factors {
    pub fn new(place: Place) -> Self {
        let (left, right) = (Axis::new(place.rows), Axis::new(place.columns));
        Self { place, left, right }
    }

    pub fn axes(&self) -> [&Axis; 2] {
        [&self.left, &self.right]
    }

    /// Multiplications of a sketch.
    pub fn work(&self) -> usize {
        let (m, n) = (self.left.n, self.right.n);
        let of = |axis: &Axis| if axis.is_whole() { axis.n / 2 + 1 } else { 1 };
        m * n * (of(&self.left) + of(&self.right))
    }

    /// Takes a sketch `[P]`.
    pub fn add(&mut self, sketch: &[f32]) {
        let matrix = self.place.gather(sketch);
        let g = MatRef::from_row_major_slice(&matrix, self.left.n, self.right.n);
        self.left.add(g.transpose());
        self.right.add(g);
    }

    /// The eigenvalues and eigenvectors of the means over `sketches`.
    ///
    /// # Errors
    /// An eigendecomposition that fails.
    pub fn diagonalise(&mut self, sketches: usize) -> Result<()> {
        self.left.diagonalise(sketches)?;
        self.right.diagonalise(sketches)
    }

    /// Deviations `[m, n]` along the pairs of eigenvectors: (1 + κ l_i r_j / tr L)^−½; 0 where no gradient came.
    pub fn deviations(&self, stiffness: f64, out: &mut [f32]) {
        let trace: f64 = self.left.values.iter().sum();
        if trace <= 0.0 {
            return out.fill(0.0);
        }
        for (row, l) in out.chunks_exact_mut(self.right.n).zip(&self.left.values) {
            row.iter_mut().zip(&self.right.values).for_each(|(s, r)| {
                *s = (1.0 + stiffness * l * r / trace).sqrt().recip() as f32;
            });
        }
    }
}
