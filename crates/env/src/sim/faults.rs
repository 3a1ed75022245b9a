//! What a simulated device does wrong on demand.

use std::path::{Path, PathBuf};

use crate::{IoError, IoErrorKind};

/// Kinds of operation. All but reads change something, and only those are counted by
/// [`SimFileSystem::operations`](super::SimFileSystem::operations).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// A file is created.
    Create,
    /// Bytes are written.
    Write,
    /// `sync_data`.
    Sync,
    /// `set_len`.
    SetLen,
    /// `preallocate`.
    Preallocate,
    /// A name changes or goes, or a directory is made.
    Name,
    /// `sync_dir`.
    SyncDir,
    /// Bytes are read; counted by [`SimFileSystem::reads`](super::SimFileSystem::reads).
    Read,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The device reports an error (EIO).
    Io,
    /// The device is full (ENOSPC).
    NoSpace,
}

/// Which operations fail.
#[derive(Default)]
pub(super) struct Faults {
    pub(super) power_lost: bool,
    pub(super) cut_at: Option<u64>,
    pub(super) fail_at: Vec<(u64, Fault)>,
    pub(super) fail_read_at: Option<(u64, Fault)>,
    pub(super) fail_next: Option<(OperationKind, Fault)>,
    pub(super) fail_all: Option<(OperationKind, Fault)>,
    pub(super) space_limit: Option<u64>,
    /// What has failed so far.
    pub(super) fired: Vec<Fired>,
}

/// An operation that was made to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fired {
    /// What it was.
    pub kind: OperationKind,
    /// How it failed.
    pub fault: Fault,
    /// On which file or directory.
    pub path: PathBuf,
}

/// What the device says it has made durable and has not: it survives power cuts and restarts, as broken firmware does.
#[derive(Default, Clone)]
pub(super) struct Lies {
    /// Syncs of files below these are not done.
    pub(super) files: Vec<PathBuf>,
    /// Syncs of these directories are not done.
    pub(super) directories: Vec<PathBuf>,
}

impl Lies {
    /// Whether a file's sync is only pretended.
    pub(super) fn about_file(&self, path: &Path) -> bool {
        self.files.iter().any(|prefix| path.starts_with(prefix))
    }

    /// Whether a directory's sync is only pretended.
    pub(super) fn about_directory(&self, path: &Path) -> bool {
        self.directories.iter().any(|directory| directory == path)
    }
}

/// An operation that may not go on.
pub(super) struct Refusal {
    pub(super) error: IoError,
    /// The power goes during it: its effect may survive.
    pub(super) at_cut: bool,
}

impl Faults {
    /// How an operation is to fail, if it is. `number` counts reads for reads, and everything else together.
    pub(super) fn planned(&mut self, number: u64, kind: OperationKind, path: &Path) -> Option<Fault> {
        let at_number = if kind == OperationKind::Read {
            self.fail_read_at.take_if(|(at, _)| *at == number).map(|(_, fault)| fault)
        } else {
            let index = self.fail_at.iter().position(|(at, _)| *at == number);
            index.map(|index| self.fail_at.swap_remove(index).1)
        };
        let fault = at_number.or_else(|| self.planned_for(kind))?;
        self.fired.push(Fired { kind, fault, path: path.to_path_buf() });
        Some(fault)
    }

    fn planned_for(&mut self, kind: OperationKind) -> Option<Fault> {
        if let Some((_, fault)) = self.fail_next.take_if(|(wanted, _)| *wanted == kind) {
            return Some(fault);
        }
        self.fail_all.filter(|(wanted, _)| *wanted == kind).map(|(_, fault)| fault)
    }
}

impl Fault {
    pub(super) fn error(self, operation: &'static str, path: &Path) -> IoError {
        match self {
            Fault::Io => IoError::new(IoErrorKind::Other, operation, path, "Input/output error"),
            Fault::NoSpace => IoError::new(IoErrorKind::NoSpace, operation, path, "No space left on device"),
        }
    }
}
