//! The directories of a store have to stay where they are: what is written to
//! files that were removed or moved away under a server is lost with it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Directories and what is known them by.
#[derive(Debug)]
pub(super) struct Home(Vec<(PathBuf, (u64, u64))>);

impl Home {
    /// Those of these that there are.
    pub(super) fn of<const N: usize>(dirs: [&Path; N]) -> Self {
        let there = dirs.into_iter();
        let there = there.filter_map(|dir| Some((dir.to_owned(), identity(dir)?)));
        Self(there.collect())
    }

    /// One that is not there any more, or is another one.
    pub(super) fn missing(&self) -> Option<&Path> {
        let gone = self.0.iter().find(|(dir, was)| identity(dir) != Some(*was));
        gone.map(|(dir, _)| dir.as_path())
    }
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(dir).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_was_moved_or_made_anew_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("data");
        fs::create_dir(&dir).unwrap();
        let home = Home::of([folder.path(), &dir, Path::new("/nowhere")]);
        assert_eq!(home.missing(), None);
        fs::rename(&dir, folder.path().join("moved")).unwrap();
        assert_eq!(home.missing(), Some(&*dir));
        fs::create_dir(&dir).unwrap();
        assert_eq!(home.missing(), Some(&*dir));
    }
}
