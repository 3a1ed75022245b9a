//! Texts of statements, and which statement it is.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// The whole text as statements.
    pub(crate) fn statements(mut self) -> Result<Vec<RawStatement>> {
        let mut statements = Vec::new();
        loop {
            while self.eat(Tok::Semicolon) {}
            if self.is(Tok::Eof) {
                return Ok(statements);
            }
            let start = self.token().start as usize;
            let stmt = self.statement()?;
            if let Some(error) = self.late_error.take() {
                return Err(error);
            }
            let len = self.end_of_previous() - start;
            if !matches!(self.tok(), Tok::Semicolon | Tok::Eof) {
                return Err(self.unexpected());
            }
            statements.push(RawStatement { stmt, start, len });
        }
    }

    /// The whole text as one expression.
    pub(crate) fn only_expression(mut self) -> Result<Expr> {
        let expr = self.expr()?;
        self.expect_end()?;
        Ok(expr)
    }

    /// The whole text as one type name.
    pub(crate) fn only_type_name(mut self) -> Result<TypeName> {
        let name = self.type_name()?;
        self.expect_end()?;
        Ok(name)
    }

    /// PreparableStmt: what WITH, PREPARE, EXPLAIN and COPY may contain.
    pub(super) fn preparable(&mut self) -> Result<Statement> {
        let with = self.optional_with()?;
        match self.kw() {
            Some(K::Insert) => Ok(Statement::Insert(P::new(self.insert(with)?))),
            Some(K::Update) => Ok(Statement::Update(P::new(self.update(with)?))),
            Some(K::Delete) => Ok(Statement::Delete(P::new(self.delete(with)?))),
            Some(K::Merge) => Ok(Statement::Merge(P::new(self.merge(with)?))),
            Some(K::Select | K::Values | K::Table) => {
                Ok(Statement::Select(P::new(self.select_after_with(with)?)))
            }
            _ if self.is(Tok::LeftParen) => Ok(Statement::Select(P::new(self.select_after_with(with)?))),
            _ => Err(self.unexpected()),
        }
    }

    /// stmt.
    pub(super) fn statement(&mut self) -> Result<Statement> {
        let Some(kw) = self.kw() else {
            return if self.is(Tok::LeftParen) { self.preparable() } else { Err(self.unexpected()) };
        };
        match kw {
            K::Select | K::Values | K::Table | K::With | K::Insert | K::Update | K::Delete | K::Merge => {
                self.preparable()
            }
            K::Abort | K::Rollback => self.rollback(),
            K::Alter => self.alter(),
            K::Analyze | K::Analyse => self.analyze(),
            K::Begin => self.begin(),
            K::Call => self.call_statement(),
            K::Checkpoint => {
                self.advance();
                Ok(Statement::Checkpoint)
            }
            K::Close => self.close(),
            K::Cluster => self.cluster(),
            K::Comment => self.comment(),
            K::Commit | K::End => self.commit(),
            K::Copy => self.copy(),
            K::Create => self.nested(Self::create),
            K::Deallocate => self.deallocate(),
            K::Declare => self.declare_cursor(),
            K::Discard => self.discard(),
            K::Do => self.do_block(),
            K::Drop => self.drop_statement(),
            K::Execute => Ok(Statement::Execute(P::new(self.execute()?))),
            K::Explain => self.explain(),
            K::Fetch | K::Move => self.fetch(),
            K::Grant => self.grant(),
            K::Import => self.import_foreign_schema(),
            K::Listen => self.listen(),
            K::Load => {
                self.advance();
                Ok(Statement::Load(self.string()?))
            }
            K::Lock => self.lock(),
            K::Notify => self.notify(),
            K::Prepare => self.prepare(),
            K::Reassign => self.reassign_owned(),
            K::Refresh => self.refresh_materialized_view(),
            K::Reindex => self.reindex(),
            K::Release => self.release(),
            K::Reset => Ok(Statement::Set(P::new(self.reset()?))),
            K::Revoke => self.revoke(),
            K::Savepoint => self.savepoint(),
            K::Security => self.security_label(),
            K::Set => self.set(),
            K::Show => self.show(),
            K::Start => self.start_transaction(),
            K::Truncate => self.truncate(),
            K::Unlisten => self.unlisten(),
            K::Vacuum => self.vacuum(),
            _ => Err(self.unexpected()),
        }
    }
}
