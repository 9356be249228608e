//! A clip in motion: the frames of a plan, each drawn from its number alone.
use std::f64::consts::TAU;

use image::RgbImage;

use crate::{record::FaceBox, seed::Draws};

use super::{
    canvas::Pose,
    face::{self, Moment, Person},
    plan::{ClipPlan, Expression},
    scene::{Look, Room, Stage},
};

/// Half the width of a head in scene units.
const HEAD: f32 = 43.0;
/// Seconds that a blink takes.
const BLINK: f64 = 0.18;

/// A slow wandering around 0: two sines of different pace.
#[derive(Clone, Copy, Debug)]
struct Drift {
    phases: [f64; 2],
    paces: [f64; 2],
}

impl Drift {
    fn draw(draws: &mut Draws, pace: f64) -> Self {
        let mut turn = || draws.uniform() * TAU;
        let phases = [turn(), turn()];
        Drift { phases, paces: [pace * draws.between(0.7, 1.0), pace * draws.between(1.6, 2.4)] }
    }

    /// Within -1..=1, standard deviation near one half.
    fn at(&self, seconds: f64) -> f32 {
        let wave = |i: usize| (TAU * self.paces[i] * seconds + self.phases[i]).sin();
        (0.65 * wave(0) + 0.35 * wave(1)) as f32
    }
}

/// How the person of a clip moves.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    stage: Stage,
    home: (f32, f32),
    unit: f32,
    expression: Expression,
    sway: [Drift; 4],
    features: [Drift; 5],
    first_blink: f64,
    blink_every: f64,
    seconds_per_frame: f64,
}

impl Motion {
    pub fn draw(seed: u64, plan: &ClipPlan, person: &Person) -> Self {
        let mut draws = plan.draws(seed, "demo-motion");
        let mut between = |lo: f64, hi: f64| draws.between(lo, hi) as f32;
        let home = (between(-12.0, 12.0), between(-12.0, 4.0));
        let size = between(0.94, 1.06) * person.size;
        let stage = Stage { width: plan.show.size.0, height: plan.show.size.1 };
        Motion {
            stage,
            home,
            unit: HEAD * size * stage.unit(),
            expression: plan.expression,
            sway: std::array::from_fn(|_| Drift::draw(&mut draws, 0.35)),
            features: std::array::from_fn(|_| Drift::draw(&mut draws, 0.8)),
            first_blink: draws.between(0.2, 3.0),
            blink_every: draws.between(2.2, 4.0),
            seconds_per_frame: f64::from(plan.show.fps.1) / f64::from(plan.show.fps.0),
        }
    }

    /// Where the person sits.
    fn seat(&self) -> Pose {
        Pose::new(self.stage.pixel(self.home), self.unit, 0.0)
    }

    /// What the person does in a frame.
    pub fn at(&self, frame: u64) -> Moment {
        let t = frame as f64 * self.seconds_per_frame;
        let [x, y, tilt, gaze] = self.sway.map(|d| d.at(t));
        let head = (self.home.0 + 5.0 * x, self.home.1 + 3.0 * y);
        let mut features = self.features.iter();
        let expression = self
            .expression
            .map(|v| v + 0.2 * features.next().expect("one drift per feature").at(t));
        let since = (t - self.first_blink).rem_euclid(self.blink_every);
        let lids = if since < BLINK { (since / BLINK * 2.0 - 1.0).abs() as f32 } else { 1.0 };
        Moment {
            head: Pose::new(self.stage.pixel(head), self.unit, 0.09 * tilt),
            expression,
            lids,
            gaze,
        }
    }

    /// Where the face is in a frame.
    pub fn face(&self, frame: u64) -> FaceBox {
        face::face_box(&self.at(frame).head)
    }
}

/// Everything needed to draw any frame of a clip.
pub(super) struct ClipRenderer<'a> {
    plan: &'a ClipPlan,
    room: Room,
    person: Person,
    motion: Motion,
}

impl<'a> ClipRenderer<'a> {
    pub fn new(seed: u64, plan: &'a ClipPlan) -> Self {
        let person = person_of(seed, plan);
        let motion = Motion::draw(seed, plan, &person);
        let room = Room::draw(seed, plan, |wall| face::body(wall, &person, &motion.seat()));
        ClipRenderer { plan, room, person, motion }
    }

    /// The picture of a frame.
    pub fn frame(&self, number: u64) -> RgbImage {
        let mut canvas = self.room.canvas();
        face::draw(&mut canvas, &self.person, &self.motion.at(number), self.plan.key);
        self.room.cover(&mut canvas);
        canvas.image
    }
}

/// The person of a clip in the light of its show.
pub(super) fn person_of(seed: u64, plan: &ClipPlan) -> Person {
    Person::draw(seed, &plan.person, Look::draw(seed, &plan.show.id).gain)
}
