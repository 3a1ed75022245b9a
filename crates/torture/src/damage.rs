//! Directories to be damaged, with what they should hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ochre_base::{Lsn, Result};
use ochre_engine::Instance;
use ochre_env::sim::{CrashMode, SimRandom};
use ochre_storage::inspect;

use crate::campaign::make_sequence;
use crate::machine::{Machine, ROOT, Settings, path};
use crate::model::World;
use crate::verify;
use crate::workload::{History, Names, Workload};

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
    let settings =
        Settings { buffers: 64, segment_bytes: 256 << 10, wal_buffer_bytes: 8 << 10, full_page_writes: true };
    let random = SimRandom::new(seed);
    let machine = Machine::with_database(settings, seed).expect("a new directory");
    let instance = machine.open(settings).expect("opens");
    make_sequence(&instance).expect("a sequence");
    let mut names = Names::default();
    let workload = Workload::new(&machine, Arc::clone(&instance), &random, &mut names, World::default());
    let mut workload = workload.expect("clients");
    let fail = |what: String, workload: &Workload<'_>| panic!("seed {seed}: {what}\n{}", workload.shown());
    for _ in 0..150 {
        workload.step().unwrap_or_else(|what| fail(what, &workload));
    }
    workload.end_all().unwrap_or_else(|what| fail(what, &workload));
    workload.acknowledge_all().unwrap_or_else(|what| fail(what, &workload));
    if shut_down {
        instance.close().expect("closes");
    }
    let world = workload.newest().clone();
    let files = machine.fs.fork(seed);
    machine.fs.cut_power();
    let history = workload.into_history();
    drop(instance);
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

    /// Where in the log recovery begins and ends.
    ///
    /// # Panics
    /// When the directory is damaged.
    pub fn log(&self) -> (u64, u64) {
        let mut first = None;
        let mut visit = |record: &ochre_storage::WalRecord<'_>| {
            first.get_or_insert(record.start.0);
            true
        };
        let Lsn(end) = inspect::read_wal(&self.machine.env(), Path::new(ROOT), None, &mut visit)
            .expect("the log is sound");
        (first.unwrap_or(end), end)
    }

    /// The file that holds a position of the log, and where.
    pub fn log_file(&self, at: u64) -> (PathBuf, u64) {
        let segment = self.settings.segment_bytes;
        (path(&format!("wal/{:016x}", at / segment * segment)), at % segment)
    }
}
