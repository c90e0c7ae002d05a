//! Architectures that `thalweg-nets` is held against PyTorch with, and random orders of hidden units.
use crate::space::symmetry::SymmetryTable;
use rand::Rng;
use rand::seq::SliceRandom;
use std::path::Path;
use thalweg_nets::Architecture;

/// The architecture called `name` there.
pub fn golden(name: &str) -> Architecture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../thalweg-nets/tests/data/architectures");
    Architecture::read(&folder.join(format!("{name}.toml"))).unwrap()
}

/// A random order for every symmetry of `table`.
pub fn orders(table: &SymmetryTable, rng: &mut impl Rng) -> Vec<Vec<usize>> {
    let order = |units: usize, rng: &mut _| {
        let mut order: Vec<usize> = (0..units).collect();
        order.shuffle(rng);
        order
    };
    table.symmetries.iter().map(|symmetry| order(symmetry.units, rng)).collect()
}
