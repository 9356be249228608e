//! A validation part out of training, for corpora that come with train and test only.
//!
//! Whole groups, class by class, in seeded order, so that no video is torn apart and adding a class
//! changes no other. The test part takes no part in it.
use std::collections::BTreeMap;

use anyhow::{ensure, Context, Result};

use super::{class_of, Unsplit};
use crate::{record::Emotion, seed::Draws};

/// Most of training that may become validation, in percent.
const MOST: u8 = 50;

/// The share of training that becomes validation, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ValShare(u8);

impl ValShare {
    /// What is taken where nobody says otherwise: a tenth.
    pub const DEFAULT: ValShare = ValShare(10);

    /// In percent, 0..=50.
    pub fn percent(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for ValShare {
    type Error = anyhow::Error;

    fn try_from(percent: u8) -> Result<Self> {
        ensure!(percent <= MOST, "validation share {percent} % is not in 0..={MOST}");
        Ok(ValShare(percent))
    }
}

impl From<ValShare> for u8 {
    fn from(share: ValShare) -> u8 {
        share.0
    }
}

impl std::str::FromStr for ValShare {
    type Err = anyhow::Error;

    /// A whole number of percent, `10`.
    fn from_str(text: &str) -> Result<Self> {
        let percent = text.trim_end_matches('%').trim().parse::<u8>();
        let percent = percent.ok().with_context(|| {
            format!("validation share `{text}` is not a whole number of percent in 0..={MOST}")
        })?;
        ValShare::try_from(percent)
    }
}

/// The clips of training that become validation, by position, ascending.
///
/// Every class gives as near to its share as whole groups allow, and at least one group where it
/// has two or more; a group belongs to its commonest class. No class gives its last group.
pub fn holdout(train: &[Unsplit<'_>], share: ValShare, seed: u64) -> Vec<usize> {
    if share.percent() == 0 {
        return Vec::new();
    }
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, clip) in train.iter().enumerate() {
        groups.entry(clip.group_id).or_default().push(i);
    }
    let mut classes: BTreeMap<Emotion, Vec<(u64, &str, usize)>> = BTreeMap::new();
    for (id, members) in &groups {
        let order = Draws::new(seed, "validation", id).bits();
        classes.entry(class_of(train, members)).or_default().push((order, id, members.len()));
    }
    let mut held: Vec<usize> = Vec::new();
    for queue in classes.values_mut() {
        queue.sort_unstable();
        let sizes: Vec<usize> = queue.iter().map(|(_, _, size)| *size).collect();
        held.extend(taken(&sizes, share).into_iter().flat_map(|k| &groups[queue[k].1]));
    }
    held.sort_unstable();
    held
}

/// Which of one class's groups, of these sizes in drawn order, are taken.
fn taken(sizes: &[usize], share: ValShare) -> Vec<usize> {
    if sizes.len() < 2 {
        return Vec::new();
    }
    let total: usize = sizes.iter().sum();
    let target = ((total * usize::from(share.percent()) + 50) / 100).max(1);
    let (mut chosen, mut sum) = (Vec::new(), 0);
    for (k, &size) in sizes.iter().enumerate() {
        if sum + size <= target && chosen.len() + 1 < sizes.len() {
            chosen.push(k);
            sum += size;
        }
    }
    // One more where that comes nearer to the target than staying below it, or where nothing
    // fits: the smallest, of equal ones the first drawn.
    let rest = (0..sizes.len()).filter(|k| !chosen.contains(k));
    let smallest = rest.min_by_key(|&k| sizes[k]);
    if let Some(k) = smallest.filter(|_| chosen.len() + 1 < sizes.len()) {
        let nearer = (sum + sizes[k]).abs_diff(target) < target - sum;
        if nearer || chosen.is_empty() {
            chosen.push(k);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(percent: u8) -> ValShare {
        ValShare::try_from(percent).expect("allowed")
    }

    fn clips(spec: &[(&'static str, Emotion, usize)]) -> Vec<Unsplit<'static>> {
        let one =
            |&(group_id, emotion, n): &_| std::iter::repeat_n(Unsplit { group_id, emotion }, n);
        spec.iter().flat_map(one).collect()
    }

    #[test]
    fn a_group_that_meets_the_target_exactly_is_taken_alone() {
        // A third of fifteen; one more group would be too much, and none fits better.
        assert_eq!(taken(&[5, 1, 9], share(33)), [0]);
        // The last group of a class is never taken.
        assert_eq!(taken(&[1, 1], share(50)), [0]);
    }

    #[test]
    fn shares_are_whole_percents_up_to_half() {
        assert_eq!("10".parse::<ValShare>().expect("reads"), ValShare::DEFAULT);
        assert_eq!("0".parse::<ValShare>().expect("reads").percent(), 0);
        for wrong in ["51", "-1", "ten", "1.5", ""] {
            assert!(wrong.parse::<ValShare>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_class_gives_its_share_in_whole_groups_and_never_its_last() {
        // 20 single stills and one run of 20: a tenth of 40 is four single ones.
        assert_eq!(taken(&[[20].as_slice(), &[1; 20]].concat(), share(10)), [1, 2, 3, 4]);
        // Two runs: the smaller goes, whatever the share.
        assert_eq!(taken(&[7, 5], share(10)), [1]);
        assert_eq!(taken(&[3], share(10)), [0usize; 0]);
        assert_eq!(taken(&[1, 1], share(50)), [0]);
        // The target is 10: 9 fits, 13 is nearer than 5, and 25 is not.
        assert_eq!(taken(&[5, 91, 4], share(10)), [0, 2]);
        assert_eq!(taken(&[5, 87, 8], share(10)), [0, 2]);
        assert_eq!(taken(&[5, 75, 20], share(10)), [0]);
    }

    #[test]
    fn zero_takes_nothing_and_seeds_differ() {
        let many: Vec<String> = (0..50).map(|i| format!("train/Fear/{i:04}")).collect();
        let all: Vec<_> =
            many.iter().map(|id| Unsplit { group_id: id, emotion: Emotion::Fear }).collect();
        assert!(holdout(&all, share(0), 1).is_empty());
        let drawn = |seed| holdout(&all, share(20), seed);
        assert_eq!((drawn(1).len(), drawn(1)), (10, drawn(1)));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn another_class_changes_nothing() {
        let fear = [("a", Emotion::Fear, 3), ("b", Emotion::Fear, 4), ("c", Emotion::Fear, 2)];
        let both = [fear.as_slice(), &[("d", Emotion::Sad, 2), ("e", Emotion::Sad, 9)]].concat();
        let (few, more) = (clips(&fear), clips(&both));
        let of_fear: Vec<usize> =
            holdout(&more, share(30), 5).into_iter().filter(|&i| i < few.len()).collect();
        assert_eq!(of_fear, holdout(&few, share(30), 5));
    }

    proptest! {
        #[test]
        fn groups_stay_whole_and_every_class_keeps_training(
            sizes in prop::collection::vec((1usize..30, 0u8..7), 2..60),
            percent in 1u8..=50,
            seed in 0u64..20,
        ) {
            let ids: Vec<String> = (0..sizes.len()).map(|i| format!("g{i}")).collect();
            let all: Vec<Unsplit<'_>> = sizes
                .iter()
                .zip(&ids)
                .flat_map(|(&(n, label), group_id)| {
                    let emotion = Emotion::from_label(label).expect("a label");
                    std::iter::repeat_n(Unsplit { group_id, emotion }, n)
                })
                .collect();
            let held = holdout(&all, share(percent), seed);
            let inside = |i: usize| held.binary_search(&i).is_ok();
            for (i, j) in (1..all.len()).map(|j| (j - 1, j)) {
                if all[i].group_id == all[j].group_id {
                    prop_assert_eq!(inside(i), inside(j), "a group is torn");
                }
            }
            for emotion in Emotion::ALL {
                let of: Vec<usize> = (0..all.len()).filter(|&i| all[i].emotion == emotion).collect();
                let groups: std::collections::BTreeSet<_> =
                    of.iter().map(|&i| all[i].group_id).collect();
                let taken = of.iter().filter(|&&i| inside(i)).count();
                prop_assert_eq!(groups.len() > 1, taken > 0);
                prop_assert!(of.is_empty() || taken < of.len(), "nothing is left to train on");
            }
        }
    }
}
