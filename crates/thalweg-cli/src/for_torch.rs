//! What a PyTorch user finds beside sampled networks: `network.py`, the module that they are weights of, and `README.md` with the way to load them.
use crate::complain::told;
use anyhow::Result;
use std::path::Path;
use thalweg::model::Networks;
use thalweg_nets::Layout;
use thalweg_nets::data::{DataRecord, DataSpec};
use thalweg_nets::files::write_whole;
use thalweg_nets::torch::{Meaning, module};
use thalweg_nets::zoo::Template;
use thalweg_nets::zoo::template::{Beside, Described, Source};

/// Writes both files into `dir`, where the networks lie, as `template` says where there is one; `from` says in words where they come from. What could not
/// be found out is told to `tell`.
///
/// # Errors
/// Where the system refuses.
pub fn write(
    networks: &Networks,
    n: usize,
    template: Option<&Template>,
    dir: &Path,
    from: &str,
    tell: &dyn Fn(&str),
) -> Result<()> {
    let record = networks.data.as_ref().and_then(|data| record(data, tell));
    let texts = template.map(|template| template.beside()).filter(|beside| !beside.texts.is_empty());
    let place = |i: usize| match texts {
        Some(beside) => format!("{}/{}", Networks::file_name(i).trim_end_matches(".safetensors"), beside.name),
        None => Networks::file_name(i),
    };
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
            example(&input, &place(0), &state(template, &Layout::of(architecture)))
        }
        None => own_module(template, texts, &place(0)),
    };
    let known = match (&networks.architecture, &networks.data) {
        (Some(architecture), Some(data)) => format!("They are {} for {}.", named(architecture.name()), data.title()),
        (Some(architecture), None) => format!("They are {}.", named(architecture.name())),
        (None, _) => "What they are weights of is not known here: the zoo was imported without an architecture.".into(),
    };
    let (first, last) = (place(0), place(n.saturating_sub(1)));
    let files = if n > 1 { format!("`{first}` to `{last}`") } else { format!("`{last}`") };
    let text = format!("# {n} networks\n\n{files}: a network each, {from}.\n{known}\n\n{example}");
    Ok(write_whole(&dir.join("README.md"), text.as_bytes())?)
}

fn named(name: &str) -> String {
    if name.is_empty() { "networks of one architecture".into() } else { format!("`{name}` networks") }
}

/// Python that makes the state dict of `network.py`'s module, whose tensors are called as in `layout`, of that in a file, `state`.
fn state(template: Option<&Template>, layout: &Layout) -> String {
    let tensors = template.map(|template| template.tensors()).unwrap_or_default();
    let plain = |tensor: &Described| match &tensor.source {
        Source::Weights(slot) => tensor.name == *slot,
        Source::Kept(_) => tensor.name.ends_with(".num_batches_tracked"),
    };
    if tensors.iter().all(plain) {
        return "state".into();
    }
    let first = layout.slots().first().map_or("", |slot| slot.name.as_str());
    let prefix = tensors.iter().find_map(|tensor| match &tensor.source {
        Source::Weights(slot) if slot == first => tensor.name.strip_suffix(first),
        _ => None,
    });
    // Names as the checkpoints had them are those of the module behind what a wrapper put before them.
    format!("{{name: state[\"{}\" + name] for name in network.state_dict()}}", prefix.unwrap_or(""))
}

fn example(input: &str, file: &str, state: &str) -> String {
    format!(
        "`network.py` holds the module that they are weights of, how its inputs are standardised, and the names of its classes.
From this folder (`pip install torch safetensors`), with raw inputs `x` {input}:

```python
from safetensors.torch import load_file
from network import CLASSES, Network, normalise
network, state = Network(), load_file(\"{file}\")
network.load_state_dict({state})
print([CLASSES[i] for i in network.eval()(normalise(x)).argmax(1)])
```
"
    )
}

/// How networks of an architecture that is not known here are loaded.
fn own_module(template: Option<&Template>, texts: Option<&Beside>, file: &str) -> String {
    let folder = file.rsplit_once('/').map_or(file, |(folder, _)| folder);
    let own = "From this folder (`pip install torch safetensors`), with the module that the checkpoints were of as `network`:";
    let load = format!("from safetensors.torch import load_file\nnetwork.load_state_dict(load_file(\"{file}\")");
    match (template, texts) {
        (None, _) => format!(
            "{own}\n\n```python\n{load}, strict=False)\n```\n\n\
             `strict=False` leaves counters and masks as they are in the module: they are no weights, and not sampled.\n"
        ),
        (Some(_), Some(beside)) if beside.texts.contains_key("adapter_config.json") => format!(
            "Each folder is an adapter. From this folder (`pip install peft`), with the model that the adapters are for as `model`:\n\n\
             ```python\nfrom peft import PeftModel\nmodel = PeftModel.from_pretrained(model, \"{folder}\")\n```\n"
        ),
        (Some(_), Some(_)) => format!(
            "Each folder is a model as `from_pretrained(\"{folder}\")` of its library takes it. Or, {}\n\n```python\n{load})\n```\n",
            own.trim_start_matches("From this folder (`pip install torch safetensors`), ")
        ),
        (Some(_), None) => format!(
            "{own}\n\n```python\n{load})\n```\n\n\
             Names, types, tied and frozen tensors, counters and masks are those of the checkpoints.\n"
        ),
    }
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
