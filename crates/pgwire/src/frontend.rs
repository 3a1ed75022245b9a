//! What clients send.

use crate::{Format, MAX_MESSAGE_BYTES, MAX_SMALL_MESSAGE_BYTES, MAX_STARTUP_BYTES, ProtocolError};

/// The outcome of looking at a buffer's front.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<T> {
    /// A whole message, and how many bytes it took.
    Message(T, usize),
    /// The buffer must hold at least this many bytes before it is worth another look.
    NeedMore(usize),
}

/// A packet before the session starts; it has no type byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Startup {
    Ssl,
    Gssenc,
    Cancel {
        process_id: i32,
        /// 4 bytes in version 3.0, up to 256 in 3.2.
        secret: Vec<u8>,
    },
    Start(StartupParameters),
}

/// A startup packet's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartupParameters {
    pub major: u16,
    pub minor: u16,
    pub parameters: Vec<(String, String)>,
}

impl StartupParameters {
    /// A parameter by name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// What Describe and Close are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Statement,
    Portal,
}

/// A message of a running session. Borrows from the read buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Frontend<'a> {
    Query(&'a str),
    Parse {
        name: &'a str,
        query: &'a str,
        /// Type ids, 0 where the client leaves it to the server.
        parameter_types: Vec<u32>,
    },
    Bind(Bind<'a>),
    Describe(Target, &'a str),
    Execute {
        portal: &'a str,
        /// 0 is no limit.
        max_rows: u32,
    },
    Close(Target, &'a str),
    Flush,
    Sync,
    Terminate,
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail(&'a str),
    /// Passwords and SASL answers: what they mean depends on what was asked.
    Password(&'a [u8]),
    /// The function-call message, which nobody has used since 2003; its function's id.
    FunctionCall(u32),
}

/// A Bind message. Values are read on demand.
#[derive(Debug, PartialEq, Eq)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    pub parameter_formats: Formats<'a>,
    pub parameter_count: usize,
    values: &'a [u8],
    pub result_formats: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// The parameters' values in order, `None` for NULL.
    pub fn values(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut reader = Reader { bytes: self.values };
        (0..self.parameter_count)
            .map(move |_| reader.value().expect("the values were walked once when the message was decoded"))
    }
}

/// A list of format codes: none (all text), one for all, or one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formats<'a> {
    codes: &'a [u8],
}

impl<'a> Formats<'a> {
    /// All text.
    pub const TEXT: Formats<'static> = Formats { codes: &[] };

    /// How many codes were given.
    pub fn len(&self) -> usize {
        self.codes.len() / 2
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The format of the value at `index`.
    ///
    /// # Errors
    /// A code that is neither 0 nor 1.
    pub fn format(&self, index: usize) -> Result<Format, ProtocolError> {
        let at = match self.len() {
            0 => return Ok(Format::Text),
            1 => 0,
            _ => index,
        };
        let code = self.codes.get(at * 2..at * 2 + 2).map_or(0, |b| u16::from_be_bytes([b[0], b[1]]));
        match code {
            0 => Ok(Format::Text),
            1 => Ok(Format::Binary),
            other => Err(ProtocolError::new(format!("unsupported format code: {other}"))),
        }
    }
}

/// Looks for a startup packet at the front of `buffer`.
///
/// # Errors
/// A length or content that no packet has.
pub fn decode_startup(buffer: &[u8]) -> Result<Decoded<Startup>, ProtocolError> {
    let Some(length) = buffer.first_chunk::<4>() else {
        return Ok(Decoded::NeedMore(8));
    };
    let length = u32::from_be_bytes(*length) as usize;
    if !(8..=MAX_STARTUP_BYTES).contains(&length) {
        return Err(ProtocolError::new("invalid length of startup packet"));
    }
    if buffer.len() < length {
        return Ok(Decoded::NeedMore(length));
    }
    let mut reader = Reader { bytes: &buffer[4..length] };
    let code = reader.u32()?;
    let startup = match code {
        80_877_103 => Startup::Ssl,
        80_877_104 => Startup::Gssenc,
        80_877_102 => {
            let process_id = reader.u32()? as i32;
            if reader.bytes.is_empty() || reader.bytes.len() > 256 {
                return Err(ProtocolError::new("invalid length of cancel request packet"));
            }
            Startup::Cancel { process_id, secret: reader.bytes.to_vec() }
        }
        version => {
            let mut parameters = Vec::new();
            loop {
                let name = reader.text().map_err(|_| bad_layout())?;
                if name.is_empty() {
                    break;
                }
                let value = reader.text().map_err(|_| bad_layout())?;
                parameters.push((name.to_string(), value.to_string()));
            }
            if !reader.bytes.is_empty() {
                return Err(bad_layout());
            }
            Startup::Start(StartupParameters {
                major: (version >> 16) as u16,
                minor: version as u16,
                parameters,
            })
        }
    };
    Ok(Decoded::Message(startup, length))
}

#[cold]
fn bad_layout() -> ProtocolError {
    ProtocolError::new("invalid startup packet layout: expected terminator as last byte")
}

/// Looks for a message at the front of `buffer`. `max_bytes` bounds its length beyond the protocol's own limit.
///
/// # Errors
/// An unknown type, a length out of bounds, or content that breaks the layout.
pub fn decode(buffer: &[u8], max_bytes: usize) -> Result<Decoded<Frontend<'_>>, ProtocolError> {
    let Some(header) = buffer.first_chunk::<5>() else {
        return Ok(Decoded::NeedMore(5));
    };
    let kind = header[0];
    let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
    let limit = match kind {
        b'Q' | b'P' | b'B' | b'd' | b'F' => MAX_MESSAGE_BYTES.min(max_bytes),
        b'p' => 65_535,
        b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' => MAX_SMALL_MESSAGE_BYTES,
        other => return Err(ProtocolError::new(format!("invalid frontend message type {other}"))),
    };
    if length < 4 || length > limit {
        return Err(ProtocolError::new("invalid message length"));
    }
    let total = length + 1;
    if buffer.len() < total {
        return Ok(Decoded::NeedMore(total));
    }
    let mut reader = Reader { bytes: &buffer[5..total] };
    let message = decode_body(kind, &mut reader)?;
    if !reader.bytes.is_empty() {
        return Err(ProtocolError::new("invalid message format"));
    }
    Ok(Decoded::Message(message, total))
}

fn decode_body<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<Frontend<'a>, ProtocolError> {
    Ok(match kind {
        b'Q' => Frontend::Query(reader.text()?),
        b'P' => {
            let name = reader.text()?;
            let query = reader.text()?;
            let count = reader.u16()? as usize;
            if reader.bytes.len() != count * 4 {
                return Err(insufficient());
            }
            let parameter_types = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
            Frontend::Parse { name, query, parameter_types }
        }
        b'B' => Frontend::Bind(decode_bind(reader)?),
        b'D' | b'C' => {
            let target = match reader.u8()? {
                b'S' => Target::Statement,
                b'P' => Target::Portal,
                other => {
                    let what = if kind == b'D' { "DESCRIBE" } else { "CLOSE" };
                    return Err(ProtocolError::new(format!("invalid {what} message subtype {other}")));
                }
            };
            let name = reader.text()?;
            if kind == b'D' { Frontend::Describe(target, name) } else { Frontend::Close(target, name) }
        }
        b'E' => {
            let portal = reader.text()?;
            // A negative limit means none, as in PostgreSQL.
            let max_rows = i32::try_from(reader.u32()?).unwrap_or(0) as u32;
            Frontend::Execute { portal, max_rows }
        }
        b'H' => Frontend::Flush,
        b'S' => Frontend::Sync,
        b'X' => {
            reader.bytes = &[];
            Frontend::Terminate
        }
        b'd' => Frontend::CopyData(std::mem::take(&mut reader.bytes)),
        b'c' => Frontend::CopyDone,
        b'f' => Frontend::CopyFail(reader.text()?),
        b'p' => Frontend::Password(std::mem::take(&mut reader.bytes)),
        b'F' => {
            let function = reader.u32()?;
            reader.bytes = &[];
            Frontend::FunctionCall(function)
        }
        other => return Err(ProtocolError::new(format!("invalid frontend message type {other}"))),
    })
}

fn decode_bind<'a>(reader: &mut Reader<'a>) -> Result<Bind<'a>, ProtocolError> {
    let portal = reader.text()?;
    let statement = reader.text()?;
    let parameter_formats = reader.formats()?;
    let parameter_count = reader.u16()? as usize;
    let start = reader.bytes;
    for _ in 0..parameter_count {
        reader.value()?;
    }
    let values = &start[..start.len() - reader.bytes.len()];
    let result_formats = reader.formats()?;
    if parameter_formats.len() > 1 && parameter_formats.len() != parameter_count {
        return Err(ProtocolError::new(format!(
            "bind message has {} parameter formats but {parameter_count} parameters",
            parameter_formats.len()
        )));
    }
    Ok(Bind { portal, statement, parameter_formats, parameter_count, values, result_formats })
}

#[cold]
fn insufficient() -> ProtocolError {
    ProtocolError::new("insufficient data left in message")
}

pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (front, rest) = self.bytes.split_at_checked(count).ok_or_else(insufficient)?;
        self.bytes = rest;
        Ok(front)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, ProtocolError> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, ProtocolError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, ProtocolError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Text up to a zero byte.
    pub(crate) fn text(&mut self) -> Result<&'a str, ProtocolError> {
        let end = self
            .bytes
            .iter()
            .position(|b| *b == 0)
            .ok_or_else(|| ProtocolError::new("invalid string in message"))?;
        let text = &self.bytes[..end];
        self.bytes = &self.bytes[end + 1..];
        std::str::from_utf8(text).map_err(|error| {
            let bad: Vec<String> =
                text[error.valid_up_to()..].iter().take(4).map(|b| format!("0x{b:02x}")).collect();
            ProtocolError::new(format!("invalid byte sequence for encoding \"UTF8\": {}", bad.join(" ")))
        })
    }

    fn formats(&mut self) -> Result<Formats<'a>, ProtocolError> {
        let count = self.u16()? as usize;
        Ok(Formats { codes: self.take(count * 2)? })
    }

    /// A length and that many bytes; -1 is NULL.
    pub(crate) fn value(&mut self) -> Result<Option<&'a [u8]>, ProtocolError> {
        let length = self.u32()? as i32;
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| insufficient())?;
        Ok(Some(self.take(length)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn every_prefix_asks_for_more_and_the_whole_decodes() {
        let bytes = message(b'P', b"s1\0select $1\0\0\x01\0\0\0\x17");
        for end in 0..bytes.len() {
            match decode(&bytes[..end], MAX_MESSAGE_BYTES).unwrap() {
                Decoded::NeedMore(wanted) => assert!(wanted > end && wanted <= bytes.len()),
                Decoded::Message(..) => panic!("decoded from {end} bytes"),
            }
        }
        let Decoded::Message(Frontend::Parse { name, query, parameter_types }, used) =
            decode(&bytes, MAX_MESSAGE_BYTES).unwrap()
        else {
            panic!("no Parse");
        };
        assert_eq!((name, query, parameter_types, used), ("s1", "select $1", vec![23], bytes.len()));
    }

    #[test]
    fn bind_hands_out_values_and_formats() {
        let mut body = b"\0s\0\0\x01\0\x01\0\x02\0\0\0\x01a\xff\xff\xff\xff\0\x00".to_vec();
        let bytes = message(b'B', &body);
        let Decoded::Message(Frontend::Bind(bind), _) = decode(&bytes, MAX_MESSAGE_BYTES).unwrap() else {
            panic!("no Bind");
        };
        assert_eq!(bind.values().collect::<Vec<_>>(), [Some(&b"a"[..]), None]);
        assert_eq!(bind.parameter_formats.format(1), Ok(Format::Binary));
        assert_eq!(bind.result_formats.format(5), Ok(Format::Text));
        body.truncate(body.len() - 4);
        assert!(decode(&message(b'B', &body), MAX_MESSAGE_BYTES).is_err());
    }

    #[test]
    fn lengths_out_of_bounds_are_errors() {
        assert!(decode(b"Q\0\0\0\x03", MAX_MESSAGE_BYTES).is_err());
        assert!(decode(b"Q\xff\xff\xff\xff", MAX_MESSAGE_BYTES).is_err());
        assert!(decode(b"S\0\x01\0\0", MAX_MESSAGE_BYTES).is_err());
        assert!(decode(b"z\0\0\0\x04", MAX_MESSAGE_BYTES).is_err());
        assert!(decode_startup(b"\0\0\0\x07....").is_err());
        assert!(decode_startup(b"\x7f\0\0\0....").is_err());
    }

    #[test]
    fn startup_packets_are_told_apart() {
        assert_eq!(decode_startup(b"\0\0\0\x08\x04\xd2\x16\x2f").unwrap(), Decoded::Message(Startup::Ssl, 8));
        let mut bytes = b"\0\0\0\0\0\x03\0\0user\0bob\0database\0d\0\0".to_vec();
        let length = bytes.len() as u32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        let Decoded::Message(Startup::Start(start), _) = decode_startup(&bytes).unwrap() else {
            panic!("no startup");
        };
        assert_eq!((start.major, start.get("user"), start.get("database")), (3, Some("bob"), Some("d")));
    }

    #[test]
    fn random_bytes_never_panic() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..200_000 {
            let mut bytes = [0_u8; 40];
            for byte in &mut bytes {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *byte = state as u8;
            }
            bytes[0] = b"QPBDECHSXdcfpF"[(state % 14) as usize];
            bytes[1..4].fill(0);
            bytes[4] %= 36;
            if let Ok(Decoded::Message(Frontend::Bind(bind), _)) = decode(&bytes, MAX_MESSAGE_BYTES) {
                assert_eq!(bind.values().count(), bind.parameter_count);
            }
            let _ = decode_startup(&bytes);
        }
    }
}
