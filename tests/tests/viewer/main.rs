//! The viewer in a real browser, on a whole registry.

mod golden;
mod looks;
mod market;
mod use_it;
