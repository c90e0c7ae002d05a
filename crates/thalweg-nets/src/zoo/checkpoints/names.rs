//! Tensors found although a wrapper put something before their names: `module.` (DataParallel), `_orig_mod.` (`torch.compile`), `model.` (Lightning),
//! or any other prefix that all names share.

use std::collections::{BTreeSet, HashMap};

/// Parts of names that wrappers insert, wherever in a name they stand.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// Finds each of `expected` among `found`: as they are, else behind one prefix, else without the parts that wrappers insert, else as numbered layers in
/// their order. Gives the names found in
/// the order of `expected`, and what they have in excess, in words. None where some are not there under any of these.
pub fn fit<'a>(expected: &[&str], found: &[&'a str]) -> Option<(Vec<&'a str>, Option<String>)> {
    let known: HashMap<&str, &'a str> = found.iter().map(|name| (*name, *name)).collect();
    let all = |name: &dyn Fn(&str) -> String| -> Option<Vec<&'a str>> {
        expected.iter().map(|e| known.get(name(e).as_str()).copied()).collect()
    };
    if let Some(names) = all(&str::to_owned) {
        return Some((names, None));
    }
    for prefix in prefixes(expected, found) {
        if let Some(names) = all(&|name| format!("{prefix}{name}")) {
            return Some((names, Some(format!("names without the prefix {prefix}"))));
        }
    }
    let mut plain = HashMap::new();
    for name in found {
        if plain.insert(bare(name), *name).is_some() {
            return None;
        }
    }
    let names: Option<Vec<&str>> = expected.iter().map(|e| plain.get(bare(e).as_str()).copied()).collect();
    match names {
        Some(names) => Some((names, Some(format!("names without {}", inserted(expected, found))))),
        None => by_order(expected, found),
    }
}

/// The layers of an `nn.Sequential` in their order, where theirs have other numbers than those expected (one without a `Flatten` in front of it counts from
/// 0): as many numbers on both sides, behind one prefix at most, and every expected tensor in the layer that stands in its place.
fn by_order<'a>(expected: &[&str], found: &[&'a str]) -> Option<(Vec<&'a str>, Option<String>)> {
    let (wanted, own) = (numbered(expected)?, numbered(found)?);
    let numbers = |of: &[Numbered<'_>]| of.iter().map(|(number, _, _)| *number).collect::<BTreeSet<u32>>();
    let (from, to) = (numbers(&wanted), numbers(&own));
    if from.len() != to.len() {
        return None;
    }
    let place: HashMap<u32, u32> = from.iter().copied().zip(to.iter().copied()).collect();
    let known: HashMap<(u32, &str), &'a str> =
        own.iter().map(|(number, rest, name)| ((*number, *rest), *name)).collect();
    let names = wanted.iter().map(|(number, rest, _)| known.get(&(place[number], *rest)).copied());
    let list = |of: BTreeSet<u32>| of.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    let told = format!("layers in their order: {} for {}", list(to.clone()), list(from.clone()));
    Some((names.collect::<Option<_>>()?, Some(told)))
}

/// The number of a tensor's layer, what follows it, and the whole name.
type Numbered<'a> = (u32, &'a str, &'a str);

/// Names `PREFIX.NUMBER.REST` of one prefix, which may be empty; none where some are not of that form.
fn numbered<'a>(names: &[&'a str]) -> Option<Vec<Numbered<'a>>> {
    let start =
        |name: &str| name.split('.').take_while(|part| part.parse::<u32>().is_err()).map(|part| part.len() + 1).sum();
    let prefix: &str = names.first().and_then(|first| first.get(..start(first)))?;
    let split = |name: &&'a str| {
        let (number, rest) = name.strip_prefix(prefix)?.split_once('.')?;
        Some((number.parse().ok()?, rest, *name))
    };
    names.iter().map(split).collect()
}

/// What stands before the first expected name in some of those found, shortest first.
fn prefixes<'a>(expected: &[&str], found: &[&'a str]) -> Vec<&'a str> {
    let Some(first) = expected.first() else { return Vec::new() };
    let before = |name: &&'a str| name.strip_suffix(first).filter(|prefix| prefix.ends_with('.'));
    let mut prefixes: Vec<&str> = found.iter().filter_map(before).collect();
    prefixes.sort_by_key(|prefix| prefix.len());
    prefixes
}

fn is_wrapper(part: &str) -> bool {
    WRAPPERS.contains(&part)
}

/// A name without what wrappers insert.
pub fn plain(name: &str) -> String {
    name.split('.').filter(|part| !is_wrapper(part)).collect::<Vec<_>>().join(".")
}

/// A name without what wrappers insert, and without `model` at its beginning.
fn bare(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').filter(|part| !is_wrapper(part)).collect();
    let leading = parts.iter().take_while(|part| **part == "model").count();
    parts[leading.min(parts.len().saturating_sub(1))..].join(".")
}

/// What some names have of wrappers, in words.
fn inserted(expected: &[&str], found: &[&str]) -> String {
    let has = |part: &str, names: &[&str]| names.iter().any(|name| name.split('.').any(|p| p == part));
    let parts = [WRAPPERS[0], WRAPPERS[1], "model"];
    let there: Vec<String> =
        parts.iter().filter(|p| has(p, found) != has(p, expected)).map(|p| format!("{p}.")).collect();
    if there.is_empty() { "what wrappers insert".into() } else { there.join(" and ") }
}

/// The wrapper's prefix that all of `names` share, if any.
pub fn wrapped(names: &[&str]) -> Option<&'static str> {
    ["module.", "_orig_mod."]
        .into_iter()
        .find(|prefix| !names.is_empty() && names.iter().all(|n| n.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(expected: &[&str], found: &[&'a str]) -> Option<Vec<&'a str>> {
        fit(expected, found).map(|(names, _)| names)
    }

    #[test]
    fn wrappers_are_seen_through_and_told() {
        let plain = ["a.weight", "b.bias"];
        assert_eq!(fit(&plain, &["b.bias", "a.weight", "c"]), Some((vec!["a.weight", "b.bias"], None)));
        for (prefix, told) in [
            ("module.", "module."),
            ("_orig_mod.", "_orig_mod."),
            ("model.", "model."),
            ("module._orig_mod.", "module._orig_mod."),
            ("backbone.net.", "backbone.net."),
        ] {
            let names: Vec<String> = plain.iter().map(|n| format!("{prefix}{n}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let (fitted, said) = fit(&plain, &names).unwrap();
            assert_eq!(fitted, names);
            assert!(said.unwrap().contains(told));
            // The other way round: the names asked for are those with the wrapper.
            if prefix != "backbone.net." {
                assert_eq!(found(&names, &plain), Some(plain.to_vec()));
            }
        }
        assert_eq!(found(&["a.b.weight"], &["a._orig_mod.b.weight"]), Some(vec!["a._orig_mod.b.weight"]));
        assert_eq!(found(&["module.a"], &["_orig_mod.a"]), Some(vec!["_orig_mod.a"]));
    }

    #[test]
    fn layers_of_a_sequential_are_taken_in_their_order() {
        let expected = ["1.weight", "1.bias", "3.weight", "11.weight"];
        let own = ["10.weight", "0.weight", "0.bias", "2.weight", "2.num_batches_tracked"];
        let (names, told) = fit(&expected, &own).unwrap();
        assert_eq!(names, ["0.weight", "0.bias", "2.weight", "10.weight"]);
        assert_eq!(told.unwrap(), "layers in their order: 0, 2, 10 for 1, 3, 11");
        let within = own.map(|name| format!("body.layers.{name}"));
        let within: Vec<&str> = within.iter().map(String::as_str).collect();
        assert_eq!(found(&expected, &within).unwrap()[3], "body.layers.10.weight");
        // One layer more, a layer with another tensor, or something beside the layers: nothing is guessed.
        assert_eq!(found(&["1.weight", "3.weight"], &["0.weight", "2.weight", "4.weight"]), None);
        assert_eq!(found(&["1.weight", "3.bias"], &["0.weight", "2.weight"]), None);
        assert_eq!(found(&["1.weight", "3.weight"], &["0.weight", "2.weight", "head.weight"]), None);
    }

    #[test]
    fn nothing_is_guessed() {
        assert_eq!(found(&["a.weight"], &["c.weight"]), None);
        assert_eq!(found(&["a", "b"], &["x.a", "y.b"]), None);
        assert_eq!(found(&["a"], &["module.a", "_orig_mod.a", "b"]), Some(vec!["module.a"]));
        assert_eq!(found(&["x.a"], &["module.x.b", "_orig_mod.x.b"]), None);
        assert_eq!(wrapped(&["module.a", "module.b"]), Some("module."));
        assert_eq!(wrapped(&["module.a", "b"]), None);
    }
}
