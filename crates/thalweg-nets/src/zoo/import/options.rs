//! What a user says of checkpoints that are imported.
use crate::architecture::Architecture;
use crate::data::DataSpec;
use crate::init::Initialisation;
use crate::layout::Layout;
use std::path::PathBuf;

/// What is known of the checkpoints beside their numbers.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// What the user calls the zoo.
    pub name: String,
    /// The architecture; its layout is then required of every network, and kept. Else the first network gives the layout.
    pub architecture: Option<Architecture>,
    /// The tensors in the order in which they shall lie in θ, where no architecture says it: files have an order of their own, mostly that of the names.
    pub layout: Option<Layout>,
    /// The data that the networks are for: with the architecture, every checkpoint is scored on its validation rows.
    pub data: Option<DataSpec>,
    /// The law that the runs started from; it is known for the tensors of an architecture only.
    pub initialisation: Option<Initialisation>,
    /// When checkpoints were taken, `[K]`, rising from 0 to 1 (or `[1.0]`); equally spaced where not given.
    pub times: Option<Vec<f64>>,
    /// Patterns over the names of tensors (`*` for any characters): only those that one of them matches are modelled, the rest is frozen as it stands in
    /// the base checkpoint. Empty: all.
    pub tensors: Vec<String>,
    /// Patterns over the names of tensors that are not modelled.
    pub except: Vec<String>,
    /// The base checkpoint, a whole network: frozen tensors, counters and masks are its own in every network that is written, and checkpoints need not hold
    /// what is not modelled. Without one it is the last checkpoint of the first run, and frozen tensors have to be equal in all networks.
    pub base: Option<PathBuf>,
    /// Bring the factors of low-rank adapters (`lora_A`, `lora_B`) into their balanced form, with singular values falling: factors that differ but by an
    /// invertible matrix between them are then the same point.
    pub canonical: bool,
    /// Replace a zoo that is there already.
    pub force: bool,
}
