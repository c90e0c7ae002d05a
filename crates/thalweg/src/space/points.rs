//! Points `[n, P]` that are read as they are needed: all of them, where P is large, would not fit into memory.
use super::coordinates::Coordinates;
use crate::{Error, Result};
use std::ops::Range;
use thalweg_nets::zoo::ZooStore;

/// Points `[n, P]`, by rows or by columns.
pub trait Points: Sync {
    /// n.
    fn count(&self) -> usize;

    /// P.
    fn dimension(&self) -> usize;

    /// The points `rows`, whole: `[rows, P]`.
    ///
    /// # Errors
    /// A file that cannot be read any more.
    fn rows(&self, rows: Range<usize>) -> Result<Vec<f32>>;

    /// The numbers `columns` of all points: `[n, columns]`.
    ///
    /// # Errors
    /// As [`Self::rows`].
    fn columns(&self, columns: Range<usize>) -> Result<Vec<f32>>;
}

/// Points in memory.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    points: &'a [f32],
    dimension: usize,
}

impl<'a> Held<'a> {
    /// `points [n, dimension]`.
    ///
    /// # Errors
    /// Numbers that are no whole points.
    pub fn new(points: &'a [f32], dimension: usize) -> Result<Self> {
        match dimension > 0 && points.len().is_multiple_of(dimension) {
            true => Ok(Self { points, dimension }),
            false => Err(Error::shape("points", format!("[n, {dimension}]"), format!("[{}]", points.len()))),
        }
    }
}

impl Points for Held<'_> {
    fn count(&self) -> usize {
        self.points.len() / self.dimension
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn rows(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        Ok(self.points[rows.start * self.dimension..rows.end * self.dimension].to_vec())
    }

    fn columns(&self, columns: Range<usize>) -> Result<Vec<f32>> {
        Ok(self.points.chunks_exact(self.dimension).flat_map(|row| &row[columns.clone()]).copied().collect())
    }
}

/// Networks of zoos in standardised coordinates (M2), left in their files.
pub struct Stored<'a> {
    zoos: Vec<&'a ZooStore>,
    coordinates: &'a Coordinates,
    /// Zoo, run and checkpoint of every point.
    items: Vec<(usize, usize, usize)>,
}

impl<'a> Stored<'a> {
    /// The networks `items` (zoo, run, checkpoint) of `zoos`, which have one layout.
    pub fn new(zoos: Vec<&'a ZooStore>, coordinates: &'a Coordinates, items: Vec<(usize, usize, usize)>) -> Self {
        Self { zoos, coordinates, items }
    }
}

impl Points for Stored<'_> {
    fn count(&self) -> usize {
        self.items.len()
    }

    fn dimension(&self) -> usize {
        self.coordinates.dimension()
    }

    fn rows(&self, rows: Range<usize>) -> Result<Vec<f32>> {
        let mut out = vec![0.0; rows.len() * self.dimension()];
        for ((zoo, run, checkpoint), row) in self.items[rows].iter().zip(out.chunks_exact_mut(self.dimension())) {
            self.zoos[*zoo].gather(&[(*run, *checkpoint)], row)?;
        }
        self.coordinates.standardise(&mut out);
        Ok(out)
    }

    fn columns(&self, columns: Range<usize>) -> Result<Vec<f32>> {
        let mut out = vec![0.0; self.items.len() * columns.len()];
        for ((zoo, run, checkpoint), row) in self.items.iter().zip(out.chunks_exact_mut(columns.len().max(1))) {
            self.zoos[*zoo].part(*run, *checkpoint, columns.start, row)?;
        }
        self.coordinates.standardise_columns(columns, &mut out);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_columns_are_those_of_the_matrix() {
        let all: Vec<f32> = (0..12u8).map(f32::from).collect();
        let held = Held::new(&all, 4).unwrap();
        assert_eq!((held.count(), held.dimension()), (3, 4));
        assert_eq!(held.rows(1..3).unwrap(), all[4..]);
        assert_eq!(held.columns(1..3).unwrap(), [1.0, 2.0, 5.0, 6.0, 9.0, 10.0]);
        assert!(Held::new(&all, 5).is_err() && Held::new(&all, 0).is_err());
    }
}
