//! The walk from the input to the logits: nodes in a row become layers, a value that two nodes read and one sum joins a residual block.
use super::nodes::{Step, refuse, step};
use super::wire::{Attribute, Model, Node};
use crate::architecture::{Layer, Operation, Shape, shape_after};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// Residual blocks within residual blocks that are followed.
const DEEPEST: usize = 64;

/// Tensors of layers by name.
type Tensors = HashMap<String, Vec<f32>>;

pub(super) struct Walk<'a> {
    model: &'a Model,
    /// Nodes that read a value which is no constant.
    readers: HashMap<&'a str, Vec<&'a Node>>,
    tensors: Tensors,
    /// Layers named so far: those without a name in the file are counted.
    made: usize,
}

/// Where a row of nodes leads.
enum End<'a> {
    Output,
    /// To a sum of two values.
    Sum(&'a Node),
}

impl<'a> Walk<'a> {
    pub(super) fn new(model: &'a Model) -> Self {
        let mut readers: HashMap<&str, Vec<&Node>> = HashMap::new();
        for node in &model.nodes {
            let mut data: Vec<&str> =
                node.inputs.iter().map(String::as_str).filter(|name| !model.constants.contains_key(*name)).collect();
            data.dedup();
            for input in data {
                readers.entry(input).or_default().push(node);
            }
        }
        Self { model, readers, tensors: HashMap::new(), made: 0 }
    }

    /// The layers from `input` to the one output, and their tensors by name.
    pub(super) fn network(mut self, input: &'a str, shape: Shape) -> Result<(Vec<Layer>, Tensors)> {
        let (layers, end, _) = self.row(input, None, shape, 0)?;
        match end {
            End::Output => Ok((layers, self.tensors)),
            End::Sum(node) => Err(refuse(node, "a sum of two ways from one value")),
        }
    }

    /// Follows the nodes from `value` on, by `first` where several read it.
    fn row(
        &mut self,
        value: &'a str,
        first: Option<&'a Node>,
        mut shape: Shape,
        depth: usize,
    ) -> Result<(Vec<Layer>, End<'a>, Shape)> {
        if depth > DEEPEST {
            return Err(Error::parameter("onnx", format!("blocks at most {DEEPEST} deep"), "deeper ones"));
        }
        let (mut layers, mut value, mut first) = (Vec::new(), value, first);
        loop {
            let all = self.readers.get(value).map_or(&[][..], Vec::as_slice).to_vec();
            let next = match (first.take(), &all[..]) {
                (Some(node), _) => Step::of_node(node),
                (None, []) if self.model.outputs.iter().any(|output| output.name == value) => {
                    return Ok((layers, End::Output, shape));
                }
                (None, []) => return Err(Error::parameter("onnx", "one way to the output", format!("{value} ends"))),
                (None, [node]) => Step::of_node(node),
                (None, several) => match self.pattern(value, several) {
                    Some(step) => step,
                    None => {
                        let (block, sum, after) = self.block(value, several, shape, depth)?;
                        layers.push(block);
                        (value, shape) = (self.output(sum)?, after);
                        continue;
                    }
                },
            };
            let node = next.last;
            if next.operation.is_none() && self.is_sum(node) {
                return Ok((layers, End::Sum(node), shape));
            }
            let made = match next.operation {
                Some(operation) => vec![Layer { name: None, operation }],
                None => step(self.model, node, shape, self.made, &mut self.tensors)?,
            };
            self.made += made.len();
            for layer in &made {
                shape = shape_after(&layer.operation, shape, &format!("onnx: node {} ({})", node.name, node.op))?;
            }
            layers.extend(made);
            value = self.output(node)?;
        }
    }

    fn is_sum(&self, node: &Node) -> bool {
        node.op == "Add"
            && node.inputs.len() == 2
            && node.inputs.iter().all(|name| !self.model.constants.contains_key(name))
    }

    fn output(&self, node: &'a Node) -> Result<&'a str> {
        node.outputs.first().map(String::as_str).ok_or_else(|| refuse(node, "a node with an output"))
    }

    /// x σ(x); x Φ(x) as PyTorch writes it before operator set 20; x times a hard sigmoid, before operator set 14.
    fn pattern(&self, value: &str, readers: &[&'a Node]) -> Option<Step<'a>> {
        let [a, b] = readers else { return None };
        let only = |node: &'a Node, op: &str| -> Option<&'a Node> {
            match self.readers.get(node.outputs.first()?.as_str())?.as_slice() {
                [next] if next.op == op => Some(*next),
                _ => None,
            }
        };
        let constant = |node: &Node| node.inputs.iter().find_map(|name| self.model.constants.get(name)?.scalar());
        let near = |node: &Node, wanted: f32| constant(node).is_some_and(|found| (found - wanted).abs() < 1e-4);
        for (inner, product) in [(a, b), (b, a)] {
            if product.op != "Mul" || !product.inputs.iter().any(|name| name == value) {
                continue;
            }
            if inner.op == "Sigmoid" && product.inputs.contains(inner.outputs.first()?) {
                return Some(Step { operation: Some(Operation::Silu), last: product });
            }
            if inner.op == "HardSigmoid" && product.inputs.contains(inner.outputs.first()?) && is_swish(inner) {
                return Some(Step { operation: Some(Operation::HardSwish), last: product });
            }
            if inner.op == "Div" && near(inner, std::f32::consts::SQRT_2) {
                let add = only(only(inner, "Erf")?, "Add")?;
                let half = only(product, "Mul")?;
                if near(add, 1.0) && product.inputs.contains(add.outputs.first()?) && near(half, 0.5) {
                    return Some(Step { operation: Some(Operation::Gelu), last: half });
                }
            }
        }
        None
    }

    /// The residual block whose ways begin at `value`, and the sum that ends it.
    fn block(
        &mut self,
        value: &'a str,
        readers: &[&'a Node],
        shape: Shape,
        depth: usize,
    ) -> Result<(Layer, &'a Node, Shape)> {
        let [a, b] = readers else {
            return Err(refuse(readers[0], "at most two nodes that read one value"));
        };
        let mut ways = Vec::new();
        for node in [*a, *b] {
            ways.push(match self.is_sum(node) {
                true => (Vec::new(), End::Sum(node), shape),
                false => self.row(value, Some(node), shape, depth + 1)?,
            });
        }
        ways.sort_by_key(|(layers, ..)| std::cmp::Reverse(layers.len()));
        match (ways.pop(), ways.pop()) {
            (Some((shortcut, End::Sum(one), _)), Some((layers, End::Sum(two), after)))
                if std::ptr::eq(one, two) && !layers.is_empty() =>
            {
                // Names in the file are whole: nothing stands before them.
                let name = Some(String::new());
                Ok((Layer { name, operation: Operation::Residual { layers, shortcut } }, one, after))
            }
            _ => Err(refuse(a, "two ways that one sum joins")),
        }
    }
}

/// Whether a hard sigmoid is min(max(x/6 + 1/2, 0), 1), as in a hard swish.
fn is_swish(node: &Node) -> bool {
    let value = |name: &str, default: f32| match node.attributes.get(name) {
        Some(Attribute::Float(value)) => *value,
        _ => default,
    };
    (value("alpha", 0.2) - 1.0 / 6.0).abs() < 1e-4 && value("beta", 0.5) == 0.5
}
