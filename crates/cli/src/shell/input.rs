//! Where a statement ends: semicolons outside quotes, comments and dollar quotes.

/// Splits the first complete statement off a text: its length with the semicolon, or `None` when it goes on.
pub fn statement_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut i = 0;
    let mut depth = 0_usize;
    while i < bytes.len() {
        let rest = &text[i..];
        match bytes[i] {
            b'\'' => i = skip_quoted(bytes, i, b'\'', is_escape_string(bytes, i))?,
            b'"' => i = skip_quoted(bytes, i, b'"', false)?,
            b'-' if rest.starts_with("--") => i += rest.find('\n')? + 1,
            b'/' if rest.starts_with("/*") => i = skip_comment(bytes, i)?,
            b'$' if i == 0 || !(bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_') => {
                match dollar_tag(rest) {
                    Some(tag) => i += tag.len() + rest[tag.len()..].find(tag)? + tag.len(),
                    None => i += 1,
                }
            }
            b'(' => {
                depth += 1;
                i += 1;
            }
            b')' => {
                depth = depth.saturating_sub(1);
                i += 1;
            }
            b';' if depth == 0 => return Some(i + 1),
            _ => i += 1,
        }
    }
    None
}

fn is_escape_string(bytes: &[u8], quote: usize) -> bool {
    let letter = quote.checked_sub(1).map(|i| bytes[i]);
    let before = quote.checked_sub(2).map(|i| bytes[i]);
    matches!(letter, Some(b'e' | b'E')) && !before.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn skip_quoted(bytes: &[u8], start: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut i = start + 1;
    while i < bytes.len() {
        if escapes && bytes[i] == b'\\' {
            i += 2;
        } else if bytes[i] == quote {
            return Some(i + 1);
        } else {
            i += 1;
        }
    }
    None
}

fn skip_comment(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut i = start;
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => {
                depth += 1;
                i += 2;
            }
            b"*/" => {
                depth -= 1;
                i += 2;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => i += 1,
        }
    }
    None
}

fn dollar_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    let inner = &text[1..end - 1];
    let valid = inner.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !inner.starts_with(|c: char| c.is_ascii_digit());
    valid.then_some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_semicolon_outside_everything_ends_a_statement() {
        for whole in
            ["select ';';", "select $a$;$a$;", "/* ; /* ; */ */ x;", "select \"a;b\";", "e'\\';';", "(;);"]
        {
            assert_eq!(statement_end(whole), Some(whole.len()), "{whole}");
        }
        for open in ["select 1", "select ';", "-- x;", "/* ;", "$$ ; $", ""] {
            assert_eq!(statement_end(open), None, "{open}");
        }
        assert_eq!(statement_end("a; b;"), Some(2));
    }
}
