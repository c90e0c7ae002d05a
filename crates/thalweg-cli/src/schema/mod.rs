//! Configurations as people read them: a JSON schema, which follows from the types and their doc comments, as a list of keys with type, default and
//! meaning. There is no second list of keys: what a type reads is what is told.
use serde_json::{Map, Value};

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// As `--set` takes it: `field.residual-mlp.width`; elements of lists are written `layers[]`.
    pub path: String,
    /// What may stand there: a type, or the choices.
    pub kind: String,
    /// What stands there where nothing is said, as TOML has it; none where something has to be said or nothing is there by default.
    pub default: Option<String>,
    /// What it means, with its range.
    pub about: String,
    /// Whether it is a table, whose keys follow.
    pub table: bool,
}

/// All keys of `schema`, in the order of the type, every choice with its own.
pub fn keys(schema: &Value) -> Vec<Key> {
    let mut reader = Reader { definitions: &schema["$defs"], open: Vec::new(), keys: Vec::new() };
    reader.properties(schema, "", None);
    reader.keys
}

/// The choices of an enum's `schema` with the first sentence of what each of them is.
pub fn variants(schema: &Value) -> Vec<(String, String)> {
    let choices = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
    choices.iter().flat_map(|choice| named(choice).into_iter().map(|name| (name, sentence(&about(choice))))).collect()
}

struct Reader<'a> {
    definitions: &'a Value,
    /// Definitions whose keys are being told: layers may hold layers, and are told once.
    open: Vec<&'a str>,
    keys: Vec<Key>,
}

impl<'a> Reader<'a> {
    /// The schema that `schema` refers to, the first one of something that may be left out.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            return self.resolved(&self.definitions[name]);
        }
        let some = schema["anyOf"].as_array().and_then(|any| any.iter().find(|one| one["type"] != "null"));
        some.map_or(schema, |some| self.resolved(some))
    }

    /// The keys of a table at `path`, whose value by default is `default`.
    fn properties(&mut self, schema: &'a Value, path: &str, default: Option<&Value>) {
        let Some(properties) = schema["properties"].as_object() else { return };
        for (name, property) in properties {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            // What the table around says comes before what the type says by itself.
            let default = default.and_then(|value| value.get(name)).or_else(|| property.get("default"));
            self.property(property, &path, default);
        }
    }

    /// Tells of what `schema` refers to by `of`, unless that is being told already.
    fn once(&mut self, schema: &'a Value, of: impl FnOnce(&mut Self)) {
        let Some(name) = schema["$ref"].as_str() else { return of(self) };
        if !self.open.contains(&name) {
            self.open.push(name);
            of(self);
            self.open.pop();
        }
    }

    fn property(&mut self, property: &'a Value, path: &str, default: Option<&Value>) {
        let schema = self.resolved(property);
        let said = [about(property), about(schema)].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let choices = schema["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default();
        let table = schema["properties"].is_object();
        let fallback = default.filter(|_| !table).and_then(|value| shown(value, schema));
        self.keys.push(Key { path: path.into(), kind: self.kind(schema), default: fallback, about: said, table });
        self.once(property, |all| {
            all.properties(schema, path, default);
            for choice in choices {
                all.choice(choice, path, default);
            }
        });
        self.once(&schema["items"], |all| {
            let (items, path) = (all.resolved(&schema["items"]), format!("{path}[]"));
            for choice in items["oneOf"].as_array().map(Vec::as_slice).unwrap_or_default() {
                all.choice(choice, &path, None);
            }
            all.properties(items, &path, None);
        });
    }

    /// The keys of one choice of an enum at `path`.
    fn choice(&mut self, choice: &'a Value, path: &str, default: Option<&Value>) {
        let Some(properties) = choice["properties"].as_object() else { return };
        let tag = properties.iter().find_map(|(key, value)| Some((key, value["const"].as_str()?)));
        if let Some((key, tag)) = tag {
            let path = format!("{path}[{key}={tag}]");
            let heading =
                Key { path: path.clone(), kind: String::new(), default: None, about: about(choice), table: true };
            self.keys.push(heading);
            for (name, property) in properties.iter().filter(|(name, _)| *name != key) {
                self.property(property, &format!("{path}.{name}"), property.get("default"));
            }
            return;
        }
        for (name, inner) in properties {
            let (path, schema) = (format!("{path}.{name}"), self.resolved(inner));
            let table = schema["properties"].is_object();
            let kind = if table { String::new() } else { self.kind(schema) };
            let default = default.and_then(|value| value.get(name));
            self.keys.push(Key {
                path: path.clone(),
                kind,
                default: default.filter(|_| !table).and_then(|value| shown(value, schema)),
                about: about(choice),
                table,
            });
            self.properties(schema, &path, default);
        }
    }

    /// What may stand there, in words.
    fn kind(&self, schema: &Value) -> String {
        let choices = schema["oneOf"].as_array().or(schema["enum"].as_array());
        if let Some(choices) = choices {
            return choices.iter().flat_map(named).collect::<Vec<_>>().join(" | ");
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(types) => types.iter().filter_map(Value::as_str).filter(|word| *word != "null").collect(),
            one => one.as_str().into_iter().collect(),
        };
        let word = |word: &str| match word {
            "integer" if schema["minimum"] == 0 => "whole number from 0",
            "integer" => "whole number",
            "string" => "text",
            "boolean" => "true | false",
            "array" => "list",
            "object" => "table",
            _ => "number",
        };
        types.into_iter().map(word).collect::<Vec<_>>().join(" or ")
    }
}

/// The names that one choice can be written by.
fn named(choice: &Value) -> Vec<String> {
    if let Some(name) = choice.as_str().or(choice["const"].as_str()) {
        return vec![name.into()];
    }
    if let Some(names) = choice["enum"].as_array() {
        return names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    let properties = choice["properties"].as_object();
    let tag = properties.and_then(|properties| properties.values().find_map(|value| value["const"].as_str()));
    let first = properties.and_then(|properties| properties.keys().next()).map(String::as_str);
    tag.or(first).map(str::to_owned).into_iter().collect()
}

/// The description on one line, without the marks of Markdown's references.
fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    // Tables and lists of the source's documentation come after the first paragraph.
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace("[`", "`").replace("`]", "`")
}

/// The first sentence of `text`, without its full stop.
pub fn sentence(text: &str) -> String {
    text.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}

/// A default as TOML has it; of a choice with settings its name alone, since these follow.
fn shown(value: &Value, schema: &Value) -> Option<String> {
    match value {
        // JSON has no infinity: a number whose default is null is infinite, unless it may be left out.
        Value::Null if schema["type"] == "number" => Some("inf".into()),
        Value::Null => None,
        Value::Object(map) if schema["oneOf"].is_array() => map.keys().next().cloned(),
        Value::Object(map) if map.is_empty() => Some("{}".into()),
        Value::Object(map) => Some(inline(map)),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().filter_map(|value| shown(value, &Value::Null)).collect();
            Some(format!("[{}]", values.join(", ")))
        }
        Value::Number(number) => Some(short(&number.to_string())),
        other => Some(other.to_string()),
    }
}

/// A number without the digits that a 32-bit float gets when it is written as a 64-bit one.
fn short(text: &str) -> String {
    match (text.len() > 12).then(|| text.parse::<f64>().ok()).flatten() {
        Some(value) if f64::from(value as f32) == value => (value as f32).to_string(),
        _ => text.into(),
    }
}

fn inline(map: &Map<String, Value>) -> String {
    let pairs = map.iter().filter_map(|(key, value)| Some(format!("{key} = {}", shown(value, &Value::Null)?)));
    format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests;
