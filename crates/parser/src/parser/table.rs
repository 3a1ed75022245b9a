//! CREATE TABLE and what it is made of: columns, constraints, partitions; CREATE TABLE AS.

use ochre_base::{Error, Result, SqlState};

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// `[FOREIGN] TABLE …` behind CREATE, from the word TABLE on; a CREATE TABLE AS where it turns out to be one.
    pub(super) fn create_table(&mut self, persistence: Persistence, pos: Pos) -> Result<Statement> {
        self.expect_kw(K::Table)?;
        let if_not_exists = self.if_not_exists();
        let name = self.qualified_name()?;
        let names_only = self.is(Tok::LeftParen)
            && Self::is_col_id(self.peek(1))
            && matches!(self.peek(2), Tok::Comma | Tok::RightParen);
        let definition =
            (self.is(Tok::LeftParen) && !names_only) || matches!(self.kw(), Some(K::Of | K::Partition));
        if !definition {
            let into = IntoClause { name, persistence };
            return self.create_table_as(into, if_not_exists, false, pos);
        }
        let mut stmt = CreateTableStmt {
            name,
            persistence,
            if_not_exists,
            elements: Vec::new(),
            inherits: Vec::new(),
            of_type: None,
            partition_of: None,
            partition_by: None,
            access_method: None,
            options: Vec::new(),
            on_commit: OnCommit::Noop,
            tablespace: None,
            foreign: None,
            pos,
        };
        self.table_body(&mut stmt)?;
        stmt.partition_by = self.partition_by()?;
        stmt.access_method = self.access_method()?;
        stmt.options = self.table_options()?;
        stmt.on_commit = self.on_commit()?;
        stmt.tablespace = self.tablespace()?;
        Ok(Statement::CreateTable(P::new(stmt)))
    }

    /// Elements, OF, PARTITION OF and INHERITS.
    fn table_body(&mut self, stmt: &mut CreateTableStmt) -> Result<()> {
        let pos = self.pos();
        if self.eat_kw(K::Of) {
            let name = self.any_name()?;
            stmt.of_type = Some(Self::type_from_object_name(ObjectName { pos, ..name }));
            stmt.elements = self.typed_elements()?;
        } else if self.eat_kw(K::Partition) {
            self.expect_kw(K::Of)?;
            let parent = self.qualified_name()?;
            stmt.elements = self.typed_elements()?;
            stmt.partition_of = Some((parent, self.partition_bound()?));
        } else {
            self.expect(Tok::LeftParen)?;
            if !self.is(Tok::RightParen) {
                stmt.elements = self.comma_list(Self::table_element)?;
            }
            self.expect(Tok::RightParen)?;
            if self.eat_kw(K::Inherits) {
                stmt.inherits = self.paren_list(Self::qualified_name)?;
            }
        }
        Ok(())
    }

    /// `FOREIGN TABLE …` behind CREATE, from the word TABLE on.
    pub(super) fn create_foreign_table(&mut self, pos: Pos) -> Result<Statement> {
        self.expect_kw(K::Table)?;
        let if_not_exists = self.if_not_exists();
        let name = self.qualified_name()?;
        let mut stmt = CreateTableStmt {
            name,
            persistence: Persistence::Permanent,
            if_not_exists,
            elements: Vec::new(),
            inherits: Vec::new(),
            of_type: None,
            partition_of: None,
            partition_by: None,
            access_method: None,
            options: Vec::new(),
            on_commit: OnCommit::Noop,
            tablespace: None,
            foreign: None,
            pos,
        };
        if self.is_kw(K::Of) {
            return Err(self.unexpected());
        }
        self.table_body(&mut stmt)?;
        self.expect_kw(K::Server)?;
        let server = self.col_id()?;
        stmt.foreign = Some(ForeignTable { server, options: self.generic_options()? });
        Ok(Statement::CreateTable(P::new(stmt)))
    }

    /// CREATE TABLE AS and CREATE MATERIALIZED VIEW behind the name.
    pub(super) fn create_table_as(
        &mut self,
        into: IntoClause,
        if_not_exists: bool,
        materialized_view: bool,
        pos: Pos,
    ) -> Result<Statement> {
        let columns = self.optional_column_list()?;
        let access_method = self.access_method()?;
        let options = self.table_options()?;
        let on_commit = if materialized_view { OnCommit::Noop } else { self.on_commit()? };
        let tablespace = self.tablespace()?;
        self.expect_kw(K::As)?;
        let query = if self.is_kw(K::Execute) && !materialized_view {
            Statement::Execute(P::new(self.execute()?))
        } else {
            Statement::Select(P::new(self.select_statement()?))
        };
        let with_data = self.with_data()?;
        Ok(Statement::CreateTableAs(P::new(CreateTableAsStmt {
            into,
            columns,
            materialized_view,
            if_not_exists,
            access_method,
            options,
            on_commit,
            tablespace,
            query,
            with_data,
            pos,
        })))
    }

    /// opt_with_data.
    pub(super) fn with_data(&mut self) -> Result<bool> {
        if self.eat_words(&[K::With, K::No, K::Data]) {
            return Ok(false);
        }
        self.eat_words(&[K::With, K::Data]);
        Ok(true)
    }

    fn access_method(&mut self) -> Result<Option<Name>> {
        if self.eat_kw(K::Using) { Ok(Some(self.col_id()?)) } else { Ok(None) }
    }

    /// OptWith.
    fn table_options(&mut self) -> Result<Vec<DefElem>> {
        if self.eat_words(&[K::Without, K::Oids]) {
            return Ok(Vec::new());
        }
        if self.is_kw(K::With) && !matches!(self.peek(1), Tok::Kw(K::Data | K::No)) {
            self.advance();
            return self.reloptions();
        }
        Ok(Vec::new())
    }

    fn on_commit(&mut self) -> Result<OnCommit> {
        if !self.eat_words(&[K::On, K::Commit]) {
            return Ok(OnCommit::Noop);
        }
        if self.eat_kw(K::Drop) {
            return Ok(OnCommit::Drop);
        }
        let on_commit = if self.eat_kw(K::Delete) {
            OnCommit::DeleteRows
        } else {
            self.expect_kw(K::Preserve)?;
            OnCommit::PreserveRows
        };
        self.expect_kw(K::Rows)?;
        Ok(on_commit)
    }

    pub(super) fn tablespace(&mut self) -> Result<Option<Name>> {
        if self.eat_kw(K::Tablespace) { Ok(Some(self.col_id()?)) } else { Ok(None) }
    }

    fn table_element(&mut self) -> Result<TableElement> {
        if self.is_kw(K::Like) {
            return Ok(TableElement::Like(P::new(self.like_clause()?)));
        }
        if self.at_table_constraint() {
            return Ok(TableElement::Constraint(P::new(self.table_constraint()?)));
        }
        Ok(TableElement::Column(P::new(self.column_def()?)))
    }

    /// Whether a table constraint starts here; EXCLUDE may also be a column's name.
    pub(super) fn at_table_constraint(&self) -> bool {
        match self.kw() {
            Some(K::Constraint | K::Check | K::Unique | K::Primary | K::Foreign) => true,
            Some(K::Exclude) => self.peek(1) == Tok::LeftParen || self.peek_kw(1, K::Using),
            Some(K::Not) => self.peek_kw(1, K::Null),
            _ => false,
        }
    }

    /// OptTypedTableElementList.
    fn typed_elements(&mut self) -> Result<Vec<TableElement>> {
        if !self.is(Tok::LeftParen) {
            return Ok(Vec::new());
        }
        self.paren_list(|p| {
            if p.at_table_constraint() {
                return Ok(TableElement::Constraint(P::new(p.table_constraint()?)));
            }
            let pos = p.pos();
            let name = p.col_id()?;
            if p.eat_kw(K::With) {
                p.expect_kw(K::Options)?;
            }
            let mut column = ColumnDef::new(name, None, pos);
            p.column_qualifiers(&mut column)?;
            Ok(TableElement::Column(P::new(column)))
        })
    }

    fn like_clause(&mut self) -> Result<LikeClause> {
        self.advance();
        let pos = self.pos();
        let table = self.qualified_name()?;
        let mut options = 0;
        loop {
            let including = self.is_kw(K::Including);
            if !including && !self.is_kw(K::Excluding) {
                return Ok(LikeClause { table, options, pos });
            }
            self.advance();
            let bit = match self.kw() {
                Some(K::Comments) => like_option::COMMENTS,
                Some(K::Compression) => like_option::COMPRESSION,
                Some(K::Constraints) => like_option::CONSTRAINTS,
                Some(K::Defaults) => like_option::DEFAULTS,
                Some(K::Identity) => like_option::IDENTITY,
                Some(K::Generated) => like_option::GENERATED,
                Some(K::Indexes) => like_option::INDEXES,
                Some(K::Statistics) => like_option::STATISTICS,
                Some(K::Storage) => like_option::STORAGE,
                Some(K::All) => like_option::ALL,
                _ => return Err(self.unexpected()),
            };
            self.advance();
            options = if including { options | bit } else { options & !bit };
        }
    }

    /// columnDef.
    pub(super) fn column_def(&mut self) -> Result<ColumnDef> {
        let pos = self.pos();
        let name = self.col_id()?;
        let type_name = self.type_name()?;
        let mut column = ColumnDef::new(name, Some(type_name), pos);
        if self.eat_kw(K::Storage) {
            column.storage =
                Some(if self.eat_kw(K::Default) { Name::from_static("default") } else { self.col_id()? });
        }
        if self.eat_kw(K::Compression) {
            column.compression =
                Some(if self.eat_kw(K::Default) { Name::from_static("default") } else { self.col_id()? });
        }
        column.fdw_options = self.generic_options()?;
        self.column_qualifiers(&mut column)?;
        Ok(column)
    }

    /// ColQualList.
    fn column_qualifiers(&mut self, column: &mut ColumnDef) -> Result<()> {
        loop {
            let pos = self.pos();
            if self.eat_kw(K::Collate) {
                let collation = self.any_name()?;
                if column.collation.is_some() {
                    return Err(Self::syntax("multiple COLLATE clauses not allowed", pos));
                }
                column.collation = Some(collation);
                continue;
            }
            match self.column_constraint()? {
                Some(constraint) => column.constraints.push(constraint),
                None => return Ok(()),
            }
        }
    }

    /// ColConstraint without COLLATE, if one starts here.
    pub(super) fn column_constraint(&mut self) -> Result<Option<ColumnConstraint>> {
        let pos = self.pos();
        let name = if self.eat_kw(K::Constraint) { Some(self.col_id()?) } else { None };
        let Some(kw) = self.kw() else {
            return if name.is_some() { Err(self.unexpected()) } else { Ok(None) };
        };
        let kind = match kw {
            K::Not if self.peek_kw(1, K::Null) => {
                self.at += 2;
                ColumnConstraintKind::NotNull { no_inherit: self.no_inherit() }
            }
            K::Null => {
                self.advance();
                ColumnConstraintKind::Null
            }
            K::Unique => {
                self.advance();
                let nulls_not_distinct = self.nulls_not_distinct()?;
                ColumnConstraintKind::Unique { nulls_not_distinct, index: self.index_parameters(false)? }
            }
            K::Primary => {
                self.advance();
                self.expect_kw(K::Key)?;
                ColumnConstraintKind::PrimaryKey { index: self.index_parameters(false)? }
            }
            K::Check => {
                self.advance();
                let expr = self.paren_expr()?;
                ColumnConstraintKind::Check { expr, no_inherit: self.no_inherit() }
            }
            K::Default => {
                self.advance();
                ColumnConstraintKind::Default(self.b_expr()?)
            }
            K::Generated => self.generated()?,
            K::References => {
                self.advance();
                ColumnConstraintKind::References(P::new(self.references(false)?))
            }
            _ if name.is_some() => return Err(self.unexpected()),
            _ => match self.column_constraint_attribute() {
                Some(kind) => kind,
                None if kw == K::Not || kw == K::Initially => {
                    self.advance();
                    return Err(self.unexpected());
                }
                None => return Ok(None),
            },
        };
        Ok(Some(ColumnConstraint { name, kind, pos }))
    }

    /// ConstraintAttr.
    fn column_constraint_attribute(&mut self) -> Option<ColumnConstraintKind> {
        let words: [(&[K], ColumnConstraintKind); 6] = [
            (&[K::Deferrable], ColumnConstraintKind::Deferrable),
            (&[K::Not, K::Deferrable], ColumnConstraintKind::NotDeferrable),
            (&[K::Initially, K::Deferred], ColumnConstraintKind::InitiallyDeferred),
            (&[K::Initially, K::Immediate], ColumnConstraintKind::InitiallyImmediate),
            (&[K::Enforced], ColumnConstraintKind::Enforced),
            (&[K::Not, K::Enforced], ColumnConstraintKind::NotEnforced),
        ];
        words.into_iter().find(|(words, _)| self.eat_words(words)).map(|(_, kind)| kind)
    }

    fn no_inherit(&mut self) -> bool {
        self.eat_words(&[K::No, K::Inherit])
    }

    /// `( expr )`.
    pub(super) fn paren_expr(&mut self) -> Result<Expr> {
        self.expect(Tok::LeftParen)?;
        let expr = self.expr()?;
        self.expect(Tok::RightParen)?;
        Ok(expr)
    }

    /// opt_unique_null_treatment.
    pub(super) fn nulls_not_distinct(&mut self) -> Result<bool> {
        if !self.is_kw(K::Nulls) {
            return Ok(false);
        }
        self.advance();
        let not = self.eat_kw(K::Not);
        self.expect_kw(K::Distinct)?;
        Ok(not)
    }

    fn generated(&mut self) -> Result<ColumnConstraintKind> {
        self.advance();
        let when_pos = self.pos();
        let always = if self.eat_kw(K::Always) {
            true
        } else {
            self.expect_words(&[K::By, K::Default])?;
            false
        };
        self.expect_kw(K::As)?;
        if self.eat_kw(K::Identity) {
            let options = if self.eat(Tok::LeftParen) {
                let options = self.sequence_options()?;
                if options.is_empty() {
                    return Err(self.unexpected());
                }
                self.expect(Tok::RightParen)?;
                options
            } else {
                Vec::new()
            };
            return Ok(ColumnConstraintKind::Identity { always, options });
        }
        let expr = self.paren_expr()?;
        let stored = self.eat_kw(K::Stored);
        if !stored {
            self.eat_kw(K::Virtual);
        }
        if !always {
            return Err(Self::syntax("for a generated column, GENERATED ALWAYS must be specified", when_pos));
        }
        Ok(ColumnConstraintKind::Generated { expr, stored })
    }

    /// INCLUDE (where allowed), WITH and USING INDEX TABLESPACE.
    fn index_parameters(&mut self, include: bool) -> Result<IndexParameters> {
        let mut parameters = IndexParameters::default();
        if include && self.eat_kw(K::Include) {
            parameters.include = self.column_list()?;
        }
        if self.is_kw(K::With) && self.peek(1) == Tok::LeftParen {
            self.advance();
            parameters.options = self.definition()?;
        }
        if self.eat_words(&[K::Using, K::Index, K::Tablespace]) {
            parameters.tablespace = Some(self.col_id()?);
        }
        Ok(parameters)
    }

    /// What stands behind REFERENCES.
    fn references(&mut self, period_allowed: bool) -> Result<References> {
        let table = self.qualified_name()?;
        let (columns, period) = if !self.is(Tok::LeftParen) {
            (Vec::new(), false)
        } else if period_allowed {
            self.columns_and_period()?
        } else {
            (self.column_list()?, false)
        };
        let mut match_type = MatchType::Simple;
        if self.is_kw(K::Match) {
            let pos = self.take();
            if self.eat_kw(K::Full) {
                match_type = MatchType::Full;
            } else if self.eat_kw(K::Partial) {
                return Err(Self::unsupported("MATCH PARTIAL not yet implemented", pos));
            } else {
                self.expect_kw(K::Simple)?;
            }
        }
        let mut on_delete = None;
        let mut on_update = None;
        while self.is_kw(K::On) {
            if self.peek_kw(1, K::Delete) && on_delete.is_none() {
                self.at += 2;
                on_delete = Some(self.referential_action()?);
            } else if self.peek_kw(1, K::Update) && on_update.is_none() {
                let pos = self.pos();
                self.at += 2;
                let action = self.referential_action()?;
                if let ReferentialAction::SetNull(columns) | ReferentialAction::SetDefault(columns) = &action
                    && !columns.is_empty()
                {
                    let word =
                        if matches!(action, ReferentialAction::SetNull(_)) { "NULL" } else { "DEFAULT" };
                    let message =
                        format!("a column list with SET {word} is only supported for ON DELETE actions");
                    return Err(Self::unsupported(message, pos));
                }
                on_update = Some(action);
            } else {
                self.advance();
                return Err(self.unexpected());
            }
        }
        Ok(References {
            table,
            columns,
            period,
            match_type,
            on_delete: on_delete.unwrap_or(ReferentialAction::NoAction),
            on_update: on_update.unwrap_or(ReferentialAction::NoAction),
        })
    }

    fn referential_action(&mut self) -> Result<ReferentialAction> {
        if self.eat_words(&[K::No, K::Action]) {
            return Ok(ReferentialAction::NoAction);
        }
        if self.eat_kw(K::Restrict) {
            return Ok(ReferentialAction::Restrict);
        }
        if self.eat_kw(K::Cascade) {
            return Ok(ReferentialAction::Cascade);
        }
        self.expect_kw(K::Set)?;
        if self.eat_kw(K::Null) {
            return Ok(ReferentialAction::SetNull(self.optional_column_list()?));
        }
        self.expect_kw(K::Default)?;
        Ok(ReferentialAction::SetDefault(self.optional_column_list()?))
    }

    /// `(a, b, PERIOD c)`.
    fn columns_and_period(&mut self) -> Result<(Vec<Name>, bool)> {
        self.expect(Tok::LeftParen)?;
        let mut columns = vec![self.col_id()?];
        let mut period = false;
        while !period && self.eat(Tok::Comma) {
            period = self.is_kw(K::Period) && Self::is_col_id(self.peek(1));
            if period {
                self.advance();
            }
            columns.push(self.col_id()?);
        }
        self.expect(Tok::RightParen)?;
        Ok((columns, period))
    }

    /// `(a, b WITHOUT OVERLAPS)`.
    fn columns_without_overlaps(&mut self) -> Result<(Vec<Name>, bool)> {
        self.expect(Tok::LeftParen)?;
        let columns = self.comma_list(Self::col_id)?;
        let without_overlaps = self.eat_words(&[K::Without, K::Overlaps]);
        self.expect(Tok::RightParen)?;
        Ok((columns, without_overlaps))
    }

    /// TableConstraint.
    pub(super) fn table_constraint(&mut self) -> Result<TableConstraint> {
        let pos = self.pos();
        let name = if self.eat_kw(K::Constraint) { Some(self.col_id()?) } else { None };
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        self.advance();
        let (kind, what) = match kw {
            K::Check => (TableConstraintKind::Check(self.paren_expr()?), "CHECK"),
            K::Not => {
                self.expect_kw(K::Null)?;
                (TableConstraintKind::NotNull(self.col_id()?), "NOT NULL")
            }
            K::Unique => (self.unique_constraint()?, "UNIQUE"),
            K::Primary => {
                self.expect_kw(K::Key)?;
                (self.primary_key_constraint()?, "PRIMARY KEY")
            }
            K::Exclude => (self.exclusion_constraint()?, "EXCLUDE"),
            K::Foreign => {
                self.expect_kw(K::Key)?;
                let (columns, period) = self.columns_and_period()?;
                self.expect_kw(K::References)?;
                let references = P::new(self.references(true)?);
                (TableConstraintKind::ForeignKey { columns, period, references }, "FOREIGN KEY")
            }
            _ => {
                self.at -= 1;
                return Err(self.unexpected());
            }
        };
        let attributes = self.constraint_attributes()?.checked(what)?;
        Ok(TableConstraint { name, kind, attributes, pos })
    }

    fn unique_constraint(&mut self) -> Result<TableConstraintKind> {
        if self.eat_words(&[K::Using, K::Index]) {
            return Ok(TableConstraintKind::UniqueUsingIndex(self.col_id()?));
        }
        let nulls_not_distinct = self.nulls_not_distinct()?;
        let (columns, without_overlaps) = self.columns_without_overlaps()?;
        let index = self.index_parameters(true)?;
        Ok(TableConstraintKind::Unique { columns, nulls_not_distinct, without_overlaps, index })
    }

    fn primary_key_constraint(&mut self) -> Result<TableConstraintKind> {
        if self.eat_words(&[K::Using, K::Index]) {
            return Ok(TableConstraintKind::PrimaryKeyUsingIndex(self.col_id()?));
        }
        let (columns, without_overlaps) = self.columns_without_overlaps()?;
        let index = self.index_parameters(true)?;
        Ok(TableConstraintKind::PrimaryKey { columns, without_overlaps, index })
    }

    fn exclusion_constraint(&mut self) -> Result<TableConstraintKind> {
        let method = if self.eat_kw(K::Using) { Some(self.col_id()?) } else { None };
        let elements = self.paren_list(|p| {
            let elem = p.index_elem()?;
            p.expect_kw(K::With)?;
            let op = if p.is_kw(K::Operator) && p.peek(1) == Tok::LeftParen {
                p.qual_all_op()?
            } else {
                p.any_operator()?
            };
            Ok((elem, op))
        })?;
        let index = self.index_parameters(true)?;
        let predicate = if self.eat_kw(K::Where) { Some(self.paren_expr()?) } else { None };
        Ok(TableConstraintKind::Exclude(P::new(Exclude { method, elements, index, predicate })))
    }

    /// ConstraintAttributeSpec.
    pub(super) fn constraint_attributes(&mut self) -> Result<GivenAttributes> {
        let mut given = GivenAttributes { pos: self.pos(), ..GivenAttributes::default() };
        loop {
            let pos = self.pos();
            let (slot, value): (&mut Option<bool>, bool) = if self.eat_kw(K::Deferrable) {
                (&mut given.deferrable, true)
            } else if self.eat_words(&[K::Not, K::Deferrable]) {
                (&mut given.deferrable, false)
            } else if self.eat_words(&[K::Initially, K::Deferred]) {
                (&mut given.initially_deferred, true)
            } else if self.eat_words(&[K::Initially, K::Immediate]) {
                (&mut given.initially_deferred, false)
            } else if self.eat_words(&[K::Not, K::Valid]) {
                (&mut given.not_valid, true)
            } else if self.eat_words(&[K::No, K::Inherit]) {
                (&mut given.no_inherit, true)
            } else if self.eat_kw(K::Enforced) {
                (&mut given.enforced, true)
            } else if self.eat_words(&[K::Not, K::Enforced]) {
                (&mut given.enforced, false)
            } else {
                return Ok(given);
            };
            if slot.is_some_and(|old| old != value) {
                return Err(Self::syntax("conflicting constraint properties", pos));
            }
            *slot = Some(value);
            if given.initially_deferred == Some(true) && given.deferrable == Some(false) {
                let message = "constraint declared INITIALLY DEFERRED must be DEFERRABLE";
                return Err(Self::syntax(message, pos));
            }
        }
    }

    /// PARTITION BY, if it is there.
    fn partition_by(&mut self) -> Result<Option<PartitionSpec>> {
        if !self.is_kw(K::Partition) {
            return Ok(None);
        }
        let pos = self.take();
        self.expect_kw(K::By)?;
        let at = self.pos();
        let name = self.col_id()?;
        let keys = self.paren_list(|p| {
            let pos = p.pos();
            let key = p.index_key()?;
            let collation = if p.eat_kw(K::Collate) { Some(p.any_name()?) } else { None };
            let opclass = if Self::is_col_id(p.tok()) { Some(p.any_name()?) } else { None };
            Ok(PartitionElem { key, collation, opclass, pos })
        })?;
        let strategy = match name.to_ascii_lowercase().as_str() {
            "list" => PartitionStrategy::List,
            "range" => PartitionStrategy::Range,
            "hash" => PartitionStrategy::Hash,
            _ => {
                let message = format!("unrecognized partitioning strategy \"{name}\"");
                return Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message).at(at.offset()));
            }
        };
        Ok(Some(PartitionSpec { strategy, keys, pos }))
    }

    /// PartitionBoundSpec.
    pub(super) fn partition_bound(&mut self) -> Result<PartitionBound> {
        if self.eat_kw(K::Default) {
            return Ok(PartitionBound::Default);
        }
        self.expect_words(&[K::For, K::Values])?;
        let pos = self.pos();
        if self.eat_kw(K::In) {
            return Ok(PartitionBound::List(self.paren_list(Self::expr)?, pos));
        }
        if self.eat_kw(K::From) {
            let from = self.paren_list(Self::expr)?;
            self.expect_kw(K::To)?;
            return Ok(PartitionBound::Range { from, to: self.paren_list(Self::expr)?, pos });
        }
        self.expect_kw(K::With)?;
        self.hash_bound(pos)
    }

    fn hash_bound(&mut self, pos: Pos) -> Result<PartitionBound> {
        let mut modulus = None;
        let mut remainder = None;
        let parts = self.paren_list(|p| {
            let pos = p.pos();
            Ok((p.non_reserved_word()?, p.integer()?, pos))
        })?;
        for (name, value, pos) in parts {
            let slot = match name.as_str() {
                "modulus" => &mut modulus,
                "remainder" => &mut remainder,
                _ => {
                    let message = format!("unrecognized hash partition bound specification \"{name}\"");
                    return Err(Self::syntax(message, pos));
                }
            };
            if slot.replace(value).is_some() {
                let message = format!("{name} for hash partition provided more than once");
                return Err(Error::new(SqlState::DUPLICATE_OBJECT, message).at(pos.offset()));
            }
        }
        let missing =
            |what: &str| Self::syntax(format!("{what} for hash partition must be specified"), Pos::NONE);
        let modulus = modulus.ok_or_else(|| missing("modulus"))?;
        let remainder = remainder.ok_or_else(|| missing("remainder"))?;
        Ok(PartitionBound::Hash { modulus, remainder, pos })
    }
}

/// The attributes written behind a constraint; `None` where nothing is said.
#[derive(Default, Clone, Copy)]
pub(super) struct GivenAttributes {
    pub(super) deferrable: Option<bool>,
    pub(super) initially_deferred: Option<bool>,
    pub(super) not_valid: Option<bool>,
    pub(super) no_inherit: Option<bool>,
    pub(super) enforced: Option<bool>,
    pub(super) pos: Pos,
}

impl GivenAttributes {
    /// The attributes of a constraint of a kind, if the kind may have them.
    pub(super) fn checked(self, what: &str) -> Result<ConstraintAttributes> {
        let refuse = |word: &str| {
            let message = format!("{what} constraints cannot be marked {word}");
            Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(self.pos.offset()))
        };
        let check = matches!(what, "CHECK" | "NOT NULL");
        if check && (self.deferrable == Some(true) || self.initially_deferred == Some(true)) {
            return refuse("DEFERRABLE");
        }
        if self.not_valid.is_some() && !(check || what == "FOREIGN KEY") {
            return refuse("NOT VALID");
        }
        if self.no_inherit.is_some() && !check {
            return refuse("NO INHERIT");
        }
        if self.enforced == Some(false) && !matches!(what, "CHECK" | "FOREIGN KEY") {
            return refuse("NOT ENFORCED");
        }
        Ok(ConstraintAttributes {
            deferrable: self.deferrable.unwrap_or(false) || self.initially_deferred == Some(true),
            initially_deferred: self.initially_deferred.unwrap_or(false),
            not_valid: self.not_valid.is_some(),
            no_inherit: self.no_inherit.is_some(),
            enforced: self.enforced.unwrap_or(true),
        })
    }
}
