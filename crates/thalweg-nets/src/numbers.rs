//! Numbers of the float types that files hold, to and from single precision; quantiles.
use crate::error::{Error, Result};
use half::{bf16, f16};
use safetensors::Dtype;
use std::path::Path;

/// Whether tensors of this type are weights (integers are counters and are passed over).
pub fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64)
}

/// The numbers of this type in `data`, little-endian, as f32. `path` and `name` say in errors where they lie.
///
/// # Errors
/// A type that is not a float, or a number that is not finite.
pub fn decoded(path: &Path, name: &str, dtype: Dtype, data: &[u8]) -> Result<Vec<f32>> {
    let values: Vec<f32> = match dtype {
        Dtype::F32 => data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F64 => data.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        Dtype::BF16 => data.as_chunks::<2>().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::F16 => data.as_chunks::<2>().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        other => {
            return Err(Error::format(path, format!("tensor {name}"), "f32, f64, f16 or bf16", format!("{other:?}")));
        }
    };
    match values.iter().position(|v| !v.is_finite()) {
        Some(i) => Err(Error::format(path, format!("tensor {name}, index {i}"), "a finite number", values[i])),
        None => Ok(values),
    }
}

/// `values` as little-endian bytes of a float type, each rounded to the nearest number of that type (ties to even), as PyTorch rounds.
///
/// # Errors
/// A type that is not a float; a number beyond the largest of the type. `what` names the numbers.
pub fn encoded(what: &str, dtype: Dtype, values: &[f32]) -> Result<Vec<u8>> {
    let beyond = |largest: f32| match values.iter().find(|v| v.abs() > largest) {
        Some(v) => Err(Error::parameter(what, format!("numbers of {dtype:?}, at most {largest} in size"), v)),
        None => Ok(()),
    };
    // The largest single that is not rounded to infinity: half a step above the largest number of the type, and below it.
    match dtype {
        Dtype::F16 => beyond(f32::from_bits(65520f32.to_bits() - 1))?,
        Dtype::BF16 => beyond(f32::from_bits(0x7f7f_7fff))?,
        _ => {}
    }
    Ok(match dtype {
        Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        Dtype::F64 => values.iter().flat_map(|v| f64::from(*v).to_le_bytes()).collect(),
        Dtype::BF16 => values.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect(),
        Dtype::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
        other => return Err(Error::parameter(what, "f32, f64, f16 or bf16", format!("{other:?}"))),
    })
}

/// The `q`-quantile of rising values `[n]`, n ≥ 1, 0 ≤ q ≤ 1, linear between order statistics (NumPy's default, Hyndman and Fan's type 7).
pub fn quantile_of_rising(values: &[f64], q: f64) -> f64 {
    let place = q * (values.len() - 1) as f64;
    let (low, share) = (place.floor() as usize, place.fract());
    // Not a weighted sum: where both ends are infinite it would be NaN.
    if share == 0.0 || values[low] == values[low + 1] {
        return values[low];
    }
    values[low] + share * (values[low + 1] - values[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_is_read_and_written_back_as_it_was() {
        for dtype in [Dtype::F16, Dtype::BF16] {
            for bits in 0..=u16::MAX {
                let bytes = bits.to_le_bytes();
                // What is not finite is refused; signs of zeros stay.
                let Ok(values) = decoded(Path::new("x"), "w", dtype, &bytes) else { continue };
                assert_eq!(encoded("w", dtype, &values).unwrap(), bytes, "{dtype:?} {bits:#x}");
            }
        }
        for (bits, value) in
            [(0x3c00u16, 1.0), (0xc000, -2.0), (0x0001, 5.960_464_5e-8), (0x7bff, 65504.0), (0x3555, 0.333_251_95)]
        {
            assert_eq!(decoded(Path::new("x"), "w", Dtype::F16, &bits.to_le_bytes()).unwrap(), [value]);
        }
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_those_beyond_the_type_refused() {
        let half = |v: f32| encoded("w", Dtype::F16, &[v]).map(|b| u16::from_le_bytes([b[0], b[1]]));
        // Halfway between 1 and its successor: to even; above it: up.
        assert_eq!(half(1.0 + 2f32.powi(-11)).unwrap(), 0x3c00);
        assert_eq!(half(1.0 + 3.0 * 2f32.powi(-11)).unwrap(), 0x3c02);
        assert_eq!(half(1.0 + 1.01 * 2f32.powi(-11)).unwrap(), 0x3c01);
        assert_eq!(half(65519.9).unwrap(), 0x7bff);
        let said = half(65520.0).unwrap_err().to_string();
        assert!(said.contains("parameter w") && said.contains("F16"), "{said}");
        assert_eq!(encoded("w", Dtype::BF16, &[f32::from_bits(0x7f7f_7fff)]).unwrap(), 0x7f7fu16.to_le_bytes());
        assert!(encoded("w", Dtype::BF16, &[f32::MAX]).is_err());
        assert_eq!(encoded("w", Dtype::F64, &[0.1]).unwrap(), f64::from(0.1f32).to_le_bytes());
        assert!(encoded("w", Dtype::I8, &[0.1]).is_err());
    }
}
