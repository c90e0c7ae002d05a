//! What a PyTorch user finds beside sampled networks: `network.py`, the module that they are weights of, and `README.md` with the way to load them.
use crate::complain::told;
use anyhow::Result;
use std::path::Path;
use thalweg::model::Networks;
use thalweg_nets::data::{DataRecord, DataSpec};
use thalweg_nets::files::write_whole;
use thalweg_nets::torch::{Meaning, module};

/// Writes both files into `dir`, where the networks lie; `from` says in words where they come from. What could not be found out is told to `tell`.
///
/// # Errors
/// Where the system refuses.
pub fn write(networks: &Networks, n: usize, dir: &Path, from: &str, tell: &dyn Fn(&str)) -> Result<()> {
    let record = networks.data.as_ref().and_then(|data| record(data, tell));
    let example = match &networks.architecture {
        Some(architecture) => {
            let meaning = match &record {
                Some(record) => Meaning {
                    normalisation: Some(&record.normalisation),
                    class_names: &record.class_names,
                    feature_names: &record.feature_names,
                },
                None => Meaning::default(),
            };
            write_whole(&dir.join("network.py"), module(architecture, &meaning)?.as_bytes())?;
            let [c, h, w] = architecture.input();
            let input = if [h, w] == [1, 1] { format!("[N, {c}]") } else { format!("[N, {c}, {h}, {w}]") };
            example(&input)
        }
        None => own_module(),
    };
    let known = match (&networks.architecture, &networks.data) {
        (Some(architecture), Some(data)) => format!("They are {} for {}.", named(architecture.name()), data.title()),
        (Some(architecture), None) => format!("They are {}.", named(architecture.name())),
        (None, _) => "What they are weights of is not known here: the zoo was imported without an architecture.".into(),
    };
    let (first, last) = (Networks::file_name(0), Networks::file_name(n.saturating_sub(1)));
    let files = if n > 1 { format!("`{first}` to `{last}`") } else { format!("`{last}`") };
    let text = format!("# {n} networks\n\n{files}: a network each, {from}.\n{known}\n\n{example}");
    Ok(write_whole(&dir.join("README.md"), text.as_bytes())?)
}

fn named(name: &str) -> String {
    if name.is_empty() { "networks of one architecture".into() } else { format!("`{name}` networks") }
}

fn example(input: &str) -> String {
    format!(
        "`network.py` holds the module that they are weights of, how its inputs are standardised, and the names of its classes.
From this folder (`pip install torch safetensors`), with raw inputs `x` {input}:

```python
from safetensors.torch import load_file
from network import CLASSES, Network, normalise
network = Network()
network.load_state_dict(load_file(\"network-00000.safetensors\"))
print([CLASSES[i] for i in network.eval()(normalise(x)).argmax(1)])
```
"
    )
}

fn own_module() -> String {
    "From this folder (`pip install torch safetensors`), with the module that the checkpoints were of as `network`:

```python
from safetensors.torch import load_file
network.load_state_dict(load_file(\"network-00000.safetensors\"), strict=False)
```

`strict=False` leaves counters and masks as they are in the module: they are no weights, and not sampled.
"
    .into()
}

/// What was found in the data when networks were trained on them; of data that are not tied to that, what is found now.
fn record(data: &DataSpec, tell: &dyn Fn(&str)) -> Option<DataRecord> {
    if let Some(record) = &data.record {
        return Some((**record).clone());
    }
    match data.load() {
        Ok(splits) => Some(splits.record),
        Err(error) => {
            tell(&format!("network.py does not say how inputs are standardised: {}", told(&error.into())));
            None
        }
    }
}
