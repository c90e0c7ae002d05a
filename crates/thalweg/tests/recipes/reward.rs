//! The reward of `examples/own_reward.rs` against finite differences, alone and as a part of a sum.
use crate::own_reward::Sparsity;
use thalweg::reward::{Reward, ToPoint, WeightedSum};
use thalweg::{Result, Streams};
use thalweg_nets::testing::{gradient_error, normals, slope};

#[test]
fn a_reward_of_ones_own_has_the_gradient_that_it_says() -> Result<()> {
    let theta: Vec<f32> = normals(&Streams::new(1), 2 * 5).iter().map(|z| 0.3 * z).collect();
    let own = Sparsity { parameters: 5 };
    let sum = WeightedSum::new(vec![
        (0.5, Box::new(Sparsity { parameters: 5 }) as Box<dyn Reward>),
        (2.0, Box::new(ToPoint::new(vec![0.1; 5], 1.0)?)),
    ])?;
    let streams = Streams::new(0);
    for reward in [&own as &dyn Reward, &sum] {
        let graded = reward.grade(&theta, &streams)?;
        assert_eq!(reward.values(&theta, &streams)?, graded.values);
        for row in 0..2 {
            let (x, gradient) = (&theta[row * 5..][..5], &graded.gradients[row * 5..][..5]);
            let value = |x: &[f32]| reward.grade(x, &streams).map_or(f64::NAN, |graded| graded.values[0]);
            assert!(gradient_error(x, gradient, 1e-3, value) < 1e-2, "{}", reward.describe());
            let along = slope(x, &[1.0, 0.0, 0.0, -1.0, 0.0], 1e-3, value);
            assert!((along - f64::from(gradient[0] - gradient[3])).abs() < 1e-2 * (1.0 + along.abs()));
        }
    }
    // The norm itself, up to its smoothing.
    let exact: f64 = theta[..5].iter().map(|w| -f64::from(w.abs())).sum();
    let value = own.values(&theta, &streams)?[0];
    assert!(value < exact && value > exact - 5.0 * 0.01, "{value} {exact}");
    Ok(())
}
