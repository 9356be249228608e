//! The generator's truth beside the clips, for tests and for asking where attention went.
use anyhow::Result;

use crate::folder::OutputFolder;

use super::{
    canvas::Area,
    path_of,
    plan::{Card, ClipPlan},
    renderer::{person_of, Motion},
    scene::Stage,
    FACES, TRUTH,
};

/// Columns of the table of clips; boxes are half-open pixels `x1 y1 x2 y2`.
const CLIP_COLUMNS: [&str; 14] = [
    "path", "emotion", "show", "person", "width", "height", "fps", "frames", "codec", "b_frames",
    "key", "told", "true_box", "cards",
];

/// Writes both tables.
pub(super) fn write(folder: &OutputFolder, seed: u64, plans: &[ClipPlan]) -> Result<()> {
    folder.write_with(TRUTH, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(CLIP_COLUMNS)?;
        for plan in plans {
            table.write_record(clip_row(plan))?;
        }
        Ok(table.flush()?)
    })?;
    folder.write_with(FACES, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(["path", "frame", "x1", "y1", "x2", "y2"])?;
        for plan in plans {
            let motion = Motion::draw(seed, plan, &person_of(seed, plan));
            for frame in 0..plan.frames {
                let b = motion.face(frame);
                let corners = [b.x1, b.y1, b.x2, b.y2].map(|v| v.to_string());
                let [x1, y1, x2, y2] = corners;
                table.write_record([path_of(plan), frame.to_string(), x1, y1, x2, y2])?;
            }
        }
        Ok(table.flush()?)
    })
}

fn clip_row(plan: &ClipPlan) -> [String; 14] {
    let stage = Stage { width: plan.show.size.0, height: plan.show.size.1 };
    let truth = &plan.cards[plan.true_card()];
    let cards: Vec<String> = plan.cards.iter().map(|card| card_text(stage, card)).collect();
    [
        path_of(plan),
        plan.emotion.to_string(),
        plan.show.id.clone(),
        plan.person.clone(),
        plan.show.size.0.to_string(),
        plan.show.size.1.to_string(),
        format!("{}/{}", plan.show.fps.0, plan.show.fps.1),
        plan.frames.to_string(),
        plan.show.codec.encoder().to_owned(),
        plan.show.b_frames.to_string(),
        plan.key.name().to_owned(),
        truth.emotion.to_string(),
        box_text(stage.card(truth)),
        cards.join(";"),
    ]
}

/// `colour emotion x1 y1 x2 y2`.
fn card_text(stage: Stage, card: &Card) -> String {
    let frame = card.frame.map_or("grey", |key| key.name());
    format!("{frame} {} {}", card.emotion, box_text(stage.card(card)))
}

fn box_text(area: Area) -> String {
    let edges = [area.left, area.top, area.right, area.bottom];
    edges.map(|v| (v.round() as i32).to_string()).join(" ")
}
