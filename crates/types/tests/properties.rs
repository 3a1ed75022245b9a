//! Random values: numeric against another implementation, orders and forms against each other.

use std::cmp::Ordering;
use std::str::FromStr;
use std::sync::Arc;

use bigdecimal::{BigDecimal, RoundingMode};
use ochre_base::{Error, Oid, Result, SqlState};
use ochre_types::jsonb::{Json, JsonRef};
use ochre_types::{
    Column, Datum, FormatContext, Interval, KeyOrder, Numeric, ObjectNames, PhysicalType, SqlType, compare,
    key, parse_text, store, to_text,
};
use proptest::prelude::*;

fn number_text() -> BoxedStrategy<String> {
    prop_oneof![
        "-?[0-9]{1,6}(\\.[0-9]{1,4})?",
        "-?[0-9]{1,20}(\\.[0-9]{1,20})?",
        "-?[0-9]{30,60}(\\.[0-9]{0,60})?",
        "-?0\\.0{0,30}[0-9]{1,30}",
        "-?[1-9]0{0,50}",
        "-?(9999){1,12}(\\.(9999){1,12})?",
    ]
    .boxed()
}

fn n(text: &str) -> Numeric {
    Numeric::parse(text).unwrap()
}

fn big(text: &str) -> BigDecimal {
    BigDecimal::from_str(text).unwrap()
}

fn same_value(ours: &Numeric, theirs: &BigDecimal) -> bool {
    big(&ours.to_string()) == *theirs
}

fn key_of(value: &Datum, order: KeyOrder) -> Vec<u8> {
    let mut bytes = Vec::new();
    key::encode_key(value, order, &mut bytes).unwrap();
    bytes
}

fn json_tree() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        number_text().prop_map(|text| Json::Number(n(&text))),
        "[ -~äß\\n]{0,12}".prop_map(Json::String),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::vec(("[a-c]{0,3}", inner), 0..5).prop_map(Json::Object),
        ]
    })
}

fn datum_pairs() -> impl Strategy<Value = (PhysicalType, Datum, Datum)> {
    fn pair<T: std::fmt::Debug + Clone, S: Strategy<Value = T> + Clone>(
        physical: PhysicalType,
        strategy: S,
        make: impl Fn(T) -> Datum + Clone + 'static,
    ) -> impl Strategy<Value = (PhysicalType, Datum, Datum)> {
        (strategy.clone(), strategy).prop_map(move |(a, b)| (physical, make(a), make(b)))
    }
    let bytes = proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..20);
    let interval = (-100i32..100, -3000i32..3000, any::<i64>());
    prop_oneof![
        pair(PhysicalType::Bool, any::<bool>(), Datum::Bool),
        pair(PhysicalType::Char, any::<u8>(), Datum::Char),
        pair(PhysicalType::Int16, any::<i16>(), Datum::Int16),
        pair(PhysicalType::Int32, any::<i32>(), Datum::Int32),
        pair(PhysicalType::UInt32, any::<u32>(), Datum::UInt32),
        pair(PhysicalType::Int64, any::<i64>(), Datum::Int64),
        pair(PhysicalType::UInt64, any::<u64>(), Datum::UInt64),
        pair(PhysicalType::Float32, any::<f32>(), Datum::Float32),
        pair(PhysicalType::Float64, any::<f64>(), Datum::Float64),
        pair(PhysicalType::Numeric, number_text(), |text| Datum::Numeric(n(&text))),
        pair(PhysicalType::Bytes, bytes, |bytes| Datum::Bytes(bytes.into())),
        pair(PhysicalType::Interval, interval, |(months, days, micros)| {
            Datum::Interval(Interval { months, days, micros })
        }),
        pair(PhysicalType::Uuid, any::<[u8; 16]>(), Datum::Uuid),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sums_and_products_are_exact(a in number_text(), b in number_text()) {
        let (x, y) = (n(&a), n(&b));
        let (p, q) = (big(&a), big(&b));
        prop_assert!(same_value(&x.add(&y).unwrap(), &(&p + &q)));
        prop_assert!(same_value(&x.sub(&y).unwrap(), &(&p - &q)));
        prop_assert!(same_value(&x.mul(&y).unwrap(), &(&p * &q)));
        prop_assert_eq!(x.compare(&y), p.cmp(&q));
        prop_assert_eq!(x.neg().neg(), x);
    }

    #[test]
    fn quotients_are_rounded_rightly(a in number_text(), b in number_text()) {
        let (x, y) = (n(&a), n(&b));
        prop_assume!(!y.is_zero());
        let (p, q) = (big(&a), big(&b));
        let quotient = x.div(&y).unwrap();
        // Twice the error is at most one unit of the last place.
        let error = (big(&quotient.to_string()) * &q - &p).abs() * BigDecimal::from(2);
        let unit = BigDecimal::new(1.into(), i64::from(quotient.scale().unwrap()));
        prop_assert!(error <= unit * q.abs(), "{}/{} = {}", a, b, quotient);
        let whole = x.div_trunc(&y, || Ok(())).unwrap();
        let rest = x.rem(&y, || Ok(())).unwrap();
        prop_assert!(whole.mul(&y).unwrap().add(&rest).unwrap().compare(&x).is_eq());
        prop_assert!(rest.abs().compare(&y.abs()).is_lt());
    }

    #[test]
    fn rounding_is_half_away_from_zero(a in number_text(), scale in -10i32..40) {
        let rounded = n(&a).round(scale).unwrap();
        let expected = big(&a).with_scale_round(i64::from(scale), RoundingMode::HalfUp);
        prop_assert!(same_value(&rounded, &expected), "{} {} {}", a, scale, rounded);
        let cut = n(&a).trunc(scale).unwrap();
        let expected = big(&a).with_scale_round(i64::from(scale), RoundingMode::Down);
        prop_assert!(same_value(&cut, &expected), "{} {} {}", a, scale, cut);
    }

    #[test]
    fn roots_square_to_their_number(a in number_text()) {
        let x = n(&a).abs();
        let root = x.sqrt(|| Ok(())).unwrap();
        let half = Numeric::from_i128(5, 1).mul(&Numeric::from_i128(1, root.scale().unwrap() as u16)).unwrap();
        let low = root.sub(&half).unwrap();
        let high = root.add(&half).unwrap();
        prop_assert!(low.is_negative() || low.mul(&low).unwrap().compare(&x).is_le());
        prop_assert!(high.mul(&high).unwrap().compare(&x).is_ge());
    }

    #[test]
    fn numbers_keep_their_forms(a in number_text()) {
        let x = n(&a);
        prop_assert_eq!(n(&x.to_string()), x.clone());
        let (mut stored, mut wire, mut key) = (Vec::new(), Vec::new(), Vec::new());
        x.encode_stored(&mut stored);
        prop_assert_eq!(Numeric::decode_stored(&stored), Some(x.clone()));
        x.encode_binary(&mut wire);
        prop_assert_eq!(Numeric::decode_binary(&wire).unwrap(), x.clone());
        x.encode_key(&mut key);
        let mut rest = key.as_slice();
        prop_assert!(Numeric::decode_key(&mut rest).unwrap().compare(&x).is_eq());
        prop_assert!(rest.is_empty());
        // Any scale of one value has one key and one hash.
        let wider = x.round(x.scale().unwrap() + 7).unwrap();
        let mut other = Vec::new();
        wider.encode_key(&mut other);
        prop_assert_eq!(&key, &other);
        let hash = |x: &Numeric| compare::hash_datum(&Datum::Numeric(x.clone()), compare::ValueOrder::Natural, 1);
        prop_assert_eq!(hash(&x), hash(&wider));
        prop_assert_eq!(x.trim_scale().scale(), x.min_scale());
    }

    #[test]
    fn key_order_is_value_order((physical, a, b) in datum_pairs(), descending: bool, nulls_first: bool) {
        let order = KeyOrder { descending, nulls_first, ..KeyOrder::ASCENDING };
        let column = Column::from_datums(physical, [&a, &b, &Datum::Null]);
        for i in 0..3 {
            for j in 0..3 {
                let by_key = key_of(&column.datum(i), order).cmp(&key_of(&column.datum(j), order));
                prop_assert_eq!(by_key, compare::compare_rows(&column, i, &column, j, order));
            }
        }
        // Keys of rows are keys of values in a row.
        let joined = |x: &Datum, y: &Datum| [key_of(x, order), key_of(y, KeyOrder::ASCENDING)].concat();
        let first = compare::compare_rows(&column, 0, &column, 1, order);
        let second = compare::compare_rows(&column, 1, &column, 0, KeyOrder::ASCENDING);
        prop_assert_eq!(joined(&a, &b).cmp(&joined(&b, &a)), first.then(second));
        if compare::equal_datums(&a, &b, order.order) {
            prop_assert_eq!(compare::hash_datum(&a, order.order, 9), compare::hash_datum(&b, order.order, 9));
        }
        let mut stored = Vec::new();
        store::encode_field(&a, &mut stored);
        let back = store::decode_field(physical, &stored).unwrap();
        prop_assert_eq!(compare::compare_datums(&back, &a, order.order), Ordering::Equal);
    }

    #[test]
    fn floats_read_back(bits: u64, half: u32) {
        let context = FormatContext::default();
        let wide = f64::from_bits(bits);
        let text = to_text(SqlType::FLOAT8, &Datum::Float64(wide), &context).unwrap();
        let back = parse_text(SqlType::FLOAT8, &text, &context).unwrap();
        prop_assert!(matches!(back, Datum::Float64(x) if x.to_bits() == bits || x.is_nan() && wide.is_nan()));
        let narrow = f32::from_bits(half);
        let text = to_text(SqlType::FLOAT4, &Datum::Float32(narrow), &context).unwrap();
        let back = parse_text(SqlType::FLOAT4, &text, &context).unwrap();
        prop_assert!(matches!(back, Datum::Float32(x) if x.to_bits() == half || x.is_nan() && narrow.is_nan()));
    }

    #[test]
    fn times_read_back(timestamp in -211_813_488_000_000_000i64..9_223_371_331_200_000_000, micros: i64, days: i32, months: i32) {
        let context = FormatContext::default();
        for (ty, value) in [
            (SqlType::TIMESTAMP, Datum::Int64(timestamp)),
            (SqlType::TIMESTAMPTZ, Datum::Int64(timestamp)),
            (SqlType::DATE, Datum::Int32((timestamp / 86_400_000_000) as i32)),
            (SqlType::TIME, Datum::Int64(timestamp.rem_euclid(86_400_000_000))),
            (SqlType::INTERVAL, Datum::Interval(Interval { months, days, micros: micros.saturating_add(1) })),
        ] {
            let text = to_text(ty, &value, &context).unwrap();
            prop_assert_eq!(parse_text(ty, &text, &context).unwrap(), value, "{}", text);
        }
    }

    #[test]
    fn hostile_bytes_are_refused_or_read(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        for number in 0..15 {
            let physical = PhysicalType::from_u8(number).unwrap();
            if let Ok(value) = store::decode_field(physical, &bytes) {
                let _ = compare::hash_datum(&value, compare::ValueOrder::Natural, 0);
            }
        }
        let mut out = Vec::new();
        let root = JsonRef::new(&bytes);
        root.print(&FormatContext::default(), &mut out).unwrap();
        let _ = (root.compare(root), root.to_json(), root.contains(root, &FormatContext::default()));
        for ty in [SqlType::INT4, SqlType::NUMERIC, SqlType::TEXT_ARRAY, SqlType::JSONB, SqlType::TIMETZ, SqlType::VARBIT] {
            let _ = ochre_types::decode_binary(ty, &bytes, &FormatContext::default());
            let mut key = bytes.as_slice();
            let _ = key::decode_key(ty, KeyOrder::new(ty, false, false), &mut key);
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            for info in ochre_types::type_infos() {
                let _ = parse_text(SqlType::new(info.oid, -1), text, &FormatContext::default());
            }
        }
    }

    #[test]
    fn hostile_text_is_refused_or_read(text in "[-+0-9:./ TtZzPpMmDdjJ,eE_a-fA-F{}\"\\\\\\[\\]=()ä]{0,24}") {
        for info in ochre_types::type_infos() {
            let ty = SqlType::new(info.oid, -1);
            let Ok(value) = parse_text(ty, &text, &FormatContext::default()) else { continue };
            // What was read prints, and reads back as an equal value.
            let printed = to_text(ty, &value, &FormatContext::default()).unwrap();
            if ty.info().is_some_and(|info| info.kind == b'b') {
                let back = parse_text(ty, &printed, &FormatContext::default());
                prop_assert!(
                    back.as_ref().is_ok_and(|back| compare::equal_datums(back, &value, ty.order())),
                    "{} {:?} {:?} {:?}", info.name, text, printed, back
                );
            }
        }
    }

    #[test]
    fn jsonb_keeps_values_and_order(a in json_tree(), b in json_tree()) {
        let (x, y) = (a.to_bytes(), b.to_bytes());
        let (p, q) = (JsonRef::new(&x), JsonRef::new(&y));
        let mut text = Vec::new();
        p.print(&FormatContext::default(), &mut text).unwrap();
        let again = Json::parse(std::str::from_utf8(&text).unwrap(), &FormatContext::default()).unwrap();
        prop_assert_eq!(again.to_bytes(), x.clone());
        prop_assert_eq!(p.to_json().to_bytes(), x.clone());
        let (mut k, mut l) = (Vec::new(), Vec::new());
        p.encode_key(&mut k);
        q.encode_key(&mut l);
        prop_assert_eq!(k.cmp(&l), p.compare(q));
        prop_assert_eq!(q.compare(p), p.compare(q).reverse());
        prop_assert!(p.contains(p, &FormatContext::default()).unwrap());
        let datum = Datum::Bytes(x.clone().into());
        let order = KeyOrder::new(SqlType::JSONB, true, false);
        let bytes = key_of(&datum, order);
        let back = key::decode_key(SqlType::JSONB, order, &mut bytes.as_slice()).unwrap();
        prop_assert!(compare::equal_datums(&back, &datum, order.order));
    }
}

/// A session whose statement is cancelled.
struct Cancelled;

impl ObjectNames for Cancelled {
    fn print(&self, _: Oid, _: Oid) -> Option<String> {
        None
    }
    fn parse(&self, _: Oid, text: &str) -> Result<Oid> {
        Err(Error::internal(text))
    }
    fn check_interrupts(&self) -> Result<()> {
        Err(Error::new(SqlState::QUERY_CANCELED, "cancelled"))
    }
}

#[test]
fn large_values_are_given_up_when_the_statement_is_cancelled() {
    let context = FormatContext { names: Some(Arc::new(Cancelled)), ..FormatContext::default() };
    let plain = FormatContext::default();
    let cancelled = |result: Result<()>, what: &str| {
        assert_eq!(result.expect_err(what).sqlstate(), SqlState::QUERY_CANCELED, "{what}");
    };
    let list = |open: &str, close: &str, items: usize| format!("{open}{}1{close}", "1,".repeat(items));
    let ints = SqlType::INT4.array_of().unwrap();
    for (ty, open, close) in [(SqlType::JSON, "[", "]"), (SqlType::JSONB, "[", "]"), (ints, "{", "}")] {
        assert!(parse_text(ty, &list(open, close, 100), &context).is_ok());
        cancelled(parse_text(ty, &list(open, close, 10_000), &context).map(drop), "reading");
    }
    let nested = |items: usize| format!("{{{}{{1}}}}", "{1},".repeat(items));
    let strings = |bytes: usize| format!("[{{\"{}\": 1}}]", "x".repeat(bytes));
    let hex = |bytes: usize| format!("\\x{}", "ab".repeat(bytes));
    let values: [(SqlType, &dyn Fn(usize) -> String); 5] = [
        (SqlType::JSONB, &|size| list("[", "]", size)),
        (SqlType::JSONB, &strings),
        (ints, &|size| list("{", "}", size)),
        (ints, &nested),
        (SqlType::BYTEA, &hex),
    ];
    for (ty, text) in values {
        let small = parse_text(ty, &text(100), &plain).unwrap();
        let large = parse_text(ty, &text(100_000), &plain).unwrap();
        assert_eq!(to_text(ty, &small, &context).unwrap(), to_text(ty, &small, &plain).unwrap());
        cancelled(to_text(ty, &large, &context).map(drop), &text(2));
        let mut wire = Vec::new();
        ochre_types::encode_binary(ty, &small, &context, &mut wire).unwrap();
        assert!(ochre_types::decode_binary(ty, &wire, &context).is_ok());
        if ty != SqlType::BYTEA {
            cancelled(ochre_types::encode_binary(ty, &large, &context, &mut Vec::new()), &text(2));
            let mut wire = Vec::new();
            ochre_types::encode_binary(ty, &large, &plain, &mut wire).unwrap();
            if ty != SqlType::JSONB || text(2).contains(',') {
                cancelled(ochre_types::decode_binary(ty, &wire, &context).map(drop), &text(2));
            }
        }
    }
    let large = Json::parse(&list("[", "]", 100_000), &plain).unwrap();
    cancelled(large.to_bytes_within(&context).map(drop), "encoding");
    let bytes = large.to_bytes();
    cancelled(JsonRef::new(&bytes).print_pretty(&context, &mut Vec::new()), "printing with line feeds");
    let large = JsonRef::new(&bytes);
    cancelled(large.to_json_within(&context).map(drop), "reading to change it");
    cancelled(large.compare_within(large, &context).map(drop), "comparing");
    cancelled(
        large.contains(JsonRef::new(&Json::Number(2.into()).to_bytes()), &context).map(drop),
        "an element",
    );
    let some = |items: usize| Json::parse(&list("[", "]", items), &plain).unwrap().to_bytes();
    let other = |items: usize| Json::Array(vec![Json::Number(2.into()); items]).to_bytes();
    let (few, others) = (some(300), other(1));
    assert!(!JsonRef::new(&few).contains(JsonRef::new(&others), &context).unwrap());
    // Few elements, and each of the others is looked for among all.
    let twos = Json::Array([vec![Json::Null; 1000], vec![Json::Bool(true)]].concat()).to_bytes();
    let wanted = Json::Array(vec![Json::Bool(true); 1000]).to_bytes();
    cancelled(
        JsonRef::new(&twos).contains(JsonRef::new(&wanted), &context).map(drop),
        "elements among elements",
    );
    let texts = SqlType::TEXT.array_of().unwrap();
    for piece in ["x", "\\\\", " "] {
        let array =
            |size: usize| parse_text(texts, &format!("{{\"{}\"}}", piece.repeat(size)), &plain).unwrap();
        assert_eq!(
            to_text(texts, &array(100), &context).unwrap(),
            to_text(texts, &array(100), &plain).unwrap()
        );
        cancelled(to_text(texts, &array(100_000), &context).map(drop), "quoting");
    }
}
