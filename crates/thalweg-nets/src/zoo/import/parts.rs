//! [`Parts`]: which tensors of a network are modelled, and what the others are in its base checkpoint.
use super::ImportOptions;
use super::select::Selection;
use crate::error::{Error, Result};
use crate::layout::{Layout, Slot};
use crate::sealed;
use crate::zoo::checkpoints::head::{Part, Raw};
use crate::zoo::checkpoints::names;
use crate::zoo::checkpoints::network::{Network, Opened, Reading, Wanted};
use crate::zoo::template::{Beside, Described, Source, Template};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A network, tensor by tensor, as it stands in its base checkpoint.
pub(super) struct Parts {
    /// All of its float tensors under their names in θ, modelled or not.
    pub whole: Layout,
    /// Which of them are modelled.
    pub modelled: Vec<bool>,
    /// Pairs of modelled tensors, the one that stays in θ first, that are one parameter if they are equal in every network.
    pub ties: Vec<[usize; 2]>,
    /// Where those that are not modelled are in the base checkpoint, by their place in `whole`.
    pub frozen: BTreeMap<usize, Raw>,
    /// The other tensors of the base checkpoint (counters, masks, empty ones, weights in other forms), by their names there.
    pub rest: BTreeMap<String, Raw>,
    /// Whether networks may lack what is not modelled, and differ in it.
    pub based: bool,
    reading: Reading,
    selection: Selection,
    described: Vec<Described>,
    words: BTreeMap<String, String>,
}

impl Parts {
    /// The parts of networks such as `first`, as `base` has them.
    ///
    /// # Errors
    /// A base checkpoint that lacks a tensor, or has one of another form; patterns that match nothing; nothing modelled.
    pub fn of(first: &Network, base: &Network, options: &ImportOptions) -> Result<Self> {
        let selection = Selection::new(&options.tensors, &options.except)?;
        let based = options.base.is_some();
        let (mut opened, own) = (base.opened()?, options.layout.is_none() && options.architecture.is_none());
        let whole = match (&options.architecture, &options.layout) {
            (Some(architecture), _) => Layout::of(architecture),
            (None, Some(layout)) if !based => layout.clone(),
            (None, _) if based => opened.layout()?,
            _ => first.layout()?,
        };
        let left_out = |name: &str| !selection.is_all() && !selection.takes(&[name]) || selection.is_all() && based;
        let wanted = Wanted { modelled: &|name| !left_out(name), optional: &|_| false };
        if !own && !based {
            // What does not fit is told of the first network, not of the one that happens to be the base.
            first.opened()?.reading(&whole, &wanted)?;
        }
        let reading = opened.reading(&whole, &wanted)?;
        let slots = whole.slots();
        let names: Vec<&str> = (0..slots.len()).filter_map(|slot| reading.name(slot)).collect();
        let others: Vec<String> = opened.tensors.iter().filter(|t| !t.is_weights()).map(|t| t.name.clone()).collect();
        let own_names = slots.iter().map(|slot| slot.name.as_str());
        let mut all: Vec<&str> =
            names.iter().copied().chain(others.iter().map(String::as_str)).chain(own_names).collect();
        all.sort_unstable();
        all.dedup();
        selection.check(&all)?;
        let modelled: Vec<bool> = match selection.is_all() && based {
            true => held(first, base, &names)?,
            false => slots.iter().zip(&names).map(|(slot, name)| selection.takes(&[name, &slot.name])).collect(),
        };
        if !modelled.contains(&true) {
            let expected = "patterns that match a tensor of floats";
            return Err(Error::parameter("tensors", expected, "none of its tensors modelled"));
        }
        if based && !modelled.contains(&false) {
            let expected = "tensors that are not modelled, or checkpoints that lack some, beside a base checkpoint";
            return Err(Error::parameter("base", expected, "every tensor modelled"));
        }
        let ties = match options.architecture {
            // Each of its tensors is a parameter.
            Some(_) => Vec::new(),
            None => ties(&mut opened, slots, &names, &modelled)?,
        };
        let mut frozen = BTreeMap::new();
        for slot in (0..slots.len()).filter(|slot| !modelled[*slot]) {
            frozen.insert(slot, opened.raw(names[slot])?);
        }
        let rest = others.into_iter().map(|name| Ok((name.clone(), opened.raw(&name)?))).collect::<Result<_>>()?;
        let described = opened.tensors.iter().map(|t| Described {
            name: t.name.clone(),
            dtype: t.dtype,
            shape: t.shape.clone(),
            source: Source::Kept(Vec::new()),
        });
        let (described, words) = (described.collect(), opened.words());
        Ok(Self { modelled, ties, frozen, rest, based, reading: reading.clone(), selection, described, words, whole })
    }

    /// How a network's tensors become those of `whole`.
    ///
    /// # Errors
    /// As [`Network::reading`].
    pub fn reading(&self, network: &Opened) -> Result<Reading> {
        let left_out = |name: &str| {
            let kept = self.rest.keys().any(|own| names::plain(own) == names::plain(name));
            kept && (self.based || !self.selection.takes(&[name]))
        };
        let optional = |slot: usize| self.based && !self.modelled[slot];
        network.reading(&self.whole, &Wanted { modelled: &|name| !left_out(name), optional: &optional })
    }

    /// Whether a tensor of the base checkpoint that is no float tensor stands for weights all the same.
    pub fn is_frozen(&self, network: &Opened, name: &str) -> bool {
        network.tensor(name).is_some_and(|tensor| matches!(tensor.part(), Part::Refused(_)))
    }

    /// The tensors of θ by their place in `whole`: those that are modelled, of tied ones the first.
    pub fn slots(&self, ties: &[[usize; 2]]) -> Vec<usize> {
        let followers: HashSet<usize> = ties.iter().map(|[_, other]| *other).collect();
        (0..self.modelled.len()).filter(|slot| self.modelled[*slot] && !followers.contains(slot)).collect()
    }

    /// What the file of a network looks like, for θ of `layout` and with these `ties`.
    ///
    /// # Errors
    /// As [`Template::new`].
    pub fn template(&self, layout: &Layout, ties: &[[usize; 2]], beside: Beside) -> Result<Template> {
        let slots = self.whole.slots();
        let of: HashMap<&str, usize> =
            (0..slots.len()).filter_map(|slot| Some((self.reading.name(slot)?, slot))).collect();
        let first = |slot: usize| ties.iter().find(|[_, other]| *other == slot).map_or(slot, |[first, _]| *first);
        let filled = |tensor: &Described| {
            let source = match of.get(tensor.name.as_str()) {
                Some(slot) if self.modelled[*slot] => Source::Weights(slots[first(*slot)].name.clone()),
                Some(slot) => Source::Kept(self.frozen[slot].bytes.clone()),
                None => Source::Kept(self.rest.get(&tensor.name).map_or(Vec::new(), |raw| raw.bytes.clone())),
            };
            Described { source, ..tensor.clone() }
        };
        let mut words = self.words.clone();
        words.remove(crate::checksum::WORD);
        words.extend(sealed::pytorch_words());
        Template::new(self.described.iter().map(filled).collect(), words, beside, layout)
    }

    /// Names of all tensors of `whole` in the base checkpoint.
    pub fn names(&self) -> Vec<&str> {
        (0..self.whole.slots().len()).filter_map(|slot| self.reading.name(slot)).collect()
    }
}

/// Which of the base checkpoint's tensors, called by `names`, the network `first` holds.
fn held(first: &Network, base: &Network, names: &[&str]) -> Result<Vec<bool>> {
    let opened = first.opened()?;
    let own: Vec<&str> = opened.tensors.iter().filter(|t| t.is_weights()).map(|t| t.name.as_str()).collect();
    let Some((found, _)) = names::fit(&own, names) else {
        let known: HashSet<String> = names.iter().map(|name| names::plain(name)).collect();
        let lacking = own.iter().find(|name| !known.contains(&names::plain(name)));
        let field = format!("tensor {}", lacking.unwrap_or(&""));
        let expected = format!("a tensor of the base checkpoint {}", base.place().display());
        return Err(Error::format(first.place(), field, expected, "one that it lacks"));
    };
    let found: HashSet<&str> = found.into_iter().collect();
    Ok(names.iter().map(|name| found.contains(name)).collect())
}

/// Modelled tensors that may be one: of one storage, or (matrices that are not constant) with the same bytes.
fn ties(opened: &mut Opened, slots: &[Slot], names: &[&str], modelled: &[bool]) -> Result<Vec<[usize; 2]>> {
    let places: HashMap<String, (usize, String)> =
        opened.places().into_iter().map(|(name, place)| (name.to_owned(), place)).collect();
    let mut shapes: HashMap<&[usize], Vec<usize>> = HashMap::new();
    for (slot, described) in slots.iter().enumerate().filter(|(slot, _)| modelled[*slot]) {
        shapes.entry(&described.shape).or_default().push(slot);
    }
    let mut ties = Vec::new();
    for group in shapes.values().filter(|group| group.len() > 1) {
        let (mut stored, mut equal) = (HashMap::new(), HashMap::new());
        for slot in group {
            let name = names[*slot];
            if let Some(first) = places.get(name).map(|place| *stored.entry(place).or_insert(*slot))
                && first != *slot
            {
                ties.push([first, *slot]);
                continue;
            }
            if slots[*slot].shape.len() < 2 {
                continue;
            }
            let raw = opened.raw(name)?;
            let width = raw.bytes.len() / slots[*slot].len().max(1);
            if raw.bytes.chunks_exact(width.max(1)).any(|number| number != &raw.bytes[..width]) {
                let first = *equal.entry(blake3::hash(&raw.bytes)).or_insert(*slot);
                ties.extend((first != *slot).then_some([first, *slot]));
            }
        }
    }
    ties.sort_unstable();
    Ok(ties)
}
