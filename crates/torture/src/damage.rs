//! Directories to be damaged, with what they should hold.

use std::ops::Range;
use std::path::{Path, PathBuf};

use ochre_base::{Lsn, Result};
use ochre_engine::Instance;
use ochre_env::sim::CrashMode;
use ochre_storage::inspect;

use crate::machine::{Machine, ROOT, Settings, path};
use crate::model::World;
use crate::stage::Stage;
use crate::verify;
use crate::workload::History;

/// A directory after some work, and what it holds.
pub struct Scene {
    pub machine: Machine,
    pub settings: Settings,
    history: History,
    world: World,
    seed: u64,
}

/// A directory after some work of a seed, everything acknowledged; shut down, or killed.
///
/// # Panics
/// When the work itself goes wrong.
pub fn scene(seed: u64, shut_down: bool) -> Scene {
    let settings = Settings {
        buffers: 64,
        segment_bytes: 256 << 10,
        wal_buffer_bytes: 8 << 10,
        full_page_writes: true,
        recovery_parts: 2,
    };
    let stage = Stage::new(settings, seed).unwrap_or_else(|what| panic!("{what}"));
    let mut workload = stage.workload(150).unwrap_or_else(|what| panic!("{what}"));
    let ended = workload.end_all().and_then(|()| workload.acknowledge_all());
    ended.unwrap_or_else(|what| panic!("seed {seed}: {what}\n{}", workload.shown()));
    if shut_down {
        stage.instance.close().expect("closes");
    }
    let world = workload.newest().clone();
    let (files, history) = stage.leave(workload);
    files.crash(CrashMode::KeepUnsynced);
    Scene { machine: Machine::over(files, seed), settings, history, world, seed }
}

impl Scene {
    /// Another machine with the same files.
    pub fn copy(&self) -> Machine {
        Machine::over(self.machine.fs.fork(self.seed), self.seed)
    }

    /// Opens a damaged copy and reads everything: true when that was refused with XX001, false when nothing was missing.
    ///
    /// # Errors
    /// What was served though it is wrong, or another error.
    pub fn is_never_wrong(&self, machine: &Machine) -> std::result::Result<bool, String> {
        let instance = match machine.open(self.settings) {
            Ok(instance) => instance,
            Err(error) if error.sqlstate().as_str() == "XX001" => return Ok(true),
            Err(error) => return Err(format!("{error:?}")),
        };
        let read = verify::holds(&instance, &self.world);
        machine.fs.cut_power();
        match read {
            Ok(()) => Ok(false),
            Err(what) if what.contains("XX001") => Ok(true),
            Err(what) => Err(what),
        }
    }

    /// Opens a damaged copy: what it holds must be a state that the directory went through.
    ///
    /// # Errors
    /// When it is not opened.
    ///
    /// # Panics
    /// When it holds something else.
    pub fn recovers_to_a_state(&self, machine: &Machine) -> Result<()> {
        self.recovers_when_ended(machine, None)
    }

    /// As [`Scene::recovers_to_a_state`], with a log that was damaged and shall end there; checks the directory, too.
    ///
    /// # Errors
    /// When it is not opened.
    ///
    /// # Panics
    /// When it holds something else, or the check finds something.
    pub fn recovers_when_ended(&self, machine: &Machine, end: Option<Lsn>) -> Result<()> {
        let mut config = self.settings.config();
        config.storage.end_damaged_log_at = end;
        let instance = Instance::open(machine.env(), Path::new(ROOT), config)?;
        let last = self.history.events.len() - 1;
        let found = verify::identify(&instance, &self.history, 0..=last, 0);
        if end.is_some() {
            verify::sound(&instance).unwrap_or_else(|what| panic!("seed {}: {what}", self.seed));
        }
        machine.fs.cut_power();
        found.unwrap_or_else(|what| panic!("seed {}: {what}", self.seed));
        Ok(())
    }

    /// The log's records from where recovery begins: where each is in it, and whether it is a checkpoint's.
    ///
    /// # Panics
    /// When the directory is damaged.
    pub fn records(&self) -> Vec<(Range<u64>, bool)> {
        let mut records = Vec::new();
        let mut visit = |record: &ochre_storage::WalRecord<'_>| {
            let is_checkpoint = inspect::is_checkpoint(record);
            records.push((record.start.0..record.start.0 + record.length as u64, is_checkpoint));
            true
        };
        inspect::read_wal(&self.machine.env(), Path::new(ROOT), None, &mut visit).expect("the log is sound");
        records
    }

    /// Changes a bit of the log in a copy.
    pub fn with_flipped_log_bit(&self, at: u64, bit: u64) -> Machine {
        let (file, offset) = self.log_file(at);
        let machine = self.copy();
        machine.fs.damage(&file, offset, |bytes| bytes[0] ^= 1 << bit, 1);
        machine
    }

    /// The file that holds a position of the log, and where.
    fn log_file(&self, at: u64) -> (PathBuf, u64) {
        let segment = self.settings.segment_bytes;
        (path(&format!("wal/{:016x}", at / segment * segment)), at % segment)
    }
}
