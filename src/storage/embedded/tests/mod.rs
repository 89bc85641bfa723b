//! What every engine has to do, as functions over the public traits, run here
//! on a directory of sled.

mod accept;
mod attempts;
mod catalog;
mod check;
mod failing;
mod lists;
mod opening;
mod queue;
mod retention;
mod support;
mod together;
