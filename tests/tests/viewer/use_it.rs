//! What people do with the viewer.
