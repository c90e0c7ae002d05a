//! Signals that ask the program to stop: SIGINT (Ctrl-C), SIGTERM (schedulers, `timeout`, containers) and SIGHUP (a closing terminal). The first
//! asks all work to stop at its next safe point; the second stops the program at once. The exit code says which it was: 128 and its number.
use crate::complain::complain;
use std::sync::Once;
use std::sync::atomic::{AtomicI32, Ordering};
use thalweg_nets::interrupt;

/// SIGINT, on every system.
const INTERRUPT: i32 = 2;

/// The signal that came first; 0 for none.
static FIRST: AtomicI32 = AtomicI32::new(0);
static WATCH: Once = Once::new();

/// Listens from now on. Where the system refuses, a signal still ends the program, only less gently.
pub fn watch() {
    WATCH.call_once(listen);
}

/// The exit code of a program that was interrupted: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.
pub fn exit_code() -> u8 {
    code(FIRST.load(Ordering::SeqCst))
}

fn code(signal: i32) -> u8 {
    u8::try_from(128 + if signal == 0 { INTERRUPT } else { signal }).unwrap_or(130)
}

fn heard(signal: i32) {
    if FIRST.swap(signal, Ordering::SeqCst) != 0 {
        std::process::exit(i32::from(code(signal)));
    }
    interrupt::request();
    complain("stopping at the next safe point (once more, and it stops at once)");
}

#[cfg(unix)]
fn listen() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    // Under `nohup` SIGHUP is ignored from the start, and has to stay so.
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM].into_iter().chain(hang_up)) else {
        return;
    };
    std::thread::spawn(move || signals.forever().for_each(heard));
}

/// Whether this process was started to ignore `signal`, as Linux tells it; elsewhere not.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    set >> (signal - 1) & 1 == 1
}

#[cfg(not(unix))]
fn listen() {
    drop(ctrlc::set_handler(|| heard(INTERRUPT)));
}
