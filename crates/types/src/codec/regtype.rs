//! `regtype`: types by name.

use ochre_base::Oid;

use crate::{oids, type_info, type_info_named, typmod};

/// A built-in type by its SQL or catalog name: `integer`, `timestamp with time zone`, `_text`, `int4[]`.
pub fn parse_type_name(text: &str) -> Option<Oid> {
    let mut name = text.trim();
    let mut array = false;
    while let Some(element) = name.strip_suffix("[]") {
        name = element.trim_end();
        array = true;
    }
    let lower = name.to_ascii_lowercase();
    let lower = lower.strip_prefix("pg_catalog.").unwrap_or(&lower);
    // A modifier says nothing about which type it is.
    let plain: String = match (lower.find('('), lower.find(')')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}{}", lower[..open].trim_end(), &lower[close + 1..])
        }
        _ => lower.to_owned(),
    };
    let words: Vec<&str> = plain.split_ascii_whitespace().collect();
    let oid = match words.join(" ").as_str() {
        "int" | "integer" => oids::INT4,
        "smallint" => oids::INT2,
        "bigint" => oids::INT8,
        "boolean" => oids::BOOL,
        "real" => oids::FLOAT4,
        "float" | "double precision" => oids::FLOAT8,
        "decimal" | "dec" => oids::NUMERIC,
        "char" | "character" => oids::BPCHAR,
        "\"char\"" => oids::CHAR,
        "character varying" | "char varying" => oids::VARCHAR,
        "bit varying" => oids::VARBIT,
        "time without time zone" => oids::TIME,
        "time with time zone" => oids::TIMETZ,
        "timestamp without time zone" => oids::TIMESTAMP,
        "timestamp with time zone" => oids::TIMESTAMPTZ,
        other => type_info_named(other.trim_matches('"'))?.oid,
    };
    if array { type_info(oid).map(|info| info.array).filter(|oid| oid.is_valid()) } else { Some(oid) }
}

/// A built-in type's SQL name.
pub(super) fn print(oid: Oid) -> Option<String> {
    type_info(oid).map(|_| typmod::format_type(oid, -1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for info in crate::type_infos() {
            // `bpchar` and `bit` without length have no other name; arrays of arrays do not exist.
            let name = print(info.oid).unwrap();
            assert_eq!(parse_type_name(&name), Some(info.oid), "{name}");
        }
        assert_eq!(parse_type_name("pg_catalog.varchar(10)"), Some(oids::VARCHAR));
        assert_eq!(parse_type_name("timestamp(3) with time zone"), Some(oids::TIMESTAMPTZ));
        assert_eq!(parse_type_name("nonsense"), None);
    }
}
