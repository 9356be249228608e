//! Tables for the terminal and numbers as people read them.
use anyhow::Result;

use crate::{
    escape::csv_cell,
    folder::OutputFolder,
    metric::Unit,
    record::Estimate,
    stats::{interval::Interval, warning::Warning},
};

pub(super) use crate::table::terminal::align;

/// What stands for a number that is not defined.
pub(super) const UNDEFINED: &str = "-";

/// A row of cells.
pub(super) fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// A share in percent with two decimals.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    match text.strip_prefix("-0.00") {
        Some("") => "0.00".to_owned(),
        _ => text,
    }
}

/// A value in its unit, `-` when undefined.
pub(super) fn value(value: Option<f64>, unit: Unit) -> String {
    match (value, unit) {
        (None, _) => UNDEFINED.to_owned(),
        (Some(x), Unit::Share) => percent(x),
        (Some(x), Unit::Coefficient) => format!("{x:.3}"),
        (Some(x), Unit::Loss) => format!("{x:.4}"),
    }
}

/// An interval in a unit, `-` when there is none.
pub(super) fn interval(interval: Option<Interval>, unit: Unit) -> String {
    interval.map_or(UNDEFINED.to_owned(), |i| {
        format!("[{}, {}]", value(Some(i.lo), unit), value(Some(i.hi), unit))
    })
}

/// The interval of an estimated share in percent, `-` when there is none.
pub(super) fn ends(estimate: Option<Estimate>) -> String {
    interval(estimate.map(|e| Interval { lo: e.lo, hi: e.hi }), Unit::Share)
}

/// Anything printable, `-` when there is none.
pub(super) fn or_undefined<T: ToString>(value: Option<T>) -> String {
    value.map_or(UNDEFINED.to_owned(), |x| x.to_string())
}

/// A line per warning, its code first; empty without any.
pub(super) fn warnings(warnings: &[Warning]) -> String {
    let code = |w: &Warning| serde_json::to_value(w.code).ok()?.as_str().map(str::to_owned);
    let line = |w: &Warning| format!("warning: {}: {}\n", or_undefined(code(w)), w.message);
    warnings.iter().map(line).collect()
}

/// Writes rows as CSV.
pub(super) fn write_csv(folder: &OutputFolder, name: &str, rows: &[Vec<String>]) -> Result<()> {
    folder.write_with(name, |file| {
        let mut writer = csv::Writer::from_writer(file);
        let cells =
            |row: &Vec<String>| row.iter().map(|cell| csv_cell(cell).into_owned()).collect();
        rows.iter().try_for_each(|row| writer.write_record::<Vec<String>, _>(cells(row)))?;
        Ok(writer.flush()?)
    })
}
