//! Whether f's answers have anything to do with the labels of P.
use crate::shift::base::Sample;

/// What a standard normal number exceeds with probability .05.
const BEYOND: f64 = 1.645;

/// By how many standard deviations the probability that f gives to the labels `[N]` of `rows`, summed, exceeds its mean over all orders of the labels; 0
/// where no order differs from another.
///
/// With a_ij the probability that f gives on row i to the label of row j, the sum over a random order has the mean Σ_ij a_ij/N and the variance
/// Σ_ij (a_ij − ā_i· − ā_·j + ā)²/(N − 1) (Hoeffding 1951, *A combinatorial central limit theorem*). Labels of one class share their column.
pub fn beyond_chance(rows: &Sample, labels: &[u32]) -> f64 {
    let (n, c, p) = (labels.len() as f64, rows.classes(), rows.probabilities());
    let mut count = vec![0.0; c];
    labels.iter().for_each(|&label| count[label as usize] += 1.0);
    let of_rows = || p.chunks_exact(c);
    let mut of_class = vec![0.0; c];
    of_rows().for_each(|row| of_class.iter_mut().zip(row).for_each(|(sum, p)| *sum += f64::from(*p) / n));
    let of_row = |row: &[f32]| row.iter().zip(&count).map(|(p, count)| f64::from(*p) * count).sum::<f64>() / n;
    let mean = of_class.iter().zip(&count).map(|(p, count)| p * count).sum::<f64>() / n;
    let (mut sum, mut variance) = (0.0, 0.0);
    for (row, &label) in of_rows().zip(labels) {
        sum += f64::from(row[label as usize]);
        let own = of_row(row);
        let square = |k: usize| count[k] * (f64::from(row[k]) - own - of_class[k] + mean).powi(2);
        variance += (0..c).map(square).sum::<f64>() / (n - 1.0).max(1.0);
    }
    // What rounding leaves of a variance of 0 is none.
    if variance > 1e-12 * n { (sum - n * mean) / variance.sqrt() } else { 0.0 }
}

/// What is to be said of an f whose answers on `rows` cannot be told from chance by their labels.
pub fn unrelated(rows: &Sample, labels: &[u32]) -> Option<String> {
    if beyond_chance(rows, labels) >= BEYOND {
        return None;
    }
    let [right, by_chance] = right(rows, labels).map(|share| 100.0 * share);
    Some(format!(
        "The model's answers on {} held-out rows of P cannot be told from chance: it is right on {right:.1} %, and would be on {by_chance:.1} % if the labels were shuffled. Does it get the columns, the scale and the order of the classes that it expects? A verdict about such answers says little.",
        labels.len()
    ))
}

/// On which share of the rows f names the label, and on which it would on average if the labels were shuffled.
fn right(rows: &Sample, labels: &[u32]) -> [f64; 2] {
    let (predictions, n) = (rows.predictions(), labels.len() as f64);
    let mut shares = vec![0.0; rows.classes()];
    labels.iter().for_each(|&label| shares[label as usize] += 1.0 / n);
    let right = predictions.iter().zip(labels).filter(|(a, b)| a == b).count() as f64;
    [right, predictions.iter().map(|&class| shares[class as usize]).sum::<f64>()].map(|sum| sum / n)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;
    use rand::seq::SliceRandom;
    use thalweg_nets::testing::normals;

    /// Rows of three classes, whose labels f knows to some part.
    fn rows(n: usize, knows: f32, seed: u64) -> (Sample, Vec<u32>) {
        let streams = Streams::new(seed);
        let (mut logits, mut rng) = (normals(&streams, 3 * n), streams.child("labels").rng());
        let labels: Vec<u32> = (0..n).map(|_| [0, 0, 0, 1, 2][rng.random_range(0..5)]).collect();
        labels.iter().enumerate().for_each(|(i, &label)| logits[3 * i + label as usize] += knows);
        (Sample::of_logits(logits, 3).unwrap(), labels)
    }

    #[test]
    fn it_is_the_deviation_among_all_orders() {
        let (rows, mut labels) = rows(40, 0.7, 1);
        let p = rows.probabilities();
        let of =
            |labels: &[u32]| labels.iter().enumerate().map(|(i, &y)| f64::from(p[3 * i + y as usize])).sum::<f64>();
        let (own, found) = (of(&labels), beyond_chance(&rows, &labels));
        let mut rng = Streams::new(2).rng();
        let n = 40_000;
        let sums: Vec<f64> = (0..n)
            .map(|_| {
                labels.shuffle(&mut rng);
                of(&labels)
            })
            .collect();
        let mean = sums.iter().sum::<f64>() / n as f64;
        let deviation = (sums.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
        assert!((found - (own - mean) / deviation).abs() < 0.05, "{found} {}", (own - mean) / deviation);
    }

    #[test]
    fn answers_that_know_nothing_are_told_and_others_are_not() {
        let told = |knows: f32| {
            (0..400).filter(move |&seed| {
                let (rows, labels) = rows(50, knows, seed);
                unrelated(&rows, &labels).is_some()
            })
        };
        let (nothing, much) = (told(0.0).count(), told(2.0).count());
        // At .05 on one side, within three deviations.
        assert!((nothing as f64 - 380.0).abs() < 14.0 && much == 0, "{nothing} {much}");
        let (same, labels) = (Sample::of_logits([0.3, 0.1, 0.2].repeat(50), 3).unwrap(), rows(50, 0.0, 1).1);
        assert_eq!(beyond_chance(&same, &labels), 0.0);
        let said = unrelated(&same, &labels).unwrap();
        let zeros = labels.iter().filter(|label| **label == 0).count() as f64;
        assert_eq!(said.matches(&format!("{:.1} %", 100.0 * zeros / 50.0)).count(), 2, "{said}");
        // One that hardly ever names the rare class may know it all the same.
        let rare: Vec<u32> = (0..100).map(|i| u32::from(i % 25 == 0)).collect();
        let logits = rare.iter().flat_map(|y| [3.0, if *y == 1 { 1.0 } else { -1.0 }]).collect();
        assert!(unrelated(&Sample::of_logits(logits, 2).unwrap(), &rare).is_none());
    }
}
