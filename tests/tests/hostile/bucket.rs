//! The cache bucket: lost, altered and damaged objects.
