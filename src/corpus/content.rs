//! What a file is by its first bytes, and which names systems leave behind.
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::Path,
};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A container that decoding may find video in, by name.
    Container(&'static str),
    /// A still picture, by name.
    Picture(&'static str),
    /// Nothing at all.
    Empty,
    /// Anything else.
    Other,
}

/// Bytes from which a file is told: ten transport packets.
const LOOKED_AT: u64 = 2048;

impl Content {
    /// Reads the first bytes of a regular file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Self> {
        // Opening a pipe would wait for ever.
        if !fs::metadata(path)?.is_file() {
            return Ok(Content::Other);
        }
        let mut head = Vec::new();
        File::open(path)?.take(LOOKED_AT).read_to_end(&mut head)?;
        Ok(Self::of(&head))
    }

    fn of(head: &[u8]) -> Self {
        if head.is_empty() {
            return Content::Empty;
        }
        let starts =
            |(magic, name): &(&[u8], &'static str)| head.starts_with(magic).then_some(*name);
        if let Some(name) = CONTAINERS.iter().find_map(starts) {
            return Content::Container(name);
        }
        let riff = |kind: &[u8]| head.starts_with(b"RIFF") && head.get(8..12) == Some(kind);
        let boxed = |kinds: &[&[u8]]| head.get(4..8).is_some_and(|kind| kinds.contains(&kind));
        match head {
            _ if riff(b"AVI ") => Content::Container("AVI"),
            _ if riff(b"WEBP") => Content::Picture("WebP"),
            _ if boxed(&[b"ftyp"]) => of_brand(head.get(8..12).unwrap_or_default()),
            _ if boxed(&[b"moov", b"mdat", b"wide", b"free", b"skip"]) => Content::Container("MP4"),
            // Its length, then four bytes that are kept free.
            _ if head.starts_with(b"BM") && head.get(6..10) == Some(&[0; 4]) => {
                Content::Picture("BMP")
            }
            _ if is_transport_stream(head) => Content::Container("MPEG-TS"),
            _ => PICTURES.iter().find_map(starts).map_or(Content::Other, Content::Picture),
        }
    }
}

/// Beginnings of containers.
const CONTAINERS: &[(&[u8], &str)] = &[
    (b"\x1a\x45\xdf\xa3", "Matroska"),
    (b"\0\0\x01\xba", "MPEG-PS"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "ASF"),
    (b"FLV\x01", "FLV"),
    (b"OggS", "Ogg"),
];

/// Beginnings of pictures.
const PICTURES: &[(&[u8], &str)] = &[
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"P3\n", "PPM"),
    (b"P5\n", "PGM"),
    (b"P6\n", "PPM"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
];

/// MP4 and its kin tell by their brand whether they are for pictures.
fn of_brand(brand: &[u8]) -> Content {
    match brand {
        b"avif" | b"avis" => Content::Picture("AVIF"),
        b"heic" | b"heix" | b"mif1" | b"msf1" => Content::Picture("HEIF"),
        _ => Content::Container("MP4"),
    }
}

/// Sync bytes at the distances that packets have, plain or with a time stamp before each.
fn is_transport_stream(head: &[u8]) -> bool {
    [(0, 188), (4, 192), (0, 204)].into_iter().any(|(first, step)| {
        let mut places = (first..head.len()).step_by(step);
        places.clone().count() >= 3 && places.all(|at| head[at] == 0x47)
    })
}

/// Names of files and folders that operating systems, file servers and archivers leave behind.
const LITTER: &[&str] = &[
    ".DS_Store",
    ".localized",
    ".directory",
    ".fseventsd",
    ".Spotlight-V100",
    ".TemporaryItems",
    ".Trashes",
    ".AppleDouble",
    ".ipynb_checkpoints",
    "__MACOSX",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$RECYCLE.BIN",
    "System Volume Information",
    "@eaDir",
    "#recycle",
    "lost+found",
];

/// Whether an entry of this name is litter: counted and passed over.
pub fn is_litter(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    bytes.starts_with(b"._")
        || bytes.starts_with(b".nfs")
        || bytes.starts_with(b".Trash-")
        || LITTER.iter().any(|known| bytes.eq_ignore_ascii_case(known.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_by_their_beginnings() {
        let ts = |first: usize, step: usize| {
            let mut head = vec![1u8; 2048];
            (first..2048).step_by(step).for_each(|at| head[at] = 0x47);
            Content::of(&head)
        };
        for (first, step) in [(0, 188), (4, 192), (0, 204)] {
            assert_eq!(ts(first, step), Content::Container("MPEG-TS"), "{step}");
        }
        let known: [(&[u8], Content); 12] = [
            (b"RIFF\0\0\0\0AVI LIST", Content::Container("AVI")),
            (b"RIFF\0\0\0\0WEBPVP8 ", Content::Picture("WebP")),
            (b"RIFF\0\0\0\0WAVEfmt ", Content::Other),
            (b"\0\0\0\x18ftypmp42", Content::Container("MP4")),
            (b"\0\0\0\x18ftypavif", Content::Picture("AVIF")),
            (b"\0\0\0\x08wide\0\0\0\0mdat", Content::Container("MP4")),
            (b"FLV\x01\x05", Content::Container("FLV")),
            (b"\xff\xd8\xff\xe0", Content::Picture("JPEG")),
            (b"GIF89a", Content::Picture("GIF")),
            (b"", Content::Empty),
            (b"G", Content::Other),
            (b"BMW and others", Content::Other),
        ];
        for (head, content) in known {
            assert_eq!(Content::of(head), content, "{head:?}");
        }
    }

    #[test]
    fn litter_is_a_short_list() {
        for name in [".DS_Store", "._0001.avi", "thumbs.DB", "@eaDir", "lost+found", ".nfs0001"] {
            assert!(is_litter(OsStr::new(name)), "{name}");
        }
        for name in ["0001.avi", "readme.txt", ".hidden.avi", "Thumbs.db.avi", "DS_Store"] {
            assert!(!is_litter(OsStr::new(name)), "{name}");
        }
    }
}
