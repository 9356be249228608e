//! Which FFmpeg this program was linked with: two builds of one version may decode alike and yet
//! differ in what they encode and in their licence.
use std::ffi::CStr;

use ffmpeg_next as ffmpeg;
use serde::Serialize;

/// What the linked FFmpeg says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Library {
    /// Its release, such as `5.1.9`; distributions add their own words.
    pub version: String,
    /// Version of the library that decodes, such as `59.37.100`.
    pub libavcodec: String,
    /// The words that it was configured with.
    pub configuration: String,
    /// The licence that follows from them, such as `LGPL version 2.1 or later`.
    pub licence: String,
}

/// The FFmpeg that this program was linked with.
pub fn library() -> Library {
    // SAFETY: FFmpeg returns a constant string that ends in 0.
    let version = unsafe { CStr::from_ptr(ffmpeg::ffi::av_version_info()) };
    let codec = ffmpeg::codec::version();
    Library {
        version: version.to_string_lossy().into_owned(),
        libavcodec: format!("{}.{}.{}", codec >> 16, codec >> 8 & 0xff, codec & 0xff),
        configuration: ffmpeg::codec::configuration().to_owned(),
        licence: ffmpeg::codec::license().to_owned(),
    }
}

/// Whether the linked FFmpeg has an encoder of this name.
pub fn has_encoder(name: &str) -> bool {
    ffmpeg::encoder::find_by_name(name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_says_what_it_is() {
        let found = library();
        assert!(found.libavcodec.starts_with("59."), "{found:?}");
        assert!(found.version.starts_with("5.1"), "{found:?}");
        assert!(found.licence.contains("GPL version"), "{found:?}");
        assert!(found.configuration.contains("--"), "{found:?}");
        assert!(has_encoder("mpeg4") && !has_encoder("no such encoder"));
    }
}
