//! Routines and triggers as the statements that make them.

use std::fmt::Write;

use ochre_base::Oid;
use ochre_catalog::{RelationDescriptor, RoutineDescriptor, TriggerDescriptor, TriggerTiming};
use ochre_expr::{Function, FunctionKind, Language, ParameterMode as Mode, Volatility};

use crate::ddl::{named_text, quote_identifier};
use crate::session::Session;

/// A function of any kind by its id, with the user's descriptor where there is one.
fn with_function<R>(
    session: &Session,
    oid: Oid,
    read: impl FnOnce(&Function, Option<&RoutineDescriptor>) -> R,
) -> Option<R> {
    if let Some(routine) = session.routine(oid) {
        return Some(read(&routine.function, Some(&routine)));
    }
    ochre_expr::function(oid).map(|function| read(function, None))
}

impl Session {
    fn type_shown(&self, oid: Oid) -> String {
        self.type_name_text(self.sql_type(oid))
    }

    /// A stored text with names in the place of object ids.
    fn stored_shown(&self, text: &str) -> String {
        named_text(&self.state.catalog(), &self.state.search_path(), text)
    }

    /// `pg_get_function_result`; `None` for a procedure.
    pub(crate) fn function_result_text(&self, oid: Oid) -> Option<String> {
        with_function(self, oid, |function, _| {
            (function.kind != FunctionKind::Procedure).then(|| self.result_of(function))
        })?
    }

    fn result_of(&self, function: &Function) -> String {
        if function.arg_modes.contains(&Mode::Table) {
            let columns = function.arg_modes.iter().enumerate().filter(|(_, mode)| **mode == Mode::Table);
            let columns: Vec<String> = columns.map(|(i, _)| self.parameter(function, i, None)).collect();
            return format!("TABLE({})", columns.join(", "));
        }
        let ty = self.type_shown(function.return_type);
        if function.returns_set { format!("SETOF {ty}") } else { ty }
    }

    /// A parameter's name and type; of an input parameter also its default.
    fn parameter(&self, function: &Function, i: usize, input: Option<usize>) -> String {
        let name = function.arg_names.get(i).filter(|name| !name.is_empty());
        let ty = match function.all_arg_types.is_empty() {
            true => function.arg_types[i],
            false => function.all_arg_types[i],
        };
        let mut text = match name {
            Some(name) => format!("{} {}", quote_identifier(name), self.type_shown(ty)),
            None => self.type_shown(ty),
        };
        let first = function.arg_types.len() - function.default_count;
        let default = input.and_then(|input| input.checked_sub(first));
        if let Some(default) = default.and_then(|default| function.defaults.get(default)) {
            let _ = write!(text, " DEFAULT {}", self.stored_shown(default));
        }
        text
    }

    /// `pg_get_function_arguments`, without defaults `pg_get_function_identity_arguments`.
    pub(crate) fn function_arguments_text(&self, oid: Oid, defaults: bool) -> Option<String> {
        with_function(self, oid, |function, _| self.arguments_of(function, defaults))
    }

    fn arguments_of(&self, function: &Function, defaults: bool) -> String {
        let count = function.all_arg_types.len().max(function.arg_types.len());
        let mut input = 0;
        let mut parts = Vec::with_capacity(count);
        for i in 0..count {
            let variadic = function.variadic.is_valid() && i + 1 == count;
            let plain = if variadic { Mode::Variadic } else { Mode::In };
            let mode = function.arg_modes.get(i).copied().unwrap_or(plain);
            let word = match mode {
                Mode::In if function.kind == FunctionKind::Procedure => "IN ",
                Mode::In => "",
                Mode::Out => "OUT ",
                Mode::InOut => "INOUT ",
                Mode::Variadic => "VARIADIC ",
                Mode::Table => continue,
            };
            let is_input = mode != Mode::Out;
            let number = (is_input && defaults).then_some(input);
            input += usize::from(is_input);
            parts.push(format!("{word}{}", self.parameter(function, i, number)));
        }
        parts.join(", ")
    }

    /// `pg_get_function_arg_default`: of a parameter, counted from 1 among the input ones.
    pub(crate) fn function_default_text(&self, oid: Oid, number: i64) -> Option<String> {
        with_function(self, oid, |function, _| {
            let first = function.arg_types.len() - function.default_count;
            let index = usize::try_from(number - 1).ok()?.checked_sub(first)?;
            function.defaults.get(index).map(|text| self.stored_shown(text))
        })?
    }

    fn qualified_name(&self, routine: &RoutineDescriptor) -> String {
        let namespace = self.namespace_name(routine.namespace);
        format!("{}.{}", quote_identifier(&namespace), quote_identifier(routine.name()))
    }

    /// `pg_get_functiondef`, of routines of users.
    pub(crate) fn function_definition(&self, oid: Oid) -> Option<String> {
        let routine = self.routine(oid)?;
        let function = &routine.function;
        let is_procedure = function.kind == FunctionKind::Procedure;
        let word = if is_procedure { "PROCEDURE" } else { "FUNCTION" };
        let mut out = format!(
            "CREATE OR REPLACE {word} {}({})\n",
            self.qualified_name(&routine),
            self.arguments_of(function, true)
        );
        if !is_procedure {
            let _ = writeln!(out, " RETURNS {}", self.result_of(function));
        }
        let language = if function.language == Language::PlPgSql { "plpgsql" } else { "sql" };
        let _ = writeln!(out, " LANGUAGE {language}");
        let mut options = String::new();
        options.push_str(match function.volatility {
            Volatility::Immutable => " IMMUTABLE",
            Volatility::Stable => " STABLE",
            Volatility::Volatile => "",
        });
        options.push_str(match function.parallel {
            b's' => " PARALLEL SAFE",
            b'r' => " PARALLEL RESTRICTED",
            _ => "",
        });
        for (set, word) in [
            (function.strict, " STRICT"),
            (function.security_definer, " SECURITY DEFINER"),
            (function.leakproof, " LEAKPROOF"),
        ] {
            options.push_str(if set { word } else { "" });
        }
        if function.cost != 100.0 {
            let _ = write!(options, " COST {}", function.cost);
        }
        if function.rows > 0.0 && function.rows != 1000.0 {
            let _ = write!(options, " ROWS {}", function.rows);
        }
        if !options.is_empty() {
            let _ = writeln!(out, "{options}");
        }
        for (name, value) in routine.settings.iter().filter_map(|setting| setting.split_once('=')) {
            let values: Vec<String> = match name {
                "search_path" => crate::session::split_names(value),
                _ => vec![value.to_owned()],
            };
            let quoted: Vec<String> =
                values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
            let _ = writeln!(out, " SET {} TO {}", quote_identifier(name), quoted.join(", "));
        }
        match &routine.sql_body {
            Some(_) => {
                let _ = writeln!(out, "{}", self.body_of(&routine)?);
            }
            None => {
                let mut tag = word.to_lowercase();
                while function.source.contains(&format!("${tag}")) {
                    tag.push('x');
                }
                let _ = writeln!(out, "AS ${tag}${}${tag}$", function.source);
            }
        }
        Some(out)
    }

    /// A body in SQL's own form: `RETURN …` or `BEGIN ATOMIC …`.
    fn body_of(&self, routine: &RoutineDescriptor) -> Option<String> {
        let text = self.stored_shown(routine.sql_body.as_deref()?);
        // Only statements of a block end with a semicolon.
        if let Some(expression) = text.strip_prefix("SELECT ").filter(|text| !text.ends_with(';')) {
            return Some(format!("RETURN {expression}"));
        }
        let lines: Vec<String> = text.lines().map(|line| format!(" {line}\n")).collect();
        Some(format!("BEGIN ATOMIC\n{}END", lines.concat()))
    }

    /// `pg_get_function_sqlbody`.
    pub(crate) fn function_body_text(&self, oid: Oid) -> Option<String> {
        self.routine(oid).and_then(|routine| self.body_of(&routine))
    }

    /// `pg_get_triggerdef`; a pretty one leaves out what the search path makes plain.
    pub(crate) fn trigger_definition(&self, oid: Oid, pretty: bool) -> Option<String> {
        let catalog = self.state.catalog();
        let owner = |relation: &&std::sync::Arc<RelationDescriptor>| {
            relation.triggers.iter().any(|trigger| trigger.oid == oid)
        };
        let table = catalog.relations().find(owner)?;
        let trigger = table.triggers.iter().find(|trigger| trigger.oid == oid)?;
        let column = |number: &i16| table.column(*number).map(|column| quote_identifier(&column.name));
        let mut out = format!(
            "CREATE {}TRIGGER {} {} {} ON {} ",
            if trigger.constraint.is_valid() { "CONSTRAINT " } else { "" },
            quote_identifier(&trigger.name),
            timing_word(trigger.timing),
            events_of(trigger, column),
            match pretty {
                true => self.state.catalog_names().relation(table),
                false => format!(
                    "{}.{}",
                    quote_identifier(&self.namespace_name(table.namespace)),
                    quote_identifier(&table.name)
                ),
            }
        );
        if trigger.constraint.is_valid() {
            out.push_str(match (trigger.deferrable, trigger.initially_deferred) {
                (true, true) => "DEFERRABLE INITIALLY DEFERRED ",
                (true, false) => "DEFERRABLE INITIALLY IMMEDIATE ",
                (false, _) => "NOT DEFERRABLE INITIALLY IMMEDIATE ",
            });
        }
        if trigger.old_table.is_some() || trigger.new_table.is_some() {
            out.push_str("REFERENCING ");
            for (word, name) in [("OLD", &trigger.old_table), ("NEW", &trigger.new_table)] {
                if let Some(name) = name {
                    let _ = write!(out, "{word} TABLE AS {} ", quote_identifier(name));
                }
            }
        }
        out.push_str(if trigger.row { "FOR EACH ROW " } else { "FOR EACH STATEMENT " });
        if let Some(condition) = &trigger.condition {
            let text = self.stored_shown(condition);
            let _ = match pretty {
                true => write!(out, "WHEN ({text}) "),
                false => write!(out, "WHEN (({text})) "),
            };
        }
        let function = self.routine(trigger.function)?;
        let arguments: Vec<String> =
            trigger.arguments.iter().map(|argument| format!("'{}'", argument.replace('\'', "''"))).collect();
        let visible = self.state.search_path().iter().find_map(|namespace| {
            catalog.routine_in(*namespace, function.name(), &[]).map(|found| found.oid)
        });
        let name = match visible == Some(function.oid) {
            true => quote_identifier(function.name()),
            false => self.qualified_name(&function),
        };
        let _ = write!(out, "EXECUTE FUNCTION {name}({})", arguments.join(", "));
        Some(out)
    }
}

fn timing_word(timing: TriggerTiming) -> &'static str {
    match timing {
        TriggerTiming::Before => "BEFORE",
        TriggerTiming::After => "AFTER",
        TriggerTiming::InsteadOf => "INSTEAD OF",
    }
}

fn events_of(trigger: &TriggerDescriptor, column: impl Fn(&i16) -> Option<String>) -> String {
    let mut events: Vec<String> = Vec::new();
    if trigger.insert {
        events.push("INSERT".to_owned());
    }
    if trigger.delete {
        events.push("DELETE".to_owned());
    }
    if trigger.update {
        let columns: Vec<String> = trigger.columns.iter().filter_map(column).collect();
        events.push(match columns.is_empty() {
            true => "UPDATE".to_owned(),
            false => format!("UPDATE OF {}", columns.join(", ")),
        });
    }
    if trigger.truncate {
        events.push("TRUNCATE".to_owned());
    }
    events.join(" OR ")
}
