//! Reads the log in order and finds its end.
//!
//! # Invariants
//! - R1: a record counts only if its CRC, its position and the system identifier are right.
//! - R2: incarnations never decrease along the log. So a stale record behind a tail that was cut and written anew
//!   never counts, even when it begins exactly where the new tail ends.
//! - R3: what was written but not synced when the power went may have come to the disk in part, so whole records can lie
//!   behind the end. One of them that tells that the log was durable beyond the end proves that the end is damage.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::Scope;

use ochre_base::{Lsn, Result};

use super::record::{ALIGNMENT, HEADER_BYTES, Header, WalRecord, aligned_end};
use super::sink::{LogSink, SegmentFiles};
use crate::background::no_thread;

const WINDOW_BYTES: usize = 1 << 20;

/// Reads records one after the other.
pub(crate) struct WalReader<'s> {
    files: &'s SegmentFiles,
    crc_seed: u32,
    next: Lsn,
    incarnation: u32,
    /// Log bytes from `window_start` on. Shared with those who redo its records; a window that nobody uses any more is
    /// filled again.
    window: Arc<Vec<u8>>,
    window_start: u64,
    used: Vec<Arc<Vec<u8>>>,
    ahead: Option<Ahead>,
}

/// Who asks the device for segments before they are read.
struct Ahead {
    go: Sender<()>,
    /// The last segment that was come to.
    segment: u64,
}

/// A record, and where its bytes are.
pub(crate) struct PlacedRecord<'a> {
    pub(crate) record: WalRecord<'a>,
    /// Log bytes, the record's among them.
    pub(crate) window: &'a Arc<Vec<u8>>,
    /// Where in the window the record begins.
    pub(crate) offset: usize,
}

impl<'s> WalReader<'s> {
    pub(crate) fn new(files: &'s SegmentFiles, crc_seed: u32, start: Lsn) -> WalReader<'s> {
        let (window, used) = (Arc::default(), Vec::new());
        WalReader {
            files,
            crc_seed,
            next: start,
            incarnation: 0,
            window,
            window_start: start.0,
            used,
            ahead: None,
        }
    }

    /// Has a thread ask the device for what comes next while this is read, some way ahead: the log was written past the
    /// system's cache, and each window would wait for the device otherwise. The thread ends with the reader.
    ///
    /// # Errors
    /// 53000 when no thread can be made.
    pub(crate) fn ask_ahead<'scope>(&mut self, scope: &'scope Scope<'scope, '_>) -> Result<()>
    where
        's: 'scope,
    {
        let (go, come) = channel();
        for _ in 0..self.files.segments_ahead() {
            // Its receiver is here.
            let _ = go.send(());
        }
        let (files, start) = (self.files, self.next);
        let thread = std::thread::Builder::new().name("wal-read-ahead".to_string());
        thread.spawn_scoped(scope, move || files.read_ahead(start, &come)).map_err(no_thread)?;
        self.ahead = Some(Ahead { go, segment: start.0 / self.files.segment_bytes() });
        Ok(())
    }

    /// Where the next record would begin: the log's end once [`WalReader::next`] has returned `None`.
    pub(crate) fn position(&self) -> Lsn {
        self.next
    }

    /// Goes on behind the end, to the next place where a record may begin.
    pub(crate) fn pass_damage(&mut self) {
        self.next.0 += ALIGNMENT;
    }

    /// The next record, or `None` where the log ends.
    pub(crate) fn next(&mut self) -> Result<Option<WalRecord<'_>>> {
        Ok(self.next_placed()?.map(|placed| placed.record))
    }

    /// As [`WalReader::next`], with the place of the record's bytes.
    #[inline]
    pub(crate) fn next_placed(&mut self) -> Result<Option<PlacedRecord<'_>>> {
        let at = self.next;
        let Some(header) = self.fill(at.0, HEADER_BYTES)? else { return Ok(None) };
        let header = Header::decode(header.first_chunk().expect("a header's bytes were asked for"));
        if !header.is_plausible(at) || header.incarnation < self.incarnation {
            return Ok(None);
        }
        let seed = self.crc_seed;
        if self.fill(at.0, header.length)?.is_none() {
            return Ok(None);
        }
        let offset = (at.0 - self.window_start) as usize;
        let bytes = &self.window[offset..offset + header.length];
        let Some(record) = WalRecord::decode(bytes, at, seed) else { return Ok(None) };
        self.next = Lsn(aligned_end(at.0, header.length));
        self.incarnation = header.incarnation;
        Ok(Some(PlacedRecord { record, window: &self.window, offset }))
    }

    /// Looks behind the end, once [`WalReader::next`] has returned `None`, for a record that proves that there was more
    /// (R3); returns where it is.
    pub(crate) fn find_proof_of_damage(&mut self) -> Result<Option<Lsn>> {
        let end = self.next;
        let mut at = end.0 + ALIGNMENT;
        while self.fill(at, HEADER_BYTES)?.is_some() {
            let window = &self.window[(at - self.window_start) as usize..];
            // Nearly everything is passed over for its position alone.
            let own = |step: &usize| {
                let position = window[*step + 8..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
                position == Some(at + *step as u64)
            };
            let last = window.len() - HEADER_BYTES;
            let Some(step) = (0..=last).step_by(ALIGNMENT as usize).find(own) else {
                at += (last as u64 / ALIGNMENT + 1) * ALIGNMENT;
                continue;
            };
            at += step as u64;
            if self.proves_damage(at, end)? {
                return Ok(Some(Lsn(at)));
            }
            at += ALIGNMENT;
        }
        Ok(None)
    }

    fn proves_damage(&mut self, at: u64, end: Lsn) -> Result<bool> {
        let Some(bytes) = self.fill(at, HEADER_BYTES)? else { return Ok(false) };
        let header = Header::decode(bytes.first_chunk().expect("a header's bytes were asked for"));
        if !header.is_plausible(Lsn(at))
            || header.incarnation < self.incarnation
            || header.durable_before().is_none_or(|durable| durable <= end)
        {
            return Ok(false);
        }
        let seed = self.crc_seed;
        let Some(record) = self.fill(at, header.length)? else { return Ok(false) };
        Ok(WalRecord::decode(record, Lsn(at), seed).is_some())
    }

    /// Makes the window hold `count` bytes from `at` on; `None` when the log has not so many.
    fn fill(&mut self, at: u64, count: usize) -> Result<Option<&[u8]>> {
        let window_end = self.window_start + self.window.len() as u64;
        if at < self.window_start || at + count as u64 > window_end {
            let wanted = count.max(WINDOW_BYTES);
            let mut window = self.unused_window();
            let mut have = 0;
            // A length field that is garbage must not make us allocate a GiB: read as much as there is.
            while have < wanted {
                let step = (wanted - have).min(8 * WINDOW_BYTES);
                if window.len() < have + step {
                    window.resize(have + step, 0);
                }
                let read = self.files.read(Lsn(at + have as u64), &mut window[have..have + step])?;
                have += read;
                if read < step {
                    break;
                }
            }
            window.truncate(have);
            self.window = Arc::new(window);
            self.window_start = at;
            self.tell_ahead(at);
        }
        let offset = (at - self.window_start) as usize;
        Ok(self.window.get(offset..offset + count))
    }

    fn tell_ahead(&mut self, at: u64) {
        let Some(ahead) = &mut self.ahead else { return };
        while ahead.segment < at / self.files.segment_bytes() {
            ahead.segment += 1;
            // It has ended if there is nothing more to ask for.
            let _ = ahead.go.send(());
        }
    }

    /// Memory for a window: one that nobody uses any more, or a new one. There is no window meanwhile.
    fn unused_window(&mut self) -> Vec<u8> {
        let before = std::mem::take(&mut self.window);
        self.window_start = 0;
        self.used.push(before);
        let unused = self.used.iter_mut().position(|window| Arc::get_mut(window).is_some());
        unused.and_then(|at| Arc::into_inner(self.used.swap_remove(at))).unwrap_or_default()
    }
}
