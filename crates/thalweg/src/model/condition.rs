//! Contexts of data to sample a conditional model for (M10).
use super::MetaModel;
use crate::context::{Conditioning, Support};
use crate::{Error, Result, Streams};
use thalweg_nets::data::Dataset;

impl MetaModel {
    /// The context of `each` random rows a class of `data`, to sample for; and the rows themselves.
    ///
    /// # Errors
    /// A model without contexts, data that do not fit.
    pub fn condition(
        &self,
        data: &Dataset,
        each: usize,
        guidance: f64,
        streams: &Streams,
    ) -> Result<(Conditioning, Dataset)> {
        if each == 0 {
            return Err(Error::parameter("samples a class", "at least 1", each));
        }
        let rows = data.subset(&Support::rows(&data.labels, each, streams));
        Ok((self.condition_on(&rows, guidance)?, rows))
    }

    /// The context of all of these rows.
    ///
    /// # Errors
    /// As [`Self::condition`].
    pub fn condition_on(&self, rows: &Dataset, guidance: f64) -> Result<Conditioning> {
        let Some(context) = &self.context else {
            return Err(Error::contexts("context", true));
        };
        Ok(Conditioning { c: context.encode(&context.support(rows)?), guidance })
    }
}
