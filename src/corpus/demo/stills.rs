//! CAER-S's twin: stills of the corpus's clips, each with a split drawn for itself.
//!
//! Some six stills of every clip go to train, validation or test one by one, as the stills of
//! CAER-S do, so that nearly every test still shares its clip with a training still. As many test
//! stills again come from clips that give nothing else: the same world without the leak, so that
//! one test part shows what the leak adds.
use std::collections::BTreeMap;

use anyhow::Result;
use rayon::prelude::*;

use super::{path_of, plan::ClipPlan, renderer::ClipRenderer, DemoCorpusSettings};
use crate::{
    folder::OutputFolder,
    media::image::encode_jpeg,
    progress::Progress,
    record::{Emotion, Split},
    seed::Draws,
};

/// The generator's truth beside the stills; also what tells the folder from other people's.
pub const TRUTH: &str = "truth-stills.csv";
/// The list that `import --layout csv` reads.
const LIST: &str = "samples.csv";

/// Stills of a clip.
const PER_CLIP: u64 = 6;
/// Share of the clips of every class and split that the leaky part is drawn from, in percent.
const CLIPS: u64 = 26;
/// Share of these clips' stills that go to train, and to train or validation.
const TRAIN: f64 = 0.60;
const TRAIN_OR_VAL: f64 = 0.74;
/// JPEG quality of the stills.
const QUALITY: u8 = 92;

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StillsSummary {
    /// Clips that give stills.
    pub clips: u64,
    /// Stills in the folder.
    pub stills: u64,
    /// Test stills.
    pub test: u64,
    /// Test stills whose clip also gives train stills.
    pub leaky: u64,
    /// Bytes of the stills.
    pub bytes: u64,
}

/// One still, before it is drawn.
#[derive(Clone, Debug)]
struct StillPlan<'a> {
    clip: &'a ClipPlan,
    /// The frame of the clip.
    frame: u64,
    split: Split,
}

impl StillPlan<'_> {
    /// What its draws are keyed by.
    fn id(&self) -> String {
        format!("{}#{}", path_of(self.clip), self.frame)
    }
}

/// Draws the stills into `folder`: `{train,val,test}/<Class>/NNNN.jpg`, the list with every
/// still's clip as its group, and the truth.
///
/// # Errors
/// When the folder cannot be written.
pub(super) fn write(folder: &OutputFolder, settings: &DemoCorpusSettings) -> Result<StillsSummary> {
    let clips = settings.plans();
    let stills = plans(settings, &clips);
    let named = named(settings.seed, &stills);
    let progress = Progress::new("demo stills", "stills", stills.len() as u64);
    let mut of_clip: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, still) in stills.iter().enumerate() {
        of_clip.entry(path_of(still.clip)).or_default().push(i);
    }
    let of_clip: Vec<Vec<usize>> = of_clip.into_values().collect();
    let bytes = of_clip.par_iter().map(|members| -> Result<u64> {
        let renderer = ClipRenderer::new(settings.seed, stills[members[0]].clip);
        let mut sum = 0;
        for &i in members {
            let picture = encode_jpeg(&renderer.frame(stills[i].frame), QUALITY)?;
            folder.write(&named[i], &picture)?;
            sum += picture.len() as u64;
            progress.advance(1);
        }
        Ok(sum)
    });
    let bytes = bytes.sum::<Result<u64>>()?;
    progress.finish();
    write_lists(folder, &stills, &named)?;
    let leaky = leaky(&stills);
    Ok(StillsSummary {
        clips: of_clip.len() as u64,
        stills: stills.len() as u64,
        test: stills.iter().filter(|s| s.split == Split::Test).count() as u64,
        leaky: leaky.iter().filter(|leaky| **leaky).count() as u64,
        bytes,
    })
}

/// All stills: the leaky part in clip order, then the fresh ones.
fn plans<'a>(settings: &DemoCorpusSettings, clips: &'a [ClipPlan]) -> Vec<StillPlan<'a>> {
    let (mut own, mut outside) = (Vec::new(), Vec::new());
    for clip in clips {
        let number: u64 = clip.stem.parse().unwrap_or(u64::MAX);
        let most = (settings.clips_in(clip.split) * CLIPS + 50) / 100;
        if number <= most.max(1) {
            own.push(clip);
        } else {
            outside.push(clip);
        }
    }
    let mut stills: Vec<StillPlan<'a>> =
        own.into_iter().flat_map(|clip| scattered(settings.seed, clip)).collect();
    let tested = |emotion| {
        let of = |s: &&StillPlan| s.split == Split::Test && s.clip.emotion == emotion;
        stills.iter().filter(of).count()
    };
    let wanted: Vec<usize> = Emotion::ALL.into_iter().map(tested).collect();
    for (emotion, wanted) in Emotion::ALL.into_iter().zip(wanted) {
        stills.extend(fresh(settings.seed, &outside, emotion, wanted));
    }
    stills
}

/// A still of each of six equal parts of a clip, each with a split of its own.
fn scattered(seed: u64, clip: &ClipPlan) -> Vec<StillPlan<'_>> {
    let mut draws = clip.draws(seed, "demo-stills");
    let parts = PER_CLIP.min(clip.frames);
    let still = |part: u64| {
        let (from, to) = (part * clip.frames / parts, (part + 1) * clip.frames / parts);
        let frame = from + draws.below(to - from);
        let split = match draws.uniform() {
            place if place < TRAIN => Split::Train,
            place if place < TRAIN_OR_VAL => Split::Val,
            _ => Split::Test,
        };
        StillPlan { clip, frame, split }
    };
    (0..parts).map(still).collect()
}

/// A test still of each of `wanted` clips of a class, drawn among those that give nothing else.
fn fresh<'a>(
    seed: u64,
    outside: &[&'a ClipPlan],
    emotion: Emotion,
    wanted: usize,
) -> Vec<StillPlan<'a>> {
    let mut drawn: Vec<(u64, &ClipPlan, u64)> = outside
        .iter()
        .filter(|clip| clip.emotion == emotion)
        .map(|clip| {
            let mut draws = clip.draws(seed, "demo-fresh-stills");
            (draws.bits(), *clip, draws.below(clip.frames))
        })
        .collect();
    drawn.sort_by_key(|(order, clip, _)| (*order, path_of(clip)));
    let still = |(_, clip, frame)| StillPlan { clip, frame, split: Split::Test };
    drawn.into_iter().take(wanted).map(still).collect()
}

/// Where every still lies: numbered within its split and class in an order that says nothing.
fn named(seed: u64, stills: &[StillPlan]) -> Vec<String> {
    let mut folders: BTreeMap<(Split, Emotion), Vec<(u64, usize)>> = BTreeMap::new();
    for (i, still) in stills.iter().enumerate() {
        let order = Draws::new(seed, "demo-still-names", &still.id()).bits();
        folders.entry((still.split, still.clip.emotion)).or_default().push((order, i));
    }
    let mut names = vec![String::new(); stills.len()];
    for ((split, emotion), members) in &mut folders {
        members.sort_unstable();
        for (number, (_, i)) in (1..).zip(members) {
            names[*i] = format!("{split}/{emotion}/{number:04}.jpg");
        }
    }
    names
}

/// Whether each still is a test still whose clip gives train stills.
fn leaky(stills: &[StillPlan]) -> Vec<bool> {
    let of_train = stills.iter().filter(|s| s.split == Split::Train);
    let known: std::collections::BTreeSet<String> = of_train.map(|s| path_of(s.clip)).collect();
    let is_leaky = |s: &StillPlan| s.split == Split::Test && known.contains(&path_of(s.clip));
    stills.iter().map(is_leaky).collect()
}

fn write_lists(folder: &OutputFolder, stills: &[StillPlan], named: &[String]) -> Result<()> {
    let mut order: Vec<usize> = (0..stills.len()).collect();
    order.sort_by_key(|&i| &named[i]);
    let leaky = leaky(stills);
    folder.write_with(LIST, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(["path", "label", "split", "group"])?;
        for &i in &order {
            let (still, group) = (&stills[i], path_of(stills[i].clip));
            table.write_record([
                &named[i],
                still.clip.emotion.name(),
                still.split.name(),
                &group,
            ])?;
        }
        Ok(table.flush()?)
    })?;
    folder.write_with(TRUTH, |file| {
        let mut table = csv::Writer::from_writer(file);
        table.write_record(["path", "clip", "frame", "clip_in_train"])?;
        for &i in &order {
            let still = &stills[i];
            let (clip, frame) = (path_of(still.clip), still.frame.to_string());
            table.write_record([&named[i], &clip, &frame, &leaky[i].to_string()])?;
        }
        Ok(table.flush()?)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SETTINGS: DemoCorpusSettings = DemoCorpusSettings { seed: 1, clips_per_class: 50 };

    #[test]
    fn half_of_the_test_part_leaks_and_the_other_half_gives_nothing_else() {
        let clips = SETTINGS.plans();
        let stills = plans(&SETTINGS, &clips);
        let own: BTreeSet<String> = stills[..154 * 6].iter().map(|s| path_of(s.clip)).collect();
        assert_eq!(own.len(), 154, "13 + 3 + 6 clips of each of seven classes");
        let count = |split| stills.iter().filter(|s| s.split == split).count();
        let (leaky, test) = (leaky(&stills).iter().filter(|l| **l).count(), count(Split::Test));
        assert!((500..610).contains(&count(Split::Train)), "{}", count(Split::Train));
        assert!((400..560).contains(&test) && (100..160).contains(&count(Split::Val)), "{test}");
        let share = leaky as f64 / test as f64;
        assert!((0.46..=0.50).contains(&share), "{share}");
        for emotion in Emotion::ALL {
            let of = |fresh: bool| {
                let class = stills
                    .iter()
                    .enumerate()
                    .filter(|(_, s)| s.split == Split::Test && s.clip.emotion == emotion);
                class.filter(|(i, _)| (*i >= 154 * 6) == fresh).count()
            };
            assert_eq!(of(true), of(false), "{emotion}");
        }
        let fresh: Vec<String> = stills[154 * 6..].iter().map(|s| path_of(s.clip)).collect();
        assert!(fresh.iter().all(|clip| !own.contains(clip)));
        assert_eq!(fresh.iter().collect::<BTreeSet<_>>().len(), fresh.len(), "one still each");
    }

    #[test]
    fn every_still_has_its_own_file_and_frame() {
        let clips = SETTINGS.plans();
        let stills = plans(&SETTINGS, &clips);
        let names: BTreeSet<String> = named(1, &stills).into_iter().collect();
        let ids: BTreeSet<String> = stills.iter().map(StillPlan::id).collect();
        assert_eq!((names.len(), ids.len()), (stills.len(), stills.len()));
        assert!(stills.iter().all(|s| s.frame < s.clip.frames));
    }

    #[test]
    fn the_smallest_corpus_has_every_class_in_train_and_test() {
        let settings = DemoCorpusSettings { seed: 2, clips_per_class: 1 };
        let clips = settings.plans();
        let stills = plans(&settings, &clips);
        for split in [Split::Train, Split::Test] {
            let classes: BTreeSet<Emotion> =
                stills.iter().filter(|s| s.split == split).map(|s| s.clip.emotion).collect();
            assert_eq!(classes.len(), 7, "{split}");
        }
    }
}
