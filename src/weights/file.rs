//! The three containers of weights: safetensors, PyTorch's zip and PyTorch's older stream.
use std::{
    collections::BTreeMap,
    fs,
    io::{Cursor, Read},
    path::Path,
    rc::Rc,
};

use safetensors::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor};

use super::{
    pickle::{Fault, Node, Pickle, Storage, Value, View},
    state_dicts, Error,
};

/// The first number of PyTorch's older stream, as a pickled long.
const OLD_MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Prefixes that wrappers of networks put before all names: data-parallel training, compiling,
/// and the attribute under which training frameworks keep the network.
const PREFIXES: [&str; 7] =
    ["module.", "_orig_mod.", "model.", "net.", "network.", "_forward_module.", "ema_model."];

/// The tensors of a weights file, and how they were found.
#[derive(Debug, Default)]
pub struct FileTensors {
    /// By name, on the CPU: floating ones as f32, others as they are.
    pub tensors: BTreeMap<String, Tensor>,
    /// Where in the file they lay, such as `state_dict`; empty for all of it.
    pub key: String,
    /// What was taken off the front of every name.
    pub stripped: String,
}

/// Every tensor of a weights file by name, on the CPU: floating ones as f32, others as they are.
///
/// The format is recognised by content; see [`read_key`].
///
/// # Errors
/// As [`read_key`].
pub fn read(path: &Path) -> Result<BTreeMap<String, Tensor>, Error> {
    read_key(path, None).map(|read| read.tensors)
}

/// The tensors of a weights file that lie at `key`: names of dictionaries with dots between, or what
/// the names of tensors begin with. Without a key the one state dict of the file.
///
/// Names lose the prefixes of wrappers that all of them share.
///
/// # Errors
/// Every variant of [`Error`] but those of loading.
pub fn read_key(path: &Path, key: Option<&str>) -> Result<FileTensors, Error> {
    let bytes =
        fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
    let found = if bytes.starts_with(b"PK\x03\x04") {
        from_zip(&bytes, key)
    } else if bytes.len() > 15 && bytes[..2] == [0x80, 2] && bytes[4..14] == OLD_MAGIC {
        from_stream(&bytes, key)
    } else {
        from_safetensors(&bytes).and_then(|tensors| below(tensors, key))
    };
    let path = || path.to_owned();
    let mut found = found.map_err(|fault| match fault {
        Fault::Damaged(reason) => Error::Damaged { path: path(), reason },
        Fault::Hostile(global) => Error::Hostile { path: path(), global },
        Fault::Without(holds) => Error::NoStateDict { path: path(), holds },
        Fault::Several(found) => Error::Several { path: path(), found },
    })?;
    while let Some(prefix) = shared_prefix(&found.tensors) {
        found.stripped.push_str(prefix);
        let bare = |(name, tensor): (String, Tensor)| (name[prefix.len()..].to_owned(), tensor);
        found.tensors = found.tensors.into_iter().map(bare).collect();
    }
    Ok(found)
}

/// A wrapper's prefix that every name has.
fn shared_prefix(tensors: &BTreeMap<String, Tensor>) -> Option<&'static str> {
    let shared = |prefix: &&str| tensors.keys().all(|name| name.starts_with(*prefix));
    PREFIXES.into_iter().find(shared).filter(|_| !tensors.is_empty())
}

/// The tensors whose names lie below `key`, without it.
fn below(tensors: BTreeMap<String, Tensor>, key: Option<&str>) -> Result<FileTensors, Fault> {
    let Some(key) = key else { return Ok(FileTensors { tensors, ..FileTensors::default() }) };
    let prefix = format!("{}.", key.trim_end_matches('.'));
    let all = tensors.len();
    let own =
        |(name, tensor): (String, Tensor)| Some((name.strip_prefix(&prefix)?.to_owned(), tensor));
    let tensors: BTreeMap<_, _> = tensors.into_iter().filter_map(own).collect();
    if tensors.is_empty() {
        return Err(Fault::Without(format!("none of {all} names begins with `{prefix}`")));
    }
    Ok(FileTensors { tensors, key: key.to_owned(), ..FileTensors::default() })
}

fn from_safetensors(bytes: &[u8]) -> Result<BTreeMap<String, Tensor>, Fault> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        Fault::damaged(format!("neither a PyTorch file nor safetensors ({error})"))
    })?;
    file.iter()
        .map(|(name, view)| {
            let kind = kind_of(view.dtype())
                .ok_or_else(|| Fault::damaged(format!("`{name}` is of {:?}", view.dtype())))?;
            let shape: Vec<i64> = view.shape().iter().map(|&side| side as i64).collect();
            Ok((name.to_owned(), whole(view.data(), &shape, kind)?))
        })
        .collect()
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}

/// The kind of a PyTorch storage class.
fn storage_kind(class: &str) -> Option<Kind> {
    Some(match class.strip_prefix("torch.")?.strip_suffix("Storage")? {
        "Double" => Kind::Double,
        "Float" => Kind::Float,
        "Half" => Kind::Half,
        "BFloat16" => Kind::BFloat16,
        "Long" => Kind::Int64,
        "Int" => Kind::Int,
        "Short" => Kind::Int16,
        "Char" => Kind::Int8,
        "Byte" => Kind::Uint8,
        "Bool" => Kind::Bool,
        _ => return None,
    })
}

/// A contiguous tensor; floating kinds become f32.
fn whole(bytes: &[u8], shape: &[i64], kind: Kind) -> Result<Tensor, Fault> {
    let refused = |error: tch::TchError| Fault::damaged(first_line(&error.to_string()));
    // LibTorch refuses a null pointer, which an empty slice may be.
    let tensor = match bytes.is_empty() {
        true => Tensor::f_empty(shape, (kind, Device::Cpu)).map_err(refused)?,
        false => Tensor::f_from_data_size(bytes, shape, kind).map_err(refused)?,
    };
    let floating = matches!(kind, Kind::Double | Kind::Half | Kind::BFloat16);
    match floating {
        true => tensor.f_to_kind(Kind::Float).map_err(refused),
        false => Ok(tensor),
    }
}

/// The first line of a LibTorch message, whose other lines are a backtrace.
pub(super) fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

fn from_zip(bytes: &[u8], key: Option<&str>) -> Result<FileTensors, Fault> {
    let broken = |error: zip::result::ZipError| Fault::damaged(format!("broken zip: {error}"));
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    if archive.file_names().any(|name| name.contains("/code/__torch__")) {
        return Err(Fault::Without(
            "a TorchScript program; open it in Python with `torch.jit.load` and save its \
             `state_dict()`"
                .into(),
        ));
    }
    let main = archive.file_names().find(|name| name.ends_with("/data.pkl")).map(str::to_owned);
    let main = main.ok_or_else(|| {
        Fault::Without(
            "a zip file without data.pkl, such as NumPy's, and no file of PyTorch".into(),
        )
    })?;
    let root = main.trim_end_matches("data.pkl").to_owned();
    // The record says which byte order the storages have; files before it are little-endian.
    if let Ok(order) = entry(&mut archive, &format!("{root}byteorder"), 16) {
        if order != b"little" {
            return Err(Fault::damaged("the storages are not little-endian"));
        }
    }
    let (pickle, _) = Pickle::read(&entry(&mut archive, &main, u64::MAX)?)?;
    // Several tensors may look at one storage; the last one read is kept.
    let mut last: Option<(Rc<str>, Rc<[u8]>)> = None;
    tensors(&pickle, key, |storage| {
        if let Some((_, bytes)) = last.as_ref().filter(|(key, _)| *key == storage.key) {
            return Ok(bytes.clone());
        }
        let bytes: Rc<[u8]> =
            entry(&mut archive, &format!("{root}data/{}", storage.key), u64::MAX)?.into();
        last = Some((storage.key.clone(), bytes.clone()));
        Ok(bytes)
    })
}

/// One file of the archive, at most `limit` bytes of it.
fn entry(
    archive: &mut zip::ZipArchive<Cursor<&[u8]>>,
    name: &str,
    limit: u64,
) -> Result<Vec<u8>, Fault> {
    let file = archive.by_name(name).map_err(|error| Fault::damaged(format!("{name}: {error}")))?;
    // PyTorch never compresses, so whatever is larger inside than outside was made to do harm.
    if file.size() != file.compressed_size() {
        return Err(Fault::Without(format!(
            "{name} is compressed, which no file of PyTorch is; unpack it and save it with `torch.save`"
        )));
    }
    let mut bytes = Vec::new();
    file.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Fault::damaged(format!("{name}: {error}")))?;
    Ok(bytes)
}

/// Pickles of a magic number, a version, the machine, the value and the storage names; then each
/// storage as its element count and its bytes.
fn from_stream(bytes: &[u8], key: Option<&str>) -> Result<FileTensors, Fault> {
    let mut at = 0;
    let mut next = || -> Result<Pickle, Fault> {
        let (pickle, end) = Pickle::read(&bytes[at..])?;
        at += end;
        Ok(pickle)
    };
    for _ in 0..3 {
        next()?;
    }
    let (pickle, keys) = (next()?, next()?);
    let sizes = element_sizes(&pickle)?;
    let mut storages: BTreeMap<Rc<str>, Rc<[u8]>> = BTreeMap::new();
    let mut rest = &bytes[at..];
    for key in keys.list(&keys.value).ok_or_else(|| Fault::damaged("no storage names"))? {
        let size = match key {
            Value::Text(key) => sizes.get(key).map(|&size| (key, size)),
            _ => None,
        };
        let (key, size) = size.ok_or_else(|| Fault::damaged("a storage has no known name"))?;
        let early = || Fault::damaged("the file ends early");
        let (count, after) = rest.split_first_chunk().ok_or_else(early)?;
        let length = u64::from_le_bytes(*count).checked_mul(size as u64);
        let length = length.filter(|&length| length <= after.len() as u64).ok_or_else(early)?;
        let (storage, after) = after.split_at(length as usize);
        storages.insert(key.clone(), storage.into());
        rest = after;
    }
    tensors(&pickle, key, |storage| {
        let bytes = storages.get(&storage.key).cloned();
        bytes.ok_or_else(|| Fault::damaged("a storage is missing"))
    })
}

/// Bytes per element of every storage that a pickle names.
fn element_sizes(pickle: &Pickle) -> Result<BTreeMap<Rc<str>, usize>, Fault> {
    let storages = pickle.nodes.iter().filter_map(|node| match node {
        Node::Storage(storage) => Some(storage),
        _ => None,
    });
    storages.map(|s| Ok((s.key.clone(), kind_of_storage(s)?.elt_size_in_bytes()))).collect()
}

fn kind_of_storage(storage: &Storage) -> Result<Kind, Fault> {
    storage_kind(&storage.class)
        .ok_or_else(|| Fault::damaged(format!("a storage is of {}", storage.class)))
}

/// The state dict of a pickle, with the bytes of its storages.
fn tensors(
    pickle: &Pickle,
    key: Option<&str>,
    mut bytes_of: impl FnMut(&Storage) -> Result<Rc<[u8]>, Fault>,
) -> Result<FileTensors, Fault> {
    let all = state_dicts::of(pickle);
    // A key that is no dictionary's may be what names begin with.
    let (at, prefix) = match key {
        Some(key) if all.iter().all(|found| found.key != key) => {
            (state_dicts::chosen(pickle, &all, None)?, Some(key))
        }
        _ => (state_dicts::chosen(pickle, &all, key)?, None),
    };
    let mut named = BTreeMap::new();
    for (name, value) in at.pairs {
        let (Value::Text(name), Some(view)) = (name, pickle.tensor(value)) else { continue };
        let kind = kind_of_storage(&view.storage)?;
        let tensor = strided(&bytes_of(&view.storage)?, view, kind)
            .map_err(|reason| Fault::damaged(format!("tensor `{name}`: {reason}")))?;
        named.insert(name.to_string(), tensor);
    }
    match below(named, prefix) {
        Err(Fault::Without(words)) => {
            Err(Fault::Without(format!("{words}; it holds {}", state_dicts::keys(&all))))
        }
        Ok(read) if prefix.is_none() => Ok(FileTensors { key: at.key.clone(), ..read }),
        other => other,
    }
}

/// A contiguous copy of a strided look at a storage, checked against its length.
fn strided(bytes: &[u8], view: &View, kind: Kind) -> Result<Tensor, String> {
    let each = kind.elt_size_in_bytes();
    let length = (bytes.len() / each) as i64;
    let outside =
        || format!("shape {:?} does not lie inside its storage of {length} elements", view.size);
    let count = view.size.iter().try_fold(1i64, |count, &side| count.checked_mul(side));
    let count = count.filter(|&count| count <= length).ok_or_else(outside)?;
    let first = view.storage.start.checked_add(view.offset).filter(|&first| first >= 0);
    let first = first.ok_or_else(outside)?;
    let span =
        view.size.iter().zip(&view.stride).try_fold(0i64, |at, (&side, &step)| {
            at.checked_add((side - 1).max(0).checked_mul(step)?)
        });
    let end = span.and_then(|span| first.checked_add(span)?.checked_add(1));
    let end = if count == 0 { Some(first.min(length)) } else { end };
    let end = end.filter(|&end| end <= length).ok_or_else(outside)?;
    let first = first.min(end);
    let part = &bytes[first as usize * each..end as usize * each];
    let flat = whole(part, &[end - first], kind).map_err(|fault| format!("{fault:?}"))?;
    flat.f_as_strided(&view.size, &view.stride, 0)
        .and_then(|look| look.f_contiguous())
        .map_err(|error| first_line(&error.to_string()))
}
