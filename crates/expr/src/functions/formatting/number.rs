//! `to_char` and `to_number` of numbers.
//!
//! # Not done
//! The locale's symbols: group separator, decimal point and currency are those of the C locale.

use ochre_base::{Error, Result, SqlState};
use ochre_types::{Numeric, Pace};

use super::template::{NODE_BYTES, ordinal_ending};

/// One element of a number's template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    /// `9`, or `0` when `zero`.
    Digit {
        zero: bool,
    },
    Point,
    Comma,
    Currency,
    /// `S`, `MI`, `PL`, `SG`.
    Sign(Sign),
    Ordinal {
        upper: bool,
    },
    /// `V`: the decimal point is moved behind the digits that follow.
    Shift,
    Literal(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `S`: plus or minus, next to the number.
    Anchored,
    Minus,
    Plus,
    Either,
}

/// A template with what it says as a whole.
#[derive(Default)]
struct Template {
    nodes: Vec<Node>,
    /// `FM`.
    fill: bool,
    /// Digits before and behind the point (or the `V`).
    before: usize,
    behind: usize,
    has_point: bool,
    shift: bool,
    /// Position among the digits before the point of the first `0`.
    first_zero: Option<usize>,
    /// Number of the last `0` behind the point, counted from 1.
    last_zero_behind: usize,
    brackets: bool,
    exponent: bool,
    roman: Option<bool>,
    anchored_front: bool,
    anchored_back: bool,
    has_sign: bool,
}

fn syntax(message: &str) -> Error {
    Error::new(SqlState::SYNTAX_ERROR, message)
}

fn parse(template: &str, pace: &mut Pace<'_>) -> Result<Template> {
    let mut t = Template::default();
    let mut rest = template;
    let starts = |rest: &str, word: &str| {
        rest.len() >= word.len()
            && rest.is_char_boundary(word.len())
            && rest[..word.len()].eq_ignore_ascii_case(word)
    };
    while let Some(c) = rest.chars().next() {
        pace.advance(NODE_BYTES)?;
        let node = if starts(rest, "FM") {
            t.fill = true;
            rest = &rest[2..];
            continue;
        } else if starts(rest, "EEEE") {
            if t.exponent {
                return Err(syntax("cannot use \"EEEE\" twice"));
            }
            t.exponent = true;
            rest = &rest[4..];
            continue;
        } else if starts(rest, "PR") {
            t.brackets = true;
            t.has_sign = true;
            rest = &rest[2..];
            continue;
        } else if starts(rest, "MI") {
            Some((2, Node::Sign(Sign::Minus)))
        } else if starts(rest, "PL") {
            Some((2, Node::Sign(Sign::Plus)))
        } else if starts(rest, "SG") {
            Some((2, Node::Sign(Sign::Either)))
        } else if starts(rest, "TH") {
            Some((2, Node::Ordinal { upper: rest.starts_with("TH") }))
        } else if starts(rest, "RN") {
            t.roman = Some(rest.starts_with('R'));
            rest = &rest[2..];
            continue;
        } else {
            match c {
                '9' | '0' => Some((1, Node::Digit { zero: c == '0' })),
                '.' | 'D' | 'd' => Some((1, Node::Point)),
                ',' | 'G' | 'g' => Some((1, Node::Comma)),
                'L' | 'l' => Some((1, Node::Currency)),
                'S' | 's' => Some((1, Node::Sign(Sign::Anchored))),
                'V' | 'v' => Some((1, Node::Shift)),
                '"' => {
                    rest = &rest[1..];
                    while let Some(c) = rest.chars().next() {
                        rest = &rest[c.len_utf8()..];
                        pace.advance(NODE_BYTES)?;
                        match c {
                            '"' => break,
                            '\\' => {
                                if let Some(escaped) = rest.chars().next() {
                                    rest = &rest[escaped.len_utf8()..];
                                    t.nodes.push(Node::Literal(escaped));
                                }
                            }
                            c => t.nodes.push(Node::Literal(c)),
                        }
                    }
                    continue;
                }
                c => Some((c.len_utf8(), Node::Literal(c))),
            }
        };
        let Some((length, node)) = node else { continue };
        rest = &rest[length..];
        t.note(&node)?;
        t.nodes.push(node);
    }
    Ok(t)
}

impl Template {
    fn note(&mut self, node: &Node) -> Result<()> {
        match node {
            Node::Digit { zero } => {
                if self.brackets {
                    return Err(syntax("\"9\" must be ahead of \"PR\""));
                }
                if self.has_point || self.shift {
                    self.behind += 1;
                    if *zero {
                        self.last_zero_behind = self.behind;
                    }
                } else {
                    if *zero && self.first_zero.is_none() {
                        self.first_zero = Some(self.before);
                    }
                    self.before += 1;
                }
            }
            Node::Point => {
                if self.has_point {
                    return Err(syntax("multiple decimal points"));
                }
                if self.shift {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.has_point = true;
            }
            Node::Shift => {
                if self.has_point {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.shift = true;
            }
            Node::Sign(Sign::Anchored) => {
                if self.anchored_front || self.anchored_back {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.has_sign {
                    return Err(syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                if self.before == 0 && !self.has_point {
                    self.anchored_front = true
                } else {
                    self.anchored_back = true
                }
                self.has_sign = true;
            }
            Node::Sign(_) => self.has_sign = true,
            _ => {}
        }
        Ok(())
    }
}

/// `to_char` of a float: only as many digits as the type carries are shown.
pub(super) fn float_to_char(value: f64, digits: i32, template: &str, pace: &mut Pace<'_>) -> Result<String> {
    let parsed = parse(template, pace)?;
    if parsed.exponent || parsed.roman.is_some() || !value.is_finite() {
        return to_char(&Numeric::from_f64(value), template, pace);
    }
    let shifted = if parsed.shift { value * 10f64.powi(parsed.behind as i32) } else { value };
    let whole_digits = (shifted.abs().log10().floor() as i32 + 1).max(1);
    let behind = if parsed.shift { 0 } else { parsed.behind as i32 };
    let kept = if whole_digits >= digits { 0 } else { behind.min(digits - whole_digits) };
    let mut text =
        format!("{:.*}", kept.max(0) as usize, if kept == 0 { shifted.round_ties_even() } else { shifted });
    if behind > kept {
        if kept == 0 {
            text.push('.');
        }
        text.extend(std::iter::repeat_n('0', (behind - kept) as usize));
    }
    layout(&parsed, &text, pace)
}

/// `to_char` of a number.
pub(super) fn to_char(value: &Numeric, template: &str, pace: &mut Pace<'_>) -> Result<String> {
    let parsed = parse(template, pace)?;
    let special = value.is_nan() || value.is_infinite();
    if let Some(upper) = parsed.roman {
        return Ok(roman(value, upper, parsed.fill));
    }
    if parsed.exponent {
        return scientific(value, &parsed);
    }
    if special {
        let text = printed(value);
        let shown = if value.is_nan() { "NaN" } else { text.as_str() };
        return layout(&parsed, shown, pace);
    }
    let scaled = if parsed.shift {
        value.mul(&Numeric::from_i64(10).power(&Numeric::from_i64(parsed.behind as i64))?)?.round(0)?
    } else {
        value.round(parsed.behind as i32)?
    };
    layout(&parsed, &printed(&scaled), pace)
}

fn printed(value: &Numeric) -> String {
    let mut out = Vec::new();
    value.print(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Puts the digits of a rounded number into the template.
fn layout(t: &Template, text: &str, pace: &mut Pace<'_>) -> Result<String> {
    let negative = text.starts_with('-');
    let unsigned = text.trim_start_matches('-');
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_number = whole.bytes().all(|b| b.is_ascii_digit());
    let whole = if whole == "0" && is_number { "" } else { whole };
    let before = if t.shift { t.before + t.behind } else { t.before };
    let overflow = whole.len() > before || !is_number;
    // A negative number that is shown as zero has no sign.
    let negative = negative && (overflow || unsigned.bytes().any(|b| b.is_ascii_digit() && b != b'0'));
    let digits: Vec<char> = if overflow { vec!['#'; before] } else { right_aligned(whole, before) };
    let behind: Vec<char> = if overflow { vec!['#'; t.behind] } else { fraction.chars().collect() };
    let first_shown = if overflow {
        0
    } else {
        let first_digit = digits.iter().position(|c| *c != ' ').unwrap_or(before);
        // Without a fraction the last place shows a zero.
        let first_digit = if first_digit == before && !(t.has_point && t.behind > 0) {
            before.saturating_sub(1)
        } else {
            first_digit
        };
        t.first_zero.map_or(first_digit, |zero| zero.min(first_digit))
    };
    // FM drops trailing zeros that the template does not ask for with `0`.
    let kept_behind = if t.fill && !overflow {
        let significant = behind.iter().rposition(|c| *c != '0').map_or(0, |last| last + 1);
        significant.max(t.last_zero_behind)
    } else {
        t.behind
    };
    Layout { t, digits, behind, first_shown, kept_behind, negative, out: String::new() }.run(pace)
}

/// The digits with blanks in front of them.
fn right_aligned(digits: &str, width: usize) -> Vec<char> {
    let blanks = std::iter::repeat_n(' ', width.saturating_sub(digits.len()));
    blanks.chain(digits.chars()).collect()
}

struct Layout<'a> {
    t: &'a Template,
    digits: Vec<char>,
    behind: Vec<char>,
    first_shown: usize,
    kept_behind: usize,
    negative: bool,
    out: String,
}

impl Layout<'_> {
    fn run(mut self, pace: &mut Pace<'_>) -> Result<String> {
        let t = self.t;
        let last_place = t.nodes.iter().rposition(|n| matches!(n, Node::Digit { .. } | Node::Point));
        let (mut place, mut fraction_place) = (0, 0);
        let mut in_fraction = false;
        let mut sign_written = false;
        let mut bracket_open = false;
        let mut after_last_digit = false;
        let places = self.digits.len();
        for (at, node) in t.nodes.iter().enumerate() {
            pace.advance(NODE_BYTES)?;
            match node {
                Node::Digit { .. } if !in_fraction || t.shift => {
                    if place < self.first_shown {
                        self.blank();
                    } else {
                        if !sign_written {
                            self.leading_sign(&mut bracket_open);
                            sign_written = true;
                        }
                        let c = self.digits[place];
                        self.out.push(if c == ' ' { '0' } else { c });
                    }
                    place += 1;
                    if place == places && !t.has_point {
                        after_last_digit = true;
                    }
                }
                Node::Digit { .. } => {
                    if !sign_written {
                        self.leading_sign(&mut bracket_open);
                        sign_written = true;
                    }
                    if fraction_place < self.kept_behind {
                        self.out.push(self.behind.get(fraction_place).copied().unwrap_or('0'));
                    }
                    fraction_place += 1;
                    if fraction_place == t.behind {
                        after_last_digit = true;
                    }
                }
                Node::Point => {
                    if !sign_written {
                        self.leading_sign(&mut bracket_open);
                        sign_written = true;
                    }
                    in_fraction = true;
                    self.out.push('.');
                    if t.behind == 0 {
                        after_last_digit = true;
                    }
                }
                Node::Comma => {
                    if in_fraction || place > self.first_shown || (place == self.first_shown && sign_written)
                    {
                        self.out.push(',');
                    } else {
                        self.blank();
                    }
                }
                Node::Shift => in_fraction = true,
                Node::Currency => self.out.push(' '),
                Node::Sign(Sign::Anchored) => {
                    if t.anchored_back {
                        self.out.push(if self.negative { '-' } else { '+' });
                    }
                }
                Node::Sign(Sign::Minus) => {
                    if self.negative {
                        self.out.push('-')
                    } else {
                        self.blank()
                    }
                }
                Node::Sign(Sign::Plus) => {
                    if self.negative {
                        self.blank()
                    } else {
                        self.out.push('+')
                    }
                }
                Node::Sign(Sign::Either) => self.out.push(if self.negative { '-' } else { '+' }),
                Node::Ordinal { upper } => {
                    // Where one is too large, each of its digits is shown as `#`.
                    if !self.negative && !t.has_point && self.digits.last() != Some(&'#') {
                        let number: String = self.digits[places.saturating_sub(2)..].iter().collect();
                        let ending = ordinal_ending(&number, *upper);
                        self.out.push_str(ending);
                    }
                }
                Node::Literal(c) => self.out.push(*c),
            }
            // The sign of `PL` alone still needs a column for a minus.
            let last_digit_done = after_last_digit && last_place.is_none_or(|last| at >= last);
            if last_digit_done && t.brackets && bracket_open {
                self.out.push(if self.negative { '>' } else { ' ' });
                bracket_open = false;
                if t.fill && !self.negative {
                    self.out.pop();
                }
            }
        }
        Ok(self.out)
    }

    fn blank(&mut self) {
        if !self.t.fill {
            self.out.push(' ');
        }
    }

    /// What stands before the first digit: the sign's column, or an opening bracket.
    fn leading_sign(&mut self, bracket_open: &mut bool) {
        let t = self.t;
        if t.brackets {
            *bracket_open = true;
            if self.negative { self.out.push('<') } else { self.blank() }
        } else if t.anchored_front {
            self.out.push(if self.negative { '-' } else { '+' });
        } else if !t.has_sign || (!t.anchored_back && !self.has_explicit_minus()) {
            if self.negative { self.out.push('-') } else { self.blank() }
        }
    }

    /// Whether the template says where a minus goes.
    fn has_explicit_minus(&self) -> bool {
        self.t.nodes.iter().any(|node| matches!(node, Node::Sign(Sign::Minus | Sign::Either)))
    }
}

/// `d.ddde±dd`.
fn scientific(value: &Numeric, t: &Template) -> Result<String> {
    if t.has_sign || t.shift {
        return Err(syntax("\"EEEE\" is incompatible with other formats"));
    }
    if value.is_nan() || value.is_infinite() {
        let width = t.before + t.behind + usize::from(t.has_point) + 4;
        return Ok(format!(" {}", "#".repeat(width)));
    }
    let text = printed(&value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let all: String = format!("{whole}{fraction}");
    let first = all.bytes().position(|b| b != b'0');
    let mut exponent = first.map_or(0, |first| whole.len() as i32 - 1 - first as i32);
    let scale = t.behind as i32 - exponent;
    let negative = value.compare(&Numeric::ZERO).is_lt();
    let mut digits: String = if first.is_none() {
        "0".repeat(t.behind + 1)
    } else {
        let rounded = printed(&value.abs().round(scale)?);
        let kept: String = rounded
            .chars()
            .filter(char::is_ascii_digit)
            .skip_while(|c| *c == '0')
            .take(t.behind + 2)
            .collect();
        kept
    };
    if digits.len() > t.behind + 1 && first.is_some() {
        // Rounding up may have made one digit more; rounding before the point leaves zeros behind.
        let rounded = printed(&value.abs().round(scale)?);
        let whole_now = rounded.split('.').next().map_or(0, str::len) as i32;
        if exponent >= 0 && whole_now > exponent + 1 {
            exponent = whole_now - 1;
        }
        digits.truncate(t.behind + 1);
    }
    while digits.len() < t.behind + 1 {
        digits.push('0');
    }
    let point = if t.behind > 0 { "." } else { "" };
    let sign = if negative {
        "-"
    } else if t.fill {
        ""
    } else {
        " "
    };
    let mark = if exponent < 0 { '-' } else { '+' };
    Ok(format!("{sign}{}{point}{}e{mark}{:02}", &digits[..1], &digits[1..], exponent.abs()))
}

/// Roman numerals, right-aligned in 15 columns; `#` outside 1 to 3999.
fn roman(value: &Numeric, upper: bool, fill: bool) -> String {
    const PARTS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let number = value.round(0).and_then(|rounded| rounded.to_i64()).unwrap_or(0);
    if !(1..=3999).contains(&number) {
        return "#".repeat(15);
    }
    let mut rest = number;
    let mut out = String::new();
    for (part, letters) in PARTS {
        while rest >= part {
            out.push_str(letters);
            rest -= part;
        }
    }
    if !upper {
        out = out.to_lowercase();
    }
    if fill { out } else { format!("{out:>15}") }
}

/// `to_number`: reads the digits, sign and point that the template leads through.
pub(super) fn to_number(text: &str, template: &str, pace: &mut Pace<'_>) -> Result<Option<Numeric>> {
    let t = parse(template, pace)?;
    if t.exponent {
        return Err(Error::new(SqlState::FEATURE_NOT_SUPPORTED, "\"EEEE\" not supported for input"));
    }
    if t.roman.is_some() {
        return Err(Error::unsupported("Roman numerals in to_number"));
    }
    if template.is_empty() {
        return Ok(None);
    }
    let mut chars = text.chars().peekable();
    let mut digits = String::new();
    let mut negative = false;
    let mut seen_point = false;
    let mut take_sign = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        while chars.next_if_eq(&' ').is_some() {}
        match chars.peek() {
            Some('-') => {
                negative = true;
                chars.next();
            }
            Some('+') => {
                chars.next();
            }
            Some('<') if t.brackets => {
                negative = true;
                chars.next();
            }
            _ => {}
        }
    };
    let (mut whole, mut behind) = (0, 0);
    for node in &t.nodes {
        pace.advance(NODE_BYTES)?;
        match node {
            Node::Digit { .. } => {
                if digits.is_empty() {
                    take_sign(&mut chars);
                } else {
                    while chars.next_if_eq(&' ').is_some() {}
                }
                if chars.peek() == Some(&'.') && t.has_point && !seen_point {
                    continue;
                }
                if let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    if seen_point && behind < t.behind || !seen_point && whole < t.before + t.behind {
                        digits.push(digit);
                    }
                    if seen_point { behind += 1 } else { whole += 1 }
                }
            }
            Node::Point => {
                if chars.next_if_eq(&'.').is_some() {
                    seen_point = true;
                    digits.push('.');
                }
            }
            Node::Comma => {
                chars.next_if_eq(&',');
            }
            Node::Sign(_) => take_sign(&mut chars),
            Node::Shift => {}
            Node::Currency | Node::Ordinal { .. } => {
                chars.next_if(|c| !c.is_ascii_digit());
            }
            Node::Literal(_) => {
                chars.next_if(|c| !c.is_ascii_digit() && !matches!(c, '-' | '+' | '.'));
            }
        }
    }
    let invalid =
        || Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type numeric: \" \"");
    if !digits.bytes().any(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    let number = Numeric::parse(&format!("{}{digits}", if negative { "-" } else { "" }))?;
    if t.shift {
        let divisor = Numeric::from_i64(10).power(&Numeric::from_i64(t.behind as i64))?;
        return Ok(Some(number.div(&divisor)?));
    }
    Ok(Some(number))
}
