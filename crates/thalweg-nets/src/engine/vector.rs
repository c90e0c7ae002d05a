//! Sixteen images as the lanes of a vector, and the instruction sets that compute on them.
//!
//! A [`Vector`] is one number of sixteen images, in memory. A kernel of the engine is written once, over a register
//! type [`Simd`] that holds all of a vector (AVX-512) or a part of it (AVX2: half, portable: a quarter), and
//! [`Machine::run`] enters it through a function that has the instruction set enabled; everything below is inlined
//! into that function. All sets do the same operations in the same order, so AVX2 and AVX-512 give the same bytes; the
//! portable set differs in rounding where the machine has no fused multiply–add.
//!
//! This is the only file of the crate with `unsafe` code.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

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

/// An instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instructions {
    /// What the compilation target guarantees (SSE2 on x86-64, NEON on AArch64), vectorised by the compiler.
    Portable,
    /// AVX2 with fused multiply–add.
    Avx2,
    /// AVX-512 F.
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
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }

    /// The fastest set of this machine.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|i| i.is_available()).unwrap_or(Instructions::Portable)
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

    /// Runs `kernel` with the instruction set.
    #[inline]
    pub(super) fn run<K: Kernel>(self, kernel: K) {
        match self.0 {
            Instructions::Portable => portable(kernel),
            // SAFETY: a `Machine` is made only where the set was detected.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 => unsafe { avx2(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx512 => unsafe { avx512(kernel) },
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable(kernel),
        }
    }
}

#[inline(never)]
fn portable<K: Kernel>(kernel: K) {
    kernel.run::<Portable>();
}

/// # Safety
/// The machine must have AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<K: Kernel>(kernel: K) {
    kernel.run::<Avx2>();
}

/// # Safety
/// The machine must have AVX-512 F, AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn avx512<K: Kernel>(kernel: K) {
    kernel.run::<Avx512>();
}

/// A register: `LANES / PARTS` lanes. The types that implement it are private to this file, so generic code can
/// only meet them below an entry of [`Machine::run`].
pub(super) trait Simd: Copy {
    /// Registers in a vector.
    const PARTS: usize;

    fn splat(value: f32) -> Self;
    fn load(from: &Vector, part: usize) -> Self;
    fn store(self, to: &mut Vector, part: usize);
    fn add(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// self · factor + term.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    /// The larger; `other` where one is not a number.
    fn max(self, other: Self) -> Self;
}

/// Lanes of a portable register: what SSE2 and NEON hold.
const QUARTER: usize = 4;

#[derive(Clone, Copy)]
struct Portable([f32; QUARTER]);

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
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx2(__m256);

// SAFETY of every block below: `Avx2` is private to this file and named as a type argument only in `avx2`, whose
// caller has detected the set; loads and stores stay within the sixteen aligned floats of a `Vector`.
#[cfg(target_arch = "x86_64")]
impl Simd for Avx2 {
    const PARTS: usize = 2;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        unsafe { Avx2(_mm256_set1_ps(value)) }
    }
    #[inline(always)]
    fn load(from: &Vector, part: usize) -> Self {
        unsafe { Avx2(_mm256_load_ps(from.0.as_ptr().add((part & 1) * 8))) }
    }
    #[inline(always)]
    fn store(self, to: &mut Vector, part: usize) {
        unsafe { _mm256_store_ps(to.0.as_mut_ptr().add((part & 1) * 8), self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Avx2(_mm256_add_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Avx2(_mm256_mul_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        unsafe { Avx2(_mm256_fmadd_ps(self.0, factor.0, term.0)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Avx2(_mm256_max_ps(self.0, other.0)) }
    }
}

#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Avx512(__m512);

// SAFETY of every block below: `Avx512` is private to this file and named as a type argument only in `avx512`, whose
// caller has detected the set; loads and stores take exactly the sixteen aligned floats of a `Vector`.
#[cfg(target_arch = "x86_64")]
impl Simd for Avx512 {
    const PARTS: usize = 1;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        unsafe { Avx512(_mm512_set1_ps(value)) }
    }
    #[inline(always)]
    fn load(from: &Vector, _: usize) -> Self {
        unsafe { Avx512(_mm512_load_ps(from.0.as_ptr())) }
    }
    #[inline(always)]
    fn store(self, to: &mut Vector, _: usize) {
        unsafe { _mm512_store_ps(to.0.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { Avx512(_mm512_add_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { Avx512(_mm512_mul_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        unsafe { Avx512(_mm512_fmadd_ps(self.0, factor.0, term.0)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { Avx512(_mm512_max_ps(self.0, other.0)) }
    }
}
