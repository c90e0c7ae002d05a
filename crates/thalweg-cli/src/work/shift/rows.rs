//! Rows for tests of shift: data sets as f expects them.
use crate::data::ensure;
use crate::session::Session;
use anyhow::{Result, bail};
use thalweg_nets::data::{DataRecord, DataSpec, Site, Unlabelled};
use thalweg_nets::progress::Progress;

/// Reads `NAME[:DIR]`, with a hospital for the heart data.
///
/// # Errors
/// An unknown set, a site that is none.
pub fn spec(text: &str, site: Option<&str>, session: &Session) -> Result<DataSpec> {
    let mut spec = DataSpec::parse(text)?;
    if let Some(site) = site {
        let known = [
            ("cleveland", Site::Cleveland),
            ("hungary", Site::Hungary),
            ("switzerland", Site::Switzerland),
            ("long-beach", Site::LongBeach),
            ("others", Site::Others),
        ];
        match known.iter().find(|(name, _)| *name == site) {
            Some(&(_, site)) => spec.site = Some(site),
            None => bail!("--site: expected one of {}, found {site}", known.map(|(name, _)| name).join(", ")),
        }
        spec.check()?;
    }
    ensure(&spec, &session.progress)?;
    Ok(spec)
}

/// All rows of a set as those of `source` are: columns by name, standardised alike, labelled or not. What is to be known of them is told.
///
/// # Errors
/// Missing or damaged files, another shape, other columns.
pub fn as_source(spec: &DataSpec, source: &DataRecord, session: &Session) -> Result<Unlabelled> {
    let data = spec.load_unlabelled(Some(source))?;
    data.notes.iter().for_each(|note| session.progress.note(note));
    Ok(data)
}
