//! Whether a text or a name speaks of a clip.
use std::collections::BTreeSet;

/// The words that give a clip away.
pub(super) struct Mention {
    words: Vec<String>,
    /// File stems of its pictures.
    stems: Vec<String>,
}

impl Mention {
    pub fn of(clips: &BTreeSet<String>) -> Self {
        Mention { words: clips.iter().cloned().collect(), stems: Vec::new() }
    }

    /// Adds a picture's name, by which others know it.
    pub fn add_picture(&mut self, path: &str) {
        let name = path.rsplit('/').next().unwrap_or(path);
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        self.stems.push(stem.to_owned());
    }

    /// Whether a text names a clip, and not another whose id begins alike.
    pub fn is_in(&self, text: &str) -> bool {
        self.words.iter().chain(&self.stems).any(|word| holds(text, word))
    }

    /// Whether a file is named after a clip: after one of its pictures, or lying as its id says.
    pub fn names(&self, path: &str) -> bool {
        self.stems.iter().any(|stem| holds(path, stem))
            || self.words.iter().any(|id| holds(path, id))
    }
}

/// Whether `word` is in `text` with no letter or digit next to it.
fn holds(text: &str, word: &str) -> bool {
    let open = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '-');
    text.match_indices(word).any(|(at, _)| {
        let behind = text[at + word.len()..].chars().next();
        open(text[..at].chars().next_back()) && open(behind)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_id_is_another_clip() {
        let mention = Mention::of(&BTreeSet::from(["train/Anger/0001".to_owned()]));
        assert!(mention.is_in("x,train/Anger/0001,y") && mention.is_in("train/Anger/0001/000"));
        assert!(mention.is_in("train/Anger/0001.avi") && mention.is_in("train/Anger/0001_000"));
        assert!(!mention.is_in("train/Anger/00012") && !mention.is_in("train/Anger/0001-2"));
        assert!(!mention.is_in("xtrain/Anger/0001"));
    }

    #[test]
    fn pictures_are_known_by_their_names() {
        let mut mention = Mention::of(&BTreeSet::from(["train/Anger/a b".to_owned()]));
        mention.add_picture("images/train/Anger/a_b_000_12ab34cd.jpg");
        assert!(mention.names("faces/a_b_000_12ab34cd.png"));
        assert!(!mention.names("faces/a_b_001_12ab34cd.png"));
    }
}
