//! Numbers quoted from the paper (Le et al., "Global-local attention for emotion recognition",
//! Neural Computing and Applications, 2021); measured on other data than any run here, so they
//! always stand in a column of their own.
use serde_json::Value;

use crate::{model::ModelConfig, record::NUM_CLASSES};

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
    /// Keys of `[model]` that a run must have to stand in this row.
    keys: &'static [(&'static str, &'static str)],
}

impl PaperRow {
    /// Whether a run of this network belongs into the row.
    pub fn is_model(&self, model: &ModelConfig) -> bool {
        self.holds(&serde_json::json!({ "model": model }))
    }

    /// Whether a run with this resolved configuration belongs into the row.
    pub fn holds(&self, config: &Value) -> bool {
        self.keys.iter().all(|(key, wanted)| {
            let found = config.pointer(&format!("/model/{key}"));
            let found = found.filter(|v| !v.is_null());
            match (*key, found) {
                ("weights", found) => found.is_some() == (*wanted == "given"),
                (_, Some(Value::String(found))) => found == wanted,
                _ => false,
            }
        })
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
    keys: &'static [(&'static str, &'static str)],
) -> PaperRow {
    PaperRow { setting, variant, caer_s, ncaer_s, keys }
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
        row("AlexNet", "ImageNet, frozen", Some(47.36), None, FROZEN_ALEXNET),
        row("VGG16", "ImageNet, frozen", Some(49.89), None, FROZEN_VGG),
        row("ResNet", "ImageNet, frozen", Some(57.33), None, FROZEN_RESNET),
        row("AlexNet", "fine-tuned", Some(61.73), None, TUNED_ALEXNET),
        row("VGG16", "fine-tuned", Some(64.85), None, TUNED_VGG),
        row("ResNet-50", "fine-tuned", Some(68.46), None, TUNED_RESNET),
        row("CAER-Net-S", "scratch", Some(73.52), None, CAER_NET_S),
        row("GRERN", "scratch", Some(81.31), None, &[("name", "grern")]),
        row("EfficientFace", "scratch", Some(81.48), None, &[("name", "efficientface")]),
        row("MA-Net", "scratch", Some(88.42), None, &[("name", "ma_net")]),
        row("GLAMOR-Net (original)", "scratch", Some(77.90), None, GLAMOR),
        row("GLAMOR-Net (ResNet-18)", "scratch", Some(89.88), None, GLAMOR_RESNET),
    ],
};

/// CAER-Net-S in Table 3.
pub const CAER_NET_S_ROW: PaperRow = row("CAER-Net-S", "scratch", None, Some(44.14), CAER_NET_S);
/// CAER-Net-S's attention in setting (iv) of Table 4.
pub const SETTING_IV_CA: PaperRow = row("(iv) F + mC", "CA", None, Some(44.14), &both("ca"));
/// GLAMOR-Net in setting (iv) of Table 4.
pub const SETTING_IV_GLA: PaperRow = row("(iv) F + mC", "GLA", None, Some(46.91), &both("gla"));

/// Table 3: systems on NCAER-S.
pub const SYSTEMS: PaperTable = PaperTable {
    number: 3,
    least: 2,
    caption: "Systems, in the layout of Table 3",
    heads: ["system", "weights"],
    set: Set::NcaerS,
    note: "Rows without a run here are the paper's alone.",
    rows: &[
        row("VGG16", "VGG-Face, fine-tuned", None, Some(42.85), TUNED_VGG),
        row("ResNet-50", "ImageNet, fine-tuned", None, Some(41.41), TUNED_RESNET),
        CAER_NET_S_ROW,
        row("GLAMOR-Net (original)", "scratch", None, Some(46.91), GLAMOR),
    ],
};

/// The paper's tables that are laid out again, those of its own experiments first.
pub const TABLES: [&PaperTable; 5] = [&ABLATION, &FUSION, &BACKBONES, &SYSTEMS, &SYSTEMS_CAER_S];

/// Where a configuration stands in the order of [`TABLES`], rows from the top; last when in none.
pub fn position(config: &Value) -> usize {
    let mut rows = TABLES.iter().flat_map(|table| table.rows);
    rows.position(|row| row.holds(config)).unwrap_or(usize::MAX)
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
        row("(i) F", "–", None, Some(42.58), &[GLAMOR_NET, ("branches", "face")]),
        row("(ii) mC", "none", None, Some(41.18), &context("masked", "none")),
        row("(ii) mC", "CA", None, Some(41.27), &context("masked", "ca")),
        row("(ii) mC", "GLA", None, Some(42.24), &context("masked", "gla")),
        row("(iii) fC", "CA", None, Some(41.94), &context("visible", "ca")),
        row("(iii) fC", "GLA", None, Some(42.66), &context("visible", "gla")),
        row("(iv) F + mC", "none", None, Some(43.19), &both("none")),
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
        row("Add", "sum", None, Some(44.33), &fused("add")),
        row("Max", "elementwise maximum", None, Some(45.62), &fused("max")),
        row("Dubey et al.", "ReLU-max (inferred)", None, Some(46.26), &fused("dubey")),
        row("Fusion Net", "learned weights", None, Some(46.91), &fused("net")),
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
        row("original", "2.23 M", Some(77.90), Some(46.91), &backbone("original")),
        row("MobileNetV2", "5.83 M", Some(85.44), Some(47.52), &backbone("mobilenet_v2")),
        row("ResNet-18", "22.90 M", Some(89.88), Some(48.40), &backbone("resnet18")),
    ],
};

type Key = (&'static str, &'static str);

const GLAMOR_NET: Key = ("name", "glamor");
const CAER_NET_S: &[Key] = &[("name", "caer_net_s")];
const FROZEN_ALEXNET: &[Key] = &[("name", "alexnet"), ("freeze", "backbone")];
const FROZEN_VGG: &[Key] = &[("name", "vgg16"), ("freeze", "backbone")];
const FROZEN_RESNET: &[Key] = &[("name", "resnet50"), ("freeze", "backbone")];
const TUNED_ALEXNET: &[Key] = &[("name", "alexnet"), ("weights", "given"), ("freeze", "none")];
const TUNED_VGG: &[Key] = &[("name", "vgg16"), ("weights", "given"), ("freeze", "none")];
const TUNED_RESNET: &[Key] = &[("name", "resnet50"), ("weights", "given"), ("freeze", "none")];
const GLAMOR: &[Key] = &backbone("original");
const GLAMOR_RESNET: &[Key] = &backbone("resnet18");

const fn context(context: &'static str, attention: &'static str) -> [Key; 5] {
    [
        GLAMOR_NET,
        ("backbone", "original"),
        ("branches", "context"),
        ("context", context),
        ("attention", attention),
    ]
}

const fn both_branches(
    attention: &'static str,
    fusion: &'static str,
    net: &'static str,
) -> [Key; 6] {
    [
        GLAMOR_NET,
        ("backbone", net),
        ("branches", "both"),
        ("context", "masked"),
        ("attention", attention),
        ("fusion", fusion),
    ]
}

const fn both(attention: &'static str) -> [Key; 6] {
    both_branches(attention, "net", "original")
}

const fn fused(fusion: &'static str) -> [Key; 6] {
    both_branches("gla", fusion, "original")
}

const fn backbone(name: &'static str) -> [Key; 6] {
    both_branches("gla", "net", name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn table_1_adds_up() {
        assert_eq!(TABLE_1.iter().sum::<u64>(), 18_555);
    }

    #[test]
    fn every_row_is_told_apart() {
        for table in TABLES {
            for row in table.rows {
                let mut model = serde_json::Map::new();
                for (key, value) in row.keys {
                    let value = if *key == "weights" { json!({"path": "x"}) } else { json!(value) };
                    model.insert((*key).into(), value);
                }
                let config = json!({ "model": model });
                let holding = table.rows.iter().filter(|r| r.holds(&config)).count();
                assert_eq!(holding, 1, "{} {}", row.setting, row.variant);
            }
        }
        assert!(!ABLATION.rows.iter().any(|r| r.holds(&json!({"model": {"name": "vgg16"}}))));
    }
}
