//! [`Canonical`]: the factors of low-rank adapters in one form of the many that compute the same.
//!
//! An adapter adds B A to a matrix, B `[m, r]`, A `[r, n]`; (B G, G⁻¹ A) is the same adapter for every invertible G. With B A = U S Vᵀ (singular values
//! falling) the balanced form is B = U √S, A = √S Vᵀ, where BᵀB = A Aᵀ = S: of all factorisations it has the least norm, and up to the signs of its
//! columns it is unique where singular values differ. Signs are those of a reference network, whose own columns have their largest number positive.
use crate::layout::Layout;
use faer::{Mat, MatRef};
use std::ops::Range;

/// Names of the factors, as PEFT has them.
const FACTORS: [[&str; 2]; 2] = [["lora_A", "lora_B"], ["lora_embedding_A", "lora_embedding_B"]];

/// Where the factors of one adapter lie in θ.
#[derive(Clone, Debug)]
struct Pair {
    a: Range<usize>,
    b: Range<usize>,
    rank: usize,
}

/// The balanced form of every adapter in θ.
#[derive(Clone, Debug)]
pub(super) struct Canonical {
    pairs: Vec<Pair>,
    /// A network in this form, to which signs are held.
    reference: Vec<f32>,
}

impl Canonical {
    /// The form of the adapters among the tensors of `layout`, with signs as in the network `reference [P]`; none where there are no adapters.
    pub fn of(layout: &Layout, reference: Vec<f32>) -> Option<Self> {
        let slots = layout.slots();
        let pair = |[left, right]: &[&str; 2], i: usize| {
            let parts: Vec<&str> = slots[i].name.split('.').collect();
            parts.contains(left).then_some(())?;
            let partner = parts.iter().map(|part| if part == left { right } else { part });
            let partner = partner.copied().collect::<Vec<_>>().join(".");
            let (a, b) = (&slots[i], slots.iter().find(|slot| slot.name == partner)?);
            let (rank, columns) = (*a.shape.first()?, b.len() / b.shape.first()?);
            (rank == columns && rank > 0).then(|| Pair { a: a.range(), b: b.range(), rank })
        };
        let pairs: Vec<Pair> =
            FACTORS.iter().flat_map(|names| (0..slots.len()).filter_map(move |i| pair(names, i))).collect();
        if pairs.is_empty() {
            return None;
        }
        let mut form = Self { pairs, reference: vec![0.0; reference.len()] };
        let mut own = reference;
        form.apply(&mut own);
        form.reference = own;
        Some(form)
    }

    /// How many adapters there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Brings the adapters of the network `theta [P]` into this form.
    pub fn apply(&self, theta: &mut [f32]) {
        for Pair { a, b, rank } in &self.pairs {
            let (new_a, new_b) = balanced(&theta[a.clone()], &theta[b.clone()], *rank, &self.reference[b.clone()]);
            theta[a.clone()].copy_from_slice(&new_a);
            theta[b.clone()].copy_from_slice(&new_b);
        }
    }
}

/// The balanced factors of B A, `a [r, n]` and `b [m, r]`; signs by the columns of `reference [m, r]`.
fn balanced(a: &[f32], b: &[f32], r: usize, reference: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (m, n) = (b.len() / r, a.len() / r);
    let matrix = |values: &[f32], rows: usize, columns: usize, at: &dyn Fn(usize, usize) -> usize| {
        Mat::from_fn(rows, columns, |i, j| f64::from(values[at(i, j)]))
    };
    let left = matrix(b, m, r, &|i, j| i * r + j).qr();
    let right = matrix(a, n, r, &|i, j| j * n + i).qr();
    let core = left.thin_R() * right.thin_R().transpose();
    let mut out = (vec![0.0; a.len()], vec![0.0; b.len()]);
    // Weights that are finite have a decomposition; whatever has none stays as it is.
    let Ok(svd) = core.thin_svd() else { return (a.to_vec(), b.to_vec()) };
    let (u, v) = (left.compute_thin_Q() * svd.U(), right.compute_thin_Q() * svd.V());
    for k in 0..u.ncols().min(v.ncols()) {
        let root = svd.S()[k].max(0.0).sqrt();
        let sign = sign(u.as_ref(), k, |i| f64::from(reference[i * r + k]));
        (0..m).for_each(|i| out.1[i * r + k] = (sign * root * u[(i, k)]) as f32);
        (0..n).for_each(|j| out.0[k * n + j] = (sign * root * v[(j, k)]) as f32);
    }
    out
}

/// The sign that turns column k of `u` to its `reference`; where that says nothing, the one that makes its largest number positive.
fn sign(u: MatRef<'_, f64>, k: usize, reference: impl Fn(usize) -> f64) -> f64 {
    let rows = 0..u.nrows();
    let (along, size) = rows
        .clone()
        .fold((0.0, 0.0), |(dot, size), i| (dot + u[(i, k)] * reference(i), size + reference(i) * reference(i)));
    if along.abs() > 1e-6 * f64::sqrt(size) && size > 0.0 {
        return along.signum();
    }
    let largest = rows.map(|i| u[(i, k)]).fold(0.0, |most: f64, x| if x.abs() > most.abs() { x } else { most });
    if largest < 0.0 { -1.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Streams;
    use rand::RngExt;

    fn random(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = Streams::new(seed).rng();
        (0..n).map(|_| rng.random::<f32>() - 0.5).collect()
    }

    /// `x [m, k]` times `y [k, n]`.
    fn product(x: &[f32], y: &[f32], k: usize) -> Vec<f32> {
        let (m, n) = (x.len() / k, y.len() / k);
        let entry = |i: usize, j: usize| (0..k).map(|l| f64::from(x[i * k + l]) * f64::from(y[l * n + j])).sum::<f64>();
        (0..m * n).map(|at| entry(at / n, at % n) as f32).collect()
    }

    fn close(a: &[f32], b: &[f32], tolerance: f32) {
        let worst = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(a.len() == b.len() && worst < tolerance, "{worst}");
    }

    #[test]
    fn the_product_stays_and_equal_products_have_equal_factors() {
        // Tall, wide, and with fewer rows or columns than the rank.
        for (m, n, r) in [(9, 6, 3), (5, 40, 4), (2, 7, 4), (7, 3, 4), (1, 1, 1)] {
            let (b, a) = (random(m * r, 1), random(r * n, 2));
            let reference = random(m * r, 3);
            let (new_a, new_b) = balanced(&a, &b, r, &reference);
            close(&product(&new_b, &new_a, r), &product(&b, &a, r), 1e-5);
            // Another factorisation: B G and G⁻¹ A with G a product of shears and a scale, whose inverse is known.
            let (mut g, mut inverse) = (vec![0.0; r * r], vec![0.0; r * r]);
            (0..r).for_each(|i| (g[i * r + i], inverse[i * r + i]) = (1.0, 1.0));
            for step in 0..r.saturating_sub(1) {
                let mut shear = vec![0.0; r * r];
                (0..r).for_each(|i| shear[i * r + i] = 1.0 + i as f32);
                let mut back = shear.clone();
                (0..r).for_each(|i| back[i * r + i] = 1.0 / shear[i * r + i]);
                shear[step * r + step + 1] = 0.7;
                back[step * r + step + 1] = -0.7 / ((1.0 + step as f32) * (2.0 + step as f32));
                (g, inverse) = (product(&g, &shear, r), product(&back, &inverse, r));
            }
            let (other_b, other_a) = (product(&b, &g, r), product(&inverse, &a, r));
            let (again_a, again_b) = balanced(&other_a, &other_b, r, &reference);
            close(&again_a, &new_a, 2e-4);
            close(&again_b, &new_b, 2e-4);
            // Balanced: BᵀB = A Aᵀ.
            let transposed = |x: &[f32], columns: usize| -> Vec<f32> {
                let rows = x.len() / columns;
                (0..x.len()).map(|at| x[at % rows * columns + at / rows]).collect()
            };
            close(&product(&transposed(&new_b, r), &new_b, m), &product(&new_a, &transposed(&new_a, n), n), 1e-5);
        }
        let (zero_a, zero_b) = balanced(&random(12, 4), &[0.0; 8], 2, &[0.0; 8]);
        assert!(zero_a.iter().chain(&zero_b).all(|v| *v == 0.0), "no product, no factors");
    }

    #[test]
    fn adapters_are_found_by_their_names() {
        let layout = Layout::of_tensors([
            ("m.q.lora_A.weight".to_string(), vec![2, 5]),
            ("m.q.lora_B.weight".to_string(), vec![3, 2]),
            ("m.e.lora_embedding_A".to_string(), vec![2, 4]),
            ("m.e.lora_embedding_B".to_string(), vec![3, 2]),
            ("m.k.lora_A.weight".to_string(), vec![2, 5]),
        ]);
        let form = Canonical::of(&layout, random(layout.len(), 5)).unwrap();
        assert_eq!(form.len(), 2);
        let before = random(layout.len(), 6);
        let mut after = before.clone();
        form.apply(&mut after);
        let slot = |i: usize| layout.slots()[i].range();
        assert_eq!(before[slot(4)], after[slot(4)], "a factor without its partner stays");
        close(&product(&before[slot(1)], &before[slot(0)], 2), &product(&after[slot(1)], &after[slot(0)], 2), 1e-5);
        assert_ne!(before[slot(0)], after[slot(0)]);
        let mut again = after.clone();
        form.apply(&mut again);
        close(&again, &after, 1e-5);
        assert!(Canonical::of(&Layout::of_tensors([("w".to_string(), vec![2])]), vec![0.0; 2]).is_none());
    }
}
