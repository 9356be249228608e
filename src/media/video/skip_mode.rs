//! Skips decoding work for frames that are never output, without a change in any frame that is.
//!
//! Where a clip's headers tell all ([`super::route`]), every packet that no wanted frame needs is
//! finished coarsely, or under `fast` left out. Elsewhere a picture that no other is predicted from (a
//! B-VOP of MPEG-4, a slice with `nal_ref_idc` 0 of H.264) may be finished coarsely when its index,
//! foreseen from the count of frames so far, is not wanted, and so may all that comes behind the last
//! wanted frame. What was foreseen is checked on the frames that come out, and the clip is decoded
//! again in full when it does not hold.
use std::collections::BTreeSet;

use ffmpeg_next::codec::Id;

use super::start_codes::start_codes;

/// Whether no other picture depends on the one in `packet`; false where that is not certain.
pub(super) fn is_disposable(codec: Id, packet: &[u8]) -> bool {
    match codec {
        Id::MPEG4 => is_lone_b_vop(packet),
        Id::H264 => is_unreferenced_slice(packet),
        _ => false,
    }
}

/// Start code of a picture of MPEG-4.
const VOP: u8 = 0xb6;

/// One B-VOP and no second VOP behind it (ISO/IEC 14496-2, 6.2.5: start code B6, then two bits of
/// coding type, 2 for B).
fn is_lone_b_vop(packet: &[u8]) -> bool {
    let mut vops = start_codes(packet).filter(|(code, _)| *code == VOP);
    let Some((_, rest)) = vops.next() else { return false };
    rest.first().is_some_and(|byte| byte >> 6 == 2) && vops.next().is_none()
}

/// The first slice says it for the whole picture (ITU-T H.264, 7.4.1: `nal_ref_idc` is 0 for all
/// slices of a picture or for none). Packets with lengths in place of start codes are not looked at.
fn is_unreferenced_slice(packet: &[u8]) -> bool {
    if !packet.starts_with(&[0, 0, 1]) && !packet.starts_with(&[0, 0, 0, 1]) {
        return false;
    }
    start_codes(packet)
        .find(|(header, _)| matches!(header & 0x1f, 1..=5))
        .is_some_and(|(header, _)| header >> 5 & 3 == 0)
}

/// What is foreseen of a clip, and whether it held.
#[derive(Default)]
pub(super) struct SkipMode {
    /// Packets that were finished coarsely, by order of arrival.
    coarse: BTreeSet<i64>,
    /// Index and arrival number of every frame that should come out, in order; only where a clip's
    /// headers tell.
    foreseen: Option<Vec<(u64, i64)>>,
    /// Whether a wanted frame came out coarse, or any other than the foreseen.
    pub misjudged: bool,
}

impl SkipMode {
    pub(super) fn foreseeing(frames: Vec<(u64, i64)>) -> Self {
        SkipMode { foreseen: Some(frames), ..SkipMode::default() }
    }

    pub(super) fn finish_coarsely(&mut self, arrival: i64) {
        self.coarse.insert(arrival);
    }

    /// The index of the `n`-th frame that comes out.
    pub(super) fn index(&self, n: u64) -> u64 {
        let foreseen = self.foreseen.as_ref().and_then(|frames| frames.get(n as usize));
        foreseen.map_or(n, |(index, _)| *index)
    }

    /// Checks the `n`-th frame that comes out, made of the packet that arrived as `arrival`.
    pub(super) fn check(&mut self, n: u64, arrival: Option<i64>, wanted: bool) {
        let as_foreseen = match &self.foreseen {
            Some(frames) => arrival.is_some() && frames.get(n as usize).map(|f| f.1) == arrival,
            None => true,
        };
        let fine = !wanted
            || match arrival {
                Some(arrival) => !self.coarse.contains(&arrival),
                None => self.coarse.is_empty(),
            };
        self.misjudged |= !as_foreseen || !fine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_that_nothing_depends_on_are_told_by_their_bytes() {
        let mpeg4 = |bytes: &[u8]| is_disposable(Id::MPEG4, bytes);
        assert!(mpeg4(&[0, 0, 1, 0xb6, 0b1001_0000, 7, 7]));
        assert!(!mpeg4(&[0, 0, 1, 0xb6, 0b0101_0000, 7, 7]), "a P-VOP");
        assert!(!mpeg4(&[0, 0, 1, 0xb6, 0x90, 1, 0, 0, 1, 0xb6, 0x90]), "two packed into one");
        assert!(!mpeg4(&[0, 0, 1]) && !mpeg4(&[]) && !mpeg4(&[0, 0, 1, 0xb6]));
        let h264 = |bytes: &[u8]| is_disposable(Id::H264, bytes);
        assert!(
            h264(&[0, 0, 0, 1, 0x09, 0xf0, 0, 0, 1, 0x01, 9]),
            "a delimiter, then slice, ref 0"
        );
        assert!(!h264(&[0, 0, 0, 1, 0x41, 9]), "ref 2");
        assert!(!h264(&[0, 0, 0, 9, 0x01, 9]), "lengths, no start codes");
        assert!(!is_disposable(Id::MPEG2VIDEO, &[0, 0, 1, 0xb6, 0x90]));
    }

    #[test]
    fn what_was_not_foreseen_is_noticed() {
        let mut thrift = SkipMode::foreseeing(vec![(0, 0), (5, 2)]);
        assert_eq!([thrift.index(1), thrift.index(2)], [5, 2]);
        thrift.check(1, Some(2), false);
        assert!(!thrift.misjudged);
        for (n, arrival) in [(1, Some(3)), (2, Some(3)), (0, None)] {
            let mut thrift = SkipMode::foreseeing(vec![(0, 0), (5, 2)]);
            thrift.check(n, arrival, false);
            assert!(thrift.misjudged, "{n} {arrival:?}");
        }
        let mut thrift = SkipMode::default();
        thrift.finish_coarsely(4);
        thrift.check(9, Some(5), true);
        thrift.check(9, Some(4), false);
        assert!(!thrift.misjudged);
        thrift.check(9, Some(4), true);
        assert!(thrift.misjudged);
        let mut thrift = SkipMode::default();
        thrift.check(0, None, true);
        assert!(!thrift.misjudged, "nothing was coarse");
    }
}
