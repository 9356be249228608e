//! What the rows of a data set depend on, whether it was built from clips or imported.
use serde::{Deserialize, Serialize};

use super::{Config, ImportConfig};
use crate::{
    face,
    split::{holdout::ValShare, Balance, OnLeak, Shares},
};

/// The configuration that a manifest carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Configuration {
    /// Of a build.
    Build(Config),
    /// Of an import.
    Import(ImportConfig),
}

/// What both kinds have in common.
#[derive(Debug)]
pub struct Rules<'a> {
    /// Seed of every draw.
    pub seed: u64,
    /// Length of a segment; `None` for stills.
    pub segment_seconds: Option<f64>,
    /// Detector's name with settings, or `none`.
    pub detector: &'a str,
    /// Whether samples without a face are left out.
    pub require_face: bool,
    /// Whether frames that the decoder calls damaged are kept.
    pub keep_damaged: bool,
    /// Balance of classes.
    pub balance: Balance,
    /// Shares of the splits.
    pub split: Shares,
    /// What happens to what is in two splits.
    pub on_leak: OnLeak,
    /// Share of training that becomes validation.
    pub val_share: Option<ValShare>,
}

impl Rules<'_> {
    /// Whether faces were looked for.
    pub fn detected(&self) -> bool {
        self.detector != face::NONE
    }
}

impl Configuration {
    /// What both kinds have in common.
    pub fn rules(&self) -> Rules<'_> {
        match self {
            Configuration::Build(c) => Rules {
                seed: c.seed,
                segment_seconds: Some(c.segment_seconds),
                detector: &c.detector_settings,
                require_face: c.require_face,
                keep_damaged: c.keep_damaged,
                balance: c.balance,
                split: c.split,
                on_leak: c.on_leak,
                val_share: None,
            },
            Configuration::Import(c) => Rules {
                seed: c.seed,
                segment_seconds: None,
                detector: &c.detector_settings,
                require_face: c.require_face,
                keep_damaged: true,
                balance: c.balance,
                split: c.split,
                on_leak: c.on_leak,
                val_share: c.val_share,
            },
        }
    }
}
