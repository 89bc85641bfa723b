//! What a power cut leaves of the disk, and what there is while it has power.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use super::{Change, Disk, Node, set, write};
use crate::crash::plan::Dice;

const PAGE: usize = 4096;

/// How much an image keeps of what was not synced.
#[derive(Debug, Clone, Copy)]
pub enum Keep {
    /// Nothing.
    Nothing,
    /// About so many pages in a hundred, and some of the names.
    Percent(u64),
}

impl Disk {
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
