//! What decides the conditioning of a fit: the `[context]` table of its configuration (M10).
use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What the encoder sees of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// The row as the networks of its task see it; the row net is trained jointly with the flow.
    #[default]
    Rows,
    /// Frozen: what enters the last layer of the network around which the zoos' runs start.
    Centre,
    /// Frozen, the user's own: rows of `features.npz` in every zoo's folder (arrays `x [N, F]` and `y [N]`), of the order of one.
    File,
    /// Frozen, by the user's own network in an ONNX file, from raw values; a model keeps a copy of the file.
    Onnx(PathBuf),
}

/// How support sets become contexts, and how they are drawn in training.
///
/// | field | default | range |
/// | --- | --- | --- |
/// | `features` | `rows` | `rows`, `centre`, `file`, `{ onnx = "FILE" }` |
/// | `hidden` | `[128]` | widths of the row net; empty for features as they are |
/// | `width`, `heads`, `blocks` | 64, 4, 1 | of the set transformer over class tokens |
/// | `codes` | true | equiangular label codes |
/// | `global-width` | 64 | numbers of c for the whole set |
/// | `class-width` | 16 | numbers of c for each class |
/// | `context-dropout` | 0.1 | [0, 1): how often a task's context is dropped in training |
/// | `tasks` | 16 | tasks a step, at most; curves a step are spread over them |
/// | `support-per-class` | `[1, 20]` | rows a class of a support set, drawn uniformly between |
/// | `pool-per-class` | 100 | rows a class of every task's data that support sets are drawn from |
/// | `relabel` | 0 | [0, 1]: how often a task is shown with its classes, and the networks' last layer, permuted |
/// | `couple-across-tasks` | false | whether a coupling may join a start of one task to an end of another |
/// | `validation-tasks` | 0.1 | [0, 1): share of the tasks that only choose the step |
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ContextConfig {
    /// What the encoder sees of a row.
    pub features: Features,
    /// Widths of the row net.
    pub hidden: Vec<usize>,
    /// Width of class tokens.
    pub width: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Blocks of the set transformer.
    pub blocks: usize,
    /// Equiangular label codes.
    pub codes: bool,
    /// Numbers of c for the whole set.
    #[serde(alias = "pooled")]
    pub global_width: usize,
    /// Numbers of c for each class.
    #[serde(alias = "each")]
    pub class_width: usize,
    /// How often a context is dropped.
    #[serde(alias = "drop")]
    pub context_dropout: f64,
    /// Tasks a step.
    pub tasks: usize,
    /// Rows a class of a support set, from and to.
    #[serde(alias = "samples")]
    pub support_per_class: [usize; 2],
    /// Rows a class that support sets are drawn from.
    #[serde(alias = "keep")]
    pub pool_per_class: usize,
    /// How often a task is shown with its classes permuted.
    pub relabel: f64,
    /// Whether couplings cross tasks.
    #[serde(alias = "cross")]
    pub couple_across_tasks: bool,
    /// Share of the tasks that only choose.
    pub validation_tasks: f64,
}

impl Default for ContextConfig {
    fn default() -> Self {
        Self {
            features: Features::Rows,
            hidden: vec![128],
            width: 64,
            heads: 4,
            blocks: 1,
            codes: true,
            global_width: 64,
            class_width: 16,
            context_dropout: 0.1,
            tasks: 16,
            support_per_class: [1, 20],
            pool_per_class: 100,
            relabel: 0.0,
            couple_across_tasks: false,
            validation_tasks: 0.1,
        }
    }
}

impl ContextConfig {
    /// # Errors
    /// A number outside its range.
    pub fn check(&self) -> Result<()> {
        let refuse = |field: &str, expected: &str, found: &dyn std::fmt::Display| {
            Err(Error::parameter(format!("context.{field}"), expected, found))
        };
        for (field, value, range) in [
            ("width", self.width, 1..=4_096),
            ("heads", self.heads, 1..=64),
            ("blocks", self.blocks, 0..=32),
            ("global-width", self.global_width, 0..=4_096),
            ("class-width", self.class_width, 0..=1_024),
            ("tasks", self.tasks, 1..=65_536),
            ("pool-per-class", self.pool_per_class, 1..=1_000_000),
        ] {
            if !range.contains(&value) {
                return refuse(field, &format!("{} to {}", range.start(), range.end()), &value);
            }
        }
        if let Some(width) = self.hidden.iter().find(|w| !(1..=8_192).contains(*w)) {
            return refuse("hidden", "widths from 1 to 8192", width);
        }
        if !self.width.is_multiple_of(self.heads) {
            return refuse("heads", &format!("a number that divides the width {}", self.width), &self.heads);
        }
        if self.global_width + self.class_width == 0 {
            return refuse("global-width", "at least 1 in global-width or class-width", &0);
        }
        let [from, to] = self.support_per_class;
        if from == 0 || from > to {
            return refuse(
                "support-per-class",
                "[from, to] with 1 ≤ from ≤ to",
                &format!("{:?}", self.support_per_class),
            );
        }
        if !(0.0..1.0).contains(&self.context_dropout) {
            return refuse("context-dropout", "a number in [0, 1)", &self.context_dropout);
        }
        if !(0.0..=1.0).contains(&self.relabel) {
            return refuse("relabel", "a number in [0, 1]", &self.relabel);
        }
        if !(0.0..1.0).contains(&self.validation_tasks) {
            return refuse("validation-tasks", "a share in [0, 1)", &self.validation_tasks);
        }
        Ok(())
    }
}
