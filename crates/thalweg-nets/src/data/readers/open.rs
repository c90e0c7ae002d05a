//! Which reader opens what, from where: the sets of the [`catalogue`] and the formats of a user's own files.
pub(in crate::data) use super::source::Asked;
pub use super::source::Source;
use super::{cifar, csv_file, digits, heart, idx, npz, silhouettes, sklearn};
use crate::data::catalogue::{self, Known, Origin, unknown};
use crate::data::place::{self, missing};
use crate::data::spec::DataSpec;
use crate::data::table::Table;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Opens the set or file that `spec` names.
pub(in crate::data) fn open(spec: &DataSpec, asked: Asked) -> Result<Source> {
    let cut_by_seed = |pool: Table| Source { pool, test: None };
    let set = match catalogue::find(&spec.name) {
        Some(set) => set,
        None => return open_format(spec, asked),
    };
    let folder = folder(set, spec.folder.as_deref())?;
    let file = |file: &str| file_of(set, &folder, file);
    match set.name {
        "digits" => digits::table().map(cut_by_seed),
        "mnist" | "fashion-mnist" => {
            let part = |part: &str| idx_part(set.name, &folder, part, 10, &hint(set), true);
            Ok(Source { pool: part("train")?, test: Some(part("t10k")?) })
        }
        "silhouettes" => {
            silhouettes::read(&file("animal_data_version_3.gz")?, &file("animal_label_version_3.gz")?).map(cut_by_seed)
        }
        "heart" => heart::read(&file("heart_disease_uci.csv")?, spec.site.unwrap_or_default()).map(cut_by_seed),
        "wine" => sklearn::read("wine", &file("wine_data.csv")?).map(cut_by_seed),
        "breast-cancer" => sklearn::read("breast-cancer", &file("breast_cancer.csv")?).map(cut_by_seed),
        "iris" => sklearn::read("iris", &file("iris.csv")?).map(cut_by_seed),
        "cifar10" => cifar::read(&folder),
        _ => Err(unknown(&spec.name)),
    }
}

fn open_format(spec: &DataSpec, asked: Asked) -> Result<Source> {
    let none = || Error::parameter("data.folder", format!("a path, written {}:PATH", spec.name), "none");
    let path = spec.folder.as_deref().ok_or_else(none)?;
    match spec.name.as_str() {
        "csv" => {
            let pool = csv_file::read(path, spec.label.as_deref(), &spec.drop, asked)?;
            Ok(Source { pool, test: None })
        }
        "npz" => npz::read(path, spec, asked.labelled),
        "idx" => {
            // Classes are those that the labels of both parts name.
            let hint = "an IDX folder is laid as MNIST's: train-images-idx3-ubyte and so on";
            let part = |part: &str| idx_part("idx", path, part, 256, hint, asked.labelled);
            let pool = part("train")?;
            let test = idx::find(path, "t10k-images-idx3-ubyte").map(|_| part("t10k")).transpose()?;
            let labels = pool.labels().iter().chain(test.iter().flat_map(|t| t.labels()));
            let classes = labels.max().map_or(1, |&y| y as usize + 1);
            let test = test.map(|t| t.with_classes(classes)).transpose()?;
            Ok(Source { pool: pool.with_classes(classes)?, test })
        }
        other => Err(unknown(other)),
    }
}

/// The folder given, or the set's own within the data folder.
pub(in crate::data) fn folder(set: &Known, given: Option<&Path>) -> Result<PathBuf> {
    match (given, set.origin) {
        (Some(folder), _) => Ok(folder.to_path_buf()),
        (None, Origin::Embedded) => Ok(PathBuf::new()),
        (None, _) => Ok(place::root()?.join(set.folder)),
    }
}

fn hint(set: &Known) -> String {
    let whose = if matches!(set.origin, Origin::User) { "your" } else { "its" };
    format!("name {whose} folder: {}:DIR", set.name)
}

/// A file of the set, in its folder, or the folder itself where the user named the file.
fn file_of(set: &Known, folder: &Path, file: &str) -> Result<PathBuf> {
    let path = if folder.is_file() { folder.to_path_buf() } else { folder.join(file) };
    if path.is_file() { Ok(path) } else { Err(missing(set.name, folder, file, &hint(set))) }
}

fn idx_part(name: &str, folder: &Path, part: &str, classes: usize, hint: &str, labelled: bool) -> Result<Table> {
    let [images, labels] = [format!("{part}-images-idx3-ubyte"), format!("{part}-labels-idx1-ubyte")];
    let find = |file: &str| idx::find(folder, file).ok_or_else(|| missing(name, folder, file, hint));
    let images = find(&images)?;
    match find(&labels) {
        Err(_) if !labelled => idx::read_unlabelled(name, &images),
        labels => idx::read(name, &images, &labels?, classes),
    }
}
