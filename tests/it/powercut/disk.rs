//! A disk as strict as POSIX allows: it keeps what was synced, and of the rest
//! whatever chance keeps.
//!
//! A file's bytes are kept by `fsync` and `fdatasync` of that file, and only
//! those whose writes had ended when the sync began; `sync_file_range` keeps
//! nothing. A name is kept by an `fsync` of its directory; to sync the file is
//! not enough. One thing is assumed, as every journaling file system does it:
//! names that were not synced are kept in the order in which they changed.

mod image;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::trace::{Call, Step, What};

pub use self::image::Keep;

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
}

impl Change {
    fn make(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Length(length) => bytes.resize(*length, 0),
            Self::Write(at, written) => write(bytes, *at, written),
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
