//! Integration tests, one binary.

mod architecture;
mod chart;
mod readme;
mod source;
