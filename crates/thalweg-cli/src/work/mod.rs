//! What commands and experiments both do: zoos as flags and files ask for them, networks in files, fits and tunings into folders, judgements, and what
//! is to be said of a fit before and after it. Commands and experiments know this; it knows neither.
pub mod fit;
pub mod judge;
mod length;
pub mod networks;
pub mod outlook;
pub mod plan;
pub mod tune;
pub mod zoo;
