//! Closeness to a given point: r(θ) = −½ weight ‖θ − centre‖², whose tilted laws are known in closed form (the tests of M12);
//! with centre 0 it is weight decay.
use super::{Graded, Reward, hash_of_floats, rows};
use crate::{Error, Result, Streams};

/// −½ weight ‖θ − centre‖².
#[derive(Clone, Debug, PartialEq)]
pub struct ToPoint {
    centre: Vec<f32>,
    weight: f64,
}

impl ToPoint {
    /// `centre [P]`; `weight` above 0 draws towards it, below 0 away.
    ///
    /// ```
    /// use thalweg::{Reward, Streams, ToPoint};
    /// let reward = ToPoint::new(vec![1.0, 0.0], 2.0)?;
    /// let graded = reward.grade(&[3.0, 0.0], &Streams::new(0))?;
    /// assert_eq!((graded.values, graded.gradients), (vec![-4.0], vec![-4.0, 0.0]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// An empty centre, or a number that is not finite.
    pub fn new(centre: Vec<f32>, weight: f64) -> Result<Self> {
        if centre.is_empty() {
            return Err(Error::shape("centre", "[P ≥ 1]", "[0]"));
        }
        if let Some(bad) = centre.iter().copied().map(f64::from).chain([weight]).find(|v| !v.is_finite()) {
            return Err(Error::parameter("centre and weight of a distance", "finite numbers", bad));
        }
        Ok(Self { centre, weight })
    }
}

impl Reward for ToPoint {
    fn dimension(&self) -> usize {
        self.centre.len()
    }

    fn describe(&self) -> String {
        let centre = match self.centre.iter().all(|v| *v == 0.0) {
            true => "0".to_string(),
            false => format!("the point {}", &hash_of_floats(&[&self.centre]).to_hex()[..12]),
        };
        format!("minus {} × squared distance to {centre}", 0.5 * self.weight)
    }

    fn grade(&self, theta: &[f32], _: &Streams) -> Result<Graded> {
        rows(theta, self.centre.len())?;
        let mut gradients = theta.to_vec();
        let values = gradients.chunks_exact_mut(self.centre.len()).map(|row| {
            let mut square = 0.0;
            for (g, c) in row.iter_mut().zip(&self.centre) {
                let move_ = f64::from(*g) - f64::from(*c);
                square += move_ * move_;
                *g = (-self.weight * move_) as f32;
            }
            -0.5 * self.weight * square
        });
        Ok(Graded { values: values.collect(), gradients })
    }
}
