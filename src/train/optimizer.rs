//! SGD, Adam and AdamW over LibTorch's fused kernels, with a state that can be saved.
//!
//! tch's own optimizers cannot be saved, so a resumed run would lose its momentum. The rules are
//! PyTorch's, bit for bit where the kernels are: `SGD(dampening=0)`, `Adam` and `AdamW` with betas
//! 0.9 and 0.999 and epsilon 1e-8.
use std::collections::BTreeMap;

use anyhow::{ensure, Context, Result};
use tch::{Kind, Tensor};

use super::{
    config::{OptimizerKind, TrainConfig},
    native::{self, Rate},
};

/// What the update rule is told; the learning rate comes with every step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Which rule.
    pub kind: OptimizerKind,
    /// Momentum of SGD.
    pub momentum: f64,
    /// Nesterov's form of it.
    pub nesterov: bool,
    /// Adam with the largest second moment.
    pub amsgrad: bool,
    /// Weight decay.
    pub weight_decay: f64,
    /// Largest common norm of the gradients; 0 = no limit.
    pub clip_grad: f64,
    /// Share of the old value in a running average of the parameters; 0 = none is kept.
    pub average: f64,
}

impl From<&TrainConfig> for Rule {
    fn from(config: &TrainConfig) -> Self {
        Rule {
            kind: config.optimizer,
            momentum: config.momentum,
            nesterov: config.nesterov,
            amsgrad: config.amsgrad,
            weight_decay: config.weight_decay,
            clip_grad: config.clip_grad,
            average: config.weight_average,
        }
    }
}

/// Parameters that share a learning rate.
#[derive(Debug)]
struct Group {
    /// Factor on the learning rate.
    scale: f64,
    names: Vec<String>,
    parameters: Vec<Tensor>,
    /// Per slot of the rule (such as momentum) one tensor per parameter.
    slots: Vec<Vec<Tensor>>,
    /// Those whose gradients are forgotten after a step.
    cleared: Vec<Tensor>,
    /// The learning rate where the parameters are; `None` takes the host's number.
    rate: Option<Tensor>,
    /// The number of the step where the parameters are, counted there.
    count: Option<Tensor>,
}

/// An update rule and what it remembers about every parameter.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    groups: Vec<Group>,
    steps: u64,
    /// The learning rate of the step that has begun.
    rate: f64,
}

impl Optimizer {
    /// An optimizer with nothing remembered. Every group is a factor on the learning rate and the
    /// named parameters that it applies to; empty groups are dropped.
    ///
    /// # Errors
    /// When there is no parameter, or memory is short.
    pub fn new(rule: Rule, groups: Vec<(f64, Vec<(String, Tensor)>)>) -> Result<Self> {
        let mut all = Vec::new();
        for (scale, members) in groups.into_iter().filter(|(_, members)| !members.is_empty()) {
            let (names, parameters): (Vec<_>, Vec<_>) = members.into_iter().unzip();
            let slots = slot_names(&rule).into_iter().map(|slot| {
                let start = |tensor: &Tensor| match slot {
                    AVERAGE => copy_of(tensor),
                    _ => tensor.f_zeros_like(),
                };
                Ok(parameters.iter().map(start).collect::<Result<_, _>>()?)
            });
            let slots = slots.collect::<Result<_>>()?;
            let cleared = parameters.iter().map(Tensor::shallow_clone).collect();
            let (rate, count) = (None, None);
            all.push(Group { scale, names, parameters, slots, cleared, rate, count });
        }
        ensure!(!all.is_empty(), "nothing is trainable; freeze less");
        Ok(Optimizer { rule, groups: all, steps: 0, rate: 0.0 })
    }

    /// Keeps learning rate and number of the step beside the parameters, so that a step can be
    /// recorded and run again with another rate. The rate is rounded to f32 by that.
    ///
    /// # Errors
    /// When memory is short.
    pub(super) fn keep_rates_on_device(&mut self) -> Result<()> {
        for group in &mut self.groups {
            let place = (Kind::Float, group.parameters[0].device());
            group.rate = Some(Tensor::f_zeros([] as [i64; 0], place)?);
            group.count = Some(Tensor::f_full([] as [i64; 0], self.steps as f64, place)?);
        }
        Ok(())
    }

    /// Leaves the gradients of these parameters where they are after a step.
    pub(super) fn keep_gradients(&mut self, kept: &[Tensor]) {
        let is_kept = |tensor: &Tensor| kept.iter().any(|k| k.data_ptr() == tensor.data_ptr());
        for group in &mut self.groups {
            group.cleared.retain(|tensor| !is_kept(tensor));
        }
    }

    /// Applies the gradients that the last backward pass left, then forgets them.
    ///
    /// # Errors
    /// When a parameter has no gradient.
    pub fn step(&mut self, learning_rate: f64) -> Result<()> {
        self.begin(learning_rate)?;
        self.apply()
    }

    /// The part of a step that the host does: it counts, and says what the rate is.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn begin(&mut self, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        self.rate = learning_rate;
        for group in &mut self.groups {
            if let Some(rate) = &mut group.rate {
                let _ = tch::no_grad(|| rate.f_fill_(learning_rate * group.scale))?;
            }
        }
        Ok(())
    }

    /// The part of a step that the device does, which can be recorded: nothing in it depends on
    /// what the host counts where [`Optimizer::keep_rates_on_device`] was called.
    ///
    /// # Errors
    /// When a parameter has no gradient.
    pub(super) fn apply(&self) -> Result<()> {
        let _guard = tch::no_grad_guard();
        if self.rule.clip_grad > 0.0 {
            native::clip_gradients(&self.parameters(), self.rule.clip_grad)?;
        }
        for group in &self.groups {
            group.step(&self.rule, self.rate * group.scale, self.steps)?;
            native::clear_gradients(&group.cleared)?;
            if let Some(averages) = self.averages_of(group) {
                native::average_all(averages, &group.parameters, 1.0 - self.rule.average)?;
            }
        }
        Ok(())
    }

    fn averages_of<'a>(&self, group: &'a Group) -> Option<&'a [Tensor]> {
        let at = slot_names(&self.rule).iter().position(|slot| *slot == AVERAGE)?;
        Some(&group.slots[at])
    }

    /// Exchanges parameters and their averages, where averages are kept; twice changes nothing.
    ///
    /// # Errors
    /// When memory is short.
    pub(super) fn exchange_averages(&self) -> Result<()> {
        let _guard = tch::no_grad_guard();
        for group in &self.groups {
            let Some(averages) = self.averages_of(group) else { continue };
            let copies: Vec<Tensor> = averages.iter().map(copy_of).collect::<Result<_, _>>()?;
            native::copy_all(averages, &group.parameters)?;
            native::copy_all(&group.parameters, &copies)?;
        }
        Ok(())
    }

    /// Forgets the gradients without a step.
    pub(super) fn clear_gradients(&self) -> Result<()> {
        self.groups.iter().try_for_each(|group| native::clear_gradients(&group.cleared))
    }

    /// Every parameter, group after group.
    fn parameters(&self) -> Vec<Tensor> {
        self.groups.iter().flat_map(|g| &g.parameters).map(Tensor::shallow_clone).collect()
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// What is remembered, by `parameter name` + `.` + slot name.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let slots = slot_names(&self.rule);
        let mut state = BTreeMap::new();
        for group in &self.groups {
            for (slot, tensors) in slots.iter().zip(&group.slots) {
                for (name, tensor) in group.names.iter().zip(tensors) {
                    state.insert(format!("{name}.{slot}"), tensor.shallow_clone());
                }
            }
        }
        state
    }

    /// Takes over what [`Optimizer::state`] gave after `steps` steps.
    ///
    /// # Errors
    /// When a tensor is missing or of another shape.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>, steps: u64) -> Result<()> {
        for (name, mut own) in self.state() {
            let saved = state.get(&name).with_context(|| format!("no optimizer state `{name}`"))?;
            ensure!(saved.size() == own.size(), "optimizer state `{name}` has another shape");
            tch::no_grad(|| own.f_copy_(saved))?;
        }
        self.steps = steps;
        for count in self.groups.iter_mut().filter_map(|group| group.count.as_mut()) {
            let _ = tch::no_grad(|| count.f_fill_(steps as f64))?;
        }
        Ok(())
    }
}

/// The same values, lying in memory as those do.
fn copy_of(tensor: &Tensor) -> Result<Tensor, tch::TchError> {
    tch::no_grad(|| tensor.f_zeros_like()?.f_add_(tensor))
}

/// The slot of the running averages.
const AVERAGE: &str = "average";

impl Group {
    fn step(&self, rule: &Rule, rate: f64, steps: u64) -> Result<()> {
        let Rule { momentum, weight_decay, nesterov, .. } = *rule;
        let rate = self.rate.as_ref().map_or(Rate::Number(rate), Rate::OnDevice);
        if rule.kind == OptimizerKind::Sgd {
            let momenta = if momentum == 0.0 { &[] } else { self.slots[0].as_slice() };
            return native::sgd(&self.parameters, momenta, rate, momentum, weight_decay, nesterov);
        }
        let moments = native::Moments {
            firsts: &self.slots[0],
            seconds: &self.slots[1],
            seconds_max: rule.amsgrad.then(|| self.slots[2].as_slice()),
        };
        let place = (Kind::Float, self.parameters[0].device());
        let step = match &self.count {
            Some(count) => count.shallow_clone().f_add_scalar_(1.0)?,
            None => Tensor::f_full([] as [i64; 0], steps as f64, place)?,
        };
        let decoupled = rule.kind == OptimizerKind::Adamw;
        native::adam(&self.parameters, &moments, &step, rate, weight_decay, decoupled)
    }
}

/// What a rule remembers about a parameter.
fn slot_names(rule: &Rule) -> Vec<&'static str> {
    let mut names = match rule.kind {
        OptimizerKind::Sgd if rule.momentum == 0.0 => vec![],
        OptimizerKind::Sgd => vec!["momentum"],
        _ if rule.amsgrad => vec!["first_moment", "second_moment", "largest_second_moment"],
        _ => vec!["first_moment", "second_moment"],
    };
    if rule.average > 0.0 {
        names.push(AVERAGE);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(kind: OptimizerKind) -> Rule {
        Rule { kind, ..Rule::from(&TrainConfig::default()) }
    }

    /// Minimises 0.5 * sum(a * p^2) for three steps of rate 0.1 from p = [1, -2, 3], a = [1, 2, 3].
    fn three_steps(rule: Rule) -> Vec<f64> {
        let p = Tensor::from_slice(&[1.0f32, -2.0, 3.0]).set_requires_grad(true);
        let a = Tensor::from_slice(&[1.0f32, 2.0, 3.0]);
        let named = vec![("p".to_owned(), p.shallow_clone())];
        let mut optimizer = Optimizer::new(rule, vec![(1.0, named)]).expect("builds");
        for _ in 0..3 {
            (&a * &p * &p * 0.5).sum(Kind::Float).backward();
            optimizer.step(0.1).expect("steps");
        }
        Vec::try_from(p.to_kind(Kind::Double)).expect("values")
    }

    /// The same by the published update rules, in f64.
    fn by_hand(rule: Rule) -> Vec<f64> {
        let one = |start: f64, a: f64| {
            let (mut p, mut m, mut v, mut largest) = (start, 0.0f64, 0.0f64, 0.0f64);
            for t in 1..=3 {
                let mut g = a * p;
                if rule.kind == OptimizerKind::Adamw {
                    p -= 0.1 * rule.weight_decay * p;
                } else {
                    g += rule.weight_decay * p;
                }
                if rule.kind == OptimizerKind::Sgd {
                    m = rule.momentum * m + g;
                    p -= 0.1 * if rule.nesterov { g + rule.momentum * m } else { m };
                    continue;
                }
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                largest = largest.max(v);
                let second = if rule.amsgrad { largest } else { v };
                let corrected = (second / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8;
                p -= 0.1 * (m / (1.0 - 0.9f64.powi(t))) / corrected;
            }
            p
        };
        vec![one(1.0, 1.0), one(-2.0, 2.0), one(3.0, 3.0)]
    }

    #[test]
    fn steps_follow_the_published_rules() {
        use OptimizerKind::{Adam, Adamw, Sgd};
        let cases = [
            rule(Sgd),
            Rule { nesterov: true, weight_decay: 0.01, ..rule(Sgd) },
            Rule { momentum: 0.0, ..rule(Sgd) },
            rule(Adam),
            Rule { amsgrad: true, weight_decay: 0.1, ..rule(Adam) },
            Rule { weight_decay: 0.1, ..rule(Adamw) },
        ];
        for case in cases {
            for (ours, expected) in three_steps(case).iter().zip(by_hand(case)) {
                assert!((ours - expected).abs() < 2e-6, "{case:?}: {ours} is not {expected}");
            }
        }
    }

    #[test]
    fn gradients_are_clipped_together() {
        let make = |v: f32| Tensor::from_slice(&[v]).set_requires_grad(true);
        let (p, q) = (make(0.0), make(0.0));
        let named = vec![("p".into(), p.shallow_clone()), ("q".into(), q.shallow_clone())];
        let plain = Rule { momentum: 0.0, clip_grad: 1.0, ..rule(OptimizerKind::Sgd) };
        let mut optimizer = Optimizer::new(plain, vec![(1.0, named)]).expect("builds");
        (&p * 3.0 + &q * 4.0).sum(Kind::Float).backward();
        optimizer.step(1.0).expect("steps");
        assert!((p.double_value(&[0]) + 0.6).abs() < 1e-5);
        assert!((q.double_value(&[0]) + 0.8).abs() < 1e-5);
    }

    #[test]
    fn a_restored_optimizer_goes_on_as_if_never_stopped() {
        for kind in [OptimizerKind::Sgd, OptimizerKind::Adam] {
            let start = |values: &[f32]| Tensor::from_slice(values).set_requires_grad(true);
            let fresh = |p: &Tensor| {
                let named = vec![("p".to_owned(), p.shallow_clone())];
                Optimizer::new(rule(kind), vec![(1.0, named)]).expect("builds")
            };
            let step = |p: &Tensor, optimizer: &mut Optimizer| {
                (p * p).sum(Kind::Float).backward();
                optimizer.step(0.1).expect("steps");
            };
            let p = start(&[1.0, -2.0]);
            let mut first = fresh(&p);
            step(&p, &mut first);
            let q = start(&Vec::<f32>::try_from(p.detach()).expect("values"));
            let mut second = fresh(&q);
            second.restore(&first.state(), first.steps()).expect("restores");
            step(&p, &mut first);
            step(&q, &mut second);
            assert_eq!(p, q, "{kind:?}");
        }
    }

    #[test]
    fn rates_and_counts_beside_the_parameters_change_no_bit() {
        use OptimizerKind::{Adam, Adamw, Sgd};
        for kind in [Sgd, Adam, Adamw] {
            let run = |on_device: bool| {
                let p = Tensor::from_slice(&[1.0f32, -2.0, 3.0e-7]).set_requires_grad(true);
                let named = vec![("p".to_owned(), p.shallow_clone())];
                let rule = Rule { weight_decay: 0.01, ..rule(kind) };
                let mut optimizer = Optimizer::new(rule, vec![(0.5, named)]).expect("builds");
                if on_device {
                    optimizer.keep_rates_on_device().expect("keeps");
                }
                for step in 0..5 {
                    (p.sin() * &p).sum(Kind::Float).backward();
                    // Powers of two, which f32 holds as they are.
                    optimizer.step(0.5f64.powi(4 + step)).expect("steps");
                }
                Vec::<f32>::try_from(p.detach()).expect("values")
            };
            assert_eq!(run(false), run(true), "{kind:?}");
        }
    }

    #[test]
    fn groups_scale_the_rate() {
        let make = || Tensor::from_slice(&[1.0f32]).set_requires_grad(true);
        let (p, q) = (make(), make());
        let group =
            |scale, name: &str, t: &Tensor| (scale, vec![(name.to_owned(), t.shallow_clone())]);
        let groups = vec![group(1.0, "p", &p), group(0.5, "q", &q), (2.0, Vec::new())];
        let mut optimizer = Optimizer::new(rule(OptimizerKind::Sgd), groups).expect("builds");
        (&p + &q).sum(Kind::Float).backward();
        optimizer.step(0.1).expect("steps");
        assert!((p.double_value(&[0]) - 0.9).abs() < 1e-6);
        assert!((q.double_value(&[0]) - 0.95).abs() < 1e-6);
        assert!(Optimizer::new(rule(OptimizerKind::Sgd), Vec::new()).is_err());
    }
}
