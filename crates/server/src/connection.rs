//! One client's connection: a task that reads messages, runs them and sends the answers.
//!
//! # States
//! ```text
//! ready ──Query, Execute of COPY FROM──▶ copying ──CopyDone, CopyFail, error──▶ ready (or skipping)
//!   │ error in the extended protocol
//!   ▼
//! skipping ──Sync──▶ ready
//! ```
//!
//! # Invariants
//! - N1: answers are sent at Sync, Flush, the end of a simple query, before the task waits for input, and past 64 KiB;
//!   so a round trip is one read and one write.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_engine::{Activity, ExecuteOutcome, Progress, ResultFormats, Resumed, Session};
use ochre_pgwire::{Bind, Decoded, Format, Frontend, MAX_MESSAGE_BYTES, ProtocolError, Target, decode};
use tokio::time::Instant;

use crate::output::{IDLE_BYTES, Output, terminated};
use crate::panics::contain;
use crate::server::Shared;
use crate::startup::{self, Greeting, fatal};
use crate::stream::DetachedStream;

/// Room for input that is asked for at a time at least, and, while a COPY streams in, at most.
const READ_BYTES: usize = 8 * 1024;
const COPY_READ_BYTES: usize = 64 * 1024;
/// Bytes of a statement that the server's log shows beside an internal error.
const LOGGED_BYTES: usize = 16 * 1024;
/// Time that a client has to take the reason why its connection ends.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves a client from its startup packet to its end.
pub(crate) async fn serve(stream: DetachedStream, greeting: Greeting, shared: Arc<Shared>) {
    let stream = match stream.attach() {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!("could not take a connection over: {error}");
            return;
        }
    };
    let mut output = Output::new(stream, Arc::clone(&shared));
    let (started, _) = contain(|| start_session(&mut output, &greeting, &shared));
    let mut session = match started {
        Ok(session) => session,
        Err(error) => {
            startup::refuse(&mut output.stream, &error).await;
            return;
        }
    };
    let mut input = Input { bytes: greeting.input, start: 0, watches_stop: false, waiting_since: None };
    let activity = Arc::clone(session.activity());
    session.allow_suspension();
    output.set_activity(&activity);
    let mut talk = Talk {
        session,
        activity,
        output,
        skipping: false,
        copying: None,
        waiting: Protocol::Simple,
        probed: None,
    };
    if let Some(error) = converse(&mut talk, &mut input, &shared).await {
        // A client that does not read is not waited for.
        let _ = tokio::time::timeout(FAREWELL_TIMEOUT, talk.end(&error)).await;
    }
    talk.output.stream.shutdown().await;
}

/// Opens the session and tells the client about it.
fn start_session(output: &mut Output, greeting: &Greeting, shared: &Arc<Shared>) -> Result<Session> {
    let request = startup::read_request(&greeting.parameters, shared.instance.settings())?;
    let session = Session::new(&shared.instance, &request.database, &request.user, request.settings)?;
    let mut encoder = output.encoder();
    if let Some((minor, options)) = &request.negotiate {
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        encoder.negotiate_protocol_version(*minor, &options);
    }
    encoder.authentication_ok();
    for (name, value) in session.reported_values() {
        encoder.parameter_status(name, &value);
    }
    let (process_id, secret) = session.cancel_key();
    encoder.backend_key_data(process_id, if request.long_keys { &secret } else { &secret[..4] });
    output.ready(session.status());
    Ok(session)
}

/// Reads and answers messages until the connection ends; with the error to end with, if there is one.
async fn converse(talk: &mut Talk, input: &mut Input, shared: &Arc<Shared>) -> Option<Error> {
    let mut stop = pin!(shared.stop.raised());
    loop {
        let next = match decode(&input.bytes[input.start..], MAX_MESSAGE_BYTES) {
            Ok(Decoded::Message(message, used)) => {
                let next = talk.receive(message);
                input.start += used;
                input.waiting_since = None;
                next
            }
            Ok(Decoded::NeedMore(wanted)) => {
                if talk.output.is_pending()
                    && let Err(error) = talk.send().await
                {
                    return Some(error);
                }
                input.make_room(wanted, talk.copying.is_some());
                talk.output.shrink();
                match wait_for_input(talk, input, shared, stop.as_mut()).await {
                    Wake::Input => continue,
                    Wake::Notified => {
                        talk.pass_notifications();
                        Next::Send
                    }
                    Wake::Closed => return None,
                    Wake::End(error) => return Some(error),
                }
            }
            Err(error) => match input.skip_broken_message(&error) {
                Some(kind) => talk.bad_message(kind, error),
                None => Next::Close(Some(fatal(SqlState::PROTOCOL_VIOLATION, error.message))),
            },
        };
        let next = match next {
            Next::Wait => talk.wait_for_row().await,
            next => next,
        };
        match next {
            Next::Go | Next::Wait if !talk.output.is_full() => {}
            Next::Go | Next::Wait | Next::Send => {
                if let Err(error) = talk.send().await {
                    return Some(error);
                }
            }
            Next::Close(error) => return error,
        }
    }
}

/// Why a wait for input ended.
enum Wake {
    Input,
    /// There are notifications for an idle session.
    Notified,
    Closed,
    End(Error),
}

/// Waits for bytes, the server's stop, or the end of a transaction's patience.
async fn wait_for_input<F: Future<Output = ()>>(
    talk: &mut Talk,
    input: &mut Input,
    shared: &Shared,
    mut stop: Pin<&mut F>,
) -> Wake {
    // A message that comes byte by byte is waited for no longer than one that does not come.
    let patience = talk.session.patience();
    let until = patience.map(|patience| *input.waiting_since.get_or_insert_with(Instant::now) + patience);
    let read = std::future::poll_fn(|context| {
        // Asked once in a task's life: its waker stays the same, and asking takes a lock that all connections share.
        if std::mem::take(&mut talk.output.took_waker) {
            talk.activity.watch_termination(context.waker());
        }
        if !std::mem::replace(&mut input.watches_stop, true) {
            talk.activity.watch_termination(context.waker());
            if stop.as_mut().poll(context).is_ready() {
                return Poll::Ready(Wake::End(terminated()));
            }
        }
        if let Some(error) = talk.activity.termination() {
            return Poll::Ready(Wake::End(error));
        }
        if shared.stop.is_raised() {
            return Poll::Ready(Wake::End(terminated()));
        }
        if talk.session.poll_notifications(context) {
            return Poll::Ready(Wake::Notified);
        }
        talk.output.stream.poll_read(context, &mut input.bytes).map(|result| match result {
            Ok(0) | Err(_) => Wake::Closed,
            Ok(_) => Wake::Input,
        })
    });
    match until {
        None => read.await,
        Some(until) => match tokio::time::timeout_at(until, read).await {
            Ok(wake) => wake,
            Err(_) => Wake::End(talk.session.out_of_patience()),
        },
    }
}

/// Bytes that were read and not used yet.
struct Input {
    bytes: Vec<u8>,
    /// Where the next message begins.
    start: usize,
    /// The task has asked to be woken when the server stops.
    watches_stop: bool,
    /// Since when the next message has been waited for, if it is not for ever.
    waiting_since: Option<Instant>,
}

impl Input {
    /// Makes room to read at least a part of a message of `wanted` bytes. Grows with the bytes that have come, not with
    /// the length that a client announces, and shrinks when there is nothing left over.
    fn make_room(&mut self, wanted: usize, copying: bool) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        let held = self.bytes.len();
        if held == 0 && !copying && self.bytes.capacity() > 2 * IDLE_BYTES {
            self.bytes.shrink_to(IDLE_BYTES);
        }
        let missing = wanted - held;
        let least = if copying { COPY_READ_BYTES } else { missing.min(READ_BYTES) };
        if self.bytes.capacity() - held < least {
            self.bytes.reserve_exact(missing.min(held).max(if copying {
                COPY_READ_BYTES
            } else {
                READ_BYTES
            }));
        }
    }

    /// Passes over a message whose frame is right and whose content is not; its kind.
    fn skip_broken_message(&mut self, error: &ProtocolError) -> Option<u8> {
        let frame_is_wrong = error.message.starts_with("invalid frontend message type")
            || error.message.starts_with("invalid message length");
        let header = self.bytes[self.start..].first_chunk::<5>().filter(|_| !frame_is_wrong)?;
        let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
        let kind = header[0];
        self.start += length + 1;
        self.waiting_since = None;
        Some(kind)
    }
}

/// A session and where its answers go.
struct Talk {
    session: Session,
    /// The session's, for the wait for input: how it is told to end.
    activity: Arc<Activity>,
    output: Output,
    /// After an error in the extended protocol: everything up to Sync is passed over.
    skipping: bool,
    copying: Option<Protocol>,
    /// By which protocol the statement came that waits for a row.
    waiting: Protocol,
    /// How often it is asked whether the client is still there.
    probed: Option<Duration>,
}

/// Which protocol a statement came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Simple,
    Extended,
}

/// What follows a message.
enum Next {
    Go,
    Send,
    /// The statement waits for a row.
    Wait,
    Close(Option<Error>),
}

impl Talk {
    /// Notifications for a session that is idle, then ReadyForQuery.
    fn ready(&mut self) {
        self.pass_notifications();
        self.output.ready(self.session.status());
    }

    /// Notifications that have come; none inside a transaction block.
    fn pass_notifications(&mut self) {
        if !self.session.is_listening() {
            return;
        }
        for notification in self.session.take_notifications() {
            let encoder = &mut self.output.encoder();
            encoder.notification(notification.process_id, &notification.channel, &notification.payload);
        }
    }

    /// Sends what there is once the session's gate is passed.
    async fn send(&mut self) -> Result<()> {
        let gate = if self.output.has_only_tags() {
            self.session.take_gate_of_tags()
        } else {
            self.session.take_gate()
        };
        self.output.flush(gate).await
    }

    /// Waits until the session's statement can go on, and goes on with it; again, if it has to wait again.
    async fn wait_for_row(&mut self) -> Next {
        loop {
            while let Some(until) = self.session.suspended_until() {
                let ready = std::future::poll_fn(|context| self.session.poll_suspended(context));
                // Past its time the wait looks at the clock itself.
                if tokio::time::timeout_at(until.into(), ready).await.is_ok() {
                    break;
                }
            }
            let next = match self.run(|session, output| session.resume(output)) {
                Ok(Resumed::Simple(progress)) => self.end_simple(Ok(progress), None),
                Ok(Resumed::Execute(outcome)) => self.end_execute(Ok(outcome)),
                Err(error) => self.answer_error(&error, None, self.waiting),
            };
            if !matches!(next, Next::Wait) {
                return next;
            }
        }
    }

    /// Tells the client why the connection ends.
    async fn end(&mut self, error: &Error) {
        if self.output.is_gone() {
            return;
        }
        self.output.error(error, None);
        if self.send().await.is_err() && !self.output.is_gone() {
            // The log failed, so what was answered must not be sent; the reason may.
            startup::refuse(&mut self.output.stream, error).await;
        }
    }

    /// Answers a message.
    fn receive(&mut self, message: Frontend<'_>) -> Next {
        if let Frontend::Terminate = message {
            return Next::Close(None);
        }
        if self.skipping && message != Frontend::Sync {
            return Next::Go;
        }
        if let Some(protocol) = self.copying {
            return self.receive_copy(protocol, &message);
        }
        match message {
            Frontend::Query(text) => self.query(text),
            Frontend::Parse { name, query, parameter_types } => {
                let types: Vec<Oid> = parameter_types.into_iter().map(Oid).collect();
                let result = self.run(|session, _| session.parse(name, query, &types));
                self.extended(result, Some(query), |output, ()| {
                    output.acknowledge(|encoder| encoder.parse_complete())
                })
            }
            Frontend::Bind(bind) => {
                let result = self.run(|session, _| bind_portal(session, &bind));
                self.extended(result, None, |output, ()| {
                    output.acknowledge(|encoder| encoder.bind_complete())
                })
            }
            Frontend::Describe(Target::Statement, name) => {
                let result = self.run(|session, _| session.describe_statement(name));
                self.extended(result, None, |output, shape| {
                    output.encoder().parameter_description(shape.parameters.iter().map(|ty| ty.oid.0));
                    output.describe(shape.columns.as_deref(), &[]);
                })
            }
            Frontend::Describe(Target::Portal, name) => {
                let result = self.run(|session, _| session.describe_portal(name));
                self.extended(result, None, |output, shape| {
                    output.describe(shape.columns.as_deref(), &shape.formats);
                })
            }
            Frontend::Execute { portal, max_rows } => self.execute(portal, max_rows),
            Frontend::Close(target, name) => {
                match target {
                    Target::Statement => self.session.close_statement(name),
                    Target::Portal => self.session.close_portal(name),
                }
                self.output.acknowledge(|encoder| encoder.close_complete());
                Next::Go
            }
            Frontend::Flush => Next::Send,
            Frontend::Sync => self.sync(),
            // Left over from a COPY that failed.
            Frontend::CopyData(_) | Frontend::CopyDone | Frontend::CopyFail(_) => Next::Go,
            Frontend::FunctionCall(_) => {
                self.session.abort_statement();
                self.answer_error(&Error::unsupported("the function-call message"), None, Protocol::Simple)
            }
            Frontend::Password(_) => Next::Close(Some(fatal(
                SqlState::PROTOCOL_VIOLATION,
                format!("invalid frontend message type {}", b'p'),
            ))),
            Frontend::Terminate => Next::Close(None),
        }
    }

    /// Calls the session; a panic of it becomes an error, its transaction is aborted, and the connection goes on.
    fn run<R>(&mut self, call: impl FnOnce(&mut Session, &mut Output) -> Result<R>) -> Result<R> {
        let wanted = self.session.client_check_interval();
        if wanted != self.probed {
            self.probe_client(wanted);
        }
        let budget = self.session.memory_budget();
        let (result, panicked) = contain(|| call(&mut self.session, &mut self.output));
        drop(budget);
        if panicked {
            let (_, panicked_again) = contain(|| {
                self.session.abort_statement();
                Ok(())
            });
            if panicked_again {
                return result.map_err(as_fatal);
            }
        }
        result
    }

    /// Has the client asked for while statements run, or no longer.
    #[cold]
    fn probe_client(&mut self, interval: Option<Duration>) {
        self.probed = interval;
        match interval {
            None => self.activity.forget_probe(),
            Some(interval) => match self.output.stream.probe() {
                Ok(probe) => self.activity.probe_client(interval, probe),
                Err(error) => tracing::warn!("could not watch a connection: {error}"),
            },
        }
    }

    fn query(&mut self, text: &str) -> Next {
        self.output.begin_simple();
        let result = self.run(|session, output| session.simple_query(text, output));
        self.end_simple(result, Some(text))
    }

    fn end_simple(&mut self, result: Result<Progress>, text: Option<&str>) -> Next {
        match result {
            Ok(Progress::Done) => {
                self.copying = None;
                self.ready();
                Next::Send
            }
            Ok(Progress::CopyIn) => {
                self.copying = Some(Protocol::Simple);
                Next::Send
            }
            Ok(Progress::Waiting) => {
                self.waiting = Protocol::Simple;
                Next::Wait
            }
            Err(error) => self.answer_error(&error, text, Protocol::Simple),
        }
    }

    fn execute(&mut self, portal: &str, max_rows: u32) -> Next {
        let result = self.run(|session, output| {
            output.begin_portal(session.describe_portal(portal)?);
            session.execute(portal, max_rows, output)
        });
        self.end_execute(result)
    }

    fn end_execute(&mut self, result: Result<ExecuteOutcome>) -> Next {
        match result {
            Ok(ExecuteOutcome::CopyIn) => {
                self.copying = Some(Protocol::Extended);
                return Next::Send;
            }
            Ok(ExecuteOutcome::Waiting) => {
                self.waiting = Protocol::Extended;
                return Next::Wait;
            }
            _ => {}
        }
        self.extended(result, None, |output, outcome| {
            if outcome == ExecuteOutcome::Suspended {
                output.encoder().portal_suspended();
            }
        })
    }

    fn sync(&mut self) -> Next {
        self.skipping = false;
        let result = self.run(|session, output| session.sync(output));
        if let Err(error) = result {
            if let Next::Close(error) = self.answer_error(&error, None, Protocol::Extended) {
                return Next::Close(error);
            }
            self.skipping = false;
        }
        self.ready();
        Next::Send
    }

    /// Answers a message of the extended protocol.
    fn extended<R>(
        &mut self,
        result: Result<R>,
        text: Option<&str>,
        answer: impl FnOnce(&mut Output, R),
    ) -> Next {
        match result {
            Ok(value) => {
                answer(&mut self.output, value);
                Next::Go
            }
            Err(error) => self.answer_error(&error, text, Protocol::Extended),
        }
    }

    /// ErrorResponse; then a simple query is over, and in the extended protocol everything up to Sync is passed over.
    fn answer_error(&mut self, error: &Error, text: Option<&str>, protocol: Protocol) -> Next {
        self.copying = None;
        if self.output.is_gone() || error.fields().severity >= Severity::Fatal {
            return Next::Close(Some(error.clone()));
        }
        if is_our_fault(error) {
            let statement = text.map_or("", |text| &text[..text.floor_char_boundary(LOGGED_BYTES)]);
            tracing::error!(statement, "{}: {}", error.sqlstate(), error.fields().message);
        }
        self.output.error(error, text);
        match protocol {
            Protocol::Simple => {
                self.ready();
                Next::Send
            }
            Protocol::Extended => {
                self.skipping = true;
                Next::Go
            }
        }
    }

    /// Answers a message while a COPY … FROM STDIN waits for data.
    fn receive_copy(&mut self, protocol: Protocol, message: &Frontend<'_>) -> Next {
        let result = match message {
            Frontend::CopyData(data) => match self.run(|session, _| session.copy_data(data)) {
                Ok(()) => return Next::Go,
                Err(error) => Err(error),
            },
            Frontend::CopyDone => self.run(|session, output| session.copy_done(output)),
            Frontend::CopyFail(reason) => self.run(|session, output| session.copy_fail(reason, output)),
            // Drivers that send everything at once have a Sync behind the Execute.
            Frontend::Sync | Frontend::Flush => return Next::Go,
            _ => {
                self.session.abort_statement();
                Err(Error::new(
                    SqlState::PROTOCOL_VIOLATION,
                    "unexpected message type during COPY from stdin",
                ))
            }
        };
        match (protocol, result) {
            (Protocol::Simple, result) => self.end_simple(result, None),
            (Protocol::Extended, Ok(_)) => {
                self.copying = None;
                Next::Go
            }
            (Protocol::Extended, Err(error)) => self.answer_error(&error, None, Protocol::Extended),
        }
    }

    /// A message that could not be read, for instance because its text is not UTF-8.
    fn bad_message(&mut self, kind: u8, error: ProtocolError) -> Next {
        if self.skipping {
            return Next::Go;
        }
        self.session.abort_statement();
        let code = if error.message.starts_with("invalid byte sequence") {
            SqlState::CHARACTER_NOT_IN_REPERTOIRE
        } else {
            SqlState::PROTOCOL_VIOLATION
        };
        let protocol = match kind {
            b'Q' | b'F' => Protocol::Simple,
            b'd' | b'c' | b'f' => self.copying.unwrap_or(Protocol::Extended),
            _ => Protocol::Extended,
        };
        self.answer_error(&Error::new(code, error.message), None, protocol)
    }
}

/// Bind: hands the values on without copying them.
fn bind_portal(session: &mut Session, bind: &Bind<'_>) -> Result<()> {
    let wrong = |error: ProtocolError| Error::new(SqlState::INVALID_PARAMETER_VALUE, error.message);
    for index in 0..bind.parameter_formats.len() {
        bind.parameter_formats.format(index).map_err(wrong)?;
    }
    let formats: ResultFormats = (0..bind.result_formats.len())
        .map(|index| bind.result_formats.format(index).map(|format| format as u16))
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    let values = Values { formats: bind, next: 0, values: bind.values() };
    session.bind(bind.portal, bind.statement, values, formats)
}

/// The values of a Bind with their forms.
struct Values<'b, 'a, I> {
    formats: &'b Bind<'a>,
    next: usize,
    values: I,
}

impl<'a, I: Iterator<Item = Option<&'a [u8]>>> Iterator for Values<'_, 'a, I> {
    type Item = (bool, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.values.next()?;
        let binary = self.formats.parameter_formats.format(self.next) == Ok(Format::Binary);
        self.next += 1;
        Some((binary, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.formats.parameter_count - self.next;
        (left, Some(left))
    }
}

impl<'a, I: Iterator<Item = Option<&'a [u8]>>> ExactSizeIterator for Values<'_, 'a, I> {}

/// Whether an error tells of a fault in the server or its files, which whoever runs it must learn of.
fn is_our_fault(error: &Error) -> bool {
    error.sqlstate().as_str().starts_with("XX")
}

#[cold]
fn as_fatal(mut error: Error) -> Error {
    error.fields_mut().severity = Severity::Fatal;
    error
}
