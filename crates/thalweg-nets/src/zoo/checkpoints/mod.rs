//! Networks in files that were written elsewhere: which files of a folder are networks, in which order, and what each holds.
//!
//! | piece | what |
//! | --- | --- |
//! | [`order`] | names in natural order, and checkpoints in order of time |
//! | [`foreign`] | files in other formats, told by their content |
//! | [`pytorch`] | files of `torch.save`, read as data |
//! | `head` | what one file says that it holds, and the bytes of its tensors |
//! | [`network`] | one network: one file, or the shards of one |
//! | [`names`] | tensors found although a wrapper put a prefix before their names |
//! | [`folder`] | what lies in one folder |
//! | [`runs`] | a folder read as runs of checkpoints |
//!
//! Everything that reads networks from a folder does it by [`networks`] or [`runs::find`], so that all agree on the order and on what is passed over.
pub mod folder;
pub mod foreign;
pub(crate) mod head;
pub mod names;
pub mod network;
pub mod order;
pub mod pytorch;
pub mod runs;
mod tokens;

pub use folder::{PassedOver, networks};
pub use network::Network;
pub use order::By;
pub use runs::{Found, Run};
