//! Where the channels of images in an array stand: told by the sizes where they say it, and by the user where they do not.
use crate::architecture::Shape;
use crate::data::spec::Channels;
use crate::error::{Error, Result};
use std::path::Path;

/// How an array is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::data) struct Images {
    /// `[channels, height, width]` of a row; `[features, 1, 1]` for rows of features.
    pub shape: Shape,
    /// Whether the array has its channels last.
    pub last: bool,
    /// What the user should know of it.
    pub note: Option<String>,
}

/// Reads the sizes of array `name` of the archive at `path`.
///
/// # Errors
/// Another number of sizes than 2, 3 or 4; a zero among them; rows of features where the user named a place of channels.
pub(in crate::data) fn of(sizes: &[usize], given: Option<Channels>, path: &Path, name: &str) -> Result<Images> {
    let refuse =
        |expected: &str| Err(Error::format(path, format!("array {name}: shape"), expected, format!("{sizes:?}")));
    let plain = |shape| Ok(Images { shape, last: false, note: None });
    match *sizes {
        _ if sizes.contains(&0) => refuse("sizes without a zero"),
        [_, d] => plain([d, 1, 1]),
        [_, h, w] => plain([1, h, w]),
        [_, a, b, c] => {
            let note = |text: String| Some(format!("{}: array {name} {sizes:?}: {text}", path.display()));
            let first = Images { shape: [a, b, c], last: false, note: None };
            let last = Images { shape: [c, a, b], last: true, note: None };
            let (says_first, says_last) = (matches!(a, 1 | 3), matches!(c, 1 | 3));
            Ok(match (given, says_first, says_last) {
                (Some(Channels::First), ..) => first,
                (Some(Channels::Last), ..) => last,
                (None, true, false) => first,
                (None, false, true) => Images {
                    note: note(format!(
                        "channels stand last; read as {c} channels of {a} × {b} (channels=first says otherwise)"
                    )),
                    ..last
                },
                (None, true, true) => Images {
                    note: note(format!(
                        "read as {a} channels of {b} × {c}; if they are {c} channels of {a} × {b}, say so: channels=last"
                    )),
                    ..first
                },
                (None, false, false) if matches!(c, 2 | 4) && !matches!(a, 2 | 4) => Images {
                    note: note(format!(
                        "read as {a} channels of {b} × {c}; if they are {c} channels of {a} × {b}, say so: channels=last"
                    )),
                    ..first
                },
                (None, false, false) => first,
            })
        }
        _ => refuse("[N, D], [N, height, width], [N, channels, height, width] or [N, height, width, channels]"),
    }
}

/// Values `[N, h, w, c]` as `[N, c, h, w]`, where `shape` is `[c, h, w]`.
pub(in crate::data) fn channels_first<T: Copy>(values: Vec<T>, shape: Shape) -> Vec<T> {
    let [channels, height, width] = shape;
    if channels == 1 {
        return values;
    }
    let mut out = Vec::with_capacity(values.len());
    for image in values.chunks_exact(channels * height * width) {
        for c in 0..channels {
            out.extend(image.iter().skip(c).step_by(channels));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sizes: &[usize], given: Option<Channels>) -> (Shape, bool, bool) {
        let images = of(sizes, given, Path::new("x.npz"), "x").unwrap();
        (images.shape, images.last, images.note.is_some())
    }

    #[test]
    fn shapes_say_where_channels_stand_or_the_user_is_told() {
        assert_eq!(read(&[9, 8, 6, 3], None), ([3, 8, 6], true, true));
        assert_eq!(read(&[9, 4, 4, 3], None), ([3, 4, 4], true, true));
        assert_eq!(read(&[9, 28, 28, 1], None), ([1, 28, 28], true, true));
        assert_eq!(read(&[9, 3, 32, 32], None), ([3, 32, 32], false, false));
        assert_eq!(read(&[9, 1, 28, 28], None), ([1, 28, 28], false, false));
        // Either could be: PyTorch's order, told.
        assert_eq!(read(&[9, 3, 8, 3], None), ([3, 8, 3], false, true));
        assert_eq!(read(&[9, 1, 8, 1], None), ([1, 8, 1], false, true));
        assert_eq!(read(&[9, 8, 6, 4], None), ([8, 6, 4], false, true));
        assert_eq!(read(&[9, 64, 7, 7], None), ([64, 7, 7], false, false));
        assert_eq!(read(&[9, 8, 6, 3], Some(Channels::First)), ([8, 6, 3], false, false));
        assert_eq!(read(&[9, 8, 6, 4], Some(Channels::Last)), ([4, 8, 6], true, false));
        assert_eq!(read(&[9, 5], None), ([5, 1, 1], false, false));
        for sizes in [&[9][..], &[9, 0], &[9, 1, 1, 1, 1]] {
            assert!(of(sizes, None, Path::new("x.npz"), "x").is_err());
        }
    }

    #[test]
    fn planes_are_taken_out_one_by_one() {
        // Two pixels of three channels in two images.
        let values = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        assert_eq!(channels_first(values, [3, 1, 2]), [1, 4, 2, 5, 3, 6, 7, 10, 8, 11, 9, 12]);
    }
}
