//! [`MetaModel`]: a fitted law over the weights of networks, in memory.
use super::config::FitConfig;
use super::record::Record;
use crate::context::Context;
use crate::method::Method;
use crate::space::coordinates::Coordinates;
use crate::space::flat::FlatNoise;
use crate::space::latent::Decoder;
use crate::space::latent::{Autoencoder, Space};
use crate::space::source::Source;
use crate::{Error, Layout, Result, Streams};
use std::sync::Arc;
use thalweg_nets::Architecture;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::Template;

/// A fitted law over the weights of networks.
pub struct MetaModel {
    /// The configuration of the fit.
    pub config: FitConfig,
    /// Times of the marginals that it was trained on.
    pub times: Vec<f64>,
    /// Where the tensors of a sample lie.
    pub layout: Layout,
    /// The base networks, where they are known.
    pub architecture: Option<Architecture>,
    /// What they were trained on, where it is known.
    pub data: Option<DataSpec>,
    /// What the file of a network looks like, where the zoo was imported; else networks are written plainly.
    pub template: Option<Arc<Template>>,
    /// M2.
    pub coordinates: Coordinates,
    /// M8, where the method runs in a latent space.
    pub latent: Option<Arc<dyn Autoencoder>>,
    /// Noise in the place of what the latent space leaves out, in units of the standardised weights' scale, where the fit asked for some.
    pub residual: Option<Arc<FlatNoise>>,
    /// p₀.
    pub source: Source,
    /// The encoder of support sets, of a conditional model.
    pub context: Option<Context>,
    /// The trained method.
    pub method: Box<dyn Method>,
    /// How it came to be.
    pub record: Record,
}

impl MetaModel {
    /// Where the method's points live.
    pub fn space(&self) -> Space<'_> {
        Space { coordinates: &self.coordinates, latent: self.latent.as_deref() }
    }

    /// A copy with a net of its own.
    ///
    /// # Errors
    /// A model with contexts: what tunes and measures copies does not give them any.
    pub fn duplicate(&self) -> Result<Self> {
        if self.context.is_some() {
            return Err(Error::contexts("model", false));
        }
        let dimension = self.space().dimension();
        let mut method = self.config.method.build(&self.times, dimension, &self.config.field, &Streams::new(0))?;
        let slots = self.method.layout().slots();
        method.shaped(&|name| slots.iter().find(|slot| slot.name == name).map(|slot| slot.shape.clone()));
        method.parameters_mut().copy_from_slice(self.method.parameters());
        Ok(Self {
            config: self.config.clone(),
            times: self.times.clone(),
            layout: self.layout.clone(),
            architecture: self.architecture.clone(),
            data: self.data.clone(),
            template: self.template.clone(),
            coordinates: self.coordinates.clone(),
            latent: self.latent.clone(),
            residual: self.residual.clone(),
            source: self.source.clone(),
            context: None,
            method,
            record: self.record.clone(),
        })
    }
}
