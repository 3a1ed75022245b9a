//! Conditions on rows as they lie on the page: a scan looks at them before it decodes anything of the row.
//!
//! # Role
//! A scan's filter is asked of whole batches. Those of its parts that compare a column with a constant or with another
//! column in a simple way are also made into [`RawTest`]s, which read a field's bytes in place; and joins above hand down
//! the keys that they look for. Rows that fail are not decoded at all, so batches fill up with rows that matter.
//!
//! # Invariants
//! - RF1: a test never rejects a row that the whole filter would keep. A row that the tests cannot read in place (another
//!   column list, NULLs, compressed values) passes; the whole filter is asked of what passed.
//! - RF2: tests cannot fail, so asking them first never hides or makes an error that the filter's own order would not.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use ochre_access::heap::{PageVersions, VersionRef};
use ochre_access::row::FieldPlace;
use ochre_expr::{Expr, operators};
use ochre_sql::physical::ScanColumn;
use ochre_types::{Datum, Numeric, PhysicalType, oids};

use crate::cached_columns::CachedGroup;
use crate::codec::RowCodec;
use crate::key_filter::KeyFilter;

/// Rows after which a handed-down set of keys is judged by how many it lets through.
const TRIAL_ROWS: u32 = 8192;

/// What a comparison asks of the order of its operands.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    less: bool,
    equal: bool,
    greater: bool,
}

impl Wanted {
    fn of(name: &str) -> Option<Wanted> {
        let (less, equal, greater) = match name {
            "=" => (false, true, false),
            "<>" => (true, false, true),
            "<" => (true, false, false),
            "<=" => (true, true, false),
            ">" => (false, false, true),
            ">=" => (false, true, true),
            _ => return None,
        };
        Some(Wanted { less, equal, greater })
    }

    fn commuted(self) -> Wanted {
        Wanted { less: self.greater, greater: self.less, ..self }
    }

    /// The integers that compare with `value` as wanted, both ends inclusive, if they are one range of 64 bits.
    fn range_about(self, value: i64) -> Option<(i64, i64)> {
        Some(match (self.less, self.equal, self.greater) {
            (true, true, false) => (i64::MIN, value),
            (true, false, false) => (i64::MIN, value.checked_sub(1)?),
            (false, true, false) => (value, value),
            (false, true, true) => (value, i64::MAX),
            (false, false, true) => (value.checked_add(1)?, i64::MAX),
            _ => return None,
        })
    }

    #[inline]
    fn holds(self, ordering: Ordering) -> bool {
        match ordering {
            Ordering::Less => self.less,
            Ordering::Equal => self.equal,
            Ordering::Greater => self.greater,
        }
    }
}

/// A field of the current column list.
#[derive(Debug, Clone, Copy)]
struct FieldAt {
    /// The column's position in the table.
    column: usize,
    place: FieldPlace,
    physical: PhysicalType,
    /// Trailing blanks do not count: `char(n)`.
    padded: bool,
    /// Where a value of fixed length lies.
    offset: usize,
}

#[derive(Debug)]
enum Test {
    /// An integer within bounds, both inclusive.
    Between(FieldAt, i64, i64),
    NotEqual(FieldAt, i64),
    /// Two integers.
    Pair(FieldAt, FieldAt, Wanted),
    Bytes(FieldAt, Vec<u8>, Wanted),
    OneOf(FieldAt, Vec<Vec<u8>>),
    Integers(FieldAt, Vec<i64>),
    Numeric(FieldAt, Box<NumericBound>, Wanted),
}

/// What a numeric field is compared with.
#[derive(Debug)]
struct NumericBound {
    value: Numeric,
    /// Its coefficient at each scale at which it is a whole number of at most 64 bits.
    by_scale: [Option<i64>; SCALES],
}

/// Most columns with numbers have a scale below this.
const SCALES: usize = 8;

impl NumericBound {
    fn new(value: &Numeric) -> NumericBound {
        let mut by_scale = [None; SCALES];
        if let Some((coefficient, scale)) = value.narrow() {
            for (at, bound) in by_scale.iter_mut().enumerate().skip(usize::from(scale)) {
                let factor = 10i64.checked_pow((at - usize::from(scale)) as u32);
                *bound = factor.and_then(|factor| coefficient.checked_mul(factor));
            }
        }
        NumericBound { value: value.clone(), by_scale }
    }

    /// How a stored number of `len` bytes compares with it.
    #[inline]
    fn compare(&self, bytes: &[u8], len: usize) -> Option<Ordering> {
        if let Some((value, scale)) = Numeric::narrow_stored_within(bytes, len)
            && let Some(Some(bound)) = self.by_scale.get(usize::from(scale))
        {
            return Some(value.cmp(bound));
        }
        Some(Numeric::decode_stored(&bytes[..len])?.compare(&self.value))
    }
}

/// A set of keys that a join handed down.
struct Handed {
    at: FieldAt,
    keys: Arc<KeyFilter>,
    seen: u32,
    passed: u32,
    useless: bool,
}

/// How many rows what was handed down has left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Narrowed {
    /// No key of a join.
    pub by_keys: u64,
    /// Outside of a range.
    pub by_range: u64,
}

impl Narrowed {
    fn note(&mut self, keys: &KeyFilter, rows: usize) {
        match keys.bounds() {
            Some(_) => self.by_range += rows as u64,
            None => self.by_keys += rows as u64,
        }
    }
}

/// The tests of one scan.
#[derive(Default)]
pub struct RawFilter {
    tests: Vec<Test>,
    /// The tests are the whole filter.
    complete: bool,
    handed: Vec<Handed>,
    /// Rows that passed the tests and were not among handed keys of a join, or outside of a handed range.
    narrowed: Narrowed,
    /// Of a page's versions those that have passed so far.
    left: Vec<u16>,
}

impl RawFilter {
    /// The parts of a filter over fetched columns that can be tests.
    pub fn new(codec: &RowCodec, fetch: &[ScanColumn], filter: Option<&Expr>) -> RawFilter {
        let mut raw = RawFilter { complete: true, ..RawFilter::default() };
        let Some(filter) = filter else { return raw };
        let parts = match filter {
            Expr::And(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        for part in parts {
            // A test must not come before a part that may fail (RF2).
            if !is_harmless(part) {
                raw.complete = false;
                break;
            }
            match test_of(codec, fetch, part) {
                Some(test) => raw.add(test),
                None => raw.complete = false,
            }
        }
        raw
    }

    /// Adds a test; two ranges of one field are one.
    fn add(&mut self, test: Test) {
        if let Test::Between(at, low, high) = &test {
            for known in &mut self.tests {
                if let Test::Between(other, from, to) = known
                    && other.place == at.place
                {
                    (*from, *to) = ((*from).max(*low), (*to).min(*high));
                    return;
                }
            }
        }
        self.tests.push(test);
    }

    /// Whether there is nothing to test.
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.handed.is_empty()
    }

    /// Takes a set of keys for a fetched column; says whether it can use it.
    pub fn hand(&mut self, codec: &RowCodec, column: ScanColumn, keys: &Arc<KeyFilter>) -> bool {
        let Some(at) = field_of(codec, column) else { return false };
        if !is_integer(at.physical) {
            return false;
        }
        self.handed.push(Handed { at, keys: Arc::clone(keys), seen: 0, passed: 0, useless: false });
        true
    }

    /// Forgets what was handed down.
    pub fn forget(&mut self) {
        self.handed.clear();
    }

    /// Takes versions away that cannot be wanted.
    pub fn retain(&mut self, codec: &RowCodec, versions: &mut PageVersions<'_>) {
        if !versions.iter().all(|version| codec.is_plain(version)) {
            return versions.retain(|version| !codec.is_plain(version) || self.passes(version.payload));
        }
        let RawFilter { tests, handed, narrowed, left, .. } = self;
        left.clear();
        left.extend(0..versions.len() as u16);
        for test in tests {
            test.leave(versions, left);
        }
        for handed in handed {
            let before = left.len();
            handed.leave(versions, left);
            narrowed.note(&handed.keys, before - left.len());
        }
        if left.len() < versions.len() {
            for (to, from) in left.iter().enumerate() {
                versions[to] = versions[usize::from(*from)];
            }
            versions.truncate(left.len());
        }
    }

    /// The rows of a cached group, which has all columns that the scan reads, that pass; whether all tests could be asked
    /// (else the whole filter has to be).
    pub fn leave_cached(&mut self, group: &CachedGroup, left: &mut Vec<u16>) -> bool {
        left.clear();
        left.extend(0..group.rows as u16);
        let mut judged = self.complete;
        for test in &self.tests {
            judged &= test.leave_cached(group, left);
        }
        for handed in &mut self.handed {
            let before = left.len();
            handed.leave_cached(group, left);
            self.narrowed.note(&handed.keys, before - left.len());
        }
        judged
    }

    /// Whether a row may be wanted.
    fn passes(&mut self, payload: &[u8]) -> bool {
        if !self.tests.iter().all(|test| test.passes(payload).unwrap_or(true)) {
            return false;
        }
        for handed in &mut self.handed {
            if !handed.passes(payload) {
                self.narrowed.note(&handed.keys, 1);
                return false;
            }
        }
        true
    }

    /// How many rows were left out for keys that were handed down.
    pub fn narrowed(&self) -> Narrowed {
        self.narrowed
    }
}

impl Handed {
    fn passes(&mut self, payload: &[u8]) -> bool {
        if self.useless {
            return true;
        }
        let passes = integer(payload, self.at).is_none_or(|value| self.keys.passes(value));
        self.note(1, usize::from(passes));
        passes
    }

    /// Leaves those of some versions that pass.
    fn leave(&mut self, versions: &[VersionRef<'_>], left: &mut Vec<u16>) {
        if self.useless {
            return;
        }
        let before = left.len();
        let keys = &*self.keys;
        leave_integers(self.at, versions, left, |value| keys.passes(value));
        self.note(before, left.len());
    }

    fn leave_cached(&mut self, group: &CachedGroup, left: &mut Vec<u16>) {
        if self.useless || left.is_empty() {
            return;
        }
        let before = left.len();
        let (keys, column) = (&*self.keys, group.column(self.at.column));
        match keys.bounds() {
            // KF2.
            Some(_) if column.has_nulls() => return,
            Some((low, high)) => column.leave_between(left, low, high),
            None => column.leave_integers(left, |value| keys.passes(value)),
        };
        self.note(before, left.len());
    }

    fn note(&mut self, seen: usize, passed: usize) {
        if self.seen < TRIAL_ROWS {
            self.seen += seen as u32;
            self.passed += passed as u32;
            self.useless = self.seen >= TRIAL_ROWS && self.passed > self.seen / 16 * 15;
        }
    }
}

impl Test {
    /// `None`: the row cannot be judged here.
    #[inline]
    fn passes(&self, payload: &[u8]) -> Option<bool> {
        Some(match self {
            Test::Between(at, low, high) => {
                let value = integer(payload, *at)?;
                value >= *low && value <= *high
            }
            Test::NotEqual(at, other) => integer(payload, *at)? != *other,
            Test::Pair(a, b, wanted) => wanted.holds(integer(payload, *a)?.cmp(&integer(payload, *b)?)),
            Test::Bytes(at, other, wanted) => wanted.holds(bytes(payload, *at)?.cmp(other)),
            Test::OneOf(at, all) => {
                let value = bytes(payload, *at)?;
                all.iter().any(|one| one == value)
            }
            Test::Integers(at, all) => {
                let value = integer(payload, *at)?;
                all.contains(&value)
            }
            Test::Numeric(at, bound, wanted) => {
                let (bytes, len) = at.place.find(payload)?;
                wanted.holds(bound.compare(bytes, len)?)
            }
        })
    }

    /// Leaves those of some versions that pass: one loop a kind of test.
    fn leave(&self, versions: &[VersionRef<'_>], left: &mut Vec<u16>) {
        match self {
            Test::Between(at, low, high) => {
                leave_integers(*at, versions, left, |value| (value >= *low) & (value <= *high));
            }
            Test::NotEqual(at, other) => leave_integers(*at, versions, left, |value| value != *other),
            Test::Numeric(at, bound, wanted) => leave(versions, left, |payload| {
                let (bytes, len) = at.place.find(payload)?;
                Some(wanted.holds(bound.compare(bytes, len)?))
            }),
            Test::Bytes(at, other, wanted) => {
                leave(versions, left, |payload| Some(wanted.holds(bytes(payload, *at)?.cmp(other))));
            }
            _ => leave(versions, left, |payload| self.passes(payload)),
        }
    }
}

impl Test {
    /// Leaves those of a cached group's rows that pass; false when the column is in no form that can be tested.
    fn leave_cached(&self, group: &CachedGroup, left: &mut Vec<u16>) -> bool {
        let padded = self.is_padded();
        fn value(bytes: &[u8], padded: bool) -> &[u8] {
            if padded { trimmed(bytes) } else { bytes }
        }
        match self {
            Test::Between(at, low, high) => group.column(at.column).leave_between(left, *low, *high),
            Test::NotEqual(at, other) => {
                group.column(at.column).leave_integers(left, |value| value != *other)
            }
            Test::Integers(at, all) => {
                group.column(at.column).leave_integers(left, |value| all.contains(&value))
            }
            Test::Pair(a, b, wanted) => {
                let other = group.column(b.column);
                group.column(a.column).leave_pairs(other, left, |a, b| wanted.holds(a.cmp(&b)))
            }
            Test::Bytes(at, other, wanted) => group
                .column(at.column)
                .leave_strings(left, |bytes| wanted.holds(value(bytes, padded).cmp(other.as_slice()))),
            Test::OneOf(at, all) => group
                .column(at.column)
                .leave_strings(left, |bytes| all.iter().any(|one| one == value(bytes, padded))),
            Test::Numeric(at, bound, wanted) => group.column(at.column).leave_numbers(
                left,
                |scale| wanted.range_about((*bound.by_scale.get(usize::from(scale))?)?),
                |value| wanted.holds(value.compare(&bound.value)),
            ),
        }
    }

    fn is_padded(&self) -> bool {
        matches!(self, Test::Bytes(at, ..) | Test::OneOf(at, _) if at.padded)
    }
}

/// Leaves the versions of which `passes` does not say that they fail, without a branch on what it says.
#[inline]
fn leave(versions: &[VersionRef<'_>], left: &mut Vec<u16>, passes: impl Fn(&[u8]) -> Option<bool>) {
    let mut count = 0;
    for at in 0..left.len() {
        let number = left[at];
        left[count] = number;
        count += usize::from(passes(versions[usize::from(number)].payload) != Some(false));
    }
    left.truncate(count);
}

/// As [`leave`], of an integer field.
#[inline]
fn leave_integers(
    at: FieldAt,
    versions: &[VersionRef<'_>],
    left: &mut Vec<u16>,
    passes: impl Fn(i64) -> bool,
) {
    macro_rules! of {
        ($type:ty) => {
            leave(versions, left, |payload| {
                let value = <$type>::from_le_bytes(*payload.get(at.offset..)?.first_chunk()?);
                Some(passes(i64::from(value)))
            })
        };
    }
    match at.physical {
        PhysicalType::Int32 => of!(i32),
        PhysicalType::Int64 => of!(i64),
        PhysicalType::Int16 => of!(i16),
        PhysicalType::UInt32 => of!(u32),
        _ => {}
    }
}

#[inline]
fn bytes(payload: &[u8], at: FieldAt) -> Option<&[u8]> {
    let (bytes, len) = at.place.find(payload)?;
    let bytes = &bytes[..len];
    Some(if at.padded { trimmed(bytes) } else { bytes })
}

#[inline]
fn trimmed(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    &bytes[..len]
}

#[inline]
fn integer(payload: &[u8], at: FieldAt) -> Option<i64> {
    let rest = payload.get(at.offset..)?;
    Some(match at.physical {
        PhysicalType::Int32 => i64::from(i32::from_le_bytes(*rest.first_chunk()?)),
        PhysicalType::Int64 => i64::from_le_bytes(*rest.first_chunk()?),
        PhysicalType::Int16 => i64::from(i16::from_le_bytes(*rest.first_chunk()?)),
        PhysicalType::UInt32 => i64::from(u32::from_le_bytes(*rest.first_chunk()?)),
        _ => return None,
    })
}

fn is_integer(physical: PhysicalType) -> bool {
    use PhysicalType as P;
    matches!(physical, P::Int16 | P::Int32 | P::Int64 | P::UInt32)
}

fn field_of(codec: &RowCodec, column: ScanColumn) -> Option<FieldAt> {
    let ScanColumn::Table(position) = column else { return None };
    let (field, physical) = codec.field_of(position)?;
    // A column whose type was widened is read through its list.
    let ty = codec.column_type(position);
    let place = codec.place_of(field);
    let offset = if let FieldPlace::Fixed { at, .. } = place { at } else { 0 };
    let padded = ty.oid == oids::BPCHAR;
    (physical == ty.physical).then_some(FieldAt { column: position, place, physical, padded, offset })
}

/// Whether evaluating an expression cannot raise an error: comparisons of columns and constants, and what connects them.
fn is_harmless(expr: &Expr) -> bool {
    expr.walk(&mut |node| {
        let harmless = match node {
            Expr::Column { .. } | Expr::Constant { .. } | Expr::And(_) | Expr::Or(_) | Expr::Not(_) => true,
            Expr::IsNull { .. } | Expr::ScalarArrayOp { .. } => true,
            Expr::Cast { kind: ochre_expr::CastKind::Relabel, .. } => true,
            Expr::Call { function, .. } => {
                is_comparison(function.oid).is_some() || matches!(&*function.source, "textlike" | "textnlike")
            }
            _ => false,
        };
        if harmless { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .is_continue()
}

/// What a function compares for, and the types it compares.
fn is_comparison(function: ochre_base::Oid) -> Option<(Wanted, ochre_base::Oid, ochre_base::Oid)> {
    use std::sync::LazyLock;
    static COMPARISONS: LazyLock<hashbrown::HashMap<u32, (Wanted, ochre_base::Oid, ochre_base::Oid)>> =
        LazyLock::new(|| {
            operators()
                .iter()
                .filter(|operator| operator.result == oids::BOOL && !operator.is_prefix())
                .filter_map(|operator| {
                    let wanted = Wanted::of(&operator.name)?;
                    Some((operator.function.oid.0, (wanted, operator.left, operator.right)))
                })
                .collect()
        });
    COMPARISONS.get(&function.0).copied()
}

/// The types whose integers compare as SQL's values do.
fn compares_as_integer(ty: ochre_base::Oid) -> bool {
    matches!(ty, oids::INT2 | oids::INT4 | oids::INT8 | oids::DATE | oids::TIMESTAMP | oids::TIMESTAMPTZ)
}

fn test_of(codec: &RowCodec, fetch: &[ScanColumn], part: &Expr) -> Option<Test> {
    let column = |expr: &Expr| match strip(expr) {
        Expr::Column { index, ty } => {
            let at = field_of(codec, *fetch.get(*index)?)?;
            (at.physical == ty.physical).then_some(at)
        }
        _ => None,
    };
    if let Expr::ScalarArrayOp { function, all: false, left, array, .. } = part {
        let (wanted, l, r) = is_comparison(function.oid)?;
        let Expr::Constant { value: Datum::Array(array), .. } = &**array else { return None };
        if !wanted.equal || wanted.less || wanted.greater || l != r || array.elements.len() > 16 {
            return None;
        }
        let at = column(left)?;
        let values = array.elements.iter().filter(|value| !value.is_null());
        return match l {
            oids::TEXT | oids::BPCHAR
                if at.physical == PhysicalType::Bytes && at.padded == (l == oids::BPCHAR) =>
            {
                Some(Test::OneOf(at, values.map(|value| text_of(value, l)).collect::<Option<_>>()?))
            }
            ty if compares_as_integer(ty) && is_integer(at.physical) => {
                Some(Test::Integers(at, values.map(integer_of).collect::<Option<_>>()?))
            }
            _ => None,
        };
    }
    let Expr::Call { function, args, .. } = part else { return None };
    let (wanted, l, r) = is_comparison(function.oid)?;
    let [left, right] = args.as_slice() else { return None };
    let integers = compares_as_integer(l) && compares_as_integer(r) && same_kind(l, r);
    if let (Some(a), Some(b)) = (column(left), column(right)) {
        return (integers && is_integer(a.physical) && is_integer(b.physical))
            .then_some(Test::Pair(a, b, wanted));
    }
    let (at, value, wanted) = match (strip(left), strip(right)) {
        (_, Expr::Constant { value, .. }) => (column(left)?, value, wanted),
        (Expr::Constant { value, .. }, _) => (column(right)?, value, wanted.commuted()),
        _ => return None,
    };
    if integers && is_integer(at.physical) {
        let value = integer_of(value)?;
        if (wanted.less, wanted.equal, wanted.greater) == (true, false, true) {
            return Some(Test::NotEqual(at, value));
        }
        let (low, high) = wanted.range_about(value)?;
        return Some(Test::Between(at, low, high));
    }
    match (l, value) {
        (oids::TEXT | oids::BPCHAR, value)
            if r == l && at.physical == PhysicalType::Bytes && at.padded == (l == oids::BPCHAR) =>
        {
            Some(Test::Bytes(at, text_of(value, l)?, wanted))
        }
        (oids::NUMERIC, Datum::Numeric(value)) if r == l && at.physical == PhysicalType::Numeric => {
            Some(Test::Numeric(at, Box::new(NumericBound::new(value)), wanted))
        }
        _ => None,
    }
}

/// Dates with dates, moments with moments, numbers with numbers.
fn same_kind(l: ochre_base::Oid, r: ochre_base::Oid) -> bool {
    let is_number = |ty| matches!(ty, oids::INT2 | oids::INT4 | oids::INT8);
    l == r || is_number(l) && is_number(r)
}

fn integer_of(value: &Datum) -> Option<i64> {
    match value {
        Datum::Int16(value) => Some(i64::from(*value)),
        Datum::Int32(value) => Some(i64::from(*value)),
        Datum::Int64(value) => Some(*value),
        _ => None,
    }
}

/// What counts of a text.
fn text_of(value: &Datum, ty: ochre_base::Oid) -> Option<Vec<u8>> {
    let bytes = value.as_bytes()?;
    Some(if ty == oids::BPCHAR { trimmed(bytes) } else { bytes }.to_vec())
}

fn strip(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { arg, kind: ochre_expr::CastKind::Relabel, .. } => strip(arg),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_compare_with_a_bound_as_numbers_do() {
        let texts = [
            "0",
            "0.00",
            "24",
            "23.99",
            "-24",
            "24.0000001",
            "0.05",
            "0.050",
            "0.1",
            "1e30",
            "-1e-30",
            "NaN",
            "Infinity",
            "9223372036854775807",
            "92233720368547758.07",
            "922337203685477580.8",
        ];
        let numbers: Vec<Numeric> = texts.iter().map(|text| Numeric::parse(text).unwrap()).collect();
        for bound in &numbers {
            let compared = NumericBound::new(bound);
            for number in &numbers {
                let mut stored = Vec::new();
                number.encode_stored(&mut stored);
                let len = stored.len();
                for behind in [0, 20] {
                    stored.resize(len + behind, 7);
                    assert_eq!(
                        compared.compare(&stored, len),
                        Some(number.compare(bound)),
                        "{number} {bound}"
                    );
                }
            }
        }
    }
}
