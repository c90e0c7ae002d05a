//! [`Latents`]: latents of networks in a file.
use super::Autoencoder;
use crate::tensors::{TensorReader, TensorWriter};
use crate::{Error, Result};
use std::path::Path;

/// The format of the file, with its version.
const FORMAT: &str = "thalweg latents 1";

/// Latents of networks, normalised, with what they were before.
#[derive(Clone, Debug, PartialEq)]
pub struct Latents {
    /// Shape of `values`: `[n, D]` for networks, `[runs, K, D]` for runs of K checkpoints.
    pub shape: Vec<usize>,
    /// The latents.
    pub values: Vec<f32>,
    /// Standard deviations that latents had before they were normalised, `[D]`.
    pub scales: Vec<f32>,
    /// The kind of autoencoder that made them.
    pub autoencoder: String,
}

impl Latents {
    /// Latents of this `shape` that `autoencoder`, of this kind, made.
    pub fn new(shape: Vec<usize>, values: Vec<f32>, autoencoder: &dyn Autoencoder, kind: &str) -> Self {
        Self { shape, values, scales: autoencoder.scales().to_vec(), autoencoder: kind.into() }
    }

    /// Writes the file: `latents` and `scales` in safetensors. One that is there is replaced.
    ///
    /// # Errors
    /// Values that do not fill the shape; a file that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = TensorWriter::default();
        file.single("latents", &self.shape, &self.values);
        file.single("scales", &[self.scales.len()], &self.scales);
        file.word("format", FORMAT);
        file.word("autoencoder", &self.autoencoder);
        file.write_state(path)
    }

    /// Reads what [`Self::write`] wrote.
    ///
    /// # Errors
    /// No such file; another format; damage; latents and scales of different widths.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = TensorReader::open(path, &bytes)?;
        if file.word("format") != FORMAT {
            return Err(Error::format(path, "format", FORMAT, format!("'{}'", file.word("format"))));
        }
        let ((shape, values), (widths, scales)) = (file.any("latents")?, file.any("scales")?);
        if shape.len() < 2 || widths.len() != 1 || shape.last() != widths.last() {
            let expected = format!("shape [n, D] or [runs, K, D], with D as in scales {widths:?}");
            return Err(Error::format(path, "tensor latents", expected, format!("{shape:?}")));
        }
        Ok(Self { shape, values, scales, autoencoder: file.word("autoencoder").into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latents_come_back_and_what_does_not_fit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("l.safetensors");
        let values = (0..12).map(|i| i as f32 / 7.0).collect();
        let latents = Latents { shape: vec![2, 3, 2], values, scales: vec![0.5, 2.0], autoencoder: "vae".into() };
        latents.write(&path).unwrap();
        assert_eq!(Latents::read(&path).unwrap(), latents);
        Latents { scales: vec![0.5], ..latents.clone() }.write(&path).unwrap();
        assert!(Latents::read(&path).unwrap_err().to_string().contains("tensor latents"));
        assert!(Latents { shape: vec![2, 2], ..latents }.write(&path).is_err());
        TensorWriter::default().write_state(&path).unwrap();
        assert!(Latents::read(&path).unwrap_err().to_string().contains("thalweg latents 1"));
    }
}
