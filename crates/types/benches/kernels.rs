//! Nanoseconds per value of what every query runs through: `cargo bench -p ochre-types`.

use std::hint::black_box;
use std::time::Instant;

use ochre_types::{
    Column, ColumnBuilder, ColumnValues, Datum, FormatContext, KeyOrder, Numeric, PhysicalType, SqlType,
    TimeZone, ValueOrder, compare, encode_binary_at, key, parse_text, print_text_at, store,
};

const ROWS: usize = 2048;

fn measure(name: &str, mut run: impl FnMut()) {
    run();
    let start = Instant::now();
    let mut rounds = 0u32;
    while start.elapsed().as_millis() < 100 {
        run();
        rounds += 1;
    }
    let nanos = start.elapsed().as_nanos() as f64 / f64::from(rounds) / ROWS as f64;
    println!("{name:44} {nanos:8.1} ns");
}

fn columns() -> Vec<(&'static str, SqlType, Column)> {
    let context = FormatContext::default();
    let make = |ty: SqlType, text: &dyn Fn(usize) -> String| {
        let mut builder = ColumnBuilder::new(ty.physical, ROWS);
        (0..ROWS)
            .for_each(|row| builder.push(&parse_text(ty, &text(row), &context).expect("a valid literal")));
        builder.finish()
    };
    vec![
        ("int4", SqlType::INT4, make(SqlType::INT4, &|row| (row * 977).to_string())),
        ("int8", SqlType::INT8, make(SqlType::INT8, &|row| (row * 977_777_777).to_string())),
        ("float8", SqlType::FLOAT8, make(SqlType::FLOAT8, &|row| (row as f64 / 7.0).to_string())),
        (
            "numeric",
            SqlType::NUMERIC,
            make(SqlType::NUMERIC, &|row| format!("{}.{:02}", row * 31, row % 100)),
        ),
        ("text short", SqlType::TEXT, make(SqlType::TEXT, &|row| format!("name {row}"))),
        (
            "text long",
            SqlType::TEXT,
            make(SqlType::TEXT, &|row| format!("a rather longer string, number {row}")),
        ),
        (
            "timestamptz",
            SqlType::TIMESTAMPTZ,
            make(SqlType::TIMESTAMPTZ, &|row| format!("2024-05-{:02} 12:34:56.{row}", row % 28 + 1)),
        ),
        ("uuid", SqlType::UUID, make(SqlType::UUID, &|row| format!("{row:032x}"))),
    ]
}

fn forms() {
    let context = FormatContext {
        time_zone: TimeZone::parse("Europe/Berlin").expect("a known zone"),
        ..FormatContext::default()
    };
    for (name, ty, column) in columns() {
        let mut out = Vec::with_capacity(1 << 20);
        measure(&format!("{name}: print"), || {
            out.clear();
            (0..ROWS)
                .for_each(|row| print_text_at(ty, &column, row, &context, &mut out).expect("a text form"));
        });
        measure(&format!("{name}: binary"), || {
            out.clear();
            (0..ROWS).for_each(|row| {
                encode_binary_at(ty, &column, row, &context, &mut out).expect("a binary form")
            });
        });
        let texts: Vec<String> = (0..ROWS)
            .map(|row| {
                let mut text = Vec::new();
                print_text_at(ty, &column, row, &context, &mut text).expect("a text form");
                String::from_utf8(text).expect("text")
            })
            .collect();
        measure(&format!("{name}: parse"), || {
            texts.iter().for_each(|text| {
                black_box(parse_text(ty, text, &context).expect("a valid literal"));
            });
        });
        let stored: Vec<Vec<u8>> = (0..ROWS)
            .map(|row| {
                let mut bytes = Vec::new();
                store::encode_field_at(&column, row, &mut bytes);
                bytes
            })
            .collect();
        let mut builder = ColumnBuilder::new(ty.physical, ROWS);
        measure(&format!("{name}: from stored"), || {
            stored.iter().for_each(|bytes| builder.push_stored(bytes).expect("a stored value"));
            black_box(builder.take());
        });
        let order = KeyOrder::new(ty, false, false);
        measure(&format!("{name}: key"), || {
            out.clear();
            (0..ROWS).for_each(|row| key::encode_key_at(&column, row, order, &mut out).expect("a key form"));
        });
        let mut hashes = vec![0u64; ROWS];
        measure(&format!("{name}: hash"), || {
            compare::hash_column(&column, None, ValueOrder::Natural, &mut hashes);
        });
        measure(&format!("{name}: compare"), || {
            (1..ROWS).for_each(|row| {
                black_box(compare::compare_rows(&column, row - 1, &column, row, order));
            });
        });
        let picks: Vec<usize> = (0..ROWS).map(|row| row * 7 % ROWS).collect();
        measure(&format!("{name}: gather"), || {
            black_box(column.gather(picks.iter().copied()));
        });
        measure(&format!("{name}: push_from"), || {
            let mut builder = ColumnBuilder::new(ty.physical, ROWS);
            picks.iter().for_each(|row| builder.push_from(&column, *row));
            black_box(builder.finish());
        });
    }
}

fn numeric() {
    let numbers: Vec<Numeric> = (0..ROWS as i128).map(|i| Numeric::from_i128(i * 7919 + 1, 2)).collect();
    let other = Numeric::from_i128(107, 2);
    measure("numeric: sum", || {
        black_box(numbers.iter().try_fold(Numeric::ZERO, |sum, x| sum.add(x)).expect("in range"));
    });
    measure("numeric: multiply", || {
        numbers.iter().for_each(|x| {
            black_box(x.mul(&other).expect("in range"));
        });
    });
    measure("numeric: divide", || {
        numbers.iter().for_each(|x| {
            black_box(x.div(&other).expect("in range"));
        });
    });
    let column = Column::new(ColumnValues::Numeric(numbers), None);
    measure("numeric: to datum", || {
        (0..ROWS).for_each(|row| {
            black_box(column.datum(row));
        });
    });
    assert_eq!(column.physical(), PhysicalType::Numeric);
    assert!(matches!(column.datum(0), Datum::Numeric(_)));
}

fn main() {
    forms();
    numeric();
}
