//! Sixteen images as the lanes of a vector, and the choice of the instruction set that computes on them.
//!
//! A [`Vector`] is one number of sixteen images, in memory. A kernel of the engine is written once, over a register
//! type `Simd` that holds all of a vector (AVX-512) or a part of it (AVX2: half, portable: a quarter), and
//! `Machine::run` enters it through a function that has the instruction set enabled; everything below is inlined into
//! that function. All sets do the same operations in the same order, so AVX2 and AVX-512 give the same bytes; the
//! portable set differs in rounding where the machine has no fused multiply–add.
use crate::error::{Error, Result};
use std::sync::OnceLock;

/// Images in a vector.
pub const LANES: usize = 16;

/// One number of sixteen images.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub struct Vector(pub [f32; LANES]);

impl Vector {
    /// All zeros.
    pub const ZERO: Vector = Vector([0.0; LANES]);

    /// Sum of the lanes, as a tree.
    #[inline(always)]
    pub(super) fn sum(&self) -> f32 {
        let mut v = self.0;
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                v[lane] += v[lane + half];
            }
        }
        v[0]
    }
}

/// The set that was chosen in the place of the fastest one.
static CHOSEN: OnceLock<Instructions> = OnceLock::new();

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// What the compilation target guarantees (SSE2 on x86-64, NEON on AArch64), vectorised by the compiler.
    Portable,
    /// AVX2 with fused multiply–add.
    Avx2,
    /// AVX-512 F, VL, DQ, BW.
    Avx512,
}

impl Instructions {
    /// All sets, from the slowest to the fastest.
    pub const ALL: [Instructions; 3] = [Instructions::Portable, Instructions::Avx2, Instructions::Avx512];

    /// Whether this machine has the set.
    pub fn is_available(self) -> bool {
        match self {
            Instructions::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => {
                Instructions::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The fastest set of this machine, or what [`Self::choose`] chose.
    pub fn best() -> Self {
        let fastest = || Self::ALL.into_iter().rev().find(|i| i.is_available()).unwrap_or(Instructions::Portable);
        CHOSEN.get().copied().unwrap_or_else(fastest)
    }

    /// What it is called: portable, avx2, avx512.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
        }
    }

    /// Makes the set of this name the one that every engine of this process is compiled for from now on. AVX2 and AVX-512 give the same bytes;
    /// `portable` gives those of machines that have neither.
    ///
    /// # Errors
    /// An unknown name, a set that this machine lacks, a second choice.
    pub fn choose(name: &str) -> Result<Self> {
        let wrong = |expected: &str| Error::parameter("instructions", expected, name);
        let set = Self::ALL.into_iter().find(|set| set.name() == name);
        let set = set.ok_or_else(|| wrong("portable, avx2 or avx512"))?;
        if !set.is_available() {
            return Err(wrong("a set that this machine has"));
        }
        match *CHOSEN.get_or_init(|| set) == set {
            true => Ok(set),
            false => Err(wrong("one choice for a process")),
        }
    }
}

/// A kernel of the engine: one computation, for any register type. `run` and all that it calls must be
/// `#[inline(always)]`, or the calls would not have the instruction set of the entry.
pub(super) trait Kernel {
    fn run<S: Simd>(self);
}

/// Proof that an instruction set is available.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine(Instructions);

impl Machine {
    pub(super) fn new(instructions: Instructions) -> Option<Self> {
        instructions.is_available().then_some(Machine(instructions))
    }

    pub(super) fn instructions(self) -> Instructions {
        self.0
    }

    /// Vector registers of the set.
    pub(super) fn registers(self) -> usize {
        if self.0 == Instructions::Avx512 { 32 } else { 16 }
    }

    /// Whether convolutions take the maximum behind them along; without cheap selections that does not pay.
    pub(super) fn selects(self) -> bool {
        self.0 != Instructions::Portable
    }
}

/// A register: `LANES / PARTS` lanes. The types that implement it are private to their files, so generic code can
/// only meet them below an entry of [`Machine::run`].
pub(super) trait Simd: Copy {
    /// Registers in a vector.
    const PARTS: usize;
    /// Registers of the machine: bounds how many accumulators a kernel may hold.
    const REGISTERS: usize;
    /// Whether selecting lanes is cheap.
    const SELECTS: bool;
    /// A truth value per lane.
    type Mask: Copy;

    fn splat(value: f32) -> Self;
    fn load(from: &Vector, part: usize) -> Self;
    fn store(self, to: &mut Vector, part: usize);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// self · factor + term.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The larger; `other` where one is not a number.
    fn max(self, other: Self) -> Self;
    /// self > other.
    fn above(self, other: Self) -> Self::Mask;
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// The mask as the bits of its part in the sixteen lanes.
    fn bits(mask: Self::Mask, part: usize) -> u16;
    /// The part of sixteen bits.
    fn mask(bits: u16, part: usize) -> Self::Mask;
    /// Exchanges rows and lanes.
    fn transpose(rows: &mut [Vector; LANES]);
}

/// The sums of the lanes of sixteen vectors; consumes the vectors.
#[inline(always)]
pub(super) fn sums<S: Simd>(vectors: &mut [Vector; LANES]) -> Vector {
    S::transpose(vectors);
    let mut total = Vector::ZERO;
    for part in 0..S::PARTS {
        let mut v = [S::splat(0.0); LANES];
        for (v, vector) in v.iter_mut().zip(vectors.iter()) {
            *v = S::load(vector, part);
        }
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                v[i] = v[i].add(v[i + half]);
            }
        }
        v[0].store(&mut total, part);
    }
    total
}

/// Lanes of a portable register: what SSE2 and NEON hold.
const QUARTER: usize = 4;

#[derive(Clone, Copy)]
pub(super) struct Portable([f32; QUARTER]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut r = [0.0; QUARTER];
        for l in 0..QUARTER {
            r[l] = f(self.0[l], other.0[l]);
        }
        Portable(r)
    }
}

impl Simd for Portable {
    const PARTS: usize = LANES / QUARTER;
    const REGISTERS: usize = 16;
    const SELECTS: bool = false;
    type Mask = [u32; QUARTER];

    #[inline(always)]
    fn splat(value: f32) -> Self {
        Portable([value; QUARTER])
    }
    #[inline(always)]
    fn load(from: &Vector, part: usize) -> Self {
        let at = part % Self::PARTS * QUARTER;
        Portable([from.0[at], from.0[at + 1], from.0[at + 2], from.0[at + 3]])
    }
    #[inline(always)]
    fn store(self, to: &mut Vector, part: usize) {
        let at = part % Self::PARTS * QUARTER;
        to.0[at..at + QUARTER].copy_from_slice(&self.0);
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        let mut r = [0.0; QUARTER];
        for l in 0..QUARTER {
            // Without hardware for it, a fused multiply–add is a slow call.
            r[l] = if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
                self.0[l].mul_add(factor.0[l], term.0[l])
            } else {
                self.0[l] * factor.0[l] + term.0[l]
            };
        }
        Portable(r)
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn above(self, other: Self) -> Self::Mask {
        let mut r = [0; QUARTER];
        for l in 0..QUARTER {
            r[l] = if self.0[l] > other.0[l] { u32::MAX } else { 0 };
        }
        r
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        let mut r = [0.0; QUARTER];
        for l in 0..QUARTER {
            r[l] = f32::from_bits((yes.0[l].to_bits() & mask[l]) | (no.0[l].to_bits() & !mask[l]));
        }
        Portable(r)
    }
    #[inline(always)]
    fn bits(mask: Self::Mask, part: usize) -> u16 {
        let mut r = 0;
        for l in 0..QUARTER {
            r |= (mask[l] & 1 << l) as u16;
        }
        r << (part * QUARTER)
    }
    #[inline(always)]
    fn mask(bits: u16, part: usize) -> Self::Mask {
        let bits = u32::from(bits >> (part * QUARTER));
        let mut r = [0; QUARTER];
        for l in 0..QUARTER {
            r[l] = (bits >> l & 1).wrapping_neg();
        }
        r
    }
    #[inline(always)]
    fn transpose(rows: &mut [Vector; LANES]) {
        for i in 0..LANES {
            for j in 0..i {
                let upper = rows[j].0[i];
                rows[j].0[i] = rows[i].0[j];
                rows[i].0[j] = upper;
            }
        }
    }
}
