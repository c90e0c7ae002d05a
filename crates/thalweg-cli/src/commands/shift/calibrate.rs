//! `thalweg shift calibrate`: trains what tests need, once for a model, into one file with the rows of P that queries are compared with.
use super::{logits, rows};
use crate::common::Outcome;
use crate::data;
use crate::output::{Inputs, Plan};
use crate::results::{Results, object};
use crate::row;
use crate::session::Session;
use crate::settings;
use crate::shell::quoted;
use crate::table::{Cell, Table, Weight};
use crate::work::architecture::architecture;
use crate::work::networks;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thalweg::Streams;
use thalweg::shift::calibration::{Calibration, Request};
use thalweg::shift::law::outcome::Question;
use thalweg::shift::law::permutation;
use thalweg::shift::method::{Config, Needs, Parts};
use thalweg::shift::{Base, Method, Reference};
use thalweg_nets::data::{DataRecord, DataSpec, Splits, Standardise};

/// Training and validation rows of P that are kept; CDCs see no more.
const KEPT: usize = 4096;

/// Calibrate shift tests for a model: train what they need, keep held-out rows of P, write one file
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  thalweg shift calibrate --model f.safetensors --arch mlp --widths 16,16,16 \\
    --p heart --size 20 --out heart.cal
  thalweg shift calibrate --model f.safetensors --arch net.toml \\
    --p npz:train.npz --held npz:held.npz --size 50 --out my.cal
  # a model known by its logits only
  thalweg shift calibrate --logits held-logits.csv --size 20 --out logits.cal

The classifier is f, the reference data are P. P must hold rows that f was not trained on: the rows of a query are compared with them, and p-values are
exact for any number of both. They are --held-out, or else the test rows of --reference. Files of logits may hold probabilities; an index and labels in them are left out.
--set changes parameters, e.g. --set bank.size=400, --set cdc.kappa=0.02.")]
pub struct Args {
    /// Classifier f: a safetensors file with PyTorch's tensor names, a stack of ours, or a folder of files (in natural order: net-2 before net-10)
    #[arg(
        long,
        visible_alias = "model",
        value_name = "FILE",
        requires = "arch",
        requires = "reference",
        conflicts_with = "logits"
    )]
    classifier: Option<PathBuf>,
    /// Which network of a stack or folder, counted from 0
    #[arg(long, value_name = "I", default_value_t = 0)]
    network: usize,
    /// f's architecture: a TOML file, or cnn-s, cnn-m, mlp, digits
    #[arg(long, value_name = "NAME|FILE")]
    arch: Option<String>,
    /// Hidden widths of an mlp
    #[arg(long, value_delimiter = ',', value_name = "N,N,…")]
    widths: Vec<usize>,
    /// Reference data P: disagreement classifiers are held to its training rows, parameters are chosen on its validation rows, its test rows are held out
    #[arg(long, visible_alias = "p", value_name = "NAME[:DIR]")]
    reference: Option<String>,
    /// Rows of P that f was not trained on, where they stand in a file of their own
    #[arg(long, visible_alias = "held", value_name = "NAME[:DIR]", requires = "reference")]
    held_out: Option<String>,
    /// Seed of the split of P, as f's training had it
    #[arg(long, value_name = "N", default_value_t = 0)]
    split_seed: u64,
    /// f takes the values of the files as they are (else standardised by P's training pool)
    #[arg(long)]
    raw: bool,
    /// f's logits on rows of P that it was not trained on: a CSV file
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,
    /// The file holds probabilities (recognised without the flag; with it anything else is refused)
    #[arg(long, requires = "logits", conflicts_with = "classifier")]
    probabilities: bool,
    /// Rows that queries will have, about: some tests are tuned for it; others are tested as validly
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    size: usize,
    /// Tests; those of harm decide about harm together, those of any difference about difference
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    methods: Vec<String>,
    /// Redraws of every query that give its law without shift: the least p-value is 1/(1 + N)
    #[arg(long, value_name = "N", default_value_t = 200)]
    null: usize,
    /// Level that queries will be tested at: it says how many redraws are needed
    #[arg(long, value_name = "P", default_value_t = 0.05)]
    level: f64,
    /// Keep the configured parameters of detectron's CDCs, instead of finding them on validation draws
    #[arg(long, visible_alias = "as-set")]
    fixed_cdc: bool,
}

/// Calibrates.
///
/// # Errors
/// Flags that do not fit together; what cannot be read; a query larger than the held-out rows.
pub fn run(args: &Args, session: &Session) -> Result<Outcome> {
    let methods = methods(args, session)?;
    permutation::check(args.null, args.level)?;
    let inputs = Inputs::default().paths(&args.classifier).paths(&args.logits);
    let inputs = inputs.text(args.arch.as_deref()).text(args.reference.as_deref()).text(args.held_out.as_deref());
    let out =
        session.file("shift.calibration", false, &Plan { command: "shift calibrate", inputs, ..Plan::default() })?;
    let seed = session.seed_or(1);
    let ready = match &args.logits {
        Some(path) => of_logits(path, args.probabilities, seed, session)?,
        None => of_model(args, seed, session)?,
    };
    let images = ready.base.as_ref().is_some_and(|b| b.architecture().input()[1] > 1);
    let (_, set) = data::of_data(&session.common.set);
    let config: Config = settings::read("the parameters of tests", &toml::to_string(&Config::like(images))?, &set)?;
    let request = Request {
        parts: Parts {
            base: ready.base.clone(),
            reference: &ready.reference,
            labels: &ready.labels,
            size: args.size,
            config: &config,
        },
        held_out_labels: &ready.held_out_labels,
        methods: &methods,
        null: args.null,
        level: args.level,
        seed,
        columns: ready.columns.clone(),
        probabilities: ready.probabilities,
        source: ready.source.clone(),
        data: ready.data.clone(),
        choose: !args.fixed_cdc,
    };
    // What cannot be is told before anything is trained or written.
    request.check()?;
    let calibration = Calibration::make(&request, &session.progress)?;
    session.progress.end();
    calibration.write(out.path())?;
    tell(&calibration, session);
    let mut results = Results::new(seed);
    results.settings = object(&calibration.record)?;
    for (test, method) in calibration.tests().zip(&calibration.record.methods) {
        for statistic in test.statistics() {
            results.rows.push(row! {
                "method" => method, "statistic" => statistic.name, "counts" => Question::of(test.statistics()).takes(statistic),
                "question" => Question::of(test.statistics()), "looks_at" => method.looks_at(),
                "seconds" => calibration.seconds.get(method.name()),
            });
        }
    }
    results.made(out.shown());
    let made = out.shown().to_path_buf();
    session.finish_file(out, results)?;
    // The rows are the user's to name.
    let query = if args.logits.is_some() { "--query-logits FILE.csv" } else { "--query NAME[:PATH]" };
    session.say(&format!("Made {}. For new rows: thalweg shift test {} {query}", made.display(), quoted(&made)));
    Ok(Outcome::Done)
}

/// Tests where none are named and f is known.
const DEFAULT: [&str; 6] = ["bank", "entropy", "bbsd", "mahalanobis", "relative-mahalanobis", "feature-mmd"];
/// What stands beside entropy, which is silent where f is sure and wrong: it is never the only witness.
const BESIDE_ENTROPY: [&str; 2] = ["bbsd", "energy"];

fn named(names: &[impl AsRef<str>]) -> Result<Vec<Method>> {
    names.iter().map(|name| Ok(Method::named(name.as_ref())?)).collect()
}

fn methods(args: &Args, session: &Session) -> Result<Vec<Method>> {
    let mut methods: Vec<Method> = match (&args.methods[..], &args.logits) {
        ([], Some(_)) => Method::ALL.iter().copied().filter(|m| m.needs() == Needs::Logits).collect(),
        ([], None) => named(&DEFAULT)?,
        (names, _) => named(names)?,
    };
    if methods == named(&["entropy"])? {
        session.say(&format!(
            "entropy alone would be silent about a model that is sure and wrong: {}, which see whether outputs differ, are added.",
            BESIDE_ENTROPY.join(" and ")
        ));
        methods.extend(named(&BESIDE_ENTROPY)?);
    }
    Ok(methods)
}

/// What a calibration is made from.
struct Ready {
    base: Option<Arc<Base>>,
    reference: Reference,
    labels: Vec<u32>,
    /// Empty where they are not known.
    held_out_labels: Vec<u32>,
    columns: Vec<String>,
    probabilities: bool,
    source: Option<DataRecord>,
    data: String,
}

/// Half of the rows held out for the null law, a quarter each for the other parts.
fn of_logits(path: &Path, probabilities: bool, seed: u64, session: &Session) -> Result<Ready> {
    let logits::Logits { sample: rows, names: columns, probabilities, notes } = logits::read(path, probabilities)?;
    notes.iter().for_each(|note| session.say(note));
    let data = path.display().to_string();
    if rows.len() < 8 {
        bail!("{data}: expected at least 8 rows of logits, found {}", rows.len());
    }
    let order = rows::some(rows.len(), rows.len(), &Streams::new(seed).child("logits"));
    let (held_out, rest) = order.split_at(rows.len() / 2);
    let (train, validation) = rest.split_at(rest.len() / 2);
    let reference = Reference::new(rows.rows(train), rows.rows(validation), rows.rows(held_out))?;
    let (labels, held_out_labels) = (Vec::new(), Vec::new());
    Ok(Ready { base: None, reference, labels, held_out_labels, columns, probabilities, source: None, data })
}

fn of_model(args: &Args, seed: u64, session: &Session) -> Result<Ready> {
    let (Some(model), Some(arch), Some(reference)) = (&args.classifier, &args.arch, &args.reference) else {
        bail!(
            "name f by --classifier, --arch and --reference, or by --logits; e.g. thalweg shift calibrate --classifier f.safetensors --arch cnn-s --reference mnist --size 20"
        );
    };
    let spec = DataSpec { seed: args.split_seed, ..rows::spec(reference, None, session)? };
    let spec = data::with_settings(&spec, &session.common.set)?;
    let net = architecture(arch, &args.widths, &spec, &session.progress)?;
    let networks = networks::read(model, Some(&net), session)?;
    let theta = networks.network(args.network).with_context(|| {
        format!("--network {}: {} holds {}, counted from 0", args.network, model.display(), networks.len())
    })?;
    let base = Arc::new(Base::new(&net, theta.to_vec())?);
    let spec = match args.raw {
        true => DataSpec { normalisation: Some(Standardise::Raw), ..spec },
        false => spec,
    };
    let splits = data::load(&spec, &session.progress)?;
    let Splits { train, validation, test, record } = splits;
    let (held_out, labels) = match &args.held_out {
        Some(held_out) => {
            let held_out = rows::as_source(&rows::spec(held_out, None, session)?, &record, session)?;
            (base.sample(&held_out.inputs)?, held_out.labels)
        }
        None => (base.sample(&test.inputs)?, Some(test.labels)),
    };
    let streams = Streams::new(seed).child("kept");
    let train = train.subset(&rows::some(train.len(), KEPT, &streams.child("train")));
    let validation = validation.subset(&rows::some(validation.len(), KEPT, &streams.child("validation")));
    let reference = Reference::new(base.sample(&train.inputs)?, base.sample(&validation.inputs)?, held_out)?;
    if let Some(labels) = &labels {
        let right = reference.held_out.predictions().iter().zip(labels).filter(|(a, b)| a == b).count();
        session.say(&format!(
            "f is right on {:.1} % of {} held-out rows of P. Far below what you know of it? Then it expects other inputs (--raw).",
            100.0 * right as f64 / labels.len() as f64,
            labels.len()
        ));
    }
    let held_out_labels = labels.unwrap_or_default();
    Ok(Ready {
        base: Some(base),
        reference,
        labels: train.labels,
        held_out_labels,
        columns: Vec::new(),
        probabilities: false,
        source: Some(record),
        data: spec.name,
    })
}

fn tell(calibration: &Calibration, session: &Session) {
    let record = &calibration.record;
    let mut table = Table::new(&["test", "asks for", "looks at", "setup (s)"]);
    for (test, method) in calibration.tests().zip(&record.methods) {
        let question = match Question::of(test.statistics()) {
            Question::Harm => "harm",
            Question::Difference => "any difference",
        };
        let seconds = calibration.seconds.get(method.name()).copied().unwrap_or(f64::NAN);
        let cells = vec![method.name().into(), question.into(), method.looks_at().into(), Cell::Number(seconds, 2)];
        table.push(Weight::Plain, cells);
    }
    table.note = format!(
        "Every query is compared with {} redraws of as many rows from its own and {} held-out rows of P together: p-values are exact for any number of rows.",
        record.null, record.rows[2]
    );
    session.show(&table);
    let trained: Vec<&str> = record.methods.iter().filter(|m| m.trains_per_query()).map(|m| m.name()).collect();
    if !trained.is_empty() {
        session.say(&format!(
            "Of these, {} train networks for every redraw too: each `shift test` takes {} times as long as one query. --null {} is the least for level {}.",
            trained.join(", "),
            record.null + 1,
            permutation::needed(record.level),
            record.level
        ));
    }
    let copies = calibration.reference().copies();
    if copies.within * 20 > record.rows[2] {
        session.say(&format!(
            "{} of {} held-out rows are copies of others. Rows are taken as independent: if copies were made, take them out, or p-values come out too small.",
            copies.within, record.rows[2]
        ));
    }
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
