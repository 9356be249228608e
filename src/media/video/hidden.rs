//! Packets that are not meant to be shown, by their own headers: VP8 and VP9 keep pictures that others
//! are predicted from (alternate references) in packets of their own.
use ffmpeg_next::codec::Id;

/// Whether a packet is for the decoder alone; false where its header does not say.
pub(super) fn is_hidden(codec: Id, packet: &[u8]) -> bool {
    match codec {
        // RFC 6386, 9.1: kind, three bits of version, whether it is shown.
        Id::VP8 => packet.first().is_some_and(|first| first >> 4 & 1 == 0),
        Id::VP9 => vp9_shows(packet) == Some(false),
        _ => false,
    }
}

/// Whether the last frame of a VP9 packet is shown (VP9 bitstream 0.6, 6.2); several frames may share
/// a packet, with an index of their sizes at its end (annex B).
fn vp9_shows(packet: &[u8]) -> Option<bool> {
    let frame = match superframe(packet) {
        Some(frames) => frames.last()?,
        None => packet,
    };
    let first = *frame.first()?;
    let bit = |n: u8| first >> (7 - n) & 1 == 1;
    if !bit(0) || bit(1) {
        return None;
    }
    let profile = u8::from(bit(2)) | u8::from(bit(3)) << 1;
    // Profile 3 has one reserved bit more.
    let at = if profile == 3 { 5 } else { 4 };
    let (shows_existing, shown) = (bit(at), bit(at + 2));
    Some(shows_existing || shown)
}

fn superframe(packet: &[u8]) -> Option<Vec<&[u8]>> {
    let marker = *packet.last()?;
    if marker & 0xe0 != 0xc0 {
        return None;
    }
    let (count, width) = (usize::from(marker & 7) + 1, usize::from(marker >> 3 & 3) + 1);
    let index = packet.len().checked_sub(2 + count * width)?;
    if packet[index] != marker {
        return None;
    }
    let sizes = packet[index + 1..packet.len() - 1].chunks_exact(width);
    let mut rest = &packet[..index];
    let mut frames = Vec::new();
    for size in sizes {
        let size = size.iter().rev().fold(0usize, |sum, &byte| sum << 8 | usize::from(byte));
        let (frame, behind) = rest.split_at_checked(size)?;
        frames.push(frame);
        rest = behind;
    }
    frames.retain(|frame| !frame.is_empty());
    Some(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp8_says_it_in_its_first_byte() {
        assert!(!is_hidden(Id::VP8, &[0b0001_0000, 0, 0]));
        assert!(is_hidden(Id::VP8, &[0b0000_0001, 0, 0]));
        assert!(!is_hidden(Id::VP8, &[]));
        assert!(!is_hidden(Id::H264, &[0]));
    }

    #[test]
    fn vp9_says_it_behind_its_profile() {
        // Marker 10, profile 0, no old frame, key frame, shown.
        let (shown, hidden) = (0b1000_0010, 0b1000_0100);
        assert!(!is_hidden(Id::VP9, &[shown, 1]));
        assert!(is_hidden(Id::VP9, &[hidden, 1]));
        assert!(!is_hidden(Id::VP9, &[0b1000_1000]), "an old frame is shown");
        assert!(!is_hidden(Id::VP9, &[0b1011_0001, 0]), "profile 3");
        assert!(is_hidden(Id::VP9, &[0b1011_0010, 0]), "profile 3");
        // A hidden frame of three bytes and a shown one of two share a packet.
        let both = [hidden, 0, 0, shown, 0, 0xc1, 3, 2, 0xc1];
        assert!(!is_hidden(Id::VP9, &both));
        let hidden_last = [shown, 0, 0, hidden, 0, 0xc1, 3, 2, 0xc1];
        assert!(is_hidden(Id::VP9, &hidden_last));
        assert!(!is_hidden(Id::VP9, &[0xc1]) && !is_hidden(Id::VP9, &[]));
    }
}
