//! One node of a graph as layers.
use super::wire::{Attribute, Model, Node, Tensor, Values};
use crate::architecture::{Layer, Operation, Shape, Sides};
use crate::error::{Error, Result};
use std::collections::HashMap;

/// What comes next in a row: a node, or nodes up to `last` that are one operation.
pub(super) struct Step<'a> {
    pub operation: Option<Operation>,
    pub last: &'a Node,
}

impl<'a> Step<'a> {
    pub(super) fn of_node(node: &'a Node) -> Self {
        Step { operation: None, last: node }
    }
}

/// A node that no layer can be.
pub(super) fn refuse(node: &Node, expected: &str) -> Error {
    let name = if node.name.is_empty() { node.outputs.first().map_or("", String::as_str) } else { &node.name };
    Error::parameter(format!("onnx: node {name}"), expected, format!("operator {}", node.op))
}

/// The layers that `node` is on an input of `shape`; `made` counts the layers before. Its tensors go to `tensors`.
pub(super) fn step(
    model: &Model,
    node: &Node,
    shape: Shape,
    made: usize,
    tensors: &mut HashMap<String, Vec<f32>>,
) -> Result<Vec<Layer>> {
    let mut reader = Reader { model, node, shape, made, tensors };
    let plain = |operation| Ok(vec![Layer { name: None, operation }]);
    match node.op.as_str() {
        "Conv" => reader.conv(),
        "Gemm" => reader.gemm(),
        "MatMul" => reader.matmul(),
        "Add" => reader.bias(),
        "BatchNormalization" => reader.batch_norm(),
        "MaxPool" => reader.pool(true),
        "AveragePool" => reader.pool(false),
        "GlobalAveragePool" => plain(Operation::AdaptiveAvgPool { size: 1.into() }),
        "ReduceMean" => reader.mean(),
        "Flatten" => match reader.int("axis", 1) {
            1 => plain(Operation::Flatten),
            _ => Err(refuse(node, "flatten behind the first axis")),
        },
        "Reshape" => reader.reshape(),
        "Relu" => plain(Operation::Relu),
        "LeakyRelu" => plain(Operation::LeakyRelu { slope: reader.float("alpha", 0.01) }),
        "Elu" => plain(Operation::Elu { alpha: reader.float("alpha", 1.0) }),
        "PRelu" => reader.prelu(),
        "Tanh" => plain(Operation::Tanh),
        "Sigmoid" => plain(Operation::Sigmoid),
        "Softplus" => plain(Operation::Softplus),
        "HardSwish" => plain(Operation::HardSwish),
        "Gelu" if reader.text("approximate", "none") == "none" => plain(Operation::Gelu),
        "Clip" => reader.clip(),
        "Identity" | "Dropout" => plain(Operation::Identity),
        _ => Err(refuse(
            node,
            "a convolution, dense layer, batch normalisation, pool, activation, flatten or residual sum",
        )),
    }
}

/// The bounds of a Clip: attributes before operator set 11, inputs from there on.
fn bounds(model: &Model, node: &Node) -> [f32; 2] {
    let bound = |i: usize, name: &str, default: f32| {
        let input = node.inputs.get(i).filter(|name| !name.is_empty());
        match (input.map(|name| model.constants.get(name)), node.attributes.get(name)) {
            (Some(tensor), _) => tensor.and_then(Tensor::scalar).unwrap_or(f32::NAN),
            (None, Some(Attribute::Float(value))) => *value,
            (None, _) => default,
        }
    };
    [bound(1, "min", f32::NEG_INFINITY), bound(2, "max", f32::INFINITY)]
}

struct Reader<'a> {
    model: &'a Model,
    node: &'a Node,
    shape: Shape,
    made: usize,
    tensors: &'a mut HashMap<String, Vec<f32>>,
}

impl Reader<'_> {
    fn int(&self, name: &str, default: i64) -> i64 {
        match self.node.attributes.get(name) {
            Some(Attribute::Int(value)) => *value,
            _ => default,
        }
    }

    fn float(&self, name: &str, default: f32) -> f32 {
        match self.node.attributes.get(name) {
            Some(Attribute::Float(value)) => *value,
            _ => default,
        }
    }

    fn text(&self, name: &str, default: &str) -> String {
        match self.node.attributes.get(name) {
            Some(Attribute::Text(value)) => value.clone(),
            _ => default.into(),
        }
    }

    fn ints(&self, name: &str) -> Option<Vec<usize>> {
        match self.node.attributes.get(name) {
            Some(Attribute::Ints(values)) => values.iter().map(|v| usize::try_from(*v).ok()).collect(),
            _ => None,
        }
    }

    fn refuse<T>(&self, expected: &str) -> Result<T> {
        Err(refuse(self.node, expected))
    }

    /// Input `i` as a constant.
    fn constant(&self, i: usize) -> Option<&Tensor> {
        self.node.inputs.get(i).and_then(|name| self.model.constants.get(name))
    }

    fn floats(&self, i: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        match self.constant(i).and_then(|tensor| Some((tensor.dims.clone(), tensor.floats()?.to_vec()))) {
            Some(found) => Ok(found),
            None => self.refuse(&format!("weights as its input {i}")),
        }
    }

    /// The layer's name: that of its weight without the end, else the module's path in the node's name.
    fn layer_name(&self) -> String {
        let weight = self.node.inputs.iter().find_map(|name| {
            let whole = self.model.constants.contains_key(name) && !name.contains(':');
            name.strip_suffix(".weight").or(name.strip_suffix(".bias")).filter(|_| whole)
        });
        let named = weight.map(str::to_owned).unwrap_or_else(|| path_of(&self.node.name));
        let taken =
            |name: &str| self.tensors.keys().any(|key| key.rsplit_once('.').is_some_and(|(layer, _)| layer == name));
        if named.is_empty() || taken(&named) { format!("layer{}", self.made) } else { named }
    }

    /// A layer with these tensors under its name.
    fn with(&mut self, operation: Operation, tensors: Vec<(&str, Vec<f32>)>) -> Vec<Layer> {
        let name = self.layer_name();
        for (suffix, values) in tensors {
            self.tensors.insert(format!("{name}.{suffix}"), values);
        }
        vec![Layer { name: Some(name), operation }]
    }

    /// The same padding on both sides of each of `axes` axes.
    fn padding(&self, axes: usize) -> Result<Vec<usize>> {
        if !["NOTSET", "VALID"].contains(&self.text("auto_pad", "NOTSET").as_str()) {
            return self.refuse("explicit paddings (auto_pad NOTSET)");
        }
        let pads = self.ints("pads").unwrap_or_else(|| vec![0; 2 * axes]);
        match pads.len() == 2 * axes && pads[..axes] == pads[axes..] {
            true => Ok(pads[..axes].to_vec()),
            false => self.refuse(&format!("equal paddings on both sides (found {pads:?})")),
        }
    }

    fn conv(&mut self) -> Result<Vec<Layer>> {
        let (dims, weight) = self.floats(1)?;
        let axes = dims.len().saturating_sub(2);
        let each = |name: &str| self.ints(name).unwrap_or_else(|| vec![1; axes]);
        let (stride, dilation, padding) = (each("strides"), each("dilations"), self.padding(axes)?);
        let groups = usize::try_from(self.int("group", 1)).unwrap_or(0);
        let bias = self.node.inputs.len() > 2;
        let operation = match (&dims[..], &stride[..], &padding[..], &dilation[..]) {
            (&[out, _, kernel], &[stride], &[padding], &[dilation]) => {
                Operation::Conv1d { out, kernel, stride, padding, dilation, groups, bias }
            }
            (&[out, _, y, x], &[sy, sx], &[py, px], &[dy, dx]) => Operation::Conv {
                out,
                kernel: Sides([y, x]),
                stride: Sides([sy, sx]),
                padding: Sides([py, px]),
                dilation: Sides([dy, dx]),
                groups,
                bias,
            },
            _ => return self.refuse("a convolution of one or two dimensions"),
        };
        let mut tensors = vec![("weight", weight)];
        if bias {
            tensors.push(("bias", self.floats(2)?.1));
        }
        Ok(self.with(operation, tensors))
    }

    /// `[in, out] → [out, in]`.
    fn turned(dims: &[usize], weight: &[f32]) -> Vec<f32> {
        let (rows, columns) = (dims[0], dims[1]);
        (0..rows * columns).map(|k| weight[k % rows * columns + k / rows]).collect()
    }

    fn gemm(&mut self) -> Result<Vec<Layer>> {
        let plain = self.float("alpha", 1.0) == 1.0 && self.float("beta", 1.0) == 1.0 && self.int("transA", 0) == 0;
        let (dims, weight) = self.floats(1)?;
        if !plain || dims.len() != 2 {
            return self.refuse("x W + b with a matrix W, without factors");
        }
        let (out, weight) = match self.int("transB", 0) {
            0 => (dims[1], Self::turned(&dims, &weight)),
            _ => (dims[0], weight),
        };
        let bias = self.node.inputs.len() > 2;
        let mut tensors = vec![("weight", weight)];
        if bias {
            tensors.push(("bias", self.floats(2)?.1));
        }
        Ok(self.with(Operation::Dense { out, bias }, tensors))
    }

    fn matmul(&mut self) -> Result<Vec<Layer>> {
        let (dims, weight) = self.floats(1)?;
        match dims[..] {
            [_, out] if self.shape[1..] == [1, 1] => {
                let weight = Self::turned(&dims, &weight);
                Ok(self.with(Operation::Dense { out, bias: false }, vec![("weight", weight)]))
            }
            _ => self.refuse("rows of features times a matrix"),
        }
    }

    /// A constant `[C]` added to rows: a normalisation by nothing, with the constant as its shift, would be no module of PyTorch's.
    fn bias(&mut self) -> Result<Vec<Layer>> {
        self.refuse("a sum of two values of the network, or a bias within a Gemm (export linear layers on rows [N, C])")
    }

    fn batch_norm(&mut self) -> Result<Vec<Layer>> {
        let eps = self.float("epsilon", 1e-5);
        // ONNX's momentum is the share of the old statistics.
        let momentum = 1.0 - self.float("momentum", 0.9);
        let names = ["weight", "bias", "running_mean", "running_var"];
        let tensors =
            names.iter().enumerate().map(|(i, name)| Ok((*name, self.floats(i + 1)?.1))).collect::<Result<Vec<_>>>()?;
        Ok(self.with(Operation::BatchNorm { eps, momentum }, tensors))
    }

    fn pool(&self, most: bool) -> Result<Vec<Layer>> {
        let Some(size) = self.ints("kernel_shape") else { return self.refuse("a window") };
        let (axes, padding) = (size.len(), self.padding(size.len())?);
        let stride = self.ints("strides").unwrap_or_else(|| vec![1; axes]);
        let dilated = self.ints("dilations").is_some_and(|all| all.iter().any(|d| *d != 1));
        if self.int("ceil_mode", 0) != 0 || dilated || self.node.outputs.len() > 1 {
            return self.refuse("windows within the image, without dilation and indices");
        }
        let sides = |values: &[usize], missing: usize| match *values {
            [x] => Ok(Sides([missing, x])),
            [y, x] => Ok(Sides([y, x])),
            _ => self.refuse("a pool of one or two dimensions"),
        };
        let (size, stride, padding) = (sides(&size, 1)?, Some(sides(&stride, 1)?), sides(&padding, 0)?);
        let count_padding = padding.is_zero() || self.int("count_include_pad", 0) == 1;
        let operation = match most {
            true => Operation::MaxPool { size, stride, padding },
            false => Operation::AvgPool { size, stride, padding, count_padding },
        };
        Ok(vec![Layer { name: None, operation }])
    }

    fn mean(&self) -> Result<Vec<Layer>> {
        let axes = match (self.node.attributes.get("axes"), self.constant(1).map(|tensor| &tensor.values)) {
            (Some(Attribute::Ints(axes)), _) => axes.clone(),
            (None, Some(Values::Ints(axes))) => axes.clone(),
            _ => return self.refuse("a mean over fixed axes"),
        };
        let spatial = |rank: i64| {
            let mut all: Vec<i64> = axes.iter().map(|a| if *a < 0 { a + rank } else { *a }).collect();
            all.sort_unstable();
            all.into_iter().eq(2..rank)
        };
        let rank = if self.shape[1] == 1 && axes.len() == 1 { 3 } else { 4 };
        if !spatial(rank) {
            return self.refuse("a mean over all positions");
        }
        let mut layers = vec![Layer { name: None, operation: Operation::AdaptiveAvgPool { size: 1.into() } }];
        if self.int("keepdims", 1) == 0 {
            layers.push(Layer { name: None, operation: Operation::Flatten });
        }
        Ok(layers)
    }

    fn reshape(&self) -> Result<Vec<Layer>> {
        let features: usize = self.shape.iter().product();
        match self.constant(1).map(|tensor| &tensor.values) {
            Some(Values::Ints(to)) if to.len() == 2 && (to[1] == -1 || to[1] == features as i64) => {
                Ok(vec![Layer { name: None, operation: Operation::Flatten }])
            }
            _ => self.refuse("a reshape to [N, features]"),
        }
    }

    fn prelu(&mut self) -> Result<Vec<Layer>> {
        let (_, slopes) = self.floats(1)?;
        match slopes.len() {
            n if n == 1 || n == self.shape[0] => {
                Ok(self.with(Operation::Prelu { channels: n > 1 }, vec![("weight", slopes)]))
            }
            _ => self.refuse("one slope, or one for each channel"),
        }
    }

    fn clip(&self) -> Result<Vec<Layer>> {
        match bounds(self.model, self.node) {
            [0.0, 6.0] => Ok(vec![Layer { name: None, operation: Operation::Relu6 }]),
            [0.0, most] if most == f32::INFINITY => Ok(vec![Layer { name: None, operation: Operation::Relu }]),
            bounds => self.refuse(&format!("bounds 0 and 6 (found {bounds:?})")),
        }
    }
}

/// The module that a node's name `/layer1/layer1.0/conv1/Conv` stands in: `layer1.0.conv1`.
fn path_of(node: &str) -> String {
    let mut parts: Vec<&str> = node.split('/').filter(|part| !part.is_empty()).collect();
    parts.pop();
    let mut path = String::new();
    for part in parts {
        match part.strip_prefix(&format!("{path}.")) {
            Some(_) if !path.is_empty() => path = part.to_owned(),
            _ if path.is_empty() => path = part.to_owned(),
            _ => path = format!("{path}.{part}"),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn paths_of_modules_are_those_of_pytorch() {
        for (node, path) in [
            ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
            ("/features/features.0/Conv", "features.0"),
            ("/fc/Gemm", "fc"),
            ("Conv_0", ""),
        ] {
            assert_eq!(path_of(node), path);
        }
    }
}
