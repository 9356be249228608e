//! `f64` in JSON when it may be infinite: the strings `inf`, `-inf` and `nan` stand for what JSON
//! has no number for.
use serde::{de::Error, Deserialize, Deserializer, Serializer};

#[derive(Deserialize)]
#[serde(untagged)]
enum Wire {
    Number(f64),
    Word(String),
}

pub(super) fn serialize<S: Serializer>(x: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if x.is_finite() {
        serializer.serialize_f64(*x)
    } else {
        serializer.serialize_str(&x.to_string().to_lowercase())
    }
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    match Wire::deserialize(deserializer)? {
        Wire::Number(x) => Ok(x),
        Wire::Word(word) => word.parse().map_err(D::Error::custom),
    }
}
