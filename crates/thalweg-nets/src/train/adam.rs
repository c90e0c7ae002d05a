//! One update of Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019) on one number: the formula of every optimiser of this workspace.
//!
//! m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², w ← (1 − η λ) w − η/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε); λ = 0 is Adam.

/// The scalars of one step, computed in double precision as PyTorch does, then rounded once.
#[derive(Clone, Copy, Debug)]
pub struct AdamUpdate {
    keep: [f32; 2],
    take: [f32; 2],
    rate: f32,
    epsilon: f32,
    shrink: f32,
}

impl AdamUpdate {
    /// Of a step at learning rate `rate` (η) with decoupled `decay` (λ); `powers` are β₁ᵗ and β₂ᵗ.
    pub fn new([b1, b2]: [f64; 2], powers: [f64; 2], epsilon: f64, rate: f64, decay: f64) -> Self {
        Self {
            keep: [b1 as f32, b2 as f32],
            take: [(1.0 - b1) as f32, (1.0 - b2) as f32],
            rate: (rate / (1.0 - powers[0])) as f32,
            epsilon: epsilon as f32,
            shrink: (1.0 - rate * decay) as f32,
        }
    }

    /// Moves `w` and its moments `m` and `v` by the gradient `g`. `corrected` takes √v to √v / √(1 − β₂ᵗ): a caller whose bytes were promised with a
    /// multiplication keeps it.
    #[inline(always)]
    pub fn apply(&self, w: &mut f32, g: f32, m: &mut f32, v: &mut f32, corrected: impl Fn(f32) -> f32) {
        *m = self.keep[0] * *m + self.take[0] * g;
        *v = self.keep[1] * *v + self.take[1] * g * g;
        *w = self.shrink * *w - self.rate * *m / (corrected(v.sqrt()) + self.epsilon);
    }
}
