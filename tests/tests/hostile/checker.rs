//! The checker: what a registry repository can hold against it.
