//! Trainings of a moment: a fixed number of steps of one network, neither validated nor resumed.
use crate::{Error, Result, interrupt};
use thalweg_nets::train::Stepper;

/// Moves `theta [P]` by `steps` steps of `stepper` at a constant `rate`; `gradient` writes that of a step, counted from 0, over what was there.
///
/// # Errors
/// Those of `gradient`; weights that left the finite numbers; [`Error::Interrupted`].
pub(crate) fn descend(
    theta: &mut [f32],
    stepper: &mut Stepper,
    (steps, rate): (usize, f64),
    mut gradient: impl FnMut(usize, &[f32], &mut [f32]) -> Result<()>,
) -> Result<()> {
    let mut d = vec![0.0; theta.len()];
    for step in 0..steps {
        interrupt::check()?;
        gradient(step, theta, &mut d)?;
        stepper.step(theta, &d, rate);
        #[cfg(test)]
        crate::nn::steps::note(1);
    }
    match theta.iter().position(|w| !w.is_finite()) {
        Some(i) => {
            let place = format!("{i}, after {steps} steps at a learning rate of {rate}");
            Err(Error::NotFinite { what: "a trained weight".into(), place, value: theta[i].into() })
        }
        None => Ok(()),
    }
}
