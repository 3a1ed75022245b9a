//! The write buffer: what the engine yields is encoded straight into it.
//!
//! # Invariants
//! - C1 and C2 of the crate: [`Output::flush`] waits for the session's gate; inside a statement, where the gate is not
//!   known yet, [`Output::drain`] waits for all of the log.
//! - O1: the buffer always ends with a whole message; a row whose value cannot be printed is cut off again.

use std::sync::Arc;
use std::task::Poll;

use ochre_base::{Error, Lsn, Result, Severity, SqlState};
use ochre_engine::{Activity, CommandTag, OutputColumn, PortalShape, ResultFormats, Sink};
use ochre_pgwire::{Encoder, FieldDescription, Format, TransactionStatus};
use ochre_types::{
    Batch, Column, ColumnValues, FormatContext, SqlType, encode_binary_at, oids, print_text_at,
};

use crate::server::Shared;
use crate::stream::Stream;

/// Bytes past which the buffer is sent in the middle of a statement.
const DRAIN_BYTES: usize = 64 * 1024;
/// What an idle connection keeps of its buffer.
pub(crate) const IDLE_BYTES: usize = 8 * 1024;

/// A connection's socket and what is to be sent on it.
pub(crate) struct Output {
    pub(crate) stream: Stream,
    pub(crate) shared: Arc<Shared>,
    buffer: Vec<u8>,
    /// How many bytes of the buffer are acknowledgements and tags of statements that return no rows.
    tag_bytes: usize,
    /// The statement that runs returns rows, if only none: its tag tells how many.
    returns_rows: bool,
    /// Result format codes of the portal that runs; none is all text.
    formats: ResultFormats,
    /// Describe has told the shape of rows already.
    shape_told: bool,
    tag: String,
    /// The socket failed: there is nobody to answer.
    gone: bool,
    /// How the session is told to end while a client does not take its answer.
    activity: Option<Arc<Activity>>,
    /// [`Output::flush`] has waited, so the task that waits for input is no longer the one to be told.
    pub(crate) took_waker: bool,
}

impl Output {
    pub(crate) fn new(stream: Stream, shared: Arc<Shared>) -> Output {
        Output {
            stream,
            shared,
            buffer: Vec::with_capacity(1024),
            tag_bytes: 0,
            returns_rows: false,
            formats: ResultFormats::new(),
            shape_told: false,
            tag: String::new(),
            gone: false,
            activity: None,
            took_waker: false,
        }
    }

    /// An encoder at the end of the buffer.
    pub(crate) fn encoder(&mut self) -> Encoder<'_> {
        Encoder::new(&mut self.buffer)
    }

    /// Appends a message that tells nothing of what the database holds.
    pub(crate) fn acknowledge(&mut self, put: impl FnOnce(&mut Encoder<'_>)) {
        let before = self.buffer.len();
        put(&mut Encoder::new(&mut self.buffer));
        self.tag_bytes += self.buffer.len() - before;
    }

    /// Whether there is nothing to be sent but acknowledgements and tags of statements that return no rows.
    pub(crate) fn has_only_tags(&self) -> bool {
        self.tag_bytes == self.buffer.len()
    }

    /// The next rows are of a simple query: text, and their shape goes before them.
    pub(crate) fn begin_simple(&mut self) {
        self.formats.clear();
        self.shape_told = false;
        self.returns_rows = false;
    }

    /// The next rows are of a portal, whose shape Describe tells.
    pub(crate) fn begin_portal(&mut self, shape: PortalShape) {
        self.formats = shape.formats;
        self.shape_told = true;
        self.returns_rows = shape.columns.is_some();
    }

    /// Whether something waits to be sent.
    pub(crate) fn is_pending(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The session that writes here.
    pub(crate) fn set_activity(&mut self, activity: &Arc<Activity>) {
        self.activity = Some(Arc::clone(activity));
    }

    /// Whether so much waits to be sent that it should be (N1).
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= DRAIN_BYTES
    }

    /// Whether the client is gone.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone
    }

    /// ReadyForQuery.
    pub(crate) fn ready(&mut self, status: ochre_engine::TransactionStatus) {
        let status = match status {
            ochre_engine::TransactionStatus::Idle => TransactionStatus::Idle,
            ochre_engine::TransactionStatus::InBlock => TransactionStatus::InTransaction,
            ochre_engine::TransactionStatus::Failed => TransactionStatus::Failed,
        };
        self.acknowledge(|encoder| encoder.ready_for_query(status));
    }

    /// ErrorResponse; the position counts characters of `text`, if the text is known.
    pub(crate) fn error(&mut self, error: &Error, text: Option<&str>) {
        let position = text.zip(error.fields().position).map(|(text, offset)| character(text, offset));
        self.encoder().error(error.fields(), position);
    }

    /// RowDescription of a statement's or portal's columns, or NoData.
    pub(crate) fn describe(&mut self, columns: Option<&[OutputColumn]>, formats: &[u16]) {
        let Some(columns) = columns else {
            self.acknowledge(|encoder| encoder.no_data());
            return;
        };
        let fields = columns.iter().enumerate().map(|(i, column)| FieldDescription {
            name: &column.name,
            table: column.origin.map_or(0, |origin| origin.table.0),
            column: column.origin.map_or(0, |origin| origin.attribute),
            type_id: column.ty.oid.0,
            type_length: type_length(column.ty),
            type_modifier: column.ty.typmod,
            format: format_at(formats, i),
        });
        Encoder::new(&mut self.buffer).row_description(fields);
    }

    /// Sends the buffer once the log is durable up to `gate` (C1).
    ///
    /// # Errors
    /// When the log or the client is gone; the buffer is empty then, and nothing of it was sent when it is the log.
    pub(crate) async fn flush(&mut self, gate: Lsn) -> Result<()> {
        self.tag_bytes = 0;
        if gate > Lsn::ZERO {
            let wal = self.shared.wal();
            let ticket = wal.ticket(gate);
            let waited = if ticket.is_durable() {
                Ok(())
            } else if self.shared.has_one_connection() && wal.flushes_fast() {
                // Nobody else waits for this thread, so that no other need be woken for the flush.
                ticket.wait()
            } else {
                ticket.await
            };
            if let Err(error) = waited {
                self.buffer.clear();
                return Err(error);
            }
        }
        let (activity, took_waker) = (&self.activity, &mut self.took_waker);
        // A client that does not read keeps its session waiting here, and the session must end all the same when told to.
        let ended = std::future::poll_fn(|context| {
            let Some(activity) = activity else { return Poll::Pending };
            *took_waker = true;
            activity.watch_termination(context.waker());
            match activity.termination() {
                Some(_) => Poll::Ready(()),
                None => Poll::Pending,
            }
        });
        let result = tokio::select! {
            biased;
            result = self.stream.write_all(&self.buffer) => result,
            () = self.shared.force_stop.raised() => Err(std::io::ErrorKind::Interrupted.into()),
            () = ended => Err(std::io::ErrorKind::Interrupted.into()),
        };
        self.buffer.clear();
        result.map_err(|error| {
            self.gone = true;
            client_gone(&error)
        })
    }

    /// Gives back what a large answer took.
    pub(crate) fn shrink(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > 2 * IDLE_BYTES {
            self.buffer.shrink_to(IDLE_BYTES);
        }
    }

    /// Sends the buffer from within a statement, and blocks until the client has taken it (C1, C2).
    #[cold]
    fn drain(&mut self) -> Result<()> {
        if self.gone {
            return Err(client_gone(&std::io::ErrorKind::BrokenPipe.into()));
        }
        let gate = self.shared.log_end();
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(self.flush(gate)))
            .inspect_err(|_| {
                // Part of a message may have been sent, so nothing sensible can follow.
                self.gone = true;
                self.buffer.clear();
            })
    }

    fn drain_if_full(&mut self) -> Result<()> {
        if self.buffer.len() >= DRAIN_BYTES { self.drain() } else { Ok(()) }
    }
}

impl Sink for Output {
    fn row_shape(&mut self, columns: &Arc<[OutputColumn]>) -> Result<()> {
        self.returns_rows = true;
        if !self.shape_told {
            let formats = std::mem::take(&mut self.formats);
            self.describe(Some(columns), &formats);
            self.formats = formats;
        }
        Ok(())
    }

    fn binary_rows(&mut self, binary: bool) {
        self.formats.clear();
        if binary {
            self.formats.push(Format::Binary as u16);
        }
    }

    fn rows(&mut self, batch: &Batch, columns: &[OutputColumn], format: &FormatContext) -> Result<()> {
        let count = columns.len() as u16;
        for row in batch.active() {
            let row_start = self.buffer.len();
            let mut encoder = Encoder::new(&mut self.buffer);
            let start = encoder.begin_row(count);
            for (i, (column, values)) in columns.iter().zip(&batch.columns).enumerate() {
                let form = format_at(&self.formats, i);
                if let Err(error) = put_value(&mut self.buffer, form, column.ty, values, row, format) {
                    self.buffer.truncate(row_start);
                    return Err(error);
                }
            }
            Encoder::new(&mut self.buffer).finish_row(start);
            if self.buffer.len() >= DRAIN_BYTES {
                self.drain()?;
            }
        }
        Ok(())
    }

    fn complete(&mut self, tag: CommandTag) {
        self.tag.clear();
        tag.append_to(&mut self.tag);
        let before = self.buffer.len();
        Encoder::new(&mut self.buffer).command_complete(&self.tag);
        if !std::mem::take(&mut self.returns_rows) {
            self.tag_bytes += self.buffer.len() - before;
        }
    }

    fn empty(&mut self) {
        self.encoder().empty_query_response();
    }

    fn notice(&mut self, notice: &Error) {
        self.encoder().error(notice.fields(), None);
    }

    fn setting(&mut self, name: &str, value: &str) {
        self.encoder().parameter_status(name, value);
    }

    fn copy_in(&mut self, columns: usize) {
        self.encoder().copy_in_response(Format::Text, columns as u16);
    }

    fn copy_out(&mut self, columns: usize) {
        self.encoder().copy_out_response(Format::Text, columns as u16);
    }

    fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        // One message a row, as clients that read row by row expect of PostgreSQL.
        self.encoder().copy_data(data);
        self.drain_if_full()
    }

    fn copy_out_done(&mut self) {
        self.encoder().copy_done();
    }
}

/// Appends one value with its length.
#[inline]
fn put_value(
    out: &mut Vec<u8>,
    form: Format,
    ty: SqlType,
    values: &Column,
    row: usize,
    format: &FormatContext,
) -> Result<()> {
    if values.is_null(row) {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    }
    // Text is the same in both forms, and its length is known beforehand.
    if let (ColumnValues::Bytes(_), oids::TEXT | oids::VARCHAR | oids::BPCHAR) = (values.values(), ty.oid) {
        let bytes = values.bytes(row);
        out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
        out.extend_from_slice(bytes);
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match form {
        Format::Text => print_text_at(ty, values, row, format, out)?,
        Format::Binary => encode_binary_at(ty, values, row, format, out)?,
    }
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The format of column `index`: none is all text, one is for all.
#[inline]
fn format_at(formats: &[u16], index: usize) -> Format {
    let code = match formats {
        [] => 0,
        [one] => *one,
        each => each.get(index).copied().unwrap_or(0),
    };
    if code == Format::Binary as u16 { Format::Binary } else { Format::Text }
}

/// `pg_type.typlen`; types that users make are enumerations of 4 bytes or of any length.
fn type_length(ty: SqlType) -> i16 {
    match ty.info() {
        Some(info) => info.length,
        None if ty.physical == ochre_types::PhysicalType::UInt32 => 4,
        None => -1,
    }
}

/// The 1-based number of the character that begins at or holds byte `offset`.
fn character(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    before.filter(|byte| (**byte as i8) >= -0x40).count() + 1
}

#[cold]
fn client_gone(error: &std::io::Error) -> Error {
    Error::with_severity(
        Severity::Fatal,
        SqlState::CONNECTION_FAILURE,
        format!("could not send data to client: {error}"),
    )
}

/// What a client is told when the server stops.
#[cold]
pub(crate) fn terminated() -> Error {
    Error::with_severity(
        Severity::Fatal,
        SqlState::ADMIN_SHUTDOWN,
        "terminating connection due to administrator command",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        assert_eq!(character("select x", 7), 8);
        assert_eq!(character("select 'äö', x", 15), 14);
        assert_eq!(character("", 0), 1);
    }

    #[test]
    fn one_format_is_for_all_columns() {
        assert_eq!(format_at(&[], 3), Format::Text);
        assert_eq!(format_at(&[1], 3), Format::Binary);
        assert_eq!(format_at(&[0, 1], 1), Format::Binary);
    }
}
