//! dlib's convolutional face detector (Davis E. King: "Max-Margin Object Detection",
//! arXiv:1502.00046), box for box, on LibTorch.
//!
//! The detector of the paper. Its weights are the user's own copy of
//! `mmod_human_face_detector.dat` (`ncaers fetch-mmod`). A picture is enlarged 0, 1 or 2 times, put
//! on a canvas as a pyramid, scored by seven convolutions, and every place above 0 becomes a box.
use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{bail, Result};
use serde::{Deserialize, Serialize};

use super::Detector;
use crate::record::named;

#[cfg(feature = "torch")]
mod boxes;
#[cfg(feature = "torch")]
mod canvas;
#[cfg(feature = "torch")]
mod detector;
#[cfg(feature = "torch")]
mod layout;
#[cfg(feature = "torch")]
mod network;
#[cfg(feature = "torch")]
mod painter;
#[cfg(feature = "torch")]
mod rect;
#[cfg(feature = "torch")]
mod resize;
mod weights;

#[cfg(feature = "torch")]
pub use detector::Mmod;
pub use weights::{Affine, Convolution, Error, Problem, Shape, Weights, DETECTOR};

/// The order in which a picture's channels are given to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// As the network was trained.
    #[default]
    Rgb,
    /// As programs do that hand pictures from OpenCV to dlib as they are.
    Bgr,
}

named!(ChannelOrder, "channel order", Rgb = "rgb", Bgr = "bgr");

/// The most often that a picture may be enlarged; every time costs four times as much.
pub const MAX_UPSAMPLE: u32 = 2;

/// Everything beside the weights that changes what the detector finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MmodSettings {
    /// How often the picture is doubled first, 0..=2: faces from 80, 40 or 20 pixels are found.
    pub upsample: u32,
    /// Which channel comes first.
    pub channels: ChannelOrder,
    /// Levels of the pyramid whose faces are narrower in pixels of the picture are left out; 0
    /// leaves out none and finds what dlib finds.
    pub min_face: u32,
}

impl Default for MmodSettings {
    /// As the paper's released code searches, but for its channel order.
    fn default() -> Self {
        MmodSettings { upsample: 1, channels: ChannelOrder::Rgb, min_face: 0 }
    }
}

/// Where `ncaers fetch-mmod` puts the weights; `None` where no folder is known to be one's own.
pub fn default_weights() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from);
    let base = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    let cache = folder("NCAERS_CACHE").or_else(|| Some(base()?.join("ncaers")))?;
    Some(cache.join("mmod/mmod_human_face_detector.dat"))
}

/// The detector on a device (the processor when none is named); its weights are the fetched ones
/// when none are named.
///
/// # Errors
/// When the weights are missing or are no such network, when a setting is out of its range, when
/// the device is not there, or when the program was built without LibTorch.
#[cfg(feature = "torch")]
pub(super) fn open(
    settings: MmodSettings,
    weights: Option<&Path>,
    device: Option<&str>,
) -> Result<Box<dyn Detector>> {
    let fetched = default_weights();
    let Some(weights) = weights.or(fetched.as_deref()) else {
        bail!("mmod needs its weights; name them with --mmod-weights")
    };
    use crate::device::{exactly, ComputeDevice, Precision};
    // What is set for a network beside the detector holds again behind this.
    let machine = exactly(|| ComputeDevice::open(device.unwrap_or("cpu"), Precision::Fp32))?;
    let device = machine.device();
    Ok(Box::new(Mmod::open(weights, settings, device)?))
}

/// Tells that there is no LibTorch to run the detector on.
///
/// # Errors
/// Always.
#[cfg(not(feature = "torch"))]
pub(super) fn open(
    _: MmodSettings,
    _: Option<&Path>,
    _: Option<&str>,
) -> Result<Box<dyn Detector>> {
    bail!("mmod runs on LibTorch, and this program was built without LibTorch")
}

/// The published weights for tests; says loudly when they are not there.
#[cfg(test)]
fn test_weights() -> Option<PathBuf> {
    use std::io::Write;
    let path = default_weights()?;
    if path.exists() {
        return Some(path);
    }
    // Not eprintln, which the test harness swallows.
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED: {} is missing, run `ncaers fetch-mmod`; not tested: dlib's detector",
        path.display()
    );
    None
}
