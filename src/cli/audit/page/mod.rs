//! The audit's page: the numbers, and the nearest pairs side by side. One file, no scripts.
use std::{collections::BTreeSet, path::Path};

use anyhow::Result;

use super::{
    gather::Gathered,
    summary::{percent, Findings, LeakRow},
};
use crate::{audit::stills::Twin, media::image as picture, output, report::table::escape_html};

/// Pairs that are shown, each of another pair of clusters' pictures.
const SHOWN: usize = 40;
/// Width of a shown picture in pixels, and its JPEG quality.
const WIDTH: u32 = 240;
const QUALITY: u8 = 70;

const STYLE: &str = "body{font:15px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}\
    table{border-collapse:collapse}td,th{padding:.2rem .7rem;border-bottom:1px solid #ccc;text-align:right}\
    td:first-child,th:first-child{text-align:left}figure{display:inline-block;margin:.5rem;vertical-align:top}\
    figcaption{max-width:240px;overflow-wrap:anywhere;font-size:.8rem}section{border-top:1px solid #ccc}\
    pre{white-space:pre-wrap}";

/// Writes `index.html`.
pub(super) fn write(out: &Path, all: &Gathered, findings: &Findings) -> Result<()> {
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Leak audit</title>\
         <style>{STYLE}</style><h1>Leak audit</h1><pre>{}</pre>",
        escape_html(&findings.summary.text())
    );
    html.push_str(
        "<p>A near-duplicate differs in few bits of a 64-bit perceptual hash; \"same video\" adds \
         runs of neighbours and known clips. Intervals are Wilson's at 95 %, as if pictures were \
         independent. Random pairs are the control.</p>",
    );
    findings.summary.leaks.iter().for_each(|leak| html.push_str(&class_table(leak)));
    html.push_str("<h2>Nearest pairs</h2>");
    let worst = worst(findings);
    if worst.is_empty() {
        html.push_str("<p>There are none.</p>");
    }
    worst.iter().for_each(|twin| html.push_str(&side_by_side(all, twin)));
    output::write(&out.join("index.html"), html.as_bytes())
}

fn class_table(leak: &LeakRow) -> String {
    let rows: String = leak
        .classes
        .iter()
        .filter(|(_, row)| row.near.is_some())
        .map(|(class, row)| {
            let n = row.near.map_or(0, |e| e.n);
            let (near, video) = (percent(row.near), percent(row.same_video));
            format!("<tr><td>{class}</td><td>{n}</td><td>{near}</td><td>{video}</td></tr>")
        })
        .collect();
    format!(
        "<h2>{} in {}</h2><table><tr><th>class</th><th>pictures</th><th>near-duplicate</th>\
         <th>same video</th></tr>{rows}</table>",
        escape_html(&leak.part),
        escape_html(&leak.within)
    )
}

/// The nearest pairs, one per cluster first seen.
fn worst(findings: &Findings) -> Vec<Twin> {
    let all = findings.leaks.iter().flat_map(|(_, leak)| leak.verdicts.iter());
    let mut twins: Vec<Twin> = all.filter_map(|v| v.twins.first().copied()).collect();
    twins.sort_unstable();
    let mut seen = BTreeSet::new();
    twins.retain(|twin| seen.insert(findings.cluster[twin.still]));
    twins.truncate(SHOWN);
    twins
}

fn side_by_side(all: &Gathered, twin: &Twin) -> String {
    let figure = |i: usize| {
        let still = &all.stills[i];
        let name = format!("{}: {}", all.name(still.part()), still.id);
        let shown = small(&all.paths[i]).unwrap_or_default();
        let name = escape_html(&name);
        format!("<figure><img alt=\"\" src=\"data:image/jpeg;base64,{shown}\"><figcaption>{name}</figcaption></figure>")
    };
    let mirrored = if twin.mirrored { ", mirrored" } else { "" };
    let bytes = if twin.same_bytes { ", the same bytes" } else { "" };
    format!(
        "<section><p>{} bits differ{mirrored}{bytes}</p>{}{}</section>",
        twin.distance,
        figure(twin.still),
        figure(twin.partner)
    )
}

/// The picture as a small JPEG in base64.
fn small(path: &Path) -> Result<String> {
    let rgb = picture::load_rgb(path)?;
    let height = (rgb.height() * WIDTH).div_ceil(rgb.width().max(1)).max(1);
    let small = image::imageops::thumbnail(&rgb, WIDTH, height);
    Ok(base64(&picture::encode_jpeg(&small, QUALITY)?))
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().enumerate().fold(0u32, |w, (i, b)| w | u32::from(*b) << (16 - 8 * i));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i)) as usize & 63];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_of_the_standard() {
        for (text, want) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(super::base64(text.as_bytes()), want);
        }
    }
}
