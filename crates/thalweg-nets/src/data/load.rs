//! [`DataSpec::load`] and its kin: data read, split and standardised, by their own rule or as networks expect them.
use super::dataset::Dataset;
use super::derive::{self, Change};
use super::home::{self, Unknown};
use super::normalisation::{Normalisation, Standardise};
use super::readers::open::{self, Asked, Source};
use super::record::DataRecord;
use super::spec::DataSpec;
use super::split::{self, Splits};
use super::table::Table;
use crate::architecture::Shape;
use crate::error::{Error, Result};

/// Inputs whose labels may not be known: for everything that needs none.
#[derive(Clone, Debug, PartialEq)]
pub struct Unlabelled {
    /// What the set is called in tables and records.
    pub name: String,
    /// `[channels, height, width]` of one input.
    pub shape: Shape,
    /// Standardised inputs `[N, D]`, all finite.
    pub inputs: Vec<f32>,
    /// Labels `[N]`, where every row has one that the networks at hand know.
    pub labels: Option<Vec<u32>>,
    /// How the inputs were standardised.
    pub normalisation: Normalisation,
    /// What the file calls its columns; empty where it does not name them.
    pub feature_names: Vec<String>,
    /// What a user should know of how the file was read, a sentence each.
    pub notes: Vec<String>,
}

impl Unlabelled {
    /// Number of rows N.
    pub fn len(&self) -> usize {
        self.inputs.len() / self.shape.iter().product::<usize>().max(1)
    }

    /// Never so: a set without rows is refused.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }
}

/// What is asked of the data beside the specification.
#[derive(Clone, Copy)]
struct View<'a> {
    home: Option<&'a DataRecord>,
    labelled: bool,
    unknown: Unknown,
}

impl DataSpec {
    /// Reads, splits and standardises: validation and training rows come from the training pool, both standardised (and the
    /// test rows too) by the moments of the whole pool, or as [`Self::normalisation`] says.
    ///
    /// Where the specification is tied to a record ([`Self::bound`]), columns, classes and normalisation are the recorded ones, and other content is
    /// refused.
    ///
    /// # Errors
    /// Missing or damaged files, splits larger than the data, data that differ from their record.
    pub fn load(&self) -> Result<Splits> {
        let splits = self.splits(View { home: self.record.as_deref(), labelled: true, unknown: Unknown::Refuse })?;
        if let Some(record) = &self.record {
            record.same(&splits.record, &self.place())?;
        }
        Ok(splits)
    }

    /// As [`Self::load`], for networks that were trained on the data of `home`: columns and classes are found by name, inputs standardised as there
    /// (unless [`Self::normalisation`] says otherwise). What differs in content is told in the notes.
    ///
    /// # Errors
    /// As [`Self::load`]; inputs or labels that the networks do not take.
    pub fn load_as(&self, home: &DataRecord) -> Result<Splits> {
        self.loaded_as(home, Unknown::Refuse)
    }

    /// As [`Self::load_as`], for another task of the same networks: classes of other names keep their own order.
    ///
    /// # Errors
    /// As [`Self::load_as`]; more classes than the networks have.
    pub fn load_as_other_task(&self, home: &DataRecord) -> Result<Splits> {
        self.loaded_as(home, Unknown::OtherTask)
    }

    fn loaded_as(&self, home: &DataRecord, unknown: Unknown) -> Result<Splits> {
        let mut splits = self.splits(View { home: Some(home), labelled: true, unknown })?;
        if splits.record.checksum != home.checksum {
            let how = match &self.normalisation {
                None => "standardised as those were",
                Some(Standardise::Raw) => "taken as they are in the file",
                Some(Standardise::Fitted) => "standardised by their own training rows",
                Some(Standardise::Given { .. }) => "standardised by the mean and deviation given",
            };
            splits.train.notes.push(format!(
                "data {}: they differ from what the networks were trained on ({}); {how}",
                self.place(),
                home.name
            ));
        }
        Ok(splits)
    }

    /// All rows as one set, official test rows last, standardised by the moments of the training pool: for foreign inputs that
    /// nothing is trained on. Then [`Dataset::standardised_as`] shows them as the network's own data would be.
    ///
    /// # Errors
    /// Missing or damaged files.
    pub fn load_whole(&self) -> Result<Dataset> {
        self.whole(View { home: None, labelled: true, unknown: Unknown::Refuse }).map(|(whole, _)| whole)
    }

    /// All rows as one set, official test rows last, whether they have labels or not: no column of labels, an empty one, an archive without their
    /// array. With `home`, columns are found by name and inputs are standardised as networks trained there expect (unless [`Self::normalisation`]
    /// says otherwise), and labels are numbers of its classes.
    ///
    /// # Errors
    /// Missing or damaged files; inputs that the networks do not take.
    pub fn load_unlabelled(&self, home: Option<&DataRecord>) -> Result<Unlabelled> {
        let (data, labelled) = self.whole(View { home, labelled: false, unknown: Unknown::Unlabelled })?;
        Ok(Unlabelled {
            name: data.name,
            shape: data.shape,
            inputs: data.inputs,
            labels: labelled.then_some(data.labels),
            normalisation: data.normalisation,
            feature_names: data.feature_names,
            notes: data.notes,
        })
    }

    fn whole(&self, view: View) -> Result<(Dataset, bool)> {
        let Source { pool, test } = self.open(view)?;
        let normalisation = self.normalisation_of(&pool, view.home)?;
        let mut whole = pool.standardised(&all(&pool), &normalisation)?;
        let mut labelled = pool.labelled;
        if let Some(test) = test {
            let rows = test.standardised(&all(&test), &normalisation)?;
            whole.inputs.extend_from_slice(&rows.inputs);
            whole.labels.extend_from_slice(&rows.labels);
            labelled &= test.labelled;
            whole.check()?;
        }
        Ok((self.changed(whole, 0)?, labelled))
    }

    fn open(&self, view: View) -> Result<Source> {
        self.check()?;
        let features = view.home.map_or(&[][..], |home| &home.feature_names);
        let Source { pool, test } = open::open(self, Asked { features, labelled: view.labelled })?;
        let ready = |table: Table| {
            let mut table = if table.labelled { derive::labels(&self.derive, table)? } else { table };
            table.name = self.title();
            if let Some(fit) = self.fit {
                table = fit.apply(table)?;
            }
            let derived = self.derive.iter().any(|change| matches!(change, Change::Classes(_) | Change::Relabel(_)));
            match view.home {
                Some(home) => home::fitted(table, home, derived, view.unknown),
                None => Ok(table),
            }
        };
        Ok(Source { pool: ready(pool)?, test: test.map(ready).transpose()? })
    }

    /// The images of one part of the rows, changed; parts are numbered so that corruptions differ between them.
    fn changed(&self, data: Dataset, part: u64) -> Result<Dataset> {
        derive::images(&self.derive, data, self.seed.wrapping_mul(3).wrapping_add(part))
    }

    fn normalisation_of(&self, pool: &Table, home: Option<&DataRecord>) -> Result<Normalisation> {
        match (&self.normalisation, home) {
            (None, Some(home)) => home.normalisation.check(pool.shape()).map(|()| home.normalisation.clone()),
            (None | Some(Standardise::Fitted), _) => Ok(pool.normalisation()),
            (Some(Standardise::Raw), _) => {
                Ok(Normalisation { range: pool.range, ..Normalisation::identity(pool.shape()) })
            }
            (Some(Standardise::Given { mean, std }), _) => Standardise::given(mean, std, pool.shape(), pool.range),
        }
    }

    fn splits(&self, view: View) -> Result<Splits> {
        let Source { pool, test } = self.open(view)?;
        if let (Some(asked), Some(official)) = (self.test, &test) {
            let expected = format!("nothing ({} has {} official test rows)", self.name, official.len());
            return Err(Error::parameter("data.test", expected, asked));
        }
        let n = pool.len();
        let validation = self.validation.unwrap_or((n / 5).clamp(1, 5_000));
        let tested = test.is_none().then(|| self.test.unwrap_or((n / 5).clamp(1, 10_000)));
        let rows = split::cut(n, self.train, validation, tested, self.seed)?;
        let mut hasher = blake3::Hasher::new();
        pool.hash(&mut hasher);
        let normalisation = self.normalisation_of(&pool, view.home)?;
        let notes = self.notes(&pool, test.as_ref(), view.home, &normalisation);
        let test = match test {
            Some(official) => {
                if (official.shape(), official.classes()) != (pool.shape(), pool.classes()) {
                    let of = |t: &Table| format!("{:?} with {} classes", t.shape(), t.classes());
                    return Err(Error::shape(format!("data {}: test rows", self.name), of(&pool), of(&official)));
                }
                official.hash(&mut hasher);
                official.standardised(&all(&official), &normalisation)?
            }
            None => pool.standardised(&rows.test, &normalisation)?,
        };
        let mut train = pool.standardised(&rows.train, &normalisation)?;
        let validation = pool.standardised(&rows.validation, &normalisation)?;
        let record = DataRecord {
            name: self.title(),
            shape: pool.shape(),
            classes: pool.classes(),
            train: train.len(),
            validation: validation.len(),
            test: test.len(),
            checksum: hasher.finalize().to_hex().to_string(),
            class_names: pool.class_names().to_vec(),
            feature_names: pool.feature_names.clone(),
            normalisation,
        };
        train.notes.extend(notes);
        let [train, validation, test] = [(train, 0), (validation, 1), (test, 2)].map(|(part, i)| self.changed(part, i));
        Ok(Splits { train: train?, validation: validation?, test: test?, record })
    }

    /// What is to be told of the rows as a whole: features that never vary, classes without a row.
    fn notes(
        &self,
        pool: &Table,
        test: Option<&Table>,
        home: Option<&DataRecord>,
        normalisation: &Normalisation,
    ) -> Vec<String> {
        let mut notes = Vec::new();
        let constant = pool.constant_features();
        if !constant.is_empty() && home.is_none() && !normalisation.is_identity() {
            let some: Vec<String> = constant.iter().take(5).map(|&i| pool.feature(i)).collect();
            let more = if constant.len() > some.len() { ", …" } else { "" };
            let (n, wide) = (constant.len(), pool.input_len());
            notes.push(format!(
                "data {}: {n} of {wide} features never vary (constant): {}{more}",
                self.place(),
                some.join(", ")
            ));
        }
        if home.is_none() && self.derive.is_empty() && pool.class_names().is_empty() {
            let mut held = vec![false; pool.classes()];
            pool.labels().iter().chain(test.iter().flat_map(|t| t.labels())).for_each(|&y| held[y as usize] = true);
            let empty: Vec<String> = (0..held.len()).filter(|&c| !held[c]).map(|c| c.to_string()).collect();
            if !empty.is_empty() {
                let some = empty[..empty.len().min(5)].join(", ");
                let more = if empty.len() > 5 { ", …" } else { "" };
                let first = if empty[0] == "0" {
                    " (labels count from 0: subtract their least where they begin later)"
                } else {
                    ""
                };
                notes.push(format!(
                    "data {}: no row is of class {some}{more}, one of {} classes all the same{first}",
                    self.place(),
                    pool.classes()
                ));
            }
        }
        notes
    }
}

fn all(table: &Table) -> Vec<usize> {
    (0..table.len()).collect()
}
