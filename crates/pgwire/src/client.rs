//! The client's side: what it asks in the simple protocol, and what servers answer.
//!
//! # Not done
//! Requests of the extended protocol and passwords.

use ochre_base::{Error, Severity, SqlState};

use crate::backend::{fill_length, put_message, put_text};
use crate::frontend::Reader;
use crate::{Decoded, MAX_MESSAGE_BYTES, ProtocolError, TransactionStatus};

/// Appends a client's messages to a buffer.
#[derive(Debug)]
pub struct Request<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Request<'a> {
    /// At the end of a buffer.
    pub fn new(out: &'a mut Vec<u8>) -> Request<'a> {
        Request { out }
    }

    fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        put_message(self.out, kind, body);
    }

    /// The startup packet of protocol 3.0.
    pub fn startup(&mut self, parameters: &[(&str, &str)]) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(&(3_u32 << 16).to_be_bytes());
        for (name, value) in parameters {
            put_text(self.out, name);
            put_text(self.out, value);
        }
        self.out.push(0);
        fill_length(self.out, start);
    }

    /// Query: one or more statements as text.
    pub fn query(&mut self, sql: &str) {
        self.message(b'Q', |out| put_text(out, sql));
    }

    /// CopyData.
    pub fn copy_data(&mut self, data: &[u8]) {
        self.message(b'd', |out| out.extend_from_slice(data));
    }

    /// CopyDone.
    pub fn copy_done(&mut self) {
        self.message(b'c', |_| {});
    }

    /// CopyFail, with what went wrong.
    pub fn copy_fail(&mut self, reason: &str) {
        self.message(b'f', |out| put_text(out, reason));
    }

    /// Terminate.
    pub fn terminate(&mut self) {
        self.message(b'X', |_| {});
    }
}

/// A column as RowDescription tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub type_id: u32,
}

/// The values of a DataRow, read on demand.
#[derive(Debug, PartialEq, Eq)]
pub struct Values<'a> {
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Values<'a> {
    /// The values in order, `None` for NULL.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut reader = Reader { bytes: self.bytes };
        (0..self.count)
            .map(move |_| reader.value().expect("the values were walked once when the message was decoded"))
    }
}

/// A server's message. Borrows from the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Backend<'a> {
    /// What the server wants to know before it lets the client in; 0 is nothing more.
    Authentication(u32),
    ParameterStatus(&'a str, &'a str),
    ReadyForQuery(TransactionStatus),
    RowDescription(Vec<Field>),
    DataRow(Values<'a>),
    CommandComplete(&'a str),
    EmptyQueryResponse,
    /// An error or a notice, with its position in characters from 1.
    Error(Error, Option<usize>),
    Notice(Error),
    CopyIn,
    CopyOut,
    CopyData(&'a [u8]),
    CopyDone,
    /// A message that a client of the simple protocol may pass over.
    Other(u8),
}

/// Looks for a server's message at the front of `buffer`.
///
/// # Errors
/// A length out of bounds, or content that breaks the layout.
pub fn decode_answer(buffer: &[u8]) -> Result<Decoded<Backend<'_>>, ProtocolError> {
    let Some(header) = buffer.first_chunk::<5>() else {
        return Ok(Decoded::NeedMore(5));
    };
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if !(4..=MAX_MESSAGE_BYTES).contains(&length) {
        return Err(ProtocolError::new("invalid message length"));
    }
    let total = length + 1;
    if buffer.len() < total {
        return Ok(Decoded::NeedMore(total));
    }
    let mut reader = Reader { bytes: &buffer[5..total] };
    Ok(Decoded::Message(decode_body(header[0], &mut reader)?, total))
}

fn decode_body<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Backend<'a>, ProtocolError> {
    Ok(match kind {
        b'R' => Backend::Authentication(reader.u32()?),
        b'S' => Backend::ParameterStatus(reader.text()?, reader.text()?),
        b'Z' => Backend::ReadyForQuery(match reader.u8()? {
            b'T' => TransactionStatus::InTransaction,
            b'E' => TransactionStatus::Failed,
            _ => TransactionStatus::Idle,
        }),
        b'T' => {
            let count = reader.u16()?;
            let field = |reader: &mut Reader<'a>| {
                let name = reader.text()?.to_string();
                // The table and the column that it comes from.
                reader.take(6)?;
                let type_id = reader.u32()?;
                // Length, modifier and format of the type.
                reader.take(8)?;
                Ok(Field { name, type_id })
            };
            Backend::RowDescription((0..count).map(|_| field(reader)).collect::<Result<_, _>>()?)
        }
        b'D' => {
            let count = reader.u16()? as usize;
            let values = Values { count, bytes: reader.bytes };
            for _ in 0..count {
                reader.value()?;
            }
            Backend::DataRow(values)
        }
        b'C' => Backend::CommandComplete(reader.text()?),
        b'I' => Backend::EmptyQueryResponse,
        b'E' => {
            let (error, position) = decode_fields(reader)?;
            Backend::Error(error, position)
        }
        b'N' => Backend::Notice(decode_fields(reader)?.0),
        b'G' => Backend::CopyIn,
        b'H' => Backend::CopyOut,
        b'd' => Backend::CopyData(reader.bytes),
        b'c' => Backend::CopyDone,
        other => Backend::Other(other),
    })
}

/// The fields of an error or notice, and its position.
fn decode_fields(reader: &mut Reader<'_>) -> Result<(Error, Option<usize>), ProtocolError> {
    let mut error = Error::new(SqlState::INTERNAL_ERROR, "");
    let mut position = None;
    let fields = error.fields_mut();
    loop {
        let code = reader.u8()?;
        if code == 0 {
            return Ok((error, position));
        }
        let text = reader.text()?;
        let owned = || Some(text.to_string());
        match code {
            b'V' => fields.severity = severity(text),
            b'C' if text.len() == 5 => fields.sqlstate = SqlState::new(text),
            b'M' => fields.message = text.to_string(),
            b'D' => fields.detail = owned(),
            b'H' => fields.hint = owned(),
            b'W' => fields.context = owned(),
            b's' => fields.schema = owned(),
            b't' => fields.table = owned(),
            b'c' => fields.column = owned(),
            b'd' => fields.datatype = owned(),
            b'n' => fields.constraint = owned(),
            b'P' => position = text.parse().ok(),
            _ => {}
        }
    }
}

fn severity(word: &str) -> Severity {
    let all = [
        Severity::Debug,
        Severity::Log,
        Severity::Info,
        Severity::Notice,
        Severity::Warning,
        Severity::Fatal,
        Severity::Panic,
    ];
    all.into_iter().find(|severity| severity.as_str() == word).unwrap_or(Severity::Error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoder, FieldDescription, Format, Frontend, Startup, decode, decode_startup};

    #[test]
    fn what_a_server_writes_is_read_back() {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        encoder.row_description(
            [FieldDescription {
                name: "a",
                table: 5,
                column: 1,
                type_id: 23,
                type_length: 4,
                type_modifier: -1,
                format: Format::Text,
            }]
            .into_iter(),
        );
        let row = encoder.begin_row(2);
        encoder.null_value();
        encoder
            .value(|out| {
                out.extend_from_slice(b"7");
                Ok::<(), ()>(())
            })
            .unwrap();
        encoder.finish_row(row);
        encoder.command_complete("SELECT 1");
        let error = Error::with_severity(Severity::Fatal, SqlState::UNIQUE_VIOLATION, "m").constraint("c");
        encoder.error(error.fields(), Some(9));
        encoder.ready_for_query(TransactionStatus::Failed);

        let mut messages = Vec::new();
        let mut rest = &out[..];
        while !rest.is_empty() {
            for end in 0..5 {
                assert!(matches!(decode_answer(&rest[..end]), Ok(Decoded::NeedMore(_))));
            }
            let Decoded::Message(message, used) = decode_answer(rest).unwrap() else { panic!("{rest:?}") };
            messages.push(message);
            rest = &rest[used..];
        }
        assert_eq!(messages[0], Backend::RowDescription(vec![Field { name: "a".into(), type_id: 23 }]));
        let Backend::DataRow(values) = &messages[1] else { panic!("{messages:?}") };
        assert_eq!(values.iter().collect::<Vec<_>>(), [None, Some(&b"7"[..])]);
        assert_eq!(messages[2], Backend::CommandComplete("SELECT 1"));
        assert_eq!(messages[3], Backend::Error(error, Some(9)));
        assert_eq!(messages[4], Backend::ReadyForQuery(TransactionStatus::Failed));
    }

    #[test]
    fn what_a_client_writes_is_read_by_the_server_side() {
        let mut out = Vec::new();
        Request::new(&mut out).startup(&[("user", "u"), ("database", "d")]);
        let Decoded::Message(Startup::Start(start), used) = decode_startup(&out).unwrap() else {
            panic!("{out:?}")
        };
        assert_eq!((start.get("database"), start.major, used), (Some("d"), 3, out.len()));
        out.clear();
        Request::new(&mut out).query("select 1");
        assert_eq!(
            decode(&out, MAX_MESSAGE_BYTES).unwrap(),
            Decoded::Message(Frontend::Query("select 1"), out.len())
        );
    }

    #[test]
    fn damaged_messages_are_errors() {
        assert!(decode_answer(b"D\0\0\0\x06\0\x01").is_err());
        assert!(decode_answer(b"T\0\0\0\x06\0\x01").is_err());
        assert!(decode_answer(b"E\0\0\0\x05M").is_err());
        assert!(decode_answer(b"Z\0\0\0\x03").is_err());
    }
}
