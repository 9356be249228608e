//! From run folders to tables, figures and one page; reads files and never runs a model.
pub mod figure;
pub mod table;
