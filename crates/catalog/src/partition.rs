//! How the rows of a partitioned table are divided, and which of them a partition takes.
//!
//! # On-disk layout
//! A bound is kept in `pg_class.relpartbound` as the text that SQL writes it in (`FOR VALUES FROM (1) TO (10)`), its values
//! in the forms that do not depend on settings; a key in the columns of `pg_partitioned_table`.

use std::fmt;
use std::sync::Arc;

use ochre_base::Oid;

/// How a partitioned table's rows are divided; the letters are PostgreSQL's `partstrat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionStrategy {
    List,
    Range,
    Hash,
}

impl PartitionStrategy {
    /// The letter in `pg_partitioned_table.partstrat`.
    pub const fn letter(self) -> u8 {
        match self {
            PartitionStrategy::List => b'l',
            PartitionStrategy::Range => b'r',
            PartitionStrategy::Hash => b'h',
        }
    }

    /// The strategy with this letter.
    pub const fn from_letter(letter: u8) -> Option<PartitionStrategy> {
        Some(match letter {
            b'l' => PartitionStrategy::List,
            b'r' => PartitionStrategy::Range,
            b'h' => PartitionStrategy::Hash,
            _ => return None,
        })
    }

    /// The word in `PARTITION BY`.
    pub const fn word(self) -> &'static str {
        match self {
            PartitionStrategy::List => "LIST",
            PartitionStrategy::Range => "RANGE",
            PartitionStrategy::Hash => "HASH",
        }
    }
}

/// `PARTITION BY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionKey {
    pub strategy: PartitionStrategy,
    pub columns: Vec<PartitionColumn>,
    /// The default partition, or zero.
    pub default: Oid,
}

/// One column of a partition key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionColumn {
    /// The table's column, or 0 for an expression.
    pub number: i16,
    /// The expression's SQL text when `number` is 0.
    pub expression: Option<Arc<str>>,
    pub collation: Oid,
    pub operator_class: Oid,
}

/// A value in a partition's bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BoundValue {
    /// MINVALUE
    Minimum,
    /// MAXVALUE
    Maximum,
    Null,
    /// A value in its type's text form; `bare` when SQL needs no quotes around it.
    Text {
        text: Arc<str>,
        bare: bool,
    },
}

/// Which rows of its parent a partition takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartitionBound {
    /// Those that no other partition takes.
    Default,
    /// Those with one of these values.
    List(Vec<BoundValue>),
    /// Those from the lower bound on, below the upper one.
    Range { lower: Vec<BoundValue>, upper: Vec<BoundValue> },
    /// Those whose key's hash has this remainder.
    Hash { modulus: i32, remainder: i32 },
}

impl fmt::Display for BoundValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundValue::Minimum => f.write_str("MINVALUE"),
            BoundValue::Maximum => f.write_str("MAXVALUE"),
            BoundValue::Null => f.write_str("NULL"),
            BoundValue::Text { text, bare: true } => f.write_str(text),
            BoundValue::Text { text, bare: false } => write!(f, "'{}'", text.replace('\'', "''")),
        }
    }
}

struct Values<'a>(&'a [BoundValue]);

impl fmt::Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (position, value) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{value}")?;
        }
        f.write_str(")")
    }
}

/// As `pg_get_expr` shows it.
impl fmt::Display for PartitionBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartitionBound::Default => f.write_str("DEFAULT"),
            PartitionBound::List(values) => write!(f, "FOR VALUES IN {}", Values(values)),
            PartitionBound::Range { lower, upper } => {
                write!(f, "FOR VALUES FROM {} TO {}", Values(lower), Values(upper))
            }
            PartitionBound::Hash { modulus, remainder } => {
                write!(f, "FOR VALUES WITH (modulus {modulus}, remainder {remainder})")
            }
        }
    }
}

impl PartitionBound {
    /// Reads what [`PartitionBound`] prints.
    pub fn parse(text: &str) -> Option<PartitionBound> {
        if text == "DEFAULT" {
            return Some(PartitionBound::Default);
        }
        let rest = text.strip_prefix("FOR VALUES ")?;
        if let Some(list) = rest.strip_prefix("IN ") {
            let (values, end) = parse_values(list)?;
            return end.is_empty().then_some(PartitionBound::List(values));
        }
        if let Some(range) = rest.strip_prefix("FROM ") {
            let (lower, end) = parse_values(range)?;
            let (upper, end) = parse_values(end.strip_prefix(" TO ")?)?;
            return end.is_empty().then_some(PartitionBound::Range { lower, upper });
        }
        let hash = rest.strip_prefix("WITH (modulus ")?.strip_suffix(')')?;
        let (modulus, remainder) = hash.split_once(", remainder ")?;
        Some(PartitionBound::Hash { modulus: modulus.parse().ok()?, remainder: remainder.parse().ok()? })
    }

    /// Whether it is the default partition's.
    pub fn is_default(&self) -> bool {
        *self == PartitionBound::Default
    }
}

/// Reads a list in parentheses; what follows it.
fn parse_values(text: &str) -> Option<(Vec<BoundValue>, &str)> {
    let mut rest = text.strip_prefix('(')?;
    let mut values = Vec::new();
    loop {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let (value, end) = parse_quoted(quoted)?;
            values.push(BoundValue::Text { text: value.into(), bare: false });
            rest = end;
        } else {
            let end = rest.find([',', ')'])?;
            values.push(match &rest[..end] {
                "MINVALUE" => BoundValue::Minimum,
                "MAXVALUE" => BoundValue::Maximum,
                "NULL" => BoundValue::Null,
                bare => BoundValue::Text { text: bare.into(), bare: true },
            });
            rest = &rest[end..];
        }
        match rest.strip_prefix(", ") {
            Some(next) => rest = next,
            None => return Some((values, rest.strip_prefix(')')?)),
        }
    }
}

/// Reads a literal behind its first quote; what follows it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('\'')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(next) => {
                value.push('\'');
                rest = next;
            }
            None => return Some((value, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_as_they_are_printed() {
        for text in [
            "DEFAULT",
            "FOR VALUES IN (1, NULL, 'it''s, (so)')",
            "FOR VALUES IN ('')",
            "FOR VALUES FROM (MINVALUE, 'a') TO ('2020-01-01', MAXVALUE)",
            "FOR VALUES WITH (modulus 4, remainder 3)",
        ] {
            let bound = PartitionBound::parse(text).expect(text);
            assert_eq!(bound.to_string(), text);
        }
        for text in
            ["", "FOR VALUES IN (1", "FOR VALUES IN ('1)", "FOR VALUES FROM (1)", "FOR VALUES IN (1) "]
        {
            assert_eq!(PartitionBound::parse(text), None, "{text}");
        }
    }
}
