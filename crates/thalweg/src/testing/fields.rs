//! What every velocity field pulls back, held against central differences of its own velocity.
use crate::field::{Field, Gradient, Tape};
use thalweg_nets::testing::{derivative, partial};

/// A batch, and the weights `[B, P]` of the scalar Σ w ⊙ v that is pulled back.
pub struct Asked<'a> {
    /// `[B, P]`.
    pub x: &'a [f32],
    /// `[B]`.
    pub t: &'a [f32],
    /// `[B, D]`.
    pub c: Option<&'a [f32]>,
    /// `[B, P]`.
    pub w: &'a [f32],
}

/// Which velocity is asked for: [`Field::velocity`] or [`Field::velocity_in_training`].
pub type Velocity<F> = fn(&F, &[f32], &[f32], Option<&[f32]>, &mut [f32], &mut Tape);

/// Checks the gradients of every tensor, of the points and of the contexts to `tolerance` (1 + |truth|), by steps of `h` and `h`/2, extrapolated. Every
/// tensor has to count. Adding is writing twice, and the product in x alone is the same as with the gradient.
pub fn gradients_agree<F: Field>(field: &mut F, velocity: Velocity<F>, asked: &Asked<'_>, h: f32, tolerance: f64) {
    let Asked { x, t, c, w } = *asked;
    let scalar = |field: &F, x: &[f32], c: Option<&[f32]>| {
        let mut out = vec![0.0; x.len()];
        velocity(field, x, t, c, &mut out, &mut Tape::default());
        out.iter().zip(w).map(|(v, w)| f64::from(*v) * f64::from(*w)).sum::<f64>()
    };
    let agree = |found: f32, truth: f64, what: &str| {
        assert!((f64::from(found) - truth).abs() < tolerance * (1.0 + truth.abs()), "{what}: {found} {truth}");
    };
    // The error of a central difference falls with h²: this one's with h⁴.
    let extrapolated = |slope: &mut dyn FnMut(f32) -> f64| (4.0 * slope(h / 2.0) - slope(h)) / 3.0;
    let (mut tape, mut out) = (Tape::default(), vec![0.0; x.len()]);
    velocity(field, x, t, c, &mut out, &mut tape);
    let (mut gradient, mut dx) = (vec![f32::NAN; field.parameters().len()], vec![f32::NAN; x.len()]);
    field.backward(w, &mut tape, Gradient::Write(&mut gradient), Some(&mut dx));
    let dc = field.context_gradient(&mut tape);

    for slot in field.layout().clone().slots() {
        let mut largest: f64 = 0.0;
        for i in slot.range().step_by(slot.len().div_ceil(40)) {
            let old = field.parameters()[i];
            let truth = extrapolated(&mut |h| {
                derivative(old, h, |value| {
                    field.parameters_mut()[i] = value;
                    scalar(field, x, c)
                })
            });
            field.parameters_mut()[i] = old;
            agree(gradient[i], truth, &format!("{} {i}", slot.name));
            largest = largest.max(truth.abs());
        }
        assert!(largest > 1e-3, "{} has no influence", slot.name);
    }
    for (i, found) in dx.iter().enumerate() {
        agree(*found, extrapolated(&mut |h| partial(x, i, h, |x| scalar(field, x, c))), &format!("x {i}"));
    }
    assert_eq!(dc.is_some(), c.is_some());
    for (i, found) in dc.into_iter().flatten().enumerate() {
        let truth = extrapolated(&mut |h| partial(c.unwrap_or_default(), i, h, |c| scalar(field, x, Some(c))));
        agree(found, truth, &format!("c {i}"));
    }

    let mut twice = gradient.clone();
    field.backward(w, &mut tape, Gradient::Add(&mut twice), None);
    assert!(twice.iter().zip(&gradient).all(|(two, one)| (two - 2.0 * one).abs() < 1e-4 * (1.0 + one.abs())));
    let mut alone = vec![0.0; x.len()];
    field.backward(w, &mut tape, Gradient::Skip, Some(&mut alone));
    assert_eq!(alone, dx);
}
