//! What the commands of `thalweg shift` do: rows of P and Q (`rows`), files of logits (`logits` and their `columns`), the network that is f, of files or of a zoo
//! (`classifier`), models that are commands of the user's (`command`, which asks it by `predict`; tables in a `frame`), what a calibration is made from (`parts`, which `read` reads) and has made
//! (`made`), kept where (`cache`); queries (`query`), and rows that come on stdin (`stream`), verdicts in sentences and results (`verdict`), what to look at (`looking`), tables and pages (`page`),
//! all of that in order (`answer`), and `watch`.
pub mod answer;
pub mod cache;
mod classifier;
pub mod columns;
pub mod command;
mod frame;
pub mod logits;
pub mod looking;
pub mod made;
pub mod page;
pub mod parts;
pub mod predict;
pub mod query;
pub mod read;
pub mod rows;
pub mod stream;
pub mod verdict;
pub mod watch;
