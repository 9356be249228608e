//! The file of the cascade's weights, brought into the form in which they are used.
//!
//! All numbers are little-endian and of four bytes. Three boosted classifiers on LAB features look at
//! every window; what any of them lets through goes to two small networks on SURF features and to a
//! larger one, each of which also says where the face lies in its window.
use anyhow::{bail, ensure, Context, Result};

use super::{lab, surf, WINDOW};

/// Features of a boosted classifier between two looks at the sum.
pub(super) const GROUP: usize = 10;
/// Levels of a LAB feature.
pub(super) const LEVELS: usize = 256;

/// What a network says: how sure, and where left, top and size of the face lie.
pub(super) const ANSWERS: usize = 4;

/// All classifiers.
#[derive(Debug)]
pub(super) struct Model {
    /// Those that look at every window.
    pub boosted: Vec<Boosted>,
    /// Networks one after another, those of a level of the hierarchy together.
    pub levels: Vec<Vec<Network>>,
}

/// A sum of weights that are looked up by features, given up when it is too low.
#[derive(Debug, Default)]
pub(super) struct Boosted {
    /// Where each feature lies in the window.
    pub places: Vec<(u32, u32)>,
    /// A weight for each level of each feature.
    pub weights: Vec<f32>,
    /// What the sum must reach after each [`GROUP`].
    pub least: Vec<f32>,
}

/// A network of dense layers.
#[derive(Debug)]
pub(super) struct Network {
    /// Indices in the pool of SURF features.
    pub features: Vec<usize>,
    /// What a face exceeds.
    pub threshold: f32,
    pub layers: Vec<Layer>,
}

/// A dense layer; its outputs are padded with zeros to whole [`Layer::BLOCK`]s.
#[derive(Debug)]
pub(super) struct Layer {
    pub inputs: usize,
    pub outputs: usize,
    /// `[input][output]`, so that many outputs are summed at once, each in the order of its inputs.
    pub weights: Vec<f32>,
    pub biases: Vec<f32>,
}

impl Layer {
    /// Outputs that are summed together.
    pub(super) const BLOCK: usize = 8;

    /// Outputs with their padding.
    pub(super) fn padded(&self) -> usize {
        self.outputs.next_multiple_of(Self::BLOCK)
    }
}

impl Model {
    /// # Errors
    /// When the bytes end too early or describe another kind of cascade.
    pub(super) fn read(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader { bytes };
        let levels = reader.count("levels", 8)?;
        ensure!(levels >= 2, "{levels} levels, at least 2 needed");
        let boosted = (0..reader.count("classifiers", 8)?).map(|_| reader.first());
        let mut model = Model { boosted: boosted.collect::<Result<_>>()?, levels: Vec::new() };
        let mut sources: Vec<u32> = (0..model.boosted.len() as u32).collect();
        for _ in 1..levels {
            ensure!(reader.count("classifiers", 8)? == 1, "a later level has several branches");
            let stages = reader.count("stages", 8)?;
            ensure!(stages > 0, "a level has no stage");
            let networks = (0..stages).map(|_| reader.network()).collect::<Result<_>>()?;
            ensure!(reader.sources()? == sources, "a level leaves out a branch of the one before");
            model.levels.push(networks);
            sources = vec![0];
        }
        ensure!(reader.bytes.is_empty(), "{} bytes too many", reader.bytes.len());
        Ok(model)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn word(&mut self) -> Result<[u8; 4]> {
        let (word, rest) = self.bytes.split_first_chunk().context("the bytes end too early")?;
        self.bytes = rest;
        Ok(*word)
    }

    /// A number of things, at most `most`.
    fn count(&mut self, what: &str, most: u32) -> Result<usize> {
        let count = u32::from_le_bytes(self.word()?);
        ensure!(count <= most, "{count} {what}, at most {most} possible");
        Ok(count as usize)
    }

    fn reals(&mut self, count: usize) -> Result<Vec<f32>> {
        (0..count).map(|_| self.word().map(f32::from_le_bytes)).collect()
    }

    /// The branches that a branch takes windows from; the first level's have -1 of them.
    fn sources(&mut self) -> Result<Vec<u32>> {
        let count = i32::from_le_bytes(self.word()?);
        ensure!((-1..=8).contains(&count), "{count} sources, at most 8 possible");
        (0..count).map(|_| self.word().map(u32::from_le_bytes)).collect()
    }

    fn kind(&mut self, wanted: u32) -> Result<()> {
        let kind = u32::from_le_bytes(self.word()?);
        ensure!(kind == wanted, "classifier of kind {kind} where {wanted} is expected");
        Ok(())
    }

    /// A branch of the first level.
    fn first(&mut self) -> Result<Boosted> {
        ensure!(self.count("stages", 8)? == 1, "a first classifier has several stages");
        self.kind(0)?;
        let boosted = self.boosted()?;
        ensure!(self.sources()?.is_empty(), "a first classifier has a source");
        Ok(boosted)
    }

    fn boosted(&mut self) -> Result<Boosted> {
        let count = self.count("features", 1 << 12)?;
        ensure!(count > 0 && count % GROUP == 0, "{count} features are no groups of {GROUP}");
        let levels = self.count("levels of a feature", 1 << 12)? + 1;
        ensure!(levels == LEVELS, "{levels} levels of a feature, {LEVELS} expected");
        let places = (0..count)
            .map(|_| Ok((u32::from_le_bytes(self.word()?), u32::from_le_bytes(self.word()?))))
            .collect::<Result<Vec<_>>>()?;
        let last = WINDOW - lab::SPAN as u32;
        if let Some(place) = places.iter().find(|(x, y)| *x.max(y) > last) {
            bail!("the feature at {place:?} lies outside the window");
        }
        let thresholds = self.reals(count)?;
        let least = thresholds.into_iter().skip(GROUP - 1).step_by(GROUP).collect();
        Ok(Boosted { places, least, weights: self.reals(count * levels)? })
    }

    fn network(&mut self) -> Result<Network> {
        self.kind(1)?;
        let layers = self.count("layers", 8)?;
        ensure!(layers >= 2, "a network of {layers} layers");
        let features = self.count("features", 1 << 8)?;
        let features = (0..features)
            .map(|_| self.count("features", surf::POOL as u32))
            .map(|id| id?.checked_sub(1).context("features are counted from 1"))
            .collect::<Result<Vec<_>>>()?;
        let threshold = f32::from_le_bytes(self.word()?);
        let mut inputs = self.count("inputs", 1 << 13)?;
        ensure!(
            inputs == features.len() * surf::NUMBERS,
            "{inputs} inputs of {} features",
            features.len()
        );
        let layers = (1..layers).map(|_| {
            let layer = self.layer(inputs)?;
            inputs = layer.outputs;
            Ok(layer)
        });
        let layers: Vec<Layer> = layers.collect::<Result<_>>()?;
        ensure!(inputs == ANSWERS, "a network with {inputs} answers, {ANSWERS} expected");
        Ok(Network { features, threshold, layers })
    }

    fn layer(&mut self, inputs: usize) -> Result<Layer> {
        let outputs = self.count("outputs", 1 << 12)?;
        let by_output = self.reals(inputs * outputs)?;
        let mut layer =
            Layer { inputs, outputs, weights: Vec::new(), biases: self.reals(outputs)? };
        let padded = layer.padded();
        layer.biases.resize(padded, 0.0);
        layer.weights.resize(inputs * padded, 0.0);
        for (output, weights) in by_output.chunks_exact(inputs).enumerate() {
            for (input, &weight) in weights.iter().enumerate() {
                layer.weights[input * padded + output] = weight;
            }
        }
        Ok(layer)
    }
}
