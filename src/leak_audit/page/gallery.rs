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
    similarity::{hash::UNINFORMATIVE, near_duplicates::NearDuplicate, view::Change},
};

/// Pairs that are shown: the nearest, altered copies of all kinds, and the farthest that still count.
const NEAREST: usize = 30;
const ALTERED: usize = 24;
const FARTHEST: usize = 12;
/// Width of a shown picture in pixels, and its JPEG quality.
const WIDTH: u32 = 280;
const QUALITY: u8 = 75;
/// Tenths of a degree from which on a turn is told.
const TURNED: i32 = 5;

const NEAREST_TEXT: &str = "The worst leaks: the nearest pairs across parts, one of every \
    cluster, with the bits in which their hashes differ and the difference of the pictures in \
    standard deviations of their cells.";
const ALTERED_TEXT: &str =
    "Pictures of which one was made by altering the other, those of every kind of \
    change in turn. The outline shows where each lies in the other.";
const FARTHEST_TEXT: &str = "The farthest pairs that still count: where a false alarm would be.";

/// The pictures that are shown, by position, as JPEG in base64.
type Shots = BTreeMap<usize, String>;

/// The nearest pairs, altered copies, and the farthest pairs that are not among them.
pub(super) fn sections(all: &Gathered, findings: &Findings) -> Vec<Section> {
    let [nearest, altered, farthest] = shown(all, findings);
    let each = nearest.iter().chain(&altered).chain(&farthest);
    let wanted: BTreeSet<usize> = each.flat_map(|t| [t.still, t.partner]).collect();
    let shots: Shots =
        wanted.par_iter().filter_map(|&i| Some((i, small(&all.paths[i]).ok()?))).collect();
    let mut sections =
        vec![section(all, &shots, ("pairs", "Nearest pairs", NEAREST_TEXT), &nearest)];
    for (title, pairs) in [
        (("altered", "Altered copies", ALTERED_TEXT), &altered),
        (("farthest", "Farthest pairs", FARTHEST_TEXT), &farthest),
    ] {
        if !pairs.is_empty() {
            sections.push(section(all, &shots, title, pairs));
        }
    }
    sections
}

/// The nearest pairs and the farthest, one of every cluster each, those that show something first; and
/// between them altered copies that are not among these.
fn shown(all: &Gathered, findings: &Findings) -> [Vec<NearDuplicate>; 3] {
    let verdicts = findings.leaks.iter().flat_map(|(_, leak)| leak.verdicts.iter());
    let mut near_duplicates: Vec<NearDuplicate> =
        verdicts.filter_map(|v| v.near_duplicates.first().copied()).collect();
    let one_per_cluster = |near_duplicates: &[NearDuplicate], most: usize| {
        let mut seen = BTreeSet::new();
        let fresh = near_duplicates.iter().filter(|t| seen.insert(findings.cluster[t.still]));
        fresh.take(most).copied().collect::<Vec<_>>()
    };
    near_duplicates.sort_by_key(|t| (all.stills[t.still].hash == UNINFORMATIVE, *t));
    let nearest = one_per_cluster(&near_duplicates, NEAREST);
    let mut altered = of_every_kind(&near_duplicates, &findings.cluster);
    altered.retain(|t| !nearest.contains(t));
    // Those that nobody has verified first, then those that differ most.
    near_duplicates
        .sort_by_key(|t| (Reverse(t.likeness.difference.unwrap_or(u32::MAX)), Reverse(*t)));
    let mut farthest = one_per_cluster(&near_duplicates, FARTHEST);
    farthest.retain(|t| !nearest.contains(t) && !altered.contains(t) && !t.same_bytes);
    [nearest, altered, farthest]
}

/// Altered copies, one of every kind of change in turn, of other clusters as long as there are any.
fn of_every_kind(near_duplicates: &[NearDuplicate], cluster: &[usize]) -> Vec<NearDuplicate> {
    let mut kinds: BTreeMap<[bool; 4], Vec<NearDuplicate>> = BTreeMap::new();
    for duplicate in near_duplicates {
        duplicate
            .likeness
            .change
            .iter()
            .for_each(|c| kinds.entry(kind(*c)).or_default().push(*duplicate));
    }
    let mut times: BTreeMap<usize, usize> = BTreeMap::new();
    let mut found = Vec::new();
    while found.len() < ALTERED && !kinds.is_empty() {
        for near_duplicates in kinds.values_mut() {
            let often = |t: &NearDuplicate| times.get(&cluster[t.still]).copied().unwrap_or(0);
            let Some(next) = (0..near_duplicates.len()).min_by_key(|&i| often(&near_duplicates[i]))
            else {
                continue;
            };
            let duplicate = near_duplicates.remove(next);
            *times.entry(cluster[duplicate.still]).or_default() += 1;
            found.push(duplicate);
        }
        kinds.retain(|_, near_duplicates| !near_duplicates.is_empty());
    }
    found.truncate(ALTERED);
    found
}

/// Whether it was mirrored, turned, cropped, or something was put on top.
fn kind(change: Change) -> [bool; 4] {
    [change.mirrored, change.turned.abs() >= TURNED, change.cropped(), change.hidden > 0]
}

fn section(
    all: &Gathered,
    shots: &Shots,
    (id, title, text): (&'static str, &str, &str),
    near_duplicates: &[NearDuplicate],
) -> Section {
    let mut section = Section::new(id, title);
    section.text(if near_duplicates.is_empty() { "There are none." } else { text });
    if !near_duplicates.is_empty() {
        section.blocks.push(Block::Html(html! {
            ul class="samples pairs" { "\n"
                @for duplicate in near_duplicates { (side_by_side(all, shots, duplicate)) }
            } "\n"
        }));
    }
    section
}

fn side_by_side(all: &Gathered, shots: &Shots, duplicate: &NearDuplicate) -> Markup {
    let change = duplicate.likeness.change;
    let shot = |i: usize, outline: Option<Change>| {
        let (part, id) = (all.name(all.stills[i].part()), &all.stills[i].id);
        let class = all.stills[i].emotion.name();
        let drawn = outline.map(outline_of);
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
    let likeness = duplicate.likeness;
    let apart = f64::from(likeness.difference.unwrap_or_default()) / 1000.0;
    let as_it_is = !duplicate.same_bytes && change.is_none();
    let mut facts = vec![
        (duplicate.same_bytes, "the same bytes".to_owned()),
        (as_it_is, format!("{} of 64 bits differ", likeness.distance)),
        (as_it_is && likeness.difference.is_some(), format!("pictures {apart:.3} apart")),
        (likeness.mirrored, "mirrored".into()),
        (likeness.difference.is_none(), "by hash alone".into()),
    ];
    facts.extend(change.iter().flat_map(described));
    let facts: Vec<String> = facts.into_iter().filter(|f| f.0).map(|f| f.1).collect();
    let own = shot(duplicate.still, change.map(Change::reversed));
    html! { li { (own) (shot(duplicate.partner, change)) p { (facts.join(", ")) } } "\n" }
}

/// How the one picture was made of the other, in words.
fn described(change: &Change) -> [(bool, String); 4] {
    let percent = |n: i32| f64::from(n) / 10.0;
    let [own, other] = change.shown;
    let degrees = f64::from(change.turned) / 10.0;
    [
        (true, format!("scale {:.2}", f64::from(change.scale) / 1000.0)),
        (change.turned.abs() >= TURNED, format!("turned {degrees:.1} degrees")),
        (
            change.cropped(),
            format!("{:.0} % of the first in {:.0} % of the second", percent(own), percent(other)),
        ),
        (change.hidden > 0, format!("{:.0} % hidden", percent(change.hidden))),
    ]
}

/// The outline of the one picture where it lies in the other, bars of both included.
fn outline_of(change: Change) -> Markup {
    let [a, b, c] = change.corners.map(|corner| corner.map(|v| f64::from(v) / 1000.0));
    let opposite = [b[0] + c[0] - a[0], b[1] + c[1] - a[1]];
    let place = |[x, y]: [f64; 2]| format!("{x:.3},{y:.3}");
    let points = [a, b, opposite, c].map(place).join(" ");
    html! {
        svg viewBox="0 0 1 1" preserveAspectRatio="none"
            style="position:absolute;left:0;top:0;width:100%;height:100%;background:none" {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::images::Likeness;

    #[test]
    fn an_outline_lies_where_the_change_says_bars_or_not() {
        // A picture between two bars that take a third of the other.
        let corners = [[0, 167], [1000, 167], [0, 833]];
        let change = Change {
            mirrored: false,
            turned: 0,
            scale: 1000,
            corners,
            shown: [1000; 2],
            hidden: 0,
        };
        let drawn = outline_of(change).into_string();
        assert!(drawn.contains("\"0.000,0.167 1.000,0.167 1.000,0.833 0.000,0.833\""), "{drawn}");
        // What lies below must be seen.
        assert!(drawn.contains("background:none") && drawn.contains("fill=\"none\""));
    }

    #[test]
    fn every_kind_of_change_is_shown_before_a_second_of_one_and_clusters_take_turns() {
        let change = |mirrored: bool| Change {
            mirrored,
            turned: 0,
            scale: 1100,
            corners: [[0; 2]; 3],
            shown: [900, 1000],
            hidden: 0,
        };
        let duplicate = |still: usize, change: Option<Change>| NearDuplicate {
            likeness: Likeness { change, distance: 9, mirrored: false, difference: Some(0) },
            still,
            partner: 90,
            same_bytes: false,
        };
        // Fifty crops, the last ten of another cluster, behind them two mirrored ones and one that
        // is not altered.
        let mut near_duplicates: Vec<NearDuplicate> =
            (0..50).map(|i| duplicate(i, Some(change(false)))).collect();
        near_duplicates
            .extend([(50, true), (51, true)].map(|(i, m)| duplicate(i, Some(change(m)))));
        near_duplicates.push(duplicate(52, None));
        let cluster: Vec<usize> = (0..53).map(|i| usize::from(i >= 40)).collect();
        let shown: Vec<usize> =
            of_every_kind(&near_duplicates, &cluster).iter().map(|t| t.still).collect();
        assert_eq!(shown[..6], [0, 50, 1, 51, 2, 40]);
        assert_eq!(shown.len(), ALTERED);
        assert!(!shown.contains(&52), "{shown:?}");
        assert!(of_every_kind(&near_duplicates[52..], &cluster).is_empty());
    }
}
