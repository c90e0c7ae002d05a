//! [`Network`]: the tensors of one network, in one file (safetensors, or PyTorch's) or in the shards of one.
//!
//! Floats of 16, 32 and 64 bits are weights. Counters and masks (integers, booleans) and tensors without numbers are passed over and told; numbers that
//! stand for weights in another form (8-bit floats, quantised integers, complex numbers) are refused by name, since the network would not be whole.
use super::head::{Head, Part, Raw, Tensor};
use super::names;
use crate::error::{Error, Result};
use crate::files::{open_regular, read_regular};
use crate::layout::{Layout, Slot, floats, open};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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

/// How a network's tensors become θ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// For every tensor of the layout, the file that holds it and its name there; none where the network lacks it and need not have it.
    places: Vec<Option<(usize, String)>>,
    /// What was taken off the names, in words.
    pub renamed: Option<String>,
    /// Tensors that were passed over, each with why.
    pub passed_over: BTreeSet<String>,
}

impl Reading {
    /// The name in its file of tensor `slot` of the layout.
    pub fn name(&self, slot: usize) -> Option<&str> {
        self.places.get(slot)?.as_ref().map(|(_, name)| name.as_str())
    }

    /// The reading of these tensors alone, in this order.
    pub fn only(&self, slots: &[usize]) -> Self {
        Self { places: slots.iter().map(|&slot| self.places[slot].clone()).collect(), ..self.clone() }
    }
}

/// What is asked of a network's tensors beside their names and shapes.
pub(crate) struct Wanted<'a> {
    /// Whether a tensor is modelled, by its name: others may be of any type.
    pub modelled: &'a dyn Fn(&str) -> bool,
    /// Which tensors of the layout the network need not have.
    pub optional: &'a dyn Fn(usize) -> bool,
}

/// A network whose headers were read.
pub(crate) struct Opened<'a> {
    network: &'a Network,
    heads: Vec<Head>,
    pub tensors: Vec<Tensor>,
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

    /// Reads the headers of its files.
    ///
    /// # Errors
    /// Another format; a header that lies; shards that do not agree with their index; a file of ours that is no network.
    pub(crate) fn opened(&self) -> Result<Opened<'_>> {
        let heads = self.heads()?;
        self.check_single(&heads)?;
        let tensors = self.tensors(&heads)?;
        Ok(Opened { network: self, heads, tensors })
    }

    /// The layout of its weights, in the order of its files.
    ///
    /// # Errors
    /// As [`Self::reading`]; no weight at all.
    pub fn layout(&self) -> Result<Layout> {
        self.opened()?.layout()
    }

    /// Where each tensor of `layout` is to be found, after names, types and shapes were checked by the headers.
    ///
    /// # Errors
    /// Another format; a header that lies; shards that do not agree with their index; a tensor that is missing, of another shape, in excess, or
    /// that holds weights in a form that is not read.
    pub fn reading(&self, layout: &Layout) -> Result<Reading> {
        self.opened()?.reading(layout, &Wanted { modelled: &|_| true, optional: &|_| false })
    }

    /// θ `[P]` by a reading that [`Self::reading`] gave.
    ///
    /// # Errors
    /// A number that is not finite, with file and tensor; a file that changed since.
    pub fn read(&self, layout: &Layout, reading: &Reading) -> Result<Vec<f32>> {
        let mut theta = vec![0.0; layout.len()];
        for (index, path) in self.files.iter().enumerate() {
            let places = reading.places.iter().map(|place| place.as_ref().filter(|(at, _)| *at == index));
            let here = layout.slots().iter().zip(places).filter_map(|(slot, place)| Some((slot, place?)));
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
                Head::Torch(mut file, mut last) => {
                    for (slot, (_, name)) in here {
                        put(slot, name, file.read(name, &mut last)?)?;
                    }
                }
            }
        }
        Ok(theta)
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

impl Opened<'_> {
    /// The layout of its weights, in the order of its files.
    ///
    /// # Errors
    /// No weight at all.
    pub fn layout(&self) -> Result<Layout> {
        let weights = self.tensors.iter().filter(|t| t.is_weights());
        let layout = Layout::of_tensors(weights.map(|t| (t.name.clone(), t.shape.clone())));
        match layout.is_empty() {
            true => {
                Err(Error::format(self.network.place(), "tensors", "at least one number in a float tensor", "none"))
            }
            false => Ok(layout),
        }
    }

    /// As [`Network::reading`], of which `wanted` may ask less.
    pub fn reading(&self, layout: &Layout, wanted: &Wanted) -> Result<Reading> {
        let mut passed_over: BTreeSet<String> = self.heads.iter().flat_map(Head::beside).cloned().collect();
        for tensor in &self.tensors {
            match tensor.part() {
                Part::PassedOver(why) => {
                    passed_over.insert(format!("{} ({why}, {})", tensor.name, tensor.described()));
                }
                Part::Refused(what) if (wanted.modelled)(&tensor.name) => {
                    let found = format!(
                        "{what}: {}. Dequantise the checkpoint first, or leave the tensor out of those that are modelled: it is then kept as it is",
                        tensor.described()
                    );
                    let field = format!("tensor {}", tensor.name);
                    return Err(self.wrong(tensor.file, field, "weights as floats of 16, 32 or 64 bits", found));
                }
                Part::Weights | Part::Refused(_) => {}
            }
        }
        let weights: HashMap<&str, &Tensor> =
            self.tensors.iter().filter(|t| t.is_weights()).map(|t| (t.name.as_str(), t)).collect();
        let mut found: Vec<&str> = weights.keys().copied().collect();
        found.sort_unstable();
        let slots = layout.slots();
        let all: Vec<usize> = (0..slots.len()).collect();
        let needed: Vec<usize> = all.iter().copied().filter(|slot| !(wanted.optional)(*slot)).collect();
        let fit = |of: &[usize]| {
            let expected: Vec<&str> = of.iter().map(|slot| slots[*slot].name.as_str()).collect();
            names::fit(&expected, &found)
        };
        let (of, fitted) = match fit(&all) {
            Some(fitted) => (all, Some(fitted)),
            None => {
                let fitted = fit(&needed);
                (needed, fitted)
            }
        };
        let Some((names, renamed)) = fitted else {
            return Err(self.missing(&of.iter().map(|slot| &slots[*slot]).collect::<Vec<_>>(), &found));
        };
        let mut places = vec![None; slots.len()];
        for (slot, name) in of.into_iter().zip(&names) {
            let (tensor, shape) = (weights[name], &slots[slot].shape);
            if tensor.shape != *shape {
                let expected = format!("floats {shape:?}");
                return Err(self.wrong(tensor.file, format!("tensor {name}"), expected, tensor.described()));
            }
            places[slot] = Some((tensor.file, (*name).to_owned()));
        }
        let mut used: BTreeSet<&str> = names.into_iter().collect();
        // What need not be there may be there in part, under the names that it has in the layout.
        for (slot, place) in places.iter_mut().enumerate().filter(|(_, place)| place.is_none()) {
            if let Some((name, tensor)) = weights.get_key_value(slots[slot].name.as_str())
                && tensor.shape == slots[slot].shape
            {
                used.insert(name);
                *place = Some((tensor.file, (*name).to_owned()));
            }
        }
        if let Some(extra) = found.iter().find(|name| !used.contains(*name)) {
            let tensor = weights[extra];
            let field = format!("tensor {extra}");
            return Err(self.wrong(tensor.file, field, "no such tensor, as in the others", tensor.described()));
        }
        Ok(Reading { places, renamed, passed_over })
    }

    /// The tensor called `name`.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// The bytes of the tensor called `name`.
    ///
    /// # Errors
    /// No such tensor; a file that changed since.
    pub fn raw(&mut self, name: &str) -> Result<Raw> {
        let file = self.tensor(name).map(|tensor| tensor.file);
        let missing = || Error::format(self.network.place(), format!("tensor {name}"), "a tensor", "none");
        let file = file.ok_or_else(missing)?;
        self.heads[file].raw(&self.network.files[file], name)
    }

    /// The numbers of the tensor called `name`, which are floats.
    ///
    /// # Errors
    /// As [`Self::raw`]; a number that is not finite.
    pub fn floats(&mut self, name: &str) -> Result<Vec<f32>> {
        let place = self.network.place();
        self.raw(name)?.floats(place, name)
    }

    /// Where the numbers of each tensor lie, by name, where several tensors may lie at one place.
    pub fn places(&self) -> HashMap<&str, (usize, String)> {
        let all = self
            .heads
            .iter()
            .enumerate()
            .flat_map(|(file, head)| head.places().into_iter().map(move |(name, place)| (name, (file, place))));
        all.collect()
    }

    /// What the writer left in the headers.
    pub fn words(&self) -> BTreeMap<String, String> {
        self.heads.iter().flat_map(Head::words).collect()
    }

    fn wrong(&self, file: usize, field: String, expected: impl ToString, found: impl ToString) -> Error {
        Error::format(&self.network.files[file], field, expected, found)
    }

    /// The error that names the first tensor which is not there, or not as weights.
    fn missing(&self, slots: &[&Slot], found: &[&str]) -> Error {
        let lacking = slots.iter().find(|slot| !found.contains(&slot.name.as_str()));
        let slot = lacking.unwrap_or(&slots[0]);
        let expected = format!("floats {:?}", slot.shape);
        let field = format!("tensor {}", slot.name);
        if let Some(tensor) = self.tensor(&slot.name) {
            return self.wrong(tensor.file, field, expected, tensor.described());
        }
        let some = found.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = if found.len() > 3 { ", …" } else { "" };
        let found = if found.is_empty() { "no weights".into() } else { format!("no such tensor, but {some}{more}") };
        Error::format(self.network.place(), field, expected, found)
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
