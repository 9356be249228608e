//! The data set: counts per class and split, what was dropped and why, class shares (Fig. 6).
use std::collections::BTreeMap;

use crate::table::{Cell, Column, Table};
use crate::{
    record::{Emotion, LedgerEntry, LedgerKind, Split, NUM_CLASSES},
    report::{
        figure::{self, Figure, Shares},
        page::{Block, Section},
        paper,
        study::{DataSet, Study},
    },
};

/// The section; says so when the data set is not at hand.
pub fn section(study: &Study) -> Section {
    let mut section = Section::new("data", "Data set");
    let Some(data) = &study.data else {
        section.text("The manifest of the data set is not at hand, so its counts are not shown.");
        return section;
    };
    section.text(format!(
        "Manifest digest {}. {} samples from {} clips.",
        data.digest,
        data.manifest.samples.len(),
        data.manifest.clips.len()
    ));
    section.blocks.push(Block::Table(counts(data)));
    section.blocks.push(Block::Figure(share_figure(data)));
    section.blocks.push(Block::Table(drops(data)));
    section
}

/// Counts in label order.
pub(in crate::report) fn per_class(emotions: impl Iterator<Item = Emotion>) -> [u64; NUM_CLASSES] {
    let mut counts = [0; NUM_CLASSES];
    emotions.for_each(|e| counts[usize::from(e.label())] += 1);
    counts
}

fn counts(data: &DataSet) -> Table {
    let mut columns = vec![Column::words("class")];
    let mut sets = Vec::new();
    for split in Split::ALL {
        columns.push(Column::numbers(&format!("{split} samples")));
        let samples = data.manifest.samples.iter().filter(|s| s.split == split);
        sets.push(per_class(samples.map(|s| s.emotion)));
    }
    for split in Split::ALL {
        columns.push(Column::numbers(&format!("{split} clips")));
        let used: BTreeMap<&str, Emotion> = data
            .manifest
            .samples
            .iter()
            .filter(|s| s.split == split)
            .map(|s| (s.clip_id.as_str(), s.emotion))
            .collect();
        sets.push(per_class(used.into_values()));
    }
    columns.push(Column::cited("NCAER-S train, Table 1 (cited)"));
    sets.push(paper::TABLE_1);
    let mut rows: Vec<Vec<Cell>> = Emotion::ALL
        .into_iter()
        .map(|emotion| {
            let class = usize::from(emotion.label());
            let cells = sets.iter().map(|set| Cell::count(set[class]));
            std::iter::once(Cell::words(emotion.name())).chain(cells).collect()
        })
        .collect();
    let totals = sets.iter().map(|set| Cell::count(set.iter().sum()).strong(true));
    rows.push(std::iter::once(Cell::words("all").strong(true)).chain(totals).collect());
    Table {
        name: "data".into(),
        caption: "Samples and the clips they come from, per class and split".into(),
        columns,
        rows,
        notes: vec!["Table 1 counts the paper's own training set, made from CAER.".into()],
    }
}

/// Class shares of the training part before and after balancing, beside the paper's.
pub(in crate::report) fn share_figure(data: &DataSet) -> Figure {
    let train_clips = data.manifest.clips.iter().filter(|c| c.split == Split::Train);
    let train = data.manifest.samples.iter().filter(|s| s.split == Split::Train);
    let set = |label: &str, counts, cited| Shares { label: label.into(), counts, cited };
    let sets = [
        set("clips before balancing", per_class(train_clips.map(|c| c.emotion)), false),
        set("samples of this data set", per_class(train.map(|s| s.emotion)), false),
        set("NCAER-S, Table 1 (cited)", paper::TABLE_1, true),
    ];
    let shares = |set: &Shares| {
        let total = set.counts.iter().sum::<u64>().max(1) as f64;
        let each = Emotion::ALL.iter().zip(set.counts);
        each.map(|(e, n)| format!("{e} {:.1} %", 100.0 * n as f64 / total)).collect::<Vec<_>>()
    };
    let alt = sets.iter().map(|s| format!("{}: {}", s.label, shares(s).join(", ")));
    Figure {
        name: "class-shares".into(),
        caption: "Class shares of the training split, before and after balancing; the paper's \
                  own counts are cited and hatched"
            .into(),
        alt: alt.collect::<Vec<_>>().join(". "),
        canvas: figure::shares(&sets),
    }
}

fn drops(data: &DataSet) -> Table {
    let mut counts: BTreeMap<(LedgerKind, &str), u64> = BTreeMap::new();
    let left_out = |entry: &&LedgerEntry| entry.kind != LedgerKind::Split;
    for entry in data.manifest.ledger.iter().filter(left_out) {
        *counts.entry((entry.kind, &entry.reason)).or_default() += 1;
    }
    let rows = counts.into_iter().map(|((kind, reason), n)| {
        vec![Cell::words(kind.name()), Cell::words(reason), Cell::count(n)]
    });
    let rows: Vec<_> = rows.collect();
    let note = if rows.is_empty() { vec!["Nothing was left out.".into()] } else { Vec::new() };
    Table {
        name: "drops".into(),
        caption: "What was left out, and why".into(),
        columns: vec![Column::words("kind"), Column::words("reason"), Column::numbers("count")],
        rows,
        notes: note,
    }
}
