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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use crate::context::ContextConfig;
    use crate::field::{Field, Gradient, ResidualMlp, ResidualMlpConfig, Tape};
    use crate::method::{CfmConfig, FlowMatching};
    use crate::nn::parameters::{Parameters, impl_parameters};
    use crate::path::anchors::Anchors;
    use thalweg_nets::testing::{gradient_error, normals};

    const P: usize = 3;

    /// Two groups of two and three rows, of different support sets.
    fn setting() -> (Joint, Grouped) {
        let context = ContextConfig {
            hidden: vec![6],
            width: 4,
            heads: 2,
            blocks: 1,
            global_width: 3,
            class_width: 2,
            ..ContextConfig::default()
        };
        let encoder = Encoder::new(2, 2, &context, &Streams::new(1)).unwrap();
        let sizes = ResidualMlpConfig {
            width: 8,
            blocks: 1,
            time_features: 4,
            embedding: 4,
            context: encoder.dimension(),
            ..Default::default()
        };
        let mut field = ResidualMlp::new(P, &sizes, &Streams::new(2)).unwrap();
        let shake = normals(&Streams::new(3), field.parameters().len());
        field.parameters_mut().iter_mut().zip(shake).for_each(|(p, z)| *p += 0.3 * z);
        let method = CfmConfig::default().build(&[0.0, 1.0], Box::new(field)).unwrap();
        let curves = normals(&Streams::new(4), 2 * 5 * P);
        let batch = method.batch(&Anchors::dense(&curves, 2, P).unwrap(), None, &Streams::new(5)).unwrap();
        let support = |seed| Support::new(&normals(&Streams::new(seed), 8), &[0, 1, 0, 1]).unwrap();
        (
            Joint::new(Box::new(method), encoder),
            Grouped { batch, supports: vec![support(6), support(7)], sizes: vec![2, 3] },
        )
    }

    #[test]
    fn method_and_encoder_have_one_gradient_that_agrees_with_differences() {
        let (mut joint, mut groups) = setting();
        for dropped in [[false, false], [true, false]] {
            let own = joint.parameters().concat();
            let mut gradient = vec![f32::NAN; own.len()];
            let loss = joint.gradient(&mut groups, &dropped, &mut gradient).unwrap();
            let mut at = |q: &[f32]| {
                let mut rest = q;
                for part in joint.parameters_mut() {
                    part.copy_from_slice(rest.split_off(..part.len()).unwrap());
                }
                joint.gradient(&mut groups, &dropped, &mut vec![0.0; q.len()]).unwrap()
            };
            assert!(gradient_error(&own, &gradient, 1e-4, &mut at) < 0.02, "{dropped:?}");
            assert_eq!(at(&own), loss);
        }
    }

    /// A field that takes contexts, without a gradient with respect to them.
    struct Deaf {
        inner: ResidualMlp,
    }

    impl_parameters!(Deaf, inner);

    impl Field for Deaf {
        fn dimension(&self) -> usize {
            self.inner.dimension()
        }
        fn context(&self) -> usize {
            self.inner.context()
        }
        fn velocity(&self, x: &[f32], t: &[f32], c: Option<&[f32]>, out: &mut [f32], tape: &mut Tape) {
            self.inner.velocity(x, t, c, out, tape);
        }
        fn backward(&self, dv: &[f32], tape: &mut Tape, gradient: Gradient<'_>, dx: Option<&mut [f32]>) {
            self.inner.backward(dv, tape, gradient, dx);
        }
    }

    #[test]
    fn a_dropped_context_is_zero_and_teaches_the_encoder_nothing() {
        let (mut joint, mut groups) = setting();
        let of_method = joint.method().parameters().len();
        let mut gradient = vec![f32::NAN; joint.parameters().concat().len()];
        joint.gradient(&mut groups, &[true, true], &mut gradient).unwrap();
        assert!(gradient[of_method..].iter().all(|g| *g == 0.0) && gradient[..of_method].iter().any(|g| *g != 0.0));
        assert!(groups.batch.c.as_ref().unwrap().iter().all(|c| *c == 0.0));
        // Without a drop every row has the context of its group, and the loss is the one that is asked for alone.
        let loss = joint.gradient(&mut groups, &[false, false], &mut gradient).unwrap();
        let c = groups.batch.c.clone().unwrap();
        let d = c.len() / 5;
        assert!(c[..d] == c[d..2 * d] && c[2 * d..3 * d] == c[4 * d..] && c[..d] != c[2 * d..3 * d]);
        assert_eq!(joint.loss(&mut groups), loss);
        let parameters: Vec<f32> = (0..gradient.len()).map(|i| i as f32).collect();
        let (method, encoder) = joint.finish(&parameters);
        assert_eq!([method.parameters(), encoder.parameters()].concat(), parameters);
    }

    #[test]
    fn an_encoder_cannot_be_trained_through_a_field_that_has_no_gradient_with_respect_to_contexts() {
        let streams = Streams::new(1);
        let encoder = Encoder::new(4, 3, &ContextConfig::default(), &streams).unwrap();
        let config = ResidualMlpConfig { context: encoder.dimension(), ..ResidualMlpConfig::default() };
        let field = ResidualMlp::new(2, &config, &streams).unwrap();
        let gradient = |field: Box<dyn Field>| {
            let mut joint = Joint::new(Box::new(FlowMatching::from_gaussian(field).unwrap()), encoder.clone());
            let batch = Batch { x: vec![0.1; 4], t: vec![0.5; 2], u: vec![1.0; 4], c: None, scores: None };
            let support = Support::new(&[0.5; 12], &[0, 1, 2]).unwrap();
            let mut groups = Grouped { batch, supports: vec![support], sizes: vec![2] };
            let mut gradient = vec![0.0; joint.parameters().iter().map(|part| part.len()).sum()];
            joint.gradient(&mut groups, &[false], &mut gradient)
        };
        assert!(gradient(Box::new(field.clone())).unwrap().is_finite());
        let refused = gradient(Box::new(Deaf { inner: field })).unwrap_err();
        assert!(matches!(refused, Error::Unsupported { .. }), "{refused}");
    }
}
