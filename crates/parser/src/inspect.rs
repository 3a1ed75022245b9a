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
