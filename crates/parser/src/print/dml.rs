//! INSERT, UPDATE, DELETE, MERGE, COPY and TRUNCATE.

use super::Printer;
use crate::ast::*;

impl Printer {
    fn assign_target(&mut self, target: &AssignTarget) {
        self.name(&target.column);
        self.indirection(&target.indirection);
    }

    fn optional_with(&mut self, with: Option<&P<With>>) {
        if let Some(with) = with {
            self.with(with);
        }
    }

    fn as_name(&mut self, alias: Option<&Name>) {
        if let Some(alias) = alias {
            self.word("AS");
            self.name(alias);
        }
    }

    pub(super) fn insert(&mut self, stmt: &InsertStmt) {
        self.optional_with(stmt.with.as_ref());
        self.word("INSERT INTO");
        self.object_name(&stmt.table);
        self.as_name(stmt.alias.as_ref());
        self.optional_parens(&stmt.columns, |p, target| p.assign_target(target));
        self.overriding(stmt.overriding);
        match &stmt.source {
            Some(query) => self.select(query),
            None => self.word("DEFAULT VALUES"),
        }
        if let Some(on_conflict) = &stmt.on_conflict {
            self.on_conflict(on_conflict);
        }
        self.returning(stmt.returning.as_ref());
    }

    fn overriding(&mut self, overriding: Overriding) {
        match overriding {
            Overriding::None => {}
            Overriding::User => self.word("OVERRIDING USER VALUE"),
            Overriding::System => self.word("OVERRIDING SYSTEM VALUE"),
        }
    }

    fn on_conflict(&mut self, on_conflict: &OnConflict) {
        self.word("ON CONFLICT");
        match &on_conflict.target {
            None => {}
            Some(ConflictTarget::Constraint(name, _)) => {
                self.word("ON CONSTRAINT");
                self.name(name);
            }
            Some(ConflictTarget::Index { elems, predicate, .. }) => {
                self.parens(|p| p.list(elems, |p, elem| p.index_elem(elem)));
                self.where_clause(predicate.as_ref());
            }
        }
        match &on_conflict.action {
            ConflictAction::Nothing => self.word("DO NOTHING"),
            ConflictAction::Update { set, where_clause } => {
                self.word("DO UPDATE SET");
                self.assignments(set);
                self.where_clause(where_clause.as_ref());
            }
        }
    }

    fn returning(&mut self, returning: Option<&Returning>) {
        let Some(returning) = returning else { return };
        self.word("RETURNING");
        if !returning.options.is_empty() {
            self.word("WITH");
            self.parens(|p| {
                p.list(&returning.options, |p, option| {
                    p.word(if option.new { "NEW AS" } else { "OLD AS" });
                    p.name(&option.name);
                });
            });
        }
        self.targets(&returning.targets);
    }

    fn assignments(&mut self, set: &[Assignment]) {
        self.list(set, |p, assignment| match assignment {
            Assignment::Single { target, value } => {
                p.assign_target(target);
                p.word("=");
                p.expr(value);
            }
            Assignment::Multi { targets, source, .. } => {
                p.parens(|p| p.list(targets, |p, target| p.assign_target(target)));
                p.word("=");
                p.expr(source);
            }
        });
    }

    pub(super) fn update(&mut self, stmt: &UpdateStmt) {
        self.optional_with(stmt.with.as_ref());
        self.word("UPDATE");
        self.relation(&stmt.table);
        self.as_name(stmt.alias.as_ref());
        self.word("SET");
        self.assignments(&stmt.set);
        self.from("FROM", &stmt.from);
        self.where_clause(stmt.where_clause.as_ref());
        self.returning(stmt.returning.as_ref());
    }

    pub(super) fn delete(&mut self, stmt: &DeleteStmt) {
        self.optional_with(stmt.with.as_ref());
        self.word("DELETE FROM");
        self.relation(&stmt.table);
        self.as_name(stmt.alias.as_ref());
        self.from("USING", &stmt.using);
        self.where_clause(stmt.where_clause.as_ref());
        self.returning(stmt.returning.as_ref());
    }

    pub(super) fn merge(&mut self, stmt: &MergeStmt) {
        self.optional_with(stmt.with.as_ref());
        self.word("MERGE INTO");
        self.relation(&stmt.table);
        self.as_name(stmt.alias.as_ref());
        self.word("USING");
        self.table_ref(&stmt.source);
        self.word("ON");
        self.expr(&stmt.on);
        for when in &stmt.when {
            self.merge_when(when);
        }
        self.returning(stmt.returning.as_ref());
    }

    fn merge_when(&mut self, when: &MergeWhen) {
        self.word(match when.kind {
            MergeMatch::Matched => "WHEN MATCHED",
            MergeMatch::NotMatchedBySource => "WHEN NOT MATCHED BY SOURCE",
            MergeMatch::NotMatchedByTarget => "WHEN NOT MATCHED",
        });
        if let Some(condition) = &when.condition {
            self.word("AND");
            self.expr(condition);
        }
        self.word("THEN");
        match &when.action {
            MergeAction::Nothing => self.word("DO NOTHING"),
            MergeAction::Delete => self.word("DELETE"),
            MergeAction::Update(set) => {
                self.word("UPDATE SET");
                self.assignments(set);
            }
            MergeAction::Insert { columns, overriding, values } => {
                self.word("INSERT");
                self.optional_parens(columns, |p, target| p.assign_target(target));
                self.overriding(*overriding);
                match values {
                    Some(values) => {
                        self.word("VALUES");
                        self.parens(|p| p.exprs(values));
                    }
                    None => self.word("DEFAULT VALUES"),
                }
            }
        }
    }

    pub(super) fn copy(&mut self, stmt: &CopyStmt) {
        self.word("COPY");
        match &stmt.source {
            CopySource::Table { name, columns } => {
                self.object_name(name);
                self.column_list(columns);
            }
            CopySource::Query(query) => self.parens(|p| p.statement(query)),
        }
        self.word(if stmt.from { "FROM" } else { "TO" });
        match &stmt.target {
            CopyTarget::Std => self.word(if stmt.from { "STDIN" } else { "STDOUT" }),
            CopyTarget::File(file) => self.string(file),
            CopyTarget::Program(command) => {
                self.word("PROGRAM");
                self.string(command);
            }
        }
        if !stmt.options.is_empty() {
            self.word("WITH");
            self.parens(|p| p.list(&stmt.options, |p, option| p.utility_option(option)));
        }
        self.where_clause(stmt.where_clause.as_ref());
    }

    pub(super) fn truncate(&mut self, stmt: &TruncateStmt) {
        self.word("TRUNCATE TABLE");
        self.list(&stmt.relations, |p, relation| p.relation(relation));
        self.word_if(stmt.restart_identity, "RESTART IDENTITY");
        self.behavior(stmt.behavior);
    }

    pub(super) fn behavior(&mut self, behavior: Behavior) {
        self.word_if(behavior == Behavior::Cascade, "CASCADE");
    }
}
