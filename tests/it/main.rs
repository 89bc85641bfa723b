//! Integration tests, one binary.

mod dispatch;
