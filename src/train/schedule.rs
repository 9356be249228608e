//! How the learning rate falls: pure functions of the position in a stage.
use anyhow::{ensure, Result};
use serde::{Deserialize, Serialize};

/// A learning-rate schedule; `kind` names it in the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Always the same rate.
    Constant {},
    /// Times `factor` after each of the `milestones` (epochs), never below `floor`.
    Steps {
        /// Epochs after which the rate falls, ascending.
        milestones: Vec<u32>,
        /// What it is multiplied by.
        factor: f64,
        /// The lowest rate.
        #[serde(default)]
        floor: f64,
    },
    /// Times `factor` after every `epochs` epochs.
    Every {
        /// Epochs between two falls.
        epochs: u32,
        /// What it is multiplied by.
        factor: f64,
    },
    /// A straight line, step by step, down to the share `end` of the first rate.
    Linear {
        /// Share of the first rate that is left at the end.
        end: f64,
    },
    /// Half a cosine, step by step, down to the share `end` of the first rate.
    Cosine {
        /// Share of the first rate that is left at the end.
        end: f64,
    },
}

impl Schedule {
    /// The rate in `epoch` (from 0) with the share `done` (0..1) of the stage's steps behind.
    pub fn rate(&self, first: f64, epoch: u32, done: f64) -> f64 {
        match self {
            Schedule::Constant {} => first,
            Schedule::Steps { milestones, factor, floor } => {
                let falls = milestones.iter().filter(|&&m| epoch >= m).count();
                (first * factor.powi(falls as i32)).max(floor.min(first))
            }
            Schedule::Every { epochs, factor } => first * factor.powi((epoch / epochs) as i32),
            Schedule::Linear { end } => first * (1.0 - (1.0 - end) * done),
            Schedule::Cosine { end } => {
                let wave = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
                first * (end + (1.0 - end) * wave)
            }
        }
    }

    /// Checks what types cannot express.
    ///
    /// # Errors
    /// Names the value.
    pub fn check(&self) -> Result<()> {
        let share = |name: &str, value: f64| {
            ensure!(
                (0.0..=1.0).contains(&value),
                "train.schedule.{name} is {value}, must be in 0..=1"
            );
            Ok(())
        };
        match self {
            Schedule::Constant {} => Ok(()),
            Schedule::Steps { milestones, factor, floor } => {
                ensure!(
                    milestones.windows(2).all(|w| w[0] < w[1]),
                    "train.schedule.milestones {milestones:?} must ascend"
                );
                ensure!(*floor >= 0.0, "train.schedule.floor is {floor}, must not be negative");
                share("factor", *factor)
            }
            Schedule::Every { epochs, factor } => {
                ensure!(*epochs > 0, "train.schedule.epochs is 0, must be at least 1");
                share("factor", *factor)
            }
            Schedule::Linear { end } | Schedule::Cosine { end } => share("end", *end),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_released_schedule() {
        let steps = Schedule::Steps { milestones: vec![25, 40], factor: 0.1, floor: 1e-5 };
        let rate = |epoch| steps.rate(5e-4, epoch, 0.0);
        assert_eq!(rate(24), 5e-4);
        assert!((rate(25) - 5e-5).abs() < 1e-12);
        // 5e-6 would be below the floor.
        assert_eq!(rate(40), 1e-5);
    }

    #[test]
    fn curves_start_at_the_rate_and_end_at_the_share() {
        for schedule in [Schedule::Linear { end: 0.05 }, Schedule::Cosine { end: 0.05 }] {
            assert!((schedule.rate(2.0, 0, 0.0) - 2.0).abs() < 1e-12);
            assert!((schedule.rate(2.0, 9, 1.0) - 0.1).abs() < 1e-12);
            assert!((schedule.rate(2.0, 5, 0.5) - 1.05).abs() < 1e-12);
        }
        assert!(
            (Schedule::Every { epochs: 30, factor: 0.1 }.rate(1.0, 60, 0.6) - 0.01).abs() < 1e-12
        );
    }
}
