//! The networks of the paper: each a pure function of tensor names and shapes.
//!
//! A network is one file with a `pub const ENTRY` and one line in [`MODELS`]. Tensor names are
//! those of the public PyTorch code of each network, so that its checkpoints load.
mod config;
pub mod published;
pub use config::{
    Attention, Backbone, Branches, Context, Freeze, Fusion, ModelConfig, ModelName, Normalization,
    Picture, Preset, Weights,
};

#[cfg(feature = "torch")]
mod alexnet;
#[cfg(feature = "torch")]
mod attention;
#[cfg(feature = "torch")]
mod caer_net;
#[cfg(feature = "torch")]
mod efficientface;
#[cfg(feature = "torch")]
mod encoder;
#[cfg(feature = "torch")]
mod error;
#[cfg(feature = "torch")]
mod fused;
#[cfg(feature = "torch")]
mod glamor;
#[cfg(feature = "torch")]
mod grern;
#[cfg(feature = "torch")]
mod interface;
#[cfg(feature = "torch")]
mod layers;
#[cfg(feature = "torch")]
mod ma_net;
#[cfg(feature = "torch")]
mod mobilenet;
#[cfg(feature = "torch")]
mod pass;
#[cfg(feature = "torch")]
mod resnet;
#[cfg(feature = "torch")]
mod summary;
#[cfg(feature = "torch")]
mod vgg;

#[cfg(feature = "torch")]
pub use self::{
    error::InputError,
    interface::{build, entry, Branch, Input, Inputs, Model, ModelEntry, Outputs, Slot},
    pass::{Layer, Pass},
    summary::{fresh, ModelSummary},
};
#[cfg(feature = "torch")]
pub(crate) use self::{
    ma_net::LOCAL_SHARE,
    pass::{Prepared, Shift},
};

/// Every network, in the order of the paper's tables.
#[cfg(feature = "torch")]
pub const MODELS: &[ModelEntry] = &[
    glamor::ENTRY,
    caer_net::ENTRY,
    alexnet::ENTRY,
    vgg::ENTRY,
    resnet::ENTRY_18,
    resnet::ENTRY_50,
    efficientface::ENTRY,
    ma_net::ENTRY,
    grern::ENTRY,
];
