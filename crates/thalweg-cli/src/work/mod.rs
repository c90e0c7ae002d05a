//! What commands and experiments both do, each in a file of one duty: architectures, zoos, fits and tunings as flags and files ask for them; fits and
//! tunings into folders; latents, samples, judgements; and what is to be said of a fit before and after it. Commands and experiments know this;
//! it knows neither.
pub mod architecture;
pub mod barriers;
pub mod demo;
pub mod encode;
pub mod eval;
pub mod evidence;
pub mod fit;
pub mod import;
pub mod judge;
mod length;
pub mod model;
pub mod networks;
pub mod next;
pub mod outlook;
pub mod pieces;
pub mod plan;
pub mod predict;
pub mod process;
pub mod sample;
pub mod scores;
pub mod shift;
pub mod submit;
pub mod task;
pub mod tune;
pub mod weights;
pub mod zoo;
