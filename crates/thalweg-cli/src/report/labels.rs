//! Words beside points, placed so that they lie neither over each other nor over the points, with a thin line where they had
//! to move away.
use super::escape::escape;
use super::marks::{Frame, Mark};
use std::fmt::Write;

/// A box in pixels: left, top, right, bottom.
type Box4 = [f64; 4];

/// Draws the labels among `marks`.
pub fn labels(s: &mut String, f: &Frame, marks: &[Mark]) {
    let mut taken: Vec<Box4> = Vec::new();
    for mark in marks {
        // Clouds of dots cannot be kept free; single ones can.
        if let Mark::Dots { points, look } = mark
            && points.len() == 1
        {
            let (x, y, r) = (f.x(points[0].0), f.y(points[0].1), look.size.max(3.0));
            taken.push([x - r, y - r, x + r, y + r]);
        }
    }
    for mark in marks {
        let Mark::Label { at, text, look } = mark else { continue };
        let (x, y) = (f.x(at.0), f.y(at.1));
        if !(x.is_finite() && y.is_finite()) {
            continue;
        }
        let (left, top) = place(x, y, 6.9 * text.chars().count() as f64, f, &taken);
        taken.push([left, top, left + 6.9 * text.chars().count() as f64, top + HEIGHT]);
        let (middle, near) =
            (top + 0.5 * HEIGHT, if left > x { left - 2.0 } else { left + 2.0 + 6.9 * text.chars().count() as f64 });
        if (middle - y).abs() > 0.8 * HEIGHT {
            let _ = write!(
                s,
                "<path class=\"k s{}\" stroke-width=\".8\" opacity=\".6\" d=\"M{x:.1} {y:.1}L{near:.1} {middle:.1}\"/>",
                look.colour
            );
        }
        let _ = write!(
            s,
            "<text class=\"t f s{}\" x=\"{left:.1}\" y=\"{:.1}\">{}</text>",
            look.colour,
            top + 11.0,
            escape(text)
        );
    }
}

/// Pixels of a line of words.
const HEIGHT: f64 = 14.0;

/// Left and top of a box of width `wide` beside (x, y): the nearest place that is free, right before left.
fn place(x: f64, y: f64, wide: f64, f: &Frame, taken: &[Box4]) -> (f64, f64) {
    let free = |[l, t, r, b]: Box4| taken.iter().all(|q| r <= q[0] || q[2] <= l || b <= q[1] || q[3] <= t);
    let inside = |[l, t, r, b]: Box4| {
        l >= f.left && r <= f.left + f.width + 10.0 && t >= f.top - 4.0 && b <= f.top + f.height - 1.0
    };
    let mut candidates = (0..40).flat_map(|k| {
        let shift = f64::from((k + 1) / 2) * if k % 2 == 0 { 7.0 } else { -7.0 };
        let away = 9.0 + 0.35 * shift.abs();
        [x + away, x - away - wide].map(|left| (left, y - 0.5 * HEIGHT + shift))
    });
    let fits = |&(left, top): &(f64, f64)| {
        let around = [left, top, left + wide, top + HEIGHT];
        inside(around) && free(around)
    };
    candidates.find(fits).unwrap_or((x + 9.0, y - 0.5 * HEIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Axis, Look};

    /// Twelve labels on one point: none lies over another, all lie inside.
    #[test]
    fn labels_keep_clear_of_each_other() {
        let axis = Axis::default();
        let f = Frame {
            left: 50.0,
            top: 10.0,
            width: 700.0,
            height: 300.0,
            x: (&axis, (0.0, 1.0)),
            y: (&axis, (0.0, 1.0)),
        };
        let mut taken: Vec<Box4> = vec![[397.0, 157.0, 403.0, 163.0]];
        for _ in 0..12 {
            let (left, top) = place(400.0, 160.0, 120.0, &f, &taken);
            let new = [left, top, left + 120.0, top + HEIGHT];
            assert!(taken.iter().all(|q| new[2] <= q[0] || q[2] <= new[0] || new[3] <= q[1] || q[3] <= new[1]));
            assert!(left >= f.left && top + HEIGHT <= f.top + f.height);
            taken.push(new);
        }
        let label = Mark::Label { at: (0.5, f64::NAN), text: "nowhere".into(), look: Look::default() };
        let mut s = String::new();
        labels(&mut s, &f, &[label]);
        assert!(s.is_empty());
    }
}
