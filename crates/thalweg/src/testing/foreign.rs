//! Networks that are not the engine's, as far as the library can tell: their inputs are plain, and several are computed together.
use crate::network::{Inputs, Job, Network};
use crate::{Layout, Result};
use std::sync::Arc;
use thalweg_nets::Architecture;
use thalweg_nets::engine::{Engine, Workspace};

/// An engine behind the trait, without anything else of it.
#[derive(Debug)]
pub struct Foreign {
    engine: Engine,
    at_once: usize,
}

/// Networks of `architecture`, `at_once` of them computed together.
pub fn foreign(architecture: &Architecture, at_once: usize) -> Arc<Foreign> {
    Arc::new(Foreign { engine: Engine::new(architecture).unwrap(), at_once })
}

impl Network for Foreign {
    fn layout(&self) -> &Layout {
        self.engine.layout()
    }

    fn input_len(&self) -> usize {
        self.engine.input_len()
    }

    fn classes(&self) -> usize {
        self.engine.classes()
    }

    fn at_once(&self) -> usize {
        self.at_once
    }

    fn inputs(&self, values: &[f32]) -> Result<Inputs> {
        Ok(Inputs::Plain { values: values.to_vec(), len: values.len() / self.engine.input_len() })
    }

    fn logits(&self, thetas: &[f32], inputs: &Inputs) -> Result<Vec<f32>> {
        Network::logits(&self.engine, thetas, inputs)
    }

    fn gradients(&self, jobs: &[Job<'_>], gradients: &mut [f32], workspace: &mut Workspace) -> Result<Vec<f64>> {
        assert!(jobs.len() <= self.at_once || jobs.iter().all(|job| std::ptr::eq(job.inputs, jobs[0].inputs)));
        self.engine.gradients(jobs, gradients, workspace)
    }
}
