//! Learning curves and fusion weights.
use crate::{
    record::{Prediction, NUM_CLASSES},
    report::{
        figure::{self, Curve, Figure, FusionWeight},
        page::{Block, Section},
        study::{Run, Study},
    },
    runs::EpochRow,
};

/// Runs in one figure; each has a line for validation and one for training in every panel.
const CURVES_PER_FIGURE: usize = 3;

/// Learning curves of the first seeds and of runs without answers, three to a figure.
pub fn curves(study: &Study) -> Section {
    let mut section = Section::new("curves", "Learning curves");
    let is_later = |i: usize| study.groups.iter().any(|g| g.runs[1..].contains(&i));
    let runs = study.runs.iter().enumerate().filter(|(i, r)| has_joint(r) && !is_later(*i));
    let runs: Vec<_> = runs.map(|(_, run)| run).collect();
    if runs.is_empty() {
        section.text("No run has a learning curve.");
        return section;
    }
    section.text(
        "Joint training of the first seeds; the encoders of two-stage models were trained before. A mark \
         is the epoch that validation selected, so its validation accuracy is optimistic.",
    );
    for (i, chunk) in runs.chunks(CURVES_PER_FIGURE).enumerate() {
        let curves: Vec<_> = chunk.iter().map(|r| curve(r)).collect();
        let kept = |c: &Curve| match c.selected {
            Some((epoch, accuracy)) => format!(
                "{} kept epoch {epoch} at {:.1} % validation accuracy",
                c.label,
                100.0 * accuracy
            ),
            None => format!("{} was not selected by validation", c.label),
        };
        section.blocks.push(Block::Figure(Figure {
            name: format!("learning-curves-{}", i + 1),
            caption: "Loss and accuracy over the epochs of joint training".into(),
            alt: curves.iter().map(kept).collect::<Vec<_>>().join("; "),
            canvas: figure::learning_curves(&curves),
        }));
    }
    section
}

fn is_joint(row: &&EpochRow) -> bool {
    row.stage == "joint"
}

fn has_joint(run: &Run) -> bool {
    run.epochs.iter().any(|r| is_joint(&r))
}

fn curve(run: &Run) -> Curve {
    let points = |value: fn(&EpochRow) -> f64| {
        run.epochs.iter().filter(is_joint).map(|r| (f64::from(r.epoch), value(r))).collect()
    };
    let known = |value: fn(&EpochRow) -> Option<f64>| {
        let rows = run.epochs.iter().filter(is_joint);
        rows.filter_map(|r| Some((f64::from(r.epoch), value(r)?))).collect()
    };
    let selected = run.record.selected.as_ref();
    Curve {
        label: super::run_label(run),
        train_loss: points(|r| r.train_loss),
        val_loss: known(|r| r.val_loss),
        train_accuracy: points(|r| r.train_accuracy),
        val_accuracy: known(|r| r.val_accuracy),
        selected: selected.and_then(|s| Some((f64::from(s.epoch), s.val_accuracy?))),
    }
}

/// Models in the figure of fusion weights.
const FUSION_MODELS: usize = 6;

/// Fusion weights over the epochs and per true class; `None` when no model has any.
pub fn fusion(study: &Study) -> Option<Section> {
    let blocks: Vec<Block> = course(study).into_iter().chain(per_class(study)).collect();
    let mut section = Section::new("fusion", "Fusion weights");
    section.text(
        "How much of the fused vector comes from the face. A weight near 0 or 1 means that one \
         branch is not used, which training the encoders first is meant to prevent.",
    );
    let ignored = study.runs.iter().flat_map(|run| {
        let told = run.record.warnings.iter().filter(|warning| warning.contains("fusion ignores"));
        told.map(move |warning| format!("{}: {warning}", super::run_label(run)))
    });
    let ignored: Vec<String> = ignored.collect();
    let is_empty = blocks.is_empty();
    section.blocks.extend(blocks);
    match ignored.is_empty() {
        true => section.text("No run ignored a branch in any epoch."),
        false => section.blocks.push(Block::List(ignored)),
    }
    (!is_empty).then_some(section)
}

/// Mean weights over the epochs of joint training.
fn course(study: &Study) -> Option<Block> {
    let weight = |row: &EpochRow| Some((f64::from(row.epoch), row.w_face?));
    let points = |run: &Run| run.epochs.iter().filter(is_joint).filter_map(weight).collect();
    let runs = study.groups.iter().map(|group| study.first(group));
    let mut models: Vec<(String, Vec<(f64, f64)>)> =
        runs.map(|run| (super::run_label(run), points(run))).collect();
    models.retain(|(_, points)| !points.is_empty());
    models.truncate(FUSION_MODELS);
    if models.is_empty() {
        return None;
    }
    let describe = |(name, points): &(String, Vec<(f64, f64)>)| {
        let (epoch, weight) = points[points.len() - 1];
        format!("{name}: {weight:.2} after epoch {epoch}")
    };
    Some(Block::Figure(Figure {
        name: "fusion-course".into(),
        caption: "Mean weight of the face branch on validation; beyond the dashed lines (2 %) a \
                  branch counts as ignored"
            .into(),
        alt: models.iter().map(describe).collect::<Vec<_>>().join("; "),
        canvas: figure::fusion_course(&models),
    }))
}

/// Weights of the first seeds' answers per true class.
fn per_class(study: &Study) -> Vec<Block> {
    let mut models = Vec::new();
    for group in &study.groups {
        let run = study.first(group);
        let rows = run.answers.as_ref().map(|a| a.rows.as_slice()).unwrap_or_default();
        if rows.iter().any(|r| r.w_face.is_some()) {
            models.push((super::run_label(run), class_weights(rows)));
        }
    }
    let left_out = models.len().saturating_sub(FUSION_MODELS);
    models.truncate(FUSION_MODELS);
    if models.is_empty() {
        return Vec::new();
    }
    let describe = |(name, weights): &(String, [Option<FusionWeight>; NUM_CLASSES])| {
        let means: Vec<_> = weights.iter().flatten().map(|w| w.mean).collect();
        let mean = means.iter().sum::<f64>() / means.len().max(1) as f64;
        format!("{name}: face weight {mean:.2} on average over classes")
    };
    let mut blocks = vec![Block::Figure(Figure {
        name: "fusion-weights".into(),
        caption: "Weight of the face branch per true class: mean, and range of the middle 80 % of \
                  the samples"
            .into(),
        alt: models.iter().map(describe).collect::<Vec<_>>().join("; "),
        canvas: figure::fusion(&models),
    })];
    if left_out > 0 {
        let more = format!("{left_out} more models have fusion weights that are not drawn.");
        blocks.push(Block::Text(more));
    }
    blocks
}

fn class_weights(rows: &[Prediction]) -> [Option<FusionWeight>; NUM_CLASSES] {
    std::array::from_fn(|class| {
        let of_class = rows.iter().filter(|r| usize::from(r.target) == class);
        let mut weights: Vec<f64> = of_class.filter_map(|r| r.w_face).map(f64::from).collect();
        weights.retain(|w| w.is_finite());
        weights.sort_by(f64::total_cmp);
        let at = |q: f64| weights[((weights.len() - 1) as f64 * q).round() as usize];
        (!weights.is_empty()).then(|| FusionWeight {
            mean: weights.iter().sum::<f64>() / weights.len() as f64,
            low: at(0.1),
            high: at(0.9),
        })
    })
}
