//! What stands beside the file of a network in its own folder, as Hugging Face's libraries write it, and goes with every network that is written.
use crate::error::{Error, Result};
use crate::files::read_regular;
use crate::zoo::checkpoints::Network;
use crate::zoo::template::Beside;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The texts that are taken along.
const TEXTS: [&str; 3] = ["config.json", "generation_config.json", ADAPTER];

/// What describes an adapter of PEFT.
const ADAPTER: &str = "adapter_config.json";

/// Names of the file of a network that has a folder of its own, without endings.
const NAMES: [&str; 4] = ["model", "pytorch_model", "diffusion_pytorch_model", "adapter_model"];

/// What of an adapter's description decides what its tensors compute: it has to be the same for all.
const DECIDE: [&str; 11] = [
    "peft_type",
    "r",
    "lora_alpha",
    "use_rslora",
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "target_modules",
    "fan_in_fan_out",
    "bias",
    "modules_to_save",
];

/// Largest text that is taken along.
const LARGEST: u64 = 1 << 20;

/// What stands beside the file of `base`; adapters among `networks` are compared with it. With notes, a sentence each.
///
/// # Errors
/// A text that cannot be read; adapters of another rank, scale or kind than the base checkpoint's.
pub(super) fn beside(base: &Network, networks: &[&Network]) -> Result<(Beside, Vec<String>)> {
    let (mut beside, mut notes) = (Beside { name: name(base), texts: BTreeMap::new() }, Vec::new());
    let folder = folder(base);
    if !NAMES.contains(&stem(base).as_str()) {
        return Ok((beside, notes));
    }
    for text in TEXTS {
        let path = folder.join(text);
        if path.is_file() {
            let bytes = read_regular(&path, LARGEST)?;
            let told = |e| Error::format(&path, "text", "UTF-8", e);
            beside.texts.insert(text.into(), String::from_utf8(bytes).map_err(told)?);
        }
    }
    if let Some(own) = beside.texts.get(ADAPTER) {
        let own = parsed(&folder.join(ADAPTER), own)?;
        let folders: BTreeSet<PathBuf> = networks.iter().map(|network| self::folder(network)).collect();
        let described: Vec<&PathBuf> = folders.iter().filter(|folder| folder.join(ADAPTER).is_file()).collect();
        for other in &described {
            same(&folder.join(ADAPTER), &own, &other.join(ADAPTER))?;
        }
        let number = |key: &str| own.get(key).map_or("unknown".into(), Value::to_string);
        notes.push(format!("adapters of rank {} and alpha {}, as {ADAPTER} says", number("r"), number("lora_alpha")));
        if described.len() < folders.len() {
            notes.push(format!("{} folders of networks are without {ADAPTER}", folders.len() - described.len()));
        }
    }
    if !beside.texts.is_empty() {
        let names: Vec<&str> = beside.texts.keys().map(String::as_str).collect();
        notes.push(format!("each network is written into a folder of its own, with {}", names.join(", ")));
    }
    Ok((beside, notes))
}

fn folder(network: &Network) -> PathBuf {
    network.place().parent().unwrap_or(Path::new("")).to_path_buf()
}

/// The name of its file without endings and without what tells shards.
fn stem(network: &Network) -> String {
    let name = network.place().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.split('.').next().unwrap_or_default();
    match stem.split_once("-00") {
        Some((stem, rest)) if rest.contains("-of-") => stem.to_owned(),
        _ => stem.to_owned(),
    }
}

/// What the file of a network is called where each has a folder of its own.
fn name(network: &Network) -> String {
    match stem(network).as_str() {
        "pytorch_model" | "" => "model.safetensors".into(),
        stem => format!("{stem}.safetensors"),
    }
}

fn parsed(path: &Path, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|e| Error::format(path, "text", "JSON", e))
}

fn same(own_path: &Path, own: &Value, path: &Path) -> Result<()> {
    let bytes = read_regular(path, LARGEST)?;
    let other = parsed(path, &String::from_utf8_lossy(&bytes))?;
    for key in DECIDE {
        let [expected, found] = [own, &other].map(|all| sorted(all.get(key).cloned().unwrap_or(Value::Null)));
        if expected != found {
            let expected = format!("{expected}, as in {}", own_path.display());
            return Err(Error::format(path, key, expected, found));
        }
    }
    Ok(())
}

/// Lists of names are sets.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(mut all) => {
            all.sort_by_key(Value::to_string);
            Value::Array(all)
        }
        other => other,
    }
}
