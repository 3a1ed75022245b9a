//! LISTEN and NOTIFY: who listens to what, and notifications on their way.
//!
//! # Role
//! A committing transaction hands its notifications to the hub at the moment that its commit is published; the hub puts
//! them into the mailboxes of the sessions that listen, and wakes them. A session's owner takes them out when the
//! session is idle.
//!
//! # Invariants
//! - B1: a mailbox holds notifications in the order of the commits: they are put there under the publish mutex.
//! - B2: a LISTEN takes effect with its transaction's commit, under the same mutex: it misses nothing committed later.
//! - B3: each notification carries the log position that its receiver's reply gate has to wait for, so nobody hears of
//!   what a crash could take back.
//! - B4: the mailboxes together hold at most [`MAX_QUEUED_BYTES`] before a transaction that notifies is refused.
//!
//! # Differences
//! PostgreSQL has one queue in files that every listener reads at its own pace; here each listener has its own, in
//! memory. A listener that stays in a transaction for ever fills the room of all, as there.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};

use hashbrown::HashMap;
use ochre_base::{Error, Lsn, Oid, Result, SqlState};
use parking_lot::Mutex;

/// Bytes of notifications that wait in all mailboxes.
pub(crate) const MAX_QUEUED_BYTES: usize = 64 << 20;
/// What a waiting notification takes besides its texts, about.
const NOTIFICATION_BYTES: usize = 64;
/// A channel's name is a name, a payload at most this long.
const MAX_CHANNEL_BYTES: usize = 63;
const MAX_PAYLOAD_BYTES: usize = 7999;

/// What a listening session is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The session that notified.
    pub process_id: i32,
    /// The channel's name.
    pub channel: Arc<str>,
    /// What was said; empty when nothing was.
    pub payload: Arc<str>,
    /// To be durable before the notification is passed on.
    pub(crate) lsn: Lsn,
}

/// A transaction's LISTEN or UNLISTEN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenAction {
    Listen(Arc<str>),
    Unlisten(Arc<str>),
    UnlistenAll,
}

/// What a session's transaction wants to say and hear, and what the session listens to.
#[derive(Default)]
pub(crate) struct SessionNotices {
    actions: Vec<ListenAction>,
    notes: Vec<(Arc<str>, Arc<str>)>,
    /// `notes` again, once there are many, to find repetitions.
    seen: std::collections::HashSet<(Arc<str>, Arc<str>)>,
    listening: BTreeSet<Arc<str>>,
    mailbox: Option<Arc<Mailbox>>,
}

/// Where the transaction's wishes ended at a savepoint.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoticeMark {
    actions: usize,
    notes: usize,
}

/// Notes from which on repetitions are looked up instead of searched for.
const MANY_NOTES: usize = 16;

/// A listening session's notifications.
pub(crate) struct Mailbox {
    hub: Arc<NotificationHub>,
    queue: Mutex<VecDeque<Notification>>,
    waker: Mutex<Option<Waker>>,
    filled: AtomicBool,
}

/// The mailboxes of each database's channels.
type Listeners = HashMap<(Oid, Arc<str>), Vec<Arc<Mailbox>>>;

/// Who listens to what, in all databases.
#[derive(Default)]
pub(crate) struct NotificationHub {
    listeners: Mutex<Listeners>,
    queued_bytes: AtomicUsize,
}

/// What a transaction hands to the hub when it commits.
pub(crate) struct Delivery {
    hub: Arc<NotificationHub>,
    database: Oid,
    process_id: i32,
    actions: Vec<ListenAction>,
    notes: Vec<(Arc<str>, Arc<str>)>,
    mailbox: Option<Arc<Mailbox>>,
}

impl SessionNotices {
    /// Whether the transaction has asked for nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.notes.is_empty()
    }

    /// Whether the session listens to something.
    pub(crate) fn is_listening(&self) -> bool {
        !self.listening.is_empty()
    }

    /// The channels listened to.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<str>> {
        self.listening.iter()
    }

    /// LISTEN, UNLISTEN.
    pub(crate) fn add_action(&mut self, action: ListenAction) {
        self.actions.push(action);
    }

    /// NOTIFY. What was said before in the same words is not said again.
    ///
    /// # Errors
    /// 22023 for a channel or a payload that cannot be.
    pub(crate) fn add_note(&mut self, channel: &str, payload: &str) -> Result<()> {
        let wrong = |message: &str| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
        if channel.is_empty() {
            return Err(wrong("channel name cannot be empty"));
        }
        if channel.len() > MAX_CHANNEL_BYTES {
            return Err(wrong("channel name too long"));
        }
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(wrong("payload string too long"));
        }
        let note: (Arc<str>, Arc<str>) = (channel.into(), payload.into());
        if self.notes.len() < MANY_NOTES {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
            return Ok(());
        }
        if self.seen.is_empty() {
            self.seen.extend(self.notes.iter().cloned());
        }
        if self.seen.insert(note.clone()) {
            self.notes.push(note);
        }
        Ok(())
    }

    pub(crate) fn mark(&self) -> NoticeMark {
        NoticeMark { actions: self.actions.len(), notes: self.notes.len() }
    }

    /// Goes back to a savepoint.
    pub(crate) fn rollback_to(&mut self, mark: NoticeMark) {
        self.actions.truncate(mark.actions);
        self.notes.truncate(mark.notes);
        self.seen.clear();
    }

    /// Takes what the transaction asked for, to deliver it when it commits.
    ///
    /// # Errors
    /// 54000 when too much waits to be heard.
    pub(crate) fn take(
        &mut self,
        hub: &Arc<NotificationHub>,
        database: Oid,
        process_id: i32,
    ) -> Result<Delivery> {
        self.seen.clear();
        let (actions, notes) = (std::mem::take(&mut self.actions), std::mem::take(&mut self.notes));
        if !notes.is_empty() && hub.queued_bytes.load(Ordering::Relaxed) >= MAX_QUEUED_BYTES {
            return Err(Error::new(
                SqlState::PROGRAM_LIMIT_EXCEEDED,
                "too many notifications in the NOTIFY queue",
            ));
        }
        if actions.iter().any(|action| matches!(action, ListenAction::Listen(_))) && self.mailbox.is_none() {
            self.mailbox = Some(Arc::new(Mailbox {
                hub: Arc::clone(hub),
                queue: Mutex::default(),
                waker: Mutex::default(),
                filled: AtomicBool::new(false),
            }));
        }
        let mailbox = self.mailbox.clone();
        Ok(Delivery { hub: Arc::clone(hub), database, process_id, actions, notes, mailbox })
    }

    /// The transaction has committed: the session listens to what it said.
    pub(crate) fn committed(&mut self, actions: &[ListenAction]) {
        for action in actions {
            match action {
                ListenAction::Listen(channel) => {
                    self.listening.insert(Arc::clone(channel));
                }
                ListenAction::Unlisten(channel) => {
                    self.listening.remove(channel);
                }
                ListenAction::UnlistenAll => self.listening.clear(),
            }
        }
    }

    /// What has come, in order.
    pub(crate) fn receive(&self) -> Vec<Notification> {
        let Some(mailbox) = &self.mailbox else { return Vec::new() };
        mailbox.filled.store(false, Ordering::SeqCst);
        let taken: Vec<Notification> = mailbox.queue.lock().drain(..).collect();
        let bytes = taken.iter().map(Notification::bytes).sum();
        mailbox.hub.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        taken
    }

    /// Whether something has come; if not, the task is woken when something does.
    pub(crate) fn poll(&self, context: &Context<'_>) -> bool {
        let Some(mailbox) = &self.mailbox else { return false };
        if mailbox.filled.load(Ordering::SeqCst) {
            return true;
        }
        *mailbox.waker.lock() = Some(context.waker().clone());
        // What came before the waker was there woke nobody.
        mailbox.filled.load(Ordering::SeqCst)
    }

    /// The session ends.
    pub(crate) fn close(&mut self, hub: &NotificationHub, database: Oid) {
        if let Some(mailbox) = self.mailbox.take() {
            hub.forget(database, &mailbox);
        }
    }
}

impl Notification {
    fn bytes(&self) -> usize {
        NOTIFICATION_BYTES + self.channel.len() + self.payload.len()
    }
}

impl Delivery {
    /// Whether something is said, not only listened to.
    pub(crate) fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    pub(crate) fn actions(&self) -> &[ListenAction] {
        &self.actions
    }

    /// Puts everything where it belongs (B1, B2).
    pub(crate) fn publish(&self, lsn: Lsn) {
        let mut listeners = self.hub.listeners.lock();
        if let Some(mailbox) = &self.mailbox {
            for action in &self.actions {
                apply(&mut listeners, self.database, mailbox, action);
            }
        }
        for (channel, payload) in &self.notes {
            let Some(mailboxes) = listeners.get(&(self.database, Arc::clone(channel))) else { continue };
            for mailbox in mailboxes {
                let notification = Notification {
                    process_id: self.process_id,
                    channel: Arc::clone(channel),
                    payload: Arc::clone(payload),
                    lsn,
                };
                self.hub.queued_bytes.fetch_add(notification.bytes(), Ordering::Relaxed);
                mailbox.queue.lock().push_back(notification);
            }
        }
    }

    /// Wakes who has something to read.
    pub(crate) fn wake(&self) {
        let listeners = self.hub.listeners.lock();
        for (channel, _) in &self.notes {
            let mailboxes = listeners.get(&(self.database, Arc::clone(channel)));
            for mailbox in mailboxes.into_iter().flatten() {
                if !mailbox.filled.swap(true, Ordering::SeqCst)
                    && let Some(waker) = mailbox.waker.lock().take()
                {
                    waker.wake();
                }
            }
        }
    }
}

fn apply(listeners: &mut Listeners, database: Oid, mailbox: &Arc<Mailbox>, action: &ListenAction) {
    match action {
        ListenAction::Listen(channel) => {
            let list = listeners.entry((database, Arc::clone(channel))).or_default();
            if !list.iter().any(|other| Arc::ptr_eq(other, mailbox)) {
                list.push(Arc::clone(mailbox));
            }
        }
        ListenAction::Unlisten(channel) => {
            let key = (database, Arc::clone(channel));
            if let Some(list) = listeners.get_mut(&key) {
                list.retain(|other| !Arc::ptr_eq(other, mailbox));
                if list.is_empty() {
                    listeners.remove(&key);
                }
            }
        }
        ListenAction::UnlistenAll => {
            listeners.retain(|(of, _), list| {
                if *of == database {
                    list.retain(|other| !Arc::ptr_eq(other, mailbox));
                }
                !list.is_empty()
            });
        }
    }
}

impl NotificationHub {
    /// `pg_notification_queue_usage`: how full the mailboxes are, from 0 to 1.
    pub(crate) fn usage(&self) -> f64 {
        self.queued_bytes.load(Ordering::Relaxed) as f64 / MAX_QUEUED_BYTES as f64
    }

    fn forget(&self, database: Oid, mailbox: &Arc<Mailbox>) {
        apply(&mut self.listeners.lock(), database, mailbox, &ListenAction::UnlistenAll);
        let bytes = mailbox.queue.lock().drain(..).map(|notification| notification.bytes()).sum();
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}
