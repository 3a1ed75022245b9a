//! A server, over PostgreSQL's protocol.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_engine::TransactionStatus;
use ochre_pgwire::{Backend, Decoded, Request, decode_answer};

use super::client::{Client, CopySource, Output, is_numeric};
use super::target::Server;

/// A session with a server.
pub(crate) struct Wire {
    server: Server,
    stream: Box<dyn Stream>,
    /// What was read and not taken yet begins at `taken`.
    buffer: Vec<u8>,
    taken: usize,
    status: TransactionStatus,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Wire {
    /// Begins a session.
    ///
    /// # Errors
    /// 08001 when nobody listens there, 0A000 when the server asks for a password, and what it refuses with.
    pub(crate) fn connect(server: &Server) -> Result<Wire> {
        let stream = open_stream(server)?;
        let mut wire = Wire {
            server: server.clone(),
            stream,
            buffer: Vec::new(),
            taken: 0,
            status: TransactionStatus::Idle,
        };
        let mut request = Vec::new();
        Request::new(&mut request).startup(&[
            ("user", server.user.as_str()),
            ("database", server.database.as_str()),
            ("application_name", "ochre shell"),
            ("client_encoding", "UTF8"),
        ]);
        wire.send(&request)?;
        loop {
            match wire.receive(|message| match message {
                Backend::Authentication(0) => Ok(Step::More),
                Backend::Authentication(_) => Err(Error::unsupported("a password from the shell")),
                Backend::ReadyForQuery(_) => Ok(Step::Ready),
                Backend::Error(error, _) => Err(error),
                _ => Ok(Step::More),
            })? {
                Step::Ready => return Ok(wire),
                Step::More | Step::CopyIn => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).map_err(|error| lost(&error))
    }

    /// Waits for the next message and looks at it.
    fn receive<R>(&mut self, look: impl FnOnce(Backend<'_>) -> Result<R>) -> Result<R> {
        loop {
            let needed = match decode_answer(&self.buffer[self.taken..]).map_err(|e| broken(&e))? {
                Decoded::NeedMore(needed) => needed,
                Decoded::Message(message, used) => {
                    self.taken += used;
                    if let Backend::ReadyForQuery(status) = &message {
                        self.status = match status {
                            ochre_pgwire::TransactionStatus::Idle => TransactionStatus::Idle,
                            ochre_pgwire::TransactionStatus::InTransaction => TransactionStatus::InBlock,
                            ochre_pgwire::TransactionStatus::Failed => TransactionStatus::Failed,
                        };
                    }
                    return look(message);
                }
            };
            self.buffer.drain(..self.taken);
            self.taken = 0;
            let have = self.buffer.len();
            self.buffer.resize(needed.max(have + 16 * 1024), 0);
            let read = self.stream.read(&mut self.buffer[have..]);
            self.buffer.truncate(have + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(lost(&"the server closed the connection unexpectedly")),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(lost(&error)),
            }
        }
    }

    /// Feeds a COPY.
    fn copy_in(&mut self, copy: &mut CopySource<'_>) -> Result<()> {
        let mut request = Vec::new();
        let mut given_up = None;
        loop {
            match copy() {
                Ok(Some(data)) => Request::new(&mut request).copy_data(&data),
                Ok(None) => break,
                Err(error) => {
                    given_up = Some(error);
                    break;
                }
            }
            if request.len() >= 64 * 1024 {
                self.send(&request)?;
                request.clear();
            }
        }
        match &given_up {
            None => Request::new(&mut request).copy_done(),
            Some(error) => Request::new(&mut request).copy_fail(error.message()),
        }
        self.send(&request)
    }
}

enum Step {
    More,
    CopyIn,
    Ready,
}

impl Client for Wire {
    fn run(&mut self, sql: &str, output: &mut dyn Output, copy: &mut CopySource<'_>) -> Result<()> {
        if sql.contains('\0') {
            let invalid = "invalid byte sequence for encoding \"UTF8\": 0x00";
            return Err(Error::new(SqlState::CHARACTER_NOT_IN_REPERTOIRE, invalid));
        }
        let mut request = Vec::new();
        Request::new(&mut request).query(sql);
        self.send(&request)?;
        let mut failure: Option<Error> = None;
        loop {
            let step = self.receive(|message| {
                match message {
                    Backend::ReadyForQuery(_) => return Ok(Step::Ready),
                    Backend::CopyIn => return Ok(Step::CopyIn),
                    Backend::RowDescription(fields) => output
                        .columns(fields.into_iter().map(|f| (f.name, is_numeric(Oid(f.type_id)))).collect()),
                    Backend::DataRow(values) => output.row(
                        values.iter().map(|v| v.map(|v| String::from_utf8_lossy(v).into_owned())).collect(),
                    ),
                    Backend::CommandComplete(tag) => output.complete(tag),
                    Backend::Notice(notice) => output.notice(&notice),
                    Backend::CopyData(data) => {
                        if let Err(error) = output.copy_data(data) {
                            failure.get_or_insert(error);
                        }
                    }
                    Backend::Error(error, position) => {
                        let error = match position.and_then(|position| byte_offset(sql, position)) {
                            Some(offset) => error.at(offset),
                            None => error,
                        };
                        if error.fields().severity >= Severity::Fatal {
                            return Err(error);
                        }
                        failure.get_or_insert(error);
                    }
                    _ => {}
                }
                Ok(Step::More)
            })?;
            match step {
                Step::More => {}
                Step::CopyIn => self.copy_in(copy)?,
                Step::Ready => return failure.map_or(Ok(()), Err),
            }
        }
    }

    fn status(&self) -> TransactionStatus {
        self.status
    }

    fn switch_database(&mut self, database: &str) -> Result<()> {
        let server = Server { database: database.to_string(), ..self.server.clone() };
        let before = std::mem::replace(self, Wire::connect(&server)?);
        Box::new(before).close()
    }

    fn names(&self) -> (&str, &str) {
        (&self.server.database, &self.server.user)
    }

    fn close(mut self: Box<Self>) -> Result<()> {
        let mut request = Vec::new();
        Request::new(&mut request).terminate();
        // A server that is gone already has ended the session too.
        let _ = self.send(&request);
        Ok(())
    }
}

fn open_stream(server: &Server) -> Result<Box<dyn Stream>> {
    let refused = |place: String, error: std::io::Error| {
        Error::new(
            SqlState::SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
            format!("connection to {place} failed: {error}"),
        )
        .hint("Is the server running there and accepting connections?")
    };
    if server.host.starts_with('/') {
        let path = format!("{}/.s.PGSQL.{}", server.host, server.port);
        return match UnixStream::connect(&path) {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(refused(format!("server on socket \"{path}\""), error)),
        };
    }
    match TcpStream::connect((server.host.as_str(), server.port)) {
        Ok(stream) => {
            // A statement is one write: it must not wait for an answer to the one before.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Err(error) => Err(refused(format!("server at \"{}\", port {}", server.host, server.port), error)),
    }
}

/// The byte of a text at a position in characters from 1.
fn byte_offset(text: &str, position: usize) -> Option<usize> {
    let offsets = text.char_indices().map(|(offset, _)| offset).chain([text.len()]);
    offsets.into_iter().nth(position.checked_sub(1)?)
}

#[cold]
fn lost(error: &dyn std::fmt::Display) -> Error {
    Error::with_severity(Severity::Fatal, SqlState::CONNECTION_FAILURE, error.to_string())
}

#[cold]
fn broken(error: &ochre_pgwire::ProtocolError) -> Error {
    Error::with_severity(Severity::Fatal, SqlState::PROTOCOL_VIOLATION, error.message.clone())
}
