//! AVX2 and AVX-512 registers, and the entries that enable their instructions.
//!
//! This is the only file of the crate with `unsafe` code. Why it is sound: the register types are private to this file
//! and are named as type arguments in two places only, the bodies of [`avx2`] and [`avx512`]; those are called from
//! [`run`] only, which takes a [`Machine`], and a `Machine` exists only where its set was detected. Loads and stores
//! stay within the sixteen floats of a [`Vector`], which is aligned to 64 bytes.
#![allow(unsafe_code)]

use super::vector::{Instructions, Kernel, LANES, Machine, Simd, Vector};
use std::arch::x86_64::*;

/// Runs `kernel` with the machine's set.
#[inline]
pub(super) fn run<K: Kernel>(machine: Machine, kernel: K) {
    if machine.instructions() == Instructions::Avx512 {
        // SAFETY: the machine has the set.
        unsafe { avx512(kernel) }
    } else {
        // SAFETY: the machine has this set or a larger one, and no `Machine` of the portable set comes here.
        unsafe { avx2(kernel) }
    }
}

/// # Safety
/// The machine must have AVX2 and FMA.
#[inline(never)]
#[target_feature(enable = "avx2,fma")]
unsafe fn avx2<K: Kernel>(kernel: K) {
    kernel.run::<Avx2>();
}

/// # Safety
/// The machine must have the sets named.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
unsafe fn avx512<K: Kernel>(kernel: K) {
    kernel.run::<Avx512>();
}

/// Half a vector.
#[derive(Clone, Copy)]
struct Avx2(__m256);

impl Simd for Avx2 {
    const PARTS: usize = 2;
    const REGISTERS: usize = 16;
    const SELECTS: bool = true;
    type Mask = __m256;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { Avx2(_mm256_set1_ps(value)) }
    }
    #[inline(always)]
    fn load(from: &Vector, part: usize) -> Self {
        // SAFETY: AVX2 is there, see the head of the file; the part is 0 or 1, so its eight floats lie in the vector, aligned to 32 bytes.
        unsafe { Avx2(_mm256_load_ps(from.0.as_ptr().add((part & 1) * 8))) }
    }
    #[inline(always)]
    fn store(self, to: &mut Vector, part: usize) {
        // SAFETY: AVX2 is there, see the head of the file; the part is 0 or 1, so its eight floats lie in the vector, aligned to 32 bytes.
        unsafe { _mm256_store_ps(to.0.as_mut_ptr().add((part & 1) * 8), self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { Avx2(_mm256_add_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { Avx2(_mm256_sub_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { Avx2(_mm256_mul_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { Avx2(_mm256_fmadd_ps(self.0, factor.0, term.0)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { Avx2(_mm256_max_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn above(self, other: Self) -> Self::Mask {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { Avx2(_mm256_blendv_ps(no.0, yes.0, mask)) }
    }
    #[inline(always)]
    fn bits(mask: Self::Mask, part: usize) -> u16 {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe { (_mm256_movemask_ps(mask) as u16) << ((part & 1) * 8) }
    }
    #[inline(always)]
    fn mask(bits: u16, part: usize) -> Self::Mask {
        // SAFETY: this type is used only where AVX2 and FMA are there, see the head of the file; no memory is touched.
        unsafe {
            let own = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
            let all = _mm256_set1_epi32(i32::from(bits >> ((part & 1) * 8)));
            _mm256_castsi256_ps(_mm256_cmpeq_epi32(_mm256_and_si256(all, own), own))
        }
    }
    #[inline(always)]
    fn transpose(rows: &mut [Vector; LANES]) {
        // Four quarters of 8 × 8; the two off the diagonal change places.
        for (top, left) in [(0, 0), (8, 8), (0, 8)] {
            // SAFETY: AVX2 is there, see the head of the file; `top` and `left` are 0 or 8, so eight floats from there on lie in their row, aligned to 32 bytes.
            unsafe {
                let (a, b) = (transposed_quarter(rows, top, left), transposed_quarter(rows, left, top));
                for i in 0..8 {
                    _mm256_store_ps(rows[left + i].0.as_mut_ptr().add(top), a[i]);
                    _mm256_store_ps(rows[top + i].0.as_mut_ptr().add(left), b[i]);
                }
            }
        }
    }
}

/// Eight lanes from `left` on of eight rows from `top` on, rows and lanes exchanged.
///
/// # Safety
/// The machine must have AVX2; `top` and `left` must be 0 or 8.
#[inline(always)]
unsafe fn transposed_quarter(rows: &[Vector; LANES], top: usize, left: usize) -> [__m256; 8] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut r = [_mm256_setzero_ps(); 8];
        for i in 0..8 {
            r[i] = _mm256_load_ps(rows[top + i].0.as_ptr().add(left));
        }
        let mut t = r;
        for i in 0..4 {
            t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        for q in [0, 4] {
            r[q] = _mm256_shuffle_ps::<0x44>(t[q], t[q + 2]);
            r[q + 1] = _mm256_shuffle_ps::<0xee>(t[q], t[q + 2]);
            r[q + 2] = _mm256_shuffle_ps::<0x44>(t[q + 1], t[q + 3]);
            r[q + 3] = _mm256_shuffle_ps::<0xee>(t[q + 1], t[q + 3]);
        }
        for i in 0..4 {
            t[i] = _mm256_permute2f128_ps::<0x20>(r[i], r[i + 4]);
            t[i + 4] = _mm256_permute2f128_ps::<0x31>(r[i], r[i + 4]);
        }
        t
    }
}

/// A whole vector.
#[derive(Clone, Copy)]
struct Avx512(__m512);

impl Simd for Avx512 {
    const PARTS: usize = 1;
    const REGISTERS: usize = 32;
    const SELECTS: bool = true;
    type Mask = __mmask16;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { Avx512(_mm512_set1_ps(value)) }
    }
    #[inline(always)]
    fn load(from: &Vector, _: usize) -> Self {
        // SAFETY: AVX-512 is there, see the head of the file; the pointer is to the sixteen floats of a vector, aligned to 64 bytes.
        unsafe { Avx512(_mm512_load_ps(from.0.as_ptr())) }
    }
    #[inline(always)]
    fn store(self, to: &mut Vector, _: usize) {
        // SAFETY: AVX-512 is there, see the head of the file; the pointer is to the sixteen floats of a vector, aligned to 64 bytes.
        unsafe { _mm512_store_ps(to.0.as_mut_ptr(), self.0) }
    }
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { Avx512(_mm512_add_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { Avx512(_mm512_sub_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { Avx512(_mm512_mul_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { Avx512(_mm512_fmadd_ps(self.0, factor.0, term.0)) }
    }
    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { Avx512(_mm512_max_ps(self.0, other.0)) }
    }
    #[inline(always)]
    fn above(self, other: Self) -> Self::Mask {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, other.0) }
    }
    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        // SAFETY: this type is used only where AVX-512 is there, see the head of the file; no memory is touched.
        unsafe { Avx512(_mm512_mask_blend_ps(mask, no.0, yes.0)) }
    }
    #[inline(always)]
    fn bits(mask: Self::Mask, _: usize) -> u16 {
        mask
    }
    #[inline(always)]
    fn mask(bits: u16, _: usize) -> Self::Mask {
        bits
    }
    #[inline(always)]
    fn transpose(rows: &mut [Vector; LANES]) {
        // SAFETY: AVX-512 is there, see the head of the file; every pointer is to the sixteen floats of one row, aligned to 64 bytes.
        unsafe {
            let mut r = [_mm512_setzero_ps(); LANES];
            for i in 0..LANES {
                r[i] = _mm512_load_ps(rows[i].0.as_ptr());
            }
            let mut t = r;
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            for q in [0, 4, 8, 12] {
                r[q] = _mm512_shuffle_ps::<0x44>(t[q], t[q + 2]);
                r[q + 1] = _mm512_shuffle_ps::<0xee>(t[q], t[q + 2]);
                r[q + 2] = _mm512_shuffle_ps::<0x44>(t[q + 1], t[q + 3]);
                r[q + 3] = _mm512_shuffle_ps::<0xee>(t[q + 1], t[q + 3]);
            }
            // r[4 q + c] holds, in its quarter l, column 4 l + c of rows 4 q .. 4 q + 4.
            for c in 0..4 {
                let even = _mm512_shuffle_f32x4::<0x88>(r[c], r[4 + c]);
                let odd = _mm512_shuffle_f32x4::<0xdd>(r[c], r[4 + c]);
                let even_below = _mm512_shuffle_f32x4::<0x88>(r[8 + c], r[12 + c]);
                let odd_below = _mm512_shuffle_f32x4::<0xdd>(r[8 + c], r[12 + c]);
                t[c] = _mm512_shuffle_f32x4::<0x88>(even, even_below);
                t[4 + c] = _mm512_shuffle_f32x4::<0x88>(odd, odd_below);
                t[8 + c] = _mm512_shuffle_f32x4::<0xdd>(even, even_below);
                t[12 + c] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_below);
            }
            for i in 0..LANES {
                _mm512_store_ps(rows[i].0.as_mut_ptr(), t[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Transpose<'a>(&'a mut [Vector; LANES]);

    impl Kernel for Transpose<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            S::transpose(self.0);
        }
    }

    struct Masks<'a>(&'a [u16], &'a mut Vec<u16>);

    impl Kernel for Masks<'_> {
        #[inline(always)]
        fn run<S: Simd>(self) {
            for &bits in self.0 {
                self.1.push((0..S::PARTS).map(|part| S::bits(S::mask(bits, part), part)).sum());
            }
        }
    }

    #[test]
    fn transposition_and_masks_are_exact_on_every_set() {
        for machine in Instructions::ALL.into_iter().filter_map(Machine::new) {
            let mut rows: [Vector; LANES] =
                std::array::from_fn(|i| Vector(std::array::from_fn(|j| (100 * i + j) as f32)));
            machine.run(Transpose(&mut rows));
            assert!((0..LANES).all(|i| (0..LANES).all(|j| rows[i].0[j] == (100 * j + i) as f32)), "{machine:?}");
            let patterns = [0, 1, 0x8000, 0xffff, 0x1234, 0xa5c3, 0x00ff, 0xff00];
            let mut back = Vec::new();
            machine.run(Masks(&patterns, &mut back));
            assert_eq!(back, patterns, "{machine:?}");
        }
    }
}
