//! README.md shows the receivers that the tests run.

use std::{fs, path::Path};

#[test]
fn the_readme_shows_the_receivers_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("the file can be read");
    let readme = read("README.md");
    for file in [
        "node/verify.js",
        "node/receiver.js",
        "python/verify.py",
        "python/receiver.py",
    ] {
        let shown = readme.contains(&read(&format!("tests/receivers/{file}")));
        assert!(shown, "README.md shows another tests/receivers/{file}");
    }
}
