//! Pictures and video: decoding, encoding, cropping, masking.
pub mod encode;
pub mod image;
mod jpeg;
pub mod library;
pub mod orientation;
pub mod redraw;
pub mod video;
