//! A simulated machine with a data directory on it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ochre_base::Result;
use ochre_engine::{Instance, InstanceConfig};
use ochre_env::Env;
use ochre_env::sim::{SimClock, SimFileSystem, SimRandom};
use ochre_storage::StorageConfig;

/// Where the data directory is.
pub const ROOT: &str = "/data";

/// Files, clock and randomness.
pub struct Machine {
    pub fs: Arc<SimFileSystem>,
    pub clock: Arc<SimClock>,
    seed: u64,
}

/// What is set differently from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub buffers: usize,
    pub segment_bytes: u64,
    pub wal_buffer_bytes: usize,
    pub full_page_writes: bool,
    pub recovery_parts: usize,
}

impl Settings {
    /// A seed's.
    pub fn of(random: &SimRandom) -> Settings {
        Settings {
            buffers: [48, 64, 96, 256][random.below(4) as usize],
            segment_bytes: [64 << 10, 256 << 10, 1 << 20][random.below(3) as usize],
            wal_buffer_bytes: [512, 8 << 10, 64 << 10][random.below(3) as usize],
            full_page_writes: true,
            recovery_parts: [1, 2, 5][random.below(3) as usize],
        }
    }

    /// How an instance is opened with them: nothing runs in the background.
    pub fn config(self) -> InstanceConfig {
        InstanceConfig {
            storage: StorageConfig {
                shared_buffers_bytes: self.buffers * ochre_base::limits::PAGE_SIZE,
                wal_segment_bytes: self.segment_bytes,
                wal_buffer_bytes: self.wal_buffer_bytes,
                full_page_writes: self.full_page_writes,
                recovery_parts: self.recovery_parts,
                background_threads: false,
                ..StorageConfig::default()
            },
            background: false,
            ..InstanceConfig::default()
        }
    }
}

impl Machine {
    /// A machine with nothing on its disk.
    pub fn empty(seed: u64) -> Machine {
        Machine::over(SimFileSystem::with_crashes(seed), seed)
    }

    /// A machine with these files.
    pub fn over(fs: SimFileSystem, seed: u64) -> Machine {
        Machine { fs: Arc::new(fs), clock: Arc::new(SimClock::new()), seed }
    }

    /// A machine with a new database on its disk, shut down cleanly.
    ///
    /// # Errors
    /// As making one, which fails on no sound build.
    pub fn with_database(settings: Settings, seed: u64) -> Result<Machine> {
        static MADE: Mutex<BTreeMap<u64, SimFileSystem>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(files) = made.get(&settings.segment_bytes) {
            return Ok(Machine::over(files.fork(seed), seed));
        }
        let machine = Machine::empty(settings.segment_bytes);
        let instance = machine.open(settings)?;
        instance.close()?;
        drop(instance);
        let files = machine.fs.fork(0);
        let copy = files.fork(seed);
        made.insert(settings.segment_bytes, files);
        Ok(Machine::over(copy, seed))
    }

    /// What an engine runs on.
    pub fn env(&self) -> Env {
        Env {
            fs: Arc::clone(&self.fs) as _,
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(SimRandom::new(self.seed ^ self.fs.operations())),
            ..Env::os()
        }
    }

    /// Opens the data directory.
    ///
    /// # Errors
    /// As [`Instance::open`].
    pub fn open(&self, settings: Settings) -> Result<Arc<Instance>> {
        self.clock.advance(Duration::from_secs(1));
        Instance::open(self.env(), Path::new(ROOT), settings.config())
    }
}

/// The path of something in the data directory.
pub fn path(below: &str) -> PathBuf {
    Path::new(ROOT).join(below)
}
