//! The Python package `thalweg`, its compiled half: `thalweg._core`.
//!
//! The binding adds no mathematics and no file format: every function here reads its arguments, calls the libraries without the interpreter's lock, and
//! gives arrays back. What a user sees (classes, docstrings, PyTorch, tables) is Python, in `python/thalweg`.
mod architecture;
mod arrays;
mod calibrated;
mod data;
mod errors;
mod evaluator;
mod judge;
mod model;
mod module;
mod networks;
mod program;
mod reward;
mod settings;
mod shift;
mod spec;
mod template;
mod work;
mod zoo;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("PROBES", thalweg::judge::PROBES)?;
    module.add_class::<architecture::Architecture>()?;
    module.add_class::<zoo::Zoo>()?;
    module.add_class::<model::Model>()?;
    module.add_class::<template::Template>()?;
    module.add_class::<shift::Detector>()?;
    module.add_function(wrap_pyfunction!(zoo::load_data, module)?)?;
    module.add_function(wrap_pyfunction!(model::fit_defaults, module)?)?;
    module.add_function(wrap_pyfunction!(model::tune_defaults, module)?)?;
    module.add_function(wrap_pyfunction!(model::fit, module)?)?;
    module.add_function(wrap_pyfunction!(networks::write_stack, module)?)?;
    module.add_function(wrap_pyfunction!(networks::read_networks, module)?)?;
    module.add_function(wrap_pyfunction!(networks::write_tensors, module)?)?;
    module.add_function(wrap_pyfunction!(networks::read_tensors, module)?)?;
    module.add_function(wrap_pyfunction!(networks::logits, module)?)?;
    module.add_function(wrap_pyfunction!(networks::gradients, module)?)?;
    module.add_function(wrap_pyfunction!(networks::evaluate, module)?)?;
    module.add_function(wrap_pyfunction!(judge::judge, module)?)?;
    module.add_function(wrap_pyfunction!(judge::judge_by, module)?)?;
    module.add_function(wrap_pyfunction!(judge::wasserstein, module)?)?;
    module.add_function(wrap_pyfunction!(program::program, module)?)?;
    module.add_function(wrap_pyfunction!(shift::shift_defaults, module)?)?;
    module.add_function(wrap_pyfunction!(shift::methods, module)?)
}
