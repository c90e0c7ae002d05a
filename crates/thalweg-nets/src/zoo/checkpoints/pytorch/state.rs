//! [`State`]: the tensors of one network among the values of a pickle: a `state_dict`, one within a training's checkpoint, or a whole module.
use super::pickle::{Id, Pickle, Value};
use crate::error::Error;
use safetensors::Dtype;
use std::collections::HashSet;
use std::path::Path;

/// Where a checkpoint of a training has its network, the first that is there being taken. Averages of weights come last: they are another network.
const KEYS: [&str; 15] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "module",
    "net",
    "network",
    "weights",
    "params",
    "generator",
    "ema",
    "ema_state_dict",
    "model_ema",
    "ema_model",
    "state_dict_ema",
];

/// Most tensors of one network: a file whose dictionaries hold each other again and again has no end of names.
const MOST: usize = 100_000;

/// Deepest nesting of modules and dictionaries that is followed.
const DEEPEST: usize = 64;

/// Where a tensor's numbers lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its storage.
    pub key: String,
    /// The kind of the storage's numbers.
    pub dtype: Dtype,
    offset: usize,
    shape: Vec<usize>,
    stride: Vec<usize>,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: String,
    /// Its numbers.
    pub place: Place,
}

/// The tensors of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// In the order of the file.
    pub tensors: Vec<Stored>,
    /// What else was there, in words.
    pub passed_over: Vec<String>,
    /// Every storage that any value of the file lies in, with the bytes of one number.
    widths: Vec<(String, u64)>,
}

/// Why there is no network: field, expected, found.
#[derive(Debug)]
pub struct Wrong(String, String, String);

impl Wrong {
    fn new(field: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self(field.into(), expected.into(), found.into())
    }

    /// The error for the file at `path`.
    pub fn in_file(self, path: &Path) -> Error {
        Error::format(path, self.0, self.1, self.2)
    }
}

type Found<T> = Result<T, Wrong>;

impl Place {
    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its numbers in row-major order, out of the bytes of its storage.
    ///
    /// # Errors
    /// A storage that ends before the tensor does, as what was expected and found.
    pub fn gathered(&self, bytes: &[u8]) -> Result<Vec<u8>, (String, String)> {
        let width = width(self.dtype);
        if self.shape.contains(&0) {
            return Ok(Vec::new());
        }
        let end = self.shape.iter().zip(&self.stride).try_fold(self.offset, |end, (n, stride)| {
            (n - 1).checked_mul(*stride).and_then(|more| end.checked_add(more))
        });
        let (there, count) = (bytes.len() / width, self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)));
        // A tensor that repeats its numbers (a stride of 0) may be larger than its storage, yet not without bound.
        let (Some(end), Some(count)) = (end.filter(|end| *end < there), count.filter(|n| *n <= there.max(1) * 64))
        else {
            return Err((format!("numbers for shape {:?}, strides {:?}", self.shape, self.stride), format!("{there}")));
        };
        let contiguous = end + 1 - self.offset == count && self.row_major();
        if contiguous {
            return Ok(bytes[self.offset * width..][..count * width].to_vec());
        }
        let mut gathered = Vec::with_capacity(count * width);
        let mut index = vec![0; self.shape.len()];
        for _ in 0..count {
            let at = self.offset + index.iter().zip(&self.stride).map(|(i, stride)| i * stride).sum::<usize>();
            gathered.extend_from_slice(&bytes[at * width..][..width]);
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                if index[axis] < self.shape[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
        Ok(gathered)
    }

    /// Whether the last axis is the one whose numbers lie side by side, and so on to the first.
    fn row_major(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.stride).rev().all(|(n, stride)| {
            let right = *n == 1 || *stride == step;
            step *= n;
            right
        })
    }
}

impl State {
    /// Finds the network among the values of a pickle.
    ///
    /// # Errors
    /// No tensors, or several dictionaries of them of which none is named as a network; tensors that are sparse, quantised or of an unknown kind.
    pub fn of(pickle: &Pickle) -> Found<Self> {
        let reader = Reader { pickle };
        let mut state = State { widths: reader.widths(), ..Self::default() };
        reader.network(pickle.root(), &mut state)?;
        let mut names = HashSet::new();
        match state.tensors.iter().find(|t| !names.insert(&t.name)) {
            Some(twice) => Err(Wrong::new(format!("tensor {}", twice.name), "one of this name", "two")),
            None => Ok(state),
        }
    }

    fn enter(&mut self, reader: &Reader, name: String, value: Id) -> Found<()> {
        if self.tensors.len() == MOST {
            return Err(Wrong::new("network", format!("at most {MOST} tensors"), "more"));
        }
        let place = reader.place(value, &name)?;
        self.tensors.push(Stored { name, place });
        Ok(())
    }

    /// Bytes of one number of a storage.
    pub fn width(&self, key: &str) -> Option<u64> {
        self.widths.iter().find(|(known, _)| known == key).map(|(_, width)| *width)
    }
}

struct Reader<'a> {
    pickle: &'a Pickle,
}

impl Reader<'_> {
    /// The network that a value is or holds.
    fn network(&self, id: Id, state: &mut State) -> Found<()> {
        if self.is_module(id) {
            return self.module(id, "", DEEPEST, state);
        }
        let Some(entries) = self.entries(id) else {
            return Err(Wrong::new("network", "a state_dict: names with tensors", self.described(id)));
        };
        let networks: Vec<&(String, Id)> = entries.iter().filter(|(_, id)| self.holds_tensors(*id)).collect();
        let named = KEYS.iter().find_map(|key| networks.iter().find(|(name, _)| name == key));
        let only =
            (networks.len() == 1 && !entries.iter().any(|(_, id)| self.is_tensor(*id))).then(|| networks.first());
        match named.or(only.flatten()) {
            Some((name, inner)) => {
                let others = networks.iter().filter(|(other, _)| other != name);
                state.passed_over.extend(others.map(|(other, _)| format!("{other} (tensors beside those of {name})")));
                self.tensors(*inner, "", DEEPEST, state)
            }
            None if entries.iter().any(|(_, id)| self.is_tensor(*id)) => self.tensors(id, "", DEEPEST, state),
            None => {
                let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).take(8).collect();
                let expected = format!("a state_dict, at the top or under one of {}", KEYS.join(", "));
                Err(Wrong::new("network", expected, format!("a dictionary of {}", names.join(", "))))
            }
        }
    }

    /// All tensors of a dictionary, or of a module.
    fn tensors(&self, id: Id, before: &str, depth: usize, state: &mut State) -> Found<()> {
        if self.is_module(id) {
            return self.module(id, before, depth, state);
        }
        let depth = depth.checked_sub(1).ok_or_else(|| deep(before))?;
        for (name, value) in self.entries(id).unwrap_or_default() {
            let name = format!("{before}{name}");
            if self.is_tensor(value) {
                state.enter(self, name, value)?;
            } else if self.holds_tensors(value) {
                self.tensors(value, &format!("{name}."), depth, state)?;
            } else if self.entries(value).is_none_or(|inner| !inner.is_empty()) && state.passed_over.len() < MOST {
                state.passed_over.push(format!("{name} ({})", self.described(value)));
            }
        }
        Ok(())
    }

    /// The parameters and buffers of a module that was saved whole, and of those within it, as its `state_dict` would name them.
    fn module(&self, id: Id, before: &str, depth: usize, state: &mut State) -> Found<()> {
        let depth = depth.checked_sub(1).ok_or_else(|| deep(before))?;
        let inner = self.entries(self.state_of(id)).unwrap_or_default();
        let part = |name: &str| inner.iter().find(|(n, _)| n == name).and_then(|(_, id)| self.entries(*id));
        let fleeting = inner.iter().find(|(n, _)| n == "_non_persistent_buffers_set").map(|(_, id)| self.names(*id));
        let fleeting = fleeting.unwrap_or_default();
        for (name, value) in ["_parameters", "_buffers"].iter().filter_map(|p| part(p)).flatten() {
            if self.is_tensor(value) && !fleeting.contains(&name) {
                state.enter(self, format!("{before}{name}"), value)?;
            }
        }
        for (name, value) in part("_modules").unwrap_or_default() {
            if self.is_module(value) {
                self.module(value, &format!("{before}{name}."), depth, state)?;
            }
        }
        Ok(())
    }

    /// Names in a set: of texts themselves, or of a call that would have made it of a list.
    fn names(&self, id: Id) -> Vec<String> {
        let list = match self.pickle.value(id) {
            Value::Call { arguments, .. } => self.pickle.elements(*arguments).and_then(|all| all.first()).copied(),
            _ => Some(id),
        };
        let all = list.and_then(|id| self.pickle.elements(id)).unwrap_or_default();
        all.iter().filter_map(|id| self.pickle.text(*id).map(str::to_owned)).collect()
    }

    /// The entries of a dictionary (or of what is made like one) by their names.
    fn entries(&self, id: Id) -> Option<Vec<(String, Id)>> {
        let entries = match self.pickle.value(id) {
            Value::Dict(entries) => entries,
            Value::Call { entries, .. } if !self.is_tensor(id) => entries,
            _ => return None,
        };
        let named = |(key, value): &(Id, Id)| match self.pickle.value(*key) {
            Value::Text(name) => Some((name.clone(), *value)),
            Value::Int(number) => Some((number.to_string(), *value)),
            _ => None,
        };
        Some(entries.iter().filter_map(named).collect())
    }

    fn state_of(&self, id: Id) -> Id {
        match self.pickle.value(id) {
            Value::Call { state: Some(state), .. } => *state,
            _ => id,
        }
    }

    fn is_module(&self, id: Id) -> bool {
        matches!(self.pickle.value(id), Value::Call { state: Some(_), .. })
            && self.entries(self.state_of(id)).is_some_and(|inner| {
                ["_parameters", "_modules"].iter().all(|part| inner.iter().any(|(name, _)| name == part))
            })
    }

    /// A dictionary with a tensor among its values, or a module.
    fn holds_tensors(&self, id: Id) -> bool {
        self.is_module(id)
            || self.entries(id).is_some_and(|entries| entries.iter().any(|(_, value)| self.is_tensor(*value)))
    }

    fn called(&self, id: Id) -> Option<(&str, &[Id])> {
        let Value::Call { function, arguments, .. } = self.pickle.value(id) else { return None };
        Some((self.pickle.global(*function)?, self.pickle.elements(*arguments)?))
    }

    fn is_tensor(&self, id: Id) -> bool {
        self.called(id).is_some_and(|(function, _)| {
            function.starts_with("torch._utils._rebuild_") || function == "torch._tensor._rebuild_from_type_v2"
        })
    }

    /// Where the numbers of the tensor `id` lie, called `name`.
    fn place(&self, id: Id, name: &str) -> Found<Place> {
        let field = || format!("tensor {name}");
        let unknown = |found: String| Wrong::new(field(), "a dense tensor as torch.save writes it", found);
        let (mut function, mut arguments) = self.called(id).ok_or_else(|| unknown("a value of another form".into()))?;
        // What wraps a tensor: a parameter, a tensor of a class derived from torch's.
        loop {
            let inner = match function {
                "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                    arguments.first().and_then(|inner| self.called(*inner))
                }
                "torch._tensor._rebuild_from_type_v2" => match arguments {
                    [function, _, inner, ..] => self.pickle.global(*function).zip(self.pickle.elements(*inner)),
                    _ => None,
                },
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor_v3" => break,
                other => return Err(unknown(other.trim_start_matches("torch._utils.").to_owned())),
            };
            (function, arguments) = inner.ok_or_else(|| unknown("a parameter without its tensor".into()))?;
        }
        let broken = || unknown("one whose storage, shape or strides are missing".into());
        let [storage, offset, shape, stride, rest @ ..] = arguments else { return Err(broken()) };
        let numbers =
            |id: Id| self.pickle.elements(id)?.iter().map(|id| self.pickle.count(*id)).collect::<Option<Vec<_>>>();
        let (Some(shape), Some(stride)) = (numbers(*shape), numbers(*stride)) else { return Err(broken()) };
        let (key, kind, view) = self.storage(*storage).ok_or_else(broken)?;
        let kind = match rest.get(2).and_then(|id| self.pickle.global(*id)) {
            Some(named) if function.ends_with("_v3") => named,
            _ => kind,
        };
        let Some(dtype) = dtype(kind) else {
            return Err(Wrong::new(field(), "numbers of a type that PyTorch's plain tensors have", kind));
        };
        if view || stride.len() != shape.len() {
            return Err(unknown("a view of another storage, or strides that are not those of its shape".into()));
        }
        let offset = self.pickle.count(*offset).ok_or_else(broken)?;
        Ok(Place { key: key.to_owned(), dtype, offset, shape, stride })
    }

    /// Key and type of the storage that a persistent identity names, and whether it is a part of another one.
    fn storage(&self, id: Id) -> Option<(&str, &str, bool)> {
        let Value::Persistent(identity) = self.pickle.value(id) else { return None };
        let [word, kind, key, _, _, view @ ..] = self.pickle.elements(*identity)? else { return None };
        let view = view.first().is_some_and(|view| *self.pickle.value(*view) != Value::None);
        (self.pickle.text(*word) == Some("storage")).then_some(())?;
        Some((self.pickle.text(*key)?, self.pickle.global(*kind)?, view))
    }

    /// Every storage that is named anywhere, with the bytes of one of its numbers.
    fn widths(&self) -> Vec<(String, u64)> {
        let all = (0..self.pickle.len()).filter_map(|id| self.storage(id));
        all.filter_map(|(key, kind, _)| Some((key.to_owned(), width(dtype(kind)?) as u64))).collect()
    }

    fn described(&self, id: Id) -> String {
        match self.pickle.value(id) {
            Value::None => "None".into(),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => "a number".into(),
            Value::Text(_) => "a text".into(),
            Value::Bytes(_) => "bytes".into(),
            Value::Tuple(_) | Value::List(_) => "a list".into(),
            Value::Dict(_) => "a dictionary without tensors".into(),
            Value::Global(name) => format!("the name {name}"),
            Value::Call { function, .. } => {
                format!("an object of {}", self.pickle.global(*function).unwrap_or("a class"))
            }
            Value::Persistent(_) => "a storage".into(),
        }
    }
}

fn deep(name: &str) -> Wrong {
    Wrong::new(format!("{name}…"), format!("names of at most {DEEPEST} parts"), "more")
}

/// The type of numbers that a class of storages, or a type of torch, stands for.
fn dtype(kind: &str) -> Option<Dtype> {
    Some(match kind.strip_prefix("torch.")?.trim_start_matches("storage.").trim_start_matches("cuda.") {
        "DoubleStorage" | "float64" => Dtype::F64,
        "FloatStorage" | "float32" => Dtype::F32,
        "HalfStorage" | "float16" => Dtype::F16,
        "BFloat16Storage" | "bfloat16" => Dtype::BF16,
        "LongStorage" | "int64" => Dtype::I64,
        "IntStorage" | "int32" => Dtype::I32,
        "ShortStorage" | "int16" => Dtype::I16,
        "CharStorage" | "int8" => Dtype::I8,
        "ByteStorage" | "uint8" => Dtype::U8,
        "BoolStorage" | "bool" => Dtype::BOOL,
        "uint16" => Dtype::U16,
        "uint32" => Dtype::U32,
        "uint64" => Dtype::U64,
        "ComplexFloatStorage" | "complex64" => Dtype::C64,
        "float8_e4m3fn" => Dtype::F8_E4M3,
        "float8_e5m2" => Dtype::F8_E5M2,
        _ => return None,
    })
}

/// Bytes of one number; every type of [`dtype`] has whole ones.
fn width(dtype: Dtype) -> usize {
    dtype.bitsize() / 8
}
