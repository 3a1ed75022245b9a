//! The names of a simulated file system's files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::content::Content;
use super::files::CrashMode;
use super::random::SimRandom;

/// Names as they are, and as a power cut would leave them.
#[derive(Default)]
pub(super) struct Names {
    pub(super) current: BTreeMap<PathBuf, Node>,
    pub(super) durable: BTreeMap<PathBuf, Node>,
    /// Changes since the last `sync_dir` of their directory, in order.
    pub(super) pending: Vec<NameChange>,
    pub(super) locks: BTreeMap<PathBuf, String>,
}

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Node {
    Directory,
    File(Arc<RwLock<Content>>),
}

/// A change of a directory.
#[derive(Clone)]
pub(super) enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Node),
}

impl Names {
    pub(super) fn change(&mut self, change: NameChange, remember: bool) {
        change.apply(&mut self.current);
        if remember {
            self.pending.push(change);
        }
    }

    pub(super) fn sync(&mut self, directory: &Path) {
        let durable = &mut self.durable;
        self.pending.retain(|change| {
            let concerned =
                change.directory().is_some_and(|d| d == directory || is_root(d) && is_root(directory));
            if concerned {
                change.apply(durable);
            }
            !concerned
        });
    }

    pub(super) fn crash(&mut self, mode: CrashMode, random: &SimRandom) {
        let mut cut_directories: Vec<PathBuf> = Vec::new();
        for change in std::mem::take(&mut self.pending) {
            let directory = change.directory().unwrap_or(Path::new("")).to_path_buf();
            let survives = match mode {
                CrashMode::DropUnsynced => false,
                CrashMode::KeepUnsynced => true,
                CrashMode::Random => !cut_directories.contains(&directory) && random.below(4) != 0,
            };
            if survives {
                change.apply(&mut self.durable);
            } else {
                cut_directories.push(directory);
            }
        }
        self.drop_orphans();
        for node in self.durable.values() {
            if let Node::File(content) = node {
                content.write().crash(mode, random);
            }
        }
        self.current = self.durable.clone();
        self.locks.clear();
    }

    /// A name whose directory did not survive is gone with it.
    fn drop_orphans(&mut self) {
        let all = self.durable.clone();
        self.durable.retain(|path, _| {
            path.ancestors().skip(1).all(|above| is_root(above) || all.contains_key(above))
        });
    }

    /// A copy that shares nothing that changes: who is one file here is one file there.
    pub(super) fn fork(&self) -> Names {
        let mut copies = BTreeMap::new();
        let mut copy = |node: &Node| match node {
            Node::Directory => Node::Directory,
            Node::File(content) => {
                let copied = copies
                    .entry(Arc::as_ptr(content) as usize)
                    .or_insert_with(|| Arc::new(RwLock::new(content.read().clone())));
                Node::File(Arc::clone(copied))
            }
        };
        let mut copy_all = |names: &BTreeMap<PathBuf, Node>| {
            names.iter().map(|(path, node)| (path.clone(), copy(node))).collect()
        };
        let (current, durable) = (copy_all(&self.current), copy_all(&self.durable));
        let pending = self.pending.iter().map(|change| match change {
            NameChange::Add(path, node) => NameChange::Add(path.clone(), copy(node)),
            NameChange::Remove(path) => NameChange::Remove(path.clone()),
            NameChange::Rename(from, to, node) => NameChange::Rename(from.clone(), to.clone(), copy(node)),
        });
        Names { current, durable, pending: pending.collect(), locks: BTreeMap::new() }
    }

    pub(super) fn file(&self, path: &Path) -> Option<Arc<RwLock<Content>>> {
        match self.current.get(path) {
            Some(Node::File(content)) => Some(Arc::clone(content)),
            _ => None,
        }
    }

    pub(super) fn has_directory(&self, path: &Path) -> bool {
        is_root(path) || matches!(self.current.get(path), Some(Node::Directory))
    }
}

pub(super) fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/") || path == Path::new(".")
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            NameChange::Add(path, node) => {
                names.insert(path.clone(), node.clone());
            }
            NameChange::Remove(path) => {
                names.remove(path);
            }
            NameChange::Rename(from, to, node) => {
                names.remove(from);
                names.insert(to.clone(), node.clone());
            }
        }
    }

    fn directory(&self) -> Option<&Path> {
        match self {
            NameChange::Add(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path, _) => {
                path.parent()
            }
        }
    }
}
