//! Compiles the protos with protox, so that no protoc is needed.

use std::{env, fs, path::PathBuf};

const PROTOS: [&str; 5] = [
    "proto/postrider/v1/subscription_service.proto",
    "proto/postrider/v1/event_service.proto",
    "proto/postrider/v1/delivery_service.proto",
    "proto/postrider/v1/replay_service.proto",
    "proto/postrider/v1/api_key_service.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(PROTOS.map(|path| path.trim_start_matches("proto/")))?;

    // The raw bytes keep what a re-encoded set would lose: custom options.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out.join("descriptor.bin"),
        compiler.encode_file_descriptor_set(),
    )?;

    tonic_prost_build::configure()
        .bytes(".postrider.v1.Event.data")
        .bytes(".postrider.v1.Attempt.response_body")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
