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
    map.marks.push(Mark::Dots { points: path(0.1), look: Look::new(5, "").at(0) });
    map.marks.push(Mark::Dots { points: path(0.3), look: Look::new(5, "").at(1) });
    report.figure_in_time(&map, &[0.0, 1.0], "A landscape.");
    let mut table = Table::new(&["method", "accuracy", "n"]).note("mean ± standard error");
    table.push(Weight::Strong, vec!["flow".into(), Cell::Estimate(0.909, 0.001, 3), 100.into()]);
    table.push(Weight::Faint, vec!["zoo".into(), Cell::Number(f64::NAN, 3), 60.into()]);
    let card = |verdict: &str, tone| Card {
        title: "Flows <work>".into(),
        verdict: verdict.into(),
        tone,
        about: vec!["paper, Figure 1".into()],
        reasons: vec![("decided by".into(), vec!["a & b".into(), "c".into()])],
        code: "thalweg reproduce x".into(),
    };
    report.cards(vec![card("holds", Some(Tone::Good)), card("not measured", None)]);
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
        "<article class=\"card good\">",
        "<article class=\"card\">",
        "Flows &lt;work&gt;",
        "<dd><p>a &amp; b</p><p>c</p></dd>",
    ] {
        assert!(html.contains(piece), "{piece}");
    }
    for foreign in ["<script src", "<link", "@import", "url(", "http://", "https://", "NaN", "inf "] {
        assert!(!html.replace("http://www.w3.org/2000/svg", "").contains(foreign), "{foreign}");
    }
    assert_eq!(html.matches("<script").count(), 1, "the slider's");
    assert!(!Report::new("a", "b").html().unwrap().contains("<script"));
    for tag in ["svg", "figure", "table", "tr", "td", "g", "p", "div", "article", "dl"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    assert!(html.matches("<svg").count() >= 9);
    if let Some(path) = std::env::var_os("THALWEG_SPECIMEN") {
        // Without the foot, which has the path of this test's program: `scripts/check-pages --like` compares what is seen of the rest.
        let ((page, rest), end) = (html.split_once("<footer>").unwrap(), "</footer>");
        std::fs::write(path, [page, rest.split_once(end).unwrap().1].concat()).unwrap();
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

/// All numbers of the attribute `name` of the elements `tag`, in order.
fn numbers(svg: &str, tag: &str, name: &str) -> Vec<f64> {
    let opening = format!("<{tag} ");
    let elements = svg.split(&opening).skip(1).map(|rest| rest.split_once('>').map_or(rest, |(own, _)| own));
    let value = |own: &str| own.split_once(&format!("{name}=\"")).and_then(|(_, v)| v.split_once('"')?.0.parse().ok());
    elements.filter_map(value).collect()
}

/// The frame of a plot: left, top, width, height of the inner drawing.
fn frame(svg: &str) -> [f64; 4] {
    ["x", "y", "width", "height"].map(|name| numbers(svg, "svg", name)[0])
}

#[test]
fn marks_stand_where_their_numbers_are() {
    let domain = |from, to| Axis { domain: Some((from, to)), ..Axis::default() };
    let mut plot = Plot { size: (400.0, 300.0), x: domain(0.0, 10.0), y: domain(-1.0, 1.0), ..Plot::default() };
    let points = vec![(0.0, -1.0), (10.0, 1.0), (2.5, 0.5), (5.0, f64::NAN)];
    plot.marks.push(Mark::Dots { points, look: Look::new(0, "") });
    let svg = plot.svg();
    let [left, top, width, height] = frame(&svg);
    // Across to the right, up to the top; what is no number is not drawn.
    let (xs, ys) = (numbers(&svg, "circle", "cx"), numbers(&svg, "circle", "cy"));
    for (i, (across, up)) in [(0.0, 0.0), (1.0, 1.0), (0.25, 0.75)].into_iter().enumerate() {
        assert!((xs[i] - (left + across * width)).abs() <= 0.11, "{i}: {xs:?} in {left} + {width}");
        assert!((ys[i] - (top + (1.0 - up) * height)).abs() <= 0.11, "{i}: {ys:?} in {top} + {height}");
    }
    assert_eq!(xs.len(), 3);
    // A bar stands on zero and is as high as its number; one tenth and two tenths of the axis wide, less half a pixel on each side.
    let mut bars = Plot { size: (400.0, 300.0), x: domain(0.0, 1.0), y: domain(0.0, 2.0), ..Plot::default() };
    bars.marks
        .push(Mark::Bars { bars: vec![(0.1, 0.2, 0.5), (0.5, 0.7, 2.0), (0.8, 0.9, 0.0)], look: Look::new(0, "") });
    let svg = bars.svg();
    let [left, top, width, height] = frame(&svg);
    let path =
        svg.split("<path class=\"f s0\"").nth(1).unwrap().split(" d=\"").nth(1).unwrap().split('"').next().unwrap();
    let corners: Vec<f64> = path
        .split(['M', 'V', 'H', 'Z', ' '])
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().unwrap())
        .collect();
    let expected = [(0.1, 0.2, 0.25), (0.5, 0.7, 1.0)].map(|(from, to, up)| {
        let (bottom, tip) = (top + height, top + (1.0 - up) * height);
        [left + from * width + 0.5, bottom, tip, left + to * width - 0.5, bottom]
    });
    assert_eq!(corners.len(), 10, "a bar of no height is not drawn: {path}");
    assert!(corners.iter().zip(expected.concat()).all(|(a, b)| (a - b).abs() <= 0.11), "{corners:?} {expected:?}");
}

#[test]
fn a_logarithmic_axis_has_equal_ratios_at_equal_steps() {
    let log = Axis { scale: Scale::Log, domain: Some((0.01, 100.0)), ..Axis::default() };
    let x = Axis { domain: Some((0.0, 1.0)), ..Axis::default() };
    let mut plot = Plot { size: (400.0, 300.0), x, y: log, ..Plot::default() };
    let points = [0.01, 0.1, 1.0, 100.0, 0.0].map(|y| (0.5, y)).to_vec();
    plot.marks.push(Mark::Dots { points, look: Look::new(0, "") });
    let svg = plot.svg();
    let [_, top, _, height] = frame(&svg);
    let found = numbers(&svg, "circle", "cy");
    assert_eq!(found.len(), 4, "zero has no logarithm");
    for (y, up) in found.iter().zip([0.0, 0.25, 0.5, 1.0]) {
        assert!((y - (top + (1.0 - up) * height)).abs() <= 0.11, "{found:?}");
    }
    // Ticks: every power of ten in between, named without digits that say nothing.
    let named: Vec<String> = axis::ticks(&plot.y, (0.01, 100.0)).into_iter().map(|(_, name)| name).collect();
    assert_eq!(named, ["0.01", "0.1", "1", "10", "100"]);
    let linear = axis::ticks(&Axis::default(), (0.0, 1.0));
    assert_eq!(
        linear.iter().map(|(_, name)| &name[..]).collect::<Vec<_>>(),
        ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    );
}

#[test]
fn figures_have_the_numbers_of_their_groups() {
    let (mean, sem) = figures::mean_sem(&[1.0, 2.0, 3.0, f64::NAN, 6.0]);
    // Deviations −2, −1, 0, 3: variance 14/3 of four.
    assert!((mean - 3.0).abs() < 1e-12 && (sem - (14.0f64 / 3.0 / 4.0).sqrt()).abs() < 1e-12, "{mean} {sem}");
    let plot = figures::strips("s", "x", &[("a".into(), 0, vec![1.0, 2.0, 3.0, 6.0]), ("b".into(), 1, vec![4.0])]);
    let estimates: Vec<(f64, f64, f64, f64)> = plot
        .marks
        .iter()
        .filter_map(|mark| match mark {
            Mark::Estimate { y, low, mean, high, .. } => Some((*y, *low, *mean, *high)),
            _ => None,
        })
        .collect();
    assert_eq!(estimates, [(0.0, 3.0 - sem, 3.0, 3.0 + sem), (-1.0, 4.0, 4.0, 4.0)]);
    let histogram = figures::histogram("h", "x", 4, &[("a".into(), 0, vec![0.0, 0.1, 0.15, 4.0])]);
    let Mark::Bars { bars, .. } = &histogram.marks[0] else { panic!("bars") };
    assert!((bars.iter().map(|b| b.2).sum::<f64>() - 1.0).abs() < 1e-12, "shares of the group: {bars:?}");
    assert!(bars.iter().all(|b| b.1 > b.0) && bars[0].2 == 0.75 && bars.last().unwrap().2 == 0.25, "{bars:?}");
    let fan = figures::fan(
        &[0.0, 1.0],
        &(0..11).map(|i| vec![f64::from(i), 2.0 * f64::from(i)]).collect::<Vec<_>>(),
        &Look::new(0, "f"),
    );
    let (Mark::Band { rows, .. }, Mark::Line { points, .. }) = (&fan[0], &fan[1]) else { panic!("{fan:?}") };
    assert_eq!((&rows[..], &points[..]), (&[(0.0, 1.0, 9.0), (1.0, 2.0, 18.0)][..], &[(0.0, 5.0), (1.0, 10.0)][..]));
}

/// Colours of the style by name, of light and of dark pages.
fn palettes(html: &str) -> [std::collections::BTreeMap<String, [f64; 3]>; 2] {
    let of = |block: &str| {
        let pairs = block.split("--").skip(1).filter_map(|pair| pair.split_once(":#"));
        let colour = |text: &str| {
            let hex: String = text.chars().take_while(char::is_ascii_hexdigit).collect();
            let hex = if hex.len() == 3 { hex.chars().flat_map(|c| [c, c]).collect() } else { hex };
            [0, 2, 4].map(|i| f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0)
        };
        pairs.map(|(name, text)| (name.to_owned(), colour(text))).collect()
    };
    let block = |from: &str| html.split_once(from).unwrap().1.split_once('}').unwrap().0.to_owned();
    [of(&block(":root{")), of(&block("prefers-color-scheme:dark){:root{"))]
}

/// Linear light of an sRGB colour.
fn linear(colour: [f64; 3]) -> [f64; 3] {
    colour.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) })
}

/// Contrast of two colours by WCAG 2: (L₁ + .05)/(L₂ + .05).
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |c| linear(c).iter().zip([0.2126, 0.7152, 0.0722]).map(|(v, w)| v * w).sum::<f64>() + 0.05;
    let (a, b): (f64, f64) = (luminance(a), luminance(b));
    a.max(b) / a.min(b)
}

/// CIELAB of a colour as it is seen through `matrix` (on linear light; Machado, Oliveira and Fernandes 2009).
fn seen(colour: [f64; 3], matrix: [[f64; 3]; 3]) -> [f64; 3] {
    let light = linear(colour);
    let [r, g, b] = matrix.map(|row| row.iter().zip(light).map(|(m, v)| m * v).sum::<f64>().clamp(0.0, 1.0));
    let xyz = [
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    ];
    let [x, y, z] = xyz.map(|v| if v > 0.008856 { v.cbrt() } else { 7.787 * v + 16.0 / 116.0 });
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

#[test]
fn text_has_contrast_and_colours_are_told_apart_by_every_eye() {
    const NORMAL: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
    const PROTAN: [[f64; 3]; 3] =
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]];
    const DEUTAN: [[f64; 3]; 3] =
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]];
    for palette in palettes(&specimen().html().unwrap()) {
        let series: Vec<[f64; 3]> = (1..9).map(|i| palette[&format!("s{i}")]).collect();
        for ground in ["paper", "card"] {
            for text in ["ink", "soft", "accent"] {
                let found = contrast(palette[text], palette[ground]);
                assert!(found >= 4.5, "{text} on {ground}: {found:.2}");
            }
        }
        // Series are the colours of words in figures too.
        for (i, colour) in series.iter().enumerate() {
            assert!(contrast(*colour, palette["card"]) >= 4.5, "s{}: {:.2}", i + 1, contrast(*colour, palette["card"]));
            for (j, other) in series.iter().enumerate().skip(i + 1) {
                for matrix in [NORMAL, PROTAN, DEUTAN] {
                    let (a, b) = (seen(*colour, matrix), seen(*other, matrix));
                    let distance = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(distance > 12.0, "s{} and s{}: {distance:.1}", i + 1, j + 1);
                }
            }
        }
    }
}

#[test]
fn nothing_is_wider_than_a_phone_but_what_scrolls() {
    let html = specimen().html().unwrap();
    let style = html.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
    for rule in style.split('}') {
        let Some((selector, body)) = rule.rsplit_once('{') else { continue };
        for declaration in body.split(';') {
            let Some((name, value)) = declaration.split_once(':') else { continue };
            let pixels = value.strip_suffix("px").and_then(|v| v.trim().parse::<f64>().ok()).unwrap_or(0.0);
            let fixed = ["width", "min-width"].contains(&name.trim()) && pixels > 360.0;
            assert!(!fixed || selector.trim() == "figure svg", "{selector}: {declaration}");
        }
    }
    // What is wider stands in a box that scrolls by itself.
    for scrolls in [".wide{overflow-x:auto", "figure .frame{overflow-x:auto"] {
        assert!(style.contains(scrolls), "{scrolls}");
    }
    assert_eq!(html.matches("<table").count(), html.matches("<div class=\"wide\"><table").count());
    // Drawings scale: every outer one says what it shows, and by a view box how large it is.
    let outer = html.matches("<div class=\"frame\"><svg").count();
    let figures = html.split("<div class=\"frame\">").skip(1).map(|rest| rest.split_once('>').unwrap().0);
    for svg in figures {
        assert!(svg.contains("viewBox=\"0 0 ") && !svg.contains(" width=\""), "{svg}");
    }
    assert!(outer >= 4);
    // At their least width labels are of a size that can be read: 12 of 820 units on 720 pixels, 10.5 of them.
    assert!(
        style.contains("figure svg{display:block;width:100%;min-width:720px") && style.contains(".t{font-size:12px")
    );
}

#[test]
fn a_slider_has_a_moment_for_every_time() {
    let html = specimen().html().unwrap();
    assert!(html.contains("data-t=\"0.00,1.00\"") && html.contains("max=\"1\""));
    assert_eq!((html.matches(" at\" data-k=\"0\"").count(), html.matches(" at\" data-k=\"1\"").count()), (1, 1));
}

#[test]
fn a_page_is_a_chapter_of_another_and_comes_back_from_json() {
    let mut whole = Report::new("All", "Of it.");
    let page: Report = serde_json::from_slice(&serde_json::to_vec(&specimen()).unwrap()).unwrap();
    whole.append(&page);
    let html = whole.html().unwrap();
    assert!(
        html.contains("<h2 class=\"chapter\">Weights &lt;generated&gt;</h2>")
            && html.contains("<h3>Loss along the flow</h3>")
    );
    assert_eq!(page.html().unwrap(), specimen().html().unwrap());
}
