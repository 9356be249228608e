//! Predictions of anybody, scored and compared.
mod classes;
pub mod frame;
pub mod imported;
pub mod roles;
pub mod units;
