//! A part of a video file, from one time to another.
use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};

/// A part of a video: the frames whose time, index over rate, is in `start..end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// Microseconds from the first frame.
    pub start_us: u64,
    /// Microseconds from the first frame; `None` for the end of the file.
    pub end_us: Option<u64>,
}

impl Span {
    /// Reads two numbers of seconds; `None` where neither is given.
    ///
    /// # Errors
    /// When one is no number of seconds, or nothing lies between them.
    pub fn parse(start: Option<&str>, end: Option<&str>) -> Result<Option<Self>> {
        if start.is_none() && end.is_none() {
            return Ok(None);
        }
        let start_us = start.map(microseconds).transpose()?.unwrap_or(0);
        let span = Span { start_us, end_us: end.map(microseconds).transpose()? };
        ensure!(span.end_us.is_none_or(|end| start_us < end), "a part from {span} s is empty");
        Ok(Some(span))
    }

    /// The frames of the part in a clip of `frames` frames at `fps`, half-open; empty when it lies
    /// behind the end.
    pub fn frames(&self, frames: u64, fps: f64) -> std::ops::Range<u64> {
        let edge = |us: u64| ((us as f64 * fps / 1e6 - 1e-6).ceil().max(0.0) as u64).min(frames);
        let end = self.end_us.map_or(frames, edge);
        edge(self.start_us).min(end)..end
    }
}

/// `1.5-4`, in seconds.
impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-", self.start_us as f64 / 1e6)?;
        match self.end_us {
            Some(end) => write!(f, "{}", end as f64 / 1e6),
            None => f.write_str("end"),
        }
    }
}

fn microseconds(text: &str) -> Result<u64> {
    let seconds = text.parse::<f64>().ok().filter(|s| (0.0..1e9).contains(s));
    ensure!(seconds.is_some(), "`{}` is no number of seconds", text.escape_debug());
    Ok(seconds.map_or(0, |s| (s * 1e6).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: &str, end: &str) -> Span {
        Span::parse(Some(start), Some(end)).expect("a span").expect("given")
    }

    #[test]
    fn frames_lie_between_the_two_times() {
        assert_eq!(span("0", "2").frames(100, 25.0), 0..50);
        assert_eq!(span("2", "4").frames(100, 25.0), 50..100, "parts do not overlap");
        assert_eq!(span("0.01", "0.05").frames(100, 25.0), 1..2);
        assert_eq!(span("3", "9").frames(100, 25.0), 75..100, "cut at the end");
        assert_eq!(span("5", "9").frames(100, 25.0), 100..100, "behind the end");
        let open = Span::parse(Some("1"), None).expect("a span").expect("given");
        assert_eq!(open.frames(60, 24000.0 / 1001.0), 24..60);
        assert_eq!(
            (span("1.5", "4").to_string(), open.to_string()),
            ("1.5-4".into(), "1-end".into())
        );
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(Span::parse(None, None).expect("none"), None);
        for (start, end) in
            [("x", "2"), ("-1", "2"), ("2", "2"), ("3", "1"), ("nan", "1"), ("0", "inf")]
        {
            assert!(Span::parse(Some(start), Some(end)).is_err(), "{start} {end}");
        }
    }
}
