//! A naive switch that the real one is held against.
