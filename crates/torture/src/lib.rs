//! The proof that a crash loses nothing: a seeded workload on simulated files beside a plain model, cut from power after
//! its operations on files, recovered, compared and checked.
//!
//! # Role
//! The test suite runs some seconds of it, `ochre torture` as long as asked. A seed is a whole run: the same seed does the
//! same operations on the same files ([`Outcome::trace`] says so), on one thread and without a look at any clock.
//!
//! # A run
//! 1. A new directory's files are made once ([`machine`]); a run begins with a copy of them and settings of its own: few
//!    buffers, small log segments.
//! 2. Clients take turns ([`workload`]): rows, large values, tables, indexes, savepoints, prepared transactions,
//!    checkpoints, the collector. Each statement's answer is compared with the model's ([`model`]), and the model remembers
//!    the state after every commit, and which commits have been acknowledged, by the number of operations on files then.
//! 3. Copies of the files as they were after chosen operations are cut from power: of what was not synced, each write
//!    stays, is lost or torn. The copy is opened, perhaps cut again while it recovers, and must be a state of the model at
//!    or after the last acknowledged commit and not after the last one begun ([`verify`]). Then it is checked as `ochre
//!    check` does.
//! 4. The run goes on from one of the copies.
//!
//! # Where to look
//! [`campaign`] puts these together; [`faults`] makes single operations fail instead of cutting the power, [`damage`] gives
//! directories in which tests flip bits, [`samples`] such whose checksums are made to fit the damage.

pub mod campaign;
mod client;
pub mod damage;
pub mod faults;
pub mod machine;
pub mod model;
pub mod samples;
mod stage;
mod verify;
mod workload;

pub use campaign::{Campaign, Failure, Outcome, Planted};
pub use client::text_of;
