//! Reads the pickles that `torch.save` writes, without executing anything.
//!
//! A pickle is a program for a stack machine; its dangerous instructions call functions by name.
//! Here only the four functions that put tensors and dictionaries together are understood. Every
//! other call of an unknown name yields an inert value, and names from modules that run code are
//! refused outright. Containers live in one list and refer to each other by index, so that neither
//! cycles nor deep nesting can harm. Own code, because a refusal must say what the file holds instead.
use std::{collections::BTreeMap, rc::Rc};

/// Why a pickle was not read.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It ends early, is malformed or uses what no state dict needs.
    Damaged(String),
    /// It names a function that runs code.
    Hostile(String),
    /// It is sound and holds no state dict; what it holds instead, and what to do.
    Without(String),
    /// It holds several that may be meant: where, and how many tensors.
    Several(Vec<(String, usize)>),
}

impl Fault {
    pub fn damaged(reason: impl Into<String>) -> Self {
        Fault::Damaged(reason.into())
    }
}

/// More instructions than any checkpoint needs.
const MAX_INSTRUCTIONS: usize = 20_000_000;

/// Modules whose functions run code or reach outside.
const HOSTILE: [&str; 36] = [
    "os",
    "posix",
    "nt",
    "posixpath",
    "ntpath",
    "sys",
    "subprocess",
    "builtins",
    "__builtin__",
    "shutil",
    "importlib",
    "runpy",
    "pty",
    "socket",
    "ctypes",
    "code",
    "codeop",
    "commands",
    "operator",
    "functools",
    "webbrowser",
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "types",
    "io",
    "_io",
    "tempfile",
    "threading",
    "multiprocessing",
    "asyncio",
    "platform",
    "timeit",
    "bdb",
    "pdb",
];

/// Harmless names inside those modules.
const HARMLESS: [&str; 12] = [
    "set",
    "frozenset",
    "list",
    "dict",
    "tuple",
    "int",
    "float",
    "complex",
    "slice",
    "bytearray",
    "object",
    "range",
];

/// A value on the stack; containers are indices into [`Pickle::nodes`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    None,
    Int(i64),
    Text(Rc<str>),
    /// `module.name`.
    Global(Rc<str>),
    Node(usize),
    /// An object of a class that is not known here, by the class's name.
    Instance(Rc<str>),
    /// Anything that has no meaning for weights.
    Inert,
}

/// A container.
#[derive(Debug)]
pub(super) enum Node {
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    Storage(Storage),
    Tensor(View),
}

/// A block of numbers kept elsewhere in the file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Storage {
    /// Its class, such as `torch.FloatStorage`.
    pub class: Rc<str>,
    /// Its name in the file.
    pub key: Rc<str>,
    /// Its number of elements.
    pub numel: i64,
    /// Old files: an element to start from, when one storage is a part of another.
    pub start: i64,
}

/// A tensor: a strided look at a storage.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct View {
    pub storage: Storage,
    pub offset: i64,
    pub size: Vec<i64>,
    pub stride: Vec<i64>,
}

/// A pickle that was read: its value and the containers that it refers to.
#[derive(Debug)]
pub(super) struct Pickle {
    pub value: Value,
    pub nodes: Vec<Node>,
}

impl Pickle {
    /// Reads one pickle from the front of `bytes`; also says where it ends.
    pub fn read(bytes: &[u8]) -> Result<(Pickle, usize), Fault> {
        let mut machine = Machine { bytes, at: 0, ..Machine::default() };
        for _ in 0..MAX_INSTRUCTIONS {
            if let Some(value) = machine.step()? {
                return Ok((Pickle { value, nodes: machine.nodes }, machine.at));
            }
        }
        Err(Fault::damaged("the pickle never ends"))
    }

    pub fn dict(&self, value: &Value) -> Option<&[(Value, Value)]> {
        match value {
            Value::Node(at) => match &self.nodes[*at] {
                Node::Dict(pairs) => Some(pairs),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn list(&self, value: &Value) -> Option<&[Value]> {
        match value {
            Value::Node(at) => match &self.nodes[*at] {
                Node::List(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn tensor(&self, value: &Value) -> Option<&View> {
        match value {
            Value::Node(at) => match &self.nodes[*at] {
                Node::Tensor(view) => Some(view),
                _ => None,
            },
            _ => None,
        }
    }
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    marks: Vec<usize>,
    memo: BTreeMap<u64, Value>,
    nodes: Vec<Node>,
}

impl<'a> Machine<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| Fault::damaged("the pickle ends early"))?;
        let part = &self.bytes[self.at..end];
        self.at = end;
        Ok(part)
    }

    /// `N` bytes as a little-endian number.
    fn number<const N: usize>(&mut self) -> Result<u64, Fault> {
        Ok(self.take(N)?.iter().rev().fold(0, |sum, &byte| (sum << 8) | u64::from(byte)))
    }

    fn length<const N: usize>(&mut self) -> Result<usize, Fault> {
        usize::try_from(self.number::<N>()?).map_err(|_| Fault::damaged("a length is too large"))
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or_else(|| Fault::damaged("the pickle ends early"))? + 1)?;
        text(&line[..line.len() - 1])
    }

    fn pop(&mut self) -> Result<Value, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => Ok(self.stack.pop().expect("longer than its floor")),
            false => Err(Fault::damaged("the pickle takes from an empty stack")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| Fault::damaged("the pickle lacks a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn push_node(&mut self, node: Node) {
        self.nodes.push(node);
        self.stack.push(Value::Node(self.nodes.len() - 1));
    }

    fn top(&mut self) -> Result<Value, Fault> {
        let value = self.pop()?;
        self.stack.push(value.clone());
        Ok(value)
    }

    fn remember(&mut self, key: u64) -> Result<(), Fault> {
        let value = self.top()?;
        self.memo.insert(key, value);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), Fault> {
        let value = self.memo.get(&key).cloned();
        self.stack.push(value.ok_or_else(|| Fault::damaged("the pickle recalls nothing"))?);
        Ok(())
    }

    /// One instruction; `Some` at the end.
    fn step(&mut self) -> Result<Option<Value>, Fault> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return Ok(Some(self.pop()?)),
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_to_mark()?),
            b'2' => {
                let value = self.top()?;
                self.stack.push(value);
            }
            b'N' => self.stack.push(Value::None),
            0x88 => self.stack.push(Value::Int(1)),
            0x89 => self.stack.push(Value::Int(0)),
            b'h' | b'j' | b'g' | b'q' | b'r' | b'p' | 0x94 => self.memoise(op)?,
            b'I' | b'L' | b'J' | b'K' | b'M' | 0x8a | 0x8b | b'F' | b'G' => self.numeral(op)?,
            b'S' | b'T' | b'U' | b'V' | b'X' | 0x8c | 0x8d => self.string(op)?,
            b'B' | b'C' | 0x8e | 0x96 => self.blob(op)?,
            b'}' | b']' | b')' | b't' | 0x85..=0x87 | b'l' | b'd' | 0x8f | 0x91 => {
                self.container(op)?;
            }
            b'a' | b'e' | b's' | b'u' | 0x90 => self.fill(op)?,
            b'c' | 0x93 | b'R' | 0x81 | 0x92 | b'b' | b'i' | b'o' => self.object(op)?,
            b'Q' => {
                let id = self.pop()?;
                self.persistent(&id)?;
            }
            _ => return Err(Fault::damaged(format!("unknown pickle instruction 0x{op:02x}"))),
        }
        Ok(None)
    }

    fn memoise(&mut self, op: u8) -> Result<(), Fault> {
        match op {
            b'h' | b'j' | b'g' => {
                let key = match op {
                    b'h' => self.number::<1>()?,
                    b'j' => self.number::<4>()?,
                    _ => numeral(self.line()?)? as u64,
                };
                self.recall(key)
            }
            0x94 => self.remember(self.memo.len() as u64),
            _ => {
                let key = match op {
                    b'q' => self.number::<1>()?,
                    b'r' => self.number::<4>()?,
                    _ => numeral(self.line()?)? as u64,
                };
                self.remember(key)
            }
        }
    }

    fn numeral(&mut self, op: u8) -> Result<(), Fault> {
        let value = match op {
            b'I' | b'L' => Value::Int(numeral(self.line()?.trim_end_matches('L'))?),
            b'J' => Value::Int(i64::from(self.number::<4>()? as u32 as i32)),
            b'K' => Value::Int(self.number::<1>()? as i64),
            b'M' => Value::Int(self.number::<2>()? as i64),
            b'F' => {
                self.line()?;
                Value::Inert
            }
            b'G' => {
                self.take(8)?;
                Value::Inert
            }
            _ => {
                let length = if op == 0x8a { self.length::<1>()? } else { self.length::<4>()? };
                long(self.take(length)?)
            }
        };
        self.stack.push(value);
        Ok(())
    }

    fn string(&mut self, op: u8) -> Result<(), Fault> {
        let string = match op {
            b'S' | b'V' => self.line()?.trim_matches(['\'', '"']),
            _ => {
                let length = match op {
                    b'U' | 0x8c => self.length::<1>()?,
                    0x8d => self.length::<8>()?,
                    _ => self.length::<4>()?,
                };
                text(self.take(length)?)?
            }
        };
        self.stack.push(Value::Text(string.into()));
        Ok(())
    }

    fn blob(&mut self, op: u8) -> Result<(), Fault> {
        let length = match op {
            b'C' => self.length::<1>()?,
            b'B' => self.length::<4>()?,
            _ => self.length::<8>()?,
        };
        self.take(length)?;
        self.stack.push(Value::Inert);
        Ok(())
    }

    fn container(&mut self, op: u8) -> Result<(), Fault> {
        let node = match op {
            b'}' => Node::Dict(Vec::new()),
            b']' | b')' | 0x8f => Node::List(Vec::new()),
            b'd' => Node::Dict(pairs(self.pop_to_mark()?)?),
            0x85..=0x87 => {
                let mut items = Vec::new();
                for _ in 0..=op - 0x85 {
                    items.push(self.pop()?);
                }
                items.reverse();
                Node::List(items)
            }
            _ => Node::List(self.pop_to_mark()?),
        };
        self.push_node(node);
        Ok(())
    }

    fn fill(&mut self, op: u8) -> Result<(), Fault> {
        let items = match op {
            b'a' => vec![self.pop()?],
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let Value::Node(at) = self.top()? else { return Ok(()) };
        match &mut self.nodes[at] {
            Node::List(list) => list.extend(items),
            Node::Dict(dict) => dict.extend(pairs(items)?),
            _ => return Err(Fault::damaged("the pickle fills what is no container")),
        }
        Ok(())
    }

    fn object(&mut self, op: u8) -> Result<(), Fault> {
        match op {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.global(&module, &name),
                _ => Err(Fault::damaged("the pickle names a function by what is no text")),
            },
            b'b' => {
                // State set on an object: on a dictionary these are attributes such as
                // `_metadata`, on anything else it means nothing to us.
                self.pop()?;
                self.top().map(drop)
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.pop_to_mark()?;
                self.global(module, name)?;
                self.pop()?;
                self.stack.push(Value::Inert);
                Ok(())
            }
            b'o' => {
                self.pop_to_mark()?;
                self.stack.push(Value::Inert);
                Ok(())
            }
            _ => {
                if op == 0x92 {
                    self.pop()?;
                }
                let arguments = self.pop()?;
                let function = self.pop()?;
                self.call(&function, &arguments)
            }
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        let root = module.split('.').next().unwrap_or_default();
        let whole = format!("{module}.{name}");
        if HOSTILE.contains(&root) && !HARMLESS.contains(&name) {
            return Err(Fault::Hostile(whole));
        }
        self.stack.push(Value::Global(whole.into()));
        Ok(())
    }

    fn call(&mut self, function: &Value, arguments: &Value) -> Result<(), Fault> {
        let Value::Global(name) = function else {
            self.stack.push(Value::Inert);
            return Ok(());
        };
        let arguments = match arguments {
            Value::Node(at) => match &self.nodes[*at] {
                Node::List(items) => items.clone(),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        match &**name {
            "collections.OrderedDict" => {
                let pairs = self.ordered(&arguments)?;
                self.push_node(Node::Dict(pairs));
            }
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                let view = self.view(&arguments)?;
                self.push_node(Node::Tensor(view));
            }
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                self.stack.push(arguments.into_iter().next().unwrap_or(Value::Inert));
            }
            _ => self.stack.push(Value::Instance(name.clone())),
        }
        Ok(())
    }

    /// `OrderedDict()` or, in old files, `OrderedDict([[key, value], ...])`.
    fn ordered(&self, arguments: &[Value]) -> Result<Vec<(Value, Value)>, Fault> {
        let Some(Value::Node(at)) = arguments.first() else { return Ok(Vec::new()) };
        let Node::List(items) = &self.nodes[*at] else { return Ok(Vec::new()) };
        items
            .iter()
            .map(|item| match item {
                Value::Node(at) => match &self.nodes[*at] {
                    Node::List(pair) if pair.len() == 2 => Ok((pair[0].clone(), pair[1].clone())),
                    _ => Err(Fault::damaged("a dictionary is not made of pairs")),
                },
                _ => Err(Fault::damaged("a dictionary is not made of pairs")),
            })
            .collect()
    }

    fn view(&self, arguments: &[Value]) -> Result<View, Fault> {
        let wrong = || Fault::damaged("a tensor is put together in an unknown way");
        let [Value::Node(storage), Value::Int(offset), size, stride, ..] = arguments else {
            return Err(wrong());
        };
        let Node::Storage(storage) = &self.nodes[*storage] else { return Err(wrong()) };
        let (size, stride) = (self.integers(size)?, self.integers(stride)?);
        if size.len() != stride.len() {
            return Err(wrong());
        }
        Ok(View { storage: storage.clone(), offset: *offset, size, stride })
    }

    fn integers(&self, value: &Value) -> Result<Vec<i64>, Fault> {
        let wrong = || Fault::damaged("a tensor's shape is not made of integers");
        let Value::Node(at) = value else { return Err(wrong()) };
        let Node::List(items) = &self.nodes[*at] else { return Err(wrong()) };
        let integer = |item: &Value| match item {
            Value::Int(value) if *value >= 0 => Ok(*value),
            _ => Err(wrong()),
        };
        items.iter().map(integer).collect()
    }

    /// `('storage', class, key, location, numel)`, in old files also a part of another storage.
    fn persistent(&mut self, id: &Value) -> Result<(), Fault> {
        let wrong = || Fault::damaged("a storage is named in an unknown way");
        let Value::Node(at) = id else { return Err(wrong()) };
        let Node::List(parts) = &self.nodes[*at] else { return Err(wrong()) };
        let [_, Value::Global(class), Value::Text(key), _, Value::Int(numel), rest @ ..] =
            parts.as_slice()
        else {
            return Err(wrong());
        };
        let start = match rest.first() {
            Some(Value::Node(at)) => match &self.nodes[*at] {
                Node::List(part) => match part.get(1) {
                    Some(Value::Int(start)) => *start,
                    _ => return Err(wrong()),
                },
                _ => return Err(wrong()),
            },
            _ => 0,
        };
        let storage = Storage { class: class.clone(), key: key.clone(), numel: *numel, start };
        self.push_node(Node::Storage(storage));
        Ok(())
    }
}

fn pairs(items: Vec<Value>) -> Result<Vec<(Value, Value)>, Fault> {
    if !items.len().is_multiple_of(2) {
        return Err(Fault::damaged("a dictionary has a key without a value"));
    }
    let mut items = items.into_iter();
    Ok(std::iter::from_fn(|| Some((items.next()?, items.next()?))).collect())
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::damaged("a text is not UTF-8"))
}

fn numeral(text: &str) -> Result<i64, Fault> {
    text.trim().parse().map_err(|_| Fault::damaged(format!("`{text}` is no integer")))
}

/// A two's-complement number; what does not fit has no meaning for weights.
fn long(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Inert;
    }
    let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut whole = [fill; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(whole))
}

#[cfg(test)]
mod tests;
