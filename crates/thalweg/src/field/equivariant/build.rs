//! The tensors of a field while it is laid out: their names and shapes, and how each begins.
use crate::nn::affine::Affine;
use crate::nn::normal;
use std::ops::Range;
use thalweg_nets::Streams;

/// The tensors so far, and the sizes that all parts of the field share.
pub(super) struct Build {
    /// Numbers of a node's state, d.
    pub width: usize,
    /// Rounds of messages.
    pub rounds: usize,
    /// Numbers of the embedding of time and context, E.
    pub embedding: usize,
    /// Names and shapes.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Numbers in them.
    pub end: usize,
    drawn: Vec<Affine>,
    tables: Vec<Range<usize>>,
}

impl Build {
    pub fn new(width: usize, rounds: usize, embedding: usize) -> Self {
        Self { width, rounds, embedding, tensors: Vec::new(), end: 0, drawn: Vec::new(), tables: Vec::new() }
    }

    /// A layer that begins as PyTorch's do.
    pub fn affine(&mut self, name: &str, outputs: usize, inputs: usize) -> Affine {
        let layer = self.still(name, outputs, inputs);
        self.drawn.push(layer.clone());
        layer
    }

    /// The same without bias.
    pub fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Affine {
        let layer = Affine::push_linear(&mut self.tensors, &mut self.end, name, outputs, inputs);
        self.drawn.push(layer.clone());
        layer
    }

    /// A layer that begins at zero.
    pub fn still(&mut self, name: &str, outputs: usize, inputs: usize) -> Affine {
        Affine::push(&mut self.tensors, &mut self.end, name, outputs, inputs)
    }

    /// A tensor that begins at zero.
    pub fn tensor(&mut self, name: String, shape: Vec<usize>) -> Range<usize> {
        let range = self.end..self.end + shape.iter().product::<usize>();
        self.end = range.end;
        self.tensors.push((name, shape));
        range
    }

    /// A tensor of standard normal numbers.
    pub fn table(&mut self, name: String, shape: Vec<usize>) -> Range<usize> {
        let range = self.tensor(name, shape);
        self.tables.push(range.clone());
        range
    }

    /// The parameters that the field begins with.
    pub fn draw(&self, streams: &Streams) -> Vec<f32> {
        let mut parameters = vec![0.0; self.end];
        for (i, layer) in self.drawn.iter().enumerate() {
            layer.draw(&mut parameters, &streams.child("layer").index(i as u64));
        }
        for (i, table) in self.tables.iter().enumerate() {
            normal::fill(&mut streams.child("table").index(i as u64).rng(), &mut parameters[table.clone()]);
        }
        parameters
    }
}
