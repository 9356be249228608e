//! Numbers quoted from the paper (Le et al., "Global-local attention for emotion recognition",
//! Neural Computing and Applications, 2021); measured on other data than any run here, so they
//! always stand in a column of their own.
use serde_json::Value;

use crate::{
    model::{
        Attention, Backbone, Branches, Context, Freeze, Fusion, ModelConfig,
        ModelName::{self, *},
    },
    record::NUM_CLASSES,
};

/// Table 1: samples per class of NCAER-S's training set, in label order.
pub const TABLE_1: [u64; NUM_CLASSES] = [2272, 3004, 2902, 1905, 3202, 3084, 2186];

/// Table 5: Stuart-Maxwell p-values between the models of setting (iv) and, on the diagonal,
/// against the truth.
pub const TABLE_5: [(&str, [Option<&str>; 3]); 3] = [
    ("GLA", [Some("3.0e-2"), Some("1.69e-14"), Some("1.38e-53")]),
    ("CA", [None, Some("1.33e-10"), Some("3.33e-14")]),
    ("none", [None, None, Some("2.81e-38")]),
];

/// Which of the paper's data sets one stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// CAER-S.
    CaerS,
    /// NCAER-S.
    NcaerS,
}

impl Role {
    /// By its usual name: `CAER-S`, `ncaer_s` and the like; `None` for another data set.
    pub fn of(name: &str) -> Option<Self> {
        let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
        match plain.to_ascii_lowercase().as_str() {
            "caers" => Some(Role::CaerS),
            "ncaers" => Some(Role::NcaerS),
            _ => None,
        }
    }

    /// The paper's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Role::CaerS => "CAER-S",
            Role::NcaerS => "NCAER-S",
        }
    }
}

/// One row of a table of the paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PaperRow {
    /// First column: the setting, or the model.
    pub setting: &'static str,
    /// Second column: what the row varies.
    pub variant: &'static str,
    /// Accuracy on CAER-S in percent.
    pub caer_s: Option<f64>,
    /// Accuracy on NCAER-S in percent.
    pub ncaer_s: Option<f64>,
    /// What the network of a run must be to stand in this row.
    network: Network,
}

impl PaperRow {
    /// Whether a run of this network belongs into the row.
    pub fn is_model(&self, model: &ModelConfig) -> bool {
        self.network.is(model)
    }

    /// Whether a run with this resolved configuration belongs into the row.
    pub fn holds(&self, config: &Value) -> bool {
        ModelConfig::of_run(config).is_some_and(|model| self.is_model(&model))
    }
}

/// What rows tell networks apart by; `None` where they do not.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Network {
    name: ModelName,
    backbone: Option<Backbone>,
    branches: Option<Branches>,
    context: Option<Context>,
    attention: Option<Attention>,
    fusion: Option<Fusion>,
    freeze: Option<Freeze>,
    /// Whether training starts from given weights.
    has_weights: Option<bool>,
}

impl Network {
    fn is(&self, model: &ModelConfig) -> bool {
        fn fits<T: PartialEq>(wanted: Option<T>, found: T) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        self.name == model.name
            && fits(self.backbone, model.backbone)
            && fits(self.branches, model.branches)
            && fits(self.context, model.context)
            && fits(self.attention, model.attention)
            && fits(self.fusion, model.fusion)
            && fits(self.freeze, model.freeze)
            && fits(self.has_weights, model.weights.is_some())
    }
}

/// The data sets of the paper's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// CAER-S alone.
    CaerS,
    /// NCAER-S alone.
    NcaerS,
    /// A column for each.
    Both,
}

/// A table of the paper in its own order of rows.
#[derive(Clone, Copy, Debug)]
pub struct PaperTable {
    /// Number in the paper.
    pub number: u8,
    /// What the paper's table shows.
    pub caption: &'static str,
    /// Headings of the first two columns.
    pub heads: [&'static str; 2],
    /// Whose accuracies the paper's table holds.
    pub set: Set,
    /// The rows.
    pub rows: &'static [PaperRow],
    /// Rows that must have runs before the table is worth showing.
    pub least: usize,
    /// What sets our rows apart from the paper's.
    pub note: &'static str,
}

const fn row(
    setting: &'static str,
    variant: &'static str,
    caer_s: Option<f64>,
    ncaer_s: Option<f64>,
    network: Network,
) -> PaperRow {
    PaperRow { setting, variant, caer_s, ncaer_s, network }
}

/// Table 2: systems on CAER-S.
pub const SYSTEMS_CAER_S: PaperTable = PaperTable {
    number: 2,
    least: 4,
    caption: "Systems, in the layout of Table 2 (the paper's numbers are on CAER-S)",
    heads: ["system", "weights"],
    set: Set::CaerS,
    note: "Rows without a run here are the paper's alone; most of them it quotes from others. \
           GRERN's design is inferred here from its abstract.",
    rows: &[
        row("AlexNet", "ImageNet, frozen", Some(47.36), None, frozen(Alexnet)),
        row("VGG16", "ImageNet, frozen", Some(49.89), None, frozen(Vgg16)),
        row("ResNet", "ImageNet, frozen", Some(57.33), None, frozen(Resnet50)),
        row("AlexNet", "fine-tuned", Some(61.73), None, tuned(Alexnet)),
        row("VGG16", "fine-tuned", Some(64.85), None, tuned(Vgg16)),
        row("ResNet-50", "fine-tuned", Some(68.46), None, tuned(Resnet50)),
        row("CAER-Net-S", "scratch", Some(73.52), None, any(CaerNetS)),
        row("GRERN", "scratch", Some(81.31), None, any(Grern)),
        row("EfficientFace", "scratch", Some(81.48), None, any(Efficientface)),
        row("MA-Net", "scratch", Some(88.42), None, any(MaNet)),
        row("GLAMOR-Net (original)", "scratch", Some(77.90), None, backbone(Backbone::Original)),
        row("GLAMOR-Net (ResNet-18)", "scratch", Some(89.88), None, backbone(Backbone::Resnet18)),
    ],
};

/// CAER-Net-S in Table 3.
pub const CAER_NET_S_ROW: PaperRow = row("CAER-Net-S", "scratch", None, Some(44.14), any(CaerNetS));
/// CAER-Net-S's attention in setting (iv) of Table 4.
pub const SETTING_IV_CA: PaperRow =
    row("(iv) F + mC", "CA", None, Some(44.14), both(Attention::Ca));
/// GLAMOR-Net in setting (iv) of Table 4.
pub const SETTING_IV_GLA: PaperRow =
    row("(iv) F + mC", "GLA", None, Some(46.91), both(Attention::Gla));

/// Table 3: systems on NCAER-S.
pub const SYSTEMS: PaperTable = PaperTable {
    number: 3,
    least: 2,
    caption: "Systems, in the layout of Table 3",
    heads: ["system", "weights"],
    set: Set::NcaerS,
    note: "Rows without a run here are the paper's alone.",
    rows: &[
        row("VGG16", "VGG-Face, fine-tuned", None, Some(42.85), tuned(Vgg16)),
        row("ResNet-50", "ImageNet, fine-tuned", None, Some(41.41), tuned(Resnet50)),
        CAER_NET_S_ROW,
        row("GLAMOR-Net (original)", "scratch", None, Some(46.91), backbone(Backbone::Original)),
    ],
};

/// The paper's tables that are laid out again, those of its own experiments first.
pub const TABLES: [&PaperTable; 5] = [&ABLATION, &FUSION, &BACKBONES, &SYSTEMS, &SYSTEMS_CAER_S];

/// Where a configuration stands in the order of [`TABLES`], rows from the top; last when in none.
pub fn position(config: &Value) -> usize {
    let Some(model) = ModelConfig::of_run(config) else { return usize::MAX };
    let mut rows = TABLES.iter().flat_map(|table| table.rows);
    rows.position(|row| row.is_model(&model)).unwrap_or(usize::MAX)
}

/// Table 4: what the inputs and the attention contribute.
pub const ABLATION: PaperTable = PaperTable {
    number: 4,
    least: 1,
    caption: "Ablation of inputs and attention, in the layout of Table 4",
    heads: ["inputs", "attention"],
    set: Set::NcaerS,
    note: "F: face; mC: context with the face masked; fC: context with the face visible; CA: \
           attention of CAER-Net-S; GLA: global-local attention. In (ii) and (iii) with GLA the \
           face guides the attention only.",
    rows: &[
        row("(i) F", "–", None, Some(42.58), FACE),
        row("(ii) mC", "none", None, Some(41.18), context(Context::Masked, Attention::None)),
        row("(ii) mC", "CA", None, Some(41.27), context(Context::Masked, Attention::Ca)),
        row("(ii) mC", "GLA", None, Some(42.24), context(Context::Masked, Attention::Gla)),
        row("(iii) fC", "CA", None, Some(41.94), context(Context::Visible, Attention::Ca)),
        row("(iii) fC", "GLA", None, Some(42.66), context(Context::Visible, Attention::Gla)),
        row("(iv) F + mC", "none", None, Some(43.19), both(Attention::None)),
        SETTING_IV_CA,
        SETTING_IV_GLA,
    ],
};

/// Table 6: ways to fuse the branches.
pub const FUSION: PaperTable = PaperTable {
    number: 6,
    least: 2,
    caption: "Fusion methods, in the layout of Table 6",
    heads: ["fusion", "design"],
    set: Set::NcaerS,
    note: "The method of Dubey et al. is rebuilt from its description, so its design is inferred.",
    rows: &[
        row("Add", "sum", None, Some(44.33), fused(Fusion::Add)),
        row("Max", "elementwise maximum", None, Some(45.62), fused(Fusion::Max)),
        row("Dubey et al.", "ReLU-max (inferred)", None, Some(46.26), fused(Fusion::Dubey)),
        row("Fusion Net", "learned weights", None, Some(46.91), fused(Fusion::Net)),
    ],
};

/// Table 7: backbones.
pub const BACKBONES: PaperTable = PaperTable {
    number: 7,
    least: 2,
    caption: "Backbones, in the layout of Table 7",
    heads: ["backbone", "parameters in the paper"],
    set: Set::Both,
    note: "Parameters counts weights, biases and the statistics of batch normalisation.",
    rows: &[
        row("original", "2.23 M", Some(77.90), Some(46.91), backbone(Backbone::Original)),
        row("MobileNetV2", "5.83 M", Some(85.44), Some(47.52), backbone(Backbone::MobilenetV2)),
        row("ResNet-18", "22.90 M", Some(89.88), Some(48.40), backbone(Backbone::Resnet18)),
    ],
};

/// A network of that name, however it is trained.
const fn any(name: ModelName) -> Network {
    Network {
        name,
        backbone: None,
        branches: None,
        context: None,
        attention: None,
        fusion: None,
        freeze: None,
        has_weights: None,
    }
}

const fn frozen(name: ModelName) -> Network {
    Network { freeze: Some(Freeze::Backbone), has_weights: Some(true), ..any(name) }
}

const fn tuned(name: ModelName) -> Network {
    Network { freeze: Some(Freeze::None), has_weights: Some(true), ..any(name) }
}

const FACE: Network = Network { branches: Some(Branches::Face), ..any(Glamor) };

const fn context(context: Context, attention: Attention) -> Network {
    Network {
        backbone: Some(Backbone::Original),
        branches: Some(Branches::Context),
        context: Some(context),
        attention: Some(attention),
        ..any(Glamor)
    }
}

const fn both_branches(attention: Attention, fusion: Fusion, backbone: Backbone) -> Network {
    Network {
        backbone: Some(backbone),
        branches: Some(Branches::Both),
        context: Some(Context::Masked),
        attention: Some(attention),
        fusion: Some(fusion),
        ..any(Glamor)
    }
}

const fn both(attention: Attention) -> Network {
    both_branches(attention, Fusion::Net, Backbone::Original)
}

const fn fused(fusion: Fusion) -> Network {
    both_branches(Attention::Gla, fusion, Backbone::Original)
}

const fn backbone(backbone: Backbone) -> Network {
    both_branches(Attention::Gla, Fusion::Net, backbone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Preset, Weights};
    use serde_json::json;

    #[test]
    fn table_1_adds_up() {
        assert_eq!(TABLE_1.iter().sum::<u64>(), 18_555);
    }

    /// A network that stands in `row`.
    fn model_of(row: &PaperRow) -> ModelConfig {
        let (wanted, mut model) = (row.network, ModelConfig::of(row.network.name, Preset::Paper));
        model.backbone = wanted.backbone.unwrap_or(model.backbone);
        model.branches = wanted.branches.unwrap_or(model.branches);
        model.context = wanted.context.unwrap_or(model.context);
        model.attention = wanted.attention.unwrap_or(model.attention);
        model.fusion = wanted.fusion.unwrap_or(model.fusion);
        model.freeze = wanted.freeze.unwrap_or(model.freeze);
        model.weights = wanted.has_weights.filter(|given| *given).map(|_| Weights {
            path: "x".into(),
            new_head: false,
            into: Vec::new(),
            key: None,
        });
        model
    }

    #[test]
    fn every_row_is_told_apart_in_what_a_run_records() {
        for table in TABLES {
            for row in table.rows {
                let config = json!({ "model": model_of(row), "train": {"seed": 1} });
                let holding: Vec<_> = table.rows.iter().filter(|r| r.holds(&config)).collect();
                assert_eq!(holding, [row], "{config}");
            }
        }
        assert!(!ABLATION.rows.iter().any(|r| r.holds(&json!({"model": {"name": "vgg16"}}))));
        assert!(!ABLATION.rows.iter().any(|r| r.holds(&json!({"model": {"name": "unheard of"}}))));
    }
}
