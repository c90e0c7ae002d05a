//! Which nodes each tensor of a base network joins: the graph that the equivariant field passes messages along (M23).
//!
//! A node is a hidden unit, or something in a fixed order: an input, a logit, a place within a kernel of the first layer. The hidden units that one
//! permutation moves are a group of nodes, and so is every fixed axis. A weight matrix joins two groups, a bias or a scale belongs to one.
use crate::space::symmetry::SymmetryTable;
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thalweg_nets::Architecture;
use thalweg_nets::layout::{Role, Slot};

/// The groups of nodes of an architecture, and the tensors between them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wiring {
    /// The groups of nodes: of hidden units that one permutation moves, or of entries in a fixed order.
    pub groups: Vec<Nodes>,
    /// The tensors of θ, in order.
    pub tensors: Vec<Wire>,
}

/// A group of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nodes {
    /// Nodes in the group.
    pub units: usize,
    /// Whether the nodes of the group have a fixed order, so that each is told from the others by its place.
    pub fixed: bool,
}

/// One tensor: `[rows]`, or `[rows, columns, inner]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wire {
    /// Index of the group along the tensor's first axis.
    pub rows: usize,
    /// Index of the group along the tensor's second axis; none for a vector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns: Option<usize>,
    /// Numbers for each pair of nodes, each of them a kind of message of its own (the places of a kernel; 1 for plain matrices and vectors).
    pub inner: usize,
}

impl Wiring {
    /// The wiring of `architecture`.
    ///
    /// # Errors
    /// An architecture with a tensor whose rows are moved in blocks while its columns are moved too, with the tensor's name.
    pub fn of(architecture: &Architecture) -> Result<Self> {
        let table = SymmetryTable::of(architecture);
        let groups = table.symmetries.iter().map(|s| Nodes { units: s.units, fixed: false }).collect();
        let mut wiring = Self { groups, tensors: Vec::new() };
        let mut outputs = BTreeMap::new();
        for (i, slot) in table.layout().slots().iter().enumerate() {
            let moved = table.symmetries.iter().enumerate().flat_map(|(group, symmetry)| {
                symmetry.axes.iter().filter(|moved| moved.slot == i).map(move |moved| (moved.axis, group, moved.block))
            });
            let wire = wiring.wire(slot, &moved.collect::<Vec<_>>(), &mut outputs)?;
            wiring.tensors.push(wire);
        }
        Ok(wiring)
    }

    /// Numbers in θ.
    pub fn dimension(&self) -> usize {
        self.tensors.iter().map(|wire| self.numbers(wire)).fold(0, usize::saturating_add)
    }

    /// Numbers in one tensor.
    pub(super) fn numbers(&self, wire: &Wire) -> usize {
        let columns = wire.columns.map_or(1, |columns| self.groups[columns].units);
        self.groups[wire.rows].units.saturating_mul(columns).saturating_mul(wire.inner)
    }

    /// # Errors
    /// No tensor, tensors of groups that there are not, groups without tensors or nodes: a file that was changed by hand.
    pub fn check(&self) -> Result<()> {
        let refused = |found: String| {
            let expected = "tensors between groups of nodes, as the architecture has them";
            Err(Error::parameter("field.equivariant.wiring", expected, found))
        };
        let fits = |wire: &Wire| {
            let groups = wire.rows.max(wire.columns.unwrap_or(0)) < self.groups.len();
            groups && wire.inner > 0 && (wire.columns.is_some() || wire.inner == 1)
        };
        let of = |group: usize| move |wire: &Wire| wire.rows == group || wire.columns == Some(group);
        let used = |group: usize| self.groups[group].units > 0 && self.tensors.iter().any(of(group));
        match (self.tensors.iter().position(|wire| !fits(wire)), (0..self.groups.len()).find(|&group| !used(group))) {
            _ if self.tensors.is_empty() => refused("no tensor".into()),
            (Some(i), _) => refused(format!("tensor {i} with groups or an inner that cannot be")),
            (None, Some(group)) => refused(format!("group {group} without nodes or tensors")),
            (None, None) => Ok(()),
        }
    }

    /// Where `slot` lies, whose axes are `moved` (axis, group, block); `outputs` holds the fixed first axes met so far, by the layer's name and length.
    fn wire(
        &mut self,
        slot: &Slot,
        moved: &[(usize, usize, usize)],
        outputs: &mut BTreeMap<(String, usize), usize>,
    ) -> Result<Wire> {
        // The leading axes of embeddings, of one entry each, are no axes.
        let skipped = match slot.role {
            Role::Token => 2,
            Role::Position => 1,
            _ => 0,
        };
        let shape = &slot.shape[skipped..];
        let on =
            |axis: usize| moved.iter().find(|(at, ..)| *at == axis + skipped).map(|(_, group, block)| (*group, *block));
        let rest: usize = shape.iter().skip(1).product();
        let layer = slot.name.rsplit_once('.').map_or("", |(layer, _)| layer).to_owned();
        let length = shape.first().copied().unwrap_or(1);
        let wire = match (on(0), on(1)) {
            (Some((rows, 1)), Some((columns, _))) => {
                Some(Wire { rows, columns: Some(columns), inner: rest / self.groups[columns].units })
            }
            (Some(_), Some(_)) => None,
            (None, Some((columns, _))) => {
                let rows = *outputs.entry((layer, length)).or_insert_with(|| self.fixed(length));
                Some(Wire { rows, columns: Some(columns), inner: rest / self.groups[columns].units })
            }
            (Some((rows, block)), None) => {
                let columns = (block * rest > 1).then(|| self.fixed(block * rest));
                Some(Wire { rows, columns, inner: 1 })
            }
            (None, None) => {
                let rows = *outputs.entry((layer, length)).or_insert_with(|| self.fixed(length));
                let columns = (rest > 1).then(|| self.fixed(rest));
                Some(Wire { rows, columns, inner: 1 })
            }
        };
        wire.ok_or_else(|| {
            Error::unsupported(
                format!("tensor {} of shape {:?}", slot.name, slot.shape),
                "field equivariant",
                "one whose hidden units lie along one of the first two axes, or along both with those of the first unit by unit; or another field",
            )
        })
    }

    /// A new group of nodes in a fixed order.
    fn fixed(&mut self, units: usize) -> usize {
        self.groups.push(Nodes { units, fixed: true });
        self.groups.len() - 1
    }
}
