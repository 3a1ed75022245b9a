//! Texts of every type, read and printed as a reference server does; see `scripts/generate_text_cases.py`.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use ochre_base::Oid;
use ochre_types::{
    ByteaOutput, Column, ColumnBuilder, DateOrder, DateStyle, Datum, FormatContext, IntervalStyle, KeyOrder,
    SqlType, TimeZone, compare, decode_binary, encode_binary, key, parse_text, print_text_at, store, to_text,
};

struct Case {
    line: usize,
    ty: SqlType,
    type_name: String,
    text: String,
    expected: String,
    binary: String,
    rank: u32,
    context: FormatContext,
}

fn unescape(text: &str) -> String {
    let mut result = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        result.push(match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                other => other.unwrap(),
            },
            c => c,
        });
    }
    result
}

fn context(settings: &str) -> FormatContext {
    let parts: Vec<&str> = settings.split(';').collect();
    let (style, order) = parts[0].split_once(", ").unwrap();
    FormatContext {
        date_style: match style {
            "ISO" => DateStyle::Iso,
            "Postgres" => DateStyle::Postgres,
            "SQL" => DateStyle::Sql,
            _ => DateStyle::German,
        },
        date_order: match order {
            "MDY" => DateOrder::Mdy,
            "DMY" => DateOrder::Dmy,
            _ => DateOrder::Ymd,
        },
        interval_style: match parts[1] {
            "postgres" => IntervalStyle::Postgres,
            "postgres_verbose" => IntervalStyle::PostgresVerbose,
            "sql_standard" => IntervalStyle::SqlStandard,
            _ => IntervalStyle::Iso8601,
        },
        extra_float_digits: parts[2].parse().unwrap(),
        bytea_output: if parts[3] == "hex" { ByteaOutput::Hex } else { ByteaOutput::Escape },
        time_zone: TimeZone::parse("America/New_York").unwrap(),
        // A winter's day: what times without date take their offset from.
        now: 820_000_000_000_000,
        ..FormatContext::default()
    }
}

fn cases() -> Vec<Case> {
    include_str!("../testdata/text.tsv")
        .lines()
        .enumerate()
        .map(|(index, line)| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [settings, type_name, oid, typmod, text, expected, binary, rank] = fields[..] else {
                panic!("line {}: {line}", index + 1)
            };
            Case {
                line: index + 1,
                ty: SqlType::new(Oid(oid.parse().unwrap()), typmod.parse().unwrap()),
                type_name: format!("{type_name} ({settings})"),
                text: unescape(text),
                expected: unescape(expected),
                binary: binary.to_owned(),
                rank: rank.parse().unwrap(),
                context: context(settings),
            }
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn report(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn text_is_read_and_printed_as_by_the_reference() {
    let mut wrong = Vec::new();
    for case in cases() {
        let answer = match parse_text(case.ty, &case.text, &case.context) {
            Ok(value) => to_text(case.ty, &value, &case.context).unwrap(),
            Err(error) => format!("!{} {}", error.sqlstate(), error.message()),
        };
        if answer != case.expected {
            wrong.push(format!(
                "{}: {} {:?}\n    gives {answer}\n   wanted {}",
                case.line, case.type_name, case.text, case.expected
            ));
        }
    }
    report(wrong);
}

#[test]
fn binary_is_written_and_read_as_by_the_reference() {
    let mut wrong = Vec::new();
    for case in cases() {
        let Ok(value) = parse_text(case.ty, &case.text, &case.context) else { continue };
        let mut binary = Vec::new();
        encode_binary(case.ty, &value, &case.context, &mut binary).unwrap();
        if hex(&binary) != case.binary {
            wrong.push(format!(
                "{}: {} {:?} {} != {}",
                case.line,
                case.type_name,
                case.text,
                hex(&binary),
                case.binary
            ));
        }
        match decode_binary(case.ty, &binary, &case.context) {
            Ok(back) if same(&back, &value) => {}
            other => wrong.push(format!(
                "{}: {} {:?} back {other:?}, was {value:?}",
                case.line, case.type_name, case.text
            )),
        }
    }
    report(wrong);
}

/// Structural equality, but NaN is itself.
fn same(a: &Datum, b: &Datum) -> bool {
    match (a, b) {
        (Datum::Float32(a), Datum::Float32(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (Datum::Float64(a), Datum::Float64(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
        (a, b) => a == b,
    }
}

#[test]
fn columns_print_as_values_do() {
    for case in cases() {
        let Ok(value) = parse_text(case.ty, &case.text, &case.context) else { continue };
        let column = Column::from_datums(case.ty.physical, [&Datum::Null, &value]);
        let mut out = Vec::new();
        print_text_at(case.ty, &column, 0, &case.context, &mut out).unwrap();
        assert!(out.is_empty());
        print_text_at(case.ty, &column, 1, &case.context, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), to_text(case.ty, &value, &case.context).unwrap());
    }
}

#[test]
fn stored_forms_round_trip() {
    for case in cases() {
        let Ok(value) = parse_text(case.ty, &case.text, &case.context) else { continue };
        let mut bytes = Vec::new();
        store::encode_field(&value, &mut bytes);
        if let Some(width) = case.ty.physical.stored_width() {
            assert_eq!(bytes.len(), width as usize, "{}", case.type_name);
        }
        assert_eq!(bytes.len(), store::encoded_len(&value));
        let mut builder = ColumnBuilder::new(case.ty.physical, 2);
        builder.push_stored(&bytes).unwrap();
        let column = builder.finish();
        assert!(same(&column.datum(0), &value), "{}: {:?}", case.type_name, case.text);
        let mut again = Vec::new();
        store::encode_field_at(&column, 0, &mut again);
        assert_eq!(again, bytes);
    }
}

/// Order by comparison, by key and by the reference agree; equal values hash alike; keys decode.
#[test]
fn order_is_the_references() {
    let mut groups: BTreeMap<String, Vec<(Case, Datum)>> = BTreeMap::new();
    for case in cases() {
        if case.rank == 0 {
            continue;
        }
        let Ok(value) = parse_text(case.ty, &case.text, &case.context) else { continue };
        groups.entry(case.type_name.clone()).or_default().push((case, value));
    }
    let mut wrong = Vec::new();
    for group in groups.values() {
        let ty = group[0].0.ty;
        let order = KeyOrder::new(ty, false, false);
        let descending = KeyOrder::new(ty, true, true);
        let column = Column::from_datums(ty.physical, group.iter().map(|(_, value)| value));
        let mut hashes = vec![0; group.len()];
        compare::hash_column(&column, None, order.order, &mut hashes);
        let key_of = |value: &Datum, order: KeyOrder| {
            let mut bytes = Vec::new();
            key::encode_key(value, order, &mut bytes).unwrap();
            bytes
        };
        for (i, (a, x)) in group.iter().enumerate() {
            let mut bytes = Vec::new();
            key::encode_key_at(&column, i, order, &mut bytes).unwrap();
            assert_eq!(bytes, key_of(x, order));
            assert_eq!(compare::hash_datum(x, order.order, 0), hashes[i]);
            bytes.push(0x55);
            let mut rest = bytes.as_slice();
            let back = key::decode_key(ty, order, &mut rest).unwrap();
            assert_eq!(rest, [0x55]);
            assert!(compare::equal_datums(&back, x, order.order), "{} {x:?} {back:?}", a.type_name);
            if key::is_lossless(ty) {
                assert!(same(&back, x), "{} {x:?} {back:?}", a.type_name);
            }
            let down = key_of(x, descending);
            let mut rest = down.as_slice();
            assert!(same(&key::decode_key(ty, descending, &mut rest).unwrap(), &back));
            for (j, (b, y)) in group.iter().enumerate() {
                let expected = a.rank.cmp(&b.rank);
                let compared = compare::compare_datums(x, y, order.order);
                let keyed = key_of(x, order).cmp(&key_of(y, order));
                let reversed = key_of(y, descending).cmp(&down);
                if [compared, keyed, reversed, compare::compare_rows(&column, i, &column, j, order)]
                    != [expected; 4]
                {
                    wrong.push(format!(
                        "{} {:?} {:?}: {expected:?} {compared:?} {keyed:?} {reversed:?}",
                        a.type_name, a.text, b.text
                    ));
                }
                if expected == Ordering::Equal && hashes[i] != hashes[j] {
                    wrong.push(format!("{} {:?} {:?}: hashes differ", a.type_name, a.text, b.text));
                }
                assert_eq!(
                    compare::equal_rows(&column, i, &column, j, order.order),
                    compared == Ordering::Equal
                );
            }
        }
    }
    report(wrong);
}
