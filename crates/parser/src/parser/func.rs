//! Function calls, and the functions that SQL spells in ways of their own.

use ochre_base::Result;

use super::expr::{string_literal, system_call};
use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// A call from its opening parenthesis on, with everything that may follow it; or `name(modifiers) 'text'`.
    pub(super) fn call(&mut self, name: ObjectName) -> Result<Expr> {
        let mut call = self.application(name)?;
        if Self::is_string(self.tok()) {
            return self.constant_with_modifiers(call);
        }
        self.within_group(&mut call)?;
        call.filter = self.filter_clause()?;
        call.over = self.over_clause()?;
        Ok(Expr::Func(P::new(call)))
    }

    /// func_application: name and arguments.
    pub(super) fn application(&mut self, name: ObjectName) -> Result<FuncCall> {
        let pos = name.pos;
        let mut call = FuncCall {
            name,
            args: Vec::new(),
            star: false,
            variadic: false,
            distinct: false,
            order_by: Vec::new(),
            within_group: false,
            filter: None,
            over: None,
            syntax: CallSyntax::Ordinary,
            pos,
        };
        self.expect(Tok::LeftParen)?;
        if self.eat(Tok::RightParen) {
            return Ok(call);
        }
        if self.is(Tok::Star) {
            self.advance();
            self.expect(Tok::RightParen)?;
            call.star = true;
            return Ok(call);
        }
        let mut quantified = false;
        if self.eat_kw(K::Distinct) {
            call.distinct = true;
            quantified = true;
        } else if self.eat_kw(K::All) {
            quantified = true;
        }
        loop {
            if !quantified && self.eat_kw(K::Variadic) {
                call.variadic = true;
            }
            let arg = self.func_arg()?;
            call.args.push(arg);
            if call.variadic || !self.eat(Tok::Comma) {
                break;
            }
        }
        call.order_by = self.sort_clause()?;
        self.expect(Tok::RightParen)?;
        Ok(call)
    }

    /// func_arg_expr.
    pub(super) fn func_arg(&mut self) -> Result<FuncArg> {
        let pos = self.pos();
        if matches!(self.peek(1), Tok::EqualsGreater | Tok::ColonEquals)
            && Self::is_type_function_name(self.tok())
        {
            let name = self.take_name()?;
            self.advance();
            return Ok(FuncArg { name: Some(name), value: self.expr()?, pos });
        }
        Ok(FuncArg { name: None, value: self.expr()?, pos })
    }

    /// `name(modifiers) 'text'`.
    fn constant_with_modifiers(&mut self, call: FuncCall) -> Result<Expr> {
        if call.args.is_empty() || call.variadic || call.distinct {
            return Err(self.unexpected());
        }
        if let Some(arg) = call.args.iter().find(|arg| arg.name.is_some()) {
            return Err(Self::syntax("type modifier cannot have parameter name", arg.pos));
        }
        if let Some(item) = call.order_by.first() {
            return Err(Self::syntax("type modifier cannot have ORDER BY", item.expr.pos()));
        }
        let pos = self.pos();
        let value = self.string()?;
        let mut type_name = Self::type_from_object_name(call.name);
        type_name.typmods = call.args.into_iter().map(|arg| arg.value).collect();
        Ok(super::expr::constant_of_type(value, pos, type_name))
    }

    fn within_group(&mut self, call: &mut FuncCall) -> Result<()> {
        if !self.is_kw(K::Within) {
            return Ok(());
        }
        let pos = self.pos();
        self.expect_words(&[K::Within, K::Group])?;
        self.expect(Tok::LeftParen)?;
        let order_by = self.sort_clause()?;
        if order_by.is_empty() {
            return Err(self.unexpected());
        }
        self.expect(Tok::RightParen)?;
        if !call.order_by.is_empty() {
            return Err(Self::syntax("cannot use multiple ORDER BY clauses with WITHIN GROUP", pos));
        }
        if call.distinct {
            return Err(Self::syntax("cannot use DISTINCT with WITHIN GROUP", pos));
        }
        if call.variadic {
            return Err(Self::syntax("cannot use VARIADIC with WITHIN GROUP", pos));
        }
        call.order_by = order_by;
        call.within_group = true;
        Ok(())
    }

    /// filter_clause.
    pub(super) fn filter_clause(&mut self) -> Result<Option<Expr>> {
        if !self.eat_kw(K::Filter) {
            return Ok(None);
        }
        self.expect(Tok::LeftParen)?;
        self.expect_kw(K::Where)?;
        let condition = self.expr()?;
        self.expect(Tok::RightParen)?;
        Ok(Some(condition))
    }

    /// over_clause.
    pub(super) fn over_clause(&mut self) -> Result<Option<Over>> {
        if !self.eat_kw(K::Over) {
            return Ok(None);
        }
        let pos = self.pos();
        if self.is(Tok::LeftParen) {
            return Ok(Some(Over::Spec(P::new(self.window_specification(None)?))));
        }
        Ok(Some(Over::Named(self.col_id()?, pos)))
    }

    /// Functions with a syntax of their own, if one starts here.
    pub(super) fn special_function(&mut self, kw: K) -> Result<Option<Expr>> {
        let pos = self.pos();
        let parens = self.peek(1) == Tok::LeftParen;
        if let Some(kind) = value_function(kw) {
            if kind == ValueFunctionKind::CurrentSchema && parens {
                return Ok(None);
            }
            self.advance();
            let timed = matches!(kw, K::CurrentTime | K::CurrentTimestamp | K::Localtime | K::Localtimestamp);
            let precision = if timed && self.eat(Tok::LeftParen) {
                let precision = self.integer()?;
                self.expect(Tok::RightParen)?;
                Some(precision)
            } else {
                None
            };
            return Ok(Some(Expr::ValueFunction(ValueFunction { kind, precision, pos })));
        }
        if kw == K::SystemUser {
            self.advance();
            return Ok(Some(system_call("system_user", Vec::new(), CallSyntax::SystemUser, pos)));
        }
        if kw == K::Collation && self.peek_kw(1, K::For) {
            self.at += 2;
            self.expect(Tok::LeftParen)?;
            let arg = self.expr()?;
            self.expect(Tok::RightParen)?;
            return Ok(Some(system_call("pg_collation_for", vec![arg], CallSyntax::CollationFor, pos)));
        }
        if !parens {
            if kw == K::Cast {
                self.advance();
                return Err(self.unexpected());
            }
            return Ok(None);
        }
        let expr = match kw {
            K::Cast => self.cast(pos)?,
            K::Extract => self.extract(pos)?,
            K::Normalize => self.normalize(pos)?,
            K::Overlay => return self.overlay(pos).map(Some),
            K::Position => self.position(pos)?,
            K::Substring => return self.substring(pos).map(Some),
            K::Treat => self.treat(pos)?,
            K::Trim => self.trim(pos)?,
            K::Nullif => {
                self.at += 2;
                let left = self.expr()?;
                self.expect(Tok::Comma)?;
                let right = self.expr()?;
                self.expect(Tok::RightParen)?;
                Expr::NullIf(P::new(NullIfExpr { left, right, pos }))
            }
            K::Coalesce | K::Greatest | K::Least => {
                self.advance();
                let list = P::new(ListExpr { args: self.paren_list(Self::expr)?, pos });
                match kw {
                    K::Coalesce => Expr::Coalesce(list),
                    K::Greatest => Expr::Greatest(list),
                    _ => Expr::Least(list),
                }
            }
            K::MergeAction => {
                self.at += 2;
                self.expect(Tok::RightParen)?;
                let mut call = system_call("merge_action", Vec::new(), CallSyntax::MergeAction, pos);
                if let Expr::Func(call) = &mut call {
                    call.name = ObjectName::unqualified(Name::from_static("merge_action"), pos);
                }
                call
            }
            K::Xmlconcat
            | K::Xmlelement
            | K::Xmlexists
            | K::Xmlforest
            | K::Xmlparse
            | K::Xmlpi
            | K::Xmlroot
            | K::Xmlserialize => self.xml_function(kw, pos)?,
            K::JsonObject
            | K::JsonArray
            | K::Json
            | K::JsonScalar
            | K::JsonSerialize
            | K::JsonExists
            | K::JsonQuery
            | K::JsonValue
            | K::JsonObjectagg
            | K::JsonArrayagg => return self.json_function(kw, pos).map(Some),
            _ => return Ok(None),
        };
        Ok(Some(expr))
    }

    fn cast(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let expr = self.expr()?;
        self.expect_kw(K::As)?;
        let type_name = self.type_name()?;
        self.expect(Tok::RightParen)?;
        Ok(Expr::Cast(P::new(CastExpr { expr, type_name, pos })))
    }

    fn extract(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let at = self.pos();
        let field = match self.tok() {
            Tok::Kw(K::Year | K::Month | K::Day | K::Hour | K::Minute | K::Second)
            | Tok::Ident
            | Tok::QuotedIdent
            | Tok::UnicodeIdent => string_literal(&self.take_name()?, at),
            _ => string_literal(&self.string()?, at),
        };
        self.expect_kw(K::From)?;
        let source = self.expr()?;
        self.expect(Tok::RightParen)?;
        Ok(system_call("extract", vec![field, source], CallSyntax::Extract, pos))
    }

    fn normalize(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let mut args = vec![self.expr()?];
        if self.eat(Tok::Comma) {
            args.push(self.normal_form()?);
        }
        self.expect(Tok::RightParen)?;
        Ok(system_call("normalize", args, CallSyntax::Normalize, pos))
    }

    /// The call form of OVERLAY and SUBSTRING, of which the parser has taken the name, the parenthesis and perhaps the
    /// first argument.
    fn plain_call(&mut self, name: &'static str, first: Option<FuncArg>, pos: Pos) -> Result<Expr> {
        let mut args: Vec<FuncArg> = first.into_iter().collect();
        if !args.is_empty() {
            while self.eat(Tok::Comma) {
                args.push(self.func_arg()?);
            }
        }
        self.expect(Tok::RightParen)?;
        let mut call = system_call(name, Vec::new(), CallSyntax::Ordinary, pos);
        if let Expr::Func(call) = &mut call {
            call.name = ObjectName::unqualified(Name::from_static(name), pos);
            call.args = args;
        }
        Ok(call)
    }

    fn overlay(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        if self.is(Tok::RightParen) {
            return self.plain_call("overlay", None, pos);
        }
        let first = self.func_arg()?;
        if first.name.is_some() || !self.eat_kw(K::Placing) {
            return self.plain_call("overlay", Some(first), pos);
        }
        let mut args = vec![first.value, self.expr()?];
        self.expect_kw(K::From)?;
        args.push(self.expr()?);
        if self.eat_kw(K::For) {
            args.push(self.expr()?);
        }
        self.expect(Tok::RightParen)?;
        Ok(system_call("overlay", args, CallSyntax::Overlay, pos))
    }

    fn position(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let needle = self.b_expr()?;
        self.expect_kw(K::In)?;
        let text = self.b_expr()?;
        self.expect(Tok::RightParen)?;
        Ok(system_call("position", vec![text, needle], CallSyntax::Position, pos))
    }

    fn substring(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        if self.is(Tok::RightParen) {
            return self.plain_call("substring", None, pos);
        }
        let first = self.func_arg()?;
        if first.name.is_some() {
            return self.plain_call("substring", Some(first), pos);
        }
        let mut syntax = CallSyntax::Substring;
        let args = match self.kw() {
            Some(K::From) => {
                self.advance();
                let mut args = vec![first.value, self.expr()?];
                if self.eat_kw(K::For) {
                    args.push(self.expr()?);
                }
                args
            }
            Some(K::For) => {
                self.advance();
                let length = self.expr()?;
                if self.eat_kw(K::From) {
                    vec![first.value, self.expr()?, length]
                } else {
                    syntax = CallSyntax::SubstringFor;
                    let one = Expr::Literal(Literal { value: LiteralValue::Integer(1), pos: Pos::NONE });
                    let type_name = TypeName::system("int4", Pos::NONE);
                    let length = Expr::Cast(P::new(CastExpr { expr: length, type_name, pos: Pos::NONE }));
                    vec![first.value, one, length]
                }
            }
            Some(K::Similar) => {
                syntax = CallSyntax::SubstringSimilar;
                self.advance();
                let pattern = self.expr()?;
                self.expect_kw(K::Escape)?;
                vec![first.value, pattern, self.expr()?]
            }
            _ => return self.plain_call("substring", Some(first), pos),
        };
        self.expect(Tok::RightParen)?;
        Ok(system_call("substring", args, syntax, pos))
    }

    fn treat(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let expr = self.expr()?;
        self.expect_kw(K::As)?;
        let type_name = self.type_name()?;
        self.expect(Tok::RightParen)?;
        let mut call = system_call("", vec![expr], CallSyntax::Treat, pos);
        if let Expr::Func(call) = &mut call {
            let name = type_name.name().clone();
            *call.name.parts.last_mut().expect("a system name has two parts") = name;
        }
        Ok(call)
    }

    fn trim(&mut self, pos: Pos) -> Result<Expr> {
        self.at += 2;
        let (name, syntax) = match self.kw() {
            Some(K::Leading) => ("ltrim", CallSyntax::TrimLeading),
            Some(K::Trailing) => ("rtrim", CallSyntax::TrimTrailing),
            _ => ("btrim", CallSyntax::TrimBoth),
        };
        if matches!(self.kw(), Some(K::Leading | K::Trailing | K::Both)) {
            self.advance();
        }
        let args = if self.eat_kw(K::From) {
            self.expr_list()?
        } else {
            let mut first = self.expr_list()?;
            if first.len() == 1 && self.eat_kw(K::From) {
                let mut args = self.expr_list()?;
                args.append(&mut first);
                args
            } else {
                first
            }
        };
        self.expect(Tok::RightParen)?;
        Ok(system_call(name, args, syntax, pos))
    }
}

fn value_function(kw: K) -> Option<ValueFunctionKind> {
    Some(match kw {
        K::CurrentDate => ValueFunctionKind::CurrentDate,
        K::CurrentTime => ValueFunctionKind::CurrentTime,
        K::CurrentTimestamp => ValueFunctionKind::CurrentTimestamp,
        K::Localtime => ValueFunctionKind::LocalTime,
        K::Localtimestamp => ValueFunctionKind::LocalTimestamp,
        K::CurrentRole => ValueFunctionKind::CurrentRole,
        K::CurrentUser => ValueFunctionKind::CurrentUser,
        K::SessionUser => ValueFunctionKind::SessionUser,
        K::User => ValueFunctionKind::User,
        K::CurrentCatalog => ValueFunctionKind::CurrentCatalog,
        K::CurrentSchema => ValueFunctionKind::CurrentSchema,
        _ => return None,
    })
}
