//! [`MethodParameters`]: what the parameters of a method say of it, and so all that fits and files have to know of a method. [`OwnMethod`]: those of a
//! method that this library does not have.
use super::base::Method;
use crate::coupling::Coupling;
use crate::field::FieldConfig;
use crate::space::source::SourceKind;
use crate::{Error, Result, Streams};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;

/// The parameters of a method.
pub trait MethodParameters: Debug + Send + Sync {
    /// # Errors
    /// A number outside its range.
    fn check(&self) -> Result<()>;

    /// Marginals of a curve, ends included.
    fn marginals(&self) -> usize {
        2
    }

    /// The setting that decides how many marginals there are, and its largest value for runs of so many `checkpoints`; none where their number is
    /// fixed.
    fn most_marginals(&self, checkpoints: usize) -> Option<(&'static str, usize)> {
        let _ = checkpoints;
        None
    }

    /// Sets what [`Self::most_marginals`] names.
    fn set_marginals(&mut self, value: usize) {
        let _ = value;
    }

    /// How marginals are joined to curves.
    fn coupling(&self) -> Coupling {
        Coupling::Independent
    }

    /// What it starts from.
    fn source(&self) -> SourceKind {
        SourceKind::Gaussian
    }

    /// Standard deviation of a Gaussian source.
    fn source_deviation(&self) -> f64 {
        1.0
    }

    /// Starts of a Gaussian source that are drawn once and trained on again and again; 0 where every step draws its own.
    fn source_points(&self) -> usize {
        0
    }

    /// Whether the method is solved at once, without optimiser steps ([`Method::closed_form`]).
    fn is_solved(&self) -> bool {
        false
    }

    /// Parameters of the method over points `[dimension]` that learns from so many `curves`, told before anything is built. Methods with a net of their
    /// own say what it has.
    fn numbers(&self, curves: usize, dimension: usize, field: &FieldConfig) -> usize {
        let _ = curves;
        field.numbers(dimension)
    }

    /// Sets what it starts from, with the independent coupling, where that can be chosen: for runs whose starts were not recorded.
    fn start_from(&mut self, source: SourceKind) {
        let _ = source;
    }

    /// Whether a closed form reads the curves in the order of the runs; they are shuffled otherwise.
    fn reads_runs_in_order(&self) -> bool {
        false
    }

    /// The method over points `[dimension]` with marginals at `times`, its net's first parameters drawn from `streams`. Methods with a
    /// potential have its sizes among their own parameters; `field` is the net of the others.
    ///
    /// # Errors
    /// A number outside its range, or times that do not fit.
    fn build(&self, times: &[f64], dimension: usize, field: &FieldConfig, streams: &Streams)
    -> Result<Box<dyn Method>>;
}

/// The parameters of a method of one's own, with its name. Models of it are fitted, sampled, judged and written like all others; to read one,
/// [`MetaModel::load_with`](crate::MetaModel::load_with) has to be given them again, since a file holds no more than their name and text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnMethod {
    name: String,
    parameters: String,
    #[serde(skip)]
    own: Option<Arc<dyn MethodParameters>>,
}

impl OwnMethod {
    /// The method called `name`.
    pub fn new(name: &str, own: impl MethodParameters + 'static) -> Self {
        Self { name: name.into(), parameters: format!("{own:?}"), own: Some(Arc::new(own)) }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Equal by what a file holds of them.
impl PartialEq for OwnMethod {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.parameters) == (&other.name, &other.parameters)
    }
}

impl OwnMethod {
    fn known(&self) -> Result<&dyn MethodParameters> {
        let missing = || {
            let expected = "its parameters, which a file does not hold: MetaModel::load_with takes them";
            Error::parameter(format!("method {} of one's own", self.name), expected, "its name alone")
        };
        self.own.as_deref().ok_or_else(missing)
    }
}

/// Those of the method itself; where only its name is known, whatever has a default, and an error for the rest.
impl MethodParameters for OwnMethod {
    fn check(&self) -> Result<()> {
        self.known()?.check()
    }

    fn marginals(&self) -> usize {
        self.own.as_ref().map_or(2, |own| own.marginals())
    }

    fn coupling(&self) -> Coupling {
        self.own.as_ref().map_or(Coupling::Independent, |own| own.coupling())
    }

    fn source(&self) -> SourceKind {
        self.own.as_ref().map_or(SourceKind::Gaussian, |own| own.source())
    }

    fn is_solved(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.is_solved())
    }

    fn numbers(&self, curves: usize, dimension: usize, field: &FieldConfig) -> usize {
        self.own.as_ref().map_or(0, |own| own.numbers(curves, dimension, field))
    }

    fn reads_runs_in_order(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.reads_runs_in_order())
    }

    fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        self.known()?.build(times, dimension, field, streams)
    }
}
