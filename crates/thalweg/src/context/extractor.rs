//! What the rows of a task go through before the encoder (M10): nothing, or a network that does not learn.
use super::body::Body;
use super::config::Features;
use super::onnx::Onnx;
use crate::{Error, Result};
use std::borrow::Cow;
use std::path::Path;
use thalweg_nets::data::Dataset;
use thalweg_nets::zoo::ZooStore;

/// From rows to the features that the encoder sees.
#[derive(Debug)]
pub enum Extractor {
    /// Rows as the networks of their task see them.
    Rows,
    /// Raw values, which are the user's own features.
    File,
    /// What enters the last layer of a base network.
    Body(Body),
    /// The user's own network.
    Onnx(Box<Onnx>),
}

impl Extractor {
    /// The one that `features` asks for, for tasks like that of `zoo`.
    ///
    /// # Errors
    /// A zoo without a centre or an architecture where its centre is asked for; an ONNX file that cannot be run.
    pub fn new(features: &Features, zoo: &ZooStore) -> Result<Self> {
        Ok(match features {
            Features::Rows => Self::Rows,
            Features::File => Self::File,
            Features::Onnx(path) => Self::Onnx(Box::new(Onnx::open(path)?)),
            Features::Centre => match (zoo.architecture(), zoo.centre()?) {
                (Some(architecture), Some(centre)) => Self::Body(Body::of(architecture, &centre)?),
                _ => {
                    let expected = "rows, file or onnx for zoos without a centre";
                    return Err(Error::parameter("context.features", expected, "centre"));
                }
            },
        })
    }

    /// The one of a model in the folder `dir`, from the `body` that its weights hold, if any.
    ///
    /// # Errors
    /// As [`Self::new`]; a body where none belongs, or none where one does.
    pub fn of_model(features: &Features, body: Option<Body>, dir: &Path) -> Result<Self> {
        match (features, body) {
            (Features::Rows, None) => Ok(Self::Rows),
            (Features::File, None) => Ok(Self::File),
            (Features::Onnx(_), None) => Ok(Self::Onnx(Box::new(Onnx::open(&dir.join(ONNX))?))),
            (Features::Centre, Some(body)) => Ok(Self::Body(body)),
            (Features::Centre, None) => {
                Err(Error::parameter("context.features", "the tensor body beside centre", "none"))
            }
            (_, Some(_)) => Err(Error::parameter("context.features", "centre beside a tensor body", "another")),
        }
    }

    /// The ONNX file, where there is one.
    pub fn onnx(&self) -> Option<&[u8]> {
        match self {
            Self::Onnx(onnx) => Some(onnx.bytes()),
            _ => None,
        }
    }

    /// Features `[n, F]` of `rows`.
    ///
    /// # Errors
    /// Rows of another size.
    pub fn of<'a>(&self, rows: &'a Dataset) -> Result<Cow<'a, [f32]>> {
        Ok(match self {
            Self::Rows => Cow::Borrowed(&rows.inputs),
            Self::File => Cow::Owned(rows.raw()),
            Self::Body(body) => Cow::Owned(body.of_rows(&rows.inputs)?),
            Self::Onnx(onnx) => Cow::Owned(onnx.of(rows)?),
        })
    }
}

/// The name of an ONNX file in a model's folder.
pub const ONNX: &str = "features.onnx";
