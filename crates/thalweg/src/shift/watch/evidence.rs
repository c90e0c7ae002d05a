//! [`Evidence`]: p-values that come one after the other, added up into evidence that may be looked at after each of them.
//!
//! Without shift every p-value is uniform given those before it (or larger), so a bet f(p) with ∫₀¹ f = 1 is fair, and whatever is won by such bets
//! is won with money that nobody would have without shift: the capital is a test supermartingale of initial value 1, and P(it ever reaches 1/α) ≤ α
//! (Ville 1939; Shafer et al. 2011). Bets are ε p^(ε−1) for a few ε, which small p-values reward (Vovk, Gammerman, Lebedev 2005: the power bets).
//!
//! **It does not tire.** A capital that has been shrinking for a year would need as long to recover. So only a part w_k = 1/(k(k+1)) of it is staked at
//! the k-th p-value, Σ w_k = 1, and each stake goes its own way from there: a shift that begins at time k is seen as if the test had begun then, with
//! ln 1/w_k ≈ 2 ln k to be won first. The recursion is S_k = (S_{k−1} + w_k) f(p_k), and 1/(k+1) is left unstaked.
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Exponents of the bets, each with an equal share of every stake.
const EXPONENTS: [f64; 4] = [0.1, 0.25, 0.5, 0.75];

/// Larger capitals are not told apart, so that none becomes infinite.
const LARGEST: f64 = 1e100;

/// Evidence against "no shift" so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Evidence {
    /// p-values so far, k.
    count: u64,
    /// S_k of every exponent.
    staked: [f64; EXPONENTS.len()],
    /// The largest capital so far.
    greatest: f64,
}

impl Default for Evidence {
    fn default() -> Self {
        Self { count: 0, staked: [0.0; EXPONENTS.len()], greatest: 1.0 }
    }
}

impl Evidence {
    /// Takes in the next p-value, in (0, 1].
    ///
    /// # Errors
    /// Any other number.
    pub fn add(&mut self, p: f64) -> Result<()> {
        if !(p > 0.0 && p <= 1.0) {
            return Err(Error::parameter("p-value", "a number above 0, at most 1", p));
        }
        self.count += 1;
        let k = self.count as f64;
        let stake = 1.0 / (k * (k + 1.0));
        for (staked, e) in self.staked.iter_mut().zip(EXPONENTS) {
            *staked = ((*staked + stake) * e * p.powf(e - 1.0)).min(LARGEST);
        }
        self.greatest = self.greatest.max(self.capital());
        Ok(())
    }

    /// The capital now: 1 at the beginning.
    pub fn capital(&self) -> f64 {
        let unstaked = 1.0 / (self.count as f64 + 1.0);
        self.staked.iter().sum::<f64>() / EXPONENTS.len() as f64 + unstaked
    }

    /// A p-value for all so far, valid at any time: 1 over the largest capital.
    pub fn p_value(&self) -> f64 {
        1.0 / self.greatest
    }

    /// Whether it has ever spoken at a level: without shift, with probability at most `level` over all time.
    pub fn alarms(&self, level: f64) -> bool {
        self.p_value() <= level
    }

    /// Checks what was read from a file.
    ///
    /// # Errors
    /// A capital that no p-values lead to.
    pub fn check(&self) -> Result<()> {
        let sound = self.staked.iter().all(|s| (0.0..=LARGEST).contains(s)) && self.greatest >= self.capital().min(1.0);
        match sound && self.greatest.is_finite() {
            true => Ok(()),
            false => Err(Error::parameter(
                "evidence",
                "capitals of at least 0, none above the greatest",
                format!("{self:?}"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;

    #[test]
    fn the_bets_are_fair_and_the_stakes_are_the_whole_capital() {
        // ∫ ε p^(ε−1) dp = 1 exactly; the mean capital after one uniform p-value, by quadrature in u = p^(1/20).
        let n = 200_000;
        let mean: f64 = (0..n)
            .map(|i| {
                let u = (f64::from(i) + 0.5) / f64::from(n);
                let mut evidence = Evidence::default();
                evidence.add(u.powi(20)).unwrap();
                evidence.capital() * 20.0 * u.powi(19) / f64::from(n)
            })
            .sum();
        assert!((mean - 1.0).abs() < 1e-3, "{mean}");
        // With p = 1 the bets lose what they can; what is left is what was never staked and the shares kept by the exponents.
        let mut evidence = Evidence::default();
        (0..3).for_each(|_| evidence.add(1.0).unwrap());
        let of = |e: f64| ((e / 2.0 + 1.0 / 6.0) * e + 1.0 / 12.0) * e;
        let expected = EXPONENTS.iter().map(|e| of(*e)).sum::<f64>() / 4.0 + 0.25;
        assert!((evidence.capital() - expected).abs() < 1e-12);
        assert_eq!(evidence.p_value(), 1.0);
    }

    #[test]
    fn without_shift_it_ever_alarms_at_most_as_often_as_the_level() {
        // 2,000 streams of 2,000 uniform p-values, and as many of p-values of a permutation test with 99 redraws, which are discrete.
        for discrete in [false, true] {
            let (streams, runs, level) =
                (Streams::new(7).child(if discrete { "discrete" } else { "uniform" }), 2_000, 0.05);
            let alarms = (0..runs)
                .filter(|run| {
                    let (mut rng, mut evidence) = (streams.index(*run).rng(), Evidence::default());
                    (0..2_000).any(|_| {
                        let p = if discrete {
                            f64::from(rng.random_range(1..=100u32)) / 100.0
                        } else {
                            1.0 - rng.random::<f64>()
                        };
                        evidence.add(p).unwrap();
                        evidence.alarms(level)
                    })
                })
                .count();
            // Three standard deviations of a binomial of the level above it; stakes that are spread over all beginnings alarm far less often than that.
            let most = level * runs as f64 + 3.0 * (runs as f64 * level * (1.0 - level)).sqrt();
            println!("{alarms} of {runs} streams of 2,000 p-values ever alarm");
            assert!(alarms as f64 <= most && alarms > 0, "{alarms} of {runs}");
        }
    }

    #[test]
    fn a_late_shift_is_seen_nearly_as_soon_as_an_early_one() {
        let delay = |quiet: u64| {
            let mut rng = Streams::new(3).child("delay").index(quiet).rng();
            let mut evidence = Evidence::default();
            (0..quiet).for_each(|_| evidence.add(1.0 - rng.random::<f64>()).unwrap());
            assert!(!evidence.alarms(0.01), "an alarm in {quiet} p-values without shift");
            (1..).find(|_| {
                evidence.add(0.02).unwrap();
                evidence.alarms(0.01)
            })
        };
        let (early, late) = (delay(1).unwrap(), delay(10_000).unwrap());
        assert!(early <= 6 && late <= early + 14, "{early}, {late}");
    }

    #[test]
    fn what_is_no_p_value_is_refused_and_capitals_stay_finite() {
        for p in [0.0, -0.1, 1.5, f64::NAN] {
            assert!(Evidence::default().add(p).unwrap_err().to_string().contains("p-value"));
        }
        let mut evidence = Evidence::default();
        (0..1000).for_each(|_| evidence.add(1e-9).unwrap());
        assert!(evidence.capital().is_finite());
        evidence.check().unwrap();
        assert!(Evidence { greatest: 0.1, ..evidence }.check().is_err());
    }
}
