//! Mutations that know a little of what they change: bytes, the numbers and lines of a text, the header of a safetensors file.
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt};

/// Numbers that programs trip over.
const NUMBERS: [&str; 22] = [
    "0",
    "-1",
    "1",
    "2",
    "255",
    "256",
    "65535",
    "65536",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e30",
    "-1e-30",
    "1e400",
    "nan",
    "-inf",
    "0.5",
];

/// Words that stand for nothing, or for the wrong thing.
const WORDS: [&str; 12] = ["", "\"\"", "null", "true", "[]", "{}", "[[[[", "\u{0}", "é\u{301}", "../..", "NaN", "#"];

/// A variation of `seed`, or of two seeds crossed.
pub fn mutated(seed: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let mut bytes = match rng.random_range(0..8) {
        0 => crossed(seed, other, rng),
        _ => seed.to_vec(),
    };
    for _ in 0..rng.random_range(1..5) {
        bytes = match (safetensors_header(&bytes), rng.random_range(0..10)) {
            (Some(end), 0..7) => header(&bytes, end, rng),
            (None, 0..7) if std::str::from_utf8(&bytes).is_ok() => text(&bytes, rng),
            _ => binary(bytes, rng),
        };
    }
    bytes
}

fn place(length: usize, rng: &mut StdRng) -> usize {
    if length == 0 { 0 } else { rng.random_range(0..length) }
}

fn crossed(a: &[u8], b: &[u8], rng: &mut StdRng) -> Vec<u8> {
    [&a[..place(a.len(), rng)], &b[place(b.len(), rng)..]].concat()
}

fn binary(mut bytes: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    let at = place(bytes.len(), rng);
    match rng.random_range(0..6) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.random_range(0..8),
        1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.random_range(0..5)],
        2 => bytes.truncate(at),
        3 => {
            let insert: Vec<u8> = (0..rng.random_range(1..9)).map(|_| rng.next_u32() as u8).collect();
            bytes.splice(at..at, insert);
        }
        4 => {
            let end = (at + rng.random_range(1..33)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = place(bytes.len(), rng);
            bytes.splice(to..to, piece);
        }
        _ => {
            // A length or count, as little or big endian.
            let value: u64 =
                *[0, 1, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX >> 1, u64::MAX].choose(rng).unwrap();
            let width = [1, 2, 4, 8][rng.random_range(0..4)];
            let word = if rng.random() {
                value.to_le_bytes()[..width].to_vec()
            } else {
                value.to_be_bytes()[8 - width..].to_vec()
            };
            let end = (at + width).min(bytes.len());
            bytes.splice(at..end, word);
        }
    }
    bytes
}

/// Spans of `text` that read as numbers.
fn numbers(text: &str) -> Vec<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let (mut spans, mut i) = (Vec::new(), 0);
    while i < bytes.len() {
        let start = i;
        while i < bytes.len() && (bytes[i].is_ascii_digit() || (i > start && matches!(bytes[i], b'.' | b'e' | b'-'))) {
            i += 1;
        }
        if i > start { spans.push(start..i) } else { i += 1 }
    }
    spans
}

fn text(bytes: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    if lines.is_empty() {
        return binary(text.into_bytes(), rng);
    }
    match rng.random_range(0..6) {
        0..3 => match numbers(&text).choose(rng) {
            Some(span) => [&text[..span.start], NUMBERS.choose(rng).unwrap(), &text[span.end..]].concat().into_bytes(),
            None => binary(text.into_bytes(), rng),
        },
        3 => {
            let mut lines = lines;
            let (from, to) = (place(lines.len(), rng), place(lines.len(), rng));
            let line = lines[from];
            if rng.random() {
                lines.insert(to, line);
            } else {
                lines.remove(from);
            }
            lines.concat().into_bytes()
        }
        4 => {
            // A word in the place of another: between separators.
            let separator = |c: char| " ,=[]{}:@\n\"".contains(c);
            let words: Vec<_> = text.split(separator).filter(|w| !w.is_empty()).collect();
            let Some(word) = words.choose(rng) else { return binary(text.into_bytes(), rng) };
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            let by = if rng.random() { *words.choose(rng).unwrap() } else { *WORDS.choose(rng).unwrap() };
            [&text[..start], by, &text[start + word.len()..]].concat().into_bytes()
        }
        _ => binary(text.into_bytes(), rng),
    }
}

/// Where the JSON header of a safetensors file ends, if it is one.
fn safetensors_header(bytes: &[u8]) -> Option<usize> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().unwrap());
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    (bytes.get(8) == Some(&b'{') && end <= bytes.len()).then_some(end)
}

/// The header changed as a text, its length put right.
fn header(bytes: &[u8], end: usize, rng: &mut StdRng) -> Vec<u8> {
    let changed = text(&bytes[8..end], rng);
    [&(changed.len() as u64).to_le_bytes()[..], &changed, &bytes[end..]].concat()
}
