//! PostgreSQL's advanced regular expressions: parsing, and translation into the syntax of the `regex` family.
//!
//! # Differences
//! Classes and case folding follow Unicode. Collating elements are single characters.

use std::fmt::Write;

use ochre_base::{Error, Result, SqlState};

/// How a pattern is to be read and matched: the letters of `regexp_replace(…, flags)` and of a leading `(?…)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Flags {
    pub ignore_case: bool,
    /// `.` and `[^…]` do not match a newline.
    pub newline_stops: bool,
    /// `^` and `$` match at newlines.
    pub newline_anchors: bool,
    pub expanded: bool,
    /// The pattern is a plain string.
    pub literal: bool,
}

/// Which of the matches at the leftmost place counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preference {
    /// All candidates have one length, or the first found is the longest.
    First,
    Longest,
    Shortest,
}

/// A translated pattern.
#[derive(Debug)]
pub(crate) struct Translation {
    pub pattern: String,
    pub groups: usize,
    pub preference: Preference,
    /// Uses back-references or look-around.
    pub needs_backtracking: bool,
    /// About how many states an automaton of it has.
    pub size: u64,
}

#[cold]
pub(crate) fn invalid(reason: &str) -> Error {
    Error::new(SqlState::INVALID_REGULAR_EXPRESSION, format!("invalid regular expression: {reason}"))
}

/// Translates a pattern.
///
/// # Errors
/// 2201B in PostgreSQL's words.
pub(crate) fn translate(pattern: &str, mut flags: Flags) -> Result<Translation> {
    let mut pattern = pattern;
    if !flags.literal {
        if let Some(rest) = pattern.strip_prefix("***=") {
            flags.literal = true;
            pattern = rest;
        } else if let Some(rest) = pattern.strip_prefix("***:") {
            pattern = rest;
        } else if pattern.starts_with("***") {
            return Err(invalid("invalid regexp (reg version 0.8)"));
        }
    }
    if !flags.literal {
        pattern = embedded_options(pattern, &mut flags)?;
    }
    let mut translator = Translator {
        chars: pattern.chars().collect(),
        at: 0,
        flags,
        out: String::new(),
        groups: 0,
        open_groups: Vec::new(),
        needs_backtracking: false,
        quantifiers: 0,
        alternations: 0,
        depth: 0,
        size: 0,
    };
    if flags.literal {
        translator.chars.clone().into_iter().for_each(|c| translator.literal(c));
    } else {
        let preference = translator.alternatives()?;
        if translator.at < translator.chars.len() {
            return Err(invalid("parentheses () not balanced"));
        }
        return Ok(translator.finish(preference));
    }
    Ok(translator.finish(None))
}

/// Options in a leading `(?letters)`.
fn embedded_options<'a>(pattern: &'a str, flags: &mut Flags) -> Result<&'a str> {
    let Some(rest) = pattern.strip_prefix("(?") else { return Ok(pattern) };
    if !rest.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(pattern);
    }
    let Some(end) = rest.find(')') else { return Err(invalid("parentheses () not balanced")) };
    for letter in rest[..end].chars() {
        apply_option(letter, flags).map_err(|()| invalid("invalid embedded option"))?;
    }
    Ok(&rest[end + 1..])
}

/// Sets one option letter.
pub(crate) fn apply_option(letter: char, flags: &mut Flags) -> Result<(), ()> {
    match letter {
        'i' => flags.ignore_case = true,
        'c' => flags.ignore_case = false,
        'n' | 'm' => (flags.newline_stops, flags.newline_anchors) = (true, true),
        's' => (flags.newline_stops, flags.newline_anchors) = (false, false),
        'p' => (flags.newline_stops, flags.newline_anchors) = (true, false),
        'w' => (flags.newline_stops, flags.newline_anchors) = (false, true),
        'x' => flags.expanded = true,
        't' => flags.expanded = false,
        'q' => flags.literal = true,
        'b' | 'e' => {}
        _ => return Err(()),
    }
    Ok(())
}

struct Translator {
    chars: Vec<char>,
    at: usize,
    flags: Flags,
    out: String,
    groups: usize,
    /// Groups whose closing parenthesis has not come yet.
    open_groups: Vec<usize>,
    needs_backtracking: bool,
    quantifiers: usize,
    alternations: usize,
    depth: usize,
    /// States of what has been translated, repetitions counted as often as they may be.
    size: u64,
}

/// States for a byte, and for what joins and parts ways.
const FEW_STATES: u64 = 3;
/// For any character, or any but a few: its bytes are told apart by how many there are.
const ANY_STATES: u64 = 12;
/// For a class of characters that Unicode has scattered, at most.
const CLASS_STATES: u64 = 1500;
/// As [`CLASS_STATES`], of the digits of all scripts.
const DIGIT_STATES: u64 = 150;

/// Whether something prefers long matches (`Some(true)`), short ones, or has no preference.
type Greed = Option<bool>;

impl Translator {
    fn finish(self, preference: Greed) -> Translation {
        let mut pattern = String::from("(?");
        if self.flags.ignore_case {
            pattern.push('i');
        }
        if self.flags.newline_anchors {
            pattern.push('m');
        }
        if !self.flags.newline_stops {
            pattern.push('s');
        }
        if pattern.len() == 2 {
            pattern.clear();
        } else {
            pattern.push(')');
        }
        pattern.push_str(&self.out);
        Translation {
            pattern,
            groups: self.groups,
            preference: match preference {
                Some(false) => Preference::Shortest,
                _ if self.alternations > 0 || self.quantifiers > 1 => Preference::Longest,
                _ => Preference::First,
            },
            needs_backtracking: self.needs_backtracking,
            size: self.size,
        }
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn looking_at(&self, text: &str) -> bool {
        text.chars().enumerate().all(|(i, c)| self.chars.get(self.at + i) == Some(&c))
    }

    /// A class of characters, on its own or in brackets.
    fn class(&mut self, class: &str) {
        self.size += match class {
            "\\s" | "\\S" | "\\t\\p{Zs}" | "\\p{Cc}" | "0-9A-Fa-f" | "\\x00-\\x7f" => 2 * ANY_STATES,
            "\\d" | "\\D" => DIGIT_STATES,
            _ => CLASS_STATES,
        };
        self.out.push_str(class);
    }

    /// A character that stands for itself.
    fn literal(&mut self, c: char) {
        // Ignoring case, a character may be one of several.
        self.size += FEW_STATES * c.len_utf8() as u64 * if self.flags.ignore_case { 2 } else { 1 };
        if c.is_ascii_punctuation() {
            self.out.push('\\');
            self.out.push(c);
        } else if c.is_whitespace() || c.is_control() {
            let _ = write!(self.out, "\\x{{{:x}}}", c as u32);
        } else {
            self.out.push(c);
        }
    }

    fn alternatives(&mut self) -> Result<Greed> {
        self.depth += 1;
        if self.depth > 250 {
            return Err(invalid("regular expression is too complex"));
        }
        let mut greed = self.branch()?;
        while self.eat('|') {
            self.size += FEW_STATES;
            self.alternations += 1;
            self.out.push('|');
            self.branch()?;
            // An expression with alternatives always prefers the longest match.
            greed = Some(true);
        }
        self.depth -= 1;
        Ok(greed)
    }

    fn branch(&mut self) -> Result<Greed> {
        let mut greed: Greed = None;
        loop {
            self.skip_expanded();
            match self.peek() {
                None | Some('|') => break,
                Some(')') if self.depth > 1 => break,
                Some(')') => return Err(invalid("parentheses () not balanced")),
                _ => {}
            }
            let piece = self.piece()?;
            greed = greed.or(piece);
        }
        Ok(greed)
    }

    /// White space and comments of the expanded syntax, and `(?#…)` comments.
    fn skip_expanded(&mut self) {
        loop {
            if self.looking_at("(?#") {
                while let Some(c) = self.peek() {
                    self.at += 1;
                    if c == ')' {
                        break;
                    }
                }
            } else if self.flags.expanded && self.peek().is_some_and(char::is_whitespace) {
                self.at += 1;
            } else if self.flags.expanded && self.peek() == Some('#') {
                while self.peek().is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            } else {
                return;
            }
        }
    }

    fn piece(&mut self) -> Result<Greed> {
        let start = self.out.len();
        let size = self.size;
        let (own, quantifiable) = self.atom()?;
        self.skip_expanded();
        let Some((low, high)) = self.quantifier()? else { return Ok(own) };
        let times = u64::from(high.unwrap_or(low + 1).max(1));
        self.size = size.saturating_add((self.size - size + FEW_STATES).saturating_mul(times));
        if !quantifiable {
            return Err(invalid("quantifier operand invalid"));
        }
        self.skip_expanded();
        if self.out.len() == start {
            self.out.push_str("(?:)");
        }
        let lazy = self.eat('?');
        if matches!(self.peek(), Some('*' | '+')) || (self.peek() == Some('?')) {
            return Err(invalid("quantifier operand invalid"));
        }
        match (low, high) {
            (0, None) => self.out.push('*'),
            (1, None) => self.out.push('+'),
            (0, Some(1)) => self.out.push('?'),
            (low, None) => {
                let _ = write!(self.out, "{{{low},}}");
            }
            (low, Some(high)) if low == high => {
                let _ = write!(self.out, "{{{low}}}");
            }
            (low, Some(high)) => {
                let _ = write!(self.out, "{{{low},{high}}}");
            }
        }
        if high == Some(low) {
            // A fixed count has no preference of its own.
            return Ok(own);
        }
        self.quantifiers += 1;
        if lazy {
            self.out.push('?');
        }
        Ok(Some(!lazy))
    }

    /// A quantifier's bounds.
    fn quantifier(&mut self) -> Result<Option<(u32, Option<u32>)>> {
        let bounds = match self.peek() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if self.chars.get(self.at + 1).is_some_and(char::is_ascii_digit) => {
                self.at += 1;
                let low = self.count()?;
                let high = if self.eat(',') {
                    if self.peek().is_some_and(|c| c.is_ascii_digit()) { Some(self.count()?) } else { None }
                } else {
                    Some(low)
                };
                if !self.eat('}') {
                    return Err(if self.peek().is_none() {
                        invalid("braces {} not balanced")
                    } else {
                        invalid("invalid repetition count(s)")
                    });
                }
                if low > 255 || high.is_some_and(|high| high > 255 || high < low) {
                    return Err(invalid("invalid repetition count(s)"));
                }
                return Ok(Some((low, high)));
            }
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(bounds))
    }

    fn count(&mut self) -> Result<u32> {
        let mut value = 0u32;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            value = value.saturating_mul(10).saturating_add(digit);
            self.at += 1;
        }
        Ok(value)
    }

    /// One atom or constraint; whether it may be quantified.
    fn atom(&mut self) -> Result<(Greed, bool)> {
        let c = self.chars[self.at];
        self.at += 1;
        match c {
            '(' => self.group(),
            '[' => {
                self.bracket()?;
                Ok((None, true))
            }
            '.' => {
                self.size += ANY_STATES;
                self.out.push('.');
                Ok((None, true))
            }
            '^' | '$' => {
                self.out.push(c);
                Ok((None, false))
            }
            '*' | '+' | '?' => Err(invalid("quantifier operand invalid")),
            '{' if self.peek().is_some_and(|c| c.is_ascii_digit()) => {
                Err(invalid("quantifier operand invalid"))
            }
            '\\' => self.escape(),
            c => {
                self.literal(c);
                Ok((None, true))
            }
        }
    }

    fn group(&mut self) -> Result<(Greed, bool)> {
        let look = ["?=", "?!", "?<=", "?<!"].into_iter().find(|prefix| self.looking_at(prefix));
        if let Some(prefix) = look {
            self.at += prefix.len();
            self.needs_backtracking = true;
            let _ = write!(self.out, "({prefix}");
            self.alternatives()?;
            self.close()?;
            return Ok((None, false));
        }
        if self.looking_at("?:") {
            self.at += 2;
            self.out.push_str("(?:");
            let greed = self.alternatives()?;
            self.close()?;
            return Ok((greed, true));
        }
        if self.peek() == Some('?') {
            return Err(invalid("quantifier operand invalid"));
        }
        self.size += 2 * FEW_STATES;
        self.groups += 1;
        self.open_groups.push(self.groups);
        self.out.push('(');
        let greed = self.alternatives()?;
        self.close()?;
        self.open_groups.pop();
        Ok((greed, true))
    }

    fn close(&mut self) -> Result<()> {
        if !self.eat(')') {
            return Err(invalid("parentheses () not balanced"));
        }
        self.out.push(')');
        Ok(())
    }

    fn escape(&mut self) -> Result<(Greed, bool)> {
        let Some(c) = self.peek() else { return Err(invalid("invalid escape \\ sequence")) };
        self.at += 1;
        let constraint = match c {
            'A' => Some("\\A"),
            'Z' => Some("\\z"),
            'm' => Some("\\b{start}"),
            'M' => Some("\\b{end}"),
            'y' => Some("\\b"),
            'Y' => Some("\\B"),
            _ => None,
        };
        if let Some(constraint) = constraint {
            self.out.push_str(constraint);
            return Ok((None, false));
        }
        if let Some(class) = class_escape(c) {
            self.class(class);
            return Ok((None, true));
        }
        if c.is_ascii_digit() && c != '0' {
            let start = self.at - 1;
            while self.peek().is_some_and(|c| c.is_ascii_digit()) {
                self.at += 1;
            }
            let digits: String = self.chars[start..self.at].iter().collect();
            let number: usize = digits.parse().unwrap_or(usize::MAX);
            // One digit is a back-reference; more are one when there are that many groups, else an octal number.
            if digits.len() == 1 || number <= self.groups {
                if number > self.groups || self.open_groups.contains(&number) {
                    return Err(invalid("invalid backreference number"));
                }
                self.needs_backtracking = true;
                let _ = write!(self.out, "(?:\\{number})");
                return Ok((None, true));
            }
            self.at = start;
            let code = self.number(8, 3).ok_or_else(|| invalid("invalid escape \\ sequence"))?;
            self.literal(char_of(code)?);
            return Ok((None, true));
        }
        let literal = self.character_escape(c)?;
        self.literal(literal);
        Ok((None, true))
    }

    /// Up to `most` digits of a base.
    fn number(&mut self, base: u32, most: usize) -> Option<u32> {
        let mut value: Option<u32> = None;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(base)) else { break };
            value = Some(value.unwrap_or(0).checked_mul(base)?.checked_add(digit)?);
            self.at += 1;
        }
        value
    }

    /// The character that `\c` means, `c` having been read.
    fn character_escape(&mut self, c: char) -> Result<char> {
        let bad = || invalid("invalid escape \\ sequence");
        Ok(match c {
            'a' => '\x07',
            'b' => '\x08',
            'B' => '\\',
            'c' => {
                let control = self.peek().ok_or_else(bad)?;
                self.at += 1;
                char_of(control as u32 & 0x1f)?
            }
            'e' => '\x1b',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            'u' | 'U' => {
                let wanted = if c == 'u' { 4 } else { 8 };
                let before = self.at;
                let code = self.number(16, wanted).ok_or_else(bad)?;
                if self.at - before != wanted {
                    return Err(bad());
                }
                char_of(code)?
            }
            'x' => char_of(self.number(16, 255).ok_or_else(bad)?)?,
            '0' => char_of(self.number(8, 2).unwrap_or(0))?,
            c if c.is_ascii_alphanumeric() => return Err(bad()),
            c => c,
        })
    }

    /// A bracket expression; the `[` has been read.
    fn bracket(&mut self) -> Result<()> {
        let unbalanced = || invalid("brackets [] not balanced");
        if self.looking_at("[:<:]]") || self.looking_at("[:>:]]") {
            self.out.push_str(if self.looking_at("[:<:]]") { "\\b{start}" } else { "\\b{end}" });
            self.at += 6;
            return Ok(());
        }
        let negated = self.eat('^');
        self.size += if negated { ANY_STATES } else { FEW_STATES };
        self.out.push_str(if negated { "[^" } else { "[" });
        if negated && self.flags.newline_stops {
            self.out.push_str("\\n");
        }
        let mut first = true;
        let mut empty = true;
        loop {
            let c = self.peek().ok_or_else(unbalanced)?;
            if c == ']' && !first {
                self.at += 1;
                break;
            }
            first = false;
            if self.looking_at("[:") {
                let name = self.named(':')?;
                let class = class_name(&name).ok_or_else(|| invalid("invalid character class"))?;
                self.class(class);
                empty = false;
                continue;
            }
            if c == '\\'
                && let Some(class) = self.chars.get(self.at + 1).copied().and_then(class_escape)
            {
                self.at += 2;
                self.class(class);
                empty = false;
                continue;
            }
            let low = self.bracket_character()?;
            let is_range = self.peek() == Some('-') && self.chars.get(self.at + 1).is_some_and(|c| *c != ']');
            let high = if is_range {
                self.at += 1;
                self.bracket_character()?
            } else {
                low
            };
            if high < low {
                return Err(invalid("invalid character range"));
            }
            self.literal(low);
            if high > low {
                self.size += ANY_STATES;
                self.out.push('-');
                self.literal(high);
            }
            empty = false;
        }
        let _ = empty;
        self.out.push(']');
        Ok(())
    }

    fn bracket_character(&mut self) -> Result<char> {
        let unbalanced = || invalid("brackets [] not balanced");
        if self.looking_at("[.") || self.looking_at("[=") {
            let mark = self.chars[self.at + 1];
            let name = self.named(mark)?;
            let mut chars = name.chars();
            return match (chars.next(), chars.next()) {
                (Some(c), None) => Ok(c),
                _ => collating_name(&name).ok_or_else(|| invalid("invalid collating element")),
            };
        }
        let c = self.peek().ok_or_else(unbalanced)?;
        self.at += 1;
        if c != '\\' {
            return Ok(c);
        }
        let escaped = self.peek().ok_or_else(unbalanced)?;
        self.at += 1;
        if escaped.is_ascii_digit() && escaped != '0' {
            self.at -= 1;
            return char_of(self.number(8, 3).ok_or_else(|| invalid("invalid escape \\ sequence"))?);
        }
        self.character_escape(escaped)
    }

    /// The name in `[:name:]`, `[.name.]` or `[=name=]`.
    fn named(&mut self, mark: char) -> Result<String> {
        self.at += 2;
        let start = self.at;
        while self.at < self.chars.len() {
            if self.chars[self.at] == mark && self.chars.get(self.at + 1) == Some(&']') {
                let name = self.chars[start..self.at].iter().collect();
                self.at += 2;
                return Ok(name);
            }
            self.at += 1;
        }
        Err(invalid("brackets [] not balanced"))
    }
}

fn char_of(code: u32) -> Result<char> {
    char::from_u32(code).ok_or_else(|| invalid("invalid escape \\ sequence"))
}

fn class_escape(c: char) -> Option<&'static str> {
    Some(match c {
        'd' => "\\d",
        'D' => "\\D",
        's' => "\\s",
        'S' => "\\S",
        'w' => "\\w",
        'W' => "\\W",
        _ => return None,
    })
}

fn class_name(name: &str) -> Option<&'static str> {
    Some(match name {
        "alnum" => "\\p{Alphabetic}\\p{N}",
        "alpha" => "\\p{Alphabetic}",
        "blank" => "\\t\\p{Zs}",
        "cntrl" => "\\p{Cc}",
        "digit" => "\\d",
        "graph" => "[^\\s\\p{Cc}\\p{Cn}\\p{Cs}]",
        "lower" => "\\p{Lowercase}",
        "print" => "[[^\\s\\p{Cc}\\p{Cn}\\p{Cs}] ]",
        "punct" => "\\p{P}\\p{S}",
        "space" => "\\s",
        "upper" => "\\p{Uppercase}",
        "xdigit" => "0-9A-Fa-f",
        "word" => "\\w",
        "ascii" => "\\x00-\\x7f",
        _ => return None,
    })
}

fn collating_name(name: &str) -> Option<char> {
    Some(match name {
        "space" => ' ',
        "tab" => '\t',
        "newline" => '\n',
        "hyphen" | "hyphen-minus" => '-',
        "period" | "full-stop" => '.',
        "slash" | "solidus" => '/',
        "backslash" => '\\',
        _ => return None,
    })
}
