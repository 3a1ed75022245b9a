//! Regular expressions: compiled patterns, and the functions and operators over them.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use ochre_base::{Error, Result, SqlState};
use ochre_types::{ArrayValue, Datum, Pace, PhysicalType, SqlType};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input, MatchKind, hybrid, meta};

use super::are::{self, Flags, Preference, Translation};
use super::kernels::Text;
use super::large::{PIECE_BYTES, character_offset, copied, count_characters, find};
use super::{Implementations, room_for};
use crate::errors::{invalid_parameter, wrong_form};
use crate::eval::RowSet;
use crate::{CallContext, SessionContext};

/// Compiled patterns kept per thread.
const CACHED_PATTERNS: usize = 32;

/// The longest pattern, in bytes; PostgreSQL refuses a fraction of this.
const LONGEST_PATTERN: usize = 1 << 18;

/// States up to which a pattern is compiled at once: a few milliseconds.
const QUICK_STATES: u64 = 20_000;

/// States of the largest automaton, about, and of all that are kept: more would not fit into [`LARGEST_AUTOMATON_BYTES`].
const MOST_STATES: u64 = 2_000_000;
const LARGEST_AUTOMATON_BYTES: usize = 16 << 20;

/// Patterns that are compiled on threads of their own at a time.
const COMPILED_AT_A_TIME: usize = 4;

/// How often whoever waits for a compiled pattern looks whether to go on.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The stack of a thread that compiles: patterns are nested 250 levels deep at most.
const COMPILER_STACK_BYTES: usize = 8 << 20;

/// Longer texts are searched step by step, so that the search can be given up; where it can leap to where a match may begin,
/// even longer ones.
const STEPPED_BYTES: usize = 4 << 20;
const STEPPED_BYTES_LEAPING: usize = 16 << 20;

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
        /// Does what `first` does, step by step.
        steps: OnceCell<Option<Box<Steps>>>,
    },
    Backtracking(Box<fancy_regex::Regex>),
}

/// Automata that are walked state by state: one forwards to the end of the leftmost match, one backwards to its beginning.
struct Steps {
    both: hybrid::regex::Regex,
    cache: RefCell<hybrid::regex::Cache>,
}

impl Steps {
    fn new(pattern: &str) -> Option<Box<Steps>> {
        let both = hybrid::regex::Builder::new().dfa(lazily()).build(pattern).ok()?;
        let cache = RefCell::new(both.create_cache());
        Some(Box::new(Steps { both, cache }))
    }

    /// Where the leftmost match lies that begins at or after `from`; `None` when the automata cannot tell.
    fn find(&self, text: &str, from: usize, pace: &mut Pace<'_>) -> Result<Option<Option<(usize, usize)>>> {
        let mut cache = self.cache.borrow_mut();
        let (forward, backward) = cache.as_parts_mut();
        let input = Input::new(text).range(from..);
        let end = match walk(self.both.forward(), forward, &input, false, pace)? {
            Walk::End(Some(end)) => end,
            Walk::End(None) => return Ok(Some(None)),
            Walk::GivenUp => return Ok(None),
        };
        let input = Input::new(text).range(from..end).anchored(Anchored::Yes);
        match walk(self.both.reverse(), backward, &input, true, pace)? {
            Walk::End(Some(start)) if text.is_char_boundary(start) && text.is_char_boundary(end) => {
                Ok(Some(Some((start, end))))
            }
            // Between the bytes of a character there is no match.
            _ => Ok(None),
        }
    }
}

fn lazily() -> hybrid::dfa::Config {
    DFA::config().unicode_word_boundary(true).skip_cache_capacity_check(true)
}

/// What walking an automaton has come to.
enum Walk {
    /// Where the match ends.
    End(Option<usize>),
    /// The automaton cannot tell.
    GivenUp,
}

/// Walks an automaton over the text, from the beginning of the input's range on or from its end back; asks now and then
/// whether to go on.
fn walk(
    dfa: &DFA,
    cache: &mut Cache,
    input: &Input<'_>,
    backwards: bool,
    pace: &mut Pace<'_>,
) -> Result<Walk> {
    let start =
        if backwards { dfa.start_state_reverse(cache, input) } else { dfa.start_state_forward(cache, input) };
    let Ok(mut state) = start else { return Ok(Walk::GivenUp) };
    let (from, to, text) = (input.start(), input.end(), input.haystack());
    let mut found = None;
    for passed in 0..to - from {
        if passed % STEPS_AT_A_TIME == STEPS_AT_A_TIME - 1 {
            pace.look_at_once()?;
        }
        let at = if backwards { to - 1 - passed } else { from + passed };
        let Ok(next) = dfa.next_state(cache, state, text[at]) else { return Ok(Walk::GivenUp) };
        state = next;
        if state.is_tagged() {
            if state.is_match() {
                // An automaton says so one byte late.
                found = Some(if backwards { at + 1 } else { at });
                if input.get_earliest() {
                    return Ok(Walk::End(found));
                }
            } else if state.is_dead() {
                return Ok(Walk::End(found));
            } else if state.is_quit() {
                return Ok(Walk::GivenUp);
            }
        }
    }
    // What lies behind the end decides whether the last byte ends a match.
    let behind = if backwards { from.checked_sub(1).map(|at| text[at]) } else { text.get(to).copied() };
    let last = match behind {
        Some(byte) => dfa.next_state(cache, state, byte),
        None => dfa.next_eoi_state(cache, state),
    };
    match last {
        Ok(state) if state.is_match() => Ok(Walk::End(Some(if backwards { from } else { to }))),
        Ok(state) if state.is_quit() => Ok(Walk::GivenUp),
        Ok(_) => Ok(Walk::End(found)),
        Err(_) => Ok(Walk::GivenUp),
    }
}

/// Bytes that an automaton is walked over between two looks at whether to go on.
const STEPS_AT_A_TIME: usize = 1 << 16;

impl Regex {
    fn new(translation: Translation) -> Result<Regex> {
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
                .configure(lazily().match_kind(MatchKind::All))
                .build(&translation.pattern)
                .ok()
                .map(|dfa| {
                    let cache = RefCell::new(dfa.create_cache());
                    Box::new((dfa, cache))
                }),
        };
        let (whole, steps) = (OnceCell::new(), OnceCell::new());
        if translation.size > QUICK_STATES {
            // Now, while it can be given up.
            if ends.is_some() {
                let _ = whole.set(whole_of(&translation.pattern));
            }
            let _ = steps.set(Steps::new(&translation.pattern));
        }
        Ok(Regex { translation, engine: Engine::Automaton { first: Box::new(first), ends, whole, steps } })
    }

    /// Compiles a pattern that takes its time on a thread of its own, for as long as the statement may go on. A thread whose
    /// statement has ended ends soon after: what it makes is limited, and so are the threads.
    fn new_patiently(translation: Translation, session: &dyn SessionContext) -> Result<Regex> {
        let place = loop {
            match Place::take() {
                Some(place) => break place,
                None => {
                    session.check_interrupts()?;
                    std::thread::sleep(LOOK_EVERY);
                }
            }
        };
        let (sender, receiver) = mpsc::channel();
        let compile = move || {
            let _place = place;
            let _ = sender.send(Regex::new(translation));
        };
        let thread =
            std::thread::Builder::new().name("ochre-regex".to_owned()).stack_size(COMPILER_STACK_BYTES);
        thread.spawn(compile).map_err(|_| too_complex())?;
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(compiled) => return compiled,
                Err(mpsc::RecvTimeoutError::Timeout) => session.check_interrupts()?,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(too_complex()),
            }
        }
    }

    /// Capturing groups.
    pub(crate) fn groups(&self) -> usize {
        self.translation.groups
    }

    /// Whether the pattern occurs.
    pub(crate) fn is_match(&self, text: &str, pace: &mut Pace<'_>) -> Result<bool> {
        match &self.engine {
            Engine::Automaton { first, .. } => {
                if let Some(steps) = self.steps(text.len()) {
                    let input = Input::new(text).earliest(true);
                    let (forward, mut cache) = (steps.both.forward(), steps.cache.borrow_mut());
                    match walk(forward, cache.forward_mut(), &input, false, pace)? {
                        Walk::End(None) => return Ok(false),
                        // Between the bytes of a character there is no match.
                        Walk::End(Some(end)) if text.is_char_boundary(end) => return Ok(true),
                        _ => {}
                    }
                }
                pace.advance(text.len())?;
                Ok(first.is_match(text))
            }
            Engine::Backtracking(regex) => {
                pace.advance(text.len())?;
                regex.is_match(text).map_err(|_| too_complex())
            }
        }
    }

    /// The automata to walk over a text of some length, if it is long.
    fn steps(&self, length: usize) -> Option<&Steps> {
        let Engine::Automaton { first, steps, .. } = &self.engine else { return None };
        let most = if first.is_accelerated() { STEPPED_BYTES_LEAPING } else { STEPPED_BYTES };
        if length <= most {
            return None;
        }
        steps.get_or_init(|| Steps::new(&self.translation.pattern)).as_deref()
    }

    /// Where the leftmost match lies that begins at or after `from`; `None` when the automata cannot tell.
    fn walk_to_match(
        &self,
        text: &str,
        from: usize,
        pace: &mut Pace<'_>,
    ) -> Result<Option<Option<(usize, usize)>>> {
        self.steps(text.len() - from).map_or(Ok(None), |steps| steps.find(text, from, pace))
    }

    /// The leftmost match that begins at or after `from`, of the length that the pattern prefers.
    pub(crate) fn find(&self, text: &str, from: usize, pace: &mut Pace<'_>) -> Result<Option<Spans>> {
        match &self.engine {
            Engine::Backtracking(regex) => {
                let found = regex.captures_from_pos(text, from).map_err(|_| too_complex())?;
                Ok(found.map(|captures| captures.iter().map(|m| m.map(|m| (m.start(), m.end()))).collect()))
            }
            Engine::Automaton { first, ends, whole, .. } => {
                let mut captures = first.create_captures();
                let walked = self.walk_to_match(text, from, pace)?;
                let (start, first_end) = match walked {
                    Some(None) => return Ok(None),
                    Some(Some(span)) => span,
                    None => {
                        first.search_captures(&Input::new(text).range(from..), &mut captures);
                        let Some(found) = captures.get_match() else { return Ok(None) };
                        (found.start(), found.end())
                    }
                };
                let mut end = first_end;
                if let Some(both) = ends {
                    let (dfa, cache) = &**both;
                    let input = Input::new(text)
                        .range(start..)
                        .anchored(Anchored::Yes)
                        .earliest(self.translation.preference == Preference::Shortest);
                    let mut cache = cache.borrow_mut();
                    if text.len() - start > STEPPED_BYTES {
                        if let Walk::End(Some(other)) = walk(dfa, &mut cache, &input, false, pace)? {
                            end = other;
                        }
                    } else if let Ok(Some(half)) = dfa.try_search_fwd(&mut cache, &input) {
                        end = half.offset();
                    }
                }
                if self.groups() == 0 {
                    return Ok(Some(vec![Some((start, end))]));
                }
                if end != first_end {
                    let whole = whole.get_or_init(|| whole_of(&self.translation.pattern));
                    let input = Input::new(&text[..end]).range(start..).anchored(Anchored::Yes);
                    if let Some(whole) = whole {
                        let mut exact = whole.create_captures();
                        whole.search_captures(&input, &mut exact);
                        if exact.is_match() {
                            captures = exact;
                        }
                    }
                }
                if !captures.is_match() {
                    let input = Input::new(text).range(start..first_end).anchored(Anchored::Yes);
                    first.search_captures(&input, &mut captures);
                }
                let mut spans: Spans =
                    (0..=self.groups()).map(|i| captures.get_group(i).map(|s| (s.start, s.end))).collect();
                spans[0] = Some((start, end));
                Ok(Some(spans))
            }
        }
    }
}

/// A place among those that compile.
struct Place;

static PLACES_TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Place> {
        let more = |taken| (taken < COMPILED_AT_A_TIME).then_some(taken + 1);
        PLACES_TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok().map(|_| Place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        PLACES_TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

fn whole_of(pattern: &str) -> Option<Box<meta::Regex>> {
    build(&format!("(?:{pattern})\\z")).ok().map(Box::new)
}

fn build(pattern: &str) -> Result<meta::Regex> {
    meta::Regex::builder()
        .configure(meta::Config::new().nfa_size_limit(Some(LARGEST_AUTOMATON_BYTES)))
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
pub(crate) fn compiled(call: &CallContext<'_, '_>, pattern: &str, flags: Flags) -> Result<Rc<Regex>> {
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
    let translation = are::translate(pattern, flags)?;
    let regex = Rc::new(match translation.size {
        0..=QUICK_STATES => Regex::new(translation)?,
        size if size <= MOST_STATES => Regex::new_patiently(translation, call.eval.session)?,
        _ => return Err(are::invalid("regular expression is too complex")),
    });
    CACHE.with_borrow_mut(|cache| {
        let size = |cache: &Vec<CachedPattern>| -> u64 {
            cache.iter().map(|(_, regex)| regex.translation.size).sum::<u64>() + regex.translation.size
        };
        while !cache.is_empty() && (cache.len() >= CACHED_PATTERNS || size(cache) > MOST_STATES) {
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
        r.c2::<Text, Text, bool>(source, move |call, text, pattern| {
            Ok(compiled(call, pattern, flags)?.is_match(text, &mut call.pace())? != negated)
        });
    }
    r.c2::<Text, Text, Option<Vec<u8>>>("textregexsubstr", first_group);
    r.c3::<Text, Text, Text, Option<Vec<u8>>>("substring(25 25 25)", |call, text, pattern, escape| first_group(call, text, &similar(pattern, Some(escape), &mut call.pace())?));
    r.c1::<Text, String>("similar_to_escape_1", |call, pattern| similar(pattern, None, &mut call.pace()));
    r.c2::<Text, Text, String>("similar_to_escape_2", |call, pattern, escape| similar(pattern, Some(escape), &mut call.pace()));
    r.row("similar_escape", |call, args| {
        let Some(pattern) = args[0].as_str() else { return Ok(Datum::Null) };
        Ok(Datum::text(similar(pattern, args[1].as_str(), &mut call.pace())?))
    });
    replace(r);
    search(r);
    lists(r);
}

fn first_group(call: &CallContext<'_, '_>, text: &str, pattern: &str) -> Result<Option<Vec<u8>>> {
    let regex = compiled(call, pattern, Flags::default())?;
    let pace = &mut call.pace();
    let Some(spans) = regex.find(text, 0, pace)? else { return Ok(None) };
    let span = if regex.groups() > 0 { spans[1] } else { spans[0] };
    span.map(|(start, end)| copied(&text.as_bytes()[start..end], pace)).transpose()
}

#[rustfmt::skip]
fn replace(r: &mut Implementations) {
    r.c3::<Text, Text, Text, Vec<u8>>("textregexreplace_noopt", |call, text, pattern, new| substitute(call, text, pattern, new, Flags::default(), (1, 1)));
    r.c4::<Text, Text, Text, Text, Vec<u8>>("textregexreplace", |call, text, pattern, new, letters| {
        if let Some(digit) = letters.chars().next().filter(char::is_ascii_digit) {
            return Err(invalid_parameter(format!("invalid regular expression option: \"{digit}\""))
                .hint("If you meant to use regexp_replace() with a start parameter, cast the fourth argument to integer explicitly."));
        }
        let (flags, global) = parse_flags(letters)?;
        substitute(call, text, pattern, new, flags, (1, if global { 0 } else { 1 }))
    });
    r.c4::<Text, Text, Text, i32, Vec<u8>>("textregexreplace_extended_no_n", |call, text, pattern, new, start| substitute(call, text, pattern, new, Flags::default(), (start, 1)));
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
) -> Result<Vec<u8>> {
    if start <= 0 {
        return Err(invalid_value("start", start));
    }
    if nth < 0 {
        return Err(invalid_value("n", nth));
    }
    let regex = compiled(call, pattern, flags)?;
    let pace = &mut call.pace();
    let from = character_offset(text.as_bytes(), start as usize - 1, pace)?;
    let mut out = Vec::with_capacity(text.len());
    let mut copied = 0;
    let mut number = 0;
    each_match(call, &regex, text, from, |spans| {
        number += 1;
        if nth != 0 && number != nth {
            return Ok(true);
        }
        let (from, to) = spans[0].unwrap_or_default();
        pace.append(&text.as_bytes()[copied..from], &mut out)?;
        insert_replacement(&mut out, new, text, spans, pace)?;
        copied = to;
        Ok(nth == 0)
    })?;
    pace.append(&text.as_bytes()[copied..], &mut out)?;
    Ok(out)
}

/// `\1` … `\9` are groups, `\&` the match, `\\` a backslash.
fn insert_replacement(
    out: &mut Vec<u8>,
    new: &str,
    text: &str,
    spans: &Spans,
    pace: &mut Pace<'_>,
) -> Result<()> {
    let group = |group: usize| {
        spans.get(group).copied().flatten().map_or(&[][..], |(from, to)| &text.as_bytes()[from..to])
    };
    let mut rest = new.as_bytes();
    while let Some(plain) = find(rest, b"\\", pace)? {
        room_for(out.len(), plain)?;
        pace.append(&rest[..plain], out)?;
        let (letter, behind) = match &rest[plain + 1..] {
            [] => (None, &[][..]),
            [letter, behind @ ..] => (Some(*letter), behind),
        };
        let inserted = match letter {
            Some(b'&') => group(0),
            Some(digit @ b'1'..=b'9') => group(usize::from(digit - b'0')),
            Some(b'\\') | None => b"\\",
            Some(_) => &rest[plain..plain + 2],
        };
        room_for(out.len(), inserted.len())?;
        pace.append(inserted, out)?;
        rest = behind;
    }
    room_for(out.len(), rest.len())?;
    pace.append(rest, out)
}

/// What a match counts for.
const MATCH_BYTES: usize = 256;

/// Runs `each` on the matches from byte `from` on until it answers false. After an empty match the search goes on one
/// character further.
fn each_match(
    call: &CallContext<'_, '_>,
    regex: &Regex,
    text: &str,
    from: usize,
    mut each: impl FnMut(&Spans) -> Result<bool>,
) -> Result<()> {
    let pace = &mut call.pace();
    let mut at = from;
    while at <= text.len() {
        pace.advance(MATCH_BYTES)?;
        let Some(spans) = regex.find(text, at, pace)? else { break };
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
            let regex = compiled(call, string(&args[1])?, flags)?;
            let from = character_offset(text.as_bytes(), start as usize - 1, &mut call.pace())?;
            each_match(call, &regex, text, from, |_| {
                count += 1;
                Ok(true)
            })?;
            Ok(Datum::Int32(count))
        });
    }
    for source in ["regexp_like", "regexp_like_no_flags"] {
        r.row(source, |call, args| {
            let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
            no_global("regexp_like", global)?;
            let regex = compiled(call, string(&args[1])?, flags)?;
            Ok(Datum::Bool(regex.is_match(string(&args[0])?, &mut call.pace())?))
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
            let Some((start, end)) = found else { return Ok(Datum::Null) };
            Ok(Datum::text(copied(&text.as_bytes()[start..end], &mut call.pace())?))
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
            let Some((start, end)) = found else { return Ok(Datum::Int32(0)) };
            let before = &text.as_bytes()[..if end_option == 1 { end } else { start }];
            Ok(Datum::Int32(count_characters(before, &mut call.pace())? as i32 + 1))
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
    let regex = compiled(call, string(&args[1])?, flags)?;
    if group as usize > regex.groups() {
        return Ok(None);
    }
    let (mut number, mut found) = (0, None);
    let from = character_offset(text.as_bytes(), start as usize - 1, &mut call.pace())?;
    each_match(call, &regex, text, from, |spans| {
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
        r.row(source, |call, args| {
            let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
            no_global("regexp_match", global)?;
            let regex = compiled(call, string(&args[1])?, flags)?;
            let text = string(&args[0])?;
            let pace = &mut call.pace();
            regex
                .find(text, 0, pace)?
                .map_or(Ok(Datum::Null), |spans| groups_array(&regex, text, &spans, pace))
        });
    }
    for source in ["regexp_matches", "regexp_matches_no_flags"] {
        r.set(source, |call, args| {
            let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
            let regex = compiled(call, string(&args[1])?, flags)?;
            let text = string(&args[0])?;
            let pace = &mut call.pace();
            let mut rows = Vec::new();
            each_match(call, &regex, text, 0, |spans| {
                rows.push(vec![groups_array(&regex, text, spans, pace)?]);
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
fn groups_array(regex: &Regex, text: &str, spans: &Spans, pace: &mut Pace<'_>) -> Result<Datum> {
    let wanted = if regex.groups() > 0 { &spans[1..] } else { &spans[..1] };
    let element = |span: &Option<(usize, usize)>| match span {
        Some((from, to)) => Ok(Datum::text(copied(&text.as_bytes()[*from..*to], pace)?)),
        None => Ok(Datum::Null),
    };
    let elements = wanted.iter().map(element).collect::<Result<_>>()?;
    Ok(Datum::Array(ArrayValue::vector(SqlType::TEXT, elements).into()))
}

fn split(call: &CallContext<'_, '_>, args: &[Datum], function: &str) -> Result<Vec<Datum>> {
    let (flags, global) = parse_flags(args.get(2).and_then(Datum::as_str).unwrap_or_default())?;
    no_global(function, global)?;
    let text = string(&args[0])?;
    let regex = compiled(call, string(&args[1])?, flags)?;
    let pace = &mut call.pace();
    let mut parts = Vec::new();
    let mut from = 0;
    each_match(call, &regex, text, 0, |spans| {
        let (start, end) = spans[0].unwrap_or_default();
        // An empty match splits only between two characters.
        if end == start && (start == from || start >= text.len()) {
            return Ok(true);
        }
        parts.push(part(&text[from..start], pace)?);
        from = end;
        Ok(true)
    })?;
    parts.push(part(&text[from..], pace)?);
    Ok(parts)
}

/// A part of a text as a value; most are short.
fn part(text: &str, pace: &mut Pace<'_>) -> Result<Datum> {
    Ok(if text.len() > PIECE_BYTES { Datum::text(copied(text.as_bytes(), pace)?) } else { Datum::text(text) })
}

/// A SIMILAR TO pattern as a regular expression. Two escaped double quotes part it into three, of which the middle is
/// what `substring` gives.
fn similar(pattern: &str, escape: Option<&str>, pace: &mut Pace<'_>) -> Result<String> {
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
        pace.advance(1)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The automata that are walked find what the engine finds.
    #[test]
    fn walking_finds_what_searching_finds() {
        let patterns = [
            "a",
            "ab",
            "a*",
            "a+b",
            "(a|b)*",
            "(a|ab)(c|bcd)*",
            "^a",
            "a$",
            "^",
            "$",
            "b|ab|abc",
            "[^a]+",
            "\\w+",
            "\\bab",
            "a\\b",
            "é",
            "[é€]+a?",
            ".é",
            "(?s).*b",
            "a{2,3}",
            "(?m)^b",
            "(?m)a$",
            "x*",
            "(a*)(b*)",
            "a*?b",
            "(?:a|é)*?€",
            "\\B",
        ];
        let mut state = 5u64;
        let mut random = |limit: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % limit
        };
        let (mut told, mut asked) = (0, 0);
        for pattern in patterns {
            let engine = build(pattern).unwrap();
            let steps = Steps::new(pattern).unwrap();
            for _ in 0..300 {
                let text: String =
                    (0..random(12)).map(|_| ['a', 'b', 'c', 'é', '€', '\n', ' '][random(7)]).collect();
                let boundaries: Vec<usize> =
                    (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
                let from = boundaries[random(boundaries.len())];
                let expected =
                    engine.find(Input::new(&text).range(from..)).map(|found| (found.start(), found.end()));
                asked += 1;
                if let Some(found) = steps.find(&text, from, &mut Pace::never()).unwrap() {
                    told += 1;
                    assert_eq!(found, expected, "{pattern} from {from} in {text:?}");
                }
            }
        }
        assert!(told > asked * 8 / 10, "{told} of {asked}");
    }
}
