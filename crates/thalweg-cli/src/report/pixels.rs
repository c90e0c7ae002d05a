//! Images of a data set as a gallery in one SVG, a rectangle a run of equal pixels: no raster format, no script, no network.
use std::fmt::Write;

/// The most images that a row of the gallery takes.
pub const ACROSS: usize = 6;
/// Width of the gallery.
const WIDTH: f64 = 820.0;
/// Levels of brightness; equal neighbours are drawn as one.
const LEVELS: f32 = 24.0;

/// Images `[c, h, w]` with c of 1 or 3 and a word below each, at most `across` and [`ACROSS`] in a row. Brightness goes from the least to the greatest of `range`, or of each image's own values.
pub fn gallery(
    [channels, height, width]: [usize; 3],
    images: &[(&[f32], String)],
    across: usize,
    range: Option<(f32, f32)>,
) -> String {
    let across = across.clamp(1, ACROSS);
    let cell = WIDTH / ACROSS as f64;
    let (side, step) = (cell - 16.0, (cell - 16.0) / height.max(width) as f64);
    let rows = images.len().div_ceil(across);
    let tall = rows as f64 * (cell + 14.0);
    let mut s = format!(
        "<svg viewBox=\"0 0 {WIDTH} {tall:.0}\" role=\"img\" aria-label=\"images\" shape-rendering=\"crispEdges\">"
    );
    for (n, (image, word)) in images.iter().enumerate() {
        let (x0, y0) = ((n % across) as f64 * cell + 8.0, (n / across) as f64 * (cell + 14.0));
        let own = || image.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        let (low, high) = range.unwrap_or_else(own);
        let level = |v: f32| {
            let share = if high > low { ((v - low) / (high - low)).clamp(0.0, 1.0) } else { 0.0 };
            (share * LEVELS).round() / LEVELS * 255.0
        };
        let colour = |y: usize, x: usize| -> [u8; 3] {
            std::array::from_fn(|k| level(image[(k.min(channels - 1) * height + y) * width + x]) as u8)
        };
        for y in 0..height {
            let mut x = 0;
            while x < width {
                let [r, g, b] = colour(y, x);
                let run = (x..width).take_while(|&x| colour(y, x) == [r, g, b]).count();
                let _ = write!(
                    s,
                    "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#{r:02x}{g:02x}{b:02x}\"/>",
                    x0 + x as f64 * step,
                    y0 + y as f64 * step,
                    run as f64 * step + 0.2,
                    step + 0.2
                );
                x += run;
            }
        }
        let _ =
            write!(s, "<text class=\"t m\" x=\"{:.1}\" y=\"{:.1}\">{word}</text>", x0 + side / 2.0, y0 + side + 13.0);
    }
    s.push_str("</svg>");
    s
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_neighbours_are_one_rectangle() {
        let image = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let svg = gallery([1, 2, 3], &[(&image, "row 4: 7".into())], ACROSS, None);
        assert_eq!((svg.matches("<rect").count(), svg.matches("#ffffff").count()), (3, 2));
        assert!(svg.contains("row 4: 7"));
        let colours = [1.0, 0.0, 0.5, 0.0, 0.0, 1.0];
        assert!(gallery([3, 1, 2], &[(&colours, String::new())], ACROSS, None).contains("#ff7f00"));
        // In a range of −1 to 1, 0 is half way, and what lies beyond an end is the end.
        let svg = gallery([1, 1, 3], &[(&[0.0, 1.0, -3.0], String::new())], 2, Some((-1.0, 1.0)));
        for colour in ["#7f7f7f", "#ffffff", "#000000"] {
            assert_eq!(svg.matches(colour).count(), 1, "{svg}");
        }
    }
}
