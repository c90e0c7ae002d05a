//! Base networks from ONNX: the graph as an [`Architecture`], its initialisers as θ.
//!
//! What is read are feed-forward classifiers: convolutions, dense layers, batch normalisation, pools, activations and residual sums, from one
//! input `[N, …]` to logits `[N, C]`. A node that no layer of ours can be is named with its operator. The operator sets 9 and 14, as
//! `torch.onnx.export` of PyTorch 1.13 writes them, are tested; where PyTorch is installed, a test exports 9, 11, 14 and 17 by it. (The export puts batch
//! normalisation into the convolutions before it, unless it is told to keep it by `training=torch.onnx.TrainingMode.PRESERVE`.)
//! Names of tensors are those of the module where the file has them, or the path of the node.
mod graph;
mod nodes;
mod wire;

use crate::architecture::{Architecture, Shape};
use crate::error::{Error, Result};
use crate::layout::Layout;
use std::path::Path;

/// Reads `path` as an architecture with its weights θ `[P]`.
///
/// # Errors
/// A file that is no ONNX model, a node that no layer can be (named), shapes that do not fit, weights that are not finite.
pub fn read(path: &Path) -> Result<(Architecture, Vec<f32>)> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    parse(&name, &bytes).map_err(|e| e.in_file(path))
}

/// As [`read`], of the file's `bytes`.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, bytes: &[u8]) -> Result<(Architecture, Vec<f32>)> {
    let model = wire::Model::parse(bytes).map_err(|found| Error::parameter("onnx", "an ONNX model", found))?;
    let [input] = &model.inputs[..] else {
        return Err(Error::parameter("onnx: inputs", "one input besides the weights", model.inputs.len()));
    };
    let shape = input_shape(&input.dims)?;
    let (layers, tensors) = graph::Walk::new(&model).network(&input.name, shape)?;
    let architecture = Architecture::new(name, shape, layers)?;
    let layout = Layout::of(&architecture);
    let mut theta = Vec::with_capacity(layout.len());
    for slot in layout.slots() {
        let values = tensors.get(&slot.name).filter(|values| values.len() == slot.len()).ok_or_else(|| {
            Error::parameter(format!("onnx: tensor {}", slot.name), format!("shape {:?}", slot.shape), "another size")
        })?;
        theta.extend(values);
    }
    layout.check("onnx", &theta)?;
    Ok((architecture, theta))
}

/// `[channels, height, width]` of dimensions whose first is the batch; 0 where a dimension has no number.
fn input_shape(dims: &[usize]) -> Result<Shape> {
    match *dims {
        [_, c] if c > 0 => Ok([c, 1, 1]),
        [_, c, l] if c * l > 0 => Ok([c, 1, l]),
        [_, c, h, w] if c * h * w > 0 => Ok([c, h, w]),
        _ => Err(Error::parameter(
            "onnx: input",
            "[N, C], [N, C, L] or [N, C, H, W] with fixed sizes but N",
            format!("{dims:?}"),
        )),
    }
}
