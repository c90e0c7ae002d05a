//! Networks in files: a stack `theta [n, P]` in one safetensors file, which says in its header what the networks are; or one
//! file a network with PyTorch's tensor names, which `load_state_dict` takes as it is.
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use thalweg::model::Split;
use thalweg::tensors::TensorWriter;
use thalweg_nets::data::DataSpec;
use thalweg_nets::files::write_whole;
use thalweg_nets::layout::{floats, open};
use thalweg_nets::zoo::checkpoints::{PassedOver, networks};
use thalweg_nets::{Architecture, Error, Layout, checksum};

/// The header's word for a stack, with its version.
const FORMAT: &str = "thalweg networks 1";

/// Networks with what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Networks {
    /// Their weights, `[n, P]`.
    pub theta: Vec<f32>,
    /// What they are.
    pub architecture: Option<Architecture>,
    /// What they are for.
    pub data: Option<DataSpec>,
    /// How their generator split the zoo's runs: who was trained on, chosen by, never seen.
    pub split: Option<Split>,
}

/// States along the way of each network.
#[derive(Clone, Debug, PartialEq)]
pub struct States<'a> {
    /// When, `[T]`.
    pub times: &'a [f64],
    /// Where, `[T, n, P]`.
    pub theta: &'a [f32],
}

impl Networks {
    /// Number of networks of `p` weights.
    pub fn len(&self, p: usize) -> usize {
        self.theta.len().checked_div(p).unwrap_or(0)
    }

    /// Writes the stack `theta [n, P]`, and `states [T, n, P]` with `at [T]` where there are any.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write_stack(&self, path: &Path, p: usize, states: Option<&States>) -> Result<()> {
        let n = self.len(p);
        let mut out = TensorWriter::default();
        out.single("theta", &[n, p], &self.theta);
        if let Some(states) = states {
            out.single("states", &[states.times.len(), n, p], states.theta);
            out.double("at", &[states.times.len()], states.times);
        }
        out.word("format", FORMAT);
        if let Some(architecture) = &self.architecture {
            out.word("architecture", toml::to_string(architecture)?);
        }
        if let Some(data) = &self.data {
            out.word("data", toml::to_string(data)?);
        }
        if let Some(split) = &self.split {
            out.word("split", toml::to_string(split)?);
        }
        Ok(write_whole(path, &out.bytes()?)?)
    }

    /// Writes one file a network, `network-00000.safetensors` and on, into `dir`.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write_each(&self, dir: &Path, layout: &Layout) -> Result<()> {
        for (i, theta) in self.theta.chunks_exact(layout.len()).enumerate() {
            write_whole(&dir.join(format!("network-{i:05}.safetensors")), &layout.to_safetensors(theta)?)?;
        }
        Ok(())
    }

    /// Reads a stack, a single network (in one file or in shards), or a folder of single networks in natural order. `known` is what the caller knows
    /// of the networks; a stack that says otherwise is refused. What was passed over is told to `tell`.
    ///
    /// # Errors
    /// No such file; another format; tensors that do not fit; single networks of an unknown architecture.
    pub fn read(path: &Path, known: Option<&Architecture>, tell: &dyn Fn(&str)) -> Result<Self> {
        let (found, passed_over) = networks(path)?;
        PassedOver::told(&passed_over, path).iter().for_each(|line| tell(line));
        let (mut theta, mut renamed) = (Vec::new(), BTreeSet::new());
        for network in &found {
            let place = network.place();
            if network.is_stack()? {
                if found.len() > 1 {
                    return Err(Error::format(place, "file", "a single network, as in the others", "a stack").into());
                }
                return read_stack(place, &fs::read(place).map_err(Error::io("read", place))?, known);
            }
            let architecture = known.with_context(|| {
                format!(
                    "{} holds a network by its tensors' names; say which with --arch and --data, or --zoo",
                    place.display()
                )
            })?;
            let layout = Layout::of(architecture);
            let reading = network.reading(&layout)?;
            theta.extend(network.read(&layout, &reading)?);
            renamed.extend(reading.renamed);
        }
        renamed.iter().for_each(|line| tell(line));
        Ok(Self { theta, architecture: known.cloned(), data: None, split: None })
    }
}

fn read_stack(path: &Path, bytes: &[u8], known: Option<&Architecture>) -> Result<Networks> {
    let opened = open(path, bytes)?;
    let (_, metadata) = safetensors::SafeTensors::read_metadata(bytes)?;
    let header = metadata.metadata().clone().unwrap_or_default();
    // A stack of one's own making has neither word.
    if header.contains_key("format") || checksum::is_sealed(bytes) {
        checksum::check(path, bytes)?;
    }
    let said = header.get("architecture").map(|text| Architecture::from_toml_str(text)).transpose()?;
    let data = header.get("data").map(|text| toml::from_str(text)).transpose();
    let data = data.with_context(|| format!("{}: header: data", path.display()))?;
    let split = header.get("split").map(|text| toml::from_str(text)).transpose();
    let split = split.with_context(|| format!("{}: header: split", path.display()))?;
    if let (Some(said), Some(known)) = (&said, known)
        && Layout::of(said) != Layout::of(known)
    {
        let found = format!("{} ({} weights)", said.name(), Layout::of(said).len());
        return Err(Error::format(path, "architecture", known.name(), found).into());
    }
    let architecture = known.cloned().or(said);
    let view = opened.tensor("theta")?;
    let theta = floats(path, "theta", &view)?;
    let expected = architecture.as_ref().map(|a| Layout::of(a).len());
    match (view.shape(), expected) {
        (&[n, p], Some(wanted)) if p != wanted || n == 0 => {
            Err(Error::format(path, "tensor theta", format!("shape [n, {wanted}]"), format!("[{n}, {p}]")).into())
        }
        (&[_, _], _) => Ok(Networks { theta, architecture, data, split }),
        (shape, _) => Err(Error::format(path, "tensor theta", "shape [n, P]", format!("{shape:?}")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use thalweg_nets::architecture::Preset;

    fn networks(n: usize) -> Networks {
        let architecture = Preset::Digits.build([1, 8, 8], 10).unwrap();
        let p = Layout::of(&architecture).len();
        let theta = (0..n * p).map(|i| (i as f32 * 0.37).sin()).collect();
        let split = Split { validation: 0.2, test: 0.3, seed: 4 };
        Networks { theta, architecture: Some(architecture), data: Some(DataSpec::named("digits")), split: Some(split) }
    }

    #[test]
    fn stacks_and_folders_are_read_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let all = networks(3);
        let architecture = all.architecture.clone().unwrap();
        let layout = Layout::of(&architecture);
        let stack = dir.path().join("s.safetensors");
        let states = States { times: &[0.0, 1.0], theta: &[all.theta.clone(), all.theta.clone()].concat() };
        all.write_stack(&stack, layout.len(), Some(&states)).unwrap();
        assert_eq!(Networks::read(&stack, None, &|_| ()).unwrap(), all);
        let bytes = fs::read(&stack).unwrap();
        all.write_stack(&stack, layout.len(), Some(&states)).unwrap();
        assert_eq!(fs::read(&stack).unwrap(), bytes, "the same networks, the same bytes");
        assert_eq!(Networks::read(&stack, Some(&architecture), &|_| ()).unwrap().theta, all.theta);
        let folder = dir.path().join("each");
        fs::create_dir(&folder).unwrap();
        all.write_each(&folder, &layout).unwrap();
        assert_eq!(Networks::read(&folder, Some(&architecture), &|_| ()).unwrap().theta, all.theta);
        let one = folder.join("network-00001.safetensors");
        assert_eq!(
            Networks::read(&one, Some(&architecture), &|_| ()).unwrap().theta,
            all.theta[layout.len()..2 * layout.len()]
        );
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let all = networks(2);
        let layout = Layout::of(all.architecture.as_ref().unwrap());
        let stack = dir.path().join("s.safetensors");
        all.write_stack(&stack, layout.len(), None).unwrap();
        let other = Preset::Mlp { widths: vec![3] }.build([1, 8, 8], 10).unwrap();
        let said = |path: &Path, known: Option<&Architecture>| {
            format!("{:#}", Networks::read(path, known, &|_| ()).unwrap_err())
        };
        assert!(said(&stack, Some(&other)).contains("architecture"));
        all.write_each(dir.path(), &layout).unwrap();
        assert!(said(&dir.path().join("network-00000.safetensors"), None).contains("--arch"));
        assert!(said(dir.path(), all.architecture.as_ref()).contains("a stack"));
        fs::write(&stack, b"not a file of tensors").unwrap();
        assert!(said(&stack, None).contains("safetensors"));
        assert!(said(&dir.path().join("none"), None).contains("none"));
    }
}
