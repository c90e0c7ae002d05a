//! [`Network`]: the tensors of one network, in one file (safetensors, or PyTorch's) or in the shards of one.
//!
//! Floats of 16, 32 and 64 bits are weights. Counters and masks (integers, booleans) and tensors without numbers are passed over and told; numbers that
//! stand for weights in another form (8-bit floats, quantised integers, complex numbers) are refused by name, since the network would not be whole.
use super::foreign::Foreign;
use super::names;
use super::pytorch::{Last, TorchFile};
use crate::error::{Error, Result};
use crate::files::{open_regular, read_regular};
use crate::layout::{Layout, Slot, floats, is_float, open};
use crate::zoo::header::Header;
use safetensors::Dtype;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// Largest index of shards that is read.
const LARGEST_INDEX: u64 = 100 << 20;

/// One network on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its name: the file's without its ending, or the folder's where that holds nothing else.
    pub name: String,
    /// Its files: one, or its shards in order.
    pub files: Vec<PathBuf>,
    /// The list of its shards, where there is one.
    pub index: Option<PathBuf>,
}

/// A tensor as its header describes it.
#[derive(Clone, Debug)]
struct Tensor {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    file: usize,
}

/// How a network's tensors become θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// For every tensor of the layout, the file that holds it and its name there.
    places: Vec<(usize, String)>,
    /// What was taken off the names, in words.
    pub renamed: Option<String>,
    /// Tensors that were passed over, each with why.
    pub passed_over: BTreeSet<String>,
}

/// What a tensor is to a network.
enum Part {
    Weights,
    PassedOver(&'static str),
    Refused(&'static str),
}

impl Tensor {
    fn described(&self) -> String {
        format!("{:?} {:?}", self.dtype, self.shape)
    }

    fn part(&self) -> Part {
        if self.shape.contains(&0) {
            return Part::PassedOver("no numbers");
        }
        let last = self.name.rsplit('.').next().unwrap_or(&self.name);
        let stands_for_weights =
            ["weight", "bias", "qweight", "qzeros", "weight_packed", "weight_int8"].contains(&last);
        match self.dtype {
            kind if is_float(kind) => Part::Weights,
            Dtype::BOOL if !stands_for_weights => Part::PassedOver("a mask"),
            Dtype::C64 => Part::Refused("complex numbers"),
            Dtype::I8 | Dtype::U8 if self.shape.iter().product::<usize>() > 1 => Part::Refused("bytes"),
            Dtype::I8 | Dtype::U8 | Dtype::I16 | Dtype::U16 | Dtype::I32 | Dtype::U32 | Dtype::I64 | Dtype::U64
                if !stands_for_weights =>
            {
                Part::PassedOver("integers")
            }
            Dtype::BOOL => Part::Refused("booleans"),
            Dtype::I8 | Dtype::U8 | Dtype::I16 | Dtype::U16 | Dtype::I32 | Dtype::U32 | Dtype::I64 | Dtype::U64 => {
                Part::Refused("integers")
            }
            _ => Part::Refused("floats of 8 bits or fewer"),
        }
    }
}

impl Network {
    /// The network of one file.
    pub fn single(path: &Path) -> Self {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self { name, files: vec![path.to_path_buf()], index: None }
    }

    /// What messages call it.
    pub fn place(&self) -> &Path {
        self.index.as_deref().unwrap_or(&self.files[0])
    }

    /// Whether it is a stack of networks, `theta [n, P]`, instead.
    ///
    /// # Errors
    /// Another format, or a header that lies.
    pub fn is_stack(&self) -> Result<bool> {
        Ok(self.tensors(&self.heads()?)?.iter().any(|tensor| tensor.name == "theta"))
    }

    /// The layout of its weights, in the order of its files.
    ///
    /// # Errors
    /// As [`Self::reading`]; no weight at all.
    pub fn layout(&self) -> Result<Layout> {
        let heads = self.heads()?;
        self.check_single(&heads)?;
        let tensors = self.tensors(&heads)?;
        let weights = tensors.into_iter().filter(|t| matches!(t.part(), Part::Weights));
        let layout = Layout::of_tensors(weights.map(|t| (t.name, t.shape)));
        match layout.is_empty() {
            true => Err(Error::format(self.place(), "tensors", "at least one number in a float tensor", "none")),
            false => Ok(layout),
        }
    }

    /// Where each tensor of `layout` is to be found, after names, types and shapes were checked by the headers.
    ///
    /// # Errors
    /// Another format; a header that lies; shards that do not agree with their index; a tensor that is missing, of another shape, in excess, or
    /// that holds weights in a form that is not read.
    pub fn reading(&self, layout: &Layout) -> Result<Reading> {
        let heads = self.heads()?;
        self.check_single(&heads)?;
        let tensors = self.tensors(&heads)?;
        let mut passed_over: BTreeSet<String> = heads.iter().flat_map(Head::beside).cloned().collect();
        for tensor in &tensors {
            match tensor.part() {
                Part::Weights => {}
                Part::PassedOver(why) => {
                    passed_over.insert(format!("{} ({why}, {})", tensor.name, tensor.described()));
                }
                Part::Refused(what) => {
                    let found = format!(
                        "{what}: {}. Dequantise the checkpoint first; a mask or counter is left out of the file",
                        tensor.described()
                    );
                    let field = format!("tensor {}", tensor.name);
                    return Err(self.wrong(tensor.file, field, "weights as floats of 16, 32 or 64 bits", found));
                }
            }
        }
        let weights: HashMap<&str, &Tensor> =
            tensors.iter().filter(|t| matches!(t.part(), Part::Weights)).map(|t| (t.name.as_str(), t)).collect();
        let expected: Vec<&str> = layout.slots().iter().map(|slot| slot.name.as_str()).collect();
        let mut found: Vec<&str> = weights.keys().copied().collect();
        found.sort_unstable();
        let Some((names, renamed)) = names::fit(&expected, &found) else {
            return Err(self.missing(layout, &tensors, &found));
        };
        let mut places = Vec::with_capacity(names.len());
        for (slot, name) in layout.slots().iter().zip(&names) {
            let tensor = weights[name];
            if tensor.shape != slot.shape {
                let expected = format!("floats {:?}", slot.shape);
                return Err(self.wrong(tensor.file, format!("tensor {name}"), expected, tensor.described()));
            }
            places.push((tensor.file, (*name).to_owned()));
        }
        let used: BTreeSet<&str> = names.into_iter().collect();
        if let Some(extra) = found.iter().find(|name| !used.contains(*name)) {
            let tensor = weights[extra];
            let field = format!("tensor {extra}");
            return Err(self.wrong(tensor.file, field, "no such tensor, as in the others", tensor.described()));
        }
        Ok(Reading { places, renamed, passed_over })
    }

    /// θ `[P]` by a reading that [`Self::reading`] gave.
    ///
    /// # Errors
    /// A number that is not finite, with file and tensor; a file that changed since.
    pub fn read(&self, layout: &Layout, reading: &Reading) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; layout.len()];
        for (index, path) in self.files.iter().enumerate() {
            let here = layout.slots().iter().zip(&reading.places).filter(|(_, (at, _))| *at == index);
            let mut put = |slot: &Slot, name: &str, values: Vec<f32>| {
                if values.len() != slot.len() {
                    return Err(Error::format(path, format!("tensor {name}"), slot.len(), values.len()));
                }
                theta[slot.range()].copy_from_slice(&values);
                Ok(())
            };
            match Head::read(path)? {
                Head::Safetensors(_) => {
                    let bytes = read_regular(path, u64::MAX)?;
                    let file = open(path, &bytes)?;
                    for (slot, (_, name)) in here {
                        let changed = |_| Error::format(path, format!("tensor {name}"), "a tensor", "none any more");
                        put(slot, name, floats(path, name, &file.tensor(name).map_err(changed)?)?)?;
                    }
                }
                Head::Torch(mut file) => {
                    let mut last = Last::default();
                    for (slot, (_, name)) in here {
                        put(slot, name, file.read(name, &mut last)?)?;
                    }
                }
            }
        }
        Ok(theta)
    }

    fn wrong(&self, file: usize, field: String, expected: impl ToString, found: impl ToString) -> Error {
        Error::format(&self.files[file], field, expected, found)
    }

    /// The error that names the first tensor which is not there, or not as weights.
    fn missing(&self, layout: &Layout, tensors: &[Tensor], found: &[&str]) -> Error {
        let known = |name: &str| tensors.iter().find(|t| t.name == name);
        let lacking = layout.slots().iter().find(|slot| !found.contains(&slot.name.as_str()));
        let slot = lacking.unwrap_or(&layout.slots()[0]);
        let expected = format!("floats {:?}", slot.shape);
        let field = format!("tensor {}", slot.name);
        if let Some(tensor) = known(&slot.name) {
            return self.wrong(tensor.file, field, expected, tensor.described());
        }
        let some = found.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = if found.len() > 3 { ", …" } else { "" };
        let found = if found.is_empty() { "no weights".into() } else { format!("no such tensor, but {some}{more}") };
        Error::format(self.place(), field, expected, found)
    }

    /// Refuses files of ours that hold something else than a network by its tensors' names: stacks, models, latents, shards of zoos.
    fn check_single(&self, heads: &[Head]) -> Result<()> {
        let Head::Safetensors(header) = &heads[0] else { return Ok(()) };
        let found = match (header.word("format"), header.word("zoo")) {
            (Some(word), _) if word.starts_with("thalweg ") => format!("\"{word}\""),
            (_, Some(id)) => format!("a shard of the zoo {id}"),
            _ => return Ok(()),
        };
        Err(Error::format(&self.files[0], "format", "one network by the names of its tensors", found))
    }

    /// What each of its files says that it holds.
    fn heads(&self) -> Result<Vec<Head>> {
        self.files.iter().map(|path| Head::read(path)).collect()
    }

    /// All tensors by the headers of its files.
    fn tensors(&self, heads: &[Head]) -> Result<Vec<Tensor>> {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (index, (path, head)) in self.files.iter().zip(heads).enumerate() {
            for (name, dtype, shape) in head.tensors() {
                if let Some(other) = places.insert(name.clone(), index) {
                    let expected =
                        format!("tensors that no other shard has (it is in {})", self.files[other].display());
                    return Err(Error::format(path, format!("tensor {name}"), expected, "the same name"));
                }
                tensors.push(Tensor { name, dtype, shape, file: index });
            }
        }
        if let Some(index) = &self.index {
            for (name, file) in weight_map(index)? {
                let there = places.get(&name).and_then(|at| self.files[*at].file_name());
                if there.is_none_or(|there| *there != *file) {
                    let expected = format!("in {file}, as the index says");
                    let found = there.map_or("in no shard".into(), |there| format!("in {}", there.display()));
                    return Err(Error::format(index, format!("tensor {name}"), expected, found));
                }
            }
        }
        Ok(tensors)
    }
}

/// What a file from outside says that it holds.
enum Head {
    Safetensors(Header),
    Torch(TorchFile),
}

impl Head {
    /// The head of `path`; other formats are told by name.
    fn read(path: &Path) -> Result<Self> {
        match Foreign::of(path)? {
            Some(foreign @ (Foreign::TorchZip | Foreign::Pickle)) => match path.extension() {
                // Whatever else reads it by its name would be misled.
                Some(ending) if ending == "safetensors" => {
                    let found = format!("{}; call it .pt to have it read as that", foreign.what());
                    Err(Error::format(path, "network", "a safetensors file, as its name says", found))
                }
                _ => TorchFile::open(path).map(Self::Torch),
            },
            Some(foreign) => Err(foreign.refuse(path)),
            None => Header::read(path).map(Self::Safetensors),
        }
    }

    /// What it holds beside tensors, in words.
    fn beside(&self) -> &[String] {
        match self {
            Self::Safetensors(_) => &[],
            Self::Torch(file) => &file.state().passed_over,
        }
    }

    /// Name, kind and shape of every tensor.
    fn tensors(&self) -> Vec<(String, Dtype, Vec<usize>)> {
        match self {
            Self::Safetensors(header) => {
                let of = |name: String| header.info(&name).map(|info| (name.clone(), info.dtype, info.shape.clone()));
                header.names().into_iter().filter_map(of).collect()
            }
            Self::Torch(file) => {
                let all = file.state().tensors.iter();
                all.map(|t| (t.name.clone(), t.place.dtype, t.place.shape().to_vec())).collect()
            }
        }
    }
}

/// Which file holds which tensor, by `*.safetensors.index.json`.
///
/// # Errors
/// A file that is no such index, or that names files outside its folder.
pub(super) fn weight_map(path: &Path) -> Result<Vec<(String, String)>> {
    let wrong =
        |found: String| Error::format(path, "weight_map", "names of tensors with names of files beside it", found);
    let text = read_regular(path, LARGEST_INDEX)?;
    let value: serde_json::Value = serde_json::from_slice(&text).map_err(|e| wrong(e.to_string()))?;
    let map = value.get("weight_map").and_then(|map| map.as_object()).ok_or_else(|| wrong("none".into()))?;
    if map.is_empty() {
        return Err(wrong("an empty one".into()));
    }
    let pair = |(name, file): (&String, &serde_json::Value)| match file.as_str() {
        Some(file) if Path::new(file).file_name() == Some(file.as_ref()) => Ok((name.clone(), file.to_owned())),
        _ => Err(wrong(format!("{name}: {file}"))),
    };
    map.iter().map(pair).collect()
}

/// Whether a path can be read as a file at all, told before anything is read.
///
/// # Errors
/// No such file, or a pipe, a socket, a device.
pub(super) fn check_regular(path: &Path) -> Result<()> {
    open_regular(path).map(|_| ())
}
