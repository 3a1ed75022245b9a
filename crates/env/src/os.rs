//! The operating system's files, clock and randomness.
//!
//! # Failure
//! EINTR is retried here; every other error surfaces with the file's name. A short write is continued, so that the
//! error of the rest (for instance ENOSPC) is the one that is reported.

use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{Advice, FallocateFlags, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};

use crate::{Clock, File, FileLock, FileSystem, IoError, IoErrorKind, IoResult, OpenMode, Random};

/// Files below the process's working directory or at absolute paths.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsFileSystem;

impl FileSystem for OsFileSystem {
    fn open(&self, path: &Path, mode: OpenMode) -> IoResult<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        match mode {
            OpenMode::Existing => {}
            OpenMode::OrCreate => {
                options.create(true).truncate(false);
            }
            OpenMode::New => {
                options.create_new(true);
            }
        }
        let operation = if mode == OpenMode::Existing { "open" } else { "create" };
        let file = options.open(path).map_err(|e| IoError::from_os(operation, path, e))?;
        Ok(Arc::new(OsFile::new(file.into(), path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> IoResult<()> {
        std::fs::rename(from, to).map_err(|e| IoError::from_os("rename", from, e))
    }

    fn remove(&self, path: &Path) -> IoResult<()> {
        std::fs::remove_file(path).map_err(|e| IoError::from_os("remove", path, e))
    }

    fn remove_dir(&self, path: &Path) -> IoResult<()> {
        std::fs::remove_dir(path).map_err(|e| IoError::from_os("remove", path, e))
    }

    fn list(&self, path: &Path) -> IoResult<Vec<String>> {
        let fail = |e| IoError::from_os("list", path, e);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(path).map_err(fail)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir_all(&self, path: &Path) -> IoResult<()> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| IoError::from_os("create", path, e))
    }

    fn sync_dir(&self, path: &Path) -> IoResult<()> {
        let dir = std::fs::File::open(path).map_err(|e| IoError::from_os("open", path, e))?;
        dir.sync_all().map_err(|e| IoError::from_os("fsync", path, e))
    }

    fn exists(&self, path: &Path) -> IoResult<bool> {
        path.try_exists().map_err(|e| IoError::from_os("stat", path, e))
    }

    fn lock(&self, path: &Path, contents: &str) -> IoResult<Box<dyn FileLock>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| IoError::from_os("create lock", path, e))?;
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| {
            if e == Errno::WOULDBLOCK {
                let holder = std::fs::read_to_string(path).unwrap_or_default();
                IoError::new(IoErrorKind::Locked, "lock", path, holder.trim().to_string())
            } else {
                os_error("lock", path, e)
            }
        })?;
        let fd: OwnedFd = file.into();
        let lock = OsFile::new(fd, path);
        lock.set_len(0)?;
        lock.write_at(contents.as_bytes(), 0)?;
        Ok(Box::new(OsLock { _file: lock }))
    }
}

/// An exclusive `flock`, given back when the descriptor closes.
struct OsLock {
    _file: OsFile,
}

impl FileLock for OsLock {}

/// An open file descriptor.
struct OsFile {
    fd: OwnedFd,
    path: PathBuf,
    /// A second descriptor that bypasses the page cache, once somebody writes through; none where that is not possible.
    direct: OnceLock<Option<OwnedFd>>,
}

#[cold]
fn os_error(operation: &'static str, path: &Path, errno: Errno) -> IoError {
    IoError::from_os(operation, path, errno.into())
}

impl OsFile {
    fn new(fd: OwnedFd, path: &Path) -> OsFile {
        OsFile { fd, path: path.to_path_buf(), direct: OnceLock::new() }
    }

    fn direct(&self) -> Option<&OwnedFd> {
        let open = || {
            // By its descriptor: the file may have another name by now.
            let name = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
            rustix::fs::open(name, OFlags::RDWR | OFlags::DIRECT | OFlags::CLOEXEC, Mode::empty()).ok()
        };
        self.direct.get_or_init(open).as_ref()
    }

    #[cold]
    fn fail(&self, operation: &'static str, errno: Errno) -> IoError {
        os_error(operation, &self.path, errno)
    }
}

impl File for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> IoResult<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match rustix::io::pread(&self.fd, &mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.fail("read", e)),
            }
        }
        Ok(done)
    }

    fn read_cached_at(&self, buffer: &mut [u8], offset: u64) -> IoResult<Option<usize>> {
        let len = buffer.len();
        let mut slices = [std::io::IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.fd, &mut slices, offset, ReadWriteFlags::NOWAIT) {
            // A short answer may mean the end of the file or the end of what is cached: the caller reads again.
            Ok(n) if n == len => Ok(Some(n)),
            Ok(_) => Ok(None),
            Err(Errno::AGAIN | Errno::INTR | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(None),
            Err(e) => Err(self.fail("read", e)),
        }
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> IoResult<()> {
        let mut done = 0;
        while done < buffer.len() {
            match rustix::io::pwrite(&self.fd, &buffer[done..], offset + done as u64) {
                Ok(0) => {
                    return Err(IoError::new(IoErrorKind::Other, "write", &self.path, "no progress"));
                }
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.fail("write", e)),
            }
        }
        Ok(())
    }

    fn sync_data(&self) -> IoResult<()> {
        loop {
            match rustix::fs::fdatasync(&self.fd) {
                Ok(()) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.fail("fsync", e)),
            }
        }
    }

    fn write_through(&self, blocks: &[u8], offset: u64) -> IoResult<()> {
        let Some(direct) = self.direct() else {
            self.write_at(blocks, offset)?;
            return self.sync_data();
        };
        loop {
            let slices = [std::io::IoSlice::new(blocks)];
            match rustix::io::pwritev2(direct, &slices, offset, ReadWriteFlags::DSYNC) {
                Ok(n) if n == blocks.len() => return Ok(()),
                Err(Errno::INTR) => {}
                // A file system that takes no such writes, or only larger blocks, and a write that was cut short.
                Ok(_) | Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    self.write_at(blocks, offset)?;
                    return self.sync_data();
                }
                Err(e) => return Err(self.fail("write", e)),
            }
        }
    }

    fn start_reading(&self, offset: u64, len: u64) {
        // A hint: whoever reads is told what is wrong.
        let _ = rustix::fs::fadvise(&self.fd, offset, std::num::NonZeroU64::new(len), Advice::WillNeed);
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {
        // sync_file_range is not among the calls that rustix offers; the kernel's own write-back has to do.
    }

    fn len(&self) -> IoResult<u64> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|e| self.fail("stat", e))?;
        Ok(u64::try_from(stat.st_size).expect("a file's length is not negative"))
    }

    fn set_len(&self, len: u64) -> IoResult<()> {
        rustix::fs::ftruncate(&self.fd, len).map_err(|e| self.fail("truncate", e))
    }

    fn preallocate(&self, offset: u64, len: u64) -> IoResult<()> {
        loop {
            match rustix::fs::fallocate(&self.fd, FallocateFlags::KEEP_SIZE, offset, len) {
                // Not every file system can reserve space; those that cannot report ENOSPC at the write.
                Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(self.fail("extend", e)),
            }
        }
    }
}

/// The system's clocks.
#[derive(Debug, Clone, Copy)]
pub struct OsClock {
    started: Instant,
}

impl OsClock {
    /// A clock whose monotonic time starts now.
    #[must_use]
    pub fn new() -> OsClock {
        OsClock { started: Instant::now() }
    }
}

impl Default for OsClock {
    fn default() -> OsClock {
        OsClock::new()
    }
}

impl Clock for OsClock {
    fn now_unix_micros(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// The kernel's random bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsRandom;

impl Random for OsRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut done = 0;
        while done < buffer.len() {
            match rustix::rand::getrandom(&mut buffer[done..], rustix::rand::GetRandomFlags::empty()) {
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(e) => panic!("the kernel gives no random bytes: {e}"),
            }
        }
    }
}

/// Raises this process's limit of open files as far as it may go; returns the limit that holds now.
pub fn raise_open_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let now = if setrlimit(Resource::Nofile, wanted).is_ok() { limit.maximum } else { limit.current };
    now.unwrap_or(u64::MAX)
}
