//! Transactions, prepared statements, cursors, maintenance and the other utilities.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    fn transaction(stmt: TransactionStmt) -> Result<Statement> {
        Ok(Statement::Transaction(P::new(stmt)))
    }

    /// opt_transaction.
    fn work(&mut self) {
        if !self.eat_kw(K::Work) {
            self.eat_kw(K::Transaction);
        }
    }

    pub(super) fn begin(&mut self) -> Result<Statement> {
        self.advance();
        self.work();
        Self::transaction(TransactionStmt::Begin(self.transaction_modes()?))
    }

    pub(super) fn start_transaction(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_kw(K::Transaction)?;
        Self::transaction(TransactionStmt::Start(self.transaction_modes()?))
    }

    /// COMMIT and END.
    pub(super) fn commit(&mut self) -> Result<Statement> {
        let end = self.is_kw(K::End);
        self.advance();
        if !end && self.eat_kw(K::Prepared) {
            let pos = self.pos();
            return Self::transaction(TransactionStmt::CommitPrepared(self.string()?, pos));
        }
        self.work();
        Self::transaction(TransactionStmt::Commit { chain: self.chain()? })
    }

    /// ROLLBACK and ABORT.
    pub(super) fn rollback(&mut self) -> Result<Statement> {
        let abort = self.is_kw(K::Abort);
        self.advance();
        if !abort && self.eat_kw(K::Prepared) {
            let pos = self.pos();
            return Self::transaction(TransactionStmt::RollbackPrepared(self.string()?, pos));
        }
        self.work();
        if !abort && self.eat_kw(K::To) {
            self.eat_kw(K::Savepoint);
            let pos = self.pos();
            return Self::transaction(TransactionStmt::RollbackTo(self.col_id()?, pos));
        }
        Self::transaction(TransactionStmt::Rollback { chain: self.chain()? })
    }

    fn chain(&mut self) -> Result<bool> {
        if !self.eat_kw(K::And) {
            return Ok(false);
        }
        let no = self.eat_kw(K::No);
        self.expect_kw(K::Chain)?;
        Ok(!no)
    }

    pub(super) fn savepoint(&mut self) -> Result<Statement> {
        self.advance();
        let pos = self.pos();
        Self::transaction(TransactionStmt::Savepoint(self.col_id()?, pos))
    }

    pub(super) fn release(&mut self) -> Result<Statement> {
        self.advance();
        self.eat_kw(K::Savepoint);
        let pos = self.pos();
        Self::transaction(TransactionStmt::Release(self.col_id()?, pos))
    }

    /// transaction_mode_list, perhaps empty; commas are optional.
    pub(super) fn transaction_modes(&mut self) -> Result<TransactionModes> {
        let mut modes = TransactionModes::default();
        let mut comma = false;
        loop {
            if self.eat_kw(K::Isolation) {
                self.expect_kw(K::Level)?;
                modes.isolation = Some(self.isolation_level()?);
            } else if self.eat_words(&[K::Read, K::Only]) {
                modes.read_only = Some(true);
            } else if self.eat_words(&[K::Read, K::Write]) {
                modes.read_only = Some(false);
            } else if self.eat_kw(K::Deferrable) {
                modes.deferrable = Some(true);
            } else if self.eat_words(&[K::Not, K::Deferrable]) {
                modes.deferrable = Some(false);
            } else if comma || matches!(self.kw(), Some(K::Read | K::Not)) {
                if matches!(self.kw(), Some(K::Read | K::Not)) {
                    self.advance();
                }
                return Err(self.unexpected());
            } else {
                return Ok(modes);
            }
            comma = self.eat(Tok::Comma);
        }
    }

    fn isolation_level(&mut self) -> Result<IsolationLevel> {
        if self.eat_kw(K::Serializable) {
            return Ok(IsolationLevel::Serializable);
        }
        if self.eat_kw(K::Repeatable) {
            self.expect_kw(K::Read)?;
            return Ok(IsolationLevel::RepeatableRead);
        }
        self.expect_kw(K::Read)?;
        if self.eat_kw(K::Committed) {
            return Ok(IsolationLevel::ReadCommitted);
        }
        self.expect_kw(K::Uncommitted)?;
        Ok(IsolationLevel::ReadUncommitted)
    }

    /// PREPARE of statements and of transactions.
    pub(super) fn prepare(&mut self) -> Result<Statement> {
        let pos = self.take();
        if self.is_kw(K::Transaction) && Self::is_string(self.peek(1)) {
            self.advance();
            let pos = self.pos();
            return Self::transaction(TransactionStmt::Prepare(self.string()?, pos));
        }
        let name = self.col_id()?;
        let types = self.optional_paren_list(Self::type_name)?;
        self.expect_kw(K::As)?;
        let query = self.preparable()?;
        Ok(Statement::Prepare(P::new(PrepareStmt { name, types, query, pos })))
    }

    pub(super) fn execute(&mut self) -> Result<ExecuteStmt> {
        let pos = self.take();
        let name = self.col_id()?;
        let params = self.optional_paren_list(Self::expr)?;
        Ok(ExecuteStmt { name, params, pos })
    }

    pub(super) fn deallocate(&mut self) -> Result<Statement> {
        self.advance();
        if self.is_kw(K::Prepare) && (Self::is_col_id(self.peek(1)) || self.peek_kw(1, K::All)) {
            self.advance();
        }
        let pos = self.pos();
        let name = if self.eat_kw(K::All) { None } else { Some(self.col_id()?) };
        Ok(Statement::Deallocate(P::new(DeallocateStmt { name, pos })))
    }

    pub(super) fn explain(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = Vec::new();
        if self.is(Tok::LeftParen) && !self.paren_holds_select() {
            options = self.utility_options()?;
        } else {
            let pos = self.pos();
            if self.eat_kw(K::Analyze) || self.eat_kw(K::Analyse) {
                options.push(Self::flag("analyze", pos));
            }
            let pos = self.pos();
            if self.eat_kw(K::Verbose) {
                options.push(Self::flag("verbose", pos));
            }
        }
        let query = self.explainable()?;
        Ok(Statement::Explain(P::new(ExplainStmt { options, query })))
    }

    /// ExplainableStmt.
    fn explainable(&mut self) -> Result<Statement> {
        match self.kw() {
            Some(K::Declare) => self.declare_cursor(),
            Some(K::Execute) => Ok(Statement::Execute(P::new(self.execute()?))),
            Some(K::Refresh) => self.refresh_materialized_view(),
            Some(K::Create) => {
                let at = self.at;
                let statement = self.create()?;
                if matches!(statement, Statement::CreateTableAs(_)) {
                    return Ok(statement);
                }
                self.at = at;
                Err(self.unexpected())
            }
            _ => self.preparable(),
        }
    }

    pub(super) fn declare_cursor(&mut self) -> Result<Statement> {
        let pos = self.take();
        let name = self.col_id()?;
        let mut stmt = DeclareCursorStmt {
            name,
            binary: false,
            scroll: None,
            insensitive: None,
            opposed: OpposedOptions::default(),
            hold: false,
            query: P::new(SelectStmt {
                with: None,
                body: SelectBody::Values(Vec::new()),
                order_by: Vec::new(),
                limit: None,
                locking: Vec::new(),
                pos,
            }),
            pos,
        };
        loop {
            if self.eat_words(&[K::No, K::Scroll]) {
                stmt.opposed.scroll |= stmt.scroll.replace(false) == Some(true);
            } else if self.eat_kw(K::Scroll) {
                stmt.opposed.scroll |= stmt.scroll.replace(true) == Some(false);
            } else if self.eat_kw(K::Binary) {
                stmt.binary = true;
            } else if self.eat_kw(K::Asensitive) {
                stmt.opposed.insensitive |= stmt.insensitive.replace(false) == Some(true);
            } else if self.eat_kw(K::Insensitive) {
                stmt.opposed.insensitive |= stmt.insensitive.replace(true) == Some(false);
            } else {
                break;
            }
        }
        self.expect_kw(K::Cursor)?;
        if self.eat_words(&[K::With, K::Hold]) {
            stmt.hold = true;
        } else {
            self.eat_words(&[K::Without, K::Hold]);
        }
        self.expect_kw(K::For)?;
        stmt.query = P::new(self.select_statement()?);
        Ok(Statement::DeclareCursor(P::new(stmt)))
    }

    /// FETCH and MOVE.
    pub(super) fn fetch(&mut self) -> Result<Statement> {
        let is_move = self.is_kw(K::Move);
        let pos = self.take();
        let direction = self.fetch_direction()?;
        if !self.eat_kw(K::From) {
            self.eat_kw(K::In);
        }
        let cursor = self.col_id()?;
        Ok(Statement::Fetch(P::new(FetchStmt { is_move, direction, cursor, pos })))
    }

    fn fetch_direction(&mut self) -> Result<FetchDirection> {
        use FetchDirection::{Absolute, Backward, Forward, Relative};
        // A word is the cursor's own name where nothing follows it that could be one.
        let cursor_follows = match self.peek(1) {
            Tok::Kw(K::From | K::In) => true,
            tok => Self::is_col_id(tok),
        };
        let number_follows = matches!(self.peek(1), Tok::Integer | Tok::Plus | Tok::Minus);
        let all_follows = self.peek_kw(1, K::All);
        let direction = match self.tok() {
            Tok::Kw(K::Next) if cursor_follows => Forward(1),
            Tok::Kw(K::Prior) if cursor_follows => Backward(1),
            Tok::Kw(K::First) if cursor_follows => Absolute(1),
            Tok::Kw(K::Last) if cursor_follows => Absolute(-1),
            Tok::Kw(K::Absolute) if number_follows => {
                self.advance();
                return Ok(Absolute(i64::from(self.signed_integer()?)));
            }
            Tok::Kw(K::Relative) if number_follows => {
                self.advance();
                return Ok(Relative(i64::from(self.signed_integer()?)));
            }
            Tok::Kw(kw @ (K::Forward | K::Backward)) if cursor_follows || number_follows || all_follows => {
                self.advance();
                let count = if self.eat_kw(K::All) {
                    FetchDirection::ALL
                } else if number_follows {
                    i64::from(self.signed_integer()?)
                } else {
                    1
                };
                return Ok(if kw == K::Forward { Forward(count) } else { Backward(count) });
            }
            Tok::Kw(K::All) => Forward(FetchDirection::ALL),
            Tok::Integer | Tok::Plus | Tok::Minus => return Ok(Forward(i64::from(self.signed_integer()?))),
            _ => return Ok(Forward(1)),
        };
        self.advance();
        Ok(direction)
    }

    pub(super) fn close(&mut self) -> Result<Statement> {
        self.advance();
        let name = if self.eat_kw(K::All) { None } else { Some(self.col_id()?) };
        Ok(Statement::ClosePortal(P::new(ClosePortalStmt { name })))
    }

    pub(super) fn discard(&mut self) -> Result<Statement> {
        self.advance();
        let target = match self.kw() {
            Some(K::All) => DiscardTarget::All,
            Some(K::Plans) => DiscardTarget::Plans,
            Some(K::Sequences) => DiscardTarget::Sequences,
            Some(K::Temp | K::Temporary) => DiscardTarget::Temp,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(Statement::Discard(target))
    }

    pub(super) fn lock(&mut self) -> Result<Statement> {
        self.advance();
        self.eat_kw(K::Table);
        let relations = self.comma_list(Self::relation)?;
        let mode = if self.eat_kw(K::In) { self.lock_mode()? } else { LockMode::AccessExclusive };
        let nowait = self.eat_kw(K::Nowait);
        Ok(Statement::Lock(P::new(LockStmt { relations, mode, nowait })))
    }

    fn lock_mode(&mut self) -> Result<LockMode> {
        let words: &[(&[K], LockMode)] = &[
            (&[K::Access, K::Share, K::Mode], LockMode::AccessShare),
            (&[K::Row, K::Share, K::Mode], LockMode::RowShare),
            (&[K::Row, K::Exclusive, K::Mode], LockMode::RowExclusive),
            (&[K::Share, K::Update, K::Exclusive, K::Mode], LockMode::ShareUpdateExclusive),
            (&[K::Share, K::Row, K::Exclusive, K::Mode], LockMode::ShareRowExclusive),
            (&[K::Share, K::Mode], LockMode::Share),
            (&[K::Exclusive, K::Mode], LockMode::Exclusive),
            (&[K::Access, K::Exclusive, K::Mode], LockMode::AccessExclusive),
        ];
        for (words, mode) in words {
            if self.eat_words(words) {
                return Ok(*mode);
            }
        }
        Err(self.unexpected())
    }

    pub(super) fn listen(&mut self) -> Result<Statement> {
        self.advance();
        Ok(Statement::Listen(self.col_id()?))
    }

    pub(super) fn unlisten(&mut self) -> Result<Statement> {
        self.advance();
        if self.eat(Tok::Star) {
            return Ok(Statement::Unlisten(None));
        }
        Ok(Statement::Unlisten(Some(self.col_id()?)))
    }

    pub(super) fn notify(&mut self) -> Result<Statement> {
        self.advance();
        let channel = self.col_id()?;
        let payload = if self.eat(Tok::Comma) { Some(self.string()?) } else { None };
        Ok(Statement::Notify(P::new(NotifyStmt { channel, payload })))
    }

    pub(super) fn vacuum(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = Vec::new();
        if self.is(Tok::LeftParen) {
            options = self.utility_options()?;
        } else {
            for (kw, name) in [(K::Full, "full"), (K::Freeze, "freeze"), (K::Verbose, "verbose")] {
                let pos = self.pos();
                if self.eat_kw(kw) {
                    options.push(Self::flag(name, pos));
                }
            }
            let pos = self.pos();
            if self.eat_kw(K::Analyze) || self.eat_kw(K::Analyse) {
                options.push(Self::flag("analyze", pos));
            }
        }
        let relations = self.vacuum_relations()?;
        Ok(Statement::Vacuum(P::new(VacuumStmt { analyze_only: false, options, relations })))
    }

    pub(super) fn analyze(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = Vec::new();
        let pos = self.pos();
        if self.is(Tok::LeftParen) {
            options = self.utility_options()?;
        } else if self.eat_kw(K::Verbose) {
            options.push(Self::flag("verbose", pos));
        }
        let relations = self.vacuum_relations()?;
        Ok(Statement::Vacuum(P::new(VacuumStmt { analyze_only: true, options, relations })))
    }

    fn vacuum_relations(&mut self) -> Result<Vec<VacuumRelation>> {
        if !self.is_kw(K::Only) && !Self::is_col_id(self.tok()) {
            return Ok(Vec::new());
        }
        self.comma_list(|p| {
            let relation = p.relation()?;
            Ok(VacuumRelation { relation, columns: p.optional_column_list()? })
        })
    }

    pub(super) fn cluster(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = Vec::new();
        let pos = self.pos();
        if self.is(Tok::LeftParen) {
            options = self.utility_options()?;
        } else if self.eat_kw(K::Verbose) {
            options.push(Self::flag("verbose", pos));
        }
        let mut stmt = ClusterStmt { table: None, index: None, options };
        if Self::is_col_id(self.tok()) {
            let name = self.qualified_name()?;
            if self.eat_kw(K::On) && name.parts.len() == 1 {
                // The old order: CLUSTER index ON table.
                stmt.index = name.parts.into_iter().next();
                stmt.table = Some(self.qualified_name()?);
            } else {
                stmt.table = Some(name);
                if self.eat_kw(K::Using) {
                    stmt.index = Some(self.col_id()?);
                }
            }
        }
        Ok(Statement::Cluster(P::new(stmt)))
    }

    pub(super) fn reindex(&mut self) -> Result<Statement> {
        self.advance();
        let mut options = if self.is(Tok::LeftParen) { self.utility_options()? } else { Vec::new() };
        let kind = match self.kw() {
            Some(K::Index) => ReindexKind::Index,
            Some(K::Table) => ReindexKind::Table,
            Some(K::Schema) => ReindexKind::Schema,
            Some(K::System) => ReindexKind::System,
            Some(K::Database) => ReindexKind::Database,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        let pos = self.pos();
        if self.eat_kw(K::Concurrently) {
            options.push(Self::flag("concurrently", pos));
        }
        let name = match kind {
            ReindexKind::Index | ReindexKind::Table => Some(self.qualified_name()?),
            ReindexKind::Schema => Some(self.single_name()?),
            _ if Self::is_col_id(self.tok()) => Some(self.single_name()?),
            _ => None,
        };
        Ok(Statement::Reindex(P::new(ReindexStmt { kind, name, options })))
    }

    pub(super) fn do_block(&mut self) -> Result<Statement> {
        let pos = self.take();
        let mut body = None;
        let mut language = None;
        loop {
            if self.eat_kw(K::Language) {
                language = Some(Name::from(&*self.word_or_string()?));
            } else if Self::is_string(self.tok()) {
                body = Some(self.string()?);
            } else {
                break;
            }
        }
        match body {
            Some(body) => Ok(Statement::Do(P::new(DoStmt { language, body, pos }))),
            None if language.is_some() => Err(Self::syntax("no inline code specified", Pos::NONE)),
            None => Err(self.unexpected()),
        }
    }

    pub(super) fn call_statement(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.func_name()?;
        Ok(Statement::Call(P::new(self.application(name)?)))
    }

    pub(super) fn comment(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_kw(K::On)?;
        let kind = self.object_kind()?;
        let object = self.object_of_kind(kind)?;
        self.expect_kw(K::Is)?;
        let comment = self.string_or_null()?;
        Ok(Statement::Comment(P::new(CommentStmt { object, comment })))
    }

    fn string_or_null(&mut self) -> Result<Option<Box<str>>> {
        if self.eat_kw(K::Null) { Ok(None) } else { Ok(Some(self.string()?)) }
    }

    pub(super) fn security_label(&mut self) -> Result<Statement> {
        self.advance();
        self.expect_kw(K::Label)?;
        let provider = if self.eat_kw(K::For) { Some(Name::from(&*self.word_or_string()?)) } else { None };
        self.expect_kw(K::On)?;
        let kind = self.object_kind()?;
        let object = self.object_of_kind(kind)?;
        self.expect_kw(K::Is)?;
        let label = self.string_or_null()?;
        Ok(Statement::SecurityLabel(P::new(SecurityLabelStmt { provider, object, label })))
    }
}
