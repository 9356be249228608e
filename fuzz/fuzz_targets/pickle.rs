//! The reader of `torch.save`'s pickles on whatever bytes: an answer or a refusal, never a panic, no
//! more memory than the bytes account for, and every reference of the answer leads somewhere.
#![no_main]
#[path = "../../tests/it/common/allocations.rs"]
mod allocations;
#[path = "../../src/weights/pickle.rs"]
#[allow(dead_code)]
mod pickle;

use libfuzzer_sys::fuzz_target;
use pickle::{Node, Pickle, Value};

/// Bytes that one byte of a pickle may come to: an instruction of one byte pushes a value or makes a
/// container, and lists double when they grow.
const GROWTH: usize = 512;

/// What a message may need beside.
const MESSAGE: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let (most, read) = allocations::most_during(|| Pickle::read(bytes));
    assert!(most <= GROWTH * bytes.len() + MESSAGE, "{most} bytes held for {}", bytes.len());
    let Ok((pickle, end)) = read else { return };
    assert!((1..=bytes.len()).contains(&end));
    let known = |value: &Value| !matches!(value, Value::Node(at) if *at >= pickle.nodes.len());
    assert!(known(&pickle.value));
    for node in &pickle.nodes {
        match node {
            Node::List(items) => assert!(items.iter().all(known)),
            Node::Dict(pairs) => assert!(pairs.iter().all(|(k, v)| known(k) && known(v))),
            Node::Storage(_) | Node::Tensor(_) => {}
        }
    }
});
