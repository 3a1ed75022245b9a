//! PostgreSQL's frontend/backend protocol as pure functions over byte buffers: no sockets, no async, no SQL.
//!
//! # Role
//! [`decode_startup`] and [`decode`] take whole messages off the front of a read buffer; the functions of [`Encoder`]
//! append messages to a write buffer. [`Request`] and [`decode_answer`] are the same for a client. Who owns the buffers decides when to read, write and flush.
//!
//! # Invariants
//! - M1: a decoder never reads past the message's own length, and never allocates in proportion to a length that the
//!   bytes do not bear out.
//! - M2: whatever the bytes are, the answer is a message, "more bytes", or an error; never a panic.
//!
//! # References
//! PostgreSQL 18 documentation, chapter "Frontend/Backend Protocol"; versions 3.0 and 3.2.

mod backend;
mod client;
mod frontend;

pub use backend::{Encoder, FieldDescription, TransactionStatus};
pub use client::{Backend, Field, Request, Values, decode_answer};
pub use frontend::{
    Bind, Decoded, Formats, Frontend, Startup, StartupParameters, Target, decode, decode_startup,
};

/// The protocol version that we speak at most: 3.2.
pub const LATEST_MINOR: u16 = 2;
/// Bytes of a startup packet at most, as in PostgreSQL.
pub const MAX_STARTUP_BYTES: usize = 10_000;
/// Bytes of any later message at most: 1 GiB less one, as in PostgreSQL.
pub const MAX_MESSAGE_BYTES: usize = (1 << 30) - 1;
/// Bytes of messages that are never large (Describe, Close, Sync …).
pub const MAX_SMALL_MESSAGE_BYTES: usize = 10_000;

/// The form of a value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Format {
    Text = 0,
    Binary = 1,
}

/// Bytes that are no message of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolError {
    /// PostgreSQL's words.
    pub message: String,
}

impl ProtocolError {
    #[cold]
    pub(crate) fn new(message: impl Into<String>) -> ProtocolError {
        ProtocolError { message: message.into() }
    }
}

impl std::fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProtocolError {}
