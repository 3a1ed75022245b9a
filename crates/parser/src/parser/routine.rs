//! Functions, aggregates, operators, casts and languages.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// `FUNCTION …` and `PROCEDURE …` behind CREATE.
    pub(super) fn create_function(&mut self, or_replace: bool, pos: Pos) -> Result<Statement> {
        let procedure = self.is_kw(K::Procedure);
        self.advance();
        let name = self.func_name()?;
        let mut params = self.parameters_with_defaults()?;
        let mut returns = None;
        if !procedure && self.eat_kw(K::Returns) {
            if self.eat_kw(K::Table) {
                params.extend(self.paren_list(|p| {
                    let pos = p.pos();
                    let name = Some(p.type_function_name()?);
                    let type_name = p.func_type()?;
                    Ok(FunctionParameter { name, mode: ParameterMode::Table, type_name, default: None, pos })
                })?);
            } else {
                returns = Some(self.func_type()?);
            }
        }
        let options = self.function_options(true)?;
        let sql_body = self.routine_body()?;
        Ok(Statement::CreateFunction(P::new(CreateFunctionStmt {
            or_replace,
            procedure,
            name,
            params,
            returns,
            options,
            sql_body,
            pos,
        })))
    }

    fn parameters_with_defaults(&mut self) -> Result<Vec<FunctionParameter>> {
        if self.is(Tok::LeftParen) && self.peek(1) == Tok::RightParen {
            self.at += 2;
            return Ok(Vec::new());
        }
        self.paren_list(|p| {
            let mut parameter = p.parameter()?;
            if p.eat_kw(K::Default) || p.eat(Tok::Equals) {
                parameter.default = Some(p.expr()?);
            }
            Ok(parameter)
        })
    }

    /// createfunc_opt_list or alterfunc_opt_list.
    fn function_options(&mut self, create: bool) -> Result<Vec<FunctionOption>> {
        let mut options = Vec::new();
        loop {
            let pos = self.pos();
            match self.function_option(create)? {
                Some(kind) => options.push(FunctionOption { kind, pos }),
                None => return Ok(options),
            }
        }
    }

    fn function_option(&mut self, create: bool) -> Result<Option<FunctionOptionKind>> {
        use FunctionOptionKind as F;
        let Some(kw) = self.kw() else { return Ok(None) };
        let kind = match kw {
            K::As if create => {
                self.advance();
                let body = self.string()?;
                let symbol = if self.eat(Tok::Comma) { Some(self.string()?) } else { None };
                F::As(body, symbol)
            }
            K::Language if create => {
                self.advance();
                F::Language(Name::from(&*self.word_or_string()?))
            }
            K::Transform if create => {
                self.advance();
                F::Transform(self.comma_list(|p| {
                    p.expect_words(&[K::For, K::Type])?;
                    p.type_name()
                })?)
            }
            K::Window if create => {
                self.advance();
                F::Window
            }
            K::Called => {
                self.expect_words(&[K::Called, K::On, K::Null, K::Input])?;
                F::Strict(false)
            }
            K::Returns => {
                self.expect_words(&[K::Returns, K::Null, K::On, K::Null, K::Input])?;
                F::Strict(true)
            }
            K::Strict => {
                self.advance();
                F::Strict(true)
            }
            K::Immutable => {
                self.advance();
                F::Volatility(Volatility::Immutable)
            }
            K::Stable => {
                self.advance();
                F::Volatility(Volatility::Stable)
            }
            K::Volatile => {
                self.advance();
                F::Volatility(Volatility::Volatile)
            }
            K::External | K::Security => {
                self.eat_kw(K::External);
                self.expect_kw(K::Security)?;
                let definer = self.eat_kw(K::Definer);
                if !definer {
                    self.expect_kw(K::Invoker)?;
                }
                F::SecurityDefiner(definer)
            }
            K::Leakproof => {
                self.advance();
                F::Leakproof(true)
            }
            K::Not => {
                self.expect_words(&[K::Not, K::Leakproof])?;
                F::Leakproof(false)
            }
            K::Cost => {
                self.advance();
                F::Cost(self.numeric()?)
            }
            K::Rows => {
                self.advance();
                F::Rows(self.numeric()?)
            }
            K::Support => {
                self.advance();
                F::Support(self.any_name()?)
            }
            K::Parallel => {
                self.advance();
                F::Parallel(self.col_id()?)
            }
            // ALTER FUNCTION … SET SCHEMA name moves the function; SET SCHEMA 'path' is a setting.
            K::Set if !create && self.peek_kw(1, K::Schema) && !Self::is_string(self.peek(2)) => {
                return Ok(None);
            }
            K::Set => {
                let pos = self.take();
                let action = self.set_rest_more()?;
                F::Set(P::new(SetStmt { scope: SetScope::Session, action, pos }))
            }
            K::Reset => F::Set(P::new(self.reset()?)),
            _ => return Ok(None),
        };
        Ok(Some(kind))
    }

    /// opt_routine_body.
    fn routine_body(&mut self) -> Result<Option<SqlBody>> {
        if self.eat_kw(K::Return) {
            return Ok(Some(SqlBody::Return(self.expr()?)));
        }
        if !self.eat_words(&[K::Begin, K::Atomic]) {
            return Ok(None);
        }
        let mut statements = Vec::new();
        loop {
            while self.eat(Tok::Semicolon) {}
            if self.eat_kw(K::End) {
                return Ok(Some(SqlBody::Atomic(statements)));
            }
            let statement = if self.eat_kw(K::Return) {
                Statement::Return(P::new(self.expr()?))
            } else {
                self.nested(Self::statement)?
            };
            statements.push(statement);
            self.expect(Tok::Semicolon)?;
        }
    }

    /// `FUNCTION …`, `PROCEDURE …` and `ROUTINE …` behind ALTER.
    pub(super) fn alter_function(&mut self) -> Result<Statement> {
        let kind = self.object_kind()?;
        let signature = self.routine_signature()?;
        let options = self.function_options(false)?;
        if options.is_empty() {
            return self.alter_common(ObjectRef::Routine { kind, signature }, false);
        }
        self.eat_kw(K::Restrict);
        Ok(Statement::AlterFunction(P::new(AlterFunctionStmt { kind, signature, options })))
    }

    /// `AGGREGATE …` behind CREATE.
    pub(super) fn create_aggregate(&mut self, or_replace: bool, pos: Pos) -> Result<Statement> {
        self.advance();
        let name = DefineName::Name(self.func_name()?);
        let old_style = self.is(Tok::LeftParen)
            && matches!(self.peek(1), Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent)
            && self.peek(2) == Tok::Equals;
        let args = if old_style { None } else { Some(self.aggregate_args()?) };
        let definition = Some(if old_style { self.old_aggregate_definition()? } else { self.definition()? });
        Ok(Statement::Define(P::new(DefineStmt {
            kind: ObjectKind::Aggregate,
            or_replace,
            if_not_exists: false,
            name,
            args,
            old_style,
            definition,
            from: None,
            pos,
        })))
    }

    /// old_aggr_definition: names that are no keywords, each with a value.
    fn old_aggregate_definition(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|p| {
            let pos = p.pos();
            let name = p.name_if(|tok| matches!(tok, Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent))?;
            p.expect(Tok::Equals)?;
            Ok(DefElem { namespace: None, name, value: Some(p.def_arg()?), pos })
        })
    }

    /// A definition of the general form.
    fn define(kind: ObjectKind, name: DefineName, definition: Option<Vec<DefElem>>, pos: Pos) -> DefineStmt {
        DefineStmt {
            kind,
            or_replace: false,
            if_not_exists: false,
            name,
            args: None,
            old_style: false,
            definition,
            from: None,
            pos,
        }
    }

    /// `OPERATOR …`, `OPERATOR CLASS …` and `OPERATOR FAMILY …` behind CREATE.
    pub(super) fn create_operator(&mut self, pos: Pos) -> Result<Statement> {
        self.advance();
        if self.eat_kw(K::Class) {
            return self.create_operator_class();
        }
        if self.eat_kw(K::Family) {
            let name = self.any_name()?;
            self.expect_kw(K::Using)?;
            let method = self.col_id()?;
            return Ok(Statement::CreateOperatorFamily(P::new(CreateOperatorFamilyStmt { name, method })));
        }
        let name = DefineName::Operator(self.any_operator()?);
        let definition = Some(self.definition()?);
        Ok(Statement::Define(P::new(Self::define(ObjectKind::Operator, name, definition, pos))))
    }

    fn create_operator_class(&mut self) -> Result<Statement> {
        let name = self.any_name()?;
        let default = self.eat_kw(K::Default);
        self.expect_words(&[K::For, K::Type])?;
        let data_type = self.type_name()?;
        self.expect_kw(K::Using)?;
        let method = self.col_id()?;
        let family = if self.eat_kw(K::Family) { Some(self.any_name()?) } else { None };
        self.expect_kw(K::As)?;
        let items = self.comma_list(Self::operator_class_item)?;
        Ok(Statement::CreateOperatorClass(P::new(CreateOperatorClassStmt {
            name,
            default,
            data_type,
            method,
            family,
            items,
        })))
    }

    /// opclass_item.
    fn operator_class_item(&mut self) -> Result<OperatorClassItem> {
        if self.eat_kw(K::Operator) {
            let number = self.integer()?;
            let op = self.any_operator()?;
            let types = if self.is(Tok::LeftParen) { Some(self.operator_arg_types()?) } else { None };
            let mut order_family = None;
            if self.eat_kw(K::For) && !self.eat_kw(K::Search) {
                self.expect_words(&[K::Order, K::By])?;
                order_family = Some(self.any_name()?);
            }
            let op = OperatorOrSignature { op, types };
            return Ok(OperatorClassItem::Operator { number, op, order_family });
        }
        if self.eat_kw(K::Function) {
            let number = self.integer()?;
            let types = self.optional_paren_list(Self::type_name)?;
            let function = self.routine_signature()?;
            return Ok(OperatorClassItem::Function { number, types, function });
        }
        self.expect_kw(K::Storage)?;
        Ok(OperatorClassItem::Storage(self.type_name()?))
    }

    /// `OPERATOR …`, `OPERATOR CLASS …` and `OPERATOR FAMILY …` behind ALTER.
    pub(super) fn alter_operator(&mut self) -> Result<Statement> {
        let kind = self.object_kind()?;
        if kind == ObjectKind::Operator {
            let signature = self.operator_signature()?;
            if self.is_kw(K::Set) && self.peek(1) == Tok::LeftParen {
                self.advance();
                let options = self.operator_options()?;
                return Ok(Statement::AlterOperator(P::new(AlterOperatorStmt { signature, options })));
            }
            return self.alter_common(ObjectRef::Operator(signature), false);
        }
        let name = self.any_name()?;
        self.expect_kw(K::Using)?;
        let method = self.col_id()?;
        if kind == ObjectKind::OperatorFamily {
            if self.eat_kw(K::Add) {
                let action = OperatorFamilyAction::Add(self.comma_list(Self::operator_class_item)?);
                let stmt = AlterOperatorFamilyStmt { name, method, action };
                return Ok(Statement::AlterOperatorFamily(P::new(stmt)));
            }
            if self.eat_kw(K::Drop) {
                let action = OperatorFamilyAction::Drop(self.comma_list(|p| {
                    let function = p.eat_kw(K::Function);
                    if !function {
                        p.expect_kw(K::Operator)?;
                    }
                    let number = p.integer()?;
                    Ok(OperatorFamilyDrop { function, number, types: p.paren_list(Self::type_name)? })
                })?);
                let stmt = AlterOperatorFamilyStmt { name, method, action };
                return Ok(Statement::AlterOperatorFamily(P::new(stmt)));
            }
        }
        self.alter_common(ObjectRef::OperatorSet { kind, name, method }, false)
    }

    /// operator_def_list in parentheses: a definition whose values may be NONE.
    pub(super) fn operator_options(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|p| {
            let pos = p.pos();
            let name = p.col_label()?;
            let value = if !p.eat(Tok::Equals) || p.eat_kw(K::None) { None } else { Some(p.def_arg()?) };
            Ok(DefElem { namespace: None, name, value, pos })
        })
    }

    /// `COLLATION …` behind CREATE.
    pub(super) fn create_collation(&mut self, pos: Pos) -> Result<Statement> {
        self.advance();
        let if_not_exists = self.if_not_exists();
        let name = DefineName::Name(self.any_name()?);
        let mut stmt = Self::define(ObjectKind::Collation, name, None, pos);
        stmt.if_not_exists = if_not_exists;
        if self.eat_kw(K::From) {
            stmt.from = Some(self.any_name()?);
        } else {
            stmt.definition = Some(self.definition()?);
        }
        Ok(Statement::Define(P::new(stmt)))
    }

    /// `TEXT SEARCH …` behind CREATE.
    pub(super) fn create_text_search(&mut self, pos: Pos) -> Result<Statement> {
        self.expect_words(&[K::Text, K::Search])?;
        let kind = self.text_search_kind()?;
        let name = DefineName::Name(self.any_name()?);
        let definition = Some(self.definition()?);
        Ok(Statement::Define(P::new(Self::define(kind, name, definition, pos))))
    }

    /// `TYPE …` behind CREATE.
    pub(super) fn create_type(&mut self, pos: Pos) -> Result<Statement> {
        self.advance();
        let name = self.any_name()?;
        if !self.eat_kw(K::As) {
            let definition = if self.is(Tok::LeftParen) { Some(self.definition()?) } else { None };
            let stmt = Self::define(ObjectKind::Type, DefineName::Name(name), definition, pos);
            return Ok(Statement::Define(P::new(stmt)));
        }
        let kind = if self.eat_kw(K::Enum) {
            self.expect(Tok::LeftParen)?;
            let labels = if self.is(Tok::RightParen) { Vec::new() } else { self.comma_list(Self::string)? };
            self.expect(Tok::RightParen)?;
            CreateTypeKind::Enum(labels)
        } else if self.eat_kw(K::Range) {
            CreateTypeKind::Range(self.definition()?)
        } else {
            self.expect(Tok::LeftParen)?;
            let columns = if self.is(Tok::RightParen) {
                Vec::new()
            } else {
                self.comma_list(Self::table_func_element)?
            };
            self.expect(Tok::RightParen)?;
            CreateTypeKind::Composite(columns)
        };
        Ok(Statement::CreateType(P::new(CreateTypeStmt { name, kind })))
    }

    /// `DOMAIN …` behind CREATE.
    pub(super) fn create_domain(&mut self) -> Result<Statement> {
        self.advance();
        let name = self.any_name()?;
        self.eat_kw(K::As);
        let type_name = self.type_name()?;
        let mut stmt = CreateDomainStmt { name, type_name, collation: None, constraints: Vec::new() };
        loop {
            let pos = self.pos();
            if self.eat_kw(K::Collate) {
                let collation = self.any_name()?;
                if stmt.collation.replace(collation).is_some() {
                    return Err(Self::syntax("multiple COLLATE clauses not allowed", pos));
                }
                continue;
            }
            match self.column_constraint()? {
                Some(constraint) => stmt.constraints.push(constraint),
                None => return Ok(Statement::CreateDomain(P::new(stmt))),
            }
        }
    }

    /// `CAST …` behind CREATE.
    pub(super) fn create_cast(&mut self) -> Result<Statement> {
        self.advance();
        let (source, target) = self.cast_types()?;
        let method = if self.eat_words(&[K::Without, K::Function]) {
            CastMethod::WithoutFunction
        } else {
            self.expect_kw(K::With)?;
            if self.eat_kw(K::Inout) {
                CastMethod::InOut
            } else {
                self.expect_kw(K::Function)?;
                CastMethod::Function(self.routine_signature()?)
            }
        };
        let context = if self.eat_words(&[K::As, K::Implicit]) {
            CastContext::Implicit
        } else if self.eat_words(&[K::As, K::Assignment]) {
            CastContext::Assignment
        } else {
            CastContext::Explicit
        };
        Ok(Statement::CreateCast(P::new(CreateCastStmt { source, target, method, context })))
    }

    /// `[DEFAULT] CONVERSION …` behind CREATE.
    pub(super) fn create_conversion(&mut self) -> Result<Statement> {
        let default = self.eat_kw(K::Default);
        self.expect_kw(K::Conversion)?;
        let name = self.any_name()?;
        self.expect_kw(K::For)?;
        let from_encoding = self.string()?;
        self.expect_kw(K::To)?;
        let to_encoding = self.string()?;
        self.expect_kw(K::From)?;
        let function = self.any_name()?;
        Ok(Statement::CreateConversion(P::new(CreateConversionStmt {
            name,
            default,
            from_encoding,
            to_encoding,
            function,
        })))
    }

    /// `TRANSFORM …` behind CREATE.
    pub(super) fn create_transform(&mut self, or_replace: bool) -> Result<Statement> {
        self.advance();
        self.expect_kw(K::For)?;
        let type_name = self.type_name()?;
        self.expect_kw(K::Language)?;
        let language = self.col_id()?;
        let mut stmt = CreateTransformStmt { or_replace, type_name, language, from_sql: None, to_sql: None };
        self.expect(Tok::LeftParen)?;
        loop {
            let from = self.is_kw(K::From) && stmt.from_sql.is_none();
            let to = self.is_kw(K::To) && stmt.to_sql.is_none();
            if !from && !to {
                return Err(self.unexpected());
            }
            self.advance();
            // `SQL` is a keyword, WITH FUNCTION follows.
            self.expect_words(&[K::Sql, K::With, K::Function])?;
            let function = Some(self.routine_signature()?);
            if from {
                stmt.from_sql = function;
            } else {
                stmt.to_sql = function;
            }
            if !self.eat(Tok::Comma) {
                break;
            }
        }
        self.expect(Tok::RightParen)?;
        Ok(Statement::CreateTransform(P::new(stmt)))
    }

    /// `[TRUSTED] [PROCEDURAL] LANGUAGE …` behind CREATE.
    pub(super) fn create_language(&mut self, or_replace: bool) -> Result<Statement> {
        let trusted = self.eat_kw(K::Trusted);
        self.eat_kw(K::Procedural);
        self.expect_kw(K::Language)?;
        let name = self.col_id()?;
        let mut stmt =
            CreateLanguageStmt { name, or_replace, trusted, handler: None, inline: None, validator: None };
        if self.eat_kw(K::Handler) {
            stmt.handler = Some(self.any_name()?);
            if self.eat_kw(K::Inline) {
                stmt.inline = Some(self.any_name()?);
            }
            if self.eat_kw(K::Validator) {
                stmt.validator = Some(self.any_name()?);
            } else {
                self.eat_words(&[K::No, K::Validator]);
            }
        }
        Ok(Statement::CreateLanguage(P::new(stmt)))
    }

    /// `ACCESS METHOD …` behind CREATE.
    pub(super) fn create_access_method(&mut self) -> Result<Statement> {
        self.expect_words(&[K::Access, K::Method])?;
        let name = self.col_id()?;
        self.expect_kw(K::Type)?;
        let table = self.eat_kw(K::Table);
        if !table {
            self.expect_kw(K::Index)?;
        }
        self.expect_kw(K::Handler)?;
        let handler = self.any_name()?;
        Ok(Statement::CreateAccessMethod(P::new(CreateAccessMethodStmt { name, table, handler })))
    }

    /// `ASSERTION …` behind CREATE.
    pub(super) fn create_assertion(&mut self) -> Result<Statement> {
        let pos = self.take();
        self.any_name()?;
        self.expect_kw(K::Check)?;
        self.paren_expr()?;
        self.constraint_attributes()?;
        Err(Self::unsupported("CREATE ASSERTION is not yet implemented", pos))
    }
}
