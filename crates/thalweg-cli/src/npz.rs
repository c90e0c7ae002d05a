//! NumPy archives that are written while their numbers are made: arrays one after the other, each in parts, none held whole.
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use thalweg_nets::Error;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// An archive that is being written.
pub struct NpzWriter {
    path: PathBuf,
    zip: ZipWriter<BufWriter<File>>,
    /// Bytes of the array that is open which are still to come.
    left: u64,
}

impl NpzWriter {
    /// Begins `path`.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(Error::io("write", path))?;
        Ok(Self { path: path.to_path_buf(), zip: ZipWriter::new(BufWriter::new(file)), left: 0 })
    }

    /// Begins the array `name` of this NumPy type (`<f4`, `<i8`, `<U12`, …) with items of so many bytes.
    ///
    /// # Errors
    /// Where the array before has not all of its numbers, or the system refuses.
    pub fn array(&mut self, name: &str, kind: &str, item: usize, shape: &[usize]) -> Result<()> {
        ensure!(self.left == 0, "{}: {} bytes of an array are missing", self.path.display(), self.left);
        // Times would make the bytes of an archive depend on when it was written.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .large_file(true);
        self.zip.start_file(format!("{name}.npy"), options).with_context(|| self.path.display().to_string())?;
        let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
        let sides = sides.trim_end_matches(' ');
        let sides = if shape.len() > 1 { sides.trim_end_matches(',') } else { sides };
        let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sides}), }}");
        // Magic, version and length are ten bytes; the numbers begin at a multiple of 64.
        let blanks = 63 - (10 + text.len()) % 64;
        text.extend(std::iter::repeat_n(' ', blanks));
        text.push('\n');
        let length = u16::try_from(text.len()).context("the header of an array")?;
        self.bytes(&[&b"\x93NUMPY\x01\x00"[..], &length.to_le_bytes(), text.as_bytes()].concat())?;
        self.left = shape.iter().product::<usize>() as u64 * item as u64;
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.zip.write_all(bytes).map_err(Error::io("write", &self.path))?)
    }

    fn part(&mut self, bytes: &[u8]) -> Result<()> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .with_context(|| format!("{}: more numbers than the array has", self.path.display()))?;
        self.bytes(bytes)
    }

    /// Some more numbers of an array of `<f4`.
    ///
    /// # Errors
    /// More than it has; where the system refuses.
    pub fn singles(&mut self, values: &[f32]) -> Result<()> {
        values
            .chunks(1 << 16)
            .try_for_each(|part| self.part(&part.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()))
    }

    /// A whole array of `<f8`.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn doubles(&mut self, name: &str, shape: &[usize], values: &[f64]) -> Result<()> {
        self.array(name, "<f8", 8, shape)?;
        self.part(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
    }

    /// A whole array of `<i8`.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn integers(&mut self, name: &str, values: &[u32]) -> Result<()> {
        self.array(name, "<i8", 8, &[values.len()])?;
        self.part(&values.iter().flat_map(|v| i64::from(*v).to_le_bytes()).collect::<Vec<u8>>())
    }

    /// A whole array of words.
    ///
    /// # Errors
    /// As [`Self::array`].
    pub fn words(&mut self, name: &str, words: &[String]) -> Result<()> {
        let longest = words.iter().map(|word| word.chars().count()).max().unwrap_or(0).max(1);
        self.array(name, &format!("<U{longest}"), 4 * longest, &[words.len()])?;
        let padded = |word: &String| {
            let letters = word.chars().map(|c| u32::from(c).to_le_bytes());
            let blanks = longest - word.chars().count();
            letters.chain(std::iter::repeat_n([0; 4], blanks)).flatten().collect::<Vec<u8>>()
        };
        self.part(&words.iter().flat_map(padded).collect::<Vec<u8>>())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// Where an array has not all of its numbers, or the system refuses.
    pub fn finish(self) -> Result<()> {
        ensure!(self.left == 0, "{}: {} bytes of an array are missing", self.path.display(), self.left);
        let mut file = self.zip.finish().with_context(|| self.path.display().to_string())?;
        Ok(file.flush().map_err(Error::io("write", &self.path))?)
    }
}
