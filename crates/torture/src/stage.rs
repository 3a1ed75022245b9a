//! A machine with a new database and clients at work on it: where the tests of faults and of damage begin.

use std::sync::Arc;

use ochre_engine::Instance;
use ochre_env::sim::{SimFileSystem, SimRandom};

use crate::campaign::make_surroundings;
use crate::machine::{Machine, Settings};
use crate::model::World;
use crate::workload::{History, Names, Workload};

/// What a seed's workload runs on.
pub(crate) struct Stage {
    pub(crate) machine: Machine,
    pub(crate) instance: Arc<Instance>,
    seed: u64,
    random: SimRandom,
    names: Names,
}

impl Stage {
    /// A new database, open.
    pub(crate) fn new(settings: Settings, seed: u64) -> Result<Stage, String> {
        let machine = Machine::with_database(settings, seed).map_err(|error| format!("{error:?}"))?;
        let instance = machine.open(settings).map_err(|error| format!("opening: {error:?}"))?;
        make_surroundings(&instance).map_err(|error| format!("making its surroundings: {error:?}"))?;
        Ok(Stage { machine, instance, seed, random: SimRandom::new(seed), names: Names::default() })
    }

    /// The seed's workload, after some steps.
    pub(crate) fn workload(&self, steps: u64) -> Result<Workload<'_>, String> {
        let instance = Arc::clone(&self.instance);
        let mut workload =
            Workload::new(&self.machine, instance, &self.random, &self.names, World::default())?;
        for _ in 0..steps {
            workload.step().map_err(|what| format!("seed {}: {what}\n{}", self.seed, workload.shown()))?;
        }
        Ok(workload)
    }

    /// Takes the files as they are, with what the workload did to them. Nothing that the end of the sessions and of the
    /// instance does reaches them.
    pub(crate) fn leave(&self, workload: Workload<'_>) -> (SimFileSystem, History) {
        let files = self.machine.fs.fork(self.seed);
        self.machine.fs.cut_power();
        (files, workload.into_history())
    }
}
