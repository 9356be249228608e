//! A selected checkpoint that looks at the faces of one picture at a time.
use anyhow::{ensure, Result};
use tch::{Device, Kind, Tensor};

use super::{
    batch::{CENTRE, WINDOW},
    evaluate::first_maximum,
    inputs::pack_inputs,
    predict::selected,
    Network,
};
use crate::{
    model::{Context, Input, Inputs, ModelConfig, Outputs, Picture},
    pack::PackInput,
    record::NUM_CLASSES,
    runs::RunFolder,
};

/// Faces of one batch; more are taken in turns.
const BATCH: usize = 64;

/// The pixels of a picture and its faces, u8, channel by channel.
#[derive(Clone, Debug, Default)]
pub struct FacePixels {
    /// `[3, 128, 171]`: the picture around the faces, masked or not as the model wants it.
    pub context: Vec<u8>,
    /// `[3, S, S]` each, S as [`FaceReader::face_side`] says.
    pub faces: Vec<Vec<u8>>,
    /// `[3, 224, 224]`: the whole picture, for models that look at it alone.
    pub whole: Vec<u8>,
}

/// What a model says of a face.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceAnswer {
    /// Class 0..=6.
    pub predicted: u8,
    /// Class scores.
    pub logits: [f32; NUM_CLASSES],
    /// Weight of the face branch.
    pub w_face: Option<f32>,
    /// Attention over the cells of the context: rows, columns, values row by row.
    pub attention: Option<(usize, usize, Vec<f32>)>,
}

/// A model ready to look.
#[derive(Debug)]
pub struct FaceReader {
    network: Network,
    config: ModelConfig,
    device: Device,
    mean: Tensor,
    inverse_std: Tensor,
}

impl FaceReader {
    /// The selected checkpoint of a run.
    ///
    /// # Errors
    /// See `selected`.
    pub fn open(run: &RunFolder, device: Device) -> Result<Self> {
        let (network, config) = selected(run, device)?;
        let (mean, std) = config.normalization.mean_std();
        let row = |values: [f64; 3]| -> Result<Tensor> {
            let values = values.map(|v| v as f32);
            Ok(Tensor::f_from_slice(&values)?.f_to_device(device)?.f_view([1, 3, 1, 1])?)
        };
        let (mean, inverse_std) = (row(mean)?, row(std.map(|s| 1.0 / s))?);
        Ok(FaceReader { network, config, device, mean, inverse_std })
    }

    /// Whether the context picture must have its faces masked.
    pub fn masks_faces(&self) -> bool {
        self.config.context == Context::Masked
    }

    /// Height and width in pixels of the face crops that the model takes.
    pub fn face_side(&self) -> usize {
        let wanted = pack_inputs(&self.config);
        let large = wanted.contains(&PackInput::Face224);
        if large { PackInput::Face224 } else { PackInput::Face }.size().0
    }

    /// The answers for all faces; the context is encoded once for up to 64 of them.
    ///
    /// # Errors
    /// When the pixels have another size than documented.
    pub fn judge(&self, pixels: &FacePixels) -> Result<Vec<FaceAnswer>> {
        let mut answers = Vec::with_capacity(pixels.faces.len());
        for faces in pixels.faces.chunks(BATCH) {
            answers.extend(tch::no_grad(|| self.batch(pixels, faces))?);
        }
        Ok(answers)
    }

    fn batch(&self, pixels: &FacePixels, faces: &[Vec<u8>]) -> Result<Vec<FaceAnswer>> {
        let (n, side) = (faces.len() as i64, self.face_side() as i64);
        let crops = self.tensor(&faces.concat(), &[n, 3, side, side])?;
        let one = self.network.model().slots().iter().any(|slot| slot.input == Input::Image);
        let outputs = if one {
            let image = match self.config.picture {
                Picture::Face => crops,
                Picture::Frame => self
                    .tensor(&pixels.whole, &[1, 3, 224, 224])?
                    .f_expand([n, -1, -1, -1], false)?,
            };
            let inputs = Inputs { image: Some(&image), ..Inputs::default() };
            self.network.model().forward(&inputs, false)?
        } else {
            let context = self.tensor(&pixels.context, &[1, 3, 128, 171])?;
            let context = context.f_narrow(2, CENTRE.0, WINDOW)?.f_narrow(3, CENTRE.1, WINDOW)?;
            self.network.model().forward_faces(&context, &crops)?
        };
        answers(&outputs, faces.len())
    }

    /// u8 pixels as the network takes them.
    fn tensor(&self, pixels: &[u8], shape: &[i64]) -> Result<Tensor> {
        let wanted: i64 = shape.iter().product();
        ensure!(pixels.len() as i64 == wanted, "{} pixels, not {shape:?}", pixels.len());
        let mut x = Tensor::f_from_slice(pixels)?.f_to_device(self.device)?;
        x = x.f_view(shape)?.f_to_kind(Kind::Float)?.f_mul_scalar_(1.0 / 255.0)?;
        Ok(x.f_sub_(&self.mean)?.f_mul_(&self.inverse_std)?)
    }
}

fn answers(outputs: &Outputs, n: usize) -> Result<Vec<FaceAnswer>> {
    let floats = |tensor: &Tensor| -> Result<Vec<f32>> {
        let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
        Ok(Vec::try_from(flat.f_view([-1])?)?)
    };
    let logits = floats(&outputs.logits)?;
    let fusion = outputs.fusion_weights.as_ref().map(floats).transpose()?;
    let maps = match &outputs.attention {
        Some(maps) => Some((maps.size()[1] as usize, maps.size()[2] as usize, floats(maps)?)),
        None => None,
    };
    let one = |i: usize| {
        let row: [f32; NUM_CLASSES] = std::array::from_fn(|c| logits[i * NUM_CLASSES + c]);
        FaceAnswer {
            predicted: first_maximum(&row),
            logits: row,
            w_face: fusion.as_ref().map(|weights| weights[2 * i]),
            attention: maps.as_ref().map(|(rows, columns, values)| {
                let cells = rows * columns;
                (*rows, *columns, values[i * cells..][..cells].to_vec())
            }),
        }
    };
    Ok((0..n).map(one).collect())
}
