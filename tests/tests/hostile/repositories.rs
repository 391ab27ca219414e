//! Git repositories and archives that attack their reader.
