//! Integration tests, one binary.

mod architecture;
mod chart;
mod commands;
mod readme;
mod source;
