//! Weight files that others publish and the grids start from: what they are called, which network
//! they are, and how one knows them again.
use std::path::Path;

use super::ModelName;

/// A file of weights that somebody publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// What tables call weights of this origin.
    pub origin: &'static str,
    /// The network.
    pub network: ModelName,
    /// The publisher's name of the file.
    pub file: &'static str,
    /// How its SHA-256 begins, as the publisher states it; `None` where nobody does.
    pub sha256_prefix: Option<&'static str>,
    /// Who publishes it.
    pub source: &'static str,
}

/// The name that experiments give a file, and the files that may stand behind it, the usual first.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// File name in experiments, such as `resnet50.pth`.
    pub name: &'static str,
    /// What may stand behind it.
    pub files: &'static [Published],
}

/// torchvision ends its file names in the first eight digits of the SHA-256.
const TORCHVISION: &str = "torchvision, ImageNet-1k (download.pytorch.org/models)";

const fn torchvision(
    network: ModelName,
    file: &'static str,
    sha256_prefix: &'static str,
) -> Published {
    let sha256_prefix = Some(sha256_prefix);
    Published { origin: "ImageNet", network, file, sha256_prefix, source: TORCHVISION }
}

/// What the grids of the paper's tables start from.
pub const KNOWN: &[Known] = &[
    Known {
        name: "alexnet.pth",
        files: &[torchvision(ModelName::Alexnet, "alexnet-owt-7be5be79.pth", "7be5be79")],
    },
    Known {
        name: "vgg16.pth",
        files: &[torchvision(ModelName::Vgg16, "vgg16-397923af.pth", "397923af")],
    },
    Known {
        name: "resnet50.pth",
        files: &[
            torchvision(ModelName::Resnet50, "resnet50-0676ba61.pth", "0676ba61"),
            torchvision(ModelName::Resnet50, "resnet50-19c8e357.pth", "19c8e357"),
            torchvision(ModelName::Resnet50, "resnet50-11ad3fa6.pth", "11ad3fa6"),
        ],
    },
    Known {
        name: "vgg_face.pth",
        files: &[Published {
            origin: "VGG-Face",
            network: ModelName::Vgg16,
            file: "vgg_face_dag.pth",
            sha256_prefix: None,
            source: "VGG-Face (Parkhi, Vedaldi, Zisserman 2015), PyTorch port by S. Albanie",
        }],
    },
];

/// The published file with this SHA-256.
pub fn by_digest(sha256: &str) -> Option<&'static Published> {
    let files = KNOWN.iter().flat_map(|known| known.files);
    files.into_iter().find(|file| file.sha256_prefix.is_some_and(|p| sha256.starts_with(p)))
}

/// What may stand behind the name that an experiment uses.
pub fn by_name(path: &Path) -> Option<&'static Known> {
    let name = path.file_name()?.to_str()?;
    let is_file = |known: &&Known| known.name == name || known.files.iter().any(|f| f.file == name);
    KNOWN.iter().find(is_file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_tell_the_origin_whatever_the_name() {
        let vgg16 = "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0";
        let found = by_digest(vgg16).expect("published");
        assert_eq!((found.origin, found.network), ("ImageNet", ModelName::Vgg16));
        assert_eq!(by_digest(&"0".repeat(64)), None);
        for file in KNOWN.iter().flat_map(|known| known.files) {
            if let Some(prefix) = file.sha256_prefix {
                assert!(file.file.ends_with(&format!("-{prefix}.pth")), "{}", file.file);
            }
        }
    }
}
