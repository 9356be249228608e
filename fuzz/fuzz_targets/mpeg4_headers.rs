//! The reader of MPEG-4 headers on whatever packets: it gives as many pictures as there are packets,
//! the first of them one to begin at, or nothing.
#![no_main]
#[path = "../../src/media/video/mpeg4.rs"]
#[allow(dead_code)]
mod mpeg4;
#[path = "../../src/media/video/start_codes.rs"]
mod start_codes;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // The first bytes cut the rest into extradata and packets, so that lengths vary as well.
    let Some((cuts, rest)) = bytes.split_at_checked(4) else { return };
    let mut rest = rest;
    let mut parts = Vec::new();
    for cut in cuts {
        let (part, behind) = rest.split_at(rest.len().min(usize::from(*cut)));
        parts.push(part);
        rest = behind;
    }
    parts.push(rest);
    let (extradata, packets) = parts.split_first().expect("five parts");
    if let Some(pictures) = mpeg4::pictures(extradata, packets.iter().copied()) {
        assert_eq!(pictures.len(), packets.len());
        assert!(pictures[0].entry && pictures[0].kind == mpeg4::PictureType::I);
    }
    for (_, behind) in start_codes::start_codes(bytes) {
        assert!(behind.len() + 4 <= bytes.len());
    }
});
