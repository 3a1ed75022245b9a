//! Type names.

use ochre_base::Result;

use super::{K, Parser};
use crate::ast::{Expr, Literal, LiteralValue, Name, NameParts, ObjectName, Pos, TypeName, interval_mask};
use crate::keywords::Class;
use crate::lexer::Tok;

impl Parser<'_> {
    /// Typename: a type with array bounds and SETOF.
    pub(crate) fn type_name(&mut self) -> Result<TypeName> {
        let setof = self.eat_kw(K::Setof);
        let mut name = self.simple_type_name()?;
        name.setof = setof;
        self.array_bounds(&mut name)?;
        Ok(name)
    }

    /// func_type: as Typename, and also `[SETOF] name.column%TYPE`.
    pub(super) fn func_type(&mut self) -> Result<TypeName> {
        let start = self.at;
        let setof = self.eat_kw(K::Setof);
        let pos = self.pos();
        if Self::is_type_function_name(self.tok()) && self.peek(1) == Tok::Dot {
            let first = self.type_function_name()?;
            let name = self.rest_of_name(first, pos)?;
            if self.is(Tok::Percent) && self.peek_kw(1, K::Type) {
                self.at += 2;
                return Ok(TypeName { setof, percent_type: true, ..plain(name.parts, pos) });
            }
        }
        self.at = start;
        self.type_name()
    }

    fn array_bounds(&mut self, name: &mut TypeName) -> Result<()> {
        if self.eat_kw(K::Array) {
            let bound = if self.eat(Tok::LeftBracket) {
                let bound = self.integer()?;
                self.expect(Tok::RightBracket)?;
                Some(bound)
            } else {
                None
            };
            name.array_bounds.push(bound);
            return Ok(());
        }
        while self.eat(Tok::LeftBracket) {
            let bound = if self.is(Tok::RightBracket) { None } else { Some(self.integer()?) };
            self.expect(Tok::RightBracket)?;
            name.array_bounds.push(bound);
        }
        Ok(())
    }

    /// Whether a type in SQL's own spelling, and not a column, starts here: used where an expression may stand.
    pub(super) fn at_const_type(&self) -> bool {
        let next = self.peek(1);
        let constant_follows = Self::is_string(next);
        match self.tok() {
            Tok::Kw(kw) => match kw {
                K::Int | K::Integer | K::Smallint | K::Bigint | K::Real | K::Boolean | K::Json => {
                    constant_follows
                }
                K::Double => next == Tok::Kw(K::Precision),
                K::Float | K::Decimal | K::Dec | K::Numeric => constant_follows || next == Tok::LeftParen,
                K::Bit | K::Character | K::Char | K::Varchar | K::National | K::Nchar => {
                    constant_follows
                        || next == Tok::LeftParen
                        || matches!(next, Tok::Kw(K::Varying | K::Character | K::Char))
                }
                K::Time | K::Timestamp => {
                    constant_follows
                        || next == Tok::LeftParen
                        || matches!(next, Tok::Kw(K::With | K::Without))
                }
                K::Interval => constant_follows || next == Tok::LeftParen,
                _ => false,
            },
            _ => false,
        }
    }

    /// SimpleTypename, interval fields included.
    pub(super) fn simple_type_name(&mut self) -> Result<TypeName> {
        let pos = self.pos();
        let Tok::Kw(kw) = self.tok() else { return self.generic_type() };
        let system = |name| Ok(TypeName::system(name, pos));
        match kw {
            K::Int | K::Integer => {
                self.advance();
                system("int4")
            }
            K::Smallint => {
                self.advance();
                system("int2")
            }
            K::Bigint => {
                self.advance();
                system("int8")
            }
            K::Real => {
                self.advance();
                system("float4")
            }
            K::Boolean => {
                self.advance();
                system("bool")
            }
            K::Json => {
                self.advance();
                system("json")
            }
            K::Double if self.peek_kw(1, K::Precision) => {
                self.at += 2;
                system("float8")
            }
            K::Float => {
                self.advance();
                self.float_type(pos)
            }
            K::Decimal | K::Dec | K::Numeric => {
                self.advance();
                let mut name = TypeName::system("numeric", pos);
                name.typmods = self.optional_paren_list(Self::expr)?;
                Ok(name)
            }
            K::Bit => {
                self.advance();
                self.bit_type(pos)
            }
            K::Character | K::Char | K::Varchar | K::National | K::Nchar => self.character_type(pos),
            K::Time | K::Timestamp => self.time_type(kw, pos),
            K::Interval => self.interval_type(pos),
            _ => self.generic_type(),
        }
    }

    fn float_type(&mut self, pos: Pos) -> Result<TypeName> {
        if !self.eat(Tok::LeftParen) {
            return Ok(TypeName::system("float8", pos));
        }
        let at = self.pos();
        let precision = self.integer()?;
        self.expect(Tok::RightParen)?;
        let invalid = |message: &str| {
            Err(ochre_base::Error::new(ochre_base::SqlState::INVALID_PARAMETER_VALUE, message)
                .at(at.offset()))
        };
        match precision {
            ..1 => invalid("precision for type float must be at least 1 bit"),
            1..=24 => Ok(TypeName::system("float4", pos)),
            25..=53 => Ok(TypeName::system("float8", pos)),
            _ => invalid("precision for type float must be less than 54 bits"),
        }
    }

    fn bit_type(&mut self, pos: Pos) -> Result<TypeName> {
        let varying = self.eat_kw(K::Varying);
        let mut name = TypeName::system(if varying { "varbit" } else { "bit" }, pos);
        if self.is(Tok::LeftParen) {
            name.typmods = self.paren_list(Self::expr)?;
        } else if !varying {
            name.typmods.push(integer_modifier(1));
        }
        Ok(name)
    }

    fn character_type(&mut self, pos: Pos) -> Result<TypeName> {
        let varchar = self.is_kw(K::Varchar);
        if self.eat_kw(K::National) && !matches!(self.tok(), Tok::Kw(K::Character | K::Char)) {
            return Err(self.unexpected());
        }
        self.advance();
        let varying = varchar || self.eat_kw(K::Varying);
        let mut name = TypeName::system(if varying { "varchar" } else { "bpchar" }, pos);
        if self.eat(Tok::LeftParen) {
            let at = self.pos();
            let length = self.integer()?;
            self.expect(Tok::RightParen)?;
            name.typmods.push(modifier_at(length, at));
        } else if !varying {
            name.typmods.push(integer_modifier(1));
        }
        Ok(name)
    }

    fn time_type(&mut self, kw: K, pos: Pos) -> Result<TypeName> {
        self.advance();
        let precision = self.optional_precision()?;
        let zoned = if self.eat_words(&[K::With, K::Time, K::Zone]) {
            true
        } else {
            self.eat_words(&[K::Without, K::Time, K::Zone]);
            false
        };
        let system = match (kw, zoned) {
            (K::Time, false) => "time",
            (K::Time, true) => "timetz",
            (_, false) => "timestamp",
            (_, true) => "timestamptz",
        };
        let mut name = TypeName::system(system, pos);
        name.typmods.extend(precision);
        Ok(name)
    }

    /// `( Iconst )`.
    fn optional_precision(&mut self) -> Result<Option<Expr>> {
        if !self.eat(Tok::LeftParen) {
            return Ok(None);
        }
        let at = self.pos();
        let precision = self.integer()?;
        self.expect(Tok::RightParen)?;
        Ok(Some(modifier_at(precision, at)))
    }

    fn interval_type(&mut self, pos: Pos) -> Result<TypeName> {
        self.advance();
        let mut name = TypeName::system("interval", pos);
        if let Some(precision) = self.optional_precision()? {
            name.typmods = vec![integer_modifier(interval_mask::FULL_RANGE), precision];
        } else {
            name.typmods = self.interval_fields()?;
        }
        Ok(name)
    }

    /// opt_interval: the fields as type modifiers.
    pub(super) fn interval_fields(&mut self) -> Result<Vec<Expr>> {
        use interval_mask::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
        let field = |kw: K| match kw {
            K::Year => Some(YEAR),
            K::Month => Some(MONTH),
            K::Day => Some(DAY),
            K::Hour => Some(HOUR),
            K::Minute => Some(MINUTE),
            K::Second => Some(SECOND),
            _ => None,
        };
        let Some(first) = self.kw().and_then(field) else { return Ok(Vec::new()) };
        let at = self.take();
        let mut last = first;
        let mut mask = first;
        if first != MONTH && first != SECOND && self.is_kw(K::To) {
            let allowed: &[i32] = match first {
                YEAR => &[MONTH],
                DAY => &[HOUR, MINUTE, SECOND],
                HOUR => &[MINUTE, SECOND],
                _ => &[SECOND],
            };
            self.advance();
            match self.kw().and_then(field).filter(|f| allowed.contains(f)) {
                Some(to) => last = to,
                None => return Err(self.unexpected()),
            }
            self.advance();
            mask = match first {
                YEAR => YEAR | MONTH,
                _ => [DAY, HOUR, MINUTE, SECOND].into_iter().filter(|f| *f >= first && *f <= last).sum(),
            };
        }
        let mut modifiers = vec![modifier_at(mask, at)];
        if last == SECOND {
            modifiers.extend(self.optional_precision()?);
        }
        Ok(modifiers)
    }

    /// GenericType: any other name with modifiers.
    fn generic_type(&mut self) -> Result<TypeName> {
        let pos = self.pos();
        let first = self.type_function_name()?;
        let name = self.rest_of_name(first, pos)?;
        let mut type_name = plain(name.parts, pos);
        type_name.typmods = self.optional_paren_list(Self::expr)?;
        Ok(type_name)
    }

    /// Whether the current token can begin a type name.
    pub(super) fn at_type_name(&self) -> bool {
        match self.tok() {
            Tok::Kw(K::Setof) => true,
            Tok::Kw(kw) => match kw.class() {
                Class::Unreserved | Class::TypeFuncName => true,
                Class::ColName => matches!(
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
                Class::Reserved => false,
            },
            Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent => true,
            _ => false,
        }
    }

    /// A type of a bare name.
    pub(super) fn type_from_name(name: Name, pos: Pos) -> TypeName {
        plain(ObjectName::unqualified(name, pos).parts, pos)
    }

    /// A type of a qualified name.
    pub(super) fn type_from_object_name(name: ObjectName) -> TypeName {
        plain(name.parts, name.pos)
    }
}

fn plain(parts: NameParts, pos: Pos) -> TypeName {
    TypeName { parts, typmods: Vec::new(), array_bounds: Vec::new(), setof: false, percent_type: false, pos }
}

fn integer_modifier(value: i32) -> Expr {
    modifier_at(value, Pos::NONE)
}

fn modifier_at(value: i32, pos: Pos) -> Expr {
    Expr::Literal(Literal { value: LiteralValue::Integer(value), pos })
}
