//! `report.html`: one self-contained page (style and pictures inside, no script, no network), for light and dark screens and
//! for paper. A report is a title, a few large facts, then headings, paragraphs, figures and tables in order.
mod axis;
pub mod contour;
mod escape;
pub mod figures;
mod labels;
mod marks;
pub mod pictures;
pub mod pixels;
pub mod plane;
mod plot;

pub use axis::{Axis, Point, Scale};
pub use marks::{Look, Mark};
pub use plot::Plot;

use crate::results::command_line;
use crate::table::Table;
use anyhow::{Context, Result};
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, context};
use serde::Serialize;
use std::path::Path;
use thalweg_nets::files::write_whole;

/// A large number at the head of the page.
#[derive(Clone, Debug, Serialize)]
struct Fact {
    name: String,
    value: String,
    error: Option<String>,
}

/// A piece of the page.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Part {
    Heading { text: String },
    Paragraph { text: String },
    Code { text: String },
    Figure { svg: String, caption: String },
    Table { head: Vec<HtmlCell>, rows: Vec<HtmlRow>, note: String },
}

#[derive(Clone, Debug, Serialize)]
struct HtmlRow {
    weight: crate::table::Weight,
    cells: Vec<HtmlCell>,
}

#[derive(Clone, Debug, Serialize)]
struct HtmlCell {
    text: String,
    error: Option<String>,
    words: bool,
}

/// How a page looks to whoever has seconds for it: by colour and by a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// Something is wrong.
    Bad,
    /// Something may be wrong.
    Open,
    /// Nothing was found.
    Good,
}

impl Tone {
    fn sign(self) -> &'static str {
        match self {
            Tone::Bad => "✕",
            Tone::Open => "!",
            Tone::Good => "✓",
        }
    }
}

/// A page under way.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    lede: String,
    tone: Option<Tone>,
    facts: Vec<Fact>,
    parts: Vec<Part>,
    /// The words over the command line at the foot.
    pub footer: String,
}

impl Report {
    /// An empty page.
    pub fn new(title: impl Into<String>, lede: impl Into<String>) -> Self {
        let footer = format!("Made by thalweg {} with", env!("CARGO_PKG_VERSION"));
        Self { title: title.into(), lede: lede.into(), tone: None, facts: Vec::new(), parts: Vec::new(), footer }
    }

    /// Marks title and lede.
    pub fn tone(&mut self, tone: Tone) -> &mut Self {
        self.tone = Some(tone);
        self
    }

    /// Adds a large number; `error` stands small beside it.
    pub fn fact(&mut self, name: &str, value: impl Into<String>, error: Option<String>) -> &mut Self {
        self.facts.push(Fact { name: name.into(), value: value.into(), error });
        self
    }

    /// Begins a section.
    pub fn heading(&mut self, text: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Heading { text: text.into() });
        self
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Paragraph { text: text.into() });
        self
    }

    /// Adds lines to type.
    pub fn code(&mut self, text: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Code { text: text.into() });
        self
    }

    /// Adds a plot with its caption.
    pub fn figure(&mut self, plot: &Plot, caption: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Figure { svg: plot.svg(), caption: caption.into() });
        self
    }

    /// Adds a picture that is an `<svg>` element already.
    pub fn picture(&mut self, svg: String, caption: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Figure { svg, caption: caption.into() });
        self
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) -> &mut Self {
        let words: Vec<bool> = (0..table.columns.len()).map(|i| table.is_text(i)).collect();
        let head = table.columns.iter().zip(&words);
        let head = head.map(|(text, &words)| HtmlCell { text: text.clone(), error: None, words }).collect();
        let row = |(weight, cells): &(crate::table::Weight, Vec<crate::table::Cell>)| {
            let cells = cells.iter().zip(&words).map(|(cell, &words)| {
                let (text, error) = cell.parts();
                HtmlCell { text, error, words }
            });
            HtmlRow { weight: *weight, cells: cells.collect() }
        };
        let rows = table.rows.iter().map(row).collect();
        self.parts.push(Part::Table { head, rows, note: table.note.clone() });
        self
    }

    /// The whole page.
    ///
    /// # Errors
    /// Never with the template that ships.
    pub fn html(&self) -> Result<String> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let template = environment.template_from_named_str("report", include_str!("template.html"))?;
        let page = template.render(context! {
            title => self.title.as_str(),
            lede => self.lede.as_str(),
            tone => Value::from(Serde(&self.tone)),
            sign => self.tone.map(Tone::sign),
            columns => if self.facts.len() > 4 && self.facts.len() != 7 && self.facts.len() != 8 { 3 } else { self.facts.len().min(4) },
            facts => Value::from(Serde(&self.facts)),
            parts => Value::from(Serde(&self.parts)),
            footer => self.footer.as_str(),
            command => command_line(),
        });
        page.context("the report does not render")
    }

    /// Writes the page, whole or not at all.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_whole(path, (self.html()? + "\n").as_bytes())?)
    }
}

#[cfg(test)]
mod tests;
