//! The shapes that layers make.
use super::layer::{Convolution, Layer, Operation, Shape};
use super::sides::Sides;
use crate::error::{Error, Result};

/// The shape after `operation`, or an error at `place` where it does not fit.
///
/// # Errors
/// Parameters that no layer of the kind can have, or an input that is too small for it.
pub fn shape_after(operation: &Operation, [c, h, w]: Shape, place: &str) -> Result<Shape> {
    let unfit = |expected: &str| Err(Error::parameter(place, expected, format!("input [{c}, {h}, {w}]")));
    let wrong = |expected: &str, found: String| Err(Error::parameter(place, expected, found));
    if let Some(conv) = operation.convolution() {
        return after_convolution(&conv, [c, h, w], place);
    }
    match *operation {
        Operation::Conv { .. } | Operation::Conv1d { .. } => unfit("a convolution"),
        Operation::Dense { out: 0, .. } | Operation::Linear { out: 0, .. } => wrong("out of at least 1", "0".into()),
        Operation::Dense { out, .. } if [h, w] == [1, 1] => Ok([out, 1, 1]),
        Operation::Dense { .. } => unfit(
            "a flat input [features, 1, 1] (put a flatten layer before, or take a linear layer to act at every position)",
        ),
        Operation::Linear { out, .. } => Ok([out, h, w]),
        Operation::MaxPool { size, stride, padding } | Operation::AvgPool { size, stride, padding, .. } => {
            after_pool(size, stride.unwrap_or(size), padding, [c, h, w], place)
        }
        Operation::AdaptiveAvgPool { size: Sides([oh, ow]) } => match (1..=h).contains(&oh) && (1..=w).contains(&ow) {
            true => Ok([c, oh, ow]),
            false => unfit(&format!("an input of at least the output {}, which is at least 1", Sides([oh, ow]))),
        },
        Operation::Dropout { p } if !(0.0..1.0).contains(&p) => wrong("p in [0, 1)", p.to_string()),
        Operation::BatchNorm { eps, momentum } if !(eps > 0.0 && momentum > 0.0 && momentum <= 1.0) => {
            wrong("eps > 0 and momentum in (0, 1]", format!("eps {eps}, momentum {momentum}"))
        }
        Operation::GroupNorm { eps, .. } | Operation::LayerNorm { eps, .. } if eps.is_nan() || eps <= 0.0 => {
            wrong("eps > 0", format!("eps {eps}"))
        }
        Operation::GroupNorm { groups, .. } if groups == 0 || !c.is_multiple_of(groups) => {
            wrong(&format!("groups that divide the {c} channels"), groups.to_string())
        }
        Operation::LeakyRelu { slope } if !slope.is_finite() => wrong("a finite slope", slope.to_string()),
        Operation::Elu { alpha } if !alpha.is_finite() => wrong("a finite alpha", alpha.to_string()),
        Operation::Residual { ref layers, ref shortcut } => {
            let after = shape_after_all(layers, [c, h, w], place)?;
            let beside = match shortcut.is_empty() {
                true => [c, h, w],
                false => shape_after_all(shortcut, [c, h, w], &format!("{place}.shortcut"))?,
            };
            match (after == beside, shortcut.is_empty()) {
                (true, _) => Ok(after),
                (false, true) => {
                    unfit(&format!("a branch that keeps the shape (or a shortcut beside it), but it gives {after:?}"))
                }
                (false, false) => {
                    unfit(&format!("a branch and a shortcut to one shape, but they give {after:?} and {beside:?}"))
                }
            }
        }
        Operation::PadChannels { before, after } => match before.checked_add(c).and_then(|n| n.checked_add(after)) {
            Some(channels) => Ok([channels, h, w]),
            None => unfit("fewer than 2^64 channels"),
        },
        Operation::Flatten => match c.checked_mul(h).and_then(|n| n.checked_mul(w)) {
            Some(features) => Ok([features, 1, 1]),
            None => unfit("fewer than 2^64 features"),
        },
        Operation::Tokens => match h.checked_mul(w) {
            Some(tokens) => Ok([c, 1, tokens]),
            None => unfit("fewer than 2^64 tokens"),
        },
        Operation::Transpose
        | Operation::ClassToken
        | Operation::PositionEmbedding
        | Operation::SelfAttention { .. }
        | Operation::TakeToken { .. }
            if h != 1 =>
        {
            unfit("tokens [features, 1, tokens] (put a tokens layer before)")
        }
        Operation::Transpose => Ok([w, 1, c]),
        Operation::ClassToken => match w.checked_add(1) {
            Some(tokens) => Ok([c, 1, tokens]),
            None => unfit("fewer than 2^64 tokens"),
        },
        Operation::SelfAttention { heads, .. } if heads == 0 || !c.is_multiple_of(heads) => {
            wrong(&format!("heads that divide the {c} features"), heads.to_string())
        }
        Operation::TakeToken { index } if index >= w => {
            wrong(&format!("an index below the {w} tokens"), index.to_string())
        }
        Operation::TakeToken { .. } => Ok([c, 1, 1]),
        crate::elementwise!()
        | Operation::Prelu { .. }
        | Operation::BatchNorm { .. }
        | Operation::GroupNorm { .. }
        | Operation::LayerNorm { .. }
        | Operation::PositionEmbedding
        | Operation::SelfAttention { .. } => Ok([c, h, w]),
    }
}

/// Places of a window of length `reach` every `stride` within `n` and padding on both sides; none where it does not fit.
fn places(n: usize, reach: usize, stride: usize, padding: usize) -> Option<usize> {
    Some(padding.checked_mul(2)?.checked_add(n)?.checked_sub(reach)? / stride + 1)
}

fn after_convolution(conv: &Convolution, [c, h, w]: Shape, place: &str) -> Result<Shape> {
    let Convolution { out, kernel, stride, padding, dilation, groups, .. } = *conv;
    let reach = |axis: usize| kernel[axis].checked_sub(1)?.checked_mul(dilation[axis])?.checked_add(1);
    let sound =
        |axis: usize| stride[axis] > 0 && dilation[axis] > 0 && reach(axis).is_some_and(|reach| padding[axis] < reach);
    if out == 0 || !sound(0) || !sound(1) {
        return Err(Error::parameter(
            place,
            "out, kernel, stride and dilation of at least 1, padding below kernel",
            format!(
                "out {out}, kernel {}, stride {}, padding {}, dilation {}",
                Sides(kernel),
                Sides(stride),
                Sides(padding),
                Sides(dilation)
            ),
        ));
    }
    if groups == 0 || !c.is_multiple_of(groups) || !out.is_multiple_of(groups) {
        let expected = format!("groups that divide the {c} channels before and the {out} behind");
        return Err(Error::parameter(place, expected, groups));
    }
    if conv.one_dimensional && h != 1 {
        let found = format!("input [{c}, {h}, {w}]");
        return Err(Error::parameter(place, "an input [channels, 1, length] (input = [channels, length])", found));
    }
    let fit = |axis: usize, n: usize| places(n, reach(axis)?, stride[axis], padding[axis]);
    match (fit(0, h), fit(1, w)) {
        (Some(h), Some(w)) => Ok([out, h, w]),
        _ => {
            let expected = format!("an input of at least the kernel {}", Sides(kernel));
            Err(Error::parameter(place, expected, format!("input [{c}, {h}, {w}]")))
        }
    }
}

fn after_pool(size: Sides, stride: Sides, padding: Sides, [c, h, w]: Shape, place: &str) -> Result<Shape> {
    let sound = |axis: usize| size.0[axis] > 0 && stride.0[axis] > 0 && padding.0[axis] <= size.0[axis] / 2;
    if !sound(0) || !sound(1) {
        return Err(Error::parameter(
            place,
            "size and stride of at least 1, padding of at most half the size",
            format!("size {size}, stride {stride}, padding {padding}"),
        ));
    }
    let fit = |axis: usize, n: usize| places(n, size.0[axis], stride.0[axis], padding.0[axis]);
    match (fit(0, h), fit(1, w)) {
        (Some(h), Some(w)) => Ok([c, h, w]),
        _ => {
            let expected = format!("an input of at least the window {size} (one of a row is [1, {}])", size.0[1]);
            Err(Error::parameter(place, expected, format!("input [{c}, {h}, {w}]")))
        }
    }
}

pub(super) fn shape_after_all(layers: &[Layer], input: Shape, place: &str) -> Result<Shape> {
    if layers.is_empty() {
        return Err(Error::parameter(place, "at least one layer", "none"));
    }
    layers
        .iter()
        .enumerate()
        .try_fold(input, |shape, (i, layer)| shape_after(&layer.operation, shape, &format!("{place}[{i}]")))
}
