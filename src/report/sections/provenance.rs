//! Where every number comes from, what went wrong, and what the report does not show.
use crate::table::{Cell, Column, Table};
use crate::{
    record::Split,
    report::{
        page::{Block, Section},
        study::{Run, Study},
    },
    runs::{GridRow, Status},
};

/// Digits of a digest in the table; `report.json` has them all.
const SHORT: usize = 10;

/// The runs, one row each.
pub fn runs(study: &Study) -> Section {
    let mut section = Section::new("runs", "Runs");
    section.text(
        "Every number above comes from these runs; report.json names, for every cell, the run \
         ids behind it, with configuration, manifest digest, program commit and the digest of \
         the prediction file in full.",
    );
    section.blocks.push(Block::Table(table(study)));
    if !study.problems.is_empty() {
        section.blocks.push(Block::Heading("Remarks".into()));
        section.blocks.push(Block::List(study.problems.clone()));
    }
    section
}

fn table(study: &Study) -> Table {
    let short = |text: &str| Cell::words(text.get(..SHORT).unwrap_or(text));
    let words = ["key", "run", "configuration", "model", "inputs"].map(Column::words);
    let numbers = ["seed", "parameters", "epoch kept", "validation %", "test looks", "seconds"];
    let digests = ["state", "device", "commit", "manifest", "predictions"].map(Column::words);
    let rows = study.runs.iter().enumerate().map(|(at, run)| {
        let r = &run.record;
        let selected = r.selected.as_ref();
        let predictions = run.answers.as_ref().map(|a| short(&a.digest));
        if run.imported {
            let digest = predictions.unwrap_or_else(Cell::none);
            return imported(at, run, digest, words.len() + numbers.len() + digests.len());
        }
        vec![
            Cell::words(super::run_key(at)),
            short(&r.run_id).of(vec![r.run_id.clone()]),
            Cell::words(&r.label),
            Cell::words(&r.model),
            Cell::words(inputs(&r.config)),
            Cell::count(r.seed),
            Cell::count(r.parameters),
            selected.map_or(Cell::none(), |s| Cell::count(s.epoch.into())),
            selected.map_or(Cell::none(), |s| Cell::number(100.0 * s.val_accuracy, 2)),
            Cell::count(run.looks as u64),
            Cell::number(r.seconds, 0),
            Cell::words(state(r.status)),
            Cell::words(&r.device),
            r.commit.as_deref().map_or(Cell::none(), short),
            short(&r.manifest_digest),
            predictions.unwrap_or_else(Cell::none),
        ]
    });
    let mut rows: Vec<Vec<Cell>> = rows.collect();
    let width = words.len() + numbers.len() + digests.len();
    rows.extend(study.failed.iter().map(|run| failed(run, width)));
    Table {
        name: "runs".into(),
        caption: "The runs behind this report".into(),
        rows,
        columns: words.into_iter().chain(numbers.map(Column::numbers)).chain(digests).collect(),
        notes: vec![
            "Test looks: how often somebody predicted on the test split with this run. More than \
             one means that the test split may have guided choices."
                .into(),
        ],
    }
}

/// The row of another program's answers: what is known is the file.
fn imported(at: usize, run: &Run, digest: Cell, width: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::none(); width];
    cells[0] = Cell::words(super::run_key(at));
    cells[1] = Cell::words(&run.record.run_id).of(vec![run.record.run_id.clone()]);
    cells[2] = Cell::words(&run.record.label);
    cells[3] = Cell::words("imported");
    cells[5] = Cell::count(run.record.seed);
    cells[11] = Cell::words(format!("imported from {}", run.name));
    cells[width - 1] = digest;
    cells
}

/// The row of a run that left nothing but its error.
fn failed(run: &GridRow, width: usize) -> Vec<Cell> {
    let error = run.error.as_deref().unwrap_or("no error was recorded");
    let mut cells = vec![Cell::none(); width];
    cells[2] = Cell::words(&run.label);
    cells[5] = Cell::count(run.seed);
    cells[11] = Cell::words(format!("failed: {error}"));
    cells
}

fn inputs(config: &serde_json::Value) -> String {
    let key = |name: &str| config.pointer(&format!("/model/{name}")).and_then(|v| v.as_str());
    let parts = ["branches", "context", "attention", "fusion", "backbone"].map(key);
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "–".into()
    } else {
        parts.join(", ")
    }
}

fn state(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Interrupted => "interrupted",
        Status::Failed => "failed",
        Status::Finished => "finished",
    }
}

/// What the numbers do not say.
pub fn limits(study: &Study) -> Section {
    let mut section = Section::new("limits", "Limits");
    let mut items = Vec::new();
    if study.demonstration {
        items.push(
            "The clips are synthetic, drawn so that attention matters. The results show that the \
             chain works; they say nothing about people, television or any real data set, and \
             the order of the models on them is no evidence for their order elsewhere."
                .into(),
        );
    }
    items.extend(
        [
            "Numbers of the paper were measured on its own data and are quoted, not reproduced; a \
             difference to ours compares data sets as much as models.",
            "Frames of one video resemble each other. Intervals and tests that treat videos as \
             units are given where they exist; the tests of the paper's Table 5 treat every frame \
             as independent and give p-values that are too small.",
            "An interval of one seed says nothing about other seeds; one over few seeds is wide \
             because so little is known of their spread. Single seeds are drawn beside the mean.",
            "An emotion label is what annotators saw in a played scene, not what a person felt.",
        ]
        .map(String::from),
    );
    if study.split == Split::Val {
        items.push(
            "These are validation results: checkpoints were selected on the same samples, so they \
             are optimistic."
                .into(),
        );
    }
    section.blocks.push(Block::List(items));
    section
}
