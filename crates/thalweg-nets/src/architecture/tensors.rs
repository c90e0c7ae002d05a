//! The tensors of layers: names, shapes and parts, in the order of a flat θ.
use super::layer::{Layer, Operation, Over, Projections, Shape};
use super::shape::shape_after;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What a tensor does in its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Kernel of a convolution `[out, in/groups, k, k]` or matrix of a dense or linear layer `[out, in]`.
    Weight,
    /// Added per output `[out]`.
    Bias,
    /// Scale of a normalisation, PyTorch's `weight`.
    Scale,
    /// Shift of a normalisation, PyTorch's `bias`.
    Shift,
    /// Batch-norm running mean `[channels]`.
    RunningMean,
    /// Batch-norm running variance `[channels]`.
    RunningVariance,
    /// Slope of an activation below zero, `[1]` or `[channels]`.
    Slope,
    /// Input projections of an attention, `[3 f, f]`.
    InProjection,
    /// A bias that starts at zero, as those of an attention do.
    ZeroBias,
    /// A learned token `[1, 1, f]`.
    Token,
    /// Learned positions `[1, t, f]`.
    Position,
    /// A tensor of an imported checkpoint whose architecture is not known.
    Unknown,
}

impl Role {
    /// Whether gradients move this tensor (running statistics are moved by averaging instead).
    pub fn is_trained(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVariance)
    }
}

/// One tensor of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// What stands behind the layer's name, e.g. `.weight`.
    pub suffix: &'static str,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Its part in the layer.
    pub role: Role,
    /// Inputs of one output: the fan-in of Kaiming's law; 0 where there is none.
    pub fan_in: usize,
}

/// The tensors of `operation` on an input of shape `[c, h, w]`, in order; those of a residual block's layers are theirs.
pub fn tensors(operation: &Operation, [c, h, w]: Shape) -> Vec<Tensor> {
    let plain = |suffix, shape: Vec<usize>, role| Tensor { suffix, shape, role, fan_in: 0 };
    let product = |sizes: &[usize]| sizes.iter().fold(1usize, |n, &size| n.saturating_mul(size));
    let affine = |names: [&'static str; 2], shape: Vec<usize>, bias: bool| {
        let (out, fan_in) = (shape[0], product(&shape[1..]));
        let mut both = vec![Tensor { suffix: names[0], shape, role: Role::Weight, fan_in }];
        if bias {
            both.push(Tensor { suffix: names[1], shape: vec![out], role: Role::Bias, fan_in });
        }
        both
    };
    let own = [".weight", ".bias"];
    let norm =
        |shape: Vec<usize>| vec![plain(".weight", shape.clone(), Role::Scale), plain(".bias", shape, Role::Shift)];
    match operation {
        Operation::Conv { out, kernel, groups, bias, .. } => {
            affine(own, vec![*out, c / (*groups).max(1), kernel.0[0], kernel.0[1]], *bias)
        }
        Operation::Conv1d { out, kernel, groups, bias, .. } => {
            affine(own, vec![*out, c / (*groups).max(1), *kernel], *bias)
        }
        Operation::Dense { out, bias } | Operation::Linear { out, bias } => affine(own, vec![*out, c], *bias),
        Operation::BatchNorm { .. } => {
            let mut all = norm(vec![c]);
            all.push(plain(".running_mean", vec![c], Role::RunningMean));
            all.push(plain(".running_var", vec![c], Role::RunningVariance));
            all
        }
        Operation::GroupNorm { .. } | Operation::LayerNorm { over: Over::Features, .. } => norm(vec![c]),
        Operation::LayerNorm { over: Over::All, .. } => norm(vec![c, h, w]),
        Operation::Prelu { channels } => vec![plain(".weight", vec![if *channels { c } else { 1 }], Role::Slope)],
        Operation::ClassToken => vec![plain("", vec![1, 1, c], Role::Token)],
        Operation::PositionEmbedding => vec![plain("", vec![1, w, c], Role::Position)],
        Operation::SelfAttention { bias, names, .. } => {
            let three = c.saturating_mul(3);
            match names {
                Projections::Torch => {
                    let mut all =
                        vec![Tensor { fan_in: c, ..plain(".in_proj_weight", vec![three, c], Role::InProjection) }];
                    if *bias {
                        all.push(plain(".in_proj_bias", vec![three], Role::ZeroBias));
                    }
                    all.extend(affine([".out_proj.weight", ""], vec![c, c], false));
                    if *bias {
                        all.push(plain(".out_proj.bias", vec![c], Role::ZeroBias));
                    }
                    all
                }
                Projections::Timm => {
                    let mut all = affine([".qkv.weight", ".qkv.bias"], vec![three, c], *bias);
                    all.extend(affine([".proj.weight", ".proj.bias"], vec![c, c], *bias));
                    all
                }
            }
        }
        crate::elementwise!()
        | Operation::MaxPool { .. }
        | Operation::AvgPool { .. }
        | Operation::AdaptiveAvgPool { .. }
        | Operation::Residual { .. }
        | Operation::PadChannels { .. }
        | Operation::Flatten
        | Operation::Tokens
        | Operation::Transpose
        | Operation::TakeToken { .. } => Vec::new(),
    }
}

/// The full name of the `i`-th of some layers below `prefix`; a block whose own name is empty adds nothing to those of its layers.
pub fn name_of(prefix: &str, layer: &Layer, i: usize) -> String {
    let own = layer.name.clone().unwrap_or_else(|| i.to_string());
    if prefix.is_empty() { own } else { format!("{prefix}.{own}") }
}

/// What the names of a residual block's shortcut begin with: layers without names are `shortcut.0` and so on, named ones stand beside the branch's.
pub fn shortcut_name(prefix: &str, layer: &Layer, i: usize) -> String {
    match &layer.name {
        Some(_) => name_of(prefix, layer, i),
        None if prefix.is_empty() => format!("shortcut.{i}"),
        None => format!("{prefix}.shortcut.{i}"),
    }
}

/// Calls `f(name, tensor)` for every tensor of `layers`, first to last; a residual block's shortcut follows its branch.
///
/// # Errors
/// Layers that do not fit together, and those of `f`.
pub fn each_tensor(layers: &[Layer], input: Shape, f: &mut dyn FnMut(String, Tensor) -> Result<()>) -> Result<()> {
    named(layers, input, &|layer, i| name_of("", layer, i), f)
}

fn named(
    layers: &[Layer],
    mut shape: Shape,
    name: &dyn Fn(&Layer, usize) -> String,
    f: &mut dyn FnMut(String, Tensor) -> Result<()>,
) -> Result<()> {
    for (i, layer) in layers.iter().enumerate() {
        let prefix = name(layer, i);
        if let Operation::Residual { layers, shortcut } = &layer.operation {
            named(layers, shape, &|layer, i| name_of(&prefix, layer, i), f)?;
            named(shortcut, shape, &|layer, i| shortcut_name(&prefix, layer, i), f)?;
        }
        for tensor in tensors(&layer.operation, shape) {
            f(format!("{prefix}{}", tensor.suffix), tensor)?;
        }
        shape = shape_after(&layer.operation, shape, &prefix)?;
    }
    Ok(())
}

/// Checks that no two tensors have one name.
pub(super) fn check_names(layers: &[Layer], input: Shape) -> Result<()> {
    let mut seen = HashSet::new();
    each_tensor(layers, input, &mut |name, _| match seen.insert(name.clone()) {
        true => Ok(()),
        false => Err(Error::parameter("layers", "a name of its own for every tensor", format!("{name} twice"))),
    })
}
