//! Which members of a bank a query takes.
use crate::shift::base::Sample;
use crate::shift::baselines::entropy::{Answers, Reading};

/// The probability that a network takes from f's class, row by row `[N]`: (p_f − p_m)₊.
pub(in crate::shift) fn drops(base: &[f32], predictions: &[u32], member: &Answers) -> Vec<f32> {
    let c = base.len() / predictions.len();
    let of_row =
        |(i, &f): (usize, &u32)| (base[i * c + f as usize] - member.probabilities[i * c + f as usize]).max(0.0);
    predictions.iter().enumerate().map(of_row).collect()
}

/// The choice of [`cover`] from the drops of each network, `[M][N]`.
pub(in crate::shift) fn greedy(drops: &[Vec<f32>], members: usize) -> Vec<usize> {
    let mut covered = vec![0f32; drops.first().map_or(0, Vec::len)];
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < members.min(drops.len()) {
        let gain = |m: usize| covered.iter().zip(&drops[m]).map(|(c, t)| (t - c).max(0.0)).sum::<f32>();
        let best = (0..drops.len()).filter(|m| !chosen.contains(m)).map(|m| (m, gain(m)));
        let best = best.fold((usize::MAX, f32::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best }).0;
        covered.iter_mut().zip(&drops[best]).for_each(|(c, t)| *c = c.max(*t));
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
    greedy(&all.chunks_exact(query.logits.len()).map(of_member).collect::<Vec<_>>(), members)
}
