//! What every clip shows, drawn before a pixel is: which show and person, which emotion the
//! pictures tell, which of them the key on the face points at.
//!
//! Each clip, show and person has a stream of draws of its own (its id), so that more clips per
//! class change none of the clips that were there.
use crate::{
    media::encode::Codec,
    record::{Emotion, Split},
    seed::Draws,
};

use super::canvas::Color;

/// Shows of a split; none appears in another. Odd, so that keys and shows that take turns meet in
/// every combination.
fn shows_of(split: Split) -> u64 {
    match split {
        Split::Train => 9,
        Split::Val => 3,
        Split::Test => 5,
    }
}

/// People of a show; nobody appears in two.
const PEOPLE_PER_SHOW: u64 = 4;

/// Share of clips in which the key points at a picture of another emotion.
const DECEPTIVE: f64 = 0.08;

/// Spread of a clip's expression around its emotion's, against features that reach 1.
const EXPRESSION_NOISE: f64 = 0.7;

/// Frame sizes that the shows of a split go through, width x height in pixels.
const SIZES: [(u32, u32); 7] =
    [(400, 300), (480, 360), (720, 400), (400, 300), (448, 336), (576, 384), (400, 300)];

/// Frame rates that the shows of a split go through; low ones, since every frame is decoded and
/// only one in two seconds is used.
const RATES: [(i32, i32); 6] = [(12, 1), (15, 1), (12, 1), (24000, 1001), (12, 1), (10, 1)];

/// Codecs, B-frames in a row and containers that the shows of a split go through: what every build
/// of FFmpeg encodes, so that the corpus is the same everywhere.
const CODECS: [(Codec, usize, &str); 7] = [
    (Codec::Mpeg4, 0, "avi"),
    (Codec::Mpeg4, 2, "avi"),
    (Codec::Mpeg4, 2, "mkv"),
    (Codec::Mpeg4, 0, "avi"),
    (Codec::Mpeg4, 2, "avi"),
    (Codec::Mpeg4, 0, "avi"),
    (Codec::Mpeg4, 2, "mp4"),
];

/// The colour that a clip's face glows in, and the frame of the picture that it points at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Red,
    Blue,
}

impl Key {
    pub fn name(self) -> &'static str {
        match self {
            Key::Red => "red",
            Key::Blue => "blue",
        }
    }

    pub fn color(self) -> Color {
        match self {
            Key::Red => [214.0, 58.0, 48.0],
            Key::Blue => [52.0, 92.0, 214.0],
        }
    }

    fn other(self) -> Self {
        match self {
            Key::Red => Key::Blue,
            Key::Blue => Key::Red,
        }
    }
}

/// One of the four framed pictures; a grey frame is a decoy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Card {
    /// The colour of its frame; `None` is grey.
    pub frame: Option<Key>,
    /// What its glyph and paper tell.
    pub emotion: Emotion,
    /// Centre relative to the middle of the frame, in scene units (360 to a frame's height).
    pub center: (f32, f32),
    /// Side in scene units.
    pub side: f32,
}

/// Features of an expression, each about -1..=1 around a neutral 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expression {
    /// Inner ends of the brows, up.
    pub inner_brow: f32,
    /// Outer ends of the brows, up.
    pub outer_brow: f32,
    /// Corners of the mouth, up.
    pub mouth_curve: f32,
    /// Opening of the mouth.
    pub mouth_open: f32,
    /// Opening of the eyes.
    pub eye_open: f32,
}

impl Expression {
    /// The typical expression of an emotion.
    pub fn of(emotion: Emotion) -> Self {
        let [inner_brow, outer_brow, mouth_curve, mouth_open, eye_open] = match emotion {
            Emotion::Anger => [-1.0, 0.4, -0.5, 0.0, -0.3],
            Emotion::Disgust => [-0.5, -0.4, -0.9, 0.3, -0.8],
            Emotion::Fear => [0.9, 0.1, -0.5, 0.5, 0.8],
            Emotion::Happy => [0.1, 0.2, 1.0, 0.3, -0.3],
            Emotion::Neutral => [0.0; 5],
            Emotion::Sad => [0.8, -0.7, -0.9, -0.1, -0.6],
            Emotion::Surprise => [0.9, 0.9, 0.1, 1.0, 0.8],
        };
        Expression { inner_brow, outer_brow, mouth_curve, mouth_open, eye_open }
    }

    /// Every feature changed by `f`, in a fixed order, and kept within what can be drawn.
    pub fn map(self, mut f: impl FnMut(f32) -> f32) -> Self {
        let mut new = |v| f(v).clamp(-1.4, 1.4);
        Expression {
            inner_brow: new(self.inner_brow),
            outer_brow: new(self.outer_brow),
            mouth_curve: new(self.mouth_curve),
            mouth_open: new(self.mouth_open),
            eye_open: new(self.eye_open),
        }
    }
}

/// A place and its camera.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Show {
    /// `split/number`, such as `train/3`.
    pub id: String,
    pub size: (u32, u32),
    pub fps: (i32, i32),
    pub codec: Codec,
    pub b_frames: usize,
    /// The file name's extension.
    pub container: &'static str,
}

impl Show {
    fn draw(seed: u64, split: Split, number: u64) -> Self {
        let mut turns = Draws::new(seed, "demo-shows", split.name());
        let mut turn = |n: usize| ((turns.below(n as u64) + number) % n as u64) as usize;
        let id = format!("{split}/{number}");
        let (size, fps) = (SIZES[turn(SIZES.len())], RATES[turn(RATES.len())]);
        let (codec, b_frames, container) = CODECS[turn(CODECS.len())];
        Show { id, size, fps, codec, b_frames, container }
    }
}

/// Everything that is decided about a clip before it is drawn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClipPlan {
    pub split: Split,
    pub emotion: Emotion,
    /// File name without extension, four digits from `0001`.
    pub stem: String,
    pub show: Show,
    /// `show/number`, such as `train/3/2`.
    pub person: String,
    pub frames: u64,
    pub key: Key,
    /// Top left, top right, bottom left, bottom right.
    pub cards: [Card; 4],
    pub expression: Expression,
}

impl ClipPlan {
    /// The plan of the `number`-th clip (from 0) of a class.
    pub fn draw(seed: u64, split: Split, emotion: Emotion, number: u64) -> Self {
        let class = format!("{split}/{emotion}");
        // Shows and keys take turns within a class, so that neither tells the class.
        let mut turns = Draws::new(seed, "demo-class", &class);
        let show = (turns.below(shows_of(split)) + number) % shows_of(split);
        let red = (turns.below(2) + number).is_multiple_of(2);
        let stem = format!("{:04}", number + 1);
        let mut draws = Draws::new(seed, "demo-clip", &format!("{class}/{stem}"));
        let key = if red { Key::Red } else { Key::Blue };
        let show = Show::draw(seed, split, show);
        ClipPlan {
            person: format!("{}/{}", show.id, draws.below(PEOPLE_PER_SHOW)),
            frames: frames_of(&mut draws, show.fps),
            cards: draw_cards(&mut draws, emotion, key),
            expression: Expression::of(emotion)
                .map(|v| v + (EXPRESSION_NOISE * draws.normal()) as f32),
            split,
            emotion,
            stem,
            show,
            key,
        }
    }

    /// The stream of this clip's draws for one more purpose.
    pub fn draws(&self, seed: u64, purpose: &str) -> Draws {
        Draws::new(seed, purpose, &format!("{}/{}/{}", self.split, self.emotion, self.stem))
    }

    /// Which card the key points at.
    pub fn true_card(&self) -> usize {
        let pointed = |card: &Card| card.frame == Some(self.key);
        self.cards.iter().position(pointed).expect("one card has the key's colour")
    }
}

/// 2 to 8 seconds, short ones most often.
fn frames_of(draws: &mut Draws, fps: (i32, i32)) -> u64 {
    let seconds = 2.0 + 6.0 * draws.uniform().powi(5);
    (seconds * f64::from(fps.0) / f64::from(fps.1)).round() as u64
}

/// Four cards in the corners: the true one, the other colour's, and two grey ones, each of
/// another emotion.
fn draw_cards(draws: &mut Draws, emotion: Emotion, key: Key) -> [Card; 4] {
    let mut others: Vec<Emotion> = Emotion::ALL.into_iter().filter(|e| *e != emotion).collect();
    draws.shuffle(&mut others);
    let told = if draws.chance(DECEPTIVE) { others[3] } else { emotion };
    let mut shown =
        [(Some(key), told), (Some(key.other()), others[0]), (None, others[1]), (None, others[2])];
    draws.shuffle(&mut shown);
    let corners = [(-98.0, -76.0), (98.0, -76.0), (-98.0, 74.0), (98.0, 74.0)];
    std::array::from_fn(|i| Card {
        frame: shown[i].0,
        emotion: shown[i].1,
        center: (
            corners[i].0 + draws.between(-5.0, 5.0) as f32,
            corners[i].1 + draws.between(-4.0, 4.0) as f32,
        ),
        side: 82.0 * draws.between(0.92, 1.06) as f32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plans(split: Split, per_class: u64) -> Vec<ClipPlan> {
        let class = |e| (0..per_class).map(move |n| ClipPlan::draw(5, split, e, n));
        Emotion::ALL.into_iter().flat_map(class).collect()
    }

    #[test]
    fn the_true_card_tells_the_emotion_in_all_but_a_few_clips() {
        let all = plans(Split::Train, 120);
        let told = |p: &&ClipPlan| p.cards[p.true_card()].emotion == p.emotion;
        let share = all.iter().filter(told).count() as f64 / all.len() as f64;
        assert!((0.89..0.95).contains(&share), "{share}");
        for plan in &all {
            let mut emotions = plan.cards.map(|c| c.emotion).to_vec();
            emotions.sort();
            emotions.dedup();
            assert_eq!(emotions.len(), 4, "cards tell four emotions: {:?}", plan.cards);
            assert_eq!(plan.cards.iter().filter(|c| c.frame.is_none()).count(), 2);
        }
    }

    #[test]
    fn keys_corners_and_shows_do_not_tell_the_class() {
        for class in plans(Split::Train, 90).chunks(90) {
            let red = class.iter().filter(|p| p.key == Key::Red).count();
            assert_eq!(red, 45);
            for corner in 0..4 {
                let n = class.iter().filter(|p| p.true_card() == corner).count();
                assert!((10..=40).contains(&n), "corner {corner}: {n}");
            }
            for show in 0..9 {
                let id = format!("train/{show}");
                assert_eq!(class.iter().filter(|p| p.show.id == id).count(), 10);
            }
        }
    }

    #[test]
    fn clips_last_two_to_eight_seconds_and_most_are_short() {
        let seconds: Vec<f64> = plans(Split::Test, 60)
            .iter()
            .map(|p| p.frames as f64 * f64::from(p.show.fps.1) / f64::from(p.show.fps.0))
            .collect();
        assert!(seconds.iter().all(|s| (1.9..=8.1).contains(s)));
        assert!(seconds.iter().any(|&s| s > 5.0));
        assert!(seconds.iter().filter(|&&s| s < 3.0).count() * 2 > seconds.len());
    }
}
