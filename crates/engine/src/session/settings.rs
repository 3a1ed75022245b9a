//! SET, RESET and SHOW, and what the session derives from settings.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::IMPLICIT_NAMESPACES;
use ochre_parser::ast::{
    NumericValue, SetAction, SetScope, SetStmt, SetValue, SetValueKind, ShowStmt, TransactionModes,
};
use ochre_types::{ByteaOutput, FormatContext, IntervalStyle, TimeZone};

use super::context::CatalogNames;
use super::{Session, State};
use crate::settings::date_style;
use crate::tag::CommandTag;

fn number_text(value: &NumericValue) -> String {
    match value {
        NumericValue::Integer(value) => value.to_string(),
        NumericValue::Other(text) => text.to_string(),
    }
}

/// The values of a SET as one text: lists of names are quoted where needed.
pub(crate) fn joined(name: &str, values: &[SetValue]) -> Result<String> {
    let is_list = matches!(name, "search_path" | "DateStyle" | "datestyle");
    if values.len() > 1 && !is_list {
        return Err(Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("SET {name} takes only one argument"),
        ));
    }
    let mut parts = Vec::with_capacity(values.len());
    for value in values {
        parts.push(match &value.value {
            SetValueKind::String(text) if name == "search_path" => crate::ddl::quote_identifier(text),
            SetValueKind::String(text) => text.to_string(),
            SetValueKind::Number(number) => number_text(number),
            SetValueKind::Interval(_) => return Err(Error::unsupported("SET TIME ZONE INTERVAL")),
        });
    }
    Ok(parts.join(", "))
}

impl Session {
    pub(crate) fn set_statement(&mut self, statement: &SetStmt) -> Result<CommandTag> {
        let mut local = statement.scope == SetScope::Local;
        if local && self.block != super::Block::Explicit {
            self.warn(
                SqlState::NO_ACTIVE_SQL_TRANSACTION,
                "SET LOCAL can only be used in transaction blocks",
            );
        }
        let tag = match &statement.action {
            SetAction::Value { name, values } => {
                let text = joined(name, values)?;
                self.set_named(name, &text, &mut local)?;
                "SET"
            }
            SetAction::Default { name } => {
                self.state.reset_setting(name, local)?;
                "SET"
            }
            SetAction::FromCurrent { name } => {
                return Err(Error::unsupported(format!("SET {name} FROM CURRENT")));
            }
            SetAction::Transaction(modes) => {
                if self.block != super::Block::Explicit {
                    self.warn(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION can only be used in transaction blocks",
                    );
                }
                self.set_modes(*modes)?;
                "SET"
            }
            SetAction::SessionCharacteristics(modes) => {
                self.set_characteristics(*modes)?;
                "SET"
            }
            SetAction::TransactionSnapshot(name) => {
                if self.block != super::Block::Explicit {
                    self.warn(
                        SqlState::NO_ACTIVE_SQL_TRANSACTION,
                        "SET TRANSACTION can only be used in transaction blocks",
                    );
                }
                self.import_snapshot(name)?;
                "SET"
            }
            SetAction::Reset { name } => {
                self.state.reset_setting(name, local)?;
                "RESET"
            }
            SetAction::ResetAll => {
                self.state.settings.borrow_mut().reset_all();
                "RESET"
            }
        };
        Ok(CommandTag::Plain(tag))
    }

    /// SET and RESET within a routine.
    ///
    /// # Errors
    /// As for [`Session::set_statement`]; 0A000 for a transaction's modes, which are fixed by the first query.
    pub(crate) fn set_within(&self, statement: &SetStmt) -> Result<()> {
        let local = statement.scope == SetScope::Local;
        let refuse = |name: &str| match name {
            "transaction_isolation" | "transaction_read_only" | "transaction_deferrable" => {
                Err(Error::unsupported(format!("SET {name} in a function")))
            }
            // Who acts within such a routine is what it is there for.
            name if crate::authority::is_role_setting(name) && self.state.acting.get().is_some() => {
                Err(crate::authority::forbidden(format!(
                    "cannot set parameter \"{name}\" within security-definer function"
                )))
            }
            _ => Ok(()),
        };
        match &statement.action {
            SetAction::Value { name, values } => {
                refuse(name)?;
                let text = joined(name, values)?;
                self.state.set_setting(name, &text, local)
            }
            SetAction::Default { name } | SetAction::Reset { name } => {
                refuse(name)?;
                self.state.reset_setting(name, local)
            }
            SetAction::ResetAll => {
                self.state.settings.borrow_mut().reset_all();
                Ok(())
            }
            SetAction::FromCurrent { name } => Err(Error::unsupported(format!("SET {name} FROM CURRENT"))),
            SetAction::SessionCharacteristics(modes) => self.set_characteristics(*modes),
            SetAction::Transaction(_) | SetAction::TransactionSnapshot(_) => {
                Err(Error::unsupported("SET TRANSACTION in a function"))
            }
        }
    }

    fn set_named(&mut self, name: &str, text: &str, local: &mut bool) -> Result<()> {
        match name {
            "transaction_isolation" | "transaction_read_only" | "transaction_deferrable" => {
                let modes = modes_of(name, text)?;
                self.set_modes(modes)
            }
            _ => self.state.set_setting(name, text, *local),
        }
    }

    fn set_characteristics(&self, modes: TransactionModes) -> Result<()> {
        let mut settings = self.state.settings.borrow_mut();
        if let Some(isolation) = modes.isolation {
            settings.set("default_transaction_isolation", isolation.as_str(), false)?;
        }
        let flag = |value: bool| if value { "on" } else { "off" };
        if let Some(read_only) = modes.read_only {
            settings.set("default_transaction_read_only", flag(read_only), false)?;
        }
        if let Some(deferrable) = modes.deferrable {
            settings.set("default_transaction_deferrable", flag(deferrable), false)?;
        }
        Ok(())
    }

    /// The rows of SHOW.
    pub(crate) fn show_rows(&self, statement: &ShowStmt) -> Result<Vec<Vec<String>>> {
        self.state.refresh_settings();
        let settings = self.state.settings.borrow();
        match statement {
            ShowStmt::Name(name, _) => {
                // Reported at BEGIN, and true outside a transaction too.
                Ok(vec![vec![settings.show(name)?]])
            }
            ShowStmt::All => Ok(settings
                .all()
                .map(|(setting, value, _, _)| {
                    vec![setting.name.to_string(), setting.show(value), setting.description.to_string()]
                })
                .collect()),
        }
    }
}

fn modes_of(name: &str, text: &str) -> Result<TransactionModes> {
    use ochre_parser::ast::IsolationLevel;
    let mut modes = TransactionModes::default();
    let invalid = || {
        Error::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid value for parameter \"{name}\": \"{text}\""),
        )
    };
    if name == "transaction_isolation" {
        modes.isolation = Some(match text.to_ascii_lowercase().as_str() {
            "read uncommitted" => IsolationLevel::ReadUncommitted,
            "read committed" => IsolationLevel::ReadCommitted,
            "repeatable read" => IsolationLevel::RepeatableRead,
            "serializable" => IsolationLevel::Serializable,
            _ => return Err(invalid()),
        });
        return Ok(modes);
    }
    let flag = crate::settings::boolean(text).ok_or_else(invalid)?;
    if name == "transaction_read_only" {
        modes.read_only = Some(flag);
    } else {
        modes.deferrable = Some(flag);
    }
    Ok(modes)
}

impl State {
    /// Brings what is derived from settings up to date.
    pub(crate) fn refresh_settings(&self) {
        let settings = self.settings.borrow();
        if self.settings_seen.replace(settings.generation()) == settings.generation() {
            return;
        }
        let (style, order) =
            date_style(settings.text("DateStyle"), "").expect("S1: the value has passed its check");
        let interval_style = match settings.text("IntervalStyle") {
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            "iso_8601" => IntervalStyle::Iso8601,
            _ => IntervalStyle::Postgres,
        };
        let mut format = self.format.borrow_mut();
        *format = FormatContext {
            date_style: style,
            date_order: order,
            interval_style,
            time_zone: TimeZone::parse(settings.text("TimeZone")).unwrap_or_else(TimeZone::utc),
            extra_float_digits: settings.integer("extra_float_digits") as i32,
            bytea_output: match settings.text("bytea_output") {
                "escape" => ByteaOutput::Escape,
                _ => ByteaOutput::Hex,
            },
            now: self.transaction_time.get(),
            names: None,
        };
        self.path.borrow_mut().0 = u64::MAX;
        self.interrupt.set_deadlock_timeout(settings.parsed().deadlock_timeout);
        self.activity.note_application_name(settings.text("application_name"));
        drop(format);
        let session = self.role_of_setting(settings.text("session_authorization")).unwrap_or(self.login);
        let current = match settings.text("role") {
            "none" => session,
            name => self.role_of_setting(name).unwrap_or(session),
        };
        drop(settings);
        self.set_roles.set((session, current));
        let superuser = self.catalog().role(current).is_some_and(|role| role.superuser);
        let mut settings = self.settings.borrow_mut();
        settings.report("is_superuser", if superuser { "on" } else { "off" });
        self.settings_seen.set(settings.generation());
    }

    /// Whether a setting was changed since this was last asked.
    pub(crate) fn settings_changed_since_report(&self) -> bool {
        let generation = self.settings.borrow().generation();
        self.reported_generation.replace(generation) != generation
    }

    /// What text forms depend on.
    pub(crate) fn format_context(&self) -> FormatContext {
        self.refresh_settings();
        let mut format = self.format.borrow().clone();
        format.now = self.transaction_time.get();
        format.names = Some(self.catalog_names());
        format
    }

    /// The names of catalog objects, made again only when the catalog or the path is another.
    pub(crate) fn catalog_names(&self) -> Arc<CatalogNames> {
        let (catalog, path) = (self.catalog(), self.search_path());
        let mut names = self.names.borrow_mut();
        match &*names {
            Some(known) if known.are_of(&catalog, &path) => Arc::clone(known),
            _ => Arc::clone(names.insert(Arc::new(CatalogNames::new(
                catalog,
                path,
                Arc::clone(&self.interrupt),
            )))),
        }
    }

    /// The namespaces searched, implicit ones included.
    pub(crate) fn search_path(&self) -> Arc<[Oid]> {
        self.refresh_settings();
        let catalog = self.catalog();
        let role = self.user_oid();
        {
            let known = self.path.borrow();
            if known.0 == catalog.version && known.1 == role {
                return Arc::clone(&known.2);
            }
        }
        let found: Arc<[Oid]> = self.resolve_path(&catalog).into();
        *self.path.borrow_mut() = (catalog.version, role, Arc::clone(&found));
        found
    }

    /// A name of the path; `$user` is the role that acts.
    fn path_name(&self, name: String) -> String {
        if name == "$user" { self.name_of_role(self.user_oid()).to_string() } else { name }
    }

    fn resolve_path(&self, catalog: &ochre_catalog::CatalogSnapshot) -> Vec<Oid> {
        let settings = self.settings.borrow();
        let mut path: Vec<Oid> = Vec::new();
        for name in split_names(settings.text("search_path")) {
            let name = self.path_name(name);
            if let Some(namespace) = self.namespace_named(catalog, &name)
                && !path.contains(&namespace)
                && self.may_use_namespace(namespace)
            {
                path.push(namespace);
            }
        }
        for implicit in IMPLICIT_NAMESPACES.iter().rev() {
            if !path.contains(implicit) {
                path.insert(0, *implicit);
            }
        }
        if let Some(own) = self.temporary_namespace()
            && !path.contains(&own)
        {
            path.insert(0, own);
        }
        path
    }

    /// The namespaces that the setting itself names, in order.
    pub(crate) fn explicit_path(&self) -> Vec<Oid> {
        let settings = self.settings.borrow();
        let named: Vec<String> = split_names(settings.text("search_path"));
        let catalog = self.catalog();
        let mut path = Vec::new();
        for name in named {
            let name = self.path_name(name);
            if let Some(namespace) = catalog.namespace_named(&name)
                && self.may_use_namespace(namespace.oid)
            {
                path.push(namespace.oid);
            }
        }
        path
    }

    /// Where an unqualified new object goes.
    pub(crate) fn creation_namespace(&self) -> Result<Oid> {
        self.explicit_path().first().copied().ok_or_else(|| {
            Error::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
        })
    }
}

/// Names of a comma-separated list, quotes taken off and others folded to lower case.
pub(crate) fn split_names(list: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut chars = list.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        let Some(first) = chars.peek().copied() else {
            return names;
        };
        let mut name = String::new();
        if first == '"' {
            chars.next();
            while let Some(c) = chars.next() {
                if c != '"' {
                    name.push(c);
                } else if chars.next_if_eq(&'"').is_some() {
                    name.push('"');
                } else {
                    break;
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                name.extend(c.to_lowercase());
            }
            name.truncate(name.trim_end().len());
        }
        if !name.is_empty() {
            names.push(name);
        }
    }
}

/// The parts of a dotted name, quotes taken off and others folded to lower case.
pub(crate) fn split_dotted(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = name.trim().chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let part = parts.last_mut().expect("there is always a last part");
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => part.push('"'),
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c if quoted => part.push(c),
            c => part.extend(c.to_lowercase()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_split() {
        assert_eq!(split_names("\"$user\", public"), ["$user", "public"]);
        assert_eq!(split_names("Foo,\"Ba\"\"r\""), ["foo", "Ba\"r"]);
        assert!(split_names("\"\"").is_empty());
        assert_eq!(split_dotted("Pg_Catalog.\"A.b\""), ["pg_catalog", "A.b"]);
    }
}
