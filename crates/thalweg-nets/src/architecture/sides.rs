//! Height and width together.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `[height, width]` of a kernel, a window, a stride or a padding. In TOML one number where they are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written", into = "Written")]
pub struct Sides(pub [usize; 2]);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "a number of at least 0 or [height, width]")]
enum Written {
    Both(usize),
    Each([usize; 2]),
}

impl Sides {
    /// 1 × 1.
    pub(super) fn one() -> Self {
        Self([1; 2])
    }

    pub(crate) fn is_one(&self) -> bool {
        self.0 == [1; 2]
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.0 == [0; 2]
    }
}

impl From<usize> for Sides {
    fn from(side: usize) -> Self {
        Self([side; 2])
    }
}

impl From<Written> for Sides {
    fn from(written: Written) -> Self {
        match written {
            Written::Both(side) => Self([side; 2]),
            Written::Each(sides) => Self(sides),
        }
    }
}

impl From<Sides> for Written {
    fn from(Sides([h, w]): Sides) -> Self {
        if h == w { Self::Both(h) } else { Self::Each([h, w]) }
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.0 {
            [h, w] if h == w => write!(f, "{h}"),
            [h, w] => write!(f, "[{h}, {w}]"),
        }
    }
}
