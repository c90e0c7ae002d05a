//! Features (sin ω t, cos ω t) `[B, F]` of times `[B, 1]` and their slopes in t, with ω from 1 to 100 in geometric steps.
use burn::tensor::{Tensor, TensorData};

/// The largest angular frequency; the smallest is 1.
const TOP: f64 = 100.0;

/// φ(t) `[B, features]`.
pub(crate) fn features(t: &Tensor<2>, features: usize) -> Tensor<2> {
    let angles = t.clone().matmul(frequencies(t, features));
    Tensor::cat(vec![angles.clone().sin(), angles.cos()], 1)
}

/// φ'(t) `[B, features]`.
pub(crate) fn slopes(t: &Tensor<2>, features: usize) -> Tensor<2> {
    let frequencies = frequencies(t, features);
    let angles = t.clone().matmul(frequencies.clone());
    Tensor::cat(vec![angles.clone().cos() * frequencies.clone(), angles.sin().neg() * frequencies], 1)
}

/// ω `[1, features / 2]`, where `t` lives.
fn frequencies(t: &Tensor<2>, features: usize) -> Tensor<2> {
    let half = features / 2;
    let step = TOP.ln() / (half.max(2) - 1) as f64;
    let values: Vec<f32> = (0..half).map(|k| (step * k as f64).exp() as f32).collect();
    Tensor::from_data(TensorData::new(values, [1, half]), &t.device())
}
