//! All rewards on data by name. To add one: a file with its [`Reward`](super::Reward) and a `const` [`Kind`], and a line here; help and errors follow.
use super::data;
use super::kind::Kind;
use crate::{Error, Result};
use thalweg_nets::data::DataSpec;

impl Kind {
    /// All of them.
    pub const ALL: &[Kind] = &[data::LOSS, data::MARGIN];

    /// Reads `NAME:DATA`, the data as [`DataSpec::parse`] has them.
    ///
    /// # Errors
    /// An unknown reward or unknown data.
    pub fn parse(text: &str) -> Result<(Self, DataSpec)> {
        let all =
            |with: &str| Self::ALL.iter().map(|kind| format!("{}{with}", kind.name)).collect::<Vec<_>>().join(" or ");
        let Some((name, data)) = text.split_once(':') else {
            return Err(Error::parameter("reward", format!("{}, e.g. loss:fashion-mnist", all(":DATA")), text));
        };
        let kind = Self::ALL.iter().find(|kind| kind.name == name);
        let kind = *kind.ok_or_else(|| {
            Error::parameter("reward", format!("{} before the colon, as in {}", all(""), all(":DATA")), name)
        })?;
        Ok((kind, DataSpec::parse(data)?))
    }

    /// All rewards with what they are, as a line of help: `loss:NAME[:PATH] (minus cross-entropy on data) or …`.
    pub fn help() -> String {
        let each = Self::ALL.iter().map(|kind| format!("{}:NAME[:PATH] ({})", kind.name, kind.about));
        each.collect::<Vec<_>>().join(" or ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, Rows};
    use super::*;
    use crate::Streams;
    use thalweg_nets::architecture::Preset;
    use thalweg_nets::engine::Engine;

    #[test]
    fn every_kind_is_read_by_its_name_and_made_of_its_data() {
        let engine = Engine::new(&Preset::Digits.build([1, 8, 8], 10).unwrap()).unwrap();
        let data = DataSpec::named("digits").load().unwrap().test.first(40);
        // All logits are zero: the cross-entropy is ln 10, the log-odds of the label −ln 9, and the hinge 2 + ln 9.
        let theta = vec![0.0; engine.parameters()];
        for (kind, value) in Kind::ALL.iter().zip([-(10f64.ln()), -2.0 - 9f64.ln()]) {
            let (found, spec) = Kind::parse(&format!("{}:digits", kind.name)).unwrap();
            assert_eq!((found, spec), (*kind, DataSpec::named("digits")));
            let (rows, data) = (Rows::All, data.clone());
            let reward = (found.make)(Request { name: "digits", engine: &engine, data, rows, margin: 2.0 }).unwrap();
            let values = reward.values(&theta, &Streams::new(0)).unwrap();
            assert!((values[0] - value).abs() < 1e-5, "{}: {values:?} {value}", kind.name);
            assert!(Kind::help().contains(&format!("{}:NAME[:PATH] ({})", kind.name, kind.about)));
        }
        let said = |text: &str| Kind::parse(text).unwrap_err().to_string();
        assert!(said("loss").contains("loss:DATA or margin:DATA"), "{}", said("loss"));
        assert!(said("gain:digits").contains("loss or margin before the colon"), "{}", said("gain:digits"));
        assert!(said("loss:digts").contains("digits"), "{}", said("loss:digts"));
    }
}
