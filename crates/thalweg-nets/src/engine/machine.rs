//! Entry of kernels: each runs with the instruction set of its [`Machine`] enabled.
use super::vector::{Instructions, Kernel, Machine, Portable};
#[cfg(target_arch = "x86_64")]
use super::x86;

impl Machine {
    /// Runs `kernel` with the instruction set.
    #[inline]
    pub(super) fn run<K: Kernel>(self, kernel: K) {
        match self.instructions() {
            Instructions::Portable => portable(kernel),
            #[cfg(target_arch = "x86_64")]
            Instructions::Avx2 | Instructions::Avx512 => x86::run(self, kernel),
            #[cfg(not(target_arch = "x86_64"))]
            _ => portable(kernel),
        }
    }
}

#[inline(never)]
fn portable<K: Kernel>(kernel: K) {
    kernel.run::<Portable>();
}
