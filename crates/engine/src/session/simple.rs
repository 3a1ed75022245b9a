//! The simple protocol: a text of statements, run one after the other in one implicit transaction.

use std::collections::VecDeque;
use std::sync::Arc;

use ochre_base::{Error, Result};
use ochre_parser::ast::{RawStatement, Statement};
use ochre_sql::physical::PlannedStatement;
use ochre_types::Datum;

use super::suspended::SuspendedStatement;
use super::transaction::failed_block;
use super::{Block, Session};
use crate::sink::Sink;
use crate::tag::CommandTag;

/// What a call has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Every statement ran.
    Done,
    /// A COPY … FROM STDIN waits for [`Session::copy_data`] and [`Session::copy_done`].
    CopyIn,
    /// The statement waits for a row: see [`Session::allow_suspension`].
    Waiting,
}

/// The statements of a message that have not run yet.
pub(crate) struct Pending {
    text: Arc<str>,
    statements: VecDeque<RawStatement>,
    multiple: bool,
    /// The COPY that waits for its data; of the extended protocol when `text` is empty.
    pub copy: Option<super::copy::CopyIn>,
}

impl Pending {
    /// Whether the message held more than one statement.
    pub(crate) fn is_multiple(&self) -> bool {
        self.multiple
    }

    /// The message's text.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// What waits when a COPY is executed in the extended protocol.
    pub(crate) fn extended_copy(copy: super::copy::CopyIn) -> Pending {
        Pending { text: "".into(), statements: VecDeque::new(), multiple: false, copy: Some(copy) }
    }
}

impl Session {
    /// Runs a text of statements.
    ///
    /// # Errors
    /// The first statement's that fails, its position a byte offset into the text; those behind it do not run.
    pub fn simple_query(&mut self, text: &str, sink: &mut dyn Sink) -> Result<Progress> {
        let result = self.start_simple_query(text, sink);
        self.finish_simple(result, sink)
    }

    /// [`Session::finish_call`], unless the statement is to go on.
    pub(crate) fn finish_simple(
        &mut self,
        result: Result<Progress>,
        sink: &mut dyn Sink,
    ) -> Result<Progress> {
        if let Ok(Progress::Waiting) = result {
            return result;
        }
        self.finish_call(result, sink)
    }

    /// Runs a kept plan with the values of its parameters.
    pub(crate) fn run_cached(
        &mut self,
        plan: Arc<PlannedStatement>,
        values: Vec<Datum>,
        sink: &mut dyn Sink,
    ) -> Result<Progress> {
        let done = self.run_or_suspend(&plan, |session| session.run_to_sink(&plan, &values, sink))?;
        let Some(tag) = done else {
            self.suspend_statement(SuspendedStatement::Simple(plan, values));
            return Ok(Progress::Waiting);
        };
        self.end_implicit()?;
        sink.complete(tag);
        Ok(Progress::Done)
    }

    /// What every call ends with: an error ends or fails the transaction, notices and settings reach the client.
    pub(crate) fn finish_call<T>(&mut self, result: Result<T>, sink: &mut dyn Sink) -> Result<T> {
        self.resumed = None;
        let result = result.inspect_err(|_| {
            self.pending = None;
            self.fail();
        });
        for notice in self.take_notices() {
            sink.notice(&notice);
        }
        self.report_settings(sink);
        self.end_statement();
        result
    }

    pub(crate) fn report_settings(&mut self, sink: &mut dyn Sink) {
        if self.state.settings_changed_since_report() {
            for (name, value) in self.changed_settings() {
                sink.setting(name, &value);
            }
        }
    }

    fn start_simple_query(&mut self, text: &str, sink: &mut dyn Sink) -> Result<Progress> {
        self.portals.remove("");
        self.start_statement();
        self.state.activity.note_query(text);
        if self.block != Block::Failed
            && let Some((plan, values)) = self.cached_plan(text)?
        {
            return self.run_cached(plan, values, sink);
        }
        let statements = ochre_parser::parse(text)?;
        self.state.note_truncated_identifiers(text);
        if statements.is_empty() {
            sink.empty();
            return Ok(Progress::Done);
        }
        let multiple = statements.len() > 1;
        self.pending =
            Some(Pending { text: text.into(), statements: statements.into(), multiple, copy: None });
        self.run_pending(sink)
    }

    fn run_pending(&mut self, sink: &mut dyn Sink) -> Result<Progress> {
        while let Some(pending) = &mut self.pending {
            let Some(statement) = pending.statements.pop_front() else {
                break;
            };
            let last = pending.statements.is_empty();
            let text = Arc::clone(&pending.text);
            match self.run_raw(&statement, &text, sink)? {
                Some(tag) => {
                    if last {
                        self.end_implicit()?;
                    }
                    self.flush_notices(sink);
                    sink.complete(tag);
                }
                None => return Ok(Progress::CopyIn),
            }
        }
        self.pending = None;
        self.end_implicit()?;
        Ok(Progress::Done)
    }

    pub(crate) fn flush_notices(&mut self, sink: &mut dyn Sink) {
        for notice in self.take_notices() {
            sink.notice(&notice);
        }
    }

    /// Commits an implicit transaction.
    pub(crate) fn end_implicit(&mut self) -> Result<()> {
        if self.block == Block::Implicit {
            self.end_committed()?;
        }
        Ok(())
    }

    /// Runs one statement of a text; `None` when it is a COPY that now waits for data.
    fn run_raw(
        &mut self,
        raw: &RawStatement,
        text: &Arc<str>,
        sink: &mut dyn Sink,
    ) -> Result<Option<CommandTag>> {
        if let Statement::Transaction(statement) = &raw.stmt {
            return self.transaction_statement(statement).map(Some);
        }
        if self.block == Block::Failed {
            return Err(failed_block());
        }
        self.begin_implicit()?;
        if is_plannable(&raw.stmt) {
            let alone = !self.pending.as_ref().is_some_and(Pending::is_multiple);
            let plan = match self.resolve_current_of(&raw.stmt)? {
                // A plan for one row of one cursor: nobody else can use it.
                Some(resolved) => self.plan_parameterised(&resolved, &[])?.1,
                None if alone => self.plan_statement(&raw.stmt, text)?,
                None => self.plan_parameterised(&raw.stmt, &[])?.1,
            };
            if !plan.parameters.is_empty() {
                return Err(Error::new(
                    ochre_base::SqlState::UNDEFINED_PARAMETER,
                    "there is no parameter $1",
                ));
            }
            return self.run_to_sink(&plan, &[], sink).map(Some);
        }
        let own_text = &text[raw.start..raw.start + raw.len];
        self.run_utility(
            &raw.stmt,
            own_text,
            super::extended::Parameters::NONE,
            super::utility::Protocol::Simple,
            sink,
        )
    }

    /// Data of a COPY … FROM STDIN.
    ///
    /// # Errors
    /// Data that is wrong; the COPY is over then.
    pub fn copy_data(&mut self, data: &[u8]) -> Result<()> {
        let result = self.add_copy_data(data);
        result.inspect_err(|_| {
            self.pending = None;
            self.fail();
        })
    }

    /// The end of the data: the COPY completes and the statements behind it run.
    ///
    /// # Errors
    /// As [`Session::simple_query`].
    pub fn copy_done(&mut self, sink: &mut dyn Sink) -> Result<Progress> {
        let result = self.finish_copy_and_go_on(sink);
        self.finish_call(result, sink)
    }

    fn finish_copy_and_go_on(&mut self, sink: &mut dyn Sink) -> Result<Progress> {
        let Some(copy) = self.pending.as_mut().and_then(|pending| pending.copy.take()) else {
            return Err(Error::new(ochre_base::SqlState::PROTOCOL_VIOLATION, "no COPY is in progress"));
        };
        let tag = self.finish_copy(copy)?;
        let simple = self.pending.as_ref().is_some_and(|pending| !pending.text.is_empty());
        if simple && self.pending.as_ref().is_some_and(|pending| pending.statements.is_empty()) {
            self.end_implicit()?;
        }
        self.flush_notices(sink);
        sink.complete(tag);
        if simple {
            return self.run_pending(sink);
        }
        self.pending = None;
        Ok(Progress::Done)
    }

    /// The client gave the COPY up.
    ///
    /// # Errors
    /// Always: 57014 with the client's reason.
    pub fn copy_fail(&mut self, reason: &str, sink: &mut dyn Sink) -> Result<Progress> {
        let error =
            Error::new(ochre_base::SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {reason}"));
        self.finish_call(Err(error), sink)
    }

    /// Whether a COPY waits for data.
    pub fn is_copying(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.copy.is_some())
    }
}

/// Whether a statement goes through the planner; all others are utilities.
pub(crate) fn is_plannable(statement: &Statement) -> bool {
    match statement {
        Statement::Select(select) => !super::utility::is_select_into(select),
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) | Statement::Merge(_) => true,
        _ => false,
    }
}
