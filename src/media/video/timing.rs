//! The rate of a stream by its packets' time stamps, for when nothing states it.

/// First and last time stamp, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timing {
    first: Option<i64>,
    last: Option<i64>,
    count: u64,
}

impl Timing {
    /// Notes a packet's time, in any order; packets without one are passed over.
    pub(super) fn note(&mut self, time: Option<i64>) {
        let Some(time) = time else { return };
        self.first = Some(self.first.map_or(time, |first| first.min(time)));
        self.last = Some(self.last.map_or(time, |last| last.max(time)));
        self.count += 1;
    }

    /// Frames per second on average, given the seconds that a unit of the stamps lasts; `None` for
    /// fewer than two frames.
    pub(super) fn rate(&self, unit: f64) -> Option<f64> {
        let seconds = (self.last? - self.first?) as f64 * unit;
        let steps = self.count.checked_sub(1).filter(|&steps| steps > 0)?;
        (seconds > 0.0).then(|| steps as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(times: &[Option<i64>], unit: f64) -> Option<f64> {
        let mut timing = Timing::default();
        times.iter().for_each(|&time| timing.note(time));
        timing.rate(unit)
    }

    #[test]
    fn the_rate_is_steps_over_time() {
        let times: Vec<_> = [0, 120, 40, 80, 160].map(Some).into();
        assert_eq!(rate(&times, 1e-3), Some(25.0));
        assert_eq!(
            rate(&[Some(90_000), None, Some(93_003)], 1.0 / 90_000.0),
            Some(90_000.0 / 3_003.0)
        );
    }

    #[test]
    fn without_two_times_there_is_none() {
        for times in [&[][..], &[Some(5)], &[Some(5), Some(5)], &[None, None]] {
            assert_eq!(rate(times, 1.0), None);
        }
    }
}
