//! Whether a file is as long as its container says: what demuxers pass over in silence.
//!
//! Only lengths that the container itself states are compared; a stream that states none (a live
//! recording) may be cut unnoticed.
use std::{fs::File, os::unix::fs::FileExt, path::Path};

/// A file that is looked at here and there.
struct Source {
    file: File,
    length: u64,
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// So many bytes.
    Bytes(u64),
    /// The end of the named thing, how long that is is not known.
    Part(&'static str),
}

/// What is missing at the end of the file by its own account, in words; `None` for a whole file and
/// for containers that do not tell.
pub(super) fn shortfall(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    let source = Source { file, length };
    Some(match source.lack()? {
        Lack::Bytes(bytes) => format!("{bytes} bytes are missing at the end"),
        Lack::Part(part) => format!("the file ends inside {part}"),
    })
}

impl Source {
    fn lack(&self) -> Option<Lack> {
        let head = self.bytes::<12>(0)?;
        match head {
            [b'R', b'I', b'F', b'F', .., b'A', b'V', b'I', b' '] => self.avi(),
            [0x1a, 0x45, 0xdf, 0xa3, ..] => self.matroska(),
            [0, 0, 1, 0xba, ..] => self.program_stream(),
            [b'F', b'L', b'V', 1, ..] => self.flash(),
            [b'O', b'g', b'g', b'S', ..] => self.ogg(),
            [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, ..] => self.asf(),
            _ if BOXES.iter().any(|kind| **kind == head[4..8]) => self.boxes(),
            _ => self.transport_stream(),
        }
    }

    /// The bytes from `at` on; `None` when there are fewer.
    fn bytes<const N: usize>(&self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    }

    /// The last bytes of the file, at most so many.
    fn tail(&self, most: u64) -> Option<Vec<u8>> {
        let mut bytes = vec![0; most.min(self.length) as usize];
        let first = self.length - bytes.len() as u64;
        self.file.read_exact_at(&mut bytes, first).ok()?;
        Some(bytes)
    }

    /// How much is missing of something that ends at `end`.
    fn until(&self, end: u64) -> Option<Lack> {
        end.checked_sub(self.length).filter(|&bytes| bytes > 0).map(Lack::Bytes)
    }

    fn avi(&self) -> Option<Lack> {
        let claimed = u32::from_le_bytes(self.bytes(4)?);
        self.until(u64::from(claimed) + 8)
    }

    /// ISO/IEC 14496-12, 4.2: boxes one behind the other.
    fn boxes(&self) -> Option<Lack> {
        let mut at = 0;
        while let Some(head) = self.bytes::<8>(at) {
            if !BOXES.iter().any(|kind| **kind == head[4..]) {
                return None;
            }
            let size = match u32::from_be_bytes(*head.first_chunk()?) {
                0 => return None,
                1 => u64::from_be_bytes(self.bytes(at + 8)?),
                size => u64::from(size),
            };
            at = at.checked_add(size.max(8))?;
        }
        self.until(at)
    }

    /// RFC 8794: elements of an id, a length and content. Where the segment states its length, that
    /// is compared; else its elements are, blocks too where clusters state none.
    fn matroska(&self) -> Option<Lack> {
        const SEGMENT: u64 = 0x1853_8067;
        const CLUSTER: u64 = 0x1f43_b675;
        let mut at = 0;
        loop {
            if at >= self.length {
                return self.until(at);
            }
            let Some((id, id_length)) = self.variable(at, false) else {
                return self.broken_element(at);
            };
            let Some((size, size_length)) = self.variable(at + id_length, true) else {
                return self.broken_element(at);
            };
            let content = at + id_length + size_length;
            let unknown = size == (1 << (7 * size_length)) - 1;
            at = match (id, unknown) {
                (SEGMENT | CLUSTER, true) => content,
                (_, true) => return None,
                (SEGMENT, false) => return self.until(content.checked_add(size)?),
                (_, false) => content.checked_add(size)?,
            };
        }
    }

    /// An element whose head cannot be read: the file ends there, or it is no element.
    fn broken_element(&self, at: u64) -> Option<Lack> {
        (at + 12 > self.length && self.bytes::<1>(at) != Some([0]))
            .then_some(Lack::Part("the head of an element"))
    }

    /// A number of variable length and how long it is; of a length the marking bit is taken away.
    fn variable(&self, at: u64, is_length: bool) -> Option<(u64, u64)> {
        let [first] = self.bytes::<1>(at)?;
        let length = u64::from(first.leading_zeros()) + 1;
        let longest = if is_length { 8 } else { 4 };
        if length > longest {
            return None;
        }
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes[..length as usize], at).ok()?;
        if is_length {
            bytes[0] &= (0xffu16 >> length) as u8;
        }
        let value = u64::from_be_bytes(bytes) >> (8 * (8 - length));
        Some((value, length))
    }

    /// Adobe's FLV 10.1, E.3: tags of eleven bytes, data, and the tag's size once more.
    fn flash(&self) -> Option<Lack> {
        let mut at = u64::from(u32::from_be_bytes(self.bytes(5)?)) + 4;
        while let Some(head) = self.bytes::<11>(at) {
            if !matches!(head[0] & 0x1f, 8 | 9 | 18) {
                return None;
            }
            let size = u32::from_be_bytes([0, head[1], head[2], head[3]]);
            at += 11 + u64::from(size) + 4;
        }
        if at < self.length {
            return Some(Lack::Part("the head of a tag"));
        }
        // The last four bytes are for reading backwards; not every program writes them.
        self.until(at - 4)
    }

    /// RFC 3533: the last page must be there as a whole.
    fn ogg(&self) -> Option<Lack> {
        const LONGEST_PAGE: u64 = 27 + 255 + 255 * 255;
        let tail = self.tail(LONGEST_PAGE)?;
        let at = tail.windows(4).rposition(|four| four == b"OggS")?;
        let page = &tail[at..];
        let parts = page.get(26).map(|&count| page.get(27..27 + usize::from(count)));
        let Some(Some(parts)) = parts else { return Some(Lack::Part("the head of a page")) };
        let length = 27 + parts.len() + parts.iter().map(|&part| usize::from(part)).sum::<usize>();
        self.until(self.length - page.len() as u64 + length as u64)
    }

    /// ASF 1.2, 3.2: the header states the file's size, unless it was made while it was sent.
    fn asf(&self) -> Option<Lack> {
        const FILE_PROPERTIES: [u8; 16] = [
            0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0, 0xc0, 0x0c, 0x20, 0x53,
            0x65,
        ];
        let end = u64::from_le_bytes(self.bytes(16)?);
        let mut at = 30;
        while at < end {
            let guid = self.bytes::<16>(at)?;
            if guid == FILE_PROPERTIES {
                let sent = self.bytes::<1>(at + 88)?[0] & 1 == 1;
                let size = u64::from_le_bytes(self.bytes(at + 40)?);
                return if sent { None } else { self.until(size) };
            }
            at = at.checked_add(u64::from_le_bytes(self.bytes(at + 16)?).max(24))?;
        }
        None
    }

    /// ISO/IEC 13818-1, 2.5: packs and packets up to the end of the file.
    fn program_stream(&self) -> Option<Lack> {
        const WINDOW: u64 = 1 << 18;
        let tail = self.tail(WINDOW)?;
        let mut at = tail.windows(4).position(|four| four == [0, 0, 1, 0xba])?;
        while let Some(&[a, b, c, code]) = tail.get(at..).and_then(|rest| rest.first_chunk()) {
            if [a, b, c] != [0, 0, 1] {
                return None;
            }
            at += match code {
                0xb9 => return None,
                0xba if tail.get(at + 4)? & 0xf0 == 0x20 => 12,
                0xba => 14 + usize::from(tail.get(at + 13)? & 7),
                0xbb..=0xff => {
                    let length = tail.get(at + 4..at + 6);
                    let Some(&[high, low]) = length else { break };
                    6 + usize::from(u16::from_be_bytes([high, low]))
                }
                _ => return None,
            };
        }
        match at.checked_sub(tail.len()) {
            Some(0) => None,
            Some(bytes) => Some(Lack::Bytes(bytes as u64)),
            None => Some(Lack::Part("the head of a packet")),
        }
    }

    /// ISO/IEC 13818-1, 2.4: packets of one length, and the packets of streams that they carry.
    fn transport_stream(&self) -> Option<Lack> {
        let head: [u8; 2048] = self.bytes(0)?;
        let sync = |first: usize, step: usize| {
            (first..head.len()).step_by(step).all(|at| head[at] == SYNC)
        };
        // Plain, with a time stamp before each packet (Blu-ray), with check bytes behind it.
        let kinds = [188, 192, 204].into_iter();
        let mut found = kinds.flat_map(|step| (0..step).map(move |first| (first, step)));
        let (first, step) = found.find(|&(first, step)| sync(first, step))?;
        let before = if step == 192 { 4 } else { 0 };
        let first = (first as u64 + step as u64 - before) % step as u64;
        if (self.length - first) % step as u64 != 0 {
            return Some(Lack::Part("a transport packet"));
        }
        const WINDOW: u64 = 8 << 20;
        let tail = self.tail(WINDOW - WINDOW % step as u64)?;
        let whole = tail.len() - tail.len() % step;
        let packets = tail[tail.len() - whole..].chunks_exact(step);
        unfinished(packets.map(|packet| &packet[before as usize..before as usize + 188]))
    }
}

/// The first byte of a transport packet.
const SYNC: u8 = 0x47;

/// Whether a stream's packet of known length lacks its end.
fn unfinished<'a>(packets: impl Iterator<Item = &'a [u8]>) -> Option<Lack> {
    let mut open: std::collections::BTreeMap<u16, i64> = Default::default();
    for packet in packets.filter(|packet| packet[0] == SYNC) {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let adaptation = if packet[3] & 0x20 != 0 { usize::from(packet[4]) + 1 } else { 0 };
        let Some(payload) = packet.get(4 + adaptation..).filter(|_| packet[3] & 0x10 != 0) else {
            continue;
        };
        if packet[1] & 0x40 != 0 {
            let Some(&[0, 0, 1, _, high, low]) = payload.first_chunk::<6>() else { continue };
            let length = i64::from(u16::from_be_bytes([high, low]));
            open.insert(pid, if length > 0 { length + 6 } else { i64::MIN });
        }
        if let Some(rest) = open.get_mut(&pid) {
            *rest = rest.saturating_sub(payload.len() as i64);
        }
    }
    let missing: i64 = open.into_values().filter(|rest| *rest > 0).sum();
    (missing > 0).then_some(Lack::Bytes(missing as u64))
}

/// The boxes that stand at the top of a file.
const BOXES: [&[u8; 4]; 17] = [
    b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"moof", b"mfra", b"sidx", b"styp",
    b"uuid", b"meta", b"udta", b"pnot", b"emsg", b"prft", b"ssix",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> Option<String> {
        let file = tempfile::NamedTempFile::new().expect("temp file");
        std::fs::write(file.path(), bytes).expect("write");
        shortfall(file.path())
    }

    /// `whole` is whole, and every cut in `cuts` is told.
    fn check(kind: &str, whole: &[u8], cuts: impl Iterator<Item = usize>) {
        assert_eq!(told(whole), None, "{kind}");
        for end in cuts {
            assert!(told(&whole[..end]).is_some(), "{kind} cut at {end} of {}", whole.len());
        }
    }

    #[test]
    fn boxes_end_where_they_say() {
        let mp4 = [&b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x10mdat"[..], &[7; 8], b"\0\0\0\x09moovx"];
        check("mp4", &mp4.concat(), 24..32);
        let long = [&b"\0\0\0\x08free\0\0\0\x01mdat"[..], &24u64.to_be_bytes(), &[1; 8]].concat();
        check("long box", &long, 24..long.len());
        assert_eq!(told(&long[..26]).expect("cut"), "6 bytes are missing at the end");
        assert_eq!(told(b"\0\0\0\x08free\0\0\0\0mdat and so on"), None, "to the end of the file");
        assert_eq!(told(b"\0\0\0\x08freerubbish behind"), None);
    }

    #[test]
    fn elements_end_where_they_say() {
        let header = b"\x1a\x45\xdf\xa3\x84abcd";
        let cluster = [&b"\x1f\x43\xb6\x75\x86\xa3\x84"[..], b"1234"].concat();
        let segment = [&b"\x18\x53\x80\x67"[..], &[0x80 + cluster.len() as u8], &cluster].concat();
        let whole = [&header[..], &segment].concat();
        check("segment", &whole, 16..whole.len());
        let open = b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff";
        let live = [&header[..], open, &cluster, &cluster].concat();
        check("unknown length", &live, (33..38).chain(live.len() - 10..live.len()));
        let open_cluster = b"\x1f\x43\xb6\x75\xff\xa3\x841234\xa3\x841234";
        let live = [&header[..], open, open_cluster].concat();
        check("unknown clusters", &live, live.len() - 5..live.len());
        assert_eq!(told(&[&header[..], open, &cluster, &[0; 30]].concat()), None, "zeros behind");
    }

    #[test]
    fn tags_pages_and_stated_sizes() {
        let tag = [&b"\x09\0\0\x05\0\0\0\0\0\0\0"[..], b"12345", b"\0\0\0\x10"].concat();
        let flv = [&b"FLV\x01\x01\0\0\0\x09\0\0\0\0"[..], &tag, &tag].concat();
        check("flv", &flv, (34..48).chain(49..flv.len() - 4));
        let page = [&b"OggS\0\0"[..], &[0; 20], b"\x02\x03\x04", b"1234567"].concat();
        let ogg = [&page[..], &page].concat();
        check("ogg", &ogg, page.len() + 4..ogg.len());
        let mut asf = vec![0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0, 0, 0, 0, 0, 0, 0, 0];
        asf.extend(130u64.to_le_bytes());
        asf.extend([0; 6]);
        asf.extend([
            0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0, 0xc0, 0x0c, 0x20, 0x53,
            0x65,
        ]);
        asf.extend(100u64.to_le_bytes());
        asf.extend([0; 16]);
        asf.extend(200u64.to_le_bytes());
        asf.resize(200, 0);
        check("asf", &asf, 150..200);
    }

    /// A pack header and packets of 20 bytes each.
    #[test]
    fn packets_of_program_streams() {
        let pack = [&b"\0\0\x01\xba\x44"[..], &[0; 9]].concat();
        let packet = [&b"\0\0\x01\xe0\0\x0e"[..], &[5; 14]].concat();
        let whole = [&pack[..], &packet, &pack, &packet, &packet].concat();
        check("ps", &whole, whole.len() - 19..whole.len());
        check("ended ps", &[&whole[..], b"\0\0\x01\xb9"].concat(), whole.len() - 3..whole.len());
    }

    /// `count` transport packets that carry one stream's packet of `length` bytes.
    fn transport(count: usize, length: u16, before: usize) -> Vec<u8> {
        let packet = |at: usize| {
            let mut packet = vec![9; before];
            packet.extend([SYNC, if at == 0 { 0x41 } else { 1 }, 0, 0x10]);
            if at == 0 {
                packet.extend([0, 0, 1, 0xc0]);
                packet.extend((length - 6).to_be_bytes());
            }
            packet.resize(before + 188, 1);
            packet
        };
        (0..count).flat_map(packet).collect()
    }

    #[test]
    fn transport_packets_and_what_they_carry() {
        for before in [0, 4] {
            let whole = transport(20, 184 * 20, before);
            let each = 188 + before;
            check("ts", &whole, (12..whole.len() / each).map(|k| k * each));
            check("ts", &whole, 16 * each + 1..17 * each);
        }
        let endless = transport(20, 6, 0);
        assert_eq!(told(&endless[..188 * 15]), None, "its length is not known");
    }

    #[test]
    fn what_is_no_container_is_not_judged() {
        for bytes in [&b""[..], b"RIFF", &[7; 5000], &[0; 5000], b"<html>not found</html>"] {
            assert_eq!(told(bytes), None);
        }
        for end in 0..=32 {
            told(&b"\x1a\x45\xdf\xa3\x84abcd\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff\x1f\x43\xb6\x75\x86\xa3\x841234"[..end]);
        }
    }
}
