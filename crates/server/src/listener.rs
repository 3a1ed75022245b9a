//! The addresses that are served.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdTcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener as StdUnixListener, UnixStream as StdUnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ochre_base::{Error, Result, SqlState};
use ochre_engine::settings::Settings;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::stream::Stream;

/// Listening sockets that no runtime knows yet.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) tcp: Vec<StdTcpListener>,
    pub(crate) unix: Vec<(StdUnixListener, SocketFile)>,
}

/// A Unix socket's file, removed with the value.
#[derive(Debug)]
pub(crate) struct SocketFile(pub(crate) PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Left over, it is found stale by the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listeners {
    /// Binds every address and, for the port of the first, a socket file in every directory.
    pub(crate) fn bind(addresses: &[SocketAddr], directories: &[PathBuf], port: u16) -> Result<Listeners> {
        let mut listeners = Listeners { tcp: Vec::new(), unix: Vec::new() };
        for address in addresses {
            if !address.ip().is_loopback() {
                return Err(Error::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("cannot listen on {address}: only loopback addresses are served"),
                )
                .detail("Passwords and TLS are not implemented, so other machines could come in unasked.")
                .hint("Listen on 127.0.0.1 or ::1, and reach it from elsewhere through an SSH tunnel."));
            }
            let listener =
                StdTcpListener::bind(address).map_err(|e| bind_failed(&address.to_string(), &e))?;
            listener.set_nonblocking(true).map_err(|e| bind_failed(&address.to_string(), &e))?;
            listeners.tcp.push(listener);
        }
        let port = match listeners.tcp.first() {
            Some(first) => first.local_addr().map_err(|e| bind_failed("the address", &e))?.port(),
            None => port,
        };
        for directory in directories {
            let path = directory.join(format!(".s.PGSQL.{port}"));
            let listener = bind_unix(&path).map_err(|e| bind_failed(&path.display().to_string(), &e))?;
            listeners.unix.push((listener, SocketFile(path)));
        }
        Ok(listeners)
    }

    /// The TCP addresses, with the port that the system chose where 0 was asked for.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }
}

fn bind_unix(path: &Path) -> io::Result<StdUnixListener> {
    if path.exists() {
        match StdUnixStream::connect(path) {
            Ok(_) => return Err(ErrorKind::AddrInUse.into()),
            Err(_) => std::fs::remove_file(path)?,
        }
    }
    let listener = StdUnixListener::bind(path)?;
    // Trust goes no further than the user who runs the server.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

#[cold]
fn bind_failed(place: &str, error: &io::Error) -> Error {
    let error_text = match error.kind() {
        ErrorKind::AddrInUse => "another server listens there".to_string(),
        _ => error.to_string(),
    };
    Error::new(SqlState::CONNECTION_FAILURE, format!("cannot listen on {place}: {error_text}"))
}

/// A listening socket of a runtime.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) async fn accept(&self, keepalive: &Keepalive) -> io::Result<Stream> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                keepalive.apply(&stream)?;
                Stream::Tcp(stream)
            }
            Listener::Unix(listener) => Stream::Unix(listener.accept().await?.0),
        })
    }
}

/// How it is noticed that the other end of a TCP connection is gone without having said so. Zero leaves a value to the
/// system, as in PostgreSQL.
#[derive(Debug)]
pub(crate) struct Keepalive {
    idle: Duration,
    interval: Duration,
    count: u32,
    user_timeout_ms: u32,
}

impl Keepalive {
    /// The settings `tcp_…`.
    pub(crate) fn of(settings: &Settings) -> Keepalive {
        let seconds = |name: &'static str| Duration::from_secs(settings.integer(name) as u64);
        Keepalive {
            idle: seconds("tcp_keepalives_idle"),
            interval: seconds("tcp_keepalives_interval"),
            count: settings.integer("tcp_keepalives_count") as u32,
            user_timeout_ms: settings.integer("tcp_user_timeout") as u32,
        }
    }

    fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        sockopt::set_socket_keepalive(stream, true)?;
        if !self.idle.is_zero() {
            sockopt::set_tcp_keepidle(stream, self.idle)?;
        }
        if !self.interval.is_zero() {
            sockopt::set_tcp_keepintvl(stream, self.interval)?;
        }
        if self.count > 0 {
            sockopt::set_tcp_keepcnt(stream, self.count)?;
        }
        if self.user_timeout_ms > 0 {
            sockopt::set_tcp_user_timeout(stream, self.user_timeout_ms)?;
        }
        Ok(())
    }
}
