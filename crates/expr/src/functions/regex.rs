//! Regular expressions: compiled patterns, and the functions and operators over them.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use ochre_base::{Error, Result, SqlState};
use ochre_types::{ArrayValue, Datum, PhysicalType, SqlType};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input, MatchKind, meta};

use super::Implementations;
use super::are::{self, Flags, Preference, Translation};
use super::kernels::Text;
use super::text::char_offset;
use crate::CallContext;
use crate::errors::{invalid_parameter, wrong_form};
use crate::eval::RowSet;

/// Compiled patterns kept per thread.
const CACHED_PATTERNS: usize = 32;

/// The longest pattern, in bytes. Compiling cannot be interrupted; PostgreSQL refuses a fraction of this.
const LONGEST_PATTERN: usize = 1 << 18;

/// Where a match and its groups lie, as byte offsets; index 0 is the whole match.
pub(crate) type Spans = Vec<Option<(usize, usize)>>;

/// A compiled pattern.
pub(crate) struct Regex {
    translation: Translation,
    engine: Engine,
}

enum Engine {
    Automaton {
        /// Finds where the leftmost match begins; its own end and groups serve when they are the wanted ones.
        first: Box<meta::Regex>,
        /// Finds all ends of matches from a given place.
        ends: Option<Box<(DFA, RefCell<Cache>)>>,
        /// Finds the groups of a match whose end is the end of the text.
        whole: OnceCell<Option<Box<meta::Regex>>>,
    },
    Backtracking(Box<fancy_regex::Regex>),
}

impl Regex {
    fn new(pattern: &str, flags: Flags) -> Result<Regex> {
        let translation = are::translate(pattern, flags)?;
        if translation.needs_backtracking {
            // The backtracking engine knows no half boundaries.
            let text = translation
                .pattern
                .replace("\\b{start}", "(?:(?<!\\w)(?=\\w))")
                .replace("\\b{end}", "(?:(?<=\\w)(?!\\w))");
            let engine =
                fancy_regex::Regex::new(&text).map_err(|_| are::invalid("regular expression failed"))?;
            return Ok(Regex { translation, engine: Engine::Backtracking(Box::new(engine)) });
        }
        let first = build(&translation.pattern)?;
        let ends = match translation.preference {
            Preference::First => None,
            _ => DFA::builder()
                .configure(
                    DFA::config()
                        .match_kind(MatchKind::All)
                        .unicode_word_boundary(true)
                        .skip_cache_capacity_check(true),
                )
                .build(&translation.pattern)
                .ok()
                .map(|dfa| {
                    let cache = RefCell::new(dfa.create_cache());
                    Box::new((dfa, cache))
                }),
        };
        Ok(Regex {
            translation,
            engine: Engine::Automaton { first: Box::new(first), ends, whole: OnceCell::new() },
        })
    }

    /// Capturing groups.
    pub(crate) fn groups(&self) -> usize {
        self.translation.groups
    }

    /// Whether the pattern occurs.
    pub(crate) fn is_match(&self, text: &str) -> Result<bool> {
        match &self.engine {
            Engine::Automaton { first, .. } => Ok(first.is_match(text)),
            Engine::Backtracking(regex) => regex.is_match(text).map_err(|_| too_complex()),
        }
    }

    /// The leftmost match that begins at or after `from`, of the length that the pattern prefers.
    pub(crate) fn find(&self, text: &str, from: usize) -> Result<Option<Spans>> {
        match &self.engine {
            Engine::Backtracking(regex) => {
                let found = regex.captures_from_pos(text, from).map_err(|_| too_complex())?;
                Ok(found.map(|captures| captures.iter().map(|m| m.map(|m| (m.start(), m.end()))).collect()))
            }
            Engine::Automaton { first, ends, whole } => {
                let mut captures = first.create_captures();
                first.search_captures(&Input::new(text).range(from..), &mut captures);
                let Some(found) = captures.get_match() else { return Ok(None) };
                let mut end = found.end();
                if let Some(both) = ends {
                    let (dfa, cache) = &**both;
                    let input = Input::new(text)
                        .range(found.start()..)
                        .anchored(Anchored::Yes)
                        .earliest(self.translation.preference == Preference::Shortest);
                    if let Ok(Some(half)) = dfa.try_search_fwd(&mut cache.borrow_mut(), &input) {
                        end = half.offset();
                    }
                }
                if end != found.end() {
                    let pattern = || format!("(?:{})\\z", self.translation.pattern);
                    let whole = whole.get_or_init(|| build(&pattern()).ok().map(Box::new));
                    let input = Input::new(&text[..end]).range(found.start()..).anchored(Anchored::Yes);
                    if let Some(whole) = whole {
                        let mut exact = whole.create_captures();
                        whole.search_captures(&input, &mut exact);
                        if exact.is_match() {
                            captures = exact;
                        }
                    }
                }
                let mut spans: Spans =
                    (0..=self.groups()).map(|i| captures.get_group(i).map(|s| (s.start, s.end))).collect();
                spans[0] = Some((found.start(), end));
                Ok(Some(spans))
            }
        }
    }
}

fn build(pattern: &str) -> Result<meta::Regex> {
    meta::Regex::builder()
        .configure(meta::Config::new().nfa_size_limit(Some(16 << 20)))
        .build(pattern)
        .map_err(|_| are::invalid("regular expression is too complex"))
}

#[cold]
fn too_complex() -> Error {
    Error::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        "regular expression failed: regular expression is too complex",
    )
}

/// A pattern with its flags, and what they compile to.
type CachedPattern = ((String, Flags), Rc<Regex>);

thread_local! {
    /// Most recently used last.
    static CACHE: RefCell<Vec<CachedPattern>> = const { RefCell::new(Vec::new()) };
}

/// A compiled pattern, from the thread's cache where it is there.
pub(crate) fn compiled(pattern: &str, flags: Flags) -> Result<Rc<Regex>> {
    let known = CACHE.with_borrow_mut(|cache| {
        let at = cache.iter().rposition(|((known, f), _)| known == pattern && *f == flags)?;
        if at + 1 != cache.len() {
            let entry = cache.remove(at);
            cache.push(entry);
        }
        cache.last().map(|(_, regex)| regex.clone())
    });
    if let Some(regex) = known {
        return Ok(regex);
    }
    if pattern.len() > LONGEST_PATTERN {
        return Err(are::invalid("regular expression is too complex"));
    }
    let regex = Rc::new(Regex::new(pattern, flags)?);
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHED_PATTERNS {
            cache.remove(0);
        }
        cache.push(((pattern.to_owned(), flags), regex.clone()));
    });
    Ok(regex)
}

/// Reads a flags argument; whether `g` was among them.
fn parse_flags(letters: &str) -> Result<(Flags, bool)> {
    let mut flags = Flags::default();
    let mut global = false;
    for letter in letters.chars() {
        if letter == 'g' {
            global = true;
        } else {
            are::apply_option(letter, &mut flags).map_err(|()| {
                invalid_parameter(format!("invalid regular expression option: \"{letter}\""))
            })?;
        }
    }
    Ok((flags, global))
}

fn no_global(function: &str, global: bool) -> Result<()> {
    if !global {
        return Ok(());
    }
    let error = invalid_parameter(format!("{function}() does not support the \"global\" option"));
    Err(if function == "regexp_match" {
        error.hint("Use the regexp_matches function instead.")
    } else {
        error
    })
}

const IGNORE_CASE: Flags = Flags {
    ignore_case: true,
    newline_stops: false,
    newline_anchors: false,
    expanded: false,
    literal: false,
};

#[rustfmt::skip]
pub(super) fn register(r: &mut Implementations) {
    for (source, flags, negated) in [
        ("textregexeq", Flags::default(), false), ("textregexne", Flags::default(), true),
        ("texticregexeq", IGNORE_CASE, false), ("texticregexne", IGNORE_CASE, true),
        ("nameregexeq", Flags::default(), false), ("nameregexne", Flags::default(), true),
        ("nameicregexeq", IGNORE_CASE, false), ("nameicregexne", IGNORE_CASE, true),
    ] {
        r.f2::<Text, Text, bool>(source, move |text, pattern| Ok(compiled(pattern, flags)?.is_match(text)? != negated));
    }
    r.f2::<Text, Text, Option<String>>("textregexsubstr", first_group);
    r.f3::<Text, Text, Text, Option<String>>("substring(25 25 25)", |text, pattern, escape| first_group(text, &similar(pattern, Some(escape))?));
    r.f1::<Text, String>("similar_to_escape_1", |pattern| similar(pattern, None));
    r.f2::<Text, Text, String>("similar_to_escape_2", |pattern, escape| similar(pattern, Some(escape)));
    r.row("similar_escape", |_, args| {
        let Some(pattern) = args[0].as_str() else { return Ok(Datum::Null) };
        Ok(Datum::text(similar(pattern, args[1].as_str())?))
    });
    replace(r);
    search(r);
    lists(r);
}

fn first_group(text: &str, pattern: &str) -> Result<Option<String>> {
    let regex = compiled(pattern, Flags::default())?;
    let Some(spans) = regex.find(text, 0)? else { return Ok(None) };
    let span = if regex.groups() > 0 { spans[1] } else { spans[0] };
    Ok(span.map(|(start, end)| text[start..end].to_owned()))
}

#[rustfmt::skip]
fn replace(r: &mut Implementations) {
    r.c3::<Text, Text, Text, String>("textregexreplace_noopt", |call, text, pattern, new| substitute(call, text, pattern, new, Flags::default(), (1, 1)));
    r.c4::<Text, Text, Text, Text, String>("textregexreplace", |call, text, pattern, new, letters| {
        if let Some(digit) = letters.chars().next().filter(char::is_ascii_digit) {
            return Err(invalid_parameter(format!("invalid regular expression option: \"{digit}\""))
                .hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
        }
        let (flags, global) = parse_flags(letters)?;
        substitute(call, text, pattern, new, flags, (1, if global { 0 } else { 1 }))
    });
    r.c4::<Text, Text, Text, i32, String>("textregexreplace_extended_no_n", |call, text, pattern, new, start| substitute(call, text, pattern, new, Flags::default(), (start, 1)));
    for source in ["textregexreplace_extended", "textregexreplace_extended_no_flags"] {
        r.row(source, |call, args| {
            let (flags, _) = parse_flags(args.get(5).and_then(Datum::as_str).unwrap_or_default())?;
            Ok(Datum::text(substitute(call, string(&args[0])?, string(&args[1])?, string(&args[2])?, flags, (int(&args[3])?, int(&args[4])?))?))
        });
    }
}

fn string(datum: &Datum) -> Result<&str> {
    datum.as_str().ok_or_else(|| wrong_form("a string"))
}

fn int(datum: &Datum) -> Result<i32> {
    datum.as_i64().map(|value| value as i32).ok_or_else(|| wrong_form("an integer"))
}

fn invalid_value(parameter: &str, value: i32) -> Error {
    invalid_parameter(format!("invalid value for parameter \"{parameter}\": {value}"))
}

/// The text with match number `nth` (all for 0), counted from character `start`, replaced.
fn substitute(
    call: &CallContext<'_, '_>,
    text: &str,
    pattern: &str,
    new: &str,
    flags: Flags,
    (start, nth): (i32, i32),
) -> Result<String> {
    if start <= 0 {
        return Err(invalid_value("start", start));
    }
    if nth < 0 {
        return Err(invalid_value("n", nth));
    }
    let regex = compiled(pattern, flags)?;
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut number = 0;
    each_match(call, &regex, text, char_offset(text, start as usize - 1), |spans| {
        number += 1;
        if nth != 0 && number != nth {
            return Ok(true);
        }
        let (from, to) = spans[0].unwrap_or_default();
        out.push_str(&text[copied..from]);
        insert_replacement(&mut out, new, text, spans);
        copied = to;
        Ok(nth == 0)
    })?;
    out.push_str(&text[copied..]);
    Ok(out)
}

/// `\1` … `\9` are groups, `\&` the match, `\\` a backslash.
fn insert_replacement(out: &mut String, new: &str, text: &str, spans: &Spans) {
    let mut chars = new.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('&') => out.push_str(spans[0].map_or("", |(a, b)| &text[a..b])),
            Some(digit @ '1'..='9') => {
                let group = digit as usize - '0' as usize;
                out.push_str(spans.get(group).copied().flatten().map_or("", |(a, b)| &text[a..b]));
            }
            Some('\\') | None => out.push('\\'),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
        }
    }
}

/// Runs `each` on the matches from byte `from` on until it answers false. After an empty match the search goes on one
/// character further.
fn each_match(
    call: &CallContext<'_, '_>,
    regex: &Regex,
    text: &str,
    from: usize,
    mut each: impl FnMut(&Spans) -> Result<bool>,
) -> Result<()> {
    let mut at = from;
    let mut tried = 0u32;
    while at <= text.len() {
        tried += 1;
        if tried.is_multiple_of(1024) {
            call.eval.session.check_interrupts()?;
        }
        let Some(spans) = regex.find(text, at)? else { break };
        let (start, end) = spans[0].unwrap_or_default();
        if !each(&spans)? {
            break;
        }
        at = if end > start { end } else { end + text[end..].chars().next().map_or(1, char::len_utf8) };
    }
    Ok(())
}

fn search(r: &mut Implementations) {
    for source in ["regexp_count", "regexp_count_no_flags", "regexp_count_no_start"] {
        r.row(source, |call, args| {
            let (flags, global) = parse_flags(args.get(3).and_then(Datum::as_str).unwrap_or_default())?;
            no_global("regexp_count", global)?;
            let text = string(&args[0])?;
            let start = args.get(2).map_or(Ok(1), int)?;
            if start <= 0 {
                return Err(invalid_value("start", start));
            }
            let mut count = 0;
            let regex = compiled(string(&args[1])?, flags)?;
            each_match(call, &regex, text, char_offset(text, start as usize - 1), |_| {
                count += 1;
                Ok(true)
            })?;
            Ok(Datum::Int32(count))
        });
    }
    for source in ["regexp_like", "regexp_like_no_flags"] {
        r.row(source, |_, args| {
            let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
            no_global("regexp_like", global)?;
            Ok(Datum::Bool(compiled(string(&args[1])?, flags)?.is_match(string(&args[0])?)?))
        });
    }
    for source in [
        "regexp_substr",
        "regexp_substr_no_start",
        "regexp_substr_no_n",
        "regexp_substr_no_flags",
        "regexp_substr_no_subexpr",
    ] {
        r.row(source, |call, args| {
            let letters = args.get(4).and_then(Datum::as_str).unwrap_or_default();
            let text = string(&args[0])?;
            let group = args.get(5).map_or(Ok(0), int)?;
            let found = nth_match(call, "regexp_substr", args, letters, group)?;
            Ok(found.map_or(Datum::Null, |(start, end)| Datum::text(&text[start..end])))
        });
    }
    for source in [
        "regexp_instr",
        "regexp_instr_no_start",
        "regexp_instr_no_n",
        "regexp_instr_no_endoption",
        "regexp_instr_no_flags",
        "regexp_instr_no_subexpr",
    ] {
        r.row(source, |call, args| {
            let letters = args.get(5).and_then(Datum::as_str).unwrap_or_default();
            let text = string(&args[0])?;
            let end_option = args.get(4).map_or(Ok(0), int)?;
            if !(0..=1).contains(&end_option) {
                return Err(invalid_value("endoption", end_option));
            }
            let group = args.get(6).map_or(Ok(0), int)?;
            let found = nth_match(call, "regexp_instr", args, letters, group)?;
            let place = found.map(|(start, end)| if end_option == 1 { end } else { start });
            Ok(Datum::Int32(place.map_or(0, |at| text[..at].chars().count() as i32 + 1)))
        });
    }
}

/// Group `group` of match number `args[3]` from character `args[2]` on.
fn nth_match(
    call: &CallContext<'_, '_>,
    function: &str,
    args: &[Datum],
    letters: &str,
    group: i32,
) -> Result<Option<(usize, usize)>> {
    let (flags, global) = parse_flags(letters)?;
    no_global(function, global)?;
    let text = string(&args[0])?;
    let start = args.get(2).map_or(Ok(1), int)?;
    let nth = args.get(3).map_or(Ok(1), int)?;
    for (name, value, least) in [("start", start, 1), ("n", nth, 1), ("subexpr", group, 0)] {
        if value < least {
            return Err(invalid_value(name, value));
        }
    }
    let regex = compiled(string(&args[1])?, flags)?;
    if group as usize > regex.groups() {
        return Ok(None);
    }
    let (mut number, mut found) = (0, None);
    each_match(call, &regex, text, char_offset(text, start as usize - 1), |spans| {
        number += 1;
        if number == nth {
            found = spans[group as usize];
        }
        Ok(number < nth)
    })?;
    Ok(found)
}

fn lists(r: &mut Implementations) {
    for source in ["regexp_match", "regexp_match_no_flags"] {
        r.row(source, |_, args| {
            let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
            no_global("regexp_match", global)?;
            let regex = compiled(string(&args[1])?, flags)?;
            let text = string(&args[0])?;
            Ok(regex.find(text, 0)?.map_or(Datum::Null, |spans| groups_array(&regex, text, &spans)))
        });
    }
    for source in ["regexp_matches", "regexp_matches_no_flags"] {
        r.set(source, |call, args| {
            let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
            let regex = compiled(string(&args[1])?, flags)?;
            let text = string(&args[0])?;
            let mut rows = Vec::new();
            each_match(call, &regex, text, 0, |spans| {
                rows.push(vec![groups_array(&regex, text, spans)]);
                Ok(global)
            })?;
            Ok(Box::new(RowSet::new(vec![PhysicalType::Array], rows)))
        });
    }
    for source in ["regexp_split_to_array", "regexp_split_to_array_no_flags"] {
        r.row(source, |call, args| {
            let parts = split(call, args, "regexp_split_to_array")?;
            Ok(Datum::Array(ArrayValue::vector(SqlType::TEXT, parts).into()))
        });
    }
    for source in ["regexp_split_to_table", "regexp_split_to_table_no_flags"] {
        r.set(source, |call, args| {
            let rows =
                split(call, args, "regexp_split_to_table")?.into_iter().map(|part| vec![part]).collect();
            Ok(Box::new(RowSet::new(vec![PhysicalType::Bytes], rows)))
        });
    }
}

/// The groups' texts, or the whole match's when there are none.
fn groups_array(regex: &Regex, text: &str, spans: &Spans) -> Datum {
    let wanted = if regex.groups() > 0 { &spans[1..] } else { &spans[..1] };
    let element = |span: &Option<(usize, usize)>| span.map_or(Datum::Null, |(a, b)| Datum::text(&text[a..b]));
    Datum::Array(ArrayValue::vector(SqlType::TEXT, wanted.iter().map(element).collect()).into())
}

fn split(call: &CallContext<'_, '_>, args: &[Datum], function: &str) -> Result<Vec<Datum>> {
    let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
    no_global(function, global)?;
    let text = string(&args[0])?;
    let regex = compiled(string(&args[1])?, flags)?;
    let mut parts = Vec::new();
    let mut from = 0;
    each_match(call, &regex, text, 0, |spans| {
        let (start, end) = spans[0].unwrap_or_default();
        // An empty match splits only between two characters.
        if end == start && (start == from || start >= text.len()) {
            return Ok(true);
        }
        parts.push(Datum::text(&text[from..start]));
        from = end;
        Ok(true)
    })?;
    parts.push(Datum::text(&text[from..]));
    Ok(parts)
}

/// A SIMILAR TO pattern as a regular expression. Two escaped double quotes part it into three, of which the middle is
/// what `substring` gives.
fn similar(pattern: &str, escape: Option<&str>) -> Result<String> {
    let escape = match escape {
        None => Some('\\'),
        Some(text) => {
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (first, None) => first,
                _ => {
                    return Err(Error::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                        .hint("Escape string must be empty or one character."));
                }
            }
        }
    };
    let mut out = String::from("^(?:");
    let mut after_escape = false;
    let mut in_brackets = false;
    let mut quotes = 0;
    let mut previous_opens_bracket = 0;
    for c in pattern.chars() {
        if after_escape {
            after_escape = false;
            if c == '"' && !in_brackets {
                match quotes {
                    0 => out.push_str("){1,1}?("),
                    1 => out.push_str("){1,1}(?:"),
                    _ => {
                        return Err(Error::new(
                            SqlState::INVALID_ESCAPE_SEQUENCE,
                            "SQL regular expression may not contain more than two escape-double-quote separators",
                        ));
                    }
                }
                quotes += 1;
            } else {
                out.push('\\');
                out.push(c);
            }
        } else if Some(c) == escape {
            after_escape = true;
        } else if in_brackets {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            if c == ']' && previous_opens_bracket > 1 {
                in_brackets = false;
            } else if c != '^' || previous_opens_bracket > 1 {
                previous_opens_bracket += 1;
            }
            if previous_opens_bracket == 1 && c != '^' {
                previous_opens_bracket = 2;
            }
        } else {
            match c {
                '[' => {
                    in_brackets = true;
                    previous_opens_bracket = 1;
                    out.push('[');
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                c => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}
