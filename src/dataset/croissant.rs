//! `croissant.json`: the data set for machines, in MLCommons' Croissant 1.1 vocabulary
//! (<https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html>).
use anyhow::Result;
use serde_json::{json, Value};

use super::{settings::IMAGES, tables::Tables};
use crate::{
    digest,
    folder::OutputFolder,
    manifest::Recipe,
    record::{Emotion, Split},
};

/// The file's name.
const NAME: &str = "croissant.json";

/// Columns of `samples.parquet` that the metadata describes: name, type, meaning.
const FIELDS: &[(&str, &str, &str)] = &[
    ("sample_id", "sc:Text", "Identity: clip_id, slash, segment with three digits"),
    ("split", "sc:Text", "train, val or test"),
    ("emotion", "sc:Text", "Class name"),
    ("label", "cr:Int8", "Class, 0 to 6 in the order Anger ... Surprise"),
    ("clip_id", "sc:Text", "The clip that the frame comes from"),
    ("group_id", "sc:Text", "Clips that are one video by content share it; never in two splits"),
    ("segment", "cr:Int32", "Part of the clip, from 0"),
    ("frame_index", "cr:Int64", "The n-th frame out of the decoder, from 0"),
    ("frame_ms", "cr:Float64", "1000 frame_index / frames per second"),
    ("image_path", "sc:Text", "Picture, relative to this file"),
    ("image_sha256", "sc:Text", "SHA-256 of the picture file"),
    ("width", "cr:Int32", "Pixels"),
    ("height", "cr:Int32", "Pixels"),
    ("face_x1", "cr:Int32", "Left edge of the face in pixels, inclusive; null without a face"),
    ("face_y1", "cr:Int32", "Top edge of the face, inclusive"),
    ("face_x2", "cr:Int32", "Right edge of the face, exclusive"),
    ("face_y2", "cr:Int32", "Bottom edge of the face, exclusive"),
    ("face_score", "cr:Float32", "The detector's confidence, in its own unit"),
    ("face_count", "cr:Int32", "Faces found; null when none were looked for"),
    ("detector", "sc:Text", "Name and settings of the detector"),
    ("damage", "sc:Text", "What the decoder says of the frame: none, concealed or corrupt"),
    ("draw", "cr:Int32", "Which draw of the segment it is, from 0; above 0 after damaged frames"),
];

/// Writes the metadata of a finished folder; the tables must be there.
pub(super) fn write(out: &OutputFolder, tables: &Tables) -> Result<()> {
    let mut files = Vec::new();
    for table in ["samples", "clips", "ledger"] {
        let file = format!("{table}.parquet");
        let sha256 = digest::sha256_file(&out.path().join(&file))?;
        files.push(json!({"@type": "cr:FileObject", "@id": file, "name": file,
            "contentUrl": file, "encodingFormat": "application/x-parquet",
            "sha256": sha256}));
    }
    files.push(json!({"@type": "cr:FileSet", "@id": IMAGES, "name": IMAGES,
        "encodingFormat": ["image/jpeg", "image/png"],
        "includes": format!("{IMAGES}/**/*")}));
    out.write_json(NAME, &document(tables, files))
}

/// The description of a recipe: the same fields and where the frames come from, without pictures.
pub(super) fn recipe(recipe: &Recipe, files: Vec<Value>) -> Value {
    let seed = recipe.meta.get("seed").map_or("unknown", |s| s);
    let mut fields = samples();
    if let Some(all) = fields["field"].as_array_mut() {
        let first = files.first().and_then(|f| f["@id"].as_str()).unwrap_or_default().to_owned();
        let mut extra: Vec<Value> = ORIGIN.iter().map(field).collect();
        all.append(&mut extra);
        for field in all {
            field["source"]["fileObject"]["@id"] = json!(first);
        }
    }
    json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "emotion-frames-recipe",
        "description": format!(
            "Which frames of which clips make a data set of {} samples, seed {seed}; no picture is \
             part of it. `ncaers rebuild` makes the pictures from one's own copy of the clips",
            recipe.rows.len()
        ),
        "version": env!("CARGO_PKG_VERSION"),
        "identifier": recipe.meta.get("input_digest"),
        "distribution": files,
        "recordSet": [splits(), classes(), fields],
    })
}

/// Columns of a recipe beside those of the samples.
const ORIGIN: &[(&str, &str, &str)] = &[
    ("clip_path", "sc:Text", "The clip's file in the corpus that the recipe was made from"),
    ("clip_sha256", "sc:Text", "SHA-256 of the clip's file"),
    ("pixel_sha256", "sc:Text", "SHA-256 of the decoded pixels of the frame"),
];

fn document(tables: &Tables, files: Vec<Value>) -> Value {
    let seed = tables.meta.get("seed").map_or("", |s| s);
    let stills = tables.are_stills();
    json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "emotion-frames",
        "description": if stills { format!(
            "{} of {} stills of seven emotions, imported as they were",
            tables.kept(), tables.clips.len()
        ) } else { format!(
            "{} frames drawn from {} video clips of seven emotions by the construction rule of \
             NCAER-S, seed {seed}; a rebuild, not the authors' release",
            tables.kept(), tables.clips.len()
        ) },
        "version": env!("CARGO_PKG_VERSION"),
        "identifier": tables.meta.get("input_digest"),
        "citeAs": "Lee et al., Context-aware emotion recognition networks, ICCV 2019; Le et al., \
                   Global-local attention for emotion recognition, 2021",
        "distribution": files,
        "recordSet": [splits(), classes(), samples()],
    })
}

/// The vocabulary, as the specification prints it: a key that is missing here is not read.
fn context() -> Value {
    let mut context = json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    });
    let own = "citeAs column equivalentProperty extract field fileProperty fileObject fileSet format includes \
        isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated replace \
        samplingRate separator source subField transform";
    for name in own.split_whitespace() {
        context[name] = format!("cr:{name}").into();
    }
    context
}

/// The splits by their roles.
fn splits() -> Value {
    let role = |split: Split| match split {
        Split::Train => "cr:TrainingSplit",
        Split::Val => "cr:ValidationSplit",
        Split::Test => "cr:TestSplit",
    };
    let rows: Vec<_> = Split::ALL
        .iter()
        .map(|s| json!({"splits/name": s.name(), "splits/url": role(*s)}))
        .collect();
    json!({"@type": "cr:RecordSet", "@id": "splits", "name": "splits",
        "dataType": "cr:Split", "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "dataType": "sc:URL"},
        ],
        "data": rows})
}

/// The classes with their labels.
fn classes() -> Value {
    let rows: Vec<_> = Emotion::ALL
        .iter()
        .map(|e| json!({"emotions/name": e.name(), "emotions/label": e.label()}))
        .collect();
    json!({"@type": "cr:RecordSet", "@id": "emotions", "name": "emotions",
        "dataType": "sc:Enumeration", "key": {"@id": "emotions/name"},
        "field": [
            {"@type": "cr:Field", "@id": "emotions/name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "emotions/label", "dataType": "cr:Int8"},
        ],
        "data": rows})
}

fn field(&(name, kind, about): &(&str, &str, &str)) -> Value {
    let mut field = json!({"@type": "cr:Field", "@id": format!("samples/{name}"),
        "name": name, "description": about, "dataType": kind,
        "source": {"fileObject": {"@id": "samples.parquet"}, "extract": {"column": name}}});
    match name {
        "split" => field["references"] = json!({"field": {"@id": "splits/name"}}),
        "emotion" => field["references"] = json!({"field": {"@id": "emotions/name"}}),
        _ => {}
    }
    field
}

fn samples() -> Value {
    let fields: Vec<_> = FIELDS.iter().map(field).collect();
    json!({"@type": "cr:RecordSet", "@id": "samples", "name": "samples",
        "key": {"@id": "samples/sample_id"}, "field": fields})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_carry_their_hashes_and_references_resolve() {
        let dir = tempfile::tempdir().expect("temp dir");
        let tables = Tables::default();
        let folder = crate::folder::claim_standing(dir.path(), "data set").expect("claimed");
        tables.write(&folder).expect("tables");
        write(&folder, &tables).expect("metadata");
        let text = std::fs::read(dir.path().join(NAME)).expect("read");
        let found: Value = serde_json::from_slice(&text).expect("JSON");
        let hash = digest::sha256_file(&dir.path().join("samples.parquet")).expect("hash");
        assert_eq!(found["distribution"][0]["sha256"], hash.as_str());
        let all = found.to_string();
        let references = all.matches("\"references\":{\"field\":{\"@id\":\"").count();
        assert_eq!(references, 2);
        for id in ["splits/name", "emotions/name", "samples/sample_id"] {
            assert!(all.contains(&format!("\"@id\":\"{id}\",\"@type\":\"cr:Field\"")), "{id}");
        }
    }
}
