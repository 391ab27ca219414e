//! Pages of the viewer, and what strangers learn.
