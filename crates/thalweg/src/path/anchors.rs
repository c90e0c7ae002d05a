//! B curves through A marginals (M4, M5): for every curve the row of each marginal that it passes.
//!
//! Points stay where they are kept and only rows are named, so that a batch through many marginals costs no more memory traffic than
//! its path reads: a straight piece reads two points of a curve, however many marginals there are.
use crate::{Error, Result};
use std::borrow::Cow;

/// Points of one marginal `[m, P]`, and the row of each curve among them `[B]`.
#[derive(Clone, Debug)]
pub struct MarginalPoints<'a> {
    /// `[m, P]`, borrowed or owned.
    pub points: Cow<'a, [f32]>,
    /// Row of curve i.
    pub row_of_curve: Vec<usize>,
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Anchors<'a> {
    dimension: usize,
    marginals: Vec<MarginalPoints<'a>>,
}

impl<'a> Anchors<'a> {
    /// Curves through these rows; every marginal names one row for each curve.
    ///
    /// # Errors
    /// No marginal, unequal numbers of curves, or a row beyond its points.
    pub fn new(dimension: usize, marginals: Vec<MarginalPoints<'a>>) -> Result<Self> {
        let curves = marginals.first().map_or(0, |rows| rows.row_of_curve.len());
        let fits = |rows: &MarginalPoints| {
            let (whole, held) = (rows.points.len().is_multiple_of(dimension), rows.points.len() / dimension);
            whole && rows.row_of_curve.len() == curves && rows.row_of_curve.iter().all(|&row| row < held)
        };
        if dimension == 0 || curves == 0 || !marginals.iter().all(fits) {
            let sizes: Vec<_> = marginals.iter().map(|rows| (rows.row_of_curve.len(), rows.points.len())).collect();
            let expected = format!("one row of [m, {dimension}] for each of B curves, B at least 1, in every marginal");
            return Err(Error::shape("anchors", expected, format!("(rows, numbers) {sizes:?}")));
        }
        Ok(Self { dimension, marginals })
    }

    /// Curves whose points lie together as `points [A, B, P]`.
    ///
    /// # Errors
    /// Points of another shape.
    pub fn dense(points: &'a [f32], marginals: usize, dimension: usize) -> Result<Self> {
        let whole = marginals * dimension;
        if whole == 0 || points.is_empty() || !points.len().is_multiple_of(whole) {
            let expected = format!("[{marginals}, B, {dimension}] with B at least 1");
            return Err(Error::shape("anchors", expected, format!("[{}]", points.len())));
        }
        let curves = points.len() / whole;
        let rows = points
            .chunks_exact(curves * dimension)
            .map(|points| MarginalPoints { points: Cow::Borrowed(points), row_of_curve: (0..curves).collect() });
        Self::new(dimension, rows.collect())
    }

    /// P.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// A.
    pub fn marginals(&self) -> usize {
        self.marginals.len()
    }

    /// B.
    pub fn curves(&self) -> usize {
        self.marginals[0].row_of_curve.len()
    }

    /// Where `curve` passes `marginal`, `[P]`.
    pub fn point(&self, marginal: usize, curve: usize) -> &[f32] {
        let rows = &self.marginals[marginal];
        &rows.points[rows.row_of_curve[curve] * self.dimension..][..self.dimension]
    }

    /// The points of `marginal`, curve by curve.
    pub fn marginal(&self, marginal: usize) -> impl Iterator<Item = &[f32]> {
        (0..self.curves()).map(move |curve| self.point(marginal, curve))
    }

    /// All points together, `[A, B, P]`.
    pub fn to_dense(&self) -> Vec<f32> {
        (0..self.marginals()).flat_map(|m| self.marginal(m)).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_and_shapes_are_held_to() {
        let points: Vec<f32> = (0..12u8).map(f32::from).collect();
        let dense = Anchors::dense(&points, 2, 2).unwrap();
        assert_eq!((dense.marginals(), dense.curves(), dense.dimension()), (2, 3, 2));
        assert_eq!(dense.point(1, 2), [10.0, 11.0]);
        assert_eq!(dense.to_dense(), points);
        let rows = |row_of_curve: &[usize]| MarginalPoints {
            points: Cow::Borrowed(&points),
            row_of_curve: row_of_curve.to_vec(),
        };
        let crossed = Anchors::new(2, vec![rows(&[5, 0]), rows(&[1, 1])]).unwrap();
        assert_eq!(crossed.to_dense(), [10.0, 11.0, 0.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
        for bad in [vec![], vec![rows(&[])], vec![rows(&[0]), rows(&[0, 1])], vec![rows(&[6])]] {
            assert!(Anchors::new(2, bad).unwrap_err().to_string().contains("anchors"));
        }
        assert!(Anchors::dense(&points, 5, 2).is_err() && Anchors::dense(&points, 0, 2).is_err());
    }
}
