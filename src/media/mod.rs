//! Pictures and video: decoding, encoding, cropping, masking.
pub mod image;
