//! The parser: recursive descent over tokens, precedence climbing in expressions.
//!
//! # Depth
//! Recursion goes through [`Parser::nested`], which grows the stack and counts: past [`MAX_DEPTH`] levels the answer is
//! 54001. Chains of infix operators make a tree as deep as they are long without recursion here; they count likewise.

mod alter;
mod alter_table;
mod common;
mod create;
mod dml;
mod drop;
mod expr;
mod from;
mod func;
mod json;
mod object;
mod relation;
mod role;
mod routine;
mod select;
mod set;
mod statement;
mod table;
mod types;
mod utility;
mod xml;

use std::cell::Cell;

use ochre_base::limits::{STACK_GROWTH_BYTES, STACK_RED_ZONE_BYTES};
use ochre_base::{Error, Result, SqlState};

use crate::ast::{Name, NameParts, ObjectName, Pos};
use crate::keywords::{Class, Kw as K};
use crate::lexer::{Lexed, Tok, Token, lex, near};
use crate::literal;

/// Levels of a tree. PostgreSQL's own limit, the depth of its stack, lies at a few thousand.
pub const MAX_DEPTH: u32 = 10_000;

/// The state of one parse.
pub(crate) struct Parser<'a> {
    sql: &'a str,
    tokens: Vec<Token>,
    /// Index of the current token.
    at: usize,
    lex_error: Option<Error>,
    depth: u32,
    /// Where [`Parser::at_words`] last found the beginning of a phrase and not its rest: the token it began at, and the
    /// one that did not fit. PostgreSQL's parser has taken the beginning by then, and reports the latter.
    broken_phrase: Cell<(usize, usize)>,
    /// An error that PostgreSQL finds only after the whole statement was read.
    late_error: Option<Error>,
    /// A keyword that is an operator elsewhere and must be read as a column's label.
    label_at: usize,
}

impl<'a> Parser<'a> {
    pub(crate) fn new(sql: &'a str) -> Parser<'a> {
        let Lexed { tokens, error } = lex(sql);
        Parser {
            sql,
            tokens,
            at: 0,
            lex_error: error,
            depth: 0,
            broken_phrase: Cell::new((0, 0)),
            late_error: None,
            label_at: usize::MAX,
        }
    }

    // Tokens.

    fn tok(&self) -> Tok {
        self.tokens[self.at].tok
    }

    /// The kind of the token `ahead` places further on; the last token where there are fewer.
    fn peek(&self, ahead: usize) -> Tok {
        self.tokens.get(self.at + ahead).map_or(Tok::Eof, |t| t.tok)
    }

    fn token(&self) -> Token {
        self.tokens[self.at]
    }

    /// The text of the current token.
    fn raw(&self) -> &'a str {
        let token = self.token();
        &self.sql[token.start as usize..token.end as usize]
    }

    fn pos(&self) -> Pos {
        Pos::new(self.token().start as usize)
    }

    /// Where the token before the current one ends.
    fn end_of_previous(&self) -> usize {
        self.at.checked_sub(1).map_or(0, |i| self.tokens[i].end as usize)
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    /// Takes the current token and gives its position.
    fn take(&mut self) -> Pos {
        let pos = self.pos();
        self.advance();
        pos
    }

    fn is(&self, tok: Tok) -> bool {
        self.tok() == tok
    }

    fn is_kw(&self, kw: K) -> bool {
        self.tok() == Tok::Kw(kw)
    }

    /// The current token, if it is a keyword.
    fn kw(&self) -> Option<K> {
        match self.tok() {
            Tok::Kw(kw) => Some(kw),
            _ => None,
        }
    }

    fn peek_kw(&self, ahead: usize, kw: K) -> bool {
        self.peek(ahead) == Tok::Kw(kw)
    }

    fn eat(&mut self, tok: Tok) -> bool {
        let found = self.tok() == tok;
        if found {
            self.advance();
        }
        found
    }

    fn eat_kw(&mut self, kw: K) -> bool {
        self.eat(Tok::Kw(kw))
    }

    /// Whether the next tokens are these keywords.
    fn at_words(&self, words: &[K]) -> bool {
        let matching = words.iter().enumerate().take_while(|(i, kw)| self.peek_kw(*i, **kw)).count();
        // WITH TIME, WITHOUT TIME, NULLS FIRST and FORMAT JSON are taken by their first word only where the second fits.
        let joined = matches!(
            words,
            [K::With | K::Without, K::Time | K::Ordinality, ..]
                | [K::Nulls, K::First | K::Last]
                | [K::Format, K::Json]
        );
        if matching > usize::from(joined) && matching < words.len() {
            let (start, broken) = self.broken_phrase.get();
            if start != self.at || broken < self.at + matching {
                self.broken_phrase.set((self.at, self.at + matching));
            }
        }
        matching == words.len()
    }

    /// Takes these keywords if all of them come next.
    fn eat_words(&mut self, words: &[K]) -> bool {
        let found = self.at_words(words);
        if found {
            self.at += words.len();
        }
        found
    }

    fn expect(&mut self, tok: Tok) -> Result<()> {
        if self.eat(tok) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn expect_kw(&mut self, kw: K) -> Result<()> {
        self.expect(Tok::Kw(kw))
    }

    fn expect_words(&mut self, words: &[K]) -> Result<()> {
        words.iter().try_for_each(|kw| self.expect_kw(*kw))
    }

    // Errors.

    /// The syntax error at the current token.
    #[cold]
    fn unexpected(&mut self) -> Error {
        if self.tok() == Tok::Error
            && let Some(error) = self.lex_error.take()
        {
            return error;
        }
        let (start, broken) = self.broken_phrase.get();
        if start == self.at && broken > self.at {
            self.at = broken.min(self.tokens.len() - 1);
            return self.unexpected();
        }
        let token = self.token();
        near(self.sql, "syntax error", token.start as usize, token.end as usize)
    }

    /// A syntax error with another message, at the current token and naming it.
    #[cold]
    fn error_near(&mut self, message: &str) -> Error {
        if self.tok() == Tok::Error {
            return self.unexpected();
        }
        let token = self.token();
        near(self.sql, message, token.start as usize, token.end as usize)
    }

    /// A 42601 with its own message.
    #[cold]
    fn syntax(message: impl Into<String>, pos: Pos) -> Error {
        let error = Error::new(SqlState::SYNTAX_ERROR, message);
        match pos.get() {
            Some(offset) => error.at(offset),
            None => error,
        }
    }

    #[cold]
    fn unsupported(message: impl Into<String>, pos: Pos) -> Error {
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, message).at(pos.offset())
    }

    #[cold]
    fn too_deep() -> Error {
        Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
            .hint("The statement is nested too deeply: break it up.")
    }

    // Recursion.

    /// Runs a recursive step with enough stack, one level deeper.
    fn nested<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Self::too_deep());
        }
        self.depth += 1;
        let result = stacker::maybe_grow(STACK_RED_ZONE_BYTES, STACK_GROWTH_BYTES, || run(self));
        self.depth -= 1;
        result
    }

    /// Counts one more link of a chain that deepens the tree.
    fn link(&self, links: &mut u32) -> Result<()> {
        *links += 1;
        if *links > MAX_DEPTH { Err(Self::too_deep()) } else { Ok(()) }
    }

    // Lists.

    /// One or more items with commas between them.
    fn comma_list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(Tok::Comma) {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `( item, … )`.
    fn paren_list<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        self.expect(Tok::LeftParen)?;
        let items = self.comma_list(item)?;
        self.expect(Tok::RightParen)?;
        Ok(items)
    }

    /// `( item, … )`, or nothing at all.
    fn optional_paren_list<T>(&mut self, item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        if self.is(Tok::LeftParen) { self.paren_list(item) } else { Ok(Vec::new()) }
    }

    // Names.

    fn is_name(tok: Tok, keyword: fn(K) -> bool) -> bool {
        match tok {
            Tok::Ident | Tok::QuotedIdent | Tok::UnicodeIdent => true,
            Tok::Kw(kw) => keyword(kw),
            _ => false,
        }
    }

    /// Whether a token may name a column, table or anything but a function or type.
    fn is_col_id(tok: Tok) -> bool {
        Self::is_name(tok, |kw| matches!(kw.class(), Class::Unreserved | Class::ColName))
    }

    /// Whether a token may name a function or type.
    fn is_type_function_name(tok: Tok) -> bool {
        Self::is_name(tok, |kw| matches!(kw.class(), Class::Unreserved | Class::TypeFuncName))
    }

    fn is_non_reserved_word(tok: Tok) -> bool {
        Self::is_name(tok, |kw| kw.class() != Class::Reserved)
    }

    fn is_string(tok: Tok) -> bool {
        matches!(tok, Tok::String | Tok::EscapeString | Tok::UnicodeString | Tok::DollarString)
    }

    /// Takes the current token as a name, whatever keyword it may be.
    fn take_name(&mut self) -> Result<Name> {
        let name = match self.tok() {
            Tok::Ident => literal::fold_identifier(self.raw()),
            Tok::QuotedIdent => literal::quoted_identifier(self.raw()),
            Tok::UnicodeIdent => literal::unicode_identifier(self.sql, self.token())?,
            Tok::Kw(kw) => Name::from_static(kw.as_str()),
            _ => return Err(self.unexpected()),
        };
        self.advance();
        Ok(name)
    }

    fn name_if(&mut self, accepted: fn(Tok) -> bool) -> Result<Name> {
        if accepted(self.tok()) { self.take_name() } else { Err(self.unexpected()) }
    }

    /// ColId.
    fn col_id(&mut self) -> Result<Name> {
        self.name_if(Self::is_col_id)
    }

    /// type_function_name.
    fn type_function_name(&mut self) -> Result<Name> {
        self.name_if(Self::is_type_function_name)
    }

    /// NonReservedWord.
    fn non_reserved_word(&mut self) -> Result<Name> {
        self.name_if(Self::is_non_reserved_word)
    }

    /// ColLabel: any word.
    fn col_label(&mut self) -> Result<Name> {
        self.name_if(|tok| Self::is_name(tok, |_| true))
    }

    /// `( name, … )`.
    fn column_list(&mut self) -> Result<Vec<Name>> {
        self.paren_list(Self::col_id)
    }

    fn optional_column_list(&mut self) -> Result<Vec<Name>> {
        self.optional_paren_list(Self::col_id)
    }

    /// any_name: a name whose further parts may be any word.
    fn any_name(&mut self) -> Result<ObjectName> {
        let pos = self.pos();
        let first = self.col_id()?;
        self.rest_of_name(first, pos)
    }

    fn rest_of_name(&mut self, first: Name, pos: Pos) -> Result<ObjectName> {
        let mut parts = NameParts::new();
        parts.push(first);
        while self.eat(Tok::Dot) {
            parts.push(self.col_label()?);
        }
        Ok(ObjectName { parts, pos })
    }

    /// qualified_name: the name of a relation, of at most three parts.
    fn qualified_name(&mut self) -> Result<ObjectName> {
        let pos = self.pos();
        let first = self.col_id()?;
        let mut parts = NameParts::new();
        parts.push(first);
        while self.is(Tok::Dot) {
            self.advance();
            if self.eat(Tok::Star) {
                return Err(self.unexpected());
            }
            parts.push(self.col_label()?);
        }
        if self.is(Tok::LeftBracket) && parts.len() > 1 {
            return Err(self.unexpected());
        }
        let name = ObjectName { parts, pos };
        self.check_name_length(&name)?;
        Ok(name)
    }

    fn improper_star(&mut self) -> Error {
        self.error_near("improper use of \"*\"")
    }

    fn check_name_length(&self, name: &ObjectName) -> Result<()> {
        if name.parts.len() > 3 {
            return Err(Self::syntax(
                format!("improper qualified name (too many dotted names): {name}"),
                name.pos,
            ));
        }
        Ok(())
    }

    /// func_name: a function's name.
    fn func_name(&mut self) -> Result<ObjectName> {
        let pos = self.pos();
        if self.peek(1) == Tok::Dot {
            return self.any_name();
        }
        if !Self::is_type_function_name(self.tok()) && Self::is_col_id(self.tok()) {
            // A word that could only begin a qualified name.
            self.advance();
            return Err(self.unexpected());
        }
        let name = self.type_function_name()?;
        Ok(ObjectName::unqualified(name, pos))
    }

    // Constants.

    /// Sconst.
    fn string(&mut self) -> Result<Box<str>> {
        if !Self::is_string(self.tok()) {
            return Err(self.unexpected());
        }
        let text = literal::string(self.sql, self.token())?;
        self.advance();
        Ok(text)
    }

    /// Iconst: a number that fits `int4`.
    fn integer(&mut self) -> Result<i32> {
        if self.is(Tok::Integer)
            && let crate::ast::LiteralValue::Integer(value) = literal::number(self.raw(), Tok::Integer)
        {
            self.advance();
            return Ok(value);
        }
        Err(self.unexpected())
    }

    /// SignedIconst.
    fn signed_integer(&mut self) -> Result<i32> {
        let negative = self.is(Tok::Minus);
        if negative || self.is(Tok::Plus) {
            self.advance();
        }
        let value = self.integer()?;
        Ok(if negative { -value } else { value })
    }

    /// The end of the text, or a syntax error.
    fn expect_end(&mut self) -> Result<()> {
        if self.is(Tok::Eof) { Ok(()) } else { Err(self.unexpected()) }
    }
}
