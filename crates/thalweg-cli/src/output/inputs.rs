//! What a command reads, so that it is never written over.
use super::place::located;
use anyhow::{Result, bail};
use serde::Serialize;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg_nets::data::DataSpec;
use toml::{Table, Value};

/// Keys of settings whose values are paths.
const PATHS: [&str; 4] = ["folder", "centre", "onnx", "path"];

/// Files and folders that a command reads.
#[derive(Clone, Debug, Default)]
pub struct Inputs(Vec<PathBuf>);

impl Inputs {
    /// Adds a file or folder.
    #[must_use]
    pub fn path(mut self, path: impl AsRef<Path>) -> Self {
        self.0.push(path.as_ref().to_path_buf());
        self
    }

    /// Adds files or folders.
    #[must_use]
    pub fn paths<P: AsRef<Path>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        paths.into_iter().fold(self, Self::path)
    }

    /// Adds the user's own file or folder of data, where `data` names one.
    #[must_use]
    pub fn data(self, data: Option<&DataSpec>) -> Self {
        self.paths(data.and_then(|data| data.folder.as_ref()))
    }

    /// Adds a text that may be the path of a TOML file, as of an architecture, or data as `NAME:PATH`.
    #[must_use]
    pub fn text(mut self, text: Option<&str>) -> Self {
        self.named(text.unwrap_or_default());
        self
    }

    /// Adds every path that `settings` hold.
    #[must_use]
    pub fn settings(mut self, settings: &impl Serialize) -> Self {
        if let Ok(table) = Table::try_from(settings) {
            self.table(&table);
        }
        self
    }

    /// Adds every path in values of `KEY=VALUE`.
    #[must_use]
    pub fn overrides(mut self, overrides: &[String]) -> Self {
        for (key, value) in overrides.iter().filter_map(|text| text.split_once('=')) {
            let key = key.trim().rsplit('.').next().unwrap_or_default();
            match format!("v = {value}").parse::<Table>() {
                Ok(mut table) => self.value(key, &table.remove("v").unwrap_or(Value::Boolean(false))),
                Err(_) => self.value(key, &Value::String(value.trim().into())),
            }
        }
        self
    }

    fn table(&mut self, table: &Table) {
        table.iter().for_each(|(key, value)| self.value(key, value));
    }

    fn value(&mut self, key: &str, value: &Value) {
        match value {
            Value::String(text) if PATHS.contains(&key) => self.0.push(text.into()),
            Value::String(text) => self.named(text),
            Value::Array(values) => values.iter().for_each(|value| self.value(key, value)),
            Value::Table(table) => self.table(table),
            _ => {}
        }
    }

    /// `file.toml`, or data as `NAME:PATH`, where PATH may itself hold colons and may be followed by `@` and more.
    fn named(&mut self, text: &str) {
        if Path::new(text).extension().is_some_and(|e| e == "toml") {
            self.0.push(text.into());
        }
        if let Ok(DataSpec { folder: Some(path), .. }) = DataSpec::parse(text) {
            self.0.push(path);
        }
        // `loss:NAME:PATH`, `NAME:PATH:N`, and whatever else wraps data.
        for (at, _) in text.match_indices(':') {
            let rest = &text[at + 1..];
            let ends = rest.match_indices(['@', ':']).map(|(end, _)| end).chain([rest.len()]);
            self.0.extend(ends.map(|end| PathBuf::from(&rest[..end])).filter(|path| path.exists()));
        }
    }

    /// Refuses `out`, shown as `shown`, where it is one of these, holds one, or lies in a folder that is one.
    ///
    /// # Errors
    /// Naming both.
    pub fn spare(&self, out: &Path, shown: &Path) -> Result<()> {
        for input in self.0.iter().filter(|input| !input.as_os_str().is_empty()) {
            let place = located(input);
            let how = match () {
                () if place == out => "is an input of this command",
                () if place.starts_with(out) => "holds an input of this command",
                () if place.is_dir() && out.starts_with(&place) => "lies within an input of this command",
                () if linked(&place, out) => "is a file of an input of this command",
                () => continue,
            };
            bail!(
                "--out {}: it {how}, {}, which is never written over; choose another path",
                shown.display(),
                input.display()
            );
        }
        Ok(())
    }
}

/// Whether a link within the folder `input` leads to `out` or into it.
fn linked(input: &Path, out: &Path) -> bool {
    let Ok(entries) = fs::read_dir(input) else { return false };
    let links = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.map(|link| located(&link.path())).any(|to| to.starts_with(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_that_touch_inputs_are_refused_and_neighbours_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = located(dir.path());
        fs::create_dir_all(at.join("p/zoo")).unwrap();
        fs::write(at.join("p/d.csv"), "").unwrap();
        fs::write(at.join("shard"), "").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(at.join("shard"), at.join("p/zoo/linked")).unwrap();
        let data = format!("loss:csv:{}@rotate=40", at.join("p/d.csv").display());
        let inputs = Inputs::default().path(at.join("p/zoo")).text(Some(&data));
        let said = |out: &str| inputs.spare(&located(&at.join(out)), Path::new(out)).map_err(|e| e.to_string());
        for (out, how) in [
            ("p/zoo", "it is an input"),
            ("p", "holds an input"),
            ("", "holds an input"),
            ("p/zoo/model", "lies within"),
            ("p/zoo/shard-00000.safetensors", "lies within"),
            ("p/d.csv", "it is an input"),
            ("none/../p/zoo/.", "it is an input"),
        ] {
            let said = said(out).unwrap_err();
            assert!(said.contains(how), "{out}: {said}");
        }
        for out in ["p/model", "p/zoo2", "q", "p/d"] {
            said(out).unwrap();
        }
        #[cfg(unix)]
        assert!(said("shard").unwrap_err().contains("a file of an input"));
    }

    #[test]
    fn paths_in_settings_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("d.csv");
        fs::write(&file, "").unwrap();
        let overrides =
            [format!("zoo.data=csv:{}", file.display()), "zoo.centre=c.st".into(), "name=zoo".into(), "runs=3".into()];
        let found = Inputs::default().overrides(&overrides).0;
        assert!(found.contains(&file) && found.contains(&"c.st".into()), "{found:?}");
        assert!(!found.contains(&"zoo".into()), "a name is no path");
        let data = DataSpec { folder: Some("there".into()), ..DataSpec::named("csv") };
        assert_eq!(Inputs::default().data(Some(&data)).0, [PathBuf::from("there")]);
        assert_eq!(Inputs::default().settings(&data).0, [PathBuf::from("there")]);
    }
}
