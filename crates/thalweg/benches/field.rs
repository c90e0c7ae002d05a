//! Training steps and sampling of the residual field, 512 wide with 3 blocks (4.8 M parameters); the peer is `benches/peers/field.py`.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rayon::prelude::*;
use std::time::Duration;
use thalweg::Streams;
use thalweg::field::{Field, Gradient, Parameters, ResidualMlp, ResidualMlpConfig, Tape};
use thalweg::{AdamW, AdamWConfig};

fn net(p: usize) -> ResidualMlp {
    let config = ResidualMlpConfig { width: 512, blocks: 3, ..ResidualMlpConfig::default() };
    ResidualMlp::new(p, &config, &Streams::new(1)).expect("sizes within their ranges")
}

fn waves(n: usize, pitch: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * pitch).sin()).collect()
}

/// Batch 64, P = 2,864 (cnn-s on colour images): forward, squared error, backward, clipping, AdamW, average.
fn step(c: &mut Criterion) {
    let (rows, p) = (64, 2_864);
    let mut field = net(p);
    let (x, u) = (waves(rows * p, 0.3), waves(rows * p, 0.7));
    let t: Vec<f32> = (0..rows).map(|i| i as f32 / rows as f32).collect();
    let mut gradient = vec![0.0; field.parameters().len()];
    let (mut v, mut tape) = (vec![0.0; rows * p], Tape::default());
    let config = AdamWConfig::default();
    let mut optimiser = AdamW::new(&config, 1_000_000, field.parameters()).expect("a valid configuration");
    let mut group = c.benchmark_group("field");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(5));
    group.bench_function("step", |bench| {
        bench.iter(|| {
            field.velocity(&x, &t, None, &mut v, &mut tape);
            v.iter_mut().zip(&u).for_each(|(v, u)| *v = (*v - u) * (2.0 / (rows * p) as f32));
            field.backward(&v, &mut tape, Gradient::Write(&mut gradient), None);
            optimiser.step(field.parameters_mut(), &gradient).expect("a finite gradient")
        });
    });
    group.finish();
}

/// 1,000 networks of P = 2,464 (cnn-s on grey images) in 20 Heun steps, 40 evaluations.
fn sample(c: &mut Criterion) {
    let (rows, p, steps) = (1_000, 2_464, 20);
    let (field, start) = (net(p), waves(rows * p, 0.3));
    let (mut x, mut y, mut first, mut second) = (start.clone(), start.clone(), start.clone(), start.clone());
    let (mut tape, h) = (Tape::default(), 1.0 / steps as f32);
    let mut group = c.benchmark_group("field");
    group.throughput(Throughput::Elements(rows as u64)).sample_size(10).measurement_time(Duration::from_secs(20));
    group.bench_function("sample", |bench| {
        bench.iter(|| {
            x.copy_from_slice(&start);
            for step in 0..steps {
                let t = step as f32 * h;
                field.velocity(&x, &vec![t; rows], None, &mut first, &mut tape);
                y.par_iter_mut().zip(&x).zip(&first).for_each(|((y, x), v)| *y = x + h * v);
                field.velocity(&y, &vec![t + h; rows], None, &mut second, &mut tape);
                x.par_iter_mut().zip(&first).zip(&second).for_each(|((x, a), b)| *x += 0.5 * h * (a + b));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, step, sample);
criterion_main!(benches);
