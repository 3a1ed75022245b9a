//! Reading and printing the values of settings.

use ochre_types::{DateOrder, DateStyle};

/// A boolean in any spelling that PostgreSQL takes, unique prefixes included.
pub fn boolean(text: &str) -> Option<bool> {
    let text = text.trim().to_ascii_lowercase();
    let prefix_of = |word: &str, shortest: usize| text.len() >= shortest && word.starts_with(&*text);
    if prefix_of("true", 1) || prefix_of("yes", 1) || text == "on" || text == "1" {
        Some(true)
    } else if prefix_of("false", 1) || prefix_of("no", 1) || prefix_of("off", 2) || text == "0" {
        Some(false)
    } else {
        None
    }
}

/// The units of one kind, largest first, as multiples of the kind's smallest.
const MEMORY: [(&str, f64); 5] = [
    ("TB", 1e0 * (1u64 << 40) as f64),
    ("GB", (1u64 << 30) as f64),
    ("MB", 1_048_576.0),
    ("kB", 1024.0),
    ("B", 1.0),
];
const TIME: [(&str, f64); 6] =
    [("d", 86_400e6), ("h", 3_600e6), ("min", 60e6), ("s", 1e6), ("ms", 1e3), ("us", 1.0)];

fn scale(unit: &str) -> Option<(&'static [(&'static str, f64)], f64)> {
    for units in [&MEMORY[..], &TIME[..]] {
        if let Some((_, size)) = units.iter().find(|(name, _)| *name == unit) {
            return Some((units, *size));
        }
    }
    match unit {
        "8kB" => Some((&MEMORY, 8192.0)),
        _ => None,
    }
}

/// A number with an optional unit, in multiples of `base`.
pub fn number_with_unit(text: &str, base: Option<&str>) -> Option<f64> {
    let text = text.trim();
    let digits = text
        .char_indices()
        .take_while(|(i, c)| {
            c.is_ascii_digit()
                || matches!(c, '.' | '+' | '-')
                || (matches!(c, 'e' | 'E')
                    && text[i + 1..].starts_with(|n: char| n.is_ascii_digit() || n == '-' || n == '+'))
        })
        .map(|(i, _)| i + 1)
        .last()
        .unwrap_or(0);
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim();
    if unit.is_empty() {
        return Some(number);
    }
    let (units, base_size) = scale(base?)?;
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    Some(number * size / base_size)
}

/// An integer in the largest unit that divides it, as SHOW prints it.
pub fn format_with_unit(value: i64, base: Option<&str>) -> String {
    let Some((units, base_size)) = base.and_then(scale) else {
        return value.to_string();
    };
    if value <= 0 {
        return value.to_string();
    }
    let size = value as f64 * base_size;
    for (name, unit) in units {
        if *unit >= base_size.clamp(1.0, 1024.0) && size % unit == 0.0 && *unit <= size {
            return format!("{}{name}", (size / unit) as i64);
        }
    }
    format!("{value}{}", base.unwrap_or_default())
}

/// A `DateStyle` in any spelling; the half that is not given stays as in `current`, itself a canonical value.
pub fn date_style(text: &str, current: &str) -> Option<(DateStyle, DateOrder)> {
    let (mut style, mut order) = match current {
        "" => (DateStyle::Iso, DateOrder::Mdy),
        _ => read_date_style(current, DateStyle::Iso, DateOrder::Mdy)?,
    };
    if text.trim().eq_ignore_ascii_case("default") {
        return Some((DateStyle::Iso, DateOrder::Mdy));
    }
    (style, order) = read_date_style(text, style, order)?;
    Some((style, order))
}

fn read_date_style(text: &str, mut style: DateStyle, mut order: DateOrder) -> Option<(DateStyle, DateOrder)> {
    let mut order_given = false;
    for word in text.split(',').map(|word| word.trim().to_ascii_lowercase()) {
        match word.as_str() {
            "iso" => style = DateStyle::Iso,
            "sql" => style = DateStyle::Sql,
            "german" => {
                style = DateStyle::German;
                if !order_given {
                    order = DateOrder::Dmy;
                }
            }
            _ if word.starts_with("postgres") => style = DateStyle::Postgres,
            "ymd" => (order, order_given) = (DateOrder::Ymd, true),
            "dmy" | "euro" | "european" => (order, order_given) = (DateOrder::Dmy, true),
            "mdy" | "us" | "noneuro" | "noneuropean" => (order, order_given) = (DateOrder::Mdy, true),
            _ => return None,
        }
    }
    Some((style, order))
}

/// The canonical form of a `DateStyle`.
pub fn format_date_style(style: DateStyle, order: DateOrder) -> String {
    let style = match style {
        DateStyle::Iso => "ISO",
        DateStyle::Postgres => "Postgres",
        DateStyle::Sql => "SQL",
        DateStyle::German => "German",
    };
    let order = match order {
        DateOrder::Ymd => "YMD",
        DateOrder::Dmy => "DMY",
        DateOrder::Mdy => "MDY",
    };
    format!("{style}, {order}")
}
