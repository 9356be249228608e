//! Pairs of pictures side by side.
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::Result;
use base64::prelude::{Engine as _, BASE64_STANDARD};
use maud::{html, Markup};
use rayon::prelude::*;

use crate::{
    leak_audit::{findings::Findings, gather::Gathered},
    media::image as picture,
    report::page::{Block, Section},
    similarity::{
        hash::UNINFORMATIVE,
        near_duplicates::NearDuplicate,
        view::{Change, View},
    },
};

/// Pairs that are shown: the nearest, and the farthest that still count.
const NEAREST: usize = 30;
const FARTHEST: usize = 12;
/// Width of a shown picture in pixels, and its JPEG quality.
const WIDTH: u32 = 280;
const QUALITY: u8 = 75;

const NEAREST_TEXT: &str = "The worst leaks: the nearest pairs across parts, one of every \
    cluster, with the bits in which their hashes differ and the difference of the pictures in \
    standard deviations of their cells.";
const FARTHEST_TEXT: &str = "The farthest pairs that still count: where a false alarm would be.";

/// The pictures that are shown, by position, as JPEG in base64.
type Shots = BTreeMap<usize, String>;

/// The nearest pairs, and the farthest that are not among them.
pub(super) fn sections(all: &Gathered, findings: &Findings) -> Vec<Section> {
    let (nearest, farthest) = shown(all, findings);
    let wanted: BTreeSet<usize> =
        nearest.iter().chain(&farthest).flat_map(|t| [t.still, t.partner]).collect();
    let shots: Shots =
        wanted.par_iter().filter_map(|&i| Some((i, small(&all.paths[i]).ok()?))).collect();
    let mut sections =
        vec![section(all, &shots, ("pairs", "Nearest pairs", NEAREST_TEXT), &nearest)];
    if !farthest.is_empty() {
        let title = ("farthest", "Farthest pairs", FARTHEST_TEXT);
        sections.push(section(all, &shots, title, &farthest));
    }
    sections
}

/// The nearest pairs and the farthest, one of every cluster each; those that show something first.
fn shown(all: &Gathered, findings: &Findings) -> (Vec<NearDuplicate>, Vec<NearDuplicate>) {
    let verdicts = findings.leaks.iter().flat_map(|(_, leak)| leak.verdicts.iter());
    let mut twins: Vec<NearDuplicate> = verdicts.filter_map(|v| v.twins.first().copied()).collect();
    let one_per_cluster = |twins: &[NearDuplicate], most: usize| {
        let mut seen = BTreeSet::new();
        let fresh = twins.iter().filter(|t| seen.insert(findings.cluster[t.still]));
        fresh.take(most).copied().collect::<Vec<_>>()
    };
    twins.sort_by_key(|t| (all.stills[t.still].hash == UNINFORMATIVE, *t));
    let nearest = one_per_cluster(&twins, NEAREST);
    // Those that nobody has verified first, then those that differ most.
    twins.sort_by_key(|t| (Reverse(t.likeness.difference.unwrap_or(u32::MAX)), Reverse(*t)));
    let mut farthest = one_per_cluster(&twins, FARTHEST);
    farthest.retain(|t| !nearest.contains(t) && !t.same_bytes);
    (nearest, farthest)
}

fn section(
    all: &Gathered,
    shots: &Shots,
    (id, title, text): (&'static str, &str, &str),
    twins: &[NearDuplicate],
) -> Section {
    let mut section = Section::new(id, title);
    section.text(if twins.is_empty() { "There are none." } else { text });
    if !twins.is_empty() {
        section.blocks.push(Block::Html(html! {
            ul class="samples pairs" { "\n"
                @for twin in twins { (side_by_side(all, shots, twin)) }
            } "\n"
        }));
    }
    section
}

fn side_by_side(all: &Gathered, shots: &Shots, twin: &NearDuplicate) -> Markup {
    let change = twin.likeness.change;
    let shot = |i: usize, outline: Option<Change>| {
        let (part, id) = (all.name(all.stills[i].part()), &all.stills[i].id);
        let class = all.stills[i].emotion.name();
        let drawn = outline.map(|change| outline_of(change, all.stills[i].view.as_ref()));
        html! {
            figure {
                @match shots.get(&i) {
                    Some(jpeg) => {
                        div style="position:relative" {
                            img src={ "data:image/jpeg;base64," (jpeg) } alt=(id)
                                style="display:block;width:100%";
                            @if let Some(drawn) = drawn { (drawn) }
                        }
                    }
                    None => p class="note" { "The picture cannot be read." }
                }
                figcaption { b { (part) ", " (class) } " " (id) }
            }
        }
    };
    let likeness = twin.likeness;
    let apart = f64::from(likeness.difference.unwrap_or_default()) / 1000.0;
    let as_it_is = !twin.same_bytes && change.is_none();
    let mut facts = vec![
        (twin.same_bytes, "the same bytes".to_owned()),
        (as_it_is, format!("{} of 64 bits differ", likeness.distance)),
        (as_it_is && likeness.difference.is_some(), format!("pictures {apart:.3} apart")),
        (likeness.mirrored, "mirrored".into()),
        (likeness.difference.is_none(), "by hash alone".into()),
    ];
    facts.extend(change.iter().flat_map(described));
    let facts: Vec<String> = facts.into_iter().filter(|f| f.0).map(|f| f.1).collect();
    let own = shot(twin.still, change.map(Change::reversed));
    html! { li { (own) (shot(twin.partner, change)) p { (facts.join(", ")) } } "\n" }
}

/// How the one picture was made of the other, in words.
fn described(change: &Change) -> [(bool, String); 4] {
    let percent = |n: i32| f64::from(n) / 10.0;
    let [own, other] = change.shown;
    let degrees = f64::from(change.turned) / 10.0;
    [
        (true, format!("scale {:.2}", f64::from(change.scale) / 1000.0)),
        (degrees.abs() >= 0.5, format!("turned {degrees:.1} degrees")),
        (
            change.cropped(),
            format!("{:.0} % of the first in {:.0} % of the second", percent(own), percent(other)),
        ),
        (change.hidden > 0, format!("{:.0} % hidden", percent(change.hidden))),
    ]
}

/// The outline of the one picture where it lies in the other, whose bars are told by its view.
fn outline_of(change: Change, view: Option<&View>) -> Markup {
    let [left, top, width, height] = view.map_or([0.0, 0.0, 1.0, 1.0], |v| v.area);
    let [a, b, c] = change.corners.map(|corner| corner.map(|v| v as f32 / 1000.0));
    let opposite = [b[0] + c[0] - a[0], b[1] + c[1] - a[1]];
    let place = |[x, y]: [f32; 2]| format!("{:.3},{:.3}", left + x * width, top + y * height);
    let points = [a, b, opposite, c].map(place).join(" ");
    html! {
        svg viewBox="0 0 1 1" preserveAspectRatio="none"
            style="position:absolute;left:0;top:0;width:100%;height:100%" {
            polygon points=(points) fill="none" stroke="#e0115f" stroke-width="2"
                vector-effect="non-scaling-stroke" {}
        }
    }
}

/// The picture as a small JPEG in base64.
fn small(path: &Path) -> Result<String> {
    let rgb = picture::load_rgb(path)?;
    let height = u64::from(WIDTH) * u64::from(rgb.height()) / u64::from(rgb.width().max(1));
    let small = image::imageops::thumbnail(&rgb, WIDTH, height.clamp(1, 600) as u32);
    Ok(BASE64_STANDARD.encode(&picture::encode_thumbnail(&small, QUALITY)?))
}
