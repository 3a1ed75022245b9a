//! Runs by seed.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ochre_engine::Instance;
use ochre_env::sim::{CrashMode, SimFileSystem, SimRandom};

use crate::client::{acknowledge, connect, query};
use crate::machine::{Machine, Settings, path};
use crate::model::World;
use crate::verify;
use crate::workload::{Done, History, Names, Workload};

/// Every so many seeds, a run is short and cut after each of its operations.
const EXHAUSTIVE_SEEDS: u64 = 6;
/// How often the power goes while a directory recovers.
const MOST_CUTS_OF_A_RECOVERY: u64 = 3;

/// A bug that is planted, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// The log is not synced before a page that depends on it is written. It is for acknowledged commits and in
    /// recovery, and there are no checkpoints.
    PageBeforeLog,
    /// The first change of a page after a checkpoint does not log the whole page.
    NoPageImages,
    /// Commits are acknowledged though the log is not synced.
    CommitBeforeFlush,
    /// The names of log segments are never made durable.
    LogDirectoryNotSynced,
    /// The names of relation files are never made durable.
    RelationDirectoryNotSynced,
}

/// How seeds are run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Campaign {
    pub planted: Option<Planted>,
    /// Makes runs shorter: for tests.
    pub short: bool,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    pub done: Done,
    /// Operations on files in the workload.
    pub operations: u64,
    /// States of the files that were cut from power and recovered.
    pub cuts: u64,
    /// Cuts during recovery.
    pub recovery_cuts: u64,
    /// What all operations on files make together: the same for the same seed.
    pub trace: u64,
}

/// A run that found something wrong.
#[derive(Debug, Clone)]
pub struct Failure {
    pub seed: u64,
    /// How often it had been cut and gone on.
    pub generation: u64,
    pub step: u64,
    /// After which operation on files it was cut, if it was.
    pub cut: Option<u64>,
    pub what: String,
    /// The last statements.
    pub shown: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} generation {} step {}", self.seed, self.generation, self.step)?;
        if let Some(cut) = self.cut {
            write!(f, " cut after operation {cut}")?;
        }
        write!(f, ": {}\nthe last statements:\n{}", self.what, self.shown)
    }
}

impl Outcome {
    /// Adds another run's figures.
    pub fn add(&mut self, other: &Outcome) {
        self.done.statements += other.done.statements;
        self.done.refused += other.done.refused;
        self.done.commits += other.done.commits;
        self.done.kept_runs += other.done.kept_runs;
        self.operations += other.operations;
        self.cuts += other.cuts;
        self.recovery_cuts += other.recovery_cuts;
        self.trace = self.trace.rotate_left(1) ^ other.trace;
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} statements ({} refused), {} commits, {} runs of blocks read from kept columns, {} operations on files, \
             {} power cuts, {} more during recovery",
            self.done.statements,
            self.done.refused,
            self.done.commits,
            self.done.kept_runs,
            self.operations,
            self.cuts,
            self.recovery_cuts
        )
    }
}

/// A run in progress.
struct Run {
    seed: u64,
    campaign: Campaign,
    random: SimRandom,
    settings: Settings,
    names: Names,
    outcome: Outcome,
    generation: u64,
    step: u64,
    cut: Option<u64>,
    /// What became of the files after the cut.
    fate: Vec<String>,
    shown: String,
}

impl Campaign {
    /// Runs a seed.
    ///
    /// # Errors
    /// What is wrong: a bug of the engine, or of the model.
    pub fn run(self, seed: u64) -> Result<Outcome, Box<Failure>> {
        let random = SimRandom::new(seed);
        let mut settings = Settings::of(&random);
        settings.full_page_writes = self.planted != Some(Planted::NoPageImages);
        if self.planted == Some(Planted::PageBeforeLog) {
            // Pages are written often, and the log only for their sake.
            (settings.buffers, settings.wal_buffer_bytes) = (32, 1 << 20);
        }
        let mut run = Run {
            seed,
            campaign: self,
            random,
            settings,
            names: Names::default(),
            outcome: Outcome::default(),
            generation: 0,
            step: 0,
            cut: None,
            fate: Vec::new(),
            shown: String::new(),
        };
        let result = catch_unwind(AssertUnwindSafe(|| run.whole()));
        let result = result.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without words");
            Err(format!("panicked: {words}"))
        });
        match result {
            Ok(()) => Ok(run.outcome),
            Err(what) => Err(Box::new(Failure {
                seed,
                generation: run.generation,
                step: run.step,
                cut: run.cut,
                what: if run.cut.is_some() { format!("{what}\n({})", run.fate.join(", ")) } else { what },
                shown: run.shown,
            })),
        }
    }
}

impl Run {
    fn whole(&mut self) -> Result<(), String> {
        let mut machine =
            Machine::with_database(self.settings, self.seed).map_err(|error| format!("{error:?}"))?;
        self.plant(&machine.fs);
        let exhaustive = self.seed.is_multiple_of(EXHAUSTIVE_SEEDS);
        let generations = if exhaustive { 1 } else { 2 + self.random.below(3) };
        let mut instance = machine.open(self.settings).map_err(|error| format!("opening: {error:?}"))?;
        make_surroundings(&instance).map_err(|error| format!("making its surroundings: {error:?}"))?;
        machine.fs.make_pretended_syncs_true();
        let mut world = World::default();
        for generation in 0..generations {
            self.generation = generation;
            let (fs, next) = self.generation(&machine, instance, world, exhaustive)?;
            self.outcome.trace ^= machine.fs.trace().rotate_left(generation as u32);
            world = next;
            machine = Machine::over(fs, self.seed + generation);
            instance = machine.open(self.settings).map_err(|error| format!("opening again: {error:?}"))?;
            if self.campaign.planted == Some(Planted::PageBeforeLog) {
                self.plant(&machine.fs);
            }
            verify::holds(&instance, &world).map_err(|what| format!("after opening again: {what}"))?;
        }
        self.cut = None;
        instance.close().map_err(|error| format!("closing: {error:?}"))
    }

    fn plant(&self, fs: &SimFileSystem) {
        match self.campaign.planted {
            Some(Planted::PageBeforeLog | Planted::CommitBeforeFlush) => fs.pretend_file_syncs(&path("wal")),
            Some(Planted::LogDirectoryNotSynced) => fs.pretend_directory_syncs(&path("wal")),
            Some(Planted::RelationDirectoryNotSynced) => fs.pretend_directory_syncs(&path("base/5")),
            Some(Planted::NoPageImages) | None => {}
        }
    }

    /// Works, is cut, recovers, and returns the files of one of the cuts with what they hold.
    fn generation(
        &mut self,
        machine: &Machine,
        instance: Arc<Instance>,
        world: World,
        exhaustive: bool,
    ) -> Result<(SimFileSystem, World), String> {
        let steps = match (exhaustive, self.campaign.short) {
            (true, true) => 12,
            (true, false) => 25,
            (false, true) => 60 + self.random.below(100),
            (false, false) => 100 + self.random.below(400),
        };
        let first = machine.fs.operations();
        let after = |at: u64| first + at;
        if exhaustive {
            machine.fs.keep_states((0..50_000).map(after));
        } else {
            // A step makes some ten operations.
            let cuts = if self.campaign.short { 5 } else { 12 };
            machine.fs.keep_states((0..cuts).map(|_| after(self.random.below(steps * 8))));
        }
        let (history, states) = self.work(machine, instance, world, steps)?;
        let last = *states.keys().next_back().expect("the last state is always kept");
        self.outcome.operations += last - first;
        let chosen = self.random.below(states.len() as u64) as usize;
        let mut going_on = None;
        for (number, (cut, fs)) in states.into_iter().enumerate() {
            self.cut = Some(cut);
            let recovered = self.recover(fs, cut, &history)?;
            if number == chosen {
                going_on = Some(recovered);
            }
        }
        self.cut = None;
        Ok(going_on.expect("one of the states was chosen"))
    }

    /// Lets the clients work; returns what they did and the states of the files that were kept, the last one among them.
    fn work(
        &mut self,
        machine: &Machine,
        instance: Arc<Instance>,
        world: World,
        steps: u64,
    ) -> Result<(History, BTreeMap<u64, SimFileSystem>), String> {
        let mut workload = Workload::new(machine, Arc::clone(&instance), &self.random, &self.names, world)?;
        if self.campaign.planted == Some(Planted::PageBeforeLog) {
            workload.checkpoints = false;
            workload.acknowledged_percent = 3;
        }
        let mut verdict = Ok(());
        for step in 0..steps {
            self.step = step;
            verdict = catch_unwind(AssertUnwindSafe(|| workload.step())).unwrap_or_else(|panic| {
                let words = panic.downcast_ref::<String>().cloned();
                Err(format!("panicked: {}", words.unwrap_or_default()))
            });
            if self.campaign.planted == Some(Planted::PageBeforeLog) && workload.has_just_acknowledged() {
                machine.fs.make_pretended_syncs_true();
            }
            if verdict.is_err() {
                break;
            }
        }
        self.shown = workload.shown();
        self.outcome.done.statements += workload.done.statements;
        self.outcome.done.refused += workload.done.refused;
        self.outcome.done.commits += workload.done.commits;
        self.outcome.done.kept_runs += instance.column_cache_runs_read();
        let last = machine.fs.operations();
        let mut states = machine.fs.take_states();
        states.insert(last, machine.fs.fork(last));
        // Nothing that ends a session or an instance reaches the files.
        machine.fs.cut_power();
        let history = workload.into_history();
        drop(instance);
        verdict.map(|()| (history, states))
    }

    /// Cuts the files' power, opens them, perhaps with more cuts, and compares.
    fn recover(
        &mut self,
        fs: SimFileSystem,
        cut: u64,
        history: &History,
    ) -> Result<(SimFileSystem, World), String> {
        self.outcome.cuts += 1;
        let machine = Machine::over(fs, self.seed ^ cut);
        if self.campaign.planted == Some(Planted::PageBeforeLog) {
            machine.fs.stop_pretending();
        }
        self.fate.clear();
        let mode = self.mode();
        self.crash(&machine, mode);
        if self.random.below(3) == 0 {
            for _ in 0..1 + self.random.below(MOST_CUTS_OF_A_RECOVERY) {
                self.outcome.recovery_cuts += 1;
                let bound = if self.random.below(2) == 0 { 20 } else { 300 };
                let at = 1 + self.random.below(bound);
                machine.fs.cut_power_at(at);
                let closes = self.random.below(2) == 0;
                let opened = machine.open(self.settings);
                let ended = opened.is_ok();
                if let Ok(instance) = &opened
                    && closes
                {
                    // The power may go during it; that is what it is for.
                    let _ = instance.close();
                }
                let closes = if closes { " and a clean end" } else { "" };
                self.fate.push(format!("cut at operation {at} of recovery{closes}, recovered: {ended}"));
                machine.fs.cut_power();
                drop(opened);
                let mode = self.mode();
                self.crash(&machine, mode);
            }
        }
        let instance = machine.open(self.settings).map_err(|error| format!("recovery: {error:?}"))?;
        let state = machine.fs.fork(cut);
        let world = verify::identify(&instance, history, history.possible(cut), history.drawn(cut))?;
        verify::sound(&instance)?;
        self.outcome.done.kept_runs += instance.column_cache_runs_read();
        machine.fs.cut_power();
        drop(instance);
        // What goes on is the directory as it was recovered, killed once more.
        state.kill();
        Ok((state, world))
    }

    fn mode(&self) -> Option<CrashMode> {
        match self.random.below(6) {
            0 => Some(CrashMode::DropUnsynced),
            1 => None,
            _ => Some(CrashMode::Random),
        }
    }

    /// Without a mode only the process ends, and what was not synced stays in danger.
    fn crash(&mut self, machine: &Machine, mode: Option<CrashMode>) {
        self.fate.push(match mode {
            Some(mode) => format!("power cut with {mode:?}"),
            None => "killed".to_string(),
        });
        match mode {
            Some(mode) => machine.fs.crash(mode),
            None => machine.fs.kill(),
        }
    }
}

/// What there is before the clients come: the sequence that they draw from, a function, a type, a role.
pub(crate) fn make_surroundings(instance: &Arc<Instance>) -> ochre_base::Result<()> {
    let mut session = connect(instance)?;
    query(&mut session, "CREATE SEQUENCE numbers CACHE 1")?;
    query(
        &mut session,
        "CREATE FUNCTION backwards(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN reverse($1); END $$",
    )?;
    query(&mut session, "CREATE TYPE pair AS (x int, y text)")?;
    query(&mut session, "CREATE ROLE readers")?;
    acknowledge(&session)
}

/// Makes a new directory and cuts the power after each operation of that.
///
/// # Errors
/// What is wrong.
pub fn cut_creation(seed: u64) -> Result<u64, String> {
    let random = SimRandom::new(seed);
    let settings = Settings::of(&random);
    let machine = Machine::empty(seed);
    machine.fs.keep_states(0..100_000);
    let instance = machine.open(settings).map_err(|error| format!("{error:?}"))?;
    let last = machine.fs.operations();
    let states = machine.fs.take_states();
    machine.fs.cut_power();
    drop(instance);
    let mut cuts = 0;
    for (cut, fs) in states {
        // All of the last hundred, and some of the others.
        if cut + 100 < last && random.below(6) != 0 {
            continue;
        }
        cuts += 1;
        let machine = Machine::over(fs, seed ^ cut);
        machine.fs.crash([CrashMode::DropUnsynced, CrashMode::Random][random.below(2) as usize]);
        let fail = |what: String| format!("seed {seed} creation cut after operation {cut}: {what}");
        let instance = machine.open(settings).map_err(|error| fail(format!("{error:?}")))?;
        make_surroundings(&instance).map_err(|error| fail(format!("{error:?}")))?;
        verify::holds(&instance, &World::default()).map_err(fail)?;
        verify::sound(&instance).map_err(fail)?;
        machine.fs.cut_power();
    }
    Ok(cuts)
}
