//! What the tests of the binary share.

use std::process::Command;

/// The binary, without the settings in the environment of whoever runs the tests. `TEST_OCHRE_BINARY` names another
/// than the one just built, for long runs.
pub fn ochre() -> Command {
    let binary = std::env::var_os("TEST_OCHRE_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_ochre").into());
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OCHRE_")) {
        command.env_remove(name);
    }
    command
}
