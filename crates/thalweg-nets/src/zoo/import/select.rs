//! [`Selection`]: which tensors are modelled, by patterns over their names.
use crate::error::{Error, Result};
use crate::zoo::checkpoints::names::plain;
use glob::Pattern;

/// Patterns over the names of tensors: `*` stands for any characters, dots among them, `?` for one, `[ab]` for one of these.
#[derive(Clone, Debug, Default)]
pub(crate) struct Selection {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

impl Selection {
    /// The tensors that one of `include` matches (all, where there is none) and none of `exclude`.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        let pattern = |field: &'static str| {
            move |text: &String| {
                let wrong = |e| Error::parameter(field, "patterns as fc.* or *.bn?.*", format!("{text}: {e}"));
                Pattern::new(text.trim()).map_err(wrong)
            }
        };
        Ok(Self {
            include: include.iter().map(pattern("tensors")).collect::<Result<_>>()?,
            exclude: exclude.iter().map(pattern("except")).collect::<Result<_>>()?,
        })
    }

    /// Whether every tensor is modelled.
    pub fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether the tensor of these names (in a file, and in θ) is modelled; what wrappers put into names may be left out of patterns.
    pub fn takes(&self, names: &[&str]) -> bool {
        let matched = |patterns: &[Pattern]| names.iter().any(|name| patterns.iter().any(|p| matches(p, name)));
        (self.include.is_empty() || matched(&self.include)) && !matched(&self.exclude)
    }

    /// Checks that every pattern matches one of `names`.
    ///
    /// # Errors
    /// The first that does not, with what might have been meant.
    pub fn check(&self, names: &[&str]) -> Result<()> {
        let all = self.include.iter().map(|p| ("tensors", p)).chain(self.exclude.iter().map(|p| ("except", p)));
        let Some((field, pattern)) = { all }.find(|(_, p)| !names.iter().any(|name| matches(p, name))) else {
            return Ok(());
        };
        let within = names.iter().filter(|name| plain(name).starts_with(&format!("{pattern}."))).count();
        let found = if within > 0 {
            format!("{pattern}; {pattern}.* matches {within}")
        } else {
            let some: Vec<&str> = names.iter().take(4).copied().collect();
            format!(
                "{pattern}, among {} tensors: {}{}",
                names.len(),
                some.join(", "),
                if names.len() > 4 { ", …" } else { "" }
            )
        };
        Err(Error::parameter(field, "patterns that match a tensor", found))
    }
}

fn matches(pattern: &Pattern, name: &str) -> bool {
    pattern.matches(name) || pattern.matches(&plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(include: &[&str], exclude: &[&str]) -> Selection {
        let texts = |all: &[&str]| all.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        Selection::new(&texts(include), &texts(exclude)).unwrap()
    }

    #[test]
    fn patterns_choose_by_names_and_see_through_wrappers() {
        let all = ["layer4.0.conv.weight", "layer1.bn1.weight", "layer1.bn.running_mean", "fc.bias", "fc2.bias"];
        let chosen = |s: &Selection| all.iter().copied().filter(|name| s.takes(&[name])).collect::<Vec<_>>();
        assert_eq!(chosen(&of(&[], &[])), all);
        assert_eq!(chosen(&of(&["layer4.*", "*.bn*", "fc.*"], &[])), all[..4]);
        assert_eq!(chosen(&of(&[], &["*.bn*", "fc?.*"])), [all[0], all[3]]);
        assert_eq!(chosen(&of(&["*.bn*"], &["*.running_*"])), [all[1]]);
        assert!(of(&["fc.*"], &[]).takes(&["module.fc.bias"]) && of(&["module.fc.*"], &[]).takes(&["module.fc.bias"]));
        assert!(of(&[], &[]).is_all() && !of(&[], &["x"]).is_all());
    }

    #[test]
    fn patterns_that_match_nothing_are_told_with_what_might_be_meant() {
        let names = ["fc.weight", "fc.bias", "conv.weight"];
        assert!(of(&["fc.*"], &["*.bias"]).check(&names).is_ok());
        let said = of(&["fc"], &[]).check(&names).unwrap_err().to_string();
        assert!(said.contains("fc.* matches 2"), "{said}");
        let said = of(&["fc.*"], &["head*"]).check(&names).unwrap_err().to_string();
        assert!(said.contains("parameter except") && said.contains("head*") && said.contains("conv.weight"), "{said}");
        assert!(Selection::new(&["a[".into()], &[]).unwrap_err().to_string().contains("a["));
    }
}
