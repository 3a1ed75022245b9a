//! Which conditions an index answers.

use std::sync::LazyLock;

use hashbrown::HashMap;
use ochre_base::Oid;
use ochre_catalog::{IndexDescriptor, IndexMethod};
use ochre_expr::{CastKind, Comparison, Expr, Volatility, operators};
use ochre_types::compare::compare_datums;
use ochre_types::{Datum, SharedBytes, SqlType, oids};

use super::PlanBuilder;
use crate::idset::IdSet;
use crate::logical::{ColumnId, TableId};
use crate::physical::{BoundConversion, GinStrategy, ScanColumn};

/// What a comparison asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operation {
    /// The same with its operands exchanged.
    pub fn commuted(self) -> Operation {
        match self {
            Operation::Less => Operation::Greater,
            Operation::LessOrEqual => Operation::GreaterOrEqual,
            Operation::Greater => Operation::Less,
            Operation::GreaterOrEqual => Operation::LessOrEqual,
            other => other,
        }
    }
}

/// The functions behind the six comparison operators.
static COMPARISONS: LazyLock<HashMap<u32, Operation>> = LazyLock::new(|| {
    let mut found = HashMap::new();
    for operator in operators() {
        if operator.result != oids::BOOL || operator.is_prefix() {
            continue;
        }
        let operation = match &*operator.name {
            "=" => Operation::Equal,
            "<>" => Operation::NotEqual,
            "<" => Operation::Less,
            "<=" => Operation::LessOrEqual,
            ">" => Operation::Greater,
            ">=" => Operation::GreaterOrEqual,
            _ => continue,
        };
        found.insert(operator.function.oid.0, operation);
    }
    found
});

/// A comparison and its operands.
pub(crate) fn comparison_of(expr: &Expr) -> Option<(Operation, &Expr, &Expr)> {
    let Expr::Call { function, args, .. } = expr else { return None };
    let [left, right] = args.as_slice() else { return None };
    COMPARISONS.get(&function.oid.0).map(|operation| (*operation, left, right))
}

/// The comparison that a function carries out.
pub(crate) fn operation_of(function: ochre_base::Oid) -> Option<Operation> {
    COMPARISONS.get(&function.0).copied()
}

/// An expression without casts that change nothing.
pub(crate) fn strip_relabel(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { arg, kind: CastKind::Relabel, .. } => strip_relabel(arg),
        other => other,
    }
}

/// Whether a condition is true wherever the given ones are.
pub(crate) fn is_implied(condition: &Expr, given: &[Expr]) -> bool {
    given.iter().any(|known| {
        known == condition
            || match condition {
                // A comparison that is true says that its column is not null.
                Expr::IsNull { arg, negated: true, row: false } => comparison_of(known)
                    .is_some_and(|(_, l, r)| strip_relabel(l) == &**arg || strip_relabel(r) == &**arg),
                _ => is_within(known, condition).unwrap_or(false),
            }
    })
}

/// Whether one comparison with a constant leaves a value only what another one allows it.
fn is_within(known: &Expr, condition: &Expr) -> Option<bool> {
    use Operation::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    let ((value, known, bound, ty), (other, wanted, limit, limit_ty)) =
        (bound_of(known)?, bound_of(condition)?);
    if value != other || ty.oid != limit_ty.oid {
        return None;
    }
    let order = compare_datums(bound, limit, ty.order());
    Some(match (known, wanted) {
        (Equal, Equal) | (LessOrEqual, LessOrEqual) if order.is_eq() => true,
        (GreaterOrEqual, GreaterOrEqual) | (NotEqual, NotEqual) if order.is_eq() => true,
        (Equal, NotEqual) => order.is_ne(),
        (Equal, LessOrEqual) | (Less, Less | LessOrEqual | NotEqual) => order.is_le(),
        (Equal | LessOrEqual, Less) | (LessOrEqual, LessOrEqual | NotEqual) => order.is_lt(),
        (Equal, GreaterOrEqual) | (Greater, Greater | GreaterOrEqual | NotEqual) => order.is_ge(),
        (Equal | GreaterOrEqual, Greater) | (GreaterOrEqual, GreaterOrEqual | NotEqual) => order.is_gt(),
        _ => false,
    })
}

/// A value that is compared with a constant, which stands to the right.
fn bound_of(expr: &Expr) -> Option<(&Expr, Operation, &Datum, SqlType)> {
    let (operation, left, right) = comparison_of(expr)?;
    match (left, right) {
        (_, Expr::Constant { value, ty }) if !value.is_null() => {
            Some((strip_relabel(left), operation, value, *ty))
        }
        (Expr::Constant { value, ty }, _) if !value.is_null() => {
            Some((strip_relabel(right), operation.commuted(), value, *ty))
        }
        _ => None,
    }
}

fn is_integer(ty: SqlType) -> bool {
    matches!(ty.oid, oids::INT2 | oids::INT4 | oids::INT8)
}

fn is_text(ty: SqlType) -> bool {
    matches!(ty.oid, oids::TEXT | oids::VARCHAR)
}

/// How a value of one type is compared with keys of another, if its stored order is the same.
fn conversion(key: SqlType, value: SqlType) -> Option<BoundConversion> {
    if key.oid == value.oid || is_text(key) && is_text(value) {
        return Some(BoundConversion::None);
    }
    if is_integer(key) && is_integer(value) {
        return Some(BoundConversion::Integer);
    }
    // Arrays are compared by their element types.
    (key.physical == ochre_types::PhysicalType::Array && key.oid == value.oid)
        .then_some(BoundConversion::None)
}

/// A condition on one key column.
#[derive(Debug, Clone)]
pub(crate) enum KeyMatch {
    Equal(Expr, BoundConversion),
    Any(Expr, BoundConversion),
    IsNull,
}

/// A bound of a range: value, conversion, inclusive.
pub(crate) type BoundMatch = (Expr, BoundConversion, bool);

/// A comparison of the next keys with as many values.
#[derive(Debug, Clone)]
pub(crate) struct RowMatch {
    pub values: Vec<(Expr, BoundConversion)>,
    /// `<` or `<=`.
    pub upper: bool,
    pub inclusive: bool,
}

/// A condition on a column of a GIN index.
#[derive(Debug, Clone)]
pub(crate) struct GinMatch {
    /// Which of the index's columns.
    pub column: usize,
    pub strategy: GinStrategy,
    /// What the column's value is compared with.
    pub value: Expr,
}

/// What of the conditions an index answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexMatch {
    /// Conditions on leading keys.
    pub keys: Vec<KeyMatch>,
    /// The smallest value of the next key.
    pub lower: Option<BoundMatch>,
    /// The largest value of the next key.
    pub upper: Option<BoundMatch>,
    /// A comparison of rows that begin with the next key.
    pub row: Option<RowMatch>,
    /// Only `IS NOT NULL` on the next key.
    pub not_null: bool,
    /// Conditions that a GIN index answers.
    pub gin: Vec<GinMatch>,
    /// Predicates that need no more check.
    pub exact: Vec<usize>,
    /// Predicates that narrowed the scan, exactly or not: their selectivity is the index's.
    pub used: Vec<usize>,
}

impl IndexMatch {
    /// Whether anything narrows the scan.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
            && self.lower.is_none()
            && self.upper.is_none()
            && self.row.is_none()
            && !self.not_null
            && self.gin.is_empty()
    }

    /// How many ranges of the index it makes: one for each element of a list.
    pub fn searches(&self) -> f64 {
        let of_key = |key: &KeyMatch| match key {
            KeyMatch::Any(Expr::Constant { value: Datum::Array(array), .. }, _) => array.len() as f64,
            KeyMatch::Any(Expr::ArrayLiteral { elements, .. }, _) => elements.len() as f64,
            KeyMatch::Any(..) => 10.0,
            _ => 1.0,
        };
        let of_gin = |condition: &GinMatch| match &condition.value {
            Expr::Constant { value: Datum::Array(array), .. } => array.len().max(1) as f64,
            _ => 1.0,
        };
        if !self.gin.is_empty() {
            return self.gin.iter().map(of_gin).sum();
        }
        self.keys.iter().map(of_key).product::<f64>().max(1.0)
    }

    /// An equality on every key.
    pub fn is_full_equality(&self, index: &IndexDescriptor) -> bool {
        self.keys.len() == index.keys.len() && self.keys.iter().all(|key| matches!(key, KeyMatch::Equal(..)))
    }
}

/// What a key column of an index is, in ids.
#[derive(Debug, Clone)]
pub(crate) enum KeyColumn {
    /// A column that the statement mentions.
    Column(ColumnId),
    /// A column that it does not mention.
    Unused,
    /// An expression over ids.
    Expression(Expr),
}

impl KeyColumn {
    /// Whether an expression is the key's value, of a type whose values are stored as the key's.
    fn is_value_of(&self, expr: &Expr, ty: SqlType) -> bool {
        match self {
            KeyColumn::Column(id) => {
                let stripped = strip_relabel(expr);
                matches!(stripped, Expr::Column { index, .. } if index == id)
                    && (expr.ty().oid == ty.oid || is_text(expr.ty()) && is_text(ty))
            }
            KeyColumn::Expression(wanted) => expr == wanted || strip_relabel(expr) == wanted && is_text(ty),
            KeyColumn::Unused => false,
        }
    }
}

impl PlanBuilder<'_> {
    /// The key columns of an index in terms of ids; `None` when an expression cannot be bound.
    pub(crate) fn key_columns(&self, table: TableId, index: &IndexDescriptor) -> Option<Vec<KeyColumn>> {
        let used = &self.tables[table];
        let mut keys = Vec::with_capacity(index.keys.len());
        for key in &index.keys {
            keys.push(match &key.expression {
                None => {
                    let position = usize::try_from(key.number - 1).ok()?;
                    let id = used.columns.iter().find(|(column, _)| *column == ScanColumn::Table(position));
                    match id {
                        Some((_, id)) => KeyColumn::Column(*id),
                        None => KeyColumn::Unused,
                    }
                }
                Some(text) => {
                    match self.stored_expression(table, text, crate::bind::RowExpression::IndexKey) {
                        Some(expr) => KeyColumn::Expression(expr),
                        None => KeyColumn::Unused,
                    }
                }
            });
        }
        Some(keys)
    }

    /// A stored expression of a table in terms of ids; `None` when it mentions columns that the statement does not.
    pub(crate) fn stored_expression(
        &self,
        table: TableId,
        text: &str,
        kind: crate::bind::RowExpression,
    ) -> Option<Expr> {
        let used = &self.tables[table];
        let planner = &self.planner;
        let binder = crate::bind::RowExpressionBinder::new(
            planner.catalog,
            planner.search_path,
            planner.session,
            &used.table,
        );
        let expr = binder.bind_text(text, kind, None).ok()?;
        let mut complete = true;
        let expr = expr.transform(&mut |node| match node {
            Expr::Column { index, ty } => {
                match used.columns.iter().find(|(column, _)| *column == ScanColumn::Table(index)) {
                    Some((_, id)) => Expr::Column { index: *id, ty },
                    None => {
                        complete = false;
                        Expr::Column { index, ty }
                    }
                }
            }
            other => other,
        });
        if !complete {
            return None;
        }
        // The statement's own expressions have lost what is constant in them.
        let mut expr = expr;
        crate::optimize::fold_expr(&mut expr, planner.session);
        Some(expr)
    }

    /// Whether the predicates imply that every wanted row is in a partial index.
    pub(crate) fn implies_index_predicate(
        &self,
        table: TableId,
        index: &IndexDescriptor,
        predicates: &[Expr],
    ) -> bool {
        let Some(text) = &index.predicate else { return true };
        let kind = crate::bind::RowExpression::IndexPredicate;
        let Some(needed) = self.stored_expression(table, text, kind) else { return false };
        needed.conjuncts().iter().all(|part| is_implied(part, predicates))
    }

    /// Finds what an index can do for the predicates. `own` are the ids of the table itself.
    pub(crate) fn match_index(
        &self,
        index: &IndexDescriptor,
        keys: &[KeyColumn],
        predicates: &[Expr],
        own: &IdSet,
    ) -> IndexMatch {
        let mut found = IndexMatch::default();
        let usable = |value: &Expr| {
            !value.any(|node| match node {
                Expr::Column { index, .. } => own.contains(*index),
                // The value of one that reads no row is known before the scan begins.
                Expr::SubPlan { plan, .. } => !self.runs_once(*plan),
                _ => false,
            }) && value.volatility() != Volatility::Volatile
        };
        if index.method == IndexMethod::Gin {
            match_gin(&mut found, index, keys, predicates, &usable);
            return found;
        }
        for (position, key) in keys.iter().enumerate() {
            let ty = index.keys[position].ty;
            let is_key = |expr: &Expr| key.is_value_of(expr, ty);
            let mut equality: Option<(KeyMatch, usize)> = None;
            for (number, predicate) in predicates.iter().enumerate() {
                let candidate = match predicate {
                    Expr::Call { .. } => {
                        let Some((Operation::Equal, left, right)) = comparison_of(predicate) else {
                            continue;
                        };
                        let value = if is_key(left) && usable(right) {
                            right
                        } else if is_key(right) && usable(left) {
                            left
                        } else {
                            continue;
                        };
                        match conversion(ty, value.ty()) {
                            Some(conversion) => KeyMatch::Equal(value.clone(), conversion),
                            None => continue,
                        }
                    }
                    Expr::ScalarArrayOp { function, all: false, left, array, .. }
                        if operation_of(function.oid) == Some(Operation::Equal)
                            && is_key(left)
                            && usable(array) =>
                    {
                        let Some(element) = array.ty().element() else { continue };
                        match conversion(ty, element) {
                            Some(conversion) => KeyMatch::Any((**array).clone(), conversion),
                            None => continue,
                        }
                    }
                    Expr::IsNull { arg, negated: false, row: false } if is_key(arg) => KeyMatch::IsNull,
                    // A bare boolean column is a comparison with true.
                    Expr::Column { .. } if ty.oid == oids::BOOL && is_key(predicate) => {
                        KeyMatch::Equal(Expr::bool(true), BoundConversion::None)
                    }
                    Expr::Not(inner) if ty.oid == oids::BOOL && is_key(inner) => {
                        KeyMatch::Equal(Expr::bool(false), BoundConversion::None)
                    }
                    _ => continue,
                };
                let better = match (&equality, &candidate) {
                    (None, _) => true,
                    (Some((KeyMatch::Equal(..), _)), _) => false,
                    (Some(_), KeyMatch::Equal(..)) => true,
                    _ => false,
                };
                if better {
                    equality = Some((candidate, number));
                }
            }
            if !index.is_ordered() {
                // Different values may have the same hash: the condition is looked at again.
                if let Some((condition, number)) =
                    equality.filter(|(key, _)| !matches!(key, KeyMatch::IsNull))
                {
                    found.keys.push(condition);
                    found.used.push(number);
                }
                break;
            }
            if let Some((condition, number)) = equality {
                found.keys.push(condition);
                found.exact.push(number);
                found.used.push(number);
                continue;
            }
            match_row(&mut found, index, keys, position, predicates, &usable);
            self.match_range(&mut found, ty, predicates, &is_key, &usable);
            break;
        }
        found
    }

    /// Bounds of the first key column that has no equality.
    fn match_range(
        &self,
        found: &mut IndexMatch,
        ty: SqlType,
        predicates: &[Expr],
        is_key: &dyn Fn(&Expr) -> bool,
        usable: &dyn Fn(&Expr) -> bool,
    ) {
        for (number, predicate) in predicates.iter().enumerate() {
            if let Some((operation, left, right)) = comparison_of(predicate) {
                let (operation, value) = if is_key(left) && usable(right) {
                    (operation, right)
                } else if is_key(right) && usable(left) {
                    (operation.commuted(), left)
                } else {
                    continue;
                };
                let Some(conversion) = conversion(ty, value.ty()) else { continue };
                let (side, inclusive) = match operation {
                    Operation::Less => (&mut found.upper, false),
                    Operation::LessOrEqual => (&mut found.upper, true),
                    Operation::Greater => (&mut found.lower, false),
                    Operation::GreaterOrEqual => (&mut found.lower, true),
                    _ => continue,
                };
                // The side of a row's first column is bounded by the row.
                let by_row = found.row.as_ref().is_some_and(|row| {
                    row.upper == matches!(operation, Operation::Less | Operation::LessOrEqual)
                });
                if side.is_none() && !by_row {
                    *side = Some((value.clone(), conversion, inclusive));
                    found.exact.push(number);
                    found.used.push(number);
                }
                continue;
            }
            match predicate {
                Expr::IsNull { arg, negated: true, row: false } if is_key(arg) => {
                    found.not_null = true;
                    found.exact.push(number);
                    found.used.push(number);
                }
                Expr::Call { function, args, .. }
                    if matches!(
                        &*function.source,
                        "textlike" | "text_starts_with" | "starts_with" | "textregexeq"
                    ) && is_text(ty) =>
                {
                    let [left, Expr::Constant { value, .. }] = args.as_slice() else { continue };
                    let bounded = found.lower.is_some() || found.upper.is_some() || found.row.is_some();
                    if !is_key(left) || bounded {
                        continue;
                    }
                    let Some(pattern) = value.as_str() else { continue };
                    let prefix = match &*function.source {
                        "textlike" => like_prefix(pattern),
                        "textregexeq" => regex_prefix(pattern),
                        _ => Some(pattern.as_bytes().to_vec()),
                    };
                    let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) else { continue };
                    let text = |bytes: Vec<u8>| {
                        Expr::constant(Datum::Bytes(SharedBytes::from_vec(bytes)), SqlType::TEXT)
                    };
                    if let Some(after) = prefix_successor(&prefix) {
                        found.upper = Some((text(after), BoundConversion::None, false));
                    }
                    found.lower = Some((text(prefix), BoundConversion::None, true));
                    found.used.push(number);
                }
                _ => {}
            }
        }
    }
}

/// An integer without the casts that only make it wider.
fn strip_widening(expr: &Expr) -> &Expr {
    match expr {
        Expr::Cast { arg, ty, .. }
            if is_integer(*ty)
                && is_integer(arg.ty())
                && arg.ty().physical.stored_width() <= ty.physical.stored_width() =>
        {
            strip_widening(arg)
        }
        other => other,
    }
}

/// A comparison of rows that begin with a key and go on with those after it.
///
/// `(a, b) > (x, y)` is `a > x OR a = x AND b > y`, and the scan reads just these parts of the index, so null keys and null
/// values leave out what SQL has them leave out, and keys may be ascending or descending. Of a row that goes on after the
/// index's columns the comparison of those that are there, equality included, is a wider one; the whole is asked again.
fn match_row(
    found: &mut IndexMatch,
    index: &IndexDescriptor,
    keys: &[KeyColumn],
    first: usize,
    predicates: &[Expr],
    usable: &dyn Fn(&Expr) -> bool,
) {
    let mut wider: Option<(BoundMatch, bool, usize)> = None;
    for (number, predicate) in predicates.iter().enumerate() {
        let Expr::RowCompare { op, functions, left, right } = predicate else { continue };
        let (less, or_equal) = match op {
            Comparison::Less => (true, false),
            Comparison::LessOrEqual => (true, true),
            Comparison::Greater => (false, false),
            Comparison::GreaterOrEqual => (false, true),
            Comparison::Equal | Comparison::NotEqual => continue,
        };
        for (own, others, upper) in [(left, right, less), (right, left, !less)] {
            let values: Vec<(Expr, BoundConversion)> = own
                .iter()
                .zip(others)
                .zip(functions)
                .zip(keys[first..].iter().zip(&index.keys[first..]))
                .map_while(|(((own, value), function), (key, descriptor))| {
                    let is_key =
                        [own, strip_widening(own)].iter().any(|own| key.is_value_of(own, descriptor.ty));
                    if !is_key || !usable(value) || operation_of(function.oid).is_none() {
                        return None;
                    }
                    Some((value.clone(), conversion(descriptor.ty, value.ty())?))
                })
                .collect();
            let whole = values.len() == own.len();
            match values.len() {
                0 => continue,
                1 if wider.is_none() => {
                    wider = values.into_iter().next().map(|(value, how)| ((value, how, true), upper, number));
                }
                1 => {}
                _ if found.row.is_none() => {
                    found.row = Some(RowMatch { values, upper, inclusive: or_equal || !whole });
                    found.used.push(number);
                    if whole {
                        found.exact.push(number);
                    }
                }
                _ => {
                    // Another one bounds the first column on the other side.
                    let (value, how) = values[0].clone();
                    if found.row.as_ref().is_some_and(|row| row.upper != upper) && wider.is_none() {
                        wider = Some(((value, how, true), upper, number));
                    }
                }
            }
            break;
        }
    }
    if let Some((bound, upper, number)) = wider
        && found.row.as_ref().is_none_or(|row| row.upper != upper)
    {
        *(if upper { &mut found.upper } else { &mut found.lower }) = Some(bound);
        found.used.push(number);
    }
}

/// What a GIN index can do for the predicates: each condition that one of its columns answers.
fn match_gin(
    found: &mut IndexMatch,
    index: &IndexDescriptor,
    keys: &[KeyColumn],
    predicates: &[Expr],
    usable: &dyn Fn(&Expr) -> bool,
) {
    for (number, predicate) in predicates.iter().enumerate() {
        let Expr::Call { function, args, .. } = predicate else { continue };
        let [left, right] = args.as_slice() else { continue };
        for (column, key) in keys.iter().enumerate() {
            let ty = index.keys[column].ty;
            let is_key = |expr: &Expr| match key {
                KeyColumn::Column(id) => {
                    matches!(expr, Expr::Column { index, .. } if index == id) && expr.ty().oid == ty.oid
                }
                KeyColumn::Expression(wanted) => expr == wanted,
                KeyColumn::Unused => false,
            };
            let (value, commuted) = if is_key(left) && usable(right) {
                (right, false)
            } else if is_key(right) && usable(left) {
                (left, true)
            } else {
                continue;
            };
            let class = index.keys[column].operator_class;
            if let Some(strategy) = gin_strategy(class, &function.source, ty, value.ty(), commuted) {
                found.gin.push(GinMatch { column, strategy, value: value.clone() });
                // Each row that is found is asked the condition again.
                found.exact.push(number);
                found.used.push(number);
                break;
            }
        }
    }
}

/// What an operator class of GIN makes of an operator, by the function behind it.
fn gin_strategy(
    class: Oid,
    function: &str,
    key: SqlType,
    value: SqlType,
    commuted: bool,
) -> Option<GinStrategy> {
    let class = ochre_expr::operator_classes().iter().find(|known| known.oid == class)?;
    let same = key.oid == value.oid;
    let keyed = &*class.name == "jsonb_ops" && !commuted;
    Some(match (&*class.name, function) {
        ("array_ops", "arrayoverlap") if same => GinStrategy::Overlap,
        ("array_ops", "arraycontains") if same && !commuted => GinStrategy::Contains,
        ("array_ops", "arraycontained") if same && commuted => GinStrategy::Contains,
        ("array_ops", "arraycontained") if same && !commuted => GinStrategy::Contained,
        ("array_ops", "arraycontains") if same && commuted => GinStrategy::Contained,
        ("array_ops", "array_eq") if same => GinStrategy::Equal,
        ("jsonb_ops" | "jsonb_path_ops", "jsonb_contains") if same && !commuted => GinStrategy::Contains,
        ("jsonb_ops" | "jsonb_path_ops", "jsonb_contained") if same && commuted => GinStrategy::Contains,
        (_, "jsonb_exists") if keyed => GinStrategy::Exists,
        (_, "jsonb_exists_any") if keyed => GinStrategy::ExistsAny,
        (_, "jsonb_exists_all") if keyed => GinStrategy::ExistsAll,
        _ => return None,
    })
}

/// The text that every match of a LIKE pattern starts with.
fn like_prefix(pattern: &str) -> Option<Vec<u8>> {
    let mut prefix = Vec::new();
    let mut bytes = pattern.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' | b'_' => return Some(prefix),
            b'\\' => prefix.push(bytes.next()?),
            other => prefix.push(other),
        }
    }
    Some(prefix)
}

/// The text that every match of an anchored regular expression starts with.
fn regex_prefix(pattern: &str) -> Option<Vec<u8>> {
    let rest = pattern.strip_prefix('^')?;
    // What SIMILAR TO becomes.
    let group = rest.strip_prefix("(?:").and_then(|rest| rest.strip_suffix(")$"));
    let rest = group.filter(|group| !group.contains(['(', ')', '\\'])).unwrap_or(rest);
    if rest.contains('|') {
        return None;
    }
    let mut prefix: Vec<u8> = Vec::new();
    for c in rest.chars() {
        match c {
            '*' | '?' | '{' => {
                // The character before may be missing.
                while let Some(byte) = prefix.pop() {
                    if byte & 0xC0 != 0x80 {
                        break;
                    }
                }
                return Some(prefix);
            }
            c if c.is_alphanumeric() || matches!(c, '_' | ' ' | '-' | '/' | ',' | ':') => {
                let mut buffer = [0; 4];
                prefix.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            }
            _ => return Some(prefix),
        }
    }
    Some(prefix)
}

/// The smallest text after all that start with a prefix.
fn prefix_successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut after = prefix.to_vec();
    while let Some(last) = after.pop() {
        // Bytes 0xF8 and up never occur in UTF-8, so one more than any byte still sorts right.
        if last < 0xFF {
            after.push(last + 1);
            return Some(after);
        }
    }
    None
}
