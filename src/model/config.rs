//! The `[model]` table of an experiment: which network, which variant of it.
//!
//! Free of LibTorch, so that experiments can be read and checked without it.
use serde::{Deserialize, Serialize};

/// Every network of the paper's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelName {
    /// GLAMOR-Net, the paper's network.
    Glamor,
    /// CAER-Net-S (Lee et al., ICCV 2019).
    CaerNetS,
    /// AlexNet.
    Alexnet,
    /// VGG16 without batch normalisation.
    Vgg16,
    /// ResNet-18.
    Resnet18,
    /// ResNet-50.
    Resnet50,
    /// EfficientFace (Zhao et al., AAAI 2021).
    Efficientface,
    /// MA-Net (Zhao et al., TIP 2021).
    MaNet,
    /// GRERN after its abstract; the design is inferred.
    Grern,
}

/// The encoder of both GLAMOR-Net branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// Five convolution blocks, the paper's own.
    Original,
    /// MobileNetV2 without its head.
    MobilenetV2,
    /// ResNet-18 without its head.
    Resnet18,
}

/// How the context map becomes a vector (Table 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Plain average.
    None,
    /// CAER-Net-S's attention, which sees the context alone.
    Ca,
    /// Global-local attention, guided by the face.
    Gla,
}

/// How the two branch vectors become one (Table 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fusion {
    /// Two small networks score the branches, a softmax weighs them.
    Net,
    /// Sum.
    Add,
    /// Elementwise maximum.
    Max,
    /// ReLU-max fusion after Dubey et al. (inferred).
    Dubey,
    /// Concatenation without weights.
    Concat,
}

/// What reaches the classifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Branches {
    /// The face vector alone.
    Face,
    /// The context vector alone; under global-local attention the face only guides it.
    Context,
    /// Both, fused.
    Both,
}

/// Whether the face is blanked out of the context picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Context {
    /// The face rectangle is zero.
    Masked,
    /// The face stays visible.
    Visible,
}

/// What a one-picture network looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Picture {
    /// The whole frame.
    Frame,
    /// The face crop, enlarged to the network's size.
    Face,
}

/// A set of defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// As printed in the paper; where it is silent, PyTorch's defaults.
    Paper,
    /// As in the authors' released Keras code: 128 classifier units, epsilon 1e-3, momentum 0.01.
    Released,
}

/// Which weights stay as loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// Everything is trained ("fine-tuned" in Table 2).
    None,
    /// All but the head stays, batch normalisation statistics included ("ImageNet-X" in Table 2).
    Backbone,
}

/// How pixels in `[0, 1]` become network input: `(x - mean) / std` per channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Pixels as they are.
    Unit,
    /// ImageNet's statistics, as torchvision's weights expect.
    Imagenet,
    /// RAF-DB's statistics, as EfficientFace's public code has them.
    Rafdb,
    /// VGG-Face's mean colour on the 0..255 scale, not divided.
    Vggface,
}

impl Normalization {
    /// Mean and standard deviation of R, G, B on the `[0, 1]` scale.
    pub fn mean_std(self) -> ([f64; 3], [f64; 3]) {
        match self {
            Normalization::Unit => ([0.0; 3], [1.0; 3]),
            Normalization::Imagenet => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            Normalization::Rafdb => (
                [0.575_359_14, 0.449_285_82, 0.400_799_32],
                [0.207_355_91, 0.189_816_15, 0.181_320_27],
            ),
            Normalization::Vggface => {
                ([129.1863 / 255.0, 104.7624 / 255.0, 93.5940 / 255.0], [1.0 / 255.0; 3])
            }
        }
    }
}

/// Weights to start from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// A `.safetensors` or PyTorch `.pth` file.
    pub path: String,
    /// Keep the fresh head when the file's head has another number of classes.
    #[serde(default)]
    pub new_head: bool,
    /// Parts of the network that the file's names belong to, such as `face_encoder`; empty: the
    /// whole network. Everything outside these parts keeps its fresh weights.
    #[serde(default)]
    pub into: Vec<String>,
    /// Where in the file the weights lie, such as `model_ema`, or what their names begin with; only
    /// needed where a file holds several state dicts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A network and its variant, every choice made.
///
/// Read from a table in which all keys are optional; keys that do not apply to the named network
/// are refused, and so is every unknown key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Wire", into = "Wire")]
pub struct ModelConfig {
    /// The network.
    pub name: ModelName,
    /// Defaults that the other keys start from.
    pub preset: Preset,
    /// GLAMOR-Net's encoders.
    pub backbone: Backbone,
    /// Output channels of the five blocks of an original encoder (GLAMOR-Net, CAER-Net-S).
    pub widths: [i64; 5],
    /// GLAMOR-Net's attention.
    pub attention: Attention,
    /// GLAMOR-Net's fusion; unused unless both branches reach the classifier.
    pub fusion: Fusion,
    /// GLAMOR-Net's branches.
    pub branches: Branches,
    /// The context picture of two-picture networks.
    pub context: Context,
    /// Hidden units of the classifier (GLAMOR-Net, CAER-Net-S).
    pub cls_hidden: i64,
    /// Epsilon of the batch normalisation of original encoders and attention.
    pub bn_eps: f64,
    /// Share of the new value in the running statistics.
    pub bn_momentum: f64,
    /// Dropout before the last layer; in AlexNet and VGG16 in both hidden layers.
    pub dropout: f64,
    /// What a one-picture network looks at.
    pub picture: Picture,
    /// Pixel scaling.
    pub normalization: Normalization,
    /// Weights to start from; `None` trains from scratch.
    pub weights: Option<Weights>,
    /// What is not trained.
    pub freeze: Freeze,
}

impl Default for ModelConfig {
    /// GLAMOR-Net with the original encoder as in the paper.
    fn default() -> Self {
        ModelConfig::of(ModelName::Glamor, Preset::Paper)
    }
}

impl ModelConfig {
    /// Every key of the table, for messages that name the nearest known one.
    pub const KEYS: [&'static str; 16] = [
        "name",
        "preset",
        "backbone",
        "widths",
        "attention",
        "fusion",
        "branches",
        "context",
        "cls_hidden",
        "bn_eps",
        "bn_momentum",
        "dropout",
        "picture",
        "normalization",
        "weights",
        "freeze",
    ];

    /// The network of a run by the configuration that the run records; `None` when it is none of
    /// this version's.
    pub fn of_run(config: &serde_json::Value) -> Option<Self> {
        Self::deserialize(config.get("model")?).ok()
    }

    /// The defaults of a network.
    pub fn of(name: ModelName, preset: Preset) -> Self {
        let released = preset == Preset::Released;
        ModelConfig {
            name,
            preset,
            backbone: Backbone::Original,
            widths: [32, 64, 128, 256, 256],
            attention: Attention::Gla,
            fusion: Fusion::Net,
            branches: Branches::Both,
            context: Context::Masked,
            cls_hidden: if released || name == ModelName::CaerNetS { 128 } else { 256 },
            bn_eps: if released { 1e-3 } else { 1e-5 },
            bn_momentum: if released { 0.01 } else { 0.1 },
            dropout: if matches!(name, ModelName::Glamor | ModelName::CaerNetS)
                || uses_dropout(name)
            {
                0.5
            } else {
                0.0
            },
            picture: match name {
                ModelName::Efficientface | ModelName::MaNet => Picture::Face,
                _ => Picture::Frame,
            },
            normalization: match name {
                ModelName::Glamor | ModelName::MaNet => Normalization::Unit,
                ModelName::Efficientface => Normalization::Rafdb,
                _ => Normalization::Imagenet,
            },
            weights: None,
            freeze: Freeze::None,
        }
    }
}

fn uses_dropout(name: ModelName) -> bool {
    matches!(name, ModelName::Alexnet | ModelName::Vgg16)
}

/// The keys that apply to a network, beside those that apply to all.
fn applies(name: ModelName, key: &str) -> bool {
    let pair = matches!(name, ModelName::Glamor | ModelName::CaerNetS);
    match key {
        "preset" | "backbone" | "attention" | "fusion" | "branches" | "bn_momentum" => {
            name == ModelName::Glamor
        }
        "widths" | "context" | "cls_hidden" | "bn_eps" => pair,
        "dropout" => pair || uses_dropout(name),
        "picture" => !pair,
        _ => true,
    }
}

/// The table as written: everything optional.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wire {
    name: Option<ModelName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<Preset>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backbone: Option<Backbone>,
    #[serde(skip_serializing_if = "Option::is_none")]
    widths: Option<[i64; 5]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<Attention>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fusion: Option<Fusion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    branches: Option<Branches>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cls_hidden: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bn_eps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bn_momentum: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropout: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Picture>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalization: Option<Normalization>,
    #[serde(skip_serializing_if = "Option::is_none")]
    freeze: Option<Freeze>,
    #[serde(skip_serializing_if = "Option::is_none")]
    weights: Option<WireWeights>,
}

/// Either a bare path or the full table.
#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum WireWeights {
    Path(String),
    Table(Weights),
}

/// Takes `key` out of the wire table, refusing it where it has no meaning.
macro_rules! take {
    ($config:ident, $wire:ident, $($key:ident)*) => {
        $(if let Some(value) = $wire.$key {
            if !applies($config.name, stringify!($key)) {
                return Err(format!(
                    "key `{}` does not apply to model {}; remove it",
                    stringify!($key), $config.name,
                ));
            }
            $config.$key = value;
        })*
    };
}

/// Writes `key` into the wire table where it has a meaning.
macro_rules! give {
    ($config:ident, $wire:ident, $($key:ident)*) => {
        $($wire.$key = applies($config.name, stringify!($key)).then_some($config.$key);)*
    };
}

impl TryFrom<Wire> for ModelConfig {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let name = wire.name.unwrap_or(ModelName::Glamor);
        let mut config = ModelConfig::of(name, wire.preset.unwrap_or(Preset::Paper));
        take!(config, wire, preset backbone widths attention fusion branches context cls_hidden
            bn_eps bn_momentum dropout picture normalization freeze);
        config.weights = wire.weights.map(|weights| match weights {
            WireWeights::Path(path) => {
                Weights { path, new_head: false, into: Vec::new(), key: None }
            }
            WireWeights::Table(weights) => weights,
        });
        config.check()?;
        Ok(config)
    }
}

impl From<ModelConfig> for Wire {
    fn from(config: ModelConfig) -> Self {
        let mut wire = Wire { name: Some(config.name), ..Wire::default() };
        give!(config, wire, preset backbone widths attention fusion branches context cls_hidden
            bn_eps bn_momentum dropout picture normalization freeze);
        wire.weights = config.weights.map(WireWeights::Table);
        wire
    }
}

/// The widest layer that a configuration may ask for.
const MAX_WIDTH: i64 = 4096;

impl ModelConfig {
    fn check(&self) -> Result<(), String> {
        let within = |key: &str, width: i64| match (1..=MAX_WIDTH).contains(&width) {
            true => Ok(()),
            false => Err(format!("`{key}` is {width}; use a number from 1 to {MAX_WIDTH}")),
        };
        self.widths.iter().try_for_each(|&width| within("widths", width))?;
        within("cls_hidden", self.cls_hidden)?;
        let fraction = |key: &str, value: f64, good: bool| match good {
            true => Ok(()),
            false => Err(format!("`{key}` is {value}; use a number from 0 to below 1")),
        };
        fraction("dropout", self.dropout, (0.0..1.0).contains(&self.dropout))?;
        fraction("bn_eps", self.bn_eps, self.bn_eps > 0.0 && self.bn_eps < 1.0)?;
        let momentum = self.bn_momentum;
        fraction("bn_momentum", momentum, momentum > 0.0 && momentum < 1.0)?;
        if self.freeze == Freeze::Backbone && self.weights.is_none() {
            return Err("`freeze = \"backbone\"` without `weights` would keep random features; \
                        name a weights file"
                .to_owned());
        }
        Ok(())
    }
}

impl ModelName {
    /// Every network, in the order of the paper's tables.
    pub const ALL: [ModelName; 9] = [
        ModelName::Glamor,
        ModelName::CaerNetS,
        ModelName::Alexnet,
        ModelName::Vgg16,
        ModelName::Resnet18,
        ModelName::Resnet50,
        ModelName::Efficientface,
        ModelName::MaNet,
        ModelName::Grern,
    ];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ModelName::Glamor => "glamor",
            ModelName::CaerNetS => "caer_net_s",
            ModelName::Alexnet => "alexnet",
            ModelName::Vgg16 => "vgg16",
            ModelName::Resnet18 => "resnet18",
            ModelName::Resnet50 => "resnet50",
            ModelName::Efficientface => "efficientface",
            ModelName::MaNet => "ma_net",
            ModelName::Grern => "grern",
        }
    }
}

impl std::fmt::Display for ModelName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ModelConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_table_is_the_paper() {
        assert_eq!(parse("").expect("defaults"), ModelConfig::default());
    }

    #[test]
    fn presets_are_where_the_other_keys_start() {
        let config = parse("preset = \"released\"\ncls_hidden = 64").expect("valid");
        assert_eq!((config.bn_eps, config.bn_momentum, config.cls_hidden), (1e-3, 0.01, 64));
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        for name in ModelName::ALL {
            let mut config = ModelConfig::of(name, Preset::Paper);
            config.weights = Some(Weights {
                path: "w.pth".into(),
                new_head: true,
                into: vec!["a".into()],
                key: None,
            });
            config.freeze = Freeze::Backbone;
            let text = toml::to_string(&config).expect("serialises");
            assert_eq!(parse(&text).expect("reads back"), config, "{text}");
            assert!(text.contains(&format!("name = \"{name}\"")), "{text}");
        }
    }

    #[test]
    fn keys_without_a_meaning_are_refused() {
        let foreign = parse("name = \"vgg16\"\nattention = \"ca\"").expect_err("refused");
        assert!(foreign.contains("`attention` does not apply to model vgg16"), "{foreign}");
        for (text, part) in [
            ("atention = \"ca\"", "atention"),
            ("attention = \"cb\"", "cb"),
            ("widths = [1, 2]", "widths"),
            ("widths = [0, 2, 3, 4, 5]", "`widths` is 0"),
            ("dropout = 1.0", "`dropout` is 1"),
            ("bn_eps = nan", "`bn_eps` is NaN"),
            ("freeze = \"backbone\"", "name a weights file"),
            ("weights = { pth = \"a\" }", "weights"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn every_known_key_is_listed() {
        let weights = Some(Weights { path: "w".into(), new_head: false, into: vec![], key: None });
        let config = ModelConfig { weights, ..ModelConfig::default() };
        let glamor = toml::Table::try_from(&config).expect("a table");
        let picture = toml::Table::try_from(ModelConfig::of(ModelName::Vgg16, Preset::Paper));
        let written: std::collections::BTreeSet<String> =
            glamor.into_iter().chain(picture.expect("a table")).map(|(key, _)| key).collect();
        assert_eq!(written, ModelConfig::KEYS.iter().map(|key| key.to_string()).collect());
    }
}
