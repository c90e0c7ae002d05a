//! Data as networks that were trained on others expect them: the same columns by name, the same classes by name.
use super::readers::labels::same;
use super::record::DataRecord;
use super::table::Table;
use crate::error::{Error, Result};

/// What is done with labels that the networks were not trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// They are refused.
    Refuse,
    /// All labels keep their own numbers: it is another task for the same networks.
    OtherTask,
    /// The rows count as unlabelled.
    Unlabelled,
}

/// The table with the classes of `home`, after its shape and columns were checked; `derived` where its labels were changed by the specification, so
/// that they are numbers of classes and no names.
///
/// # Errors
/// Inputs of another shape, columns of other names, unknown labels where they are refused.
pub(super) fn fitted(table: Table, home: &DataRecord, derived: bool, unknown: Unknown) -> Result<Table> {
    if table.shape != home.shape {
        let expected = format!("{:?} [channels, height, width], as the networks take", home.shape);
        return Err(Error::shape(format!("data {}: inputs", table.name), expected, format!("{:?}", table.shape)));
    }
    let (a, b) = (&home.feature_names, &table.feature_names);
    if !a.is_empty() && !b.is_empty() && a != b {
        let expected = format!("the columns that the networks take: {}", a.join(", "));
        return Err(Error::parameter(format!("data {}: columns", table.name), expected, b.join(", ")));
    }
    if !table.labelled {
        return with_classes(table, home, None);
    }
    match becomes(&table, home, derived) {
        Ok(labels) => with_classes(table, home, Some(&labels)),
        Err(_) if unknown == Unknown::OtherTask && table.classes <= home.classes => {
            let note = format!(
                "data {}: its classes ({}) are not those that the networks were trained on ({}): taken as another task, in their own order",
                table.name,
                called(&table.class_names, table.classes),
                called(&home.class_names, home.classes),
            );
            Ok(table.with_classes(home.classes)?.noting([note]))
        }
        Err(label) if unknown == Unknown::Unlabelled => {
            let note = format!(
                "data {}: label {label} is none of the networks' classes: rows are taken as unlabelled",
                table.name
            );
            with_classes(table.labelled(false), home, None).map(|table| table.noting([note]))
        }
        Err(label) => {
            let expected =
                format!("the classes that the networks were trained on: {}", called(&home.class_names, home.classes));
            Err(Error::parameter(format!("data {}: label", table.name), expected, label))
        }
    }
}

/// For every class of the table the class of `home`; else the first label that is none.
fn becomes(table: &Table, home: &DataRecord, derived: bool) -> Result<Vec<u32>, String> {
    let mut held = vec![false; table.classes];
    table.labels.iter().for_each(|&label| held[label as usize] = true);
    let numbers = home.class_names.iter().all(|name| name.parse::<f64>().is_ok());
    let by_name = !home.class_names.is_empty() && (!table.class_names.is_empty() || (numbers && !derived));
    let class = |i: usize| {
        let name = table.class_names.get(i).cloned().unwrap_or_else(|| i.to_string());
        let found = match by_name {
            true => home.class_names.iter().position(|known| same(known, &name)),
            // Without names there, only numbers say which class is meant; of a set whose labels were changed, its own.
            false if table.class_names.is_empty() => Some(i),
            false => name.parse::<f64>().ok().filter(|n| n.fract() == 0.0 && *n >= 0.0).map(|n| n as usize),
        };
        match found.filter(|&class| class < home.classes) {
            Some(class) => Ok(class as u32),
            None if !held[i] => Ok(0),
            None => Err(format!("'{name}'")),
        }
    };
    (0..table.classes).map(class).collect()
}

fn with_classes(table: Table, home: &DataRecord, becomes: Option<&[u32]>) -> Result<Table> {
    let labels = match becomes {
        Some(becomes) => table.labels.iter().map(|&label| becomes[label as usize]).collect(),
        None => vec![0; table.labels.len()],
    };
    let table = Table { labels, class_names: home.class_names.clone(), ..table };
    table.with_classes(home.classes)
}

fn called(names: &[String], classes: usize) -> String {
    match names.is_empty() {
        true => format!("0 to {}", classes.saturating_sub(1)),
        false => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Normalisation;

    fn home(names: &[&str], classes: usize) -> DataRecord {
        DataRecord {
            name: "home".into(),
            shape: [1, 1, 1],
            classes,
            train: 1,
            validation: 1,
            test: 1,
            checksum: String::new(),
            class_names: names.iter().map(ToString::to_string).collect(),
            feature_names: vec![],
            normalisation: Normalisation::identity([1, 1, 1]),
        }
    }

    fn table(names: &[&str], labels: &[u32]) -> Table {
        let classes = labels.iter().max().map_or(1, |&most| most as usize + 1).max(names.len());
        let table = Table::of_values("x", [1, 1, 1], classes, vec![0.5; labels.len()], labels.to_vec(), None).unwrap();
        table.with_class_names(names.iter().map(ToString::to_string).collect())
    }

    fn labels(home: &DataRecord, table: Table) -> Result<Vec<u32>> {
        let fitted = fitted(table, home, false, Unknown::Refuse)?;
        assert_eq!((fitted.classes, &fitted.class_names), (home.classes, &home.class_names));
        Ok(fitted.labels)
    }

    #[test]
    fn classes_are_those_of_the_networks_by_name() {
        let animals = home(&["cat", "dog", "owl"], 3);
        assert_eq!(labels(&animals, table(&["dog", "owl"], &[0, 1, 0])).unwrap(), [1, 2, 1]);
        let message = labels(&animals, table(&["dog", "pig"], &[0, 1])).unwrap_err().to_string();
        assert!(message.contains("cat, dog, owl") && message.contains("'pig'"), "{message}");
        // Numbers are the same number in any writing, from a file that names them or one that does not.
        let numbers = home(&["0.0", "1.0"], 2);
        assert_eq!(labels(&numbers, table(&["1"], &[0])).unwrap(), [1]);
        assert_eq!(labels(&home(&["1", "2"], 2), table(&[], &[1, 2])).unwrap(), [0, 1]);
        assert!(labels(&home(&["1", "2"], 2), table(&[], &[0, 2])).is_err());
        assert_eq!(labels(&home(&[], 10), table(&["3", "7"], &[0, 1])).unwrap(), [3, 7]);
        assert!(labels(&home(&[], 5), table(&["3", "7"], &[0, 1])).is_err());
        assert_eq!(labels(&home(&[], 10), table(&[], &[0, 4])).unwrap(), [0, 4]);
        assert!(labels(&home(&[], 4), table(&[], &[0, 4])).is_err());
    }

    #[test]
    fn another_task_keeps_its_own_classes_and_is_told() {
        let home = home(&["cat", "dog"], 2);
        let other = fitted(table(&["day", "night"], &[1, 0]), &home, false, Unknown::OtherTask).unwrap();
        assert!(other.labels == [1, 0] && other.notes[0].contains("day, night"), "{:?}", other.notes);
        let none = fitted(table(&["day", "night"], &[1, 0]), &home, false, Unknown::Unlabelled).unwrap();
        assert!(!none.labelled && none.notes[0].contains("'day'"), "{:?}", none.notes);
    }
}
