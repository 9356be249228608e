//! Reliability of the confidences.
use crate::report::{
    figure::{self, Bin, Figure, Panel},
    page::{Block, Section},
    scores::Scores,
    study::Study,
};

/// Models in the figure.
const PANELS: usize = 9;

/// One panel per configuration, of its first seed.
pub fn section(study: &Study, scores: &Scores) -> Section {
    let mut section = Section::new("reliability", "Reliability");
    section.text(
        "The confidence is the softmax probability of the predicted class, without any \
         recalibration. Points below the dashed line claim more than they keep.",
    );
    let left_out = study.groups.len().saturating_sub(PANELS);
    if left_out > 0 {
        section.text(format!("{left_out} more configurations are not drawn."));
    }
    let panels: Vec<_> = study
        .groups
        .iter()
        .zip(&scores.groups)
        .take(PANELS)
        .map(|(group, score)| Panel {
            label: group.label.clone(),
            summary: score
                .metric("ece")
                .map_or("no confidences".into(), |e| format!("expected calibration error {e:.3}")),
            bins: score.first.calibration.iter().filter_map(bin).collect(),
        })
        .collect();
    let alt = panels.iter().map(|p| format!("{}: {}", p.label, p.summary));
    section.blocks.push(Block::Figure(Figure {
        name: "reliability".into(),
        caption: format!(
            "Share of right answers by claimed confidence; bars: where the samples are; hollow: fewer than {} samples",
            figure::FEW
        ),
        alt: alt.collect::<Vec<_>>().join("; "),
        canvas: figure::reliability(&panels),
    }));
    section
}

/// A bin with samples in it.
fn bin(bin: &crate::metric::Bin) -> Option<Bin> {
    Some(Bin { confidence: bin.confidence?, accuracy: bin.accuracy?, n: bin.n })
}
