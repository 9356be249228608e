//! Faces that somebody else has found: the box files of the field, read by one reader.
//!
//! Boxes of dlib's making carry an inclusive right and bottom and become half-open here. A picture
//! with several faces has several lines; a picture without a line has no face.
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{anyhow, bail, ensure, Context, Result};
use image::RgbImage;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{best_first, Detector};
use crate::{
    digest,
    record::{Emotion, FaceBox, Split},
};

/// The kinds of box files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Our own: CSV with the columns `path,x1,y1,x2,y2` and perhaps `frame` and `score`, half-open.
    Ncaers,
    /// GLAMOR-Net's: a folder with `[split/]Class/stem.txt`, each `x1,y1,x2,y2` as dlib says.
    Glamor,
    /// CAER-Net-S's: `Class/name.png,label,x1,y1,x2,y2`, a file per split named after it.
    CaerNetS,
    /// CAERS-Annotation's: `train/Class/name.png,label,x1,y1,x2,y2`.
    CaersAnnotation,
    /// COCO JSON: `bbox` is left, top, width, height.
    Coco,
}

impl Format {
    /// Every format by its name on the command line.
    pub const ALL: [(&'static str, Format); 5] = [
        ("ncaers", Format::Ncaers),
        ("glamor", Format::Glamor),
        ("caer-net-s", Format::CaerNetS),
        ("caers-annotation", Format::CaersAnnotation),
        ("coco", Format::Coco),
    ];
}

impl FromStr for Format {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, format)| *format).with_context(|| {
            let all = Self::ALL.map(|(name, _)| name).join(", ");
            format!("box format `{name}` is none of {all}")
        })
    }
}

/// Where a face is looked up: the picture's [`key`] and, in a clip, the frame.
type Place = (String, Option<u64>);

/// Faces by picture or frame.
pub struct Boxes {
    found: BTreeMap<Place, Vec<FaceBox>>,
    digest: String,
    /// The frame that is asked for next.
    at: Place,
}

/// The name under which a picture and its boxes meet: the path without its ending, from the split
/// or class folder on, in the canonical spelling of both.
pub fn key(path: &str) -> String {
    let path = path.replace('\\', "/");
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let Some((file, folders)) = parts.split_last() else { return String::new() };
    let stem =
        file.rsplit_once('.').map_or(*file, |(stem, _)| if stem.is_empty() { file } else { stem });
    let Some((class, above)) = folders.split_last() else { return stem.to_owned() };
    let Ok(emotion) = class.parse::<Emotion>() else {
        return [folders, &[stem]].concat().join("/");
    };
    match above.last().and_then(|name| name.parse::<Split>().ok()) {
        Some(split) => format!("{split}/{emotion}/{stem}"),
        None => format!("{emotion}/{stem}"),
    }
}

impl Boxes {
    /// Reads box files.
    ///
    /// # Errors
    /// When one cannot be read or a line is no box; file and line are named.
    pub fn read(format: Format, path: &Path) -> Result<Self> {
        let mut boxes =
            Boxes { found: BTreeMap::new(), digest: String::new(), at: Default::default() };
        let mut digest = Sha256::new();
        for file in files(format, path)? {
            let bytes =
                fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            digest.update(&bytes);
            boxes.add(format, path, &file, &bytes).with_context(|| file.display().to_string())?;
        }
        boxes.found.values_mut().for_each(|faces| best_first(faces));
        boxes.digest = digest::hex(&digest.finalize());
        Ok(boxes)
    }

    /// SHA-256 of the bytes of all files.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Pictures and frames with at least one face.
    pub fn pictures(&self) -> usize {
        self.found.values().filter(|faces| !faces.is_empty()).count()
    }

    /// The names of all pictures and clips that lines speak of.
    pub fn names(&self) -> BTreeSet<&str> {
        self.found.keys().map(|(name, _)| &**name).collect()
    }

    /// The name under which lines speak of the clip whose path below its root is `path`.
    pub fn name_of_clip(&self, path: &str) -> Option<String> {
        let name = key(path);
        let known = self.found.range((name.clone(), None)..).next();
        known.is_some_and(|((first, _), _)| *first == name).then_some(name)
    }

    /// The faces of a still, best first, not clipped; `None` when no line speaks of it. `path` is
    /// the picture's below its root.
    pub fn of_still(&self, path: &str) -> Option<&[FaceBox]> {
        let name = self.name_of_still(path)?;
        self.found.get(&(name, None)).map(Vec::as_slice)
    }

    /// The name under which lines speak of the still whose path below its root is `path`.
    pub fn name_of_still(&self, path: &str) -> Option<String> {
        let full = key(path);
        // GLAMOR's own code looks a box up by what stands before the first dot.
        let name = full.rfind('/').map_or(0, |at| at + 1);
        let short = full[name..].split('.').next().map(|stem| format!("{}{stem}", &full[..name]));
        let without_split = |key: &str| key.split_once('/').map(|(_, rest)| rest.to_owned());
        let tries = [
            Some(full.clone()),
            without_split(&full),
            short.clone(),
            short.as_deref().and_then(without_split),
        ];
        let known = |name: &String| self.found.contains_key(&(name.clone(), None));
        tries.into_iter().flatten().find(known)
    }

    fn add(&mut self, format: Format, root: &Path, file: &Path, bytes: &[u8]) -> Result<()> {
        match format {
            Format::Ncaers => self.add_rows(bytes),
            Format::Glamor => self.add_crop(root, file, bytes),
            Format::CaerNetS => {
                let split = split_of(file)?;
                self.add_list(bytes, |path| format!("{split}/{path}"))
            }
            Format::CaersAnnotation => self.add_list(bytes, str::to_owned),
            Format::Coco => self.add_coco(bytes),
        }
    }

    fn put(&mut self, place: Place, face: Option<FaceBox>) {
        self.found.entry(place).or_default().extend(face);
    }

    fn add_rows(&mut self, bytes: &[u8]) -> Result<()> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
        let headers = reader.headers()?.clone();
        for column in ["path", "x1", "y1", "x2", "y2"] {
            ensure!(headers.iter().any(|h| h == column), "column `{column}` is missing");
        }
        for record in reader.records() {
            let at = |e: &csv::Error| e.position().map_or(0, csv::Position::line);
            let record = record.map_err(|e| anyhow!("line {}: {e}", at(&e)))?;
            // Blank lines count, as they do in an editor.
            let line = record.position().map_or(0, csv::Position::line);
            let BoxRow { path, frame, x1, y1, x2, y2, score } =
                record.deserialize(Some(&headers)).with_context(|| format!("line {line}"))?;
            ensure!(x1 < x2 && y1 < y2, "line {line}: box {x1},{y1},{x2},{y2} has no pixels");
            let score = score.unwrap_or(1.0);
            ensure!(score.is_finite(), "line {line}: score {score} is no number");
            self.put((key(&path), frame), Some(FaceBox { x1, y1, x2, y2, score }));
        }
        Ok(())
    }

    fn add_crop(&mut self, root: &Path, file: &Path, bytes: &[u8]) -> Result<()> {
        let text = std::str::from_utf8(bytes).context("not text")?;
        let face = dlib_box(text.trim())?;
        let path = file.strip_prefix(root).unwrap_or(file);
        self.put((key(&path.to_string_lossy()), None), face);
        Ok(())
    }

    fn add_list(&mut self, bytes: &[u8], path_of: impl Fn(&str) -> String) -> Result<()> {
        let text = std::str::from_utf8(bytes).context("not text")?;
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty()) {
            let row = || -> Result<_> {
                // The path may hold commas; the five numbers cannot.
                let mut parts = text.trim().rsplitn(6, ',');
                let mut corners: Vec<&str> = parts.by_ref().take(4).collect();
                corners.reverse();
                let (label, path) = parts.next().zip(parts.next()).context("too few values")?;
                ensure!(
                    label.trim().parse::<u8>().is_ok_and(|l| l < 7),
                    "label `{label}` is not 0 to 6"
                );
                Ok((key(&path_of(path)), dlib_box(&corners.join(","))?))
            };
            let (key, face) = row().with_context(|| format!("line {line}"))?;
            self.put((key, None), face);
        }
        Ok(())
    }

    fn add_coco(&mut self, bytes: &[u8]) -> Result<()> {
        let coco: Coco = serde_json::from_slice(bytes).context("not COCO JSON")?;
        let names: BTreeMap<u64, String> =
            coco.images.into_iter().map(|i| (i.id, key(&i.file_name))).collect();
        for name in names.values() {
            self.found.entry((name.clone(), None)).or_default();
        }
        for (at, annotation) in coco.annotations.iter().enumerate() {
            let name = names.get(&annotation.image_id).with_context(|| {
                format!("annotation {at} is of image {}, which is not listed", annotation.image_id)
            })?;
            let [x, y, w, h] = annotation.bbox;
            let edge = |v: f64| (v + 0.5).floor() as i32;
            let sound =
                [x, y, w, h].iter().all(|v| v.is_finite() && v.abs() < 1e6) && w > 0.0 && h > 0.0;
            ensure!(sound, "annotation {at}: box {:?} has no pixels", annotation.bbox);
            let score = annotation.score.unwrap_or(1.0);
            ensure!(score.is_finite(), "annotation {at}: score {score} is no number");
            let face =
                FaceBox { x1: edge(x), y1: edge(y), x2: edge(x + w), y2: edge(y + h), score };
            self.put((name.clone(), None), Some(face));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct BoxRow {
    path: String,
    frame: Option<u64>,
    x1: i32,
    y1: i32,
    x2: i32,
    y2: i32,
    score: Option<f32>,
}

#[derive(Deserialize)]
struct Coco {
    images: Vec<CocoImage>,
    annotations: Vec<CocoAnnotation>,
}

#[derive(Deserialize)]
struct CocoImage {
    id: u64,
    file_name: String,
}

#[derive(Deserialize)]
struct CocoAnnotation {
    image_id: u64,
    bbox: [f64; 4],
    score: Option<f32>,
}

/// Four numbers as dlib has them, right and bottom inclusive; `None` for `0,0,0,0`, its users' way
/// of saying that there is no face, and for a box without pixels.
fn dlib_box(text: &str) -> Result<Option<FaceBox>> {
    let numbers: Vec<i32> = text
        .split(',')
        .map(|part| {
            part.trim().parse::<f64>().ok().filter(|v| v.abs() < 1e6).map(|v| v.round() as i32)
        })
        .collect::<Option<_>>()
        .with_context(|| format!("`{text}` is not x1,y1,x2,y2"))?;
    let [x1, y1, x2, y2] = numbers[..] else { bail!("`{text}` is not x1,y1,x2,y2") };
    let some = (x1, y1, x2, y2) != (0, 0, 0, 0) && x2 >= x1 && y2 >= y1;
    Ok(some.then_some(FaceBox { x1, y1, x2: x2 + 1, y2: y2 + 1, score: 1.0 }))
}

/// The split that a list's own name tells, such as `train.txt`.
fn split_of(file: &Path) -> Result<Split> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let mut words = stem.split(|c: char| !c.is_ascii_alphanumeric());
    words
        .find_map(|word| word.parse().ok())
        .context("its name tells no split; name it train.txt, val.txt or test.txt")
}

/// The files of a format at `path`, in order.
fn files(format: Format, path: &Path) -> Result<Vec<PathBuf>> {
    let found = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if !found.is_dir() {
        ensure!(format != Format::Glamor, "{} is no folder of crop files", path.display());
        return Ok(vec![path.to_owned()]);
    }
    let deep = if format == Format::Glamor { 2 } else { 0 };
    let mut files = Vec::new();
    text_files(path, deep, &mut files)?;
    ensure!(!files.is_empty(), "no box file in {}", path.display());
    Ok(files)
}

fn text_files(folder: &Path, deep: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = || format!("cannot list {}", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        entries.push(entry.with_context(failed)?.path());
    }
    entries.sort();
    for path in entries {
        if path.is_dir() && deep > 0 {
            text_files(&path, deep - 1, files)?;
        } else if path.is_file() && path.extension().is_some_and(|e| e == "txt") {
            files.push(path);
        }
    }
    Ok(())
}

impl fmt::Debug for Boxes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Detector for Boxes {
    fn detect(&mut self, image: &RgbImage) -> Result<Vec<FaceBox>> {
        let faces = self.found.get(&self.at).map_or(&[][..], Vec::as_slice);
        let (width, height) = image.dimensions();
        Ok(faces.iter().filter_map(|face| face.clipped(width, height)).collect())
    }

    fn next_is(&mut self, clip_path: &str, frame: u64) {
        self.at = (key(clip_path), Some(frame));
    }

    fn name(&self) -> String {
        format!("boxes(list {}, {} pictures)", &self.digest[..8], self.pictures())
    }
}

/// A list of boxes of clips' frames as a detector.
///
/// # Errors
/// As [`Boxes::read`], and when a line names no frame.
pub(super) fn open(list: &Path) -> Result<Box<dyn Detector>> {
    let boxes = Boxes::read(Format::Ncaers, list)?;
    let framed = boxes.found.keys().all(|(_, frame)| frame.is_some());
    ensure!(framed, "{}: a line names no frame; clips need path,frame,x1,y1,x2,y2", list.display());
    Ok(Box::new(boxes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Format, name: &str, text: &str) -> Result<Boxes> {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join(name);
        fs::write(&path, text).expect("writable");
        Boxes::read(format, &path)
    }

    #[test]
    fn faces_belong_to_their_frame_best_first_and_clipped() {
        let text = "path,frame,x1,y1,x2,y2,score\n\
             train\\Anger\\0001.avi,7,1,2,30,40,0.5\n\
             train/Angry/0001.avi,7,-5,0,300,40,0.75\n\
             train/Anger/0001.avi,8,90,90,99,99,\n";
        let mut boxes = read(Format::Ncaers, "b.csv", text).expect("well-formed");
        let mut at = |path: &str, frame| {
            boxes.next_is(path, frame);
            boxes.detect(&RgbImage::new(80, 60)).expect("a list never fails")
        };
        assert_eq!(at("train/Anger/0001.avi", 6), []);
        assert_eq!(at("train/Anger/0002.avi", 7), []);
        assert_eq!(at("train/Anger/0001.avi", 8), [], "outside the picture");
        let [best, next] = at("train/Anger/0001.avi", 7)[..] else { panic!("two faces") };
        assert_eq!(best, FaceBox { x1: 0, y1: 0, x2: 80, y2: 40, score: 0.75 });
        assert_eq!(next, FaceBox { x1: 1, y1: 2, x2: 30, y2: 40, score: 0.5 });
    }

    #[test]
    fn dlibs_boxes_become_half_open_in_every_format() {
        let line = "0001.png,0,295,97,394,195\n";
        let face = FaceBox { x1: 295, y1: 97, x2: 395, y2: 196, score: 1.0 };
        let list = read(Format::CaersAnnotation, "a.txt", &format!("train/Angry/{line}"));
        assert_eq!(list.expect("reads").of_still("train/Anger/0001.jpg"), Some(&[face][..]));
        let list = read(Format::CaerNetS, "CAER_test.txt", &format!("Angry/{line}"));
        assert_eq!(list.expect("reads").of_still("CAER-S/test/Anger/0001.png"), Some(&[face][..]));
        let coco = r#"{"images": [{"id": 4, "file_name": "test/Sad/1.png"}, {"id": 5, "file_name": "2.png"}],
            "annotations": [{"image_id": 4, "category_id": 5, "bbox": [295, 97, 100, 99]}]}"#;
        let coco = read(Format::Coco, "c.json", coco).expect("reads");
        assert_eq!(coco.of_still("test/Sadness/1.png"), Some(&[face][..]));
        assert_eq!(coco.of_still("2.png"), Some(&[][..]), "listed without a face");
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::create_dir_all(folder.path().join("Happy")).expect("writable");
        fs::write(folder.path().join("Happy/a.txt"), "295,97,394,195").expect("writable");
        fs::write(folder.path().join("Happy/b.txt"), "0,0,0,0").expect("writable");
        let crops = Boxes::read(Format::Glamor, folder.path()).expect("reads");
        assert_eq!(
            crops.of_still("images/val/Happiness/a.png.jpg"),
            Some(&[face][..]),
            "no split, first dot"
        );
        assert_eq!(crops.of_still("images/val/Happy/b.jpg"), Some(&[][..]));
        assert_eq!(crops.of_still("images/val/Happy/c.jpg"), None);
    }

    #[test]
    fn what_is_no_list_is_refused_with_its_file_and_line() {
        let refusal = |format, text: &str| {
            format!("{:#}", read(format, "train.txt", text).expect_err("must be refused"))
        };
        let own = |text: &str| refusal(Format::Ncaers, text);
        assert!(own("").ends_with("train.txt: column `path` is missing"));
        assert!(own("path,frame,x1,y1,x2\na,0,0,0,9\n").ends_with("column `y2` is missing"));
        let row = |row: &str| own(&format!("path,frame,x1,y1,x2,y2,score\na,0,0,0,9,9,1\n{row}\n"));
        assert!(row("a,1,5,5,5,9,1").ends_with("line 3: box 5,5,5,9 has no pixels"));
        assert!(row("a,1,5,5,6,9,nan").ends_with("line 3: score NaN is no number"));
        assert!(row("a,-1,5,5,6,9,1").contains("line 3"));
        assert!(row("a,1,5,5,6").contains("line 3"));
        let list = |text: &str| refusal(Format::CaerNetS, text);
        assert!(list("Sad/1.png,5,1,2,3,4\nSad/2.png,5,1,2,3\n").contains("train.txt: line 2: "));
        assert!(list("Sad/1.png,5,1,2,x,4\n").ends_with("line 1: `1,2,x,4` is not x1,y1,x2,y2"));
        assert!(list("Sad/1.png,9,1,2,3,4\n").ends_with("label `9` is not 0 to 6"));
        assert!(refusal(Format::Coco, "{").contains("not COCO JSON"));
        let coco = r#"{"images": [], "annotations": [{"image_id": 4, "bbox": [1, 2, 3, 4]}]}"#;
        assert!(refusal(Format::Coco, coco).ends_with("image 4, which is not listed"));
        let unnamed =
            read(Format::CaerNetS, "boxes.txt", "").expect_err("no split").chain().count();
        assert!(unnamed >= 2, "the file is named");
    }
}
