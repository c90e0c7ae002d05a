//! Samples of a model: where they go, the task that they are for, and what is known of them.
use crate::data;
use crate::for_torch;
use crate::output::{Folder, OutFile, Plan};
use crate::results::Results;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::borrow::Cow;
use std::path::Path;
use thalweg::Streams;
use thalweg::context::{Conditioning, Features};
use thalweg::model::sample::{SampleRequest, Sampled};
use thalweg::model::{MetaModel, Networks};
use thalweg_nets::data::{DataSpec, Dataset};
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::train::{has_statistics, recalibrate};

/// Rows a class of a context where none are named.
const ROWS_A_CLASS: usize = 20;

/// How networks are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// theta [n, P] in one safetensors file
    Stack,
    /// One safetensors file a network with PyTorch's tensor names
    PerNetwork,
}

/// Where the networks go.
pub enum Target {
    /// All into one file.
    File(OutFile),
    /// Each into a file of its own.
    Folder(Folder),
}

impl Target {
    /// Claims the target of a command that is planned so.
    ///
    /// # Errors
    /// A target that exists.
    pub fn claim(format: Format, plan: &Plan, session: &Session) -> Result<Self> {
        Ok(match format {
            Format::Stack => Self::File(session.file("samples.safetensors", true, plan)?),
            Format::PerNetwork => {
                let folder = session.folder("samples", plan)?;
                Self::Folder(folder.context("a command that starts anew each time is never finished already")?)
            }
        })
    }

    /// The path that the user knows it by.
    pub fn shown(&self) -> &Path {
        match self {
            Self::File(out) => out.shown(),
            Self::Folder(out) => out.shown(),
        }
    }

    /// Draws the networks that `request` asks of `model` and writes them as they come, into a file with their states on the way, described as `about`,
    /// which has no weights, is; `from` says in words where they come from.
    ///
    /// # Errors
    /// As [`MetaModel::sample_into`]; where the system refuses.
    pub fn draw(
        &self,
        model: &MetaModel,
        request: &SampleRequest,
        recalibration: Option<&Recalibration>,
        about: &Networks,
        from: &str,
        session: &Session,
    ) -> Result<Sampled> {
        request.check()?;
        session.progress.begin("sampling", request.n as u64);
        let drawn = match self {
            Self::File(out) => {
                let mut file = about.begin_stack(out.path(), request.n, &request.at)?;
                let drawn = model.sample_into(request, &mut |rows, theta, states| {
                    session.progress.advance(rows.len() as u64);
                    file.put(rows.clone(), &Recalibration::applied(recalibration, rows.start, theta)?, states)
                })?;
                file.finish()?;
                drawn
            }
            Self::Folder(out) => {
                let drawn = model.sample_into(request, &mut |rows, theta, _| {
                    session.progress.advance(rows.len() as u64);
                    let theta = &Recalibration::applied(recalibration, rows.start, theta)?;
                    match &model.template {
                        Some(template) => Networks::write_as(rows.start, theta, out.dir(), &model.layout, template),
                        None => Networks::write_some(rows.start, theta, out.dir(), &model.layout),
                    }
                })?;
                let (n, template) = (request.n, model.template.as_deref());
                for_torch::write(about, n, template, out.dir(), from, &|line| session.progress.note(line))?;
                drawn
            }
        };
        session.progress.end();
        Ok(drawn)
    }

    /// Ends the command with its results.
    ///
    /// # Errors
    /// Where something cannot be written.
    pub fn finish(self, results: Results, session: &Session) -> Result<()> {
        match self {
            Self::File(out) => session.finish_file(out, results),
            Self::Folder(out) => session.finish(Some(out), results),
        }
    }
}

/// The context that `DATA[:N]` names, drawn by `seed`, and the data, where the networks are for them.
///
/// # Errors
/// Data that cannot be had, a model without contexts.
pub fn conditioned(
    text: &str,
    model: &MetaModel,
    guidance: f64,
    seed: u64,
    session: &Session,
) -> Result<(Conditioning, Option<DataSpec>)> {
    let (data, each) = match text.rsplit_once(':').and_then(|(data, n)| Some((data, n.parse::<usize>().ok()?))) {
        Some((data, each)) => (data, each),
        None => (text, ROWS_A_CLASS),
    };
    let spec = DataSpec::parse(data)?;
    let splits = data::load(&spec, &session.progress)?;
    let (rows, bound) = (splits.train, spec.bound(&splits.record));
    let (context, support) = model.condition(&rows, each, guidance, &Streams::new(seed).child("context"))?;
    session.progress.detail(&format!("context: {} rows of {}", support.len(), spec.title()));
    // A user's own features say what task it is; they are not what the networks take.
    let of_networks = model.config.context.as_ref().is_some_and(|c| c.features != Features::File);
    Ok((context, of_networks.then_some(bound)))
}

/// Rows that statistics of batch normalisation are re-estimated from, at most.
const ROWS: usize = 2_000;
/// Rows of a batch of them.
const BATCH: usize = 128;

/// Statistics of batch normalisation, re-estimated for each sampled network from the same rows.
pub struct Recalibration {
    engine: Engine,
    rows: Dataset,
    streams: Streams,
}

impl Recalibration {
    /// From the training rows of the data called `text`, seen as the networks of `model` take them; none, and told, for networks without batch normalisation.
    ///
    /// # Errors
    /// Networks of an unknown architecture; data that cannot be had or do not fit.
    pub fn from_data(text: &str, model: &MetaModel, session: &Session) -> Result<Option<Self>> {
        let unknown =
            "--recalibrate: the model does not know the architecture of its networks, so nothing can be evaluated";
        let engine = Engine::new(model.architecture.as_ref().context(unknown)?)?;
        if !has_statistics(&engine) {
            session.progress.note("--recalibrate: the networks have no batch normalisation, so they stay as they are");
            return Ok(None);
        }
        let spec = DataSpec::parse(text)?;
        let splits = data::load_for(Some(&spec), model.data.as_ref(), &session.progress)?.context("no data")?;
        let streams = Streams::new(session.seed_or(0)).child("statistics");
        Ok(Some(Self { engine, rows: splits.train.first(ROWS), streams }))
    }

    /// Networks `theta [n, P]`, of which the first has number `first` among all, with new statistics where they are asked for.
    fn applied<'t>(asked: Option<&Self>, first: usize, theta: &'t [f32]) -> thalweg::Result<Cow<'t, [f32]>> {
        let Some(Self { engine, rows, streams }) = asked else { return Ok(Cow::Borrowed(theta)) };
        let mut theta = theta.to_vec();
        recalibrate(engine, &mut theta, first, rows, BATCH, streams)?;
        Ok(Cow::Owned(theta))
    }
}
