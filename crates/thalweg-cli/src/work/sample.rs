//! Samples of a model: where they go, the task that they are for, and what is known of them.
use crate::data;
use crate::for_torch;
use crate::output::{Folder, OutFile, Plan};
use crate::results::Results;
use crate::session::Session;
use anyhow::{Context, Result};
use clap::ValueEnum;
use std::path::Path;
use thalweg::Streams;
use thalweg::context::{Conditioning, Features};
use thalweg::model::sample::{SampleRequest, Sampled};
use thalweg::model::{MetaModel, Networks};
use thalweg_nets::data::DataSpec;
use thalweg_nets::progress::Progress;

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
        about: &Networks,
        from: &str,
        session: &Session,
    ) -> Result<Sampled> {
        session.progress.begin("sampling", request.n as u64);
        let drawn = match self {
            Self::File(out) => {
                let mut file = about.begin_stack(out.path(), request.n, &request.at)?;
                let drawn = model.sample_into(request, &mut |rows, theta, states| {
                    session.progress.advance(rows.len() as u64);
                    file.put(rows, theta, states)
                })?;
                file.finish()?;
                drawn
            }
            Self::Folder(out) => {
                let drawn = model.sample_into(request, &mut |rows, theta, _| {
                    session.progress.advance(rows.len() as u64);
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
