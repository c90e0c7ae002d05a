//! Stacks of networks written while they are made.
use crate::Result;
use std::ops::Range;
use thalweg_nets::sealed::SealedFile;

/// A stack under writing: networks come some at a time and none is held. Dropped before it is finished, it leaves nothing.
#[derive(Debug)]
pub struct StackWriter {
    pub(super) file: SealedFile,
    pub(super) n: usize,
    pub(super) p: usize,
}

impl StackWriter {
    /// Writes the networks `rows`, `theta [m, P]`, with their states `[T, m, P]`.
    ///
    /// # Errors
    /// Networks beyond those that were announced; a file that cannot be written.
    pub fn put(&mut self, rows: Range<usize>, theta: &[f32], states: &[f32]) -> Result<()> {
        self.file.single("theta", rows.start * self.p, theta)?;
        for (t, some) in states.chunks_exact((rows.len() * self.p).max(1)).enumerate() {
            self.file.single("states", (t * self.n + rows.start) * self.p, some)?;
        }
        Ok(())
    }

    /// Ends the writing.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<()> {
        self.file.finish()
    }
}
