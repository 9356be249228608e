//! Texts that every row of a large table holds, in little room.
use std::{
    borrow::Borrow,
    collections::BTreeSet,
    fmt,
    ops::Deref,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize, Serializer};

/// A name that most rows share, such as a codec's: the text is held once, however many have it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "String")]
pub struct Name(Arc<str>);

/// The names that were met so far.
static NAMES: LazyLock<Mutex<BTreeSet<Name>>> = LazyLock::new(Mutex::default);

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(text) {
            return name.clone();
        }
        let name = Name(text.into());
        names.insert(name.clone());
        name
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Name::from(&*text)
    }
}

impl Default for Name {
    fn default() -> Self {
        Name::from("")
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self)
    }
}

/// Bytes of a SHA-256.
const BYTES: usize = 32;

/// A digest as tables write it. One of SHA-256 in lower-case hex, as they all should be, is held as
/// its 32 bytes; any other text as it is, so that what was read is what is written.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(from = "String")]
pub struct HexDigest(Held);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Held {
    Bytes([u8; BYTES]),
    Text(Box<str>),
}

impl HexDigest {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Held::Text(text) if text.is_empty())
    }
}

/// The bytes of 64 lower-case digits.
fn bytes_of(text: &str) -> Option<[u8; BYTES]> {
    let digit = |d: u8| match d {
        b'0'..=b'9' => Some(d - b'0'),
        b'a'..=b'f' => Some(d - b'a' + 10),
        _ => None,
    };
    let digits: &[u8; 2 * BYTES] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

impl From<&str> for HexDigest {
    fn from(text: &str) -> Self {
        let held = bytes_of(text).map_or_else(|| Held::Text(text.into()), Held::Bytes);
        HexDigest(held)
    }
}

impl From<String> for HexDigest {
    fn from(text: String) -> Self {
        HexDigest::from(&*text)
    }
}

impl Default for HexDigest {
    fn default() -> Self {
        HexDigest(Held::Text(Box::default()))
    }
}

impl fmt::Display for HexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Held::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
            Held::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for HexDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}

impl Serialize for HexDigest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_held_once_and_is_its_text() {
        let (one, other) = (Name::from("yuv420p"), Name::from(String::from("yuv420p")));
        assert!(Arc::ptr_eq(&one.0, &other.0));
        assert_eq!((&*one, format!("{one:?}")), ("yuv420p", "\"yuv420p\"".to_owned()));
        assert_eq!(serde_json::to_string(&one).expect("text"), "\"yuv420p\"");
        assert_eq!(serde_json::from_str::<Name>("\"yuv420p\"").expect("text"), one);
        assert_ne!(Name::from("mpeg4"), one);
        assert_eq!(&*Name::default(), "");
    }

    #[test]
    fn a_digest_is_the_text_that_it_was_made_of() {
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let upper = sha256.to_uppercase();
        for text in [sha256, &upper, &sha256[1..], "", "00", "é", &"g".repeat(64), &"é".repeat(32)]
        {
            let digest = HexDigest::from(text);
            assert_eq!(digest.to_string(), text);
            assert_eq!(matches!(digest.0, Held::Bytes(_)), text == sha256, "{text}");
            assert_eq!(digest.is_empty(), text.is_empty());
            let json = serde_json::to_string(&digest).expect("text");
            assert_eq!(json, serde_json::to_string(text).expect("text"));
            assert_eq!(serde_json::from_str::<HexDigest>(&json).expect("text"), digest);
        }
        assert!(HexDigest::default().is_empty());
        assert_ne!(HexDigest::from(&*upper), HexDigest::from(sha256));
    }
}
