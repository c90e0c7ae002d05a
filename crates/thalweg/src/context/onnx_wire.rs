//! A look at the wire format of an ONNX file before `rten` reads it.
//!
//! `rten` 0.27 (its crate `rten-onnx`, `protobuf::varint::read_varint`) never returns from a varint whose first ten bytes all say that another
//! follows: after ten bytes it neither reads on nor gives up. Its decoder of messages also calls itself once a level of nested graphs, and a
//! stack that overflows ends the process. So the same walk is done here first, by the rules that Protocol Buffers has for both: a varint has at most ten
//! bytes, a length stays within the message that it stands in, and messages nest no deeper than [`DEEPEST`].
//!
//! The walk goes where `rten` goes: into the messages of [`Kind`], and into packed varints; what lies in other fields is passed over as it is there.

/// Most bytes of a varint.
const LONGEST: usize = 10;

/// Deepest nesting of messages, as Google's own parser has it.
const DEEPEST: usize = 100;

/// The messages of ONNX that hold others, or packed varints.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TypeTensor,
    TypeSequence,
    Shape,
    /// One whose fields hold no messages.
    Plain,
}

/// What a field of length-delimited bytes holds.
enum Inside {
    Message(Kind),
    Varints,
    Bytes,
}

impl Kind {
    /// By the numbers of `onnx.proto`.
    fn field(self, number: u64) -> Inside {
        use Inside::{Bytes, Message, Varints};
        match (self, number) {
            (Self::Model, 7) => Message(Self::Graph),
            (Self::Model, 8 | 14) => Message(Self::Plain),
            (Self::Graph, 1) => Message(Self::Node),
            (Self::Graph, 5) => Message(Self::Tensor),
            (Self::Graph, 11..=13) => Message(Self::ValueInfo),
            (Self::Node, 5) => Message(Self::Attribute),
            (Self::Attribute, 5 | 10) => Message(Self::Tensor),
            (Self::Attribute, 6 | 11) => Message(Self::Graph),
            (Self::Attribute, 8) => Varints,
            (Self::Tensor, 1 | 5 | 7 | 11) => Varints,
            (Self::Tensor, 13) => Message(Self::Plain),
            (Self::ValueInfo, 2) => Message(Self::Type),
            (Self::Type, 1) => Message(Self::TypeTensor),
            (Self::Type, 4) => Message(Self::TypeSequence),
            (Self::TypeTensor, 2) => Message(Self::Shape),
            (Self::TypeSequence, 1) => Message(Self::Type),
            (Self::Shape, 1) => Message(Self::Plain),
            _ => Bytes,
        }
    }
}

/// Checks the content of an ONNX file; says in words what is wrong, and where.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    message(Kind::Model, bytes, 0, 0)
}

/// Checks one message, which begins at byte `start` of the file and lies `depth` messages deep.
fn message(kind: Kind, bytes: &[u8], start: usize, depth: usize) -> Result<(), String> {
    if depth > DEEPEST {
        return Err(format!("messages more than {DEEPEST} deep at byte {start}"));
    }
    let mut at = 0;
    while at < bytes.len() {
        let begun = start + at;
        let tag = varint(bytes, &mut at, start)?;
        let take = |n: u64, at: usize| match n <= (bytes.len() - at) as u64 {
            true => Ok(n as usize),
            false => {
                Err(format!("a field of {n} bytes at byte {begun}, where its message has {} left", bytes.len() - at))
            }
        };
        match tag & 7 {
            0 => drop(varint(bytes, &mut at, start)?),
            1 => at += take(8, at)?,
            5 => at += take(4, at)?,
            2 => {
                let length = varint(bytes, &mut at, start)?;
                let length = take(length, at)?;
                let inside = &bytes[at..at + length];
                match kind.field(tag >> 3) {
                    Inside::Message(kind) => message(kind, inside, start + at, depth + 1)?,
                    Inside::Varints => {
                        let mut within = 0;
                        while within < inside.len() {
                            varint(inside, &mut within, start + at)?;
                        }
                    }
                    Inside::Bytes => {}
                }
                at += length;
            }
            other => return Err(format!("wire type {other} at byte {begun}, which ONNX has no use for")),
        }
    }
    Ok(())
}

/// The varint at `at`, which is moved behind it.
fn varint(bytes: &[u8], at: &mut usize, start: usize) -> Result<u64, String> {
    let begun = *at;
    let mut value = 0;
    for (index, byte) in bytes[begun..].iter().take(LONGEST).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte <= 0x7f {
            if index + 1 == LONGEST && *byte > 1 {
                break;
            }
            *at = begun + index + 1;
            return Ok(value);
        }
    }
    Err(match bytes.len() - begun < LONGEST {
        true => format!("a number that is cut off at byte {}", start + begun),
        false => format!("a number of more than 64 bits at byte {}", start + begun),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut length = content.len();
        let mut out = vec![number << 3 | 2];
        while length > 0x7f {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        [&out, content].concat()
    }

    #[test]
    fn what_the_reader_behind_cannot_end_is_refused() {
        let endless = [0x80; 12];
        for (bytes, says) in [
            // As a tag, as a value, as a length, and within packed numbers of a tensor.
            (endless.to_vec(), "byte 0"),
            ([&[0x08][..], &endless].concat(), "64 bits at byte 1"),
            ([&[0x3a][..], &endless].concat(), "64 bits at byte 1"),
            (field(7, &field(5, &field(7, &endless))), "64 bits at byte 6"),
            // The tenth byte has room for one bit.
            ([&[0x08][..], &[0xff; 9], &[2]].concat(), "64 bits"),
            (vec![0x08, 0x80], "cut off at byte 1"),
            (vec![0x3a, 5, 0], "5 bytes at byte 0, where its message has 1 left"),
            (vec![0x0d, 0, 0], "4 bytes"),
            (vec![0x0b], "wire type 3"),
        ] {
            let said = check(&bytes).unwrap_err();
            assert!(said.contains(says), "{said}, not {says}");
        }
        let mut deep = Vec::new();
        for _ in 0..200 {
            deep = field(1, &field(5, &field(6, &deep)));
        }
        assert!(check(&field(7, &deep)).unwrap_err().contains("100 deep"));
    }

    #[test]
    fn what_is_well_formed_is_let_through() {
        // Weights may hold any bytes; the largest number has ten bytes.
        let weights = field(7, &field(5, &field(9, &[0xff; 300])));
        let largest = [&[0x08][..], &[0xff; 9], &[1]].concat();
        for bytes in [weights, largest, Vec::new(), vec![0x08, 7, 0x0d, 0, 0, 0, 0]] {
            check(&bytes).unwrap();
        }
        check(include_bytes!("../../tests/data/features.onnx")).unwrap();
    }
}
