//! The chart as helm renders it, helm/rendered.yaml (tests/run compares), and
//! the program agree.

use std::{fs, path::Path};

use postrider::config::{self, Config};

fn helm(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("helm")
        .join(file);
    fs::read_to_string(path).expect("the chart can be read")
}

#[test]
fn the_program_accepts_the_file_of_the_chart() {
    let rendered = helm("rendered.yaml");
    let (_, after) = rendered
        .split_once("postrider.toml: |\n")
        .expect("the ConfigMap holds the file");
    let lines = after.lines().map_while(|line| line.strip_prefix("    "));
    let text = lines.collect::<Vec<_>>().join("\n");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postrider.toml");
    fs::write(&path, text).unwrap();

    let config = config::load(Some(path), &[]).unwrap().config;
    assert_eq!(config.server.listen, "0.0.0.0:50051".parse().unwrap());
    assert_eq!(config.storage.data_dir, Path::new("/var/lib/postrider"));
}

#[test]
fn the_values_know_every_section() {
    let schema: serde_json::Value =
        serde_json::from_str(&helm("postrider/values.schema.json")).unwrap();
    let known = schema["properties"]["config"]["properties"]
        .as_object()
        .expect("the schema lists the sections");
    let mut known: Vec<_> = known.keys().map(String::as_str).collect();
    let mut sections = Config::default().sections().map(config::Section::name);
    known.sort_unstable();
    sections.sort_unstable();
    assert_eq!(known, sections);
}
