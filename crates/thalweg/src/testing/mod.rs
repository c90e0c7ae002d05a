//! What tests share: closed forms that methods are held against, and networks that were trained before.
pub mod energy;
pub mod kept;
