//! Optimiser steps counted on each thread, in tests only: what says that it trains nothing is run on a thread pool of its own, and asked.
use std::cell::Cell;

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// Notes `n` steps taken on this thread.
pub(crate) fn note(n: u64) {
    TAKEN.with(|taken| taken.set(taken.get() + n));
}

/// What `work` gives, run on two threads of its own, and the optimiser steps that it took.
pub(crate) fn counted<T: Send>(work: impl FnOnce() -> T + Send) -> (T, u64) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let made = pool.install(work);
    let steps = pool.broadcast(|_| TAKEN.with(Cell::get)).into_iter().sum();
    (made, steps)
}
