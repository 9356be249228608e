//! Which GPU the runs at work see: one each, in turn, several runs on one where there are more
//! runs than GPUs.

/// The GPUs that runs are spread over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// As `CUDA_VISIBLE_DEVICES` names them.
    gpus: Vec<String>,
}

/// The variable by which CUDA tells a process what to see.
const VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

impl Placement {
    /// The GPUs of this process: the first `count` of `list`, where that variable is set, or the
    /// numbers below `count`.
    pub fn of(list: Option<&str>, count: usize) -> Self {
        let names: Vec<String> = match list {
            Some(list) => list.split(',').map(|name| name.trim().to_owned()).collect(),
            None => (0..count).map(|number| number.to_string()).collect(),
        };
        Placement { gpus: names.into_iter().filter(|name| !name.is_empty()).take(count).collect() }
    }

    /// The GPUs that this process sees; none where there is no driver.
    #[cfg(feature = "torch")]
    pub fn here() -> Self {
        let count = crate::device::gpus().map_or(0, |gpus| gpus.len());
        Self::of(std::env::var(VARIABLE).ok().as_deref(), count)
    }

    /// How many there are.
    pub fn gpus(&self) -> usize {
        self.gpus.len()
    }

    /// The variable that the processes of a worker get, workers counted from 0; `None` where there
    /// is no GPU to choose.
    pub fn variable(&self, worker: usize) -> Option<(&'static str, &str)> {
        let gpu = self.gpus.get(worker.checked_rem(self.gpus.len())?)?;
        Some((VARIABLE, gpu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(placement: &Placement, workers: usize) -> Vec<Option<&str>> {
        (0..workers).map(|worker| placement.variable(worker).map(|(_, gpu)| gpu)).collect()
    }

    #[test]
    fn workers_take_the_gpus_in_turn() {
        let four = Placement::of(None, 4);
        assert_eq!(seen(&four, 2), [Some("0"), Some("1")]);
        let wanted = ["0", "1", "2", "3", "0", "1"].map(Some);
        assert_eq!(seen(&four, 6), wanted);
        assert_eq!(seen(&Placement::of(None, 1), 3), [Some("0"); 3]);
    }

    #[test]
    fn a_list_that_is_given_is_kept_to() {
        let given = Placement::of(Some("5, GPU-8a1b"), 2);
        assert_eq!(seen(&given, 3), ["5", "GPU-8a1b", "5"].map(Some));
        // CUDA stops at the first name that it does not know, and counts fewer.
        assert_eq!(seen(&Placement::of(Some("1,-1,2"), 1), 2), [Some("1"); 2]);
    }

    #[test]
    fn without_a_gpu_nothing_is_said() {
        assert_eq!(seen(&Placement::of(None, 0), 2), [None; 2]);
        assert_eq!(seen(&Placement::of(Some(""), 0), 1), [None]);
        assert_eq!(Placement::default().gpus(), 0);
    }
}
