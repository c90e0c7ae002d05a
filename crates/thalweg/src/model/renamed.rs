//! Keys of configurations, and a choice, that have another name today. Files with the old names are read: every field has its old name as an
//! alias. Who lays one table over another has to know that both names mean one field.

/// Table (any where empty), old name, name of today.
const RENAMED: [(&str, &str, &str); 10] = [
    ("", "natural", "auto"),
    ("", "look-every", "validate-every"),
    ("", "look-samples", "validation-samples"),
    ("", "look-steps", "validation-steps"),
    ("context", "pooled", "global-width"),
    ("context", "each", "class-width"),
    ("context", "drop", "context-dropout"),
    ("context", "samples", "support-per-class"),
    ("context", "keep", "pool-per-class"),
    ("context", "cross", "couple-across-tasks"),
];

/// The name of today of `key` in the table called `table`, or in whichever has such a key, where it has another one.
pub fn renamed(table: Option<&str>, key: &str) -> Option<&'static str> {
    let holds = |name: &str| name.is_empty() || table.is_none_or(|table| table == name);
    let fits = |entry: &&(&str, &str, &str)| holds(entry.0) && entry.1 == key;
    RENAMED.iter().find(fits).map(|entry| entry.2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::ContextConfig;
    use crate::model::{Control, TuneConfig};

    #[test]
    fn configurations_under_their_old_names_are_those_of_today() {
        let old = "pooled = 3\neach = 2\ndrop = 0.5\nsamples = [4, 6]\nkeep = 9\ncross = true";
        let found: ContextConfig = toml::from_str(old).unwrap();
        let expected = ContextConfig {
            global_width: 3,
            class_width: 2,
            context_dropout: 0.5,
            support_per_class: [4, 6],
            pool_per_class: 9,
            couple_across_tasks: true,
            ..ContextConfig::default()
        };
        assert_eq!(found, expected);
        let old = "control = \"natural\"\nlook-every = 3\nlook-samples = 4\nlook-steps = 5";
        let found: TuneConfig = toml::from_str(old).unwrap();
        assert_eq!((found.control, found.validate_every), (Control::Auto, 3));
        assert_eq!((found.validation_samples, found.validation_steps), (4, 5));
        for (table, old, now) in RENAMED {
            assert_eq!((renamed(Some(table), old), renamed(None, old)), (Some(now), Some(now)));
        }
        assert_eq!(renamed(Some("generator"), "drop"), None);
    }
}
