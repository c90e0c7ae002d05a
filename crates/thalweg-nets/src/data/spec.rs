//! [`DataSpec`]: where data come from and how they are split, as a `zoo.toml` records it.
use super::catalogue::{self, FORMATS, Origin};
use super::derive::Change;
use super::fit::Fit;
use super::normalisation::Standardise;
use super::record::DataRecord;
use super::site::Site;
use crate::error::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A set, its place, and its split.
///
/// | field | default | what |
/// | --- | --- | --- |
/// | `name` | | a set's name ([`super::catalogue::SETS`]) or a format ([`super::catalogue::FORMATS`]) |
/// | `folder` | `$THALWEG_DATA/NAME` | the set's folder, or the user's own file |
/// | `train` | all that is left | training rows |
/// | `validation` | a fifth of the pool, at most 5,000 | validation rows, cut from the training pool |
/// | `test` | a fifth of the pool, at most 10,000 | test rows; only where the set has no official test split |
/// | `seed` | 0 | which rows go where |
/// | `fit` | as they are | images brought to another size ([`Fit`]) |
/// | `derive` | none | a task made from the set ([`Change`]), e.g. `[{ classes = [3, 7] }, { rotate = 40 }]` |
/// | `site` | Cleveland | `heart` only: the hospital ([`Site`]) |
/// | `inputs` | `x`, else `x_train` | `npz` only: name of the array of inputs |
/// | `label` | `label`; `y`, else `y_train` | `csv` and `npz` only: the column or array of labels |
/// | `drop` | none | `csv` only: columns that are no features |
/// | `channels` | told by the shape | `npz` only: where the channels of images stand ([`Channels`]) |
/// | `normalisation` | `fitted`, or as networks expect | how inputs are standardised ([`Standardise`]) |
/// | `record` | none | what was found when networks were trained on them; [`DataSpec::load`] then gives that, or refuses |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// A set's name.
    pub name: String,
    /// The set's folder, or a user's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
    /// Number of training rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// Number of validation rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<usize>,
    /// Number of test rows, where the set has no official test split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<usize>,
    /// Decides which rows go where.
    #[serde(default)]
    pub seed: u64,
    /// Brings images to another size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// Makes a task of the set: classes, labels, images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derive: Vec<Change>,
    /// The hospital of the heart data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Site>,
    /// The array of inputs in an npz file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<String>,
    /// The column of labels in a CSV file, or the array of labels in an npz file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Columns of a CSV file that are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Where the channels of images in an npz file stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Channels>,
    /// How inputs are standardised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalisation: Option<Standardise>,
    /// What was found when networks were trained on these data (see [`Self::bound`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<DataRecord>>,
}

/// Where the channels of images stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// `[N, channels, height, width]`, as PyTorch has them.
    First,
    /// `[N, height, width, channels]`, as Keras, Pillow and OpenCV have them.
    Last,
}

impl DataSpec {
    /// The set of this name with defaults for everything else.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            folder: None,
            train: None,
            validation: None,
            test: None,
            seed: 0,
            fit: None,
            derive: Vec::new(),
            site: None,
            inputs: None,
            label: None,
            drop: Vec::new(),
            channels: None,
            normalisation: None,
            record: None,
        }
    }

    /// The same data, tied to what `record` found there: [`Self::load`] then gives the same rows, columns, classes and normalisation, or refuses.
    /// A relative path becomes an absolute one, so that it leads there from any working directory.
    pub fn bound(&self, record: &DataRecord) -> Self {
        Self { record: Some(Box::new(record.clone())), ..self.placed() }
    }

    /// The same data by a path that holds from any working directory.
    pub fn placed(&self) -> Self {
        let folder = self.folder.as_deref().map(crate::files::rooted);
        Self { folder, ..self.clone() }
    }

    /// The set's title, with the path of a user's own data: what messages call it.
    pub fn place(&self) -> String {
        match &self.folder {
            Some(folder) => format!("{}:{}", self.title(), folder.display()),
            None => self.title(),
        }
    }

    /// The set's name with its changes, as [`Self::parse`] reads them (without size and folder): what tables call it.
    pub fn title(&self) -> String {
        self.derive.iter().fold(self.name.clone(), |title, change| title + &change.to_string())
    }

    /// Checks what can be checked without opening a file.
    ///
    /// # Errors
    /// An unknown name, a folder for a set that has none.
    pub fn check(&self) -> Result<()> {
        let name = self.name.as_str();
        self.derive.iter().try_for_each(Change::check)?;
        let set = catalogue::find(name);
        if set.is_none() && !FORMATS.contains(&name) {
            return Err(catalogue::unknown(name));
        }
        if let (Some(folder), Some(Origin::Embedded)) = (&self.folder, set.map(|set| set.origin)) {
            let expected = format!("none ({name} are within the program)");
            return Err(Error::parameter("data.folder", expected, folder.display()));
        }
        for (field, given, of) in [
            ("data.site", self.site.is_some(), &["heart"][..]),
            ("data.inputs", self.inputs.is_some(), &["npz"]),
            ("data.label", self.label.is_some(), &["csv", "npz"]),
            ("data.drop", !self.drop.is_empty(), &["csv"]),
            ("data.channels", self.channels.is_some(), &["npz"]),
        ] {
            if given && !of.contains(&name) {
                return Err(Error::parameter(
                    field,
                    format!("nothing (it belongs to {})", of.join(" and ")),
                    "a value",
                ));
            }
        }
        self.normalisation.as_ref().map_or(Ok(()), Standardise::check)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_paths_parse() {
        assert_eq!(DataSpec::parse("digits").unwrap(), DataSpec::named("digits"));
        let spec = DataSpec::parse("mnist:/a/b:c").unwrap();
        assert_eq!((spec.name.as_str(), spec.folder), ("mnist", Some(PathBuf::from("/a/b:c"))));
        assert!(DataSpec::parse("minst").unwrap_err().to_string().contains("fashion-mnist"));
        assert!(DataSpec::parse("mnist:").unwrap_err().to_string().contains("path"));
        assert!(DataSpec::parse("digits:/a").is_err());
    }

    #[test]
    fn toml_round_trip_and_unknown_fields() {
        let spec = DataSpec { train: Some(500), seed: 3, ..DataSpec::named("digits") };
        assert_eq!(toml::from_str::<DataSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        let message = toml::from_str::<DataSpec>("name = \"digits\"\ntrian = 3").unwrap_err().to_string();
        assert!(message.contains("trian"), "{message}");
    }

    #[test]
    fn digits_load_whole_and_are_recorded() {
        let splits = DataSpec::named("digits").load().unwrap();
        let record = &splits.record;
        assert_eq!((record.train, record.validation, record.test), (1079, 359, 359));
        assert_eq!(record.shape, [1, 8, 8]);
        let all: usize = [&splits.train, &splits.validation, &splits.test].iter().map(|d| d.class_counts()[3]).sum();
        assert_eq!(all, 183);
        let again = toml::from_str::<DataRecord>(&toml::to_string(record).unwrap()).unwrap();
        assert_eq!(&again, record);
        // Golden: the content's sum must not change unless the data do.
        assert_eq!(record.checksum, "463742d5c95444917115dc77cd837b951afdaacb604d3ad3713169af9457300a");
    }

    #[test]
    fn the_sum_and_the_normalisation_do_not_depend_on_the_split() {
        let a = DataSpec::named("digits").load().unwrap();
        let b = DataSpec { train: Some(100), seed: 9, ..DataSpec::named("digits") }.load().unwrap();
        assert_eq!(a.record.checksum, b.record.checksum);
        assert_eq!(a.record.normalisation, b.record.normalisation);
        assert_ne!(a.test.labels, b.test.labels);
        assert_eq!(b.train.len(), 100);
    }

    #[test]
    fn a_missing_set_names_the_folder_and_how_to_name_another() {
        let message = DataSpec::parse("mnist:/nowhere/at/all").unwrap().load().unwrap_err().to_string();
        for part in ["/nowhere/at/all", "train-images-idx3-ubyte", "name its folder: mnist:DIR"] {
            assert!(message.contains(part), "{message}");
        }
    }
}
