//! What `ochre inspect sql` answers.

use ochre_base::{Error, Result};

/// Parses a text and prints its statements again, joined by `; `.
///
/// # Errors
/// Those of [`crate::parse`].
pub fn reprint(sql: &str) -> Result<String> {
    let printed: Vec<String> =
        crate::parse(sql)?.iter().map(|statement| statement.stmt.to_string()).collect();
    Ok(printed.join("; "))
}

/// Where an error of [`crate::parse`] points, in characters counted from 1 as clients are told; `None` where it points
/// nowhere.
pub fn character_position(sql: &str, error: &Error) -> Option<usize> {
    let offset = error.fields().position?;
    Some(sql.get(..offset).map_or(offset, |before| before.chars().count()) + 1)
}

/// One answer of `ochre inspect sql --json`, as a line of JSON without its line break:
/// `{"ok": true, "printed": "…"}` or `{"ok": false, "error": "…", "position": n}` (`null` where there is no position).
pub fn answer_json(sql: &str) -> String {
    match reprint(sql) {
        Ok(printed) => format!("{{\"ok\": true, \"printed\": {}}}", json_string(&printed)),
        Err(error) => {
            let position =
                character_position(sql, &error).map_or("null".to_string(), |position| position.to_string());
            let message = json_string(error.message());
            format!("{{\"ok\": false, \"error\": {message}, \"position\": {position}}}")
        }
    }
}

/// The answer to one line `{"sql": "…"}`; other members of the object are ignored.
pub fn answer_line(line: &str) -> String {
    match sql_member(line) {
        Some(sql) => answer_json(&sql),
        None => {
            r#"{"ok": false, "error": "the line is not an object with a member \"sql\"", "position": null}"#
                .to_string()
        }
    }
}

/// The text of the member `sql` of a JSON object of strings, numbers and words.
fn sql_member(line: &str) -> Option<String> {
    let mut rest = line.trim().strip_prefix('{')?;
    loop {
        let (key, after_key) = parse_json_string(rest.trim_start())?;
        rest = after_key.trim_start().strip_prefix(':')?.trim_start();
        if rest.starts_with('"') {
            let (value, after_value) = parse_json_string(rest)?;
            if key == "sql" {
                return Some(value);
            }
            rest = after_value;
        } else {
            rest = &rest[rest.find([',', '}'])?..];
        }
        rest = rest.trim_start().strip_prefix(',')?;
    }
}

/// A JSON string at the beginning of a text, and what follows it.
fn parse_json_string(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let end = rest.find(['"', '\\'])?;
        out.push_str(&rest[..end]);
        let mark = rest.as_bytes()[end];
        rest = &rest[end + 1..];
        if mark == b'"' {
            return Some((out, rest));
        }
        let kind = rest.chars().next()?;
        rest = &rest[kind.len_utf8()..];
        match kind {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'r' => out.push('\r'),
            'b' => out.push('\u{8}'),
            'f' => out.push('\u{c}'),
            'u' => {
                let mut code = u32::from_str_radix(rest.get(..4)?, 16).ok()?;
                rest = &rest[4..];
                if (0xd800..0xdc00).contains(&code) {
                    let low = u32::from_str_radix(rest.strip_prefix("\\u")?.get(..4)?, 16).ok()?;
                    code = 0x10000 + ((code - 0xd800) << 10) + low.checked_sub(0xdc00)?;
                    rest = &rest[6..];
                }
                out.push(char::from_u32(code)?);
            }
            other => out.push(other),
        }
    }
}

/// A text as a JSON string.
fn json_string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(
            answer_line(r#"{"id": 1, "sql": "select \"a\"\n, '\u00e4\ud83d\ude00'"}"#),
            r#"{"ok": true, "printed": "SELECT a, 'ä😀'"}"#
        );
        assert!(answer_line("select 1").starts_with(r#"{"ok": false, "error": "the line is not"#));
        assert!(answer_line(r#"{"id": 1}"#).starts_with(r#"{"ok": false"#));
    }

    #[test]
    fn answers() {
        assert_eq!(
            answer_json("select 1;; select 'a\"'"),
            r#"{"ok": true, "printed": "SELECT 1; SELECT 'a\"'"}"#
        );
        assert_eq!(answer_json("select 'ä' form"), r#"{"ok": true, "printed": "SELECT 'ä' AS form"}"#);
        assert_eq!(
            answer_json("select 'ä' from from"),
            r#"{"ok": false, "error": "syntax error at or near \"from\"", "position": 17}"#
        );
        assert_eq!(answer_json("select"), r#"{"ok": true, "printed": "SELECT"}"#);
        assert_eq!(
            answer_json("select 1 +"),
            r#"{"ok": false, "error": "syntax error at end of input", "position": 11}"#
        );
    }
}
