//! SET ROLE and SET SESSION AUTHORIZATION: settings whose values are roles.
//!
//! The settings hold names, so that they are taken back like any other; the ids behind the names are remembered from the
//! moment of the SET, so that a role stays the same when it is renamed.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::MembershipUse;

use super::forbidden;
use crate::session::State;

/// Settings that superusers change.
const OF_SUPERUSERS: [&str; 34] = [
    "allow_in_place_tablespaces",
    "allow_system_table_mods",
    "backtrace_functions",
    "commit_delay",
    "compute_query_id",
    "createrole_self_grant_of_superuser",
    "deadlock_timeout",
    "debug_discard_caches",
    "dynamic_library_path",
    "event_triggers",
    "extension_control_path",
    "ignore_checksum_failure",
    "jit_provider",
    "lc_messages",
    "lo_compat_privileges",
    "log_duration",
    "log_error_verbosity",
    "log_executor_stats",
    "log_lock_waits",
    "log_min_duration_statement",
    "log_min_error_statement",
    "log_min_messages",
    "log_parser_stats",
    "log_planner_stats",
    "log_replication_commands",
    "log_statement",
    "log_statement_stats",
    "log_temp_files",
    "max_stack_depth",
    "session_preload_libraries",
    "session_replication_role",
    "temp_file_limit",
    "track_functions",
    "zero_damaged_pages",
];

/// Whether a setting's value is a role.
pub(crate) fn is_role_setting(name: &str) -> bool {
    name.eq_ignore_ascii_case("role") || name.eq_ignore_ascii_case("session_authorization")
}

impl State {
    /// Sets a setting for the role that acts.
    ///
    /// # Errors
    /// As [`crate::settings::Settings::set`]; 42501 for what the role may not set.
    pub(crate) fn set_setting(&self, name: &str, value: &str, local: bool) -> Result<()> {
        if is_role_setting(name) {
            return self.set_role_setting(&name.to_ascii_lowercase(), value, local);
        }
        self.require_settable(name)?;
        self.settings.borrow_mut().set(name, value, local)
    }

    /// Takes a setting back to where the session began.
    ///
    /// # Errors
    /// As [`State::set_setting`].
    pub(crate) fn reset_setting(&self, name: &str, local: bool) -> Result<()> {
        if name.eq_ignore_ascii_case("session_authorization") {
            return self.set_role_setting("session_authorization", "default", local);
        }
        if name.eq_ignore_ascii_case("role") {
            self.settings.borrow_mut().reset("role", local)?;
            self.refresh_settings();
            return Ok(());
        }
        self.require_settable(name)?;
        self.settings.borrow_mut().reset(name, local)
    }

    fn require_settable(&self, name: &str) -> Result<()> {
        let lower = name.to_ascii_lowercase();
        let logs = lower.starts_with("log_") || lower.starts_with("track_");
        if (logs || OF_SUPERUSERS.contains(&lower.as_str()))
            && crate::settings::find(&lower).is_some()
            && !self.is_superuser()
        {
            return Err(forbidden(format!("permission denied to set parameter \"{lower}\"")));
        }
        Ok(())
    }

    fn set_role_setting(&self, name: &str, value: &str, local: bool) -> Result<()> {
        let to_role = name == "role";
        if to_role && value == "none" {
            self.settings.borrow_mut().set("role", "none", local)?;
            self.refresh_settings();
            return Ok(());
        }
        let catalog = self.catalog();
        let login = self.name_of_role(self.login);
        let value = if !to_role && value == "default" { &*login } else { value };
        let found = catalog.role_named(value);
        let role = found.ok_or_else(|| {
            let message = format!("role \"{value}\" does not exist");
            Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
        })?;
        let role = role.oid;
        if to_role {
            if !catalog.is_member(self.session_role(), role, MembershipUse::Set) {
                return Err(forbidden(format!("permission denied to set role \"{value}\"")));
            }
        } else if role != self.login && !catalog.role(self.login).is_some_and(|login| login.superuser) {
            return Err(forbidden(format!("permission denied to set session authorization \"{value}\"")));
        }
        self.role_ids.borrow_mut().insert(value.into(), role);
        let mut settings = self.settings.borrow_mut();
        settings.set(name, value, local)?;
        if !to_role {
            // What SQL says of it: the role of before is none of the new user's.
            settings.set("role", "none", local)?;
        }
        drop(settings);
        self.refresh_settings();
        Ok(())
    }

    /// The role that a value of `role` or `session_authorization` means.
    pub(crate) fn role_of_setting(&self, value: &str) -> Option<Oid> {
        if let Some(known) = self.role_ids.borrow().get(value) {
            return Some(*known);
        }
        self.catalog().role_named(value).map(|role| role.oid)
    }
}

/// `role "x" does not exist`.
#[cold]
pub(crate) fn unknown_role(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}
