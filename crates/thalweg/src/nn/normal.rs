//! Standard normal numbers in bulk: path noise (M4, M5) and Gaussian sources ask for one a weight, which by one-at-a-time sampling took more
//! than half of a training step.
//!
//! Box and Muller's transform on whole vectors: z = √(−2 ln u) (cos 2πv, sin 2πv) with u in (0, 1] from 32 bits, v from 32 bits, so |z| ≤ 6.7.
//! Sixty-four words of the generator give sixty-four numbers; a last block that is not needed whole is drawn whole, so the first
//! numbers of a long draw are those of a short one. No fused multiplications: the same bytes on every instruction set.
use super::dense::vectorised;
use rand::Rng;

/// Numbers of one block: half of its words become radii, half angles.
const BLOCK: usize = 64;
const HALF: usize = BLOCK / 2;

/// Fills `out` with independent standard normal numbers.
pub fn fill(rng: &mut impl Rng, out: &mut [f32]) {
    let (mut bytes, mut block) = ([0u8; 4 * BLOCK], [0f32; BLOCK]);
    for out in out.chunks_mut(BLOCK) {
        rng.fill_bytes(&mut bytes);
        let word = |i: usize| u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]);
        let words: [u32; BLOCK] = std::array::from_fn(word);
        vectorised(|| transform(&words, &mut block));
        out.copy_from_slice(&block[..out.len()]);
    }
}

#[inline(always)]
fn transform(words: &[u32; BLOCK], out: &mut [f32; BLOCK]) {
    let (cosines, sines) = out.split_at_mut(HALF);
    for i in 0..HALF {
        let radius = (-2.0 * ln(unit(words[i]))).max(0.0).sqrt();
        let (cosine, sine) = turn(words[HALF + i]);
        cosines[i] = radius * cosine;
        sines[i] = radius * sine;
    }
}

/// (w + 1) / 2³², rounded, in (0, 1].
#[inline(always)]
fn unit(w: u32) -> f32 {
    let (high, low) = ((w >> 16) as i32 as f32, (w & 0xffff) as i32 as f32);
    (high * 65_536.0 + (low + 1.0)) * (1.0 / 4_294_967_296.0)
}

/// ln x for normal x > 0, to 2e-7 relative to max(1, |ln x|).
#[inline(always)]
fn ln(x: f32) -> f32 {
    // x = m 2^e with m in [√½, √2): ln m = 2 artanh(s), s = (m − 1)/(m + 1), |s| ≤ .172; the series is cut at s⁹/9 < 2e-8.
    let bits = x.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (bits as i32) >> 23;
    let m = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let s = (m - 1.0) / (m + 1.0);
    let r = s * s;
    e as f32 * std::f32::consts::LN_2
        + 2.0 * s * (1.0 + r * (1.0 / 3.0 + r * (0.2 + r * (1.0 / 7.0 + r * (1.0 / 9.0)))))
}

/// cos and sin of w / 2³² of a whole turn, to 1e-6.
#[inline(always)]
fn turn(w: u32) -> (f32, f32) {
    // The nearest quarter turn, and what is left of it: at most an eighth of a turn.
    let quarter = w.wrapping_add(1 << 29) >> 30;
    let x = w.wrapping_sub(quarter << 30) as i32 as f32 * (std::f32::consts::TAU / 4_294_967_296.0);
    let r = x * x;
    let sine = x * (1.0 + r * (-1.0 / 6.0 + r * (1.0 / 120.0 + r * (-1.0 / 5_040.0 + r * (1.0 / 362_880.0)))));
    let cosine = 1.0 + r * (-0.5 + r * (1.0 / 24.0 + r * (-1.0 / 720.0 + r * (1.0 / 40_320.0))));
    let (along, across) = if quarter & 1 == 0 { (cosine, sine) } else { (sine, cosine) };
    let sign = |negative: bool| if negative { -1.0f32 } else { 1.0 };
    (along * sign(quarter == 1 || quarter == 2), across * sign(quarter >= 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::Streams;

    fn draw(seed: u64, n: usize) -> Vec<f32> {
        let mut out = vec![0.0; n];
        fill(&mut Streams::new(seed).rng(), &mut out);
        out
    }

    #[test]
    fn functions_agree_with_the_library() {
        for i in 0..=1_000_000u32 {
            let w = i.wrapping_mul(4_294_967);
            let x = unit(w);
            let truth = ((f64::from(w) + 1.0) / 4_294_967_296.0).ln();
            assert!((f64::from(ln(x)) - truth).abs() < 3e-7 * truth.abs().max(1.0), "ln {x}");
            let angle = f64::from(w) / 4_294_967_296.0 * std::f64::consts::TAU;
            let (cosine, sine) = turn(w);
            assert!(
                (f64::from(cosine) - angle.cos()).abs() < 1e-6 && (f64::from(sine) - angle.sin()).abs() < 1e-6,
                "{w}"
            );
        }
        assert!(ln(unit(u32::MAX)) <= 0.0 && unit(0) > 0.0);
    }

    #[test]
    fn the_law_is_standard_normal() {
        let n = 1 << 20;
        let mut z: Vec<f64> = draw(1, n).into_iter().map(f64::from).collect();
        let moment = |k: i32| z.iter().map(|z| z.powi(k)).sum::<f64>() / n as f64;
        // Standard errors of the first four moments are √(1, 2, 15, 96)/√n.
        for (k, truth, error) in [(1, 0.0, 1.0f64), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
            assert!((moment(k) - truth).abs() < 4.0 * (error / n as f64).sqrt(), "moment {k}: {}", moment(k));
        }
        // Neighbours, and the two halves of one transform, know nothing of each other.
        for lag in [1, HALF, BLOCK] {
            let product = z.iter().zip(&z[lag..]).map(|(a, b)| a * b).sum::<f64>() / n as f64;
            assert!(product.abs() < 4.0 / (n as f64).sqrt(), "lag {lag}: {product}");
        }
        // Kolmogorov and Smirnov: sup |F_n − Φ| √n exceeds 1.95 once in a thousand. Φ by Simpson's rule between the sorted points' grid.
        z.sort_by(f64::total_cmp);
        let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let (mut phi, h, mut largest) = (0.0, 0.01, 0.0f64);
        for i in 0..1_600 {
            let x = -8.0 + h * f64::from(i);
            phi += h / 6.0 * (density(x) + 4.0 * density(x + h / 2.0) + density(x + h));
            let share = z.partition_point(|z| *z <= x + h) as f64 / n as f64;
            largest = largest.max((share - phi).abs());
        }
        assert!(largest * (n as f64).sqrt() < 1.95, "{largest}");
        assert!(z[n - 1] > 4.0 && z[n - 1] < 6.7);
    }

    #[test]
    fn a_short_draw_is_the_start_of_a_long_one() {
        let long = draw(3, 1000);
        for n in [1, 63, 64, 65, 999] {
            assert_eq!(draw(3, n), long[..n]);
        }
        assert_ne!(draw(4, 64), long[..64]);
    }
}
