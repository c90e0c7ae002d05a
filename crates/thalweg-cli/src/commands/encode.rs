//! `thalweg encode`: the latents of networks, and what becomes of networks that are encoded and decoded again.
//!
//! A reconstruction is judged by the accuracy of the decoded networks at every checkpoint, not by its error alone, on runs that the
//! autoencoder was trained on and on runs that it never saw, beside principal components of as many dimensions fitted to the same points.
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, Plan};
use crate::report::figures::mean_sem;
use crate::results::Results;
use crate::row;
use crate::session::Session;
use crate::study::Rows;
use crate::table::{Cell, Table, Weight};
use crate::work;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use thalweg::model::MetaModel;
use thalweg::space::latent::{Autoencoder, LatentConfig, Latents, Pca, PcaConfig, Space, training_points};
use thalweg_nets::Error;
use thalweg_nets::engine::Engine;
use thalweg_nets::progress::Progress;
use thalweg_nets::zoo::ZooStore;

/// Encode networks to latents, and judge what is decoded from them
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  # latents of every run and checkpoint of a zoo
  thalweg encode model/ --zoo zoo/
  # latents of networks in a file
  thalweg encode model/ samples.safetensors --out l.safetensors
  # the same, beside principal components of the zoo
  thalweg encode model/ samples.safetensors --zoo zoo/

The model was fitted in a latent space: thalweg fit zoo/ --set latent.vae.dimension=32. The file holds latents [runs, checkpoints, D]
(or [n, D]), normalised, with the scales [D] that they had before; the table compares test accuracies.")]
pub struct Args {
    /// Folder of the model
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// A stack of networks, a single network, or a folder of single ones (.safetensors)
    #[arg(value_name = "NETWORKS", required_unless_present = "zoo")]
    networks: Option<PathBuf>,
    /// Zoo to encode; beside NETWORKS, the zoo that principal components are taken from
    #[arg(long, value_name = "ZOO")]
    zoo: Option<PathBuf>,
    /// Runs of each part of the zoo whose decoded networks are judged, at most
    #[arg(long, value_name = "N", default_value_t = 32)]
    runs: usize,
}

/// Networks of one row of the table.
struct Part {
    name: String,
    time: f64,
    theta: Vec<f32>,
}

/// Encodes and judges.
///
/// # Errors
/// A model without latent space, networks that do not fit, a target that exists.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    session.no_settings("encode")?;
    if args.runs == 0 {
        bail!("--runs: expected at least 1, found 0");
    }
    let model = MetaModel::load(&args.model)?;
    let dir = args.model.display();
    let Some(latent) = model.latent.as_deref() else {
        bail!(
            "{dir} runs on weights, not in a latent space; fit one with --set latent.vae.dimension=32 (or latent.pca)"
        );
    };
    let zoo = args.zoo.as_deref().map(ZooStore::open).transpose()?;
    if let Some(zoo) = &zoo
        && zoo.layout() != &model.layout
    {
        bail!("{}: its networks are not those of {dir}", zoo.dir().display());
    }
    let inputs = Inputs::default().path(&args.model).paths(&args.networks).paths(&args.zoo).data(model.data.as_ref());
    let plan = Plan { command: "encode", inputs, ..Plan::default() };
    let out = session.file("latents.safetensors", true, &plan)?;
    let (shape, values, parts) = match (&args.networks, &zoo) {
        (Some(path), _) => networks(path, &model, session)?,
        (None, Some(zoo)) => runs_of(zoo, &model, args.runs, session)?,
        (None, None) => bail!("expected NETWORKS or --zoo"),
    };
    let kind = model.config.latent.as_ref().map_or("", LatentConfig::name);
    let latents = Latents::new(shape, values, latent, kind);
    latents.write(out.path())?;
    let pca = zoo.as_ref().map(|zoo| components(&model, zoo)).transpose()?.flatten();
    let (table, mut results) = judged(&model, latent, pca.as_ref(), &parts, session)?;
    session.show(&table);
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish_file(out, results)?;
    session.say(&format!("Made {}: latents {:?}.", made.display(), latents.shape));
    Ok(Outcome::Done)
}

type Encoded = (Vec<usize>, Vec<f32>, Vec<Part>);

fn networks(path: &Path, model: &MetaModel, session: &Session) -> Result<Encoded> {
    let networks = work::networks::read(path, model.architecture.as_ref(), session)?;
    let p = model.layout.len();
    if networks.parameters != p {
        return Err(Error::format(path, "networks", format!("{p} weights each"), networks.parameters).into());
    }
    let latents = model.space().points(networks.theta.clone());
    let shape = vec![networks.len(), latents.len() / networks.len().max(1)];
    Ok((shape, latents, vec![Part { name: "networks".into(), time: f64::NAN, theta: networks.theta }]))
}

/// Latents of all runs that are alive; for judging, so many runs of those trained on and of those never seen, at every checkpoint.
fn runs_of(zoo: &ZooStore, model: &MetaModel, most: usize, session: &Session) -> Result<Encoded> {
    let (alive, k) = (zoo.alive(), zoo.checkpoints());
    session.progress.begin("encoding", alive.len() as u64);
    let mut latents = Vec::new();
    for &run in &alive {
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        latents.extend(model.space().points(zoo.trajectory(run)?));
        session.progress.advance(1);
    }
    session.progress.end();
    let split = model.config.split.of(zoo)?;
    let mut parts = Vec::new();
    for (name, runs) in [("runs trained on", &split.train), ("runs never seen", &split.test)] {
        let runs = &runs[..most.min(runs.len())];
        if runs.is_empty() {
            continue;
        }
        for (checkpoint, &time) in zoo.times().iter().enumerate() {
            let items: Vec<_> = runs.iter().map(|&run| (run, checkpoint)).collect();
            let mut theta = vec![0.0; items.len() * zoo.parameters()];
            zoo.gather(&items, &mut theta)?;
            parts.push(Part { name: name.into(), time, theta });
        }
    }
    let d = latents.len() / (alive.len() * k).max(1);
    Ok((vec![alive.len(), k, d], latents, parts))
}

/// Principal components of the points that the model's autoencoder was fitted to; none where it is that itself, or where there are too
/// few points for as many dimensions.
fn components(model: &MetaModel, zoo: &ZooStore) -> Result<Option<Pca>> {
    let (Some(config), Some(record)) = (&model.config.latent, &model.record.latent) else { return Ok(None) };
    if matches!(config, LatentConfig::Pca(_)) {
        return Ok(None);
    }
    let pca = LatentConfig::Pca(PcaConfig { dimension: config.dimension() });
    let split = model.config.split.of(zoo)?;
    let points = training_points(&pca, zoo, &model.coordinates, &split.train, &record.checkpoints)?;
    match Pca::fit(&PcaConfig { dimension: config.dimension() }, &points, zoo.parameters()) {
        Ok(pca) => Ok(Some(pca)),
        Err(Error::Parameter { .. } | Error::Shape { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

fn judged(
    model: &MetaModel,
    latent: &dyn Autoencoder,
    pca: Option<&Pca>,
    parts: &[Part],
    session: &Session,
) -> Result<(Table, Results)> {
    let name = model.config.latent.as_ref().map_or("", LatentConfig::name);
    let mut results = Results::new(session.seed_or(0));
    let home = model.data.as_ref().context("the model does not say what its networks are for")?;
    let architecture = model.architecture.as_ref().context("the model does not say what its networks are")?;
    let engine = Engine::new(architecture)?;
    let test = Rows::new(&engine, data::load(home, &session.progress)?.test)?;
    let mut columns = vec!["networks", "time", "original", "decoded", "error"];
    if pca.is_some() {
        columns.extend(["decoded by PCA", "error of PCA"]);
    }
    let mut table = Table::new(&columns);
    table.note = format!(
        "Test accuracies of networks before and after {name} with {} latents{}; ± is one standard error over networks. Error: mean squared \
         error of standardised weights (1: that of the mean of the finals, at the end).",
        latent.dimension(),
        if pca.is_some() { ", and as many principal components of the same points" } else { "" },
    );
    session.progress.begin("judging", parts.len() as u64);
    for part in parts {
        if session.progress.interrupted() {
            return Err(Error::Interrupted.into());
        }
        let accuracy = |theta: &[f32]| -> Result<(f64, f64)> { Ok(mean_sem(&test.accuracies(&engine, theta)?)) };
        let n = part.theta.len() / model.layout.len();
        let original = accuracy(&part.theta)?;
        let mut cells =
            vec![part.name.clone().into(), Cell::Number(part.time, 2), Cell::Estimate(original.0, original.1, 4)];
        let mut row =
            row! { "networks" => part.name, "time" => part.time, "n" => n, "accuracy_original" => original.0 };
        for (who, autoencoder) in [(name, Some(latent)), ("pca", pca.map(|pca| pca as &dyn Autoencoder))] {
            let Some(autoencoder) = autoencoder else { continue };
            let space = Space { coordinates: &model.coordinates, latent: Some(autoencoder) };
            let (decoded, error) = space.reconstruct(&part.theta);
            let found = accuracy(&decoded)?;
            cells.extend([Cell::Estimate(found.0, found.1, 4), Cell::Number(error, 3)]);
            row.extend(row! {
                format!("accuracy_{who}") => found.0, format!("accuracy_{who}_sem") => found.1, format!("error_{who}") => error,
            });
        }
        let weight = if part.name.ends_with("seen") { Weight::Strong } else { Weight::Plain };
        table.push(weight, cells);
        results.rows.push(row);
        session.progress.advance(1);
    }
    session.progress.end();
    Ok((table, results))
}
