//! The part of a picture that shows something: bars, black, white or blurred, cut away.
//!
//! Letterboxing and pillarboxing put bars of one level beside the picture; films for upright
//! screens fill them with the picture itself, enlarged and blurred. Both are smoother than what
//! they frame: a line belongs to a bar as long as it is flat, or as long as neighbouring pixels
//! along it differ much less than inside and a sharp edge ends the bar.
use super::plane::{Area, Plane};

/// Share of a side that all bars together may take.
const MOST: f64 = 0.7;
/// Least share of a side that a bar takes; less is no bar but the picture's edge.
const LEAST: f64 = 0.015;
/// Levels by which the pixels of a flat line may differ from its median, at most this share of
/// them excepted.
const FLAT: u8 = 10;
const ODD: f64 = 0.01;
/// Lines of one bar have one level, within this many.
const SAME: i32 = 8;
/// Mean step between neighbouring pixels along a line of a blurred bar, in levels, at most.
const BLURRED: f64 = 1.3;
/// Times that the steps inside must be larger than those of the bar.
const SHARPER: f64 = 2.5;
/// Mean step across the edge of a blurred bar, in levels, at least.
const EDGE: f64 = 6.0;

/// Bars within bars that are cut away: a plain wall at the edge of a picture is one, and must be
/// one in its letterboxed copy too.
const LAYERS: usize = 3;

/// What remains of the picture when bars at its sides are cut away, and bars within those: the whole
/// where there are none, or where nothing else would be left.
pub fn content(picture: &Plane) -> Area {
    let mut area = inside_bars(picture);
    for _ in 1..LAYERS {
        if area == picture.area() {
            break;
        }
        let inner = inside_bars(&picture.cut(area));
        let left = |inner: usize, side: usize| inner as f64 >= (1.0 - MOST) * side as f64;
        if !left(inner.width, picture.width) || !left(inner.height, picture.height) {
            break;
        }
        let next = Area { x: area.x + inner.x, y: area.y + inner.y, ..inner };
        if next == area {
            break;
        }
        area = next;
    }
    area
}

/// Bars of one level are cut away first, and only a picture without any is looked at for blurred ones: a
/// black bar across makes all columns look smoother than those of the picture that it frames.
fn inside_bars(picture: &Plane) -> Area {
    let area = without(picture, picture.area(), [flat_bars; 2]);
    if area == picture.area() {
        without(picture, area, [blurred_bars; 2])
    } else {
        area
    }
}

/// How many lines of bars there are in front and behind.
type Bars = fn(&Lines) -> (usize, usize);

/// What is left without the bars above and below, and of that without those at its sides.
fn without(picture: &Plane, whole: Area, [rows, columns]: [Bars; 2]) -> Area {
    let fits = |(a, b): (usize, usize), side: usize| {
        if (a + b) as f64 <= MOST * side as f64 {
            (a, b)
        } else {
            (0, 0)
        }
    };
    let (top, bottom) = fits(rows(&Lines { picture, upright: false }), picture.height);
    let area = Area { y: top, height: whole.height - top - bottom, ..whole };
    let cut;
    let picture = if area == whole {
        picture
    } else {
        cut = picture.cut(area);
        &cut
    };
    let (left, right) = fits(columns(&Lines { picture, upright: true }), picture.width);
    Area { x: left, width: whole.width - left - right, ..area }
}

/// A picture's rows, or its columns.
struct Lines<'a> {
    picture: &'a Plane,
    upright: bool,
}

impl Lines<'_> {
    fn count(&self) -> usize {
        if self.upright {
            self.picture.width
        } else {
            self.picture.height
        }
    }

    fn levels(&self, at: usize) -> Vec<u8> {
        if self.upright {
            self.picture.pixels[at..].iter().step_by(self.picture.width).copied().collect()
        } else {
            self.picture.row(at).to_vec()
        }
    }

    fn line(&self, at: usize) -> Line {
        Line::of(&self.levels(at))
    }

    /// Mean step between neighbouring pixels along a line.
    fn step(&self, at: usize) -> f64 {
        let levels = self.levels(at);
        let sum = levels.windows(2).map(|w| u64::from(w[0].abs_diff(w[1]))).sum();
        mean_step(sum, levels.len())
    }

    /// The same of all lines.
    fn steps(&self) -> Vec<f64> {
        let Plane { width, height, ref pixels } = *self.picture;
        if !self.upright {
            return (0..height).map(|at| self.step(at)).collect();
        }
        // Row by row, as columns lie far apart.
        let mut sums = vec![0u32; width];
        for (above, below) in pixels.chunks_exact(width).zip(pixels.chunks_exact(width).skip(1)) {
            let both = above.iter().zip(below);
            sums.iter_mut().zip(both).for_each(|(s, (a, b))| *s += u32::from(a.abs_diff(*b)));
        }
        sums.into_iter().map(|sum| mean_step(u64::from(sum), height)).collect()
    }

    /// Mean step from the line before to this one.
    fn edge(&self, at: usize) -> f64 {
        let (before, own) = (self.levels(at - 1), self.levels(at));
        let steps = before.iter().zip(&own).map(|(a, b)| f64::from(a.abs_diff(*b)));
        steps.sum::<f64>() / own.len() as f64
    }
}

/// Lines of one level in front and behind; most pictures have none, and then few lines are looked at.
fn flat_bars(lines: &Lines) -> (usize, usize) {
    let n = lines.count();
    let (front, back) =
        (flat((0..n).map(|i| lines.line(i))), flat((0..n).rev().map(|i| lines.line(i))));
    if front + back >= n {
        return (0, 0);
    }
    enough((front, back), n)
}

/// The same of a blur of what lies between them.
fn blurred_bars(lines: &Lines) -> (usize, usize) {
    enough(blurred(lines), lines.count())
}

/// Bars that are no mere edge of a picture whose side has `n` lines.
fn enough((front, back): (usize, usize), n: usize) -> (usize, usize) {
    let bar = |lines: usize| if lines as f64 >= LEAST * n as f64 { lines } else { 0 };
    (bar(front), bar(back))
}

/// The mean of the steps along `n` pixels.
fn mean_step(sum: u64, n: usize) -> f64 {
    sum as f64 / n.saturating_sub(1).max(1) as f64
}

/// What is known of a line.
struct Line {
    level: u8,
    flat: bool,
}

impl Line {
    fn of(row: &[u8]) -> Self {
        let mut sorted: Vec<u8> = row.iter().step_by(row.len().div_ceil(256)).copied().collect();
        let middle = sorted.len() / 2;
        let level = *sorted.select_nth_unstable(middle).1;
        let odd = row.iter().filter(|l| l.abs_diff(level) > FLAT).count();
        Line { level, flat: odd as f64 <= ODD * row.len() as f64 }
    }
}

/// Lines in front that are flat and of one level.
fn flat(lines: impl Iterator<Item = Line>) -> usize {
    let mut first = None;
    let same = |line: &Line| {
        let level = i32::from(line.level);
        line.flat && (level - *first.get_or_insert(level)).abs() <= SAME
    };
    lines.take_while(same).count()
}

/// Lines in front and behind that are a blur of the picture between them: both have to be there.
fn blurred(lines: &Lines) -> (usize, usize) {
    let n = lines.count();
    // Most pictures have no bars, and then two lines are looked at.
    if lines.step(0) > BLURRED || lines.step(n - 1) > BLURRED {
        return (0, 0);
    }
    let steps = lines.steps();
    let front = steps.iter().take_while(|step| **step <= BLURRED).count();
    let back = steps.iter().rev().take_while(|step| **step <= BLURRED).count();
    if front == n {
        return (0, 0);
    }
    let mean = |range: std::ops::Range<usize>| {
        let count = range.len() as f64;
        steps[range].iter().sum::<f64>() / count
    };
    let inside = mean(front..n - back);
    let outside = mean(0..front).max(mean(n - back..n));
    // An edge may lie one line off where codecs have smeared it.
    let edge = |at: usize| {
        let near = at.saturating_sub(1).max(1)..=(at + 1).min(n - 1);
        near.map(|at| lines.edge(at)).fold(0.0, f64::max)
    };
    if inside >= SHARPER * outside && edge(front) >= EDGE && edge(n - back) >= EDGE {
        (front, back)
    } else {
        (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Draws;

    /// Noise in a frame of a level.
    fn framed(level: u8, area: Area, (width, height): (usize, usize)) -> Plane {
        let mut draws = Draws::new(1, "borders", "");
        let mut pixels = vec![level; width * height];
        for y in area.y..area.y + area.height {
            for x in area.x..area.x + area.width {
                pixels[y * width + x] = draws.below(256) as u8;
            }
        }
        Plane { width, height, pixels }
    }

    #[test]
    fn bars_of_one_level_are_cut_and_a_whole_picture_is_not() {
        for level in [0, 16, 235, 255] {
            let inside = Area { x: 0, y: 30, width: 200, height: 60 };
            assert_eq!(content(&framed(level, inside, (200, 120))), inside);
            let inside = Area { x: 25, y: 12, width: 150, height: 96 };
            assert_eq!(content(&framed(level, inside, (200, 120))), inside);
        }
        let whole = Area { x: 0, y: 0, width: 200, height: 120 };
        assert_eq!(content(&framed(0, whole, (200, 120))), whole);
        let black = Plane { width: 20, height: 10, pixels: vec![16; 200] };
        assert_eq!(content(&black), black.area());
        // A speck on black is a picture of a speck, not bars around one.
        let speck = Area { x: 98, y: 58, width: 4, height: 4 };
        assert_eq!(content(&framed(0, speck, (200, 120))), whole);
    }

    #[test]
    fn bars_around_a_plain_edge_are_cut_with_it() {
        let inside = Area { x: 20, y: 40, width: 160, height: 40 };
        let mut picture = framed(110, inside, (200, 120));
        for (i, level) in picture.pixels.iter_mut().enumerate() {
            if !(20..100).contains(&(i / 200)) {
                *level = 0;
            }
        }
        assert_eq!(content(&picture), inside);
    }

    /// Columns at both sides that are nearly as smooth as a blur, and with black bars above and below
    /// them on average smoother still.
    #[test]
    fn black_bars_do_not_make_the_edges_of_a_picture_look_blurred() {
        let (width, height) = (240, 120);
        let level = |x: usize, y: usize| {
            if (30..210).contains(&x) {
                90 + 4 * ((x * 7919 + y * 104_729) % 31) as u8
            } else {
                20 + (3 * y.min(height - 1 - y) / 2) as u8
            }
        };
        let pixels = (0..width * height).map(|i| level(i % width, i / width)).collect();
        let picture = Plane { width, height, pixels };
        assert_eq!(content(&picture), picture.area());
        let mut boxed = vec![0; width * 60];
        boxed.extend(&picture.pixels);
        boxed.extend(vec![0; width * 60]);
        let boxed = Plane { width, height: height + 120, pixels: boxed };
        assert_eq!(content(&boxed), Area { x: 0, y: 60, width, height });
    }

    #[test]
    fn a_blurred_frame_is_cut() {
        let inside = Area { x: 50, y: 0, width: 100, height: 120 };
        let mut picture = framed(0, inside, (200, 120));
        for (i, level) in picture.pixels.iter_mut().enumerate() {
            let x = i % 200;
            if !(50..150).contains(&x) {
                *level = (120.0 + 60.0 * ((x + i / 200) as f64 / 60.0).sin()) as u8;
            }
        }
        assert_eq!(content(&picture), inside);
    }
}
