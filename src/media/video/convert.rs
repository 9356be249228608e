//! Decoded frames to upright RGB, and to the hashes of the signature.
//!
//! Conversion is swscale's with accurate rounding, full chroma interpolation and bit-exact flags.
//! The matrix is the stream's own; where it states none, BT.709 from 720 lines on and BT.601
//! below. The range is limited unless the stream says full.
//!
//! JPEG is made of a frame's own planes where they are BT.601 in 4:2:0 (see [`planes`]).
use std::ptr;

use anyhow::{ensure, Context as _, Result};
use ffmpeg_next::{color, ffi, format::Pixel, frame};
use image::RgbImage;

use super::planes::{self, Range};
use crate::{
    media::{
        image::Ycc,
        orientation::{self, Orientation},
    },
    similarity::{
        hash::{self, Thumbnail},
        plane::Plane,
    },
};

/// Matrix and range of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color {
    pub matrix: Matrix,
    pub full_range: bool,
}

/// The YUV matrices that swscale knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matrix {
    Rgb,
    Bt601,
    Bt709,
    Fcc,
    Smpte240m,
    Bt2020,
}

impl Matrix {
    pub(super) fn name(self) -> &'static str {
        match self {
            Matrix::Rgb => "rgb",
            Matrix::Bt601 => "bt601",
            Matrix::Bt709 => "bt709",
            Matrix::Fcc => "fcc",
            Matrix::Smpte240m => "smpte240m",
            Matrix::Bt2020 => "bt2020",
        }
    }

    fn swscale(self) -> i32 {
        match self {
            Matrix::Rgb | Matrix::Bt601 => ffi::SWS_CS_ITU601,
            Matrix::Bt709 => ffi::SWS_CS_ITU709,
            Matrix::Fcc => ffi::SWS_CS_FCC,
            Matrix::Smpte240m => ffi::SWS_CS_SMPTE240M,
            Matrix::Bt2020 => ffi::SWS_CS_BT2020,
        }
    }
}

/// Lines from which an unstated matrix is taken as BT.709.
const HIGH_DEFINITION: u32 = 720;

impl Color {
    pub(super) fn of(picture: &frame::Video) -> Self {
        if has_flag(picture.format(), ffi::AV_PIX_FMT_FLAG_RGB | ffi::AV_PIX_FMT_FLAG_PAL) {
            return Color { matrix: Matrix::Rgb, full_range: true };
        }
        use color::Space;
        let matrix = match picture.color_space() {
            Space::BT709 => Matrix::Bt709,
            Space::BT470BG | Space::SMPTE170M => Matrix::Bt601,
            Space::FCC => Matrix::Fcc,
            Space::SMPTE240M => Matrix::Smpte240m,
            Space::BT2020NCL | Space::BT2020CL => Matrix::Bt2020,
            _ if picture.height() >= HIGH_DEFINITION => Matrix::Bt709,
            _ => Matrix::Bt601,
        };
        let format = picture.format();
        let full_range = picture.color_range() == color::Range::JPEG || plain(format) != format;
        Color { matrix, full_range }
    }
}

/// The formats whose name says full range as those that do not; the range is told apart.
pub(super) fn plain(format: Pixel) -> Pixel {
    match format {
        Pixel::YUVJ420P => Pixel::YUV420P,
        Pixel::YUVJ422P => Pixel::YUV422P,
        Pixel::YUVJ444P => Pixel::YUV444P,
        Pixel::YUVJ440P => Pixel::YUV440P,
        Pixel::YUVJ411P => Pixel::YUV411P,
        other => other,
    }
}

fn has_flag(format: Pixel, flags: i32) -> bool {
    // SAFETY: descriptors are static; null stands for an unknown format.
    unsafe {
        let descriptor = ffi::av_pix_fmt_desc_get(format.into());
        !descriptor.is_null() && (*descriptor).flags & flags as u64 != 0
    }
}

/// Whether plane 0 is luma at one byte a pixel.
pub(super) fn has_luma_plane(format: Pixel) -> bool {
    let odd = ffi::AV_PIX_FMT_FLAG_RGB
        | ffi::AV_PIX_FMT_FLAG_PAL
        | ffi::AV_PIX_FMT_FLAG_BITSTREAM
        | ffi::AV_PIX_FMT_FLAG_HWACCEL;
    // SAFETY: as above.
    unsafe {
        let descriptor = ffi::av_pix_fmt_desc_get(format.into());
        if descriptor.is_null() || has_flag(format, odd) {
            return false;
        }
        let luma = (*descriptor).comp[0];
        luma.plane == 0 && luma.step == 1 && luma.depth == 8
    }
}

/// What a conversion depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
struct ConversionKey {
    format: Pixel,
    width: u32,
    height: u32,
    color: Color,
}

/// A swscale context with the frame that it writes to.
struct Scaler {
    kind: ConversionKey,
    context: *mut ffi::SwsContext,
    rgb: frame::Video,
}

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: made by `sws_getContext`, freed once.
        unsafe { ffi::sws_freeContext(self.context) }
    }
}

impl Scaler {
    fn new(kind: ConversionKey) -> Result<Self> {
        let flags = ffi::SWS_BILINEAR
            | ffi::SWS_FULL_CHR_H_INT
            | ffi::SWS_FULL_CHR_H_INP
            | ffi::SWS_ACCURATE_RND
            | ffi::SWS_BITEXACT;
        let (width, height) = (kind.width as i32, kind.height as i32);
        let from = plain(kind.format).into();
        // SAFETY: plain numbers in, a fresh context or null out; the tables are static.
        let context = unsafe {
            let context = ffi::sws_getContext(
                width,
                height,
                from,
                width,
                height,
                Pixel::RGB24.into(),
                flags,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null(),
            );
            ensure!(!context.is_null(), "no conversion from {:?} to RGB", kind.format);
            let table = ffi::sws_getCoefficients(kind.color.matrix.swscale());
            let range = i32::from(kind.color.full_range);
            ffi::sws_setColorspaceDetails(context, table, range, table, 1, 0, 1 << 16, 1 << 16);
            context
        };
        Ok(Scaler { kind, context, rgb: frame::Video::new(Pixel::RGB24, kind.width, kind.height) })
    }

    fn run(&mut self, picture: &frame::Video) -> Result<RgbImage> {
        let (width, height) = (self.kind.width as usize, self.kind.height as usize);
        // SAFETY: both frames have buffers of the size that the context was made for.
        let lines = unsafe {
            let (from, to) = (picture.as_ptr(), self.rgb.as_mut_ptr());
            ffi::sws_scale(
                self.context,
                (*from).data.as_ptr().cast(),
                (*from).linesize.as_ptr(),
                0,
                height as i32,
                (*to).data.as_ptr(),
                (*to).linesize.as_ptr(),
            )
        };
        ensure!(lines == height as i32, "conversion stopped at line {lines} of {height}");
        let mut pixels = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            pixels.extend_from_slice(row(&self.rgb, 0, y, width * 3));
        }
        RgbImage::from_raw(width as u32, height as u32, pixels).context("picture is incomplete")
    }
}

/// `length` bytes of a plane from line `y` on.
pub(super) fn row(picture: &frame::Video, plane: usize, y: usize, length: usize) -> &[u8] {
    // SAFETY: line `y` is below the plane's height, and the callers ask for no more bytes than the
    // pixel format has from there; the stride may be negative, hence no slice of the whole plane.
    unsafe {
        let raw = picture.as_ptr();
        let start = (*raw).data[plane].offset(y as isize * (*raw).linesize[plane] as isize);
        std::slice::from_raw_parts(start, length)
    }
}

/// Converts the frames of one clip; keeps its context while their kind stays.
pub(super) struct Converter {
    orientation: Orientation,
    scaler: Option<Scaler>,
}

impl Converter {
    pub(super) fn new(orientation: Orientation) -> Self {
        Converter { orientation, scaler: None }
    }

    /// Whether frames are upright as they are decoded.
    pub(super) fn is_upright(&self) -> bool {
        self.orientation == Orientation::NoTransforms
    }

    /// The upright picture.
    pub(super) fn rgb(&mut self, picture: &frame::Video) -> Result<RgbImage> {
        Ok(orientation::upright(self.unturned(picture)?, self.orientation))
    }

    fn unturned(&mut self, picture: &frame::Video) -> Result<RgbImage> {
        let kind = ConversionKey {
            format: picture.format(),
            width: picture.width(),
            height: picture.height(),
            color: Color::of(picture),
        };
        if self.scaler.as_ref().is_none_or(|s| s.kind != kind) {
            self.scaler = Some(Scaler::new(kind)?);
        }
        self.scaler.as_mut().expect("made above").run(picture)
    }

    /// The range of a frame that is BT.601 in 4:2:0 and upright as it is, as most are.
    pub(super) fn direct(&self, picture: &frame::Video) -> Option<Range> {
        let color = Color::of(picture);
        let fits = self.orientation == orientation::UPRIGHT
            && plain(picture.format()) == Pixel::YUV420P
            && color.matrix == Matrix::Bt601;
        fits.then_some(if color.full_range { Range::Full } else { Range::Limited })
    }

    /// A frame that is [`Self::direct`] in JPEG's colours.
    pub(super) fn ycc(&self, picture: &frame::Video, range: Range) -> Ycc {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        planes::ycc((width, height), range, |plane, y| {
            row(picture, plane, y, if plane == 0 { width } else { width.div_ceil(2) })
        })
    }

    /// The brightness of the upright picture; `None` when it cannot be converted.
    pub(super) fn grey(&mut self, picture: &frame::Video) -> Option<Plane> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        if self.orientation == orientation::UPRIGHT && has_luma_plane(picture.format()) {
            let mut pixels = Vec::with_capacity(width * height);
            (0..height).for_each(|y| pixels.extend_from_slice(row(picture, 0, y, width)));
            return Plane::new(width, height, pixels);
        }
        let rgb = self.rgb(picture).ok()?;
        Plane::new(rgb.width() as usize, rgb.height() as usize, hash::luma(rgb.as_raw()))
    }

    /// The brightness of a frame that is [`Self::direct`], rows without anything between them.
    pub(super) fn luma(&self, picture: &frame::Video, range: Range) -> Vec<u8> {
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let mut luma = vec![0; width * height];
        planes::luma(width, range, |y| row(picture, 0, y, width), &mut luma);
        luma
    }

    /// The perceptual hash of the upright picture.
    pub(super) fn hash(&mut self, picture: &frame::Video) -> u64 {
        let thumbnail =
            if self.orientation == orientation::UPRIGHT && has_luma_plane(picture.format()) {
                let (width, height) = (picture.width() as usize, picture.height() as usize);
                Thumbnail::new(width, height, |y| row(picture, 0, y, width))
            } else {
                let Ok(rgb) = self.rgb(picture) else { return hash::UNINFORMATIVE };
                let (width, height) = (rgb.width() as usize, rgb.height() as usize);
                Thumbnail::of_pixels(&hash::luma(rgb.as_raw()), width, height)
            };
        thumbnail.map_or(hash::UNINFORMATIVE, |t| hash::hash(&t))
    }
}
