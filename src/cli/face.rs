//! The options of every command that looks for faces: which detector, and how it searches.
use std::path::PathBuf;

use super::Usage;
use crate::face::{
    mmod::{ChannelOrder, MmodSettings, MAX_UPSAMPLE},
    DetectorRequest,
};

#[derive(Debug, clap::Args)]
pub(super) struct DetectorArgs {
    /// Face detector: seeta (the default), mmod (dlib's network), boxes=FILE (a list) or none
    #[arg(long, value_name = "NAME")]
    detector: Option<String>,
    /// Edge of the smallest face to look for in pixels of the picture: seeta from 40 on (40 when
    /// absent), mmod any (when absent, all that dlib finds); larger is faster
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    min_face: Option<u32>,
    /// The file mmod_human_face_detector.dat; where `ncaers fetch-mmod` puts it when absent
    #[arg(long, value_name = "FILE")]
    mmod_weights: Option<PathBuf>,
    /// How often mmod doubles a picture first: finds faces from 80, 40 (the default) or 20 pixels
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_UPSAMPLE)))]
    upsample: Option<u32>,
    /// Order in which mmod gets the channels: rgb (the default), or bgr as OpenCV's users give it
    #[arg(long, value_name = "ORDER")]
    channel_order: Option<ChannelOrder>,
    /// Where mmod runs: cpu (the default), cuda or cuda:N
    #[arg(long, value_name = "DEVICE")]
    device: Option<String>,
}

impl DetectorArgs {
    /// The detector with its settings; the detector and the channel order are those given here
    /// where nothing else is said.
    ///
    /// # Errors
    /// When an option is for another detector than the one that is asked for.
    pub(super) fn request(
        &self,
        detector: &str,
        channels: ChannelOrder,
    ) -> Result<DetectorRequest, Usage> {
        let detector = self.detector.as_deref().unwrap_or(detector);
        let (detector, list) = match detector.split_once('=') {
            Some((name, file)) if name == "boxes" => (name, Some(PathBuf::from(file))),
            _ => (detector, None),
        };
        let for_mmod = self.upsample.is_some()
            || self.channel_order.is_some()
            || self.mmod_weights.is_some()
            || self.device.is_some();
        if for_mmod && detector != "mmod" {
            let what = "--upsample, --channel-order, --mmod-weights and --device are for";
            return Err(Usage(format!("{what} --detector mmod, and --detector is {detector}")));
        }
        if self.min_face.is_some() && !["seeta", "mmod"].contains(&detector) {
            let what = "--min-face is for --detector seeta and mmod";
            return Err(Usage(format!("{what}, and --detector is {detector}")));
        }
        let default = MmodSettings::default();
        Ok(DetectorRequest {
            min_face: self.min_face,
            mmod: MmodSettings {
                upsample: self.upsample.unwrap_or(default.upsample),
                channels: self.channel_order.unwrap_or(channels),
                ..default
            },
            device: self.device.clone(),
            file: list.or_else(|| self.mmod_weights.clone()),
            ..DetectorRequest::named(detector)
        })
    }
}
