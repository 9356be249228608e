//! Shares of one part with their like in another, in all, by class and by distance.
use super::{members, percent, share};
use crate::table::{Cell, Column, Table};
use crate::{
    leak_audit::summary::{AuditSummary, ClassRow, LeakRow},
    record::Emotion,
    report::{
        figure::{distances, leak, DistanceCounts, Figure, LeakShares},
        page::{Block, Section},
    },
};

/// What members are called.
#[derive(Clone, Copy)]
enum Of {
    Pictures,
    Clips,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Of::Pictures => "pictures",
            Of::Clips => "clips",
        }
    }
}

/// The first thing to know, and all comparisons.
pub(super) fn leaks(summary: &AuditSummary) -> Section {
    let mut section = Section::new("leaks", "What leaks");
    let clips = summary.clips.as_ref();
    let first_clips = clips.and_then(|c| c.leaks.first());
    match summary.leaks.first() {
        Some(first) => section.text(headline(first, Of::Pictures)),
        None if first_clips.is_none() => section.text("There are no two parts to compare."),
        None => {}
    }
    first_clips.into_iter().for_each(|first| section.text(headline(first, Of::Clips)));
    if !summary.notes.is_empty() {
        section.blocks.push(Block::List(summary.notes.clone()));
    }
    if !summary.leaks.is_empty() {
        section.blocks.push(Block::Table(share_table(&summary.leaks, Of::Pictures)));
    }
    if let Some(clips) = clips.filter(|c| !c.leaks.is_empty()) {
        section.blocks.push(Block::Table(share_table(&clips.leaks, Of::Clips)));
    }
    section
}

fn headline(leak: &LeakRow, of: Of) -> String {
    let LeakRow { part, within, near, same_video, random_pairs, .. } = leak;
    let count = near.map_or(0, |e| (e.value * e.n as f64).round() as usize);
    let n = near.map_or(0, |e| e.n);
    let of = of.name();
    let mut text = format!(
        "{count} of {n} {of} of {part} have a near-duplicate in {within}: {}.",
        percent(*near)
    );
    if same_video.is_some_and(|e| near.is_none_or(|n| n.value != e.value)) {
        text += &format!(" With {of} of the same video it is {}.", percent(*same_video));
    }
    if random_pairs.is_some() {
        text += &format!(" Of random pairs {} would count.", percent(*random_pairs));
    }
    text
}

fn share_table(leaks: &[LeakRow], of: Of) -> Table {
    let name = of.name();
    let row = |leak: &LeakRow| {
        let mut cells = vec![
            Cell::words(&leak.part),
            Cell::words(&leak.within),
            members(leak.near),
            share(leak.near),
        ];
        cells.extend(leak.same_video.map(|e| share(Some(e))));
        cells.extend([share(leak.random_pairs), Cell::count(leak.pairs as u64)]);
        cells
    };
    let (videos, note): (&[&str], _) = match of {
        Of::Pictures => (
            &["same video %"],
            "Same video: also pictures whose run, clip or cluster reaches into the other part. \
             Random pairs: one random partner each, the control.",
        ),
        Of::Clips => (&[], "Random pairs: one random partner each, the control."),
    };
    let titles = [&[name, "near-duplicate %"], videos, &["random pairs %", "pairs"]].concat();
    Table {
        name: format!("shares-{name}"),
        caption: format!("Share of a part's {name} with their like in another part, 95 % interval"),
        columns: [Column::words("part"), Column::words("looked up in")]
            .into_iter()
            .chain(titles.into_iter().map(Column::numbers))
            .collect(),
        rows: leaks.iter().map(row).collect(),
        notes: vec![note.into()],
    }
}

/// A figure and a table for every comparison that found something, and for the first.
pub(super) fn by_class(summary: &AuditSummary) -> Option<Section> {
    let mut section = Section::new("classes", "By class");
    add_classes(&mut section, &summary.leaks, Of::Pictures);
    let clips = summary.clips.as_ref().map(|c| c.leaks.as_slice()).unwrap_or_default();
    add_classes(&mut section, clips, Of::Clips);
    (!section.blocks.is_empty()).then_some(section)
}

fn add_classes(section: &mut Section, leaks: &[LeakRow], of: Of) {
    let mut without = Vec::new();
    for (i, row) in leaks.iter().enumerate() {
        let title = format!("{} in {}", row.part, row.within);
        if i > 0 && row.pairs == 0 && row.same_video.is_none_or(|e| e.value == 0.0) {
            without.push(title);
            continue;
        }
        let (title, name) = match of {
            Of::Pictures => (format!("Pictures of {title}"), format!("leak {title}")),
            Of::Clips => (format!("Clips of {title}"), format!("leak clips {title}")),
        };
        let name = name.replace(' ', "-");
        section.blocks.push(Block::Figure(class_figure(row, &name, &title)));
        section.blocks.push(Block::Table(class_table(row, name, &title, of)));
    }
    if !without.is_empty() {
        let of = of.name();
        section.text(format!("No {of} of any class have their like: {}.", without.join(", ")));
    }
}

/// The classes that the part has, in the order of their labels.
fn present(row: &LeakRow) -> impl Iterator<Item = (&'static str, ClassRow)> + '_ {
    let class = |emotion: Emotion| Some((emotion.name(), row.classes.get(emotion.name())?.clone()));
    Emotion::ALL.into_iter().filter_map(class).filter(|(_, class)| class.near.is_some())
}

fn class_figure(row: &LeakRow, name: &str, title: &str) -> Figure {
    let shares =
        |label: &str, near, same_video| LeakShares { label: label.into(), near, same_video };
    let classes = present(row).map(|(label, class)| shares(label, class.near, class.same_video));
    let rows: Vec<LeakShares> =
        std::iter::once(shares("all classes", row.near, row.same_video)).chain(classes).collect();
    Figure {
        name: name.into(),
        caption: format!("{title}: share with their like there; lines are 95 % intervals"),
        alt: format!("{title}: shares by class"),
        canvas: leak(&rows, row.random_pairs.map(|e| e.value)),
    }
}

fn class_table(row: &LeakRow, name: String, title: &str, of: Of) -> Table {
    let line = |(label, class): (&str, ClassRow)| {
        let mut cells = vec![Cell::words(label), members(class.near), share(class.near)];
        cells.extend(class.same_video.map(|e| share(Some(e))));
        cells
    };
    let mut columns = vec![Column::words("class")];
    columns.extend([of.name(), "near-duplicate %"].map(Column::numbers));
    columns.extend(row.same_video.map(|_| Column::numbers("same video %")));
    Table {
        name,
        caption: format!("{title}, by class, 95 % interval"),
        columns,
        rows: present(row).map(line).collect(),
        notes: Vec::new(),
    }
}

/// How far the pictures of the first comparison are from the nearest ones.
pub(super) fn distance_section(summary: &AuditSummary) -> Option<Section> {
    let row = summary.leaks.first()?;
    let counted = row.distances.as_ref()?;
    if counted.nearest.iter().sum::<usize>() == 0 {
        return None;
    }
    let LeakRow { part, within, .. } = row;
    let set = |label: String, counts: &[usize]| DistanceCounts { label, counts: counts.to_vec() };
    let sets = [
        set(format!("the nearest picture of {within}"), &counted.nearest),
        set(format!("a random picture of {within}"), &counted.random),
    ];
    let mut section = Section::new("distances", "How near the nearest are");
    section.text(
        "Near hashes alone make no near-duplicate: left of the mark the pictures themselves are \
         compared. Where the two humps touch, the data set has scenes that look alike.",
    );
    section.blocks.push(Block::Figure(Figure {
        name: "distances".into(),
        caption: format!(
            "Differing bits between a picture of {part} and pictures of {within}, mirrored or \
             not; of more than 2000 pictures 2000 are drawn at random"
        ),
        alt: format!("Histogram of the distances of {part} to {within}, nearest and random"),
        canvas: distances(&sets, f64::from(summary.radius)),
    }));
    Some(section)
}
