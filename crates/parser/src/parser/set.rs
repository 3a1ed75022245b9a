//! SET, RESET, SHOW and SET CONSTRAINTS.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::*;
use crate::lexer::Tok;

impl Parser<'_> {
    /// VariableSetStmt and ConstraintsSetStmt.
    pub(super) fn set(&mut self) -> Result<Statement> {
        if self.peek_kw(1, K::Constraints) {
            return self.set_constraints();
        }
        let pos = self.take();
        let mut scope = SetScope::Session;
        if self.is_kw(K::Local) && !matches!(self.peek(1), Tok::Equals | Tok::Dot | Tok::Kw(K::To)) {
            self.advance();
            scope = SetScope::Local;
        } else if self.is_kw(K::Session)
            && !matches!(
                self.peek(1),
                Tok::Equals | Tok::Dot | Tok::Kw(K::To | K::Characteristics | K::Authorization)
            )
        {
            self.advance();
        }
        let action = self.set_rest()?;
        Ok(Statement::Set(P::new(SetStmt { scope, action, pos })))
    }

    /// set_rest.
    fn set_rest(&mut self) -> Result<SetAction> {
        if self.is_kw(K::Transaction) && !matches!(self.peek(1), Tok::Equals | Tok::Dot | Tok::Kw(K::To)) {
            if self.peek_kw(1, K::Snapshot) {
                return self.set_rest_more();
            }
            self.advance();
            let modes = self.transaction_modes()?;
            return if modes.is_empty() { Err(self.unexpected()) } else { Ok(SetAction::Transaction(modes)) };
        }
        if self.eat_words(&[K::Session, K::Characteristics]) {
            self.expect_words(&[K::As, K::Transaction])?;
            let modes = self.transaction_modes()?;
            return if modes.is_empty() {
                Err(self.unexpected())
            } else {
                Ok(SetAction::SessionCharacteristics(modes))
            };
        }
        self.set_rest_more()
    }

    /// set_rest_more: what may also stand in CREATE FUNCTION.
    pub(super) fn set_rest_more(&mut self) -> Result<SetAction> {
        let name = Name::from_static;
        let string = |text: Box<str>, pos| vec![SetValue { value: SetValueKind::String(text), pos }];
        let plain = matches!(self.peek(1), Tok::Equals | Tok::Dot | Tok::Kw(K::To | K::From));
        match self.kw() {
            Some(K::Time) if self.peek_kw(1, K::Zone) => {
                self.at += 2;
                self.set_time_zone()
            }
            Some(K::Catalog) if !plain => {
                self.advance();
                let pos = self.pos();
                self.string()?;
                Err(Self::unsupported("current database cannot be changed", pos))
            }
            Some(K::Schema) if !plain => {
                self.advance();
                let pos = self.pos();
                Ok(SetAction::Value { name: name("search_path"), values: string(self.string()?, pos) })
            }
            Some(K::Names) if !plain => {
                self.advance();
                let pos = self.pos();
                if Self::is_string(self.tok()) {
                    return Ok(SetAction::Value {
                        name: name("client_encoding"),
                        values: string(self.string()?, pos),
                    });
                }
                self.eat_kw(K::Default);
                Ok(SetAction::Default { name: name("client_encoding") })
            }
            Some(K::Role) if !plain => {
                self.advance();
                let pos = self.pos();
                Ok(SetAction::Value { name: name("role"), values: string(self.word_or_string()?, pos) })
            }
            Some(K::Session) if self.peek_kw(1, K::Authorization) => {
                self.at += 2;
                if self.eat_kw(K::Default) {
                    return Ok(SetAction::Default { name: name("session_authorization") });
                }
                let pos = self.pos();
                let values = string(self.word_or_string()?, pos);
                Ok(SetAction::Value { name: name("session_authorization"), values })
            }
            Some(K::Xml) if self.peek_kw(1, K::Option) => {
                self.at += 2;
                let pos = self.pos();
                let document = self.eat_kw(K::Document);
                if !document {
                    self.expect_kw(K::Content)?;
                }
                let text = if document { "DOCUMENT" } else { "CONTENT" };
                Ok(SetAction::Value { name: name("xmloption"), values: string(text.into(), pos) })
            }
            Some(K::Transaction) if self.peek_kw(1, K::Snapshot) => {
                self.at += 2;
                Ok(SetAction::TransactionSnapshot(self.string()?))
            }
            _ => self.generic_set(),
        }
    }

    /// generic_set and `FROM CURRENT`.
    pub(super) fn generic_set(&mut self) -> Result<SetAction> {
        let name = self.setting_name()?;
        if self.eat_kw(K::From) {
            self.expect_kw(K::Current)?;
            return Ok(SetAction::FromCurrent { name });
        }
        if !self.eat(Tok::Equals) {
            self.expect_kw(K::To)?;
        }
        if self.eat_kw(K::Default) {
            return Ok(SetAction::Default { name });
        }
        Ok(SetAction::Value { name, values: self.comma_list(Self::set_value)? })
    }

    /// var_name: `a.b.c`.
    fn setting_name(&mut self) -> Result<Name> {
        let first = self.col_id()?;
        if !self.is(Tok::Dot) {
            return Ok(first);
        }
        let mut text = first.to_string();
        while self.eat(Tok::Dot) {
            text.push('.');
            text.push_str(&self.col_id()?);
        }
        Ok(Name::from(text))
    }

    fn set_value(&mut self) -> Result<SetValue> {
        let pos = self.pos();
        let value = match self.tok() {
            Tok::Integer | Tok::Numeric | Tok::Plus | Tok::Minus => SetValueKind::Number(self.numeric()?),
            _ => SetValueKind::String(self.boolean_or_string()?.as_text().into_boxed_str()),
        };
        Ok(SetValue { value, pos })
    }

    /// zone_value.
    fn set_time_zone(&mut self) -> Result<SetAction> {
        let name = Name::from_static("timezone");
        if self.eat_kw(K::Default) || self.eat_kw(K::Local) {
            return Ok(SetAction::Default { name });
        }
        let pos = self.pos();
        let value = match self.tok() {
            Tok::Integer | Tok::Numeric | Tok::Plus | Tok::Minus => SetValueKind::Number(self.numeric()?),
            Tok::Kw(K::Interval) => self.interval_zone()?,
            Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent => {
                SetValueKind::String(self.take_name()?.as_str().into())
            }
            _ => SetValueKind::String(self.string()?),
        };
        Ok(SetAction::Value { name, values: vec![SetValue { value, pos }] })
    }

    fn interval_zone(&mut self) -> Result<SetValueKind> {
        let mut type_name = self.simple_type_name()?;
        let pos = self.pos();
        let text = self.string()?;
        if type_name.typmods.is_empty() {
            let at = self.pos();
            type_name.typmods = self.interval_fields()?;
            let hour_to_minute = interval_mask::HOUR | interval_mask::MINUTE;
            if let Some(Expr::Literal(Literal { value: LiteralValue::Integer(mask), .. })) =
                type_name.typmods.first()
                && mask & !hour_to_minute != 0
            {
                return Err(Self::syntax("time zone interval must be HOUR or HOUR TO MINUTE", at));
            }
        }
        let expr = Expr::Literal(Literal { value: LiteralValue::String(text), pos });
        Ok(SetValueKind::Interval(P::new(CastExpr { expr, type_name, pos: Pos::NONE })))
    }

    fn set_constraints(&mut self) -> Result<Statement> {
        self.at += 2;
        let constraints =
            if self.eat_kw(K::All) { Vec::new() } else { self.comma_list(Self::qualified_name)? };
        let deferred = self.eat_kw(K::Deferred);
        if !deferred {
            self.expect_kw(K::Immediate)?;
        }
        Ok(Statement::SetConstraints(P::new(SetConstraintsStmt { constraints, deferred })))
    }

    /// VariableResetStmt.
    pub(super) fn reset(&mut self) -> Result<SetStmt> {
        let pos = self.take();
        let action = if self.eat_kw(K::All) {
            SetAction::ResetAll
        } else {
            SetAction::Reset { name: self.shown_name()? }
        };
        Ok(SetStmt { scope: SetScope::Session, action, pos })
    }

    pub(super) fn show(&mut self) -> Result<Statement> {
        self.advance();
        let pos = self.pos();
        if self.eat_kw(K::All) {
            return Ok(Statement::Show(P::new(ShowStmt::All)));
        }
        Ok(Statement::Show(P::new(ShowStmt::Name(self.shown_name()?, pos))))
    }

    /// The setting behind SHOW and RESET.
    fn shown_name(&mut self) -> Result<Name> {
        if self.eat_words(&[K::Time, K::Zone]) {
            return Ok(Name::from_static("timezone"));
        }
        if self.eat_words(&[K::Transaction, K::Isolation]) {
            self.expect_kw(K::Level)?;
            return Ok(Name::from_static("transaction_isolation"));
        }
        if self.eat_words(&[K::Session, K::Authorization]) {
            return Ok(Name::from_static("session_authorization"));
        }
        self.setting_name()
    }

    /// SetResetClause of ALTER ROLE and ALTER DATABASE.
    pub(super) fn set_or_reset(&mut self) -> Result<SetStmt> {
        if self.is_kw(K::Reset) {
            return self.reset();
        }
        let pos = self.pos();
        self.expect_kw(K::Set)?;
        let action = self.set_rest()?;
        Ok(SetStmt { scope: SetScope::Session, action, pos })
    }
}
