//! [`Assembly`]: whole networks of an architecture, of zoos in which only a part of its tensors is modelled.
use super::Template;
use crate::architecture::Architecture;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::numbers::is_float;
use crate::zoo::checkpoints::names;

/// How whole networks are put together of θ and the frozen tensors.
#[derive(Clone, Debug)]
pub struct Assembly {
    template: Template,
    part: Layout,
    whole: Layout,
    /// Names in the template's file of the tensors of `whole`.
    names: Vec<String>,
}

impl Assembly {
    /// Of networks of `architecture`, of which θ of the layout `part` is modelled and `template` keeps the rest.
    ///
    /// # Errors
    /// A tensor of the architecture that the template does not have.
    pub fn new(template: Template, part: &Layout, architecture: &Architecture) -> Result<Self> {
        let whole = Layout::of(architecture);
        let expected: Vec<&str> = whole.slots().iter().map(|slot| slot.name.as_str()).collect();
        let all = template.tensors().iter().filter(|tensor| is_float(tensor.dtype) && !tensor.shape.contains(&0));
        let found: Vec<&str> = all.map(|tensor| tensor.name.as_str()).collect();
        let lacking = || Error::parameter("template", "the tensors of the architecture", "others");
        let (names, _) = names::fit(&expected, &found).ok_or_else(lacking)?;
        let names = names.into_iter().map(str::to_owned).collect();
        Ok(Self { part: part.clone(), names, whole, template })
    }

    /// Weights of what is modelled, P.
    pub fn parameters(&self) -> usize {
        self.part.len()
    }

    /// Whole networks `[n, Q]` of the modelled weights `theta [n, P]`.
    ///
    /// # Errors
    /// Weights that are not `[n, P]` or not finite.
    pub fn whole(&self, theta: &[f32]) -> Result<Vec<f32>> {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        self.template.whole(&self.part, &self.whole, &names, theta)
    }
}
