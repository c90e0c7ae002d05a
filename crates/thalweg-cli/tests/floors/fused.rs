//! `f32::mul_add` outside of code that is compiled for the instruction set of the machine is a call of a library's function for every number,
//! some 40 times as slow as the instruction: once it took 87 % of the time of sampling. Every call has to stand within a closure that
//! `vectorised` runs; the engine of the base networks, whose kernels are compiled for an instruction set each, and pulp's own operations are apart.
use std::fs;
use std::path::Path;
use syn::visit::{self, Visit};

/// Calls of `mul_add` outside of `vectorised`, tests left out.
#[derive(Default)]
struct Calls {
    dispatched: usize,
    outside: usize,
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_call(&mut self, call: &'ast syn::ExprCall) {
        let name = |path: &syn::Path| path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        let (dispatches, fuses) = match &*call.func {
            syn::Expr::Path(f) => (name(&f.path) == "vectorised", name(&f.path) == "mul_add"),
            _ => (false, false),
        };
        self.outside += usize::from(fuses && self.dispatched == 0);
        self.dispatched += usize::from(dispatches);
        visit::visit_expr_call(self, call);
        self.dispatched -= usize::from(dispatches);
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.outside += usize::from(call.method == "mul_add" && self.dispatched == 0);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !crate::imports::is_test(attributes) {
            visit::visit_item(self, item);
        }
    }
}

fn outside(text: &str) -> usize {
    let mut calls = Calls::default();
    calls.visit_file(&syn::parse_file(text).unwrap());
    calls.outside
}

/// Files below `folder` that call `mul_add` outside of `vectorised`.
fn found(folder: &Path, faults: &mut Vec<String>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let tests = path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
        if path.is_dir() && !path.ends_with("thalweg-nets/src/engine") {
            found(&path, faults);
        } else if path.extension().is_some_and(|e| e == "rs") && !tests {
            let n = outside(&fs::read_to_string(&path).unwrap());
            faults.extend((n > 0).then(|| format!("{}: {n}", path.display())));
        }
    }
}

#[test]
fn fused_operations_are_compiled_for_the_machine() {
    let (crates, mut faults) = (Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), Vec::new());
    for name in crate::CRATES {
        found(&crates.join(name).join("src"), &mut faults);
    }
    assert!(faults.is_empty(), "calls of mul_add outside of `vectorised`:\n{}", faults.join("\n"));
}

#[test]
fn a_planted_call_is_found() {
    let body = |inner: &str| format!("fn f(x: f32) -> f32 {{ {inner} }}");
    assert_eq!(outside(&body("x.mul_add(x, x)")), 1);
    assert_eq!(outside(&body("f32::mul_add(x, x, x)")), 1);
    assert_eq!(outside(&body("vectorised(|| x.mul_add(x, x)) + x.mul_add(1.0, x)")), 1);
    assert_eq!(outside(&body("dense::vectorised(|| f32::mul_add(x, x, x))")), 0);
    assert_eq!(outside(&format!("#[cfg(test)] mod tests {{ {} }}", body("x.mul_add(x, x)"))), 0);
}
