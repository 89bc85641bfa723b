//! What only the embedded engine can show: its directory and the days in it,
//! what damage and a failing disk do to them, and how little it reads for a
//! page. What every engine has to do stands in the suite, `tests/it/storage`.

mod attempts;
mod check;
mod failing;
mod hidden;
mod lists;
mod opening;
mod retention;
mod rewrite;
mod starved;
mod support;
