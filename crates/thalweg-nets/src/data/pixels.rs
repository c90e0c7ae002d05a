//! Operations on one plane of pixels `[height, width]`, in place: turn, move, blur, blacken. Pure geometry, without randomness; the
//! corruptions draw their parameters.

/// Turns the plane by `degrees` (anticlockwise as seen, rows running down).
pub(super) fn rotate(plane: &mut [f32], [height, width]: [usize; 2], degrees: f32, low: f32) {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (my, mx) = ((height as f32 - 1.0) / 2.0, (width as f32 - 1.0) / 2.0);
    warp(plane, [height, width], low, |y, x| {
        let (dy, dx) = (y - my, x - mx);
        (my + cos * dy + sin * dx, mx - sin * dy + cos * dx)
    });
}

/// Fills every pixel (y, x) with the plane's bilinear value at `from(y, x)`; outside lies `low`.
pub(super) fn warp(plane: &mut [f32], [height, width]: [usize; 2], low: f32, from: impl Fn(f32, f32) -> (f32, f32)) {
    let old = plane.to_vec();
    let at = |y: f32, x: f32| {
        let inside = y >= 0.0 && x >= 0.0 && y < height as f32 && x < width as f32;
        if inside { old[y as usize * width + x as usize] } else { low }
    };
    for y in 0..height {
        for x in 0..width {
            let (sy, sx) = from(y as f32, x as f32);
            let (top, left) = (sy.floor(), sx.floor());
            let (fy, fx) = (sy - top, sx - left);
            let upper = at(top, left) * (1.0 - fx) + at(top, left + 1.0) * fx;
            let lower = at(top + 1.0, left) * (1.0 - fx) + at(top + 1.0, left + 1.0) * fx;
            plane[y * width + x] = upper * (1.0 - fy) + lower * fy;
        }
    }
}

/// Separable Gaussian blur of deviation `sigma` pixels, cut at three deviations, edges repeated.
pub(super) fn blur(plane: &mut [f32], [height, width]: [usize; 2], sigma: f32) {
    let reach = (3.0 * sigma).ceil() as isize;
    let mut kernel: Vec<f32> = (-reach..=reach).map(|k| (-0.5 * (k as f32 / sigma).powi(2)).exp()).collect();
    let total: f32 = kernel.iter().sum();
    kernel.iter_mut().for_each(|w| *w /= total);
    let pass = |old: &[f32], new: &mut [f32], lines: usize, length: usize, line: usize, step: usize| {
        for l in 0..lines {
            for i in 0..length {
                let tap = |k: isize| l * line + (i as isize + k).clamp(0, length as isize - 1) as usize * step;
                new[l * line + i * step] = (-reach..=reach).zip(&kernel).map(|(k, w)| w * old[tap(k)]).sum();
            }
        }
    };
    let mut half = plane.to_vec();
    pass(plane, &mut half, height, width, width, 1);
    pass(&half, plane, width, height, 1, width);
}

/// Blackens a rectangle of `fraction` of each side, at a place given by two numbers in [0, 1).
pub(super) fn occlude(plane: &mut [f32], [height, width]: [usize; 2], fraction: f32, place: [f32; 2], low: f32) {
    let part = |side: usize, place: f32| {
        let length = ((fraction * side as f32).round() as usize).min(side);
        let start = (place * (side - length + 1) as f32) as usize;
        start.min(side - length)..start.min(side - length) + length
    };
    for y in part(height, place[0]) {
        for x in part(width, place[1]) {
            plane[y * width + x] = low;
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A blob well inside a dark image of 21×21.
    pub fn blob() -> Vec<f32> {
        let at = |y: f32, x: f32| (-((y - 9.0).powi(2) + (x - 11.0).powi(2)) / 4.0).exp();
        (0..441).map(|i| at((i / 21) as f32, (i % 21) as f32)).collect()
    }

    /// Mass and centre (row, column) of a plane of 21×21.
    pub fn moments(plane: &[f32]) -> [f32; 3] {
        let mass: f32 = plane.iter().sum();
        let about =
            |of: &dyn Fn(usize) -> usize| plane.iter().enumerate().map(|(i, v)| v * of(i) as f32).sum::<f32>() / mass;
        [mass, about(&|i| i / 21), about(&|i| i % 21)]
    }

    #[test]
    fn a_quarter_turn_moves_every_pixel_to_its_place() {
        let mut plane: Vec<f32> = (0..9).map(|i| i as f32).collect();
        rotate(&mut plane, [3, 3], 90.0, 0.0);
        let expected = [2.0, 5.0, 8.0, 1.0, 4.0, 7.0, 0.0, 3.0, 6.0];
        assert!(plane.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4), "{plane:?}");
        let mut turned = blob();
        rotate(&mut turned, [21, 21], 0.0, 0.0);
        assert_eq!(turned, blob());
    }

    proptest! {
        #[test]
        fn there_and_back_is_nearly_nothing(degrees in -60f32..60.0) {
            let mut plane = blob();
            rotate(&mut plane, [21, 21], degrees, 0.0);
            rotate(&mut plane, [21, 21], -degrees, 0.0);
            prop_assert!(plane.iter().zip(blob()).all(|(a, b)| (a - b).abs() < 0.2));
            prop_assert!((moments(&plane)[0] / moments(&blob())[0] - 1.0).abs() < 0.02);
        }
    }

    #[test]
    fn blur_adds_its_variance_and_leaves_flat_images_flat() {
        let mut plane = blob();
        blur(&mut plane, [21, 21], 1.5);
        let spread = |p: &[f32]| {
            let [mass, y, _] = moments(p);
            p.iter().enumerate().map(|(i, v)| v * ((i / 21) as f32 - y).powi(2)).sum::<f32>() / mass
        };
        // A Gaussian of variance σ² cut at three deviations has 0.973 σ².
        assert!((spread(&plane) - spread(&blob()) - 0.973 * 2.25).abs() < 0.1, "{}", spread(&plane) - spread(&blob()));
        assert!((moments(&plane)[0] / moments(&blob())[0] - 1.0).abs() < 1e-3);
        let mut flat = vec![0.3; 12];
        blur(&mut flat, [3, 4], 2.0);
        assert!(flat.iter().all(|v| (v - 0.3).abs() < 1e-6));
    }
}
