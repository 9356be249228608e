//! What the headers of MPEG-4 Visual (ISO/IEC 14496-2, 6.2) say of a clip's pictures, read without
//! decoding any. Whatever is unusual gives no answer, so that nobody builds on it.
use super::{bits::Bits, start_codes::start_codes};

const GROUP: u8 = 0xb3;
const VOP: u8 = 0xb6;
/// Object types of the Simple and the Advanced Simple profile.
const PLAIN_TYPES: [u32; 2] = [1, 17];

/// How a picture is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PictureType {
    /// From nothing.
    I,
    /// From the last I or P picture.
    P,
    /// From the last two I or P pictures; no other is predicted from it.
    B,
}

/// The one picture of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    pub kind: PictureType,
    /// Whether a decoder that knows nothing can begin here: predicted from nothing, and all the
    /// headers of the first packet repeated.
    pub entry: bool,
}

/// The pictures of `packets`; `None` unless every packet is certain to give exactly one frame, a B
/// picture at once and any other when the next of its kind arrives.
///
/// That is so when each holds one coded picture and nothing behind it, the headers never change,
/// pictures are rectangular, progressive and of a simple profile, and B pictures are announced and
/// lie in time between the two that they are predicted from.
pub(super) fn pictures<'a>(
    extradata: &[u8],
    mut packets: impl Iterator<Item = &'a [u8]>,
) -> Option<Vec<Picture>> {
    let first = Parts::of(packets.next()?)?;
    let layer = Layer::find(first.headers).or_else(|| Layer::find(extradata))?;
    let mut clock = Clock::default();
    let mut read = |parts: Parts<'a>| {
        let whole = parts.headers == first.headers;
        if !whole && !parts.headers.is_empty() {
            return None;
        }
        if let Some(group) = parts.group {
            clock.set(group)?;
        }
        let kind = clock.advance(&layer, parts.picture)?;
        Some(Picture { kind, entry: whole && kind == PictureType::I })
    };
    let mut pictures = vec![read(first)?];
    for packet in packets {
        pictures.push(read(Parts::of(packet)?)?);
    }
    pictures[0].entry.then_some(pictures)
}

/// A packet taken apart.
#[derive(Clone, Copy)]
struct Parts<'a> {
    /// Everything before the group's header and the picture.
    headers: &'a [u8],
    /// What follows the start code of a group of pictures.
    group: Option<&'a [u8]>,
    /// What follows the picture's start code.
    picture: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(packet: &'a [u8]) -> Option<Self> {
        if !packet.starts_with(&[0, 0, 1]) {
            return None;
        }
        let mut units = start_codes(packet).skip_while(|(code, _)| !matches!(*code, GROUP | VOP));
        let (code, rest) = units.next()?;
        let headers = &packet[..packet.len() - rest.len() - 4];
        let (group, picture) = match code {
            GROUP => (Some(rest), units.next().filter(|(code, _)| *code == VOP)?.1),
            _ => (None, rest),
        };
        units.next().is_none().then_some(Parts { headers, group, picture })
    }
}

/// The header of the video object layer as far as pictures depend on it.
struct Layer {
    /// Units of time in a second.
    resolution: u32,
    /// Whether B pictures are announced.
    reorders: bool,
}

impl Layer {
    /// The only layer of `headers`.
    fn find(headers: &[u8]) -> Option<Self> {
        let mut layers = start_codes(headers).filter(|(code, _)| matches!(code, 0x20..=0x2f));
        let (_, layer) = layers.next()?;
        if layers.next().is_some() {
            return None;
        }
        Self::read(&mut Bits::new(layer))
    }

    fn read(bits: &mut Bits) -> Option<Self> {
        bits.read(1)?;
        if !PLAIN_TYPES.contains(&bits.read(8)?) {
            return None;
        }
        let mut version = 1;
        if bits.is_set()? {
            version = bits.read(4)?;
            bits.read(3)?;
        }
        if bits.read(4)? == 15 {
            bits.read(16)?;
        }
        let mut reorders = false;
        if bits.is_set()? {
            bits.read(2)?;
            reorders = !bits.is_set()?;
            if bits.is_set()? {
                // The buffer model.
                (0..79).try_for_each(|_| bits.read(1).map(drop))?;
            }
        }
        bits.expect(3, 0b001)?; // rectangular, marker
        let resolution = bits.read(16).filter(|&units| units > 0)?;
        bits.expect(1, 1)?;
        if bits.is_set()? {
            bits.read(time_bits(resolution))?;
        }
        bits.expect(1, 1)?;
        bits.read(13)?;
        bits.expect(1, 1)?;
        bits.read(13)?;
        bits.expect(2, 0b10)?; // marker, progressive
        bits.read(1)?;
        // No sprites, eight bits.
        bits.expect(if version == 1 { 2 } else { 3 }, 0)?;
        Some(Layer { resolution, reorders })
    }
}

/// Bits of a time within a second.
fn time_bits(resolution: u32) -> u32 {
    (u32::BITS - (resolution - 1).leading_zeros()).max(1)
}

/// The time of pictures as FFmpeg reckons it: it drops a B picture that does not lie between the
/// two others.
#[derive(Default)]
struct Clock {
    seconds: i64,
    /// Before the last I or P picture.
    seconds_before: i64,
    /// I and P pictures so far.
    anchors: u64,
    /// When the last one was, and how long after the one before, in units.
    anchor: i64,
    step: i64,
}

impl Clock {
    /// Takes the time of a group of pictures.
    fn set(&mut self, group: &[u8]) -> Option<()> {
        let mut bits = Bits::new(group);
        let (hours, minutes) = (bits.read(5)?, bits.read(6)?);
        bits.expect(1, 1)?;
        let seconds = bits.read(6)?;
        self.seconds = i64::from(seconds + 60 * (minutes + 60 * hours));
        Some(())
    }

    /// The kind of the next picture when its header is sound and its time is right.
    fn advance(&mut self, layer: &Layer, picture: &[u8]) -> Option<PictureType> {
        let mut bits = Bits::new(picture);
        let kind = [PictureType::I, PictureType::P, PictureType::B]
            .get(bits.read(2)? as usize)
            .copied()?;
        let mut seconds = 0;
        while bits.is_set()? {
            seconds += 1;
        }
        bits.expect(1, 1)?;
        let units = i64::from(bits.read(time_bits(layer.resolution))?);
        bits.expect(2, 0b11)?; // marker, coded
        bits.read(if kind == PictureType::P { 4 } else { 3 })?;
        // Neither the quantiser nor the range of vectors may be 0.
        bits.read(5).filter(|&quantiser| quantiser > 0)?;
        if kind != PictureType::I {
            bits.read(3).filter(|&range| range > 0)?;
        }
        let at = |seconds: i64| seconds * i64::from(layer.resolution) + units;
        if kind == PictureType::B {
            let between = self.step - (self.anchor - at(self.seconds_before + seconds));
            let in_order = 0 < between && between < self.step && self.step <= i64::from(u16::MAX);
            return (layer.reorders && self.anchors >= 2 && in_order).then_some(kind);
        }
        self.seconds_before = self.seconds;
        self.seconds += seconds;
        self.step = at(self.seconds) - self.anchor;
        self.anchor += self.step;
        self.anchors += 1;
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A start code and numbers of so many bits each.
    fn unit(code: u8, fields: &[(u32, u32)]) -> Vec<u8> {
        let bits: Vec<bool> =
            fields.iter().flat_map(|&(v, n)| (0..n).rev().map(move |i| v >> i & 1 == 1)).collect();
        let byte =
            |bits: &[bool]| (0..8).fold(0, |b, i| b << 1 | u8::from(*bits.get(i).unwrap_or(&true)));
        [0, 0, 1, code].into_iter().chain(bits.chunks(8).map(byte)).collect()
    }

    struct Headers {
        kind: u32,
        low_delay: u32,
        interlaced: u32,
        sprite: u32,
    }

    const PLAIN: Headers = Headers { kind: 17, low_delay: 0, interlaced: 0, sprite: 0 };

    /// 25 units a second, so that times have five bits.
    fn headers(h: &Headers) -> Vec<u8> {
        let control = [(1, 1), (1, 2), (h.low_delay, 1), (0, 1)];
        let start = [(0, 1), (h.kind, 8), (0, 1), (1, 4)];
        let size = [(160, 13), (1, 1), (96, 13), (1, 1), (h.interlaced, 1), (1, 1), (h.sprite, 1)];
        let time = [(0, 2), (1, 1), (25, 16), (1, 1), (0, 1), (1, 1)];
        let layer = [&start[..], &control, &time, &size, &[(0, 9)]].concat();
        [unit(0xb0, &[(0xf5, 8)]), unit(0x00, &[]), unit(0x20, &layer)].concat()
    }

    /// Kind (0 I, 1 P, 2 B, 3 S), seconds begun, units, coded, quantiser.
    fn vop((kind, seconds, units, coded, quantiser): (u32, u32, u32, u32, u32)) -> Vec<u8> {
        let mut fields = vec![(kind, 2)];
        fields.extend((0..seconds).map(|_| (1, 1)));
        fields.extend([(0, 1), (1, 1), (units, 5), (1, 1), (coded, 1)]);
        fields.extend([(0, if kind == 1 { 4 } else { 3 }), (quantiser, 5)]);
        fields.extend([(1, if kind == 0 { 0 } else { 3 }), (0b1011_0111, 8)]);
        unit(VOP, &fields)
    }

    /// I0 P3 B1 B2 I24 P25, the last in the second second.
    fn clip() -> Vec<Vec<u8>> {
        let entry = [headers(&PLAIN), vop((0, 0, 0, 1, 5))].concat();
        let group = [headers(&PLAIN), unit(GROUP, &[(0, 11), (1, 1), (0, 6), (3, 2)])].concat();
        let again = [group, vop((0, 0, 24, 1, 5))].concat();
        let others = [(1, 0, 3, 1, 9), (2, 0, 1, 1, 9), (2, 0, 2, 1, 9)].map(vop);
        [vec![entry], others.to_vec(), vec![again, vop((1, 1, 0, 1, 5))]].concat()
    }

    fn read(packets: &[Vec<u8>]) -> Option<Vec<Picture>> {
        pictures(&[], packets.iter().map(Vec::as_slice))
    }

    fn entries(packets: &[Vec<u8>]) -> Option<Vec<bool>> {
        Some(read(packets)?.iter().map(|picture| picture.entry).collect())
    }

    #[test]
    fn a_sound_clip_is_read() {
        let kinds: Vec<PictureType> =
            read(&clip()).expect("sound").iter().map(|p| p.kind).collect();
        assert_eq!(
            kinds,
            [
                PictureType::I,
                PictureType::P,
                PictureType::B,
                PictureType::B,
                PictureType::I,
                PictureType::P
            ]
        );
        let all = [true, false, false, false, true, false];
        assert_eq!(entries(&clip()).expect("sound"), all);
    }

    #[test]
    fn headers_may_lie_outside_the_packets() {
        let bare = vec![vop((0, 0, 0, 1, 5)), vop((1, 0, 3, 1, 9)), vop((0, 0, 5, 1, 9))];
        assert_eq!(read(&bare), None);
        let packets = bare.iter().map(Vec::as_slice);
        let found = pictures(&headers(&PLAIN), packets).expect("sound");
        assert!(found[0].entry && !found[1].entry && found[2].entry);
        // Where only the first packet has them, nobody can begin later.
        let mut first = clip();
        first[4] = vop((0, 0, 24, 1, 5));
        assert_eq!(entries(&first).expect("sound"), [true, false, false, false, false, false]);
    }

    #[test]
    fn whatever_is_unusual_gives_no_answer() {
        let with = |at: usize, packet: Vec<u8>| {
            let mut packets = clip();
            packets[at] = packet;
            read(&packets)
        };
        let same = |h: &Headers| {
            let mut packets = clip();
            packets[0] = [headers(h), vop((0, 0, 0, 1, 5))].concat();
            packets[4] = [headers(h), vop((0, 0, 24, 1, 5))].concat();
            read(&packets)
        };
        assert!(same(&PLAIN).is_some() && with(2, vop((2, 0, 1, 1, 9))).is_some());
        assert_eq!(with(2, vop((2, 0, 1, 0, 9))), None, "not coded");
        assert_eq!(with(2, vop((2, 0, 1, 1, 0))), None, "no quantiser");
        assert_eq!(with(2, vop((3, 0, 1, 1, 9))), None, "a sprite");
        assert_eq!(with(2, vop((2, 0, 3, 1, 9))), None, "a B picture at the time of the last");
        assert_eq!(with(2, vop((2, 0, 0, 1, 9))), None, "a B picture at the time of the first");
        assert_eq!(with(1, vop((2, 0, 1, 1, 9))), None, "a B picture behind one other only");
        let two = [vop((1, 0, 3, 1, 9)), vop((2, 0, 1, 1, 9))].concat();
        assert_eq!(with(1, two), None, "two pictures");
        let behind = [vop((1, 0, 3, 1, 9)), unit(0xb2, &[(7, 8)])].concat();
        assert_eq!(with(1, behind), None, "user data behind a picture");
        assert_eq!(with(1, b"\0\0\x01\xb6".to_vec()), None, "cut off");
        assert_eq!(with(1, Vec::new()), None, "empty");
        let other = [headers(&Headers { low_delay: 1, ..PLAIN }), vop((0, 0, 24, 1, 5))].concat();
        assert_eq!(with(4, other), None, "other headers");
        assert_eq!(with(0, vop((0, 0, 0, 1, 5))), None, "no headers");
        assert_eq!(same(&Headers { low_delay: 1, ..PLAIN }), None, "B pictures are ruled out");
        assert_eq!(same(&Headers { interlaced: 1, ..PLAIN }), None);
        assert_eq!(same(&Headers { sprite: 1, ..PLAIN }), None);
        assert_eq!(same(&Headers { kind: 5, ..PLAIN }), None, "an odd profile");
        assert_eq!(read(&clip()[1..]), None, "begins within a group");
        assert_eq!(read(&[]), None);
    }
}
