//! How much memory this process may take: one budget, and what a piece of work needs of it, told before anything is allocated.
//!
//! The budget is half of the machine's memory where nothing else is [set](set_budget). A lying file or a setting beyond it costs an error with both
//! numbers and not the machine. Nothing that is computed depends on the budget: it decides what is refused, and how much is held at once where the
//! bytes of a result do not depend on that.
use crate::error::{Error, Result};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is taken for the machine's memory where the system does not say.
const UNKNOWN: u64 = 8 << 30;

/// The least budget: below it nothing of use fits.
const LEAST: u64 = 16 << 20;

/// Bytes of the budget that was set; 0 where none was.
static BUDGET: AtomicU64 = AtomicU64::new(0);

/// Bytes of memory that this process can have: the machine's, or the limit of its control group where that is lower.
pub fn total() -> u64 {
    static TOTAL: OnceLock<u64> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_meminfo(&text));
        let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let group = groups.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok()).min();
        machine.unwrap_or(UNKNOWN).min(group.unwrap_or(u64::MAX))
    })
}

/// Sets the budget of this process: a choice for the whole process, like its thread pool.
///
/// # Errors
/// Fewer bytes than anything needs.
pub fn set_budget(bytes: u64) -> Result<()> {
    if bytes < LEAST {
        return Err(Error::parameter("memory", format!("at least {}", size(LEAST)), size(bytes)));
    }
    BUDGET.store(bytes, Ordering::Relaxed);
    Ok(())
}

/// Bytes that one piece of work may take: what was set, or half of [`total`].
pub fn budget() -> u64 {
    match BUDGET.load(Ordering::Relaxed) {
        0 => total() / 2,
        bytes => bytes,
    }
}

/// Bytes that the numbers of one data set may take: half of the budget, since standardised and packed copies come beside them.
pub fn half() -> u64 {
    budget() / 2
}

/// Bytes for what is held only to be fast, at most `most`: a small share of the budget.
pub fn cached(most: usize) -> usize {
    usize::try_from(budget() / 16).map_or(most, |share| share.min(most))
}

/// Rows of `row` bytes that may be worked on together: at most `most`, of some hundredths of the budget, but one at least.
pub fn rows(row: u64, most: usize) -> usize {
    usize::try_from(budget() / 32 / row.max(1)).unwrap_or(most).clamp(1, most.max(1))
}

/// Checks that `bytes` of `what` fit into half of the budget; none stands for a product beyond 64 bits.
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
    let most = half();
    match bytes {
        Some(bytes) if bytes <= most => Ok(()),
        _ => Err([format!("at most {most} bytes (half of the memory budget)"), counted(bytes)]),
    }
}

fn counted(bytes: Option<u64>) -> String {
    bytes.map_or("more than 2^64 bytes".into(), |n| format!("{n} bytes"))
}

/// What a piece of work holds at its peak, part by part.
#[derive(Clone, Debug)]
pub struct Need {
    work: String,
    parts: Vec<(&'static str, Option<u64>)>,
}

impl Need {
    /// Of the work that is called so.
    pub fn of(work: impl Into<String>) -> Self {
        Self { work: work.into(), parts: Vec::new() }
    }

    /// With a part of as many bytes as the product of `sizes`.
    #[must_use]
    pub fn bytes(mut self, part: &'static str, sizes: &[usize]) -> Self {
        self.parts.push((part, sizes.iter().try_fold(1u64, |n, &size| n.checked_mul(size as u64))));
        self
    }

    /// With a part of as many numbers in single precision as the product of `sizes`.
    #[must_use]
    pub fn numbers(self, part: &'static str, sizes: &[usize]) -> Self {
        let sizes: Vec<usize> = sizes.iter().copied().chain([size_of::<f32>()]).collect();
        self.bytes(part, &sizes)
    }

    /// Bytes in all; none beyond 64 bits.
    pub fn total(&self) -> Option<u64> {
        self.parts.iter().try_fold(0u64, |sum, (_, bytes)| sum.checked_add((*bytes)?))
    }

    /// Whether the budget holds it.
    pub fn fits(&self) -> bool {
        self.total().is_some_and(|bytes| bytes <= budget())
    }

    /// Checks that the budget holds it; `instead` says what would fit, if anything does.
    ///
    /// # Errors
    /// [`Error::Memory`].
    pub fn check(&self, instead: impl FnOnce() -> Option<String>) -> Result<()> {
        if self.fits() {
            return Ok(());
        }
        let mut parts = self.parts.clone();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.unwrap_or(u64::MAX)));
        let said =
            parts.iter().map(|(part, bytes)| format!("{part} {}", bytes.map_or("beyond 2^64 bytes".into(), size)));
        Err(Error::Memory {
            work: self.work.clone(),
            needed: counted(self.total()),
            budget: budget(),
            parts: said.collect::<Vec<_>>().join(", "),
            instead: instead(),
        })
    }
}

/// The need of reading the file at `path` into numbers of the same width: `copies` of them, with its bytes where these are held beside.
///
/// # Errors
/// No such file.
pub fn reading(path: &Path, copies: usize) -> Result<Need> {
    let length = fs::metadata(path).map_err(Error::io("read", path))?.len();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(Need::of(format!("reading {}", path.display())).bytes("its content", &[length, copies]))
}

/// Bytes for people, with a decimal unit: `6.5 GB`.
pub fn size(bytes: u64) -> String {
    let unit =
        [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)].into_iter().find(|(_, unit)| bytes as f64 >= *unit);
    unit.map_or(format!("{bytes} B"), |(name, unit)| format!("{:.1} {name}", bytes as f64 / unit))
}

/// Reads a number of bytes: `8G`, `500MB`, `1.5 GiB`, `1073741824`. Units are decimal, those with an i binary.
///
/// # Errors
/// Anything else.
pub fn parse_size(text: &str) -> Result<u64> {
    let trimmed = text.trim();
    let at = trimmed.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(trimmed.len());
    let (number, unit) = (&trimmed[..at], trimmed[at..].trim().to_ascii_lowercase());
    let unit = match unit.trim_end_matches('b') {
        "" => Some(1.0),
        "k" => Some(1e3),
        "m" => Some(1e6),
        "g" => Some(1e9),
        "t" => Some(1e12),
        "ki" => Some(1024.0),
        "mi" => Some(1024f64.powi(2)),
        "gi" => Some(1024f64.powi(3)),
        "ti" => Some(1024f64.powi(4)),
        _ => None,
    };
    match (number.parse::<f64>(), unit) {
        (Ok(number), Some(unit)) if number * unit >= 1.0 && number * unit < 1e18 => Ok((number * unit) as u64),
        _ => Err(Error::parameter("memory", "a number of bytes as 8G, 500MB or 1.5GiB", text)),
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
        assert!(total() > 1 << 26 && budget() == total() / 2);
        assert!(check("x", Some(1 << 20)).is_ok());
        let message = check("data x", Some(u64::MAX)).unwrap_err().to_string();
        assert!(message.contains("18446744073709551615 bytes") && message.contains("half of the memory"), "{message}");
        assert!(check("x", None).is_err());
        assert!(rows(u64::MAX, 64) == 1 && rows(1, 64) == 64 && cached(7) == 7);
    }

    #[test]
    fn work_beyond_the_budget_is_refused_with_its_parts_and_what_fits() {
        let need = Need::of("fitting").bytes("a list", &[7]).numbers("points", &[1 << 40, 16]);
        assert_eq!(need.total(), Some(7 + (1 << 46)));
        let said = need.check(|| Some("half of it".into())).unwrap_err().to_string();
        assert!(said.starts_with("fitting: needs 70368744177671 bytes"), "{said}");
        let budget = budget().to_string();
        assert!(
            said.contains(&budget) && said.contains("points 70.4 TB, a list 7 B") && said.contains("half of it"),
            "{said}"
        );
        let beyond = Need::of("x").numbers("a", &[usize::MAX, 8]);
        assert!(beyond.check(|| None).unwrap_err().to_string().contains("2^64"));
        Need::of("x").numbers("a", &[1000]).check(|| unreachable!()).unwrap();
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("8G", 8_000_000_000), ("500MB", 500_000_000), ("1.5 GiB", 3 << 29), ("123", 123), ("2ki", 2048)]
        {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "G", "-1", "1e9", "8 parsecs", "0", "0.1", "99999999T"] {
            assert!(parse_size(text).unwrap_err().to_string().contains(&format!("found {text}")), "{text}");
        }
        assert!(set_budget(1).unwrap_err().to_string().contains("at least 16.8 MB, found 1 B"));
        assert_eq!((size(999), size(6_527_000_000)), ("999 B".into(), "6.5 GB".into()));
    }
}
