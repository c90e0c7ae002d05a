//! What is asked of a reader, and what it finds.
use crate::data::table::Table;

/// What a reader found: a pool to train on, and the official test rows where the set has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Rows to cut training and validation rows from (and test rows where there are no official ones).
    pub pool: Table,
    /// Official test rows.
    pub test: Option<Table>,
}

/// What is asked of a reader beside the file.
#[derive(Clone, Copy, Debug)]
pub(in crate::data) struct Asked<'a> {
    /// The columns that the networks at hand take, in their order; empty where they are not known by name.
    pub features: &'a [String],
    /// Whether every row must have a label.
    pub labelled: bool,
}
