//! The temperature of a softmax: the one number that makes f's confidence on P as great as its accuracy allows (Guo et al. 2017).

/// Least and greatest temperature; where f is always right, or no better than chance, the cross-entropy has no minimum inside.
pub const RANGE: [f64; 2] = [0.02, 50.0];
/// Halvings of the range of the logarithm: to 1e-12 of it.
const HALVINGS: usize = 45;

/// T with the least mean cross-entropy of softmax(z/T) on logits `[N, C]` with labels `[N]`, within `RANGE`. In β = 1/T the cross-entropy is convex: the
/// slope, mean of `E_p[z] − z_y`, is brought to 0 by bisection.
pub fn temperature(logits: &[f32], labels: &[u32], classes: usize) -> f64 {
    let slope = |beta: f64| -> f64 {
        let of = |(z, &label): (&[f32], &u32)| {
            let most = z.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut total, mut weighted) = (0.0, 0.0);
            for &v in z {
                let weight = (beta * f64::from(v - most)).exp();
                total += weight;
                weighted += weight * f64::from(v - most);
            }
            weighted / total - f64::from(z[label as usize] - most)
        };
        logits.chunks_exact(classes).zip(labels).map(of).sum()
    };
    let [mut low, mut high] = [(1.0 / RANGE[1]).ln(), (1.0 / RANGE[0]).ln()];
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if slope(middle.exp()) < 0.0 { low = middle } else { high = middle }
    }
    (-0.5 * (low + high)).exp()
}
