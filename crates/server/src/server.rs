//! Starting, accepting, stopping.
//!
//! # States
//! ```text
//! bind ──▶ Server ──start──▶ RunningServer ──stop──▶ no new sessions, idle ones end
//!                                                      │ grace period
//!                                                      ▼
//!                                                    running statements are cancelled ──▶ the instance is closed
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ochre_base::{Error, Lsn, Result, SqlState};
use ochre_engine::Instance;
use ochre_storage::Wal;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::connection;
use crate::listener::{Keepalive, Listener, Listeners, SocketFile};
use crate::startup::{self, Arrival};
use crate::stream::Stream;
use crate::workers::{Placement, Workers};

/// Sockets beyond `max_connections` that may be open while their owners are told that there are too many.
const SPARE_CONNECTIONS: usize = 100;
/// Time that cancelled statements have to end before the server goes on without them.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, which nearly always means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where and how to serve.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Loopback addresses; port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Directories that get a socket file `.s.PGSQL.PORT`.
    pub socket_directories: Vec<PathBuf>,
    /// The port in the socket file's name when there is no TCP address.
    pub port: u16,
    pub max_connections: usize,
    /// How long running statements may go on when the server stops.
    pub shutdown_grace: Duration,
    /// Threads that run sessions; `None` goes by the processors.
    pub worker_threads: Option<usize>,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 5432))],
            socket_directories: Vec::new(),
            port: 5432,
            max_connections: 10_000,
            shutdown_grace: Duration::from_secs(2),
            worker_threads: None,
        }
    }
}

/// A server that has its addresses and does not serve yet.
#[derive(Debug)]
pub struct Server {
    config: ServerConfig,
    listeners: Listeners,
}

/// A server that serves.
pub struct RunningServer {
    shared: Arc<Shared>,
    workers: Workers,
    acceptor: JoinHandle<()>,
    grace: Duration,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) instance: Arc<Instance>,
    /// Idle connections end, no new ones are taken.
    pub(crate) stop: Flag,
    /// Connections end whatever they do.
    pub(crate) force_stop: Flag,
    max_connections: usize,
    /// Time that a client has to tell who it is (`authentication_timeout`).
    startup_timeout: Duration,
    keepalive: Keepalive,
    connections: AtomicUsize,
    /// A connection ended.
    ended: Notify,
}

/// Something that happens once and that tasks wait for.
#[derive(Debug, Default)]
pub(crate) struct Flag {
    raised: AtomicBool,
    notify: Notify,
}

/// Counts a connection for as long as it lives.
pub(crate) struct Seat(Arc<Shared>);

impl Server {
    /// Takes the addresses.
    ///
    /// # Errors
    /// 0A000 for an address that is not loopback, 08006 for one that cannot be had.
    pub fn bind(config: ServerConfig) -> Result<Server> {
        let listeners = Listeners::bind(&config.listen, &config.socket_directories, config.port)?;
        if listeners.tcp.is_empty() && listeners.unix.is_empty() {
            return Err(Error::new(SqlState::CONNECTION_FAILURE, "there is no address to listen on"));
        }
        Ok(Server { config, listeners })
    }

    /// The TCP addresses, with the port that the system chose where 0 was asked for.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.addresses()
    }

    /// The socket files.
    pub fn socket_files(&self) -> Vec<PathBuf> {
        self.listeners.unix.iter().map(|(_, file)| file.0.clone()).collect()
    }

    /// Begins to serve an instance that was opened with [`crate::waiting`].
    ///
    /// # Errors
    /// 58000 when the system has no threads left.
    pub fn start(self, instance: Arc<Instance>) -> Result<RunningServer> {
        let processors = std::thread::available_parallelism().map_or(4, usize::from);
        let count = self.config.worker_threads.unwrap_or(processors.max(2));
        let workers =
            Workers::start(count, self.config.max_connections).map_err(|error| no_threads(&error))?;
        let settings = instance.settings();
        let startup_timeout = Duration::from_secs(settings.integer("authentication_timeout") as u64);
        let keepalive = Keepalive::of(settings);
        let shared = Arc::new(Shared {
            startup_timeout,
            keepalive,
            instance,
            stop: Flag::default(),
            force_stop: Flag::default(),
            max_connections: self.config.max_connections,
            connections: AtomicUsize::new(0),
            ended: Notify::new(),
        });
        let acceptor = {
            let (shared, placement, listeners) = (Arc::clone(&shared), workers.placement(), self.listeners);
            std::thread::Builder::new()
                .name("ochre-accept".into())
                .spawn(move || accept_all(listeners, &shared, &placement))
                .map_err(|error| no_threads(&error))?
        };
        Ok(RunningServer { shared, workers, acceptor, grace: self.config.shutdown_grace })
    }
}

impl RunningServer {
    /// Blocks until SIGTERM or SIGINT; tells which.
    ///
    /// # Errors
    /// When signals cannot be waited for.
    pub fn wait_for_signal(&self) -> std::io::Result<&'static str> {
        self.workers.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            Ok(tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            })
        })
    }

    /// Ends all sessions, statements that run longer than the grace period included, and closes the instance.
    ///
    /// # Errors
    /// Those of closing the instance; the next start recovers then.
    pub fn stop(self) -> Result<()> {
        let shared = self.shared;
        shared.stop.raise();
        self.workers.block_on(async {
            if tokio::time::timeout(self.grace, shared.all_ended()).await.is_ok() {
                return;
            }
            shared.force_stop.raise();
            let cancelling = async {
                loop {
                    // Again and again: a statement may begin right after it was looked for.
                    shared.instance.cancel_all();
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            tokio::select! {
                () = shared.all_ended() => {}
                () = cancelling => {}
                () = tokio::time::sleep(CANCEL_TIMEOUT) => {
                    tracing::warn!("some statements did not end when they were cancelled");
                }
            }
        });
        self.workers.shut_down(Duration::from_secs(1));
        if self.acceptor.join().is_err() {
            tracing::error!("the accepting thread panicked");
        }
        shared.instance.close()
    }
}

impl Shared {
    /// The log.
    pub(crate) fn wal(&self) -> &Arc<Wal> {
        self.instance.transactions().wal()
    }

    /// Whether there is no session but the caller's.
    pub(crate) fn has_one_connection(&self) -> bool {
        self.connections.load(Ordering::Relaxed) == 1
    }

    /// The end of the log: nothing that a statement can have met, be it a commit or a sequence's record, lies behind it.
    pub(crate) fn log_end(&self) -> Lsn {
        self.wal().position()
    }

    /// A seat for a connection, unless there are far too many.
    fn take_seat(self: &Arc<Shared>) -> Option<Seat> {
        let before = self.connections.fetch_add(1, Ordering::AcqRel);
        let seat = Seat(Arc::clone(self));
        (before < self.max_connections + SPARE_CONNECTIONS).then_some(seat)
    }

    async fn all_ended(&self) {
        loop {
            let ended = self.ended.notified();
            if self.connections.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

impl Flag {
    /// Lets it happen.
    pub(crate) fn raise(&self) {
        self.raised.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    /// Whether it has happened.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Waits until it has happened.
    pub(crate) async fn raised(&self) {
        // Made before the look at the flag, so that a raise in between wakes it.
        let notified = self.notify.notified();
        if !self.is_raised() {
            notified.await;
        }
    }
}

/// The accepting thread.
fn accept_all(listeners: Listeners, shared: &Arc<Shared>, placement: &Placement) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot accept connections: {error}");
            return;
        }
    };
    runtime.block_on(async {
        let mut files: Vec<SocketFile> = Vec::new();
        let mut sockets = Vec::new();
        for listener in listeners.tcp {
            sockets.push(TcpListener::from_std(listener).map(Listener::Tcp));
        }
        for (listener, file) in listeners.unix {
            sockets.push(UnixListener::from_std(listener).map(Listener::Unix));
            files.push(file);
        }
        for socket in sockets {
            match socket {
                Ok(socket) => drop(tokio::spawn(accept(socket, Arc::clone(shared), placement.clone()))),
                Err(error) => tracing::error!("cannot accept connections: {error}"),
            }
        }
        shared.stop.raised().await;
    });
}

/// Accepts on one socket until the server stops.
async fn accept(listener: Listener, shared: Arc<Shared>, placement: Placement) {
    loop {
        match listener.accept(&shared.keepalive).await {
            Ok(stream) => {
                // Without a seat the socket is closed at once.
                if let Some(seat) = shared.take_seat() {
                    tokio::spawn(receive(stream, seat, Arc::clone(&shared), placement.clone()));
                }
            }
            Err(error) => {
                tracing::warn!("could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Learns what a new connection wants, and hands sessions to the workers.
async fn receive(mut stream: Stream, seat: Seat, shared: Arc<Shared>, placement: Placement) {
    let Ok(arrival) = tokio::time::timeout(shared.startup_timeout, startup::greet(&mut stream)).await else {
        return;
    };
    match arrival {
        Arrival::Gone => {}
        Arrival::Cancel { process_id, secret } => shared.instance.cancel(process_id, &secret),
        Arrival::Session(greeting) => match stream.detach() {
            Ok(stream) => {
                placement.spawn(async move {
                    connection::serve(stream, greeting, shared).await;
                    drop(seat);
                });
            }
            Err(error) => tracing::warn!("could not hand a connection over: {error}"),
        },
    }
}

#[cold]
fn no_threads(error: &std::io::Error) -> Error {
    Error::new(SqlState::new("58000"), format!("could not start the server's threads: {error}"))
}
