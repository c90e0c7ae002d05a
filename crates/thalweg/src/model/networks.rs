//! Networks in files. A *stack* is one safetensors file with `theta [n, P]`, whose header says what the networks are; otherwise each network has a
//! file of its own with PyTorch's tensor names, which `load_state_dict` takes as it is.
//!
//! | in a stack | what |
//! | --- | --- |
//! | tensor `theta` | weights `[n, P]`, f32 |
//! | tensors `states`, `at` | states on the way `[T, n, P]`, f32, and their times `[T]`, f64; left out where none were kept |
//! | `format` | `thalweg networks 1` |
//! | `architecture`, `data`, `split` | what is known of the networks, as TOML |
//! | `blake3` | the file's checksum |
//!
//! Stacks written by others need `theta` alone; `at` may be f32 there.
use super::config::Split;
use super::stack::StackWriter;
use crate::tensors::TensorReader;
use crate::{Error, Layout, Result};
use safetensors::Dtype;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use thalweg_nets::Architecture;
use thalweg_nets::data::DataSpec;
use thalweg_nets::files::write_whole;
use thalweg_nets::memory;
use thalweg_nets::sealed::SealedFile;
use thalweg_nets::zoo::Template;
use thalweg_nets::zoo::checkpoints::{PassedOver, networks};

/// The header's word for a stack, with its version.
const FORMAT: &str = "thalweg networks 1";

/// Networks with what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Networks {
    /// Their weights, `[n, P]`.
    pub theta: Vec<f32>,
    /// P.
    pub parameters: usize,
    /// What they are.
    pub architecture: Option<Architecture>,
    /// What they are for.
    pub data: Option<DataSpec>,
    /// How their generator split the zoo's runs into training, validation and test runs.
    pub split: Option<Split>,
}

/// States along the way of each network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct States {
    /// Times in [0, 1], `[T]`; empty where none were kept.
    pub times: Vec<f64>,
    /// Weights at these times, `[T, n, P]`.
    pub theta: Vec<f32>,
}

impl Networks {
    /// n.
    pub fn len(&self) -> usize {
        self.theta.len().checked_div(self.parameters).unwrap_or(0)
    }

    /// Whether there is no network.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Weights `[P]` of network `i`.
    pub fn network(&self, i: usize) -> Option<&[f32]> {
        self.theta.get(i.checked_mul(self.parameters)?..)?.get(..self.parameters)
    }

    /// The name of the file of network `i`, where each has its own.
    pub fn file_name(i: usize) -> String {
        format!("network-{i:05}.safetensors")
    }

    /// Writes a stack, with the states where there are any. A file that is there is replaced.
    ///
    /// # Errors
    /// Weights or states that do not fill their shapes; a file that cannot be written.
    pub fn write_stack(&self, path: &Path, states: &States) -> Result<()> {
        let (n, p) = (self.len(), self.parameters);
        if self.theta.len() != n * p || states.theta.len() != states.times.len() * n * p {
            let found = format!("{} weights, {} numbers of states", self.theta.len(), states.theta.len());
            return Err(Error::parameter("tensors", "numbers that fit their shapes", found));
        }
        let mut file = self.begin_stack(path, n, &states.times)?;
        file.put(0..n, &self.theta, &states.theta)?;
        file.finish()
    }

    /// Begins a stack of `n` networks that are still to come, with their states at `times`, described as these are. A file that is there is replaced
    /// once it is finished.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn begin_stack(&self, path: &Path, n: usize, times: &[f64]) -> Result<StackWriter> {
        let (p, t) = (self.parameters, times.len());
        let mut tensors = vec![("theta".to_owned(), Dtype::F32, vec![n, p])];
        if t > 0 {
            tensors.extend([("states".to_owned(), Dtype::F32, vec![t, n, p]), ("at".to_owned(), Dtype::F64, vec![t])]);
        }
        let mut words = BTreeMap::from([("format".to_owned(), FORMAT.to_owned())]);
        describe(&mut words, "architecture", self.architecture.as_ref())?;
        describe(&mut words, "data", self.data.as_ref())?;
        describe(&mut words, "split", self.split.as_ref())?;
        let mut file = SealedFile::begin(path, tensors, &words)?;
        if t > 0 {
            file.whole("at", Dtype::F64, &times.iter().flat_map(|t| t.to_le_bytes()).collect::<Vec<_>>())?;
        }
        Ok(StackWriter { file, n, p })
    }

    /// Writes a file for each network into `dir`, named by [`Self::file_name`]. Files that are there are replaced.
    ///
    /// # Errors
    /// Networks of another layout, or with weights that are not finite; a file that cannot be written.
    pub fn write_each(&self, dir: &Path, layout: &Layout) -> Result<()> {
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        Self::write_some(0, &self.theta, dir, layout)
    }

    /// Writes a file for each of the networks `theta [m, P]` into `dir`, which is there; they are those from number `first` on.
    ///
    /// # Errors
    /// As [`Self::write_each`].
    pub fn write_some(first: usize, theta: &[f32], dir: &Path, layout: &Layout) -> Result<()> {
        layout.check("networks", theta)?;
        for (i, theta) in theta.chunks_exact(layout.len()).enumerate() {
            write_whole(&dir.join(Self::file_name(first + i)), &layout.to_safetensors(theta)?)?;
        }
        Ok(())
    }

    /// Writes each of the networks `theta [m, P]` into `dir`, which is there, as `template` says: with its names, types, frozen tensors and counters, and,
    /// where files stand beside it, in a folder of its own. They are those from number `first` on.
    ///
    /// # Errors
    /// As [`Self::write_each`]; a number beyond the largest of its type, named by tensor.
    pub fn write_as(first: usize, theta: &[f32], dir: &Path, layout: &Layout, template: &Template) -> Result<()> {
        layout.check("networks", theta)?;
        for (i, theta) in theta.chunks_exact(layout.len()).enumerate() {
            let name = Self::file_name(first + i);
            template.write(layout, theta, dir, name.strip_suffix(".safetensors").unwrap_or(&name))?;
        }
        Ok(())
    }

    /// Whether `path` is a stack; only single networks need an architecture to be read.
    ///
    /// # Errors
    /// No such file; another format.
    pub fn is_stack(path: &Path) -> Result<bool> {
        networks(path)?.0[0].is_stack()
    }

    /// Reads a stack, a single network (in one file or in shards), or a folder of single networks in natural order. `known` is the architecture, which
    /// single networks do not say; a stack of another one is refused. `tell` is given a line for everything that was passed over.
    ///
    /// # Errors
    /// No such file; another format; damage; tensors that do not fit; single networks of an unknown architecture.
    pub fn read(path: &Path, known: Option<&Architecture>, tell: &dyn Fn(&str)) -> Result<Self> {
        Self::read_as(path, known, known.map(Layout::of).as_ref(), tell)
    }

    /// As [`Self::read`], for networks of which only the `layout` is known.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_laid_out(path: &Path, layout: &Layout, tell: &dyn Fn(&str)) -> Result<Self> {
        Self::read_as(path, None, Some(layout), tell)
    }

    fn read_as(
        path: &Path,
        known: Option<&Architecture>,
        layout: Option<&Layout>,
        tell: &dyn Fn(&str),
    ) -> Result<Self> {
        let (found, passed_over) = networks(path)?;
        PassedOver::told(&passed_over, path).iter().for_each(|line| tell(line));
        let (mut theta, mut renamed, mut parameters) = (Vec::new(), BTreeSet::new(), 0);
        for network in &found {
            let place = network.place();
            if network.is_stack()? {
                if found.len() > 1 {
                    return Err(Error::format(place, "file", "a single network, as in the others", "a stack"));
                }
                return read_stack(place, known);
            }
            let layout = layout.ok_or_else(|| {
                let expected = "a stack, which says it, or an architecture given beside the file";
                Error::format(place, "architecture", expected, "a network by its tensors' names alone")
            })?;
            let reading = network.reading(layout)?;
            theta.extend(network.read(layout, &reading)?);
            renamed.extend(reading.renamed);
            parameters = layout.len();
        }
        renamed.iter().for_each(|line| tell(line));
        Ok(Self { theta, parameters, architecture: known.cloned(), data: None, split: None })
    }
}

impl States {
    /// Reads the states in the stack `path`; none where it holds none.
    ///
    /// # Errors
    /// No stack; damage; states that do not fit its networks, times outside [0, 1].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let reader = open(path, &bytes)?;
        let Some(found) = reader.shape("states") else { return Ok(Self::default()) };
        let times =
            reader.double("at").or_else(|_| reader.any("at").map(|(_, t)| t.into_iter().map(f64::from).collect()));
        let times: Vec<f64> = times?;
        if let Some((i, t)) = times.iter().enumerate().find(|(_, t)| !(0.0..=1.0).contains(*t)) {
            return Err(Error::format(path, format!("tensor at, index {i}"), "a time in [0, 1]", t));
        }
        let expected = [vec![times.len()], reader.shape("theta").unwrap_or_default()].concat();
        if found != expected {
            let expected = format!("shape {expected:?}, as at and theta have");
            return Err(Error::format(path, "tensor states", expected, format!("{found:?}")));
        }
        Ok(Self { times, theta: reader.any("states")?.1 })
    }
}

/// Adds what is known as TOML under `key`.
fn describe(words: &mut BTreeMap<String, String>, key: &str, value: Option<&impl Serialize>) -> Result<()> {
    if let Some(value) = value {
        let text = toml::to_string(value).map_err(|e| Error::parameter(key, "what TOML can hold", e))?;
        words.insert(key.into(), text);
    }
    Ok(())
}

/// What the header says under `key`.
fn described<T: DeserializeOwned>(path: &Path, reader: &TensorReader<'_>, key: &str) -> Result<Option<T>> {
    let text = Some(reader.word(key)).filter(|text| !text.is_empty());
    let wrong = |e: toml::de::Error| {
        Error::format(path, format!("header, {key}"), format!("a valid {key} in TOML"), e.to_string().trim())
    };
    text.map(|text| toml::from_str(text).map_err(wrong)).transpose()
}

/// Opens a stack of ours, whose checksum is then compared, or of someone else's.
fn open<'a>(path: &'a Path, bytes: &'a [u8]) -> Result<TensorReader<'a>> {
    let reader = TensorReader::open_any(path, bytes)?;
    match reader.word("format") {
        own if own.starts_with("thalweg ") && own != FORMAT => Err(Error::format(path, "format", FORMAT, own)),
        _ => Ok(reader),
    }
}

fn read_stack(path: &Path, known: Option<&Architecture>) -> Result<Networks> {
    memory::reading(path, 2)?.check(|| None)?;
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let reader = open(path, &bytes)?;
    let said: Option<Architecture> = described(path, &reader, "architecture")?;
    let (data, split) = (described(path, &reader, "data")?, described(path, &reader, "split")?);
    if let (Some(said), Some(known)) = (&said, known)
        && Layout::of(said) != Layout::of(known)
    {
        let found = format!("{} ({} weights)", said.name(), Layout::of(said).len());
        return Err(Error::format(path, "architecture", known.name(), found));
    }
    let architecture = known.cloned().or(said);
    let (shape, theta) = reader.any("theta")?;
    let wanted = architecture.as_ref().map(|a| Layout::of(a).len());
    match shape[..] {
        [n, p] if n > 0 && p > 0 && wanted.is_none_or(|wanted| p == wanted) => {
            Ok(Networks { theta, parameters: p, architecture, data, split })
        }
        _ => {
            let expected = format!("shape [n, {}]", wanted.map_or("P".into(), |p| p.to_string()));
            Err(Error::format(path, "tensor theta", expected, format!("{shape:?}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensors::TensorWriter;
    use thalweg_nets::architecture::Preset;

    fn some(n: usize) -> Networks {
        let architecture = Preset::Digits.build([1, 8, 8], 10).unwrap();
        let parameters = Layout::of(&architecture).len();
        let theta = (0..n * parameters).map(|i| (i as f32 * 0.37).sin()).collect();
        let split = Some(Split { validation: 0.2, test: 0.3, seed: 4 });
        let data = Some(DataSpec::named("digits"));
        Networks { theta, parameters, architecture: Some(architecture), data, split }
    }

    #[test]
    fn stacks_and_folders_are_read_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let all = some(3);
        let known = all.architecture.as_ref();
        let layout = Layout::of(known.unwrap());
        let stack = dir.path().join("s.safetensors");
        let states = States { times: vec![0.0, 0.1], theta: all.theta.repeat(2) };
        all.write_stack(&stack, &states).unwrap();
        let read = |path: &Path, known| Networks::read(path, known, &|_| ()).unwrap();
        assert_eq!((read(&stack, None), States::read(&stack).unwrap()), (all.clone(), states.clone()));
        let bytes = fs::read(&stack).unwrap();
        read(&stack, known).write_stack(&stack, &States::read(&stack).unwrap()).unwrap();
        assert!(fs::read(&stack).unwrap() == bytes, "the same networks, the same bytes");
        all.write_stack(&stack, &States::default()).unwrap();
        assert_eq!(States::read(&stack).unwrap(), States::default());
        let folder = dir.path().join("each");
        all.write_each(&folder, &layout).unwrap();
        assert_eq!(read(&folder, known).theta, all.theta);
        let one = folder.join("network-00001.safetensors");
        assert_eq!(Some(&read(&one, known).theta[..]), all.network(1));
        assert!(Networks::is_stack(&stack).unwrap() && !Networks::is_stack(&folder).unwrap());
        assert!(all.network(3).is_none() && all.len() == 3);
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let all = some(2);
        let layout = Layout::of(all.architecture.as_ref().unwrap());
        let stack = dir.path().join("s.safetensors");
        all.write_stack(&stack, &States::default()).unwrap();
        let other = Preset::Mlp { widths: vec![3] }.build([1, 8, 8], 10).unwrap();
        let said =
            |path: &Path, known: Option<&Architecture>| Networks::read(path, known, &|_| ()).unwrap_err().to_string();
        assert!(said(&stack, Some(&other)).contains("architecture"));
        all.write_each(dir.path(), &layout).unwrap();
        assert!(said(&dir.path().join("network-00000.safetensors"), None).contains("architecture given beside"));
        assert!(said(dir.path(), all.architecture.as_ref()).contains("a stack"));
        assert!(all.write_each(dir.path(), &Layout::of(&other)).is_err());
        fs::write(&stack, b"not a file of tensors").unwrap();
        assert!(said(&stack, None).contains("safetensors"));
        assert!(said(&dir.path().join("none"), None).contains("none"));
        let states = States { times: vec![0.5], theta: vec![0.0; 3] };
        assert!(all.write_stack(&stack, &states).unwrap_err().to_string().contains("fit their shapes"));
    }

    /// A stack as `words` and tensors make it, without a checksum.
    fn foreign(words: &[(&str, &str)], tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
        use safetensors::{Dtype, tensor::TensorView};
        let words = words.iter().map(|(key, word)| (key.to_string(), word.to_string())).collect();
        let bytes: Vec<Vec<u8>> =
            tensors.iter().map(|(_, _, v)| v.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors
            .iter()
            .zip(&bytes)
            .map(|((name, shape, _), bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
        safetensors::serialize(views.collect::<Vec<_>>(), Some(words)).unwrap()
    }

    #[test]
    fn stacks_of_others_are_taken_without_a_checksum_and_those_of_a_later_format_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.safetensors");
        let theta: (&str, &[usize], &[f32]) = ("theta", &[2, 1], &[1.0, 2.0]);
        let read = |bytes: Vec<u8>| {
            fs::write(&path, bytes).unwrap();
            Networks::read(&path, None, &|_| ()).map_err(|e| e.to_string())
        };
        // PyTorch's own writers leave this word.
        let all = read(foreign(&[("format", "pt")], &[theta])).unwrap();
        assert_eq!((all.theta.as_slice(), all.parameters, all.len()), (&[1.0, 2.0][..], 1, 2));
        assert!(read(foreign(&[("format", FORMAT)], &[theta])).unwrap_err().contains("checksum"));
        assert!(read(foreign(&[("architecture", "x")], &[theta])).unwrap_err().contains("header, architecture"));
        for (shape, values) in [(&[0, 4][..], &[][..]), (&[2], &[1.0, 2.0])] {
            assert!(read(foreign(&[], &[("theta", shape, values)])).unwrap_err().contains("shape [n, P]"));
        }
        let states: (&str, &[usize], &[f32]) = ("states", &[1, 2, 1], &[0.5, 1.0]);
        let at = |t: f32| fs::write(&path, foreign(&[], &[theta, states, ("at", &[1], &[t])])).unwrap();
        at(0.25);
        assert_eq!(States::read(&path).unwrap(), States { times: vec![0.25], theta: vec![0.5, 1.0] });
        at(1.5);
        assert!(States::read(&path).unwrap_err().to_string().contains("time in [0, 1]"));
        let mut later = TensorWriter::default();
        later.single("theta", &[2, 1], &[1.0, 2.0]);
        later.word("format", "thalweg networks 2");
        let message = read(later.bytes().unwrap()).unwrap_err();
        assert!(message.contains("expected thalweg networks 1, found thalweg networks 2"), "{message}");
    }
}
