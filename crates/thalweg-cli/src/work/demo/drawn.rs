//! What the demo draws.
use thalweg::model::MetaModel;
use thalweg::model::sample::Samples;

/// One flow and what was drawn from it.
pub(super) struct Drawn {
    pub(super) model: MetaModel,
    pub(super) samples: Samples,
}
