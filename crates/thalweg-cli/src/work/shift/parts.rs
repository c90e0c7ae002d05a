//! What a calibration of shift tests is made from, as flags name it and as it was read: a network with the parts of P, or logits on rows of P.
use super::predict::PredictFlags;
use crate::data;
use crate::session::Session;
use crate::settings;
use anyhow::Result;
use std::path::PathBuf;
use std::sync::Arc;
use thalweg::shift::calibration::Request;
use thalweg::shift::encoding::Encoding;
use thalweg::shift::method::{Config, Parts};
use thalweg::shift::{Base, Method, Reference};
use thalweg_nets::data::DataRecord;

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
        let images = self.base.as_ref().is_some_and(|b| b.takes_images());
        let parameters = self.base.as_ref().map_or(0, |base| base.theta().len());
        let (_, set) = data::of_data(&session.common.set);
        settings::read("the parameters of tests", &toml::to_string(&Config::like(images).within(parameters))?, &set)
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
