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

use ochre_access::heap::VersionRef;
use ochre_access::row::RowView;
use ochre_expr::{Expr, operators};
use ochre_sql::physical::ScanColumn;
use ochre_types::{Datum, Numeric, PhysicalType, oids};

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
    field: usize,
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
    Numeric(FieldAt, Numeric, Wanted),
}

/// A row without NULLs under the newest column list.
struct Fields<'v> {
    view: RowView<'v>,
    payload: &'v [u8],
}

/// A set of keys that a join handed down.
struct Handed {
    at: FieldAt,
    keys: Arc<KeyFilter>,
    seen: u32,
    passed: u32,
    useless: bool,
}

/// The tests of one scan.
#[derive(Default)]
pub struct RawFilter {
    tests: Vec<Test>,
    handed: Vec<Handed>,
    /// Rows that passed the tests and were not among the handed keys.
    narrowed: u64,
}

impl RawFilter {
    /// The parts of a filter over fetched columns that can be tests.
    pub fn new(codec: &RowCodec, fetch: &[ScanColumn], filter: Option<&Expr>) -> RawFilter {
        let mut raw = RawFilter::default();
        let Some(filter) = filter else { return raw };
        let parts = match filter {
            Expr::And(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        for part in parts {
            // A test must not come before a part that may fail (RF2).
            if !is_harmless(part) {
                break;
            }
            match test_of(codec, fetch, part) {
                Some(test) => raw.add(test),
                None => continue,
            }
        }
        raw
    }

    /// Adds a test; two ranges of one field are one.
    fn add(&mut self, test: Test) {
        if let Test::Between(at, low, high) = &test {
            for known in &mut self.tests {
                if let Test::Between(other, from, to) = known
                    && other.field == at.field
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

    /// Whether a version may be wanted.
    #[inline]
    pub fn passes(&mut self, codec: &RowCodec, version: &VersionRef<'_>) -> bool {
        if !codec.is_plain(version) {
            return true;
        }
        let view = Fields { view: codec.view_plain(version), payload: version.payload };
        if !self.tests.iter().all(|test| test.passes(&view).unwrap_or(true)) {
            return false;
        }
        let passes = self.handed.iter_mut().all(|handed| handed.passes(&view));
        self.narrowed += u64::from(!passes);
        passes
    }

    /// How many rows were left out for keys that were handed down.
    pub fn narrowed(&self) -> u64 {
        self.narrowed
    }
}

impl Handed {
    #[inline]
    fn passes(&mut self, view: &Fields<'_>) -> bool {
        if self.useless {
            return true;
        }
        let passes = integer(view, self.at).is_none_or(|value| self.keys.passes(value));
        if self.seen < TRIAL_ROWS {
            self.seen += 1;
            self.passed += u32::from(passes);
            self.useless = self.seen == TRIAL_ROWS && self.passed > TRIAL_ROWS / 16 * 15;
        }
        passes
    }
}

impl Test {
    /// `None`: the row cannot be judged here.
    #[inline]
    fn passes(&self, view: &Fields<'_>) -> Option<bool> {
        Some(match self {
            Test::Between(at, low, high) => {
                let value = integer(view, *at)?;
                value >= *low && value <= *high
            }
            Test::NotEqual(at, other) => integer(view, *at)? != *other,
            Test::Pair(a, b, wanted) => wanted.holds(integer(view, *a)?.cmp(&integer(view, *b)?)),
            Test::Bytes(at, other, wanted) => wanted.holds(bytes(view, *at)?.cmp(other)),
            Test::OneOf(at, all) => {
                let value = bytes(view, *at)?;
                all.iter().any(|one| one == value)
            }
            Test::Integers(at, all) => {
                let value = integer(view, *at)?;
                all.contains(&value)
            }
            Test::Numeric(at, other, wanted) => {
                let value = Numeric::decode_stored(bytes(view, *at)?)?;
                wanted.holds(value.compare(other))
            }
        })
    }
}

#[inline]
fn bytes<'v>(fields: &Fields<'v>, at: FieldAt) -> Option<&'v [u8]> {
    let bytes = fields.view.field(at.field).ok()?.inline()?;
    Some(if at.padded { trimmed(bytes) } else { bytes })
}

#[inline]
fn trimmed(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    &bytes[..len]
}

#[inline]
fn integer(fields: &Fields<'_>, at: FieldAt) -> Option<i64> {
    let rest = fields.payload.get(at.offset..)?;
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
    let offset = codec.offset_of(field).unwrap_or(0);
    (physical == ty.physical).then_some(FieldAt { field, physical, padded: ty.oid == oids::BPCHAR, offset })
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
        return Some(match (wanted.less, wanted.equal, wanted.greater) {
            (true, true, _) => Test::Between(at, i64::MIN, value),
            (true, false, false) => Test::Between(at, i64::MIN, value.checked_sub(1)?),
            (true, false, true) => Test::NotEqual(at, value),
            (false, true, false) => Test::Between(at, value, value),
            (false, true, true) => Test::Between(at, value, i64::MAX),
            (false, false, true) => Test::Between(at, value.checked_add(1)?, i64::MAX),
            (false, false, false) => return None,
        });
    }
    match (l, value) {
        (oids::TEXT | oids::BPCHAR, value)
            if r == l && at.physical == PhysicalType::Bytes && at.padded == (l == oids::BPCHAR) =>
        {
            Some(Test::Bytes(at, text_of(value, l)?, wanted))
        }
        (oids::NUMERIC, Datum::Numeric(value)) if r == l && at.physical == PhysicalType::Numeric => {
            Some(Test::Numeric(at, value.clone(), wanted))
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
