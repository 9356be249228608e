//! Learning curves as a TensorBoard event file, `events.out.tfevents.ncaers`.
//!
//! Format: TFRecord (length as u64, masked CRC-32C of it, bytes, masked CRC-32C of them, all
//! little-endian) around `Event` protocol buffers with `wall_time` = 1, `step` = 2,
//! `file_version` = 3 and `summary` = 5, whose `value` = 1 holds `tag` = 1 and
//! `simple_value` = 2. Own code: the format is frozen and this is all of it that is needed, where a
//! crate would bring a compiler of protocol buffers.
use std::{fs::File, io::Write, path::PathBuf};

use anyhow::{Context, Result};

use crate::{
    atomic,
    runs::{EpochRow, RunFolder, EVENTS},
};

/// An event file that grows by an epoch at a time.
#[derive(Debug)]
pub(super) struct Events {
    path: PathBuf,
}

impl Events {
    /// Starts the file anew with the epochs so far, all stamped with `time`, seconds since 1970.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn start(folder: &RunFolder, rows: &[EpochRow], time: f64) -> Result<Self> {
        let mut bytes = record(&version(time));
        rows.iter().for_each(|row| bytes.extend(record(&epoch(row, time))));
        let path = folder.file(EVENTS);
        atomic::write(&path, &bytes)?;
        Ok(Events { path })
    }

    /// Appends an epoch, so that an open TensorBoard sees it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, row: &EpochRow, time: f64) -> Result<()> {
        let grown = File::options().append(true).open(&self.path);
        let written = grown.and_then(|mut file| file.write_all(&record(&epoch(row, time))));
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// One framed record.
fn record(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    let masked = |bytes: &[u8]| masked(crc32c(bytes)).to_le_bytes();
    [&length[..], &masked(&length), bytes, &masked(bytes)].concat()
}

/// CRC-32C (Castagnoli), bit by bit: the records are short.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg())
        })
    })
}

/// TFRecord's mask.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xA282_EAD8)
}

/// The event that opens a file.
fn version(time: f64) -> Vec<u8> {
    [double(1, time), bytes(3, b"brain.Event:2")].concat()
}

/// All figures of an epoch under `stage/figure`.
fn epoch(row: &EpochRow, time: f64) -> Vec<u8> {
    let figures = [
        ("train_loss", Some(row.train_loss)),
        ("train_accuracy", Some(row.train_accuracy)),
        ("val_loss", row.val_loss),
        ("val_accuracy", row.val_accuracy),
        ("learning_rate", Some(row.learning_rate)),
        ("images_per_s", Some(row.images_per_s)),
        ("w_face", row.w_face),
        ("w_context", row.w_context),
    ];
    let value = |(name, value): (&str, Option<f64>)| {
        let tag = bytes(1, format!("{}/{name}", row.stage).as_bytes());
        Some(bytes(1, &[tag, float(2, value? as f32)].concat()))
    };
    let summary = figures.into_iter().filter_map(value).collect::<Vec<_>>().concat();
    let step = [varint(2 << 3), varint(u64::from(row.epoch))].concat();
    [double(1, time), step, bytes(5, &summary)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn double(field: u64, value: f64) -> Vec<u8> {
    [varint(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn float(field: u64, value: f32) -> Vec<u8> {
    [varint(field << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

fn bytes(field: u64, value: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_the_published_ones() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
    }

    #[test]
    fn numbers_take_the_bytes_of_the_wire_format() {
        // 150 is the protocol buffer guide's own example.
        assert_eq!(varint(150), [0x96, 0x01]);
        assert_eq!(float(2, 1.0), [0x15, 0, 0, 0x80, 0x3F]);
        assert_eq!(bytes(1, b"ab"), [0x0A, 2, b'a', b'b']);
    }

    #[test]
    fn a_file_grows_by_whole_records() {
        let dir = tempfile::tempdir().expect("temp dir");
        let folder = RunFolder::new(dir.path());
        let row = EpochRow {
            stage: "joint".into(),
            epoch: 300,
            train_loss: 1.0,
            train_accuracy: 0.5,
            val_loss: Some(1.0),
            val_accuracy: Some(0.25),
            learning_rate: 0.1,
            images_per_s: 9.0,
            seconds: 1.0,
            w_face: None,
            w_context: None,
        };
        let events = Events::start(&folder, std::slice::from_ref(&row), 1.0).expect("starts");
        events.add(&row, 2.0).expect("grows");
        let bytes = std::fs::read(folder.file(EVENTS)).expect("reads");
        let (mut rest, mut records) = (&bytes[..], 0);
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().expect("8 bytes")) as usize;
            let content = &rest[12..12 + length];
            assert_eq!(record(content), rest[..length + 16]);
            assert_eq!(content.windows(16).any(|w| w == b"joint/train_loss"), records > 0);
            (rest, records) = (&rest[length + 16..], records + 1);
        }
        assert_eq!(records, 3);
    }
}
