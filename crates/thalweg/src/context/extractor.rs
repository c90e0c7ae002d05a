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

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::Architecture;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::data::DataSpec;
    use thalweg_nets::engine::Engine;

    fn body() -> (Architecture, Body) {
        let net = Preset::Mlp { widths: vec![6] }.build([1, 8, 8], 10).unwrap();
        let p = Engine::new(&net).unwrap().parameters();
        let theta: Vec<f32> = (0..p).map(|i| (i as f32 * 0.37).sin()).collect();
        let body = Body::of(&net, &theta).unwrap();
        (net, body)
    }

    #[test]
    fn rows_are_taken_as_the_networks_see_them_raw_or_through_the_body() {
        let data = DataSpec::named("digits").load().unwrap().test.first(7);
        assert_eq!(*Extractor::Rows.of(&data).unwrap(), data.inputs);
        let raw = Extractor::File.of(&data).unwrap();
        assert!(raw.len() == data.inputs.len() && *raw != data.inputs, "before standardisation");
        assert!(raw.iter().zip(&data.raw()).all(|(a, b)| a == b));
        // max(0, W x + b) by hand.
        let (_, body) = body();
        let theta = body.theta().to_vec();
        let features = Extractor::Body(body).of(&data).unwrap().into_owned();
        assert_eq!(features.len(), 7 * 6);
        for (i, found) in features.iter().enumerate() {
            let (row, unit) = (data.input(i / 6), i % 6);
            let sum: f32 = row.iter().zip(&theta[unit * 64..]).map(|(x, w)| x * w).sum();
            assert!((found - (sum + theta[6 * 64 + unit]).max(0.0)).abs() < 1e-3, "{i}: {found} {sum}");
        }
        assert!(Extractor::Rows.onnx().is_none());
    }

    #[test]
    fn a_model_has_a_body_where_its_features_are_the_centres_and_nowhere_else() {
        let dir = Path::new("nowhere");
        let said = |features: &Features, with: bool| {
            let body = with.then(|| body().1);
            Extractor::of_model(features, body, dir).map(|_| ()).map_err(|e| e.to_string())
        };
        assert!(said(&Features::Rows, false).is_ok() && said(&Features::File, false).is_ok());
        assert!(said(&Features::Centre, true).is_ok());
        assert!(said(&Features::Centre, false).unwrap_err().contains("tensor body"));
        assert!(said(&Features::Rows, true).unwrap_err().contains("centre beside a tensor body"));
        let missing = said(&Features::Onnx("mine.onnx".into()), false).unwrap_err();
        assert!(missing.contains(ONNX), "the file of the model, not the user's: {missing}");
    }
}
