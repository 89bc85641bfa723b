//! A disk as strict as POSIX allows: it keeps what was synced, and of the rest
//! whatever chance keeps.
//!
//! A file's bytes are kept by `fsync` and `fdatasync` of that file, and only
//! those whose writes had ended when the sync began; `sync_file_range` keeps
//! nothing. A name is kept by an `fsync` of its directory; to sync the file is
//! not enough. One thing is assumed, as every journaling file system does it:
//! names that were not synced are kept in the order in which they changed.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use super::trace::{Call, Step, What};
use crate::crash::plan::Dice;

const PAGE: usize = 4096;

/// The data directory on such a disk.
#[derive(Debug)]
pub struct Disk {
    root: String,
    nodes: Vec<Node>,
    names: Vec<Naming>,
    open: HashMap<i64, Open>,
    under_way: HashMap<u32, UnderWay>,
}

#[derive(Debug, Default)]
struct Node {
    now: Content,
    kept: Content,
    /// Changes of a file that no sync has kept yet.
    changes: Vec<Change>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    bytes: Vec<u8>,
    names: BTreeMap<String, usize>,
    is_dir: bool,
}

#[derive(Debug, Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// A name in a directory that came to stand for a node, or for nothing; as a
/// move does both, together with another.
#[derive(Debug, Clone)]
struct Naming(Vec<(usize, String, Option<usize>)>);

#[derive(Debug, Clone, Copy)]
struct Open {
    node: usize,
    at: usize,
    append: bool,
}

#[derive(Debug)]
struct UnderWay {
    call: Call,
    /// For a sync, how many changes it keeps.
    keeps: usize,
}

/// How much an image keeps of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// About so many pages in a hundred, and some of the names.
    Percent(u64),
}

impl Disk {
    /// An empty directory that is kept.
    pub fn new(root: &Path) -> Self {
        let mut node = Node::default();
        node.now.is_dir = true;
        node.kept.is_dir = true;
        Self {
            root: root.to_str().expect("it is UTF-8").to_owned(),
            nodes: vec![node],
            names: Vec::new(),
            open: HashMap::new(),
            under_way: HashMap::new(),
        }
    }

    /// Does what the step did.
    pub fn take(&mut self, step: &Step) {
        match &step.what {
            What::Begins(call) => {
                if call.name == "close" {
                    // From here on another thread may get the number.
                    self.open.remove(&call.number(0));
                }
                let keeps = self.keeps(call);
                let call = call.clone();
                self.under_way.insert(step.thread, UnderWay { call, keeps });
            }
            What::Ends(value) => {
                if let Some(ended) = self.under_way.remove(&step.thread)
                    && *value >= 0
                {
                    self.apply(&ended, *value);
                }
            }
        }
    }

    /// How many changes, of the file or of names, a sync that begins now keeps.
    fn keeps(&self, call: &Call) -> usize {
        if call.name != "fsync" && call.name != "fdatasync" {
            return 0;
        }
        let open = self.open.get(&call.number(0));
        open.map_or(0, |open| match &self.nodes[open.node] {
            node if node.now.is_dir => self.names.len(),
            node => node.changes.len(),
        })
    }

    fn apply(&mut self, ended: &UnderWay, value: i64) {
        let call = &ended.call;
        let size = usize::try_from(value).expect("it is not negative");
        match call.name.as_str() {
            "openat" => self.opens(call.path(1), call.word(2), value),
            "open" => self.opens(call.path(0), call.word(1), value),
            "fcntl" if call.word(1).starts_with("F_DUPFD") => self.copies(call.number(0), value),
            "dup" => self.copies(call.number(0), value),
            "lseek" => {
                if let Some(open) = self.open.get_mut(&call.number(0)) {
                    open.at = size;
                }
            }
            "write" => self.writes_on(call.number(0), &call.bytes(1)[..size]),
            "pwrite64" => {
                let at = usize::try_from(call.number(3)).expect("an offset");
                if let Some(open) = self.open.get(&call.number(0)) {
                    let bytes = call.bytes(1)[..size].to_vec();
                    self.changes(open.node, Change::Write(at, bytes));
                }
            }
            "ftruncate" => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    let length = usize::try_from(call.number(1)).expect("a length");
                    self.changes(open.node, Change::Length(length));
                }
            }
            "fsync" | "fdatasync" => self.keep(call.number(0), ended.keeps),
            "mkdir" => self.makes(call.path(0), true),
            "mkdirat" => self.makes(call.path(1), true),
            "rename" => self.moves(call.path(0), call.path(1)),
            "renameat" | "renameat2" => self.moves(call.path(1), call.path(3)),
            "unlink" | "rmdir" => self.removes(call.path(0)),
            // Rust removes trees by handles of directories.
            "unlinkat" if call.word(0) == "AT_FDCWD" => self.removes(call.path(1)),
            "unlinkat" => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    let name = call.path(1).to_owned();
                    self.names(vec![(open.node, name, None)]);
                }
            }
            // Blocks behind the end are set apart: nothing that is read changes.
            "fallocate" if call.word(1).contains("FALLOC_FL_KEEP_SIZE") => {}
            "fallocate" => {
                if let Some(open) = self.open.get(&call.number(0)) {
                    let end = usize::try_from(call.number(2) + call.number(3));
                    let end = end.expect("an offset and a length");
                    let length = end.max(self.nodes[open.node].now.bytes.len());
                    self.changes(open.node, Change::Length(length));
                }
            }
            _ => {}
        }
    }

    fn opens(&mut self, path: &str, flags: &str, handle: i64) {
        if self.find(path).is_none() && flags.contains("O_CREAT") {
            self.makes(path, false);
        }
        let Some(node) = self.find(path) else {
            return;
        };
        if flags.contains("O_TRUNC") {
            self.changes(node, Change::Length(0));
        }
        let append = flags.contains("O_APPEND");
        let open = Open {
            node,
            at: 0,
            append,
        };
        self.open.insert(handle, open);
    }

    fn copies(&mut self, handle: i64, copy: i64) {
        if let Some(open) = self.open.get(&handle).copied() {
            self.open.insert(copy, open);
        }
    }

    fn writes_on(&mut self, handle: i64, bytes: &[u8]) {
        let Some(open) = self.open.get_mut(&handle) else {
            return;
        };
        if open.append {
            open.at = self.nodes[open.node].now.bytes.len();
        }
        let (node, at) = (open.node, open.at);
        open.at += bytes.len();
        self.changes(node, Change::Write(at, bytes.to_vec()));
    }

    fn changes(&mut self, node: usize, change: Change) {
        change.make(&mut self.nodes[node].now.bytes);
        self.nodes[node].changes.push(change);
    }

    fn keep(&mut self, handle: i64, count: usize) {
        let Some(open) = self.open.get(&handle) else {
            return;
        };
        if !self.nodes[open.node].now.is_dir {
            let node = &mut self.nodes[open.node];
            let count = count.min(node.changes.len());
            for change in node.changes.drain(..count) {
                change.make(&mut node.kept.bytes);
            }
            return;
        }
        let directory = open.node;
        let names = std::mem::take(&mut self.names);
        for (index, naming) in names.into_iter().enumerate() {
            if index < count && naming.0.iter().any(|(dir, ..)| *dir == directory) {
                for (dir, name, node) in naming.0 {
                    set(&mut self.nodes[dir].kept.names, name, node);
                }
            } else {
                self.names.push(naming);
            }
        }
    }

    fn makes(&mut self, path: &str, is_dir: bool) {
        let Some((dir, name)) = self.place(path) else {
            return;
        };
        let mut node = Node::default();
        node.now.is_dir = is_dir;
        node.kept.is_dir = is_dir;
        self.nodes.push(node);
        self.names(vec![(dir, name, Some(self.nodes.len() - 1))]);
    }

    fn moves(&mut self, from: &str, to: &str) {
        let (Some(old), Some(new)) = (self.place(from), self.place(to)) else {
            return;
        };
        let node = self.find(from);
        self.names(vec![(old.0, old.1, None), (new.0, new.1, node)]);
    }

    fn removes(&mut self, path: &str) {
        if let Some((dir, name)) = self.place(path) {
            self.names(vec![(dir, name, None)]);
        }
    }

    fn names(&mut self, naming: Vec<(usize, String, Option<usize>)>) {
        for (dir, name, node) in naming.clone() {
            set(&mut self.nodes[dir].now.names, name, node);
        }
        self.names.push(Naming(naming));
    }

    /// The directory and the name of a path below the root.
    fn place(&self, path: &str) -> Option<(usize, String)> {
        let (dir, name) = path.rsplit_once('/')?;
        Some((self.find(dir)?, name.to_owned()))
    }

    fn find(&self, path: &str) -> Option<usize> {
        let below = path.strip_prefix(&self.root)?;
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        let mut names = below.split('/').filter(|name| !name.is_empty());
        names.try_fold(0, |node, name| {
            self.nodes[node].now.names.get(name).copied()
        })
    }

    /// Writes what a power cut now would leave.
    pub fn write_image(&self, to: &Path, keep: Keep, dice: &mut Dice) {
        let mut names: HashMap<usize, BTreeMap<String, usize>> = HashMap::new();
        if let Keep::Percent(_) = keep {
            let count = dice.below(self.names.len() as u64 + 1);
            let count = usize::try_from(count).expect("a count");
            for (dir, name, node) in self.names[..count].iter().flat_map(|naming| &naming.0) {
                let names = names
                    .entry(*dir)
                    .or_insert_with(|| self.nodes[*dir].kept.names.clone());
                set(names, name.clone(), *node);
            }
        }
        self.write_node(0, to, &names, keep, dice);
    }

    fn write_node(
        &self,
        node: usize,
        to: &Path,
        names: &HashMap<usize, BTreeMap<String, usize>>,
        keep: Keep,
        dice: &mut Dice,
    ) {
        let Node { kept, changes, .. } = &self.nodes[node];
        if kept.is_dir {
            fs::create_dir_all(to).unwrap();
            for (name, child) in names.get(&node).unwrap_or(&kept.names) {
                self.write_node(*child, &to.join(name), names, keep, dice);
            }
            return;
        }
        let mut bytes = kept.bytes.clone();
        if let Keep::Percent(percent) = keep {
            for change in changes {
                change.make_partly(&mut bytes, percent, dice);
            }
        }
        fs::write(to, bytes).unwrap();
    }

    /// Compares with the directory as it is, so that nothing was overlooked.
    pub fn check_against(&self, real: &Path) {
        self.check_node(0, real);
    }

    fn check_node(&self, node: usize, real: &Path) {
        let content = &self.nodes[node].now;
        if !content.is_dir {
            let bytes = fs::read(real).unwrap();
            assert!(bytes == content.bytes, "{} differs", real.display());
            return;
        }
        let entries = fs::read_dir(real).unwrap();
        let entries = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut entries: Vec<_> = entries.collect();
        entries.sort();
        let names: Vec<_> = content.names.keys().cloned().collect();
        assert_eq!(entries, names, "names in {}", real.display());
        for (name, child) in &content.names {
            self.check_node(*child, &real.join(name));
        }
    }
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(at, written) => write(bytes, *at, written),
        }
    }

    /// Makes some pages of the change.
    fn make_partly(&self, bytes: &mut Vec<u8>, percent: u64, dice: &mut Dice) {
        let Self::Write(at, written) = self else {
            if dice.below(100) < percent {
                self.make(bytes);
            }
            return;
        };
        let mut from = 0;
        while from < written.len() {
            let to = ((at + from) / PAGE + 1) * PAGE - at;
            let to = to.min(written.len());
            if dice.below(100) < percent {
                write(bytes, at + from, &written[from..to]);
            }
            from = to;
        }
    }
}

fn write(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    let end = at + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(written);
}

fn set(names: &mut BTreeMap<String, usize>, name: String, node: Option<usize>) {
    match node {
        Some(node) => names.insert(name, node),
        None => names.remove(&name),
    };
}

#[cfg(test)]
mod tests {
    use super::super::trace;
    use super::*;

    /// Names and contents of what a power cut leaves.
    fn left_after(trace: &str) -> Vec<(String, Vec<u8>)> {
        let mut disk = Disk::new(Path::new("/d"));
        for step in &trace::read(trace) {
            disk.take(step);
        }
        let image = tempfile::tempdir().unwrap();
        disk.write_image(image.path(), Keep::Nothing, &mut Dice::new(0, 0));
        let entries = fs::read_dir(image.path()).unwrap();
        let mut left: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        left.sort();
        left
    }

    const MAKE: &str = r#"1 1.000001 openat(AT_FDCWD, "\x2f\x64\x2f\x61", O_RDWR|O_CREAT) = 3
1 1.000002 write(3, "\x41\x42", 2) = 2
"#;
    const SYNC_FILE: &str = "1 1.000003 fdatasync(3) = 0\n";
    const SYNC_NAME: &str = r#"1 1.000004 openat(AT_FDCWD, "\x2f\x64", O_RDONLY) = 4
1 1.000005 fsync(4) = 0
"#;

    #[test]
    fn only_what_was_synced_is_left() {
        let left = |parts: &[&str]| left_after(&parts.concat());
        let file = |bytes: &[u8]| vec![("a".to_owned(), bytes.to_vec())];
        assert_eq!(left(&[MAKE]), []);
        assert_eq!(left(&[MAKE, SYNC_FILE]), []);
        assert_eq!(left(&[MAKE, SYNC_NAME]), file(b""));
        assert_eq!(left(&[MAKE, SYNC_FILE, SYNC_NAME]), file(b"AB"));
        let ranges = "1 1.000006 sync_file_range(3, 0, 2, SYNC_FILE_RANGE_WRITE) = 0\n";
        assert_eq!(left(&[MAKE, SYNC_NAME, ranges]), file(b""));
    }

    #[test]
    fn a_sync_keeps_nothing_that_was_written_after_it_began() {
        let late = r#"1 1.000006 fsync(3 <unfinished ...>
2 1.000007 pwrite64(3, "\x43", 1, 1) = 1
1 1.000008 <... fsync resumed>) = 0
"#;
        let left = left_after(&[MAKE, SYNC_NAME, late].concat());
        assert_eq!(left, [("a".to_owned(), b"AB".to_vec())]);
    }

    #[test]
    fn a_move_is_lost_as_a_whole() {
        let moved = "1 1.000006 rename(\"\\x2f\\x64\\x2f\\x61\", \"\\x2f\\x64\\x2f\\x62\") = 0\n";
        let before = [MAKE, SYNC_FILE, SYNC_NAME, moved].concat();
        assert_eq!(left_after(&before), [("a".to_owned(), b"AB".to_vec())]);
        let after = [before.as_str(), "1 1.000007 fsync(4) = 0\n"].concat();
        assert_eq!(left_after(&after), [("b".to_owned(), b"AB".to_vec())]);
    }
}
