//! README.md shows the receivers that the tests run, its tour cannot hang, and
//! the protos tell limits as they are held.

use std::{fs, path::Path};

use tokio::process::Command;

use crate::support::within;

#[test]
fn the_readme_shows_the_receivers_as_they_are() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("the file can be read");
    let readme = read("README.md");
    for file in [
        "node/ed25519.js",
        "node/verify.js",
        "node/receiver.js",
        "python/ed25519.py",
        "python/verify.py",
        "python/receiver.py",
    ] {
        let shown = readme.contains(&read(&format!("tests/receivers/{file}")));
        assert!(shown, "README.md shows another tests/receivers/{file}");
    }
}

/// Limits are held in bytes, so a promise of characters would be a lie.
#[test]
fn the_protos_tell_lengths_in_bytes() {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/postrider/v1");
    for proto in fs::read_dir(protos).expect("the folder can be read") {
        let path = proto.expect("the folder can be listed").path();
        let text = fs::read_to_string(&path).expect("a proto can be read");
        // Ids are no limits.
        let text = text.replace("followed by 26 characters", "");
        assert!(!text.contains("characters"), "{}", path.display());
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
