//! A frame as the decoder gave it: its brightness, and a digest of its pixels that other programs can
//! make too.
use anyhow::{ensure, Result};
use ffmpeg_next::{ffi, frame};
use sha2::{Digest, Sha256};

use super::convert::{has_luma_plane, plain, row, Converter};
use crate::{digest, similarity::hash};

/// A decoded frame, not yet converted.
pub struct RawFrame<'a> {
    picture: &'a frame::Video,
    converter: &'a mut Converter,
}

impl<'a> RawFrame<'a> {
    pub(super) fn new(picture: &'a frame::Video, converter: &'a mut Converter) -> Self {
        RawFrame { picture, converter }
    }

    /// The frame to keep, upright; its pixels are shared with the decoder, not copied.
    ///
    /// # Errors
    /// When there is no conversion to brightness, or no memory.
    pub fn keep(self) -> Result<KeptFrame> {
        let upright = self.converter.is_upright() && has_luma_plane(self.picture.format());
        let luma = if upright {
            None
        } else {
            let rgb = self.converter.rgb(self.picture)?;
            Some((rgb.dimensions(), hash::luma(rgb.as_raw())))
        };
        Ok(KeptFrame { picture: reference(self.picture)?, luma })
    }
}

/// A second holder of a frame's buffers.
fn reference(picture: &frame::Video) -> Result<frame::Video> {
    let mut kept = frame::Video::empty();
    // SAFETY: both frames are valid, the new one is empty; the buffers are counted.
    let code = unsafe { ffi::av_frame_ref(kept.as_mut_ptr(), picture.as_ptr()) };
    ensure!(code >= 0, "no memory for a frame");
    Ok(kept)
}

/// A decoded frame with its brightness.
pub struct KeptFrame {
    picture: frame::Video,
    /// Size and bytes, where the frame has no plane of brightness or is turned.
    luma: Option<((u32, u32), Vec<u8>)>,
}

impl KeptFrame {
    /// Width and height in pixels, upright.
    pub fn size(&self) -> (usize, usize) {
        let (width, height) = match &self.luma {
            Some((size, _)) => *size,
            None => (self.picture.width(), self.picture.height()),
        };
        (width as usize, height as usize)
    }

    /// Line `y` of the brightness, in the frame's own range.
    ///
    /// # Panics
    /// When there is no such line.
    pub fn row(&self, y: usize) -> &[u8] {
        let (width, height) = self.size();
        assert!(y < height, "line {y} of {height}");
        match &self.luma {
            Some((_, bytes)) => &bytes[y * width..(y + 1) * width],
            None => row(&self.picture, 0, y, width),
        }
    }

    /// See the function of this name.
    pub fn pixel_digest(&self) -> String {
        pixel_digest(&self.picture)
    }
}

/// SHA-256 of the decoded pixels in lower-case hex: of the line `FORMAT WIDTHxHEIGHT`, FORMAT as
/// FFmpeg calls it (yuvj420p as yuv420p), and of the visible bytes of every plane, plane by plane,
/// line by line. What is done to a frame afterwards (colours, rotation, JPEG) has no part in it.
pub(super) fn pixel_digest(picture: &frame::Video) -> String {
    let format = plain(picture.format());
    let name = format.descriptor().map_or_else(|| "unknown".to_owned(), |d| d.name().to_owned());
    let mut digest = Sha256::new();
    digest.update(format!("{name} {}x{}\n", picture.width(), picture.height()));
    for plane in 0..picture.planes() {
        let (length, lines) = plane_size(picture, plane);
        (0..lines).for_each(|y| digest.update(row(picture, plane, y, length)));
    }
    digest::hex(&digest.finalize())
}

/// Visible bytes of a line and number of lines.
fn plane_size(picture: &frame::Video, plane: usize) -> (usize, usize) {
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    // SAFETY: plain numbers in; the descriptor is static or null.
    let (length, shift) = unsafe {
        let format = picture.format().into();
        let descriptor = ffi::av_pix_fmt_desc_get(format);
        let shift = if descriptor.is_null() { 0 } else { (*descriptor).log2_chroma_h };
        (ffi::av_image_get_linesize(format, width, plane as i32), shift)
    };
    let shift = if plane == 1 || plane == 2 { u32::from(shift) } else { 0 };
    let lines = (height as usize).div_ceil(1 << shift);
    (usize::try_from(length).unwrap_or(0), lines)
}
