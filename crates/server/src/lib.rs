//! Sockets, sessions' tasks and the wire protocol around the engine. The only crate that knows tokio.
//!
//! # Role
//! [`Server::bind`] takes the addresses, [`Server::start`] serves an open instance on them. A connection is one task that
//! owns its socket, a read buffer, a write buffer and the engine's `Session`; a statement runs inside that task, with
//! no hand-over to another thread. Where the engine really blocks, [`waiting`] lets other tasks go on.
//!
//! # Threads
//! - `ochre-accept`: accepts, reads startup packets and serves cancel requests, so that a server whose workers are all
//!   busy can still be told to stop one of them.
//! - `ochre-worker`: the connections' tasks, and whatever blocks in them.
//!
//! # Invariants
//! - C1: bytes leave a write buffer only when the log is durable up to the session's gate; in the middle of a
//!   statement, where the gate is not known yet, up to the log's end.
//! - C2: a connection holds at most one message of the client and about 64 KiB of answers, whatever the client does.
//!
//! # Not done
//! TLS, passwords (so only loopback addresses and Unix sockets are served), LISTEN/NOTIFY.

mod connection;
mod listener;
mod output;
mod panics;
mod reclaim;
mod server;
mod startup;
mod stream;
mod waiting;
mod workers;

pub use panics::end_process_on_broken_storage;
pub use server::{RunningServer, Server, ServerConfig};
pub use waiting::waiting;
