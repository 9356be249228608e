//! Results of clips by id, in little room.
use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use super::clip_result::ClipResult;

/// Results that lie side by side: when they are taken apart, whole pages become free and not holes
/// between what is kept of them.
const CHUNK: usize = 512;

/// What came of clips, one result each. A map would hold every id twice, and whole results in nodes
/// that are half empty.
#[derive(Clone, Debug, Default)]
pub struct ClipResults {
    /// All but the last are full.
    chunks: Vec<Vec<ClipResult>>,
    /// Positions by the hash of the id, or by the next number behind it that is free.
    places: HashMap<u64, u32>,
}

impl ClipResults {
    /// Takes a result in; one of the same clip that was there makes room for it.
    pub fn insert(&mut self, result: ClipResult) {
        match self.place(&result.clip_id) {
            Ok(at) => self.chunks[at / CHUNK][at % CHUNK] = result,
            Err(free) => {
                self.places.insert(free, self.count() as u32);
                if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                if let Some(chunk) = self.chunks.last_mut() {
                    chunk.push(result);
                }
            }
        }
    }

    /// Where the clip's result is, or else the number by which it is to be found.
    fn place(&self, clip_id: &str) -> Result<usize, u64> {
        let mut hasher = DefaultHasher::new();
        clip_id.hash(&mut hasher);
        let mut number = hasher.finish();
        while let Some(&at) = self.places.get(&number) {
            if self.at(at as usize).clip_id == clip_id {
                return Ok(at as usize);
            }
            number = number.wrapping_add(1);
        }
        Err(number)
    }

    fn at(&self, at: usize) -> &ClipResult {
        &self.chunks[at / CHUNK][at % CHUNK]
    }

    /// What came of a clip.
    pub fn get(&self, clip_id: &str) -> Option<&ClipResult> {
        self.place(clip_id).ok().map(|at| self.at(at))
    }

    /// Takes out what came of a clip, in place of which one stays that is nobody's.
    pub(super) fn take(&mut self, clip_id: &str) -> Option<ClipResult> {
        let at = self.place(clip_id).ok()?;
        let held = &mut self.chunks[at / CHUNK][at % CHUNK];
        let empty = ClipResult::rejected("", "", String::new());
        Some(std::mem::replace(held, empty))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.places.len()
    }

    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &ClipResult> {
        self.chunks.iter().flatten()
    }

    /// All of them, to be taken apart.
    pub(super) fn into_results(self) -> impl Iterator<Item = ClipResult> {
        self.chunks.into_iter().flatten()
    }
}

impl Extend<ClipResult> for ClipResults {
    fn extend<T: IntoIterator<Item = ClipResult>>(&mut self, results: T) {
        results.into_iter().for_each(|result| self.insert(result));
    }
}

impl FromIterator<ClipResult> for ClipResults {
    fn from_iter<T: IntoIterator<Item = ClipResult>>(results: T) -> Self {
        let mut all = ClipResults::default();
        all.extend(results);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_clip_has_one_result_and_the_last_counts() {
        let result = |id: &str, code: &str| ClipResult::rejected(id, code, String::new());
        let given = [("b", "one"), ("a", "two"), ("b", "three"), ("c", "four")];
        let mut results: ClipResults = given.iter().map(|(id, code)| result(id, code)).collect();
        let held: Vec<(&str, Option<&str>)> =
            results.iter().map(|r| (&*r.clip_id, r.code.as_deref())).collect();
        assert_eq!(held, [("b", Some("three")), ("a", Some("two")), ("c", Some("four"))]);
        assert_eq!((results.count(), results.get("d")), (3, None));
        assert_eq!(results.take("a"), Some(result("a", "two")));
        assert_eq!((results.take("a"), results.take("d"), results.get("a")), (None, None, None));
        assert_eq!(results.get("c"), Some(&result("c", "four")));
    }

    #[test]
    fn results_of_many_chunks_are_all_found() {
        let id = |n: usize| format!("train/Sad/{n:05}");
        let result = |n: usize| ClipResult::rejected(&id(n), "", n.to_string());
        let n = 3 * CHUNK + 7;
        let results: ClipResults = (0..n).chain(5..9).map(result).collect();
        assert_eq!(results.count(), n);
        assert!((0..n).all(|k| results.get(&id(k)) == Some(&result(k))));
        assert_eq!(
            results.into_results().map(|r| r.clip_id).collect::<Vec<_>>(),
            (0..n).map(id).collect::<Vec<_>>()
        );
    }

    #[test]
    fn two_ids_of_one_hash_are_told_apart() {
        let result = |id: &str| ClipResult::rejected(id, "", String::new());
        let mut results: ClipResults = [result("a")].into_iter().collect();
        // As if the hash of `b` were that of `a`.
        let Err(free) = results.place("b") else { panic!("there is no `b`") };
        results.places.insert(free, 0);
        assert!(results.get("b").is_none() && results.place("b") == Err(free.wrapping_add(1)));
        results.places.insert(free.wrapping_add(1), 1);
        results.chunks[0].push(result("b"));
        assert_eq!(results.get("b"), Some(&result("b")));
    }
}
