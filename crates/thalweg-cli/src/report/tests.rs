//! The report as a whole: it renders, it is well formed, it carries what it was given.
use super::*;
use crate::table::{Cell, Weight};

/// A page with one of everything.
pub fn specimen() -> Report {
    let wave = |phase: f64, n: usize| -> Vec<f64> {
        (0..n).map(|i| 0.9 + 0.02 * ((i as f64 * 2.4 + phase).sin() + (i as f64 * 0.77).cos())).collect()
    };
    let groups = vec![
        ("zoo, held out".to_owned(), 0, wave(0.0, 60)),
        ("flow".to_owned(), 1, wave(1.0, 100)),
        ("diagonal Gaussian".to_owned(), 2, wave(2.0, 100).iter().map(|v| v - 0.03).collect()),
        ("mean move".to_owned(), 3, vec![0.87; 100]),
    ];
    let mut report = Report::new("Weights <generated>", "What a flow makes & how well it works.");
    report.fact("accuracy of samples", "0.909", Some("± 0.001".into())).fact("networks a second", "1,240", None);
    report.heading("Loss along the flow").paragraph("Every state is a network.");
    let t: Vec<f64> = (0..=20).map(|i| f64::from(i) / 20.0).collect();
    let curve = |s: f64| -> Vec<f64> { t.iter().map(|t| (2.3 * (-3.0 * t).exp() + 0.2) * s).collect() };
    let mut plot = Plot { title: "Loss along the flow".into(), size: (820.0, 330.0), ..Plot::default() };
    plot.x.label = "time t".into();
    plot.y = Axis { label: "validation loss".into(), scale: Scale::Log, ..Axis::default() };
    plot.marks = figures::fan(&t, &[curve(0.8), curve(1.0), curve(1.3)], &Look::new(1, "flow"));
    plot.marks.push(Mark::Line {
        points: vec![(0.0, 2.3), (1.0, 0.3)],
        arrow: false,
        look: Look::new(0, "zoo").dashed(),
    });
    report.figure(&plot, "Mean and the 10 % to 90 % band.");
    report.figure(&figures::histogram("Accuracy", "accuracy", 24, &groups[..2]), "Histogram.");
    report.figure(&figures::strips("Accuracy by method", "accuracy", &groups), "A dot a network.");
    let (rows, columns) = (30, 48);
    let height = |i: usize| {
        let (x, y) = ((i % columns) as f64 / 47.0 * 6.0 - 3.0, (i / columns) as f64 / 29.0 * 4.0 - 2.0);
        (x - 1.5).powi(2) * 0.3 + (y - (x * 0.8).sin()).powi(2)
    };
    let values: Vec<f64> = (0..rows * columns).map(height).collect();
    let mut map = Plot { title: "Map".into(), size: (820.0, 520.0), ..Plot::default() };
    (map.x.bare, map.y.bare, map.x.domain, map.y.domain) = (true, true, Some((-3.0, 3.0)), Some((-2.0, 2.0)));
    map.marks = contour::filled(&values, columns, (-3.0, 3.0), (-2.0, 2.0), &[0.0, 0.3, 0.8, 1.5, 2.5, 4.0, 6.0, 9.0]);
    let path = |s: f64| (0..40).map(|i| f64::from(i) * 0.1 - 2.5).map(|x| (x, (x * 0.8).sin() + s)).collect::<Vec<_>>();
    for i in 0..5 {
        let look = Look::new(5, "sampled paths").size(1.2);
        map.marks.push(Mark::Line { points: path(f64::from(i) * 0.2), arrow: true, look });
    }
    map.marks.push(Mark::Dots { points: path(-0.3), look: Look::new(0, "zoo") });
    report.figure(&map, "A landscape.");
    let mut table = Table::new(&["method", "accuracy", "n"]).note("mean ± standard error");
    table.push(Weight::Strong, vec!["flow".into(), Cell::Estimate(0.909, 0.001, 3), 100.into()]);
    table.push(Weight::Faint, vec!["zoo".into(), Cell::Number(f64::NAN, 3), 60.into()]);
    report.table(&table).code("thalweg demo");
    report
}

#[test]
fn a_page_is_whole_and_self_contained() {
    let html = specimen().html().unwrap();
    for piece in [
        "Weights &lt;generated&gt;",
        "how well it works",
        "0.909",
        "± 0.001",
        "aria-label=\"Loss along the flow\"",
        "</html>",
        "class=\"strong\"",
    ] {
        assert!(html.contains(piece), "{piece}");
    }
    for foreign in ["<script", "http://", "https://", "NaN", "inf "] {
        assert!(!html.contains(foreign), "{foreign}");
    }
    for tag in ["svg", "figure", "table", "tr", "td", "g", "p", "div"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(html.matches("<svg").count() >= 9);
    if let Some(path) = std::env::var_os("THALWEG_SPECIMEN") {
        std::fs::write(path, html).unwrap();
    }
}

#[test]
fn a_plot_without_numbers_still_draws() {
    let mut plot = figures::strips("none", "x", &[("a".into(), 0, vec![f64::NAN])]);
    plot.marks.push(Mark::Line { points: Vec::new(), arrow: true, look: Look::new(1, "x") });
    assert!(plot.svg().ends_with("</svg>"));
    assert!(figures::histogram("none", "x", 5, &[]).svg().ends_with("</svg>"));
    assert!(!plot.svg().contains("NaN"));
}
