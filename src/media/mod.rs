//! Pictures and video: decoding, encoding, cropping, masking.
pub mod encode;
pub mod image;
pub mod redraw;
pub mod video;
