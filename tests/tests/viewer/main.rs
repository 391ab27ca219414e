//! The viewer in a real browser, on a whole registry.

mod golden;
mod looks;
mod market;
mod previews;
mod use_it;
