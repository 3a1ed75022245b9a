//! Settings: PostgreSQL's names, units and checks, and a session's values of them.
//!
//! # Role
//! [`table`] lists every setting the product knows; a [`Settings`] holds one session's values. `SET`, `RESET`, `SHOW`,
//! `set_config` and `pg_settings` go through here; the rest of the engine reads the typed accessors.
//!
//! # Invariants
//! - S1: a value in a [`Settings`] has passed its setting's check and is in canonical form.
//! - S2: `SET` inside a transaction is undone when that transaction aborts, and by ROLLBACK TO when it came after the
//!   savepoint; `SET LOCAL` ends with the transaction. Both restore from one undo list, newest first.

mod parsed;
mod table;
mod value;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock};

use ochre_base::{Error, Result, SqlState};

pub use parsed::Parsed;
pub(crate) use parsed::PlanChoice;
pub use table::{
    ACCEPTED_STORAGE_PARAMETERS, ACCEPTED_VACUUM_OPTIONS, Context, GIN_STORAGE_PARAMETERS, Kind, SETTINGS,
    Setting, find,
};
pub use value::{boolean, date_style, format_with_unit};

/// Where a value came from, as `pg_settings.source` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Default,
    Configuration,
    Client,
    Session,
}

impl Source {
    /// The word in `pg_settings.source`.
    pub const fn word(self) -> &'static str {
        match self {
            Source::Default => "default",
            Source::Configuration => "configuration file",
            Source::Client => "client",
            Source::Session => "session",
        }
    }
}

/// Who asks for a change: decides which contexts may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The command line, environment or configuration file, before any session.
    Startup,
    /// A startup packet or a statement of a session.
    Session,
}

#[derive(Debug, Clone)]
struct Entry {
    value: Arc<str>,
    source: Source,
}

/// One undo step.
#[derive(Debug, Clone)]
struct Undo {
    name: Arc<str>,
    before: Option<Entry>,
    /// Whether the end of the transaction undoes it even when it commits.
    local: bool,
}

/// A session's values. Cloning one gives a new session its start.
#[derive(Debug, Clone)]
pub struct Settings {
    values: Vec<Entry>,
    reset: Vec<Entry>,
    /// Settings with a dot in their names belong to applications.
    custom: HashMap<Arc<str>, Entry>,
    undo: Vec<Undo>,
    /// Raised with each change, so that whoever keeps parsed values knows when to parse again.
    generation: u64,
    /// What statements read, until the next change.
    parsed: OnceLock<Box<Parsed>>,
}

/// Where the settings stand that tell of the running transaction: they change with each one, without a search.
struct TransactionSettings {
    isolation: usize,
    read_only: usize,
    deferrable: usize,
}

static TRANSACTION_SETTINGS: LazyLock<TransactionSettings> = LazyLock::new(|| {
    let find = |name| find(name).expect("the table has it");
    TransactionSettings {
        isolation: find("transaction_isolation"),
        read_only: find("transaction_read_only"),
        deferrable: find("transaction_deferrable"),
    }
});

impl Default for Settings {
    fn default() -> Settings {
        Settings::new()
    }
}

impl Settings {
    /// Every setting at its default.
    pub fn new() -> Settings {
        let values: Vec<Entry> = SETTINGS
            .iter()
            .map(|setting| Entry { value: setting.default.into(), source: Source::Default })
            .collect();
        Settings {
            reset: values.clone(),
            values,
            custom: HashMap::new(),
            undo: Vec::new(),
            generation: 0,
            parsed: OnceLock::new(),
        }
    }

    /// Sets a value before any session exists, for instance from the command line; it becomes what RESET goes back to.
    ///
    /// # Errors
    /// 42704 for an unknown name, 22023 for a value that does not pass the check.
    pub fn configure(&mut self, name: &str, value: &str, source: Source) -> Result<()> {
        let index = find(name).ok_or_else(|| unknown(name))?;
        let setting = &SETTINGS[index];
        if setting.context == Context::Internal {
            return Err(cannot_change(setting.name));
        }
        if source == Source::Client && setting.context == Context::Startup {
            return Err(needs_restart(setting.name));
        }
        let entry = Entry { value: setting.check(value, &self.values[index].value)?, source };
        self.values[index] = entry.clone();
        self.reset[index] = entry;
        self.changed();
        Ok(())
    }

    /// Sets what the server itself reports, past the check on who may change it.
    pub fn report(&mut self, name: &'static str, value: &str) {
        let index = find(name).expect("the server reports settings of the table");
        if *self.values[index].value == *value {
            return;
        }
        let entry = Entry { value: value.into(), source: self.values[index].source };
        self.values[index] = entry.clone();
        self.reset[index] = entry;
        self.changed();
    }

    /// Tells of the transaction that begins, or of a change of its modes.
    pub fn report_transaction(&mut self, isolation: &'static str, read_only: bool, deferrable: bool) {
        let at = &*TRANSACTION_SETTINGS;
        let flag = |on| if on { "on" } else { "off" };
        for (index, value) in
            [(at.isolation, isolation), (at.read_only, flag(read_only)), (at.deferrable, flag(deferrable))]
        {
            let entry = &mut self.values[index];
            // Nothing that is kept was made from it, so this is no change of the settings.
            if *entry.value != *value {
                entry.value = value.into();
                self.reset[index].value = Arc::clone(&entry.value);
            }
        }
    }

    fn changed(&mut self) {
        self.generation += 1;
        self.parsed.take();
    }

    /// The values that statements read.
    pub fn parsed(&self) -> &Parsed {
        self.parsed.get_or_init(|| Box::new(Parsed::of(self)))
    }

    /// `SET [LOCAL] name = value`.
    ///
    /// # Errors
    /// 42704 for an unknown name, 22023 for a value that does not pass, 55P02 for one that cannot be changed now.
    pub fn set(&mut self, name: &str, value: &str, local: bool) -> Result<()> {
        match find(name) {
            Some(index) => {
                let setting = &SETTINGS[index];
                match setting.context {
                    Context::Internal => return Err(cannot_change(setting.name)),
                    Context::Startup => return Err(needs_restart(setting.name)),
                    Context::Session => {}
                }
                let value = setting.check(value, &self.values[index].value)?;
                self.remember(setting.name.into(), Some(self.values[index].clone()), local);
                self.values[index] = Entry { value, source: Source::Session };
            }
            None if is_custom(name) => {
                let key: Arc<str> = name.to_ascii_lowercase().into();
                let before = self.custom.get(&key).cloned();
                self.remember(Arc::clone(&key), before, local);
                self.custom.insert(key, Entry { value: value.into(), source: Source::Session });
            }
            None => return Err(unknown(name)),
        }
        self.changed();
        Ok(())
    }

    /// Whether a value could be set.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn check(&self, name: &str, value: &str) -> Result<()> {
        match find(name) {
            Some(index) => {
                let setting = &SETTINGS[index];
                match setting.context {
                    Context::Internal => Err(cannot_change(setting.name)),
                    Context::Startup => Err(needs_restart(setting.name)),
                    Context::Session => setting.check(value, &self.values[index].value).map(|_| ()),
                }
            }
            None if is_custom(name) => Ok(()),
            None => Err(unknown(name)),
        }
    }

    /// Ends what a routine's own settings were for, since `mark`: each goes back to what it was, unless the routine has
    /// set it anew for the session.
    pub fn leave_routine(&mut self, mark: usize, names: &[&str]) {
        let steps = self.undo.split_off(mark);
        let is_own = |step: &Undo| names.contains(&&*step.name);
        for name in names {
            let mut own = steps.iter().filter(|step| *step.name == **name);
            let Some(first) = own.next() else { continue };
            let undo = Undo { name: Arc::clone(&first.name), before: first.before.clone(), local: false };
            if own.any(|step| !step.local) {
                self.undo.push(undo);
            } else {
                self.restore(undo);
            }
        }
        self.undo.extend(steps.into_iter().filter(|step| !is_own(step)));
    }

    /// `RESET name`, or `SET name TO DEFAULT`.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub fn reset(&mut self, name: &str, local: bool) -> Result<()> {
        match find(name) {
            Some(index) => {
                let setting = &SETTINGS[index];
                match setting.context {
                    Context::Internal => return Err(cannot_change(setting.name)),
                    Context::Startup => return Err(needs_restart(setting.name)),
                    Context::Session => {}
                }
                self.remember(setting.name.into(), Some(self.values[index].clone()), local);
                self.values[index] = self.reset[index].clone();
            }
            None if is_custom(name) => {
                let key: Arc<str> = name.to_ascii_lowercase().into();
                let before = self.custom.remove(&key);
                self.remember(key, before, local);
            }
            None => return Err(unknown(name)),
        }
        self.changed();
        Ok(())
    }

    /// `RESET ALL`.
    pub fn reset_all(&mut self) {
        for (index, setting) in SETTINGS.iter().enumerate() {
            if setting.context == Context::Session && !setting.no_reset_all {
                self.remember(setting.name.into(), Some(self.values[index].clone()), false);
                self.values[index] = self.reset[index].clone();
            }
        }
        self.changed();
    }

    fn remember(&mut self, name: Arc<str>, before: Option<Entry>, local: bool) {
        self.undo.push(Undo { name, before, local });
    }

    /// Where the undo list stands, for a savepoint.
    pub fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Undoes what was set after a mark; a transaction that aborts goes back to 0.
    pub fn rollback_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            let undo = self.undo.pop().expect("longer than the mark");
            self.restore(undo);
        }
    }

    /// Ends a transaction that committed: only SET LOCAL is undone.
    pub fn commit(&mut self) {
        if self.undo.is_empty() {
            return;
        }
        // A plain SET after a SET LOCAL of the same setting wins, so a local change is undone only as long as nothing
        // but local changes came after it.
        let undo = std::mem::take(&mut self.undo);
        let mut settled: Vec<Arc<str>> = Vec::new();
        for step in undo.into_iter().rev() {
            if !step.local {
                settled.push(step.name);
            } else if !settled.contains(&step.name) {
                self.restore(step);
            }
        }
    }

    fn restore(&mut self, undo: Undo) {
        self.changed();
        match find(&undo.name) {
            Some(index) => self.values[index] = undo.before.expect("a known setting always has a value"),
            None => match undo.before {
                Some(entry) => {
                    self.custom.insert(undo.name, entry);
                }
                None => {
                    self.custom.remove(&undo.name);
                }
            },
        }
    }

    /// Raised with each change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// As [`Parsed::plan_fingerprint`].
    fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        for (setting, entry) in SETTINGS.iter().zip(&self.values) {
            if setting.category.starts_with("Query Tuning")
                || setting.name == "work_mem"
                || setting.name.contains("parallel")
                || matches!(setting.kind, Kind::DateStyle | Kind::TimeZone)
                || setting.name == "IntervalStyle"
            {
                entry.value.hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// The raw value, without a unit.
    pub fn value(&self, name: &str) -> Option<&str> {
        match find(name) {
            Some(index) => Some(&self.values[index].value),
            None => self.custom.get(name.to_ascii_lowercase().as_str()).map(|entry| &*entry.value),
        }
    }

    /// The value as SHOW prints it.
    ///
    /// # Errors
    /// 42704 for an unknown name.
    pub fn show(&self, name: &str) -> Result<String> {
        match find(name) {
            Some(index) => Ok(SETTINGS[index].show(&self.values[index].value)),
            None => self
                .custom
                .get(name.to_ascii_lowercase().as_str())
                .map(|entry| entry.value.to_string())
                .ok_or_else(|| unknown(name)),
        }
    }

    /// Every setting with its value, reset value and source, in the order of names.
    pub fn all(&self) -> impl Iterator<Item = (&'static Setting, &str, &str, Source)> {
        SETTINGS
            .iter()
            .zip(self.values.iter().zip(&self.reset))
            .map(|(setting, (entry, reset))| (setting, &*entry.value, &*reset.value, entry.source))
    }

    /// The settings that plans depend on and that are not at their defaults, for EXPLAIN.
    pub fn explained(&self) -> Vec<(String, String)> {
        const OTHERS: [&str; 4] = ["hash_mem_multiplier", "search_path", "temp_buffers", "work_mem"];
        SETTINGS
            .iter()
            .zip(self.values.iter())
            .filter(|(setting, entry)| {
                (setting.category.starts_with("Query Tuning") || OTHERS.contains(&setting.name))
                    && *entry.value != *setting.default
            })
            .map(|(setting, entry)| (setting.name.to_owned(), setting.show(&entry.value)))
            .collect()
    }

    /// A boolean setting of the table.
    pub fn flag(&self, name: &'static str) -> bool {
        self.known(name) == "on"
    }

    /// An integer setting of the table, in its base unit.
    pub fn integer(&self, name: &'static str) -> i64 {
        self.known(name).parse().expect("S1: integers are canonical")
    }

    /// A floating-point setting of the table.
    pub fn real(&self, name: &'static str) -> f64 {
        self.known(name).parse().expect("S1: reals are canonical")
    }

    /// A string or enumeration setting of the table.
    pub fn text(&self, name: &'static str) -> &str {
        self.known(name)
    }

    fn known(&self, name: &'static str) -> &str {
        let index = find(name).expect("the engine reads settings of the table");
        &self.values[index].value
    }
}

fn is_custom(name: &str) -> bool {
    let mut parts = name.split('.');
    parts.clone().count() >= 2
        && parts.all(|part| {
            part.starts_with(|c: char| c.is_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '$')
        })
}

#[cold]
fn unknown(name: &str) -> Error {
    Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized configuration parameter \"{name}\""))
}

#[cold]
fn cannot_change(name: &str) -> Error {
    Error::new(SqlState::CANT_CHANGE_RUNTIME_PARAM, format!("parameter \"{name}\" cannot be changed"))
}

#[cold]
fn needs_restart(name: &str) -> Error {
    Error::new(
        SqlState::CANT_CHANGE_RUNTIME_PARAM,
        format!("parameter \"{name}\" cannot be changed without restarting the server"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_sorted_look_ups_work() {
        for (i, setting) in SETTINGS.iter().enumerate() {
            assert_eq!(find(setting.name), Some(i), "{}", setting.name);
            assert_eq!(
                &*setting.check(setting.default, setting.default).expect(setting.name),
                setting.default,
                "{}",
                setting.name
            );
        }
        assert!(find("DateStyle").is_some() && find("datestyle").is_some());
    }

    #[test]
    fn units_are_read_and_shown() {
        let mut settings = Settings::new();
        settings.set("work_mem", "64MB", false).unwrap();
        assert_eq!(settings.integer("work_mem"), 65_536);
        assert_eq!(settings.show("work_mem").unwrap(), "64MB");
        settings.set("statement_timeout", "90s", false).unwrap();
        assert_eq!(settings.show("statement_timeout").unwrap(), "90s");
        let error = settings.set("work_mem", "1kB", false).unwrap_err();
        assert_eq!(
            error.message(),
            "1 kB is outside the valid range for parameter \"work_mem\" (64 kB .. 2147483647 kB)"
        );
    }

    #[test]
    fn a_transaction_undoes_what_it_set() {
        let mut settings = Settings::new();
        settings.set("work_mem", "1MB", false).unwrap();
        settings.commit();
        settings.set("work_mem", "2MB", false).unwrap();
        let mark = settings.mark();
        settings.set("work_mem", "3MB", true).unwrap();
        settings.rollback_to(mark);
        assert_eq!(settings.show("work_mem").unwrap(), "2MB");
        settings.rollback_to(0);
        assert_eq!(settings.show("work_mem").unwrap(), "1MB");
        settings.set("work_mem", "5MB", true).unwrap();
        settings.commit();
        assert_eq!(settings.show("work_mem").unwrap(), "1MB");
    }

    #[test]
    fn unknown_settings_are_errors_and_dotted_ones_are_the_applications() {
        let mut settings = Settings::new();
        assert_eq!(settings.set("nonsense", "1", false).unwrap_err().sqlstate(), SqlState::UNDEFINED_OBJECT);
        settings.set("app.user", "x", false).unwrap();
        assert_eq!(settings.show("app.user").unwrap(), "x");
    }
}
