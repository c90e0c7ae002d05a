//! [`MethodConfig`]: which method, with its parameters. The list at its end is the only place that knows all of them: a method is a line there and
//! a file with its [`MethodParameters`]. Names, help and errors follow from the list.
use super::base::Method;
use super::parameters::{MethodParameters, OwnMethod};
use super::{ActionConfig, CfmConfig, DdpmConfig, JkoConfig, KdeConfig, MmfmConfig, SwagConfig};
use crate::coupling::Coupling;
use crate::field::FieldConfig;
use crate::space::source::SourceKind;
use crate::{Error, Result, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Writes [`MethodConfig`] and whatever lists all methods; see the end of the file.
macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident($parameters:ty) = $name:literal: $about:literal;)*) => {
        /// A method and its parameters.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub enum MethodConfig {
            $($(#[$doc])* #[serde(rename = $name)] $variant($parameters),)*
            /// A method that this library does not have.
            #[serde(rename = "own")]
            #[schemars(skip)]
            Own(OwnMethod),
        }

        impl MethodConfig {
            /// The methods' names.
            pub const NAMES: &[&str] = &[$($name),*];

            /// Every method's name, and what it is in a few words.
            pub const ABOUT: &[(&str, &str)] = &[$(($name, $about)),*];

            /// The method of this name with its defaults.
            ///
            /// # Errors
            /// An unknown name.
            pub fn named(name: &str) -> Result<Self> {
                Ok(match name {
                    $($name => Self::$variant(<$parameters>::default()),)*
                    other => return Err(Error::parameter("method", Self::NAMES.join(", "), other)),
                })
            }

            /// Its name.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $name,)*
                    Self::Own(own) => own.name(),
                }
            }

            /// What its parameters say of it.
            fn parameters(&self) -> &dyn MethodParameters {
                match self {
                    $(Self::$variant(parameters) => parameters,)*
                    Self::Own(own) => own,
                }
            }

            fn parameters_mut(&mut self) -> &mut dyn MethodParameters {
                match self {
                    $(Self::$variant(parameters) => parameters,)*
                    Self::Own(own) => own,
                }
            }
        }
    };
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self::Cfm(CfmConfig::default())
    }
}

impl MethodConfig {
    /// The parameters of a method of one's own, where a file holds their name.
    ///
    /// # Errors
    /// Another method.
    pub(crate) fn given(&mut self, own: &OwnMethod) -> Result<()> {
        match self {
            Self::Own(named) if named == own => named.clone_from(own),
            other => return Err(Error::parameter("method", format!("{own:?}"), format!("{other:?}"))),
        }
        Ok(())
    }

    /// All names with what they are, as a line of help: `cfm (flow matching), …`.
    pub fn help() -> String {
        Self::ABOUT.iter().map(|(name, about)| format!("{name} ({about})")).collect::<Vec<_>>().join(", ")
    }

    /// # Errors
    /// A number outside its range, or a source that does not fit the coupling.
    pub fn check(&self) -> Result<()> {
        self.parameters().check()?;
        match (self.coupling(), self.source()) {
            (Coupling::Paired, SourceKind::KaimingUniform | SourceKind::KaimingNormal | SourceKind::Gaussian) => {
                let expected = "zoo or recorded with the paired coupling, which trains on recorded starts";
                Err(Error::parameter(
                    format!("method.{}.source", self.name()),
                    expected,
                    format!("{:?}", self.source()),
                ))
            }
            _ => Ok(()),
        }
    }

    /// Marginals of a curve, ends included.
    pub fn marginals(&self) -> usize {
        self.parameters().marginals()
    }

    /// The method for runs whose starts were not recorded or follow no known law: from this source, by the independent coupling, where it has a choice.
    #[must_use]
    pub fn from_source(mut self, source: SourceKind) -> Self {
        self.parameters_mut().start_from(source);
        self
    }

    /// Whether its closed form reads the curves in the order of the runs.
    pub(crate) fn reads_runs_in_order(&self) -> bool {
        self.parameters().reads_runs_in_order()
    }

    /// The method with no more marginals than runs of so many `checkpoints` have.
    #[must_use]
    pub fn within(mut self, checkpoints: usize) -> Self {
        if self.marginals() > checkpoints
            && let Some((_, most)) = self.parameters().most_marginals(checkpoints)
        {
            self.parameters_mut().set_marginals(most);
        }
        self
    }

    /// The setting (`method.mmfm.marginals=3`) with which the method fits runs of so many `checkpoints`, where it asks for more marginals than
    /// they have and a setting can help.
    pub fn remedy(&self, checkpoints: usize) -> Option<String> {
        let (key, most) = self.parameters().most_marginals(checkpoints).filter(|_| self.marginals() > checkpoints)?;
        let fits = self.clone().within(checkpoints).marginals() <= checkpoints;
        fits.then(|| format!("method.{}.{key}={most}", self.name()))
    }

    /// Whether the method is solved at once, without optimiser steps.
    pub fn is_solved(&self) -> bool {
        self.parameters().is_solved()
    }

    /// Parameters that [`Self::build`] makes, told before it does; see [`MethodParameters::numbers`].
    pub fn numbers(&self, curves: usize, dimension: usize, field: &FieldConfig) -> usize {
        self.parameters().numbers(curves, dimension, field)
    }

    /// How marginals are joined to curves.
    pub fn coupling(&self) -> Coupling {
        self.parameters().coupling()
    }

    /// What it starts from.
    pub fn source(&self) -> SourceKind {
        self.parameters().source()
    }

    /// Standard deviation of a Gaussian source.
    pub fn source_deviation(&self) -> f64 {
        self.parameters().source_deviation()
    }

    /// Starts of a Gaussian source that are drawn once and trained on again and again; 0 where every step draws its own.
    pub fn source_points(&self) -> usize {
        self.parameters().source_points()
    }

    /// The method over points `[dimension]` with marginals at `times`, its net's first parameters drawn from `streams`. Methods with a
    /// potential have its sizes among their own parameters; `field` is the net of the others.
    ///
    /// # Errors
    /// A number outside its range, or times that do not fit.
    pub fn build(
        &self,
        times: &[f64],
        dimension: usize,
        field: &FieldConfig,
        streams: &Streams,
    ) -> Result<Box<dyn Method>> {
        self.check()?;
        self.parameters().build(times, dimension, field, streams)
    }
}

methods! {
    /// Conditional flow matching (M4).
    Cfm(CfmConfig) = "cfm": "flow matching on the two ends";
    /// Multi-marginal flow matching (M5).
    Mmfm(MmfmConfig) = "mmfm": "flow matching on several marginals";
    /// JKO steps of a learned potential (M6).
    Jko(JkoConfig) = "jko": "JKO steps of a potential";
    /// Action matching (M7).
    Action(ActionConfig) = "action": "action matching";
    /// Denoising diffusion (M9).
    Ddpm(DdpmConfig) = "ddpm": "diffusion";
    /// Kernel density around trained networks, SANE's sampling (M9).
    Kde(KdeConfig) = "kde": "kernel density";
    /// A Gaussian of mean, diagonal and low-rank deviations, SWAG.
    Swag(SwagConfig) = "swag": "Gaussian of iterates";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_methods_and_back_and_files_have_the_same_keys() {
        for (name, _) in MethodConfig::ABOUT {
            let method = MethodConfig::named(name).unwrap();
            assert_eq!(method.name(), *name);
            method.check().unwrap();
            let text = toml::to_string(&method).unwrap();
            assert!(text.starts_with(&format!("[{name}]\n")), "{text}");
            assert_eq!(toml::from_str::<MethodConfig>(&text).unwrap(), method);
        }
        let message = MethodConfig::named("magic").unwrap_err().to_string();
        assert!(message.contains("cfm, mmfm, jko, action, ddpm, kde") && message.contains("magic"), "{message}");
        assert!(toml::from_str::<MethodConfig>("[magic]\n").unwrap_err().to_string().contains("`mmfm`"));
        assert_eq!(MethodConfig::help().matches(" (").count(), MethodConfig::NAMES.len());
    }

    #[test]
    fn a_method_that_asks_for_too_many_marginals_knows_the_setting_that_fits() {
        // Ends included: k + 2 marginals of mmfm and action, k + 1 of jko.
        for (name, key, of_four) in [("mmfm", "marginals", 2), ("jko", "steps", 3), ("action", "marginals", 2)] {
            let method = MethodConfig::named(name).unwrap();
            assert!(method.marginals() > 4);
            assert_eq!(method.remedy(4), Some(format!("method.{name}.{key}={of_four}")));
            assert_eq!(method.clone().within(4).marginals(), 4);
            assert_eq!(method.clone().within(method.marginals()), method);
            assert_eq!(method.remedy(method.marginals()), None);
            assert_eq!(method.remedy(1), None, "no setting makes do with one checkpoint");
        }
        assert_eq!(MethodConfig::default().remedy(1), None);
    }

    #[test]
    fn a_source_that_was_not_recorded_is_refused_with_the_paired_coupling() {
        for (source, fits) in [
            (SourceKind::Zoo, true),
            (SourceKind::Recorded, true),
            (SourceKind::Gaussian, false),
            (SourceKind::KaimingNormal, false),
            (SourceKind::KaimingUniform, false),
        ] {
            let paired = MethodConfig::Cfm(CfmConfig { source, ..CfmConfig::default() });
            assert_eq!(paired.check().is_ok(), fits, "{source:?}");
            let coupling = Coupling::Independent;
            MethodConfig::Cfm(CfmConfig { source, coupling, ..CfmConfig::default() }).check().unwrap();
        }
    }
}
