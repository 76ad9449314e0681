//! The C interface of libscout as it is: every function is unsafe, every rule is in `scout.h`.
//!
//! `ffi.rs` is generated from the header; tests compare its constants, sizes and offsets with those of
//! the C compiler.
#![allow(non_camel_case_types)]

mod ffi;
pub use ffi::*;
