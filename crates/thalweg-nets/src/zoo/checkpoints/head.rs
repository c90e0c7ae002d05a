//! [`Head`]: what one file from outside says that it holds, and the bytes of its tensors as they lie there.
use super::foreign::Foreign;
use super::pytorch::{Last, TorchFile};
use crate::error::{Error, Result};
use crate::files::open_regular;
use crate::numbers::{decoded, is_float};
use crate::zoo::header::Header;
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A tensor as its header describes it.
#[derive(Clone, Debug)]
pub(crate) struct Tensor {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Which of the network's files holds it.
    pub file: usize,
}

/// What a tensor is to a network.
pub(crate) enum Part {
    Weights,
    PassedOver(&'static str),
    Refused(&'static str),
}

impl Tensor {
    pub fn described(&self) -> String {
        format!("{:?} {:?}", self.dtype, self.shape)
    }

    pub fn is_weights(&self) -> bool {
        matches!(self.part(), Part::Weights)
    }

    pub fn part(&self) -> Part {
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

/// A tensor's bytes as they lie in its file, row-major and little-endian.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Raw {
    /// Its numbers, where they are floats.
    pub fn floats(&self, path: &Path, name: &str) -> Result<Vec<f32>> {
        decoded(path, name, self.dtype, &self.bytes)
    }
}

/// What a file from outside says that it holds.
pub(crate) enum Head {
    Safetensors(Header),
    Torch(TorchFile, Last),
}

impl Head {
    /// The head of `path`; other formats are told by name.
    pub fn read(path: &Path) -> Result<Self> {
        match Foreign::of(path)? {
            Some(foreign @ (Foreign::TorchZip | Foreign::Pickle)) => match path.extension() {
                // Whatever else reads it by its name would be misled.
                Some(ending) if ending == "safetensors" => {
                    let found = format!("{}; call it .pt to have it read as that", foreign.what());
                    Err(Error::format(path, "network", "a safetensors file, as its name says", found))
                }
                _ => TorchFile::open(path).map(|file| Self::Torch(file, Last::default())),
            },
            Some(foreign) => Err(foreign.refuse(path)),
            None => Header::read(path).map(Self::Safetensors),
        }
    }

    /// What it holds beside tensors, in words.
    pub fn beside(&self) -> &[String] {
        match self {
            Self::Safetensors(_) => &[],
            Self::Torch(file, _) => &file.state().passed_over,
        }
    }

    /// What its writer left in the header.
    pub fn words(&self) -> BTreeMap<String, String> {
        match self {
            Self::Safetensors(header) => header.words(),
            Self::Torch(..) => BTreeMap::new(),
        }
    }

    /// Name, kind and shape of every tensor.
    pub fn tensors(&self) -> Vec<(String, Dtype, Vec<usize>)> {
        match self {
            Self::Safetensors(header) => {
                let of = |name: String| header.info(&name).map(|info| (name.clone(), info.dtype, info.shape.clone()));
                header.names().into_iter().filter_map(of).collect()
            }
            Self::Torch(file, _) => {
                let all = file.state().tensors.iter();
                all.map(|t| (t.name.clone(), t.place.dtype, t.place.shape().to_vec())).collect()
            }
        }
    }

    /// Names of tensors with where their numbers lie, where several may lie at one place.
    pub fn places(&self) -> Vec<(&str, String)> {
        match self {
            Self::Safetensors(_) => Vec::new(),
            Self::Torch(file, _) => {
                file.state().tensors.iter().map(|t| (t.name.as_str(), format!("{:?}", t.place))).collect()
            }
        }
    }

    /// The bytes of tensor `name` of the file `path`, whose head this is.
    ///
    /// # Errors
    /// No such tensor; a file that changed since; a storage that is too short.
    pub fn raw(&mut self, path: &Path, name: &str) -> Result<Raw> {
        let gone = || Error::format(path, format!("tensor {name}"), "a tensor", "none any more");
        match self {
            Self::Safetensors(header) => {
                let info = header.info(name).ok_or_else(gone)?;
                let (from, to) = info.data_offsets;
                let mut bytes = vec![0; to - from];
                let mut file = open_regular(path)?;
                let read = file.seek(SeekFrom::Start(header.start() + from as u64));
                read.and_then(|_| file.read_exact(&mut bytes)).map_err(Error::io("read", path))?;
                Ok(Raw { dtype: info.dtype, shape: info.shape.clone(), bytes })
            }
            Self::Torch(file, last) => {
                let (dtype, shape, bytes) = file.raw(name, last)?;
                Ok(Raw { dtype, shape, bytes })
            }
        }
    }
}
