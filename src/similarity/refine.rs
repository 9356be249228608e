//! The transform between two pictures made exact on their cells, by small affine steps (Lucas and
//! Kanade, 1981).
//!
//! First on all cells with one brightness and contrast; then window by window with its own, on those
//! windows alone that already agree, so that what is put on top and what a gamma bends pull nothing
//! aside. What then lies beside its place has moved.
use super::{
    cells::{Cells, Laid, SIDE},
    registration::Affine,
    windows::{blocks_of, cells_of, windows, Fit, Window, BLOCK, BLOCKS},
};

/// Steps on all cells at most, and window by window.
const REFINEMENTS: usize = 10;
const LOCAL_REFINEMENTS: usize = 4;
/// What a step must have gained for another.
const LEAST_GAIN: f64 = 0.98;
/// Correlation of a window from which on it leads the rest.
const LEADS: f64 = 0.9;
/// Lack of correlation that one window counts at most.
const MOST_LACK: f64 = 0.1;
/// Mean lack of correlation from which on pictures are others, so that no more steps are tried.
const HOPELESS: f64 = 0.08;

/// The map from cells of the coarser picture (`own`, blurred) to those of the finer, refined, and the
/// finer picture laid by it; `None` when they are other pictures.
pub fn refined(own: &[f32], fine: &Cells, map: Affine) -> Option<(Affine, Laid)> {
    let laid = Laid::new(fine, &map);
    let error = |laid: &Laid| laid.error(own);
    let whole = descended((map, laid), fine, REFINEMENTS, error, |laid| refinement(own, laid));
    if lack(own, &whole.1) > HOPELESS {
        return None;
    }
    let error = |laid: &Laid| lack(own, laid);
    Some(descended(whole, fine, LOCAL_REFINEMENTS, error, |laid| local_refinement(own, laid)))
}

/// Steps as long as they lessen the error.
fn descended(
    (mut map, mut laid): (Affine, Laid),
    fine: &Cells,
    most: usize,
    error: impl Fn(&Laid) -> f64,
    step: impl Fn(&Laid) -> Option<Affine>,
) -> (Affine, Laid) {
    let mut before = error(&laid);
    for _ in 0..most {
        let Some(step) = step(&laid) else { break };
        let next = map.after(&step);
        let better = Laid::new(fine, &next);
        let after = error(&better);
        if after >= before {
            break;
        }
        let enough = after > LEAST_GAIN * before;
        (map, laid, before) = (next, better, after);
        if enough {
            break;
        }
    }
    (map, laid)
}

/// Mean lack of correlation of the windows that tell.
fn lack(own: &[f32], laid: &Laid) -> f64 {
    let windows = windows(own, laid);
    let fits = windows.iter().flatten().filter_map(Window::fit);
    let (n, sum) =
        fits.fold((0.0, 0.0), |(n, sum), fit| (n + 1.0, sum + (1.0 - fit.alike).min(MOST_LACK)));
    if n < 8.0 {
        return f64::INFINITY;
    }
    sum / n
}

/// What the windows that lead say of the cells of a block, summed.
#[derive(Clone, Copy, Default)]
struct Leading {
    windows: f64,
    /// Sums of what a level of the first picture is divided by, inverted, and of what is then added.
    gain: f64,
    offset: f64,
}

/// The step that the windows want that already agree, each with its own brightness and contrast.
fn local_refinement(own: &[f32], laid: &Laid) -> Option<Affine> {
    // Windows overlap; every cell is gone through once for all in which it lies.
    let mut leading = [Leading::default(); BLOCKS * BLOCKS];
    for (w, window) in windows(own, laid).iter().enumerate() {
        let fit = window.as_ref().and_then(Window::fit).filter(|fit| fit.alike >= LEADS);
        let Some(Fit { gain, means, .. }) = fit else { continue };
        for block in blocks_of(w) {
            leading[block].windows += 1.0;
            leading[block].gain += 1.0 / gain;
            leading[block].offset += means[1] - means[0] / gain;
        }
    }
    let mut normal = [[0.0; 7]; 6];
    for y in 1..SIDE - 1 {
        for x in 1..SIDE - 1 {
            let (i, says) = (y * SIDE + x, leading[y / BLOCK * BLOCKS + x / BLOCK]);
            if says.windows == 0.0 || !laid.surrounded(i) {
                continue;
            }
            let slopes = [1, SIDE].map(|by| slope(&laid.levels, i, by));
            let rest = says.gain * f64::from(own[i]) + says.offset
                - says.windows * f64::from(laid.levels[i]);
            noted(&mut normal, (x, y), slopes, (says.windows, rest));
        }
    }
    step(normal, 2.0)
}

/// Whether a window of the finer picture lies beside that of the coarser by more than `most` cells; not
/// where little is to be seen.
pub fn drifted(own: &[f32], laid: &Laid, (at, window): (usize, &Window), most: f64) -> bool {
    /// Squared levels per cell that are added to what is seen, so that noise moves nothing.
    const DAMPING: f64 = 64.0;
    let Some(fit) = window.fit() else { return false };
    let [mut xx, mut xy, mut yy, mut x_rest, mut y_rest] = [DAMPING, 0.0, DAMPING, 0.0, 0.0];
    for (x, y) in cells_of(at).filter(inner) {
        let i = y * SIDE + x;
        if laid.surrounded(i) {
            let rest = f64::from(own[i])
                - fit.means[0]
                - fit.gain * (f64::from(laid.levels[i]) - fit.means[1]);
            let mean =
                |by: usize| (fit.gain * slope(&laid.levels, i, by) + slope(own, i, by)) / 2.0;
            let (across, down) = (mean(1), mean(SIDE));
            xx += across * across;
            xy += across * down;
            yy += down * down;
            x_rest += across * rest;
            y_rest += down * rest;
        }
    }
    let both = xx * yy - xy * xy;
    let (x, y) = ((yy * x_rest - xy * y_rest) / both, (xx * y_rest - xy * x_rest) / both);
    x * x + y * y > most * most
}

/// Whether a cell has four neighbours.
fn inner((x, y): &(usize, usize)) -> bool {
    (1..SIDE - 1).contains(x) && (1..SIDE - 1).contains(y)
}

fn slope(levels: &[f32], i: usize, by: usize) -> f64 {
    f64::from(levels[i + by] - levels[i - by]) / 2.0
}

/// Adds a cell to the normal equations: its slopes, how often it counts, and what is left to explain, so often.
/// The lower left half is left empty, as it is the upper right one.
fn noted(
    normal: &mut [[f64; 7]; 6],
    (x, y): (usize, usize),
    [across, down]: [f64; 2],
    (weight, rest): (f64, f64),
) {
    let (u, v) = (x as f64 + 0.5 - CENTRE, y as f64 + 0.5 - CENTRE);
    let row = [across * u, across * v, across, down * u, down * v, down];
    for (k, line) in normal.iter_mut().enumerate() {
        let a = weight * row[k];
        for l in k..6 {
            line[l] += a * row[l];
        }
        line[6] += rest * row[k];
    }
}

/// The change of cells that solves the equations, unless it moves the middle by more than `most`.
fn step(mut normal: [[f64; 7]; 6], most: f64) -> Option<Affine> {
    let upper = normal;
    for (k, line) in normal.iter_mut().enumerate() {
        line[..k].iter_mut().enumerate().for_each(|(l, cell)| *cell = upper[l][k]);
    }
    let m = solved(normal)?;
    if m[2] * m[2] + m[5] * m[5] > most * most {
        return None;
    }
    let shift = |a: f64, b: f64, c: f64| c - (a + b) * CENTRE;
    Some(Affine([
        1.0 + m[0],
        m[1],
        shift(m[0], m[1], m[2]),
        m[3],
        1.0 + m[4],
        shift(m[3], m[4], m[5]),
    ]))
}

/// The small affine change of the cells that brings the finer picture nearer (Lucas and Kanade,
/// 1981, on all cells that roughly agree).
fn refinement(own: &[f32], laid: &Laid) -> Option<Affine> {
    let (gain, offset) = laid.fit(own)?;
    let level = |i: usize| gain * f64::from(laid.levels[i]);
    let mut normal = [[0.0; 7]; 6];
    for y in 1..SIDE - 1 {
        for x in 1..SIDE - 1 {
            let i = y * SIDE + x;
            if !laid.surrounded(i) {
                continue;
            }
            let rest = f64::from(own[i]) - level(i) - offset;
            if rest.abs() > 30.0 {
                continue;
            }
            let across = (level(i + 1) - level(i - 1)) / 2.0;
            let down = (level(i + SIDE) - level(i - SIDE)) / 2.0;
            noted(&mut normal, (x, y), [across, down], (1.0, rest));
        }
    }
    step(normal, 4.0)
}

const CENTRE: f64 = SIDE as f64 / 2.0;

/// Gauss' elimination of six equations; `None` where they do not tell.
fn solved(mut lines: [[f64; 7]; 6]) -> Option<[f64; 6]> {
    for k in 0..6 {
        let pivot = (k..6).max_by(|a, b| lines[*a][k].abs().total_cmp(&lines[*b][k].abs()))?;
        lines.swap(k, pivot);
        if lines[k][k].abs() < 1e-6 {
            return None;
        }
        let own = lines[k];
        for (_, line) in lines.iter_mut().enumerate().filter(|(i, _)| *i != k) {
            let factor = line[k] / own[k];
            line.iter_mut().zip(own).for_each(|(cell, v)| *cell -= factor * v);
        }
    }
    Some(std::array::from_fn(|k| lines[k][6] / lines[k][k]))
}
