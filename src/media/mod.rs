//! Pictures and video: decoding, encoding, cropping, masking.
pub mod encode;
pub mod image;
pub mod jpeg;
pub mod library;
pub mod redraw;
pub mod video;
