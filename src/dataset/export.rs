//! A manifest to what other tools read: one function per layout, names made safe in one place.
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{ensure, Context, Result};
use rayon::prelude::*;
use serde_json::json;

use crate::{
    digest,
    folder::{self, Claim, OutputFolder},
    manifest::{self, Manifest},
    progress::Progress,
    record::{Emotion, FaceBox, Sample, Split},
};

/// A way to lay out pictures and what is known of them.
struct Layout {
    name: &'static str,
    /// Where pictures lie, `None` when none are written.
    pictures: Option<&'static str>,
    /// The files beside the pictures.
    files: fn(&[Named<'_>]) -> Result<Files>,
}

/// Paths below the output folder, with their bytes.
type Files = Vec<(String, Vec<u8>)>;

/// Every layout.
const ALL: &[Layout] = &[
    Layout { name: "ncaer-s", pictures: Some("images/"), files: ncaer_s },
    Layout { name: "caer-s", pictures: Some(""), files: caer_s },
    Layout { name: "coco", pictures: Some("images/"), files: coco },
    Layout { name: "imagefolder", pictures: Some(""), files: image_folder },
    Layout { name: "boxes", pictures: None, files: boxes },
];

/// The names of the layouts.
pub const LAYOUTS: &[&str] = &["ncaer-s", "caer-s", "coco", "imagefolder", "boxes"];

/// What an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Exported {
    /// Whether the folder held it already.
    pub already_done: bool,
    /// Samples of the manifest.
    pub samples: usize,
    /// Those of them without a face, which box lists do not name.
    pub without_face: usize,
    /// Pictures written.
    pub pictures: usize,
}

/// A sample and where it goes.
struct Named<'a> {
    sample: &'a Sample,
    /// The clip's or still's file in its corpus.
    source: &'a str,
    /// `split/Class/name.ending`, one plain name in two known folders.
    path: String,
}

/// Writes the manifest at `from` as `layout` into `out`.
///
/// # Errors
/// When the manifest or a picture cannot be read, a picture is not the one that the manifest
/// means, or the folder holds something else or cannot be written.
pub fn export(from: &Path, layout: &str, out: &Path) -> Result<Exported> {
    let layout = ALL.iter().find(|l| l.name == layout);
    let layout = layout.with_context(|| format!("layout is none of {}", LAYOUTS.join(", ")))?;
    let folder = manifest::folder_of(from);
    let data = Manifest::read(&folder)?;
    let mut done = Exported {
        samples: data.samples.len(),
        without_face: data.samples.iter().filter(|s| s.face.is_none()).count(),
        ..Exported::default()
    };
    let record = json!({"export": layout.name, "manifest": manifest::digest(&folder)?});
    let out = match folder::claim(out, &record)? {
        Claim::Done => return Ok(Exported { already_done: true, ..done }),
        Claim::Fresh(out) | Claim::Resume(out) => out,
    };
    let named = named(&data);
    if let Some(prefix) = layout.pictures {
        done.pictures = named.len();
        write_pictures(&folder, &out, prefix, &named)?;
        out.write("samples.csv", &list(prefix, &named)?)?;
    }
    for (path, bytes) in (layout.files)(&named)? {
        out.write(&path, &bytes)?;
    }
    out.finish()?;
    Ok(done)
}

fn write_pictures(
    from: &Path,
    out: &OutputFolder,
    prefix: &str,
    named: &[Named<'_>],
) -> Result<()> {
    let progress = Progress::new("export", "pictures", named.len() as u64);
    named.par_iter().try_for_each(|Named { sample, path, .. }| {
        let source = folder::below(from, &sample.image_path)?;
        let bytes =
            fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        let sound = digest::sha256_hex(&bytes) == sample.image_sha256;
        ensure!(
            sound,
            "{} is not the picture of {}; run verify",
            source.display(),
            sample.sample_id
        );
        out.link_or_copy(&source, || Ok(bytes.clone()), format!("{prefix}{path}"))?;
        progress.advance(1);
        Ok(())
    })?;
    progress.finish();
    Ok(())
}

/// A name for every sample; no two are equal, and none leaves its folder.
fn named(data: &Manifest) -> Vec<Named<'_>> {
    let sources: BTreeMap<&str, &str> =
        data.clips.iter().map(|c| (&*c.clip_id, &*c.path)).collect();
    let mut used = BTreeSet::new();
    let name = |sample| {
        let mut path = path_of(sample, false);
        // Case alone does not part names everywhere.
        if !used.insert(path.to_lowercase()) {
            path = path_of(sample, true);
            used.insert(path.to_lowercase());
        }
        let source = sources.get(&*sample.clip_id).copied().unwrap_or_default();
        Named { sample, source, path }
    };
    data.samples.iter().map(name).collect()
}

/// `split/Class/stem.ending`; the stem is the clip's (and `_NNN`, the segment) where that is a
/// plain name without a dot, else made plain and told apart by eight hex digits of the id's hash.
fn path_of(sample: &Sample, hashed: bool) -> String {
    let mut stem = sample.clip_id.splitn(3, '/').last().unwrap_or_default().to_owned();
    if let Some(segment) = sample.segment {
        stem.push_str(&format!("_{:03}", segment.index));
    }
    let odd = |c: char| c.is_control() || "/\\.:*?\"<>|,".contains(c);
    let plain = !stem.is_empty()
        && stem.len() <= 120
        && !stem.starts_with(['-', ' '])
        && !stem.contains(odd);
    if hashed || !plain {
        let hash = &digest::sha256_hex(sample.sample_id.as_bytes())[..8];
        stem = format!("{}_{hash}", folder::safe_component(&stem.replace('.', "_")));
    }
    let png = sample.image_path.to_ascii_lowercase().ends_with(".png");
    let ending = if png { "png" } else { "jpg" };
    format!("{}/{}/{stem}.{ending}", sample.split, sample.emotion)
}

/// The list that `import --layout csv` reads, which alone carries groups.
fn list(prefix: &str, named: &[Named<'_>]) -> Result<Vec<u8>> {
    let header = ["path", "label", "split", "group", "sample_id"];
    table(
        &header,
        named.iter().map(|n| {
            let s = n.sample;
            let path = format!("{prefix}{}", n.path);
            vec![
                path,
                s.emotion.to_string(),
                s.split.to_string(),
                s.group_id.clone(),
                s.sample_id.clone(),
            ]
        }),
    )
}

fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(header)?;
    for row in rows {
        writer.write_record(row)?;
    }
    writer.into_inner().map_err(|e| e.into_error()).context("cannot write a list")
}

/// A box as dlib writes it, right and bottom inclusive.
fn inclusive(face: FaceBox) -> String {
    format!("{},{},{},{}", face.x1, face.y1, face.x2 - 1, face.y2 - 1)
}

/// The release's layout: a text file with a box per picture, `0,0,0,0` without a face.
fn ncaer_s(named: &[Named<'_>]) -> Result<Files> {
    let crop = |n: &Named<'_>| {
        let stem = n.path.rsplit_once('.').map_or(&*n.path, |(stem, _)| stem);
        let text = n.sample.face.map_or_else(|| "0,0,0,0".to_owned(), inclusive);
        (format!("crop/{stem}.txt"), text.into_bytes())
    };
    Ok(named.iter().map(crop).collect())
}

/// CAER-S with both public lists of boxes; pictures without a face are in neither.
fn caer_s(named: &[Named<'_>]) -> Result<Files> {
    let line = |n: &Named<'_>, path: &str| {
        let face = n.sample.face?;
        Some(format!("{path},{},{}\n", n.sample.emotion.label(), inclusive(face)))
    };
    let all: String = named.iter().filter_map(|n| line(n, &n.path)).collect();
    let mut files = vec![("annotations.txt".to_owned(), all.into_bytes())];
    for split in Split::ALL {
        let own = named.iter().filter(|n| n.sample.split == split);
        let in_split = |n: &Named<'_>| line(n, n.path.split_once('/').map_or("", |(_, rest)| rest));
        let lines: String = own.filter_map(in_split).collect();
        files.push((format!("{split}.txt"), lines.into_bytes()));
    }
    Ok(files)
}

/// COCO JSON: a file per split and one of all; categories are the labels 0 to 6.
fn coco(named: &[Named<'_>]) -> Result<Files> {
    let categories: Vec<_> =
        Emotion::ALL.iter().map(|e| json!({"id": e.label(), "name": e.name()})).collect();
    let document = |split: Option<Split>| -> Result<Vec<u8>> {
        let (mut images, mut annotations) = (Vec::new(), Vec::new());
        for (id, Named { sample, path, .. }) in (1..).zip(named) {
            if split.is_some_and(|s| s != sample.split) {
                continue;
            }
            images.push(json!({"id": id, "file_name": path, "width": sample.width,
                "height": sample.height, "split": sample.split, "emotion": sample.emotion.name()}));
            if let Some(f) = sample.face {
                annotations.push(json!({"id": id, "image_id": id, "iscrowd": 0, "area": f.area(),
                    "category_id": sample.emotion.label(), "score": f.score,
                    "bbox": [f.x1, f.y1, f.x2 - f.x1, f.y2 - f.y1]}));
            }
        }
        let all = json!({"images": images, "annotations": annotations, "categories": categories});
        Ok(serde_json::to_vec(&all)?)
    };
    let mut files = vec![("all.json".to_owned(), document(None)?)];
    for split in Split::ALL {
        files.push((format!("{split}.json"), document(Some(split))?));
    }
    Ok(files)
}

/// Folders of classes, and per split a `metadata.csv` with the boxes.
fn image_folder(named: &[Named<'_>]) -> Result<Files> {
    let header = ["file_name", "label", "group", "x1", "y1", "x2", "y2"];
    let file = |split: Split| {
        let own = named.iter().filter(|n| n.sample.split == split);
        let rows = own.map(|n| {
            let name = n.path.split_once('/').map_or("", |(_, rest)| rest).to_owned();
            let mut row = vec![name, n.sample.emotion.to_string(), n.sample.group_id.clone()];
            let corners = n.sample.face.map(|f| [f.x1, f.y1, f.x2, f.y2].map(|v| v.to_string()));
            row.extend(corners.unwrap_or_default());
            row
        });
        Ok((format!("{split}/metadata.csv"), table(&header, rows)?))
    };
    Split::ALL.into_iter().map(file).collect()
}

/// The list that `build --detector boxes=` reads.
fn boxes(named: &[Named<'_>]) -> Result<Files> {
    let header = ["path", "frame", "x1", "y1", "x2", "y2", "score"];
    let rows = named.iter().filter_map(|n| {
        let f = n.sample.face?;
        let frame = n.sample.frame_index.map_or_else(String::new, |frame| frame.to_string());
        let corners = [f.x1, f.y1, f.x2, f.y2].map(|v| v.to_string());
        let mut row = vec![n.source.to_owned(), frame];
        row.extend(corners);
        row.push(f.score.to_string());
        Some(row)
    });
    Ok(vec![("boxes.csv".to_owned(), table(&header, rows)?)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_listed() {
        assert_eq!(ALL.iter().map(|l| l.name).collect::<Vec<_>>(), LAYOUTS);
    }
}
