//! Training steps and sampling of the residual field, one JSON line a measurement; `benches/peers/field.py` does the same in PyTorch.
//!
//! A rate is the best of several windows, since other work on the machine only ever slows one down.
use rayon::prelude::*;
use std::time::Instant;
use thalweg::field::{Field, Gradient, ResidualMlp, ResidualMlpConfig, Tape};
use thalweg::optimiser::{AdamW, AdamWConfig};
use thalweg::{Result, Streams};

/// Windows a measurement, and the seconds of each.
const WINDOWS: (usize, f64) = (6, 0.7);

fn main() -> Result<()> {
    let config = ResidualMlpConfig { width: 512, blocks: 3, ..ResidualMlpConfig::default() };
    training(&config)?;
    sampling(&config)
}

/// Batch 64, P = 2,864 (cnn-s on colour images): forward, squared error, backward, clipping, AdamW, average.
fn training(config: &ResidualMlpConfig) -> Result<()> {
    let (rows, p) = (64, 2_864);
    let mut field = ResidualMlp::new(p, config, &Streams::new(1))?;
    let (x, u) = (waves(rows * p, 0.3), waves(rows * p, 0.7));
    let t: Vec<f32> = (0..rows).map(|i| i as f32 / rows as f32).collect();
    let mut gradient = vec![0.0; field.parameters().len()];
    let (mut v, mut tape) = (vec![0.0; rows * p], Tape::default());
    let mut optimiser = AdamW::new(&AdamWConfig::default(), 1_000_000, field.parameters())?;
    report("field/step", 1.0, || {
        field.velocity(&x, &t, None, &mut v, &mut tape);
        v.iter_mut().zip(&u).for_each(|(v, u)| *v = (*v - u) * (2.0 / (rows * p) as f32));
        field.backward(&v, &mut tape, Gradient::Write(&mut gradient), None);
        optimiser.step(field.parameters_mut(), &gradient).map(drop)
    })
}

/// 1,000 networks of P = 2,464 (cnn-s on grey images) in 20 Heun steps, 40 evaluations.
fn sampling(config: &ResidualMlpConfig) -> Result<()> {
    let (rows, p, steps) = (1_000, 2_464, 20);
    let field = ResidualMlp::new(p, config, &Streams::new(1))?;
    let start = waves(rows * p, 0.3);
    let (mut x, mut y, mut first, mut second) = (start.clone(), start.clone(), start.clone(), start.clone());
    let (mut tape, h) = (Tape::default(), 1.0 / steps as f32);
    report("field/sample", rows as f64, || {
        x.copy_from_slice(&start);
        for step in 0..steps {
            let t = step as f32 * h;
            field.velocity(&x, &vec![t; rows], None, &mut first, &mut tape);
            y.par_iter_mut().zip(&x).zip(&first).for_each(|((y, x), v)| *y = x + h * v);
            field.velocity(&y, &vec![t + h; rows], None, &mut second, &mut tape);
            x.par_iter_mut().zip(&first).zip(&second).for_each(|((x, a), b)| *x += 0.5 * h * (a + b));
        }
        Ok(())
    })
}

fn waves(n: usize, pitch: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * pitch).sin()).collect()
}

/// If `name` contains the program's argument, prints how many times a second `work` of `units` units runs.
fn report(name: &str, units: f64, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    if std::env::args().skip(1).find(|a| !a.starts_with('-')).is_some_and(|wanted| !name.contains(&wanted)) {
        return Ok(());
    }
    work()?;
    let mut best = 0f64;
    for _ in 0..WINDOWS.0 {
        let (start, mut done) = (Instant::now(), 0.0);
        while start.elapsed().as_secs_f64() < WINDOWS.1 {
            work()?;
            done += units;
        }
        best = best.max(done / start.elapsed().as_secs_f64());
    }
    println!("{{\"name\": \"{name}\", \"per_second\": {best:.2}}}");
    Ok(())
}
