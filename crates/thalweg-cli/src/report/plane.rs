//! A plane through weight space to look at: the two principal directions of a set of networks, projections onto it, and points of it lifted back.
use super::Point;
use thalweg::Result;
use thalweg::space::latent::{Autoencoder, Decoder, Pca, PcaConfig};

/// mean + a · first + b · second.
pub struct Plane {
    components: Pca,
    /// What turns latents of deviation 1 into lengths in weight space; the sign is that of the axis.
    lengths: [f32; 2],
}

impl Plane {
    /// The plane of greatest variance of `points` `[n, P]`; the first axis points from the mean of `from` `[m, P]` onwards,
    /// so that starts lie on the left.
    ///
    /// # Errors
    /// Points that span no plane.
    pub fn of(points: &[f32], from: &[f32], p: usize) -> Result<Self> {
        let components = Pca::fit(&PcaConfig::of(2), points, p)?;
        let lengths = [components.scales()[0], components.scales()[1]];
        let mut plane = Self { components, lengths };
        let along: f64 = from.chunks_exact(p).map(|theta| plane.project(theta).0).sum();
        if along > 0.0 {
            plane.lengths[0] = -plane.lengths[0];
        }
        Ok(plane)
    }

    /// Where `theta` `[P]` lies on the plane.
    pub fn project(&self, theta: &[f32]) -> Point {
        let y = self.components.encode(theta);
        (f64::from(y[0] * self.lengths[0]), f64::from(y[1] * self.lengths[1]))
    }

    /// The networks of a grid of `rows` × `columns` points over `x` × `y`, `[rows · columns, P]`.
    pub fn grid(&self, rows: usize, columns: usize, x: Point, y: Point) -> Vec<f32> {
        let place = |(from, to): Point, i: usize, n: usize| from + (to - from) * i as f64 / (n - 1) as f64;
        let points = (0..rows * columns).map(|i| (place(x, i % columns, columns), place(y, i / columns, rows)));
        let latents = |(a, b): Point| [a as f32 / self.lengths[0], b as f32 / self.lengths[1]];
        self.components.decode(&points.flat_map(latents).collect::<Vec<f32>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a known plane with known spreads: the plane is found, and projecting then lifting is the identity on it.
    #[test]
    fn a_planted_plane_is_recovered() {
        let p = 30;
        let unit = |f: &dyn Fn(usize) -> f64| -> Vec<f64> {
            let v: Vec<f64> = (0..p).map(f).collect();
            let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
            v.iter().map(|x| x / length).collect()
        };
        let u = unit(&|i| (i as f64).sin());
        let w = unit(&|i| if i % 2 == 0 { (i as f64 + 1.0).cos() } else { 0.0 });
        let points: Vec<f32> = (0..40)
            .flat_map(|k| {
                let (a, b) = (f64::from(k) - 19.5, 3.0 * (f64::from(k) * 1.7).sin());
                (0..p).map(|i| (2.0 + a * u[i] + b * w[i]) as f32).collect::<Vec<_>>()
            })
            .collect();
        for (from, sign) in [(0, 1.0), (39, -1.0)] {
            let plane = Plane::of(&points, &points[from * p..(from + 1) * p], p).unwrap();
            let at: Vec<Point> = points.chunks_exact(p).map(|point| plane.project(point)).collect();
            assert!(at[from].0 < 0.0 && sign * (at[39].0 - at[0].0) > 0.0);
            // Lengths on the plane are those in weight space: neighbours along u are a step of 1 apart but for w's share.
            let far = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt();
            let seen = (at[39].0 - at[0].0).hypot(at[39].1 - at[0].1);
            assert!((seen / far(&points[39 * p..], &points[..p]) - 1.0).abs() < 1e-4);
            for (point, &(a, b)) in points.chunks_exact(p).zip(&at) {
                // The corners of a grid are its ends.
                let lifted = &plane.grid(2, 2, (a, a + 1.0), (b, b + 1.0))[..p];
                let error = lifted.iter().zip(point).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(error < 1e-4, "{error}");
            }
            assert_eq!(plane.grid(2, 3, (0.0, 1.0), (0.0, 1.0)).len(), 6 * p);
        }
        let line: Vec<f32> = (0..9 * p).map(|i| (i / p) as f32).collect();
        assert!(Plane::of(&line, &line[..p], p).is_err(), "a line spans no plane");
    }
}
