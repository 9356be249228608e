//! A network's answer, each sum in the order of its inputs as rustface adds it up.
use super::{
    lanes::{for_all_lanes, Lanes},
    model::{Layer, Network, ANSWERS},
};

/// The numbers that go from layer to layer; kept for the next window.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub inputs: Vec<f32>,
    outputs: Vec<f32>,
}

impl Network {
    /// What the network says of `signals.inputs`.
    pub(super) fn answer(&self, lanes: Lanes, signals: &mut Signals) -> [f32; ANSWERS] {
        let Some((last, hidden)) = self.layers.split_last() else { return [0.0; ANSWERS] };
        for layer in hidden {
            layer.sums(lanes, signals);
            let kept = |sum: &f32| if *sum > 0.0 { *sum } else { 0.0 };
            signals.inputs.clear();
            signals.inputs.extend(signals.outputs[..layer.outputs].iter().map(kept));
        }
        last.sums(lanes, signals);
        std::array::from_fn(|i| 1.0 / (1.0 + (-signals.outputs[i]).exp()))
    }
}

impl Layer {
    fn sums(&self, lanes: Lanes, signals: &mut Signals) {
        let Signals { inputs, outputs } = signals;
        assert_eq!(inputs.len(), self.inputs);
        let padded = self.padded();
        outputs.clear();
        outputs.resize(padded, 0.0);
        let mut at = 0;
        while at < padded {
            let (weights, outputs) = (&self.weights[at..], &mut outputs[at..]);
            // As many running sums as hide how long one addition takes.
            let (count, sums): (usize, Sums) = match padded - at {
                64.. => (64, sums_of_64),
                40.. => (40, sums_of_40),
                24.. => (24, sums_of_24),
                _ => (Self::BLOCK, sums_of_8),
            };
            sums(lanes, inputs, weights, padded, outputs);
            at += count;
        }
        outputs.iter_mut().zip(&self.biases).for_each(|(sum, bias)| *sum += bias);
    }
}

type Sums = fn(Lanes, &[f32], &[f32], usize, &mut [f32]);

/// Weighted sums of the inputs for `N` neighbouring outputs; `weights` begins with the first of them
/// and has `stride` numbers for each input.
#[inline(always)]
fn sums<const N: usize>(inputs: &[f32], weights: &[f32], stride: usize, outputs: &mut [f32]) {
    let mut sums = [0.0; N];
    for (input, weights) in inputs.iter().zip(weights.chunks(stride)) {
        for (sum, weight) in sums.iter_mut().zip(&weights[..N]) {
            *sum += input * weight;
        }
    }
    outputs[..N].copy_from_slice(&sums);
}

for_all_lanes! {
    fn sums_of_64(inputs: &[f32], weights: &[f32], stride: usize, outputs: &mut [f32]) {
        sums::<64>(inputs, weights, stride, outputs);
    }

    fn sums_of_40(inputs: &[f32], weights: &[f32], stride: usize, outputs: &mut [f32]) {
        sums::<40>(inputs, weights, stride, outputs);
    }

    fn sums_of_24(inputs: &[f32], weights: &[f32], stride: usize, outputs: &mut [f32]) {
        sums::<24>(inputs, weights, stride, outputs);
    }

    fn sums_of_8(inputs: &[f32], weights: &[f32], stride: usize, outputs: &mut [f32]) {
        sums::<8>(inputs, weights, stride, outputs);
    }
}
