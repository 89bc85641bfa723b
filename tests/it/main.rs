//! Integration tests, one binary.

mod architecture;
mod chart;
mod source;
