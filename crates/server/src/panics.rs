//! What a panic does: in a statement it is contained, in storage it ends the process.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ochre_base::{Error, Result};

/// Where a broken invariant may have left shared pages in a state that must not be written.
const FATAL_PLACES: [&str; 3] = ["crates/storage/", "crates/txn/", "crates/access/"];

/// Makes a panic in storage, transactions or access methods end the process: recovery from the log is then safer than
/// going on. Panics elsewhere unwind and end their statement only.
pub fn end_process_on_broken_storage() {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        previous(panic);
        if panic.location().is_some_and(|place| FATAL_PLACES.iter().any(|fatal| place.file().contains(fatal)))
        {
            eprintln!(
                "a broken invariant of the storage layer ends the server; the next start recovers from the log"
            );
            std::process::abort();
        }
    }));
}

/// Runs a statement; a panic becomes an XX000 error and `true` beside it.
pub(crate) fn contain<R>(run: impl FnOnce() -> Result<R>) -> (Result<R>, bool) {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => (result, false),
        Err(panic) => (Err(Error::internal(format!("internal error: {}", message(&*panic)))), true),
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a statement panicked")
}
