//! The network that is f, with the data that it was trained on: from files with an architecture beside them, from ONNX, or a run of a zoo.
use super::parts::Flags;
use super::rows;
use crate::data;
use crate::session::Session;
use crate::work::architecture::architecture;
use crate::work::networks;
use anyhow::{Context, Result, bail};
use std::path::Path;
use thalweg::shift::Base;
use thalweg_nets::data::DataSpec;
use thalweg_nets::zoo::ZooStore;
use thalweg_nets::{Architecture, Error};

/// f and P.
pub struct Found {
    /// f.
    pub base: Base,
    /// P.
    pub spec: DataSpec,
}

/// The network that `args` name, which lies at `model`.
///
/// # Errors
/// Flags that are missing or said twice; files that cannot be read; a run that did not end well.
pub fn found(args: &Flags, model: &Path, session: &Session) -> Result<Found> {
    // First of all, so that nobody is asked for the architecture of a file that there is not.
    std::fs::metadata(model).map_err(Error::io("read", model))?;
    match () {
        () if model.join("zoo.toml").exists() => of_zoo(args, model, session),
        () if model.extension().is_some_and(|end| end == "onnx") => {
            let spec = reference(args, None, session)?;
            said_once(args, model)?;
            let (net, theta) = thalweg_nets::onnx::read(model)?;
            Ok(Found { base: Base::new(&net, theta)?, spec })
        }
        () => {
            let (Some(arch), spec) = (&args.arch, reference(args, None, session)?) else {
                bail!(
                    "{}: its architecture is not in the file: name it by --arch FILE.toml or a preset",
                    model.display()
                );
            };
            let net = architecture(arch, &args.widths, &spec, &session.progress)?;
            let all = networks::read(model, Some(&net), session)?;
            let theta = all.network(args.network).with_context(|| {
                format!("--network {}: {} holds {}, counted from 0", args.network, model.display(), all.len())
            })?;
            Ok(Found { base: Base::new(&net, theta.to_vec())?, spec })
        }
    }
}

/// The last checkpoint of a run, whole where only a part of the network is modelled; P is what the zoo was trained on, where nothing else is named.
fn of_zoo(args: &Flags, model: &Path, session: &Session) -> Result<Found> {
    let (zoo, run) = (ZooStore::open(model)?, args.network);
    if run >= zoo.runs() {
        bail!("--run {run}: {} has {} runs, counted from 0", model.display(), zoo.runs());
    }
    if zoo.failed()[run] {
        let how = match zoo.diverged_at()[run] {
            Some(step) => format!("it diverged at step {step}"),
            None => "it learned next to nothing".into(),
        };
        bail!("--run {run} of {}: expected a run that ended well, found that {how}", model.display());
    }
    let spec = reference(args, zoo.origin().bound_data(), session)?;
    let finals = zoo.finals(&[run])?;
    if zoo.origin().whole_architecture().is_some() {
        said_once(args, model)?;
    }
    let (known, theta): (Option<Architecture>, Vec<f32>) = match zoo.assembly()? {
        Some(assembly) => (zoo.origin().whole_architecture().cloned(), assembly.whole(&finals)?),
        None => (zoo.architecture().cloned(), finals),
    };
    let net = match (known, &args.arch) {
        (Some(net), _) => net,
        (None, Some(arch)) => architecture(arch, &args.widths, &spec, &session.progress)?,
        (None, None) => bail!("{}: a zoo of unknown architecture: name it by --arch", model.display()),
    };
    Ok(Found { base: Base::new(&net, theta)?, spec })
}

/// Refuses an architecture beside a file that says its own.
fn said_once(args: &Flags, model: &Path) -> Result<()> {
    match args.arch.is_some() || !args.widths.is_empty() {
        true => bail!("--arch: {} says its own architecture; leave the flag out", model.display()),
        false => Ok(()),
    }
}

/// P: what the flags name, else the `known` data.
fn reference(args: &Flags, known: Option<DataSpec>, session: &Session) -> Result<DataSpec> {
    let spec = match (&args.reference, known) {
        (Some(text), _) => DataSpec { seed: args.split_seed, ..rows::spec(text, None, session)? },
        (None, Some(spec)) => {
            data::ensure(&spec, &session.progress)?;
            spec
        }
        (None, None) => bail!("name the rows that f was trained on by --reference (--p) NAME[:DIR] or FILE.csv"),
    };
    data::with_settings(&spec, &session.common.set)
}
