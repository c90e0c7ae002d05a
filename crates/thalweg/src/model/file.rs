//! [`MetaModel`]s as folders, written whole and read back.
use super::card;
use super::config::FitConfig;
use super::meta_model::MetaModel;
use super::record::Record;
use super::timing::{TIMING, Timing};
use crate::context::{Body, Context, Encoder, Extractor, ONNX};
use crate::method::OwnMethod;
use crate::nn::parameters::Parameters;
use crate::space::coordinates::Coordinates;
use crate::space::flat::FlatNoise;
use crate::space::source::{FamilyLaw, Source};
use crate::tensors::{Large, TensorFile, TensorWriter};
use crate::{Artefact, Error, Layout, Result, Streams};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use thalweg_nets::data::DataSpec;
use thalweg_nets::files::{content_of, write_whole};
use thalweg_nets::init::Initialisation;
use thalweg_nets::zoo::InitialLaw;
use thalweg_nets::zoo::template::{self, Template};
use thalweg_nets::{Architecture, checksum, memory};

/// Names of the files of a model: the rest of it, its weights, the seconds that it took, its card, the network of frozen features, which only some
/// conditional models have, and what the file of a network looks like, which only models of imported zoos have.
pub const FILES: [&str; 6] = ["model.toml", "model.safetensors", TIMING, "README.md", ONNX, template::FILE];

const FORMAT: u32 = 2;

/// `model.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ModelFile {
    format: u32,
    /// BLAKE3 of `model.safetensors`.
    weights: String,
    times: Vec<f64>,
    source: SourceFile,
    record: Record,
    /// Numbers of a row, and classes, of the encoder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encoder: Option<[usize; 2]>,
    /// BLAKE3 of `features.onnx`, where support sets go through one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    features: Option<String>,
    /// BLAKE3 of `template.safetensors`, where the zoo had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<String>,
    fit: FitConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    data: Option<DataSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    architecture: Option<Architecture>,
    layout: Layout,
}

fn hash_of(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

fn hash_of_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let read = fs::File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
    read.map_err(Error::io("read", path)).map(|()| hasher.finalize().to_hex().to_string())
}

/// The tensors of `layout` within `numbers`, all named `family.…`.
fn named<'a>(family: &str, layout: &Layout, numbers: &'a [f32]) -> Vec<Large<'a>> {
    let slots = layout.slots().iter();
    slots.map(|slot| (format!("{family}.{}", slot.name), slot.shape.clone(), &numbers[slot.range()])).collect()
}

/// A source as `model.toml` has it; its weights, if any, are the tensor `source`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum SourceFile {
    Gaussian,
    ScaledGaussian { deviation: f32 },
    Kaiming(Initialisation),
    AroundCentre { noise: f64 },
    Families { shares: Vec<f64> },
    Recorded,
}

impl MetaModel {
    /// Writes the folder `dir`; files of a model that stands there are replaced with `force`, other files are left alone.
    ///
    /// # Errors
    /// A model that stands there without `force`, or whatever the system refuses.
    pub fn save(&self, dir: &Path, force: bool) -> Result<()> {
        let [rest, numbers, seconds, readme, features, shape] = FILES.map(|name| dir.join(name));
        if !force && rest.exists() {
            return Err(Error::Exists(dir.to_path_buf()));
        }
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let p = self.layout.len();
        let mut tensors: Vec<Large> = named("net", self.method.layout(), self.method.parameters());
        if let Some(latent) = &self.latent {
            tensors.extend(named("latent", latent.layout(), latent.parameters()));
        }
        if let Some(residual) = &self.residual {
            tensors.extend(named("residual", residual.layout(), residual.numbers()));
        }
        if let Some(context) = &self.context {
            tensors.extend(named("encoder", context.encoder.layout(), context.encoder.parameters()));
            if let Extractor::Body(body) = &context.extractor {
                tensors.push(("body".into(), vec![body.theta().len()], body.theta()));
            }
        }
        tensors.push(("coordinates.mean".into(), vec![p], self.coordinates.mean()));
        tensors.push(("coordinates.scale".into(), vec![p], self.coordinates.scale()));
        let source = match &self.source {
            Source::Gaussian { deviation: 1.0 } => SourceFile::Gaussian,
            Source::Gaussian { deviation } => SourceFile::ScaledGaussian { deviation: *deviation },
            Source::Weights(InitialLaw::Kaiming(law)) => SourceFile::Kaiming(*law),
            Source::Weights(InitialLaw::AroundCentre { noise, centre }) => {
                tensors.push(("source".into(), vec![p], centre));
                SourceFile::AroundCentre { noise: *noise }
            }
            Source::Families(law) => {
                tensors.push(("source".into(), vec![law.shares.len(), p], &law.means));
                tensors.push(("source.deviations".into(), vec![p], &law.deviations));
                SourceFile::Families { shares: law.shares.clone() }
            }
            Source::Recorded(theta) => {
                tensors.push(("source".into(), vec![theta.len() / p, p], theta));
                SourceFile::Recorded
            }
        };
        // Under its name at once: model.toml, which alone makes a model of a folder, comes last.
        TensorWriter::default().write_with(&numbers, &tensors)?;
        let onnx = self.context.as_ref().and_then(|context| context.extractor.onnx());
        let template = self.template.as_ref().map(|template| template.to_bytes()).transpose()?;
        let file = ModelFile {
            format: FORMAT,
            weights: hash_of_file(&numbers)?,
            features: onnx.map(hash_of),
            template: template.as_deref().map(hash_of),
            times: self.times.clone(),
            source,
            record: self.record.clone(),
            fit: self.config.clone(),
            encoder: self.context.as_ref().map(|c| [c.encoder.inputs(), c.encoder.classes()]),
            data: self.data.clone(),
            architecture: self.architecture.clone(),
            layout: self.layout.clone(),
        };
        let file =
            toml::to_string(&file).map_err(|e| Error::parameter("model.toml", "values that TOML can hold", e))?;
        write_whole(&readme, card::text(self).as_bytes())?;
        if let Some(onnx) = onnx {
            write_whole(&features, onnx)?;
        }
        match &template {
            Some(bytes) => write_whole(&shape, bytes)?,
            // One of the model that stood here before would be read as this one's.
            None if force && shape.exists() => fs::remove_file(&shape).map_err(Error::io("remove", &shape))?,
            None => {}
        }
        write_whole(&seconds, Timing::of(&self.record).to_toml()?.as_bytes())?;
        write_whole(&rest, checksum::seal_text(file).as_bytes())
    }

    /// Reads a folder that [`Self::save`] wrote, or that claims so.
    ///
    /// # Errors
    /// Anything missing, unknown, of another shape, or not finite: named by file and field.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::opened(dir, None)
    }

    /// Reads the folder of a model of a method of one's own, which has to be the one that it was fitted with.
    ///
    /// # Errors
    /// As [`Self::load`]; a model of another method.
    pub fn load_with(dir: &Path, own: &OwnMethod) -> Result<Self> {
        Self::opened(dir, Some(own))
    }

    fn opened(dir: &Path, own: Option<&OwnMethod>) -> Result<Self> {
        let path = dir.join("model.toml");
        let text = fs::read_to_string(&path).map_err(|e| match dir.is_dir() && !path.exists() {
            // A folder of something else: the path is not the fault.
            true => Error::not_this(dir, Artefact::Model, "a folder with a model.toml", content_of(dir)),
            false => Error::io("read", if dir.exists() && !dir.is_dir() { dir } else { &path })(e),
        })?;
        let mut file: ModelFile = toml::from_str(&text).map_err(|e| {
            Error::format(&path, "meta-model", "known keys with values of their types", e.to_string().trim())
        })?;
        let sealed = checksum::check_text(&path, &text);
        let in_toml = |e: Error| e.in_file(&path);
        if file.format != FORMAT {
            let found = format!("{}: written by another version; fit the model again", file.format);
            return Err(Error::format(&path, "format", FORMAT, found));
        }
        own.map_or(Ok(()), |own| file.fit.method.given(own)).map_err(in_toml)?;
        file.fit.check().map_err(in_toml)?;
        check_layout(&path, &file.layout)?;
        if file.architecture.as_ref().is_some_and(|a| Layout::of(a) != file.layout) {
            return Err(Error::format(&path, "layout", "that of the architecture", "another"));
        }
        if file.times.len() != file.fit.method.marginals() {
            return Err(Error::format(
                &path,
                "times",
                format!("{} of them", file.fit.method.marginals()),
                file.times.len(),
            ));
        }
        // After what can be told more closely.
        sealed?;
        Timing::read(dir).enter(&mut file.record);
        let weights = dir.join("model.safetensors");
        memory::reading(&weights, 1)?.check(|| None)?;
        let tensors = TensorFile::open(&weights)?;
        let hash = hash_of_file(&weights)?;
        if hash != file.weights {
            return Err(Error::format(&weights, "BLAKE3", format!("{}, as model.toml says", file.weights), hash));
        }
        // The coordinates come first: they prove P before a net of that size is made.
        let (p, tensor) = (file.layout.len(), |name: &str, shape: &[usize]| tensors.single(name, shape));
        let (mean, scale) = (tensor("coordinates.mean", &[p])?, tensor("coordinates.scale", &[p])?);
        let coordinates = Coordinates::from_parts(file.fit.standardiser, &file.layout, mean, scale)
            .map_err(|e| e.in_file(&weights))?;
        let source = match file.source {
            SourceFile::Gaussian => Source::STANDARD,
            SourceFile::ScaledGaussian { deviation } => Source::Gaussian { deviation },
            SourceFile::Kaiming(law) => Source::Weights(InitialLaw::Kaiming(law)),
            SourceFile::AroundCentre { noise } => {
                Source::Weights(InitialLaw::AroundCentre { centre: tensor("source", &[p])?, noise })
            }
            SourceFile::Families { shares } => {
                let whole = shares.iter().sum::<f64>();
                if !shares.iter().all(|share| *share > 0.0) || (whole - 1.0).abs() > 1e-6 {
                    let found = format!("{shares:?}");
                    return Err(Error::format(&path, "source.families.shares", "shares above 0 that sum to 1", found));
                }
                let (means, deviations) = (tensor("source", &[shares.len(), p])?, tensor("source.deviations", &[p])?);
                Source::Families(FamilyLaw { shares, means, deviations })
            }
            SourceFile::Recorded => {
                let rows = tensors.shape("source").and_then(|shape| shape.first().copied()).unwrap_or(0);
                Source::Recorded(tensor("source", &[rows.max(1), p])?)
            }
        };
        let fill = |family: &str, layout: &Layout, numbers: &mut [f32]| {
            layout.slots().iter().try_for_each(|slot| {
                tensors.single_into(&format!("{family}.{}", slot.name), &slot.shape, &mut numbers[slot.range()])
            })
        };
        let mut latent =
            file.fit.latent.as_ref().map(|config| config.unfitted(&file.layout)).transpose().map_err(in_toml)?;
        if let Some(latent) = &mut latent {
            fill("latent", &latent.layout().clone(), latent.parameters_mut())?;
        }
        let mut residual = (file.fit.residual_noise > 0.0).then(|| FlatNoise::unfitted(&file.layout));
        if let Some(residual) = &mut residual {
            fill("residual", &residual.layout().clone(), residual.numbers_mut())?;
        }
        let dimension = latent.as_ref().map_or(p, |latent| latent.dimension());
        let context = match (&file.fit.context, file.encoder) {
            (None, None) => None,
            (Some(config), Some([inputs, classes])) if inputs <= 1 << 24 && classes <= 1 << 16 => {
                let mut encoder = Encoder::new(inputs, classes, config, &Streams::new(0)).map_err(in_toml)?;
                fill("encoder", &encoder.layout().clone(), encoder.parameters_mut())?;
                let body = match (tensors.shape("body"), &file.architecture) {
                    (None, _) => None,
                    (Some(_), Some(architecture)) => {
                        let theta = tensor("body", &[Body::parameters(architecture).map_err(in_toml)?])?;
                        Some(Body::of_body(architecture, theta)?)
                    }
                    (Some(_), None) => {
                        return Err(Error::format(&path, "architecture", "that of the frozen network", "none"));
                    }
                };
                let extractor = Extractor::of_model(&config.features, body, dir).map_err(in_toml)?;
                let found = extractor.onnx().map(hash_of);
                if found != file.features {
                    let [expected, found] = [&file.features, &found].map(|hash| hash.as_deref().unwrap_or("none"));
                    return Err(Error::format(
                        dir.join(ONNX),
                        "BLAKE3",
                        format!("{expected}, as model.toml says"),
                        found,
                    ));
                }
                Some(Context { encoder, extractor })
            }
            _ => return Err(Error::format(&path, "encoder", "sizes beside a [fit.context], or neither", "another")),
        };
        let field =
            context.as_ref().map_or(file.fit.field.clone(), |c| file.fit.field.with_context(c.encoder.dimension()));
        let mut method = file.fit.method.build(&file.times, dimension, &field, &Streams::new(0)).map_err(in_toml)?;
        method.shaped(&|name| tensors.shape(&format!("net.{name}")));
        fill("net", &method.layout().clone(), method.parameters_mut())?;
        let template = read_template(dir, file.template.as_deref(), &file.layout)?;
        Ok(Self {
            coordinates,
            template,
            latent: latent.map(Arc::from),
            residual: residual.map(Arc::new),
            config: file.fit,
            times: file.times,
            layout: file.layout,
            architecture: file.architecture,
            data: file.data,
            source,
            context,
            method,
            record: file.record,
        })
    }
}

/// The template of the model in `dir`, whose `model.toml` gives its hash; none where it has none.
fn read_template(dir: &Path, hash: Option<&str>, layout: &Layout) -> Result<Option<Arc<Template>>> {
    let Some(hash) = hash else { return Ok(None) };
    let path = dir.join(template::FILE);
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let template = Template::from_bytes(&path, &bytes, layout)?;
    match hash_of(&bytes) {
        found if found == hash => Ok(Some(Arc::new(template))),
        found => Err(Error::format(&path, "BLAKE3", format!("{hash}, as model.toml says"), found)),
    }
}

/// A layout from outside: tensors without gaps, of sizes that can be.
fn check_layout(path: &Path, layout: &Layout) -> Result<()> {
    let mut offset = 0usize;
    for slot in layout.slots() {
        let size = slot.shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n > 0);
        let end = size.and_then(|size| offset.checked_add(size)).filter(|_| slot.offset == offset);
        offset = end.ok_or_else(|| {
            let found = format!("offset {}, shape {:?}", slot.offset, slot.shape);
            Error::format(path, format!("layout, tensor {}", slot.name), format!("numbers from {offset} on"), found)
        })?;
    }
    match offset {
        0 => Err(Error::format(path, "layout", "at least one tensor", "none")),
        _ => Ok(()),
    }
}
