//! What the text of a crate's messages speaks of: string literals in code, in macros and in `#[error]` attributes. Comments and tests are left out.
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};

/// The literals of the crate in `src` that speak of the program: a flag, or one of its `commands` after its name. `exempt` are files that may.
pub fn of_the_program(src: &Path, commands: &[&str], exempt: &[&str]) -> Vec<String> {
    let (mut folders, mut found) = (vec![src.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(src).unwrap().display().to_string();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") && !exempt.contains(&name.as_str()) {
                let syntax = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
                let mut texts = Texts::default();
                texts.visit_file(&syntax);
                let speaks = |text: &&String| flag(text) || command(text, commands);
                found.extend(texts.0.iter().filter(speaks).map(|text| format!("{name}: {text}")));
            }
        }
    }
    found
}

/// Whether `text` holds a flag: two dashes after a space, a bracket or a quote, then a letter.
fn flag(text: &str) -> bool {
    let starts = text.match_indices("--").filter(|(at, _)| text[..*at].ends_with([' ', '(', '`', '\'', '[']));
    starts.into_iter().any(|(at, _)| text[at + 2..].starts_with(|c: char| c.is_ascii_lowercase()))
}

/// Whether `text` holds a command line of the program. The names of file formats end with their version and are none.
fn command(text: &str, commands: &[&str]) -> bool {
    let is_format = text.starts_with("thalweg ") && text.ends_with(|c: char| c.is_ascii_digit());
    let named = |rest: &str| {
        let word: String = rest.chars().take_while(|c| c.is_ascii_lowercase()).collect();
        commands.contains(&word.as_str())
    };
    !is_format && text.match_indices("thalweg ").any(|(at, name)| named(&text[at + name.len()..]))
}

/// String literals.
#[derive(Default)]
struct Texts(Vec<String>);

impl Texts {
    /// The literals of tokens that were not parsed.
    fn of_tokens(&mut self, tokens: &str) {
        let mut rest = tokens;
        while let Some(start) = rest.find('"') {
            let body = &rest[start + 1..];
            let escaped = |at: usize| body[..at].chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
            let Some(end) = body.match_indices('"').map(|(at, _)| at).find(|at| !escaped(*at)) else { return };
            self.0.push(body[..end].to_owned());
            rest = &body[end + 1..];
        }
    }
}

impl<'ast> Visit<'ast> for Texts {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !super::imports::is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let (true, syn::Meta::List(list)) = (attribute.path().is_ident("error"), &attribute.meta) {
            self.of_tokens(&list.tokens.to_string());
        }
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.of_tokens(&item.tokens.to_string());
    }

    fn visit_lit_str(&mut self, literal: &'ast syn::LitStr) {
        self.0.push(literal.value());
    }
}
