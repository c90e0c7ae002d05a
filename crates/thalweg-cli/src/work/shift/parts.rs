//! What a calibration of shift tests is made from: a network with the parts of P, or logits on rows of P.
use super::classifier::{self, Found};
use super::command::{Tables, asked};
use super::predict::{PredictFlags, Predictor};
use super::{logits, rows};
use crate::data;
use crate::session::Session;
use crate::settings;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thalweg::shift::calibration::Request;
use thalweg::shift::encoding::Encoding;
use thalweg::shift::method::{Config, Parts};
use thalweg::shift::reference::{kept, quarters};
use thalweg::shift::{Base, Method, Reference, Sample};
use thalweg_nets::data::{DataRecord, DataSpec, Splits, Standardise};

/// What stands beside entropy, which is silent where f is sure and wrong: it is never the only witness.
const BESIDE_ENTROPY: [&str; 2] = ["bbsd", "energy"];

/// Flags that name f and P.
#[derive(clap::Args, Debug)]
pub struct Flags {
    /// Classifier f: a file of PyTorch or safetensors with PyTorch's tensor names, an ONNX file, a zoo, a stack of ours, or a folder of files (in natural order: net-2 before net-10)
    #[arg(long, visible_alias = "model", value_name = "FILE", conflicts_with_all = ["logits", "predict"])]
    pub classifier: Option<PathBuf>,
    /// Which network of a stack or folder, or which run of a zoo (its last checkpoint), counted from 0
    #[arg(long, visible_alias = "run", value_name = "I", default_value_t = 0)]
    pub network: usize,
    #[command(flatten)]
    pub asking: PredictFlags,
    /// f's architecture, where its file does not say it: a TOML or ONNX file, or cnn-s, cnn-m, mlp, digits
    #[arg(long, value_name = "NAME|FILE")]
    pub arch: Option<String>,
    /// Hidden widths of an mlp
    #[arg(long, value_delimiter = ',', value_name = "N,N,…")]
    pub widths: Vec<usize>,
    /// Reference data P: disagreement classifiers are held to its training rows, parameters are chosen on its validation rows, its test rows are held out (of a zoo: its data)
    #[arg(long, visible_alias = "p", value_name = "NAME[:DIR]")]
    pub reference: Option<String>,
    /// Rows of P that f was not trained on, where they stand in a file of their own
    #[arg(long, visible_alias = "held", value_name = "NAME[:DIR]")]
    pub held_out: Option<String>,
    /// Seed of the split of P, as f's training had it
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub split_seed: u64,
    /// f takes the values of the files as they are (else standardised by P's training pool)
    #[arg(long)]
    pub raw: bool,
    /// f's logits on rows of P that it was not trained on: a CSV file
    #[arg(long, value_name = "FILE", conflicts_with = "predict")]
    pub logits: Option<PathBuf>,
    /// The file holds probabilities (recognised without the flag; with it anything else is refused)
    #[arg(long, conflicts_with = "classifier")]
    pub probabilities: bool,
}

/// How tests are made.
#[derive(clap::Args, Debug)]
pub struct Making {
    /// Rows that queries will have, about: some tests are tuned for it; others are tested as validly
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub size: usize,
    /// Tests; those of harm decide about harm together, those of any difference about difference
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub methods: Vec<String>,
    /// Redraws of every query that give its law without shift: the least p-value is 1/(1 + N)
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub null: usize,
    /// Keep the configured parameters of detectron's CDCs, instead of finding them on validation draws
    #[arg(long, visible_alias = "as-set")]
    pub fixed_cdc: bool,
}

impl Flags {
    /// Reads what they name.
    ///
    /// # Errors
    /// Flags that do not fit together; what cannot be read.
    pub fn read(&self, seed: u64, session: &Session) -> Result<Ready> {
        match (&self.logits, self.asking.predictor()) {
            (Some(path), _) => of_logits(path, self.probabilities, seed, session),
            (None, Some(model)) => Ok(self.asked(&model, None, seed, session)?.0),
            (None, None) => of_model(self, seed, session),
        }
    }

    /// What a command says of P, and of the rows to test where they are named by `q`.
    ///
    /// # Errors
    /// No P; as [`asked`].
    pub fn asked(
        &self,
        model: &Predictor,
        q: Option<&str>,
        seed: u64,
        session: &Session,
    ) -> Result<(Ready, Option<Sample>)> {
        let spec = |text: &str| rows::spec(text, None, session);
        let p = spec(self.reference.as_deref().context("with --predict, P is a table: name it by --p FILE.csv")?)?;
        let held_out = self.held_out.as_deref().map(spec).transpose()?;
        let q = q.map(spec).transpose()?;
        let tables = Tables { p: &p, held_out: held_out.as_ref(), q: q.as_ref() };
        asked(model, &tables, self.probabilities, seed, session)
    }

    /// The tests called `names`, or the default ones for what is known of f.
    ///
    /// # Errors
    /// An unknown name.
    pub fn methods(&self, names: &[String], session: &Session) -> Result<Vec<Method>> {
        let named = |names: &[&str]| names.iter().map(|name| Ok(Method::named(name)?)).collect::<Result<Vec<_>>>();
        let mut methods = match names {
            [] => Method::defaults(self.logits.is_none()),
            names => named(&names.iter().map(String::as_str).collect::<Vec<_>>())?,
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
}

/// What a calibration is made from.
pub struct Ready {
    /// f; none where only its logits are known.
    pub base: Option<Arc<Base>>,
    /// The parts of P.
    pub reference: Reference,
    /// Of the training rows.
    pub labels: Vec<u32>,
    /// Of the held-out rows; empty where they are not known.
    pub held_out_labels: Vec<u32>,
    /// Names of the columns of logits.
    pub columns: Vec<String>,
    /// Whether they were made of probabilities.
    pub probabilities: bool,
    /// Where the network only stands in for f: how often it names f's class.
    pub stand_in: Option<f64>,
    /// How tables become inputs, where f is a command.
    pub encoding: Option<Encoding>,
    /// What P's inputs are.
    pub source: Option<DataRecord>,
    /// What P is called.
    pub data: String,
}

impl Ready {
    /// The parameters of tests for such rows, with those that `--set` gives.
    ///
    /// # Errors
    /// Unknown keys, values of a wrong type.
    pub fn config(&self, session: &Session) -> Result<Config> {
        let images = self.base.as_ref().is_some_and(|b| b.architecture().input()[1] > 1);
        let (_, set) = data::of_data(&session.common.set);
        settings::read("the parameters of tests", &toml::to_string(&Config::like(images))?, &set)
    }

    /// The request for a calibration.
    pub fn request<'a>(
        &'a self,
        making: &Making,
        (methods, config): (&'a [Method], &'a Config),
        level: f64,
        seed: u64,
    ) -> Request<'a> {
        Request {
            parts: Parts {
                base: self.base.clone(),
                reference: &self.reference,
                labels: &self.labels,
                size: making.size,
                config,
            },
            held_out_labels: &self.held_out_labels,
            methods,
            null: making.null,
            level,
            seed,
            columns: self.columns.clone(),
            probabilities: self.probabilities,
            stand_in: self.stand_in,
            encoding: self.encoding.clone(),
            source: self.source.clone(),
            data: self.data.clone(),
            choose: !making.fixed_cdc,
        }
    }
}

/// Half of the rows held out for the null law, a quarter each for the other parts.
fn of_logits(path: &Path, probabilities: bool, seed: u64, session: &Session) -> Result<Ready> {
    let logits::Logits { sample: rows, names: columns, probabilities, notes } = logits::read(path, probabilities)?;
    notes.iter().for_each(|note| session.say(note));
    let data = path.display().to_string();
    if rows.len() < 8 {
        bail!("{data}: expected at least 8 rows of logits, found {}", rows.len());
    }
    let [train, validation, held_out] = quarters(rows.len(), seed)?;
    let reference = Reference::new(rows.rows(&train), rows.rows(&validation), rows.rows(&held_out))?;
    let (labels, held_out_labels) = (Vec::new(), Vec::new());
    Ok(Ready {
        base: None,
        reference,
        labels,
        held_out_labels,
        columns,
        probabilities,
        stand_in: None,
        encoding: None,
        source: None,
        data,
    })
}

fn of_model(args: &Flags, seed: u64, session: &Session) -> Result<Ready> {
    let Some(model) = &args.classifier else {
        bail!(
            "name f by --classifier, --arch and --reference, by --logits or by --predict; e.g. thalweg shift calibrate --classifier f.safetensors --arch cnn-s --reference mnist --size 20"
        );
    };
    let Found { base, spec } = classifier::found(args, model, session)?;
    let base = Arc::new(base);
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
    let train = train.subset(&kept(train.len(), "train", seed));
    let validation = validation.subset(&kept(validation.len(), "validation", seed));
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
        stand_in: None,
        encoding: None,
        source: Some(record),
        data: spec.name,
    })
}
