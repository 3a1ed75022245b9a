//! What the shell is opened on: a data directory, or a server's URL.

use std::path::PathBuf;

use ochre_base::{Error, Result, SqlState};

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const DEFAULT_PORT: u16 = 5432;
/// Who connects, and to which database, unless the URL says otherwise.
pub(crate) const DEFAULT_NAME: &str = "postgres";

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Directory(PathBuf),
    Server(Server),
}

/// A server and what to ask it for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// A name or address, or the directory of a Unix socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
}

impl Target {
    /// Reads `postgres://user@host:port/database?host=…&port=…&user=…&dbname=…`, of which every part may be missing;
    /// anything without `://` is a directory.
    ///
    /// # Errors
    /// 22023 for other URLs, 0A000 for parameters that are not known here.
    pub(crate) fn parse(text: &str) -> Result<Target> {
        let Some(rest) = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) else {
            if text.contains("://") {
                return Err(invalid(format!("\"{text}\" is neither a directory nor a postgres:// URL")));
            }
            return Ok(Target::Directory(PathBuf::from(text)));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (user, address),
            None => ("", authority),
        };
        if user.contains(':') {
            return Err(Error::unsupported("a password in a URL"));
        }
        let (host, port) = split_address(address)?;
        let mut server = Server {
            host: decode(host)?,
            port: port.map_or(Ok(DEFAULT_PORT), parse_port)?,
            user: decode(user)?,
            database: decode(path)?,
        };
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = decode(value)?;
            match name {
                "host" => server.host = value,
                "port" => server.port = parse_port(&value)?,
                "user" => server.user = value,
                "dbname" => server.database = value,
                // None of them asks for encryption.
                "sslmode" if ["disable", "allow", "prefer"].contains(&value.as_str()) => {}
                _ => return Err(Error::unsupported(format!("{name}={value} in a URL"))),
            }
        }
        for (part, default) in [
            (&mut server.host, "127.0.0.1"),
            (&mut server.user, DEFAULT_NAME),
            (&mut server.database, DEFAULT_NAME),
        ] {
            if part.is_empty() {
                *part = default.to_string();
            }
        }
        Ok(Target::Server(server))
    }
}

/// Splits `host:port`; an IPv6 address stands in brackets.
fn split_address(address: &str) -> Result<(&str, Option<&str>)> {
    if let Some(rest) = address.strip_prefix('[') {
        let (host, rest) =
            rest.split_once(']').ok_or_else(|| invalid(format!("no \"]\" in the address \"{address}\"")))?;
        return Ok((host, rest.strip_prefix(':').filter(|port| !port.is_empty())));
    }
    match address.split_once(':') {
        Some((host, port)) => Ok((host, Some(port).filter(|port| !port.is_empty()))),
        None => Ok((address, None)),
    }
}

fn parse_port(text: &str) -> Result<u16> {
    text.parse().map_err(|_| invalid(format!("invalid port number: \"{text}\"")))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> Result<String> {
    let bad = || invalid(format!("invalid percent-encoded text: \"{text}\""));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2).ok_or_else(bad)?;
        let digits = std::str::from_utf8(digits).map_err(|_| bad())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| bad())?);
        rest = tail;
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cold]
fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(text: &str) -> (String, u16, String, String) {
        match Target::parse(text).unwrap() {
            Target::Server(server) => (server.host, server.port, server.user, server.database),
            Target::Directory(path) => panic!("a directory: {}", path.display()),
        }
    }

    #[test]
    fn every_part_of_a_url_may_be_missing() {
        let parts = |host: &str, port, user: &str, database: &str| {
            (host.to_string(), port, user.to_string(), database.to_string())
        };
        for (url, expected) in [
            ("postgres://", parts("127.0.0.1", 5432, "postgres", "postgres")),
            ("postgresql://ann@db.example:5433/sales", parts("db.example", 5433, "ann", "sales")),
            ("postgres://127.0.0.1:6000/db", parts("127.0.0.1", 6000, "postgres", "db")),
            ("postgres://[::1]:7000/", parts("::1", 7000, "postgres", "postgres")),
            ("postgres:///db?host=/tmp/sockets&port=1", parts("/tmp/sockets", 1, "postgres", "db")),
            ("postgres://%2Ftmp%2Fs:9/a%20b?user=u", parts("/tmp/s", 9, "u", "a b")),
        ] {
            assert_eq!(server(url), expected, "{url}");
        }
        assert_eq!(Target::parse("./data").unwrap(), Target::Directory("./data".into()));
    }

    #[test]
    fn what_cannot_be_done_is_an_error() {
        for url in [
            "mysql://x",
            "postgres://h:port/",
            "postgres://h/%zz",
            "postgres://u:secret@h/",
            "postgres://h/?sslmode=require",
            "postgres://[::1/",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}
