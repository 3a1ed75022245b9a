//! Redo of pages, by several threads.
//!
//! # Role
//! The log is read and checked by one thread, which also redoes what records say besides their pages. Which pages a
//! record is about goes to *parts*: a page belongs to one of them by its address, and one thread redoes the pages of a
//! part in the order of the log. What a record does to a page depends on the record and that page alone
//! ([`ResourceManager::redo_page`]), so the parts need not know of each other.
//!
//! # Invariants
//! - P1: records of one page are redone in log order: they are in one part, whose work goes to one thread in that order.
//! - P2: files come, go and are cut only while no page is being redone, after all pages of earlier records and before
//!   those of later ones: whoever does it calls [`PageQueue::settle`] first.
//! - P3: an error ends recovery. Of several, the one of the earliest record is told.
//!
//! Without threads (or with one part) the caller's thread does the work, a window of the log at a time and part after
//! part, so that the same log leads to the same operations on files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

use hashbrown::HashMap;
use ochre_base::limits::PAGES_PER_SEGMENT;
use ochre_base::{Error, Lsn, PageKey, Result};
use parking_lot::{Condvar, Mutex};
use smallvec::SmallVec;

use crate::background::no_thread;
use crate::buffer::{BufferPool, FrameStash, PageWriteGuard};
use crate::files::{FileStore, ForkFile, ForkKey};
use crate::records;
use crate::storage::ResourceManager;
use crate::wal::{BlockFlags, RmgrId, WalRecord};

/// Pages that can lie between the end of a fork and one that a record makes: sessions may have got them, and were stopped
/// before they logged what they did with them.
const MAX_GAP: u32 = PAGES_PER_SEGMENT;
/// Portions that may wait for a thread: about as many windows of the log are in memory.
const WAITING_PORTIONS: usize = 8;
/// Forks that a thread remembers while it works on a portion.
const REMEMBERED_FORKS: usize = 16;

/// What redoing pages takes; shared by the threads that do it.
pub(super) struct PageRedo<'a> {
    pool: &'a BufferPool,
    store: &'a FileStore,
    managers: HashMap<RmgrId, &'a Arc<dyn ResourceManager>>,
    /// Pages that were not there (Y2).
    pub(super) missing: Mutex<BTreeSet<(ForkKey, u32)>>,
    progress: Mutex<Progress>,
    /// Told when a portion is done.
    done: Condvar,
}

#[derive(Default)]
struct Progress {
    /// Portions that are given out and not done.
    outstanding: usize,
    failure: Option<(Lsn, Error)>,
}

/// What a thread keeps between pages.
#[derive(Default)]
struct Hand {
    stash: FrameStash,
    /// Forks and whether their relation exists; for a portion only (P2).
    forks: SmallVec<[(ForkKey, Option<Arc<ForkFile>>); REMEMBERED_FORKS]>,
}

/// A record's pages that belong to one part.
struct Item {
    /// Where the record is.
    start: Lsn,
    /// Where in the window.
    offset: usize,
    length: usize,
    /// Bit n stands for the record's n-th page.
    pages: u32,
}

/// Items of one part, whose records are in one window of the log. Counts as outstanding while it is there.
struct Portion<'a> {
    redo: &'a PageRedo<'a>,
    window: Arc<Vec<u8>>,
    items: Vec<Item>,
}

impl Drop for Portion<'_> {
    fn drop(&mut self) {
        let mut progress = self.redo.progress.lock();
        progress.outstanding -= 1;
        if std::thread::panicking() {
            // The panic goes on where the threads are joined; until then nobody takes this for done.
            let error = Error::internal("a thread of recovery has ended");
            progress.failure.get_or_insert((Lsn::ZERO, error));
        }
        drop(progress);
        self.redo.done.notify_all();
    }
}

impl<'a> PageRedo<'a> {
    pub(super) fn new(
        pool: &'a BufferPool,
        store: &'a FileStore,
        managers: &'a [Arc<dyn ResourceManager>],
    ) -> PageRedo<'a> {
        PageRedo {
            pool,
            store,
            managers: managers.iter().map(|manager| (manager.rmgr(), manager)).collect(),
            missing: Mutex::default(),
            progress: Mutex::default(),
            done: Condvar::new(),
        }
    }

    pub(super) fn manager(&self, rmgr: RmgrId) -> Option<&'a Arc<dyn ResourceManager>> {
        self.managers.get(&rmgr).copied()
    }

    /// Redoes a portion up to its first error.
    fn portion(&self, portion: &Portion<'_>, hand: &mut Hand) {
        for item in &portion.items {
            let bytes = &portion.window[item.offset..item.offset + item.length];
            let record = WalRecord::parse(bytes, item.start).expect("the record was read before");
            let pages = (0..record.blocks.len()).filter(|index| item.pages & 1 << index != 0);
            let result = pages.into_iter().try_for_each(|index| self.page(&record, index, hand));
            if let Err(error) = result {
                self.fail(item.start, error);
                break;
            }
        }
        hand.forks.clear();
    }

    /// Notes an error if it is the first in the log (P3).
    fn fail(&self, at: Lsn, error: Error) {
        let error = while_redoing(at, error);
        let failure = &mut self.progress.lock().failure;
        if failure.as_ref().is_none_or(|(earlier, _)| at < *earlier) {
            *failure = Some((at, error));
        }
    }

    /// Redoes the record's change of its `index`-th page, unless it has that change or a later one (W4).
    fn page(&self, record: &WalRecord<'_>, index: usize, hand: &mut Hand) -> Result<()> {
        let block = &record.blocks[index];
        let made_anew = block.has_image || block.flags == BlockFlags::INIT;
        let gap = if made_anew { MAX_GAP } else { 0 };
        let fork = match hand.fork(self.store, ForkKey::of(block.key))? {
            Some(fork) if block.key.block.0 < fork.blocks().saturating_add(gap) => fork,
            _ => {
                self.missing.lock().insert((ForkKey::of(block.key), block.key.block.0)); // Y2
                return Ok(());
            }
        };
        let mut page = if made_anew {
            self.pool.fetch_blank(block.key, &fork, &mut hand.stash)?
        } else {
            let page = self.pool.write(block.key)?;
            if page.lsn() >= record.end {
                return Ok(());
            }
            page
        };
        if block.has_image {
            let damaged = || Error::corrupt(format!("the image of {} in the log is damaged", block.key));
            if !block.restore(&mut page) {
                return Err(damaged());
            }
            let checked = self.pool.check_restored(block.key, &page);
            checked.map_err(|what| damaged().detail(format!("The {what}.")))?;
            prepare(&mut page, record.end);
            return Ok(());
        }
        if made_anew {
            page.clear();
        }
        prepare(&mut page, record.end);
        match self.manager(record.rmgr) {
            Some(manager) => manager.redo_page(record, index, &mut page),
            // A page that the storage layer logs whole has nothing else to redo.
            None if record.rmgr == RmgrId::STORAGE && record.info == records::PAGES => Ok(()),
            None => Err(Error::corrupt(format!("record {} of the storage layer has pages", record.info))),
        }
    }
}

/// Says which record an error is about, unless it says so already: what was waited for may be an earlier one.
pub(super) fn while_redoing(at: Lsn, error: Error) -> Error {
    match error.fields().context {
        Some(_) => error,
        None => error.context(format!("while redoing the log record at {:016x}", at.0)),
    }
}

fn prepare(page: &mut PageWriteGuard, end: Lsn) {
    page.mark_dirty();
    page.set_lsn(end);
}

impl Hand {
    /// A fork of a relation that exists.
    fn fork(&mut self, store: &FileStore, key: ForkKey) -> Result<Option<Arc<ForkFile>>> {
        if let Some((_, fork)) = self.forks.iter().find(|(known, _)| *known == key) {
            return Ok(fork.clone());
        }
        let fork = if store.exists(key.relation)? { Some(store.fork(key)?) } else { None };
        if self.forks.len() == REMEMBERED_FORKS {
            self.forks.clear();
        }
        self.forks.push((key, fork.clone()));
        Ok(fork)
    }
}

/// Hands out the pages of records to those who redo them.
pub(super) struct PageQueue<'a> {
    redo: &'a PageRedo<'a>,
    /// What has come of each part from the window.
    parts: Vec<Vec<Item>>,
    window: Arc<Vec<u8>>,
    workers: Workers<'a>,
}

/// Who redoes the parts.
enum Workers<'a> {
    /// Whoever hands them out.
    Caller(Box<Hand>),
    /// A thread each.
    Threads(Vec<SyncSender<Portion<'a>>>),
}

impl<'a> PageQueue<'a> {
    /// Divides the pages into `parts`, with a thread each if `threads` says so.
    ///
    /// # Errors
    /// 53000 when no thread can be made.
    pub(super) fn new<'scope>(
        redo: &'a PageRedo<'a>,
        parts: usize,
        threads: bool,
        scope: &'scope Scope<'scope, 'a>,
    ) -> Result<PageQueue<'a>> {
        let parts = parts.max(1);
        let workers = if threads && parts > 1 {
            Workers::Threads((0..parts).map(|_| spawn(redo, scope)).collect::<Result<_>>()?)
        } else {
            Workers::Caller(Box::default())
        };
        let parts = (0..parts).map(|_| Vec::new()).collect();
        Ok(PageQueue { redo, parts, window: Arc::default(), workers })
    }

    /// Adds the pages of a record, which begins at `offset` in the window.
    pub(super) fn push(
        &mut self,
        record: &WalRecord<'_>,
        window: &Arc<Vec<u8>>,
        offset: usize,
    ) -> Result<()> {
        if !Arc::ptr_eq(window, &self.window) {
            self.hand_out()?;
            self.window = Arc::clone(window);
        }
        for (index, block) in record.blocks.iter().enumerate() {
            let part = part_of(block.key, self.parts.len());
            match self.parts[part].last_mut() {
                Some(item) if item.start == record.start => item.pages |= 1 << index,
                _ => {
                    let (start, length) = (record.start, record.length);
                    self.parts[part].push(Item { start, offset, length, pages: 1 << index });
                }
            }
        }
        Ok(())
    }

    /// Waits until all pages that were added are redone (P2).
    ///
    /// # Errors
    /// Of the earliest record that could not be redone (P3).
    pub(super) fn settle(&mut self) -> Result<()> {
        self.give_out();
        self.await_done()
    }

    fn hand_out(&mut self) -> Result<()> {
        self.give_out();
        let failed = self.redo.progress.lock().failure.is_some();
        if failed { self.await_done() } else { Ok(()) }
    }

    fn give_out(&mut self) {
        let window = std::mem::take(&mut self.window);
        for (part, items) in self.parts.iter_mut().enumerate() {
            if items.is_empty() {
                continue;
            }
            self.redo.progress.lock().outstanding += 1;
            let next = Vec::with_capacity(items.len());
            let (window, items) = (Arc::clone(&window), std::mem::replace(items, next));
            let portion = Portion { redo: self.redo, window, items };
            match &mut self.workers {
                Workers::Caller(hand) => self.redo.portion(&portion, hand),
                // Fails when the thread has panicked, which is noted as the portion goes.
                Workers::Threads(senders) => drop(senders[part].send(portion)),
            }
        }
    }

    fn await_done(&mut self) -> Result<()> {
        let mut progress = self.redo.progress.lock();
        while progress.outstanding > 0 {
            self.redo.done.wait(&mut progress);
        }
        progress.failure.take().map_or(Ok(()), |(_, error)| Err(error))
    }
}

impl Drop for PageQueue<'_> {
    fn drop(&mut self) {
        if let Workers::Caller(hand) = &mut self.workers {
            self.redo.pool.give_back(&mut hand.stash);
        }
    }
}

fn spawn<'scope, 'a>(
    redo: &'a PageRedo<'a>,
    scope: &'scope Scope<'scope, 'a>,
) -> Result<SyncSender<Portion<'a>>> {
    let (sender, receiver) = sync_channel(WAITING_PORTIONS);
    let thread = std::thread::Builder::new().name("redo".to_string());
    thread.spawn_scoped(scope, move || work(redo, &receiver)).map_err(no_thread)?;
    Ok(sender)
}

fn work(redo: &PageRedo<'_>, receiver: &Receiver<Portion<'_>>) {
    let mut hand = Hand::default();
    while let Ok(portion) = receiver.recv() {
        redo.portion(&portion, &mut hand);
    }
    redo.pool.give_back(&mut hand.stash);
}

/// Which part a page belongs to.
fn part_of(key: PageKey, parts: usize) -> usize {
    let fork = key.file.0 << 2 | key.fork as u64;
    let mixed = (fork.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(key.block.0))
        .wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 33) as usize % parts
}
