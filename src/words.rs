//! Lists of words of which there are too many to hold: they lie in a temporary file that has no name.
use std::{borrow::Cow, fmt, fs::File, io, os::unix::fs::FileExt, path::Path, sync::Arc};

use serde::{ser::Error as _, Deserialize, Deserializer, Serialize, Serializer};

/// A list of 64-bit words, in memory or in a [`Store`]; the same whichever it is.
#[derive(Clone)]
pub struct Words(Place);

#[derive(Clone)]
enum Place {
    Held(Vec<u64>),
    Stored { file: Arc<File>, at: u64, count: u32 },
}

impl Words {
    /// The words.
    ///
    /// # Errors
    /// When the file in which they lie cannot be read.
    pub fn get(&self) -> io::Result<Cow<'_, [u64]>> {
        let (file, at, count) = match &self.0 {
            Place::Held(words) => return Ok(Cow::Borrowed(words)),
            Place::Stored { file, at, count } => (file, *at, *count as usize),
        };
        let mut bytes = vec![0; 8 * count];
        file.read_exact_at(&mut bytes, at)?;
        let word = |b: &[u8]| b.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
        Ok(Cow::Owned(bytes.chunks_exact(8).map(word).collect()))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        match &self.0 {
            Place::Held(words) => words.len(),
            Place::Stored { count, .. } => *count as usize,
        }
    }
}

impl From<Vec<u64>> for Words {
    fn from(words: Vec<u64>) -> Self {
        Words(Place::Held(words))
    }
}

/// Words that cannot be read are like no others.
impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.count() == other.count()
            && matches!((self.get(), other.get()), (Ok(own), Ok(other)) if own == other)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Ok(words) => words.fmt(f),
            Err(error) => write!(f, "{error}"),
        }
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.get().map_err(S::Error::custom)?.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Vec::deserialize(from).map(Words::from)
    }
}

/// A temporary file of words. It has no name, so that nothing is left of it whatever happens.
#[derive(Debug, Default)]
pub struct Store(Option<(Arc<File>, u64)>);

impl Store {
    /// A store in a folder. Where no file can be made there it keeps nothing, and words stay in memory.
    pub fn within(folder: &Path) -> Self {
        Store(tempfile::tempfile_in(folder).ok().map(|file| (Arc::new(file), 0)))
    }

    /// Moves words that are held into the file; they stay where they are when it is full.
    pub fn keep(&mut self, words: &mut Words) {
        let (Some((file, end)), Place::Held(held)) = (&mut self.0, &words.0) else { return };
        let Ok(count) = u32::try_from(held.len()) else { return };
        let bytes: Vec<u8> = held.iter().flat_map(|word| word.to_le_bytes()).collect();
        if file.write_all_at(&bytes, *end).is_ok() {
            *words = Words(Place::Stored { file: Arc::clone(file), at: *end, count });
            *end += bytes.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_are_the_words() {
        let folder = tempfile::tempdir().expect("temp dir");
        let mut store = Store::within(folder.path());
        let lists = [vec![1, u64::MAX, 3], vec![], vec![0x0102_0304_0506_0708]];
        let mut kept: Vec<Words> = lists.iter().map(|l| l.clone().into()).collect();
        kept.iter_mut().for_each(|words| store.keep(words));
        for (words, list) in kept.iter().zip(&lists) {
            assert!(matches!(words.0, Place::Stored { .. }));
            assert_eq!(words.get().expect("reads").as_ref(), list);
            assert_eq!((words, words.count()), (&list.clone().into(), list.len()));
            assert_eq!(format!("{words:?}"), format!("{list:?}"));
        }
        assert_ne!(kept[0], kept[1]);
        assert_eq!(std::fs::read_dir(folder.path()).expect("reads").count(), 0, "it has no name");
    }

    #[test]
    fn without_a_file_words_stay_in_memory() {
        let mut words = Words::from(vec![7, 8]);
        Store::within(Path::new("/nowhere/at all")).keep(&mut words);
        Store::default().keep(&mut words);
        assert!(matches!(words.0, Place::Held(_)));
        assert_eq!(words.get().expect("held").as_ref(), [7, 8]);
    }
}
