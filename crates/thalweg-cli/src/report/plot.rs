//! A small SVG plotter for the report: axes, lines, bands, bars, dots, arrows, filled cells, labels. It knows no colours:
//! every mark carries a class (`s0` … `s7`, `h0` … `h7`) whose colour the page's style sheet sets for light and for dark.
//!
//! Why not the crate `kuva`: it could take CSS variables as colours, but is 74 thousand lines for the four kinds of
//! plot that we draw, and puts neither contours under paths nor one legend over layers of several kinds as we need them.
use super::axis::Point;
use super::axis::{Axis, span, ticks};
use super::direct;
use super::escape::escape;
use super::labels::labels;
use super::marks::{Frame, Mark, draw};
use std::fmt::Write;

/// A plot.
#[derive(Clone, Debug, Default)]
pub struct Plot {
    /// Said to screen readers.
    pub title: String,
    /// Width and height in pixels of the view box.
    pub size: Point,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// In drawing order.
    pub marks: Vec<Mark>,
}

impl Plot {
    /// The plot as an `<svg>` element.
    pub fn svg(&self) -> String {
        let (width, height) = self.size;
        let reach = |across| self.marks.iter().flat_map(|m| m.reach(across)).collect();
        let bars = self.marks.iter().any(|m| matches!(m, Mark::Bars { .. }));
        let (xs, ys) = (span(&self.x, reach(true), false), span(&self.y, reach(false), bars));
        let (x_ticks, y_ticks) = (ticks(&self.x, xs), ticks(&self.y, ys));
        let widest = y_ticks.iter().map(|(_, name)| name.chars().count()).max().unwrap_or(0) as f64;
        let ends = direct::ends(&self.marks);
        let legend = if ends.is_empty() { self.legend(width) } else { (String::new(), 0.0) };
        let left = 12.0 + 6.6 * widest + if self.y.label.is_empty() { 0.0 } else { 18.0 };
        let bottom = if x_ticks.is_empty() { 8.0 } else { 24.0 } + if self.x.label.is_empty() { 0.0 } else { 18.0 };
        let top = 10.0 + legend.1;
        let frame = Frame {
            left,
            top,
            width: width - left - 14.0 - direct::room(&ends),
            height: height - top - bottom,
            x: (&self.x, xs),
            y: (&self.y, ys),
        };
        let mut s =
            format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">", escape(&self.title));
        s.push_str(&legend.0);
        self.axes(&mut s, &frame, &x_ticks, &y_ticks);
        // The clip has no id, so that many plots can share a page: a nested svg clips to its own box.
        let (l, t, w, h) = (frame.left, frame.top, frame.width, frame.height);
        let _ = write!(
            s,
            "<svg x=\"{l:.1}\" y=\"{t:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" viewBox=\"{l:.1} {t:.1} {w:.1} {h:.1}\">"
        );
        for mark in self.marks.iter().filter(|m| !matches!(m, Mark::Label { .. })) {
            draw(&mut s, &frame, mark);
        }
        s.push_str("</svg>");
        labels(&mut s, &frame, &self.marks);
        direct::draw(&mut s, &frame, &ends);
        s.push_str("</svg>");
        s
    }

    fn axes(&self, s: &mut String, f: &Frame, x_ticks: &[(f64, String)], y_ticks: &[(f64, String)]) {
        let (right, bottom) = (f.left + f.width, f.top + f.height);
        for (v, name) in y_ticks {
            let y = f.y(*v);
            let _ = write!(
                s,
                "<path class=\"g\" d=\"M{:.1} {y:.1}H{right:.1}\"/><text class=\"t e\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                f.left,
                f.left - 7.0,
                y + 4.0,
                escape(name)
            );
        }
        for (v, name) in x_ticks {
            let x = f.x(*v);
            let _ = write!(
                s,
                "<path class=\"a\" d=\"M{x:.1} {bottom:.1}v4\"/><text class=\"t m\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                bottom + 17.0,
                escape(name)
            );
        }
        if !self.x.bare {
            let _ = write!(s, "<path class=\"a\" d=\"M{:.1} {bottom:.1}H{right:.1}\"/>", f.left);
        }
        if !self.x.label.is_empty() {
            let _ = write!(
                s,
                "<text class=\"t m l\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                f.left + f.width / 2.0,
                self.size.1 - 5.0,
                escape(&self.x.label)
            );
        }
        if !self.y.label.is_empty() {
            let _ = write!(
                s,
                "<text class=\"t m l\" transform=\"translate(13 {:.1})rotate(-90)\">{}</text>",
                f.top + f.height / 2.0,
                escape(&self.y.label)
            );
        }
    }

    /// The legend and its height.
    fn legend(&self, width: f64) -> (String, f64) {
        let mut names: Vec<(&str, usize, char)> = Vec::new();
        for mark in &self.marks {
            let (look, sign) = match mark {
                Mark::Line { look, .. } => (look, if look.dashed { '-' } else { 'l' }),
                Mark::Band { look, .. } | Mark::Bars { look, .. } => (look, 'b'),
                Mark::Dots { look, .. } => (look, 'd'),
                Mark::Rule { look, .. } => (look, if look.dashed { '-' } else { 'l' }),
                _ => continue,
            };
            if !look.name.is_empty() && !names.iter().any(|n| n.0 == look.name) {
                names.push((&look.name, look.colour, sign));
            }
        }
        let (mut s, mut x, mut y) = (String::new(), 12.0, 14.0);
        for (name, colour, sign) in &names {
            let wide = 24.0 + 6.7 * name.chars().count() as f64 + 18.0;
            if x + wide > width && x > 12.0 {
                (x, y) = (12.0, y + 20.0);
            }
            let sign = match sign {
                'd' => format!("<circle class=\"f s{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>", x + 9.0, y - 4.0),
                'b' => format!(
                    "<rect class=\"f s{colour}\" opacity=\".7\" x=\"{:.1}\" y=\"{:.1}\" width=\"14\" height=\"10\" rx=\"2\"/>",
                    x + 2.0,
                    y - 9.0
                ),
                dash => format!(
                    "<path class=\"k s{colour}\" stroke-width=\"2.2\"{} d=\"M{:.1} {:.1}h18\"/>",
                    if *dash == '-' { " stroke-dasharray=\"5 3\"" } else { "" },
                    x,
                    y - 4.0
                ),
            };
            let _ = write!(s, "{sign}<text class=\"t l\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>", x + 24.0, escape(name));
            x += wide;
        }
        (s, if names.is_empty() { 0.0 } else { y + 6.0 })
    }
}
