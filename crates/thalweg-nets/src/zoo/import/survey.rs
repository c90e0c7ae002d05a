//! [`Survey`]: all networks looked at beside the base checkpoint: how each is read, and what of them differs that θ does not hold.
use super::parts::Parts;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::layout::Role;
use crate::progress::Progress;
use crate::zoo::checkpoints::Network;
use crate::zoo::checkpoints::head::Raw;
use crate::zoo::checkpoints::names;
use crate::zoo::checkpoints::network::{Opened, Reading};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

/// What was seen in all networks.
pub(super) struct Survey {
    /// How each is read, as the tensors of [`Parts::whole`].
    pub readings: Vec<Reading>,
    /// The frozen tensor that is furthest from the base checkpoint's, and how many differ at all.
    pub drift: Option<(Drift, usize)>,
    /// Counters and masks that are not the base checkpoint's everywhere.
    pub differing: BTreeSet<String>,
    /// Ties that hold in every network.
    pub ties: Vec<[usize; 2]>,
    /// Ties of the base checkpoint that do not, with a network in which they are broken.
    pub untied: Vec<([usize; 2], PathBuf)>,
    /// Tensors that are running variances, although their names are not PyTorch's.
    pub variances: Vec<usize>,
}

/// A frozen tensor that is not the base checkpoint's.
#[derive(Clone, Debug)]
pub(super) struct Drift {
    pub tensor: String,
    pub place: PathBuf,
    /// Greatest distance of two numbers; none where they are no floats.
    pub distance: Option<f64>,
}

/// What was seen in one network.
struct Seen {
    reading: Reading,
    drifts: Vec<Drift>,
    differing: Vec<String>,
    untied: Vec<[usize; 2]>,
    least: Vec<f32>,
}

impl Survey {
    /// Looks at all `networks`.
    ///
    /// # Errors
    /// A network that does not fit; a frozen tensor that differs between networks where no base checkpoint was named; [`Error::Interrupted`].
    pub fn of(networks: &[&Network], base: &Network, parts: &Parts, progress: &dyn Progress) -> Result<Self> {
        let candidates = candidates(parts);
        progress.begin("looking at networks", networks.len() as u64);
        let look = |network: &&Network| {
            if progress.interrupted() {
                return Err(Error::Interrupted);
            }
            let seen = look(network, parts, &candidates);
            progress.advance(1);
            seen
        };
        // The first network that is wrong is told, on any number of threads.
        let seen: Vec<Result<Seen>> = networks.par_iter().with_max_len(1).map(look).collect();
        let seen: Vec<Seen> = seen.into_iter().collect::<Result<_>>()?;
        let drift = furthest(seen.iter().flat_map(|seen| &seen.drifts));
        if let (Some((drift, others)), false) = (&drift, parts.based) {
            return Err(drift.refuse(*others, base.place()));
        }
        let broken = |tie: &[usize; 2]| seen.iter().position(|seen| seen.untied.contains(tie));
        let (untied, ties): (Vec<_>, Vec<_>) =
            parts.ties.iter().map(|tie| (*tie, broken(tie))).partition(|t| t.1.is_some());
        let place = |at: Option<usize>| networks[at.unwrap_or(0)].place().to_path_buf();
        let least = |i: usize| seen.iter().map(|seen| seen.least[i]).fold(f32::INFINITY, f32::min);
        let positive = |(i, (slot, zero)): (usize, &(usize, bool))| {
            let least = least(i);
            (least > 0.0 || (*zero && least == 0.0)).then_some(*slot)
        };
        Ok(Self {
            variances: candidates.iter().enumerate().filter_map(positive).collect(),
            differing: seen.iter().flat_map(|seen| &seen.differing).cloned().collect(),
            ties: ties.into_iter().map(|(tie, _)| tie).collect(),
            untied: untied.into_iter().map(|(tie, at)| (tie, place(at))).collect(),
            drift,
            readings: seen.into_iter().map(|seen| seen.reading).collect(),
        })
    }
}

fn furthest<'a>(drifts: impl Iterator<Item = &'a Drift>) -> Option<(Drift, usize)> {
    let size = |drift: &Drift| drift.distance.unwrap_or(f64::INFINITY);
    let (mut names, mut most) = (BTreeSet::new(), None::<&Drift>);
    for drift in drifts {
        names.insert(&drift.tensor);
        most = most.filter(|most| size(most) >= size(drift)).or(Some(drift));
    }
    most.map(|most| (most.clone(), names.len()))
}

impl Drift {
    /// In words.
    pub fn told(&self) -> String {
        let far = self.distance.map_or("other bytes".into(), |distance| format!("up to {distance:.3e} away"));
        format!("{} of {}, {far}", self.tensor, self.place.display())
    }

    fn refuse(&self, count: usize, base: &Path) -> Error {
        let far = self.distance.map_or("other bytes".into(), |distance| format!("numbers up to {distance:.3e} away"));
        let others = if count > 1 { format!(", the furthest of {count} such tensors") } else { String::new() };
        let (path, tensor, base) = (self.place.clone(), self.tensor.clone(), base.to_path_buf());
        Error::Frozen { path, tensor, base, found: format!("{far}{others}") }
    }
}

fn look(network: &Network, parts: &Parts, candidates: &[(usize, bool)]) -> Result<Seen> {
    interrupt::check()?;
    let mut opened = network.opened()?;
    let reading = parts.reading(&opened)?;
    let mut seen = Seen { reading, drifts: Vec::new(), differing: Vec::new(), untied: Vec::new(), least: Vec::new() };
    for (slot, own) in &parts.frozen {
        let Some(name) = seen.reading.name(*slot) else { continue };
        let raw = opened.raw(name)?;
        if raw != *own {
            let distance = distance(network.place(), name, &raw, own)?;
            let tensor = parts.whole.slots()[*slot].name.clone();
            // The same numbers in another type are no others.
            if distance > 0.0 {
                seen.drifts.push(Drift { tensor, place: network.place().into(), distance: Some(distance) });
            }
        }
    }
    others(network, &mut opened, parts, &mut seen)?;
    for tie in &parts.ties {
        let [a, b] = tie.map(|slot| seen.reading.name(slot));
        if let (Some(a), Some(b)) = (a, b)
            && opened.raw(a)?.bytes != opened.raw(b)?.bytes
        {
            seen.untied.push(*tie);
        }
    }
    for (slot, _) in candidates {
        let values = seen.reading.name(*slot).map(|name| opened.floats(name)).transpose()?.unwrap_or_default();
        seen.least.push(values.into_iter().fold(f32::INFINITY, f32::min));
    }
    Ok(seen)
}

/// Compares what is kept beside float tensors.
fn others(network: &Network, opened: &mut Opened, parts: &Parts, seen: &mut Seen) -> Result<()> {
    let own: HashMap<String, String> = opened.tensors.iter().map(|t| (names::plain(&t.name), t.name.clone())).collect();
    for (name, raw) in &parts.rest {
        let Some(here) = own.get(&names::plain(name)) else { continue };
        if opened.raw(here)? == *raw {
            continue;
        }
        match parts.is_frozen(opened, here) {
            true => {
                let (tensor, place) = (name.clone(), network.place().to_path_buf());
                seen.drifts.push(Drift { tensor, place, distance: None });
            }
            false => seen.differing.push(name.clone()),
        }
    }
    Ok(())
}

/// The greatest distance of two numbers of float tensors.
fn distance(path: &Path, name: &str, a: &Raw, b: &Raw) -> Result<f64> {
    let (a, b) = (a.floats(path, name)?, b.floats(path, name)?);
    Ok(a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).abs()).fold(0.0, f64::max))
}

/// Modelled vectors that may be running variances, with whether they may be 0: those called so in other words than PyTorch's, and where no name in their
/// module tells, all of the four vectors of one length that batch normalisation has.
fn candidates(parts: &Parts) -> Vec<(usize, bool)> {
    let slots = parts.whole.slots();
    let mut modules: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (slot, described) in slots.iter().enumerate().filter(|(_, s)| s.role == Role::Unknown) {
        modules.entry(described.name.rsplit_once('.').map_or("", |(module, _)| module)).or_default().push(slot);
    }
    let named = |slot: usize| {
        let last = slots[slot].name.rsplit('.').next().unwrap_or_default().to_lowercase();
        last.split('_').any(|word| ["var", "variance"].contains(&word)) && slots[slot].shape.len() == 1
    };
    let torch = |slot: usize| slots[slot].name.rsplit('.').next() == Some("running_var");
    let mut all = Vec::new();
    for module in modules.values() {
        let (by_name, one) = (module.iter().any(|slot| named(*slot)), &slots[module[0]].shape);
        let alike = module.len() == 4 && one.len() == 1 && module.iter().all(|slot| slots[*slot].shape == *one);
        for slot in module.iter().filter(|slot| parts.modelled[**slot] && !torch(**slot)) {
            if named(*slot) || (!by_name && alike) {
                all.push((*slot, named(*slot)));
            }
        }
    }
    all.sort_unstable();
    all
}
