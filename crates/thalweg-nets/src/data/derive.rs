//! Tasks derived from a set: classes chosen and renamed, labels permuted, images turned or corrupted; for zoos of many tasks (M10).
//!
//! Written behind a set's name, in the order in which they are done, each after an `@`:
//!
//! | written | in TOML | what |
//! | --- | --- | --- |
//! | `mnist@classes=3+7` | `{ classes = [3, 7] }` | rows of these classes only; the first listed becomes label 0, and so on |
//! | `mnist@relabel=5` | `{ relabel = 5 }` | a permutation of the labels in use, drawn from this seed |
//! | `mnist@rotate=40` | `{ rotate = 40 }` | every image turned by so many degrees, anticlockwise |
//! | `mnist@blur=3` | `{ corrupt = { kind = "blur", severity = 3 } }` | a [`Corruption`] by name, severity 1 to 5 |
//! | `digits@area=28` | `fit = { kind = "area", side = 28 }` of the set | images brought to another size ([`Fit`](super::Fit); also `crop`, `ink`); before all else |
//!
//! The number of classes stays the set's own, so that all tasks of a set have networks of one layout: classes that are left out are simply never
//! labels. Choices of rows and labels come before the split and the moments; images change after them, so that only rows in use are turned.
use super::corrupt::Corruption;
use super::dataset::Dataset;

use super::pixels;
use super::table::Table;
use crate::error::{Error, Result};
use crate::streams::{Streams, shuffle};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// One change of a set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// Keep these classes; the i-th listed becomes label i.
    Classes(Vec<u32>),
    /// Permute the labels in use (those of the classes chosen, or all) by this seed.
    Relabel(u64),
    /// Turn every image by so many degrees, anticlockwise.
    Rotate(i32),
    /// Corrupt every image, by a stream of its own each.
    Corrupt {
        /// One of [`Corruption::NAMES`].
        kind: String,
        /// 0 to 5.
        severity: u8,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Classes(classes) => {
                let text: Vec<String> = classes.iter().map(u32::to_string).collect();
                write!(f, "@classes={}", text.join("+"))
            }
            Change::Relabel(seed) => write!(f, "@relabel={seed}"),
            Change::Rotate(degrees) => write!(f, "@rotate={degrees}"),
            Change::Corrupt { kind, severity } => write!(f, "@{kind}={severity}"),
        }
    }
}

impl Change {
    /// Checks what can be checked without data.
    ///
    /// # Errors
    /// No class or one twice, a severity above 5, an unknown corruption.
    pub fn check(&self) -> Result<()> {
        match self {
            Change::Classes(classes) => {
                let mut sorted = classes.clone();
                sorted.sort_unstable();
                sorted.dedup();
                if sorted.len() != classes.len() || classes.is_empty() {
                    return Err(Error::parameter("data.derive.classes", "classes, each once", format!("{classes:?}")));
                }
                Ok(())
            }
            Change::Relabel(seed) if *seed > i64::MAX as u64 => {
                Err(Error::parameter("data.derive.relabel", "at most 2^63 - 1 (what TOML holds)", seed))
            }
            Change::Corrupt { kind, severity } => Corruption::named(kind, *severity).map(drop),
            _ => Ok(()),
        }
    }

    /// Whether it chooses rows and labels, before the split.
    fn is_of_labels(&self) -> bool {
        matches!(self, Change::Classes(_) | Change::Relabel(_))
    }
}

/// Does the changes of rows and labels. `used` is how many labels were in use; it is carried from the pool to the test rows.
///
/// # Errors
/// A class that the set does not have, or no row left.
pub(super) fn labels(changes: &[Change], mut table: Table) -> Result<Table> {
    let mut used = table.classes() as u32;
    for change in changes.iter().filter(|c| c.is_of_labels()) {
        let becomes: Vec<Option<u32>> = match change {
            Change::Classes(classes) => {
                if let Some(class) = classes.iter().find(|c| **c as usize >= table.classes()) {
                    let expected = format!("classes below {} of {}", table.classes(), table.name);
                    return Err(Error::parameter("data.derive.classes", expected, class));
                }
                used = classes.len() as u32;
                let place = |label| classes.iter().position(|c| *c == label).map(|i| i as u32);
                (0..table.classes() as u32).map(place).collect()
            }
            Change::Relabel(seed) => {
                let mut order: Vec<u32> = (0..used).collect();
                shuffle(&mut order, &mut Streams::new(*seed).child("data").child("relabel").rng());
                (0..table.classes()).map(|label| order.get(label).copied().or(Some(label as u32))).collect()
            }
            _ => continue,
        };
        table = table.relabelled(&becomes)?;
    }
    Ok(table)
}

/// Does the changes of images, on standardised rows; `seed` draws corruptions.
///
/// # Errors
/// Rows that are no images.
pub(super) fn images(changes: &[Change], mut data: Dataset, seed: u64) -> Result<Dataset> {
    for change in changes {
        match change {
            Change::Rotate(degrees) => rotate(&mut data, *degrees)?,
            Change::Corrupt { kind, severity } => data = Corruption::named(kind, *severity)?.apply(&data, seed)?,
            Change::Classes(_) | Change::Relabel(_) => {}
        }
    }
    Ok(data)
}

fn rotate(data: &mut Dataset, degrees: i32) -> Result<()> {
    let [channels, height, width] = data.shape;
    let Some([low, _]) = data.normalisation.range else {
        let expected = format!("images to turn (data {} holds none)", data.name);
        return Err(Error::parameter("data.derive.rotate", expected, format!("rows of {channels} features")));
    };
    let (wide, normalisation) = (data.input_len(), &data.normalisation);
    data.inputs.par_chunks_exact_mut(wide).for_each(|image| {
        normalisation.to_raw(image);
        for plane in image.chunks_exact_mut(height * width) {
            pixels::rotate(plane, [height, width], degrees as f32, low);
        }
        normalisation.standardise(image);
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataSpec, Fit};

    #[test]
    fn tasks_are_read_as_they_are_written() {
        for text in ["digits@classes=3+7@relabel=5", "mnist@rotate=-40@blur=3", "digits"] {
            let spec = DataSpec::parse(text).unwrap();
            assert_eq!(spec.title(), text);
            assert_eq!(toml::from_str::<DataSpec>(&toml::to_string(&spec).unwrap()).unwrap(), spec);
        }
        let spec = DataSpec::parse("mnist@ink=8@rotate=3:/a@b").unwrap();
        assert_eq!((spec.fit, spec.derive.clone()), (Some(Fit::Ink { side: 8 }), vec![Change::Rotate(3)]));
        assert_eq!(spec.folder.as_deref(), Some(std::path::Path::new("/a@b")));
        for (wrong, says) in [
            ("digits@turn=3", "rotate=DEGREES"),
            ("digits@rotate", "rotate=DEGREES"),
            ("digits@classes=3+x", "3+7"),
            ("digits@classes=3+3", "each once"),
            ("digits@blur=9", "from 0 to 5"),
            ("minst@rotate=3", "fashion-mnist"),
        ] {
            let message = DataSpec::parse(wrong).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn classes_are_chosen_and_renamed_in_the_order_listed() {
        let all = DataSpec::named("digits").load_whole().unwrap();
        let pair = DataSpec::parse("digits@classes=7+3").unwrap().load_whole().unwrap();
        assert_eq!(pair.classes, 10);
        let counts = all.class_counts();
        assert_eq!(pair.class_counts()[..3], [counts[7], counts[3], 0]);
        let message = DataSpec::parse("digits@classes=3+10").unwrap().load().unwrap_err().to_string();
        assert!(message.contains("below 10"), "{message}");
    }

    #[test]
    fn relabelling_permutes_the_labels_in_use_and_nothing_else() {
        let all = DataSpec::named("digits").load().unwrap();
        let other = DataSpec::parse("digits@relabel=1").unwrap().load().unwrap();
        assert_eq!(all.train.inputs, other.train.inputs);
        let mut becomes = [None; 10];
        for (a, b) in all.train.labels.iter().zip(&other.train.labels) {
            assert_eq!(*becomes[*a as usize].get_or_insert(*b), *b);
        }
        let mut to: Vec<u32> = becomes.into_iter().flatten().collect();
        assert_ne!(to, (0..10).collect::<Vec<_>>());
        to.sort_unstable();
        assert_eq!(to, (0..10).collect::<Vec<_>>());
        let few = DataSpec::parse("digits@classes=4+5+6@relabel=3").unwrap().load_whole().unwrap();
        assert!(few.class_counts()[3..].iter().all(|n| *n == 0));
        assert_eq!(other.record.name, "digits@relabel=1");
    }

    #[test]
    fn images_turn_by_the_degrees_given() {
        let all = DataSpec::named("digits").load().unwrap().test;
        let turned = DataSpec::parse("digits@rotate=90").unwrap().load().unwrap().test;
        assert_eq!(all.labels, turned.labels);
        let (a, b) = (all.first(20).raw(), turned.first(20).raw());
        // A quarter turn anticlockwise: the right column becomes the top row.
        for (a, b) in a.chunks(64).zip(b.chunks(64)) {
            for y in 0..8 {
                for x in 0..8 {
                    assert!((a[x * 8 + (7 - y)] - b[y * 8 + x]).abs() < 1e-4);
                }
            }
        }
        let message = DataSpec::parse("iris@rotate=3:/nowhere").unwrap().load().unwrap_err().to_string();
        assert!(message.contains("/nowhere"), "{message}");
    }
}
