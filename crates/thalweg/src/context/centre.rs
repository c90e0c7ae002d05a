//! What the classes of a set have in common, taken apart from where they differ, and the differences brought to one size.
use crate::nn::elementwise;

/// Added to mean squares.
const EPSILON: f32 = 1e-6;

/// Takes from the first `f` numbers of each token `[S, C, wide]` their mean over the tokens of its set that are there (tokens that are not
/// there become zeros); with `keep`, the mean goes to the next `f` numbers.
pub fn centre(tokens: &mut [f32], wide: usize, f: usize, mask: &[bool], classes: usize, keep: bool) {
    for (tokens, mask) in tokens.chunks_exact_mut(classes * wide).zip(mask.chunks_exact(classes)) {
        let mean = mean(tokens, wide, 0..f, mask);
        for (token, there) in tokens.chunks_exact_mut(wide).zip(mask) {
            if *there {
                token.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m);
            } else {
                token[..f].fill(0.0);
            }
            if keep {
                token[f..2 * f].copy_from_slice(&mean);
            }
        }
    }
}

/// Pulls derivatives with respect to the centred tokens and their kept means back to the tokens, in their first `f` numbers. All tokens of a set
/// have read its mean, those that are not there too.
pub fn centre_backward(d: &mut [f32], wide: usize, f: usize, mask: &[bool], classes: usize) {
    for (d, mask) in d.chunks_exact_mut(classes * wide).zip(mask.chunks_exact(classes)) {
        let there = mask.iter().filter(|there| **there).count().max(1) as f32;
        let apart = mean(d, wide, 0..f, mask);
        let kept = mean(d, wide, f..2 * f, &vec![true; classes]);
        for (token, _) in d.chunks_exact_mut(wide).zip(mask).filter(|(_, there)| **there) {
            for ((x, a), k) in token[..f].iter_mut().zip(&apart).zip(&kept) {
                *x += k * classes as f32 / there - a;
            }
        }
    }
}

/// Divides the first `f` numbers of all tokens of a set by their common root mean square over the tokens that are there; gives 1 over it, `[S]`.
pub fn scale(tokens: &mut [f32], wide: usize, f: usize, mask: &[bool], classes: usize) -> Vec<f32> {
    let sets = tokens.chunks_exact_mut(classes * wide).zip(mask.chunks_exact(classes));
    sets.map(|(tokens, mask)| {
        let count = (mask.iter().filter(|there| **there).count() * f).max(1) as f32;
        let squares: f32 = tokens.chunks_exact(wide).map(|t| elementwise::sum(&t[..f], &t[..f], |a, b| a * b)).sum();
        let inverse = (squares / count + EPSILON).sqrt().recip();
        tokens.chunks_exact_mut(wide).for_each(|t| t[..f].iter_mut().for_each(|x| *x *= inverse));
        inverse
    })
    .collect()
}

/// Pulls derivatives `d` with respect to what [`scale`] made, `tokens`, back in place.
pub fn scale_backward(
    d: &mut [f32],
    tokens: &[f32],
    inverse: &[f32],
    [wide, f]: [usize; 2],
    mask: &[bool],
    classes: usize,
) {
    let sets =
        d.chunks_exact_mut(classes * wide).zip(tokens.chunks_exact(classes * wide)).zip(mask.chunks_exact(classes));
    for (((d, tokens), mask), inverse) in sets.zip(inverse) {
        let count = (mask.iter().filter(|there| **there).count() * f).max(1) as f32;
        let pairs = d.chunks_exact(wide).zip(tokens.chunks_exact(wide)).zip(mask).filter(|(_, there)| **there);
        let along: f32 = pairs.map(|((d, t), _)| elementwise::sum(&d[..f], &t[..f], |a, b| a * b)).sum::<f32>() / count;
        for (d, t) in d.chunks_exact_mut(wide).zip(tokens.chunks_exact(wide)) {
            d[..f].iter_mut().zip(t).for_each(|(d, t)| *d = inverse * (*d - t * along));
        }
    }
}

/// The mean of `part` over the tokens that are there.
fn mean(tokens: &[f32], wide: usize, part: std::ops::Range<usize>, mask: &[bool]) -> Vec<f32> {
    let mut mean = vec![0.0; part.len()];
    let there = mask.iter().filter(|there| **there).count().max(1) as f32;
    for (token, _) in tokens.chunks_exact(wide).zip(mask).filter(|(_, there)| **there) {
        mean.iter_mut().zip(&token[part.clone()]).for_each(|(m, x)| *m += x / there);
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use thalweg_nets::testing::{normals, partial};

    const CLASSES: usize = 3;
    const WIDE: usize = 5;
    const F: usize = 2;
    /// The second set has no token of its middle class.
    const MASK: [bool; 6] = [true, true, true, true, false, true];

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
    }

    #[test]
    fn means_are_those_of_the_tokens_that_are_there() {
        let mut tokens: Vec<f32> = (0..30).map(|i| i as f32).collect();
        centre(&mut tokens, WIDE, F, &MASK, CLASSES, true);
        // The first numbers of the first set are 0, 5, 10: their mean is 5; of the second 15 and 25: 20.
        assert_eq!([tokens[0], tokens[5], tokens[10]], [-5.0, 0.0, 5.0]);
        assert_eq!([tokens[15], tokens[20], tokens[25]], [-5.0, 0.0, 5.0]);
        assert_eq!((tokens[2], tokens[17], tokens[22], tokens[4]), (5.0, 20.0, 20.0, 4.0), "kept, the last left alone");
        let inverse = scale(&mut tokens, WIDE, F, &MASK, CLASSES);
        // Over two numbers of three tokens, and of two: mean squares 4 · 25/6 and 4 · 25/4.
        for (found, square) in inverse.iter().zip([100.0f32 / 6.0, 25.0]) {
            assert!((found * square.sqrt() - 1.0).abs() < 1e-5, "{inverse:?}");
        }
        assert!((tokens[0] + 5.0 * inverse[0]).abs() < 1e-6);
    }

    #[test]
    fn derivatives_agree_with_differences() {
        let (x, w) = (normals(&Streams::new(1), 30), normals(&Streams::new(2), 30));
        let read = |x: &[f32]| {
            let mut tokens = x.to_vec();
            centre(&mut tokens, WIDE, F, &MASK, CLASSES, true);
            let inverse = scale(&mut tokens, WIDE, F, &MASK, CLASSES);
            (tokens, inverse)
        };
        let (tokens, inverse) = read(&x);
        let mut d = w.clone();
        scale_backward(&mut d, &tokens, &inverse, [WIDE, F], &MASK, CLASSES);
        centre_backward(&mut d, WIDE, F, &MASK, CLASSES);
        for token in (0..6).filter(|&token| MASK[token]) {
            for i in token * WIDE..token * WIDE + F {
                let truth = partial(&x, i, 1e-2, |x| dot(&read(x).0, &w));
                assert!((truth - f64::from(d[i])).abs() < 2e-3 * (1.0 + truth.abs()), "{i}: {} {truth}", d[i]);
            }
        }
    }
}
