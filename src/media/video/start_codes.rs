//! Start codes of MPEG-4 Visual and H.264 byte streams (ISO/IEC 14496-2, 6.2.1; 14496-10, Annex B).

/// The byte after each `00 00 01`, and what follows it.
pub(super) fn start_codes(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        rest = &rest[prefix(rest)? + 3..];
        let (code, behind) = rest.split_first()?;
        Some((*code, behind))
    })
}

/// Where the next `00 00 01` begins. Most bytes of a packet are looked at here and nowhere else
/// outside the decoder, hence the C library's search.
fn prefix(bytes: &[u8]) -> Option<usize> {
    let mut from = 2;
    loop {
        let rest = bytes.get(from..)?;
        // SAFETY: the search stays within `rest`.
        let found = unsafe { libc::memchr(rest.as_ptr().cast(), 1, rest.len()) };
        if found.is_null() {
            return None;
        }
        let at = found as usize - bytes.as_ptr() as usize;
        if bytes[at - 2..at] == [0, 0] {
            return Some(at - 2);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_are_found_wherever_they_are() {
        let codes =
            |bytes: &[u8]| start_codes(bytes).map(|(c, r)| (c, r.len())).collect::<Vec<_>>();
        assert_eq!(codes(&[0, 0, 1, 5, 1, 0, 0, 0, 1, 1, 0, 0, 1, 9]), [(5, 10), (1, 4), (9, 0)]);
        assert_eq!(codes(&[0, 0, 1, 0, 0, 1, 7]), [(0, 3), (7, 0)]);
        assert!([&[][..], &[0, 0], &[0, 0, 1], &[1, 0, 1, 5], &[0, 1, 5]]
            .iter()
            .all(|b| codes(b).is_empty()));
    }
}
