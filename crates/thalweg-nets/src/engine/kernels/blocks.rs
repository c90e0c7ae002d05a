//! Blocks of channels: how many a kernel holds in registers at once, and weights laid in that order.
use crate::engine::ops::Conv;

/// Splits `n` channels into blocks of at most `most` ≤ 8, as equal as can be: (first, size) of each.
pub(in crate::engine) fn blocks(n: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = n.div_ceil(most);
    (0..count).scan(0, move |at, block| {
        let (first, size) = (*at, (n - *at).div_ceil(count - block));
        *at += size;
        Some((first, size))
    })
}

/// Channels whose two columns fit into so many registers, with room for inputs and weights.
pub(in crate::engine) const fn pairs(registers: usize) -> usize {
    if registers == 32 { 8 } else { 6 }
}

/// Channels whose four columns of a window fit.
pub(in crate::engine) const fn windows(registers: usize) -> usize {
    if registers == 32 { 6 } else { 3 }
}

/// Calls `$f::<$S, …, B>(at, …)` for every block (at, B) of `$n` channels. `$most` is constant, so that no code is made
/// for larger blocks.
macro_rules! in_blocks {
    ($n:expr, $most:expr, $f:ident::<$S:ident $(, $K:tt)*>($($argument:expr),* $(,)?)) => {{
        for (at, size) in $crate::engine::kernels::blocks::blocks($n, const { $most }) {
            match size {
                1 => $f::<$S, $($K,)* 1>(at, $($argument),*),
                2 => if const { $most >= 2 } { $f::<$S, $($K,)* 2>(at, $($argument),*) },
                3 => if const { $most >= 3 } { $f::<$S, $($K,)* 3>(at, $($argument),*) },
                4 => if const { $most >= 4 } { $f::<$S, $($K,)* 4>(at, $($argument),*) },
                5 => if const { $most >= 5 } { $f::<$S, $($K,)* 5>(at, $($argument),*) },
                6 => if const { $most >= 6 } { $f::<$S, $($K,)* 6>(at, $($argument),*) },
                7 => if const { $most >= 7 } { $f::<$S, $($K,)* 7>(at, $($argument),*) },
                _ => if const { $most >= 8 } { $f::<$S, $($K,)* 8>(at, $($argument),*) },
            }
        }
    }};
}
pub(in crate::engine) use in_blocks;

/// Copies weights `[o, i, ky, kx]` of θ to `[block of o][i][ky][kx][o in the block]`, and to
/// `[block of i][o][ky][kx][i in the block]` for the input gradient. The convolution has one group.
pub(in crate::engine) fn repack(conv: &Conv, theta: &[f32], weights: &mut [f32]) {
    let ([inputs, ..], [outputs, ..], area) = (conv.input, conv.output, conv.area());
    let size = conv.weights();
    let from = &theta[conv.weight..conv.weight + size];
    let mut to = weights[conv.forward..conv.forward + size].iter_mut();
    for (at, block) in blocks(outputs, conv.forward_block) {
        for ik in 0..inputs * area {
            for (o, to) in (at..at + block).zip(&mut to) {
                *to = from[o * inputs * area + ik];
            }
        }
    }
    let mut to = weights[conv.backward..conv.backward + size].iter_mut();
    for (at, block) in blocks(inputs, conv.backward_block) {
        for o in 0..outputs {
            for k in 0..area {
                for (i, to) in (at..at + block).zip(&mut to) {
                    *to = from[(o * inputs + i) * area + k];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_channels_evenly() {
        for most in 1..=8 {
            for n in 1..60 {
                let all: Vec<_> = blocks(n, most).collect();
                assert!(all.iter().map(|&(_, size)| size).sum::<usize>() == n && all.len() == n.div_ceil(most));
                assert!(all.windows(2).all(|w| w[1].0 == w[0].0 + w[0].1 && w[0].1 - w[1].1 <= 1));
                assert!(all.iter().all(|&(_, size)| size <= most));
            }
        }
    }
}
