use std::sync::mpsc;
use std::thread::JoinHandle;

use ochre_base::{SqlState, Xid};
use ochre_env::BlockThread;

use super::RelationLockMode::{AccessExclusive, AccessShare, Exclusive, RowExclusive, Share};
use super::*;

const TABLE: LockTag = LockTag::Relation { database: Oid(5), relation: Oid(20_000) };
const OTHER: LockTag = LockTag::Relation { database: Oid(5), relation: Oid(20_001) };

fn manager() -> Arc<LockManager> {
    Arc::new(LockManager::new(Arc::new(BlockThread)))
}

struct Client {
    manager: Arc<LockManager>,
    session: Arc<LockSession>,
    waiter: Waiter,
}

impl Client {
    fn new(manager: &Arc<LockManager>, process_id: i32) -> Client {
        let interrupt = Arc::new(Interrupt::new());
        interrupt.set_deadlock_timeout(Duration::from_millis(30));
        Client {
            manager: Arc::clone(manager),
            session: manager.register_session(process_id, &interrupt),
            waiter: Waiter { interrupt, lock_timeout: None },
        }
    }

    fn lock(&self, tag: LockTag, mode: RelationLockMode) -> Result<bool> {
        self.manager.lock(&self.session, &self.waiter, tag, mode, LockWait::Block)
    }

    fn try_lock(&self, tag: LockTag, mode: RelationLockMode) -> bool {
        self.manager.lock(&self.session, &self.waiter, tag, mode, LockWait::NoWait).unwrap()
    }

    fn end(&self) {
        self.manager.release_transaction(&self.session);
    }

    /// Takes a lock on another thread; the channel says when it has it.
    fn lock_later(
        &self,
        tag: LockTag,
        mode: RelationLockMode,
    ) -> (JoinHandle<()>, mpsc::Receiver<Result<bool>>) {
        let (sender, receiver) = mpsc::channel();
        let (manager, session, waiter) = (self.manager.clone(), self.session.clone(), self.waiter.clone());
        let before = waiting(&manager);
        let thread = std::thread::spawn(move || {
            let _ = sender.send(manager.lock(&session, &waiter, tag, mode, LockWait::Block));
        });
        let started = Instant::now();
        while waiting(&self.manager) == before && started.elapsed() < Duration::from_secs(5) {
            std::thread::yield_now();
        }
        (thread, receiver)
    }
}

fn waiting(manager: &LockManager) -> usize {
    manager.list().iter().filter(|row| !row.granted).count()
}

fn nobody_holds_anything(manager: &LockManager) {
    assert!(manager.list().is_empty(), "{:?}", manager.list());
    assert!(manager.partitions.iter().all(|partition| partition.lock().is_empty()));
    assert!(manager.strong.iter().all(|counter| counter.load(Ordering::SeqCst) == 0), "LK3");
}

#[test]
fn weak_locks_take_the_fast_path_until_someone_wants_a_strong_one() {
    let manager = manager();
    let (a, b) = (Client::new(&manager, 1), Client::new(&manager, 2));
    assert!(a.try_lock(TABLE, AccessShare));
    assert!(a.try_lock(TABLE, RowExclusive));
    assert!(manager.list().iter().all(|row| row.fast_path));
    assert!(!b.try_lock(TABLE, AccessExclusive), "LK1");
    assert!(manager.list().iter().all(|row| !row.fast_path), "moved to the shared table");
    assert!(b.try_lock(TABLE, AccessShare));
    a.end();
    assert!(!a.try_lock(TABLE, AccessExclusive));
    b.end();
    assert!(a.try_lock(TABLE, AccessExclusive));
    assert!(!b.try_lock(TABLE, AccessShare));
    assert!(b.try_lock(OTHER, AccessShare));
    a.end();
    assert!(b.try_lock(TABLE, AccessShare));
    b.end();
    nobody_holds_anything(&manager);
}

#[test]
fn more_relations_than_slots_spill_into_the_shared_table() {
    let manager = manager();
    let a = Client::new(&manager, 1);
    for n in 0..40 {
        assert!(a.try_lock(LockTag::Relation { database: Oid(5), relation: Oid(n + 1) }, RowExclusive));
    }
    assert_eq!(manager.list().iter().filter(|row| row.fast_path).count(), 16);
    assert_eq!(manager.list().len(), 40);
    a.end();
    nobody_holds_anything(&manager);
}

#[test]
fn the_line_is_fair() {
    let manager = manager();
    let [a, b, c, d] = [1, 2, 3, 4].map(|n| Client::new(&manager, n));
    assert!(a.try_lock(TABLE, AccessShare));
    let (b_thread, b_has) = b.lock_later(TABLE, AccessExclusive);
    // A reader does not overtake the writer in line, unless it holds what the writer waits for.
    assert!(!c.try_lock(TABLE, AccessShare));
    assert!(a.try_lock(TABLE, RowExclusive));
    let (c_thread, c_has) = c.lock_later(TABLE, AccessShare);
    let (d_thread, d_has) = d.lock_later(TABLE, RowExclusive);
    assert_eq!(manager.blocking_process_ids(2), [1]);
    assert_eq!(manager.blocking_process_ids(3), [2]);
    a.end();
    assert!(b_has.recv().unwrap().unwrap());
    assert!(c_has.try_recv().is_err() && d_has.try_recv().is_err());
    b.end();
    assert!(c_has.recv().unwrap().unwrap() && d_has.recv().unwrap().unwrap(), "they do not conflict");
    for thread in [b_thread, c_thread, d_thread] {
        thread.join().unwrap();
    }
    c.end();
    d.end();
    nobody_holds_anything(&manager);
}

#[test]
fn a_deadlock_names_both_processes() {
    let manager = manager();
    let (a, b) = (Client::new(&manager, 11), Client::new(&manager, 22));
    a.lock(TABLE, AccessExclusive).unwrap();
    b.lock(OTHER, AccessExclusive).unwrap();
    let (a_thread, a_has) = a.lock_later(OTHER, AccessShare);
    let (b_thread, b_has) = b.lock_later(TABLE, AccessShare);
    // One of the two gives up; the other gets its lock once the victim's transaction ends.
    let error = loop {
        if let Ok(answer) = a_has.recv_timeout(Duration::from_millis(5)) {
            a.end();
            assert!(b_has.recv().unwrap().unwrap());
            break answer.unwrap_err();
        }
        if let Ok(answer) = b_has.try_recv() {
            b.end();
            assert!(a_has.recv().unwrap().unwrap());
            break answer.unwrap_err();
        }
    };
    a_thread.join().unwrap();
    b_thread.join().unwrap();
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    assert_eq!(error.message(), "deadlock detected");
    let detail = error.fields().detail.clone().unwrap();
    assert!(detail.contains("waits for AccessShareLock on relation 20000 of database 5; blocked by process"));
    assert!(detail.contains(
        "Process 11 waits for AccessShareLock on relation 20001 of database 5; blocked by process 22."
    ));
    a.end();
    b.end();
    nobody_holds_anything(&manager);
}

#[test]
fn a_deadlock_over_a_transaction_is_found() {
    let manager = manager();
    let (a, b) = (Client::new(&manager, 11), Client::new(&manager, 22));
    a.waiter.interrupt.set_xid(Xid(77));
    a.waiter.interrupt.set_deadlock_timeout(Duration::from_secs(100));
    b.lock(TABLE, AccessExclusive).unwrap();
    // The lock was taken without waiting, by a session that has no transaction id.
    let (thread, a_has) = a.lock_later(TABLE, RowExclusive);
    let error = manager.wait_for_transaction(&b.waiter, Xid(77), &|| true).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    assert_eq!(
        error.fields().detail.as_deref().unwrap(),
        "Process 22 waits for ShareLock on transaction 77; blocked by process 11.\n\
         Process 11 waits for RowExclusiveLock on relation 20000 of database 5; blocked by process 22."
    );
    b.end();
    assert!(a_has.recv().unwrap().unwrap());
    thread.join().unwrap();
    a.end();
    a.waiter.interrupt.set_xid(Xid::NONE);
    nobody_holds_anything(&manager);
}

/// Two readers each stand behind a writer that waits for the other: one of them may overtake.
#[test]
fn a_cycle_of_places_in_line_is_resolved_by_another_order() {
    let manager = manager();
    let [d1, d2, e1, e2] = [1, 2, 3, 4].map(|n| Client::new(&manager, n));
    for slow in [&d2, &e1, &e2] {
        slow.waiter.interrupt.set_deadlock_timeout(Duration::from_secs(100));
    }
    d1.lock(TABLE, AccessShare).unwrap();
    d2.lock(OTHER, AccessShare).unwrap();
    let (e1_thread, e1_has) = e1.lock_later(TABLE, AccessExclusive);
    let (e2_thread, e2_has) = e2.lock_later(OTHER, AccessExclusive);
    let (d2_thread, d2_has) = d2.lock_later(TABLE, AccessShare);
    let (d1_thread, d1_has) = d1.lock_later(OTHER, AccessShare);
    assert!(d2_has.recv().unwrap().unwrap(), "the other reader overtakes, as in PostgreSQL");
    assert!(d1_has.try_recv().is_err());
    d2.end();
    assert!(e2_has.recv().unwrap().unwrap());
    e2.end();
    assert!(d1_has.recv().unwrap().unwrap());
    d1.end();
    assert!(e1_has.recv().unwrap().unwrap());
    e1.end();
    for thread in [e1_thread, e2_thread, d1_thread, d2_thread] {
        thread.join().unwrap();
    }
    nobody_holds_anything(&manager);
}

#[test]
fn two_who_want_more_of_one_lock_need_not_wait_to_find_out() {
    let manager = manager();
    let (a, b) = (Client::new(&manager, 11), Client::new(&manager, 22));
    a.waiter.interrupt.set_deadlock_timeout(Duration::from_secs(100));
    b.waiter.interrupt.set_deadlock_timeout(Duration::from_secs(100));
    a.lock(TABLE, AccessShare).unwrap();
    b.lock(TABLE, AccessShare).unwrap();
    let (thread, a_has) = a.lock_later(TABLE, AccessExclusive);
    let error = b.lock(TABLE, AccessExclusive).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::DEADLOCK_DETECTED);
    assert_eq!(
        error.fields().detail.as_deref().unwrap(),
        "Process 22 waits for AccessExclusiveLock on relation 20000 of database 5; blocked by process 11.\n\
         Process 11 waits for AccessExclusiveLock on relation 20000 of database 5; blocked by process 22."
    );
    b.end();
    assert!(a_has.recv().unwrap().unwrap());
    thread.join().unwrap();
    a.end();
    nobody_holds_anything(&manager);
}

#[test]
fn waits_end_by_timeout_and_by_cancellation() {
    let manager = manager();
    let (a, mut b) = (Client::new(&manager, 1), Client::new(&manager, 2));
    a.lock(TABLE, Exclusive).unwrap();
    b.waiter.lock_timeout = Some(Duration::from_millis(20));
    let error = b.lock(TABLE, Share).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::LOCK_NOT_AVAILABLE);
    assert_eq!(error.message(), "canceling statement due to lock timeout");
    b.waiter.lock_timeout = None;
    let (thread, b_has) = b.lock_later(TABLE, Share);
    b.waiter.interrupt.raise(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"));
    assert_eq!(b_has.recv().unwrap().unwrap_err().sqlstate(), SqlState::QUERY_CANCELED);
    thread.join().unwrap();
    a.end();
    nobody_holds_anything(&manager);
}

#[test]
fn rolling_back_to_a_mark_releases_what_came_later() {
    let manager = manager();
    let (a, b) = (Client::new(&manager, 1), Client::new(&manager, 2));
    a.lock(TABLE, AccessShare).unwrap();
    let mark = a.session.mark();
    a.lock(TABLE, AccessShare).unwrap();
    a.lock(OTHER, AccessExclusive).unwrap();
    a.lock(TABLE, RowExclusive).unwrap();
    manager.release_transaction_to(&a.session, mark);
    assert!(b.try_lock(OTHER, AccessExclusive));
    assert!(b.try_lock(TABLE, Share), "RowExclusive is gone");
    assert!(!b.try_lock(TABLE, AccessExclusive), "AccessShare is older than the mark");
    a.end();
    b.end();
    nobody_holds_anything(&manager);
}

#[test]
fn advisory_locks_count_and_outlive_transactions() {
    let manager = manager();
    let (a, b) = (Client::new(&manager, 1), Client::new(&manager, 2));
    let tag = LockTag::Advisory { database: Oid(5), key: AdvisoryKey::Big(-1) };
    assert_eq!(tag.to_string(), "advisory lock [5,4294967295,4294967295,1]");
    let lock = |client: &Client, exclusive, level| {
        manager
            .lock_advisory(&client.session, &client.waiter, tag, exclusive, level, LockWait::NoWait)
            .unwrap()
    };
    assert!(lock(&a, true, LockLevel::Session));
    assert!(lock(&a, true, LockLevel::Session));
    assert!(lock(&a, true, LockLevel::Transaction));
    a.end();
    assert!(!lock(&b, false, LockLevel::Transaction));
    assert!(manager.unlock_advisory(&a.session, tag, true));
    assert!(!lock(&b, false, LockLevel::Transaction));
    assert!(!manager.unlock_advisory(&a.session, tag, false), "it holds no shared one");
    assert!(manager.unlock_advisory(&a.session, tag, true));
    assert!(!manager.unlock_advisory(&a.session, tag, true));
    assert!(lock(&b, false, LockLevel::Transaction));
    assert!(lock(&a, false, LockLevel::Session));
    manager.end_session(1);
    b.end();
    nobody_holds_anything(&manager);
}

/// Threads take weak and strong locks at random; strong ones really exclude the others.
#[test]
fn strong_locks_exclude_under_load() {
    let manager = manager();
    let readers = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
    let threads: Vec<_> = (1..=8)
        .map(|number| {
            let client = Client::new(&manager, number);
            let readers = Arc::clone(&readers);
            std::thread::spawn(move || {
                let mut state = number as u32;
                for _ in 0..3000 {
                    state = state.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    let which = (state >> 16) as usize % 2;
                    let tag = [TABLE, OTHER][which];
                    if (state >> 20).is_multiple_of(16) {
                        client.lock(tag, AccessExclusive).unwrap();
                        assert_eq!(readers[which].swap(1000, Ordering::SeqCst), 0, "LK1");
                        std::thread::yield_now();
                        assert_eq!(readers[which].swap(0, Ordering::SeqCst), 1000, "LK1");
                    } else {
                        client.lock(tag, RowExclusive).unwrap();
                        readers[which].fetch_add(1, Ordering::SeqCst);
                        std::thread::yield_now();
                        readers[which].fetch_sub(1, Ordering::SeqCst);
                    }
                    client.end();
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    nobody_holds_anything(&manager);
}
