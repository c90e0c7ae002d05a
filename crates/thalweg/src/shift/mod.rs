//! Harmful covariate shift (M14, M15, M16): does a classifier f, trained on P, still know what it does on the unlabelled rows Q?
//!
//! A **constrained disagreement classifier** (CDC, Ginsberg et al. 2023) is a network that agrees with f on P and was asked to disagree
//! on Q. Where Q looks like P it cannot do both; where f is guessing it can. How often it disagrees is compared with how often CDCs
//! disagree on held-out rows of P of the same number: that is the null law, and it gives a p-value without any assumption.
//!
//! - [`base`]: f and rows as f sees them; [`mod@reference`]: the parts of P.
//! - [`mod@test`]: what every test is, [`ShiftTest`]; [`law`]: null laws, p-values, their combination, and what a test is worth.
//! - [`disagreement`]: tests by networks beside f. CDCs trained for a query (Detectron), once (the bank), drawn from a flow that is tuned to the query
//!   (meta-detectron) or from one that takes the query as its context.
//! - [`baselines`]: tests without CDCs (M16): entropy, deep ensembles, Mahalanobis distances, black-box shift detection, kernels, classifiers.
//! - [`estimate`]: how often f is right on Q, with an interval, or that it cannot be told; [`counterpart`]: whether a change that f bears explains what
//!   tests of harm see; [`encoding`]: tables as inputs; [`explain`]: which rows, features, classes and subgroups to look at.
//! - [`factory`]: what a test says of itself; [`method`]: all of them by name; [`stored`]: what a test keeps in a file; [`calibration`]: tests
//!   prepared once, in one file; [`watch`]: batches one after the other, with a bound on false alarms over all time.
//!
//! Which to take: the bank has the most power per second; input Mahalanobis is as strong where the shift shows in the inputs, but it also
//! fires where f does better than on P, and then nothing is wrong. No test here says *which* rows f gets wrong.
pub mod base;
pub mod baselines;
pub mod calibration;
mod config;
pub mod counterpart;
pub mod disagreement;
pub mod encoding;
pub mod estimate;
pub mod explain;
pub mod factory;
pub mod law;
pub mod method;
pub mod reference;
pub mod stored;
pub mod test;
pub mod watch;
#[cfg(test)]
mod world;

pub use base::{Base, Sample, Schema};
pub use law::null::NullLaw;
pub use method::Method;
pub use reference::Reference;
pub use test::{ShiftTest, Statistic};
