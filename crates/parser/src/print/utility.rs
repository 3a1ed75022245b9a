//! Transactions, settings, cursors, maintenance, options.

use super::Printer;
use crate::ast::*;
use crate::keywords::Kw;

impl Printer {
    pub(super) fn transaction(&mut self, stmt: &TransactionStmt) {
        match stmt {
            TransactionStmt::Begin(modes) => {
                self.word("BEGIN");
                self.transaction_modes(modes);
            }
            TransactionStmt::Start(modes) => {
                self.word("START TRANSACTION");
                self.transaction_modes(modes);
            }
            TransactionStmt::Commit { chain } => {
                self.word(if *chain { "COMMIT AND CHAIN" } else { "COMMIT" })
            }
            TransactionStmt::Rollback { chain } => {
                self.word(if *chain { "ROLLBACK AND CHAIN" } else { "ROLLBACK" });
            }
            TransactionStmt::Savepoint(name, _) => self.words_and_name("SAVEPOINT", name),
            TransactionStmt::Release(name, _) => self.words_and_name("RELEASE SAVEPOINT", name),
            TransactionStmt::RollbackTo(name, _) => self.words_and_name("ROLLBACK TO SAVEPOINT", name),
            TransactionStmt::Prepare(id, _) => self.words_and_string("PREPARE TRANSACTION", id),
            TransactionStmt::CommitPrepared(id, _) => self.words_and_string("COMMIT PREPARED", id),
            TransactionStmt::RollbackPrepared(id, _) => self.words_and_string("ROLLBACK PREPARED", id),
        }
    }

    pub(super) fn words_and_name(&mut self, words: &str, name: &str) {
        self.word(words);
        self.name(name);
    }

    pub(super) fn words_and_string(&mut self, words: &str, text: &str) {
        self.word(words);
        self.string(text);
    }

    fn transaction_modes(&mut self, modes: &TransactionModes) {
        let mut comma = false;
        let mut mode = |p: &mut Self, text: &str| {
            if comma {
                p.tight(",");
            }
            comma = true;
            p.word(text);
        };
        if let Some(isolation) = modes.isolation {
            mode(self, &format!("ISOLATION LEVEL {}", isolation.as_str().to_uppercase()));
        }
        if let Some(read_only) = modes.read_only {
            mode(self, if read_only { "READ ONLY" } else { "READ WRITE" });
        }
        if let Some(deferrable) = modes.deferrable {
            mode(self, if deferrable { "DEFERRABLE" } else { "NOT DEFERRABLE" });
        }
    }

    /// SET and RESET.
    pub(super) fn set(&mut self, stmt: &SetStmt) {
        match &stmt.action {
            SetAction::Reset { name } => {
                self.word("RESET");
                self.setting(name);
            }
            SetAction::ResetAll => self.word("RESET ALL"),
            action => {
                self.word("SET");
                self.word_if(stmt.scope == SetScope::Local, "LOCAL");
                self.set_action(action);
            }
        }
    }

    /// A setting's name, dotted where it is in parts.
    fn setting(&mut self, name: &str) {
        if name.split('.').any(str::is_empty) {
            self.word(&format!("\"{}\"", name.replace('"', "\"\"")));
            return;
        }
        for (i, part) in name.split('.').enumerate() {
            if i > 0 {
                self.joint(".");
            }
            self.name(part);
        }
    }

    fn set_action(&mut self, action: &SetAction) {
        match action {
            SetAction::Value { name, values } => {
                if name == "timezone"
                    && matches!(values.as_slice(), [SetValue { value: SetValueKind::Interval(_), .. }])
                {
                    self.word("TIME ZONE");
                } else {
                    self.setting(name);
                    self.word("=");
                }
                self.list(values, |p, value| p.set_value(value));
            }
            SetAction::Default { name } => {
                self.setting(name);
                self.word("= DEFAULT");
            }
            SetAction::FromCurrent { name } => {
                self.setting(name);
                self.word("FROM CURRENT");
            }
            SetAction::Transaction(modes) => {
                self.word("TRANSACTION");
                self.transaction_modes(modes);
            }
            SetAction::SessionCharacteristics(modes) => {
                self.word("SESSION CHARACTERISTICS AS TRANSACTION");
                self.transaction_modes(modes);
            }
            SetAction::TransactionSnapshot(id) => self.words_and_string("TRANSACTION SNAPSHOT", id),
            SetAction::Reset { name } => self.setting(name),
            SetAction::ResetAll => self.word("ALL"),
        }
    }

    fn set_value(&mut self, value: &SetValue) {
        match &value.value {
            SetValueKind::String(text) => self.string(text),
            SetValueKind::Number(number) => self.number(number),
            SetValueKind::Interval(cast) => {
                // The fields of a zone's interval stand behind its text, its precision before.
                let precision = cast.type_name.typmods.len() == 2;
                if precision {
                    self.type_name(&cast.type_name);
                    self.expr(&cast.expr);
                } else {
                    let text = cast.type_name.to_string();
                    self.word("INTERVAL");
                    self.expr(&cast.expr);
                    if let Some(fields) = text.strip_prefix("interval ") {
                        self.word(fields);
                    }
                }
            }
        }
    }

    pub(super) fn number(&mut self, number: &NumericValue) {
        match number {
            NumericValue::Integer(value) => self.word(&value.to_string()),
            NumericValue::Other(text) => self.word(text),
        }
    }

    pub(super) fn show(&mut self, stmt: &ShowStmt) {
        self.word("SHOW");
        match stmt {
            ShowStmt::Name(name, _) => self.setting(name),
            ShowStmt::All => self.word("ALL"),
        }
    }

    pub(super) fn explain(&mut self, stmt: &ExplainStmt) {
        self.word("EXPLAIN");
        self.utility_options(&stmt.options);
        self.statement(&stmt.query);
    }

    /// `(name value, …)`, or nothing.
    pub(super) fn utility_options(&mut self, options: &[DefElem]) {
        self.optional_parens(options, |p, option| p.utility_option(option));
    }

    /// `name value`.
    pub(super) fn utility_option(&mut self, option: &DefElem) {
        self.option_name(&option.name);
        if let Some(value) = &option.value {
            self.def_value(value);
        }
    }

    /// An option's name: any word may be one.
    fn option_name(&mut self, name: &str) {
        if Kw::lookup(name.as_bytes()).is_some() { self.word(name) } else { self.name(name) }
    }

    pub(super) fn def_value(&mut self, value: &DefValue) {
        match value {
            DefValue::String(text) => self.string(text),
            DefValue::Word(word) => self.option_name(word),
            DefValue::Number(number) => self.number(number),
            DefValue::Bool(value) => self.word(if *value { "true" } else { "false" }),
            DefValue::Type(name) => self.type_name(name),
            DefValue::Operator(op) => self.operator(op),
            DefValue::List(items) => self.parens(|p| p.list(items, |p, item| p.def_value(item))),
            DefValue::Star => self.word("*"),
            DefValue::Columns(names) => self.parens(|p| p.names(names)),
        }
    }

    /// `(name = value, …)`.
    pub(super) fn definition(&mut self, options: &[DefElem]) {
        self.parens(|p| {
            p.list(options, |p, option| {
                if let Some(namespace) = &option.namespace {
                    p.name(namespace);
                    p.joint(".");
                }
                p.option_name(&option.name);
                if let Some(value) = &option.value {
                    p.word("=");
                    p.def_value(value);
                }
            });
        });
    }

    /// `WITH (name = value, …)`, or nothing.
    pub(super) fn with_options(&mut self, options: &[DefElem]) {
        if !options.is_empty() {
            self.word("WITH");
            self.definition(options);
        }
    }

    pub(super) fn prepare(&mut self, stmt: &PrepareStmt) {
        self.words_and_name("PREPARE", &stmt.name);
        self.optional_parens(&stmt.types, |p, name| p.type_name(name));
        self.word("AS");
        self.statement(&stmt.query);
    }

    pub(super) fn execute(&mut self, stmt: &ExecuteStmt) {
        self.words_and_name("EXECUTE", &stmt.name);
        self.optional_parens(&stmt.params, |p, e| p.expr(e));
    }

    pub(super) fn name_or_all(&mut self, words: &str, name: Option<&Name>) {
        self.word(words);
        match name {
            Some(name) => self.name(name),
            None => self.word("ALL"),
        }
    }

    pub(super) fn declare_cursor(&mut self, stmt: &DeclareCursorStmt) {
        self.words_and_name("DECLARE", &stmt.name);
        self.word_if(stmt.binary, "BINARY");
        let options = [
            (stmt.insensitive, stmt.opposed.insensitive, "INSENSITIVE", "ASENSITIVE"),
            (stmt.scroll, stmt.opposed.scroll, "SCROLL", "NO SCROLL"),
        ];
        for (value, opposed, yes, no) in options {
            // What was written last counts.
            let (first, last) = if value == Some(true) { (no, yes) } else { (yes, no) };
            self.word_if(opposed, first);
            self.word_if(value.is_some(), last);
        }
        self.word("CURSOR");
        self.word_if(stmt.hold, "WITH HOLD");
        self.word("FOR");
        self.select(&stmt.query);
    }

    pub(super) fn fetch(&mut self, stmt: &FetchStmt) {
        self.word(if stmt.is_move { "MOVE" } else { "FETCH" });
        let counted = |word: &str, count: i64| {
            if count == FetchDirection::ALL { format!("{word} ALL") } else { format!("{word} {count}") }
        };
        self.word(&match stmt.direction {
            FetchDirection::Forward(count) => counted("FORWARD", count),
            FetchDirection::Backward(count) => counted("BACKWARD", count),
            FetchDirection::Absolute(count) => format!("ABSOLUTE {count}"),
            FetchDirection::Relative(count) => format!("RELATIVE {count}"),
        });
        self.words_and_name("FROM", &stmt.cursor);
    }

    pub(super) fn discard(&mut self, target: DiscardTarget) {
        self.word(match target {
            DiscardTarget::All => "DISCARD ALL",
            DiscardTarget::Plans => "DISCARD PLANS",
            DiscardTarget::Sequences => "DISCARD SEQUENCES",
            DiscardTarget::Temp => "DISCARD TEMP",
        });
    }

    pub(super) fn lock(&mut self, stmt: &LockStmt) {
        self.word("LOCK TABLE");
        self.list(&stmt.relations, |p, relation| p.relation(relation));
        self.word("IN");
        self.word(match stmt.mode {
            LockMode::AccessShare => "ACCESS SHARE",
            LockMode::RowShare => "ROW SHARE",
            LockMode::RowExclusive => "ROW EXCLUSIVE",
            LockMode::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            LockMode::Share => "SHARE",
            LockMode::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            LockMode::Exclusive => "EXCLUSIVE",
            LockMode::AccessExclusive => "ACCESS EXCLUSIVE",
        });
        self.word("MODE");
        self.word_if(stmt.nowait, "NOWAIT");
    }

    pub(super) fn notify(&mut self, stmt: &NotifyStmt) {
        self.words_and_name("NOTIFY", &stmt.channel);
        if let Some(payload) = &stmt.payload {
            self.tight(",");
            self.string(payload);
        }
    }

    pub(super) fn vacuum(&mut self, stmt: &VacuumStmt) {
        self.word(if stmt.analyze_only { "ANALYZE" } else { "VACUUM" });
        self.utility_options(&stmt.options);
        self.list(&stmt.relations, |p, item| {
            p.relation(&item.relation);
            p.column_list(&item.columns);
        });
    }

    pub(super) fn cluster(&mut self, stmt: &ClusterStmt) {
        self.word("CLUSTER");
        self.utility_options(&stmt.options);
        if let Some(table) = &stmt.table {
            self.object_name(table);
        }
        if let Some(index) = &stmt.index {
            self.words_and_name("USING", index);
        }
    }

    pub(super) fn reindex(&mut self, stmt: &ReindexStmt) {
        self.word("REINDEX");
        self.utility_options(&stmt.options);
        self.word(match stmt.kind {
            ReindexKind::Index => "INDEX",
            ReindexKind::Table => "TABLE",
            ReindexKind::Schema => "SCHEMA",
            ReindexKind::System => "SYSTEM",
            ReindexKind::Database => "DATABASE",
        });
        if let Some(name) = &stmt.name {
            self.object_name(name);
        }
    }

    pub(super) fn set_constraints(&mut self, stmt: &SetConstraintsStmt) {
        self.word("SET CONSTRAINTS");
        if stmt.constraints.is_empty() {
            self.word("ALL");
        } else {
            self.object_names(&stmt.constraints);
        }
        self.word(if stmt.deferred { "DEFERRED" } else { "IMMEDIATE" });
    }

    pub(super) fn do_block(&mut self, stmt: &DoStmt) {
        self.word("DO");
        if let Some(language) = &stmt.language {
            self.words_and_string("LANGUAGE", language);
        }
        self.string(&stmt.body);
    }

    pub(super) fn comment(&mut self, stmt: &CommentStmt) {
        self.word("COMMENT ON");
        self.object(&stmt.object);
        self.word("IS");
        self.string_or_null(stmt.comment.as_deref());
    }

    fn string_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.string(text),
            None => self.word("NULL"),
        }
    }

    pub(super) fn security_label(&mut self, stmt: &SecurityLabelStmt) {
        self.word("SECURITY LABEL");
        if let Some(provider) = &stmt.provider {
            self.words_and_string("FOR", provider);
        }
        self.word("ON");
        self.object(&stmt.object);
        self.word("IS");
        self.string_or_null(stmt.label.as_deref());
    }
}
