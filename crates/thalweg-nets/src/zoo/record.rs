//! [`Record`]: what a zoo was made from, beside its specification; and whether two specifications are of one zoo.
use super::spec::{Record, ZooSpec};
use crate::data::{DataRecord, DataSpec};
use crate::error::{Error, Result};

impl ZooSpec {
    /// The same specification with what was found, ready to be written: the path of its data leads there from any working directory. The id is a hash
    /// of all that decides the zoo.
    ///
    /// # Errors
    /// Where a record is there already and its data differ from `data`.
    pub(crate) fn recorded(&self, data: DataRecord) -> Result<Self> {
        let data_spec = DataSpec { record: None, ..self.data.placed() };
        let bare = Self { record: None, data: data_spec, ..self.clone() };
        let what = (bare.comparable()?.to_string(), &data.checksum);
        let mut text = format!("{what:?}");
        if let Some(centre) = &self.centre {
            let bytes = std::fs::read(centre).map_err(Error::io("read", centre))?;
            text += blake3::hash(&bytes).to_hex().as_str();
        }
        let id = blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
        let found = Record { id, version: env!("CARGO_PKG_VERSION").into(), data };
        let with = |record| Self { record: Some(record), ..bare.clone() };
        if let Some(old) = &self.record {
            // A specification taken from an older zoo binds the new one to the same data, not to its version.
            let old = Record { data: old.data.clone(), ..found.clone() };
            if let Some((key, was, is)) = with(old).difference(&with(found.clone()))? {
                return Err(Error::parameter(key, format!("{was}, as the specification records"), is));
            }
        }
        Ok(with(found))
    }

    /// As TOML, without what may differ between two makings of one zoo: where data and centre lie, and the id.
    fn comparable(&self) -> Result<toml::Value> {
        let mut spec = self.clone();
        spec.data.folder = None;
        spec.data.record = None;
        // Its content is in the id, as the data's is in their checksum.
        spec.centre = spec.centre.map(|_| "given".into());
        if let Some(record) = &mut spec.record {
            record.id.clear();
        }
        toml::Value::try_from(&spec).map_err(|e| Error::parameter("zoo specification", "values that TOML can hold", e))
    }

    /// Names the first key in which `self` (what a folder holds) and `other` (what is asked for) differ. The data's folder
    /// may: its content is compared by checksum.
    pub(crate) fn difference(&self, other: &Self) -> Result<Option<(String, String, String)>> {
        Ok(first_difference("", Some(&self.comparable()?), Some(&other.comparable()?)))
    }
}

fn first_difference(key: &str, a: Option<&toml::Value>, b: Option<&toml::Value>) -> Option<(String, String, String)> {
    use toml::Value::{Array, Table};
    let inner = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match (a, b) {
        (Some(Table(a)), Some(Table(b))) => {
            let new = b.keys().filter(|k| !a.contains_key(*k));
            a.keys().chain(new).find_map(|k| first_difference(&inner(k), a.get(k), b.get(k)))
        }
        (Some(Array(a)), Some(Array(b))) if a.len() == b.len() => a
            .iter()
            .zip(b)
            .enumerate()
            .find_map(|(i, (a, b))| first_difference(&format!("{key}[{i}]"), Some(a), Some(b))),
        _ if a == b => None,
        _ => {
            let shown = |v: Option<&toml::Value>| v.map_or("nothing".into(), ToString::to_string);
            Some((key.to_owned(), shown(a), shown(b)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Preset;
    use crate::zoo::ZooKind;

    #[test]
    fn differences_are_named_by_key() {
        let a = ZooSpec::new(
            Preset::Digits.build([1, 8, 8], 10).unwrap(),
            DataSpec::named("digits"),
            ZooKind::named("fork").unwrap(),
            20,
        );
        let differs = |change: &dyn Fn(&mut ZooSpec)| {
            let mut b = a.clone();
            change(&mut b);
            a.difference(&b).unwrap().map(|(key, ..)| key)
        };
        assert_eq!(differs(&|_| ()), None);
        assert_eq!(differs(&|b| b.data.folder = Some("/else".into())), None);
        assert_eq!(differs(&|b| b.recipe.batch = 3).as_deref(), Some("recipe.batch"));
        assert_eq!(differs(&|b| b.kind = ZooKind::Fork { noise: 0.05, steps: 3 }).as_deref(), Some("kind.fork.steps"));
        assert_eq!(differs(&|b| b.kind = ZooKind::Independent).as_deref(), Some("kind"));
        assert_eq!(differs(&|b| b.recipe.checkpoints[1] = 0.2).as_deref(), Some("recipe.checkpoints[1]"));
        let (key, was, is) = a
            .difference(&ZooSpec { data: DataSpec { train: Some(9), ..a.data.clone() }, ..a.clone() })
            .unwrap()
            .unwrap();
        assert_eq!((key.as_str(), was.as_str(), is.as_str()), ("data.train", "nothing", "9"));
    }
}
