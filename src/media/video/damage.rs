//! Which frames are damaged: those that the decoder says so of, and those that are predicted from one
//! of them, which show the same smear although their own data are sound.
//!
//! What the decoder says are the flags of a frame; for decoders that set none, errors that it logs
//! while it works at the frame's packet; and packets of which no frame came. Damage spreads in the
//! order of arrival up to the next picture at which a decoder could begin, and no further than the
//! pictures that are shown before that one. Pictures that no other is predicted from keep it for
//! themselves. What a decoder does not notice (VP8, VP9, HEVC and AV1 can read any bits) stays unknown.
use std::collections::{BTreeMap, BTreeSet};

use ffmpeg_next::{codec::Id, ffi, frame, picture};

use crate::record::Damage;

/// What was seen of a clip's packets and frames.
#[derive(Default)]
pub(super) struct DamageLog {
    /// In the order in which they came out.
    frames: Vec<Seen>,
    /// Packets, by arrival, at which the decoder complained.
    complaints: BTreeSet<i64>,
    /// Those of them that no picture is predicted from.
    disposable: BTreeSet<i64>,
}

/// A frame that came out.
struct Seen {
    /// Of its packet.
    arrival: i64,
    flagged: Damage,
    /// Whether a decoder could begin here.
    is_entry: bool,
    is_b: bool,
}

impl DamageLog {
    /// Notes that the decoder complained about the packet that arrived as `arrival`.
    pub(super) fn complained(&mut self, arrival: i64, is_disposable: bool) {
        self.complaints.insert(arrival);
        if is_disposable {
            self.disposable.insert(arrival);
        }
    }

    /// Notes the next frame that came out.
    pub(super) fn see(&mut self, picture: &frame::Video) {
        let next = self.frames.last().map_or(0, |last| last.arrival + 1);
        self.frames.push(Seen {
            arrival: picture.pts().unwrap_or(next),
            flagged: flagged(picture),
            is_entry: picture.is_key() && picture.kind() == picture::Type::I,
            is_b: picture.kind() == picture::Type::B,
        });
    }

    /// The damaged frames, by index, of a clip of this codec.
    pub(super) fn damaged(&self, codec: Id) -> BTreeMap<u64, Damage> {
        let own: Vec<Damage> = self.frames.iter().map(|frame| self.own(frame, codec)).collect();
        let sources = self.sources(&own, codec);
        if sources.is_empty() && own.iter().all(|damage| *damage == Damage::None) {
            return BTreeMap::new();
        }
        let entries = self.entries();
        let spread = |(index, frame): (usize, &Seen)| {
            let entry = entries.iter().rfind(|(at, shown)| *at <= frame.arrival && *shown <= index);
            let from = entry.map_or(i64::MIN, |(at, _)| *at);
            let inherited = sources.range(from..=frame.arrival).map(|(_, damage)| *damage).max();
            let damage = own[index].max(inherited.unwrap_or_default());
            (damage != Damage::None).then_some((index as u64, damage))
        };
        self.frames.iter().enumerate().filter_map(spread).collect()
    }

    /// What the decoder says of the frame itself.
    fn own(&self, frame: &Seen, codec: Id) -> Damage {
        let complained = !sets_flags(codec) && self.complaints.contains(&frame.arrival);
        frame.flagged.max(if complained { Damage::Corrupt } else { Damage::None })
    }

    /// What others may have their damage from, by arrival.
    fn sources(&self, own: &[Damage], codec: Id) -> BTreeMap<i64, Damage> {
        let mut sources = BTreeMap::new();
        let keeps = |frame: &Seen| {
            frame.is_b && b_is_never_predicted_from(codec)
                || self.disposable.contains(&frame.arrival)
        };
        for (frame, damage) in self.frames.iter().zip(own) {
            if *damage != Damage::None && !keeps(frame) {
                sources.insert(frame.arrival, *damage);
            }
        }
        let shown: BTreeSet<i64> = self.frames.iter().map(|frame| frame.arrival).collect();
        let lost = self.complaints.iter().filter(|arrival| !shown.contains(arrival));
        sources.extend(
            lost.filter(|arrival| !self.disposable.contains(arrival))
                .map(|arrival| (*arrival, Damage::Corrupt)),
        );
        sources
    }

    /// Arrival and place among the frames of every picture at which a decoder could begin, by arrival.
    fn entries(&self) -> Vec<(i64, usize)> {
        let frames = self.frames.iter().enumerate().filter(|(_, frame)| frame.is_entry);
        let mut entries: Vec<_> = frames.map(|(index, frame)| (frame.arrival, index)).collect();
        entries.sort_unstable();
        entries
    }
}

/// Whether the decoder marks frames that it has to patch; of others only its log tells.
fn sets_flags(codec: Id) -> bool {
    use Id::*;
    matches!(codec, MPEG1VIDEO | MPEG2VIDEO | MPEG4 | H263 | H263P | H264 | FLV1 | WMV3 | VC1)
        || reads_on_behind_errors(codec)
}

/// Whether the decoder takes bits that mean nothing for the end of a block, unless it is told to
/// complain of them.
pub(super) fn reads_on_behind_errors(codec: Id) -> bool {
    matches!(codec, Id::MSMPEG4V1 | Id::MSMPEG4V2 | Id::MSMPEG4V3 | Id::WMV1 | Id::WMV2)
}

fn b_is_never_predicted_from(codec: Id) -> bool {
    use Id::*;
    matches!(codec, MPEG1VIDEO | MPEG2VIDEO | MPEG4 | H263 | H263P | WMV3 | VC1)
}

/// What the decoder's own flags say of the frame.
pub(super) fn flagged(picture: &frame::Video) -> Damage {
    let broken = ffi::FF_DECODE_ERROR_INVALID_BITSTREAM | ffi::FF_DECODE_ERROR_MISSING_REFERENCE;
    // SAFETY: reading a field of a live frame.
    let flags = unsafe { (*picture.as_ptr()).decode_error_flags };
    if picture.is_corrupt() || flags & broken != 0 {
        Damage::Corrupt
    } else if flags != 0 {
        Damage::Concealed
    } else {
        Damage::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames in the order of display, each a letter (`I` an entry, `i` none, `P`, `B`; small `x` or `c`
    /// behind it: corrupt or concealed by its flags) and its number of arrival.
    fn log(frames: &[(&str, i64)], complaints: &[i64]) -> DamageLog {
        let seen = |(word, arrival): &(&str, i64)| Seen {
            arrival: *arrival,
            flagged: match word.as_bytes().get(1) {
                Some(b'x') => Damage::Corrupt,
                Some(_) => Damage::Concealed,
                None => Damage::None,
            },
            is_entry: word.starts_with('I'),
            is_b: word.starts_with('B'),
        };
        DamageLog {
            frames: frames.iter().map(seen).collect(),
            complaints: complaints.iter().copied().collect(),
            ..DamageLog::default()
        }
    }

    fn marks(log: &DamageLog, codec: Id) -> String {
        let damaged = log.damaged(codec);
        let mark = |index| match damaged.get(&(index as u64)) {
            None => '.',
            Some(Damage::Concealed) => 'c',
            Some(_) => 'x',
        };
        (0..log.frames.len()).map(mark).collect()
    }

    #[test]
    fn damage_spreads_to_the_next_entry() {
        let frames =
            [("I", 0), ("P", 1), ("Px", 2), ("P", 3), ("i", 4), ("P", 5), ("I", 6), ("P", 7)];
        assert_eq!(marks(&log(&frames, &[]), Id::MPEG4), "..xxxx..");
        assert_eq!(marks(&log(&[("I", 0), ("Pc", 1), ("Px", 2), ("P", 3)], &[]), Id::H264), ".cxx");
        assert_eq!(marks(&log(&[("I", 0), ("P", 1)], &[]), Id::H264), "..");
        assert_eq!(marks(&DamageLog::default(), Id::H264), "");
    }

    /// I0 B2 B3 P1 B5 B6 I4 P7: the two in front of I4 are predicted from P1 too.
    #[test]
    fn pictures_shown_before_an_entry_are_predicted_from_before_it() {
        let with = |at: usize, word: &'static str| {
            let arrivals = [0, 2, 3, 1, 5, 6, 4, 7];
            let words = ["I", "B", "B", "P", "B", "B", "I", "P"];
            let mut frames: Vec<_> = words.into_iter().zip(arrivals).collect();
            frames[at].0 = word;
            frames
        };
        assert_eq!(marks(&log(&with(3, "Px"), &[]), Id::MPEG4), ".xxxxx..");
        assert_eq!(marks(&log(&with(1, "Bx"), &[]), Id::MPEG4), ".x......");
        assert_eq!(marks(&log(&with(1, "Bx"), &[]), Id::H264), ".xx.xx..", "may be predicted from");
        assert_eq!(marks(&log(&with(6, "Ix"), &[]), Id::MPEG4), "....xxxx");
    }

    #[test]
    fn complaints_count_where_no_frame_came_or_none_is_ever_marked() {
        let frames = [("I", 0), ("P", 1), ("P", 3), ("I", 4), ("P", 5)];
        assert_eq!(marks(&log(&frames, &[2]), Id::MPEG4), "..x..", "the third packet is lost");
        assert_eq!(marks(&log(&frames, &[1]), Id::MPEG4), ".....", "it patched nothing");
        assert_eq!(marks(&log(&frames, &[1]), Id::HEVC), ".xx..");
        let mut unseen = log(&frames, &[2]);
        unseen.disposable.insert(2);
        assert_eq!(marks(&unseen, Id::MPEG4), ".....", "nothing is predicted from it");
    }
}
