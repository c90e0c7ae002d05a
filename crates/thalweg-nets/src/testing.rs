//! What tests of rewards, fields, methods and tests of shift need, those of this workspace and those of anyone who adds one: an interruption
//! after so much work, slopes by central differences, normal numbers, moments. Not for anything but tests: nothing here is fast.
use crate::progress::Progress;
use crate::streams::Streams;
use rand::RngExt;
use rand_distr::StandardNormal;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A watcher that asks to stop after so many units of work, and remembers what is kept.
#[derive(Debug)]
pub struct StopAfter {
    left: AtomicU64,
    kept: AtomicU64,
    /// The stage whose units count; all of them where there is none.
    stage: Option<&'static str>,
    counting: AtomicBool,
}

impl StopAfter {
    /// After `units` of any work.
    pub fn new(units: u64) -> Self {
        Self { left: units.into(), kept: u64::MAX.into(), stage: None, counting: true.into() }
    }

    /// After `units` of the stage that begins as `stage`; earlier stages are let through.
    pub fn of(stage: &'static str, units: u64) -> Self {
        Self { stage: Some(stage), counting: false.into(), ..Self::new(units) }
    }

    /// Units that are kept, as the work told; none where it told nothing.
    pub fn kept(&self) -> Option<u64> {
        Some(self.kept.load(Ordering::SeqCst)).filter(|kept| *kept < u64::MAX)
    }
}

impl Progress for StopAfter {
    fn begin(&self, what: &str, _: u64) {
        self.counting.store(self.stage.is_none_or(|stage| stage == what), Ordering::SeqCst);
    }

    fn advance(&self, n: u64) {
        if self.counting.load(Ordering::SeqCst) {
            // The closure always gives a value, so the update cannot fail.
            let _ = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(n)));
        }
    }

    fn note(&self, _: &str) {}

    fn kept(&self, done: u64, _: u64, _: &str) {
        self.kept.store(done, Ordering::SeqCst);
    }

    fn interrupted(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }
}

/// d/ds of f(x + s · direction) at s = 0, by the central difference over ±h. What f is given has the length of `x`.
pub fn slope(x: &[f32], direction: &[f32], h: f32, mut f: impl FnMut(&[f32]) -> f64) -> f64 {
    let mut at = |s: f32| f(&x.iter().zip(direction).map(|(x, d)| x + s * d).collect::<Vec<f32>>());
    (at(h) - at(-h)) / (2.0 * f64::from(h))
}

/// df/dx at `x`, by the central difference over what rounding leaves of ±h.
pub fn derivative<T>(x: T, h: T, mut f: impl FnMut(T) -> f64) -> f64
where
    T: Copy + Add<Output = T> + Sub<Output = T> + Into<f64>,
{
    let (up, down) = (x + h, x - h);
    (f(up) - f(down)) / (up - down).into()
}

/// ∂f/∂xᵢ at `x`, likewise.
pub fn partial(x: &[f32], i: usize, h: f32, mut f: impl FnMut(&[f32]) -> f64) -> f64 {
    let mut moved = x.to_vec();
    derivative(x[i], h, |value| {
        moved[i] = value;
        f(&moved)
    })
}

/// How far the slope of `f` along the signs of its `gradient` at `x` is from what the gradient says it is, Σ |gᵢ|, relative to that.
pub fn gradient_error(x: &[f32], gradient: &[f32], h: f32, f: impl FnMut(&[f32]) -> f64) -> f64 {
    let signs: Vec<f32> = gradient.iter().map(|g| g.signum()).collect();
    let said: f64 = gradient.iter().map(|g| f64::from(g.abs())).sum();
    (slope(x, &signs, h, f) / said - 1.0).abs()
}

/// `n` independent standard normal numbers.
pub fn normals(streams: &Streams, n: usize) -> Vec<f32> {
    let mut rng = streams.rng();
    (0..n).map(|_| rng.sample(StandardNormal)).collect()
}

/// Mean `[P]` and covariance `[P, P]` of points `x [n, P]`.
pub fn moments(x: &[f32], p: usize) -> (Vec<f64>, Vec<f64>) {
    let n = (x.len() / p) as f64;
    let mean: Vec<f64> = (0..p).map(|i| x.iter().skip(i).step_by(p).map(|v| f64::from(*v)).sum::<f64>() / n).collect();
    let mut covariance = vec![0.0; p * p];
    for row in x.chunks_exact(p) {
        for i in 0..p {
            for j in 0..p {
                covariance[i * p + j] += (f64::from(row[i]) - mean[i]) * (f64::from(row[j]) - mean[j]) / n;
            }
        }
    }
    (mean, covariance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_to_stop_after_the_units_of_its_stage_and_not_before() {
        let any = StopAfter::new(3);
        any.begin("one", 9);
        any.advance(2);
        assert!(!any.interrupted());
        any.advance(5);
        assert!(any.interrupted() && any.kept().is_none());
        Progress::kept(&any, 2, 9, "runs");
        assert_eq!(any.kept(), Some(2));
        let second = StopAfter::of("two", 1);
        second.begin("one", 9);
        second.advance(9);
        assert!(!second.interrupted());
        second.begin("two", 9);
        second.advance(1);
        assert!(second.interrupted());
    }

    #[test]
    fn slopes_of_a_cubic_and_moments_of_a_square() {
        // f = x³ + xy²: ∂x = 3x² + y², ∂y = 2xy; a central difference over h errs by h² in x and by nothing in y.
        let f = |x: &[f32]| f64::from(x[0]).powi(3) + f64::from(x[0]) * f64::from(x[1]).powi(2);
        let x = [1.5f32, -2.0];
        assert!((partial(&x, 0, 0.125, f) - (10.75 + 0.125 * 0.125)).abs() < 1e-9);
        assert!((partial(&x, 1, 0.125, f) + 6.0).abs() < 1e-9);
        assert!((slope(&x, &[0.0, 2.0], 0.125, f) + 12.0).abs() < 1e-9);
        assert!(gradient_error(&x, &[10.75, -6.0], 1e-3, f) < 1e-3);
        assert!(gradient_error(&x, &[10.75, 6.0], 1e-3, f) > 0.5);
        let (mean, covariance) = moments(&[0.0, 0.0, 2.0, 0.0, 0.0, 4.0, 2.0, 4.0], 2);
        assert_eq!((mean, covariance), (vec![1.0, 2.0], vec![1.0, 0.0, 0.0, 4.0]));
    }
}
