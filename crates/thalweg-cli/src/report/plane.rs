//! A plane through weight space to look at: the two principal directions of a set of networks, projections onto it, and
//! points of it lifted back. Orthogonal iteration on the data themselves; P × P is never formed.
use super::Point;

/// Sweeps of the orthogonal iteration; pictures need no more digits than that gives.
const SWEEPS: usize = 60;

/// origin + a · first + b · second.
#[derive(Clone, Debug)]
pub struct Plane {
    origin: Vec<f64>,
    axes: [Vec<f64>; 2],
}

impl Plane {
    /// The plane of greatest variance of `points` `[n, P]`; the first axis points from the mean of `from` `[m, P]` onwards,
    /// so that starts lie on the left.
    pub fn of(points: &[f32], from: &[f32], p: usize) -> Self {
        let origin = mean(points, p);
        let centred: Vec<f64> = points.iter().enumerate().map(|(i, v)| f64::from(*v) - origin[i % p]).collect();
        let row = |i: usize| &centred[(i % (centred.len() / p)) * p..][..p];
        // Any start that is not orthogonal to the answer will do; the first and a middle point are as good as any.
        let mut axes = [row(0).to_vec(), row(centred.len() / p / 2).to_vec()];
        for (i, v) in axes[1].iter_mut().enumerate() {
            *v += 1e-3 * ((i * 7919 % 104_729) as f64 / 104_729.0 - 0.5);
        }
        for _ in 0..SWEEPS {
            for k in 0..2 {
                let mut next = vec![0.0; p];
                for point in centred.chunks_exact(p) {
                    let along = dot(point, &axes[k]);
                    next.iter_mut().zip(point).for_each(|(n, v)| *n += along * v);
                }
                if k == 1 {
                    let along = dot(&next, &axes[0]);
                    next.iter_mut().zip(&axes[0]).for_each(|(n, a)| *n -= along * a);
                }
                let length = dot(&next, &next).sqrt().max(f64::MIN_POSITIVE);
                next.iter_mut().for_each(|v| *v /= length);
                axes[k] = next;
            }
        }
        let mut plane = Self { origin, axes };
        if from.len() >= p {
            let start: Vec<f32> = mean(from, p).iter().map(|v| *v as f32).collect();
            if plane.project(&start).0 > 0.0 {
                plane.axes[0].iter_mut().for_each(|v| *v = -*v);
            }
        }
        plane
    }

    /// Where `theta` `[P]` lies on the plane.
    pub fn project(&self, theta: &[f32]) -> Point {
        let along = |axis: &[f64]| {
            theta.iter().zip(&self.origin).zip(axis).map(|((t, o), a)| (f64::from(*t) - o) * a).sum::<f64>()
        };
        (along(&self.axes[0]), along(&self.axes[1]))
    }

    /// The network `[P]` at a point of the plane.
    pub fn lift(&self, (a, b): Point) -> Vec<f32> {
        let axes = self.axes[0].iter().zip(&self.axes[1]);
        self.origin.iter().zip(axes).map(|(o, (x, y))| (o + a * x + b * y) as f32).collect()
    }

    /// Lifted points of a grid of `rows` × `columns` over `x` × `y`, `[rows · columns, P]`.
    pub fn grid(&self, rows: usize, columns: usize, x: Point, y: Point) -> Vec<f32> {
        let place = |(from, to): Point, i: usize, n: usize| from + (to - from) * i as f64 / (n - 1) as f64;
        let points = (0..rows * columns).map(|i| (place(x, i % columns, columns), place(y, i / columns, rows)));
        points.flat_map(|point| self.lift(point)).collect()
    }
}

fn mean(points: &[f32], p: usize) -> Vec<f64> {
    let mut mean = vec![0.0; p];
    for point in points.chunks_exact(p) {
        mean.iter_mut().zip(point).for_each(|(m, v)| *m += f64::from(*v));
    }
    let n = (points.len() / p).max(1) as f64;
    mean.iter_mut().for_each(|m| *m /= n);
    mean
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
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
            let length = dot(&v, &v).sqrt();
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
        let plane = Plane::of(&points, &points[..p], p);
        assert!(plane.project(&points[..p]).0 < 0.0);
        for point in points.chunks_exact(p) {
            let lifted = plane.lift(plane.project(point));
            let error = lifted.iter().zip(point).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error < 1e-4, "{error}");
        }
        assert!(dot(&plane.axes[0], &plane.axes[1]).abs() < 1e-9);
        assert_eq!(plane.grid(2, 3, (0.0, 1.0), (0.0, 1.0)).len(), 6 * p);
    }
}
