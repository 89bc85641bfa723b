//! README.md shows the receivers that the tests run, and its tour cannot hang.

use std::{fs, path::Path};

use tokio::process::Command;

use crate::support::within;

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

/// What `tests/tour` says of a program that is none.
async fn tour_of(program: &str) -> String {
    let tour = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tour");
    let mut tour = Command::new(tour);
    let output = within("the tour", tour.arg(program).kill_on_drop(true).output());
    let output = output.await.expect("the tour can be run");
    assert!(!output.status.success(), "{program}");
    String::from_utf8(output.stderr).expect("it is text")
}

#[tokio::test]
async fn the_tour_says_at_once_that_the_program_is_missing() {
    let said = tour_of("target/no-such-program").await;
    assert_eq!(
        said,
        "tests/tour: there is no program target/no-such-program; cargo build makes it\n"
    );
}

#[tokio::test]
async fn the_tour_does_not_wait_for_a_server_that_has_ended() {
    let said = tour_of("/bin/true").await;
    assert!(said.contains("the server has ended"), "{said}");
}
