//! `thalweg encode`: the latents of networks, and what becomes of networks that are encoded and decoded again.
use crate::common::Outcome;
use crate::output::{Inputs, Plan};
use crate::results::Results;
use crate::session::Session;
use crate::work::encode::reconstruction::{components, judged};
use crate::work::encode::{Encoded, of_networks, of_runs};
use anyhow::{Result, bail};
use std::path::PathBuf;
use thalweg::model::MetaModel;
use thalweg::space::latent::{LatentConfig, Latents};
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
    let Encoded { shape, values, parts } = match (&args.networks, &zoo) {
        (Some(path), _) => of_networks(path, &model, session)?,
        (None, Some(zoo)) => of_runs(zoo, &model, args.runs, session)?,
        (None, None) => bail!("expected NETWORKS or --zoo"),
    };
    let kind = model.config.latent.as_ref().map_or("", LatentConfig::name);
    let latents = Latents::new(shape, values, latent, kind);
    latents.write(out.path())?;
    let pca = zoo.as_ref().map(|zoo| components(&model, zoo)).transpose()?.flatten();
    let (table, rows) = judged(&model, latent, pca.as_ref(), &parts, session)?;
    session.show(&table);
    let mut results = Results::new(session.seed_or(0));
    results.rows = rows;
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish_file(out, results)?;
    session.say(&format!("Made {}: latents {:?}.", made.display(), latents.shape));
    Ok(Outcome::Done)
}
