//! `json`: text that is checked and kept as it is.

use ochre_base::{Error, Result, SqlState};

/// Refuses text that is no JSON.
pub(super) fn check(text: &str) -> Result<()> {
    serde_json::from_str::<serde::de::IgnoredAny>(text).map(|_| ()).map_err(|error| {
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        let until: String = line.chars().take(error.column()).collect();
        let detail = if error.is_eof() {
            "The input string ended unexpectedly.".to_owned()
        } else {
            let token: String = line
                .chars()
                .skip(error.column().saturating_sub(1))
                .take_while(|c| c.is_alphanumeric())
                .collect();
            let token = if token.is_empty() {
                line.chars().nth(error.column().saturating_sub(1)).map(String::from).unwrap_or_default()
            } else {
                token
            };
            format!("Token \"{token}\" is invalid.")
        };
        Error::new(SqlState::INVALID_TEXT_REPRESENTATION, "invalid input syntax for type json")
            .detail(detail)
            .context(format!("JSON data, line {}: {until}", error.line().max(1)))
    })
}
