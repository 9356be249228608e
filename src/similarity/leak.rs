//! How much of one part of a data set has its like in another.
use crate::record::Emotion;

/// Partners that are told of one picture or clip, nearest first; all are counted.
pub const PARTNERS: usize = 5;

/// What came of looking up every member of a part, still or clip, in another.
#[derive(Clone, Debug, PartialEq)]
pub struct Leak<NearDuplicate> {
    /// Pairs in all.
    pub pairs: usize,
    /// Every member of the part that was looked up, in order of position.
    pub verdicts: Vec<MemberVerdict<NearDuplicate>>,
    /// Random pairs of the two parts that count as near: (near, tried).
    pub chance: (usize, usize),
}

/// What was found about one member.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberVerdict<NearDuplicate> {
    /// Its position.
    pub member: usize,
    /// Its class.
    pub emotion: Emotion,
    /// The [`PARTNERS`] nearest of its near-duplicates, nearest first.
    pub near_duplicates: Vec<NearDuplicate>,
    /// Whether its video is also in the other part.
    pub same_video: bool,
}

/// A share in whole numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Members.
    pub of: usize,
    /// Those with a near-duplicate in the other part.
    pub near: usize,
    /// Those whose video is also in the other part.
    pub same_video: usize,
}

impl<NearDuplicate> Leak<NearDuplicate> {
    /// The counts of one class, or of all together.
    pub fn count(&self, class: Option<Emotion>) -> Count {
        let mut count = Count::default();
        for verdict in self.verdicts.iter().filter(|v| class.is_none_or(|c| c == v.emotion)) {
            count.of += 1;
            count.near += usize::from(!verdict.near_duplicates.is_empty());
            count.same_video += usize::from(verdict.same_video);
        }
        count
    }
}
