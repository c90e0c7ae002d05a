//! Sinusoidal features of time: φ(t) `[F]` = (sin ω_k t, cos ω_k t), k = 1 … F/2, with ω_k from 1 to 100 in geometric steps,
//! so that t in [0, 1] is resolved at every scale from the whole interval down to one fiftieth.
use rayon::prelude::*;

/// The largest angular frequency; the smallest is 1.
const TOP: f32 = 100.0;

/// Fills `out [B, features]` for `t [B]`; `features` is even.
pub fn features(t: &[f32], features: usize, out: &mut [f32]) {
    let half = features / 2;
    out.par_chunks_mut(features).zip(t).for_each(|(row, &t)| {
        let (sines, cosines) = row.split_at_mut(half);
        for k in 0..half {
            let angle = t * frequency(k, half);
            (sines[k], cosines[k]) = angle.sin_cos();
        }
    });
}

/// Fills `out [B, features]` with the derivatives φ'(t) of [`features`], from φ(t) itself.
pub fn slopes(phi: &[f32], features: usize, out: &mut [f32]) {
    let half = features / 2;
    out.par_chunks_mut(features).zip(phi.par_chunks(features)).for_each(|(row, phi)| {
        for k in 0..half {
            row[k] = frequency(k, half) * phi[half + k];
            row[half + k] = -frequency(k, half) * phi[k];
        }
    });
}

fn frequency(k: usize, half: usize) -> f32 {
    TOP.powf(k as f32 / (half.max(2) - 1) as f32)
}

#[cfg(test)]
mod tests {
    #[test]
    fn features_start_at_zero_and_one_and_turn_at_their_frequencies() {
        let mut out = vec![0.0; 2 * 4];
        super::features(&[0.0, 0.5], 4, &mut out);
        assert_eq!(out[..4], [0.0, 0.0, 1.0, 1.0]);
        for (found, truth) in out[4..].iter().zip([0.5f32.sin(), 50f32.sin(), 0.5f32.cos(), 50f32.cos()]) {
            assert!((found - truth).abs() < 1e-5);
        }
        let mut slopes = vec![0.0; 2 * 4];
        super::slopes(&out, 4, &mut slopes);
        assert_eq!(slopes[..4], [1.0, 100.0, 0.0, 0.0]);
    }
}
