//! What the tests of the binary share.

use std::process::Command;

/// The binary, without the settings in the environment of whoever runs the tests.
pub fn ochre() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ochre"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OCHRE_")) {
        command.env_remove(name);
    }
    command
}
