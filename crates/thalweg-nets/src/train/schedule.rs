//! Learning rates over a run, one value a step: constant, cosine, and one-cycle, as PyTorch computes them
//! (Loshchilov & Hutter 2017; Smith & Topin 2018).
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// How the learning rate moves over the T steps of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    /// The same at every step.
    #[default]
    Constant,
    /// From the learning rate to zero on half a cosine: PyTorch's `CosineAnnealingLR(T_max=T)`, stepped every step.
    Cosine,
    /// Up from rate/`start_divisor` to the rate over the first `rise` of the steps, then down to
    /// rate/(`start_divisor`·`final_divisor`), both on half a cosine: PyTorch's `OneCycleLR` with `cycle_momentum=False`.
    OneCycle {
        /// Share of the steps on the way up, in (0, 1).
        #[serde(default = "rise")]
        rise: f64,
        /// Peak over first rate.
        #[serde(default = "start_divisor")]
        start_divisor: f64,
        /// First over last rate.
        #[serde(default = "final_divisor")]
        final_divisor: f64,
    },
}

impl Schedule {
    /// One-cycle with PyTorch's defaults: rise .3, divisors 25 and 10⁴.
    pub fn one_cycle() -> Self {
        Self::OneCycle { rise: rise(), start_divisor: start_divisor(), final_divisor: final_divisor() }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// Names the parameter under `recipe.schedule`.
    pub fn check(&self) -> Result<()> {
        let Self::OneCycle { rise, start_divisor, final_divisor } = *self else { return Ok(()) };
        if !(rise > 0.0 && rise < 1.0) {
            return Err(Error::parameter("recipe.schedule.one-cycle.rise", "a share in (0, 1)", rise));
        }
        for (name, value) in [("start_divisor", start_divisor), ("final_divisor", final_divisor)] {
            if !(value >= 1.0 && value.is_finite()) {
                let field = format!("recipe.schedule.one-cycle.{name}");
                return Err(Error::parameter(field, "a finite number of at least 1", value));
            }
        }
        Ok(())
    }

    /// The learning rate of step `step` of `steps`, counted from 0, where `peak` is the recipe's.
    pub fn rate(&self, peak: f64, step: u64, steps: u64) -> f64 {
        match *self {
            Self::Constant => peak,
            Self::Cosine => cosine(peak, 0.0, step as f64 / steps as f64),
            Self::OneCycle { rise, start_divisor, final_divisor } => {
                let (first, step) = (peak / start_divisor, step as f64);
                let (top, last) = (rise * steps as f64 - 1.0, steps as f64 - 1.0);
                if step <= top {
                    // A rise that ends at step 0 is all top.
                    cosine(first, peak, if top > 0.0 { step / top } else { 1.0 })
                } else {
                    // In runs of a few steps the top lies before step 0; last > top always, as rise < 1.
                    cosine(peak, first / final_divisor, (step - top) / (last - top))
                }
            }
        }
    }
}

/// From `a` at share 0 to `b` at share 1 on half a cosine.
fn cosine(a: f64, b: f64, share: f64) -> f64 {
    b + (a - b) / 2.0 * (1.0 + (PI * share).cos())
}

fn rise() -> f64 {
    0.3
}
fn start_divisor() -> f64 {
    25.0
}
fn final_divisor() -> f64 {
    1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        for (f, e) in found.iter().zip(expected) {
            assert!((f - e).abs() <= 1e-9 * e.abs().max(1e-6), "{found:?} {expected:?}");
        }
    }

    /// Golden numbers: PyTorch 2.8's schedulers over 10 steps at a peak of 0.1, printed by
    /// `for s in (CosineAnnealingLR(o, 10), OneCycleLR(o, 0.1, total_steps=10, cycle_momentum=False)):
    ///     for _ in range(10): print(o.param_groups[0]["lr"]); o.step(); s.step()`
    #[test]
    fn rates_are_pytorchs() {
        let rates = |s: Schedule| (0..10).map(|k| s.rate(0.1, k, 10)).collect::<Vec<_>>();
        assert_eq!(rates(Schedule::Constant), [0.1; 10]);
        close(&rates(Schedule::Cosine), &COSINE);
        close(&rates(Schedule::one_cycle()), &ONE_CYCLE);
    }

    const COSINE: [f64; 10] = [
        0.1,
        0.09755282581475769,
        0.09045084971874738,
        0.07938926261462367,
        0.06545084971874739,
        0.05000000000000001,
        0.03454915028125264,
        0.020610737385376353,
        0.009549150281252635,
        0.002447174185242324,
    ];
    const ONE_CYCLE: [f64; 10] = [
        0.0040000000000000036,
        0.052000000000000005,
        0.1,
        0.09504846320134738,
        0.0811745653949763,
        0.06112620219362893,
        0.03887419780637107,
        0.0188258346050237,
        0.004951936798652629,
        4e-07,
    ];

    #[test]
    fn one_cycle_peaks_once_and_stays_in_its_bounds_at_every_length() {
        for steps in 1..60 {
            let s = Schedule::one_cycle();
            let rates: Vec<f64> = (0..steps).map(|k| s.rate(1.0, k, steps)).collect();
            assert!(rates.iter().all(|r| (3.9e-6..=1.0 + 1e-12).contains(r)), "{rates:?}");
            let turns = rates.windows(3).filter(|w| (w[1] > w[0]) != (w[2] > w[1])).count();
            assert!(turns <= 1, "{steps}: {rates:?}");
        }
    }

    #[test]
    fn wrong_divisors_are_named() {
        let message = |rise, start_divisor, final_divisor| {
            Schedule::OneCycle { rise, start_divisor, final_divisor }.check().unwrap_err().to_string()
        };
        assert!(message(1.0, 25.0, 1e4).contains("one-cycle.rise"));
        assert!(message(0.3, 0.5, 1e4).contains("start_divisor"));
        assert!(message(0.3, 25.0, f64::NAN).contains("final_divisor"));
    }
}
