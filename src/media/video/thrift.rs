//! Not doing what nobody will see, without a change in any frame that somebody does.
//!
//! A picture that no other is predicted from (a B-VOP of MPEG-4, a slice with `nal_ref_idc` 0 of
//! H.264) may be finished coarsely, or under `fast` left out, when its index is not wanted. Its
//! index is foreseen from the count of frames so far; what was foreseen is checked on every wanted
//! frame that comes out, and the clip is decoded again in full when it does not hold.
use std::collections::BTreeSet;

use ffmpeg_next::codec::Id;

/// Whether no other picture depends on the one in `packet`; false where that is not certain.
pub(super) fn is_disposable(codec: Id, packet: &[u8]) -> bool {
    match codec {
        Id::MPEG4 => is_lone_b_vop(packet),
        Id::H264 => is_unreferenced_slice(packet),
        _ => false,
    }
}

/// Whether an MPEG-4 packet holds more than one picture.
pub(super) fn is_packed(packet: &[u8]) -> bool {
    start_codes(packet).filter(|(code, _)| *code == VOP).nth(1).is_some()
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

/// The byte after each `00 00 01`, and what follows it.
fn start_codes(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let found = bytes[at..].windows(3).position(|w| w == [0, 0, 1])?;
        at += found + 3;
        bytes.get(at).map(|code| (*code, &bytes[at + 1..]))
    })
}

/// What is foreseen of a clip, and whether it held.
#[derive(Default)]
pub(super) struct Thrift {
    /// Packets that were finished coarsely, by order of arrival.
    coarse: BTreeSet<i64>,
    /// Arrival numbers in the order in which frames should come out; only where frames are left
    /// out.
    order: Option<Vec<i64>>,
    /// Whether a wanted frame came out coarse or out of the foreseen order.
    pub misjudged: bool,
}

impl Thrift {
    /// For leaving frames out: a picture that nothing depends on comes out at once, any other when
    /// the next one of its kind arrives.
    pub(super) fn with_order(disposable: &[bool]) -> Self {
        let mut order = Vec::with_capacity(disposable.len());
        let mut held = None;
        for (arrival, &at_once) in disposable.iter().enumerate() {
            let arrival = arrival as i64;
            order.extend(if at_once { Some(arrival) } else { held.replace(arrival) });
        }
        order.extend(held);
        Thrift { order: Some(order), ..Thrift::default() }
    }

    pub(super) fn finish_coarsely(&mut self, arrival: i64) {
        self.coarse.insert(arrival);
    }

    /// Checks the wanted frame `index`, made of the packet that arrived as `arrival`.
    pub(super) fn check(&mut self, index: u64, arrival: Option<i64>) {
        let holds = match (arrival, &self.order) {
            (None, order) => order.is_none() && self.coarse.is_empty(),
            (Some(arrival), None) => !self.coarse.contains(&arrival),
            (Some(arrival), Some(order)) => order.get(index as usize) == Some(&arrival),
        };
        self.misjudged |= !holds;
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
        assert!(is_packed(&[0, 0, 1, 0xb6, 0x50, 1, 0, 0, 1, 0xb6, 0x90]));
        assert!(!is_packed(&[0, 0, 1, 0xb3, 0x50, 1, 0, 0, 1, 0xb6, 0x90]));
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

    /// I0 P3 B1 B2 P6 B4 B5 as they arrive come out in the order of their numbers.
    #[test]
    fn the_order_of_arrival_foretells_the_order_of_display() {
        let thrift = Thrift::with_order(&[false, false, true, true, false, true, true]);
        assert_eq!(thrift.order.as_deref(), Some(&[0, 2, 3, 1, 5, 6, 4][..]));
        assert_eq!(Thrift::with_order(&[]).order.as_deref(), Some(&[][..]));
    }

    #[test]
    fn what_was_not_foreseen_is_noticed() {
        let mut thrift = Thrift::with_order(&[false, false, true]);
        thrift.check(1, Some(2));
        assert!(!thrift.misjudged);
        thrift.check(2, Some(2));
        assert!(thrift.misjudged);
        let mut thrift = Thrift::default();
        thrift.finish_coarsely(4);
        thrift.check(9, Some(5));
        assert!(!thrift.misjudged);
        thrift.check(9, Some(4));
        assert!(thrift.misjudged);
    }
}
