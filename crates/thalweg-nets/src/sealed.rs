//! Safetensors files of our own: as the format's library lays them, with a [`checksum`] in the header.
//!
//! The library writes the words of a header in another order each time, so the header is written here, with words in the order of their keys: the same
//! tensors and words are the same bytes.
use crate::checksum;
use crate::error::{Error, Result};
use safetensors::tensor::{Metadata, TensorInfo, View};
use std::collections::BTreeMap;

/// The bytes of a file with these tensors and these `words` in its header. Tensors lie by falling alignment of their types, then by name.
///
/// # Errors
/// Numbers that do not fill their shape, or names that are not unique.
pub fn serialise<S: AsRef<str>, V: View>(
    tensors: impl IntoIterator<Item = (S, V)>,
    words: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut words = words.clone();
    words.insert(checksum::WORD.into(), checksum::blank());
    let mut bytes = plain(tensors, &words)?;
    checksum::seal(&mut bytes)?;
    Ok(bytes)
}

/// As [`serialise`], without a checksum: a file for other programs.
///
/// # Errors
/// As [`serialise`].
pub fn plain<S: AsRef<str>, V: View>(
    tensors: impl IntoIterator<Item = (S, V)>,
    words: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let wrong = |e| Error::parameter("tensors", "numbers that fit their shapes, under names that are unique", e);
    let mut tensors: Vec<(S, V)> = tensors.into_iter().collect();
    tensors.sort_by(|(a, left), (b, right)| right.dtype().cmp(&left.dtype()).then(a.as_ref().cmp(b.as_ref())));
    let mut header = format!("{{\"__metadata__\":{}", json(words)?);
    let mut end = 0;
    for (name, tensor) in &tensors {
        let start = end;
        end += tensor.data_len();
        let info = TensorInfo { dtype: tensor.dtype(), shape: tensor.shape().to_vec(), data_offsets: (start, end) };
        header += &format!(",{}:{}", json(name.as_ref())?, json(&info)?);
    }
    header.push('}');
    // What the library would not read is not written.
    serde_json::from_str::<Metadata>(&header).map_err(wrong)?;
    header.extend(std::iter::repeat_n(' ', header.len().next_multiple_of(8) - header.len()));
    let mut bytes = Vec::with_capacity(8 + header.len() + end);
    bytes.extend((header.len() as u64).to_le_bytes());
    bytes.extend(header.as_bytes());
    tensors.iter().for_each(|(_, tensor)| bytes.extend_from_slice(&tensor.data()));
    Ok(bytes)
}

fn json(value: &(impl serde::Serialize + ?Sized)) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::parameter("header", "what JSON can hold", e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::{Dtype, SafeTensors, tensor::TensorView};
    use std::path::Path;

    const DATA: [u8; 40] = [7; 40];

    fn tensors() -> Vec<(&'static str, TensorView<'static>)> {
        let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), &DATA[..bytes]).unwrap();
        vec![
            ("b \"quoted\"", view(Dtype::F32, &[2, 3], 24)),
            ("a", view(Dtype::F32, &[1], 4)),
            ("z", view(Dtype::F64, &[5], 40)),
            ("none", view(Dtype::I64, &[0], 0)),
        ]
    }

    #[test]
    fn files_are_those_of_the_library_with_words_in_order() {
        // With one word there is one order, and the library's own bytes are to be met.
        let ours = serialise(tensors(), &BTreeMap::new()).unwrap();
        let word = [(checksum::WORD.to_owned(), checksum::blank())].into();
        let mut theirs = safetensors::serialize(tensors(), Some(word)).unwrap();
        checksum::seal(&mut theirs).unwrap();
        assert!(ours == theirs);
        let words = [("grün", "\"quoted\"\n"), ("format", "x 1"), ("zoo", ""), ("architecture", "a = 1")];
        let words = words.map(|(key, word)| (key.to_owned(), word.to_owned())).into();
        let bytes = serialise(tensors(), &words).unwrap();
        checksum::check(Path::new("x"), &bytes).unwrap();
        let (_, read) = SafeTensors::read_metadata(&bytes).unwrap();
        let read = read.metadata().clone().unwrap();
        assert!(read.len() == 5 && words.iter().all(|(key, word)| read[key] == *word));
        // Golden: files must never change between versions.
        assert_eq!(&blake3::hash(&bytes).to_hex()[..16], "94b8d47c164e84d3");
    }

    #[test]
    fn what_the_library_would_not_read_is_refused() {
        let twice = || tensors().into_iter().chain(tensors().into_iter().take(1));
        let message = serialise(twice(), &BTreeMap::new()).unwrap_err().to_string();
        assert!(message.contains("unique"), "{message}");
    }
}
