//! Functions and operators of ranges.

use std::cmp::Ordering;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_types::range::{Range, RangeBound, compare_lower, compare_upper};
use ochre_types::{Datum, ValueOrder, compare};

use super::Implementations;
use crate::errors::wrong_form;

/// What is asked of a range, of how two compare, and of two, by name.
type Fact = (&'static str, fn(&Range) -> bool);
type Order = (&'static str, fn(Ordering) -> bool);
type Relation = (&'static str, fn(&Range, &Range) -> bool);

fn range(datum: &Datum) -> Result<Range> {
    match datum {
        Datum::Bytes(bytes) => Range::from_bytes(bytes),
        _ => Err(wrong_form("a range")),
    }
}

fn stored(range: &Range) -> Result<Datum> {
    Ok(Datum::Bytes(range.to_bytes()?.into()))
}

fn order(a: &Datum, b: &Datum) -> Ordering {
    compare::compare_datums(a, b, ValueOrder::Range)
}

fn not_contiguous(what: &str) -> Error {
    Error::new(SqlState::DATA_EXCEPTION, format!("result of range {what} would not be contiguous"))
}

pub(super) fn register(r: &mut Implementations) {
    construct(r);
    parts(r);
    relate(r);
    combine(r);
}

fn bounded(oid: Oid, args: &[Datum], flags: &str) -> Result<Datum> {
    let mut flags = flags.chars();
    let (lower, upper) = match (flags.next(), flags.next(), flags.next()) {
        (Some(lower @ ('[' | '(')), Some(upper @ (']' | ')')), None) => (lower == '[', upper == ']'),
        _ => {
            return Err(Error::new(SqlState::SYNTAX_ERROR, "invalid range bound flags")
                .hint("Valid values are \"[]\", \"[)\", \"(]\", and \"()\"."));
        }
    };
    let bound =
        |value: &Datum, inclusive| RangeBound { value: (!value.is_null()).then(|| value.clone()), inclusive };
    stored(&Range::new(oid, bound(&args[0], lower), bound(&args[1], upper))?)
}

fn construct(r: &mut Implementations) {
    r.row("range_constructor2", |call, args| bounded(call.result.oid, args, "[)"));
    r.row("range_constructor3", |call, args| match args[2].as_str() {
        Some(flags) => bounded(call.result.oid, args, flags),
        None => {
            Err(Error::new(SqlState::DATA_EXCEPTION, "range constructor flags argument must not be null"))
        }
    });
}

fn parts(r: &mut Implementations) {
    r.row("range_lower", |_, args| Ok(range(&args[0])?.lower.value.unwrap_or(Datum::Null)));
    r.row("range_upper", |_, args| Ok(range(&args[0])?.upper.value.unwrap_or(Datum::Null)));
    let facts: [Fact; 5] = [
        ("range_empty", |range| range.empty),
        ("range_lower_inc", |range| range.lower.inclusive),
        ("range_upper_inc", |range| range.upper.inclusive),
        ("range_lower_inf", |range| !range.empty && range.lower.value.is_none()),
        ("range_upper_inf", |range| !range.empty && range.upper.value.is_none()),
    ];
    for (source, holds) in facts {
        r.row(source, move |_, args| Ok(Datum::Bool(holds(&range(&args[0])?))));
    }
}

fn relate(r: &mut Implementations) {
    let orders: [Order; 6] = [
        ("range_eq", Ordering::is_eq),
        ("range_ne", Ordering::is_ne),
        ("range_lt", Ordering::is_lt),
        ("range_le", Ordering::is_le),
        ("range_gt", Ordering::is_gt),
        ("range_ge", Ordering::is_ge),
    ];
    for (source, holds) in orders {
        r.row(source, move |_, args| Ok(Datum::Bool(holds(order(&args[0], &args[1])))));
    }
    r.row("range_cmp", |_, args| Ok(Datum::Int32(order(&args[0], &args[1]) as i32)));
    let relations: [Relation; 8] = [
        ("range_contains", Range::contains),
        ("range_contained_by", |a, b| b.contains(a)),
        ("range_overlaps", Range::overlaps),
        ("range_before", Range::is_before),
        ("range_after", |a, b| b.is_before(a)),
        ("range_overleft", |a, b| !a.empty && !b.empty && compare_upper(&a.upper, &b.upper).is_le()),
        ("range_overright", |a, b| !a.empty && !b.empty && compare_lower(&a.lower, &b.lower).is_ge()),
        ("range_adjacent", Range::is_adjacent),
    ];
    for (source, holds) in relations {
        r.row(source, move |_, args| Ok(Datum::Bool(holds(&range(&args[0])?, &range(&args[1])?))));
    }
    r.row("range_contains_elem", |_, args| Ok(Datum::Bool(range(&args[0])?.contains_value(&args[1]))));
    r.row("elem_contained_by_range", |_, args| Ok(Datum::Bool(range(&args[1])?.contains_value(&args[0]))));
}

fn combine(r: &mut Implementations) {
    r.row("range_intersect", |_, args| stored(&range(&args[0])?.intersection(&range(&args[1])?)?));
    r.row("range_merge", |_, args| stored(&range(&args[0])?.hull(&range(&args[1])?)?));
    r.row("range_union", |_, args| {
        let (a, b) = (range(&args[0])?, range(&args[1])?);
        if !a.empty && !b.empty && !a.overlaps(&b) && !a.is_adjacent(&b) {
            return Err(not_contiguous("union"));
        }
        stored(&a.hull(&b)?)
    });
    r.row("range_minus", |_, args| {
        let (a, b) = (range(&args[0])?, range(&args[1])?);
        if a.empty || b.empty || !a.overlaps(&b) {
            return stored(&a);
        }
        let starts_first = compare_lower(&a.lower, &b.lower).is_lt();
        let ends_last = compare_upper(&a.upper, &b.upper).is_gt();
        // What bounds the other range on the outside is the complement of its own bound.
        let beyond = |bound: RangeBound| RangeBound { inclusive: !bound.inclusive, ..bound };
        stored(&match (starts_first, ends_last) {
            (true, true) => return Err(not_contiguous("difference")),
            (false, false) => Range::empty(a.oid),
            (true, false) => Range::new(a.oid, a.lower, beyond(b.lower))?,
            (false, true) => Range::new(a.oid, beyond(b.upper), a.upper)?,
        })
    });
}
