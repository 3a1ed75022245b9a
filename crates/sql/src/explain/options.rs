//! The options of EXPLAIN.

use ochre_base::{Error, Result, SqlState};
use ochre_parser::ast;

/// What EXPLAIN shows, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExplainOptions {
    /// The statement is run, and what each operator did is shown.
    pub analyze: bool,
    /// Output columns and qualified names.
    pub verbose: bool,
    /// Estimates.
    pub costs: bool,
    /// Times of each operator.
    pub timing: bool,
    /// Planning and execution time at the end.
    pub summary: bool,
    /// Pages that were read and changed.
    pub buffers: bool,
    /// Settings that are not at their defaults.
    pub settings: bool,
    /// Log that was written.
    pub wal: bool,
    /// Memory that planning took.
    pub memory: bool,
    /// Parameters have no values.
    pub generic_plan: bool,
    /// The rules of the optimizer that changed the statement, in order.
    pub rules: bool,
    /// Rows are also made into what a client would be sent.
    pub serialize: Serialization,
    /// The form of the answer.
    pub format: ExplainFormat,
}

/// The form of EXPLAIN's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplainFormat {
    Text,
    Json,
    Yaml,
    Xml,
}

/// What EXPLAIN ANALYZE makes of result rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serialization {
    None,
    Text,
    Binary,
}

impl Serialization {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Serialization::None => "none",
            Serialization::Text => "text",
            Serialization::Binary => "binary",
        }
    }
}

impl Default for ExplainOptions {
    fn default() -> ExplainOptions {
        ExplainOptions {
            analyze: false,
            verbose: false,
            costs: true,
            timing: true,
            summary: false,
            buffers: false,
            settings: false,
            wal: false,
            memory: false,
            generic_plan: false,
            rules: false,
            serialize: Serialization::None,
            format: ExplainFormat::Text,
        }
    }
}

impl ExplainOptions {
    /// Reads the options of a statement. Of options that are given twice the last one counts.
    ///
    /// # Errors
    /// 42601 for unknown options and values that are not Boolean, 22023 for contradictory ones.
    pub fn from_statement(statement: &ast::ExplainStmt) -> Result<ExplainOptions> {
        let mut options = ExplainOptions::default();
        let (mut timing, mut summary, mut buffers) = (None, None, None);
        for option in &statement.options {
            let value = || flag(option);
            match option.name.as_str() {
                "analyze" => options.analyze = value()?,
                "verbose" => options.verbose = value()?,
                "costs" => options.costs = value()?,
                "timing" => timing = Some(value()?),
                "summary" => summary = Some(value()?),
                "buffers" => buffers = Some(value()?),
                "settings" => options.settings = value()?,
                "wal" => options.wal = value()?,
                "memory" => options.memory = value()?,
                "generic_plan" => options.generic_plan = value()?,
                "rules" => options.rules = value()?,
                "serialize" => options.serialize = serialization(option)?,
                "format" => options.format = format(option)?,
                other => {
                    return Err(Error::new(
                        SqlState::SYNTAX_ERROR,
                        format!("unrecognized EXPLAIN option \"{other}\""),
                    )
                    .at(option.pos.offset()));
                }
            }
        }
        if !options.analyze {
            let requires_analyze = [
                (options.wal, "WAL"),
                (timing == Some(true), "TIMING"),
                (options.serialize != Serialization::None, "SERIALIZE"),
            ];
            if let Some((_, name)) = requires_analyze.iter().find(|(given, _)| *given) {
                return Err(contradiction(format!("EXPLAIN option {name} requires ANALYZE")));
            }
        } else if options.generic_plan {
            return Err(contradiction("EXPLAIN options ANALYZE and GENERIC_PLAN cannot be used together"));
        }
        options.timing = timing.unwrap_or(options.analyze);
        options.summary = summary.unwrap_or(options.analyze);
        options.buffers = buffers.unwrap_or(options.analyze);
        Ok(options)
    }
}

fn contradiction(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn flag(option: &ast::DefElem) -> Result<bool> {
    let Some(value) = &option.value else { return Ok(true) };
    match value.as_text().to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("{} requires a Boolean value", option.name))),
    }
}

fn unrecognized(option: &ast::DefElem, value: &str) -> Error {
    contradiction(format!("unrecognized value for EXPLAIN option \"{}\": \"{value}\"", option.name))
        .at(option.pos.offset())
}

fn serialization(option: &ast::DefElem) -> Result<Serialization> {
    let Some(value) = &option.value else { return Ok(Serialization::Text) };
    match value.as_text().as_str() {
        "off" | "none" => Ok(Serialization::None),
        "text" => Ok(Serialization::Text),
        "binary" => Ok(Serialization::Binary),
        other => Err(unrecognized(option, other)),
    }
}

fn format(option: &ast::DefElem) -> Result<ExplainFormat> {
    let Some(value) = &option.value else {
        return Err(Error::new(SqlState::SYNTAX_ERROR, format!("{} requires a parameter", option.name)));
    };
    match value.as_text().as_str() {
        "text" => Ok(ExplainFormat::Text),
        "json" => Ok(ExplainFormat::Json),
        "yaml" => Ok(ExplainFormat::Yaml),
        "xml" => Ok(ExplainFormat::Xml),
        other => Err(unrecognized(option, other)),
    }
}
