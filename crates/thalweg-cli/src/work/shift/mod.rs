//! What the commands of `thalweg shift` do: rows of P and Q (`rows`), files of logits (`logits` and their `columns`), what a calibration is made from
//! (`parts`) and has made (`made`), queries (`query`), verdicts in sentences and results (`verdict`), tables and pages (`page`), and `watch`.
pub mod columns;
pub mod logits;
pub mod made;
pub mod page;
pub mod parts;
pub mod query;
pub mod rows;
pub mod verdict;
pub mod watch;
