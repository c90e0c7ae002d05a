//! The whole state of a fit between two steps, saved and read back without a bit's loss.
//!
//! One safetensors file: parameters, the optimiser's slices, the best parameters so far, the history in f64; the step and the
//! identity of the fit in its metadata. Written whole or not at all.
use crate::fit::FitConfig;
use crate::method::Method;
use crate::optimiser::{AdamW, STATE};
use crate::{Error, Result};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::HashMap;
use std::path::Path;
use thalweg_nets::files::write_whole;
use thalweg_nets::layout;

/// One look at the held-out runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Steps done.
    pub step: u64,
    /// Mean training loss since the look before.
    pub training: f64,
    /// Loss on the held-out runs; NaN where there are none.
    pub held_out: f64,
}

/// A fit between two steps, but for the method's own parameters.
pub struct FitState {
    /// The optimiser.
    pub optimiser: AdamW,
    /// The averaged parameters with the least held-out loss so far `[Q]`.
    pub best: Vec<f32>,
    /// Every look so far.
    pub history: Vec<Look>,
    /// Sum and number of the training losses since the last look.
    running: [f64; 2],
    /// Wall time so far.
    pub seconds: f64,
}

impl FitState {
    /// Before the first step.
    ///
    /// # Errors
    /// An optimiser's number outside its range.
    pub fn new(config: &FitConfig, method: &dyn Method) -> Result<Self> {
        let optimiser = AdamW::new(&config.optimiser, config.steps, method.parameters())?;
        Ok(Self { optimiser, best: method.parameters().to_vec(), history: vec![], running: [0.0; 2], seconds: 0.0 })
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.optimiser.steps_done()
    }

    /// Takes note of a step's training loss.
    pub fn note(&mut self, loss: f64) {
        self.running[0] += loss;
        self.running[1] += 1.0;
    }

    /// Takes note of a look; keeps the averaged parameters if they are the best, or if nothing is held out.
    pub fn judge(&mut self, held_out: Option<f64>) {
        let better = held_out.is_none_or(|loss| self.best_look().is_none_or(|best| loss < best.held_out));
        if better {
            self.best.copy_from_slice(self.optimiser.average());
        }
        let training = self.running[0] / self.running[1].max(1.0);
        self.history.push(Look { step: self.step(), training, held_out: held_out.unwrap_or(f64::NAN) });
        self.running = [0.0; 2];
    }

    /// The look whose parameters are kept: the first of the least held-out loss, or the last one where nothing is held out.
    pub fn best_look(&self) -> Option<Look> {
        let judged = self.history.iter().filter(|look| !look.held_out.is_nan());
        judged.min_by(|a, b| a.held_out.total_cmp(&b.held_out)).or(self.history.last()).copied()
    }

    /// Writes the state of fit `identity` to `path`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path, identity: &str, method: &dyn Method) -> Result<()> {
        let history: Vec<u8> = self
            .history
            .iter()
            .flat_map(|look| [look.step as f64, look.training, look.held_out])
            .chain(self.running)
            .flat_map(f64::to_le_bytes)
            .collect();
        let [first, second, average] = self.optimiser.state();
        let slices = [method.parameters(), first, second, average, &self.best[..]];
        let bytes: Vec<Vec<u8>> = slices.iter().map(|s| s.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let view = |dtype, shape, data| TensorView::new(dtype, shape, data).expect("length fits shape");
        let mut views: Vec<(&str, TensorView)> =
            names().into_iter().zip(&bytes).map(|(name, b)| (name, view(Dtype::F32, vec![b.len() / 4], b))).collect();
        views.push(("history", view(Dtype::F64, vec![history.len() / 8], &history)));
        let metadata = HashMap::from([
            ("identity".to_string(), identity.to_string()),
            ("step".to_string(), self.step().to_string()),
            ("seconds".to_string(), self.seconds.to_string()),
        ]);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|e| Error::parameter("state", "serialisable tensors", e))?;
        write_whole(path, &bytes)
    }

    /// Reads the state of fit `identity` from `path`, and its parameters into `method`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or belongs to another fit.
    pub fn load(path: &Path, identity: &str, config: &FitConfig, method: &mut dyn Method) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        let file = layout::open(path, &bytes)?;
        let (_, header) =
            SafeTensors::read_metadata(&bytes).map_err(|e| Error::format(path, "header", "a safetensors header", e))?;
        let value = |key: &str| header.metadata().as_ref().and_then(|m| m.get(key)).cloned().unwrap_or_default();
        if value("identity") != identity {
            let expected = "the state of this very fit (same zoo, same configuration)";
            return Err(Error::format(
                path,
                "identity",
                expected,
                "that of another; run without --resume, or with the configuration it had",
            ));
        }
        let number = |key: &str| value(key).parse().map_err(|_| Error::format(path, key, "a number", value(key)));
        let (step, seconds) = (number("step")?, number("seconds")?);
        let q = method.parameters().len();
        let mut slices = Vec::new();
        for name in names() {
            let view = file.tensor(name).map_err(|e| Error::format(path, name, format!("shape [{q}]"), e))?;
            if view.shape() != [q] {
                return Err(Error::format(path, name, format!("shape [{q}]"), format!("shape {:?}", view.shape())));
            }
            slices.push(layout::floats(path, name, &view)?);
        }
        let view = file.tensor("history").map_err(|e| Error::format(path, "history", "numbers in f64", e))?;
        let history: Vec<f64> = view.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();
        let Some((looks, running)) = history.split_last_chunk::<2>().filter(|(looks, _)| looks.len() % 3 == 0) else {
            return Err(Error::format(path, "history", "three numbers a look and two more", history.len()));
        };
        let history = looks
            .as_chunks::<3>()
            .0
            .iter()
            .map(|l| Look { step: l[0] as u64, training: l[1], held_out: l[2] })
            .collect();
        let [parameters, first, second, average, best] = slices.try_into().expect("as many as names");
        let optimiser = AdamW::resume(&config.optimiser, config.steps, step as u64, [first, second, average])?;
        method.parameters_mut().copy_from_slice(&parameters);
        Ok(Self { optimiser, best, history, running: *running, seconds })
    }
}

fn names() -> [&'static str; 5] {
    ["parameters", STATE[0], STATE[1], STATE[2], "best"]
}
