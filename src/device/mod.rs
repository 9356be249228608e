//! Where tensors live and how exactly a device counts: the CPU, or a GPU that is opened at run time
//! where it is there.
//!
//! [`Precision`] is free of LibTorch, so that experiments can be read and checked without it.
mod precision;

#[cfg(feature = "torch")]
mod compute;
#[cfg(feature = "torch")]
mod cuda;
#[cfg(feature = "torch")]
mod native;

#[cfg(feature = "torch")]
pub(crate) use self::{
    compute::exactly,
    cuda::{free_memory, Graph},
    native::checked,
};
#[cfg(feature = "torch")]
pub use self::{
    compute::{processor, ComputeDevice},
    cuda::gpus,
};
pub use precision::Precision;
