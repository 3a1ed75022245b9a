//! The tokens of a body, and pieces of SQL out of them.

use ochre_base::{Error, Result, SqlState};
use ochre_parser::scan::{self, Lexed, Tok, Token};

use crate::ast::Fragment;

/// Reads tokens one by one.
pub(crate) struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    error: Option<Error>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(text: &'a str) -> Reader<'a> {
        let Lexed { tokens, error } = scan::lex(text);
        Reader { text, tokens, at: 0, error }
    }

    pub(crate) fn tok(&self) -> Tok {
        self.tokens[self.at].tok
    }

    pub(crate) fn peek(&self, ahead: usize) -> Tok {
        self.tokens.get(self.at + ahead).map_or(Tok::Eof, |token| token.tok)
    }

    pub(crate) fn place(&self) -> usize {
        self.at
    }

    pub(crate) fn go_to(&mut self, place: usize) {
        self.at = place;
    }

    pub(crate) fn raw(&self) -> &'a str {
        self.raw_of(self.tokens[self.at])
    }

    fn raw_of(&self, token: Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    pub(crate) fn line(&self) -> u32 {
        self.line_of(self.tokens[self.at].start as usize)
    }

    fn line_of(&self, offset: usize) -> u32 {
        1 + self.text[..offset].bytes().filter(|byte| *byte == b'\n').count() as u32
    }

    pub(crate) fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn is_word_token(tok: Tok) -> bool {
        matches!(tok, Tok::Ident | Tok::Kw(_))
    }

    /// Whether the current token is this unquoted word.
    pub(crate) fn at_word(&self, word: &str) -> bool {
        Reader::is_word_token(self.tok()) && self.raw().eq_ignore_ascii_case(word)
    }

    pub(crate) fn word_ahead(&self, ahead: usize, word: &str) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|token| {
            Reader::is_word_token(token.tok) && self.raw_of(*token).eq_ignore_ascii_case(word)
        })
    }

    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Result<()> {
        if self.take_word(word) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub(crate) fn take(&mut self, tok: Tok) -> bool {
        let found = self.tok() == tok;
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(&mut self, tok: Tok) -> Result<()> {
        if self.take(tok) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub(crate) fn take_operator(&mut self, symbol: &str) -> bool {
        let found = self.raw() == symbol;
        if found {
            self.advance();
        }
        found
    }

    /// Whether the current token can be a name.
    pub(crate) fn at_name(&self) -> bool {
        matches!(self.tok(), Tok::Ident | Tok::Kw(_) | Tok::QuotedIdent | Tok::UnicodeIdent | Tok::Param)
    }

    pub(crate) fn name(&mut self) -> Result<String> {
        let token = self.tokens[self.at];
        let name = match token.tok {
            Tok::Ident | Tok::Kw(_) => scan::fold_identifier(self.raw_of(token)).to_string(),
            Tok::QuotedIdent => scan::quoted_identifier(self.raw_of(token)).to_string(),
            Tok::UnicodeIdent => scan::unicode_identifier(self.text, token)?.to_string(),
            Tok::Param => self.raw_of(token).to_owned(),
            _ => return Err(self.syntax_error()),
        };
        self.advance();
        Ok(name)
    }

    /// `a.b.c`.
    pub(crate) fn dotted_name(&mut self) -> Result<Vec<String>> {
        let mut parts = vec![self.name()?];
        while self.tok() == Tok::Dot {
            self.advance();
            parts.push(self.name()?);
        }
        Ok(parts)
    }

    pub(crate) fn at_string(&self) -> bool {
        matches!(self.tok(), Tok::String | Tok::EscapeString | Tok::UnicodeString | Tok::DollarString)
    }

    pub(crate) fn string(&mut self) -> Result<String> {
        if !self.at_string() {
            return Err(self.syntax_error());
        }
        let text = scan::string(self.text, self.tokens[self.at])?.to_string();
        self.advance();
        Ok(text)
    }

    /// 42601 at the current token.
    pub(crate) fn syntax_error(&self) -> Error {
        if self.tok() == Tok::Error
            && let Some(error) = &self.error
        {
            return error.clone();
        }
        let message = match self.tok() {
            Tok::Eof => "syntax error at end of input".to_owned(),
            _ => format!("syntax error at or near \"{}\"", self.raw()),
        };
        Error::new(SqlState::SYNTAX_ERROR, message)
    }

    /// The text from the current token up to the first token outside parentheses for which `stop` holds, which becomes the
    /// current one.
    pub(crate) fn text_until(&mut self, stop: impl Fn(&Reader<'_>) -> bool) -> Result<(String, u32)> {
        let line = self.line();
        let start = self.tokens[self.at].start as usize;
        let mut end = start;
        let mut depth = 0_usize;
        loop {
            if depth == 0 && stop(self) {
                break;
            }
            match self.tok() {
                Tok::LeftParen | Tok::LeftBracket => depth += 1,
                Tok::RightParen | Tok::RightBracket => {
                    if depth == 0 {
                        return Err(self.syntax_error());
                    }
                    depth -= 1;
                }
                Tok::Eof | Tok::Error => return Err(self.syntax_error()),
                Tok::Semicolon if depth > 0 => {
                    return Err(Error::new(SqlState::SYNTAX_ERROR, "mismatched parentheses"));
                }
                _ => {}
            }
            end = self.tokens[self.at].end as usize;
            self.advance();
        }
        Ok((self.text[start..end].to_owned(), line))
    }

    /// An expression up to a token.
    pub(crate) fn expression(&mut self, stop: impl Fn(&Reader<'_>) -> bool) -> Result<Fragment> {
        let (text, line) = self.text_until(stop)?;
        if text.is_empty() {
            let error = match self.tok() {
                Tok::Eof => self.syntax_error(),
                _ => Error::new(SqlState::SYNTAX_ERROR, "missing expression"),
            };
            return Err(error);
        }
        expression(text, line)
    }

    pub(crate) fn expression_until(&mut self, tok: Tok) -> Result<Fragment> {
        self.expression(|reader| reader.tok() == tok)
    }

    pub(crate) fn expression_until_word(&mut self, word: &str) -> Result<Fragment> {
        self.expression(|reader| reader.at_word(word))
    }

    /// The text between two places.
    pub(crate) fn text_between(&self, from: usize, to: usize) -> &'a str {
        if from >= to {
            return "";
        }
        &self.text[self.tokens[from].start as usize..self.tokens[to - 1].end as usize]
    }
}

/// A piece of text as an expression.
pub(crate) fn expression(text: String, line: u32) -> Result<Fragment> {
    let mut parsed = ochre_parser::parse(&format!("SELECT {text}")).map_err(unplaced)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(raw), true) => Ok(Fragment { text, line, statement: Box::new(raw.stmt) }),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""))),
    }
}

/// A piece of text as a statement.
pub(crate) fn statement(text: String, line: u32) -> Result<Fragment> {
    let mut parsed = ochre_parser::parse(&text).map_err(unplaced)?;
    match (parsed.pop(), parsed.is_empty()) {
        (Some(raw), true) => Ok(Fragment { text, line, statement: Box::new(raw.stmt) }),
        _ => Err(Error::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{text}\""))),
    }
}

/// The places of errors count from the piece's start, which means nothing to a client.
fn unplaced(mut error: Error) -> Error {
    error.fields_mut().position = None;
    error
}
