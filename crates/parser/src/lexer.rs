//! The scanner: text to tokens, by PostgreSQL's rules.
//!
//! The whole text is scanned before it is parsed, so that the parser may look ahead as far as it likes; a token is a kind
//! and a span. What a token means (the text of a string without its escapes, a folded identifier, a number's value) is
//! worked out by [`crate::literal`] when the parser takes it. A lexical error ends the scan with [`Tok::Error`]: it is
//! reported when the parser arrives there, so that a syntax error before it comes first, as in PostgreSQL.

use ochre_base::{Error, SqlState};

use crate::keywords::{Kw, LONGEST};

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tok {
    Eof,
    /// The place of a lexical error.
    Error,
    Kw(Kw),
    /// An unquoted identifier that is no keyword.
    Ident,
    /// `"name"`.
    QuotedIdent,
    /// `U&"name"`, a following UESCAPE included.
    UnicodeIdent,
    /// `'text'`.
    String,
    /// `E'text'`.
    EscapeString,
    /// `U&'text'`, a following UESCAPE included.
    UnicodeString,
    /// `$tag$text$tag$`.
    DollarString,
    /// `B'01'`.
    BitString,
    /// `X'1F'`.
    HexString,
    /// Digits, also hexadecimal, octal and binary.
    Integer,
    /// A number with a point or exponent.
    Numeric,
    /// `$1`.
    Param,
    /// An operator that is none of those below.
    Op,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Caret,
    Less,
    Greater,
    Equals,
    LessEquals,
    GreaterEquals,
    /// `<>` and `!=`.
    NotEquals,
    LeftParen,
    RightParen,
    LeftBracket,
    RightBracket,
    Comma,
    Semicolon,
    Colon,
    Dot,
    /// `..`
    DotDot,
    /// `::`
    Typecast,
    /// `:=`
    ColonEquals,
    /// `=>`
    EqualsGreater,
}

/// A token: its kind and the bytes it covers.
#[derive(Debug, Clone, Copy)]
pub struct Token {
    pub tok: Tok,
    pub start: u32,
    pub end: u32,
}

/// The tokens of a text, ending with [`Tok::Eof`] or [`Tok::Error`].
pub struct Lexed {
    pub tokens: Vec<Token>,
    /// The error of a final [`Tok::Error`].
    pub error: Option<Error>,
}

/// Longest operator, in bytes.
const MAX_OPERATOR: usize = 63;

/// Scans a text.
pub fn lex(sql: &str) -> Lexed {
    let mut lexer =
        Lexer { sql, bytes: sql.as_bytes(), pos: 0, tokens: Vec::with_capacity(sql.len() / 4 + 8) };
    let error = lexer.run().err();
    if error.is_some() {
        let at = lexer.pos.min(sql.len()) as u32;
        lexer.tokens.push(Token { tok: Tok::Error, start: at, end: sql.len() as u32 });
    }
    Lexed { tokens: lexer.tokens, error }
}

/// Whether a byte is a digit of some radix.
type DigitTest = fn(&u8) -> bool;

/// Byte classes.
const SPACE: u8 = 1;
const IDENT_START: u8 = 2;
const IDENT_CONT: u8 = 4;
const DIGIT: u8 = 8;
const OP: u8 = 16;

const CLASS: [u8; 256] = {
    let mut table = [0u8; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        if matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c) {
            table[i] |= SPACE;
        }
        if b.is_ascii_alphabetic() || b == b'_' || b >= 0x80 {
            table[i] |= IDENT_START | IDENT_CONT;
        }
        if b.is_ascii_digit() {
            table[i] |= IDENT_CONT | DIGIT;
        }
        if b == b'$' {
            table[i] |= IDENT_CONT;
        }
        if matches!(
            b,
            b'~' | b'!'
                | b'@'
                | b'#'
                | b'^'
                | b'&'
                | b'|'
                | b'`'
                | b'?'
                | b'+'
                | b'-'
                | b'*'
                | b'/'
                | b'%'
                | b'<'
                | b'>'
                | b'='
        ) {
            table[i] |= OP;
        }
        i += 1;
    }
    table
};

fn is(byte: u8, class: u8) -> bool {
    CLASS[byte as usize] & class != 0
}

/// An error whose message ends with the offending text.
#[cold]
pub fn near(sql: &str, message: &str, start: usize, end: usize) -> Error {
    let message = if start >= sql.len() {
        format!("{message} at end of input")
    } else {
        format!("{message} at or near \"{}\"", sql.get(start..end).unwrap_or(&sql[start..]))
    };
    Error::new(SqlState::SYNTAX_ERROR, message).at(start)
}

struct Lexer<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    pos: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn push(&mut self, tok: Tok, start: usize) {
        self.tokens.push(Token { tok, start: start as u32, end: self.pos as u32 });
    }

    /// An error at `start`, reported as the text from there to `end`.
    #[cold]
    fn error(&mut self, message: &str, start: usize, end: usize) -> Error {
        self.pos = start;
        near(self.sql, message, start, end)
    }

    fn run(&mut self) -> Result<(), Error> {
        loop {
            self.skip_space()?;
            let start = self.pos;
            let Some(&byte) = self.bytes.get(start) else {
                self.push(Tok::Eof, start);
                return Ok(());
            };
            if is(byte, IDENT_START) {
                self.word(byte)?;
            } else if is(byte, DIGIT) {
                self.number()?;
            } else if is(byte, OP) {
                self.operator()?;
            } else {
                self.punctuation(byte)?;
            }
        }
    }

    /// Skips white space and comments.
    fn skip_space(&mut self) -> Result<(), Error> {
        loop {
            let byte = self.byte(self.pos);
            if is(byte, SPACE) {
                self.pos += 1;
            } else if byte == b'-' && self.byte(self.pos + 1) == b'-' {
                self.skip_line();
            } else if byte == b'/' && self.byte(self.pos + 1) == b'*' {
                self.skip_block_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_line(&mut self) {
        while self.pos < self.bytes.len() && !matches!(self.bytes[self.pos], b'\n' | b'\r') {
            self.pos += 1;
        }
    }

    fn skip_block_comment(&mut self) -> Result<(), Error> {
        let start = self.pos;
        let mut depth = 0usize;
        loop {
            match (self.byte(self.pos), self.byte(self.pos + 1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.pos += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.pos += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ if self.pos >= self.bytes.len() => {
                    let end = self.bytes.len();
                    return Err(self.error("unterminated /* comment", start, end));
                }
                _ => self.pos += 1,
            }
        }
    }

    /// Identifiers, keywords, and strings with a letter before the quote.
    fn word(&mut self, first: u8) -> Result<(), Error> {
        let start = self.pos;
        let next = self.byte(start + 1);
        if next == b'\'' {
            let tok = match first {
                b'e' | b'E' => Some(Tok::EscapeString),
                b'b' | b'B' => Some(Tok::BitString),
                b'x' | b'X' => Some(Tok::HexString),
                b'n' | b'N' => {
                    self.pos += 1;
                    self.push(Tok::Kw(Kw::Nchar), start);
                    return self.string(Tok::String, start + 1, start + 1);
                }
                _ => None,
            };
            if let Some(tok) = tok {
                return self.string(tok, start, start + 1);
            }
        } else if next == b'&' && matches!(first, b'u' | b'U') {
            match self.byte(start + 2) {
                b'\'' => {
                    return self.string(Tok::UnicodeString, start, start + 2);
                }
                b'"' => return self.quoted_ident(Tok::UnicodeIdent, start, start + 2),
                _ => {}
            }
        }
        let mut end = start + 1;
        while end < self.bytes.len() && is(self.bytes[end], IDENT_CONT) {
            end += 1;
        }
        self.pos = end;
        let tok = self.keyword(start, end);
        self.push(tok, start);
        if tok == Tok::Kw(Kw::Uescape) {
            self.uescape(start)?;
        }
        Ok(())
    }

    fn keyword(&self, start: usize, end: usize) -> Tok {
        let len = end - start;
        if len > LONGEST {
            return Tok::Ident;
        }
        let mut lower = [0u8; LONGEST];
        let lower = &mut lower[..len];
        lower.copy_from_slice(&self.bytes[start..end]);
        lower.make_ascii_lowercase();
        Kw::lookup(lower).map_or(Tok::Ident, Tok::Kw)
    }

    /// Joins `UESCAPE 'c'` to the Unicode string or identifier before it.
    fn uescape(&mut self, start: usize) -> Result<(), Error> {
        let count = self.tokens.len();
        let follows_unicode =
            count >= 2 && matches!(self.tokens[count - 2].tok, Tok::UnicodeString | Tok::UnicodeIdent);
        if !follows_unicode {
            return Ok(());
        }
        self.tokens.pop();
        self.skip_space()?;
        let quote = self.pos;
        if self.byte(quote) != b'\'' {
            let before = self.tokens.len();
            let end = match self.byte(quote) {
                0 => quote,
                _ => {
                    // Scan the offending token for its extent.
                    let byte = self.byte(quote);
                    if is(byte, IDENT_START) {
                        self.word(byte)?;
                    } else if is(byte, DIGIT) {
                        self.number()?;
                    } else if is(byte, OP) {
                        self.operator()?;
                    } else {
                        self.punctuation(byte)?;
                    }
                    let end = self.pos;
                    self.tokens.truncate(before);
                    end
                }
            };
            return Err(self.error("UESCAPE must be followed by a simple string literal", quote, end));
        }
        self.string(Tok::String, quote, quote)?;
        let end = self.pos;
        self.tokens.pop();
        let text = &self.sql[quote..end];
        let mut inner = text[1..text.len() - 1].chars();
        let valid = match (inner.next(), inner.next()) {
            (Some(c), None) => !(c.is_ascii_hexdigit() || "+'\"".contains(c) || c.is_ascii_whitespace()),
            _ => false,
        };
        if !valid {
            return Err(self.error("invalid Unicode escape character", quote, end));
        }
        if let Some(token) = self.tokens.last_mut() {
            token.end = end as u32;
        }
        debug_assert!(start < end);
        Ok(())
    }

    /// A quoted string whose token begins at `start` and whose quote stands at `quote`, with its continuations.
    fn string(&mut self, tok: Tok, start: usize, quote: usize) -> Result<(), Error> {
        let mut pos = quote + 1;
        loop {
            match self.bytes.get(pos) {
                None => {
                    let end = self.bytes.len();
                    return Err(self.error("unterminated quoted string", start, end));
                }
                Some(b'\\') if tok == Tok::EscapeString => pos += 2,
                Some(b'\'') if self.byte(pos + 1) == b'\'' => pos += 2,
                Some(b'\'') => {
                    pos += 1;
                    match self.continuation(pos) {
                        Some(next) => pos = next + 1,
                        None => break,
                    }
                }
                Some(_) => pos += 1,
            }
        }
        self.pos = pos;
        self.push(tok, start);
        Ok(())
    }

    /// The quote that continues a string which ended at `pos`: behind white space that holds a line break.
    fn continuation(&self, pos: usize) -> Option<usize> {
        continuation(self.bytes, pos)
    }

    fn quoted_ident(&mut self, tok: Tok, start: usize, quote: usize) -> Result<(), Error> {
        let mut pos = quote + 1;
        loop {
            match self.bytes.get(pos) {
                None => {
                    let end = self.bytes.len();
                    return Err(self.error("unterminated quoted identifier", start, end));
                }
                Some(b'"') if self.byte(pos + 1) == b'"' => pos += 2,
                Some(b'"') => break,
                Some(_) => pos += 1,
            }
        }
        if pos == quote + 1 {
            return Err(self.error("zero-length delimited identifier", start, pos + 1));
        }
        self.pos = pos + 1;
        self.push(tok, start);
        Ok(())
    }

    /// The end of `digit(_?digit)*` from `pos`, for digits of the given kind.
    fn digits(&self, mut pos: usize, digit: fn(&u8) -> bool) -> usize {
        loop {
            if self.bytes.get(pos).is_some_and(digit) {
                pos += 1;
            } else if self.byte(pos) == b'_' && self.bytes.get(pos + 1).is_some_and(digit) {
                pos += 2;
            } else {
                return pos;
            }
        }
    }

    /// The end of an identifier from `pos`; `pos` itself where none starts.
    fn ident_end(&self, pos: usize) -> usize {
        let mut end = pos;
        if is(self.byte(pos), IDENT_START) {
            while end < self.bytes.len() && is(self.bytes[end], IDENT_CONT) {
                end += 1;
            }
        }
        end
    }

    fn number(&mut self) -> Result<(), Error> {
        let start = self.pos;
        if self.bytes[start] == b'0' {
            let radix: Option<(DigitTest, &str)> = match self.byte(start + 1) | 0x20 {
                b'x' => Some((u8::is_ascii_hexdigit, "invalid hexadecimal integer")),
                b'o' => Some((|b| (b'0'..=b'7').contains(b), "invalid octal integer")),
                b'b' => Some((|b| matches!(b, b'0' | b'1'), "invalid binary integer")),
                _ => None,
            };
            if let Some((digit, message)) = radix {
                return self.radix_number(digit, message);
            }
        }
        let mut end = self.digits(start, u8::is_ascii_digit);
        let mut tok = Tok::Integer;
        if self.byte(end) == b'.' && self.byte(end + 1) != b'.' {
            tok = Tok::Numeric;
            end += 1;
            if is(self.byte(end), DIGIT) {
                end = self.digits(end, u8::is_ascii_digit);
            }
        }
        self.exponent_and_junk(tok, start, end)
    }

    fn radix_number(&mut self, digit: fn(&u8) -> bool, message: &str) -> Result<(), Error> {
        let start = self.pos;
        let mut end = start + 2;
        // `0x_1` is fine: an underscore may follow the prefix.
        end = self.digits(end, digit);
        if end == start + 2 {
            let junk_end = self.ident_end(start + 1);
            if junk_end > start + 2 + usize::from(self.byte(start + 2) == b'_') {
                return Err(self.error("trailing junk after numeric literal", start, junk_end));
            }
            return Err(self.error(message, start, junk_end));
        }
        let junk_end = self.ident_end(end);
        if junk_end > end {
            return Err(self.error("trailing junk after numeric literal", start, junk_end));
        }
        self.pos = end;
        self.push(Tok::Integer, start);
        Ok(())
    }

    /// The rest of a number whose mantissa ends at `end`.
    fn exponent_and_junk(&mut self, mut tok: Tok, start: usize, mut end: usize) -> Result<(), Error> {
        if matches!(self.byte(end), b'e' | b'E') {
            let sign = usize::from(matches!(self.byte(end + 1), b'+' | b'-'));
            let digits = end + 1 + sign;
            if is(self.byte(digits), DIGIT) {
                tok = Tok::Numeric;
                end = self.digits(digits, u8::is_ascii_digit);
            } else if sign == 1 {
                return Err(self.error("trailing junk after numeric literal", start, digits));
            }
        }
        let junk_end = self.ident_end(end);
        if junk_end > end {
            return Err(self.error("trailing junk after numeric literal", start, junk_end));
        }
        self.pos = end;
        self.push(tok, start);
        Ok(())
    }

    fn punctuation(&mut self, byte: u8) -> Result<(), Error> {
        let start = self.pos;
        let next = self.byte(start + 1);
        let (tok, len) = match byte {
            b'(' => (Tok::LeftParen, 1),
            b')' => (Tok::RightParen, 1),
            b',' => (Tok::Comma, 1),
            b';' => (Tok::Semicolon, 1),
            b'[' => (Tok::LeftBracket, 1),
            b']' => (Tok::RightBracket, 1),
            b':' if next == b':' => (Tok::Typecast, 2),
            b':' if next == b'=' => (Tok::ColonEquals, 2),
            b':' => (Tok::Colon, 1),
            b'.' if next == b'.' => (Tok::DotDot, 2),
            b'.' if is(next, DIGIT) => {
                let end = self.digits(start + 1, u8::is_ascii_digit);
                return self.exponent_and_junk(Tok::Numeric, start, end);
            }
            b'.' => (Tok::Dot, 1),
            b'\'' => return self.string(Tok::String, start, start),
            b'"' => return self.quoted_ident(Tok::QuotedIdent, start, start),
            b'$' => return self.dollar(),
            _ => return Err(self.error("syntax error", start, start + 1)),
        };
        self.pos = start + len;
        self.push(tok, start);
        Ok(())
    }

    /// Parameters and dollar-quoted strings.
    fn dollar(&mut self) -> Result<(), Error> {
        let start = self.pos;
        if is(self.byte(start + 1), DIGIT) {
            let end = self.digits(start + 1, u8::is_ascii_digit);
            let junk_end = self.ident_end(end);
            if junk_end > end {
                return Err(self.error("trailing junk after parameter", start, junk_end));
            }
            self.pos = end;
            self.push(Tok::Param, start);
            return Ok(());
        }
        let mut tag_end = start + 1;
        if is(self.byte(tag_end), IDENT_START) {
            while tag_end < self.bytes.len()
                && self.bytes[tag_end] != b'$'
                && is(self.bytes[tag_end], IDENT_CONT)
            {
                tag_end += 1;
            }
        }
        if self.byte(tag_end) != b'$' {
            return Err(self.error("syntax error", start, start + 1));
        }
        let tag = &self.sql[start..=tag_end];
        match self.sql[tag_end + 1..].find(tag) {
            Some(offset) => {
                self.pos = tag_end + 1 + offset + tag.len();
                self.push(Tok::DollarString, start);
                Ok(())
            }
            None => {
                let end = self.bytes.len();
                Err(self.error("unterminated dollar-quoted string", start, end))
            }
        }
    }

    /// Operators, after the rules that keep `+-` at the end and comments out of them.
    fn operator(&mut self) -> Result<(), Error> {
        let start = self.pos;
        let mut end = start;
        while end < self.bytes.len() && is(self.bytes[end], OP) {
            let pair = (self.bytes[end], self.byte(end + 1));
            if end > start && matches!(pair, (b'/', b'*') | (b'-', b'-')) {
                break;
            }
            end += 1;
        }
        if end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
            let special = self.bytes[start..end]
                .iter()
                .any(|b| matches!(b, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%'));
            if !special {
                while end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') {
                    end -= 1;
                }
            }
        }
        if end - start > MAX_OPERATOR {
            return Err(self.error("operator too long", start, end));
        }
        let tok = match &self.bytes[start..end] {
            b"+" => Tok::Plus,
            b"-" => Tok::Minus,
            b"*" => Tok::Star,
            b"/" => Tok::Slash,
            b"%" => Tok::Percent,
            b"^" => Tok::Caret,
            b"<" => Tok::Less,
            b">" => Tok::Greater,
            b"=" => Tok::Equals,
            b"<=" => Tok::LessEquals,
            b">=" => Tok::GreaterEquals,
            b"<>" | b"!=" => Tok::NotEquals,
            b"=>" => Tok::EqualsGreater,
            _ => Tok::Op,
        };
        self.pos = end;
        self.push(tok, start);
        Ok(())
    }
}

/// The quote that continues a string which ended before `pos`: only white space with a line break, and line comments
/// behind the break, may stand between.
pub fn continuation(bytes: &[u8], mut pos: usize) -> Option<usize> {
    let mut newline = false;
    loop {
        match bytes.get(pos)? {
            b'\n' | b'\r' => {
                newline = true;
                pos += 1;
            }
            b' ' | b'\t' | 0x0b | 0x0c => pos += 1,
            b'-' if bytes.get(pos + 1) == Some(&b'-') => {
                while !matches!(bytes.get(pos)?, b'\n' | b'\r') {
                    pos += 1;
                }
            }
            b'\'' if newline => return Some(pos),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sql: &str) -> Vec<Tok> {
        lex(sql).tokens.iter().map(|t| t.tok).collect()
    }

    #[test]
    fn operators_end_where_postgres_ends_them() {
        assert_eq!(kinds("a*-b"), [Tok::Ident, Tok::Star, Tok::Minus, Tok::Ident, Tok::Eof]);
        assert_eq!(kinds("@-"), [Tok::Op, Tok::Eof]);
        assert_eq!(kinds("=-1"), [Tok::Equals, Tok::Minus, Tok::Integer, Tok::Eof]);
        assert_eq!(kinds("1+/*x*/2"), [Tok::Integer, Tok::Plus, Tok::Integer, Tok::Eof]);
        assert_eq!(
            kinds("a<>b!=c"),
            [Tok::Ident, Tok::NotEquals, Tok::Ident, Tok::NotEquals, Tok::Ident, Tok::Eof]
        );
        assert_eq!(kinds("!=-"), [Tok::Op, Tok::Eof]);
    }

    #[test]
    fn numbers() {
        assert_eq!(kinds("1..10"), [Tok::Integer, Tok::DotDot, Tok::Integer, Tok::Eof]);
        assert_eq!(
            kinds("0x_1F 1_000 1. .5e-3"),
            [Tok::Integer, Tok::Integer, Tok::Numeric, Tok::Numeric, Tok::Eof]
        );
        assert_eq!(lex("0x").error.unwrap().message(), "invalid hexadecimal integer at or near \"0x\"");
        assert_eq!(
            lex("0x0y").error.unwrap().message(),
            "trailing junk after numeric literal at or near \"0x0y\""
        );
        assert_eq!(
            lex("0.0e+a").error.unwrap().message(),
            "trailing junk after numeric literal at or near \"0.0e+\""
        );
    }

    #[test]
    fn strings_continue_over_line_breaks_only() {
        assert_eq!(kinds("'a'\n'b'"), [Tok::String, Tok::Eof]);
        assert_eq!(kinds("'a' -- c\n 'b'"), [Tok::String, Tok::Eof]);
        assert_eq!(kinds("'a' 'b'"), [Tok::String, Tok::String, Tok::Eof]);
        assert_eq!(kinds("$$a$b$$ $x$ $$ $x$"), [Tok::DollarString, Tok::DollarString, Tok::Eof]);
    }

    #[test]
    fn comments_nest() {
        assert_eq!(kinds("/* a /* b */ c */ 1"), [Tok::Integer, Tok::Eof]);
        assert_eq!(lex("/* a").error.unwrap().message(), "unterminated /* comment at or near \"/* a\"");
    }
}
