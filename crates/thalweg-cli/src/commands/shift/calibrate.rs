//! `thalweg shift calibrate`: trains what a test needs and draws its null laws, once for a model and a query size, into one file.
use super::rows;
use crate::commands::zoo::plan;
use crate::common::Outcome;
use crate::data;
use crate::folder;
use crate::results::{Results, object};
use crate::row;
use crate::samples::Networks;
use crate::session::Session;
use crate::settings;
use crate::table::{Cell, Table, Weight};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::sync::Arc;
use thalweg::Streams;
use thalweg::shift::calibration::{Calibration, Request};
use thalweg::shift::method::{Config, Needs, Parts};
use thalweg::shift::{Base, Method, Reference, Sample};
use thalweg_nets::data::{DataSpec, Normalisation, Splits};

/// Rows of P that are kept to agree on; CDCs see no more.
const KEPT: usize = 4096;

/// Make a test of shift ready for a model: train, draw null laws, write one file
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift calibrate --model f.safetensors --arch mlp --widths 16,16,16 --p heart --size 20 --out heart.cal
  thalweg shift calibrate --model f.safetensors --arch net.toml --p npz:train.npz --held npz:held.npz --size 50 --out my.cal
  thalweg shift calibrate --logits held-logits.csv --size 20 --out logits.cal         a model known by its logits only

P must hold rows that f was not trained on: they give the null law. They are --held, or else the test rows of --p.
--set changes parameters, e.g. --set bank.size=400, --set cdc.kappa=0.02.")]
pub struct Args {
    /// f: a safetensors file with PyTorch's tensor names, or a stack of ours
    #[arg(long, value_name = "FILE", requires = "arch", requires = "p", conflicts_with = "logits")]
    model: Option<PathBuf>,
    /// Which network of a stack
    #[arg(long, value_name = "I", default_value_t = 0)]
    network: usize,
    /// f's architecture: a TOML file, or cnn-s, cnn-m, mlp, digits
    #[arg(long, value_name = "NAME|FILE")]
    arch: Option<String>,
    /// Hidden widths of an mlp
    #[arg(long, value_delimiter = ',', value_name = "N,N,…")]
    widths: Vec<usize>,
    /// P: NAME[:DIR]; its training rows are agreed on, validation rows chosen on, test rows held out
    #[arg(long, value_name = "NAME[:DIR]")]
    p: Option<String>,
    /// Rows of P that f was not trained on, where they stand in a file of their own
    #[arg(long, value_name = "NAME[:DIR]", requires = "p")]
    held: Option<String>,
    /// Seed of the split of P, as f's training had it
    #[arg(long, value_name = "N", default_value_t = 0)]
    split_seed: u64,
    /// f takes the values of the files as they are (else standardised by P's training pool)
    #[arg(long)]
    raw: bool,
    /// f's logits on rows of P that it was not trained on: a CSV file
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// Rows in a query
    #[arg(long, short = 'n', value_name = "N")]
    size: usize,
    /// Tests, the one that gives the verdict first
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    methods: Vec<String>,
    /// Null draws: the least p-value is 1/(1 + N)
    #[arg(long, value_name = "N", default_value_t = 200)]
    null: usize,
    /// Take the parameters of detectron's CDCs as set, instead of finding them on validation draws
    #[arg(long)]
    as_set: bool,
}

/// Calibrates.
///
/// # Errors
/// Flags that do not fit together; what cannot be read; a query larger than the held-out rows.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let methods = methods(args)?;
    let seed = session.seed_or(1);
    let ready = match &args.logits {
        Some(path) => of_logits(rows::logits(path)?, path.display().to_string(), seed)?,
        None => of_model(args, seed, session)?,
    };
    let images = ready.base.as_ref().is_some_and(|b| b.architecture().input()[1] > 1);
    let (_, set) = data::of_data(&session.common.set);
    let config: Config = settings::read("the parameters of tests", &toml::to_string(&Config::like(images))?, &set)?;
    // Wrong sizes are told before anything is trained or written.
    ready.reference.draws(args.size, args.null, &Streams::new(seed))?;
    let out = folder::claim_file(&session.out_or("shift.calibration"), &session.common)?;
    let request = Request {
        parts: Parts {
            base: ready.base.clone(),
            reference: &ready.reference,
            labels: &ready.labels,
            size: args.size,
            config: &config,
        },
        methods: &methods,
        null: args.null,
        seed,
        normalisation: ready.normalisation.clone(),
        data: ready.data.clone(),
        choose: !args.as_set,
    };
    let calibration = Calibration::make(&request, &session.progress)?;
    session.progress.end();
    calibration.write(&out)?;
    tell(&calibration, session);
    let mut results = Results::new(seed);
    results.settings = object(&calibration.record)?;
    for (test, law) in calibration.tests() {
        for (s, statistic) in test.statistics().iter().enumerate() {
            let mut column = law.column(s);
            column.sort_by(f64::total_cmp);
            results.rows.push(row! {
                "method" => test.name(), "statistic" => statistic.name, "verdict" => statistic.verdict,
                "null_mean" => column.iter().sum::<f64>() / column.len() as f64,
                "null_95_percent" => column[(column.len() * 95).div_ceil(100) - 1],
                "seconds" => calibration.record.seconds.get(test.name()),
            });
        }
    }
    results.made(&out);
    session.finish(None, results)?;
    session.say(&format!("Made {}: thalweg shift test {} --q …", out.display(), out.display()));
    Ok(Outcome::Done)
}

fn methods(args: &Args) -> Result<Vec<Method>> {
    if !args.methods.is_empty() {
        return args.methods.iter().map(|name| Ok(Method::named(name)?)).collect();
    }
    Ok(match args.logits {
        Some(_) => Method::ALL.into_iter().filter(|m| m.needs() == Needs::Logits).collect(),
        None => vec![
            Method::Bank,
            Method::Entropy,
            Method::Bbsd,
            Method::Mahalanobis,
            Method::RelativeMahalanobis,
            Method::FeatureMmd,
        ],
    })
}

/// What a calibration is made from.
struct Ready {
    base: Option<Arc<Base>>,
    reference: Reference,
    labels: Vec<u32>,
    normalisation: Option<Normalisation>,
    data: String,
}

/// Half of the rows held out for the null law, a quarter each for the other parts.
fn of_logits(rows: Sample, data: String, seed: u64) -> Result<Ready> {
    if rows.len() < 8 {
        bail!("{data}: expected at least 8 rows of logits, found {}", rows.len());
    }
    let order = rows::some(rows.len(), rows.len(), &Streams::new(seed).child("logits"));
    let (held, rest) = order.split_at(rows.len() / 2);
    let (train, validation) = rest.split_at(rest.len() / 2);
    let reference = Reference::new(rows.rows(train), rows.rows(validation), rows.rows(held))?;
    Ok(Ready { base: None, reference, labels: Vec::new(), normalisation: None, data })
}

fn of_model(args: &Args, seed: u64, session: &Session) -> Result<Ready> {
    let (Some(model), Some(arch), Some(p)) = (&args.model, &args.arch, &args.p) else {
        bail!(
            "name f by --model, --arch and --p, or by --logits; e.g. thalweg shift calibrate --model f.safetensors --arch cnn-s --p mnist --size 20"
        );
    };
    let spec = DataSpec { seed: args.split_seed, ..rows::spec(p, None, session)? };
    let spec = data::with_settings(&spec, &session.common.set)?;
    let net = plan::architecture(arch, &args.widths, &spec, &session.progress)?;
    let networks = Networks::read(model, Some(&net))?;
    let p = thalweg_nets::Layout::of(&net).len();
    let theta = networks.theta.chunks_exact(p).nth(args.network).with_context(|| {
        format!("--network {}: {} holds {}, counted from 0", args.network, model.display(), networks.len(p))
    })?;
    let base = Arc::new(Base::new(&net, theta.to_vec())?);
    let Splits { train, validation, test, record } = spec.load()?;
    let normalisation = (!args.raw).then_some(record.normalisation);
    let as_taken = |data: thalweg_nets::data::Dataset| -> Result<_> {
        match &normalisation {
            Some(_) => Ok(data),
            None => {
                let identity = Normalisation { range: data.normalisation.range, ..Normalisation::identity(data.shape) };
                Ok(data.standardised_as(&identity)?)
            }
        }
    };
    let held = match &args.held {
        Some(held) => rows::as_home(&rows::spec(held, None, session)?, normalisation.as_ref())?,
        None => as_taken(test)?,
    };
    let (train, validation) = (as_taken(train)?, as_taken(validation)?);
    let streams = Streams::new(seed).child("kept");
    let train = train.subset(&rows::some(train.len(), KEPT, &streams.child("train")));
    let validation = validation.subset(&rows::some(validation.len(), KEPT, &streams.child("validation")));
    let reference =
        Reference::new(base.sample(&train.inputs)?, base.sample(&validation.inputs)?, base.sample(&held.inputs)?)?;
    let right = reference.held.predictions().iter().zip(&held.labels).filter(|(a, b)| a == b).count();
    session.say(&format!(
        "f is right on {:.1} % of {} held-out rows of P. Far below what you know of it? Then it expects other inputs (--raw).",
        100.0 * right as f64 / held.len() as f64,
        held.len()
    ));
    Ok(Ready { base: Some(base), reference, labels: train.labels, normalisation, data: spec.name })
}

fn tell(calibration: &Calibration, session: &Session) {
    let record = &calibration.record;
    let mut table = Table::new(&["test", "statistic", "mean at home", "95 % at home", "ready in s"]);
    for (test, law) in calibration.tests() {
        for (s, statistic) in test.statistics().iter().enumerate() {
            let mut column = law.column(s);
            column.sort_by(f64::total_cmp);
            let weight = if statistic.verdict { Weight::Plain } else { Weight::Faint };
            table.push(
                weight,
                vec![
                    test.name().into(),
                    statistic.name.into(),
                    Cell::Number(column.iter().sum::<f64>() / column.len() as f64, 3),
                    Cell::Number(column[(column.len() * 95).div_ceil(100) - 1], 3),
                    Cell::Number(record.seconds.get(test.name()).copied().unwrap_or(f64::NAN), 2),
                ],
            );
        }
    }
    table.note = format!(
        "{} null draws of {} rows among {} held-out rows; {}.",
        record.null,
        record.size,
        record.rows[2],
        match record.draws {
            thalweg::shift::reference::Draws::Disjoint => "no row in two draws: p-values are exact",
            thalweg::shift::reference::Draws::Overlapping =>
                "draws share rows: p-values are those of this sample of P, exact only as far as it stands for P",
        }
    );
    session.show(&table);
    if let Some(choice) = &record.choice {
        let c = choice.config;
        session.say(&format!(
            "CDCs: κ = {:.2e}, learning rate {}, {} steps, found in {} trials{}.",
            c.kappa,
            c.learning_rate,
            c.steps,
            choice.trials.len(),
            if choice.inside { "" } else { "; none lay in the window, this came nearest: expect little power" }
        ));
    }
}
