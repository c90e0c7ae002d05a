//! Axes of a plot: what they span, where their ticks lie, how numbers map to places.

/// A point in data coordinates.
pub type Point = (f64, f64);

/// How an axis maps numbers to places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Equal steps.
    #[default]
    Linear,
    /// Equal ratios; numbers at or below 0 are not drawn.
    Log,
}

/// One axis.
#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// What it measures.
    pub label: String,
    /// How.
    pub scale: Scale,
    /// From, to; what the marks need where absent.
    pub domain: Option<Point>,
    /// Named places in place of numbered ticks; none of both where empty and `bare`.
    pub named: Vec<(f64, String)>,
    /// No ticks, no grid.
    pub bare: bool,
}

/// Where `v` lies between the ends of `domain`: 0 at the first, 1 at the second.
pub fn place(v: f64, scale: Scale, (from, to): Point) -> f64 {
    match scale {
        Scale::Linear => (v - from) / (to - from),
        Scale::Log => (v.ln() - from.ln()) / (to.ln() - from.ln()),
    }
}

/// From and to of `axis`: as set, or what `values` span with a little room; from zero where `bars` stand on it.
pub fn span(axis: &Axis, mut values: Vec<f64>, bars: bool) -> Point {
    if let Some(domain) = axis.domain {
        return domain;
    }
    values.extend(axis.named.iter().map(|(v, _)| *v));
    values.retain(|v| v.is_finite() && (axis.scale == Scale::Linear || *v > 0.0));
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match axis.scale {
        _ if values.is_empty() => (if axis.scale == Scale::Log { 0.1 } else { 0.0 }, 1.0),
        Scale::Log => (low / 1.12, high * 1.12),
        Scale::Linear => {
            let room = if high > low { 0.05 * (high - low) } else { 0.5 * high.abs().max(1.0) };
            (if bars && low >= 0.0 { 0.0 } else { low - room }, high + room)
        }
    }
}

/// Ticks of an axis with their names: 1, 2 or 5 times a power of ten.
pub fn ticks(axis: &Axis, (from, to): Point) -> Vec<(f64, String)> {
    if axis.bare || !axis.named.is_empty() {
        return axis.named.clone();
    }
    // Over less than half a decade ratios are nearly differences, and equal steps make the better ticks.
    if axis.scale == Scale::Log && to / from > 3.2 {
        let decades = (to / from).log10();
        let steps: &[f64] = if decades > 2.5 {
            &[1.0]
        } else if decades > 1.2 {
            &[1.0, 3.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]
        };
        let (low, high) = (from.log10().floor() as i32, to.log10().ceil() as i32);
        let all =
            (low..=high).flat_map(|p| steps.iter().map(move |s| (s * 10f64.powi(p), usize::from(s.fract() > 0.0), p)));
        return all
            .filter(|(v, ..)| *v >= from * 0.999 && *v <= to * 1.001)
            .map(|(v, extra, p)| {
                (
                    v,
                    format!(
                        "{v:.*}",
                        usize::try_from(-p).map_or(extra.saturating_sub(p.unsigned_abs() as usize), |d| d + extra)
                    ),
                )
            })
            .collect();
    }
    let raw = (to - from) / 5.0;
    let power = 10f64.powf(raw.log10().floor());
    let step = power
        * if raw / power < 1.5 {
            1.0
        } else if raw / power < 3.5 {
            2.0
        } else if raw / power < 7.5 {
            5.0
        } else {
            10.0
        };
    let digits = (-step.log10().floor()).max(0.0) as usize;
    let first = (from / step).ceil() as i64;
    (first..)
        .map(|i| i as f64 * step)
        .take_while(|v| *v <= to + 1e-9 * step)
        .map(|v| (v, format!("{v:.digits$}")))
        .collect()
}
