//! Which members of a bank a query takes.
use crate::nn::dense::vectorised;
use crate::shift::base::Sample;
use crate::shift::baselines::entropy::{Answers, Reading};

/// The probability that a network takes from f's class, row by row `[N]`: (p_f − p_m)₊.
pub(in crate::shift) fn drops(base: &[f32], predictions: &[u32], member: &Answers) -> Vec<f32> {
    let c = base.len() / predictions.len();
    let of_row =
        |(i, &f): (usize, &u32)| (base[i * c + f as usize] - member.probabilities[i * c + f as usize]).max(0.0);
    predictions.iter().enumerate().map(of_row).collect()
}

/// The choice of [`cover`] from the drops of the networks on each row, `[N][M]`.
pub(in crate::shift) fn greedy(drops: &[&[f32]], members: usize) -> Vec<usize> {
    let networks = drops.first().map_or(0, |row| row.len());
    let mut covered = vec![0f32; drops.len()];
    let (mut gains, mut chosen) = (vec![0f32; networks], Vec::new());
    while chosen.len() < members.min(networks) {
        gains.fill(0.0);
        vectorised(|| {
            for (row, covered) in drops.iter().zip(&covered) {
                gains.iter_mut().zip(*row).for_each(|(gain, drop)| *gain += (drop - covered).max(0.0));
            }
        });
        chosen.iter().for_each(|&m: &usize| gains[m] = f32::NEG_INFINITY);
        let most = vectorised(|| gains.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        // The first of those that gain most.
        let best = gains.iter().position(|gain| *gain == most).unwrap_or(0);
        covered.iter_mut().zip(drops).for_each(|(covered, row)| *covered = covered.max(row[best]));
        chosen.push(best);
    }
    chosen
}

/// What `members` of the networks with logits `all [M, N, C]` say of a query, chosen as the bank chooses.
pub(in crate::shift) fn covering(all: &[f32], query: &Sample, members: usize) -> Reading {
    let chosen = cover(all, query, members);
    let wide = query.logits.len();
    Reading::new(query, chosen.iter().map(|&m| &all[m * wide..(m + 1) * wide]))
}

/// Members of logits `[M, N, C]`, chosen one by one: the next takes the most probability from f's class on top of what is taken already, row by row
/// (Σ_i max_{m chosen} (p_f − p_m)₊ grows fastest). Counting flips in its place has less power: a flip by a hair counts as much as a sure one.
pub(in crate::shift) fn cover(all: &[f32], query: &Sample, members: usize) -> Vec<usize> {
    let (c, predictions, base) = (query.classes(), query.predictions(), query.probabilities());
    let of_member = |logits| drops(&base, &predictions, &Answers::new(logits, c));
    let by_member: Vec<Vec<f32>> = all.chunks_exact(query.logits.len()).map(of_member).collect();
    let by_row: Vec<Vec<f32>> = (0..query.len()).map(|i| by_member.iter().map(|drops| drops[i]).collect()).collect();
    greedy(&by_row.iter().map(Vec::as_slice).collect::<Vec<_>>(), members)
}
