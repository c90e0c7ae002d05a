//! Settings: a TOML text, the overlay of a scale, and `--set key=value` on top; typed, unknown keys rejected.
//!
//! The struct that a command reads into says `#[serde(deny_unknown_fields)]`; a misspelt key then fails with the list of
//! those that exist. Keys are written in kebab-case (`recipe.learning-rate`); the spelling of older versions, with underscores, is read with a
//! warning.
use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use thalweg::model::renamed;
use toml::{Table, Value};

/// Reads `text` (called `origin` in errors) with `overrides` applied.
///
/// # Errors
/// Invalid TOML, an override without `=`, an unknown key, a value of the wrong type.
pub fn read<S: DeserializeOwned>(origin: &str, text: &str, overrides: &[String]) -> Result<S> {
    finish(origin, parsed(origin, text)?, overrides)
}

/// As [`read`], after laying the table `scales.SCALE` over the rest.
///
/// # Errors
/// As [`read`]; also where `text` has no such scale.
pub fn read_at_scale<S: DeserializeOwned>(origin: &str, text: &str, scale: &str, overrides: &[String]) -> Result<S> {
    let mut table = parsed(origin, text)?;
    let scales = match table.remove("scales") {
        Some(Value::Table(scales)) => scales,
        _ => Table::new(),
    };
    match scales.get(scale) {
        Some(Value::Table(over)) => lay_over(&mut table, over),
        _ => bail!("{origin} has no table [scales.{scale}]; it has: {}", names(&scales)),
    }
    finish(origin, table, overrides)
}

fn parsed(origin: &str, text: &str) -> Result<Table> {
    let table = text.parse().with_context(|| format!("{origin} is not valid TOML"))?;
    Ok(in_names_of_today(table, "", origin))
}

/// `table`, called `name`, with the keys of older versions, in snake_case or renamed since, under their names of today; each is told on stderr.
fn in_names_of_today(table: Table, name: &str, place: &str) -> Table {
    let of_today = |(key, value): (String, Value)| {
        let now = key_of_today(&key, name, place);
        let value = match value {
            Value::Table(inner) => Value::Table(in_names_of_today(inner, &now, &format!("{place}: {now}"))),
            other => other,
        };
        (now, value)
    };
    table.into_iter().map(of_today).collect()
}

fn key_of_today(key: &str, table: &str, place: &str) -> String {
    let kebab = key.replace('_', "-");
    let now = renamed(Some(table), &kebab).map_or(kebab, str::to_owned);
    if now != key {
        eprintln!("warning: {place}: {key} is called {now} now; the old name is read for one more release");
    }
    now
}

fn finish<S: DeserializeOwned>(origin: &str, table: Table, overrides: &[String]) -> Result<S> {
    let read = |replacing: bool| -> Result<Result<S, String>> {
        let mut table = table.clone();
        overrides.iter().try_for_each(|text| set(&mut table, text, replacing))?;
        // Through text, so that an error points at the line and lists the keys that exist.
        Ok(toml::from_str(&toml::to_string(&table)?).map_err(|e| e.to_string()))
    };
    let over = if overrides.is_empty() { String::new() } else { format!(" with --set {}", overrides.join(" --set ")) };
    let first = read(false)?;
    let read = match &first {
        // Only a parser knows where one choice may stand.
        Err(said) if said.contains(TWO) => read(true)?.or(first),
        _ => first,
    };
    read.map_err(|said| anyhow!("{}", in_words(said.trim_end()))).with_context(|| format!("{origin}{over}"))
}

/// How a parser says that two choices stand where one may.
const TWO: &str = "wanted exactly 1 element, more than 1 element";

/// What a parser says of two choices where one may stand, told as what it is.
pub fn in_words(said: &str) -> String {
    let way_out = "expected one choice, found two: one of them may be the default or come from a flag; choose by the flag (--kind, --method) or set \
                   the table of the other one alone, as in --set 'field={ mlp = {} }'";
    without_old_keys(&said.replace(TWO, way_out))
}

/// A list of keys without those of older versions, which stand beside the ones that replaced them: all names of a key are listed together, sorted.
fn without_old_keys(said: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut all = said.split(", ").peekable();
    while let Some(part) = all.next() {
        let key = part.trim_matches('`');
        let now = renamed(None, key).map_or(key.replace('_', "-"), str::to_owned);
        let old = part.starts_with('`')
            && part.ends_with('`')
            && key != now
            && (parts.last().is_some_and(|last| last.ends_with(&format!("`{now}`")))
                || all.peek().is_some_and(|next| next.starts_with(&format!("`{now}`"))));
        if !old {
            parts.push(part);
        }
    }
    parts.join(", ")
}

/// Applies one `a.b.c=value`. The value is TOML where it can be read as such, and a plain word otherwise. Where it is `replacing`, a choice that is
/// one plain value takes the place of another such (`recipe.length.steps` that of `recipe.length.epochs`); a choice with settings of its own does not.
fn set(table: &mut Table, text: &str, replacing: bool) -> Result<()> {
    let (key, value) = text.split_once('=').with_context(|| format!("--set {text}: expected KEY=VALUE"))?;
    let (key, value) = (key.trim(), value.trim());
    if key.is_empty() || key.split('.').any(str::is_empty) {
        bail!("--set {text}: expected a key such as recipe.batch before the =");
    }
    let value = match format!("v = {value}").parse::<Table>() {
        Ok(mut parsed) if parsed.len() == 1 => parsed.remove("v").unwrap_or(Value::String(value.into())),
        _ => Value::String(value.into()),
    };
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or(key);
    let (mut place, mut name) = (table, String::new());
    for part in parts {
        name = key_of_today(part, &name, "--set");
        let next = place.entry(name.clone()).or_insert_with(|| Value::Table(Table::new()));
        place = match next {
            Value::Table(inner) => inner,
            other => bail!("--set {text}: {part} is {}, no table of settings", other.type_str()),
        };
    }
    let value = match value {
        Value::Table(inner) => Value::Table(in_names_of_today(inner, last, &format!("--set {key}"))),
        other => other,
    };
    let plain = |value: &Value| !matches!(value, Value::Table(_));
    if replacing && place.len() == 1 && place.values().all(plain) && plain(&value) {
        place.clear();
    }
    place.insert(key_of_today(last, &name, "--set"), value);
    Ok(())
}

/// Lays `over` over `base`, table by table.
fn lay_over(base: &mut Table, over: &Table) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Table(base)), Value::Table(over)) => lay_over(base, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// `base` with what `over` says in its place.
///
/// # Errors
/// Unknown keys and values of a wrong type, under `field`.
pub fn laid_over<S: Serialize + DeserializeOwned>(field: &str, base: &S, over: &Table) -> Result<S> {
    let mut table = Table::try_from(base)?;
    lay_over(&mut table, over);
    table.try_into().map_err(|e: toml::de::Error| anyhow!("{field}: {}", e.message()))
}

/// What `table` says, as `--set` says it: `a.b.c=value`.
pub fn as_overrides(table: &Table) -> Vec<String> {
    fn walk(prefix: &str, table: &Table, said: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => walk(&format!("{prefix}{key}."), inner, said),
                value => said.push(format!("{prefix}{key}={value}")),
            }
        }
    }
    let mut said = Vec::new();
    walk("", table, &mut said);
    said
}

/// The tables called `names`, laid over each other in this order; those that are missing change nothing.
pub fn merged(tables: &BTreeMap<String, Table>, names: &[&str]) -> Table {
    let mut table = Table::new();
    for name in names {
        if let Some(over) = tables.get(*name) {
            lay_over(&mut table, over);
        }
    }
    table
}

/// `own` laid over what it has in `common` with others.
pub fn over(common: &Table, own: &Table) -> Table {
    let mut table = common.clone();
    lay_over(&mut table, own);
    table
}

fn names(table: &Table) -> String {
    match table.is_empty() {
        true => "none".into(),
        false => table.keys().cloned().collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Recipe {
        epochs: f64,
        #[serde(default)]
        name: String,
    }

    #[derive(Debug, Deserialize, Serialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Example {
        runs: usize,
        recipe: Recipe,
    }

    const TEXT: &str =
        "runs = 3\n[recipe]\nepochs = 4.0\n[scales.smoke]\nruns = 1\n[scales.smoke.recipe]\nname = \"tiny\"\n";

    fn at(scale: &str, set: &[&str]) -> Result<Example> {
        read_at_scale("example.toml", TEXT, scale, &set.iter().map(|s| s.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn scales_and_overrides_are_laid_over_in_turn() {
        let e = at("smoke", &["recipe.epochs=2", "recipe.name=fork run"]).unwrap();
        assert_eq!(e, Example { runs: 1, recipe: Recipe { epochs: 2.0, name: "fork run".into() } });
    }

    #[test]
    fn a_plain_choice_takes_the_place_of_another_and_a_choice_with_settings_does_not() {
        #[derive(Debug, Deserialize, PartialEq)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        enum Length {
            Epochs(f64),
            Steps(u64),
            Until { loss: f64 },
        }
        #[derive(Debug, Deserialize, PartialEq)]
        #[serde(deny_unknown_fields)]
        struct Run {
            length: Length,
        }
        let of = |text: &str, set: &str| read::<Run>("run.toml", text, &[set.to_owned()]).map(|run| run.length);
        assert_eq!(of("length = { epochs = 4.0 }", "length.steps=7").unwrap(), Length::Steps(7));
        assert_eq!(of("length = { steps = 7 }", "length.epochs=0.5").unwrap(), Length::Epochs(0.5));
        assert_eq!(of("length = { steps = 7 }", "length.steps=8").unwrap(), Length::Steps(8));
        for (text, set) in [
            ("length = { until = { loss = 0.1 } }", "length.steps=7"),
            ("length = { steps = 7 }", "length.until.loss=0.1"),
        ] {
            let said = format!("{:#}", of(text, set).unwrap_err());
            assert!(said.contains("expected one choice, found two"), "{said}");
        }
    }

    #[test]
    fn keys_of_older_versions_are_read() {
        #[derive(Debug, Deserialize, PartialEq)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Rates {
            learning_rate: f64,
            #[serde(default)]
            warm_up: BTreeMap<String, i64>,
        }
        let of = |text: &str, set: &[&str]| {
            read::<Rates>("rates.toml", text, &set.iter().map(|s| s.to_string()).collect::<Vec<_>>()).unwrap()
        };
        let plain = |learning_rate| Rates { learning_rate, warm_up: BTreeMap::new() };
        assert_eq!(of("learning_rate = 0.5", &[]), plain(0.5));
        // An override replaces the key whatever spelling either has.
        assert_eq!(of("learning-rate = 0.5", &["learning_rate=2"]), plain(2.0));
        assert_eq!(of("learning_rate = 0.5", &["learning-rate=3"]), plain(3.0));
        let tuning = |set: &[&str]| {
            let set: Vec<_> = set.iter().map(|s| s.to_string()).collect();
            let found =
                read::<thalweg::TuneConfig>("tune.toml", "look-every = 2\nvalidation-samples = 3", &set).unwrap();
            [found.validate_every as usize, found.validation_samples]
        };
        assert_eq!(tuning(&[]), [2, 3]);
        assert_eq!(tuning(&["look_samples=7", "validate-every=4"]), [4, 7]);
        let listed = "expected one of `validate-every`, `look-every`, `strength`";
        assert_eq!(without_old_keys(listed), "expected one of `validate-every`, `strength`");
        let listed = "unknown field `x`, expected one of `kappa`, `learning-rate`, `learning_rate`, `steps`, `a_b`";
        let expected = "unknown field `x`, expected one of `kappa`, `learning-rate`, `steps`, `a_b`";
        assert_eq!(without_old_keys(listed), expected);
        let before = "expected one of `codes`, `keep`, `pool-per-class`, `samples`, `support-per-class`";
        assert_eq!(without_old_keys(before), "expected one of `codes`, `pool-per-class`, `support-per-class`");
        let nested = of("learning_rate = 0.5", &["warm_up={ first_steps = 4 }", "warm_up.more_steps=5"]);
        assert_eq!(nested.warm_up, BTreeMap::from([("first-steps".into(), 4), ("more-steps".into(), 5)]));
    }

    #[test]
    fn a_table_is_said_as_overrides_that_read_back_to_it() {
        let table: Table =
            "a = 1\nb = [\"x\", \"y z\"]\n[c]\nd = 0.5\n[c.e]\nf = true\ng = [{ h = 1 }]\n".parse().unwrap();
        let said = as_overrides(&table);
        assert!(said.contains(&"c.d=0.5".to_owned()), "{said:?}");
        assert_eq!(read::<Table>("none", "", &said).unwrap(), table);
    }

    #[test]
    fn what_is_laid_over_leaves_the_rest() {
        let base = Example { runs: 5, recipe: Recipe { epochs: 0.25, name: "kept".into() } };
        let over = "recipe.epochs = 1.5".parse().unwrap();
        let expected = Example { runs: 5, recipe: Recipe { epochs: 1.5, name: "kept".into() } };
        assert_eq!(laid_over("f", &base, &over).unwrap(), expected);
        let wrong = laid_over("f", &base, &"pace = 1".parse().unwrap()).unwrap_err().to_string();
        assert!(wrong.contains("f: ") && wrong.contains("pace"), "{wrong}");
    }

    #[test]
    fn mistakes_are_named() {
        let said = |scale: &str, set: &[&str]| format!("{:#}", at(scale, set).unwrap_err());
        assert!(said("smoke", &["recipe.epoch=2"]).contains("expected `epochs` or `name`"));
        assert!(said("smoke", &["runs=many"]).contains("expected usize"));
        assert!(said("smoke", &["runs"]).contains("expected KEY=VALUE"));
        assert!(said("smoke", &["runs.x=1"]).contains("no table of settings"));
        assert!(said("smoke", &[".x=1"]).contains("expected a key"));
        assert!(said("huge", &[]).contains("it has: smoke"));
    }
}
