//! H-divergence (M16; Zhao et al. 2022): how much worse must one decide for a mixture of P and Q than for each alone?
//!
//! H_ℓ(p) is the least expected loss of one action for p. Here the action is a diagonal Gaussian and the loss its negative log-density, so
//! that H_ℓ(p) = ½ Σ_d log(2πe Var_d) in closed form; the statistic is H((p + q)/2) − min(H(p), H(q)) over f's features. Deviates: the paper also
//! uses mixtures and autoencoders as actions. Two-sided: fires on any difference. Columns that do not vary under P are left out.
use crate::shift::base::{Sample, Schema, column_moments};
use crate::shift::factory::{Factory, Needs};
use crate::shift::test::{self, Measured, ShiftTest, Statistic};
use crate::{Error, Result, Streams};

/// The test.
#[derive(Clone, Debug)]
pub struct HDivergence {
    /// Mean and variance of every feature under P.
    source: Vec<(f64, f64)>,
    schema: Schema,
}

/// Its entry in the registry.
pub static FACTORY: Factory = Factory {
    name: "h-divergence",
    looks_at: "means and variances of the model's features",
    needs: Needs::Logits,
    trains_per_query: false,
    prepare: |parts, _, _| Ok(Box::new(HDivergence::new(&parts.reference.train)?)),
    trained: None,
};

impl HDivergence {
    /// With training rows of P.
    ///
    /// # Errors
    /// No feature that varies.
    pub fn new(source: &Sample) -> Result<Self> {
        let moments = moments(source);
        if !moments.iter().any(|(_, v)| *v > 0.0) {
            return Err(Error::parameter("h-divergence", "features that vary under P", "constant ones"));
        }
        Ok(Self { source: moments, schema: source.schema() })
    }

    fn of(&self, query: &Sample) -> Result<f64> {
        test::check(query, &self.schema, false)?;
        let (mut mixed, mut p, mut q) = (0.0, 0.0, 0.0);
        for (&(a, va), (b, vb)) in self.source.iter().zip(moments(query)) {
            if va > 0.0 {
                // A query of few rows may have equal values: a hundredth of P's variance is the least.
                let vb = vb.max(0.01 * va);
                mixed += (0.5 * (va + vb) + 0.25 * (a - b) * (a - b)).ln();
                p += va.ln();
                q += vb.ln();
            }
        }
        Ok(0.5 * (mixed - f64::min(p, q)))
    }
}

fn moments(rows: &Sample) -> Vec<(f64, f64)> {
    column_moments(&rows.features, rows.feature_width())
}

impl ShiftTest for HDivergence {
    fn statistics(&self) -> &'static [Statistic] {
        const { &[Statistic::printed("divergence")] }
    }

    fn measure(&self, queries: &[Sample], _: &Streams) -> Result<Measured> {
        let values = queries.iter().map(|q| self.of(q)).collect::<Result<_>>()?;
        Ok(Measured { values, ..Measured::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_of_moved_and_equal_laws() {
        let rows = |shift: f32| {
            Sample::of_logits([[1.0f32, 3.0], [2.0, 7.0], [3.0, 5.0]].iter().flatten().map(|v| v + shift).collect(), 2)
                .unwrap()
        };
        let test = HDivergence::new(&rows(0.0)).unwrap();
        let s = test.measure(&[rows(0.0), rows(2.0)], &Streams::new(0)).unwrap().values;
        // Variances 2/3 and 8/3; moving by 2 adds 1 to the mixture's.
        let expected = 0.5 * ((1.0f64 + 1.0 / (2.0 / 3.0)) * (1.0 + 1.0 / (8.0 / 3.0))).ln();
        assert!(s[0].abs() < 1e-9 && (s[1] - expected).abs() < 1e-6, "{s:?} {expected}");
        let flat = Sample::of_logits(vec![1.0, 1.0, 1.0, 1.0], 2).unwrap();
        assert!(HDivergence::new(&flat).is_err());
    }
}
