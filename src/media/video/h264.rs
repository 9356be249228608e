//! What the headers of H.264 (ITU-T H.264, 7.3) in a byte stream say of a clip's pictures, read without
//! decoding any. Whatever is unusual gives no answer, so that nobody builds on it.
use std::borrow::Cow;

use super::{bits::Bits, start_codes::start_codes};

/// Pictures that a decoder can hold back.
const MOST_HELD: usize = 16;
/// Bytes of a unit in which everything that is read lies.
const HEADER: usize = 64;

/// The one picture of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Whether it is predicted from nothing, and nothing behind it from what was before (IDR).
    pub entry: bool,
    /// Whether no other is predicted from it.
    pub disposable: bool,
    /// Whether it is a B picture.
    pub is_b: bool,
}

/// The pictures of a clip and the order in which they are shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pictures {
    /// By arrival.
    pub arrived: Vec<Picture>,
    /// Arrival numbers in the order of display.
    pub order: Vec<usize>,
    /// Most pictures that arrive before one and are shown behind it; a decoder that holds back fewer
    /// shows them in another order.
    pub held_back: usize,
}

/// The pictures of `packets`; `None` unless every packet is certain to give exactly one frame in a known
/// order.
///
/// That is so when each holds one coded picture and the first is an IDR; the parameter sets never
/// change; pictures are progressive and of no extension; and their numbers and counts of order, which begin
/// anew at every IDR, leave nothing out and name nothing twice. A clip whose reference marking begins a new
/// count elsewhere (`memory_management_control_operation` 5) does not pass that.
pub(super) fn pictures<'a>(
    extradata: &'a [u8],
    packets: impl Iterator<Item = &'a [u8]>,
) -> Option<Pictures> {
    let mut packets = packets.map(units);
    let first = packets.next()??;
    let mut sets: Vec<&[u8]> = if extradata.is_empty() { Vec::new() } else { units(extradata)? };
    sets.extend(&first);
    sets.retain(|unit| matches!(kind(unit), SPS | PPS));
    let layout = Layout::read(&sets)?;
    let mut found = Vec::new();
    let mut count = Count::default();
    for packet in std::iter::once(Some(first)).chain(packets) {
        let packet = packet?;
        let known = |unit: &&[u8]| match kind(unit) {
            SPS | PPS => sets.contains(unit),
            SEI => is_harmless(unit),
            SLICE | IDR | DELIMITER | FILLER => true,
            _ => false,
        };
        if !packet.iter().all(known) {
            return None;
        }
        let mut slices = packet.into_iter().filter(|unit| matches!(kind(unit), SLICE | IDR));
        let slice = layout.slice(slices.next()?)?;
        let same = |unit: &[u8]| {
            layout
                .slice(unit)
                .is_some_and(|other| other.first > 0 && slice.is_of_one_picture(&other))
        };
        if slice.first > 0 || !slices.all(same) {
            return None;
        }
        found.push((slice.picture, count.of(&layout, &slice)?));
    }
    ordered(&found)
}

const SLICE: u8 = 1;
const IDR: u8 = 5;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;

/// The type of a unit.
fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |header| header & 0x1f)
}

/// The units of a packet in a byte stream, without zeros behind them; `None` for one that does not begin
/// with a start code.
fn units(packet: &[u8]) -> Option<Vec<&[u8]>> {
    if !packet.starts_with(&[0, 0, 1]) && !packet.starts_with(&[0, 0, 0, 1]) {
        return None;
    }
    let mut starts: Vec<usize> =
        start_codes(packet).map(|(_, rest)| packet.len() - rest.len() - 1).collect();
    starts.push(packet.len() + 3);
    let unit = |pair: &[usize]| {
        let unit = &packet[pair[0]..pair[1] - 3];
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        &unit[..unit.len() - zeros]
    };
    Some(starts.windows(2).map(unit).collect())
}

/// What the parameter sets say of slices.
struct Layout {
    /// Identifiers of the picture parameter sets.
    ids: Vec<u32>,
    frame_bits: u32,
    /// Bits of the count of order; `None` where pictures are shown as they arrive.
    order_bits: Option<u32>,
}

/// The beginning of a slice.
struct Slice {
    picture: Picture,
    /// Its first macroblock.
    first: u32,
    frame: u32,
    order: u32,
}

impl Slice {
    fn is_of_one_picture(&self, other: &Slice) -> bool {
        (self.picture.entry, self.picture.disposable, self.frame, self.order)
            == (other.picture.entry, other.picture.disposable, other.frame, other.order)
    }
}

impl Layout {
    /// Of the only sequence parameter set, however often it is repeated, and picture parameter sets of
    /// which no two have the same identifier.
    fn read(sets: &[&[u8]]) -> Option<Self> {
        let mut sequences = sets.iter().filter(|unit| kind(unit) == SPS);
        let sequence = sequences.next()?;
        if sequences.any(|other| other != sequence) {
            return None;
        }
        let (sequence_id, mut layout) = Self::of_sequence(sequence)?;
        let mut pictures: Vec<_> = sets.iter().filter(|unit| kind(unit) == PPS).collect();
        pictures.sort_unstable();
        pictures.dedup();
        for unit in &pictures {
            let id = plain_id(unit, sequence_id).filter(|id| !layout.ids.contains(id))?;
            layout.ids.push(id);
        }
        Some(layout)
    }

    /// With the identifier of the set.
    fn of_sequence(unit: &[u8]) -> Option<(u32, Self)> {
        let bytes = unescaped(&unit[..unit.len().min(HEADER)]);
        let mut bits = Bits::new(&bytes);
        bits.read(8)?;
        let profile = bits.read(8)?;
        bits.read(16)?;
        let id = bits.golomb()?;
        match profile {
            66 | 77 | 88 => {}
            100 | 110 | 122 => {
                bits.golomb().filter(|chroma| *chroma < 3)?;
                bits.golomb()?;
                bits.golomb()?;
                bits.expect(2, 0)?; // no lossless transform, no scaling matrices
            }
            _ => return None,
        }
        let frame_bits = bits.golomb().filter(|bits| *bits <= 12)? + 4;
        let order_bits = match bits.golomb()? {
            0 => Some(bits.golomb().filter(|bits| *bits <= 12)? + 4),
            2 => None,
            _ => return None,
        };
        bits.golomb()?;
        bits.expect(1, 0)?; // no gaps in the numbers of frames
        bits.golomb()?;
        bits.golomb()?;
        bits.expect(1, 1)?; // frames only
        Some((id, Layout { ids: Vec::new(), frame_bits, order_bits }))
    }

    fn slice(&self, unit: &[u8]) -> Option<Slice> {
        let bytes = unescaped(&unit[..unit.len().min(HEADER)]);
        let mut bits = Bits::new(&bytes);
        bits.expect(1, 0)?;
        let disposable = bits.read(2)? == 0;
        let entry = bits.read(5)? == u32::from(IDR);
        let first = bits.golomb()?;
        let is_b = match bits.golomb()? % 5 {
            0 | 2 => false,
            1 => true,
            _ => return None, // switching pictures
        };
        bits.golomb().filter(|id| self.ids.contains(id))?;
        let frame = bits.read(self.frame_bits)?;
        if entry {
            bits.golomb()?;
        }
        let order = self.order_bits.map_or(Some(0), |count| bits.read(count))?;
        let picture = Picture { entry, disposable, is_b };
        (!entry || !disposable && frame == 0 && order == 0).then_some(Slice {
            picture,
            first,
            frame,
            order,
        })
    }
}

/// The identifier of a picture parameter set of this sequence without a second count of order, which only
/// fields need.
fn plain_id(unit: &[u8], sequence: u32) -> Option<u32> {
    let bytes = unescaped(&unit[..unit.len().min(HEADER)]);
    let mut bits = Bits::new(&bytes);
    bits.read(8)?;
    let id = bits.golomb()?;
    bits.golomb().filter(|of| *of == sequence)?;
    bits.read(1)?;
    bits.expect(1, 0)?;
    Some(id)
}

/// Whether a unit of supplemental information holds nothing that a decoder takes from one picture to the
/// next: buffering, what users registered or not, and where to begin. The times of pictures (1) make
/// progressive pictures interlaced that come behind others, and x264 up to build 33 is decoded in a way
/// of its own.
fn is_harmless(unit: &[u8]) -> bool {
    let bytes = unescaped(unit);
    let mut rest = bytes.get(1..).unwrap_or_default();
    // A byte of 0x80 ends the unit.
    while rest.len() > 1 {
        let Some((kind, size)) = number(&mut rest).zip(number(&mut rest)) else { return false };
        let Some((payload, behind)) = rest.split_at_checked(size) else { return false };
        if !matches!(kind, 0 | 4 | 5 | 6) || kind == 5 && is_of_early_x264(payload) {
            return false;
        }
        rest = behind;
    }
    true
}

/// A number in bytes of which all but the last are 255.
fn number(bytes: &mut &[u8]) -> Option<usize> {
    let full = bytes.iter().take_while(|byte| **byte == 255).count();
    let last = *bytes.get(full)?;
    *bytes = &bytes[full + 1..];
    Some(255 * full + usize::from(last))
}

fn is_of_early_x264(payload: &[u8]) -> bool {
    let text = payload.get(16..).unwrap_or_default();
    let Some(build) = text.strip_prefix(b"x264 - core ") else { return false };
    let digits = build.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0u32, |n, byte| n.saturating_mul(10).saturating_add(u32::from(byte - b'0'))) <= 33
}

/// Bytes of a unit without those that keep start codes out of it.
fn unescaped(unit: &[u8]) -> Cow<'_, [u8]> {
    if !unit.windows(3).any(|three| three == [0, 0, 3]) {
        return Cow::Borrowed(unit);
    }
    let mut bytes: Vec<u8> = Vec::with_capacity(unit.len());
    let mut zeros = 0;
    for &byte in unit {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        bytes.push(byte);
    }
    Cow::Owned(bytes)
}

/// Counts of order in full, from their lower bits (8.2.1.1).
#[derive(Default)]
struct Count {
    /// Number of the last picture that others are predicted from.
    frame: u32,
    /// Upper and lower bits of the last picture that others are predicted from.
    upper: i64,
    lower: i64,
    /// Of the last picture, where they are shown as they arrive.
    last: i64,
}

impl Count {
    fn of(&mut self, layout: &Layout, slice: &Slice) -> Option<i64> {
        if slice.picture.entry {
            *self = Count { last: -1, ..Count::default() };
        } else if slice.frame != (self.frame + 1) % (1 << layout.frame_bits) {
            return None;
        }
        if !slice.picture.disposable {
            self.frame = slice.frame;
        }
        let Some(bits) = layout.order_bits else {
            self.last += 1;
            return Some(self.last);
        };
        let (range, lower) = (1i64 << bits, i64::from(slice.order));
        let upper = if lower < self.lower && self.lower - lower >= range / 2 {
            self.upper + range
        } else if lower > self.lower && lower - self.lower > range / 2 {
            self.upper - range
        } else {
            self.upper
        };
        if !slice.picture.disposable {
            (self.upper, self.lower) = (upper, lower);
        }
        (upper + lower >= 0).then_some(upper + lower)
    }
}

/// The order of display by the counts; `None` when they are not all there.
fn ordered(found: &[(Picture, i64)]) -> Option<Pictures> {
    if !found.first()?.0.entry {
        return None;
    }
    let mut order = Vec::with_capacity(found.len());
    let mut held_back = 0;
    let mut start = 0;
    for period in found.chunk_by(|_, (next, _)| !next.entry) {
        let mut shown: Vec<usize> = (0..period.len()).collect();
        shown.sort_by_key(|&at| period[at].1);
        let step = shown.get(1).map_or(2, |&second| period[second].1);
        let counted = |(place, &at): (usize, &usize)| period[at].1 == step * place as i64;
        if !matches!(step, 1 | 2) || !shown.iter().enumerate().all(counted) {
            return None;
        }
        held_back = held_back.max(most_held(period)?);
        order.extend(shown.iter().map(|at| start + at));
        start += period.len();
    }
    Some(Pictures {
        arrived: found.iter().map(|(picture, _)| *picture).collect(),
        order,
        held_back,
    })
}

/// Most pictures that arrive before one and are shown behind it; `None` for more than can be.
fn most_held(period: &[(Picture, i64)]) -> Option<usize> {
    // The last ones to be shown of those that arrived.
    let mut last: Vec<i64> = Vec::with_capacity(MOST_HELD + 2);
    let mut most = 0;
    for (_, count) in period {
        let place = last.partition_point(|other| other < count);
        most = most.max(last.len() - place);
        last.insert(place, *count);
        if last.len() > MOST_HELD + 1 {
            last.remove(0);
        }
    }
    (most <= MOST_HELD).then_some(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of so many bits; 0 bits stand for Exp-Golomb.
    type Fields = Vec<(u32, u32)>;

    /// A unit with its start code, and bytes that keep start codes out of it.
    fn unit(header: u8, fields: &[(u32, u32)]) -> Vec<u8> {
        let mut bits = Vec::new();
        for &(value, count) in fields {
            let (value, count) = match count {
                0 => (value + 1, 2 * (u32::BITS - (value + 1).leading_zeros()) - 1),
                count => (value, count),
            };
            bits.extend((0..count).rev().map(|i| value >> i & 1 == 1));
        }
        bits.push(true);
        let byte = |bits: &[bool]| {
            (0..8).fold(0, |b, i| b << 1 | u8::from(*bits.get(i).unwrap_or(&false)))
        };
        let mut bytes = vec![0, 0, 0, 1, header];
        for byte in bits.chunks(8).map(byte) {
            if bytes.ends_with(&[0, 0]) && byte <= 3 {
                bytes.push(3);
            }
            bytes.push(byte);
        }
        bytes
    }

    /// Main profile, numbers of frames of 4 bits, counts of order of 5.
    fn sequence() -> Fields {
        let (profile, frames, size) =
            ([(77, 8), (0, 8), (30, 8), (0, 0)], (0, 0), [(9, 0), (5, 0)]);
        let order = [(0, 0), (1, 0), (2, 0), (0, 1)];
        [&profile[..], &[frames], &order, &size, &[(1, 1), (1, 1)]].concat()
    }

    fn sets(sequence: &[(u32, u32)]) -> Vec<u8> {
        [unit(0x67, sequence), unit(0x68, &[(0, 0), (0, 0), (1, 1), (0, 1), (0, 0)])].concat()
    }

    /// `I` an IDR, `P`, `b` a B picture that no other is predicted from, `B` one that is not so.
    fn slice(first: u32, letter: char, frame: u32, order: u32) -> Vec<u8> {
        let (header, kind) = match letter {
            'I' => (0x65, 7),
            'P' => (0x41, 5),
            'B' => (0x41, 6),
            _ => (0x01, 6),
        };
        let mut fields = vec![(first, 0), (kind, 0), (0, 0), (frame, 4)];
        fields.extend((letter == 'I').then_some((0, 0)));
        fields.extend([(order, 5), (0x5a, 8)]);
        unit(header, &fields)
    }

    /// I0 P6 b2 b4 P8, and once more from an IDR on.
    fn clip() -> Vec<Vec<u8>> {
        let period = |repeated: bool| {
            let idr = [sets(&sequence()), slice(0, 'I', 0, 0), slice(40, 'I', 0, 0)];
            let others = [('P', 1, 6), ('b', 2, 2), ('b', 2, 4), ('P', 2, 8)];
            let others = others.map(|(letter, frame, order)| slice(0, letter, frame, order));
            [vec![idr[usize::from(!repeated)..].concat()], others.to_vec()].concat()
        };
        [period(true), period(false)].concat()
    }

    fn read(packets: &[Vec<u8>]) -> Option<Pictures> {
        pictures(&[], packets.iter().map(Vec::as_slice))
    }

    #[test]
    fn a_sound_clip_is_read() {
        let found = read(&clip()).expect("sound");
        assert_eq!(found.order, [0, 2, 3, 1, 4, 5, 7, 8, 6, 9]);
        assert_eq!(found.held_back, 1);
        let entries: Vec<usize> = (0..10).filter(|&a| found.arrived[a].entry).collect();
        let b: Vec<usize> = (0..10).filter(|&a| found.arrived[a].is_b).collect();
        assert_eq!((entries, b), (vec![0, 5], vec![2, 3, 7, 8]));
        assert!(found.arrived.iter().all(|p| p.disposable == p.is_b));
        // The sets may lie outside, and pictures may be shown as they arrive.
        let bare: Vec<_> = clip()[5..].to_vec();
        assert_eq!(read(&bare), None);
        let outside = pictures(&sets(&sequence()), bare.iter().map(Vec::as_slice));
        assert_eq!(outside.expect("sound").order, [0, 2, 3, 1, 4]);
    }

    /// Counts of five bits in a long period wrap around.
    #[test]
    fn counts_of_order_go_on_when_their_bits_are_used_up() {
        let mut packets = vec![[sets(&sequence()), slice(0, 'I', 0, 0)].concat()];
        for n in 0..30u32 {
            packets.push(slice(0, 'P', (n + 1) % 16, (4 * n + 4) % 32));
            packets.push(slice(0, 'b', (n + 2) % 16, (4 * n + 2) % 32));
        }
        let found = read(&packets).expect("sound");
        assert_eq!((found.order.len(), found.order[..5].to_vec()), (61, vec![0, 2, 1, 4, 3]));
        assert_eq!(*found.order.last().expect("some"), 59);
    }

    #[test]
    fn whatever_is_unusual_gives_no_answer() {
        let with = |at: usize, packet: Vec<u8>| {
            let mut packets = clip();
            packets[at] = packet;
            read(&packets)
        };
        let of = |change: &dyn Fn(&mut Fields)| {
            let mut fields = sequence();
            change(&mut fields);
            with(0, [sets(&fields), slice(0, 'I', 0, 0)].concat())
        };
        assert!(of(&|_| ()).is_some());
        assert_eq!(of(&|f| f[11] = (0, 1)), None, "fields");
        assert_eq!(of(&|f| f[8] = (1, 1)), None, "gaps");
        assert_eq!(of(&|f| f[0] = (118, 8)), None, "several views");
        assert_eq!(of(&|f| f[5] = (1, 0)), None, "counts of the second type");
        assert_eq!(with(1, slice(0, 'P', 1, 4)), None, "one count twice");
        assert_eq!(with(1, slice(0, 'P', 1, 10)), None, "a count is left out");
        assert_eq!(with(4, slice(0, 'P', 2, 2)), None, "a new count, as after operation 5");
        assert_eq!(with(1, clip()[1..3].concat()), None, "two pictures");
        assert_eq!(with(1, slice(3, 'P', 1, 6)), None, "the beginning is missing");
        assert_eq!(with(1, Vec::new()), None, "an empty packet");
        assert_eq!(with(1, clip()[1][4..].to_vec()), None, "no start code");
        assert_eq!(
            with(1, [clip()[1].clone(), unit(0x74, &[(0, 8)])].concat()),
            None,
            "another layer"
        );
        assert_eq!(with(0, slice(0, 'P', 0, 0)), None, "no IDR");
        assert_eq!(with(1, slice(0, 'P', 2, 6)), None, "a number is left out");
        let other = unit(0x68, &[(1, 0), (0, 0), (1, 1), (0, 1), (0, 0)]);
        assert_eq!(with(5, [other, clip()[5].clone()].concat()), None, "a new set");
        for at in 0..clip().len() {
            for length in 0..clip()[at].len() {
                // However it is cut: an answer or none, and no panic.
                let _ = with(at, clip()[at][..length].to_vec());
            }
        }
    }

    /// A picture parameter set by its identifier, that of its sequence, and a flag that means little.
    fn picture_set(id: u32, sequence: u32, coding: u32) -> Vec<u8> {
        unit(0x68, &[(id, 0), (sequence, 0), (coding, 1), (0, 1), (0, 0)])
    }

    #[test]
    fn picture_parameter_sets_are_told_apart() {
        let of = |sets: &[Vec<u8>]| {
            let mut packets = clip();
            let sequence = unit(0x67, &sequence());
            packets[0] = [sequence, sets.concat(), slice(0, 'I', 0, 0)].concat();
            read(&packets[..5]).is_some()
        };
        let [plain, other] = [0, 1].map(|id| picture_set(id, 0, 1));
        assert!(
            of(std::slice::from_ref(&plain)) && of(&[plain.clone(), other.clone(), plain.clone()])
        );
        assert!(!of(&[plain, picture_set(0, 0, 0)]), "two of one name");
        assert!(!of(&[other]), "of the name that slices give there is none");
        assert!(!of(&[picture_set(0, 1, 1)]) && !of(&[]), "of another sequence");
    }

    #[test]
    fn information_that_reaches_beyond_its_picture_gives_no_answer() {
        let of = |messages: &[(u8, &[u8])]| {
            let messages = messages
                .iter()
                .flat_map(|(kind, payload)| [&[*kind, payload.len() as u8][..], payload].concat());
            let bytes: Vec<u8> = [6].into_iter().chain(messages).chain([0x80]).collect();
            is_harmless(&bytes)
        };
        let x264 = |build: &str| format!("0123456789abcdefx264 - core {build} r3095").into_bytes();
        assert!(of(&[]) && of(&[(0, &[1; 9]), (6, &[7])]) && of(&[(5, &x264("164")), (4, &[])]));
        assert!(!of(&[(6, &[7]), (1, &[0; 4])]), "times");
        assert!(!of(&[(47, &[0; 4])]), "another kind");
        assert!(!of(&[(5, &x264("33"))]) && !of(&[(5, &x264(""))]) && of(&[(5, &x264("34"))]));
        assert!(of(&[(5, b"short")]));
        let long = [&[6, 5, 255, 20][..], &[9; 275], &[0x80]].concat();
        assert!(is_harmless(&long) && !is_harmless(&long[..200]), "cut short");
        // The payload's 00 00 02 is written as 00 00 03 02.
        assert!(is_harmless(&[6, 5, 3, 0, 0, 3, 2, 0x80]));
        let with_times = [clip()[1].clone(), unit(6, &[(1, 8), (1, 8), (0, 8)])].concat();
        let mut packets = clip();
        packets[1] = with_times;
        assert_eq!(read(&packets), None);
    }

    #[test]
    fn more_than_can_be_held_back_gives_no_answer() {
        let held = |count: i64| {
            let picture = Picture { entry: false, disposable: false, is_b: false };
            let mut period: Vec<(Picture, i64)> = (0..count).map(|n| (picture, n + 1)).collect();
            period.push((picture, 0));
            most_held(&period)
        };
        assert_eq!([0, 1, 16, 17, 40].map(held), [Some(0), Some(1), Some(16), None, None]);
    }
}
