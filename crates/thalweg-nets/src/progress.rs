//! How long work tells whoever watches how far it is, and learns that it should stop. Library code never prints.

/// A watcher of long work.
pub trait Progress: Sync {
    /// A stage of `total` units begins; `what` is a short phrase such as "training runs".
    fn begin(&self, what: &str, total: u64);
    /// `n` more units are done.
    fn advance(&self, n: u64);
    /// `n` units of the stage that just began were done before, by an earlier process.
    fn resumed(&self, n: u64) {
        self.advance(n);
    }
    /// Something worth a line of its own happened.
    fn note(&self, text: &str);
    /// Work that is about to end as interrupted has kept `done` of its `total` units for whoever goes on with it: what a program may truthfully
    /// say of it. Work that keeps nothing does not call this.
    fn kept(&self, done: u64, total: u64, units: &str) {
        let _ = (done, total, units);
    }
    /// Whether the user asked to stop (Ctrl-C). Long loops ask between units and return [`crate::Error::Interrupted`].
    fn interrupted(&self) -> bool;
}

/// Watches nothing, never interrupts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn note(&self, _: &str) {}
    fn interrupted(&self) -> bool {
        false
    }
}
