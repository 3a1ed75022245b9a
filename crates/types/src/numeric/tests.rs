//! Tests of arithmetic; the data is a reference server's.

use super::*;

fn n(text: &str) -> Numeric {
    Numeric::parse(text).unwrap()
}

#[test]
fn a_number_is_small() {
    assert_eq!(std::mem::size_of::<Numeric>(), 24);
    assert!(std::mem::size_of::<crate::Datum>() <= 32);
}

#[test]
fn text_round_trips() {
    for text in
        ["0", "-1.50", "0.00001", "12345678901234567890123456789012345678901234567890.5", "NaN", "1e3"]
    {
        let expected = if text == "1e3" { "1000" } else { text };
        assert_eq!(n(text).to_string(), expected);
    }
}

/// What follows a stored number does not change it.
#[test]
fn stored_numbers_are_read_among_other_bytes() {
    let long = "1".repeat(60);
    let texts =
        ["0", "-1", "127", "128", "-129", "1.50", "-99999.99", "9223372036854775807", "NaN", "Infinity"];
    let wide =
        ["9223372036854775808", "-170141183460469231731687303715884105727.5", "0.000000000000001", &long];
    for text in texts.into_iter().chain(wide) {
        let mut stored = Vec::new();
        n(text).encode_stored(&mut stored);
        let len = stored.len();
        for behind in [0, 1, 7, 8, 9, 40] {
            stored.resize(len + behind, 0xEE);
            assert_eq!(
                Numeric::decode_stored_within(&stored, len).unwrap(),
                n(text),
                "{text} before {behind}"
            );
            if let Some((value, scale)) = Numeric::narrow_stored_within(&stored, len) {
                assert_eq!(n(text).narrow(), Some((value, scale)));
            }
            stored.truncate(len);
        }
        assert!(Numeric::decode_stored_within(&stored, len + 1).is_none());
    }
    assert!(Numeric::decode_stored_within(&[2, 1, 1, 1, 1, 1, 1, 1, 1, 1], 1).is_none());
}

#[test]
fn long_products_and_quotients_are_given_up_when_asked() {
    let stop = || Err(ochre_base::Error::internal("stop"));
    let (long, short) = (n(&"9".repeat(3000)), n(&"7".repeat(1000)));
    assert!(long.mul_with(&short, stop).is_err());
    assert!(long.div_with(&short, stop).is_err());
    assert!(long.div_trunc(&short, stop).is_err());
    assert!(long.rem(&short, stop).is_err());
    assert!(long.gcd(&short, stop).is_err());
    assert!(n("2").mul_with(&short, stop).is_ok());
}

/// What Karatsuba's way of multiplying gives is what the plain way gives.
#[test]
fn long_products_are_right() {
    let mut state = 11u64;
    let mut random = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    for _ in 0..300 {
        // With many nines and zeros, where carries go far.
        let mut number = |most: usize| {
            let digits: String = (0..1 + random(most)).map(|_| ['0', '9', '9', '3'][random(4)]).collect();
            digits
        };
        let (a, b) = (number(3000), number(1500));
        let product = n(&a).mul(&n(&b)).unwrap();
        // The shorter one in pieces that are multiplied plainly.
        let mut sum = Numeric::ZERO;
        for (i, piece) in b.as_bytes().rchunks(100).enumerate() {
            let piece = std::str::from_utf8(piece).unwrap();
            let part = n(&a).mul(&n(piece)).unwrap();
            sum = sum.add(&n(&format!("{part}{}", "0".repeat(100 * i)))).unwrap();
        }
        assert_eq!(product, sum, "{a} * {b}");
    }
}

#[test]
fn long_functions_are_given_up_when_asked() {
    let stop = || Err(ochre_base::Error::internal("stop"));
    let long = n(&"79".repeat(1500));
    assert!(long.sqrt(stop).is_err());
    assert!(long.ln(stop).is_err());
    assert!(long.log(&n("7"), stop).is_err());
    assert!(n("700.5").exp(stop).is_err());
    assert!(n("99999.99999").power_with(&n("2000"), stop).is_err());
    assert!(Numeric::parse_with(&"9".repeat(100_000), stop).is_err());
    assert!(Numeric::parse_with("0xffffffffffffffffffff", stop).is_err());
    // Far too large, which shows before all is read.
    assert!(Numeric::parse(&format!("0x{}", "f".repeat(1_000_000))).is_err());
}

/// Each line of the file is an operation, its arguments and PostgreSQL's answer.
#[test]
fn agrees_with_the_reference() {
    let mut wrong = Vec::new();
    let short = include_str!("../../testdata/numeric.tsv").lines();
    for line in short.chain(include_str!("../../testdata/numeric_long.tsv").lines()) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [operation, a, b, expected] = fields[..] else { panic!("{line}") };
        let result = n(a).and_apply(operation, b);
        let text = result
            .map_or_else(|error| format!("!{} {}", error.sqlstate(), error.message()), |x| x.to_string());
        if text != expected {
            wrong.push(format!("{operation}({a}, {b})\n   = {text}\n  != {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

impl Numeric {
    fn and_apply(&self, operation: &str, b: &str) -> Result<Numeric> {
        let other = || n(b);
        match operation {
            "add" => self.add(&other()),
            "sub" => self.sub(&other()),
            "mul" => self.mul(&other()),
            "div" => self.div(&other()),
            "mod" => self.rem(&other(), || Ok(())),
            "divtrunc" => self.div_trunc(&other(), || Ok(())),
            "power" => self.power(&other()),
            "log" => other().log(self, || Ok(())),
            "gcd" => self.gcd(&other(), || Ok(())),
            "lcm" => self.lcm(&other(), || Ok(())),
            "round" => self.round(b.parse().unwrap()),
            "trunc" => self.trunc(b.parse().unwrap()),
            "sqrt" => self.sqrt(|| Ok(())),
            "exp" => self.exp(|| Ok(())),
            "ln" => self.ln(|| Ok(())),
            "ceil" => self.ceil(),
            "floor" => self.floor(),
            "trim" => Ok(self.trim_scale()),
            "cmp" => Ok(Numeric::from_i64(self.compare(&other()) as i64)),
            "int4" => self.to_i32().map(Numeric::from),
            "int8" => self.to_i64().map(Numeric::from),
            "typmod" => self.apply_typmod(b.parse().unwrap()),
            other => panic!("{other}"),
        }
    }
}
