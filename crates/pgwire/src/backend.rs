//! What the server sends.

use ochre_base::{ErrorFields, Severity};

use crate::Format;

/// A session's state as ReadyForQuery tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TransactionStatus {
    Idle = b'I',
    InTransaction = b'T',
    Failed = b'E',
}

/// A column as RowDescription tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDescription<'a> {
    pub name: &'a str,
    /// Zero when the column is no table's.
    pub table: u32,
    pub column: i16,
    pub type_id: u32,
    /// As `pg_type.typlen`.
    pub type_length: i16,
    pub type_modifier: i32,
    pub format: Format,
}

/// Appends messages to a buffer.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    /// An encoder at the end of a buffer.
    pub fn new(out: &'a mut Vec<u8>) -> Encoder<'a> {
        Encoder { out }
    }

    /// A message whose body `body` appends; the length is filled in after.
    fn message(&mut self, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        put_message(self.out, kind, body);
    }

    /// AuthenticationOk.
    pub fn authentication_ok(&mut self) {
        self.message(b'R', |out| out.extend_from_slice(&0_u32.to_be_bytes()));
    }

    /// AuthenticationSASL with the mechanisms on offer.
    pub fn authentication_sasl(&mut self, mechanisms: &[&str]) {
        self.message(b'R', |out| {
            out.extend_from_slice(&10_u32.to_be_bytes());
            for mechanism in mechanisms {
                put_text(out, mechanism);
            }
            out.push(0);
        });
    }

    /// AuthenticationSASLContinue.
    pub fn authentication_sasl_continue(&mut self, data: &[u8]) {
        self.message(b'R', |out| {
            out.extend_from_slice(&11_u32.to_be_bytes());
            out.extend_from_slice(data);
        });
    }

    /// AuthenticationSASLFinal.
    pub fn authentication_sasl_final(&mut self, data: &[u8]) {
        self.message(b'R', |out| {
            out.extend_from_slice(&12_u32.to_be_bytes());
            out.extend_from_slice(data);
        });
    }

    /// NegotiateProtocolVersion: the newest minor version we speak, and the options we do not know.
    pub fn negotiate_protocol_version(&mut self, minor: u16, unknown_options: &[&str]) {
        self.message(b'v', |out| {
            out.extend_from_slice(&((3_u32 << 16) | u32::from(minor)).to_be_bytes());
            out.extend_from_slice(&(unknown_options.len() as u32).to_be_bytes());
            for option in unknown_options {
                put_text(out, option);
            }
        });
    }

    /// BackendKeyData.
    pub fn backend_key_data(&mut self, process_id: i32, secret: &[u8]) {
        self.message(b'K', |out| {
            out.extend_from_slice(&process_id.to_be_bytes());
            out.extend_from_slice(secret);
        });
    }

    /// ParameterStatus.
    pub fn parameter_status(&mut self, name: &str, value: &str) {
        self.message(b'S', |out| {
            put_text(out, name);
            put_text(out, value);
        });
    }

    /// ReadyForQuery.
    pub fn ready_for_query(&mut self, status: TransactionStatus) {
        self.message(b'Z', |out| out.push(status as u8));
    }

    /// RowDescription.
    pub fn row_description<'f>(&mut self, fields: impl ExactSizeIterator<Item = FieldDescription<'f>>) {
        self.message(b'T', |out| {
            out.extend_from_slice(&(fields.len() as u16).to_be_bytes());
            for field in fields {
                put_text(out, field.name);
                out.extend_from_slice(&field.table.to_be_bytes());
                out.extend_from_slice(&field.column.to_be_bytes());
                out.extend_from_slice(&field.type_id.to_be_bytes());
                out.extend_from_slice(&field.type_length.to_be_bytes());
                out.extend_from_slice(&field.type_modifier.to_be_bytes());
                out.extend_from_slice(&(field.format as u16).to_be_bytes());
            }
        });
    }

    /// ParameterDescription.
    pub fn parameter_description(&mut self, types: impl ExactSizeIterator<Item = u32>) {
        self.message(b't', |out| {
            out.extend_from_slice(&(types.len() as u16).to_be_bytes());
            for type_id in types {
                out.extend_from_slice(&type_id.to_be_bytes());
            }
        });
    }

    /// Begins a DataRow of `columns` values; [`Encoder::finish_row`] ends it.
    pub fn begin_row(&mut self, columns: u16) -> usize {
        self.out.push(b'D');
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        self.out.extend_from_slice(&columns.to_be_bytes());
        start
    }

    /// A NULL in the row that was begun.
    pub fn null_value(&mut self) {
        self.out.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    /// A value in the row that was begun, its bytes appended by `body`.
    ///
    /// # Errors
    /// Those of `body`; the row is unfinished then, and the caller cuts the buffer back.
    pub fn value<E>(&mut self, body: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        body(self.out)?;
        let length = (self.out.len() - start - 4) as u32;
        self.out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// Ends a row that [`Encoder::begin_row`] began.
    pub fn finish_row(&mut self, start: usize) {
        fill_length(self.out, start);
    }

    /// CommandComplete.
    pub fn command_complete(&mut self, tag: &str) {
        self.message(b'C', |out| put_text(out, tag));
    }

    /// EmptyQueryResponse.
    pub fn empty_query_response(&mut self) {
        self.message(b'I', |_| {});
    }

    /// ParseComplete.
    pub fn parse_complete(&mut self) {
        self.message(b'1', |_| {});
    }

    /// BindComplete.
    pub fn bind_complete(&mut self) {
        self.message(b'2', |_| {});
    }

    /// CloseComplete.
    pub fn close_complete(&mut self) {
        self.message(b'3', |_| {});
    }

    /// NoData.
    pub fn no_data(&mut self) {
        self.message(b'n', |_| {});
    }

    /// PortalSuspended.
    pub fn portal_suspended(&mut self) {
        self.message(b's', |_| {});
    }

    /// CopyInResponse, text or binary, for that many columns.
    pub fn copy_in_response(&mut self, format: Format, columns: u16) {
        self.copy_response(b'G', format, columns);
    }

    /// CopyOutResponse.
    pub fn copy_out_response(&mut self, format: Format, columns: u16) {
        self.copy_response(b'H', format, columns);
    }

    fn copy_response(&mut self, kind: u8, format: Format, columns: u16) {
        self.message(kind, |out| {
            out.push(format as u8);
            out.extend_from_slice(&columns.to_be_bytes());
            for _ in 0..columns {
                out.extend_from_slice(&(format as u16).to_be_bytes());
            }
        });
    }

    /// CopyData.
    pub fn copy_data(&mut self, data: &[u8]) {
        self.message(b'd', |out| out.extend_from_slice(data));
    }

    /// CopyDone.
    pub fn copy_done(&mut self) {
        self.message(b'c', |_| {});
    }

    /// NotificationResponse.
    pub fn notification(&mut self, process_id: i32, channel: &str, payload: &str) {
        self.message(b'A', |out| {
            out.extend_from_slice(&process_id.to_be_bytes());
            put_text(out, channel);
            put_text(out, payload);
        });
    }

    /// ErrorResponse or, below ERROR, NoticeResponse. `position` is in characters from 1, as clients want it.
    pub fn error(&mut self, error: &ErrorFields, position: Option<usize>) {
        let kind = if error.severity >= Severity::Error { b'E' } else { b'N' };
        self.message(kind, |out| {
            let mut field = |code: u8, value: &str| {
                out.push(code);
                put_text(out, value);
            };
            field(b'S', error.severity.as_str());
            field(b'V', error.severity.as_str());
            field(b'C', error.sqlstate.as_str());
            field(b'M', &error.message);
            for (code, value) in [
                (b'D', &error.detail),
                (b'H', &error.hint),
                (b'W', &error.context),
                (b's', &error.schema),
                (b't', &error.table),
                (b'c', &error.column),
                (b'd', &error.datatype),
                (b'n', &error.constraint),
            ] {
                if let Some(value) = value {
                    field(code, value);
                }
            }
            if let Some(position) = position {
                field(b'P', &position.to_string());
            }
            out.push(0);
        });
    }
}

/// Appends a message whose body `body` appends; the length is filled in after.
pub(crate) fn put_message(out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
    out.push(kind);
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    body(out);
    fill_length(out, start);
}

pub(crate) fn fill_length(out: &mut [u8], start: usize) {
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// Text with its closing zero; a zero inside would end it early, so it is cut there.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    out.extend_from_slice(&bytes[..end]);
    out.push(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use ochre_base::{Error, SqlState};

    #[test]
    fn lengths_cover_the_body() {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(&mut out);
        let row = encoder.begin_row(2);
        encoder.null_value();
        encoder
            .value(|out| {
                out.extend_from_slice(b"hello");
                Ok::<(), ()>(())
            })
            .unwrap();
        encoder.finish_row(row);
        assert_eq!(out, b"D\0\0\0\x13\0\x02\xff\xff\xff\xff\0\0\0\x05hello");
    }

    #[test]
    fn errors_carry_their_fields() {
        let mut out = Vec::new();
        let error = Error::new(SqlState::UNIQUE_VIOLATION, "m").detail("d").constraint("c");
        Encoder::new(&mut out).error(error.fields(), Some(3));
        let text = String::from_utf8_lossy(&out[5..]).replace('\0', "|");
        assert_eq!(text, "SERROR|VERROR|C23505|Mm|Dd|nc|P3||");
    }
}
