//! `report.html`: one self-contained page (style and pictures inside, no network, no script but that of a slider), for light and dark screens and
//! for paper. A report is a title, a few large facts, then headings, paragraphs, figures and tables in order.
mod axis;
pub mod contour;
mod direct;
mod escape;
pub mod figures;
pub mod filters;
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
use serde::{Deserialize, Serialize};
use std::path::Path;
use thalweg_nets::files::write_whole;

/// A large number at the head of the page.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Fact {
    name: String,
    value: String,
    error: Option<String>,
}

/// A piece of the page.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Part {
    /// The beginning of another page within this one.
    Chapter {
        text: String,
        lede: String,
        facts: Vec<Fact>,
    },
    Heading {
        text: String,
        level: u8,
    },
    Paragraph {
        text: String,
    },
    Code {
        text: String,
    },
    Cards {
        cards: Vec<Card>,
    },
    /// With times where it has a moment for each of them.
    Figure {
        svg: String,
        caption: String,
        times: Vec<String>,
    },
    Table {
        head: Vec<HtmlCell>,
        rows: Vec<HtmlRow>,
        note: String,
    },
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct HtmlRow {
    weight: crate::table::Weight,
    cells: Vec<HtmlCell>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct HtmlCell {
    text: String,
    error: Option<String>,
    words: bool,
}

/// How a page looks to whoever has seconds for it: by colour and by a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
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

/// A statement with what was found of it, told apart from its neighbours by a frame.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Card {
    /// The statement.
    pub title: String,
    /// What was found, in few words.
    pub verdict: String,
    /// How it looks.
    pub tone: Option<Tone>,
    /// Where the statement is made, what it took: one line each, set beside each other.
    pub about: Vec<String>,
    /// What supports the verdict: a word, then its lines.
    pub reasons: Vec<(String, Vec<String>)>,
    /// A line to type.
    pub code: String,
}

/// A page under way.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
        self.parts.push(Part::Heading { text: text.into(), level: 2 });
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

    /// Adds statements with what was found of each.
    pub fn cards(&mut self, cards: Vec<Card>) -> &mut Self {
        self.parts.push(Part::Cards { cards });
        self
    }

    /// Adds a plot with its caption.
    pub fn figure(&mut self, plot: &Plot, caption: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Figure { svg: plot.svg(), caption: caption.into(), times: Vec::new() });
        self
    }

    /// Adds a figure whose dots of one [moment](Look::at) are shown at a time; a slider chooses among `times`.
    pub fn figure_in_time(&mut self, plot: &Plot, times: &[f64], caption: impl Into<String>) -> &mut Self {
        let times = times.iter().map(|t| format!("{t:.2}")).collect();
        self.parts.push(Part::Figure { svg: plot.svg(), caption: caption.into(), times });
        self
    }

    /// Adds a picture that is an `<svg>` element already.
    pub fn picture(&mut self, svg: String, caption: impl Into<String>) -> &mut Self {
        self.parts.push(Part::Figure { svg, caption: caption.into(), times: Vec::new() });
        self
    }

    /// Adds the whole of `other` as a chapter.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        let Self { title, lede, facts, .. } = other.clone();
        self.parts.push(Part::Chapter { text: title, lede, facts });
        self.parts.extend(other.parts.iter().cloned().map(|part| match part {
            Part::Heading { text, level } => Part::Heading { text, level: level + 1 },
            part => part,
        }));
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
            signs => context! { bad => Tone::Bad.sign(), open => Tone::Open.sign(), good => Tone::Good.sign() },
            facts => Value::from(Serde(&self.facts)),
            parts => Value::from(Serde(&self.parts)),
            in_time => self.parts.iter().any(|part| matches!(part, Part::Figure { times, .. } if !times.is_empty())),
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
