//! A wanted frame, turned into RGB or JPEG only when somebody asks for it.
use anyhow::Result;
use ffmpeg_next::frame;
use image::RgbImage;

use super::{convert::Converter, planes::Range};
use crate::media::image::{encode_jpeg, encode_ycc};

/// A wanted frame, upright.
pub struct DecodedFrame<'a> {
    picture: &'a frame::Video,
    converter: &'a mut Converter,
    /// The range of a frame that JPEG can take as it is.
    direct: Option<Range>,
    /// Made at once for any other.
    rgb: Option<RgbImage>,
}

impl<'a> DecodedFrame<'a> {
    /// # Errors
    /// When there is no conversion to a picture.
    pub(super) fn new(picture: &'a frame::Video, converter: &'a mut Converter) -> Result<Self> {
        let direct = converter.direct(picture);
        let rgb = if direct.is_some() { None } else { Some(converter.rgb(picture)?) };
        Ok(DecodedFrame { picture, converter, direct, rgb })
    }

    /// The picture as RGB.
    ///
    /// # Errors
    /// When FFmpeg has no memory left.
    pub fn rgb(&mut self) -> Result<&RgbImage> {
        let rgb = match self.rgb.take() {
            Some(rgb) => rgb,
            None => self.converter.rgb(self.picture)?,
        };
        Ok(self.rgb.insert(rgb))
    }

    /// The picture as RGB, to keep.
    ///
    /// # Errors
    /// As [`Self::rgb`].
    pub fn into_rgb(mut self) -> Result<RgbImage> {
        self.rgb()?;
        Ok(self.rgb.expect("made above"))
    }

    /// The brightness of every pixel, rows from the top, black 0 and white 255; `None` where it has
    /// to be made of RGB. Which it is depends on the clip alone.
    pub fn luma(&self) -> Option<Vec<u8>> {
        Some(self.converter.luma(self.picture, self.direct?))
    }

    /// JPEG at `quality` (1..=100) without chroma subsampling; the bytes depend on the frame alone,
    /// not on what was asked before.
    ///
    /// # Errors
    /// When the picture is larger than 65,500 pixels a side.
    pub fn jpeg(&mut self, quality: u8) -> Result<Vec<u8>> {
        match self.direct {
            Some(range) => encode_ycc(&self.converter.ycc(self.picture, range), quality),
            None => encode_jpeg(self.rgb()?, quality),
        }
    }

    /// SHA-256 of the decoded pixels, before any conversion: format, size and the planes' visible
    /// bytes.
    pub fn pixel_digest(&self) -> String {
        super::raw_frame::pixel_digest(self.picture)
    }

    /// Width and height in pixels.
    pub fn dimensions(&self) -> (u32, u32) {
        match &self.rgb {
            Some(rgb) => rgb.dimensions(),
            None => (self.picture.width(), self.picture.height()),
        }
    }
}
