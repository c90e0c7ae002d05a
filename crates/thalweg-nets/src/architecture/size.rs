//! How large an architecture is, reckoned before anything of its size is allocated: files from outside may ask for any.
use super::{Layer, Operation, Shape, shape_after, tensors};
use crate::error::{Error, Result};
use crate::memory;

/// Images whose activations the engine holds together.
const IMAGES: u64 = 16;

/// Numbers in all tensors, and in the activations of one image after the input and every layer; none beyond 64 bits.
#[derive(Clone, Copy)]
struct Size {
    weights: Option<u64>,
    activations: Option<u64>,
}

/// Checks that one network's weights, and the activations of the images that go through it together, fit into this machine's memory.
///
/// # Errors
/// Too many bytes, with their number.
pub(super) fn check(layers: &[Layer], input: Shape) -> Result<()> {
    let mut size = Size { weights: Some(0), activations: product(&input) };
    add(layers, input, &mut size)?;
    let bytes = |numbers: Option<u64>, of_each: u64| numbers.and_then(|n| n.checked_mul(of_each));
    memory::check("architecture: weights of one network", bytes(size.weights, 4))?;
    memory::check("architecture: activations of 16 images", bytes(size.activations, 4 * IMAGES))?;
    // Everything is indexed by usize, whatever the memory.
    let fits = |n: Option<u64>| n.is_some_and(|n| usize::try_from(n).is_ok());
    match fits(size.weights) && fits(size.activations) {
        true => Ok(()),
        false => Err(Error::parameter("architecture", "sizes that this machine can count", "larger ones")),
    }
}

/// Adds the sizes of `layers` and returns the shape after them.
fn add(layers: &[Layer], input: Shape, size: &mut Size) -> Result<Shape> {
    let mut shape = input;
    for layer in layers {
        if let Operation::Residual { layers, shortcut } = &layer.operation {
            add(layers, shape, size)?;
            add(shortcut, shape, size)?;
        }
        for tensor in tensors(&layer.operation, shape) {
            size.weights = plus(size.weights, product(&tensor.shape));
        }
        if let Operation::SelfAttention { heads, .. } = &layer.operation {
            // Queries, keys, values, and a probability for every pair of tokens.
            let [features, _, tokens] = shape;
            let held = plus(product(&[3, features, tokens]), product(&[*heads, tokens, tokens]));
            size.activations = plus(size.activations, held);
        }
        shape = shape_after(&layer.operation, shape, "layers")?;
        size.activations = plus(size.activations, product(&shape));
    }
    Ok(shape)
}

fn product(sizes: &[usize]) -> Option<u64> {
    sizes.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64))
}

fn plus(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    a?.checked_add(b?)
}

#[cfg(test)]
mod tests {
    use crate::architecture::Architecture;

    #[test]
    fn sizes_beyond_memory_are_refused_with_their_bytes_before_anything_is_allocated() {
        let said = |input: &str, layers: &[&str]| {
            let layers: String = layers.iter().map(|layer| format!("[[layers]]\n{layer}\n")).collect();
            Architecture::from_toml_str(&format!("input = {input}\n{layers}")).unwrap_err().to_string()
        };
        // 2^40 inputs: 4 TiB of weights for one output, and the bias.
        let dense = said("[1099511627776]", &["kind = \"dense\"\nout = 1"]);
        assert!(dense.contains("4398046511108 bytes") && dense.contains("weights of one network"), "{dense}");
        for (input, layers) in [
            ("[4, 8, 8]", &["kind = \"flatten\"", "kind = \"dense\"\nout = 288230376151711744"][..]),
            ("[255, 9223372036854775807, 65536]", &["kind = \"conv\"\nout = 65535\nkernel = 3", "kind = \"flatten\""]),
            ("[2147483647, 4, 65536]", &["kind = \"conv\"\nout = 10000000000\nkernel = 3", "kind = \"flatten\""]),
            ("[1, 8, 8]", &["kind = \"conv\"\nout = 9\nkernel = 18446744073709551\npadding = 18446744073709550"]),
            ("[9223372036854775807, 9223372036854775807, 9]", &["kind = \"flatten\""]),
            ("[1, 1, 1]", &["kind = \"conv\"\nout = 1\nkernel = 9223372036854775807\npadding = 9223372036854775806"]),
            (
                "[1, 4, 4]",
                &[
                    "kind = \"residual\"\n[[layers.layers]]\nkind = \"conv\"\nout = 1\nkernel = 4000000001\npadding = 2000000000",
                ],
            ),
        ] {
            let found = said(input, layers);
            assert!(found.contains("bytes") || found.contains("2^64") || found.contains("at least"), "{found}");
        }
        // Activations without weights: pixels alone.
        assert!(said("[1, 4000000, 4000000]", &["kind = \"relu\""]).contains("activations of 16 images"));
    }
}
