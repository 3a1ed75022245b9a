//! What the joins of several threads have in common: one build side, made by all of them or by the calling thread.
//!
//! # States
//! ```text
//!         ┌─ the calling thread reads the inner side ──────────────┐
//! new ────┤                                                        ├──► linking ──► built
//!         └─► reading: each thread reads a share of it ────────────┘       │          │ the build side does not fit
//!                                                      few rows, or files ─┘          ▼
//!                                                                  splitting: each thread splits its outer rows ──► split
//! ```
//! Only the calling thread changes the phase, and only while no other thread runs ([`crate::Operator::make_ready`]). What
//! all do together is a round of its own of the gather ([`crate::Operator::take_part`]): when it has ended, all have seen
//! what each has done.
//!
//! # Invariants
//! - SB1: who works on a phase finds it as it was when the round began.
//! - SB2: build rows are judged by one thread, after the last one has probed: the thread that ends probing when no other
//!   has begun and not ended. A thread that begins later has no outer rows left (G1 of the gather).
//!
//! # Memory
//! Rows that threads read together take as many times the budget of a hash table as there are threads, as in PostgreSQL;
//! when all of them have taken that, each writes its own to partitions. A thread joins one partition at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ochre_base::{Error, Result};
use ochre_sql::explain::HashReport;
use parking_lot::Mutex;

use super::Filters;
use super::table::{Assembly, Job, Jobs, Pieces, Share, TableRows};
use crate::parallel::Control;
use crate::partition::FAN_OUT;
use crate::row_store::RowStore;

/// A build side that several threads' joins have in common.
pub struct SharedBuild {
    control: Arc<Control>,
    threads: usize,
    phase: Mutex<Phase>,
    shares: Mutex<Vec<Share>>,
    /// Bytes of rows that are being read, by all threads; and whether they have become too many.
    bytes: AtomicUsize,
    is_full: AtomicBool,
    /// Each thread's outer rows in partitions.
    probes: Mutex<Vec<Vec<RowStore>>>,
    /// SB2: threads that probe, and whether one of them judges the build rows.
    probing: AtomicUsize,
    is_judged: AtomicBool,
}

#[derive(Clone)]
pub(super) enum Phase {
    New,
    Reading,
    Linking(Arc<Assembly>, Summary),
    Built(Built),
    Splitting(Built),
    Split(Built, Jobs),
}

/// What each of the joins needs of the build side.
#[derive(Clone)]
pub(super) struct Built {
    pub summary: Summary,
    pub filters: Option<Arc<Filters>>,
    pub side: BuildSide,
}

/// What is known of the inner side as a whole.
#[derive(Clone, Copy, Default)]
pub(super) struct Summary {
    pub rows: u64,
    pub has_null_key: bool,
    pub report: HashReport,
}

#[derive(Clone)]
pub(super) enum BuildSide {
    /// No outer row has a partner, and only those that have would come out.
    Useless,
    Memory(Arc<TableRows>),
    /// By partition; taken when they are joined.
    Partitions(Arc<Mutex<Vec<Pieces>>>),
}

impl SharedBuild {
    pub(crate) fn new(control: &Arc<Control>, threads: usize) -> SharedBuild {
        SharedBuild {
            control: Arc::clone(control),
            threads,
            phase: Mutex::new(Phase::New),
            shares: Mutex::default(),
            bytes: AtomicUsize::new(0),
            is_full: AtomicBool::new(false),
            probes: Mutex::default(),
            probing: AtomicUsize::new(0),
            is_judged: AtomicBool::new(false),
        }
    }

    /// Forgets it.
    pub(crate) fn reset(&self) {
        *self.phase.lock() = Phase::New;
        self.shares.lock().clear();
        self.bytes.store(0, Ordering::Relaxed);
        self.is_full.store(false, Ordering::Relaxed);
        self.probes.lock().clear();
        self.probing.store(0, Ordering::Relaxed);
        self.is_judged.store(false, Ordering::Relaxed);
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase.lock().clone()
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        *self.phase.lock() = phase;
    }

    /// Takes an assembly to finish it: no other thread holds it any more.
    pub(super) fn take_assembly(&self, assembly: Arc<Assembly>) -> Result<Assembly> {
        self.set_phase(Phase::New);
        Arc::into_inner(assembly).ok_or_else(|| Error::internal("a thread still works on a hash table"))
    }

    /// A thread's rows take so many bytes; it has said `counted` before. Whether all threads' take more than the budget.
    pub(super) fn exceeds(&self, bytes: usize, counted: &mut usize, budget_bytes: usize) -> bool {
        let more = bytes.saturating_sub(std::mem::replace(counted, bytes));
        let all = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        if all > budget_bytes {
            self.is_full.store(true, Ordering::Relaxed);
        }
        self.is_full.load(Ordering::Relaxed)
    }

    pub(super) fn put_share(&self, share: Share) {
        self.shares.lock().push(share);
    }

    pub(super) fn take_shares(&self) -> Vec<Share> {
        std::mem::take(&mut *self.shares.lock())
    }

    pub(super) fn put_probe(&self, partitions: Vec<RowStore>) {
        self.probes.lock().push(partitions);
    }

    /// The partitions of both sides.
    pub(super) fn take_jobs(&self, build: &Mutex<Vec<Pieces>>) -> Jobs {
        let mut probe: Vec<Pieces> = std::iter::repeat_with(Pieces::default).take(FAN_OUT).collect();
        for partitions in std::mem::take(&mut *self.probes.lock()) {
            probe.iter_mut().zip(partitions).for_each(|(pieces, piece)| pieces.push(piece));
        }
        let build = std::mem::take(&mut *build.lock());
        Arc::new(Mutex::new(Job::of_sides(build, probe)))
    }

    /// Whether no thread is to begin anything.
    pub(super) fn is_stopped(&self) -> bool {
        self.control.is_stopped()
    }

    /// A thread begins to probe the table.
    pub(super) fn begin_probing(&self) {
        self.probing.fetch_add(1, Ordering::AcqRel);
    }

    /// A thread has no outer rows left; whether it is the one to judge the build rows (SB2).
    pub(super) fn end_probing(&self) -> bool {
        self.probing.fetch_sub(1, Ordering::AcqRel) == 1 && !self.is_judged.swap(true, Ordering::AcqRel)
    }
}
