//! Partitioned tables: their keys, the bounds of partitions, ATTACH.

use std::sync::Arc;

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::{
    BoundValue, IndexMethod, Inheritance, PartitionBound, PartitionColumn, PartitionKey, PartitionStrategy,
    Persistence, RelationDescriptor, RelationKind,
};
use ochre_expr::{EvalContext, Expr};
use ochre_parser::ast::{self, ObjectName, PartitionSpec};
use ochre_sql::bind::{ParamTypes, bind_typed_expression};
use ochre_sql::partition::{self, Bound, Detaching, Division, Edge};
use ochre_txn::locks::RelationLockMode;
use ochre_types::{Datum, FormatContext, SqlType, oids, print_text};

use super::create_table::{NewColumns, is_system_column};
use super::index::find_operator_class;
use crate::authority::Need;
use crate::session::Session;
use crate::session::context::StatementSession;

/// Columns of a partition key, at most.
const MAX_KEY_COLUMNS: usize = 32;

fn invalid_object(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_OBJECT_DEFINITION, message)
}

fn invalid_table(message: impl Into<String>) -> Error {
    Error::new(SqlState::INVALID_TABLE_DEFINITION, message)
}

fn wrong_type(message: impl Into<String>) -> Error {
    Error::new(SqlState::WRONG_OBJECT_TYPE, message)
}

fn at(error: Error, pos: ast::Pos) -> Error {
    match pos.get() {
        Some(position) => error.at(position),
        None => error,
    }
}

/// The default operator class of a key column.
fn operator_class(strategy: PartitionStrategy, ty: SqlType, type_text: &str) -> Result<Oid> {
    let is_hash = strategy == PartitionStrategy::Hash;
    let method = if is_hash { IndexMethod::Hash } else { IndexMethod::BTree }.name();
    match find_operator_class(method, ty) {
        Some(_) if is_hash && !ochre_types::has_partition_hash(ty) => {
            Err(Error::unsupported(format_args!("hash partitioning by type {type_text}")))
        }
        Some(class) => Ok(class),
        None => Err(no_class(type_text, method)),
    }
}

fn no_class(type_text: &str, method: &str) -> Error {
    Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!("data type {type_text} has no default operator class for access method \"{method}\""),
    )
    .hint(format!(
        "You must specify a {method} operator class or define a default {method} operator class for the data type."
    ))
}

impl Session {
    /// Gives a new table its partition key.
    pub(crate) fn set_partition_key(&self, table: Oid, spec: &PartitionSpec) -> Result<()> {
        let relation = self.relation(table);
        let strategy = match spec.strategy {
            ast::PartitionStrategy::List => PartitionStrategy::List,
            ast::PartitionStrategy::Range => PartitionStrategy::Range,
            ast::PartitionStrategy::Hash => PartitionStrategy::Hash,
        };
        if spec.keys.len() > MAX_KEY_COLUMNS {
            return Err(Error::new(
                SqlState::TOO_MANY_COLUMNS,
                format!("cannot partition using more than {MAX_KEY_COLUMNS} columns"),
            ));
        }
        if strategy == PartitionStrategy::List && spec.keys.len() != 1 {
            return Err(invalid_object("cannot use \"list\" partition strategy with more than one column"));
        }
        let mut columns = Vec::with_capacity(spec.keys.len());
        for elem in &spec.keys {
            columns.push(self.partition_column(&relation, strategy, elem)?);
        }
        let key = PartitionKey { strategy, columns, default: Oid::INVALID };
        let mut changed = (*relation).clone();
        changed.inheritance.key = Some(Arc::new(key));
        self.put_relation(changed)?;
        Ok(())
    }

    fn partition_column(
        &self,
        relation: &Arc<RelationDescriptor>,
        strategy: PartitionStrategy,
        elem: &ast::PartitionElem,
    ) -> Result<PartitionColumn> {
        let (number, expression, ty, own_collation) = match &elem.key {
            ast::IndexKey::Column(name) => {
                if is_system_column(name) {
                    let message = format!("cannot use system column \"{name}\" in partition key");
                    return Err(at(invalid_object(message), elem.pos));
                }
                let Some(column) = relation.column_named(name) else {
                    let error = Error::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("column \"{name}\" named in partition key does not exist"),
                    );
                    return Err(at(error, elem.pos));
                };
                if column.generated.is_some() {
                    return Err(at(invalid_object("cannot use generated column in partition key"), elem.pos)
                        .detail(format!("Column \"{name}\" is a generated column.")));
                }
                (column.number, None, column.ty, column.collation)
            }
            ast::IndexKey::Expr(expr) => {
                let bound = self.bind_index_expression(relation, expr).map_err(|error| {
                    match error.message() == "functions in index expression must be marked IMMUTABLE" {
                        true => {
                            invalid_object("functions in partition key expression must be marked IMMUTABLE")
                        }
                        false => error,
                    }
                })?;
                let read = self.columns_of_expression(relation, &bound.text)?;
                if read.is_empty() {
                    return Err(invalid_object("cannot use constant expression as partition key"));
                }
                if read.iter().any(|position| relation.columns[*position].generated.is_some()) {
                    return Err(at(invalid_object("cannot use generated column in partition key"), elem.pos));
                }
                // A lone column in parentheses is that column.
                let column = read.first().map(|position| &relation.columns[*position]);
                match column.filter(|column| super::quote_identifier(&column.name) == bound.text) {
                    Some(column) => (column.number, None, column.ty, column.collation),
                    None => {
                        let collation =
                            ochre_types::type_info(bound.ty.oid).map_or(Oid::INVALID, |info| info.collation);
                        (0, Some(Arc::from(bound.text)), bound.ty, collation)
                    }
                }
            }
        };
        if elem.opclass.is_some() {
            return Err(Error::unsupported("operator classes in partition keys"));
        }
        let collation = match &elem.collation {
            Some(name) => self.column_collation(Some(name), ty)?,
            None => own_collation,
        };
        let operator_class = operator_class(strategy, ty, &self.type_text(ty))?;
        Ok(PartitionColumn { number, expression, collation, operator_class })
    }

    /// The table that a new partition is of, locked.
    pub(crate) fn parent_of_partition(
        &self,
        name: &ObjectName,
        persistence: Persistence,
    ) -> Result<Arc<RelationDescriptor>> {
        let parent = self.require_and_lock(name, RelationLockMode::AccessExclusive, Need::Owner)?;
        self.require_user_relation(&parent)?;
        if parent.kind != RelationKind::PartitionedTable {
            return Err(invalid_object(format!("\"{}\" is not partitioned", parent.name)));
        }
        self.check_partition_persistence(&parent, persistence)?;
        Ok(parent)
    }

    fn check_partition_persistence(
        &self,
        parent: &RelationDescriptor,
        persistence: Persistence,
    ) -> Result<()> {
        match (parent.persistence, persistence) {
            (Persistence::Temporary, Persistence::Permanent) => Err(wrong_type(format!(
                "cannot create a permanent relation as partition of temporary relation \"{}\"",
                parent.name
            ))),
            (Persistence::Permanent, Persistence::Temporary) => Err(wrong_type(format!(
                "cannot create a temporary relation as partition of permanent relation \"{}\"",
                parent.name
            ))),
            _ => Ok(()),
        }
    }

    /// Makes a new table, whose columns are its parent's, a partition.
    pub(crate) fn become_partition(
        &self,
        parent: &Arc<RelationDescriptor>,
        name: &str,
        bound: &ast::PartitionBound,
        new: &mut NewColumns,
    ) -> Result<()> {
        new.inheritance.bound = Some(self.new_bound(parent, name, bound)?);
        Ok(())
    }

    /// A partition's bound as written, read and found to fit beside the others.
    pub(crate) fn new_bound(
        &self,
        parent: &Arc<RelationDescriptor>,
        name: &str,
        bound: &ast::PartitionBound,
    ) -> Result<Arc<PartitionBound>> {
        let catalog = self.state.catalog();
        let division = Division::of(&catalog, parent, Detaching::Counted)?;
        let (read, pos) = self.read_partition_bound(parent, &division, bound)?;
        check_overlap(&division, name, &read, pos)?;
        let types = division.types();
        let edges = |edges: &[Edge]| {
            edges.iter().zip(&types).map(|(edge, ty)| edge_text(edge, *ty)).collect::<Vec<_>>()
        };
        Ok(Arc::new(match &read {
            Bound::Default => PartitionBound::Default,
            Bound::List(values) => {
                PartitionBound::List(values.iter().map(|value| value_text(value, types[0])).collect())
            }
            Bound::Range { lower, upper } => {
                PartitionBound::Range { lower: edges(lower), upper: edges(upper) }
            }
            Bound::Hash { modulus, remainder } => {
                PartitionBound::Hash { modulus: *modulus, remainder: *remainder }
            }
        }))
    }

    fn read_partition_bound(
        &self,
        parent: &Arc<RelationDescriptor>,
        division: &Division,
        bound: &ast::PartitionBound,
    ) -> Result<(Bound, ast::Pos)> {
        let kind = match division.strategy {
            PartitionStrategy::List => "list",
            PartitionStrategy::Range => "range",
            PartitionStrategy::Hash => "hash",
        };
        let mismatch = |pos: ast::Pos| {
            Err(at(invalid_table(format!("invalid bound specification for a {kind} partition")), pos))
        };
        match (bound, division.strategy) {
            (ast::PartitionBound::Default, PartitionStrategy::Hash) => {
                Err(invalid_table("a hash-partitioned table may not have a default partition"))
            }
            (ast::PartitionBound::Default, _) => Ok((Bound::Default, ast::Pos::NONE)),
            (ast::PartitionBound::List(exprs, pos), PartitionStrategy::List) => {
                let mut values: Vec<Datum> = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    let value = self.bound_value(parent, division, 0, expr)?;
                    // One that is there twice counts once.
                    if !values.contains(&value) {
                        values.push(value);
                    }
                }
                let first = exprs.first().map_or(*pos, ast::Expr::pos);
                Ok((Bound::List(values), first))
            }
            (ast::PartitionBound::Range { from, to, pos }, PartitionStrategy::Range) => {
                for (word, given) in [("FROM", from), ("TO", to)] {
                    if given.len() != division.keys.len() {
                        return Err(invalid_table(format!(
                            "{word} must specify exactly one value per partitioning column"
                        )));
                    }
                }
                let lower = self.range_edges(parent, division, from)?;
                let upper = self.range_edges(parent, division, to)?;
                let first = from.first().map_or(*pos, ast::Expr::pos);
                Ok((Bound::Range { lower, upper }, first))
            }
            (ast::PartitionBound::Hash { modulus, remainder, pos }, PartitionStrategy::Hash) => {
                if *modulus <= 0 {
                    return Err(invalid_table(
                        "modulus for hash partition must be an integer value greater than zero",
                    ));
                }
                if *remainder < 0 {
                    return Err(invalid_table(
                        "remainder for hash partition must be an integer value greater than or equal to zero",
                    ));
                }
                if remainder >= modulus {
                    return Err(invalid_table("remainder for hash partition must be less than modulus"));
                }
                Ok((Bound::Hash { modulus: *modulus, remainder: *remainder }, *pos))
            }
            (ast::PartitionBound::List(_, pos), _)
            | (ast::PartitionBound::Range { pos, .. }, _)
            | (ast::PartitionBound::Hash { pos, .. }, _) => mismatch(*pos),
        }
    }

    fn range_edges(
        &self,
        parent: &Arc<RelationDescriptor>,
        division: &Division,
        exprs: &[ast::Expr],
    ) -> Result<Vec<Edge>> {
        let mut edges: Vec<Edge> = Vec::with_capacity(exprs.len());
        for (position, expr) in exprs.iter().enumerate() {
            let word = match expr {
                ast::Expr::Column(column) => match column.parts.as_slice() {
                    [name] if !column.star => Some(name.as_str()),
                    _ => None,
                },
                _ => None,
            };
            let edge = match word {
                Some("minvalue") => Edge::Minimum,
                Some("maxvalue") => Edge::Maximum,
                _ => {
                    let value = self.bound_value(parent, division, position, expr)?;
                    if value.is_null() {
                        return Err(invalid_object("cannot specify NULL in range bound"));
                    }
                    Edge::Value(value)
                }
            };
            let infinite = edges.last().filter(|last| !matches!(last, Edge::Value(_)));
            if let Some(last) = infinite.filter(|last| **last != edge) {
                let word = if *last == Edge::Minimum { "MINVALUE" } else { "MAXVALUE" };
                let error = Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("every bound following {word} must also be {word}"),
                );
                return Err(at(error, expr.pos()));
            }
            edges.push(edge);
        }
        Ok(edges)
    }

    /// The value of an expression in a bound, in the type of a key column.
    fn bound_value(
        &self,
        parent: &Arc<RelationDescriptor>,
        division: &Division,
        position: usize,
        expr: &ast::Expr,
    ) -> Result<Datum> {
        if let ast::Expr::Column(column) = expr {
            let error = Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot use column reference in partition bound expression",
            );
            return Err(at(error, column.pos));
        }
        let ty = division.keys[position].ty();
        let target = SqlType::new(ty.oid, ty.typmod);
        let catalog = self.state.catalog();
        let path = self.state.search_path();
        let session = StatementSession::new(self);
        let mut none = ParamTypes::none();
        let bound = bind_typed_expression(&catalog, &path, &session, &mut none, expr, Some(target)).map_err(
            |error| {
                let cannot = error.message().starts_with("cannot cast type");
                if !cannot {
                    return error;
                }
                let columns = partition::key_columns_text(parent);
                let name = columns.split(", ").nth(position).unwrap_or_default().to_string();
                at(
                    Error::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "specified value cannot be cast to type {} for column \"{name}\"",
                            self.type_text(ty)
                        ),
                    ),
                    expr.pos(),
                )
            },
        )?;
        if bound.any(|node| matches!(node, Expr::SubPlan { .. })) {
            let error = Error::new(SqlState::FEATURE_NOT_SUPPORTED, "cannot use subquery in partition bound");
            return Err(at(error, expr.pos()));
        }
        let eval = EvalContext { params: &[], correlated: &[], session: &session, subplans: None };
        ochre_expr::eval_const(&bound, &eval)
    }

    /// The rows of a default partition must stay there when another partition comes.
    pub(crate) fn check_default_partition(&self, parent: &Arc<RelationDescriptor>, new: Oid) -> Result<()> {
        let default = parent.inheritance.key.as_ref().map_or(Oid::INVALID, |key| key.default);
        if !default.is_valid() || default == new {
            return Ok(());
        }
        self.lock_descendants(default, RelationLockMode::AccessExclusive)?;
        self.lock_relation(default, RelationLockMode::AccessExclusive)?;
        let catalog = self.state.catalog();
        for oid in catalog.descendants(default) {
            let table = self.relation(oid);
            if table.kind != RelationKind::Table {
                continue;
            }
            let conditions = partition::partition_constraints(&catalog, &table)?;
            if self.violates(&table, &conditions)? {
                let shown = self.relation(default);
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "updated partition constraint for default partition \"{}\" would be violated by some row",
                        shown.name
                    ),
                )
                .table(self.namespace_name(shown.namespace), &*shown.name));
            }
        }
        Ok(())
    }

    /// Whether a row of a table does not satisfy all conditions.
    fn violates(&self, table: &Arc<RelationDescriptor>, conditions: &[Expr]) -> Result<bool> {
        let condition = Expr::and(conditions.iter().cloned());
        self.any_row(table, |ctx, image| {
            let values = ctx.eval(&condition, image)?;
            Ok(image.active().any(|row| values.datum(row) == Datum::Bool(false)))
        })
    }

    /// Notes the default partition at its table.
    pub(crate) fn note_default(&self, parent: Oid, default: Oid) -> Result<()> {
        let parent = self.relation(parent);
        let Some(key) = &parent.inheritance.key else { return Ok(()) };
        let key = Arc::new(PartitionKey { default, ..(**key).clone() });
        let inheritance = Inheritance { key: Some(key), ..parent.inheritance.clone() };
        self.put_relation(RelationDescriptor { inheritance, ..(*parent).clone() })?;
        Ok(())
    }

    /// `ATTACH PARTITION`.
    pub(crate) fn attach_partition(
        &self,
        table: Oid,
        name: &ObjectName,
        bound: &ast::PartitionBound,
    ) -> Result<()> {
        let parent = self.relation(table);
        if parent.kind != RelationKind::PartitionedTable {
            return Err(wrong_type(format!(
                "ALTER action ATTACH PARTITION cannot be performed on relation \"{}\"",
                parent.name
            ))
            .detail(format!("This operation is not supported for {}.", parent.kind.plural())));
        }
        let child = self.require_and_lock(name, RelationLockMode::AccessExclusive, Need::Owner)?;
        self.require_user_relation(&child)?;
        if !child.kind.is_table() {
            return Err(wrong_type(format!("\"{}\" is not a table", child.name)));
        }
        if child.is_partition() {
            return Err(wrong_type(format!("\"{}\" is already a partition", child.name)));
        }
        if !child.inheritance.parents.is_empty() {
            return Err(wrong_type("cannot attach inheritance child as partition"));
        }
        if child.kind == RelationKind::Table && !self.children(child.oid).is_empty() {
            return Err(wrong_type("cannot attach inheritance parent as partition"));
        }
        let below = self.lock_descendants(child.oid, RelationLockMode::AccessExclusive)?;
        if below.contains(&table) {
            return Err(Error::new(SqlState::DUPLICATE_TABLE, "circular inheritance not allowed")
                .detail(format!("\"{}\" is already a child of \"{}\".", parent.name, child.name)));
        }
        self.check_partition_persistence(&parent, child.persistence)?;
        for column in child.live_columns() {
            if parent.column_named(&column.name).is_none() {
                return Err(Error::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!(
                        "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
                        child.name, column.name, parent.name
                    ),
                )
                .detail("The new partition may contain only the columns present in parent."));
            }
            if column.identity.is_some() {
                return Err(invalid_table(format!(
                    "table \"{}\" being attached contains an identity column \"{}\"",
                    child.name, column.name
                ))
                .detail("The new partition may not contain an identity column."));
            }
        }
        let bound = self.new_bound(&parent, &child.name, bound)?;
        let is_default = bound.is_default();
        self.attach(&parent, child.oid, Some(bound))?;
        if is_default {
            self.note_default(parent.oid, child.oid)?;
        }
        self.attach_parts(parent.oid, child.oid)?;
        let catalog = self.state.catalog();
        for oid in below {
            let member = self.relation(oid);
            if member.kind != RelationKind::Table {
                continue;
            }
            let conditions = partition::partition_constraints(&catalog, &member)?;
            if self.violates(&member, &conditions)? {
                return Err(Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!("partition constraint of relation \"{}\" is violated by some row", member.name),
                )
                .table(self.namespace_name(member.namespace), &*member.name));
            }
        }
        let parent = self.relation(parent.oid);
        self.check_default_partition(&parent, child.oid)
    }
}

/// 42P17 for a bound that does not fit beside the others.
fn check_overlap(division: &Division, name: &str, new: &Bound, pos: ast::Pos) -> Result<()> {
    let types = division.types();
    let overlap = |with: &RelationDescriptor| {
        let message = format!("partition \"{name}\" would overlap partition \"{}\"", with.name);
        Err(at(invalid_object(message), pos))
    };
    match new {
        Bound::Default => {
            let known = division.partitions.iter().find(|known| matches!(known.bound, Bound::Default));
            if let Some(known) = known {
                return Err(invalid_object(format!(
                    "partition \"{name}\" conflicts with existing default partition \"{}\"",
                    known.table.name
                )));
            }
        }
        Bound::List(values) => {
            for known in &division.partitions {
                let Bound::List(others) = &known.bound else { continue };
                if values.iter().any(|value| others.contains(value)) {
                    return overlap(&known.table);
                }
            }
        }
        Bound::Range { lower, upper } => {
            if partition::compare_edges(lower, upper, &types).is_ge() {
                let show = |edges: &[Edge]| {
                    let texts = edges.iter().zip(&types).map(|(edge, ty)| edge_text(edge, *ty).to_string());
                    texts.collect::<Vec<_>>().join(", ")
                };
                let message = format!("empty range bound specified for partition \"{name}\"");
                return Err(at(invalid_object(message), pos).detail(format!(
                    "Specified lower bound ({}) is greater than or equal to upper bound ({}).",
                    show(lower),
                    show(upper)
                )));
            }
            for known in &division.partitions {
                let Bound::Range { lower: from, upper: to } = &known.bound else { continue };
                if partition::compare_edges(lower, to, &types).is_lt()
                    && partition::compare_edges(from, upper, &types).is_lt()
                {
                    return overlap(&known.table);
                }
            }
        }
        Bound::Hash { modulus, remainder } => {
            let mut known: Vec<(i32, i32, &RelationDescriptor)> = division
                .partitions
                .iter()
                .filter_map(|partition| match &partition.bound {
                    Bound::Hash { modulus, remainder } => Some((*modulus, *remainder, &*partition.table)),
                    _ => None,
                })
                .collect();
            known.sort_by_key(|(modulus, ..)| *modulus);
            let factor = "every hash partition modulus must be a factor of the next larger modulus";
            let below = known.iter().rev().find(|(other, ..)| other <= modulus);
            if let Some((other, _, table)) = below.filter(|(other, ..)| modulus % other != 0) {
                return Err(invalid_object(factor).detail(format!(
                    "The new modulus {modulus} is not divisible by {other}, the modulus of existing partition \"{}\".",
                    table.name
                )));
            }
            let above = known.iter().find(|(other, ..)| other > modulus);
            if let Some((other, _, table)) = above.filter(|(other, ..)| other % modulus != 0) {
                return Err(invalid_object(factor).detail(format!(
                    "The new modulus {modulus} is not a factor of {other}, the modulus of existing partition \"{}\".",
                    table.name
                )));
            }
            for (other, rest, table) in known {
                let least = other.min(*modulus);
                if rest % least == remainder % least {
                    return overlap(table);
                }
            }
        }
    }
    Ok(())
}

fn edge_text(edge: &Edge, ty: SqlType) -> BoundValue {
    match edge {
        Edge::Minimum => BoundValue::Minimum,
        Edge::Maximum => BoundValue::Maximum,
        Edge::Value(value) => value_text(value, ty),
    }
}

/// A value as SQL writes it: without quotes where none are needed, as PostgreSQL shows it.
fn value_text(value: &Datum, ty: SqlType) -> BoundValue {
    if value.is_null() {
        return BoundValue::Null;
    }
    let mut text = Vec::new();
    print_text(ty, value, &FormatContext::default(), &mut text).expect("nobody is asked");
    let text = String::from_utf8_lossy(&text).into_owned();
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let bare = match ty.oid {
        oids::INT4 => digits,
        oids::NUMERIC => digits && text.contains(['e', 'E', '.']),
        oids::BOOL => true,
        _ => false,
    };
    let text = match (ty.oid, text.as_str()) {
        (oids::BOOL, "t") => "true".to_string(),
        (oids::BOOL, "f") => "false".to_string(),
        _ => text,
    };
    BoundValue::Text { text: text.into(), bare }
}
