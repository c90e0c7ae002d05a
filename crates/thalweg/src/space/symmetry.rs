//! Which axis of which tensor is moved by which permutation of hidden units: the symmetry group of an [`Architecture`] (M3, M23).
//!
//! The table is derived from the layers alone. Every hidden layer's units may be reordered if the layer that makes them, the
//! normalisation over them and the layer that reads them follow; a flatten turns one channel into a block of inputs; a residual
//! addition forces its branch to end in the order that it began with; inputs and logits have a fixed order. Elementwise
//! activations and pooling commute with permutations, so they leave no trace in the table.
use crate::{Error, Layout, Result};
use thalweg_nets::Architecture;
use thalweg_nets::architecture::{Layer, Operation, Shape, shape_after};

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
        let end = walk.layers(architecture.layers(), architecture.input(), Order::Fixed);
        walk.bind(end, Order::Fixed);
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
    fn layers(&mut self, layers: &[Layer], input: Shape, start: Order) -> Order {
        let (mut shape, mut order) = (input, start);
        for layer in layers {
            match &layer.operation {
                Operation::Conv { out, bias, .. } | Operation::Dense { out, bias } => {
                    let made = self.free(*out);
                    self.axes.push((self.slot, 1, order));
                    self.axes.push((self.slot, 0, made));
                    self.slot += 1;
                    if *bias {
                        self.axes.push((self.slot, 0, made));
                        self.slot += 1;
                    }
                    order = made;
                }
                Operation::BatchNorm { .. } => {
                    for _ in 0..4 {
                        self.axes.push((self.slot, 0, order));
                        self.slot += 1;
                    }
                }
                Operation::Residual { layers } => {
                    let end = self.layers(layers, shape, order);
                    self.bind(end, order);
                }
                Operation::Flatten => {
                    if let Order::Of { block, .. } = &mut order {
                        *block *= shape[1] * shape[2];
                    }
                }
                // Neither parameters nor an order of their own. A new layer has to be placed here, or its slots would be miscounted.
                Operation::MaxPool { .. }
                | Operation::AvgPool { .. }
                | Operation::Relu
                | Operation::LeakyRelu { .. }
                | Operation::Tanh
                | Operation::Gelu
                | Operation::Silu
                | Operation::Softplus
                | Operation::Dropout { .. } => {}
            }
            shape = shape_after(&layer.operation, shape, "layers").expect("a checked architecture");
        }
        order
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
mod tests {
    use super::*;
    use crate::Streams;
    use rand::seq::SliceRandom;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::engine::Engine;
    use thalweg_nets::init::Initialisation;

    /// Networks that use every layer the table must know about.
    fn networks() -> Vec<Architecture> {
        let residual = r#"
            input = [2, 8, 8]
            layers = [
              { kind = "conv", out = 6, kernel = 3, padding = 1 },
              { kind = "batch-norm" }, { kind = "relu" },
              { kind = "residual", layers = [
                { kind = "conv", out = 5, kernel = 3, padding = 1 }, { kind = "batch-norm" }, { kind = "gelu" },
                { kind = "conv", out = 6, kernel = 1, bias = false } ] },
              { kind = "avg-pool", size = 2 }, { kind = "flatten" },
              { kind = "residual", layers = [ { kind = "dense", out = 7 }, { kind = "tanh" }, { kind = "dense", out = 96 } ] },
              { kind = "dense", out = 9 }, { kind = "silu" }, { kind = "dense", out = 4 } ]
        "#;
        vec![
            Preset::CnnS.build([1, 28, 28], 10).unwrap(),
            Preset::CnnM.build([3, 32, 32], 10).unwrap(),
            Preset::Digits.build([1, 8, 8], 10).unwrap(),
            Preset::Mlp { widths: vec![12, 7] }.build([9, 1, 1], 3).unwrap(),
            Architecture::from_toml_str(residual).unwrap(),
        ]
    }

    #[test]
    fn any_permutation_leaves_the_logits_alone() {
        for (k, architecture) in networks().iter().enumerate() {
            let (table, engine) = (SymmetryTable::of(architecture), Engine::new(architecture).unwrap());
            let streams = Streams::new(9).index(k as u64);
            let mut theta = Initialisation::KaimingNormal.draw(table.layout(), &streams.child("weights"));
            // Running statistics and scales must differ from unit to unit, or a wrong table would pass.
            theta.iter_mut().enumerate().for_each(|(i, v)| *v += 0.1 * ((i % 17) as f32 / 17.0));
            let mut rng = streams.child("order").rng();
            let permutations: Vec<Vec<usize>> = table
                .symmetries
                .iter()
                .map(|s| {
                    let mut order: Vec<usize> = (0..s.units).collect();
                    order.shuffle(&mut rng);
                    order
                })
                .collect();
            let mut moved = theta.clone();
            table.permute(&mut moved, &permutations).unwrap();
            assert_ne!(theta, moved);
            let inputs: Vec<f32> =
                (0..20 * architecture.input_len()).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
            let packed = engine.pack(&inputs).unwrap();
            let (a, b) =
                (engine.logits_of_many(&theta, &packed).unwrap(), engine.logits_of_many(&moved, &packed).unwrap());
            let scale = a.iter().fold(0f32, |m, v| m.max(v.abs()));
            let gap = a.iter().zip(&b).fold(0f32, |m, (x, y)| m.max((x - y).abs()));
            assert!(gap <= 1e-5 * scale.max(1.0), "{}: {gap} of {scale}", architecture.name());
        }
    }

    #[test]
    fn the_groups_are_those_that_one_counts_by_hand() {
        let units = |a: &Architecture| SymmetryTable::of(a).symmetries.iter().map(|s| s.units).collect::<Vec<_>>();
        let all = networks();
        assert_eq!(units(&all[0]), [8, 6, 4, 20]);
        assert_eq!(units(&all[3]), [12, 7]);
        // conv 6 = both ends of the first residual and, through the flatten, of the second; its inner 5; the dense 7 and 9.
        assert_eq!(units(&all[4]), [6, 5, 7, 9]);
    }

    #[test]
    fn what_is_no_permutation_is_refused() {
        let table = SymmetryTable::of(&networks()[3]);
        let mut theta = vec![0.0; table.layout().len()];
        let identity: Vec<Vec<usize>> = table.symmetries.iter().map(|s| (0..s.units).collect()).collect();
        let mut twice = identity.clone();
        twice[1][0] = 1;
        let message = table.permute(&mut theta, &twice).unwrap_err().to_string();
        assert!(message.contains("permutations[1]") && message.contains("each of 0 to 6 once"), "{message}");
        assert!(table.permute(&mut theta[1..], &identity).is_err());
    }
}
