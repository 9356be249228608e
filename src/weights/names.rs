//! Names under which others publish the same networks.
use std::collections::BTreeMap;

use tch::Tensor;

use crate::model::ModelName;

/// Places of VGG16's convolutions in torchvision's `features`, stage by stage.
const VGG_PLACES: [&[usize]; 5] = [&[0, 2], &[5, 7], &[10, 12, 14], &[17, 19, 21], &[24, 26, 28]];
/// Whose names these are.
const VGG_FACE: &str = "VGG-Face";
/// VGG-Face's fully connected layers and torchvision's.
const VGG_LINEARS: [(&str, &str); 3] =
    [("fc6", "classifier.0"), ("fc7", "classifier.3"), ("fc8", "classifier.6")];

/// Whose names the tensors have, where they are not our network's: `VGG-Face`.
pub(super) fn dialect(
    network: ModelName,
    tensors: &BTreeMap<String, Tensor>,
) -> Option<&'static str> {
    let is_foreign = |name: &String| network == ModelName::Vgg16 && vgg_face(name).is_some();
    tensors.keys().any(is_foreign).then_some(VGG_FACE)
}

/// The tensors under the names of our network.
pub(super) fn ours(
    network: ModelName,
    tensors: BTreeMap<String, Tensor>,
) -> BTreeMap<String, Tensor> {
    if network != ModelName::Vgg16 {
        return tensors;
    }
    let rename = |name: String| vgg_face(&name).unwrap_or(name);
    tensors.into_iter().map(|(name, tensor)| (rename(name), tensor)).collect()
}

/// torchvision's name of a VGG-Face tensor: the ports call the convolutions `conv1_1` or
/// `conv_1_1`, some below `features`, and the linear layers `fc6` to `fc8`, some below `fc`.
fn vgg_face(name: &str) -> Option<String> {
    let (layer, kind) = name.rsplit_once('.')?;
    let layer = layer.rsplit('.').next()?;
    if let Some((_, ours)) = VGG_LINEARS.iter().find(|(theirs, _)| *theirs == layer) {
        return Some(format!("{ours}.{kind}"));
    }
    let numbers = layer.strip_prefix("conv")?.trim_start_matches('_');
    let (stage, k) = numbers.split_once('_')?;
    let (stage, k): (usize, usize) = (stage.parse().ok()?, k.parse().ok()?);
    let place = VGG_PLACES.get(stage.checked_sub(1)?)?.get(k.checked_sub(1)?)?;
    Some(format!("features.{place}.{kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_vgg_face_is_understood() {
        for (theirs, ours) in [
            ("conv1_1.weight", "features.0.weight"),
            ("conv_3_3.bias", "features.14.bias"),
            ("features.conv_5_3.weight", "features.28.weight"),
            ("fc.fc6.bias", "classifier.0.bias"),
            ("fc8.weight", "classifier.6.weight"),
        ] {
            assert_eq!(vgg_face(theirs).as_deref(), Some(ours));
        }
        for unknown in
            ["features.0.weight", "conv6_1.weight", "conv1_9.weight", "conv.weight", "fc9.bias"]
        {
            assert_eq!(vgg_face(unknown), None, "{unknown}");
        }
    }
}
