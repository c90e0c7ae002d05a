//! Inputs in the engine's layout: blocks of sixteen images, `[ceil(N/16)][channel][row][column][16]`.
use super::vector::{Kernel, LANES, Machine, Simd, Vector};
use crate::error::{Error, Result};

/// `N` inputs in blocks of sixteen; the lanes beyond `N` are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct Packed {
    vectors: Vec<Vector>,
    len: usize,
    input_len: usize,
}

impl Packed {
    /// Room for inputs of `input_len` numbers; holds none yet.
    pub(super) fn empty(input_len: usize) -> Self {
        Packed { vectors: Vec::new(), len: 0, input_len }
    }

    /// N.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no input.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Numbers in one input.
    pub fn input_len(&self) -> usize {
        self.input_len
    }

    /// Number of blocks, ceil(N/16).
    pub(super) fn blocks(&self) -> usize {
        self.len.div_ceil(LANES)
    }

    /// `[channel][row][column]` of block `b`.
    pub(super) fn block(&self, b: usize) -> &[Vector] {
        &self.vectors[b * self.input_len..(b + 1) * self.input_len]
    }

    /// Images in block `b`.
    pub(super) fn count(&self, b: usize) -> usize {
        (self.len - b * LANES).min(LANES)
    }

    /// Replaces the contents by `n` inputs; `row(i)` gives the `i`-th `[D]`.
    pub(super) fn fill<'a>(&mut self, machine: Machine, n: usize, row: impl Fn(usize) -> &'a [f32]) {
        let d = self.input_len;
        self.len = n;
        self.vectors.resize(self.blocks() * d, Vector::ZERO);
        for b in 0..self.blocks() {
            let count = self.count(b);
            let block = &mut self.vectors[b * d..(b + 1) * d];
            if count < LANES {
                block.fill(Vector::ZERO);
                for lane in 0..count {
                    for (vector, &value) in block.iter_mut().zip(row(b * LANES + lane)) {
                        vector.0[lane] = value;
                    }
                }
            } else {
                let rows = std::array::from_fn(|lane| &row(b * LANES + lane)[..d]);
                machine.run(Interleave { rows, block });
            }
        }
    }

    /// Checks that rows are `[n, D]`; returns n.
    pub(super) fn rows_of(input_len: usize, inputs: &[f32]) -> Result<usize> {
        if !inputs.len().is_multiple_of(input_len) {
            return Err(Error::shape("inputs", format!("[N, {input_len}]"), format!("[{}]", inputs.len())));
        }
        Ok(inputs.len() / input_len)
    }
}

/// Writes sixteen rows `[D]` as a block `[D][16]`.
struct Interleave<'a> {
    rows: [&'a [f32]; LANES],
    block: &'a mut [Vector],
}

impl Kernel for Interleave<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let whole = self.block.len() / LANES * LANES;
        let (squares, rest) = self.block.split_at_mut(whole);
        for (s, square) in squares.chunks_exact_mut(LANES).enumerate() {
            let mut rows = [Vector::ZERO; LANES];
            for (vector, row) in rows.iter_mut().zip(&self.rows) {
                vector.0.copy_from_slice(&row[s * LANES..(s + 1) * LANES]);
            }
            S::transpose(&mut rows);
            square.copy_from_slice(&rows);
        }
        for (i, vector) in rest.iter_mut().enumerate() {
            for (value, row) in vector.0.iter_mut().zip(&self.rows) {
                *value = row[whole + i];
            }
        }
    }
}
