//! Figures that reports share: histograms, strips of points by group, fans of curves.
use super::{Axis, Look, Mark, Plot, Point};
pub use thalweg::metric::summary::mean_sem;

/// Groups of values side by side over one axis: every value a dot, stacked where they are dense, with mean and standard error.
pub fn strips(title: &str, label: &str, groups: &[(String, usize, Vec<f64>)]) -> Plot {
    let rows = groups.len() as f64;
    let mut plot = Plot { title: title.into(), size: (820.0, 56.0 + 46.0 * rows), ..Plot::default() };
    let all = || groups.iter().flat_map(|g| &g.2).copied().filter(|v| v.is_finite());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let room = if high > low { 0.03 * (high - low) } else { 0.5 };
    if low <= high {
        plot.x.domain = Some((low - room, high + room));
    }
    plot.x.label = label.into();
    plot.y = Axis { domain: Some((-rows + 0.5, 0.5)), ..Axis::default() };
    for (i, (name, colour, values)) in groups.iter().enumerate() {
        let y = -(i as f64);
        plot.y.named.push((y, name.clone()));
        let points = swarm(values, y, (high - low + 2.0 * room).max(1e-12) / 110.0);
        plot.marks.push(Mark::Dots { points, look: Look::new(*colour, "").size(2.6).opacity(0.5) });
        let (mean, sem) = mean_sem(values);
        if mean.is_finite() {
            let sem = if sem.is_finite() { sem } else { 0.0 };
            plot.marks.push(Mark::Estimate {
                y,
                low: mean - sem,
                mean,
                high: mean + sem,
                look: Look::new(*colour, ""),
            });
        }
    }
    plot
}

/// Dots of `values` about height `y`: those that fall into one bin of `width` stand over and under each other.
fn swarm(values: &[f64], y: f64, width: f64) -> Vec<Point> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let bin = |v: f64| (v / width).floor() as i64;
    let crowd = sorted.chunk_by(|a, b| bin(*a) == bin(*b)).map(<[f64]>::len).max().unwrap_or(1);
    let step = (0.1f64).min(0.8 / crowd as f64);
    let mut points = Vec::with_capacity(sorted.len());
    for chunk in sorted.chunk_by(|a, b| bin(*a) == bin(*b)) {
        for (i, &v) in chunk.iter().enumerate() {
            points.push((v, y + step * (i as f64 - 0.5 * (chunk.len() - 1) as f64)));
        }
    }
    points
}

/// Histograms over common bins, each as shares of its own group.
pub fn histogram(title: &str, label: &str, bins: usize, groups: &[(String, usize, Vec<f64>)]) -> Plot {
    let mut plot = Plot { title: title.into(), size: (820.0, 300.0), ..Plot::default() };
    plot.x.label = label.into();
    plot.y.label = "share of networks".into();
    let all = || groups.iter().flat_map(|g| &g.2).copied().filter(|v| v.is_finite());
    let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    if low > high || bins == 0 {
        return plot;
    }
    // Accuracies fall on a grid (hits over rows): bins that are no multiple of its step would show gaps that mean nothing.
    let mut distinct: Vec<f64> = all().collect();
    distinct.sort_by(f64::total_cmp);
    let step = distinct.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > 1e-7).fold(f64::INFINITY, f64::min);
    let mut width = ((high - low) / bins as f64).max(1e-9);
    let mut low = low;
    if step.is_finite() && step > 0.05 * width {
        width = (width / step).ceil() * step;
        low -= 0.5 * step;
    }
    let bins = (((high - low) / width) as usize + 1).min(bins + 1);
    for (name, colour, values) in groups {
        let mut counts = vec![0usize; bins];
        let finite = values.iter().filter(|v| v.is_finite());
        for v in finite.clone() {
            counts[(((v - low) / width) as usize).min(bins - 1)] += 1;
        }
        let n = finite.count().max(1) as f64;
        let bar = |(i, &c): (usize, &usize)| (low + i as f64 * width, low + (i + 1) as f64 * width, c as f64 / n);
        let bars = counts.iter().enumerate().map(bar).collect();
        plot.marks.push(Mark::Bars { bars, look: Look::new(*colour, name) });
    }
    plot
}

/// A mean curve over `x` with the band from the 10 % to the 90 % quantile of `curves`.
pub fn fan(x: &[f64], curves: &[Vec<f64>], look: &Look) -> Vec<Mark> {
    let mut band = Vec::new();
    let mut mean = Vec::new();
    for (i, &x) in x.iter().enumerate() {
        let mut column: Vec<f64> = curves.iter().filter_map(|c| c.get(i).copied()).filter(|v| v.is_finite()).collect();
        if column.is_empty() {
            continue;
        }
        column.sort_by(f64::total_cmp);
        let quantile = |q: f64| column[(q * (column.len() - 1) as f64).round() as usize];
        band.push((x, quantile(0.1), quantile(0.9)));
        mean.push((x, mean_sem(&column).0));
    }
    let band = Mark::Band { rows: band, look: Look { name: String::new(), opacity: 0.18, ..look.clone() } };
    vec![band, Mark::Line { points: mean, arrow: false, look: look.clone() }]
}
