//! Connections and requests of plain HTTP.
