//! Which file of a crate uses which: `use` lines and paths in bodies, as they resolve through re-exports. A re-export (`pub use`) is a signpost and no
//! use of its own. Tests are left out.
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::visit::{self, Visit};

/// A module's path within its crate.
type Module = Vec<String>;

/// The modules of a crate that have files, with what they name.
pub struct Crate {
    files: BTreeMap<Module, File>,
}

/// What a file names.
#[derive(Default)]
struct File {
    /// Children with files of their own.
    children: BTreeSet<String>,
    /// Names that are re-exported, and what they stand for.
    exports: BTreeMap<String, Module>,
    /// All other paths, from the root of the crate.
    paths: Vec<Module>,
}

impl Crate {
    /// Reads the crate whose `lib.rs` or `main.rs` lies in `src`.
    pub fn read(src: &Path) -> Self {
        let root = ["lib.rs", "main.rs"].map(|name| src.join(name)).into_iter().find(|path| path.exists());
        let mut read = Self { files: BTreeMap::new() };
        read.enter(&root.unwrap(), Vec::new(), src);
        read
    }

    /// Reads the file `path` of `module`, whose children lie in `dir`.
    fn enter(&mut self, path: &Path, module: Module, dir: &Path) {
        let syntax =
            syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let children = syntax.items.iter().filter_map(|item| match item {
            syn::Item::Mod(child) if child.content.is_none() && !is_test(&child.attrs) => Some(child.ident.to_string()),
            _ => None,
        });
        let file = File { children: children.collect(), ..File::default() };
        let mut reading = Reading { module: &module, file };
        reading.visit_file(&syntax);
        let children = reading.file.children.clone();
        self.files.insert(module.clone(), reading.file);
        for child in children {
            let (alone, folder) = (dir.join(format!("{child}.rs")), dir.join(&child));
            let path: PathBuf = if alone.exists() { alone } else { folder.join("mod.rs") };
            self.enter(&path, [&module[..], &[child]].concat(), &folder);
        }
    }

    /// The file that defines what `path` names.
    fn resolve(&self, path: &[String], depth: usize) -> Module {
        let module =
            (0..=path.len()).rev().map(|n| &path[..n]).find(|m| self.files.contains_key(*m)).unwrap_or(&[]).to_vec();
        let rest = &path[module.len()..];
        match rest.first().and_then(|name| self.files[&module].exports.get(name)) {
            Some(target) if depth < 8 => self.resolve(&[&target[..], &rest[1..]].concat(), depth + 1),
            _ => module,
        }
    }

    /// The files that each file uses; the crate's root, which everyone may name, is left out.
    fn uses(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, file): (_, &File)| {
            let all = file.paths.iter().map(|path| self.resolve(path, 0));
            (module, all.filter(|to| !to.is_empty() && to != module).collect())
        };
        self.files.iter().map(of).collect()
    }

    /// Files that use each other in a circle, each circle as its files' names.
    pub fn circles(&self) -> Vec<String> {
        let uses = self.uses();
        let reached = |from: &Module| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(module) = next.pop() {
                next.extend(uses[&module].iter().filter(|to| seen.insert((*to).clone())).cloned());
            }
            seen
        };
        let reached: BTreeMap<&Module, BTreeSet<Module>> =
            self.files.keys().map(|from| (from, reached(from))).collect();
        let circle = |of: &Module| -> Vec<String> {
            let both = self.files.keys().filter(|m| reached[of].contains(*m) && reached[*m].contains(of));
            both.map(|m| m.join("::")).collect()
        };
        let circles: BTreeSet<Vec<String>> = self.files.keys().map(circle).filter(|c| !c.is_empty()).collect();
        circles.into_iter().map(|circle| circle.join(", ")).collect()
    }

    /// The modules at the top of the crate, and which of them uses which other.
    pub fn rooms(&self) -> (BTreeSet<String>, BTreeSet<(String, String)>) {
        let rooms = self.files.keys().filter_map(|module| module.first().cloned()).collect();
        let uses = self.uses();
        let pairs = uses.iter().flat_map(|(from, to)| to.iter().map(|to| (from.first(), to.first())));
        let pairs = pairs.filter_map(|(from, to)| Some((from?.clone(), to?.clone()))).filter(|(from, to)| from != to);
        (rooms, pairs.collect())
    }
}

/// A file being read.
struct Reading<'a> {
    module: &'a [String],
    file: File,
}

impl Reading<'_> {
    /// A path from the root of the crate, where it names something of the crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" | "super" => {
                let ups = path.iter().take_while(|word| *word == "super" || *word == "self");
                let up = ups.clone().filter(|word| *word == "super").count();
                let base = &self.module[..self.module.len().checked_sub(up)?];
                Some([base, &path[ups.count()..]].concat())
            }
            child if self.file.children.contains(child) => Some([self.module, path].concat()),
            name => self.file.exports.get(name).cloned(),
        }
    }

    fn take(&mut self, path: &[String]) {
        self.file.paths.extend(self.absolute(path));
    }

    fn take_use(&mut self, tree: &syn::UseTree, before: &[String], exported: bool) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        let (name, path) = match tree {
            syn::UseTree::Path(path) => return self.take_use(&path.tree, &with(&path.ident), exported),
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.take_use(tree, before, exported));
            }
            syn::UseTree::Glob(_) => return self.take(before),
            syn::UseTree::Name(name) => (name.ident.to_string(), with(&name.ident)),
            syn::UseTree::Rename(renamed) => (renamed.rename.to_string(), with(&renamed.ident)),
        };
        match self.absolute(&path) {
            Some(path) if exported => drop(self.file.exports.insert(name, path)),
            _ => self.take(&path),
        }
    }
}

impl<'ast> Visit<'ast> for Reading<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.take_use(&item.tree, &[], !matches!(item.vis, syn::Visibility::Inherited));
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.take(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string().replace(' ', "");
        for start in ["crate::", "super::"] {
            for (at, _) in text.match_indices(start) {
                let path = text[at..]
                    .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
                    .next()
                    .unwrap_or_default();
                self.take(&path.split("::").map(str::to_owned).collect::<Vec<_>>());
            }
        }
        visit::visit_macro(self, item);
    }
}

/// Whether an item is there in tests only.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    let gate = |attribute: &syn::Attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Path>().is_ok_and(|p| p.is_ident("test"))
    };
    attributes.iter().any(gate)
}
