//! Tests by constrained disagreement (M14, M15): classifiers that agree with f on P and disagree with it on the query, trained, drawn from a bank, or
//! sampled from a flow.
mod answered;
pub mod bank;
pub mod bank_config;
pub mod cdc;
pub mod choose;
pub mod conditional;
pub mod conditional_config;
pub mod detectron;
pub mod distil;
mod flow;
pub mod members;
pub mod meta;
pub mod meta_config;
mod pairs;
pub mod rounds;
mod subset;

#[cfg(test)]
mod foreign_tests;
