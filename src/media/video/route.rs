//! Which packets the wanted frames need.
//!
//! Only for clips of which every packet is certain to give one frame in an order that is known
//! beforehand ([`super::mpeg4`], [`super::h264`]). What no wanted frame is predicted from is finished
//! coarsely or left out; behind a stretch that is left out the decoder begins anew, at a picture that
//! needs nothing before it.
//!
//! What it is good for: 24 MPEG-4 clips take 24 CPU ms each under `--fast` and 37 without the route. FFmpeg's
//! own `skip_frame` flags leave out nearly as much (25 ms), but not even B pictures may be left out before
//! the headers say which frame is the n-th then (docs/measurements/engine.md).
use super::{
    h264,
    mpeg4::{Picture, PictureType},
};

/// What to do with each packet, by arrival.
#[derive(Default)]
pub(super) struct Route {
    /// Arrival numbers in the order in which frames come out.
    order: Vec<usize>,
    /// Whether a wanted frame is predicted from it, or is it.
    needed: Vec<bool>,
    /// Whether it is needed and the picture before it that others are predicted from is not.
    fresh: Vec<bool>,
    /// Whether any picture is predicted from both sides.
    pub b_frames: bool,
    /// Frames that a decoder has to hold back for this order; 0 where it always has it.
    pub held_back: usize,
}

impl Route {
    /// `wanted` are indexes of frames in any order; those beyond the end are passed over.
    pub(super) fn new(pictures: &[Picture], wanted: impl Iterator<Item = u64>) -> Self {
        let b = |picture: &Picture| picture.kind == PictureType::B;
        let disposable: Vec<bool> = pictures.iter().map(b).collect();
        let b_frames = pictures.iter().any(b);
        let route = Route { order: display_order(pictures), b_frames, ..Route::default() };
        route.to(wanted, &sources(pictures), &disposable)
    }

    /// The same of H.264. Which pictures a picture is predicted from is not read: any before it from the
    /// last IDR on that others are predicted from.
    pub(super) fn of_h264(clip: h264::Pictures, wanted: impl Iterator<Item = u64>) -> Self {
        let mut last = None;
        let source = |(arrival, picture): (usize, &h264::Picture)| {
            let before = last.filter(|_| !picture.entry);
            if !picture.disposable {
                last = Some(arrival);
            }
            [before, None]
        };
        let sources: Vec<_> = clip.arrived.iter().enumerate().map(source).collect();
        let disposable: Vec<bool> = clip.arrived.iter().map(|p| p.disposable).collect();
        let b_frames = clip.arrived.iter().any(|p| p.is_b);
        let (order, held_back) = (clip.order, clip.held_back);
        let route = Route { order, b_frames, held_back, ..Route::default() };
        route.to(wanted, &sources, &disposable)
    }

    fn to(
        mut self,
        wanted: impl Iterator<Item = u64>,
        sources: &[[Option<usize>; 2]],
        disposable: &[bool],
    ) -> Self {
        let order = &self.order;
        let mut needed = vec![false; order.len()];
        wanted
            .filter_map(|index| order.get(usize::try_from(index).ok()?))
            .for_each(|&arrival| needed[arrival] = true);
        // A picture is predicted from earlier arrivals only.
        for (arrival, sources) in sources.iter().enumerate().rev() {
            if needed[arrival] {
                sources.iter().flatten().for_each(|&source| needed[source] = true);
            }
        }
        let mut fresh = vec![false; needed.len()];
        let mut before = None;
        for arrival in (0..needed.len()).filter(|&a| !disposable[a]) {
            fresh[arrival] = needed[arrival] && before.is_some_and(|b: usize| !needed[b]);
            before = Some(arrival);
        }
        (self.needed, self.fresh) = (needed, fresh);
        self
    }

    pub(super) fn needs(&self, arrival: usize) -> bool {
        self.needed.get(arrival).is_none_or(|&needed| needed)
    }

    pub(super) fn begins_anew(&self, arrival: usize) -> bool {
        self.fresh.get(arrival).is_some_and(|&fresh| fresh)
    }

    /// Index and arrival of the frames that come out, all or only the needed ones.
    pub(super) fn frames(&self, needed_only: bool) -> Vec<(u64, i64)> {
        let all = self.order.iter().enumerate();
        all.filter(|(_, &arrival)| !needed_only || self.needed[arrival])
            .map(|(index, &arrival)| (index as u64, arrival as i64))
            .collect()
    }
}

/// A B picture comes out at once, any other when the next of its kind arrives.
fn display_order(pictures: &[Picture]) -> Vec<usize> {
    let mut order = Vec::with_capacity(pictures.len());
    let mut held = None;
    for (arrival, picture) in pictures.iter().enumerate() {
        let at_once = picture.kind == PictureType::B;
        order.extend(if at_once { Some(arrival) } else { held.replace(arrival) });
    }
    order.extend(held);
    order
}

/// What each picture is predicted from; an I picture at which no decoder can begin counts as
/// predicted from the one before.
fn sources(pictures: &[Picture]) -> Vec<[Option<usize>; 2]> {
    let (mut last, mut before) = (None, None);
    let source = |(arrival, picture): (usize, &Picture)| match picture.kind {
        PictureType::B => [last, before],
        _ => {
            before = last.replace(arrival);
            [before.filter(|_| !picture.entry), None]
        }
    };
    pictures.iter().enumerate().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `I` an entry, `i` an I picture that is none.
    fn clip(kinds: &str) -> Vec<Picture> {
        let picture = |letter| match letter {
            'I' => Picture { kind: PictureType::I, entry: true },
            'i' => Picture { kind: PictureType::I, entry: false },
            'P' => Picture { kind: PictureType::P, entry: false },
            _ => Picture { kind: PictureType::B, entry: false },
        };
        kinds.chars().map(picture).collect()
    }

    /// `x` needed, `X` needed and begun anew at, `.` neither.
    fn marks(kinds: &str, wanted: &[u64]) -> String {
        let pictures = clip(kinds);
        let route = Route::new(&pictures, wanted.iter().copied());
        let mark = |a| match (route.needs(a), route.begins_anew(a)) {
            (true, true) => 'X',
            (needed, _) => {
                if needed {
                    'x'
                } else {
                    '.'
                }
            }
        };
        (0..pictures.len()).map(mark).collect()
    }

    /// I0 P3 B1 B2 P6 B4 B5 as they arrive come out in the order of their numbers.
    #[test]
    fn the_order_of_arrival_foretells_the_order_of_display() {
        let pictures = clip("IPBBPBB");
        assert_eq!(display_order(&pictures), [0, 2, 3, 1, 5, 6, 4]);
        assert!(display_order(&[]).is_empty());
        let route = Route::new(&pictures, [4].into_iter());
        assert_eq!(route.frames(true), [(0, 0), (3, 1), (4, 5), (6, 4)]);
        assert_eq!(route.frames(false).len(), 7);
        assert!(route.b_frames && !Route::new(&clip("IP"), [].into_iter()).b_frames);
    }

    #[test]
    fn only_what_a_wanted_frame_is_predicted_from_is_needed() {
        assert_eq!(marks("IPPPIPP", &[1]), "xx.....");
        assert_eq!(marks("IPPPIPP", &[5]), "....Xx.");
        assert_eq!(marks("IPPPIPP", &[1, 5]), "xx..Xx.");
        assert_eq!(marks("IPPPIPP", &[3, 5]), "xxxxxx.", "nothing is left out");
        assert_eq!(marks("IPPPiPP", &[5]), "xxxxxx.", "nobody can begin there");
        assert_eq!(marks("IPPPIPP", &[]), ".......");
        assert_eq!(marks("IPPP", &[9, 0]), "x...");
    }

    /// In I0 P3 B1 B2 I6 B4 B5 P7 the frames 4 and 5 are predicted from P3 and I6.
    #[test]
    fn pictures_behind_an_open_group_need_what_is_before_it() {
        assert_eq!(marks("IPBBIBBP", &[7]), "....X..x");
        assert_eq!(marks("IPBBIBBP", &[6]), "....X...");
        assert_eq!(marks("IPBBIBBP", &[4]), "xx..xx..");
        assert_eq!(marks("IPBBIBBP", &[5, 7]), "xx..x.xx");
    }
}
