//! Many models in parallel. Work is cut into tasks that do not depend on the number of threads: whole models where
//! there are enough of them, else chunks of blocks whose parts are joined in order.
use super::run::{Buffers, Prepared};
use super::vector::LANES;
use super::{CHUNK, Engine, Mode, Packed, add, chunks};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::loss::LogitLoss;
use rayon::prelude::*;
use std::sync::atomic::Ordering;

/// Blocks that one task evaluates: 64 · 16 = 1,024 images.
const EVALUATION: usize = 64;

impl Engine {
    /// Logits `[M, N, C]` of many θ `[M, P]` in evaluation, in parallel.
    ///
    /// # Errors
    /// A `thetas` that is no multiple of P or not finite, or inputs packed for another engine; [`Error::Interrupted`].
    pub fn logits_of_many(&self, thetas: &[f32], x: &Packed) -> Result<Vec<f32>> {
        let models = self.check_many(thetas, x)?;
        self.evaluated.fetch_add(models as u64, Ordering::Relaxed);
        let (p, rows) = (self.parameters(), x.len() * self.classes());
        let mut out = vec![0.0; models * rows];
        if rows == 0 {
            return Ok(out);
        }
        let part = EVALUATION * LANES * self.classes();
        let tasks: Vec<(usize, usize, &mut [f32])> = out
            .chunks_mut(rows)
            .enumerate()
            .flat_map(|(m, rows)| rows.chunks_mut(part).enumerate().map(move |(c, rows)| (m, c, rows)))
            .collect();
        tasks.into_par_iter().for_each_init(
            || (Prepared::default(), Buffers::default()),
            |(prepared, buffers), (m, c, rows)| {
                if interrupt::requested() {
                    return;
                }
                let theta = &thetas[m * p..(m + 1) * p];
                prepared.prepare_for_logits(&self.plan, theta);
                let blocks = c * EVALUATION..((c + 1) * EVALUATION).min(x.blocks());
                self.runner(theta, x, Mode::Evaluate).logits(prepared, blocks, rows, buffers);
            },
        );
        interrupt::check()?;
        Ok(out)
    }

    /// Losses `[M]` and gradients `[M, P]` of many θ `[M, P]`, in parallel; row m equals [`Engine::gradient`] of
    /// θ_m, with dropout streams `index(m)`.
    ///
    /// # Errors
    /// As [`Engine::logits_of_many`], or a loss made for another number of inputs.
    pub fn gradients_of_many(
        &self,
        thetas: &[f32],
        x: &Packed,
        mode: Mode,
        loss: &dyn LogitLoss,
    ) -> Result<(Vec<f64>, Vec<f32>)> {
        let models = self.check_many(thetas, x)?;
        if let Some(expected) = loss.len().filter(|&n| n != x.len()) {
            return Err(Error::shape(
                "inputs",
                format!("[{expected}, D], as the loss has"),
                format!("[{}, D]", x.len()),
            ));
        }
        let p = self.parameters();
        let mut losses = vec![0.0; models];
        let mut gradients = vec![0.0; models * p];
        if p == 0 {
            return Ok((losses, gradients));
        }
        let split = models < 2 * rayon::current_num_threads() && x.blocks() > CHUNK && !self.needs_whole_batch(mode);
        let each = gradients.chunks_mut(p).zip(&mut losses).zip(thetas.chunks(p)).enumerate();
        if split {
            for (m, ((gradient, value), theta)) in each {
                interrupt::check()?;
                *value = self.gradient_in_parallel(theta, x, mode.of_model(m), loss, gradient);
            }
        } else {
            let each: Vec<_> = each.collect();
            each.into_par_iter().for_each_init(
                || self.workspace(),
                |workspace, (m, ((gradient, value), theta))| {
                    if interrupt::requested() {
                        return;
                    }
                    *value = self.gradient(theta, x, mode.of_model(m), loss, gradient, workspace);
                },
            );
        }
        interrupt::check()?;
        Ok((losses, gradients))
    }

    /// As [`Engine::gradient`], with the chunks in parallel.
    fn gradient_in_parallel(
        &self,
        theta: &[f32],
        x: &Packed,
        mode: Mode,
        loss: &dyn LogitLoss,
        gradient: &mut [f32],
    ) -> f64 {
        let mut prepared = Prepared::default();
        prepared.prepare(&self.plan, theta);
        let runner = self.runner(theta, x, mode);
        let chunks: Vec<_> = chunks(x).collect();
        let parts: Vec<(f64, Vec<f32>)> = chunks
            .into_par_iter()
            .map_init(
                || (prepared.clone(), Buffers::default()),
                |(prepared, buffers), chunk| {
                    let mut part = vec![0.0; self.parameters()];
                    (runner.gradient(prepared, chunk, loss, &mut part, buffers), part)
                },
            )
            .collect();
        let mut total = 0.0;
        for (value, part) in &parts {
            total += value;
            add(gradient, part);
        }
        total
    }

    fn check_many(&self, thetas: &[f32], x: &Packed) -> Result<usize> {
        if x.input_len() != self.input_len() {
            let found = format!("[N, {}]", x.input_len());
            return Err(Error::shape("inputs", format!("[N, {}]", self.input_len()), found));
        }
        self.layout().check("thetas", thetas)
    }
}
