//! Fidelity: whatever a program can know about how it was started, and whatever its caller can know
//! about how it ended, is the same for a job as for the program itself.
//!
//! Each file has one subject; its tests are tables of situations that run plain and redirected.

mod descriptors;
mod ends;
mod inherited;
mod one_cpu;
mod signals;
mod situations;
mod terminals;
