//! Against rustface, to the last bit, with every kind of instructions: a photograph, drawn faces and
//! noise. `examples/seeta_oracle.rs` does the same on photographs of one's own.
use std::path::Path;

use image::{imageops, GrayImage};
use rustface::{Detector, ImageData};

use super::{
    cascade::{Cascade, Search},
    lanes::Lanes,
    merge::FaceWindow,
    resize::View,
    MODEL, WINDOW,
};
use crate::seed::Draws;

/// Searches that differ in everything that can differ; thresholds so low that weak finds count.
const SEARCHES: [Search; 3] = [
    Search { step: 4, pyramid: 0.8, threshold: 1e-4 },
    Search { step: 3, pyramid: 0.7, threshold: 1e-4 },
    Search { step: 7, pyramid: 0.9, threshold: 2.0 },
];

/// rustface and ours, one after another.
struct Both {
    reference: Box<dyn Detector>,
    ours: Vec<Cascade>,
}

impl Both {
    fn new() -> Self {
        let model = rustface::read_model(MODEL).expect("its own model");
        let ours = Lanes::all().into_iter();
        Both {
            reference: rustface::create_detector_with_model(model),
            ours: ours.map(|lanes| Cascade::new(MODEL, lanes).expect("the model")).collect(),
        }
    }

    /// How many faces both find; all of them must be the same.
    fn agree(&mut self, name: &str, picture: &GrayImage, search: Search) -> usize {
        let (width, height) = picture.dimensions();
        self.reference.set_slide_window_step(search.step as u32, search.step as u32);
        self.reference.set_pyramid_scale_factor(search.pyramid);
        self.reference.set_score_thresh(search.threshold);
        let found = self.reference.detect(&ImageData::new(picture.as_raw(), width, height));
        let wanted: Vec<FaceWindow> = found
            .iter()
            .map(|face| {
                let b = face.bbox();
                assert_eq!(b.width(), b.height());
                FaceWindow { x: b.x(), y: b.y(), size: b.width(), score: face.score() }
            })
            .collect();
        let view = View::whole(picture.as_raw(), width as usize, height as usize);
        for ours in &mut self.ours {
            assert_eq!(ours.detect(view, search), wanted, "{name}, {width} x {height}, {search:?}");
        }
        wanted.len()
    }
}

/// The picture of a team that the crate ships.
fn photograph() -> GrayImage {
    let path = Path::new(env!("RUSTFACE_FOLDER")).join("test.png");
    image::open(path).expect("its own picture").to_luma8()
}

fn resized(picture: &GrayImage, width: u32, height: u32) -> GrayImage {
    imageops::resize(picture, width, height, imageops::FilterType::Triangle)
}

#[test]
fn a_photograph_has_the_same_faces_at_every_scale() {
    let (photograph, mut both) = (photograph(), Both::new());
    let (width, height) = photograph.dimensions();
    let mut faces = 0;
    for share in [0.2, 0.31, 0.45] {
        let size = |n: u32| (f64::from(n) * share) as u32;
        let picture = resized(&photograph, size(width), size(height));
        for search in SEARCHES {
            faces += both.agree("the team", &picture, search);
            let mirrored = imageops::flip_horizontal(&picture);
            faces += both.agree("the team mirrored", &mirrored, search);
        }
    }
    assert!(faces > 40, "{faces} faces");
}

#[test]
fn faces_at_the_edge_have_the_same_boxes() {
    let (photograph, mut both) = (photograph(), Both::new());
    let (width, height) = photograph.dimensions();
    let team = resized(&photograph, width / 2, height / 2);
    let (width, height) = team.dimensions();
    let mut faces = 0;
    // Cuts that go through faces at every side.
    for at in 0..10 {
        let (left, top) = (at * (width - 260) / 9, at % 3 * (height - 170) / 2);
        let cut = imageops::crop_imm(&team, left, top, 260, 170).to_image();
        faces += both.agree("a cut", &cut, SEARCHES[0]);
    }
    assert!(faces > 6, "{faces} faces");
}

#[test]
fn noise_and_flat_pictures_have_the_same_answers() {
    let mut draws = Draws::new(24, "seeta noise", "");
    let mut both = Both::new();
    let mut faces = 0;
    for (at, (width, height)) in
        [(40, 40), (41, 40), (40, 97), (63, 50), (128, 77), (200, 140), (333, 41)]
            .into_iter()
            .enumerate()
    {
        let noise = GrayImage::from_fn(width, height, |_, _| image::Luma([draws.below(256) as u8]));
        let soft = imageops::blur(&noise, 1.0 + at as f32);
        let (low, high) = soft.pixels().fold((255, 0), |(l, h), p| (p.0[0].min(l), p.0[0].max(h)));
        let range = u32::from(high - low).max(1);
        let stretched = GrayImage::from_fn(width, height, |x, y| {
            image::Luma([(u32::from(soft.get_pixel(x, y).0[0] - low) * 255 / range) as u8])
        });
        // Flat white comes out as 254 here and there.
        let halves = GrayImage::from_fn(width, height, |x, y| {
            image::Luma([if x / 9 % 2 == y / 7 % 2 { 255 } else { noise.get_pixel(x, y).0[0] }])
        });
        for picture in [noise, stretched, halves] {
            faces += both.agree("noise", &picture, SEARCHES[0]);
            both.agree("noise", &picture, SEARCHES[1]);
        }
    }
    crate::progress::message(&format!("{faces} faces in noise"));
}

/// rustface may not be asked: it reads beyond such pictures.
#[test]
fn pictures_below_the_window_have_no_face() {
    let mut cascade = Cascade::new(MODEL, Lanes::widest()).expect("the model");
    for (width, height) in [(0, 0), (1, 1), (39, 39), (39, 200)] {
        let pixels = vec![90; width * height];
        let view = View::whole(&pixels, width, height);
        assert_eq!(cascade.detect(view, SEARCHES[0]), [], "{width} x {height}");
    }
    assert_eq!(WINDOW, 40);
}

#[test]
fn a_damaged_model_is_refused() {
    let open = |bytes: &[u8]| Cascade::new(bytes, Lanes::Plain).map(drop);
    assert!(open(MODEL).is_ok());
    for end in [0, 3, 4, 40, MODEL.len() / 2, MODEL.len() - 1] {
        let error = open(&MODEL[..end]).expect_err("cut off").to_string();
        assert!(error.contains("end too early") || error.contains("levels"), "{end}: {error}");
    }
    let mut long = MODEL.to_vec();
    long.push(0);
    assert_eq!(open(&long).expect_err("too long").to_string(), "1 bytes too many");
    let mut other = MODEL.to_vec();
    other[12] = 1;
    let error = open(&other).expect_err("a network first").to_string();
    assert_eq!(error, "classifier of kind 1 where 0 is expected");
}
