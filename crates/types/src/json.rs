//! Reading JSON text, with PostgreSQL's errors.
//!
//! The reader keeps its own stack of what is open, so that no text can exhaust the thread's.

use ochre_base::{Error, Result, SqlState};

use crate::{FormatContext, Pace};

/// Levels of nesting that are read.
const MAX_DEPTH: usize = 100_000;
/// Tokens that are read between two looks at whether to go on.
const TOKENS_AT_A_TIME: u32 = 1 << 12;
/// Bytes that are passed between two such looks within a token.
const RUN_BYTES: usize = 1 << 16;

/// What is told of a JSON text as it is read.
pub(crate) trait Handler {
    /// Whether strings are to be decoded; else they are only checked, and empty ones are passed.
    const WANTS_STRINGS: bool;

    fn null(&mut self);
    fn bool(&mut self, value: bool);
    fn number(&mut self, text: &str) -> Result<()>;
    fn string(&mut self, text: String);
    fn key(&mut self, text: String);
    fn begin(&mut self, object: bool) -> Result<()>;
    fn end(&mut self);
}

/// Only checks.
struct Check;

impl Handler for Check {
    const WANTS_STRINGS: bool = false;

    fn null(&mut self) {}
    fn bool(&mut self, _: bool) {}
    fn number(&mut self, _: &str) -> Result<()> {
        Ok(())
    }
    fn string(&mut self, _: String) {}
    fn key(&mut self, _: String) {}
    fn begin(&mut self, _: bool) -> Result<()> {
        Ok(())
    }
    fn end(&mut self) {}
}

/// Refuses text that is no JSON: the input function of `json`.
///
/// # Errors
/// 22P02, 54001.
pub fn check(text: &str, context: &FormatContext) -> Result<()> {
    parse_with(text, &mut Check, context)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    OpenObject,
    CloseObject,
    OpenArray,
    CloseArray,
    Comma,
    Colon,
    String,
    Number,
    True,
    False,
    Null,
    End,
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value or the end of the array just opened.
    FirstElement,
    /// A key or the end of the object just opened.
    FirstKey,
    Key,
    Colon,
    /// A comma or the end of what is open.
    Rest,
    End,
}

struct Reader<'a> {
    text: &'a str,
    pace: Pace<'a>,
    /// The token that was read last.
    start: usize,
    end: usize,
}

pub(crate) fn parse_with<H: Handler>(text: &str, handler: &mut H, context: &FormatContext) -> Result<()> {
    let mut reader = Reader { text, pace: Pace::from(context, 0), start: 0, end: 0 };
    let mut tokens = 0u32;
    // Whether each open container is an object.
    let mut open: Vec<bool> = Vec::new();
    let mut expect = Expect::Value;
    loop {
        tokens = tokens.wrapping_add(1);
        if tokens.is_multiple_of(TOKENS_AT_A_TIME) {
            context.check_interrupts()?;
        }
        let mut decoded = String::new();
        let token = reader.token::<H>(&mut decoded)?;
        let after_value = |open: &[bool]| if open.is_empty() { Expect::End } else { Expect::Rest };
        expect = match (expect, token) {
            (Expect::End, Token::End) => return Ok(()),
            (_, Token::End) => return Err(reader.syntax("The input string ended unexpectedly.".to_owned())),
            (Expect::Value | Expect::FirstElement, Token::OpenObject | Token::OpenArray) => {
                if open.len() >= MAX_DEPTH {
                    return Err(Error::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded"));
                }
                let object = token == Token::OpenObject;
                handler.begin(object)?;
                open.push(object);
                if object { Expect::FirstKey } else { Expect::FirstElement }
            }
            (Expect::Value | Expect::FirstElement, Token::String) => {
                handler.string(decoded);
                after_value(&open)
            }
            (Expect::Value | Expect::FirstElement, Token::Number) => {
                handler.number(reader.token_text())?;
                after_value(&open)
            }
            (Expect::Value | Expect::FirstElement, Token::True | Token::False) => {
                handler.bool(token == Token::True);
                after_value(&open)
            }
            (Expect::Value | Expect::FirstElement, Token::Null) => {
                handler.null();
                after_value(&open)
            }
            (Expect::FirstKey | Expect::Key, Token::String) => {
                handler.key(decoded);
                Expect::Colon
            }
            (Expect::Colon, Token::Colon) => Expect::Value,
            (Expect::Rest, Token::Comma) => {
                if open.last() == Some(&true) {
                    Expect::Key
                } else {
                    Expect::Value
                }
            }
            (Expect::FirstElement, Token::CloseArray) | (Expect::FirstKey, Token::CloseObject) => {
                open.pop();
                handler.end();
                after_value(&open)
            }
            (Expect::Rest, Token::CloseArray) if open.last() == Some(&false) => {
                open.pop();
                handler.end();
                after_value(&open)
            }
            (Expect::Rest, Token::CloseObject) if open.last() == Some(&true) => {
                open.pop();
                handler.end();
                after_value(&open)
            }
            (expect, _) => return Err(reader.unexpected(expect, open.last() == Some(&true))),
        };
    }
}

impl Reader<'_> {
    fn token_text(&self) -> &str {
        &self.text[self.start..self.end]
    }

    fn token<H: Handler>(&mut self, decoded: &mut String) -> Result<Token> {
        let bytes = self.text.as_bytes();
        self.start = self.run(self.end, |byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))?;
        self.end = self.start;
        let Some(first) = bytes.get(self.start) else { return Ok(Token::End) };
        self.end += 1;
        Ok(match first {
            b'{' => Token::OpenObject,
            b'}' => Token::CloseObject,
            b'[' => Token::OpenArray,
            b']' => Token::CloseArray,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => {
                self.string::<H>(decoded)?;
                Token::String
            }
            b'-' | b'0'..=b'9' => {
                self.number()?;
                Token::Number
            }
            _ => {
                // A word is as long as letters, digits and what is not ASCII go.
                if is_word(*first) {
                    self.end = self.run(self.end, is_word)?;
                }
                while !self.text.is_char_boundary(self.end) {
                    self.end += 1;
                }
                match self.token_text() {
                    "true" => Token::True,
                    "false" => Token::False,
                    "null" => Token::Null,
                    _ => return Err(self.invalid_token()),
                }
            }
        })
    }

    /// Where bytes of one kind end that begin at `from`.
    #[inline]
    fn run(&mut self, from: usize, kind: impl Fn(u8) -> bool) -> Result<usize> {
        let mut at = from;
        for piece in self.text.as_bytes()[from.min(self.text.len())..].chunks(RUN_BYTES) {
            let length = piece.iter().position(|byte| !kind(*byte)).unwrap_or(piece.len());
            at += length;
            if length < RUN_BYTES {
                break;
            }
            self.pace.advance(length)?;
        }
        Ok(at)
    }

    fn number(&mut self) -> Result<()> {
        let bytes = self.text.as_bytes();
        let digits = |reader: &mut Self, at: usize| reader.run(at, |byte| byte.is_ascii_digit());
        let mut at = self.start + usize::from(bytes[self.start] == b'-');
        let whole = digits(self, at)?;
        let mut valid = whole > at && (bytes[at] != b'0' || whole == at + 1);
        at = whole;
        if bytes.get(at) == Some(&b'.') {
            let end = digits(self, at + 1)?;
            valid &= end > at + 1;
            at = end;
        }
        if matches!(bytes.get(at), Some(b'e' | b'E')) {
            at += 1;
            if matches!(bytes.get(at), Some(b'+' | b'-')) {
                at += 1;
            }
            let end = digits(self, at)?;
            valid &= end > at;
            at = end;
        }
        // What hangs on to a number spoils it.
        let tail = at;
        at = self.run(at, is_word)?;
        self.end = at;
        if valid && tail == at { Ok(()) } else { Err(self.invalid_token()) }
    }

    fn string<H: Handler>(&mut self, decoded: &mut String) -> Result<()> {
        let bytes = self.text.as_bytes();
        loop {
            let run = self.end;
            self.end = self.run(run, |byte| !matches!(byte, b'"' | b'\\' | 0..0x20))?;
            if H::WANTS_STRINGS {
                decoded.push_str(&self.text[run..self.end]);
            }
            self.pace.advance(1)?;
            match bytes.get(self.end) {
                None => return Err(self.invalid_token()),
                Some(b'"') => {
                    self.end += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    self.end += 1;
                    let c = self.escape::<H>()?;
                    if H::WANTS_STRINGS {
                        decoded.push(c);
                    }
                }
                Some(byte) => {
                    return Err(self.syntax(format!("Character with value 0x{byte:02x} must be escaped.")));
                }
            }
        }
    }

    fn escape<H: Handler>(&mut self) -> Result<char> {
        let Some(c) = self.text[self.end..].chars().next() else { return Err(self.invalid_token()) };
        self.end += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.unicode_escape::<H>(),
            _ => return Err(self.syntax(format!("Escape sequence \"\\{c}\" is invalid."))),
        })
    }

    fn four_digits(&mut self) -> Result<u32> {
        let mut value = 0;
        for _ in 0..4 {
            let Some(c) = self.text[self.end..].chars().next() else { return Err(self.invalid_token()) };
            self.end += c.len_utf8();
            let Some(digit) = c.to_digit(16) else {
                return Err(self.syntax("\"\\u\" must be followed by four hexadecimal digits.".to_owned()));
            };
            value = value * 16 + digit;
        }
        Ok(value)
    }

    fn unicode_escape<H: Handler>(&mut self) -> Result<char> {
        let lone = "Unicode low surrogate must follow a high surrogate.";
        let value = self.four_digits()?;
        // `json` keeps its text, so what the escapes mean is not looked at.
        if !H::WANTS_STRINGS {
            return Ok(' ');
        }
        match value {
            0 => Err(self.place(
                Error::new(SqlState::UNTRANSLATABLE_CHARACTER, "unsupported Unicode escape sequence")
                    .detail("\\u0000 cannot be converted to text."),
            )),
            0xD800..0xDC00 => {
                if !self.text[self.end..].starts_with("\\u") {
                    // PostgreSQL reads on to the character that is no low surrogate.
                    self.end += self.text[self.end..].chars().next().map_or(0, char::len_utf8);
                    return Err(self.syntax(lone.to_owned()));
                }
                self.end += 2;
                match self.four_digits()? {
                    low @ 0xDC00..0xE000 => {
                        let code = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
                        char::from_u32(code).ok_or_else(|| self.syntax(lone.to_owned()))
                    }
                    0xD800..0xDC00 => {
                        Err(self
                            .syntax("Unicode high surrogate must not follow a high surrogate.".to_owned()))
                    }
                    _ => Err(self.syntax(lone.to_owned())),
                }
            }
            _ => char::from_u32(value).ok_or_else(|| self.syntax(lone.to_owned())),
        }
    }

    #[cold]
    fn invalid_token(&self) -> Error {
        self.syntax(format!("Token \"{}\" is invalid.", self.token_text()))
    }

    #[cold]
    fn unexpected(&self, expect: Expect, in_object: bool) -> Error {
        let wanted = match expect {
            Expect::Value | Expect::FirstElement => "JSON value",
            Expect::FirstKey => "string or \"}\"",
            Expect::Key => "string",
            Expect::Colon => "\":\"",
            Expect::Rest if in_object => "\",\" or \"}\"",
            Expect::Rest => "\",\" or \"]\"",
            Expect::End => "end of input",
        };
        self.syntax(format!("Expected {wanted}, but found \"{}\".", self.token_text()))
    }

    #[cold]
    fn syntax(&self, detail: String) -> Error {
        let error = Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json");
        self.place(error.detail(detail))
    }

    /// Adds the line up to the token, cut at its beginning if it is long.
    fn place(&self, error: Error) -> Error {
        const SHOWN: usize = 50;
        let before = &self.text[..self.end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let number = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let mut from = line_start;
        if self.end - from > SHOWN {
            from = self.end - SHOWN;
            while !self.text.is_char_boundary(from) {
                from += 1;
            }
        }
        let prefix = if from > line_start { "..." } else { "" };
        let rest = &self.text[self.end..];
        let suffix = if rest.is_empty() || rest.starts_with(['\n', '\r']) { "" } else { "..." };
        error.context(format!("JSON data, line {number}: {prefix}{}{suffix}", &self.text[from..self.end]))
    }
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonb::Json;

    #[test]
    fn errors_have_details() {
        let detail = |text: &str| {
            let error = Json::parse(text, &FormatContext::default()).unwrap_err();
            let fields = error.fields();
            format!(
                "{} | {}",
                fields.detail.clone().unwrap_or_default(),
                fields.context.clone().unwrap_or_default()
            )
        };
        let cases = [
            ("{\"a\":}", "Expected JSON value, but found \"}\". | JSON data, line 1: {\"a\":}"),
            ("{,}", "Expected string or \"}\", but found \",\". | JSON data, line 1: {,..."),
            (
                "{\"a\":1 \"b\"}",
                "Expected \",\" or \"}\", but found \"\"b\"\". | JSON data, line 1: {\"a\":1 \"b\"...",
            ),
            ("[1,]", "Expected JSON value, but found \"]\". | JSON data, line 1: [1,]"),
            ("1 2", "Expected end of input, but found \"2\". | JSON data, line 1: 1 2"),
            ("{", "The input string ended unexpectedly. | JSON data, line 1: {"),
            ("01", "Token \"01\" is invalid. | JSON data, line 1: 01"),
            ("+1", "Token \"+\" is invalid. | JSON data, line 1: +..."),
            ("\"a\tb\"", "Character with value 0x09 must be escaped. | JSON data, line 1: \"a..."),
            ("{\"a\": 1,\n \"b\": x}", "Token \"x\" is invalid. | JSON data, line 2:  \"b\": x..."),
            (
                "\"\\ud800\"",
                "Unicode low surrogate must follow a high surrogate. | JSON data, line 1: \"\\ud800\"",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(detail(text), expected, "{text}");
        }
        assert_eq!(
            Json::parse("\"\\u0000\"", &FormatContext::default()).unwrap_err().sqlstate(),
            SqlState::UNTRANSLATABLE_CHARACTER
        );
        assert!(check("\"\\u0000\"", &FormatContext::default()).is_ok());
    }
}
