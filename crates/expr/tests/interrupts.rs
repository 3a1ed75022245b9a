//! A function that works on large values looks now and then whether the statement may go on, and ends when it may not: each
//! of these is called with a session that counts how often it is asked, and once more with one that says no.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_expr::{
    CallContext, CastKind, EvalContext, Expr, Function, Groups, Implementation, SessionContext, SourcePos,
    aggregates, eval_const, functions, functions_named,
};
use ochre_types::{
    ArrayValue, ColumnBuilder, Datum, FormatContext, Numeric, ObjectNames, SqlType, oids, parse_text, to_text,
};

/// Bytes of what counts as large here: some dozen of the pieces that values are taken in.
const LARGE: usize = 2 << 20;

/// Counts the looks; says no from one of them on.
struct Looks {
    count: AtomicUsize,
    refused: usize,
    /// The last look, and the longest time between two.
    times: Mutex<(Instant, Duration)>,
}

impl Looks {
    fn note_time(&self) {
        let mut times = self.times.lock().unwrap();
        let now = Instant::now();
        times.1 = times.1.max(now - times.0);
        times.0 = now;
    }
}

impl ObjectNames for Looks {
    fn print(&self, _: Oid, _: Oid) -> Option<String> {
        None
    }

    fn parse(&self, _: Oid, _: &str) -> Result<Oid> {
        Err(Error::internal("no names here"))
    }

    fn check_interrupts(&self) -> Result<()> {
        self.note_time();
        if self.count.fetch_add(1, Ordering::Relaxed) + 1 < self.refused {
            return Ok(());
        }
        Err(Error::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"))
    }
}

struct Session {
    format: FormatContext,
    looks: Arc<Looks>,
}

impl Session {
    fn refusing(refused: usize) -> Session {
        let times = Mutex::new((Instant::now(), Duration::ZERO));
        let looks = Arc::new(Looks { count: AtomicUsize::new(0), refused, times });
        Session { format: FormatContext { names: Some(looks.clone()), ..FormatContext::default() }, looks }
    }

    fn count(&self) -> usize {
        self.looks.count.load(Ordering::Relaxed)
    }
}

impl SessionContext for Session {
    fn format(&self) -> &FormatContext {
        &self.format
    }

    fn check_interrupts(&self) -> Result<()> {
        self.looks.check_interrupts()
    }

    fn random_bits(&self) -> u64 {
        1 << 63
    }
}

type Value = (Datum, SqlType);

fn text(value: impl AsRef<str>) -> Value {
    (Datum::text(value.as_ref()), SqlType::TEXT)
}

fn bytes(value: impl AsRef<[u8]>) -> Value {
    (Datum::text(value.as_ref()), SqlType::BYTEA)
}

fn int(value: i32) -> Value {
    (Datum::Int32(value), SqlType::INT4)
}

fn boolean(value: bool) -> Value {
    (Datum::Bool(value), SqlType::BOOL)
}

fn number(value: impl AsRef<str>) -> Value {
    (Datum::Numeric(Numeric::parse(value.as_ref()).unwrap()), SqlType::NUMERIC)
}

fn of(oid: Oid, value: impl AsRef<str>) -> Value {
    let ty = SqlType::new(oid, -1);
    (parse_text(ty, value.as_ref(), &FormatContext::default()).unwrap(), ty)
}

/// Numbers from 0 on.
fn integers(count: usize) -> Value {
    let elements = (0..count as i32).map(Datum::Int32).collect();
    (Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT4, elements))), SqlType::new(oids::INT4_ARRAY, -1))
}

fn texts(count: usize) -> Value {
    let elements = (0..count).map(|n| Datum::text(n.to_string())).collect();
    (Datum::Array(Arc::new(ArrayValue::vector(SqlType::TEXT, elements))), SqlType::TEXT_ARRAY)
}

/// Calls an implementation by itself: what looks at its result afterwards does not count.
fn run(
    function: &Function,
    args: &[Value],
    result: SqlType,
    variadic: bool,
    session: &Session,
) -> Result<()> {
    let eval = EvalContext::new(session);
    let arg_types: Vec<SqlType> = args.iter().map(|(_, ty)| *ty).collect();
    let values: Vec<Datum> = args.iter().map(|(value, _)| value.clone()).collect();
    let call = CallContext { eval: &eval, function, arg_types: &arg_types, result, variadic_array: variadic };
    match &function.implementation {
        Implementation::Row(row) | Implementation::Batch { row, .. } => row(&call, &values).map(drop),
        Implementation::Set(open) => {
            let mut cursor = open(&call, &values)?;
            while cursor.next_batch(1024, &eval)?.is_some() {}
            Ok(())
        }
        _ => panic!("{} has no implementation", function.name),
    }
}

/// That something looks, and ends at the look that says no.
fn ends_early(name: &str, act: impl Fn(&Session) -> Result<()>) {
    let patient = Session::refusing(usize::MAX);
    if let Err(error) = act(&patient) {
        panic!("{name}: {error:?}");
    }
    let looks = patient.count();
    assert!(looks >= 2, "{name} looked only {looks} times");
    for refused in [1, looks / 2, looks] {
        let session = Session::refusing(refused);
        let error = act(&session).expect_err(name);
        assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED, "{name}");
        assert_eq!(session.count(), refused, "{name} went on");
    }
}

fn function(source: &str, args: &[Value]) -> &'static Function {
    let oid = |args: &[Value]| args.iter().map(|(_, ty)| ty.oid).collect::<Vec<_>>();
    let internal = functions().iter().find(|f| &*f.source == source);
    internal.unwrap_or_else(|| {
        let named = functions_named(source).iter().find(|f| f.arg_types.to_vec() == oid(args));
        named.unwrap_or_else(|| panic!("no function {source}"))
    })
}

fn check(source: &str, args: &[Value]) {
    let function = function(source, args);
    let result = match function.return_type {
        oids::ANYARRAY | oids::ANYCOMPATIBLEARRAY => SqlType::new(oids::INT4_ARRAY, -1),
        oids::ANYELEMENT => SqlType::INT4,
        oid => SqlType::new(oid, -1),
    };
    ends_early(source, |session| run(function, args, result, false, session));
}

#[test]
fn texts_are_given_up() {
    let ascii = "ab".repeat(LARGE / 2);
    let wide = "é".repeat(LARGE / 2);
    let (ascii, wide, byte) = (text(ascii), text(wide), bytes("ab".repeat(LARGE / 2)));
    for source in ["lower", "upper", "casefold", "initcap", "text_reverse", "unistr", "textlen"] {
        check(source, std::slice::from_ref(&ascii));
        check(source, std::slice::from_ref(&wide));
    }
    for source in ["bytea_reverse", "bytea_bit_count", "md5_bytea", "sha256_bytea", "crc32_bytea"] {
        check(source, std::slice::from_ref(&byte));
    }
    check("repeat", &[text("x"), int(LARGE as i32)]);
    check("textcat", &[ascii.clone(), wide.clone()]);
    check("textpos", &[ascii.clone(), text("c")]);
    check("textpos", &[ascii.clone(), text("ab".repeat(1 << 19) + "c")]);
    check("byteapos", &[byte.clone(), bytes("c")]);
    check("text_left", &[wide.clone(), int(-3)]);
    check("text_right", &[wide.clone(), int(-3)]);
    check("text_substr", &[wide.clone(), int(3), int(1 << 20)]);
    check("text_substr_no_len", &[wide.clone(), int(3)]);
    check("textoverlay_no_len", &[wide.clone(), text("x"), int(1000)]);
    check("lpad", &[text("x"), int(LARGE as i32), text("é")]);
    check("rpad", &[text("x"), int(LARGE as i32), text("é")]);
    check("btrim", &[ascii.clone(), text("ba")]);
    check("btrim", &[wide.clone(), text("é")]);
    check("btrim1", &[text(" ".repeat(LARGE))]);
    check("byteatrim", &[byte.clone(), bytes("ab")]);
    check("split_part", &[ascii.clone(), text("b"), int(-5)]);
    check("split_part", &[ascii.clone(), text("b"), int(1 << 19)]);
    check("replace_text", &[ascii.clone(), text("b"), text("c")]);
    check("translate", &[ascii.clone(), text("b"), text("c")]);
    check("text_to_array", &[ascii.clone(), text("b")]);
    check("text_to_array", &[ascii.clone(), (Datum::Null, SqlType::TEXT)]);
    check("text_to_table", &[ascii.clone(), text("b")]);
    check("text_to_table", &[ascii.clone(), text("c")]);
    check("quote_literal", &[text("'\\".repeat(LARGE / 2))]);
    check("quote_ident", &[text("a\"".repeat(LARGE / 2))]);
    check("text_concat", &[ascii.clone(), wide.clone()]);
    check("text_concat_ws", &[text(","), ascii.clone(), wide.clone()]);
    check("text_format", &[text("%s%L%I"), ascii.clone(), ascii.clone(), ascii.clone()]);
    check("text_format_nv", std::slice::from_ref(&ascii));
    check("pg_convert_from", &[byte.clone(), of(oids::NAME, "UTF8")]);
    check("parse_ident", &[text("a".to_owned() + &".a".repeat(LARGE / 32)), boolean(true)]);
    for format in ["hex", "base64", "escape"] {
        check("binary_encode", &[byte.clone(), text(format)]);
        let encoded = text("abcd".repeat(LARGE / 4));
        check("binary_decode", &[encoded, text(format)]);
    }
}

#[test]
fn patterns_are_given_up() {
    let ascii = text("ab".repeat(LARGE / 2));
    check("textlike", &[ascii.clone(), text("%abac%")]);
    check("textlike", &[ascii.clone(), text("%ab_c%")]);
    check("textlike", &[ascii.clone(), text("%b%c%d%")]);
    check("textlike", &[ascii.clone(), text("%".to_owned() + &"ab".repeat(1 << 19) + "c%")]);
    check("texticlike", &[ascii.clone(), text("%aB_c%")]);
    check("like_escape", &[ascii.clone(), text("#")]);
    check("similar_to_escape_1", std::slice::from_ref(&ascii));
    check("regexp_count", &[text("ab".repeat(LARGE / 128)), text("b")]);
    check("textregexreplace", &[text("ab".repeat(LARGE / 128)), text("b"), text("c"), text("g")]);
    check("regexp_split_to_array", &[text("ab".repeat(LARGE / 128)), text("b")]);
    check("regexp_split_to_table", &[text("ab".repeat(LARGE / 128)), text("b")]);
    check("regexp_matches", &[text("ab".repeat(LARGE / 128)), text("b"), text("g")]);
    // Long enough to be walked through.
    let long = text("ab".repeat(10 << 20));
    check("textregexeq", &[long.clone(), text("[ab]*c")]);
    check("regexp_match", &[long.clone(), text("(a|b)*b$")]);
    check("regexp_like", &[long, text("(a|b)*a$")]);
}

#[test]
fn patterns_that_are_long_to_compile_are_given_up() {
    // A few hundred thousand states.
    let pattern = "[[:alpha:]]{1,200}".to_owned();
    let args = [text("abc"), text(pattern)];
    let function = function("textregexeq", &args);
    let session = Session::refusing(1);
    let error = run(function, &args, SqlType::BOOL, false, &session).unwrap_err();
    assert_eq!(error.sqlstate(), SqlState::QUERY_CANCELED);
    for pattern in [
        "((((a{1,255}){1,255}){1,255}){1,255})",
        &"[[:alpha:]]{1,255}".repeat(300),
        &"[^a]{255}".repeat(5000),
    ] {
        let session = Session::refusing(usize::MAX);
        let args = [text("abc"), text(pattern)];
        let error = run(function, &args, SqlType::BOOL, false, &session).unwrap_err();
        assert_eq!(error.message(), "invalid regular expression: regular expression is too complex");
    }
    let session = Session::refusing(usize::MAX);
    for pattern in
        ["\\w{20}", "(\\w+)@(\\w+)\\.com", "[[:alpha:]]{1,40}", "(?i)(select|insert|update)\\s+\\w+"]
    {
        run(function, &[text("abc"), text(pattern)], SqlType::BOOL, false, &session).unwrap();
    }
}

#[test]
fn arrays_are_given_up() {
    let many = integers(200_000);
    let other = {
        let elements = (1..=200_000).map(|n| Datum::Int32(-n)).collect();
        (Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT4, elements))), many.1)
    };
    check("arrayoverlap", &[many.clone(), other.clone()]);
    check("arraycontains", &[many.clone(), many.clone()]);
    check("arraycontained", &[many.clone(), many.clone()]);
    check("array_fill", &[int(1), of(oids::INT4_ARRAY, "{200000}")]);
    check("array_unnest", std::slice::from_ref(&many));
    check("array_position", &[many.clone(), int(-1)]);
    check("array_positions", &[many.clone(), int(-1)]);
    check("array_remove", &[many.clone(), int(5)]);
    check("array_replace", &[many.clone(), int(5), int(6)]);
    check("array_append", &[many.clone(), int(5)]);
    check("array_prepend", &[int(5), many.clone()]);
    check("array_cat", &[many.clone(), other.clone()]);
    check("array_eq", &[many.clone(), many.clone()]);
    check("btarraycmp", &[many.clone(), many.clone()]);
    check("trim_array", &[many.clone(), int(1)]);
    check("array_reverse", std::slice::from_ref(&many));
    check("array_shuffle", std::slice::from_ref(&many));
    check("array_sort", std::slice::from_ref(&many));
    check("array_sort", &[other]);
    check("generate_subscripts", &[many.clone(), int(1), boolean(true)]);
    check("array_to_text", &[many.clone(), text(",")]);
    check("json_object", &[texts(200_000)]);
    check("jsonb_object", &[texts(200_000)]);
    check("to_json", std::slice::from_ref(&many));
    check("to_jsonb", std::slice::from_ref(&many));
    for (source, variadic) in [
        ("pg_num_nulls", integers(1_000_000)),
        ("json_build_array", many.clone()),
        ("jsonb_build_array", many.clone()),
        ("json_build_object", texts(200_000)),
        ("jsonb_build_object", texts(200_000)),
        ("text_concat", many.clone()),
    ] {
        let function = function(source, &[]);
        let args = [variadic];
        ends_early(source, |session| run(function, &args, SqlType::TEXT, true, session));
    }
    // What is no function.
    let bigints = SqlType::new(oids::INT8_ARRAY, -1);
    let constant = || Expr::constant(many.0.clone(), many.1);
    let widen = ochre_expr::cast(oids::INT4, oids::INT8).unwrap();
    let ochre_expr::CastMethod::Function(function) = widen.method else { panic!("a function") };
    let element = CastKind::Function { function: function.into(), explicit: false };
    let kind = CastKind::Array { kind: Box::new(element), element: SqlType::INT8 };
    let cast = Expr::Cast { arg: Box::new(constant()), kind, ty: bigints, pos: SourcePos(None) };
    ends_early("a cast of an array", |session| eval_const(&cast, &EvalContext::new(session)).map(drop));
}

#[test]
fn bits_are_given_up() {
    let digits = "10".repeat(LARGE * 4);
    let bits = of(oids::VARBIT, &digits);
    check("bitnot", std::slice::from_ref(&bits));
    check("bitshiftleft", &[bits.clone(), int(3)]);
    check("bitshiftright", &[bits.clone(), int(3)]);
    check("bitcat", &[of(oids::VARBIT, "1"), bits.clone()]);
    check("bitsubstr_no_len", &[bits.clone(), int(4)]);
    check("bitposition", &[bits.clone(), of(oids::VARBIT, "11")]);
    check("bitposition", &[bits.clone(), of(oids::VARBIT, "10".repeat(1000) + "0")]);
    let varbit = SqlType::new(oids::VARBIT, -1);
    ends_early("varbit's output", |session| to_text(varbit, &bits.0, session.format()).map(drop));
    ends_early("varbit's input", |session| parse_text(varbit, &digits, session.format()).map(drop));
}

#[test]
fn numbers_are_given_up() {
    let (long, other) = (number("37".repeat(10_000)), number("7".repeat(20_000)));
    check("numeric_sqrt", std::slice::from_ref(&long));
    check("numeric_ln", std::slice::from_ref(&long));
    check("numeric_log", &[other.clone(), long.clone()]);
    check("numeric_exp", &[number("0.".to_owned() + &"7".repeat(900))]);
    check("numeric_power", &[number("99999.99999"), number("2000")]);
    check("numeric_power", &[number("1.0000001"), number("123456789.5")]);
    check("numeric_mul", &[long.clone(), other.clone()]);
    check("numeric_div", &[long, number("7".repeat(5_000))]);
    ends_early("numeric's input", |session| {
        parse_text(SqlType::NUMERIC, &("0x".to_owned() + &"f".repeat(2000)), session.format()).map(drop)
    });
}

#[test]
fn json_is_given_up() {
    let string = "[\"".to_owned() + &"ab".repeat(LARGE / 2) + "\"]";
    let escapes = "[\"".to_owned() + &"\\n".repeat(LARGE / 2) + "\"]";
    let many = "[".to_owned() + &"1,".repeat(LARGE / 2) + "1]";
    let nulls = "[".to_owned() + &"{\"a\":null},".repeat(LARGE / 10) + "1]";
    let members =
        "{".to_owned() + &(0..100_000).map(|n| format!("\"{n}\":{n},")).collect::<String>() + "\"a\":1}";
    let digits = "1".repeat(LARGE);
    let blanks = " ".repeat(LARGE) + "1";
    let json = SqlType::new(oids::JSON, -1);
    let jsonb = SqlType::new(oids::JSONB, -1);
    for value in [&string, &escapes, &many, &nulls, &members, &digits, &blanks] {
        ends_early("json's input", |session| parse_text(json, value, session.format()).map(drop));
    }
    for value in [&string, &escapes, &many, &nulls, &members, &blanks] {
        ends_early("jsonb's input", |session| parse_text(jsonb, value, session.format()).map(drop));
        let held = of(oids::JSONB, value);
        if value != &blanks {
            ends_early("jsonb's output", |session| to_text(jsonb, &held.0, session.format()).map(drop));
        }
    }
    let (json_many, jsonb_many) = (of(oids::JSON, &many), of(oids::JSONB, &many));
    check("json_array_length", std::slice::from_ref(&json_many));
    check("json_array_elements", std::slice::from_ref(&json_many));
    check("json_array_elements_text", std::slice::from_ref(&json_many));
    check("json_array_element", &[json_many.clone(), int(LARGE as i32 / 4)]);
    check("json_array_element_text", &[of(oids::JSON, &escapes), int(0)]);
    check("json_strip_nulls", &[of(oids::JSON, &nulls), boolean(false)]);
    check("json_object_field", &[of(oids::JSON, &members), text("a")]);
    check("json_each", &[of(oids::JSON, &members)]);
    check("json_object_keys", &[of(oids::JSON, &members)]);
    check("jsonb_array_elements", std::slice::from_ref(&jsonb_many));
    check("jsonb_object_keys", &[of(oids::JSONB, &members)]);
    check("jsonb_each_text", &[of(oids::JSONB, &members)]);
    check("jsonb_exists", &[jsonb_many.clone(), text("a")]);
    check("jsonb_eq", &[jsonb_many.clone(), jsonb_many.clone()]);
    check("jsonb_contains", &[jsonb_many.clone(), of(oids::JSONB, "[2]")]);
    check("jsonb_pretty", std::slice::from_ref(&jsonb_many));
    check("jsonb_strip_nulls", &[of(oids::JSONB, &nulls), boolean(false)]);
    check("jsonb_concat", &[jsonb_many.clone(), jsonb_many.clone()]);
    check("jsonb_delete", &[jsonb_many, text("a")]);
    check("to_json", &[text("ab\n".repeat(LARGE / 3))]);
    check("to_jsonb", &[text("ab\n".repeat(LARGE / 3))]);
}

#[test]
fn templates_are_given_up() {
    let long = text("ab".repeat(LARGE / 16));
    let moment = (Datum::Int64(0), SqlType::new(oids::TIMESTAMP, -1));
    check("timestamp_to_char", &[moment, long.clone()]);
    check("int4_to_char", &[int(5), long.clone()]);
    check("numeric_to_char", &[number("12.5"), text("9".repeat(LARGE / 16))]);
    check(
        "to_date",
        &[
            text("2020".to_owned() + &"x".repeat(LARGE / 16)),
            text("YYYY".to_owned() + &"x".repeat(LARGE / 16)),
        ],
    );
    check("numeric_to_number", &[text("5"), text("9".to_owned() + &",".repeat(LARGE / 16))]);
}

#[test]
fn texts_of_values_are_given_up() {
    let text_array = SqlType::TEXT_ARRAY;
    for elements in [
        "ab".repeat(LARGE / 2),
        "1,".repeat(LARGE / 8) + "1",
        "\"".to_owned() + &"\\\\a".repeat(LARGE / 4) + "\"",
    ] {
        let literal = format!("{{{elements}}}");
        ends_early("an array's input", |session| {
            parse_text(text_array, &literal, session.format()).map(drop)
        });
        let value = of(oids::TEXT_ARRAY, &literal);
        ends_early("an array's output", |session| to_text(text_array, &value.0, session.format()).map(drop));
    }
    for value in ["\\x".to_owned() + &"ab".repeat(LARGE / 2), "ab".repeat(LARGE / 2)] {
        ends_early("bytea's input", |session| parse_text(SqlType::BYTEA, &value, session.format()).map(drop));
    }
    let row = Datum::Record(vec![Datum::text("a b".repeat(LARGE / 3))].into());
    ends_early("a row's output", |session| to_text(SqlType::RECORD, &row, session.format()).map(drop));
}

#[test]
fn results_of_aggregates_are_given_up() {
    for (name, result) in [
        ("array_agg", SqlType::new(oids::INT4_ARRAY, -1)),
        ("json_agg", SqlType::new(oids::JSON, -1)),
        ("jsonb_agg", SqlType::new(oids::JSONB, -1)),
    ] {
        let aggregate = aggregates()
            .iter()
            .find(|a| &*a.function.name == name && a.function.arg_types[0] != oids::ANYARRAY)
            .unwrap();
        let mut column = ColumnBuilder::new(SqlType::INT4.physical, 0);
        (0..200_000).for_each(|n| column.push_i32(n));
        let column = Arc::new(column.finish());
        ends_early(name, |session| {
            let mut state = aggregate.create(&[SqlType::INT4], result)?;
            state.grow(1);
            let quiet = Session::refusing(usize::MAX);
            let args = [column.clone()];
            state.update(Groups::One(0), &args, 200_000, None, &EvalContext::new(&quiet))?;
            state.value(0, &EvalContext::new(session)).map(drop)
        });
    }
}

/// Prints the longest time between two looks, and the whole time, of functions on values of 100 MB (numbers of 130,000
/// digits): `cargo test -p ochre-expr --test interrupts -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn longest_times_between_looks() {
    const HUGE: usize = 100_000_000;
    let time = |source: &str, args: &[Value]| {
        let function = function(source, args);
        let result = match function.return_type {
            oids::ANYARRAY | oids::ANYCOMPATIBLEARRAY => SqlType::new(oids::INT4_ARRAY, -1),
            oids::ANYELEMENT => SqlType::INT4,
            oid => SqlType::new(oid, -1),
        };
        let session = Session::refusing(usize::MAX);
        let start = Instant::now();
        session.looks.times.lock().unwrap().0 = start;
        let failed = run(function, args, result, false, &session).is_err();
        session.looks.note_time();
        let longest = session.looks.times.lock().unwrap().1;
        let (longest, whole) = (longest.as_millis(), start.elapsed().as_millis());
        let arguments: Vec<String> =
            args.iter().map(|(value, _)| format!("{:.12}", format!("{value:.12?}"))).collect();
        println!(
            "{longest:6} of {whole:6} ms{} {source} {}",
            if failed { ", fails," } else { "" },
            arguments.join(" ")
        );
    };
    let ascii = text("ab".repeat(HUGE / 2));
    let wide = text("é".repeat(HUGE / 2));
    let byte = bytes("ab".repeat(HUGE / 2));
    for source in [
        "textlen",
        "lower",
        "upper",
        "casefold",
        "initcap",
        "text_reverse",
        "unistr",
        "quote_literal",
        "quote_ident",
    ] {
        time(source, std::slice::from_ref(&ascii));
        time(source, std::slice::from_ref(&wide));
    }
    for source in ["bytea_reverse", "bytea_bit_count", "md5_bytea", "sha512_bytea", "crc32_bytea"] {
        time(source, std::slice::from_ref(&byte));
    }
    time("repeat", &[text("x"), int(1_000_000_000)]);
    time("textcat", &[ascii.clone(), wide.clone()]);
    time("textpos", &[ascii.clone(), text("ab".repeat(100) + "c")]);
    time("textpos", &[ascii.clone(), text("ab".repeat(HUGE / 4) + "c")]);
    time("text_left", &[wide.clone(), int(-3)]);
    time("text_right", &[wide.clone(), int(-3)]);
    time("text_substr", &[wide.clone(), int(3), int(HUGE as i32)]);
    time("textoverlay_no_len", &[wide.clone(), text("x"), int(40_000_000)]);
    time("lpad", &[text("x"), int(200_000_000), text("é")]);
    time("btrim", &[ascii.clone(), text("ba")]);
    time("btrim", &[wide.clone(), text("é")]);
    time("byteatrim", &[byte.clone(), bytes("ab")]);
    time("split_part", &[ascii.clone(), text("b"), int(-5)]);
    time("replace_text", &[ascii.clone(), text("b"), text("c")]);
    time("translate", &[ascii.clone(), text("b"), text("c")]);
    time("text_to_array", &[ascii.clone(), text("b")]);
    time("text_to_table", &[ascii.clone(), text("b")]);
    time("text_concat", &[ascii.clone(), wide.clone(), ascii.clone()]);
    time("text_format", &[text("%s%L%I"), ascii.clone(), ascii.clone(), ascii.clone()]);
    time("pg_convert_from", &[byte.clone(), of(oids::NAME, "UTF8")]);
    for format in ["hex", "base64", "escape"] {
        time("binary_encode", &[byte.clone(), text(format)]);
        time("binary_decode", &[text("abcd".repeat(HUGE / 4)), text(format)]);
    }
    for pattern in [
        "%abac%",
        "%ab_c%",
        &("%".to_owned() + &"ab_b".repeat(20) + "c%"),
        &("%".to_owned() + &"ab".repeat(HUGE / 4) + "c%"),
    ] {
        time("textlike", &[ascii.clone(), text(pattern)]);
    }
    time("texticlike", &[wide.clone(), text("%É_c%")]);
    for pattern in ["(ab)+c", "^(a|b)*c$", "b$", "c", "(a|b)*b$", "[^x]x"] {
        time("textregexeq", &[ascii.clone(), text(pattern)]);
    }
    time("regexp_match", &[ascii.clone(), text("^[ab]*b$")]);
    time("regexp_match", &[ascii.clone(), text("^([ab]*)b$")]);
    time("regexp_count", &[text("ab".repeat(HUGE / 20)), text("b")]);
    time("regexp_split_to_array", &[text("ab".repeat(HUGE / 20)), text("b")]);
    for pattern in [
        "[[:alpha:]]{1,200}",
        "\\w{250}\\w{250}",
        "(?i)[[:alpha:]]{1,200}",
        "[^a]{255}[^b]{255}",
        "(\\w{200}|\\d{200}){20}",
    ] {
        time("textregexeq", &[text("abc"), text(pattern)]);
    }
    time("textregexeq", &[text("abc"), text("[[:alpha:]]".repeat(20_000))]);
    time("textregexeq", &[text("abc"), text("(a|b|c|[[:alnum:]])".repeat(9_000))]);
    time("textregexeq", &[text("abc"), text("a".repeat(200_000))]);
    time("texticregexeq", &[text("abc"), text("a".repeat(200_000))]);
    let many = integers(10_000_000);
    let negative = (1..=100_000).map(|n| Datum::Int32(-n)).collect();
    let negative = (Datum::Array(Arc::new(ArrayValue::vector(SqlType::INT4, negative))), many.1);
    time("arrayoverlap", &[integers(100_000), negative.clone()]);
    time("arrayoverlap", &[many.clone(), negative]);
    time("arraycontains", &[many.clone(), many.clone()]);
    time("array_fill", &[int(1), of(oids::INT4_ARRAY, "{30000000}")]);
    for source in ["array_unnest", "array_reverse", "array_sort"] {
        time(source, std::slice::from_ref(&many));
    }
    for source in ["array_position", "array_positions", "array_remove", "array_append"] {
        time(source, &[many.clone(), int(-1)]);
    }
    time("array_cat", &[many.clone(), many.clone()]);
    time("array_eq", &[many.clone(), many.clone()]);
    time("array_to_text", &[many.clone(), text(",")]);
    time("to_json", std::slice::from_ref(&many));
    time("to_jsonb", &[many]);
    time("to_json", &[text("ab\n".repeat(HUGE / 3))]);
    time("to_jsonb", &[text("ab\n".repeat(HUGE / 3))]);
    for digits in [60_000, 130_000] {
        let long = number("79".repeat(digits / 2));
        time("numeric_sqrt", std::slice::from_ref(&long));
        time("numeric_ln", std::slice::from_ref(&long));
        time("numeric_log", &[number("7".repeat(digits)), long]);
    }
    time("numeric_power", &[number("99999.99999"), number("20000")]);
    time("numeric_mul", &[number("9".repeat(65_000)), number("8".repeat(65_000))]);
    time("numeric_div", &[number("9".repeat(130_000)), number("8".repeat(65_000))]);
    let bits = of(oids::VARBIT, "10".repeat(40_000_000));
    time("bitposition", &[bits.clone(), of(oids::VARBIT, "10".repeat(1000) + "0")]);
    time("bitshiftleft", &[bits, int(3)]);
    time("timestamp_to_char", &[(Datum::Int64(0), SqlType::new(oids::TIMESTAMP, -1)), ascii]);
    for (name, oid, value) in [
        ("json's input", oids::JSON, "[\"".to_owned() + &"ab".repeat(HUGE / 2) + "\"]"),
        ("json's input", oids::JSON, "[".to_owned() + &"1,".repeat(HUGE / 2) + "1]"),
        ("jsonb's input", oids::JSONB, "[\"".to_owned() + &"ab".repeat(HUGE / 2) + "\"]"),
        ("jsonb's input", oids::JSONB, "[".to_owned() + &"1,".repeat(HUGE / 10) + "1]"),
        ("jsonb's input", oids::JSONB, "[".to_owned() + &"[[[[[[1]]]]]],".repeat(1_000_000) + "1]"),
        ("bytea's input", oids::BYTEA, "\\x".to_owned() + &"ab".repeat(HUGE / 2)),
        ("numeric's input", oids::NUMERIC, "9".repeat(HUGE)),
        ("an array's input", oids::INT4_ARRAY, "{".to_owned() + &"1,".repeat(HUGE / 10) + "1}"),
        ("varbit's input", oids::VARBIT, "10".repeat(40_000_000)),
    ] {
        let session = Session::refusing(usize::MAX);
        let start = Instant::now();
        session.looks.times.lock().unwrap().0 = start;
        let _ = parse_text(SqlType::new(oid, -1), &value, session.format());
        session.looks.note_time();
        let longest = session.looks.times.lock().unwrap().1.as_millis();
        println!("{longest:6} of {:6} ms {name} {value:.12}", start.elapsed().as_millis());
    }
}
