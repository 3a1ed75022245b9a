//! Single operations that fail: the statement that met it is told so with the right code, and the engine goes on where that
//! is safe and stops writing where it is not.
//!
//! # What must hold
//! - F1: ENOSPC is 53100 and EIO 58030; an engine that has stopped says 58030.
//! - F2: a sync that failed stops the engine. A file that could not be made, grown, renamed, removed or read does not.
//! - F3: while it goes on, what a failed statement did is undone, and nothing else is.
//! - F4: after a restart all that was acknowledged is there. What was under way when the engine stopped may be.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ochre_base::{Error, SqlState};
use ochre_engine::Instance;
use ochre_env::FileSystem;
use ochre_env::sim::{CrashMode, Fault, Fired, OperationKind};

use crate::client::{connect, query, text_of};
use crate::machine::{Machine, ROOT, Settings, path};
use crate::model::World;
use crate::stage::Stage;
use crate::verify;
use crate::workload::{History, UnderFault, Workload};

/// Few buffers: pages are written and read often. A segment leaves room for what one operation appends at most.
const SETTINGS: Settings = Settings {
    buffers: 48,
    segment_bytes: 512 << 10,
    wal_buffer_bytes: 512,
    full_page_writes: true,
    recovery_parts: 2,
};
/// Steps before anything fails, and after.
const STEPS_BEFORE: u64 = 25;
const STEPS_AFTER: u64 = 12;

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The n-th operation that changes something.
    Changes,
    /// The n-th read.
    Reads,
}

impl Target {
    fn fail(self, machine: &Machine, n: u64, fault: Fault) {
        match self {
            Target::Changes => machine.fs.fail_operation(n, fault),
            Target::Reads => machine.fs.fail_read(n, fault),
        }
    }
}

/// What became of the faults of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// The operations that were made to fail.
    pub fired: Vec<Fired>,
    /// A statement was told.
    pub told: u64,
    /// The engine stopped writing.
    pub stopped: u64,
}

impl Swept {
    fn add(&mut self, other: Swept) {
        self.fired.extend(other.fired);
        self.told += other.told;
        self.stopped += other.stopped;
    }

    /// How many operations of each kind failed, and what became of it.
    pub fn summary(&self) -> String {
        let mut kinds: BTreeMap<String, u64> = BTreeMap::new();
        self.fired.iter().for_each(|fired| *kinds.entry(format!("{:?}", fired.kind)).or_default() += 1);
        format!("{} failed {kinds:?}, {} told, {} stopped", self.fired.len(), self.told, self.stopped)
    }
}

/// Makes the first operation fail, then, in a run that is the same up to there, the `stride`-th after it, and so on over
/// a workload of some steps.
///
/// # Errors
/// What is wrong.
pub fn sweep(seed: u64, target: Target, fault: Fault, stride: u64, steps: u64) -> Result<Swept, String> {
    let mut swept = Swept::default();
    for n in (1u64..).step_by(stride as usize) {
        let explain = |what: String| format!("seed {seed}, {fault:?} at number {n} of {target:?}: {what}");
        let plan = Plan { seed, before: STEPS_BEFORE, steps, ends_cleanly: n.is_multiple_of(2) };
        match plan.run(|machine| target.fail(machine, n, fault)).map_err(explain)? {
            Some(one) => swept.add(one),
            None => return Ok(swept),
        }
    }
    Ok(swept)
}

/// Makes the first operation of a kind fail that comes after some steps, then after more of them, so many times: for kinds
/// that are rare among all operations.
///
/// # Errors
/// What is wrong.
pub fn sweep_kind(seed: u64, kind: OperationKind, fault: Fault, times: u64) -> Result<Swept, String> {
    let mut swept = Swept::default();
    for n in 0..times {
        let before = STEPS_BEFORE + 30 * n;
        let explain =
            |what: String| format!("seed {seed}, {fault:?} of {kind:?} after {before} steps: {what}");
        let plan = Plan { seed, before, steps: 400, ends_cleanly: n.is_multiple_of(2) };
        let Some(one) = plan.run(|machine| machine.fs.fail_next(kind, fault)).map_err(explain)? else {
            break;
        };
        swept.add(one);
    }
    Ok(swept)
}

/// One run with one fault.
struct Plan {
    seed: u64,
    /// Steps before the fault is armed.
    before: u64,
    /// Steps until it must have come.
    steps: u64,
    /// The run ends with a clean shutdown, if the engine has not stopped.
    ends_cleanly: bool,
}

impl Plan {
    /// `None` when the workload was over before the fault.
    fn run(&self, arm: impl FnOnce(&Machine)) -> Result<Option<Swept>, String> {
        let seed = self.seed;
        let stage = Stage::new(SETTINGS, seed)?;
        let (machine, instance) = (&stage.machine, &stage.instance);
        let mut workload = stage.workload(self.before)?;
        arm(machine);
        let mut swept = Swept::default();
        let mut left = self.steps;
        let fired = loop {
            if left == 0 {
                return Ok(None);
            }
            left -= 1;
            let outcome = workload.step_under_fault();
            let Some(fired) = machine.fs.fired().pop() else {
                if let UnderFault::Told(error) = outcome? {
                    return Err(format!("{error:?}"));
                }
                continue;
            };
            let explain = |what: String| format!("{fired:?}: {what}\n{}", workload.shown());
            if let UnderFault::Told(error) = outcome.map_err(explain)? {
                swept.told += 1;
                right_code(&fired, &error).map_err(explain)?;
            }
            break fired;
        };
        let stopped = instance.transactions().wal().poisoned().is_some();
        swept.stopped += u64::from(stopped);
        let explain =
            |what: String, workload: &Workload<'_>| format!("{fired:?}: {what}\n{}", workload.shown());
        right_to_stop(&fired, stopped).map_err(|what| explain(what, &workload))?;
        if stopped {
            refuses_writes(instance).map_err(|what| explain(what, &workload))?;
        } else {
            for _ in 0..STEPS_AFTER {
                workload.step().map_err(|what| explain(what, &workload))?;
            }
            workload.end_all().map_err(|what| explain(what, &workload))?;
            verify::holds(instance, workload.newest()).map_err(|what| explain(what, &workload))?;
        }
        if self.ends_cleanly && !stopped {
            verify::sound(instance).map_err(|what| explain(what, &workload))?;
            workload.acknowledge_all().map_err(|what| explain(what, &workload))?;
            instance.close().map_err(told)?;
        }
        let operations = machine.fs.operations();
        let shown = workload.shown();
        let attempt = if stopped { workload.attempt().cloned() } else { None };
        let (files, history) = stage.leave(workload);
        files.crash(CrashMode::Random);
        let recovered = restart(&Machine::over(files, seed), &history, attempt, operations);
        recovered.map_err(|what| format!("{fired:?}: after the restart: {what}\n{shown}"))?;
        swept.fired.push(fired);
        Ok(Some(swept))
    }
}

fn told(error: Error) -> String {
    format!("{error:?}")
}

/// F1.
fn right_code(fired: &Fired, error: &Error) -> Result<(), String> {
    let expected = match fired.fault {
        Fault::NoSpace => SqlState::DISK_FULL,
        Fault::Io => SqlState::IO_ERROR,
    };
    let stopped = error.sqlstate() == SqlState::IO_ERROR && error.message().contains("has stopped writing");
    if error.sqlstate() == expected || stopped { Ok(()) } else { Err(format!("it is told as {error:?}")) }
}

/// F2.
fn right_to_stop(fired: &Fired, stopped: bool) -> Result<(), String> {
    let below = |directory: &str| fired.path.starts_with(path(directory));
    // A segment in the making is thrown away.
    let unfinished = fired.path == path("wal/new");
    let must = fired.kind == OperationKind::Sync && !unfinished;
    let may = must
        || matches!(fired.kind, OperationKind::Sync | OperationKind::SyncDir)
        || fired.kind == OperationKind::Write && !below("base") && !unfinished;
    match stopped {
        true if !may => Err("the engine has stopped without need".to_string()),
        false if must => Err("the engine goes on".to_string()),
        _ => Ok(()),
    }
}

/// An engine that has stopped takes no more writes.
fn refuses_writes(instance: &Arc<Instance>) -> Result<(), String> {
    let mut session = connect(instance).map_err(told)?;
    match query(&mut session, "CREATE TABLE nothing_is_written_any_more (a int)") {
        Ok(_) => Err("a stopped engine takes writes".to_string()),
        Err(error) if error.sqlstate() == SqlState::IO_ERROR => Ok(()),
        Err(error) => Err(told(error)),
    }
}

/// F4.
fn restart(
    machine: &Machine,
    history: &History,
    attempt: Option<World>,
    operations: u64,
) -> Result<(), String> {
    let instance = machine.open(SETTINGS).map_err(told)?;
    let done = attempt.is_some_and(|world| verify::holds(&instance, &world).is_ok());
    if !done {
        verify::identify(&instance, history, history.possible(operations), history.drawn(operations))?;
    }
    verify::sound(&instance)?;
    instance.close().map_err(told)
}

/// Makes each operation of a recovery fail in turn: the start fails with the right code or does not need the operation,
/// and the next start finds everything.
///
/// # Errors
/// What is wrong.
pub fn sweep_recovery(seed: u64, target: Target, fault: Fault) -> Result<Swept, String> {
    let stage = Stage::new(SETTINGS, seed)?;
    let (files, history) = stage.leave(stage.workload(80)?);
    files.crash(CrashMode::Random);
    let operations = files.operations();
    let mut swept = Swept::default();
    for n in 1.. {
        let machine = Machine::over(files.fork(seed ^ n), seed);
        target.fail(&machine, n, fault);
        let opened = machine.open(SETTINGS);
        let Some(fired) = machine.fs.fired().pop() else { return Ok(swept) };
        let explain =
            |what: String| format!("seed {seed}, {fault:?} at number {n} of recovery, {fired:?}: {what}");
        if let Err(error) = &opened {
            swept.told += 1;
            right_code(&fired, error).map_err(explain)?;
        }
        machine.fs.cut_power();
        drop(opened);
        machine.fs.crash(CrashMode::Random);
        restart(&machine, &history, None, operations).map_err(explain)?;
        swept.fired.push(fired);
    }
    Ok(swept)
}

/// A device that is full for a while: statements fail with 53100, reads go on, and when there is space again everything
/// works by itself.
///
/// # Errors
/// What is wrong.
pub fn fill_the_disk(seed: u64) -> Result<Swept, String> {
    let stage = Stage::new(SETTINGS, seed)?;
    let (machine, instance) = (&stage.machine, &stage.instance);
    let mut workload = stage.workload(0)?;
    let mut swept = Swept::default();
    for round in 0..6 {
        for _ in 0..30 {
            workload.step()?;
        }
        machine.fs.limit_space(machine.fs.space_used() + round * 20_000);
        for _ in 0..60 {
            let before = machine.fs.fired().len();
            let outcome = workload.step_under_fault();
            let explain = |what: String| format!("seed {seed}, a full disk: {what}\n{}", workload.shown());
            if let UnderFault::Told(error) = outcome.map_err(explain)? {
                let full = machine.fs.fired().len() > before;
                swept.told += 1;
                if !full || error.sqlstate() != SqlState::DISK_FULL {
                    return Err(explain(told(error)));
                }
            }
            if let Some(error) = instance.transactions().wal().poisoned() {
                return Err(explain(format!("the engine has stopped: {error:?}")));
            }
        }
        machine.fs.heal();
        workload.end_all()?;
        verify::holds(instance, workload.newest())?;
    }
    swept.fired = machine.fs.fired();
    verify::sound(instance)?;
    instance.close().map_err(told)?;
    Ok(swept)
}

/// Statements that write temporary files with little memory: a sort, a join, a grouping, a set operation.
const SPILLING: [&str; 4] = [
    "SELECT count(*), min(v), max(k) FROM (SELECT k, v FROM t ORDER BY v, k OFFSET 10) AS s",
    "SELECT count(*), sum(a.k - b.k) FROM t AS a JOIN t AS b ON a.v = b.v",
    "SELECT count(*), sum(n) FROM (SELECT v, count(*) AS n FROM t GROUP BY v) AS s",
    "SELECT count(*) FROM (SELECT v FROM t EXCEPT SELECT v FROM t WHERE k % 3 = 0) AS s",
];

/// Makes each operation of statements that spill fail in turn: the statement is told with the right code, its temporary
/// files are gone, and the same statement works afterwards.
///
/// # Errors
/// What is wrong.
pub fn sweep_spills(target: Target, fault: Fault) -> Result<Swept, String> {
    let stage = Stage::new(SETTINGS, 1)?;
    let (machine, instance) = (&stage.machine, &stage.instance);
    let mut session = connect(instance).map_err(told)?;
    // So many that each part of a join is more than one block, which would stay in memory.
    let table =
        "CREATE TABLE t AS SELECT i AS k, md5((i % 10000)::text) AS v FROM generate_series(1, 20000) AS i;
                     SET work_mem = '64kB'; SET hash_mem_multiplier = 1";
    query(&mut session, table).map_err(told)?;
    instance.checkpoint().map_err(told)?;
    let mut swept = Swept::default();
    for statement in SPILLING {
        let before = swept.fired.len();
        let expected = text_of(&mut session, statement).map_err(told)?;
        for n in 1.. {
            target.fail(machine, n, fault);
            let answer = text_of(&mut session, statement);
            let Some(fired) = machine.fs.fired().get(swept.fired.len()).cloned() else { break };
            let explain = |what: String| {
                format!("{statement}, {fault:?} at number {n} of {target:?}, {fired:?}: {what}")
            };
            match answer {
                Ok(answer) if answer == expected => {}
                Ok(answer) => return Err(explain(format!("it answers {answer}"))),
                Err(error) => {
                    swept.told += 1;
                    right_code(&fired, &error).map_err(explain)?;
                }
            }
            let left = machine.fs.list(&path("tmp")).map_err(|error| explain(error.to_string()))?;
            if fired.kind == OperationKind::Name {
                // What could not be removed stays until the next start.
                for name in left {
                    machine.fs.remove(&path("tmp").join(name)).map_err(|error| explain(error.to_string()))?;
                }
            } else if !left.is_empty() {
                return Err(explain(format!("{left:?} are left")));
            }
            let again = text_of(&mut session, statement).map_err(|error| explain(told(error)))?;
            if again != expected {
                return Err(explain(format!("the next time it answers {again}")));
            }
            swept.fired.push(fired);
        }
        machine.fs.heal();
        // What has not left its buffer is read back from there.
        if target == Target::Changes && !in_temporary_files(&swept.fired[before..]) {
            return Err(format!("{statement} writes no temporary files"));
        }
    }
    if !in_temporary_files(&swept.fired) {
        return Err(format!("{target:?} meets no temporary files"));
    }
    swept.stopped = u64::from(instance.transactions().wal().poisoned().is_some());
    Ok(swept)
}

fn in_temporary_files(fired: &[Fired]) -> bool {
    fired.iter().any(|fired| fired.path.starts_with(path("tmp")))
}

/// Where the data directory is, for tests.
pub fn root() -> &'static Path {
    Path::new(ROOT)
}
