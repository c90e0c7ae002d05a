//! How much memory one thing may take: a share of the machine's, so that a lying file or setting costs an error and not the machine.
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;

/// What is taken for the machine's memory where the system does not say.
const UNKNOWN: u64 = 8 << 30;

/// Bytes of memory that this process can have: the machine's, or the limit of its control group where that is lower.
pub fn total() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_meminfo(&text));
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = groups.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).min();
    machine.unwrap_or(UNKNOWN).min(group.unwrap_or(u64::MAX))
}

/// Bytes that the numbers of one data set may take: a quarter of [`total`], since standardised and packed copies come beside them.
pub fn quarter() -> u64 {
    total() / 4
}

/// Checks that `bytes` of `what` fit into a quarter of the memory; none stands for a product beyond 64 bits.
///
/// # Errors
/// More bytes than that, with their number.
pub fn check(what: &str, bytes: Option<u64>) -> Result<()> {
    judged(bytes).map_err(|[expected, found]| Error::parameter(what, expected, found))
}

/// As [`check`], for what the file at `path` claims to hold.
///
/// # Errors
/// As [`check`], naming file and field.
pub fn check_file(path: &Path, field: &str, bytes: Option<u64>) -> Result<()> {
    judged(bytes).map_err(|[expected, found]| Error::format(path, field, expected, found))
}

fn judged(bytes: Option<u64>) -> Result<(), [String; 2]> {
    let most = quarter();
    match bytes {
        Some(bytes) if bytes <= most => Ok(()),
        _ => Err([
            format!("at most {most} bytes (a quarter of this machine's memory)"),
            bytes.map_or("more than 2^64 bytes".into(), |n| format!("{n} bytes")),
        ]),
    }
}

fn of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_held_against_the_memory_of_the_machine() {
        assert_eq!(of_meminfo("MemTotal:       24576 kB\nMemFree: 1 kB\n"), Some(24_576 * 1024));
        assert_eq!(of_meminfo("nothing"), None);
        assert!(total() > 1 << 26);
        assert!(check("x", Some(1 << 20)).is_ok());
        let message = check("data x", Some(u64::MAX)).unwrap_err().to_string();
        assert!(message.contains("18446744073709551615 bytes") && message.contains("a quarter"), "{message}");
        assert!(check("x", None).is_err());
    }
}
