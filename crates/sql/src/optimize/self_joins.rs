//! Inner joins of a table with itself that find each row alone: `a JOIN a b ON a.id = b.id` is `a` when `id` is unique.
//!
//! # Conditions
//! - Both uses are of one ordinary table, by itself: a parent's name stands for other rows than ONLY the parent, and a
//!   sample has rows of its own.
//! - Nothing but inner joins, conditions and projections of one use (of a view or sub-query) stands between them; what
//!   these compute is not volatile. In every row of the result all columns of a unique index
//!   ([`super::uniqueness`]) are equal on both sides, by the equality of their types: as conditions say, through other
//!   columns, or since both are equal to the same constant. These conditions are strict, so NULLs, of which an index may
//!   have several, are none of the result.
//! - No other item of the cluster, and no sub-query in its conditions, mentions the side that goes.
//! - Nothing above locks rows, and the query is not the source of an UPDATE, DELETE or MERGE: rows that have changed
//!   meanwhile are looked at again, each side's for itself.
//!
//! # How
//! The later use stays, and gets the columns that only the earlier one had. What is read above the cluster of the use that
//! goes, its own projections included, is handed out under its ids by a projection. A column that was equated with itself is not NULL. Privileges and
//! locks of both uses stay the statement's.
//!
//! # Differences
//! PostgreSQL uses partial indexes whose condition both sides satisfy, too, and looks at tables that an UPDATE, DELETE or
//! MERGE reads beside its target.

use hashbrown::{HashMap, HashSet};
use ochre_base::{Result, limits};
use ochre_catalog::RelationKind;
use ochre_expr::{Expr, Volatility, btree_comparison};
use ochre_types::SqlType;

use super::uniqueness::{Uniqueness, column_of};
use super::{RuleContext, each_query};
use crate::idset::IdSet;
use crate::logical::{
    ColumnId, ColumnInfo, Expansion, Join, JoinKind, Logical, LogicalBody, LogicalStatement, TableId,
    TableUse,
};
use crate::physical::{CommandKind, ScanColumn};
use crate::plan::strip_relabel;
use crate::walk::{Parts, free_columns, has_effects, inputs, inputs_mut, needed_below, produced};

/// Takes superfluous sides of joins out of every query of a statement.
pub(super) fn apply(statement: &mut LogicalStatement, context: &RuleContext<'_>) -> Result<()> {
    if !context.settings.enable_self_join_elimination || !has_candidates(&statement.tables) {
        return Ok(());
    }
    while let Some(Added { table, columns }) = eliminate_one(statement, context) {
        for (column, like) in columns {
            let id = statement.columns.len();
            statement.columns.push(ColumnInfo { table: Some(table), ..statement.columns[like].clone() });
            statement.tables[table].columns.push((column, id));
        }
    }
    Ok(())
}

fn is_candidate(used: &TableUse) -> bool {
    used.table.kind == RelationKind::Table && used.expansion == Expansion::Own
}

/// Whether a table is used twice.
fn has_candidates(tables: &[TableUse]) -> bool {
    let mut known = HashSet::new();
    tables.len() > 1 && tables.iter().any(|used| is_candidate(used) && !known.insert(used.table.oid))
}

/// Columns that a use of a table gets beside those that it has: their ids are the next ones of the statement.
struct Added {
    table: TableId,
    /// Each with the id of the other use's column.
    columns: Vec<(ScanColumn, ColumnId)>,
}

fn eliminate_one(statement: &mut LogicalStatement, context: &RuleContext<'_>) -> Option<Added> {
    let types: Vec<SqlType> = statement.columns.iter().map(|column| column.ty).collect();
    let changes_rows = |body: &LogicalBody| match body {
        LogicalBody::Query(_) => false,
        LogicalBody::Modify(modify) => modify.command != CommandKind::Insert,
    };
    let bodies = statement.ctes.iter().map(|cte| &cte.body).chain([&statement.body]);
    let mut left_alone = vec![false; statement.subqueries.len()];
    left_alone.extend(bodies.map(changes_rows));
    let mut left_alone = left_alone.into_iter();
    let mut added = None;
    // It comes by the queries in the same order.
    each_query(statement, &mut |plan, required, parts| {
        if left_alone.next() == Some(false) && added.is_none() {
            added = search(plan, required, Cluster { parts, context, types: &types });
        }
    });
    added
}

/// What is needed to look at clusters of inner joins.
#[derive(Clone, Copy)]
struct Cluster<'a> {
    parts: Parts<'a>,
    context: &'a RuleContext<'a>,
    types: &'a [SqlType],
}

/// Takes a side of the first join that allows it out of a plan.
fn search(plan: &mut Logical, required: &IdSet, cluster: Cluster<'_>) -> Option<Added> {
    stacker::maybe_grow(limits::STACK_RED_ZONE_BYTES, limits::STACK_GROWTH_BYTES, || {
        if matches!(plan, Logical::LockRows { .. }) || inputs(plan).is_empty() {
            return None;
        }
        if is_cluster(plan)
            && let Some(pair) = cluster.find(plan)
        {
            return Some(cluster.eliminate(plan, required, pair));
        }
        let needed = needed_below(plan, required, cluster.parts);
        inputs_mut(plan).into_iter().find_map(|input| search(input, &needed, cluster))
    })
}

/// Whether a plan is inner joins, with conditions above them.
fn is_cluster(plan: &Logical) -> bool {
    match plan {
        Logical::Filter { input, .. } => is_cluster(input),
        Logical::Join(join) => join.kind == JoinKind::Inner,
        _ => false,
    }
}

/// Two uses of a table with the same rows side by side.
#[derive(Clone, Copy)]
struct Pair {
    goes: TableId,
    stays: TableId,
}

impl Cluster<'_> {
    fn find(self, plan: &Logical) -> Option<Pair> {
        let (mut leaves, mut predicates) = (Vec::new(), Vec::new());
        collect(plan, &mut leaves, &mut predicates);
        let tables: Vec<TableId> = leaves.iter().filter_map(|leaf| self.candidate(leaf)).collect();
        let oid = |table: TableId| self.parts.tables[table].table.oid;
        let mut classes = None;
        for (at, goes) in tables.iter().enumerate() {
            for stays in &tables[at + 1..] {
                let pair = Pair { goes: *goes, stays: *stays };
                if oid(pair.goes) == oid(pair.stays)
                    && pair.goes != pair.stays
                    && self
                        .is_same_row(pair, classes.get_or_insert_with(|| Classes::of(&leaves, &predicates)))
                    && self.may_go(pair.goes, &leaves, &predicates)
                {
                    return Some(pair);
                }
            }
        }
        None
    }

    /// The table of a leaf that may be a side of such a join.
    fn candidate(self, leaf: &Logical) -> Option<TableId> {
        let harmless = |expr: &Expr| {
            !has_effects(expr, self.parts) && !expr.any(|node| matches!(node, Expr::SubPlan { .. }))
        };
        match leaf {
            Logical::Get(table) => is_candidate(&self.parts.tables[*table]).then_some(*table),
            Logical::Filter { input, predicates } => {
                predicates.iter().all(harmless).then(|| self.candidate(input)).flatten()
            }
            Logical::Project { input, items } => {
                items.iter().all(|(_, expr)| harmless(expr)).then(|| self.candidate(input)).flatten()
            }
            _ => None,
        }
    }

    /// Whether the columns of a unique index are equal on both sides.
    fn is_same_row(self, pair: Pair, classes: &Classes) -> bool {
        let uniqueness = Uniqueness { tables: self.parts.tables, settings: self.context.settings };
        uniqueness.unique_keys(pair.goes).any(|key| {
            key.iter().all(|id| self.twin(pair, *id).is_some_and(|other| classes.are_equal(*id, other)))
        })
    }

    /// The column of the use that stays that is this one of the use that goes.
    fn twin(self, pair: Pair, id: ColumnId) -> Option<ColumnId> {
        let tables = self.parts.tables;
        let (column, _) = tables[pair.goes].columns.iter().find(|(_, known)| *known == id)?;
        tables[pair.stays].columns.iter().find(|(known, _)| known == column).map(|(_, id)| *id)
    }

    fn may_go(self, goes: TableId, leaves: &[&Logical], predicates: &[&Expr]) -> bool {
        let leaf =
            leaves.iter().find(|leaf| table_below(leaf) == Some(goes)).expect("it is one of the leaves");
        let own = self.ids_below(leaf);
        let from_outside = |expr: &&Expr| {
            expr.any(|node| match node {
                Expr::SubPlan { plan, .. } => {
                    let query = &self.parts.subqueries[*plan].query;
                    free_columns(&query.plan, self.parts).intersects(&own)
                }
                _ => false,
            })
        };
        !leaves.iter().any(|leaf| free_columns(leaf, self.parts).intersects(&own))
            && !predicates.iter().any(from_outside)
    }

    /// The ids of a leaf's table and of the projections above it.
    fn ids_below(self, leaf: &Logical) -> IdSet {
        let mut ids = produced(leaf, self.parts.tables);
        inputs(leaf).into_iter().for_each(|input| ids.extend(&self.ids_below(input)));
        ids
    }

    fn eliminate(self, plan: &mut Logical, required: &IdSet, pair: Pair) -> Added {
        let tables = self.parts.tables;
        // The use that goes keeps its columns: what other rules have left of a query may be there twice.
        let mut columns = Vec::new();
        let mut values: HashMap<ColumnId, Expr> = HashMap::new();
        let mut exposed = Vec::new();
        for (column, id) in &tables[pair.goes].columns {
            let twin = self.twin(pair, *id).unwrap_or_else(|| {
                columns.push((*column, *id));
                self.types.len() + columns.len() - 1
            });
            let twin = Expr::Column { index: twin, ty: self.types[*id] };
            values.insert(*id, twin.clone());
            exposed.push(twin);
        }
        let whole = std::mem::replace(plan, Logical::Dummy { row: false });
        let gone = leaf_of(&whole, pair.goes).expect("it is one of the leaves");
        let own = self.ids_below(gone);
        follow(gone, &mut values);
        let mut about = Vec::new();
        let mut rest = take_out(whole, pair.goes, &own, &mut about).expect("the use that stays is left");
        expose(&mut rest, pair.stays, &exposed);
        let (mut leaves, mut settled) = (Vec::new(), Vec::new());
        collect(&rest, &mut leaves, &mut settled);
        let mut predicates: Vec<Expr> = Vec::with_capacity(about.len());
        for predicate in about {
            let predicate = about_one_row(replaced(predicate, &values));
            let again = predicates.iter().chain(settled.iter().copied()).any(|other| *other == predicate);
            if !again || predicate.volatility() == Volatility::Volatile {
                predicates.push(predicate);
            }
        }
        let made = produced(&rest, tables);
        *plan =
            if predicates.is_empty() { rest } else { Logical::Filter { input: Box::new(rest), predicates } };
        if required.intersects(&own) {
            let value = |id: ColumnId| match values.get(&id) {
                Some(value) => Some(value.clone()),
                None => made.contains(id).then(|| Expr::Column { index: id, ty: self.types[id] }),
            };
            let items = required.iter().filter_map(|id| Some((id, value(id)?))).collect();
            let input = Box::new(std::mem::replace(plan, Logical::Dummy { row: false }));
            *plan = Logical::Project { input, items };
        }
        Added { table: pair.stays, columns }
    }
}

/// The table below a leaf's conditions and projections.
fn table_below(leaf: &Logical) -> Option<TableId> {
    match leaf {
        Logical::Get(table) => Some(*table),
        Logical::Filter { input, .. } | Logical::Project { input, .. } => table_below(input),
        _ => None,
    }
}

/// The leaf of a cluster that reads a table.
fn leaf_of(plan: &Logical, table: TableId) -> Option<&Logical> {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            leaf_of(&join.left, table).or_else(|| leaf_of(&join.right, table))
        }
        Logical::Filter { input, .. } if table_below(input).is_none() => leaf_of(input, table),
        leaf => (table_below(leaf) == Some(table)).then_some(leaf),
    }
}

/// An expression with values in the places of columns.
fn replaced(expr: Expr, values: &HashMap<ColumnId, Expr>) -> Expr {
    expr.transform(&mut |node| match node {
        Expr::Column { index, ty } => values.get(&index).cloned().unwrap_or(Expr::Column { index, ty }),
        other => other,
    })
}

/// Adds what a leaf's projections compute to the values of its columns.
fn follow(leaf: &Logical, values: &mut HashMap<ColumnId, Expr>) {
    match leaf {
        Logical::Filter { input, .. } => follow(input, values),
        Logical::Project { input, items } => {
            follow(input, values);
            for (id, expr) in items {
                let value = replaced(expr.clone(), values);
                values.insert(*id, value);
            }
        }
        _ => {}
    }
}

/// Has the projections of a leaf pass columns of its table on.
fn expose(plan: &mut Logical, table: TableId, columns: &[Expr]) {
    match plan {
        Logical::Project { input, items } if table_below(input) == Some(table) => {
            for column in columns {
                let Expr::Column { index, .. } = column else { continue };
                if !items.iter().any(|(id, _)| id == index) {
                    items.push((*index, column.clone()));
                }
            }
            expose(input, table, columns);
        }
        Logical::Filter { input, .. } => expose(input, table, columns),
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            expose(&mut join.left, table, columns);
            expose(&mut join.right, table, columns);
        }
        _ => {}
    }
}

/// A condition of which both sides may have become one: that a column equals itself says that it is not NULL.
fn about_one_row(predicate: Expr) -> Expr {
    match equated(&predicate) {
        Some((left, right)) if left == right && column_of(left).is_some() => {
            let arg = Box::new(strip_relabel(left).clone());
            Expr::IsNull { arg, negated: true, row: false }
        }
        _ => predicate,
    }
}

/// The items of a cluster of inner joins, and all that its rows satisfy.
fn collect<'p>(plan: &'p Logical, leaves: &mut Vec<&'p Logical>, predicates: &mut Vec<&'p Expr>) {
    match plan {
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            predicates.extend(&join.on);
            collect(&join.left, leaves, predicates);
            collect(&join.right, leaves, predicates);
        }
        Logical::Filter { input, predicates: own } => {
            predicates.extend(own);
            collect(input, leaves, predicates);
        }
        // What holds below a projection holds for the rows above it.
        Logical::Project { input, .. } if table_below(input).is_some() => {
            leaves.push(plan);
            collect(input, &mut Vec::new(), predicates);
        }
        other => leaves.push(other),
    }
}

/// A cluster without one of its tables; the conditions that mention the table, or have lost their join, are moved to
/// `about`.
fn take_out(plan: Logical, table: TableId, own: &IdSet, about: &mut Vec<Expr>) -> Option<Logical> {
    let sort_out = |predicates: Vec<Expr>, about: &mut Vec<Expr>| -> Vec<Expr> {
        let (mention, others) =
            predicates.into_iter().partition(|predicate| IdSet::of(predicate.columns()).intersects(own));
        about.extend::<Vec<Expr>>(mention);
        others
    };
    match plan {
        Logical::Get(other) if other == table => None,
        Logical::Project { input, .. } if table_below(&input) == Some(table) => {
            take_out(*input, table, own, about)
        }
        Logical::Filter { input, predicates } => match take_out(*input, table, own, about) {
            None => {
                about.extend(predicates);
                None
            }
            Some(input) => {
                let predicates = sort_out(predicates, about);
                Some(match predicates.is_empty() {
                    true => input,
                    false => Logical::Filter { input: Box::new(input), predicates },
                })
            }
        },
        Logical::Join(join) if join.kind == JoinKind::Inner => {
            let Join { kind, left, right, on, lateral } = *join;
            match (take_out(left, table, own, about), take_out(right, table, own, about)) {
                (Some(left), Some(right)) => {
                    let on = sort_out(on, about);
                    Some(Logical::Join(Box::new(Join { kind, left, right, on, lateral })))
                }
                (Some(side), None) | (None, Some(side)) => {
                    about.extend(on);
                    Some(side)
                }
                (None, None) => None,
            }
        }
        other => Some(other),
    }
}

/// The operands of a type's own equality.
fn equated(predicate: &Expr) -> Option<(&Expr, &Expr)> {
    let Expr::Call { function, args, .. } = predicate else { return None };
    let [left, right] = args.as_slice() else { return None };
    let ty = left.ty().oid;
    let own = btree_comparison(ty)?.equal;
    (ty == right.ty().oid && own.left == ty && own.function.oid == function.oid).then_some((left, right))
}

/// Columns that are equal in every row.
struct Classes<'p> {
    /// Each column's class.
    of: HashMap<ColumnId, usize>,
    /// Constants with the classes that are equal to them.
    fixed: Vec<(&'p Expr, usize)>,
    next: usize,
}

impl<'p> Classes<'p> {
    fn of(leaves: &[&Logical], predicates: &[&'p Expr]) -> Classes<'p> {
        let mut classes = Classes { of: HashMap::new(), fixed: Vec::new(), next: 0 };
        leaves.iter().for_each(|leaf| classes.follow(leaf));
        for (left, right) in predicates.iter().filter_map(|predicate| equated(predicate)) {
            match (column_of(left), column_of(right)) {
                (Some(a), Some(b)) => {
                    let (a, b) = (classes.class(a), classes.class(b));
                    classes.join(a, b);
                }
                (Some(id), None) => classes.fix(id, right),
                (None, Some(id)) => classes.fix(id, left),
                (None, None) => {}
            }
        }
        classes
    }

    /// A projection's column is the one that it passes on.
    fn follow(&mut self, leaf: &Logical) {
        match leaf {
            Logical::Filter { input, .. } => self.follow(input),
            Logical::Project { input, items } => {
                for (id, expr) in items {
                    if let Expr::Column { index, .. } = expr {
                        let (a, b) = (self.class(*id), self.class(*index));
                        self.join(a, b);
                    }
                }
                self.follow(input);
            }
            _ => {}
        }
    }

    fn class(&mut self, id: ColumnId) -> usize {
        let next = &mut self.next;
        *self.of.entry(id).or_insert_with(|| {
            *next += 1;
            *next
        })
    }

    fn fix(&mut self, id: ColumnId, value: &'p Expr) {
        if !matches!(value, Expr::Constant { .. } | Expr::Parameter { .. }) {
            return;
        }
        let class = self.class(id);
        match self.fixed.iter().find(|(known, _)| *known == value) {
            Some((_, other)) => self.join(class, *other),
            None => self.fixed.push((value, class)),
        }
    }

    fn join(&mut self, a: usize, b: usize) {
        self.of.values_mut().filter(|class| **class == b).for_each(|class| *class = a);
        self.fixed.iter_mut().filter(|(_, class)| *class == b).for_each(|(_, class)| *class = a);
    }

    fn are_equal(&self, a: ColumnId, b: ColumnId) -> bool {
        self.of.get(&a).is_some_and(|class| self.of.get(&b) == Some(class))
    }
}
