//! Which axis of which tensor is moved by which permutation of hidden units: the symmetry group of an [`Architecture`] (M3, M23).
//!
//! The table is derived from the layers alone. Every hidden layer's units may be reordered if the layer that makes them, the
//! normalisation over them and the layer that reads them follow; a flatten turns one channel into a block of inputs; a residual
//! addition forces its branch to end in the order that its shortcut ends in, or that it began with; the outputs of a depthwise convolution move
//! with its inputs; a transpose exchanges features and tokens; inputs and logits have a fixed order. Elementwise activations and pooling commute
//! with permutations, so they leave no trace in the table.
//!
//! Left out, so that alignment does not move them: channels that go into or out of a grouped convolution that is not depthwise, or into a group
//! normalisation of more than one group and fewer than the channels, or beside channels of zeros (`pad-channels`); and what is within the heads
//! of an attention. Tokens that came from an image keep their places.
use crate::{Error, Layout, Result};
use thalweg_nets::Architecture;
use thalweg_nets::architecture::{Convolution, Layer, Operation, Over, Shape, Sides, shape_after};

/// One axis of a tensor that a permutation moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedAxis {
    /// Index of the tensor in the layout's slots.
    pub slot: usize,
    /// Which axis of it.
    pub axis: usize,
    /// Neighbouring entries that move together (height · width after a flatten, else 1).
    pub block: usize,
}

/// One permutation that leaves the function as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symmetry {
    /// Units that may be reordered.
    pub units: usize,
    /// Everything that must follow.
    pub axes: Vec<MovedAxis>,
}

/// All permutations of one architecture, and the layout they act on.
#[derive(Clone, Debug, PartialEq)]
pub struct SymmetryTable {
    /// The free permutations.
    pub symmetries: Vec<Symmetry>,
    layout: Layout,
}

/// The order of the entries along an axis while the table is made.
#[derive(Clone, Copy, Debug)]
enum Order {
    /// As the outside world has it.
    Fixed,
    /// `group`'s permutation, each unit a block of entries.
    Of { group: usize, block: usize },
}

/// The order of an activation's channels (features), and of its positions (tokens).
#[derive(Clone, Copy, Debug)]
struct Place {
    channels: Order,
    positions: Order,
}

/// A group of units: free, or found to be bound to another order.
#[derive(Clone, Copy, Debug)]
enum Group {
    Free { units: usize },
    Bound(Order),
}

#[derive(Default)]
struct Walk {
    groups: Vec<Group>,
    axes: Vec<(usize, usize, Order)>,
    slot: usize,
}

impl SymmetryTable {
    /// The table of `architecture`.
    pub fn of(architecture: &Architecture) -> Self {
        let mut walk = Walk::default();
        let start = Place { channels: Order::Fixed, positions: Order::Fixed };
        let end = walk.layers(architecture.layers(), architecture.input(), start);
        walk.bind(end.channels, Order::Fixed);
        let mut symmetries: Vec<Option<Symmetry>> = walk
            .groups
            .iter()
            .map(|g| match g {
                Group::Free { units } => Some(Symmetry { units: *units, axes: Vec::new() }),
                Group::Bound(_) => None,
            })
            .collect();
        for &(slot, axis, order) in &walk.axes {
            if let Order::Of { group, block } = walk.resolve(order)
                && let Some(symmetry) = &mut symmetries[group]
            {
                symmetry.axes.push(MovedAxis { slot, axis, block });
            }
        }
        Self { symmetries: symmetries.into_iter().flatten().collect(), layout: Layout::of(architecture) }
    }

    /// The layout θ has.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Moves the hidden units of `theta [n, P]` in place: unit i of symmetry s becomes the old unit `permutations[s][i]`.
    ///
    /// # Errors
    /// Weights that are not `[n, P]`, or anything that is not one permutation for every symmetry.
    pub fn permute(&self, theta: &mut [f32], permutations: &[Vec<usize>]) -> Result<()> {
        if permutations.len() != self.symmetries.len() {
            return Err(Error::shape("permutations", format!("[{}]", self.symmetries.len()), permutations.len()));
        }
        for (s, (symmetry, permutation)) in self.symmetries.iter().zip(permutations).enumerate() {
            let mut sorted = permutation.clone();
            sorted.sort_unstable();
            if !sorted.into_iter().eq(0..symmetry.units) {
                let expected = format!("each of 0 to {} once", symmetry.units - 1);
                return Err(Error::parameter(format!("permutations[{s}]"), expected, format!("{permutation:?}")));
            }
        }
        let p = self.layout.len();
        if !theta.len().is_multiple_of(p) {
            return Err(Error::shape("theta", format!("[n, {p}]"), format!("[{}]", theta.len())));
        }
        for network in theta.chunks_exact_mut(p) {
            for (symmetry, permutation) in self.symmetries.iter().zip(permutations) {
                for moved in &symmetry.axes {
                    let slot = &self.layout.slots()[moved.slot];
                    let old = network[slot.range()].to_vec();
                    let (outer, run) = strides(&slot.shape, moved);
                    let axis = symmetry.units * run;
                    let new = &mut network[slot.range()];
                    for o in 0..outer {
                        for (i, &from) in permutation.iter().enumerate() {
                            let (to, from) = (o * axis + i * run, o * axis + from * run);
                            new[to..to + run].copy_from_slice(&old[from..from + run]);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// How an axis lies in a tensor of `shape`: how many times it is run through, and the neighbouring numbers that one unit owns each time.
pub fn strides(shape: &[usize], moved: &MovedAxis) -> (usize, usize) {
    (shape[..moved.axis].iter().product(), shape[moved.axis + 1..].iter().product::<usize>() * moved.block)
}

impl Walk {
    fn layers(&mut self, layers: &[Layer], mut shape: Shape, mut place: Place) -> Place {
        for layer in layers {
            self.layer(&layer.operation, shape, &mut place);
            shape = shape_after(&layer.operation, shape, "layers").expect("a checked architecture");
        }
        place
    }

    fn layer(&mut self, operation: &Operation, shape: Shape, place: &mut Place) {
        match operation {
            Operation::Conv { .. } | Operation::Conv1d { .. } => {
                let conv = operation.convolution().expect("a convolution");
                if conv.kernel != [1; 2] || conv.stride != [1; 2] || conv.padding != [0; 2] {
                    self.bind(place.positions, Order::Fixed);
                    place.positions = Order::Fixed;
                }
                self.convolution(&conv, shape[0], place);
            }
            Operation::Dense { out, bias } | Operation::Linear { out, bias } => self.affine(*out, *bias, place),
            Operation::BatchNorm { .. } => self.take(4, 0, place.channels),
            Operation::GroupNorm { groups, .. } => {
                // Channels may change places where all, or each alone, are normalised together.
                if ![1, shape[0]].contains(groups) {
                    self.bind(place.channels, Order::Fixed);
                }
                self.take(2, 0, place.channels);
            }
            Operation::LayerNorm { over: Over::Features, .. } => self.take(2, 0, place.channels),
            Operation::LayerNorm { over: Over::All, .. } => {
                self.bind(place.positions, Order::Fixed);
                self.take(2, 0, place.channels);
            }
            Operation::Prelu { channels: true } => self.take(1, 0, place.channels),
            // One number for all: nothing of it moves.
            Operation::Prelu { channels: false } => self.slot += 1,
            Operation::Residual { layers, shortcut } => {
                let start = *place;
                let branch = self.layers(layers, shape, start);
                let beside = self.layers(shortcut, shape, start);
                self.bind(branch.channels, beside.channels);
                self.bind(branch.positions, beside.positions);
                *place = beside;
            }
            Operation::PadChannels { .. } => {
                // Channels of zeros stand at fixed places among the others.
                self.bind(place.channels, Order::Fixed);
                place.channels = Order::Fixed;
            }
            Operation::Flatten => {
                self.fix_positions(place);
                if let Order::Of { block, .. } = &mut place.channels {
                    *block *= shape[1] * shape[2];
                }
            }
            Operation::Transpose => std::mem::swap(&mut place.channels, &mut place.positions),
            Operation::ClassToken => {
                self.fix_positions(place);
                self.take(1, 2, place.channels);
            }
            Operation::PositionEmbedding => {
                self.axes.push((self.slot, 1, place.positions));
                self.take(1, 2, place.channels);
            }
            Operation::SelfAttention { bias, .. } => {
                // The features within heads are a symmetry of their own kind (equal changes of basis of queries and keys): not in this table.
                self.take(1, 1, place.channels);
                self.slot += usize::from(*bias);
                place.channels = self.free(shape[0]);
                self.take(1 + usize::from(*bias), 0, place.channels);
            }
            // The mean over all positions does not know their order.
            Operation::AdaptiveAvgPool { size: Sides([1, 1]) } => place.positions = Order::Fixed,
            Operation::AdaptiveAvgPool { .. }
            | Operation::MaxPool { .. }
            | Operation::AvgPool { .. }
            | Operation::TakeToken { .. } => self.fix_positions(place),
            // Neither parameters nor an order of their own. A new layer has to be placed here, or its slots would be miscounted.
            thalweg_nets::elementwise!() | Operation::Tokens => {}
        }
    }

    /// The next `n` tensors have `order` along `axis`.
    fn take(&mut self, n: usize, axis: usize, order: Order) {
        for _ in 0..n {
            self.axes.push((self.slot, axis, order));
            self.slot += 1;
        }
    }

    fn fix_positions(&mut self, place: &mut Place) {
        self.bind(place.positions, Order::Fixed);
        place.positions = Order::Fixed;
    }

    /// A matrix `[out, in]` on the channels, and a bias.
    fn affine(&mut self, out: usize, bias: bool, place: &mut Place) {
        self.axes.push((self.slot, 1, place.channels));
        place.channels = self.free(out);
        self.take(1 + usize::from(bias), 0, place.channels);
    }

    fn convolution(&mut self, conv: &Convolution, inputs: usize, place: &mut Place) {
        let Convolution { out, groups, bias, .. } = *conv;
        if groups == 1 {
            return self.affine(out, bias, place);
        }
        // Depthwise, each input makes its own outputs and they move with it; between other groups only whole groups could change places,
        // which this table leaves out.
        place.channels = match place.channels {
            Order::Of { group, block } if groups == inputs => Order::Of { group, block: block * (out / inputs) },
            other => {
                self.bind(other, Order::Fixed);
                Order::Fixed
            }
        };
        self.take(1 + usize::from(bias), 0, place.channels);
    }

    fn free(&mut self, units: usize) -> Order {
        self.groups.push(Group::Free { units });
        Order::Of { group: self.groups.len() - 1, block: 1 }
    }

    fn resolve(&self, order: Order) -> Order {
        match order {
            Order::Of { group, block } => match self.groups[group] {
                Group::Free { .. } => order,
                Group::Bound(to) => match self.resolve(to) {
                    Order::Fixed => Order::Fixed,
                    Order::Of { group, block: inner } => Order::Of { group, block: inner * block },
                },
            },
            Order::Fixed => Order::Fixed,
        }
    }

    /// From now on `a` and `b`, orders of axes of the same length, are one.
    fn bind(&mut self, a: Order, b: Order) {
        match (self.resolve(a), self.resolve(b)) {
            (Order::Of { group: a, block: x }, Order::Of { group: b, block: y }) => {
                // The finer of the two follows the coarser: a block of y entries can only move as a whole.
                if a == b {
                } else if y >= x && y.is_multiple_of(x) {
                    self.groups[a] = Group::Bound(Order::Of { group: b, block: y / x });
                } else if x.is_multiple_of(y) {
                    self.groups[b] = Group::Bound(Order::Of { group: a, block: x / y });
                } else {
                    // Blocks that do not nest leave no common freedom that is worth having.
                    self.groups[a] = Group::Bound(Order::Fixed);
                    self.groups[b] = Group::Bound(Order::Fixed);
                }
            }
            (Order::Of { group, .. }, Order::Fixed) | (Order::Fixed, Order::Of { group, .. }) => {
                self.groups[group] = Group::Bound(Order::Fixed);
            }
            (Order::Fixed, Order::Fixed) => {}
        }
    }
}

#[cfg(test)]
#[path = "symmetry_tests.rs"]
mod tests;
