//! Settings from the command line, the environment and `ochre.toml`, in this order of precedence.

use std::path::Path;
use std::time::Duration;

use ochre_base::{Error, Result, SqlState};
use ochre_engine::settings::{SETTINGS, Settings, Source};
use ochre_storage::StorageConfig;

/// The settings' file in a data directory.
pub(crate) const FILE_NAME: &str = "ochre.toml";
/// What environment variables of settings begin with.
const ENVIRONMENT_PREFIX: &str = "OCHRE_";
/// `shared_buffers` is a quarter of the machine's memory, within these bounds, unless it is set.
const MIN_DEFAULT_BUFFERS_BYTES: u64 = 16 << 20;
const MAX_DEFAULT_BUFFERS_BYTES: u64 = 1 << 30;

/// The settings of a data directory; `command_line` holds `name=value` texts.
///
/// # Errors
/// An unknown setting, a value that does not pass, or a file that is no TOML.
pub(crate) fn read(data: &Path, command_line: &[String]) -> Result<Settings> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    read_with(data, command_line, environment)
}

fn read_with(
    data: &Path,
    command_line: &[String],
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Settings> {
    let mut settings = Settings::new();
    settings.configure(
        "shared_buffers",
        &format!("{}kB", default_buffers_bytes() / 1024),
        Source::Default,
    )?;
    apply_file(&mut settings, &data.join(FILE_NAME))?;
    apply_environment(&mut settings, environment)?;
    for assignment in command_line {
        let (name, value) = assignment.split_once('=').ok_or_else(|| {
            invalid(format!("-c {assignment} requires a value")).hint("Write -c name=value.")
        })?;
        set(&mut settings, &name.trim().replace('-', "_"), value, "the command line")?;
    }
    Ok(settings)
}

/// What storage is opened with.
pub(crate) fn storage(settings: &Settings) -> StorageConfig {
    StorageConfig {
        shared_buffers_bytes: settings.integer("shared_buffers").unsigned_abs() as usize * 8192,
        max_wal_bytes: settings.integer("max_wal_size").unsigned_abs() << 20,
        checkpoint_timeout: Duration::from_secs(settings.integer("checkpoint_timeout").unsigned_abs()),
        fsync: settings.flag("fsync"),
        compress_images: settings.text("wal_compression") != "off",
        ..StorageConfig::default()
    }
}

fn apply_file(settings: &mut Settings, path: &Path) -> Result<()> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(invalid(format!("could not read \"{}\": {error}", path.display()))),
    };
    let table: toml::Table =
        text.parse().map_err(|error| invalid(format!("\"{}\": {error}", path.display())))?;
    for (name, value) in table {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(flag) => if flag { "on" } else { "off" }.to_string(),
            _ => return Err(invalid(format!("\"{}\": {name} is no single value", path.display()))),
        };
        set(settings, &name, &value, &path.display().to_string())?;
    }
    Ok(())
}

/// `OCHRE_WORK_MEM=64MB` and the like; other variables with the prefix are errors, so that a misspelt one is noticed.
fn apply_environment(
    settings: &mut Settings,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<()> {
    for (variable, value) in variables {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        let known = SETTINGS.iter().find(|setting| setting.name.eq_ignore_ascii_case(name));
        let name = known.map_or_else(|| name.to_ascii_lowercase(), |setting| setting.name.to_string());
        set(settings, &name, &value, &format!("the environment variable {variable}"))?;
    }
    Ok(())
}

fn set(settings: &mut Settings, name: &str, value: &str, place: &str) -> Result<()> {
    settings
        .configure(name, value, Source::Configuration)
        .map_err(|error| error.detail(format!("It comes from {place}.")))
}

fn default_buffers_bytes() -> u64 {
    let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    let quarter = memory.unwrap_or(0) * 1024 / 4;
    quarter.clamp(MIN_DEFAULT_BUFFERS_BYTES, MAX_DEFAULT_BUFFERS_BYTES)
}

#[cold]
fn invalid(message: String) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_settings_in_capitals() {
        let mut settings = Settings::new();
        let variables = [("OCHRE_TIMEZONE", "UTC"), ("OCHRE_WORK_MEM", "8MB"), ("HOME", "/")];
        let variables = variables.into_iter().map(|(n, v)| (n.to_string(), v.to_string()));
        apply_environment(&mut settings, variables).unwrap();
        assert_eq!(settings.show("work_mem").unwrap(), "8MB");
        let misspelt = [("OCHRE_WORKMEM".to_string(), "8MB".to_string())];
        let error = apply_environment(&mut settings, misspelt.into_iter()).unwrap_err();
        assert_eq!(error.sqlstate(), SqlState::UNDEFINED_OBJECT);
    }

    #[test]
    fn the_command_line_wins_over_the_file() {
        let directory = std::env::temp_dir().join(format!("ochre-configuration-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(FILE_NAME), "work_mem = \"1MB\"\nmax_wal_size = 64\nfsync = false\n")
            .unwrap();
        let settings = read_with(&directory, &["work_mem=2MB".to_string()], std::iter::empty()).unwrap();
        let storage = storage(&settings);
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(settings.show("work_mem").unwrap(), "2MB");
        assert_eq!((storage.max_wal_bytes, storage.fsync), (64 << 20, false));
    }
}
