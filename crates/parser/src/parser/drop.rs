//! DROP, in all its forms.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// Every DROP.
    pub(super) fn drop_statement(&mut self) -> Result<Statement> {
        self.advance();
        match self.kw() {
            Some(K::Database) => self.drop_database(),
            Some(K::Tablespace) => {
                self.advance();
                let if_exists = self.if_exists();
                Ok(Statement::DropTablespace(P::new(DropTablespaceStmt { name: self.col_id()?, if_exists })))
            }
            Some(K::User) if self.peek_kw(1, K::Mapping) => self.drop_user_mapping(),
            Some(K::Role | K::User | K::Group) => {
                self.advance();
                let if_exists = self.if_exists();
                Ok(Statement::DropRole(P::new(DropRoleStmt { roles: self.role_list()?, if_exists })))
            }
            Some(K::Subscription) => {
                self.advance();
                let if_exists = self.if_exists();
                let name = self.col_id()?;
                let behavior = self.behavior();
                Ok(Statement::DropSubscription(P::new(DropSubscriptionStmt { name, if_exists, behavior })))
            }
            Some(K::Owned) => {
                self.advance();
                self.expect_kw(K::By)?;
                let roles = self.role_list()?;
                Ok(Statement::DropOwned(P::new(DropOwnedStmt { roles, behavior: self.behavior() })))
            }
            _ => self.drop_objects(),
        }
    }

    fn drop_database(&mut self) -> Result<Statement> {
        self.advance();
        let if_exists = self.if_exists();
        let name = self.col_id()?;
        let mut options = Vec::new();
        if self.is_kw(K::With) || self.is(Tok::LeftParen) {
            self.eat_kw(K::With);
            options = self.paren_list(|p| {
                let pos = p.pos();
                p.expect_kw(K::Force)?;
                Ok(Self::flag("force", pos))
            })?;
        }
        Ok(Statement::DropDatabase(P::new(DropDatabaseStmt { name, if_exists, options })))
    }

    fn drop_user_mapping(&mut self) -> Result<Statement> {
        self.at += 2;
        let if_exists = self.if_exists();
        self.expect_kw(K::For)?;
        let user = self.mapping_user()?;
        self.expect_kw(K::Server)?;
        let server = self.col_id()?;
        Ok(Statement::DropUserMapping(P::new(DropUserMappingStmt { if_exists, user, server })))
    }

    /// DROP of objects with a common syntax.
    fn drop_objects(&mut self) -> Result<Statement> {
        use ObjectKind as O;
        let start = self.at;
        let kind = self.object_kind()?;
        if matches!(kind, O::Column | O::Constraint | O::Database | O::LargeObject | O::Role | O::Tablespace)
        {
            self.at = start;
            return Err(self.unexpected());
        }
        let concurrently = kind == O::Index && self.eat_kw(K::Concurrently);
        let if_exists = self.if_exists();
        let single = matches!(
            kind,
            O::OperatorClass | O::OperatorFamily | O::Policy | O::Rule | O::Trigger | O::Cast | O::Transform
        );
        let objects = if single {
            vec![self.object_of_kind(kind)?]
        } else {
            self.comma_list(|p| p.object_of_kind(kind))?
        };
        let behavior = self.behavior();
        Ok(Statement::Drop(P::new(DropStmt { kind, objects, if_exists, behavior, concurrently })))
    }
}
