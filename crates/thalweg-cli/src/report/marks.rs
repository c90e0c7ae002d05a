//! What a plot draws: lines, bands, bars, dots, cells, estimates, rules and labels, each with its look.
use super::axis::{Axis, Point, place};
use std::fmt::Write;

/// The look of a mark: colour class, name in the legend ("" for none), and details.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Colour class without its letter: 3 for `s3`.
    pub colour: usize,
    /// Name in the legend.
    pub name: String,
    /// Dashed line.
    pub dashed: bool,
    /// 0 to 1; 0 means the mark's own default.
    pub opacity: f64,
    /// Stroke width or dot radius; 0 means the mark's own default.
    pub size: f64,
    /// Of dots that are shown at one moment of a figure in time only: which.
    pub moment: Option<usize>,
}

impl Look {
    /// Colour `s{colour}`, named `name` in the legend.
    pub fn new(colour: usize, name: &str) -> Self {
        Self { colour, name: name.into(), ..Self::default() }
    }
    /// Another opacity.
    pub fn opacity(mut self, opacity: f64) -> Self {
        self.opacity = opacity;
        self
    }
    /// Another width or radius.
    pub fn size(mut self, size: f64) -> Self {
        self.size = size;
        self
    }
    /// Shown at one moment only.
    pub fn at(mut self, moment: usize) -> Self {
        self.moment = Some(moment);
        self
    }
    /// Dashed.
    pub fn dashed(mut self) -> Self {
        self.dashed = true;
        self
    }
}

/// Something drawn.
#[derive(Clone, Debug)]
pub enum Mark {
    /// A line through points; with an arrow head at its end where `arrow`.
    Line { points: Vec<Point>, arrow: bool, look: Look },
    /// The area between (x, low) and (x, high).
    Band { rows: Vec<(f64, f64, f64)>, look: Look },
    /// Upright bars (from, to, height).
    Bars { bars: Vec<(f64, f64, f64)>, look: Look },
    /// Dots.
    Dots { points: Vec<Point>, look: Look },
    /// Filled polygons of the height class `h{level}`, one path.
    Cells { polygons: Vec<Vec<Point>>, level: usize },
    /// A short upright tick with its error bar (low, mean, high) at height y.
    Estimate { y: f64, low: f64, mean: f64, high: f64, look: Look },
    /// A line over the whole frame at x (upright) or at y.
    Rule { at: f64, upright: bool, look: Look },
    /// Words beside a point.
    Label { at: Point, text: String, look: Look },
}

/// The frame in pixels with the maps into it.
pub struct Frame<'a> {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
    pub x: (&'a Axis, Point),
    pub y: (&'a Axis, Point),
}

impl Frame<'_> {
    pub fn x(&self, v: f64) -> f64 {
        self.left + self.width * place(v, self.x.0.scale, self.x.1)
    }
    pub fn y(&self, v: f64) -> f64 {
        self.top + self.height * (1.0 - place(v, self.y.0.scale, self.y.1))
    }
    pub fn path(&self, points: &[Point]) -> String {
        let mut d = String::new();
        let mut pen_up = true;
        for &(x, y) in points {
            let (x, y) = (self.x(x), self.y(y));
            if !(x.is_finite() && y.is_finite()) {
                pen_up = true;
                continue;
            }
            let _ = write!(d, "{}{x:.1} {y:.1}", if pen_up { "M" } else { "L" });
            pen_up = false;
        }
        d
    }
}

impl Mark {
    /// The numbers that its place on an axis depends on.
    pub fn reach(&self, across: bool) -> Vec<f64> {
        let pick = |&(x, y): &Point| if across { x } else { y };
        match self {
            Mark::Line { points, .. } | Mark::Dots { points, .. } => points.iter().map(pick).collect(),
            Mark::Band { rows, .. } if across => rows.iter().map(|r| r.0).collect(),
            Mark::Band { rows, .. } => rows.iter().flat_map(|r| [r.1, r.2]).collect(),
            Mark::Bars { bars, .. } if across => bars.iter().flat_map(|b| [b.0, b.1]).collect(),
            Mark::Bars { bars, .. } => bars.iter().map(|b| b.2).collect(),
            Mark::Cells { polygons, .. } => polygons.iter().flatten().map(pick).collect(),
            Mark::Estimate { low, high, .. } if across => vec![*low, *high],
            Mark::Estimate { y, .. } => vec![*y],
            Mark::Rule { at, upright, .. } if *upright == across => vec![*at],
            Mark::Rule { .. } | Mark::Label { .. } => Vec::new(),
        }
    }
}

/// Draws `mark` into `s`.
pub fn draw(s: &mut String, f: &Frame, mark: &Mark) {
    let or = |value: f64, default: f64| if value > 0.0 { value } else { default };
    let alpha = |look: &Look, default: f64| match or(look.opacity, default) {
        full if full >= 1.0 => String::new(),
        part => format!(" opacity=\"{part}\""),
    };
    let dash = |look: &Look| if look.dashed { " stroke-dasharray=\"6 4\"" } else { "" };
    let _ = match mark {
        Mark::Line { points, arrow, look } => {
            let (c, w, d) = (look.colour, or(look.size, 2.2), f.path(points));
            let _ =
                write!(s, "<path class=\"k s{c}\" stroke-width=\"{w}\"{}{} d=\"{d}\"/>", dash(look), alpha(look, 1.0));
            match (arrow, points.last(), points.iter().rev().find(|p| distance(f, **p, points[points.len() - 1]) > 3.0))
            {
                (true, Some(&tip), Some(&back)) => {
                    let (tx, ty) = (f.x(tip.0), f.y(tip.1));
                    let angle = (ty - f.y(back.1)).atan2(tx - f.x(back.0)).to_degrees();
                    let r = 2.2 + 2.0 * w;
                    write!(
                        s,
                        "<path class=\"f s{c}\"{} transform=\"translate({tx:.1} {ty:.1})rotate({angle:.0})\" d=\"M{r:.1} 0L-{r:.1} {:.1}L-{r:.1} -{:.1}Z\"/>",
                        alpha(look, 1.0),
                        0.6 * r,
                        0.6 * r
                    )
                }
                _ => Ok(()),
            }
        }
        Mark::Band { rows, look } => {
            let there = rows.iter().map(|r| (r.0, r.2));
            let back = rows.iter().rev().map(|r| (r.0, r.1));
            let d = f.path(&there.chain(back).collect::<Vec<_>>());
            write!(s, "<path class=\"f s{}\"{} d=\"{d}Z\"/>", look.colour, alpha(look, 0.2))
        }
        Mark::Bars { bars, look } => {
            let mut d = String::new();
            for &(from, to, height) in bars.iter().filter(|b| b.2 > 0.0) {
                let (l, r, t, b) = (f.x(from) + 0.5, f.x(to) - 0.5, f.y(height), f.y(0.0));
                let _ = write!(d, "M{l:.1} {b:.1}V{t:.1}H{r:.1}V{b:.1}Z");
            }
            write!(s, "<path class=\"f s{}\"{} d=\"{d}\"/>", look.colour, alpha(look, 0.55))
        }
        Mark::Dots { points, look } => {
            let r = or(look.size, 3.0);
            let (at, data) = look.moment.map_or(("", String::new()), |k| (" at", format!(" data-k=\"{k}\"")));
            let _ = write!(s, "<g class=\"f s{}{at}\"{data}{}>", look.colour, alpha(look, 0.6));
            for &(x, y) in points {
                let (x, y) = (f.x(x), f.y(y));
                if x.is_finite() && y.is_finite() {
                    let _ = write!(s, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\"/>");
                }
            }
            write!(s, "</g>")
        }
        Mark::Cells { polygons, level } => {
            let d: String = polygons.iter().map(|p| f.path(p) + "Z").collect();
            write!(s, "<path class=\"h{level}\" d=\"{d}\"/>")
        }
        Mark::Estimate { y, low, mean, high, look } => {
            let (l, m, h, y) = (f.x(*low), f.x(*mean), f.x(*high), f.y(*y));
            write!(
                s,
                "<g class=\"k s{}\"><path class=\"halo\" d=\"M{m:.1} {:.1}v20\"/><path stroke-width=\"2.6\" d=\"M{m:.1} {:.1}v20\"/><path stroke-width=\"1.6\" d=\"M{l:.1} {y:.1}H{h:.1}\"/></g>",
                look.colour,
                y - 10.0,
                y - 10.0
            )
        }
        Mark::Rule { at, upright, look } => {
            let d = match upright {
                true => format!("M{:.1} {:.1}v{:.1}", f.x(*at), f.top, f.height),
                false => format!("M{:.1} {:.1}h{:.1}", f.left, f.y(*at), f.width),
            };
            write!(
                s,
                "<path class=\"k s{}\" stroke-width=\"{}\"{}{} d=\"{d}\"/>",
                look.colour,
                or(look.size, 1.4),
                dash(look),
                alpha(look, 0.9)
            )
        }
        // Labels are placed together, by the plot, so that none lies over another.
        Mark::Label { .. } => Ok(()),
    };
}

fn distance(f: &Frame, a: Point, b: Point) -> f64 {
    (f.x(a.0) - f.x(b.0)).hypot(f.y(a.1) - f.y(b.1))
}
