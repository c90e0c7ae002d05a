//! [`Kind`]: a reward on data that has a name, so that a program can be asked for it.
use super::Reward;
use crate::Result;
use thalweg_nets::data::Dataset;
use thalweg_nets::engine::Engine;

/// Which rows a call looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// All of them, every time: for judging.
    All,
    /// So many, drawn anew for every call.
    Batch(usize),
}

/// What a reward on data is made from.
#[derive(Debug)]
pub struct Request<'a> {
    /// In words, what the data are: for model cards.
    pub name: &'a str,
    /// The networks that are rewarded.
    pub engine: &'a Engine,
    /// The data.
    pub data: Dataset,
    /// Which rows a call looks at.
    pub rows: Rows,
    /// Log-odds that rewards with a margin ask for.
    pub margin: f32,
}

/// A kind of reward on data.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name, as `NAME:DATA` has it.
    pub name: &'static str,
    /// What it is, in a few words for a line of help.
    pub about: &'static str,
    /// Makes one.
    pub make: fn(Request) -> Result<Box<dyn Reward>>,
}

/// By name: a name is of one kind.
impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
