//! Which dictionary of a training script's checkpoint holds the network's weights.
use std::collections::BTreeSet;

use super::{
    error::first_few,
    pickle::{Fault, Node, Pickle, Value},
};

/// Keys under which training scripts keep the state dict of the network, the commonest first.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];

/// How deep dictionaries are looked into.
const DEPTH: usize = 6;

/// A dictionary that has tensors by name.
pub(super) struct StateDict<'a> {
    /// The names of the dictionaries that it lies in, with dots between; empty for the whole value.
    pub key: String,
    pub pairs: &'a [(Value, Value)],
    tensors: usize,
}

/// Every dictionary with tensors that is reached by names, but for an optimizer's.
pub(super) fn of(pickle: &Pickle) -> Vec<StateDict<'_>> {
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let mut open = vec![(String::new(), &pickle.value, 0)];
    while let Some((key, value, depth)) = open.pop() {
        let Value::Node(at) = value else { continue };
        let Some(pairs) = pickle.dict(value).filter(|_| seen.insert(*at)) else { continue };
        let tensors = pairs
            .iter()
            .filter(|(name, value)| {
                matches!(name, Value::Text(_)) && pickle.tensor(value).is_some()
            })
            .count();
        if depth < DEPTH {
            // Backwards, so that the first comes out first.
            open.extend(pairs.iter().rev().filter_map(|(name, value)| match name {
                Value::Text(name) if !is_optimizer(name) => {
                    let key =
                        if key.is_empty() { name.to_string() } else { format!("{key}.{name}") };
                    Some((key, value, depth + 1))
                }
                _ => None,
            }));
        }
        if tensors > 0 {
            found.push(StateDict { key, pairs, tensors });
        }
    }
    found
}

fn is_optimizer(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("optim") || name == "opt"
}

/// The one that is meant: at `key`, or by itself where nothing rivals it.
///
/// # Errors
/// When there is none, or without a key several that may be meant.
pub(super) fn chosen<'a, 'b>(
    pickle: &Pickle,
    all: &'b [StateDict<'a>],
    key: Option<&str>,
) -> Result<&'b StateDict<'a>, Fault> {
    let at = |key: &str| all.iter().find(|found| found.key == key);
    if let Some(key) = key {
        let missing = || Fault::Without(format!("nothing at `{key}`; it holds {}", keys(all)));
        return at(key).ok_or_else(missing);
    }
    let largest = || all.iter().rev().max_by_key(|found| found.tensors);
    let main = WRAPPERS.iter().find_map(|key| at(key)).or_else(|| at("")).or_else(largest);
    let Some(main) = main else { return Err(Fault::Without(holds(pickle))) };
    // A moving average of the weights, another network: as large, and perhaps what is meant.
    let rivals =
        |found: &&StateDict<'_>| 2 * found.tensors >= main.tensors && !found.key.is_empty();
    let rivals: Vec<_> = all.iter().filter(rivals).map(|f| (f.key.clone(), f.tensors)).collect();
    match rivals.len() {
        0 | 1 => Ok(main),
        _ => Err(Fault::Several(rivals)),
    }
}

/// What there is to choose from.
pub(super) fn keys(all: &[StateDict<'_>]) -> String {
    if all.is_empty() {
        return "no tensors by name".into();
    }
    first_few(all, |found| match &*found.key {
        "" => format!("{} tensors", found.tensors),
        key => format!("`{key}` ({} tensors)", found.tensors),
    })
}

/// What a pickle without a state dict holds, and what to do about it.
fn holds(pickle: &Pickle) -> String {
    const SAVE: &str = "open it in Python with its own code and save `model.state_dict()`";
    let whole = |class: &str| format!("a whole pickled object of class `{class}`; {SAVE}");
    match &pickle.value {
        Value::Instance(class) => whole(class),
        Value::None => "nothing".into(),
        Value::Node(at) => match &pickle.nodes[*at] {
            Node::List(items) => format!("a list of {} values", items.len()),
            Node::Tensor(_) | Node::Storage(_) => "one tensor without a name".into(),
            Node::Dict(pairs) => {
                let object = pairs.iter().find_map(|(name, value)| match (name, value) {
                    (Value::Text(name), Value::Instance(class)) => Some((name, class)),
                    _ => None,
                });
                let named = |(name, _): &(Value, Value)| match name {
                    Value::Text(name) => format!("`{name}`"),
                    _ => "a number".into(),
                };
                let keys = first_few(pairs, named);
                match object {
                    Some((name, class)) => format!("`{name}` is {}", whole(class)),
                    None => format!("a dictionary of {keys} without tensors"),
                }
            }
        },
        _ => "a single value".into(),
    }
}
