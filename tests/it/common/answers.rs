//! Prediction files made up for tests.
use std::path::{Path, PathBuf};

use ncaers::{
    internals::seed::Draws,
    manifest::{self, Meta},
    record::Prediction,
};

/// `clips` clips of five rows, of which a model of this `skill` (0..=1) gets a share right, whole
/// clips at a time.
pub fn rows(model: &str, clips: usize, skill: f64) -> Vec<Prediction> {
    let mut draws = Draws::new(7, "test-answers", model);
    let mut rows = Vec::new();
    for clip in 0..clips {
        let target = (clip % 7) as u8;
        let guess = if draws.chance(skill) { target } else { draws.below(7) as u8 };
        for segment in 0..5 {
            let predicted = if draws.chance(0.9) { guess } else { draws.below(7) as u8 };
            let mut logits: [f32; 7] = std::array::from_fn(|_| draws.uniform() as f32);
            logits[usize::from(predicted)] = 2.0;
            let clip_id = format!("test/Anger/{clip:04}");
            rows.push(Prediction {
                sample_id: format!("{clip_id}/{segment:03}"),
                group_id: clip_id.clone(),
                clip_id,
                target,
                predicted,
                logits,
                w_face: None,
                w_context: None,
            });
        }
    }
    rows
}

/// Writes rows as `NAME.parquet` below `folder`.
pub fn save(folder: &Path, name: &str, rows: &[Prediction]) -> PathBuf {
    let path = folder.join(format!("{name}.parquet"));
    manifest::write_predictions(&path, rows, &Meta::new()).expect("writable");
    path
}
