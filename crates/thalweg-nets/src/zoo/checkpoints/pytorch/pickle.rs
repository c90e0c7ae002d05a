//! Python's pickles read as data. Nothing is imported and nothing is called: what a pickle would call is kept as the name of a function with its
//! arguments, so that a file from outside can do no more than be understood or not.
//!
//! Read are the operations of protocols 2 to 5, and the few of older ones that PyTorch's files hold. Every operation takes at least one byte and
//! makes at most one value, so a pickle's values are no more than its bytes.
use std::collections::HashMap;

/// A value's place in `Pickle::values`; values that are shared are stored once.
pub type Id = usize;

/// A value, with others by their places.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer of up to 64 bits.
    Int(i64),
    /// A number.
    Float(f64),
    /// A string.
    Text(String),
    /// Bytes, or an integer beyond 64 bits.
    Bytes(Vec<u8>),
    /// A tuple or a frozen set.
    Tuple(Vec<Id>),
    /// A list or a set.
    List(Vec<Id>),
    /// A dictionary, an ordered one too, in its order.
    Dict(Vec<(Id, Id)>),
    /// A class or function: module and name, with a point between them.
    Global(String),
    /// What a call of a function with its arguments would have made; the state and the entries that it would have been given.
    Call {
        /// The function or class.
        function: Id,
        /// Its arguments, a tuple.
        arguments: Id,
        /// What `__setstate__` would have been given.
        state: Option<Id>,
        /// What `__setitem__` would have been given.
        entries: Vec<(Id, Id)>,
    },
    /// An object outside of the pickle, by what identifies it.
    Persistent(Id),
}

/// The values of one pickle.
#[derive(Debug, Default)]
pub struct Pickle {
    values: Vec<Value>,
    root: Id,
}

/// Where and why a pickle cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// The byte of the operation.
    pub at: usize,
    /// What is wrong.
    pub found: String,
}

impl Pickle {
    /// Reads the pickle that `bytes` begin with, and how many of them it takes.
    ///
    /// # Errors
    /// An operation that is not known or not possible where it stands; an end before the pickle's.
    pub fn read(bytes: &[u8]) -> Result<(Self, usize), Broken> {
        let mut machine =
            Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        loop {
            let at = machine.at;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok((Self { values: machine.values, root }, machine.at)),
                Err(found) => return Err(Broken { at, found }),
            }
        }
    }

    /// The value that the pickle stands for.
    pub fn root(&self) -> Id {
        self.root
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none, as in no pickle that was read.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// A value by its place.
    pub fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// A string's text.
    pub fn text(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer that counts something.
    pub fn count(&self, id: Id) -> Option<usize> {
        match self.value(id) {
            Value::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The elements of a tuple or list.
    pub fn elements(&self, id: Id) -> Option<&[Id]> {
        match self.value(id) {
            Value::Tuple(all) | Value::List(all) => Some(all),
            _ => None,
        }
    }

    /// The name of a function or class.
    pub fn global(&self, id: Id) -> Option<&str> {
        match self.value(id) {
            Value::Global(name) => Some(name),
            _ => None,
        }
    }
}

/// The stack machine that a pickle is a program of.
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

type Step<T> = Result<T, String>;

impl Machine<'_> {
    /// One operation; the root where it is the last.
    fn step(&mut self) -> Step<Option<Id>> {
        let operation = self.take(1)?[0];
        match operation {
            b'.' => return self.pop().map(Some),
            0x80 => self.protocol()?,
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => self.duplicate()?,
            b'q' | b'r' | b'p' | 0x94 => self.remember(operation)?,
            b'h' | b'j' | b'g' => self.recall(operation)?,
            b's' | b'u' | b'a' | b'e' | 0x90 => self.fill(operation)?,
            b'b' => self.build()?,
            _ => {
                let value = self.value_of(operation)?;
                self.push(value);
            }
        }
        Ok(None)
    }

    /// The value that an operation makes.
    fn value_of(&mut self, operation: u8) -> Step<Value> {
        Ok(match operation {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.unsigned(1)? as i64),
            b'M' => Value::Int(self.unsigned(2)? as i64),
            b'J' => Value::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            0x8a => self.long(1)?,
            0x8b => self.long(4)?,
            b'I' => self.decimal()?,
            b'L' => Value::Int(self.line()?.trim_end_matches('L').parse().map_err(|_| "an integer".to_owned())?),
            b'F' => Value::Float(self.line()?.parse().map_err(|_| "a number".to_owned())?),
            b'G' => Value::Float(f64::from_bits(self.unsigned(8)?.swap_bytes())),
            b'X' | b'T' => Value::Text(self.string(4)?),
            0x8c | b'U' => Value::Text(self.string(1)?),
            0x8d => Value::Text(self.string(8)?),
            b'B' => Value::Bytes(self.sized(4)?.to_vec()),
            b'C' => Value::Bytes(self.sized(1)?.to_vec()),
            0x8e | 0x96 => Value::Bytes(self.sized(8)?.to_vec()),
            b'}' => Value::Dict(Vec::new()),
            b']' | 0x8f => Value::List(Vec::new()),
            b')' => Value::Tuple(Vec::new()),
            b't' | 0x91 => Value::Tuple(self.since_mark()?),
            b'l' => Value::List(self.since_mark()?),
            b'd' => Value::Dict(pairs(&self.since_mark()?)?),
            0x85..=0x87 => self.tuple(usize::from(operation - 0x84))?,
            b'c' => Value::Global(format!("{}.{}", self.line()?, self.line()?)),
            0x93 => self.stack_global()?,
            b'R' | 0x81 => self.call(false)?,
            0x92 => self.call(true)?,
            b'Q' => Value::Persistent(self.pop()?),
            other => return Err(format!("operation 0x{other:02x}, which no file of torch.save needs")),
        })
    }

    fn take(&mut self, n: usize) -> Step<&[u8]> {
        let end = self.at.checked_add(n).filter(|end| *end <= self.bytes.len()).ok_or("an end within the pickle")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// An unsigned little-endian integer of `n` ≤ 8 bytes.
    fn unsigned(&mut self, n: usize) -> Step<u64> {
        Ok(self.take(n)?.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    /// Bytes behind their number, itself of `n` bytes.
    fn sized(&mut self, n: usize) -> Step<&[u8]> {
        let length = usize::try_from(self.unsigned(n)?).map_err(|e| e.to_string())?;
        self.take(length)
    }

    fn string(&mut self, n: usize) -> Step<String> {
        Ok(String::from_utf8_lossy(self.sized(n)?).into_owned())
    }

    fn line(&mut self) -> Step<String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|b| *b == b'\n').ok_or("an end within a line")?;
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        self.at += end + 1;
        Ok(line)
    }

    /// A signed little-endian integer behind its number of bytes.
    fn long(&mut self, n: usize) -> Step<Value> {
        let bytes = self.sized(n)?;
        if bytes.len() > 8 {
            return Ok(Value::Bytes(bytes.to_vec()));
        }
        let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
        let mut all = [if negative { 0xff } else { 0 }; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        Ok(Value::Int(i64::from_le_bytes(all)))
    }

    fn decimal(&mut self) -> Step<Value> {
        Ok(match &self.line()?[..] {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            number => Value::Int(number.parse().map_err(|_| "an integer".to_owned())?),
        })
    }

    fn protocol(&mut self) -> Step<()> {
        match self.unsigned(1)? {
            0..=5 => Ok(()),
            version => Err(format!("protocol {version}")),
        }
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Step<Id> {
        match self.stack.len() > self.marks.last().copied().unwrap_or(0) {
            true => self.stack.pop().ok_or_else(|| "an empty stack".to_owned()),
            false => Err("an empty stack".to_owned()),
        }
    }

    fn top(&self) -> Step<Id> {
        self.stack.last().copied().ok_or_else(|| "an empty stack".to_owned())
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().ok_or("no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn duplicate(&mut self) -> Step<()> {
        let top = self.top()?;
        self.stack.push(top);
        Ok(())
    }

    fn remember(&mut self, operation: u8) -> Step<()> {
        let key = match operation {
            b'q' => self.unsigned(1)? as usize,
            b'r' => self.unsigned(4)? as usize,
            b'p' => self.line()?.parse().map_err(|_| "a place in the memo".to_owned())?,
            _ => self.memo.len(),
        };
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, operation: u8) -> Step<()> {
        let key = match operation {
            b'h' => self.unsigned(1)? as usize,
            b'j' => self.unsigned(4)? as usize,
            _ => self.line()?.parse().map_err(|_| "a place in the memo".to_owned())?,
        };
        let id = *self.memo.get(&key).ok_or_else(|| format!("nothing at {key} of the memo"))?;
        self.stack.push(id);
        Ok(())
    }

    fn tuple(&mut self, n: usize) -> Step<Value> {
        let mut all = (0..n).map(|_| self.pop()).collect::<Step<Vec<_>>>()?;
        all.reverse();
        Ok(Value::Tuple(all))
    }

    fn stack_global(&mut self) -> Step<Value> {
        let (name, module) = (self.pop()?, self.pop()?);
        match (&self.values[module], &self.values[name]) {
            (Value::Text(module), Value::Text(name)) => Ok(Value::Global(format!("{module}.{name}"))),
            _ => Err("a global without its names".into()),
        }
    }

    /// A function with its arguments; `named`: also with arguments by name, which are dropped.
    fn call(&mut self, named: bool) -> Step<Value> {
        if named {
            self.pop()?;
        }
        let (arguments, function) = (self.pop()?, self.pop()?);
        let ordered = matches!(&self.values[function], Value::Global(name) if name == "collections.OrderedDict");
        let empty = matches!(&self.values[arguments], Value::Tuple(all) if all.is_empty());
        Ok(match ordered && empty {
            true => Value::Dict(Vec::new()),
            false => Value::Call { function, arguments, state: None, entries: Vec::new() },
        })
    }

    /// Elements into a list, entries into a dictionary, below the mark or the last ones.
    fn fill(&mut self, operation: u8) -> Step<()> {
        let new = match operation {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.since_mark()?,
        };
        let into = self.top()?;
        match (&mut self.values[into], operation) {
            (Value::Dict(entries) | Value::Call { entries, .. }, b's' | b'u') => entries.extend(pairs(&new)?),
            (Value::List(elements), b'a' | b'e' | 0x90) => elements.extend(new),
            (Value::Call { .. }, _) => {}
            _ => return Err("elements for what holds none".into()),
        }
        Ok(())
    }

    fn build(&mut self) -> Step<()> {
        let (new, into) = (self.pop()?, self.top()?);
        if let Value::Call { state, .. } = &mut self.values[into] {
            *state = Some(new);
        }
        Ok(())
    }
}

fn pairs(all: &[Id]) -> Step<Vec<(Id, Id)>> {
    match all.len().is_multiple_of(2) {
        true => Ok(all.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()),
        false => Err("a key without its value".into()),
    }
}

#[cfg(test)]
#[path = "pickle_tests.rs"]
mod tests;
