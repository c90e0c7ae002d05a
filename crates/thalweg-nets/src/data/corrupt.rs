//! Corruptions of images: mild shifts of known kind and strength, with a seed. They act on raw pixels, and the result is standardised as before.
//!
//! | name | severity 1 to 5 | what |
//! | --- | --- | --- |
//! | `rotation` | 10, 20, 30, 45, 60 degrees | about the middle, to a random side, bilinear |
//! | `translation` | 0.04, 0.08, 0.12, 0.16, 0.20 of the side | in a random direction, bilinear |
//! | `blur` | σ of 0.03, 0.045, 0.06, 0.08, 0.1 of the side (0.84 to 2.8 pixels of 28) | Gaussian, edges repeated |
//! | `noise` | deviation 0.1, 0.2, 0.3, 0.4, 0.6 of the range | Gaussian, clipped to the range |
//! | `contrast` | factor 0.75, 0.5, 0.4, 0.3, 0.15 | x → m + factor (x − m), m the mean of the image's channel |
//! | `occlusion` | a square of 0.2, 0.3, 0.4, 0.5, 0.6 of the side | at a random place, filled with the lowest value |
//!
//! Severity 0 changes nothing. What moves in from outside is the lowest value (black). The same seed draws the same directions and places at
//! every severity, image by image, so that severities compare pairwise.
use super::dataset::Dataset;
use super::pixels::{blur, occlude, rotate, warp};
use crate::error::{Error, Result};
use crate::streams::Streams;
use rand::RngExt;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// A kind of corruption with its strength; all zero (contrast: one) is the identity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Corruption {
    /// Turn about the middle.
    Rotation {
        /// Angle; the side is drawn.
        degrees: f32,
    },
    /// Move in a random direction.
    Translation {
        /// Distance over the greater side, from 0 to 1.
        fraction: f32,
    },
    /// Gaussian blur.
    Blur {
        /// Deviation over the greater side, from 0 to 1.
        sigma: f32,
    },
    /// Gaussian noise, clipped.
    Noise {
        /// Deviation over the range of pixels.
        std: f32,
    },
    /// Pull towards the mean.
    Contrast {
        /// 1 keeps, 0 flattens.
        factor: f32,
    },
    /// A black square.
    Occlusion {
        /// Side of the square over each side of the image, from 0 to 1.
        fraction: f32,
    },
}

impl Corruption {
    /// Names that [`Self::named`] knows.
    pub const NAMES: [&str; 6] = ["rotation", "translation", "blur", "noise", "contrast", "occlusion"];

    /// The corruption of the module's table; severity 0 to 5.
    ///
    /// # Errors
    /// An unknown name, a severity above 5.
    pub fn named(name: &str, severity: u8) -> Result<Self> {
        if severity > 5 {
            return Err(Error::parameter("severity", "from 0 to 5", severity));
        }
        let of = |zero: f32, table: [f32; 5]| if severity == 0 { zero } else { table[usize::from(severity) - 1] };
        match name {
            "rotation" => Ok(Self::Rotation { degrees: of(0.0, [10.0, 20.0, 30.0, 45.0, 60.0]) }),
            "translation" => Ok(Self::Translation { fraction: of(0.0, [0.04, 0.08, 0.12, 0.16, 0.20]) }),
            "blur" => Ok(Self::Blur { sigma: of(0.0, [0.03, 0.045, 0.06, 0.08, 0.1]) }),
            "noise" => Ok(Self::Noise { std: of(0.0, [0.1, 0.2, 0.3, 0.4, 0.6]) }),
            "contrast" => Ok(Self::Contrast { factor: of(1.0, [0.75, 0.5, 0.4, 0.3, 0.15]) }),
            "occlusion" => Ok(Self::Occlusion { fraction: of(0.0, [0.2, 0.3, 0.4, 0.5, 0.6]) }),
            other => Err(Error::parameter("corruption", format!("one of {}", Self::NAMES.join(", ")), other)),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Rotation { .. } => "rotation",
            Self::Translation { .. } => "translation",
            Self::Blur { .. } => "blur",
            Self::Noise { .. } => "noise",
            Self::Contrast { .. } => "contrast",
            Self::Occlusion { .. } => "occlusion",
        }
    }

    /// Checks the strength and returns it with the value that changes nothing.
    fn check(&self) -> Result<(f32, f32)> {
        let (field, value, identity, range) = match *self {
            Self::Rotation { degrees } => ("degrees", degrees, 0.0, -360.0..=360.0),
            Self::Translation { fraction } => ("fraction", fraction, 0.0, 0.0..=1.0),
            Self::Blur { sigma } => ("sigma", sigma, 0.0, 0.0..=1.0),
            Self::Noise { std } => ("std", std, 0.0, 0.0..=100.0),
            Self::Contrast { factor } => ("factor", factor, 1.0, 0.0..=10.0),
            Self::Occlusion { fraction } => ("fraction", fraction, 0.0, 0.0..=1.0),
        };
        if range.contains(&value) {
            return Ok((value, identity));
        }
        let expected = format!("from {} to {}", range.start(), range.end());
        Err(Error::parameter(format!("corruption.{}.{field}", self.name()), expected, value))
    }

    /// Corrupts every image of `data` `[N, D]`, by a random stream of its own each: same seed, same bytes on any number of threads.
    ///
    /// # Errors
    /// Rows that are no images, a strength outside its range.
    pub fn apply(&self, data: &Dataset, seed: u64) -> Result<Dataset> {
        let (strength, identity) = self.check()?;
        let [channels, height, width] = data.shape;
        let Some([low, high]) = data.normalisation.range else {
            let found = format!("rows of {channels} features");
            return Err(Error::parameter("corruption", format!("images (data {} holds none)", data.name), found));
        };
        if strength == identity {
            return Ok(data.clone());
        }
        let streams = Streams::new(seed).child("corrupt").child(self.name());
        let mut inputs = data.inputs.clone();
        inputs.par_chunks_exact_mut(data.input_len()).enumerate().for_each(|(i, image)| {
            data.normalisation.to_raw(image);
            let mut rng = streams.index(i as u64).rng();
            // One draw serves all channels: colours move together.
            let (a, b) = (rng.random::<f32>(), rng.random::<f32>());
            for plane in image.chunks_exact_mut(height * width) {
                let size = [height, width];
                match *self {
                    Self::Rotation { degrees } => rotate(plane, size, if a < 0.5 { degrees } else { -degrees }, low),
                    Self::Translation { fraction } => {
                        let (sin, cos) = (std::f32::consts::TAU * a).sin_cos();
                        let far = fraction * height.max(width) as f32;
                        warp(plane, size, low, |y, x| (y - far * sin, x - far * cos));
                    }
                    Self::Blur { sigma } => blur(plane, size, sigma * height.max(width) as f32),
                    Self::Noise { std } => plane.iter_mut().for_each(|v| {
                        let noise: f32 = rng.sample(StandardNormal);
                        *v = (*v + std * (high - low) * noise).clamp(low, high);
                    }),
                    Self::Contrast { factor } => {
                        let mean = plane.iter().sum::<f32>() / plane.len() as f32;
                        plane.iter_mut().for_each(|v| *v = mean + factor * (*v - mean));
                    }
                    Self::Occlusion { fraction } => occlude(plane, size, fraction, [a, b], low),
                }
            }
            data.normalisation.standardise(image);
        });
        Ok(Dataset { inputs, ..data.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::pixels::tests::{blob, moments};
    use crate::data::{DataSpec, Table};
    use proptest::prelude::*;

    fn images(shape: [usize; 3], values: Vec<f32>) -> Dataset {
        let n = values.len() / shape.iter().product::<usize>();
        let table = Table::of_values("x", shape, 1, values, vec![0; n], Some([0.0, 1.0])).unwrap();
        table.standardised(&(0..n).collect::<Vec<_>>(), &table.normalisation()).unwrap()
    }

    #[test]
    fn severity_zero_is_the_identity_and_five_is_not() {
        let digits = DataSpec::named("digits").load().unwrap().validation.first(20);
        for name in Corruption::NAMES {
            assert_eq!(Corruption::named(name, 0).unwrap().apply(&digits, 3).unwrap(), digits, "{name}");
            let distance = |severity| {
                let other = Corruption::named(name, severity).unwrap().apply(&digits, 3).unwrap();
                other.check().unwrap();
                assert_eq!((&other.labels, &other.normalisation), (&digits.labels, &digits.normalisation));
                other.inputs.iter().zip(&digits.inputs).map(|(a, b)| (a - b) * (a - b)).sum::<f32>()
            };
            assert!(0.0 < distance(1) && distance(1) < distance(5), "{name}");
        }
    }

    #[test]
    fn seeds_decide_and_threads_do_not() {
        let digits = DataSpec::named("digits").load().unwrap().validation;
        for name in Corruption::NAMES.iter().filter(|name| !matches!(**name, "blur" | "contrast")) {
            let corruption = Corruption::named(name, 3).unwrap();
            let a = corruption.apply(&digits, 7).unwrap();
            let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            assert_eq!(a, one.install(|| corruption.apply(&digits, 7)).unwrap(), "{name}");
            assert_ne!(a.inputs, corruption.apply(&digits, 8).unwrap().inputs, "{name}");
        }
    }

    proptest! {
        #[test]
        fn translation_keeps_the_mass_and_moves_its_centre_by_the_distance(seed: u64, severity in 1u8..5) {
            let data = images([1, 21, 21], blob());
            let far = 0.04 * f32::from(severity) * 21.0;
            let moved = Corruption::named("translation", severity).unwrap().apply(&data, seed).unwrap();
            let [m0, y0, x0] = moments(&blob());
            let [m1, y1, x1] = moments(&moved.raw());
            prop_assert!((m1 / m0 - 1.0).abs() < 0.01);
            prop_assert!((((y1 - y0).powi(2) + (x1 - x0).powi(2)).sqrt() - far).abs() < 0.05);
        }
    }

    #[test]
    fn contrast_scales_the_deviation_of_every_channel_about_its_mean() {
        let data = images([2, 1, 2], vec![0.0, 1.0, 0.2, 0.4]);
        let raw = Corruption::Contrast { factor: 0.5 }.apply(&data, 0).unwrap().raw();
        assert!(raw.iter().zip([0.25, 0.75, 0.25, 0.35]).all(|(a, b)| (a - b).abs() < 1e-6), "{raw:?}");
    }

    #[test]
    fn noise_has_its_deviation_and_stays_in_range() {
        let mut values = vec![0.5; 40_000];
        (values[0], values[1]) = (0.0, 1.0);
        let raw = Corruption::Noise { std: 0.1 }.apply(&images([1, 200, 200], values), 1).unwrap().raw();
        let std = (raw.iter().map(|v| (v - 0.5).powi(2)).sum::<f32>() / 40_000.0).sqrt();
        assert!((std - 0.1).abs() < 0.002, "{std}");
        assert!(raw.iter().all(|v| (-1e-6..=1.000_001).contains(v)));
    }

    #[test]
    fn occlusion_blackens_exactly_its_square() {
        let mut values = vec![1.0; 100];
        values[0] = 0.99;
        for seed in 0..50 {
            let raw = Corruption::Occlusion { fraction: 0.3 }
                .apply(&images([1, 10, 10], values.clone()), seed)
                .unwrap()
                .raw();
            assert_eq!(raw.iter().filter(|v| **v < 0.5).count(), 9);
        }
        let all = Corruption::Occlusion { fraction: 1.0 }.apply(&images([1, 10, 10], values), 0).unwrap().raw();
        assert!(all.iter().all(|v| v.abs() < 1e-5));
    }

    #[test]
    fn wrong_uses_are_named() {
        let rows = Dataset::of_raw("rows", [2, 1, 1], 1, vec![0.0, 1.0, 2.0, 3.0], vec![0, 0]).unwrap();
        let message = |c: Corruption| c.apply(&rows, 0).unwrap_err().to_string();
        assert!(message(Corruption::Blur { sigma: 0.1 }).contains("2 features"));
        assert!(message(Corruption::Blur { sigma: f32::NAN }).contains("corruption.blur.sigma"));
        assert!(Corruption::named("fog", 1).unwrap_err().to_string().contains("occlusion"));
        assert!(Corruption::named("blur", 6).unwrap_err().to_string().contains("severity"));
    }
}
