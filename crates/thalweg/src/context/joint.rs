//! A method and the encoder of its contexts as one set of parameters (M10): what every conditional fit moves, whatever its curves come from.
//!
//! All rows of a group see the context of its support set; a group whose context is dropped sees c = 0, and its encoder learns nothing from it.
use super::encoder::{Encoder, EncoderBuffers};
use super::support::Support;
use crate::method::{Method, Scratch};
use crate::nn::parameters::Parameters;
use crate::path::Batch;
use crate::{Error, Result};

/// Rows in groups, each with the support set that its context comes from.
pub(crate) struct Grouped {
    /// The groups' rows one after another; contexts are filled in.
    pub batch: Batch,
    /// One a group `[S]`.
    pub supports: Vec<Support>,
    /// Rows of each group `[S]`.
    pub sizes: Vec<usize>,
}

/// See the module's text.
pub(crate) struct Joint {
    method: Box<dyn Method>,
    encoder: Encoder,
    scratch: Scratch,
    buffers: EncoderBuffers,
}

impl Joint {
    /// Both with the parameters that they have.
    pub fn new(method: Box<dyn Method>, encoder: Encoder) -> Self {
        Self { method, encoder, scratch: Scratch::default(), buffers: EncoderBuffers::default() }
    }

    /// The method.
    pub fn method(&self) -> &dyn Method {
        &*self.method
    }

    /// The parameters of the method, then those of the encoder.
    pub fn parameters(&self) -> Vec<&[f32]> {
        vec![self.method.parameters(), self.encoder.parameters()]
    }

    /// The same, to be moved.
    pub fn parameters_mut(&mut self) -> Vec<&mut [f32]> {
        vec![self.method.parameters_mut(), self.encoder.parameters_mut()]
    }

    /// Both, with these parameters.
    pub fn finish(mut self, parameters: &[f32]) -> (Box<dyn Method>, Encoder) {
        let (method, encoder) = parameters.split_at(self.method.parameters().len());
        self.method.parameters_mut().copy_from_slice(method);
        self.encoder.parameters_mut().copy_from_slice(encoder);
        (self.method, self.encoder)
    }

    /// The loss on `groups`, those marked in `dropped [S]` without their context, and its gradient over what was in `gradient`.
    ///
    /// # Errors
    /// A method whose net gives no gradient with respect to contexts.
    pub fn gradient(&mut self, groups: &mut Grouped, dropped: &[bool], gradient: &mut [f32]) -> Result<f64> {
        let (d, sizes) = (self.encoder.dimension(), &groups.sizes);
        let mut c = self.encoder.forward(&groups.supports, &mut self.buffers).to_vec();
        let clear =
            |c: &mut [f32]| c.chunks_exact_mut(d).zip(dropped).filter(|(_, d)| **d).for_each(|(c, _)| c.fill(0.0));
        clear(&mut c);
        groups.batch.c = Some(repeated(&c, d, sizes));
        let (of_method, of_encoder) = gradient.split_at_mut(self.method.parameters().len());
        let loss = self.method.loss(&groups.batch, &mut self.scratch, Some(of_method));
        let mut d_c = vec![0.0; c.len()];
        let Some(of_rows) = &self.scratch.context_gradient else {
            let asked = "a gradient with respect to contexts";
            return Err(Error::unsupported(asked, "this field", "a field of the CPU"));
        };
        let mut rows = of_rows.chunks_exact(d);
        for (sum, &size) in d_c.chunks_exact_mut(d).zip(sizes) {
            rows.by_ref().take(size).for_each(|row| sum.iter_mut().zip(row).for_each(|(s, r)| *s += r));
        }
        clear(&mut d_c);
        self.encoder.backward(&d_c, &mut self.buffers, of_encoder);
        Ok(loss)
    }

    /// The loss on `groups`, no context dropped.
    pub fn loss(&mut self, groups: &mut Grouped) -> f64 {
        let c = self.encoder.forward(&groups.supports, &mut self.buffers);
        groups.batch.c = Some(repeated(c, self.encoder.dimension(), &groups.sizes));
        self.method.loss(&groups.batch, &mut self.scratch, None)
    }
}

/// Every group's context for every one of its rows: `[S, D]` → `[B, D]`.
fn repeated(c: &[f32], d: usize, sizes: &[usize]) -> Vec<f32> {
    c.chunks_exact(d).zip(sizes).flat_map(|(c, &size)| c.repeat(size)).collect()
}
