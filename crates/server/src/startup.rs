//! From a new socket to a client that wants a session, or to one that wants to cancel another's statement.

use ochre_base::{Error, Result, Severity, SqlState};
use ochre_engine::settings::{Settings, Source, boolean};
use ochre_pgwire::{Decoded, Encoder, LATEST_MINOR, Startup, StartupParameters, decode_startup};

use crate::stream::Stream;

/// A client that asked for a session.
#[derive(Debug)]
pub(crate) struct Greeting {
    pub(crate) parameters: StartupParameters,
    /// What it sent behind its startup packet.
    pub(crate) input: Vec<u8>,
}

/// What a new connection turned out to be.
#[derive(Debug)]
pub(crate) enum Arrival {
    Session(Greeting),
    Cancel {
        process_id: i32,
        secret: Vec<u8>,
    },
    /// It went away or sent what is no startup packet.
    Gone,
}

/// Reads a connection's startup packets.
pub(crate) async fn greet(stream: &mut Stream) -> Arrival {
    let mut input = Vec::with_capacity(1024);
    let (mut asked_ssl, mut asked_gssenc) = (false, false);
    loop {
        let startup = match decode_startup(&input) {
            Ok(Decoded::Message(startup, used)) => {
                input.drain(..used);
                startup
            }
            Ok(Decoded::NeedMore(_)) => {
                input.reserve(1024);
                match stream.read(&mut input).await {
                    Ok(0) | Err(_) => return Arrival::Gone,
                    Ok(_) => continue,
                }
            }
            Err(error) => {
                refuse(stream, &fatal(SqlState::PROTOCOL_VIOLATION, error.message)).await;
                return Arrival::Gone;
            }
        };
        let refused_encryption = match startup {
            Startup::Ssl => !std::mem::replace(&mut asked_ssl, true),
            Startup::Gssenc => !std::mem::replace(&mut asked_gssenc, true),
            Startup::Cancel { process_id, secret } => return Arrival::Cancel { process_id, secret },
            Startup::Start(parameters) => return Arrival::Session(Greeting { parameters, input }),
        };
        if !refused_encryption {
            let message = "unsupported frontend protocol: encryption was refused already";
            refuse(stream, &fatal(SqlState::FEATURE_NOT_SUPPORTED, message)).await;
            return Arrival::Gone;
        }
        if stream.write_all(b"N").await.is_err() {
            return Arrival::Gone;
        }
    }
}

/// Tells a client why there is no session for it.
pub(crate) async fn refuse(stream: &mut Stream, error: &Error) {
    let mut out = Vec::new();
    let mut fields = error.fields().clone();
    fields.severity = Severity::Fatal;
    Encoder::new(&mut out).error(&fields, None);
    if stream.write_all(&out).await.is_ok() {
        stream.shutdown().await;
    }
}

/// What a startup packet asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) settings: Settings,
    /// Version 3.2: cancel keys may be long.
    pub(crate) long_keys: bool,
    /// NegotiateProtocolVersion has to be sent: our newest minor version and the options that are not known.
    pub(crate) negotiate: Option<(u16, Vec<String>)>,
}

/// Reads a startup packet's parameters over the server's settings.
///
/// # Errors
/// 0A000 for another protocol, 28000 without a user, 42704 or 22023 for a setting that is wrong.
pub(crate) fn read_request(parameters: &StartupParameters, settings: &Settings) -> Result<Request> {
    if parameters.major != 3 {
        return Err(fatal(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "unsupported frontend protocol {}.{}: server supports 3.0 to 3.{LATEST_MINOR}",
                parameters.major, parameters.minor
            ),
        ));
    }
    let mut settings = settings.clone();
    let mut unknown_options = Vec::new();
    for (name, value) in &parameters.parameters {
        match name.as_str() {
            "user" | "database" => {}
            "options" => apply_options(&mut settings, value)?,
            "replication" => {
                if boolean(value) != Some(false) {
                    return Err(Error::unsupported("a replication connection"));
                }
            }
            option if option.starts_with("_pq_.") => unknown_options.push(name.clone()),
            _ => settings.configure(name, value, Source::Client)?,
        }
    }
    let user = parameters.get("user").filter(|user| !user.is_empty()).ok_or_else(|| {
        fatal(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        )
    })?;
    let database = parameters.get("database").filter(|database| !database.is_empty()).unwrap_or(user);
    let minor = parameters.minor.min(LATEST_MINOR);
    let must_negotiate = parameters.minor > LATEST_MINOR || !unknown_options.is_empty();
    Ok(Request {
        user: user.to_string(),
        database: database.to_string(),
        settings,
        long_keys: minor >= 2,
        negotiate: must_negotiate.then_some((minor, unknown_options)),
    })
}

/// The parameter `options`: switches as on a command line, of which `-c name=value` and `--name=value` are meant.
fn apply_options(settings: &mut Settings, options: &str) -> Result<()> {
    let words = split_words(options);
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let assignment = if word == "-c" {
            words.next()
        } else if let Some(rest) = word.strip_prefix("--") {
            Some(rest)
        } else {
            word.strip_prefix("-c")
        };
        let Some((name, value)) = assignment.and_then(|assignment| assignment.split_once('=')) else {
            return Err(fatal(
                SqlState::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            ));
        };
        settings.configure(&name.replace('-', "_"), value, Source::Client)?;
    }
    Ok(())
}

/// Words between blanks; a backslash takes the next character as it is.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let character = if character == '\\' { characters.next() } else { Some(character) };
        word.get_or_insert_default().extend(character);
    }
    words.extend(word);
    words
}

#[cold]
pub(crate) fn fatal(code: SqlState, message: impl Into<String>) -> Error {
    Error::with_severity(Severity::Fatal, code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(minor: u16, parameters: &[(&str, &str)]) -> StartupParameters {
        StartupParameters {
            major: 3,
            minor,
            parameters: parameters.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        }
    }

    #[test]
    fn words_end_at_blanks_that_are_not_escaped() {
        assert_eq!(split_words("-c  a=b\\ c --x=\\\\"), ["-c", "a=b c", "--x=\\"]);
    }

    #[test]
    fn options_set_what_a_session_begins_with() {
        let request = read_request(
            &packet(0, &[("user", "u"), ("options", "-c work_mem=1MB --statement-timeout=5s")]),
            &Settings::new(),
        )
        .unwrap();
        assert_eq!(request.settings.show("work_mem").unwrap(), "1MB");
        assert_eq!(request.settings.show("statement_timeout").unwrap(), "5s");
        assert_eq!((request.database.as_str(), request.long_keys), ("u", false));
        assert!(request.negotiate.is_none());
    }

    #[test]
    fn unknown_settings_and_missing_users_are_refused() {
        let error =
            read_request(&packet(0, &[("user", "u"), ("nonsense", "1")]), &Settings::new()).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::UNDEFINED_OBJECT);
        let error = read_request(&packet(0, &[]), &Settings::new()).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    }

    #[test]
    fn newer_minor_versions_are_negotiated_down() {
        let request = read_request(&packet(9, &[("user", "u"), ("_pq_.x", "1")]), &Settings::new()).unwrap();
        assert_eq!(request.negotiate, Some((2, vec!["_pq_.x".to_string()])));
        assert!(request.long_keys);
    }
}
