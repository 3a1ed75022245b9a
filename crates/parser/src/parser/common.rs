//! Clauses that many statements share: numbers, options, behaviour, names of objects, parameters.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;
use crate::literal;

impl Parser<'_> {
    /// opt_drop_behavior.
    pub(super) fn behavior(&mut self) -> Behavior {
        if self.eat_kw(K::Cascade) {
            return Behavior::Cascade;
        }
        self.eat_kw(K::Restrict);
        Behavior::Restrict
    }

    /// `IF EXISTS`, if it is there.
    pub(super) fn if_exists(&mut self) -> bool {
        self.eat_words(&[K::If, K::Exists])
    }

    /// `IF NOT EXISTS`, if it is there.
    pub(super) fn if_not_exists(&mut self) -> bool {
        self.eat_words(&[K::If, K::Not, K::Exists])
    }

    /// NumericOnly: a number with an optional sign.
    pub(super) fn numeric(&mut self) -> Result<NumericValue> {
        let negative = self.is(Tok::Minus);
        if negative || self.is(Tok::Plus) {
            self.advance();
        }
        if !matches!(self.tok(), Tok::Integer | Tok::Numeric) {
            return Err(self.unexpected());
        }
        let mut value = literal::number(self.raw(), self.tok());
        self.advance();
        if negative {
            value = literal::negate(value);
        }
        Ok(match value {
            LiteralValue::Integer(value) => NumericValue::Integer(i64::from(value)),
            LiteralValue::BigInt(value) => NumericValue::Integer(value),
            LiteralValue::Numeric(text) => NumericValue::Other(text),
            _ => return Err(self.unexpected()),
        })
    }

    fn at_number(&self) -> bool {
        matches!(self.tok(), Tok::Integer | Tok::Numeric | Tok::Plus | Tok::Minus)
    }

    /// opt_boolean_or_string.
    pub(super) fn boolean_or_string(&mut self) -> Result<DefValue> {
        match self.tok() {
            Tok::Kw(K::True | K::False | K::On) => Ok(DefValue::Word(self.take_name()?)),
            tok if Self::is_string(tok) => Ok(DefValue::String(self.string()?)),
            _ => Ok(DefValue::Word(self.non_reserved_word()?)),
        }
    }

    /// NonReservedWord_or_Sconst.
    pub(super) fn word_or_string(&mut self) -> Result<Box<str>> {
        if Self::is_string(self.tok()) {
            self.string()
        } else {
            Ok(self.non_reserved_word()?.as_str().into())
        }
    }

    /// utility_option_list in its parentheses: options of EXPLAIN, VACUUM and their kind.
    pub(super) fn utility_options(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|p| {
            let pos = p.pos();
            let name = match p.kw() {
                Some(K::Analyze | K::Analyse) => {
                    p.advance();
                    Name::from_static("analyze")
                }
                _ => p.non_reserved_word()?,
            };
            let value = match p.tok() {
                Tok::Comma | Tok::RightParen => None,
                _ if p.at_number() => Some(DefValue::Number(p.numeric()?)),
                _ => Some(p.boolean_or_string()?),
            };
            Ok(DefElem { namespace: None, name, value, pos })
        })
    }

    /// A general option without a value, as if written in a list.
    pub(super) fn flag(name: &'static str, pos: Pos) -> DefElem {
        DefElem { namespace: None, name: Name::from_static(name), value: None, pos }
    }

    /// A general option with a value.
    pub(super) fn option(name: &'static str, value: DefValue, pos: Pos) -> DefElem {
        DefElem { namespace: None, name: Name::from_static(name), value: Some(value), pos }
    }

    /// definition: `( name = value, … )`.
    pub(super) fn definition(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|p| {
            let pos = p.pos();
            let name = p.col_label()?;
            let value = if p.eat(Tok::Equals) { Some(p.def_arg()?) } else { None };
            Ok(DefElem { namespace: None, name, value, pos })
        })
    }

    /// reloptions: a definition whose names may have a namespace.
    pub(super) fn reloptions(&mut self) -> Result<Vec<DefElem>> {
        self.paren_list(|p| {
            let pos = p.pos();
            let mut name = p.col_label()?;
            let mut namespace = None;
            if p.eat(Tok::Dot) {
                namespace = Some(name);
                name = p.col_label()?;
            }
            let value = if p.eat(Tok::Equals) { Some(p.def_arg()?) } else { None };
            Ok(DefElem { namespace, name, value, pos })
        })
    }

    /// opt_reloptions: `WITH ( … )`.
    pub(super) fn with_options(&mut self) -> Result<Vec<DefElem>> {
        if self.is_kw(K::With) && self.peek(1) == Tok::LeftParen {
            self.advance();
            return self.reloptions();
        }
        Ok(Vec::new())
    }

    /// opt_definition: `WITH definition`.
    pub(super) fn with_definition(&mut self) -> Result<Vec<DefElem>> {
        if self.eat_kw(K::With) { self.definition() } else { Ok(Vec::new()) }
    }

    /// def_arg.
    pub(super) fn def_arg(&mut self) -> Result<DefValue> {
        if self.at_number() && (!matches!(self.tok(), Tok::Plus | Tok::Minus) || self.number_follows()) {
            return Ok(DefValue::Number(self.numeric()?));
        }
        match self.tok() {
            tok if Self::is_string(tok) => Ok(DefValue::String(self.string()?)),
            Tok::Kw(K::None) => Ok(DefValue::Word(self.take_name()?)),
            Tok::Kw(K::Operator) if self.peek(1) == Tok::LeftParen => {
                Ok(DefValue::Operator(self.qual_all_op()?))
            }
            Tok::Kw(kw) if kw.class() == crate::keywords::Class::Reserved => {
                Ok(DefValue::Word(self.take_name()?))
            }
            _ if self.at_type_name() => Ok(DefValue::Type(P::new(self.func_type()?))),
            _ => Ok(DefValue::Operator(self.qual_all_op()?)),
        }
    }

    fn number_follows(&self) -> bool {
        matches!(self.peek(1), Tok::Integer | Tok::Numeric)
    }

    /// RoleSpec.
    pub(super) fn role(&mut self) -> Result<RoleSpec> {
        let pos = self.pos();
        let kind = match self.kw() {
            Some(K::CurrentRole) => RoleSpecKind::CurrentRole,
            Some(K::CurrentUser) => RoleSpecKind::CurrentUser,
            Some(K::SessionUser) => RoleSpecKind::SessionUser,
            _ => {
                let name = self.non_reserved_word()?;
                let kind = match name.as_str() {
                    "public" => RoleSpecKind::Public,
                    "none" => {
                        let message = "role name \"none\" is reserved";
                        return Err(ochre_base::Error::new(ochre_base::SqlState::RESERVED_NAME, message)
                            .at(pos.offset()));
                    }
                    _ => RoleSpecKind::Name(name),
                };
                return Ok(RoleSpec { kind, pos });
            }
        };
        self.advance();
        Ok(RoleSpec { kind, pos })
    }

    pub(super) fn role_list(&mut self) -> Result<Vec<RoleSpec>> {
        self.comma_list(Self::role)
    }

    /// func_arg of a definition or signature.
    pub(super) fn parameter(&mut self) -> Result<FunctionParameter> {
        let pos = self.pos();
        let mut mode = self.parameter_mode();
        let mut name = None;
        if Self::is_type_function_name(self.tok()) && self.name_and_type_follow() {
            name = Some(self.take_name()?);
            if mode == ParameterMode::Default {
                mode = self.parameter_mode();
            }
        }
        Ok(FunctionParameter { name, mode, type_name: self.func_type()?, default: None, pos })
    }

    /// Whether the current word is a parameter's name because a mode or type follows it.
    fn name_and_type_follow(&self) -> bool {
        match self.peek(1) {
            Tok::Kw(K::In | K::Out | K::Inout | K::Variadic | K::Setof) => true,
            Tok::Kw(K::Precision) => false,
            Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent => true,
            Tok::Kw(kw) => match kw.class() {
                crate::keywords::Class::Reserved => false,
                crate::keywords::Class::ColName => matches!(
                    kw,
                    K::Int
                        | K::Integer
                        | K::Smallint
                        | K::Bigint
                        | K::Real
                        | K::Boolean
                        | K::Json
                        | K::Float
                        | K::Decimal
                        | K::Dec
                        | K::Numeric
                        | K::Bit
                        | K::Character
                        | K::Char
                        | K::Varchar
                        | K::National
                        | K::Nchar
                        | K::Time
                        | K::Timestamp
                        | K::Interval
                ),
                _ => true,
            },
            _ => false,
        }
    }

    fn parameter_mode(&mut self) -> ParameterMode {
        if self.eat_kw(K::In) {
            return if self.eat_kw(K::Out) { ParameterMode::InOut } else { ParameterMode::In };
        }
        if self.eat_kw(K::Out) {
            return ParameterMode::Out;
        }
        if self.eat_kw(K::Inout) {
            return ParameterMode::InOut;
        }
        if self.eat_kw(K::Variadic) { ParameterMode::Variadic } else { ParameterMode::Default }
    }

    /// function_with_argtypes.
    pub(super) fn routine_signature(&mut self) -> Result<RoutineSignature> {
        let pos = self.pos();
        let name = if self.peek(1) == Tok::Dot {
            self.any_name()?
        } else if Self::is_type_function_name(self.tok()) {
            ObjectName::unqualified(self.type_function_name()?, pos)
        } else {
            // A word that cannot name a function stands alone, without arguments.
            let name = ObjectName::unqualified(self.col_id()?, pos);
            return Ok(RoutineSignature { name, args: None });
        };
        let args =
            if self.is(Tok::LeftParen) { Some(SignatureArgs::Params(self.parameters()?)) } else { None };
        Ok(RoutineSignature { name, args })
    }

    /// func_args: parameters in parentheses, perhaps none.
    pub(super) fn parameters(&mut self) -> Result<Vec<FunctionParameter>> {
        if self.is(Tok::LeftParen) && self.peek(1) == Tok::RightParen {
            self.at += 2;
            return Ok(Vec::new());
        }
        self.paren_list(Self::parameter)
    }

    /// aggregate_with_argtypes.
    pub(super) fn aggregate_signature(&mut self) -> Result<RoutineSignature> {
        let name = self.func_name()?;
        Ok(RoutineSignature { name, args: Some(SignatureArgs::Aggregate(self.aggregate_args()?)) })
    }

    /// aggr_args.
    pub(super) fn aggregate_args(&mut self) -> Result<AggregateArgs> {
        self.expect(Tok::LeftParen)?;
        let mut args = AggregateArgs { star: false, direct: Vec::new(), ordered: None };
        if self.eat(Tok::Star) {
            args.star = true;
        } else {
            if !self.is_kw(K::Order) {
                args.direct = self.comma_list(Self::parameter)?;
            }
            if self.eat_kw(K::Order) {
                self.expect_kw(K::By)?;
                args.ordered = Some(self.comma_list(Self::parameter)?);
            }
        }
        self.expect(Tok::RightParen)?;
        Ok(args)
    }

    /// operator_with_argtypes.
    pub(super) fn operator_signature(&mut self) -> Result<OperatorSignature> {
        let op = self.any_operator()?;
        let (left, right) = self.operator_arg_types()?;
        Ok(OperatorSignature { op, left, right })
    }

    /// oper_argtypes.
    pub(super) fn operator_arg_types(&mut self) -> Result<(Option<TypeName>, Option<TypeName>)> {
        self.expect(Tok::LeftParen)?;
        let left = self.type_or_none()?;
        if self.is(Tok::RightParen) && left.is_some() {
            return Err(Self::syntax("missing argument", self.pos())
                .hint("Use NONE to denote the missing argument of a unary operator."));
        }
        self.expect(Tok::Comma)?;
        let right = self.type_or_none()?;
        if left.is_none() && right.is_none() {
            return Err(self.unexpected());
        }
        self.expect(Tok::RightParen)?;
        Ok((left, right))
    }

    fn type_or_none(&mut self) -> Result<Option<TypeName>> {
        if self.eat_kw(K::None) { Ok(None) } else { Ok(Some(self.type_name()?)) }
    }

    /// The words of a kind of object, where a command names one.
    pub(super) fn object_kind(&mut self) -> Result<ObjectKind> {
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        let kind = match kw {
            K::Access => {
                self.advance();
                self.expect_kw(K::Method)?;
                return Ok(ObjectKind::AccessMethod);
            }
            K::Aggregate => ObjectKind::Aggregate,
            K::Cast => ObjectKind::Cast,
            K::Collation => ObjectKind::Collation,
            K::Column => ObjectKind::Column,
            K::Constraint => ObjectKind::Constraint,
            K::Conversion => ObjectKind::Conversion,
            K::Database => ObjectKind::Database,
            K::Domain => ObjectKind::Domain,
            K::Event => {
                self.advance();
                self.expect_kw(K::Trigger)?;
                return Ok(ObjectKind::EventTrigger);
            }
            K::Extension => ObjectKind::Extension,
            K::Foreign => {
                self.advance();
                if self.eat_kw(K::Table) {
                    return Ok(ObjectKind::ForeignTable);
                }
                self.expect_words(&[K::Data, K::Wrapper])?;
                return Ok(ObjectKind::ForeignDataWrapper);
            }
            K::Function => ObjectKind::Function,
            K::Index => ObjectKind::Index,
            K::Language => ObjectKind::Language,
            K::Procedural => {
                self.advance();
                self.expect_kw(K::Language)?;
                return Ok(ObjectKind::Language);
            }
            K::Large => {
                self.advance();
                self.expect_kw(K::Object)?;
                return Ok(ObjectKind::LargeObject);
            }
            K::Materialized => {
                self.advance();
                self.expect_kw(K::View)?;
                return Ok(ObjectKind::MaterializedView);
            }
            K::Operator => {
                self.advance();
                if self.eat_kw(K::Class) {
                    return Ok(ObjectKind::OperatorClass);
                }
                return Ok(if self.eat_kw(K::Family) {
                    ObjectKind::OperatorFamily
                } else {
                    ObjectKind::Operator
                });
            }
            K::Policy => ObjectKind::Policy,
            K::Procedure => ObjectKind::Procedure,
            K::Publication => ObjectKind::Publication,
            K::Role => ObjectKind::Role,
            K::Routine => ObjectKind::Routine,
            K::Rule => ObjectKind::Rule,
            K::Schema => ObjectKind::Schema,
            K::Sequence => ObjectKind::Sequence,
            K::Server => ObjectKind::Server,
            K::Statistics => ObjectKind::Statistics,
            K::Subscription => ObjectKind::Subscription,
            K::Table => ObjectKind::Table,
            K::Tablespace => ObjectKind::Tablespace,
            K::Text => {
                self.advance();
                self.expect_kw(K::Search)?;
                return self.text_search_kind();
            }
            K::Transform => ObjectKind::Transform,
            K::Trigger => ObjectKind::Trigger,
            K::Type => ObjectKind::Type,
            K::View => ObjectKind::View,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(kind)
    }

    /// The word behind TEXT SEARCH.
    pub(super) fn text_search_kind(&mut self) -> Result<ObjectKind> {
        let kind = match self.kw() {
            Some(K::Configuration) => ObjectKind::TextSearchConfiguration,
            Some(K::Dictionary) => ObjectKind::TextSearchDictionary,
            Some(K::Parser) => ObjectKind::TextSearchParser,
            Some(K::Template) => ObjectKind::TextSearchTemplate,
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(kind)
    }

    /// A name that is not qualified, as an [`ObjectName`].
    pub(super) fn single_name(&mut self) -> Result<ObjectName> {
        let pos = self.pos();
        Ok(ObjectName::unqualified(self.col_id()?, pos))
    }

    /// An object of a kind, as COMMENT names it.
    pub(super) fn object_of_kind(&mut self, kind: ObjectKind) -> Result<ObjectRef> {
        use ObjectKind as O;
        Ok(match kind {
            O::AccessMethod
            | O::EventTrigger
            | O::Extension
            | O::ForeignDataWrapper
            | O::Language
            | O::Publication
            | O::Schema
            | O::Server
            | O::Database
            | O::Role
            | O::Subscription
            | O::Tablespace
            | O::Parameter => ObjectRef::Named { kind, name: self.single_name()? },
            O::Column => {
                let mut relation = self.any_name()?;
                let Some(column) = relation.parts.pop() else { return Err(self.unexpected()) };
                if relation.parts.is_empty() {
                    self.late_error = Some(Self::syntax("column name must be qualified", relation.pos));
                    relation.parts.push(column.clone());
                }
                ObjectRef::Column { relation, column }
            }
            O::Type | O::Domain => ObjectRef::Type { kind, type_name: self.type_name()? },
            O::Aggregate => ObjectRef::Routine { kind, signature: self.aggregate_signature()? },
            O::Function | O::Procedure | O::Routine => {
                ObjectRef::Routine { kind, signature: self.routine_signature()? }
            }
            O::Operator => ObjectRef::Operator(self.operator_signature()?),
            O::OperatorClass | O::OperatorFamily => {
                let name = self.any_name()?;
                self.expect_kw(K::Using)?;
                ObjectRef::OperatorSet { kind, name, method: self.col_id()? }
            }
            O::Constraint => {
                let name = self.col_id()?;
                self.expect_kw(K::On)?;
                if self.eat_kw(K::Domain) {
                    return Ok(ObjectRef::DomainConstraint { name, domain: self.any_name()? });
                }
                ObjectRef::OnTable { kind, name, table: self.any_name()? }
            }
            O::Policy | O::Rule | O::Trigger => {
                let name = self.col_id()?;
                self.expect_kw(K::On)?;
                ObjectRef::OnTable { kind, name, table: self.any_name()? }
            }
            O::Cast => {
                let (source, target) = self.cast_types()?;
                ObjectRef::Cast { source, target }
            }
            O::Transform => {
                self.expect_kw(K::For)?;
                let type_name = self.type_name()?;
                self.expect_kw(K::Language)?;
                ObjectRef::Transform { type_name, language: self.col_id()? }
            }
            O::LargeObject => ObjectRef::LargeObject(self.numeric()?),
            _ => ObjectRef::Named { kind, name: self.any_name()? },
        })
    }

    /// `(source AS target)`.
    pub(super) fn cast_types(&mut self) -> Result<(TypeName, TypeName)> {
        self.expect(Tok::LeftParen)?;
        let source = self.type_name()?;
        self.expect_kw(K::As)?;
        let target = self.type_name()?;
        self.expect(Tok::RightParen)?;
        Ok((source, target))
    }

    /// create_generic_options: `OPTIONS (name 'value', …)`.
    pub(super) fn generic_options(&mut self) -> Result<Vec<GenericOption>> {
        if !self.eat_kw(K::Options) {
            return Ok(Vec::new());
        }
        self.paren_list(|p| {
            let pos = p.pos();
            let name = p.col_label()?;
            let value = Some(p.string()?);
            Ok(GenericOption { action: GenericOptionAction::Unspecified, name, value, pos })
        })
    }

    /// alter_generic_options, OPTIONS included.
    pub(super) fn alter_generic_options(&mut self) -> Result<Vec<GenericOption>> {
        self.expect_kw(K::Options)?;
        self.paren_list(|p| {
            let pos = p.pos();
            let next_is_label = Self::is_name(p.peek(1), |_| true);
            let action = match p.kw() {
                Some(K::Set) if next_is_label => GenericOptionAction::Set,
                Some(K::Add) if next_is_label => GenericOptionAction::Add,
                Some(K::Drop) if next_is_label => {
                    p.advance();
                    let name = p.col_label()?;
                    return Ok(GenericOption { action: GenericOptionAction::Drop, name, value: None, pos });
                }
                _ => GenericOptionAction::Unspecified,
            };
            if action != GenericOptionAction::Unspecified {
                p.advance();
            }
            let name = p.col_label()?;
            let value = Some(p.string()?);
            Ok(GenericOption { action, name, value, pos })
        })
    }
}
