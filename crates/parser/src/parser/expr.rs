//! Expressions by precedence climbing.
//!
//! The levels are those of PostgreSQL's grammar. Three of them do not associate: after `a < b`, `a LIKE b` or `a IS
//! DISTINCT FROM b`, another operator of the same level is a syntax error.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;
use crate::literal;

const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const IS: u8 = 4;
const COMPARE: u8 = 5;
/// BETWEEN, IN, LIKE, ILIKE, SIMILAR and their negations.
const PATTERN: u8 = 6;
const ESCAPE: u8 = 7;
/// Every operator without a level of its own.
const OP: u8 = 8;
const ADD: u8 = 9;
const MUL: u8 = 10;
const POW: u8 = 11;
const AT: u8 = 12;
const COLLATE: u8 = 13;
const UMINUS: u8 = 14;
const CAST: u8 = 15;

/// What stands between parentheses.
pub(super) enum Paren {
    Select(SelectStmt),
    Expr(Expr),
    Row(Vec<Expr>),
}

impl Parser<'_> {
    /// a_expr.
    pub(crate) fn expr(&mut self) -> Result<Expr> {
        self.expr_above(0, false)
    }

    /// b_expr: without AND, OR, NOT, IS NULL, BETWEEN, IN and LIKE.
    pub(super) fn b_expr(&mut self) -> Result<Expr> {
        self.expr_above(0, true)
    }

    /// expr_list.
    pub(super) fn expr_list(&mut self) -> Result<Vec<Expr>> {
        self.comma_list(Self::expr)
    }

    /// An expression whose infix operators are of level `min` or higher.
    fn expr_above(&mut self, min: u8, restricted: bool) -> Result<Expr> {
        self.nested(|p| {
            let left = p.prefix(restricted)?;
            p.infix(left, min, restricted)
        })
    }

    fn prefix(&mut self, restricted: bool) -> Result<Expr> {
        match self.tok() {
            Tok::Minus => {
                let pos = self.take();
                let operand = self.expr_above(UMINUS, restricted)?;
                Ok(negated(operand, pos))
            }
            Tok::Plus => {
                let pos = self.take();
                let expr = self.expr_above(UMINUS, restricted)?;
                let op = Operator::plain(Name::from_static("+"));
                Ok(Expr::Unary(P::new(UnaryExpr { op, expr, pos })))
            }
            Tok::Op => self.prefix_operator(restricted),
            Tok::Kw(K::Operator) if self.peek(1) == Tok::LeftParen => self.prefix_operator(restricted),
            Tok::Kw(K::Not) if !restricted => {
                let pos = self.take();
                let expr = self.expr_above(NOT, false)?;
                Ok(not(expr, pos))
            }
            Tok::Kw(K::Default) if !restricted => Ok(Expr::Default(self.take())),
            Tok::Kw(K::Unique) if !restricted => {
                let pos = self.take();
                self.nulls_not_distinct()?;
                self.select_with_parens()?;
                Err(Self::unsupported("UNIQUE predicate is not yet implemented", pos))
            }
            _ => self.primary(),
        }
    }

    fn prefix_operator(&mut self, restricted: bool) -> Result<Expr> {
        let pos = self.pos();
        let op = self.qual_op()?;
        let expr = self.expr_above(ADD, restricted)?;
        Ok(Expr::Unary(P::new(UnaryExpr { op, expr, pos })))
    }

    /// qual_Op: a generic operator, or `OPERATOR(schema.op)`.
    pub(super) fn qual_op(&mut self) -> Result<Operator> {
        if self.is(Tok::Op) {
            let name = Name::from(self.raw());
            self.advance();
            return Ok(Operator::plain(name));
        }
        self.qualified_operator()
    }

    /// `OPERATOR(any_operator)`.
    fn qualified_operator(&mut self) -> Result<Operator> {
        self.expect_kw(K::Operator)?;
        self.expect(Tok::LeftParen)?;
        let op = self.any_operator()?;
        self.expect(Tok::RightParen)?;
        Ok(op)
    }

    /// any_operator: any operator, with schemas before it.
    pub(super) fn any_operator(&mut self) -> Result<Operator> {
        let mut schema = Vec::new();
        while Self::is_col_id(self.tok()) {
            schema.push(self.col_id()?);
            self.expect(Tok::Dot)?;
        }
        let name = self.all_op()?;
        Ok(Operator { schema, name })
    }

    /// all_Op: any operator without a schema.
    pub(super) fn all_op(&mut self) -> Result<Name> {
        let name = match self.tok() {
            Tok::Op => Name::from(self.raw()),
            tok => match symbol(tok) {
                Some(name) => Name::from_static(name),
                None => return Err(self.unexpected()),
            },
        };
        self.advance();
        Ok(name)
    }

    /// qual_all_Op.
    pub(super) fn qual_all_op(&mut self) -> Result<Operator> {
        if self.is_kw(K::Operator) { self.qualified_operator() } else { Ok(Operator::plain(self.all_op()?)) }
    }

    /// The level of the current token as an infix operator.
    fn level(&self, restricted: bool) -> Option<u8> {
        let level = match self.tok() {
            Tok::Plus | Tok::Minus => ADD,
            Tok::Star | Tok::Slash | Tok::Percent => MUL,
            Tok::Caret => POW,
            Tok::Less
            | Tok::Greater
            | Tok::Equals
            | Tok::LessEquals
            | Tok::GreaterEquals
            | Tok::NotEquals => COMPARE,
            Tok::Op => OP,
            Tok::Typecast => CAST,
            Tok::Kw(kw) => match kw {
                K::Operator => OP,
                K::Is => IS,
                _ if restricted => return None,
                K::And => AND,
                K::Or => OR,
                K::Isnull | K::Notnull => IS,
                K::Between | K::In | K::Like | K::Ilike => PATTERN,
                K::Similar if self.peek_kw(1, K::To) => PATTERN,
                K::Not => match self.peek(1) {
                    Tok::Kw(K::Between | K::In | K::Like | K::Ilike | K::Similar) => PATTERN,
                    _ => return None,
                },
                K::At => AT,
                K::Collate => COLLATE,
                _ => return None,
            },
            _ => return None,
        };
        Some(level)
    }

    /// Goes on from a complete left operand.
    pub(super) fn infix(&mut self, mut left: Expr, min: u8, restricted: bool) -> Result<Expr> {
        let mut links = 0;
        // The level of the nonassociative operator that the last step closed.
        let mut closed = 0;
        while let Some(level) = self.level(restricted) {
            if level < min || self.at == self.label_at {
                break;
            }
            if level == closed {
                return Err(self.unexpected());
            }
            self.link(&mut links)?;
            closed = 0;
            left = match self.tok() {
                Tok::Typecast => self.typecast(left)?,
                Tok::Kw(kw) => match kw {
                    K::And | K::Or => {
                        links -= 1;
                        self.and_or(left, kw)?
                    }
                    K::Is => {
                        let distinct;
                        (left, distinct) = self.is_test(left, restricted)?;
                        if distinct {
                            closed = IS;
                        }
                        left
                    }
                    K::Isnull | K::Notnull => {
                        let pos = self.take();
                        Expr::NullTest(P::new(NullTest { expr: left, negated: kw == K::Notnull, pos }))
                    }
                    K::At => self.at_time_zone(left)?,
                    K::Collate => {
                        let pos = self.take();
                        let collation = self.any_name()?;
                        Expr::Collate(P::new(CollateExpr { expr: left, collation, pos }))
                    }
                    K::Operator => self.binary(left, OP, restricted)?,
                    _ => {
                        let open;
                        (left, open) = self.pattern(left)?;
                        if open {
                            closed = PATTERN;
                        }
                        left
                    }
                },
                _ => {
                    let expr = self.binary(left, level, restricted)?;
                    if level == COMPARE && matches!(expr, Expr::Binary(_)) {
                        closed = COMPARE;
                    }
                    expr
                }
            };
        }
        Ok(left)
    }

    fn binary(&mut self, left: Expr, level: u8, restricted: bool) -> Result<Expr> {
        let pos = self.pos();
        let op = self.qual_all_op()?;
        if !restricted && self.at_quantifier() {
            return self.quantified(left, QuantifiedOp::Operator(op), pos);
        }
        let right = self.expr_above(level + 1, restricted)?;
        Ok(Expr::Binary(P::new(BinaryExpr { op, left, right, pos })))
    }

    fn typecast(&mut self, left: Expr) -> Result<Expr> {
        let pos = self.take();
        let type_name = self.type_name()?;
        Ok(Expr::Cast(P::new(CastExpr { expr: left, type_name, pos })))
    }

    fn and_or(&mut self, left: Expr, kw: K) -> Result<Expr> {
        let pos = self.take();
        let level = if kw == K::And { AND } else { OR };
        let right = self.expr_above(level + 1, false)?;
        let (same, left) = match (kw, left) {
            (K::And, Expr::And(list)) | (K::Or, Expr::Or(list)) => (Some(list), None),
            (_, left) => (None, Some(left)),
        };
        let list = match (same, left) {
            (Some(mut list), _) => {
                list.args.push(right);
                list
            }
            (None, left) => P::new(BoolExpr { args: left.into_iter().chain([right]).collect(), pos }),
        };
        Ok(if kw == K::And { Expr::And(list) } else { Expr::Or(list) })
    }

    fn at_quantifier(&self) -> bool {
        matches!(self.tok(), Tok::Kw(K::Any | K::Some | K::All))
    }

    /// `ANY (…)` and `ALL (…)` behind an operator.
    fn quantified(&mut self, left: Expr, op: QuantifiedOp, pos: Pos) -> Result<Expr> {
        let quantifier = if self.is_kw(K::All) { Quantifier::All } else { Quantifier::Any };
        self.advance();
        match self.paren(false)? {
            Paren::Select(query) => Ok(Expr::QuantifiedSubquery(P::new(QuantifiedSubqueryExpr {
                left,
                op,
                quantifier,
                query: P::new(query),
                pos,
            }))),
            Paren::Expr(array) => {
                Ok(Expr::QuantifiedArray(P::new(QuantifiedArrayExpr { left, op, quantifier, array, pos })))
            }
            Paren::Row(_) => Err(self.unexpected()),
        }
    }

    /// BETWEEN, IN, LIKE, ILIKE and SIMILAR TO; also whether the form ends in an operand, so that it does not chain.
    fn pattern(&mut self, expr: Expr) -> Result<(Expr, bool)> {
        let pos = self.pos();
        let negated = self.eat_kw(K::Not);
        let kind = match self.kw() {
            Some(K::Between) => return Ok((self.between(expr, negated, pos)?, true)),
            Some(K::In) => return Ok((self.in_list(expr, negated, pos)?, false)),
            Some(K::Like) => LikeKind::Like,
            Some(K::Ilike) => LikeKind::ILike,
            _ => LikeKind::Similar,
        };
        self.advance();
        if kind == LikeKind::Similar {
            self.expect_kw(K::To)?;
        } else if self.at_quantifier() {
            return Ok((self.quantified(expr, QuantifiedOp::Like { kind, negated }, pos)?, false));
        }
        let pattern = self.expr_above(PATTERN + 1, false)?;
        let escape = if self.eat_kw(K::Escape) { Some(self.expr_above(ESCAPE + 1, false)?) } else { None };
        Ok((Expr::Like(P::new(LikeExpr { kind, expr, pattern, escape, negated, pos })), true))
    }

    fn between(&mut self, expr: Expr, negated: bool, pos: Pos) -> Result<Expr> {
        self.advance();
        let symmetric = self.eat_kw(K::Symmetric);
        if !symmetric {
            self.eat_kw(K::Asymmetric);
        }
        let low = self.b_expr()?;
        self.expect_kw(K::And)?;
        let high = self.expr_above(PATTERN + 1, false)?;
        Ok(Expr::Between(P::new(BetweenExpr { expr, low, high, negated, symmetric, pos })))
    }

    fn in_list(&mut self, expr: Expr, negated: bool, pos: Pos) -> Result<Expr> {
        self.advance();
        let list = match self.paren(true)? {
            Paren::Select(query) => {
                return Ok(Expr::InSubquery(P::new(InSubqueryExpr {
                    expr,
                    query: P::new(query),
                    negated,
                    pos,
                })));
            }
            Paren::Expr(item) => vec![item],
            Paren::Row(items) => items,
        };
        Ok(Expr::InList(P::new(InListExpr { expr, list, negated, pos })))
    }

    fn at_time_zone(&mut self, left: Expr) -> Result<Expr> {
        let pos = self.take();
        if self.eat_kw(K::Local) {
            return Ok(system_call("timezone", vec![left], CallSyntax::AtLocal, pos));
        }
        self.expect_words(&[K::Time, K::Zone])?;
        let zone = self.expr_above(AT + 1, false)?;
        Ok(system_call("timezone", vec![zone, left], CallSyntax::AtTimeZone, pos))
    }

    /// The forms after IS; also whether it was DISTINCT FROM, which does not chain.
    fn is_test(&mut self, expr: Expr, restricted: bool) -> Result<(Expr, bool)> {
        let pos = self.take();
        let negated = self.eat_kw(K::Not);
        let wrap = |expr: Expr| if negated { not(expr, pos) } else { expr };
        let Some(kw) = self.kw() else { return Err(self.unexpected()) };
        let tested = match kw {
            K::Distinct => {
                self.advance();
                self.expect_kw(K::From)?;
                let right = self.expr_above(IS + 1, restricted)?;
                return Ok((Expr::Distinct(P::new(DistinctExpr { left: expr, right, negated, pos })), true));
            }
            K::Document => {
                self.advance();
                wrap(Expr::Xml(P::new(XmlExpr::IsDocument { expr, pos })))
            }
            _ if restricted => return Err(self.unexpected()),
            K::Null => {
                self.advance();
                Expr::NullTest(P::new(NullTest { expr, negated, pos }))
            }
            K::True | K::False | K::Unknown => {
                self.advance();
                let value = (kw != K::Unknown).then_some(kw == K::True);
                Expr::BooleanTest(P::new(BooleanTest { expr, negated, value, pos }))
            }
            K::Normalized => {
                self.advance();
                wrap(system_call("is_normalized", vec![expr], CallSyntax::IsNormalized, pos))
            }
            K::Nfc | K::Nfd | K::Nfkc | K::Nfkd => {
                let form = self.normal_form()?;
                self.expect_kw(K::Normalized)?;
                wrap(system_call("is_normalized", vec![expr, form], CallSyntax::IsNormalized, pos))
            }
            K::Json => wrap(self.is_json(expr, pos)?),
            _ => return Err(self.unexpected()),
        };
        Ok((tested, false))
    }

    /// unicode_normal_form, as a string.
    pub(super) fn normal_form(&mut self) -> Result<Expr> {
        let form = match self.kw() {
            Some(K::Nfc) => "NFC",
            Some(K::Nfd) => "NFD",
            Some(K::Nfkc) => "NFKC",
            Some(K::Nfkd) => "NFKD",
            _ => return Err(self.unexpected()),
        };
        let pos = self.take();
        Ok(string_literal(form, pos))
    }

    /// c_expr.
    fn primary(&mut self) -> Result<Expr> {
        match self.tok() {
            Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent => self.named(),
            Tok::Integer | Tok::Numeric => {
                let value = literal::number(self.raw(), self.tok());
                Ok(Expr::Literal(Literal { value, pos: self.take() }))
            }
            Tok::String | Tok::EscapeString | Tok::UnicodeString | Tok::DollarString => {
                let pos = self.pos();
                let value = LiteralValue::String(self.string()?);
                Ok(Expr::Literal(Literal { value, pos }))
            }
            Tok::BitString | Tok::HexString => {
                let digits = literal::string(self.sql, self.token())?;
                let value = match self.tok() {
                    Tok::BitString => LiteralValue::BitString(digits),
                    _ => LiteralValue::HexString(digits),
                };
                Ok(Expr::Literal(Literal { value, pos: self.take() }))
            }
            Tok::Param => self.param(),
            Tok::LeftParen => self.parenthesised(),
            Tok::Kw(kw) => self.keyword_expr(kw),
            _ => Err(self.unexpected()),
        }
    }

    /// c_expr: an operand without operators around it.
    pub(super) fn c_expr(&mut self) -> Result<Expr> {
        self.nested(Self::primary)
    }

    /// select_fetch_first_value: an operand, or a number with a sign.
    pub(super) fn fetch_count(&mut self) -> Result<Expr> {
        match self.tok() {
            Tok::Plus | Tok::Minus => {
                let negative = self.is(Tok::Minus);
                let pos = self.take();
                if !matches!(self.tok(), Tok::Integer | Tok::Numeric) {
                    return Err(self.unexpected());
                }
                let operand = self.primary()?;
                Ok(if negative { negated(operand, pos) } else { operand })
            }
            _ => self.c_expr(),
        }
    }

    /// AexprConst.
    pub(super) fn constant(&mut self) -> Result<Expr> {
        let negative_free = !matches!(self.tok(), Tok::Minus | Tok::Plus);
        let start = self.at;
        let expr = self.c_expr()?;
        let constant = match &expr {
            Expr::Literal(_) => true,
            Expr::Cast(cast) => cast.pos.get().is_none(),
            _ => false,
        };
        if constant && negative_free {
            return Ok(expr);
        }
        self.at = start;
        Err(self.unexpected())
    }

    fn param(&mut self) -> Result<Expr> {
        let digits = self.raw()[1..].replace('_', "");
        let Ok(number) = digits.parse::<i32>() else {
            return Err(self.error_near("parameter number too large"));
        };
        let pos = self.take();
        let param = Expr::Param(Param { number, pos });
        self.indirection_on(param, pos)
    }

    fn literal(&mut self, value: LiteralValue) -> Result<Expr> {
        Ok(Expr::Literal(Literal { value, pos: self.take() }))
    }

    fn keyword_expr(&mut self, kw: K) -> Result<Expr> {
        match kw {
            K::True => self.literal(LiteralValue::Bool(true)),
            K::False => self.literal(LiteralValue::Bool(false)),
            K::Null => self.literal(LiteralValue::Null),
            K::Case => self.case(),
            K::Array => self.array(),
            K::Exists if self.peek(1) == Tok::LeftParen => {
                let pos = self.take();
                let query = P::new(self.select_with_parens()?);
                Ok(Expr::Exists(P::new(SubqueryExpr { query, pos })))
            }
            K::Row if self.peek(1) == Tok::LeftParen => {
                let pos = self.take();
                let args = self.row_body()?;
                self.overlaps_or_row(args, true, pos)
            }
            K::Grouping if self.peek(1) == Tok::LeftParen => {
                let pos = self.take();
                let args = self.paren_list(Self::expr)?;
                Ok(Expr::Grouping(P::new(ListExpr { args, pos })))
            }
            _ => {
                if let Some(expr) = self.special_function(kw)? {
                    return Ok(expr);
                }
                if self.at_const_type() {
                    return self.typed_constant();
                }
                self.named()
            }
        }
    }

    /// `type 'text'` for types in SQL's own spelling.
    fn typed_constant(&mut self) -> Result<Expr> {
        let mut type_name = self.simple_type_name()?;
        if !type_name.typmods.is_empty() && type_name.name() == "interval" && !Self::is_string(self.tok()) {
            return Err(self.unexpected());
        }
        let pos = self.pos();
        let value = self.string()?;
        if type_name.name() == "interval" && type_name.typmods.is_empty() {
            type_name.typmods = self.interval_fields()?;
        }
        let unsized_character = matches!(type_name.system_name(), Some("bpchar" | "bit"))
            && matches!(type_name.typmods.as_slice(), [Expr::Literal(l)] if l.pos.get().is_none());
        if unsized_character {
            // `char 'abc'` keeps its whole text: the length of one is not implied for constants.
            type_name.typmods.clear();
        }
        Ok(constant_of_type(value, pos, type_name))
    }

    /// A column, a function call, or a constant `name 'text'`.
    fn named(&mut self) -> Result<Expr> {
        let pos = self.pos();
        let tok = self.tok();
        let next = self.peek(1);
        let column = Self::is_col_id(tok);
        let function = Self::is_type_function_name(tok);
        if function && next == Tok::LeftParen {
            let name = ObjectName::unqualified(self.take_name()?, pos);
            return self.call(name);
        }
        if function && Self::is_string(next) {
            let name = self.take_name()?;
            let at = self.pos();
            let value = self.string()?;
            return Ok(constant_of_type(value, at, Self::type_from_name(name, pos)));
        }
        if !column {
            if function {
                self.advance();
            }
            return Err(self.unexpected());
        }
        let first = self.take_name()?;
        let mut parts = NameParts::new();
        parts.push(first);
        let mut star = false;
        while self.is(Tok::Dot) {
            self.advance();
            if self.eat(Tok::Star) {
                star = true;
                break;
            }
            parts.push(self.col_label()?);
        }
        if parts.len() > 1 && !star {
            if self.is(Tok::LeftParen) {
                return self.call(ObjectName { parts, pos });
            }
            if Self::is_string(self.tok()) {
                let at = self.pos();
                let value = self.string()?;
                let type_name = Self::type_from_object_name(ObjectName { parts, pos });
                return Ok(constant_of_type(value, at, type_name));
            }
        }
        if star && matches!(self.tok(), Tok::Dot | Tok::LeftBracket) {
            return Err(self.improper_star());
        }
        self.indirection_on(Expr::Column(ColumnRef { parts, star, pos }), pos)
    }

    /// opt_indirection on an expression.
    fn indirection_on(&mut self, expr: Expr, pos: Pos) -> Result<Expr> {
        if !matches!(self.tok(), Tok::Dot | Tok::LeftBracket) {
            return Ok(expr);
        }
        let steps = self.indirection()?;
        Ok(Expr::Indirection(P::new(IndirectionExpr { expr, steps, pos })))
    }

    /// indirection: zero or more steps, a star only at the end.
    pub(super) fn indirection(&mut self) -> Result<Vec<Indirection>> {
        let mut steps = Vec::new();
        loop {
            let pos = self.pos();
            if self.eat(Tok::Dot) {
                if self.eat(Tok::Star) {
                    steps.push(Indirection::Star(pos));
                    if matches!(self.tok(), Tok::Dot | Tok::LeftBracket) {
                        return Err(self.improper_star());
                    }
                } else {
                    steps.push(Indirection::Field(self.col_label()?, pos));
                }
            } else if self.eat(Tok::LeftBracket) {
                steps.push(self.subscript()?);
            } else {
                return Ok(steps);
            }
        }
    }

    /// What stands behind `[`, the closing bracket included.
    fn subscript(&mut self) -> Result<Indirection> {
        let lower = if self.is(Tok::Colon) { None } else { Some(self.expr()?) };
        if self.eat(Tok::Colon) {
            let upper = if self.is(Tok::RightBracket) { None } else { Some(self.expr()?) };
            self.expect(Tok::RightBracket)?;
            return Ok(Indirection::Slice(lower, upper));
        }
        self.expect(Tok::RightBracket)?;
        match lower {
            Some(index) => Ok(Indirection::Index(index)),
            None => Err(self.unexpected()),
        }
    }

    fn case(&mut self) -> Result<Expr> {
        let pos = self.take();
        let operand = if self.is_kw(K::When) { None } else { Some(self.expr()?) };
        let mut branches = Vec::new();
        loop {
            let pos = self.pos();
            self.expect_kw(K::When)?;
            let when = self.expr()?;
            self.expect_kw(K::Then)?;
            branches.push(CaseBranch { when, then: self.expr()?, pos });
            if !self.is_kw(K::When) {
                break;
            }
        }
        let otherwise = if self.eat_kw(K::Else) { Some(self.expr()?) } else { None };
        self.expect_kw(K::End)?;
        Ok(Expr::Case(P::new(CaseExpr { operand, branches, otherwise, pos })))
    }

    fn array(&mut self) -> Result<Expr> {
        let pos = self.take();
        if self.is(Tok::LeftParen) {
            let query = P::new(self.select_with_parens()?);
            return Ok(Expr::ArraySubquery(P::new(SubqueryExpr { query, pos })));
        }
        self.array_brackets(pos)
    }

    /// array_expr: `[a, b]`, where the elements may be brackets in turn, but then all of them.
    fn array_brackets(&mut self, pos: Pos) -> Result<Expr> {
        self.expect(Tok::LeftBracket)?;
        let args = if self.is(Tok::RightBracket) {
            Vec::new()
        } else if self.is(Tok::LeftBracket) {
            self.comma_list(|p| {
                let pos = p.pos();
                p.nested(|p| p.array_brackets(pos))
            })?
        } else {
            self.expr_list()?
        };
        self.expect(Tok::RightBracket)?;
        Ok(Expr::Array(P::new(ListExpr { args, pos })))
    }

    /// `( … )` in an expression.
    fn parenthesised(&mut self) -> Result<Expr> {
        let pos = self.pos();
        match self.paren(true)? {
            Paren::Select(query) => {
                let subquery = Expr::Subquery(P::new(SubqueryExpr { query: P::new(query), pos }));
                self.indirection_on(subquery, pos)
            }
            Paren::Expr(expr) => self.indirection_on(expr, pos),
            Paren::Row(args) => self.overlaps_or_row(args, false, pos),
        }
    }

    /// Whether a query starts at the current token, apart from parentheses.
    pub(super) fn at_select(&self) -> bool {
        matches!(self.tok(), Tok::Kw(K::Select | K::Values | K::With | K::Table))
    }

    /// Reads `( … )` of which only the end tells whether it is a query, an expression or a row: `((SELECT 1) UNION SELECT
    /// 2)` and `((SELECT 1) + 1)` begin alike. With `list` there may be several expressions.
    pub(super) fn paren(&mut self, list: bool) -> Result<Paren> {
        self.nested(|p| {
            p.expect(Tok::LeftParen)?;
            let first = if p.at_select() {
                let query = p.select_no_parens()?;
                p.expect(Tok::RightParen)?;
                return Ok(Paren::Select(query));
            } else if p.is(Tok::LeftParen) {
                let pos = p.pos();
                match p.paren(true)? {
                    Paren::Select(query) => {
                        if p.at_select_rest() {
                            let query = p.select_rest(query)?;
                            p.expect(Tok::RightParen)?;
                            return Ok(Paren::Select(query));
                        }
                        let subquery = Expr::Subquery(P::new(SubqueryExpr { query: P::new(query), pos }));
                        let left = p.indirection_on(subquery, pos)?;
                        p.infix(left, 0, false)?
                    }
                    Paren::Expr(expr) => {
                        let left = p.indirection_on(expr, pos)?;
                        p.infix(left, 0, false)?
                    }
                    Paren::Row(args) => {
                        let left = p.overlaps_or_row(args, false, pos)?;
                        p.infix(left, 0, false)?
                    }
                }
            } else {
                p.expr()?
            };
            if p.eat(Tok::RightParen) {
                return Ok(Paren::Expr(first));
            }
            if !list {
                return Err(p.unexpected());
            }
            let mut items = vec![first];
            while p.eat(Tok::Comma) {
                items.push(p.expr()?);
            }
            p.expect(Tok::RightParen)?;
            Ok(if items.len() == 1 { Paren::Expr(items.remove(0)) } else { Paren::Row(items) })
        })
    }

    /// `(a, b)` behind ROW, possibly empty.
    fn row_body(&mut self) -> Result<Vec<Expr>> {
        self.expect(Tok::LeftParen)?;
        let args = if self.is(Tok::RightParen) { Vec::new() } else { self.expr_list()? };
        self.expect(Tok::RightParen)?;
        Ok(args)
    }

    /// A row, or `row OVERLAPS row`.
    fn overlaps_or_row(&mut self, mut args: Vec<Expr>, explicit: bool, pos: Pos) -> Result<Expr> {
        if !self.is_kw(K::Overlaps) {
            return Ok(Expr::Row(P::new(RowExpr { args, explicit, pos })));
        }
        let at = self.take();
        if args.len() != 2 {
            let message = "wrong number of parameters on left side of OVERLAPS expression";
            return Err(Self::syntax(message, pos));
        }
        let right_pos = self.pos();
        let right = if self.eat_kw(K::Row) {
            self.row_body()?
        } else {
            match self.paren(true)? {
                Paren::Row(items) => items,
                _ => return Err(self.unexpected()),
            }
        };
        if right.len() != 2 {
            let message = "wrong number of parameters on right side of OVERLAPS expression";
            return Err(Self::syntax(message, right_pos));
        }
        args.extend(right);
        Ok(system_call("overlaps", args, CallSyntax::Overlaps, at))
    }
}

/// The operators with tokens of their own.
fn symbol(tok: Tok) -> Option<&'static str> {
    Some(match tok {
        Tok::Plus => "+",
        Tok::Minus => "-",
        Tok::Star => "*",
        Tok::Slash => "/",
        Tok::Percent => "%",
        Tok::Caret => "^",
        Tok::Less => "<",
        Tok::Greater => ">",
        Tok::Equals => "=",
        Tok::LessEquals => "<=",
        Tok::GreaterEquals => ">=",
        Tok::NotEquals => "<>",
        _ => return None,
    })
}

/// A minus sign before an operand: folded into a number.
fn negated(operand: Expr, pos: Pos) -> Expr {
    match operand {
        Expr::Literal(Literal {
            value: value @ (LiteralValue::Integer(_) | LiteralValue::BigInt(_) | LiteralValue::Numeric(_)),
            ..
        }) => Expr::Literal(Literal { value: literal::negate(value), pos }),
        expr => {
            let op = Operator::plain(Name::from_static("-"));
            Expr::Unary(P::new(UnaryExpr { op, expr, pos }))
        }
    }
}

pub(super) fn not(expr: Expr, pos: Pos) -> Expr {
    Expr::Not(P::new(NotExpr { expr, pos }))
}

pub(super) fn string_literal(text: &str, pos: Pos) -> Expr {
    Expr::Literal(Literal { value: LiteralValue::String(text.into()), pos })
}

pub(super) fn constant_of_type(value: Box<str>, pos: Pos, type_name: TypeName) -> Expr {
    let expr = Expr::Literal(Literal { value: LiteralValue::String(value), pos });
    Expr::Cast(P::new(CastExpr { expr, type_name, pos: Pos::NONE }))
}

/// A call of a function in `pg_catalog` that the grammar spells in its own way.
pub(super) fn system_call(name: &'static str, args: Vec<Expr>, syntax: CallSyntax, pos: Pos) -> Expr {
    let args = args.into_iter().map(|value| FuncArg { name: None, pos: value.pos(), value }).collect();
    Expr::Func(P::new(FuncCall {
        name: ObjectName::system(name, pos),
        args,
        star: false,
        variadic: false,
        distinct: false,
        order_by: Vec::new(),
        within_group: false,
        filter: None,
        over: None,
        syntax,
        pos,
    }))
}
