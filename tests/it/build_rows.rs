//! The rows that are made while they are written stand in id order and are all accounted for,
//! whatever the clips are called and however long they are.
use std::collections::BTreeMap;

use ncaers::{
    internals::{
        corpus::{ClipSource, Listing},
        dataset::{
            self, ClipResult, ClipResults, Config, Configuration, DecodedFacts, Parts, SavedFrame,
        },
        face,
        folder::claim_standing,
        sampling,
    },
    manifest::Manifest,
    record::{ClipStatus, Damage, Emotion, HexDigest, LedgerKind, Segment, Split},
};

fn source(clip_id: &str, emotion: Emotion) -> ClipSource {
    ClipSource {
        clip_id: clip_id.into(),
        split: Some(Split::Train),
        emotion,
        path: format!("{clip_id}.avi").into(),
        shown: format!("{clip_id}.avi"),
        refused: None,
        group: None,
        span: None,
    }
}

/// A clip of `segments` parts of two seconds.
fn result(clip_id: &str, segments: u32) -> ClipResult {
    let frames = u64::from(segments) * 50;
    let cut = sampling::segments(frames, 25.0, 2.0);
    let drawn = sampling::targets(1, clip_id, &cut);
    let taken = |(segment, frame): (Segment, u64)| SavedFrame {
        segment,
        frame,
        image_path: format!("images/{clip_id}_{:03}.jpg", segment.index),
        image_sha256: "00".into(),
        pixel_sha256: HexDigest::default(),
        width: 160,
        height: 96,
        face: None,
        face_count: None,
        damage: Damage::None,
        draw: 0,
    };
    ClipResult {
        clip_id: clip_id.into(),
        sha256: Some(format!("{clip_id} {segments}").into()),
        status: ClipStatus::Ok,
        code: None,
        reason: None,
        facts: Some(DecodedFacts {
            codec: "mpeg4".into(),
            pixel_format: "yuv420p".into(),
            width: 160,
            height: 96,
            sample_aspect_ratio: None,
            rotation: 0,
            color_matrix: "bt601".into(),
            color_range: "limited".into(),
            interlaced: false,
            fps_bits: 25f64.to_bits(),
            frames,
            frames_header: None,
            has_b_frames: false,
            signature: None,
            views: None,
            orientation: 1,
            color_transfer: None,
            default_stream: true,
            part: None,
        }),
        samples: cut.into_iter().zip(drawn).map(taken).collect(),
        lost: BTreeMap::new(),
        seconds: BTreeMap::new(),
        still: None,
    }
}

#[test]
fn rows_are_in_id_order_and_complete() {
    // A space comes before the slash that ids go on with, and 1000 as text before 101.
    let long = "train/Anger/a";
    let named = [
        (long, Emotion::Anger, 1005),
        ("train/Anger/a b", Emotion::Anger, 3),
        ("train/Anger/a-b", Emotion::Anger, 3),
        ("train/Fear/z", Emotion::Fear, 40),
    ];
    let clips: Vec<ClipSource> =
        named.iter().map(|(id, emotion, _)| source(id, *emotion)).collect();
    let results: ClipResults = named.iter().map(|(id, _, n)| result(id, *n)).collect();
    let listing =
        Listing { corpus: "made up".into(), has_split: true, clips, ..Listing::default() };
    let drawn: usize = results.iter().map(|r| r.samples.len()).sum();
    for (balance, kept) in [("none", drawn), ("equal", 80)] {
        let mut config = Config::new(1, &face::DetectorRequest::named("none")).expect("config");
        config.balance = balance.parse().expect("a balance");
        let config = Configuration::Build(config);
        let results = results.clone();
        let tables = dataset::tables(Parts {
            config: &config,
            listing: &listing,
            results,
            same_video: Vec::new(),
        });
        let tables = tables.expect("no leak");
        assert_eq!((tables.kept(), tables.clips()), (kept, 4), "{balance}");
        let dir = tempfile::tempdir().expect("temp dir");
        let folder = claim_standing(dir.path(), "data set").expect("claimed");
        tables.write(&folder).expect("writes");
        let read = Manifest::read(dir.path()).expect("reads");
        let mut sorted = read.clone();
        sorted.sort();
        assert!(read == sorted, "{balance}: rows are not in id order");
        let left: Vec<_> =
            read.ledger.iter().filter(|e| e.kind == LedgerKind::Sample).map(|e| &*e.id).collect();
        let mut ids: Vec<&str> = read.samples.iter().map(|s| &*s.sample_id).chain(left).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((read.samples.len(), ids.len()), (kept, drawn), "{balance}");
        let thousand = read.samples.iter().any(|s| s.sample_id == format!("{long}/1000"));
        assert!(thousand || balance == "equal");
    }
}
