//! Closed forms, brute force, and the coverage of the interval without shift.
use super::*;
use crate::Streams;
use crate::shift::law::power::Share;
use rand::RngExt;
use rand_distr::StandardNormal;

const QUIET: Evidence = Evidence { outcome: Outcome::NoEvidenceOfHarm, excess: None, outside: None };

/// Rows of two classes with margin ±`margin`, of which f is right on the first `right`.
fn rows(n: usize, right: usize, margin: f32) -> (Sample, Vec<u32>) {
    let logits = (0..n).flat_map(|i| if i % 2 == 0 { [margin, 0.0] } else { [0.0, margin] }).collect();
    let labels = (0..n).map(|i| ((i + usize::from(i >= right)) % 2) as u32).collect();
    (Sample::of_logits(logits, 2).unwrap(), labels)
}

#[test]
fn the_temperature_is_that_of_the_closed_form_and_of_a_search() {
    // All margins are d and a share r is right: σ(d/T) = r.
    for (right, margin) in [(80, 4.0), (60, 0.5), (99, 2.0)] {
        let (rows, labels) = rows(100, right, margin);
        let r = right as f64 / 100.0;
        let expected = f64::from(margin) / (r / (1.0 - r)).ln();
        let found = temperature(&rows.logits, &labels, 2);
        assert!((found / expected - 1.0).abs() < 1e-6, "{found} {expected}");
    }
    let mut rng = Streams::new(4).rng();
    let logits: Vec<f32> = (0..300).map(|_| 3.0 * rng.sample::<f32, _>(StandardNormal)).collect();
    let labels: Vec<u32> = (0..100).map(|_| rng.random_range(0..3u64) as u32).collect();
    let loss = |t: f64| {
        let of = |(z, &y): (&[f32], &u32)| {
            let lse = z.iter().map(|v| (f64::from(*v) / t).exp()).sum::<f64>().ln();
            lse - f64::from(z[y as usize]) / t
        };
        logits.chunks_exact(3).zip(&labels).map(of).sum::<f64>()
    };
    let found = temperature(&logits, &labels, 3);
    let best = (1..5000).map(|i| 0.02 * f64::from(i)).min_by(|a, b| loss(*a).total_cmp(&loss(*b))).unwrap().min(50.0);
    assert!(loss(found) <= loss(best) + 1e-9, "{found} {best}");
    // Always right: as cold as allowed; right on half: as warm.
    let (sure, chance) = (rows(10, 10, 1.0), rows(10, 5, 1.0));
    assert!(temperature(&sure.0.logits, &sure.1, 2) < 0.021 && temperature(&chance.0.logits, &chance.1, 2) > 49.0);
}

#[test]
fn the_prediction_interval_is_that_of_enumeration() {
    let choose = |n: usize, k: usize| (0..k).fold(1.0, |c, i| c * (n - i) as f64 / (i + 1) as f64);
    for (right, rows, n, level) in [(8, 10, 6, 0.1), (30, 30, 9, 0.05), (0, 12, 5, 0.2), (40, 60, 20, 0.05)] {
        let accepted: Vec<usize> = (0..=n)
            .filter(|&j| {
                let hits = right + j;
                let p = |i: usize| match i <= hits && n - i <= rows + n - hits {
                    true => choose(hits, i) * choose(rows + n - hits, n - i) / choose(rows + n, n),
                    false => 0.0,
                };
                let (below, above) = ((0..=j).map(p).sum::<f64>(), (j..=n).map(p).sum::<f64>());
                below > level / 2.0 && above > level / 2.0
            })
            .collect();
        let [low, high] = unshifted(right, rows, n, level).unwrap();
        let ends = [accepted[0], accepted[accepted.len() - 1]].map(|j| j as f64 / n as f64);
        assert_eq!([low, high], ends, "{right} of {rows}, {n}");
        assert_eq!(accepted.len(), accepted[accepted.len() - 1] - accepted[0] + 1);
    }
    assert!(unshifted(3, 2, 5, 0.1).is_err() && unshifted(1, 2, 0, 0.1).is_err() && unshifted(1, 2, 3, 1.0).is_err());
}

#[test]
fn estimates_by_hand() {
    let (known, labels) = rows(100, 80, 2.0);
    let known = Known::new(&known, &labels).unwrap();
    // At its temperature the confidence of every row of P is .8; rows without a margin have .5.
    let (query, _) = rows(20, 20, 2.0);
    let same = known.estimate(&query, QUIET, 0.05).unwrap();
    assert!((same.average_confidence - 0.8).abs() < 1e-6 && (same.difference_of_confidences - 0.8).abs() < 1e-6);
    assert_eq!((same.average_thresholded_confidence, same.accuracy_on_p), (1.0, 0.8));
    let [low, high] = unshifted(80, 100, 20, 0.05).unwrap();
    assert!((same.interval.unwrap()[0] - low).abs() < 1e-9);
    assert!(same.interval.unwrap()[1] >= high);
    let unsure = Sample::of_logits(vec![0.0; 40], 2).unwrap();
    let unsure = known.estimate(&unsure, QUIET, 0.05).unwrap();
    assert!((unsure.average_confidence - 0.5).abs() < 1e-6 && unsure.average_thresholded_confidence == 0.0);
    assert_eq!((unsure.interval, unsure.reason), (None, Some("too many accuracies are possible")));
    // Shifted: only with networks that can disagree is anything claimed, and no more than they leave.
    let harmful = |excess, outside| {
        let evidence = Evidence { outcome: Outcome::HarmfulShift, excess, outside };
        known.estimate(&query, evidence, 0.05).unwrap()
    };
    let shifted = |excess| harmful(excess, Some(0.4));
    assert!(harmful(Some(0.0), Some(0.6)).interval.is_none() && harmful(Some(0.0), None).interval.is_some());
    assert!(shifted(None).interval.is_none());
    assert_eq!(shifted(Some(-0.2)).disagreement_bound, Some(low));
    assert_eq!(shifted(Some(0.02)).interval.unwrap()[0], low - 0.02);
    assert!(shifted(Some(0.4)).interval.is_none());
    assert!(Known::new(&query, &labels).is_err());
}

#[test]
fn rows_are_within_reach_that_are_no_further_than_rows_of_p() {
    let of = |x: &[f32]| {
        let mut rows = Sample::of_logits(vec![0.0; 2 * x.len()], 2).unwrap();
        rows.inputs = x.to_vec();
        rows
    };
    let train = of(&(0..2000).map(|i| i as f32).collect::<Vec<_>>());
    // Every second training row is looked at: held-out rows .1, .2, …, 10 above the last of them have those distances.
    let held_out = of(&(1..=100).map(|i| 1998.0 + 0.1 * i as f32).collect::<Vec<_>>());
    let limit = reach::limit(&train, &held_out).unwrap();
    assert!((limit - 9.6f64.powi(2)).abs() < 0.05, "{limit}");
    assert_eq!(reach::outside(&train, &of(&[5.0, 1000.5, 2007.0, 2008.0, -9.9]), limit), 0.4);
    assert!(reach::limit(&train, &Sample::of_logits(vec![0.0; 2], 2).unwrap()).is_none());
}

/// Fresh rows of P with labels and a fresh query of the same law, small and large: the truth lies in the interval, or nothing is said, at least as often as it
/// should.
#[test]
fn without_shift_the_interval_covers() {
    let draw = |n: usize, streams: &Streams| {
        let mut rng = streams.rng();
        let (mut logits, mut labels) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let z: [f32; 3] = std::array::from_fn(|_| 2.0 * rng.sample::<f32, _>(StandardNormal));
            // f is overconfident: labels come from its softmax at temperature 1.5.
            let weights = z.map(|v| (v / 1.5).exp());
            let mut left = rng.random::<f32>() * weights.iter().sum::<f32>();
            let label = weights.iter().position(|w| {
                left -= w;
                left <= 0.0
            });
            logits.extend(z);
            labels.push(label.unwrap_or(2) as u32);
        }
        (Sample::of_logits(logits, 3).unwrap(), labels)
    };
    let (level, repetitions) = (0.1, 2000);
    for (cell, [m, n]) in [[40, 10], [60, 20], [200, 50], [100, 100], [1000, 5]].into_iter().enumerate() {
        let (mut covered, mut told) = (0, 0);
        for i in 0..repetitions {
            let streams = Streams::new(cell as u64).index(i);
            let ((p, labels), (q, truth)) = (draw(m, &streams.child("p")), draw(n, &streams.child("q")));
            let estimate = Known::new(&p, &labels).unwrap().estimate(&q, QUIET, level).unwrap();
            let right = q.predictions().iter().zip(&truth).filter(|(a, b)| a == b).count() as f64 / n as f64;
            told += usize::from(estimate.interval.is_some());
            covered += usize::from(estimate.interval.is_none_or(|[low, high]| low <= right && right <= high));
        }
        let covered = Share::of(covered, repetitions as usize).unwrap();
        assert!(covered.high >= 1.0 - level, "{m} {n}: {covered:?}");
        println!("m = {m}, n = {n}: covered {:.3}, told {:.3}", covered.share, told as f64 / repetitions as f64);
    }
}
