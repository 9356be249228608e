//! What was done to a picture between the frame and the still, in words.
use super::{origin::Origin, stills::Still};

/// Share of a side by which an edge may be off before it counts as cut.
const CUT: f64 = 0.004;
/// Share by which contrast may change before it counts.
const CONTRAST: f64 = 0.04;
/// Luma levels by which mid-grey may change before it counts.
const LIGHT: f64 = 4.0;
/// How a decoder stretches a frame's limited range, and where it then puts black.
const LIMITED: (f64, f64) = (255.0 / 219.0, -16.0 * 255.0 / 219.0);

/// `none`, or what was done, joined by `; `: `mirrored`, `cropped L T R B` (shares of the sides),
/// `scaled WxH`, `brightened GAIN LIFT`, `recompressed`.
pub(super) fn transform(still: &Still, origin: &Origin) -> String {
    let place = origin.placement();
    let (width, height) = (origin.size.0 as f64, origin.size.1 as f64);
    let mut words = Vec::new();
    if place.mirrored {
        words.push("mirrored".to_owned());
    }
    let edges = [
        place.x / width,
        place.y / height,
        1.0 - place.right() / width,
        1.0 - place.lower() / height,
    ]
    .map(|share| share.max(0.0));
    if edges.iter().any(|share| *share > CUT) {
        let shares = edges.map(|share| format!("{share:.3}"));
        words.push(format!("cropped {}", shares.join(" ")));
    }
    if let Some((own_width, own_height)) = still.size {
        let off = |own: u32, part: f64| (f64::from(own) - part).abs() > 1.5;
        if off(own_width, place.width) || off(own_height, place.height) {
            words.push(format!("scaled {own_width}x{own_height}"));
        }
    }
    words.extend(brightened(origin.tone()));
    if still.codec.as_deref() == Some("jpeg") {
        words.push("recompressed".to_owned());
    }
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join("; ")
    }
}

/// Neither as the decoder stretches limited range, nor as it leaves full range alone.
fn brightened((gain, lift): (f64, f64)) -> Option<String> {
    let changed = |(normal, black): (f64, f64)| {
        // At mid-grey of the still's own scale.
        let (ratio, grey) = (gain / normal, (128.0 - black) / normal);
        let light = gain * grey + lift - 128.0;
        ((ratio - 1.0).abs() > CONTRAST || light.abs() > LIGHT).then_some((ratio, light))
    };
    let limited = changed(LIMITED)?;
    changed((1.0, 0.0))?;
    Some(format!("brightened x{:.2} {:+.0}", limited.0, limited.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoders_own_range_is_no_change() {
        assert_eq!(brightened(LIMITED), None);
        assert_eq!(brightened((1.0, 0.0)), None);
        assert_eq!(brightened((1.16, -18.0)), None);
        let brighter = brightened((LIMITED.0 * 1.2, LIMITED.1 * 1.2)).expect("brighter");
        assert_eq!(brighter, "brightened x1.20 +26");
        assert!(brightened((LIMITED.0, LIMITED.1 + 10.0)).is_some());
    }
}
