//! Mutations within what wraps them: gzip, zip archives, and the checksums of our own files. Half of all mutations leave the wrapping whole, so that
//! the readers behind it are reached; the other half hit the wrapping as well.
use super::mutate::mutated;
use rand::RngExt;
use rand::rngs::StdRng;
use std::io::{Cursor, Read, Write};
use thalweg_nets::checksum;

/// What a wrapping may hold, in bytes: bombs are the readers' business.
const LIMIT: u64 = 1 << 20;

/// A variation of `seed`, or of two seeds crossed.
pub fn varied(seed: &[u8], other: &[u8], rng: &mut StdRng) -> Vec<u8> {
    let within = if rng.random() { inner(seed, other, rng) } else { None };
    within.unwrap_or_else(|| mutated(seed, other, rng))
}

fn inner(seed: &[u8], other: &[u8], rng: &mut StdRng) -> Option<Vec<u8>> {
    if let Some(plain) = gunzip(seed) {
        let other = gunzip(other).unwrap_or_else(|| other.to_vec());
        return Some(gzip(&mutated(&plain, &other, rng)));
    }
    if let Some(mut arrays) = unzip(seed) {
        let (at, by) = (rng.random_range(0..arrays.len()), rng.random_range(0..arrays.len()));
        arrays[at].1 = mutated(&arrays[at].1, &arrays[by].1, rng);
        if rng.random_range(0..8) == 0 {
            arrays[at].0 = ["x.npy", "y.npy", "", "../x.npy", "x", "data.npy"][rng.random_range(0..6)].into();
        }
        return zip(&arrays);
    }
    if checksum::is_sealed(seed) {
        let mut bytes = mutated(seed, other, rng);
        // A header that lost the word stays without one.
        drop(checksum::seal(&mut bytes));
        return Some(bytes);
    }
    if std::str::from_utf8(seed).is_ok_and(|text| text.contains("\n# blake3 = ")) {
        let bytes = mutated(seed, other, rng);
        return Some(match String::from_utf8(bytes) {
            Ok(text) => checksum::seal_text(text).into_bytes(),
            Err(e) => e.into_bytes(),
        });
    }
    None
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub fn gunzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let whole = bytes.starts_with(&[0x1f, 0x8b]);
    let read = whole.then(|| flate2::read::GzDecoder::new(bytes).take(LIMIT).read_to_end(&mut plain))?;
    read.ok().map(|_| plain)
}

fn unzip(bytes: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut archive = bytes.starts_with(b"PK").then(|| zip::ZipArchive::new(Cursor::new(bytes)).ok())??;
    let mut all = Vec::new();
    for i in 0..archive.len().min(8) {
        let mut file = archive.by_index(i).ok()?;
        let mut plain = Vec::new();
        (&mut file).take(LIMIT).read_to_end(&mut plain).ok()?;
        let name = file.name().map(|name| name.into_owned());
        all.push((name.ok()?, plain));
    }
    (!all.is_empty()).then_some(all)
}

/// An archive of these files, stored without compression.
pub fn zip(files: &[(String, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in files {
        writer.start_file(name.as_str(), stored).ok()?;
        writer.write_all(bytes).ok()?;
    }
    Some(writer.finish().ok()?.into_inner())
}
