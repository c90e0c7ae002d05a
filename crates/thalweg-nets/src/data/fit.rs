//! Brings images to another size before training: CIFAR to the 28×28 of cnn-s, MNIST to the 8×8 of the digits.
//!
//! Every output pixel of [`Fit::Area`] and [`Fit::Ink`] is the mean of the input over the square that it covers (box filter, exact for
//! fractions of pixels), so the mean brightness of what is covered is kept.
use super::table::{Table, Values};
use crate::error::{Error, Result};
use crate::memory;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How images become `side`×`side`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fit {
    /// The middle square, pixel for pixel (one more row or column is cut below and right where the difference is odd).
    Crop {
        /// Height and width after.
        side: usize,
    },
    /// The whole image, shrunk or grown.
    Area {
        /// Height and width after.
        side: usize,
    },
    /// The box round the ink, stretched to the square: aligns digits of different writers and scanners. Ink is what exceeds a tenth of
    /// the range in any channel; an image without ink is taken whole. (From MNIST to the UCI digits at 8×8 a softmax classifier keeps 75 %
    /// so, 68 % with a square box that keeps the digit's proportions, and 16 % to 57 % with fixed crops.)
    Ink {
        /// Height and width after.
        side: usize,
    },
}

impl Fit {
    /// Applies it to every image.
    ///
    /// # Errors
    /// Rows that are no images, a side of 0, a crop larger than the image.
    pub fn apply(self, table: Table) -> Result<Table> {
        let [channels, height, width] = table.shape;
        let (Fit::Crop { side } | Fit::Area { side } | Fit::Ink { side }) = self;
        if height == 1 && width == 1 {
            return Err(Error::parameter("data.fit", "images to fit", format!("rows of {channels} features")));
        }
        if side == 0 || side > 4096 || (matches!(self, Fit::Crop { .. }) && side > height.min(width)) {
            let most = if matches!(self, Fit::Crop { .. }) { height.min(width) } else { 4096 };
            return Err(Error::parameter("data.fit.side", format!("from 1 to {most}"), side));
        }
        let numbers =
            (table.len() as u64).checked_mul(channels as u64).and_then(|n| n.checked_mul((side * side) as u64));
        memory::check(
            &format!("data.fit.side = {side} for {} images of {channels} channels", table.len()),
            numbers.and_then(|n| n.checked_mul(4)),
        )?;
        let values = match (self, &table.values) {
            (Fit::Crop { .. }, Values::Bytes { bytes, divisor }) => {
                Values::Bytes { bytes: crop(bytes, height, width, side), divisor: *divisor }
            }
            (Fit::Crop { .. }, Values::Floats(values)) => Values::Floats(crop(values, height, width, side)),
            _ => {
                let [low, high] = table.range.unwrap_or([0.0, 1.0]);
                let mut out = Vec::with_capacity(table.len() * channels * side * side);
                for row in 0..table.len() {
                    let image = table.raw(row);
                    let whole = [[0, height], [0, width]];
                    let [rows, columns] = match self {
                        Fit::Ink { .. } => ink(&image, width, height, low + 0.1 * (high - low)).unwrap_or(whole),
                        _ => whole,
                    };
                    let (rows, columns) = (shares(rows, side), shares(columns, side));
                    for plane in image.chunks_exact(height * width) {
                        out.extend(means(plane, width, &rows, &columns));
                    }
                }
                Values::Floats(out)
            }
        };
        Ok(Table { shape: [channels, side, side], values, ..table })
    }
}

fn crop<T: Copy>(values: &[T], height: usize, width: usize, side: usize) -> Vec<T> {
    let (top, left) = ((height - side) / 2, (width - side) / 2);
    let mut out = Vec::with_capacity(values.len() / (height * width) * side * side);
    for plane in values.chunks_exact(height * width) {
        for y in top..top + side {
            out.extend_from_slice(&plane[y * width + left..y * width + left + side]);
        }
    }
    out
}

/// First and past-the-last row and column of what exceeds the threshold in any channel.
fn ink(image: &[f32], width: usize, height: usize, threshold: f32) -> Option<[[usize; 2]; 2]> {
    let mut span: Option<[[usize; 2]; 2]> = None;
    for (i, _) in image.iter().enumerate().filter(|(_, v)| **v > threshold) {
        let (y, x) = (i % (height * width) / width, i % width);
        let [[top, bottom], [left, right]] = span.unwrap_or([[y, y + 1], [x, x + 1]]);
        span = Some([[top.min(y), bottom.max(y + 1)], [left.min(x), right.max(x + 1)]]);
    }
    span
}

/// For each of `side` equal parts of the pixels from `start` to `end`: which pixels it covers, and their shares of it.
fn shares([start, end]: [usize; 2], side: usize) -> Vec<Vec<(usize, f32)>> {
    let step = (end - start) as f32 / side as f32;
    let part = |i: usize| {
        let (a, b) = (start as f32 + i as f32 * step, start as f32 + (i + 1) as f32 * step);
        let last = (b.ceil() as usize).min(end);
        let overlap = |p: usize| (b.min((p + 1) as f32) - a.max(p as f32)).max(0.0) / step;
        (a as usize..last).map(|p| (p, overlap(p))).collect()
    };
    (0..side).map(part).collect()
}

/// The weighted means of a plane over the parts of its rows times those of its columns.
fn means(plane: &[f32], width: usize, rows: &[Vec<(usize, f32)>], columns: &[Vec<(usize, f32)>]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * columns.len());
    for rows in rows {
        for columns in columns {
            let line = |y: usize| columns.iter().map(|&(x, wx)| wx * plane[y * width + x]).sum::<f32>();
            out.push(rows.iter().map(|&(y, wy)| wy * line(y)).sum());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image(height: usize, width: usize, values: Vec<f32>) -> Table {
        Table::of_values("x", [1, height, width], 1, values, vec![0], Some([0.0, 1.0])).unwrap()
    }

    #[test]
    fn the_middle_is_cropped_pixel_for_pixel() {
        let bytes: Vec<u8> = (0..50).collect();
        let t = Table::of_bytes("x", [2, 5, 5], 1, bytes, 255, vec![0]).unwrap();
        let t = Fit::Crop { side: 2 }.apply(t).unwrap();
        let Values::Bytes { bytes, .. } = &t.values else { panic!("bytes stay bytes") };
        assert_eq!((t.shape, &bytes[..]), ([2, 2, 2], &[6, 7, 11, 12, 31, 32, 36, 37][..]));
    }

    #[test]
    fn halving_averages_blocks_of_four() {
        let t = image(4, 4, (0..16).map(|i| i as f32 / 16.0).collect());
        let half = Fit::Area { side: 2 }.apply(t).unwrap().raw(0);
        let block = |a: f32| (a + a + 1.0 + a + 4.0 + a + 5.0) / 64.0;
        for (found, expected) in half.iter().zip([block(0.0), block(2.0), block(8.0), block(10.0)]) {
            assert!((found - expected).abs() < 1e-6);
        }
    }

    proptest! {
        #[test]
        fn area_keeps_the_mean_and_the_identity(h in 2usize..12, w in 2usize..12, side in 1usize..12, seed: u64) {
            let values: Vec<f32> = (0..h * w).map(|i| ((i as u64).wrapping_mul(seed) % 97) as f32 / 97.0).collect();
            let mean = |v: &[f32]| v.iter().sum::<f32>() / v.len() as f32;
            let out = Fit::Area { side }.apply(image(h, w, values.clone())).unwrap().raw(0);
            prop_assert!((mean(&out) - mean(&values)).abs() < 1e-4);
            if h == w {
                let same = Fit::Area { side: h }.apply(image(h, w, values.clone())).unwrap().raw(0);
                prop_assert!(same.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-5));
            }
        }

        #[test]
        fn ink_sees_neither_where_the_digit_stood_nor_how_wide_it_is(dy in 0usize..6, dx in 0usize..4, wide in 1usize..3) {
            let at = |dy: usize, dx: usize, wide: usize| {
                let mut values = vec![0.0; 100];
                for (y, x) in [(0, 0), (1, 1), (2, 2), (3, 1), (3, 0)] {
                    (0..wide).for_each(|k| values[(y + dy) * 10 + x * wide + k + dx] = 0.9);
                }
                Fit::Ink { side: 4 }.apply(image(10, 10, values)).unwrap().raw(0)
            };
            let (a, b) = (at(0, 0, 1), at(dy, dx, wide));
            prop_assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn wrong_sides_and_rows_are_refused() {
        let message = |fit: Fit, t: Table| fit.apply(t).unwrap_err().to_string();
        assert!(message(Fit::Crop { side: 5 }, image(4, 6, vec![0.0; 24])).contains("from 1 to 4"));
        assert!(message(Fit::Area { side: 0 }, image(4, 4, vec![0.0; 16])).contains("data.fit.side"));
        let rows = Table::of_values("x", [3, 1, 1], 1, vec![0.0; 3], vec![0], None).unwrap();
        assert!(message(Fit::Ink { side: 2 }, rows).contains("3 features"));
        // No ink: the whole image.
        assert_eq!(Fit::Ink { side: 2 }.apply(image(4, 4, vec![0.0; 16])).unwrap().raw(0), [0.0; 4]);
    }
}
