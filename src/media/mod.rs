//! Pictures and video: decoding, encoding, cropping, masking.
pub mod encode;
pub mod image;
pub mod video;
