//! Filled contours of a function on a grid: for each level the area where the function is at least that high, as polygons
//! cut cell by cell by linear interpolation. Drawn from the lowest level up, each over the last.
use super::{Mark, Point};

/// Contour areas of `values [rows, columns]` over the rectangle `x` × `y`, one mark for each of `levels` (rising);
/// the area below the first level is not drawn. Level i gets the class `h{i}`.
pub fn filled(values: &[f64], columns: usize, x: Point, y: Point, levels: &[f64]) -> Vec<Mark> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    if rows < 2 || columns < 2 {
        return Vec::new();
    }
    let at = |r: usize, c: usize| {
        let place = |(from, to): Point, i: usize, n: usize| from + (to - from) * i as f64 / (n - 1) as f64;
        (place(x, c, columns), place(y, r, rows), values[r * columns + c])
    };
    let mut marks = Vec::new();
    for (level, &threshold) in levels.iter().enumerate() {
        let mut polygons: Vec<Vec<Point>> = Vec::new();
        for r in 0..rows - 1 {
            // Cells that lie wholly inside are joined along the row: fewer, larger polygons.
            let mut run: Option<usize> = None;
            for c in 0..columns {
                let corners = (c + 1 < columns).then(|| [at(r, c), at(r, c + 1), at(r + 1, c + 1), at(r + 1, c)]);
                let whole = corners.is_some_and(|k| k.iter().all(|p| p.2 >= threshold));
                if whole {
                    run.get_or_insert(c);
                    continue;
                }
                if let Some(first) = run.take() {
                    let (a, b) = (at(r, first), at(r + 1, c));
                    polygons.push(vec![(a.0, a.1), (b.0, a.1), (b.0, b.1), (a.0, b.1)]);
                }
                if let Some(corners) = corners {
                    let cut = clip(&corners, threshold);
                    if cut.len() > 2 {
                        polygons.push(cut);
                    }
                }
            }
        }
        if !polygons.is_empty() {
            marks.push(Mark::Cells { polygons, level });
        }
    }
    marks
}

/// The part of a polygon with heights where the height is at least `threshold`.
fn clip(corners: &[(f64, f64, f64)], threshold: f64) -> Vec<Point> {
    let mut cut = Vec::new();
    for (i, &a) in corners.iter().enumerate() {
        let b = corners[(i + 1) % corners.len()];
        if a.2 >= threshold {
            cut.push((a.0, a.1));
        }
        if (a.2 >= threshold) != (b.2 >= threshold) {
            let s = (threshold - a.2) / (b.2 - a.2);
            cut.push((a.0 + s * (b.0 - a.0), a.1 + s * (b.1 - a.1)));
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(polygon: &[Point]) -> f64 {
        let pairs = (0..polygon.len()).map(|i| (polygon[i], polygon[(i + 1) % polygon.len()]));
        0.5 * pairs.map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs()
    }

    /// For a plane the cut is exact: the area of the half-plane within the unit square.
    #[test]
    fn areas_of_a_plane_are_exact() {
        let (rows, columns) = (7, 9);
        let values: Vec<f64> =
            (0..rows * columns).map(|i| (i % columns) as f64 / 8.0 + (i / columns) as f64 / 6.0).collect();
        let marks = filled(&values, columns, (0.0, 1.0), (0.0, 1.0), &[-1.0, 0.5, 1.0, 1.7, 3.0]);
        let areas: Vec<f64> = marks
            .iter()
            .map(|m| match m {
                Mark::Cells { polygons, .. } => polygons.iter().map(|p| area(p)).sum(),
                _ => 0.0,
            })
            .collect();
        for (found, expected) in areas.iter().zip([1.0, 1.0 - 0.125, 0.5, 0.5 * 0.3 * 0.3]) {
            assert!((found - expected).abs() < 1e-9, "{areas:?}");
        }
        assert_eq!(areas.len(), 4);
    }
}
