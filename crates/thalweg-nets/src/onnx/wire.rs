//! The part of ONNX's Protocol Buffers that a network is made of, read without trust: lengths stay within their message.
use std::collections::HashMap;

/// A result, or what was found in words.
pub(super) type Read<T> = Result<T, String>;

/// Numbers of a constant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub dims: Vec<usize>,
    pub values: Values,
}

impl Tensor {
    /// Its numbers, where they are floats.
    pub(super) fn floats(&self) -> Option<&[f32]> {
        match &self.values {
            Values::Floats(values) => Some(values),
            Values::Ints(_) => None,
        }
    }

    /// Its one number.
    pub(super) fn scalar(&self) -> Option<f32> {
        match &self.values {
            Values::Floats(values) if values.len() == 1 => Some(values[0]),
            Values::Ints(values) if values.len() == 1 => Some(values[0] as f32),
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Float(f32),
    Int(i64),
    Ints(Vec<i64>),
    Text(String),
    Tensor(Tensor),
    /// A kind that no layer needs.
    Other,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub name: String,
    pub op: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: HashMap<String, Attribute>,
}

/// An input or output: name, and dimensions with 0 where they have no number.
#[derive(Clone, Debug, Default)]
pub(super) struct Value {
    pub name: String,
    pub dims: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub nodes: Vec<Node>,
    pub constants: HashMap<String, Tensor>,
    /// Those that are no constants.
    pub inputs: Vec<Value>,
    pub outputs: Vec<Value>,
}

/// What stands in a field.
#[derive(Clone, Copy)]
enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    Fixed64,
}

impl<'a> Field<'a> {
    fn bytes(self) -> Read<&'a [u8]> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            _ => Err("a number in the place of a message".into()),
        }
    }

    fn text(self) -> Read<String> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| "a name that is no UTF-8".into())
    }
}

/// At most ten bytes, as Protocol Buffers has it.
fn varint(bytes: &mut &[u8]) -> Read<u64> {
    let mut value = 0u64;
    for i in 0..10 {
        let (&byte, rest) = bytes.split_first().ok_or("a message that ends within a number")?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * i).min(63);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err("a number of more than ten bytes".into())
}

fn split<'a>(bytes: &mut &'a [u8], n: u64) -> Read<&'a [u8]> {
    let n = usize::try_from(n).ok().filter(|n| *n <= bytes.len()).ok_or("a length beyond its message")?;
    let (head, rest) = bytes.split_at(n);
    *bytes = rest;
    Ok(head)
}

/// Calls `f(number, field)` for every field of a message.
fn fields<'a>(mut bytes: &'a [u8], mut f: impl FnMut(u64, Field<'a>) -> Read<()>) -> Read<()> {
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let field = match tag & 7 {
            0 => Field::Varint(varint(&mut bytes)?),
            1 => {
                split(&mut bytes, 8)?;
                Field::Fixed64
            }
            2 => {
                let n = varint(&mut bytes)?;
                Field::Bytes(split(&mut bytes, n)?)
            }
            5 => Field::Fixed32(split(&mut bytes, 4)?.try_into().map_err(|_| "four bytes")?),
            other => return Err(format!("a field of wire type {other}")),
        };
        f(tag >> 3, field)?;
    }
    Ok(())
}

/// A repeated number, packed or not.
fn ints(field: Field, to: &mut Vec<i64>) -> Read<()> {
    match field {
        Field::Varint(value) => to.push(value as i64),
        Field::Bytes(mut bytes) => {
            while !bytes.is_empty() {
                to.push(varint(&mut bytes)? as i64);
            }
        }
        _ => return Err("a float in the place of an integer".into()),
    }
    Ok(())
}

fn floats(field: Field, to: &mut Vec<f32>) -> Read<()> {
    match field {
        Field::Fixed32(bytes) => to.push(f32::from_le_bytes(bytes)),
        Field::Bytes(bytes) => to.extend(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        _ => return Err("an integer in the place of a float".into()),
    }
    Ok(())
}

impl Model {
    pub(super) fn parse(bytes: &[u8]) -> Read<Model> {
        let mut model = Model::default();
        let mut graphs = 0;
        fields(bytes, |number, field| match number {
            7 => {
                graphs += 1;
                model.graph(field.bytes()?)
            }
            _ => Ok(()),
        })?;
        if graphs != 1 {
            return Err(format!("{graphs} graphs"));
        }
        model.take_constants();
        let constants = &model.constants;
        model.inputs.retain(|input| !constants.contains_key(&input.name));
        Ok(model)
    }

    fn graph(&mut self, bytes: &[u8]) -> Read<()> {
        fields(bytes, |number, field| {
            match number {
                1 => self.nodes.push(node(field.bytes()?)?),
                5 => {
                    let (name, tensor) = tensor(field.bytes()?)?;
                    self.constants.insert(name, tensor);
                }
                11 => self.inputs.push(value(field.bytes()?)?),
                12 => self.outputs.push(value(field.bytes()?)?),
                _ => {}
            }
            Ok(())
        })
    }

    /// Nodes that only hold a constant, or hand one on, become constants.
    fn take_constants(&mut self) {
        let Model { nodes, constants, .. } = self;
        nodes.retain(|node| {
            let [output] = &node.outputs[..] else { return true };
            let held = match (node.op.as_str(), node.attributes.get("value"), node.inputs.first()) {
                ("Constant", Some(Attribute::Tensor(tensor)), _) => Some(tensor.clone()),
                ("Identity", _, Some(input)) => constants.get(input).cloned(),
                _ => None,
            };
            match held {
                Some(tensor) => constants.insert(output.clone(), tensor).is_some(),
                None => true,
            }
        });
    }
}

fn node(bytes: &[u8]) -> Read<Node> {
    let mut node = Node::default();
    fields(bytes, |number, field| {
        match number {
            1 => node.inputs.push(field.text()?),
            2 => node.outputs.push(field.text()?),
            3 => node.name = field.text()?,
            4 => node.op = field.text()?,
            5 => {
                let (name, attribute) = attribute(field.bytes()?)?;
                node.attributes.insert(name, attribute);
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(node)
}

fn attribute(bytes: &[u8]) -> Read<(String, Attribute)> {
    let (mut name, mut found, mut list) = (String::new(), Attribute::Other, Vec::new());
    fields(bytes, |number, field| {
        match (number, field) {
            (1, _) => name = field.text()?,
            (2, Field::Fixed32(bytes)) => found = Attribute::Float(f32::from_le_bytes(bytes)),
            (3, Field::Varint(value)) => found = Attribute::Int(value as i64),
            (4, _) => found = Attribute::Text(String::from_utf8_lossy(field.bytes()?).into_owned()),
            (5, _) => found = Attribute::Tensor(tensor(field.bytes()?)?.1),
            (8, _) => ints(field, &mut list)?,
            _ => {}
        }
        Ok(())
    })?;
    if !list.is_empty() {
        found = Attribute::Ints(list);
    }
    Ok((name, found))
}

fn tensor(bytes: &[u8]) -> Read<(String, Tensor)> {
    let (mut name, mut dims, mut kind, mut raw, mut outside) = (String::new(), Vec::new(), 0, None, false);
    let (mut singles, mut longs) = (Vec::new(), Vec::new());
    fields(bytes, |number, field| {
        match (number, field) {
            (1, _) => ints(field, &mut dims)?,
            (2, Field::Varint(value)) => kind = value,
            (4, _) => floats(field, &mut singles)?,
            (7, _) => ints(field, &mut longs)?,
            (8, _) => name = field.text()?,
            (9, _) => raw = Some(field.bytes()?),
            (14, Field::Varint(1)) => outside = true,
            _ => {}
        }
        Ok(())
    })?;
    if outside {
        return Err(format!("tensor {name} in a file of its own"));
    }
    let dims: Vec<usize> = dims
        .iter()
        .map(|d| usize::try_from(*d).map_err(|_| format!("tensor {name}: size {d}")))
        .collect::<Read<_>>()?;
    let expected = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).ok_or(format!("tensor {name}: {dims:?}"))?;
    let wide = |size: usize| raw.map(|raw: &[u8]| raw.chunks_exact(size));
    let values = match kind {
        1 => Values::Floats(
            wide(4).map_or(singles, |all| all.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()),
        ),
        7 => Values::Ints(wide(8).map_or(longs, |all| {
            all.map(|b| i64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]])).collect()
        })),
        other => return Err(format!("tensor {name} of ONNX's type {other} (float32 and int64 are read)")),
    };
    let found = match &values {
        Values::Floats(values) => values.len(),
        Values::Ints(values) => values.len(),
    };
    match found == expected {
        true => Ok((name, Tensor { dims, values })),
        false => Err(format!("tensor {name}: {found} numbers for {dims:?}")),
    }
}

fn value(bytes: &[u8]) -> Read<Value> {
    let mut found = Value::default();
    fields(bytes, |number, field| match number {
        1 => {
            found.name = field.text()?;
            Ok(())
        }
        // type → tensor_type → shape → dim → dim_value.
        2 => fields(field.bytes()?, |number, field| match number {
            1 => fields(field.bytes()?, |number, field| match number {
                2 => fields(field.bytes()?, |number, field| match number {
                    1 => {
                        let mut size = 0;
                        fields(field.bytes()?, |number, field| {
                            if let (1, Field::Varint(value)) = (number, field) {
                                size = usize::try_from(value).map_err(|_| format!("size {value}"))?;
                            }
                            Ok(())
                        })?;
                        found.dims.push(size);
                        Ok(())
                    }
                    _ => Ok(()),
                }),
                _ => Ok(()),
            }),
            _ => Ok(()),
        }),
        _ => Ok(()),
    })?;
    Ok(found)
}
