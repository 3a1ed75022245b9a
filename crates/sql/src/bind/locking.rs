//! FOR UPDATE and its kin: which rows of which tables a query locks.
//!
//! # Role
//! A clause without OF means all items of its query's FROM, one with OF those that it names; what is no table, sub-query or
//! view has no rows to lock. A sub-query or a view hands the lock on to the items of its own FROM, however deep.
//!
//! # Lifting
//! Only rows that the query around has chosen may be locked: its conditions come first, and so do its joins. A sub-query of
//! joins and conditions alone is therefore *lifted*: its columns are known as the expressions that compute them, its
//! tables become tables of the query around, and one [`Logical::LockRows`] above all of it locks their rows. It is valid
//! because such a sub-query computes nothing but its columns, none of them volatile, and every row of it is a row of each
//! of its tables; on the side of an outer join that may be missing, its columns must be columns of tables, since any other
//! expression need not be NULL there. A sub-query that sorts, limits, has WITH or row locks of its own, or volatile
//! columns, locks the rows that it gives by itself. PostgreSQL divides them in the same way.
//!
//! # Not done
//! A sub-query that cannot be lifted in an outer join that becomes an inner one locks all its rows, not those of the join.

use std::sync::Arc;

use ochre_base::{Error, Result, SqlState};
use ochre_catalog::RelationKind;
use ochre_catalog::authority::Privileges;
use ochre_expr::{Expr, Volatility};
use ochre_parser::ast;

use super::Binder;
use super::level::Level;
use super::scope::{ItemColumn, ItemKind, Scope};
use super::target::TargetEntry;
use crate::logical::{ColumnId, Expansion, Logical, Query, RowLock, TableId};
use crate::physical::{RelationAccess, RowLockStrength, RowLockWait, ScanColumn};
use crate::walk::{each_expr, inputs, produced};

/// How rows are locked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LockMode {
    strength: RowLockStrength,
    wait: RowLockWait,
}

impl LockMode {
    fn of(clause: &ast::LockingClause) -> LockMode {
        LockMode {
            strength: match clause.strength {
                ast::LockStrength::KeyShare => RowLockStrength::KeyShare,
                ast::LockStrength::Share => RowLockStrength::Share,
                ast::LockStrength::NoKeyUpdate => RowLockStrength::NoKeyUpdate,
                ast::LockStrength::Update => RowLockStrength::Update,
            },
            wait: match clause.wait {
                ast::LockWait::Block => RowLockWait::Block,
                ast::LockWait::SkipLocked => RowLockWait::Skip,
                ast::LockWait::NoWait => RowLockWait::Error,
            },
        }
    }

    /// The mode for what two clauses ask of one item: the stronger lock, and the wait that is over sooner.
    fn and(self, other: LockMode) -> LockMode {
        let wait = match (self.wait, other.wait) {
            (RowLockWait::Error, _) | (_, RowLockWait::Error) => RowLockWait::Error,
            (RowLockWait::Skip, _) | (_, RowLockWait::Skip) => RowLockWait::Skip,
            _ => RowLockWait::Block,
        };
        LockMode { strength: self.strength.max(other.strength), wait }
    }
}

/// What is asked of the query that is bound next beside its rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    /// The query around locks its rows.
    pub lock: Option<OuterLock>,
    /// Row ids of the tables whose rows its rows come from one by one, behind its columns.
    pub row_ids: bool,
}

/// A lock that the query around asks of a sub-query or a view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OuterLock {
    mode: LockMode,
    /// A view stands between them: then a query that has no rows of tables is left alone instead of refused.
    of_view: bool,
    may_be_lifted: bool,
    /// A join's rows may come without a row of it.
    beside_missing: bool,
}

/// What a clause asks of the items of FROM that are being bound.
#[derive(Debug, Clone)]
pub(crate) struct ItemLock {
    /// The items; all of them when there is none.
    names: Vec<Arc<str>>,
    mode: LockMode,
    of_view: bool,
}

/// Tables whose rows are locked.
pub(super) type Locks = Vec<(TableId, LockMode)>;

impl Binder<'_> {
    /// What a query's own clauses and the one around it ask of its FROM.
    pub(super) fn item_locks(
        &self,
        locking: &[ast::LockingClause],
        outer: Option<OuterLock>,
    ) -> Vec<ItemLock> {
        let own = locking.iter().map(|clause| ItemLock {
            names: clause.relations.iter().map(|name| Arc::from(name.name().as_str())).collect(),
            mode: LockMode::of(clause),
            of_view: false,
        });
        let outer = outer.map(|lock| ItemLock { names: Vec::new(), mode: lock.mode, of_view: lock.of_view });
        own.chain(outer).collect()
    }

    /// What is asked of a sub-query or a view of this name in the FROM that is being bound.
    pub(super) fn lock_of_item(&self, name: Option<&str>) -> Option<OuterLock> {
        let mut found: Option<OuterLock> = None;
        for lock in &self.item_locks {
            if !lock.names.is_empty() && !lock.names.iter().any(|known| name == Some(&**known)) {
                continue;
            }
            let known = found.get_or_insert(OuterLock {
                mode: lock.mode,
                of_view: true,
                may_be_lifted: true,
                beside_missing: self.beside_missing,
            });
            known.mode = known.mode.and(lock.mode);
            known.of_view &= lock.of_view;
        }
        found
    }

    /// Asks for the lock of a sub-query.
    pub(super) fn ask_for_lock(&mut self, lock: Option<OuterLock>) {
        self.asked = Asked { lock, row_ids: false };
    }

    /// Asks for the lock of a view's query.
    pub(super) fn ask_for_view_lock(&mut self, lock: Option<OuterLock>, is_barrier: bool) {
        let lock = lock.map(|lock| OuterLock { of_view: true, may_be_lifted: !is_barrier, ..lock });
        self.ask_for_lock(lock);
    }

    /// The tables that a query's clauses, and the one around it, lock rows of; `None` when there is no clause.
    ///
    /// # Errors
    /// 0A000 for a query whose rows are not rows of tables, 42P01 for names that are no items, 0A000 for items that have
    /// no rows to lock.
    pub(super) fn bind_locking(
        &mut self,
        locking: &[ast::LockingClause],
        outer: Option<OuterLock>,
        core: &ast::SelectCore,
        grouped: bool,
        level: &Level,
        scope: &Scope<'_>,
    ) -> Result<Option<Locks>> {
        if locking.is_empty() && outer.is_none() {
            return Ok(None);
        }
        let refused = reason_against(core, grouped, level);
        let mut locks: Locks = Vec::new();
        let mut add = |table: TableId, mode: LockMode| match locks.iter_mut().find(|(t, _)| *t == table) {
            Some((_, known)) => *known = known.and(mode),
            None => locks.push((table, mode)),
        };
        for clause in locking {
            let mode = LockMode::of(clause);
            let word = mode.strength.name();
            if let Some(reason) = refused {
                return Err(not_allowed(mode.strength, reason));
            }
            if clause.relations.is_empty() {
                scope.items.iter().flat_map(|item| item.locked_tables()).for_each(|table| add(table, mode));
            }
            for name in &clause.relations {
                let fail = |sqlstate, message| Err(self.at(Error::new(sqlstate, message), name.pos));
                if name.schema().is_some() {
                    let message = format!("{word} must specify unqualified relation names");
                    return fail(SqlState::SYNTAX_ERROR, message);
                }
                let is_it =
                    |item: &&super::scope::ScopeItem| item.alias.as_deref() == Some(name.name().as_str());
                let Some(item) = scope.items.iter().find(is_it) else {
                    let message = format!("relation \"{name}\" in {word} clause not found in FROM clause");
                    return fail(SqlState::UNDEFINED_TABLE, message);
                };
                let what = match item.kind {
                    ItemKind::Relation | ItemKind::Query => {
                        item.locked_tables().for_each(|table| add(table, mode));
                        continue;
                    }
                    ItemKind::Join => "a join",
                    ItemKind::Function => "a function",
                    ItemKind::With => "a WITH query",
                    ItemKind::Rows => "a named tuplestore",
                };
                return fail(SqlState::FEATURE_NOT_SUPPORTED, format!("{word} cannot be applied to {what}"));
            }
        }
        if let Some(outer) = outer {
            let lockable = |kind| matches!(kind, ItemKind::Relation | ItemKind::Query);
            if let Some(reason) = refused
                && (!outer.of_view || scope.items.iter().any(|item| lockable(item.kind)))
            {
                return Err(not_allowed(outer.mode.strength, reason));
            }
            scope.items.iter().flat_map(|item| item.locked_tables()).for_each(|table| add(table, outer.mode));
        }
        // Nothing that the query around could lock, and no clause that shows.
        if locks.is_empty() && locking.is_empty() && refused.is_some() {
            return Ok(None);
        }
        Ok(Some(locks))
    }

    /// Refuses a lock of the rows of a set operation. A view's are left alone.
    pub(super) fn refuse_set_lock(
        &self,
        locking: &[ast::LockingClause],
        outer: Option<OuterLock>,
    ) -> Result<()> {
        let own = locking.first().map(|clause| LockMode::of(clause).strength);
        let outer = outer.filter(|lock| !lock.of_view).map(|lock| lock.mode.strength);
        own.or(outer).map_or(Ok(()), |strength| Err(not_allowed(strength, "UNION/INTERSECT/EXCEPT")))
    }

    /// Whether the lock of the query around is taken there, by the rules of this module.
    pub(super) fn is_lifted(
        &self,
        outer: Option<OuterLock>,
        select: &ast::SelectStmt,
        core: &ast::SelectCore,
        entries: &[TargetEntry],
        plan: &Logical,
    ) -> bool {
        let Some(outer) = outer.filter(|outer| outer.may_be_lifted) else { return false };
        let plain = select.with.is_none()
            && select.order_by.is_empty()
            && select.limit.is_none()
            && select.locking.is_empty()
            && !core.from.is_empty()
            && matches!(core.distinct, ast::Distinct::All);
        if !plain || entries.iter().any(|entry| self.is_volatile(&entry.expr)) {
            return false;
        }
        if !outer.beside_missing {
            return true;
        }
        let own = produced(plan, &self.tables);
        entries.iter().all(|entry| matches!(entry.expr, Expr::Column { index, .. } if own.contains(index)))
    }

    /// Whether an expression is volatile, in its subqueries too.
    fn is_volatile(&self, expr: &Expr) -> bool {
        expr.volatility() == Volatility::Volatile
            || expr.any(|node| match node {
                Expr::SubPlan { plan, .. } => self.subqueries[*plan]
                    .as_ref()
                    .is_none_or(|subquery| self.has_volatile(&subquery.query.plan)),
                _ => false,
            })
    }

    fn has_volatile(&self, plan: &Logical) -> bool {
        let mut volatile = false;
        each_expr(plan, &mut |expr| volatile |= self.is_volatile(expr));
        volatile || inputs(plan).into_iter().any(|input| self.has_volatile(input))
    }

    /// Takes the projection off a sub-query that was lifted: its columns are what computes them.
    pub(super) fn lift(
        &mut self,
        plan: Logical,
        mut columns: Vec<ItemColumn>,
        tables: &[TableId],
        depth: u32,
    ) -> Result<(Logical, Vec<ItemColumn>)> {
        let Logical::Project { input, items } = plan else {
            return Err(Error::internal("a plain query is no projection"));
        };
        for column in &mut columns {
            let Expr::Column { index, .. } = column.expr else { continue };
            if let Some((_, expr)) = items.iter().find(|(id, _)| *id == index) {
                column.expr = expr.clone();
            }
        }
        // From here on they are columns of the query that the item stands in.
        let of_tables = tables.iter().flat_map(|table| self.tables[*table].columns.iter().map(|(_, id)| *id));
        let lowered: Vec<ColumnId> = produced(&input, &self.tables).iter().chain(of_tables).collect();
        for id in lowered {
            self.columns[id].depth = self.columns[id].depth.min(depth);
        }
        Ok((*input, columns))
    }

    /// A query with row locks: its rows are sorted first, then locked, and only what survives is computed.
    pub(super) fn lock_rows(&mut self, plan: Logical, locks: Locks, inherited: bool, depth: u32) -> Logical {
        let mut predicates = Vec::new();
        // A sort changes nothing about rows.
        let unsorted = match &plan {
            Logical::Sort { input, .. } => input,
            plan => plan,
        };
        super::select::collect_predicates(unsorted, &mut predicates);
        let mut bound = Vec::with_capacity(locks.len());
        for (table, mode) in locks {
            let relation = Arc::clone(&self.tables[table].table);
            let only = self.tables[table].expansion == Expansion::Own;
            self.use_set(&relation, only, RelationAccess { lock: true, ..RelationAccess::default() });
            let requirement = self.tables[table].requirement;
            self.require_also(requirement, Privileges::UPDATE);
            let row_id = self.table_column(table, ScanColumn::RowId, depth);
            let table_oid = self.set_column(table, depth);
            bound.push(RowLock { table, row_id, table_oid, strength: mode.strength, wait: mode.wait });
        }
        Logical::LockRows { input: Box::new(plan), locks: bound, predicates, inherited }
    }

    /// The row id of a table that WHERE CURRENT OF could mean.
    pub(super) fn cursor_row_id(&mut self, table: TableId, depth: u32) -> Option<ColumnId> {
        let used = &self.tables[table];
        let stored = matches!(used.table.kind, RelationKind::Table | RelationKind::MaterializedView);
        if !stored || used.table.builtin || used.expansion != Expansion::Own {
            return None;
        }
        self.cursor_tables.push(used.table.oid);
        Some(self.table_column(table, ScanColumn::RowId, depth))
    }

    /// The same for a query without row locks: it must read one table alone.
    pub(super) fn only_row_id(&mut self, core: &ast::SelectCore, scope: &Scope<'_>) -> Option<ColumnId> {
        match (core.from.as_slice(), scope.items.as_slice()) {
            ([ast::FromItem::Table(_)], [item]) => self.cursor_row_id(item.table?, scope.depth),
            _ => None,
        }
    }

    /// Behind a locked query's columns, the row ids that a cursor asks for.
    pub(super) fn add_row_ids(&mut self, query: &mut Query, tables: &[TableId], depth: u32) {
        for table in tables {
            let Some(id) = self.cursor_row_id(*table, depth) else { continue };
            let expr = self.column_expr(id);
            let column = self.describe(&Arc::from("ctid"), &expr);
            if let Logical::Project { items, .. } = &mut query.plan
                && !items.iter().any(|(known, _)| *known == id)
            {
                items.push((id, expr));
            }
            query.output.push((id, column));
        }
    }
}

/// What a clause is called in messages.
pub(super) fn clause_name(clause: &ast::LockingClause) -> &'static str {
    LockMode::of(clause).strength.name()
}

/// Why rows of a query are not rows of its tables.
fn reason_against(core: &ast::SelectCore, grouped: bool, level: &Level) -> Option<&'static str> {
    if !matches!(core.distinct, ast::Distinct::All) {
        Some("DISTINCT clause")
    } else if !core.group_by.is_empty() {
        Some("GROUP BY clause")
    } else if core.having.is_some() {
        Some("HAVING clause")
    } else if grouped {
        Some("aggregate functions")
    } else if !level.windows.is_empty() {
        Some("window functions")
    } else if !level.sets.is_empty() {
        Some("set-returning functions in the target list")
    } else {
        None
    }
}

#[cold]
fn not_allowed(strength: RowLockStrength, reason: &str) -> Error {
    let message = format!("{} is not allowed with {reason}", strength.name());
    Error::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}
