//! dlib's convolutional face detector (Davis E. King: "Max-Margin Object Detection",
//! arXiv:1502.00046), box for box, on LibTorch.
//!
//! The detector of the paper. Its weights are the user's own copy of
//! `mmod_human_face_detector.dat` (`just fetch-mmod`). A picture is enlarged 0, 1 or 2 times, put
//! on a canvas as a pyramid, scored by seven convolutions, and every place above 0 becomes a box.
use std::{fmt, str::FromStr};

#[cfg(feature = "torch")]
mod boxes;
#[cfg(feature = "torch")]
mod canvas;
#[cfg(feature = "torch")]
mod detector;
#[cfg(feature = "torch")]
mod network;
mod weights;

#[cfg(feature = "torch")]
pub use detector::Mmod;
pub use weights::{Affine, Convolution, Error, Problem, Shape, Weights, DETECTOR};

/// The order in which a picture's channels are given to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChannelOrder {
    /// As the network was trained.
    #[default]
    Rgb,
    /// As programs do that hand pictures from OpenCV to dlib as they are.
    Bgr,
}

impl fmt::Display for ChannelOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChannelOrder::Rgb => "rgb",
            ChannelOrder::Bgr => "bgr",
        })
    }
}

impl FromStr for ChannelOrder {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "rgb" => Ok(ChannelOrder::Rgb),
            "bgr" => Ok(ChannelOrder::Bgr),
            _ => Err(format!("unknown channel order `{name}` (known: rgb, bgr)")),
        }
    }
}

/// The most often that a picture may be enlarged; every time costs four times as much.
pub const MAX_UPSAMPLE: u32 = 2;

/// Everything beside the weights that changes what the detector finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// How often the picture is doubled first, 0..=2: faces from 80, 40 or 20 pixels are found.
    pub upsample: u32,
    /// Which channel comes first.
    pub channels: ChannelOrder,
}

/// The published weights for tests; says loudly when they are not there.
#[cfg(test)]
fn test_weights() -> Option<std::path::PathBuf> {
    let cache = std::env::var_os("NCAERS_CACHE").map(std::path::PathBuf::from);
    let cache = cache.or_else(|| {
        let base = std::env::var_os("XDG_CACHE_HOME").map(std::path::PathBuf::from);
        let home = || Some(std::path::PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
        Some(base.or_else(home)?.join("ncaers"))
    })?;
    let path = cache.join("mmod/mmod_human_face_detector.dat");
    if path.exists() {
        return Some(path);
    }
    eprintln!("SKIPPED: {} is missing; run `just fetch-mmod`", path.display());
    None
}
