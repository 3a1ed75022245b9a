//! Queries.

use super::Printer;
use crate::ast::*;

impl Printer {
    pub(super) fn select(&mut self, query: &SelectStmt) {
        self.nested(|p| p.select_unguarded(query));
    }

    fn select_unguarded(&mut self, query: &SelectStmt) {
        if let Some(with) = &query.with {
            self.with(with);
        }
        match &query.body {
            SelectBody::Select(core) => self.select_core(core),
            SelectBody::Values(rows) => {
                self.word("VALUES");
                self.list(rows, |p, row| p.parens(|p| p.exprs(row)));
            }
            SelectBody::SetOp(operation) => self.set_operation(operation),
        }
        self.order_by(&query.order_by);
        if let Some(limit) = &query.limit {
            self.limit(limit);
        }
        for clause in &query.locking {
            self.locking(clause);
        }
    }

    /// A query with a line for each clause and target.
    pub(super) fn view_query(&mut self, query: &SelectStmt, columns: &[&str]) {
        self.nested(|p| p.view_query_unguarded(query, columns));
        self.tight(";");
    }

    fn view_query_unguarded(&mut self, query: &SelectStmt, columns: &[&str]) {
        self.joint(" ");
        if let Some(with) = &query.with {
            self.with(with);
            self.joint("\n ");
        }
        match &query.body {
            SelectBody::Select(core) => self.view_core(core, columns),
            SelectBody::Values(_) => {
                let plain = SelectStmt { with: None, ..query.clone() };
                return self.select(&plain);
            }
            SelectBody::SetOp(operation) => {
                self.view_operand(&operation.left, columns);
                let word = match operation.op {
                    SetOp::Union => "UNION",
                    SetOp::Intersect => "INTERSECT",
                    SetOp::Except => "EXCEPT",
                };
                self.tight(&format!("\n{word}{}\n", if operation.all { " ALL" } else { "" }));
                self.glue = true;
                self.view_operand(&operation.right, columns);
            }
        }
        if !query.order_by.is_empty() {
            self.joint("\n ");
            self.order_by(&query.order_by);
        }
        if let Some(limit) = &query.limit {
            self.joint("\n ");
            self.limit(limit);
        }
    }

    fn view_operand(&mut self, query: &SelectStmt, columns: &[&str]) {
        let plain = query.with.is_none() && query.order_by.is_empty() && query.limit.is_none();
        if plain && matches!(query.body, SelectBody::Select(_)) {
            self.nested(|p| p.view_query_unguarded(query, columns));
        } else {
            self.joint(" ");
            self.parens(|p| p.select(query));
        }
    }

    fn view_core(&mut self, core: &SelectCore, columns: &[&str]) {
        self.word("SELECT");
        match &core.distinct {
            Distinct::All => {}
            Distinct::Distinct => self.word("DISTINCT"),
            Distinct::On(keys) => {
                self.word("DISTINCT ON");
                self.parens(|p| p.exprs(keys));
            }
        }
        for (i, target) in core.targets.iter().enumerate() {
            if i > 0 {
                self.joint(",\n    ");
            }
            self.expr(&target.expr);
            let own = match (&target.alias, &target.expr) {
                (Some(alias), _) => Some(alias.as_str()),
                (None, Expr::Column(column)) => column.parts.last().map(|name| name.as_str()),
                _ => None,
            };
            let wanted = columns.get(i).copied().or(own);
            let shown = match &target.expr {
                Expr::Column(column) => column.parts.last().map(|name| name.as_str()),
                _ => None,
            };
            if let Some(wanted) = wanted.filter(|wanted| Some(*wanted) != shown) {
                self.word("AS");
                self.name(wanted);
            }
        }
        if !core.from.is_empty() {
            self.joint("\n   ");
            self.from("FROM", &core.from);
        }
        if core.where_clause.is_some() {
            self.joint("\n  ");
            self.where_clause(core.where_clause.as_ref());
        }
        if !core.group_by.is_empty() {
            self.joint("\n  ");
            self.word("GROUP BY");
            self.word_if(core.group_distinct, "DISTINCT");
            self.list(&core.group_by, |p, item| p.group_item(item));
        }
        if let Some(having) = &core.having {
            self.joint("\n ");
            self.word("HAVING");
            self.expr(having);
        }
        if !core.windows.is_empty() {
            self.joint("\n  ");
            self.windows(&core.windows);
        }
    }

    fn windows(&mut self, windows: &[WindowSpec]) {
        self.word("WINDOW");
        self.list(windows, |p, window| {
            if let Some(name) = &window.name {
                p.name(name);
            }
            p.word("AS");
            p.window(window);
        });
    }

    fn set_operation(&mut self, operation: &SetOperation) {
        let level = set_level(operation.op);
        self.set_operand(&operation.left, level);
        self.word(match operation.op {
            SetOp::Union => "UNION",
            SetOp::Intersect => "INTERSECT",
            SetOp::Except => "EXCEPT",
        });
        self.word_if(operation.all, "ALL");
        self.set_operand(&operation.right, level + 1);
    }

    /// An operand of a set operation: in parentheses where it has clauses of its own or binds less tightly.
    fn set_operand(&mut self, query: &SelectStmt, min: u8) {
        let clauses = query.with.is_some()
            || !query.order_by.is_empty()
            || query.limit.is_some()
            || !query.locking.is_empty();
        let loose = matches!(&query.body, SelectBody::SetOp(inner) if set_level(inner.op) < min);
        if clauses || loose {
            self.parens(|p| p.select(query));
        } else {
            self.select(query);
        }
    }

    fn select_core(&mut self, core: &SelectCore) {
        self.word("SELECT");
        match &core.distinct {
            Distinct::All => {}
            Distinct::Distinct => self.word("DISTINCT"),
            Distinct::On(keys) => {
                self.word("DISTINCT ON");
                self.parens(|p| p.exprs(keys));
            }
        }
        self.targets(&core.targets);
        if let Some(into) = &core.into {
            self.word("INTO");
            self.persistence(into.persistence);
            self.word("TABLE");
            self.object_name(&into.name);
        }
        self.from("FROM", &core.from);
        self.where_clause(core.where_clause.as_ref());
        if !core.group_by.is_empty() {
            self.word("GROUP BY");
            self.word_if(core.group_distinct, "DISTINCT");
            self.list(&core.group_by, |p, item| p.group_item(item));
        }
        if let Some(having) = &core.having {
            self.word("HAVING");
            self.expr(having);
        }
        if !core.windows.is_empty() {
            self.windows(&core.windows);
        }
    }

    pub(super) fn persistence(&mut self, persistence: Persistence) {
        match persistence {
            Persistence::Permanent => {}
            Persistence::Unlogged => self.word("UNLOGGED"),
            Persistence::Temporary => self.word("TEMPORARY"),
        }
    }

    pub(super) fn targets(&mut self, targets: &[Target]) {
        self.list(targets, |p, target| {
            p.expr(&target.expr);
            if let Some(alias) = &target.alias {
                p.word("AS");
                p.name(alias);
            }
        });
    }

    pub(super) fn where_clause(&mut self, condition: Option<&Expr>) {
        if let Some(condition) = condition {
            self.word("WHERE");
            self.expr(condition);
        }
    }

    fn group_item(&mut self, item: &GroupItem) {
        match item {
            // A call of a function named so would be read as the grouping set.
            GroupItem::Expr(expr @ Expr::Func(call))
                if call.name.parts.len() == 1 && matches!(call.name.name().as_str(), "cube" | "rollup") =>
            {
                self.parens(|p| p.expr(expr));
            }
            GroupItem::Expr(expr) => self.expr(expr),
            GroupItem::Empty(_) => self.word("()"),
            GroupItem::Rollup(exprs, _) => {
                self.word("ROLLUP");
                self.parens(|p| p.exprs(exprs));
            }
            GroupItem::Cube(exprs, _) => {
                self.word("CUBE");
                self.parens(|p| p.exprs(exprs));
            }
            GroupItem::Sets(items, _) => {
                self.word("GROUPING SETS");
                self.parens(|p| p.list(items, |p, item| p.group_item(item)));
            }
        }
    }

    pub(super) fn order_by(&mut self, items: &[SortItem]) {
        if items.is_empty() {
            return;
        }
        self.word("ORDER BY");
        self.list(items, |p, item| {
            p.expr(&item.expr);
            p.direction(&item.direction);
            p.nulls(item.nulls);
        });
    }

    pub(super) fn direction(&mut self, direction: &SortDirection) {
        match direction {
            SortDirection::Default => {}
            SortDirection::Asc => self.word("ASC"),
            SortDirection::Desc => self.word("DESC"),
            SortDirection::Using(op) => {
                self.word("USING");
                self.operator(op);
            }
        }
    }

    pub(super) fn nulls(&mut self, nulls: NullsOrder) {
        match nulls {
            NullsOrder::Default => {}
            NullsOrder::First => self.word("NULLS FIRST"),
            NullsOrder::Last => self.word("NULLS LAST"),
        }
    }

    fn limit(&mut self, limit: &Limit) {
        if let Some(count) = &limit.count {
            if limit.with_ties {
                self.word("FETCH FIRST");
                self.fetch_count(count);
                self.word("ROWS WITH TIES");
            } else {
                self.word("LIMIT");
                if matches!(count, Expr::Literal(Literal { value: LiteralValue::Null, .. })) {
                    self.word("ALL");
                } else {
                    self.expr(count);
                }
            }
        }
        if let Some(offset) = &limit.offset {
            self.word("OFFSET");
            self.expr(offset);
        }
    }

    /// The count of FETCH FIRST: a number with a sign needs no parentheses there.
    fn fetch_count(&mut self, count: &Expr) {
        use LiteralValue::{BigInt, Integer, Numeric};
        match count {
            Expr::Literal(Literal { value: Integer(_) | BigInt(_) | Numeric(_), .. }) => self.expr(count),
            count => self.atom(count),
        }
    }

    fn locking(&mut self, clause: &LockingClause) {
        self.word("FOR");
        self.word(match clause.strength {
            LockStrength::Update => "UPDATE",
            LockStrength::NoKeyUpdate => "NO KEY UPDATE",
            LockStrength::Share => "SHARE",
            LockStrength::KeyShare => "KEY SHARE",
        });
        if !clause.relations.is_empty() {
            self.word("OF");
            self.object_names(&clause.relations);
        }
        match clause.wait {
            LockWait::Block => {}
            LockWait::SkipLocked => self.word("SKIP LOCKED"),
            LockWait::NoWait => self.word("NOWAIT"),
        }
    }

    pub(super) fn window(&mut self, window: &WindowSpec) {
        self.parens(|p| {
            if let Some(base) = &window.base {
                p.window_name(base);
            }
            if !window.partition_by.is_empty() {
                p.word("PARTITION BY");
                p.exprs(&window.partition_by);
            }
            p.order_by(&window.order_by);
            if let Some(frame) = &window.frame {
                p.frame(frame);
            }
        });
    }

    /// A window's name where the words of a window may stand.
    fn window_name(&mut self, name: &str) {
        if matches!(name, "partition" | "range" | "rows" | "groups") {
            self.word(&format!("\"{name}\""));
        } else {
            self.name(name);
        }
    }

    fn frame(&mut self, frame: &WindowFrame) {
        self.word(match frame.unit {
            FrameUnit::Range => "RANGE",
            FrameUnit::Rows => "ROWS",
            FrameUnit::Groups => "GROUPS",
        });
        match &frame.end {
            None => self.frame_bound(&frame.start),
            Some(end) => {
                self.word("BETWEEN");
                self.frame_bound(&frame.start);
                self.word("AND");
                self.frame_bound(end);
            }
        }
        match frame.exclude {
            FrameExclude::NoOthers => {}
            FrameExclude::CurrentRow => self.word("EXCLUDE CURRENT ROW"),
            FrameExclude::Group => self.word("EXCLUDE GROUP"),
            FrameExclude::Ties => self.word("EXCLUDE TIES"),
        }
    }

    fn frame_bound(&mut self, bound: &FrameBound) {
        match bound {
            FrameBound::UnboundedPreceding => self.word("UNBOUNDED PRECEDING"),
            FrameBound::UnboundedFollowing => self.word("UNBOUNDED FOLLOWING"),
            FrameBound::CurrentRow => self.word("CURRENT ROW"),
            FrameBound::Preceding(offset) => {
                self.restricted(offset);
                self.word("PRECEDING");
            }
            FrameBound::Following(offset) => {
                self.restricted(offset);
                self.word("FOLLOWING");
            }
        }
    }

    pub(super) fn with(&mut self, with: &With) {
        self.word("WITH");
        self.word_if(with.recursive, "RECURSIVE");
        self.list(&with.ctes, |p, cte| p.cte(cte));
    }

    fn cte(&mut self, cte: &Cte) {
        self.name(&cte.name);
        self.column_list(&cte.columns);
        self.word("AS");
        match cte.materialized {
            None => {}
            Some(true) => self.word("MATERIALIZED"),
            Some(false) => self.word("NOT MATERIALIZED"),
        }
        self.parens(|p| p.statement(&cte.query));
        if let Some(search) = &cte.search {
            self.word(if search.breadth_first { "SEARCH BREADTH FIRST BY" } else { "SEARCH DEPTH FIRST BY" });
            self.names(&search.columns);
            self.word("SET");
            self.name(&search.sequence_column);
        }
        if let Some(cycle) = &cte.cycle {
            self.word("CYCLE");
            self.names(&cycle.columns);
            self.word("SET");
            self.name(&cycle.mark_column);
            if let (Some(value), Some(default)) = (&cycle.mark_value, &cycle.mark_default) {
                self.word("TO");
                self.constant(value);
                self.word("DEFAULT");
                self.constant(default);
            }
            self.word("USING");
            self.name(&cycle.path_column);
        }
    }

    /// A constant where the grammar takes no expression: a typed one as `type 'text'`.
    fn constant(&mut self, expr: &Expr) {
        match expr {
            Expr::Cast(cast) => {
                self.type_name(&cast.type_name);
                self.expr(&cast.expr);
            }
            other => self.expr(other),
        }
    }

    /// FROM or USING with its items.
    pub(super) fn from(&mut self, word: &str, items: &[FromItem]) {
        if !items.is_empty() {
            self.word(word);
            self.list(items, |p, item| p.table_ref(item));
        }
    }

    pub(super) fn table_ref(&mut self, item: &FromItem) {
        self.nested(|p| p.table_ref_unguarded(item));
    }

    fn table_ref_unguarded(&mut self, item: &FromItem) {
        match item {
            FromItem::Table(table) => {
                self.relation(&table.relation);
                self.alias(table.alias.as_ref());
                if let Some(sample) = &table.sample {
                    self.table_sample(sample);
                }
            }
            FromItem::Subquery(subquery) => {
                self.word_if(subquery.lateral, "LATERAL");
                self.parens(|p| p.select(&subquery.query));
                self.alias(subquery.alias.as_ref());
            }
            FromItem::Function(function) => self.function_in_from(function),
            FromItem::Join(join) if join.alias.is_some() => {
                self.parens(|p| p.join(join));
                self.alias(join.alias.as_ref());
            }
            FromItem::Join(join) => self.join(join),
            FromItem::XmlTable(table) => self.xml_table(table),
            FromItem::JsonTable(table) => self.json_table(table),
        }
    }

    pub(super) fn relation(&mut self, relation: &Relation) {
        self.word_if(relation.only, "ONLY");
        self.object_name(&relation.name);
    }

    pub(super) fn alias(&mut self, alias: Option<&Alias>) {
        if let Some(alias) = alias {
            self.word("AS");
            self.name(&alias.name);
            self.column_list(&alias.columns);
        }
    }

    fn table_sample(&mut self, sample: &TableSample) {
        self.word("TABLESAMPLE");
        self.object_name(&sample.method);
        self.call_parens(|p| p.exprs(&sample.args));
        if let Some(seed) = &sample.repeatable {
            self.word("REPEATABLE");
            self.parens(|p| p.expr(seed));
        }
    }

    fn function_in_from(&mut self, function: &FromFunction) {
        self.word_if(function.lateral, "LATERAL");
        if function.rows_from {
            self.word("ROWS FROM");
            self.parens(|p| {
                p.list(&function.functions, |p, item| {
                    p.table_function(&item.call);
                    if !item.columns.is_empty() {
                        p.word("AS");
                        p.parens(|p| p.list(&item.columns, |p, column| p.column_def(column)));
                    }
                });
            });
        } else if let Some(item) = function.functions.first() {
            self.table_function(&item.call);
        }
        self.word_if(function.ordinality, "WITH ORDINALITY");
        self.alias(function.alias.as_ref());
        if !function.columns.is_empty() {
            self.word_if(function.alias.is_none(), "AS");
            self.parens(|p| p.list(&function.columns, |p, column| p.column_def(column)));
        }
    }

    fn join(&mut self, join: &Join) {
        self.table_ref(&join.left);
        self.word_if(join.natural, "NATURAL");
        self.word(match join.kind {
            JoinKind::Inner => "JOIN",
            JoinKind::Left => "LEFT JOIN",
            JoinKind::Right => "RIGHT JOIN",
            JoinKind::Full => "FULL JOIN",
            JoinKind::Cross => "CROSS JOIN",
        });
        match &join.right {
            FromItem::Join(inner) if inner.alias.is_none() => self.parens(|p| p.table_ref(&join.right)),
            right => self.table_ref(right),
        }
        match &join.constraint {
            JoinConstraint::None => {}
            JoinConstraint::On(condition) => {
                self.word("ON");
                self.expr(condition);
            }
            JoinConstraint::Using { columns, alias } => {
                self.word("USING");
                self.column_list(columns);
                if let Some(alias) = alias {
                    self.word("AS");
                    self.name(alias);
                }
            }
        }
    }
}

fn set_level(op: SetOp) -> u8 {
    if op == SetOp::Intersect { 2 } else { 1 }
}
