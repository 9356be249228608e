//! Numbers in the headers of MPEG-4 Visual and H.264, bit by bit.

/// Bits from the highest of the first byte on.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Bits { bytes, at: 0 }
    }

    /// The next `count` bits, at most 32, as a number; `None` behind the end.
    pub(super) fn read(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |value, _| {
            let byte = self.bytes.get(self.at / 8)?;
            let bit = byte >> (7 - self.at % 8) & 1;
            self.at += 1;
            Some(value << 1 | u32::from(bit))
        })
    }

    pub(super) fn is_set(&mut self) -> Option<bool> {
        Some(self.read(1)? == 1)
    }

    /// Goes on when the next `count` bits are `value`.
    pub(super) fn expect(&mut self, count: u32, value: u32) -> Option<()> {
        (self.read(count)? == value).then_some(())
    }

    /// An Exp-Golomb number below 2^16 (ITU-T H.264, 9.1).
    pub(super) fn golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.is_set()? {
            zeros += 1;
        }
        (zeros < 16).then_some(())?;
        Some((1 << zeros) - 1 + self.read(zeros)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_bit_by_bit() {
        // 1, 010, 011, 00100, 00101, then 0000
        let mut bits = Bits::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let numbers: Vec<_> = (0..5).map(|_| bits.golomb()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4].map(Some));
        assert_eq!(bits.golomb(), None, "the end");
        assert_eq!(Bits::new(&[0, 0, 0xff, 0xff, 0xff]).golomb(), None, "too large");
        let mut bits = Bits::new(&[0b1011_0000]);
        assert_eq!((bits.expect(3, 0b101), bits.read(6)), (Some(()), None));
    }
}
