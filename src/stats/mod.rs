//! Statistics one can publish: marginal homogeneity for every table, McNemar's test, clusters,
//! bootstrap, multiplicity, seeds. Pure functions; whatever is random takes a seed.
//!
//! The paper compares models with the Stuart-Maxwell test over frames. That test asks whether two
//! raters use the classes equally often (not whether one is better), and it takes frames of one
//! clip for independent (they are not). It is computed here exactly, as "the paper's test", and
//! beside it stand tests that respect the clips ([`signflip`] first).
pub mod answers;
mod binomial;
pub mod clusters;
pub mod comparison;
pub mod confident;
pub mod crossed;
mod double;
pub mod effect;
pub mod equivalence;
pub mod interval;
mod linear;
pub mod margins;
pub mod mcnemar;
pub mod mh;
pub mod multiplicity;
mod number;
pub mod pairing;
pub mod planning;
pub mod pooled;
pub mod ranking;
pub mod resample;
pub mod seeds;
pub mod share;
pub mod signflip;
pub mod student;
pub mod subset;
pub mod table;
pub mod tail;
pub mod warning;
