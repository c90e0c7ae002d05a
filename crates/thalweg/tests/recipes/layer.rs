//! The recipe of a layer of base networks, held against the source: `book/src/recipes/layer.md` names every file that tells layers apart, and wherever
//! that is done the compiler asks for a new one, since no such `match` has an arm for all others.
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// Fusions of neighbours: a layer that is not named there is run by itself.
const MAY_DEFAULT: &[&str] = &["crates/thalweg-nets/src/engine/plan.rs: of"];

/// The macro that stands for the layers that treat every number alike.
const ELEMENTWISE: &str = "elementwise";

/// One `match` over layers.
#[derive(Debug)]
struct Place {
    /// File and function.
    at: String,
    variants: BTreeSet<String>,
    defaults: bool,
}

#[derive(Default)]
struct Reading {
    file: String,
    function: Vec<String>,
    /// What the macro `elementwise!` stands for.
    elementwise: BTreeSet<String>,
    places: Vec<Place>,
}

/// The layers that a pattern names, and whether it takes any.
fn of_pattern(pattern: &syn::Pat, variants: &mut BTreeSet<String>) -> bool {
    let mut path = |path: &syn::Path| {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if let [.., family, variant] = &names[..]
            && family == "Operation"
        {
            variants.insert(variant.clone());
        }
        false
    };
    match pattern {
        syn::Pat::Wild(_) => true,
        syn::Pat::Ident(name) => name.subpat.as_ref().is_none_or(|(_, inner)| of_pattern(inner, variants)),
        syn::Pat::Or(or) => or.cases.iter().filter(|case| of_pattern(case, variants)).count() > 0,
        syn::Pat::Reference(inner) => of_pattern(&inner.pat, variants),
        syn::Pat::Paren(inner) => of_pattern(&inner.pat, variants),
        syn::Pat::Path(of) => path(&of.path),
        syn::Pat::Struct(of) => path(&of.path),
        syn::Pat::TupleStruct(of) => path(&of.path),
        syn::Pat::Macro(of) if of.mac.path.segments.last().is_some_and(|name| name.ident == ELEMENTWISE) => {
            variants.insert(ELEMENTWISE.into());
            false
        }
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Reading {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function.push(item.sig.ident.to_string());
        visit::visit_item_fn(self, item);
        self.function.pop();
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function.push(item.sig.ident.to_string());
        visit::visit_impl_item_fn(self, item);
        self.function.pop();
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr_match(&mut self, found: &'ast syn::ExprMatch) {
        let mut variants = BTreeSet::new();
        // An arm with a guard takes only some of what its pattern does: it leaves the rest to others.
        let defaults = found.arms.iter().filter(|arm| of_pattern(&arm.pat, &mut variants)).count() > 0;
        if variants.remove(ELEMENTWISE) {
            variants.extend(self.elementwise.iter().cloned());
        }
        if variants.len() > 1 {
            let at = format!("{}: {}", self.file, self.function.last().map_or("", String::as_str));
            self.places.push(Place { at, variants, defaults });
        }
        visit::visit_expr_match(self, found);
    }
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true if path.ends_with("tests") => {}
            true => sources(&path, found),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn every_place_that_tells_layers_apart_is_named_and_asks_for_a_new_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let mut files = Vec::new();
    for name in ["thalweg-nets", "thalweg", "thalweg-burn", "thalweg-cli"] {
        sources(&root.join("crates").join(name).join("src"), &mut files);
    }
    let layer =
        syn::parse_file(&fs::read_to_string(root.join("crates/thalweg-nets/src/architecture/layer.rs")).unwrap());
    let layer = layer.unwrap();
    let of_macro = layer.items.iter().find_map(|item| match item {
        syn::Item::Macro(item) if item.ident.as_ref().is_some_and(|name| name == ELEMENTWISE) => {
            Some(item.mac.tokens.to_string())
        }
        _ => None,
    });
    let of_macro = of_macro.unwrap();
    let name = |text: &str| text.trim_start().split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned();
    let elementwise: BTreeSet<String> = of_macro.split("Operation ::").skip(1).map(name).collect();
    assert!(elementwise.contains("Relu") && elementwise.len() > 8, "{elementwise:?}");
    let mut reading = Reading { elementwise, ..Reading::default() };
    for file in files {
        reading.file = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
        reading.visit_file(&syn::parse_file(&fs::read_to_string(&file).unwrap()).unwrap());
    }
    let all = layer.items.into_iter().find_map(|item| match item {
        syn::Item::Enum(item) if item.ident == "Operation" => {
            Some(item.variants.into_iter().map(|v| v.ident.to_string()).collect::<BTreeSet<_>>())
        }
        _ => None,
    });
    let all = all.unwrap();

    let page = fs::read_to_string(root.join("book/src/recipes/layer.md")).unwrap();
    let named: BTreeSet<&str> =
        page.split('`').filter(|word| word.starts_with("crates/") && word.ends_with(".rs")).collect();
    let matched: BTreeSet<&str> = reading.places.iter().map(|place| place.at.split(": ").next().unwrap()).collect();
    assert!(matched.len() >= 7, "the places were found: {matched:?}");
    let forgotten: Vec<_> = matched.difference(&named).collect();
    assert!(forgotten.is_empty(), "book/src/recipes/layer.md does not name {forgotten:?}");
    for file in named {
        assert!(root.join(file).exists(), "book/src/recipes/layer.md names {file}, which is not there");
    }
    for place in &reading.places {
        if MAY_DEFAULT.contains(&place.at.as_str()) {
            continue;
        }
        assert!(!place.defaults, "{} takes a new layer for one of the others", place.at);
        assert_eq!(place.variants, all, "{} does not name every layer", place.at);
    }
}
