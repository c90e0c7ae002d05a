//! The hospitals of the heart disease data.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A hospital, or all of them but Cleveland.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Site {
    /// Cleveland Clinic: the home population P.
    #[default]
    Cleveland,
    /// Hungarian Institute of Cardiology.
    Hungary,
    /// University hospitals of Zurich and Basel.
    Switzerland,
    /// V.A. Medical Center, Long Beach.
    LongBeach,
    /// The three others together: the shifted population Q.
    Others,
}

impl Site {
    pub(super) fn holds(self, name: &str) -> bool {
        match self {
            Site::Cleveland => name == "Cleveland",
            Site::Hungary => name == "Hungary",
            Site::Switzerland => name == "Switzerland",
            Site::LongBeach => name == "VA Long Beach",
            Site::Others => name != "Cleveland",
        }
    }
}
