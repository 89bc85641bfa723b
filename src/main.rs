//! The `postrider` program.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use postrider::cli::{Cli, exit_code};

/// The system's allocator gives memory back slowly under many small buffers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what still runs after a command may hold up its end.
const LINGER: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let ended = runtime.block_on(cli.run());
    runtime.shutdown_timeout(LINGER);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "where a program says why it failed")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("postrider: {error:#}");
    exit_code(error)
}
