//! Pictures and video: decoding, encoding, cropping, masking.
pub mod encode;
pub mod image;
pub mod library;
pub mod redraw;
pub mod video;
