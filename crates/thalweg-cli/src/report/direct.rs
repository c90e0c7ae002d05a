//! Names beside the ends of lines, in the place of a legend, where lines are few: nobody has to look back and forth.
use super::axis::Point;
use super::escape::escape;
use super::marks::{Frame, Mark};
use std::fmt::Write;

/// Most lines that are named at their ends.
const MOST: usize = 4;
/// Pixels between two names.
const HEIGHT: f64 = 15.0;
/// Pixels of a letter.
const LETTER: f64 = 6.9;

/// The end of a line with its name and colour class.
pub type End = (Point, String, usize);

/// The ends of the named lines of `marks`; none where they are too many, or where something else has a name that no line has.
pub fn ends(marks: &[Mark]) -> Vec<End> {
    let mut ends: Vec<End> = Vec::new();
    for mark in marks {
        let Mark::Line { points, look, .. } = mark else { continue };
        let last = points.iter().rev().find(|(x, y)| x.is_finite() && y.is_finite());
        if let (Some(&at), false) = (last, look.name.is_empty()) {
            ends.push((at, look.name.clone(), look.colour));
        }
    }
    let known = |name: &str| name.is_empty() || ends.iter().any(|end| end.1 == name);
    let named = marks.iter().all(|mark| match mark {
        Mark::Band { look, .. } | Mark::Bars { look, .. } | Mark::Dots { look, .. } | Mark::Rule { look, .. } => {
            known(&look.name)
        }
        _ => true,
    });
    let mut names: Vec<&str> = ends.iter().map(|end| end.1.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).any(|pair| pair[0] == pair[1]);
    if named && !twice && (2..=MOST).contains(&ends.len()) { ends } else { Vec::new() }
}

/// Pixels that the names of `ends` take on the right.
pub fn room(ends: &[End]) -> f64 {
    let longest = ends.iter().map(|end| end.1.chars().count()).max();
    longest.map_or(0.0, |letters| LETTER * letters as f64 + 4.0)
}

/// Writes the names on the right of the frame, each at the height of its line's end or as near as the others leave room for.
pub fn draw(s: &mut String, f: &Frame, ends: &[End]) {
    let mut order: Vec<&End> = ends.iter().collect();
    order.sort_by(|a, b| f.y(a.0.1).total_cmp(&f.y(b.0.1)));
    let mut heights: Vec<f64> = order.iter().map(|end| f.y(end.0.1)).collect();
    // Down from the top, then up from the bottom.
    for i in 1..heights.len() {
        heights[i] = heights[i].max(heights[i - 1] + HEIGHT);
    }
    let mut floor = f.top + f.height + 2.0;
    for height in heights.iter_mut().rev() {
        *height = height.min(floor);
        floor = *height - HEIGHT;
    }
    for ((_, name, colour), y) in order.into_iter().zip(heights) {
        let x = f.left + f.width + 7.0;
        let _ = write!(s, "<text class=\"t f s{colour}\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>", y + 4.0, escape(name));
    }
}

#[cfg(test)]
mod tests {
    use crate::report::{Look, Mark, Plot};

    fn plot(lines: &[(&str, f64)]) -> String {
        let line = |(i, (name, y)): (usize, &(&str, f64))| {
            let points = vec![(0.0, 0.5), (1.0, *y)];
            Mark::Line { points, arrow: false, look: Look::new(i + 1, name) }
        };
        Plot { size: (600.0, 300.0), marks: lines.iter().enumerate().map(line).collect(), ..Plot::default() }.svg()
    }

    fn heights(svg: &str) -> Vec<f64> {
        let names = svg.split("<text class=\"t f s").skip(1);
        names.map(|rest| rest.split("y=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()).collect()
    }

    #[test]
    fn few_lines_are_named_at_their_ends_and_many_in_a_legend() {
        let svg = plot(&[("one", 1.0), ("two", 0.2)]);
        assert_eq!(heights(&svg).len(), 2);
        assert!(svg.matches(">one<").count() == 1 && svg.matches(">two<").count() == 1, "{svg}");
        let many: Vec<(String, f64)> = (0..5).map(|i| (format!("line {i}"), f64::from(i))).collect();
        let svg = plot(&many.iter().map(|(name, y)| (name.as_str(), *y)).collect::<Vec<_>>());
        assert!(heights(&svg).is_empty() && svg.matches("line 3").count() == 1);
    }

    #[test]
    fn names_of_lines_that_end_together_stand_apart_and_inside() {
        for ends in [[0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.99]] {
            let names = ["a", "b", "c", "d"];
            let mut found = heights(&plot(&names.into_iter().zip(ends).collect::<Vec<_>>()));
            found.sort_by(f64::total_cmp);
            assert!(found.windows(2).all(|pair| pair[1] - pair[0] >= 14.9), "{found:?}");
            assert!(found[0] > 0.0 && found[3] < 300.0, "{found:?}");
        }
    }
}
