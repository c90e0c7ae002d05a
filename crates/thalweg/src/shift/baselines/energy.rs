//! How large f's logits are, whatever class they speak for: what entropy cannot see.
//!
//! A network may be as sure as on P of answers that have nothing to do with its training. Its outputs still tend to differ: the free energy
//! log Σ_c exp z_c (Liu et al. 2020) moves, or rows lie further out than nearly all of P did. Two statistics: how far the mean energy lies from
//! that under P, in deviations, and the share of rows whose margin (greatest logit less the second) lies outside the middle 95 % under P. Both are
//! two-sided: they fire on any difference, harmless ones too. Logits that were made of probabilities have no energy (0 for all rows); the margin is left.
use crate::shift::base::{Sample, Schema};
use crate::shift::factory::{Factory, Needs};
use crate::shift::test::{self, Measured, ShiftTest, Statistic};
use crate::{Result, Streams, interrupt};

/// Share of rows of P beyond either end of the middle margins.
const TAIL: f64 = 0.025;

/// The test.
#[derive(Clone, Debug)]
pub struct Energy {
    mean: f64,
    deviation: f64,
    /// Ends of the middle 95 % of margins under P.
    margins: [f64; 2],
    schema: Schema,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "energy",
    looks_at: "size of the logits and their margins",
    needs: Needs::Logits,
    trains_per_query: false,
    prepare: |parts, _, _| Ok(Box::new(Energy::new(&parts.reference.validation))),
    trained: None,
};

impl Energy {
    /// With validation rows of P.
    pub fn new(source: &Sample) -> Self {
        let rows = views(source);
        let n = rows.len() as f64;
        let mean = rows.iter().map(|r| r[0]).sum::<f64>() / n;
        let variance = rows.iter().map(|r| (r[0] - mean).powi(2)).sum::<f64>() / n;
        let mut margins: Vec<f64> = rows.iter().map(|r| r[1]).collect();
        margins.sort_by(f64::total_cmp);
        let last = margins.len() - 1;
        let low = (TAIL * last as f64).floor() as usize;
        Self {
            mean,
            deviation: variance.sqrt().max(1e-6),
            margins: [margins[low], margins[last - low]],
            schema: source.schema(),
        }
    }

    fn of(&self, views: &[[f64; 2]], rows: impl ExactSizeIterator<Item = usize> + Clone) -> [f64; 2] {
        let n = rows.len() as f64;
        let mean = rows.clone().map(|r| views[r][0]).sum::<f64>() / n;
        let outside = rows.filter(|&r| views[r][1] < self.margins[0] || views[r][1] > self.margins[1]).count();
        [(mean - self.mean).abs() / self.deviation, outside as f64 / n]
    }
}

/// Energy and margin of every row.
fn views(rows: &Sample) -> Vec<[f64; 2]> {
    let of = |z: &[f32]| {
        let (mut first, mut second) = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        for &v in z {
            let v = f64::from(v);
            (first, second) = if v > first { (v, first) } else { (first, second.max(v)) };
        }
        let energy = first + z.iter().map(|&v| (f64::from(v) - first).exp()).sum::<f64>().ln();
        [energy, first - second]
    };
    rows.logits.chunks_exact(rows.classes().max(1)).map(of).collect()
}

impl ShiftTest for Energy {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("energy"), Statistic::printed("tails")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        let each = queries.iter().map(|q| {
            test::check(q, &self.schema, false)?;
            Ok(self.of(&views(q), 0..q.len()))
        });
        Ok(Measured { values: each.collect::<Result<Vec<_>>>()?.concat(), ..Measured::default() })
    }

    fn measure_rows(&self, rows: &Sample, _: usize, queries: &[Vec<usize>], _: &Streams) -> Result<Measured> {
        test::check(rows, &self.schema, false)?;
        let views = views(rows);
        let of = |q: &Vec<usize>| interrupt::check().map(|()| self.of(&views, q.iter().copied()));
        let values: Vec<[f64; 2]> = queries.iter().map(of).collect::<Result<_>>()?;
        Ok(Measured { values: values.concat(), ..Measured::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_statistics_by_hand() {
        // P: margins 1, …, 81 between logits (k, 0), whose energy is k + ln(1 + e^−k).
        let source = Sample::of_logits((1..=81).flat_map(|k| [k as f32, 0.0]).collect(), 2).unwrap();
        let test = Energy::new(&source);
        assert_eq!(test.margins, [3.0, 79.0]);
        let query = Sample::of_logits(vec![2.0, 0.0, 3.0, 0.0, 100.0, 20.0, 0.0, 79.0], 2).unwrap();
        let s = test.measure(std::slice::from_ref(&query), &Streams::new(0)).unwrap().values;
        let energy = |k: f64| k + (-k).exp().ln_1p();
        let mean = (1..=81).map(|k| energy(f64::from(k))).sum::<f64>() / 81.0;
        let deviation = ((1..=81).map(|k| (energy(f64::from(k)) - mean).powi(2)).sum::<f64>() / 81.0).sqrt();
        let of_query = (energy(2.0) + energy(3.0) + 20.0 + energy(80.0) + energy(79.0)) / 4.0;
        assert!((s[0] - (of_query - mean).abs() / deviation).abs() < 1e-9, "{s:?}");
        // 2 lies below, 80 above.
        assert_eq!(s[1], 0.5);
        let rows = test.measure_rows(&query, 0, &[vec![0, 1, 2, 3], vec![1, 3]], &Streams::new(0)).unwrap();
        assert_eq!((&rows.values[..2], rows.values[3]), (&s[..], 0.0));
    }

    #[test]
    fn probabilities_have_a_margin_and_no_energy() {
        let of = |p: &[f32]| Sample::of_logits(p.iter().map(|p| p.ln()).collect(), 2).unwrap();
        let source = of(&[0.5, 0.5, 0.6, 0.4, 0.7, 0.3, 0.8, 0.2]);
        let s = Energy::new(&source).measure(&[of(&[0.5, 0.5, 0.99, 0.01])], &Streams::new(0)).unwrap().values;
        assert!(s[0] < 0.5 && s[1] == 0.5, "{s:?}");
    }
}
