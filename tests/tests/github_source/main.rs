//! The GitHub source against the stand-in, which answers from real Git repositories.

mod access;
mod faults;
mod fixture;
mod reading;
