//! RAISE, and what handlers catch.

use ochre_base::{Error, Result, Severity, SqlState};
use ochre_plpgsql::ast::{Condition, Raise, RaiseLevel, RaiseOption};

use super::conditions::{ASSERT_FAILURE, states_of};
use super::run::Run;

/// The state of a condition.
///
/// # Errors
/// 42704 for a name that there is none of.
pub(super) fn condition_state(name: &str) -> Result<SqlState> {
    states_of(name).next().ok_or_else(|| {
        Error::new(SqlState::UNDEFINED_OBJECT, format!("unrecognized exception condition \"{name}\""))
    })
}

/// Whether a handler's condition catches a state.
pub(super) fn catches(condition: &Condition, state: SqlState) -> bool {
    // A class catches all of its states.
    let fits = |wanted: &str| {
        wanted == state.as_str() || wanted.ends_with("000") && wanted[..2] == state.as_str()[..2]
    };
    match condition {
        Condition::Others => state != SqlState::QUERY_CANCELED && state.as_str() != ASSERT_FAILURE,
        Condition::State(code) => fits(code),
        Condition::Name(name) => states_of(name).any(|wanted| fits(wanted.as_str())),
    }
}

impl<'a> Run<'a, '_> {
    pub(super) fn raise(&mut self, raise: &'a Raise) -> Result<()> {
        if raise.condition.is_none() && raise.format.is_none() && raise.options.is_empty() {
            return Err(match self.handled.last() {
                Some(error) => error.clone(),
                None => Error::new(
                    SqlState::new("0Z002"),
                    "RAISE without parameters cannot be used outside an exception handler",
                ),
            });
        }
        let mut state = None;
        let mut message = None;
        if let Some(condition) = &raise.condition {
            let (name, code) = match condition {
                Condition::Name(name) => (name.clone(), condition_state(name)?),
                Condition::State(code) => (code.clone(), SqlState::new(code)),
                Condition::Others => ("others".to_owned(), condition_state("others")?),
            };
            state = Some(code);
            message = Some(name);
        }
        if let Some(format) = &raise.format {
            message = Some(self.format_message(format, raise)?);
        }
        let (severity, default_state) = match raise.level {
            RaiseLevel::Debug => (Severity::Debug, SqlState::SUCCESSFUL_COMPLETION),
            RaiseLevel::Log => (Severity::Log, SqlState::SUCCESSFUL_COMPLETION),
            RaiseLevel::Info => (Severity::Info, SqlState::SUCCESSFUL_COMPLETION),
            RaiseLevel::Notice => (Severity::Notice, SqlState::SUCCESSFUL_COMPLETION),
            RaiseLevel::Warning => (Severity::Warning, SqlState::WARNING),
            RaiseLevel::Exception => (Severity::Error, SqlState::new("P0001")),
        };
        let mut error = Error::with_severity(severity, default_state, "");
        let mut names_seen = Vec::new();
        for (option, value) in &raise.options {
            let twice = names_seen.contains(option)
                || *option == RaiseOption::Message && raise.format.is_some()
                || *option == RaiseOption::Errcode && state.is_some() && raise.condition.is_some();
            if twice {
                return Err(Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("RAISE option already specified: {}", option_name(*option)),
                ));
            }
            names_seen.push(*option);
            let (value, ty) = self.eval(value)?;
            if value.is_null() {
                return Err(Error::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "RAISE statement option cannot be null",
                ));
            }
            let text = self.text_of(&value, ty)?;
            let fields = error.fields_mut();
            match option {
                RaiseOption::Errcode => {
                    let is_code =
                        text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
                    state = Some(if is_code { SqlState::new(&text) } else { condition_state(&text)? });
                    if message.is_none() && !raise.options.iter().any(|(o, _)| *o == RaiseOption::Message) {
                        message = Some(text);
                    }
                }
                RaiseOption::Message => message = Some(text),
                RaiseOption::Detail => fields.detail = Some(text),
                RaiseOption::Hint => fields.hint = Some(text),
                RaiseOption::Column => fields.column = Some(text),
                RaiseOption::Constraint => fields.constraint = Some(text),
                RaiseOption::Datatype => fields.datatype = Some(text),
                RaiseOption::Table => fields.table = Some(text),
                RaiseOption::Schema => fields.schema = Some(text),
            }
        }
        let fields = error.fields_mut();
        fields.sqlstate = state.unwrap_or(default_state);
        fields.message = message.unwrap_or_else(|| fields.sqlstate.to_string());
        if raise.level == RaiseLevel::Exception {
            return Err(error);
        }
        let context = self.context_line();
        self.session().state.notice(error.context(context));
        Ok(())
    }

    fn format_message(&mut self, format: &str, raise: &'a Raise) -> Result<String> {
        let mut out = String::with_capacity(format.len());
        let mut arguments = raise.arguments.iter();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
            } else if chars.next_if_eq(&'%').is_some() {
                out.push('%');
            } else if let Some(argument) = arguments.next() {
                let (value, ty) = self.eval(argument)?;
                if value.is_null() {
                    out.push_str("<NULL>");
                } else {
                    out.push_str(&self.text_of(&value, ty)?);
                }
            }
        }
        Ok(out)
    }
}

fn option_name(option: RaiseOption) -> &'static str {
    match option {
        RaiseOption::Errcode => "ERRCODE",
        RaiseOption::Message => "MESSAGE",
        RaiseOption::Detail => "DETAIL",
        RaiseOption::Hint => "HINT",
        RaiseOption::Column => "COLUMN",
        RaiseOption::Constraint => "CONSTRAINT",
        RaiseOption::Datatype => "DATATYPE",
        RaiseOption::Table => "TABLE",
        RaiseOption::Schema => "SCHEMA",
    }
}
