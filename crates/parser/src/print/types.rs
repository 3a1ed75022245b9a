//! Type names.

use super::Printer;
use crate::ast::*;

impl Printer {
    pub(super) fn type_name(&mut self, name: &TypeName) {
        self.word_if(name.setof, "SETOF");
        if name.percent_type {
            self.parts(&name.parts);
            self.tight("%TYPE");
            return;
        }
        if !self.sql_spelling(name) {
            self.parts(&name.parts);
            self.typmods(&name.typmods);
        }
        for bound in &name.array_bounds {
            match bound {
                Some(bound) => self.tight(&format!("[{bound}]")),
                None => self.tight("[]"),
            }
        }
    }

    fn typmods(&mut self, typmods: &[Expr]) {
        if !typmods.is_empty() {
            self.call_parens(|p| p.list(typmods, |p, e| p.expr(e)));
        }
    }

    /// Prints SQL's own spelling of a system type, if it has one that carries these modifiers.
    fn sql_spelling(&mut self, name: &TypeName) -> bool {
        let Some(system) = name.system_name() else { return false };
        let numbers: Option<Vec<i32>> = name.typmods.iter().map(plain_integer).collect();
        let bare = match system {
            "int2" => "smallint",
            "int4" => "integer",
            "int8" => "bigint",
            "float4" => "real",
            "float8" => "double precision",
            "bool" => "boolean",
            "json" => "json",
            _ => "",
        };
        if !bare.is_empty() {
            if name.typmods.is_empty() {
                self.word(bare);
            }
            return name.typmods.is_empty();
        }
        match (system, numbers.as_deref()) {
            ("numeric", _) => {
                self.word("numeric");
                self.typmods(&name.typmods);
            }
            ("varbit", _) => {
                self.word("bit varying");
                self.typmods(&name.typmods);
            }
            ("bit", _) if !name.typmods.is_empty() => {
                self.word("bit");
                self.typmods(&name.typmods);
            }
            ("varchar", Some([])) => self.word("character varying"),
            ("varchar", Some([length])) => self.word(&format!("character varying({length})")),
            ("bpchar", Some([length])) => self.word(&format!("character({length})")),
            ("time" | "timetz" | "timestamp" | "timestamptz", Some(precision @ ([] | [_]))) => {
                self.word(system.trim_end_matches("tz"));
                if let [precision] = precision {
                    self.tight(&format!("({precision})"));
                }
                self.word(if system.ends_with("tz") { "with time zone" } else { "without time zone" });
            }
            ("interval", Some(modifiers)) => return self.interval(modifiers),
            _ => return false,
        }
        true
    }

    fn interval(&mut self, modifiers: &[i32]) -> bool {
        let (mask, precision) = match modifiers {
            [] => (None, None),
            [mask] => (Some(*mask), None),
            [mask, precision] => (Some(*mask), Some(*precision)),
            _ => return false,
        };
        let fields = match mask {
            None => "",
            Some(interval_mask::FULL_RANGE) if precision.is_some() => "",
            Some(mask) => match interval_fields(mask) {
                Some(fields) if precision.is_none() || fields.ends_with("second") => fields,
                _ => return false,
            },
        };
        self.word("interval");
        if !fields.is_empty() {
            self.word(fields);
        }
        if let Some(precision) = precision {
            self.tight(&format!("({precision})"));
        }
        true
    }
}

/// The words of an interval's fields.
fn interval_fields(mask: i32) -> Option<&'static str> {
    use interval_mask::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
    let words: [(i32, &str); 13] = [
        (YEAR, "year"),
        (MONTH, "month"),
        (DAY, "day"),
        (HOUR, "hour"),
        (MINUTE, "minute"),
        (SECOND, "second"),
        (YEAR | MONTH, "year to month"),
        (DAY | HOUR, "day to hour"),
        (DAY | HOUR | MINUTE, "day to minute"),
        (DAY | HOUR | MINUTE | SECOND, "day to second"),
        (HOUR | MINUTE, "hour to minute"),
        (HOUR | MINUTE | SECOND, "hour to second"),
        (MINUTE | SECOND, "minute to second"),
    ];
    words.iter().find(|(bits, _)| *bits == mask).map(|(_, words)| *words)
}

/// A number without a sign.
fn plain_integer(expr: &Expr) -> Option<i32> {
    match expr {
        Expr::Literal(Literal { value: LiteralValue::Integer(value), .. }) if *value >= 0 => Some(*value),
        _ => None,
    }
}
