//! Files in memory.
use std::path::Path;
use std::sync::Arc;

use crate::{File, FileLock, FileSystem, IoResult, OpenMode};

/// placeholder
pub struct SimFileSystem;
impl SimFileSystem {
    /// new
    pub fn new(_seed: u64) -> SimFileSystem {
        SimFileSystem
    }
}
#[rustfmt::skip]
impl FileSystem for SimFileSystem {
    fn open(&self, _: &Path, _: OpenMode) -> IoResult<Arc<dyn File>> { unimplemented!() }
    fn rename(&self, _: &Path, _: &Path) -> IoResult<()> { unimplemented!() }
    fn remove(&self, _: &Path) -> IoResult<()> { unimplemented!() }
    fn remove_dir(&self, _: &Path) -> IoResult<()> { unimplemented!() }
    fn list(&self, _: &Path) -> IoResult<Vec<String>> { unimplemented!() }
    fn create_dir_all(&self, _: &Path) -> IoResult<()> { unimplemented!() }
    fn sync_dir(&self, _: &Path) -> IoResult<()> { unimplemented!() }
    fn exists(&self, _: &Path) -> IoResult<bool> { unimplemented!() }
    fn lock(&self, _: &Path, _: &str) -> IoResult<Box<dyn FileLock>> { unimplemented!() }
}
