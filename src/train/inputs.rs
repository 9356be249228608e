//! Which tensors of a pack a network is fed from, known before it is built.
use crate::{
    model::{Attention, Branches, Context, ModelConfig, ModelName, Picture},
    pack::PackInput,
};

/// The tensors that a pack must hold for this network, in the order of the network's inputs.
pub fn pack_inputs(config: &ModelConfig) -> Vec<PackInput> {
    let context = match config.context {
        Context::Masked => PackInput::ContextMasked,
        Context::Visible => PackInput::ContextVisible,
    };
    match config.name {
        ModelName::Glamor => {
            let guides = config.attention == Attention::Gla;
            let face = config.branches != Branches::Context || guides;
            let sees_context = config.branches != Branches::Face;
            let face = face.then_some(PackInput::Face);
            face.into_iter().chain(sees_context.then_some(context)).collect()
        }
        ModelName::CaerNetS => vec![PackInput::Face, context],
        _ => vec![picture(config.picture)],
    }
}

/// The tensor of a network that looks at one picture.
pub fn picture(picture: Picture) -> PackInput {
    match picture {
        Picture::Frame => PackInput::Image,
        Picture::Face => PackInput::Face224,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    #[test]
    fn a_guide_that_does_not_reach_the_classifier_is_an_input_too() {
        let of = |branches, attention| {
            pack_inputs(&ModelConfig { branches, attention, ..ModelConfig::default() })
        };
        let both = [PackInput::Face, PackInput::ContextMasked];
        assert_eq!(of(Branches::Both, Attention::None), both);
        assert_eq!(of(Branches::Context, Attention::Gla), both);
        assert_eq!(of(Branches::Context, Attention::Ca), [PackInput::ContextMasked]);
        assert_eq!(of(Branches::Face, Attention::None), [PackInput::Face]);
    }

    /// What the networks say themselves once they are built.
    #[cfg(feature = "torch")]
    #[test]
    fn the_networks_agree() {
        use crate::{model, train::batch};
        let mut configs: Vec<ModelConfig> = [
            ModelName::CaerNetS,
            ModelName::Resnet18,
            ModelName::Efficientface,
            ModelName::MaNet,
            ModelName::Grern,
        ]
        .map(|name| ModelConfig::of(name, Preset::Paper))
        .into();
        for branches in [Branches::Face, Branches::Context, Branches::Both] {
            for attention in [Attention::None, Attention::Ca, Attention::Gla] {
                for context in [Context::Masked, Context::Visible] {
                    let config =
                        ModelConfig { branches, attention, context, ..ModelConfig::default() };
                    configs.push(config);
                }
            }
        }
        for config in configs {
            let store = tch::nn::VarStore::new(tch::Device::Cpu);
            // Some variants do not exist.
            let Ok(network) = model::build(&store.root(), &config) else { continue };
            let found: Vec<PackInput> =
                network.slots().into_iter().map(|slot| batch::pack_input(slot, &config)).collect();
            assert_eq!(pack_inputs(&config), found, "{config:?}");
        }
    }
}
