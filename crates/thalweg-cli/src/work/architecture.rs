//! Architectures as flags and files name them: a preset, which is made to fit the data, or a TOML or ONNX file.
use crate::data;
use anyhow::{Context, Result, bail};
use std::path::Path;
use thalweg_nets::Architecture;
use thalweg_nets::architecture::{Preset, Shape};
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Progress;

/// Flags that say what networks are that do not say it themselves.
#[derive(clap::Args, Clone, Debug)]
pub struct ArchitectureFlags {
    /// Architecture of the networks: cnn-s, cnn-m, mlp, digits (with --data), or a TOML or ONNX file
    #[arg(long, value_name = "NAME|FILE")]
    pub arch: Option<String>,
    /// Hidden widths of an mlp, e.g. 32,16
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "arch")]
    widths: Vec<usize>,
}

impl ArchitectureFlags {
    /// The architecture, where it is given; a preset takes its shape from `data`.
    ///
    /// # Errors
    /// A preset without data; as [`architecture`].
    pub fn given(&self, data: Option<&DataSpec>, progress: &dyn Progress) -> Result<Option<Architecture>> {
        let Some(name) = &self.arch else { return Ok(None) };
        match data {
            Some(data) => architecture(name, &self.widths, data, progress).map(Some),
            None => match of_file(name.as_ref())? {
                Some(architecture) => Ok(Some(architecture)),
                None => bail!("--arch {name} takes its shape from --data, which is missing"),
            },
        }
    }
}

/// The architecture of a TOML or ONNX file; none where the name has another end.
fn of_file(path: &Path) -> Result<Option<Architecture>> {
    match path.extension().and_then(|end| end.to_str()) {
        Some("toml") => Ok(Some(Architecture::read(path)?)),
        Some("onnx") => Ok(Some(thalweg_nets::onnx::read(path)?.0)),
        _ => Ok(None),
    }
}

/// A preset made to fit the data, or a TOML or ONNX file taken as it is.
///
/// # Errors
/// An unknown preset, a file that is none, a preset that the data's shape does not fit.
pub fn architecture(name: &str, widths: &[usize], data: &DataSpec, progress: &dyn Progress) -> Result<Architecture> {
    match named(name, widths)? {
        Named::File(architecture) => Ok(architecture),
        preset => {
            let train = data::load(data, progress)?.train;
            preset.build(data, train.shape, train.classes)
        }
    }
}

/// What the name of an architecture stands for.
pub enum Named {
    /// A whole architecture.
    File(Architecture),
    /// Layers that are made to fit inputs.
    Preset(Preset, String),
}

impl Named {
    /// The architecture; a file's whatever the inputs are.
    ///
    /// # Errors
    /// A preset that the shape does not fit.
    pub fn build(self, data: &DataSpec, shape: Shape, classes: usize) -> Result<Architecture> {
        match self {
            Self::File(architecture) => Ok(architecture),
            Self::Preset(preset @ Preset::Mlp { .. }, _) => Ok(preset.build(shape, classes)?),
            Self::Preset(preset, name) => preset.build(shape, classes).with_context(|| {
                format!(
                    "--arch {name} does not fit {}, inputs {shape:?} [channels, height, width]; mlp fits all",
                    data.title()
                )
            }),
        }
    }
}

/// Reads the name of an architecture.
///
/// # Errors
/// An unknown preset, widths that it does not have, a file that is none.
pub fn named(name: &str, widths: &[usize]) -> Result<Named> {
    if let Some(architecture) = of_file(name.as_ref())? {
        if !widths.is_empty() {
            bail!("--widths: {name} says its own widths; leave the flag out, or take --arch mlp");
        }
        return Ok(Named::File(architecture));
    }
    if name == "mlp" && widths.is_empty() {
        bail!("--arch mlp wants its hidden widths: --widths 32,16");
    }
    let preset = Preset::named(name, widths)?;
    if name != "mlp" && !widths.is_empty() {
        bail!("--widths: {name} has its own widths; leave the flag out, or take --arch mlp");
    }
    Ok(Named::Preset(preset, name.to_owned()))
}
