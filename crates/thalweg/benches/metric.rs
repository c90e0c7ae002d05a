//! W₁ and its parts at n = 1,000 in the dimension of cnn-s, and nearest training networks; the peer is `benches/peers/metric.py`.
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::RngExt;
use rand_distr::StandardNormal;
use std::hint::black_box;
use thalweg::Streams;
use thalweg::coupling::distance::Points;
use thalweg::coupling::jonker_volgenant::assign;
use thalweg::metric::novelty::Neighbourhood;
use thalweg::metric::wasserstein;

const N: usize = 1_000;
const P: usize = 2_464;

fn gaussian(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = Streams::new(seed).rng();
    (0..n).map(|_| rng.sample::<f32, _>(StandardNormal)).collect()
}

fn metric(c: &mut Criterion) {
    let (a, b) = (gaussian(N * P, 1), gaussian(N * P, 2));
    let mut group = c.benchmark_group("metric");
    group.sample_size(10).throughput(Throughput::Elements(1));
    group.bench_function("wasserstein_1000x2464", |bench| {
        bench.iter(|| wasserstein::wasserstein_1(black_box(&a), black_box(&b), P).expect("finite samples"));
    });
    group.bench_function("distances_1000x1000x2464", |bench| {
        bench.iter(|| Points::new(black_box(&a), black_box(&b), P).expect("finite points").all());
    });
    for p in [2, 512] {
        let cost = Points::new(&a[..N * p], &b[..N * p], p).expect("finite points").all().expect("no interruption");
        group.bench_function(format!("assignment_1000_from_{p}_dimensions"), |bench| {
            bench.iter(|| assign(black_box(&cost), N).expect("finite costs"));
        });
    }
    let zoo = Neighbourhood::new(&a, P).expect("points that differ");
    group.bench_function("nearest_of_1000_in_1000x2464", |bench| {
        bench.iter(|| zoo.nearest(black_box(&b)).expect("finite points"));
    });
    group.bench_function("energy_distance_1000x2464", |bench| {
        bench.iter(|| wasserstein::energy_distance(black_box(&a), black_box(&b), P).expect("finite samples"));
    });
    group.finish();
}

criterion_group!(benches, metric);
criterion_main!(benches);
