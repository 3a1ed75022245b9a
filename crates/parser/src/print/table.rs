//! Tables, indexes, sequences, views, statistics.

use super::Printer;
use crate::ast::*;

impl Printer {
    pub(super) fn create_table(&mut self, stmt: &CreateTableStmt) {
        self.word("CREATE");
        self.persistence(stmt.persistence);
        self.word_if(stmt.foreign.is_some(), "FOREIGN");
        self.word("TABLE");
        self.word_if(stmt.if_not_exists, "IF NOT EXISTS");
        self.object_name(&stmt.name);
        if let Some(of_type) = &stmt.of_type {
            self.word("OF");
            self.parts(&of_type.parts);
            self.optional_parens(&stmt.elements, |p, element| p.table_element(element));
        } else if let Some((parent, bound)) = &stmt.partition_of {
            self.word("PARTITION OF");
            self.object_name(parent);
            self.optional_parens(&stmt.elements, |p, element| p.table_element(element));
            self.partition_bound(bound);
        } else {
            self.parens(|p| p.list(&stmt.elements, |p, element| p.table_element(element)));
        }
        if !stmt.inherits.is_empty() {
            self.word("INHERITS");
            self.parens(|p| p.object_names(&stmt.inherits));
        }
        if let Some(foreign) = &stmt.foreign {
            self.words_and_name("SERVER", &foreign.server);
            self.generic_options(&foreign.options);
            return;
        }
        if let Some(spec) = &stmt.partition_by {
            self.partition_by(spec);
        }
        self.using(stmt.access_method.as_ref());
        self.with_options(&stmt.options);
        self.on_commit(stmt.on_commit);
        self.tablespace(stmt.tablespace.as_ref());
    }

    fn using(&mut self, method: Option<&Name>) {
        if let Some(method) = method {
            self.words_and_name("USING", method);
        }
    }

    fn tablespace(&mut self, tablespace: Option<&Name>) {
        if let Some(tablespace) = tablespace {
            self.words_and_name("TABLESPACE", tablespace);
        }
    }

    fn on_commit(&mut self, on_commit: OnCommit) {
        match on_commit {
            OnCommit::Noop => {}
            OnCommit::PreserveRows => self.word("ON COMMIT PRESERVE ROWS"),
            OnCommit::DeleteRows => self.word("ON COMMIT DELETE ROWS"),
            OnCommit::Drop => self.word("ON COMMIT DROP"),
        }
    }

    fn table_element(&mut self, element: &TableElement) {
        match element {
            TableElement::Column(column) => self.column_def(column),
            TableElement::Constraint(constraint) => self.table_constraint(constraint),
            TableElement::Like(like) => self.like_clause(like),
        }
    }

    fn like_clause(&mut self, like: &LikeClause) {
        self.word("LIKE");
        self.object_name(&like.table);
        let bits = [
            (like_option::COMMENTS, "COMMENTS"),
            (like_option::COMPRESSION, "COMPRESSION"),
            (like_option::CONSTRAINTS, "CONSTRAINTS"),
            (like_option::DEFAULTS, "DEFAULTS"),
            (like_option::GENERATED, "GENERATED"),
            (like_option::IDENTITY, "IDENTITY"),
            (like_option::INDEXES, "INDEXES"),
            (like_option::STATISTICS, "STATISTICS"),
            (like_option::STORAGE, "STORAGE"),
        ];
        // ALL has bits that no word names: where they are set, the words say what is excluded.
        let named: u32 = bits.iter().map(|(bit, _)| bit).sum();
        let all = like.options & !named != 0;
        self.word_if(all, "INCLUDING ALL");
        for (bit, word) in bits {
            let set = like.options & bit != 0;
            if set != all {
                self.word(if set { "INCLUDING" } else { "EXCLUDING" });
                self.word(word);
            }
        }
    }

    /// A column of a table, type or definition list.
    pub(super) fn column_def(&mut self, column: &ColumnDef) {
        self.name(&column.name);
        if let Some(type_name) = &column.type_name {
            self.type_name(type_name);
        }
        if let Some(storage) = &column.storage {
            self.word("STORAGE");
            self.name_or_default(storage);
        }
        if let Some(compression) = &column.compression {
            self.word("COMPRESSION");
            self.name_or_default(compression);
        }
        self.generic_options(&column.fdw_options);
        self.collation(column.collation.as_ref());
        for constraint in &column.constraints {
            self.column_constraint(constraint);
        }
    }

    pub(super) fn name_or_default(&mut self, name: &str) {
        if name == "default" { self.word("DEFAULT") } else { self.name(name) }
    }

    pub(super) fn collation(&mut self, collation: Option<&ObjectName>) {
        if let Some(collation) = collation {
            self.word("COLLATE");
            self.object_name(collation);
        }
    }

    fn constraint_name(&mut self, name: Option<&Name>) {
        if let Some(name) = name {
            self.words_and_name("CONSTRAINT", name);
        }
    }

    pub(super) fn column_constraint(&mut self, constraint: &ColumnConstraint) {
        use ColumnConstraintKind as C;
        self.constraint_name(constraint.name.as_ref());
        match &constraint.kind {
            C::Null => self.word("NULL"),
            C::NotNull { no_inherit } => {
                self.word("NOT NULL");
                self.word_if(*no_inherit, "NO INHERIT");
            }
            C::Default(expr) => {
                self.word("DEFAULT");
                self.restricted(expr);
            }
            C::Check { expr, no_inherit } => {
                self.word("CHECK");
                self.parens(|p| p.expr(expr));
                self.word_if(*no_inherit, "NO INHERIT");
            }
            C::Identity { always, options } => {
                self.word(if *always {
                    "GENERATED ALWAYS AS IDENTITY"
                } else {
                    "GENERATED BY DEFAULT AS IDENTITY"
                });
                if !options.is_empty() {
                    self.parens(|p| p.sequence_options(options));
                }
            }
            C::Generated { expr, stored } => {
                self.word("GENERATED ALWAYS AS");
                self.parens(|p| p.expr(expr));
                self.word(if *stored { "STORED" } else { "VIRTUAL" });
            }
            C::Unique { nulls_not_distinct, index } => {
                self.word("UNIQUE");
                self.word_if(*nulls_not_distinct, "NULLS NOT DISTINCT");
                self.index_parameters(index);
            }
            C::PrimaryKey { index } => {
                self.word("PRIMARY KEY");
                self.index_parameters(index);
            }
            C::References(references) => self.references(references),
            C::Deferrable => self.word("DEFERRABLE"),
            C::NotDeferrable => self.word("NOT DEFERRABLE"),
            C::InitiallyDeferred => self.word("INITIALLY DEFERRED"),
            C::InitiallyImmediate => self.word("INITIALLY IMMEDIATE"),
            C::Enforced => self.word("ENFORCED"),
            C::NotEnforced => self.word("NOT ENFORCED"),
        }
    }

    fn index_parameters(&mut self, index: &IndexParameters) {
        if !index.include.is_empty() {
            self.word("INCLUDE");
            self.column_list(&index.include);
        }
        self.with_options(&index.options);
        if let Some(tablespace) = &index.tablespace {
            self.words_and_name("USING INDEX TABLESPACE", tablespace);
        }
    }

    /// `(a, b, PERIOD c)`.
    fn columns_and_period(&mut self, columns: &[Name], period: bool) {
        let last = columns.len().saturating_sub(1);
        let mut i = 0;
        self.optional_parens(columns, |p, name| {
            p.word_if(period && i == last, "PERIOD");
            p.name(name);
            i += 1;
        });
    }

    fn references(&mut self, references: &References) {
        self.word("REFERENCES");
        self.object_name(&references.table);
        self.columns_and_period(&references.columns, references.period);
        self.word_if(references.match_type == MatchType::Full, "MATCH FULL");
        self.referential_action("ON DELETE", &references.on_delete);
        self.referential_action("ON UPDATE", &references.on_update);
    }

    fn referential_action(&mut self, when: &str, action: &ReferentialAction) {
        let (word, columns): (&str, &[Name]) = match action {
            ReferentialAction::NoAction => return,
            ReferentialAction::Restrict => ("RESTRICT", &[]),
            ReferentialAction::Cascade => ("CASCADE", &[]),
            ReferentialAction::SetNull(columns) => ("SET NULL", columns),
            ReferentialAction::SetDefault(columns) => ("SET DEFAULT", columns),
        };
        self.word(when);
        self.word(word);
        self.column_list(columns);
    }

    pub(super) fn table_constraint(&mut self, constraint: &TableConstraint) {
        use TableConstraintKind as T;
        self.constraint_name(constraint.name.as_ref());
        match &constraint.kind {
            T::Check(expr) => {
                self.word("CHECK");
                self.parens(|p| p.expr(expr));
            }
            T::NotNull(column) => self.words_and_name("NOT NULL", column),
            T::Unique { columns, nulls_not_distinct, without_overlaps, index } => {
                self.word("UNIQUE");
                self.word_if(*nulls_not_distinct, "NULLS NOT DISTINCT");
                self.key_columns(columns, *without_overlaps, index);
            }
            T::PrimaryKey { columns, without_overlaps, index } => {
                self.word("PRIMARY KEY");
                self.key_columns(columns, *without_overlaps, index);
            }
            T::UniqueUsingIndex(index) => self.words_and_name("UNIQUE USING INDEX", index),
            T::PrimaryKeyUsingIndex(index) => self.words_and_name("PRIMARY KEY USING INDEX", index),
            T::Exclude(exclude) => self.exclude(exclude),
            T::ForeignKey { columns, period, references } => {
                self.word("FOREIGN KEY");
                self.columns_and_period(columns, *period);
                self.references(references);
            }
        }
        self.constraint_attributes(constraint.attributes);
    }

    fn key_columns(&mut self, columns: &[Name], without_overlaps: bool, index: &IndexParameters) {
        self.parens(|p| {
            p.names(columns);
            p.word_if(without_overlaps, "WITHOUT OVERLAPS");
        });
        self.index_parameters(index);
    }

    fn exclude(&mut self, exclude: &Exclude) {
        self.word("EXCLUDE");
        self.using(exclude.method.as_ref());
        self.parens(|p| {
            p.list(&exclude.elements, |p, (elem, op)| {
                p.index_elem(elem);
                p.word("WITH");
                p.operator(op);
            });
        });
        self.index_parameters(&exclude.index);
        if let Some(predicate) = &exclude.predicate {
            self.word("WHERE");
            self.parens(|p| p.expr(predicate));
        }
    }

    pub(super) fn constraint_attributes(&mut self, attributes: ConstraintAttributes) {
        self.word_if(attributes.deferrable, "DEFERRABLE");
        self.word_if(attributes.initially_deferred, "INITIALLY DEFERRED");
        self.word_if(!attributes.enforced, "NOT ENFORCED");
        self.word_if(attributes.not_valid, "NOT VALID");
        self.word_if(attributes.no_inherit, "NO INHERIT");
    }

    fn partition_by(&mut self, spec: &PartitionSpec) {
        self.word("PARTITION BY");
        self.word(match spec.strategy {
            PartitionStrategy::List => "LIST",
            PartitionStrategy::Range => "RANGE",
            PartitionStrategy::Hash => "HASH",
        });
        self.parens(|p| {
            p.list(&spec.keys, |p, key| {
                p.index_key(&key.key);
                p.collation(key.collation.as_ref());
                if let Some(opclass) = &key.opclass {
                    p.object_name(opclass);
                }
            });
        });
    }

    pub(super) fn partition_bound(&mut self, bound: &PartitionBound) {
        match bound {
            PartitionBound::Default => self.word("DEFAULT"),
            PartitionBound::List(values, _) => {
                self.word("FOR VALUES IN");
                self.parens(|p| p.exprs(values));
            }
            PartitionBound::Range { from, to, .. } => {
                self.word("FOR VALUES FROM");
                self.parens(|p| p.exprs(from));
                self.word("TO");
                self.parens(|p| p.exprs(to));
            }
            PartitionBound::Hash { modulus, remainder, .. } => {
                self.word(&format!("FOR VALUES WITH (MODULUS {modulus}, REMAINDER {remainder})"));
            }
        }
    }

    pub(super) fn create_table_as(&mut self, stmt: &CreateTableAsStmt) {
        self.word("CREATE");
        self.persistence(stmt.into.persistence);
        self.word(if stmt.materialized_view { "MATERIALIZED VIEW" } else { "TABLE" });
        self.word_if(stmt.if_not_exists, "IF NOT EXISTS");
        self.object_name(&stmt.into.name);
        self.column_list(&stmt.columns);
        self.using(stmt.access_method.as_ref());
        self.with_options(&stmt.options);
        self.on_commit(stmt.on_commit);
        self.tablespace(stmt.tablespace.as_ref());
        self.word("AS");
        self.statement(&stmt.query);
        self.word_if(!stmt.with_data, "WITH NO DATA");
    }

    pub(super) fn create_index(&mut self, stmt: &CreateIndexStmt) {
        self.word(if stmt.unique { "CREATE UNIQUE INDEX" } else { "CREATE INDEX" });
        self.word_if(stmt.concurrently, "CONCURRENTLY");
        self.word_if(stmt.if_not_exists, "IF NOT EXISTS");
        if let Some(name) = &stmt.name {
            self.name(name);
        }
        self.word("ON");
        self.relation(&stmt.table);
        self.using(stmt.method.as_ref());
        self.parens(|p| p.list(&stmt.elements, |p, elem| p.index_elem(elem)));
        if !stmt.include.is_empty() {
            self.word("INCLUDE");
            self.parens(|p| p.list(&stmt.include, |p, elem| p.index_elem(elem)));
        }
        self.word_if(stmt.nulls_not_distinct, "NULLS NOT DISTINCT");
        self.with_options(&stmt.options);
        self.tablespace(stmt.tablespace.as_ref());
        self.where_clause(stmt.predicate.as_ref());
    }

    pub(super) fn index_key(&mut self, key: &IndexKey) {
        match key {
            IndexKey::Column(name) => self.name(name),
            IndexKey::Expr(expr) => self.parens(|p| p.expr(expr)),
        }
    }

    pub(super) fn index_elem(&mut self, elem: &IndexElem) {
        self.index_key(&elem.key);
        self.collation(elem.collation.as_ref());
        if let Some(opclass) = &elem.opclass {
            self.object_name(opclass);
            if !elem.opclass_options.is_empty() {
                self.definition(&elem.opclass_options);
            }
        }
        self.direction(&elem.direction);
        self.nulls(elem.nulls);
    }

    pub(super) fn create_sequence(&mut self, stmt: &CreateSequenceStmt) {
        self.word("CREATE");
        self.persistence(stmt.persistence);
        self.word("SEQUENCE");
        self.word_if(stmt.if_not_exists, "IF NOT EXISTS");
        self.object_name(&stmt.name);
        self.sequence_options(&stmt.options);
    }

    pub(super) fn alter_sequence(&mut self, stmt: &AlterSequenceStmt) {
        self.word("ALTER SEQUENCE");
        self.word_if(stmt.if_exists, "IF EXISTS");
        self.object_name(&stmt.name);
        self.sequence_options(&stmt.options);
    }

    pub(super) fn sequence_options(&mut self, options: &[SequenceOption]) {
        for option in options {
            self.sequence_option(option);
        }
    }

    pub(super) fn sequence_option(&mut self, option: &SequenceOption) {
        use SequenceOptionKind as S;
        let (word, number) = match &option.kind {
            S::As(type_name) => {
                self.word("AS");
                self.type_name(type_name);
                return;
            }
            S::OwnedBy(name) => {
                self.word("OWNED BY");
                // NONE is a word of the grammar's list of names.
                if name.parts.len() == 1 && name.name() == "none" {
                    self.word("NONE");
                } else {
                    self.object_name(name);
                }
                return;
            }
            S::SequenceName(name) => {
                self.word("SEQUENCE NAME");
                self.object_name(name);
                return;
            }
            S::MinValue(None) => ("NO MINVALUE", None),
            S::MaxValue(None) => ("NO MAXVALUE", None),
            S::Restart(None) => ("RESTART", None),
            S::Cycle(true) => ("CYCLE", None),
            S::Cycle(false) => ("NO CYCLE", None),
            S::Logged(true) => ("LOGGED", None),
            S::Logged(false) => ("UNLOGGED", None),
            S::Increment(number) => ("INCREMENT BY", Some(number)),
            S::MinValue(Some(number)) => ("MINVALUE", Some(number)),
            S::MaxValue(Some(number)) => ("MAXVALUE", Some(number)),
            S::Start(number) => ("START WITH", Some(number)),
            S::Restart(Some(number)) => ("RESTART WITH", Some(number)),
            S::Cache(number) => ("CACHE", Some(number)),
        };
        self.word(word);
        if let Some(number) = number {
            self.number(number);
        }
    }

    pub(super) fn create_view(&mut self, stmt: &CreateViewStmt) {
        self.word(if stmt.or_replace { "CREATE OR REPLACE" } else { "CREATE" });
        self.persistence(stmt.persistence);
        self.word(if stmt.recursive { "RECURSIVE VIEW" } else { "VIEW" });
        self.object_name(&stmt.name);
        self.column_list(&stmt.columns);
        self.with_options(&stmt.options);
        self.word("AS");
        match stmt.query.with.as_deref() {
            Some(With { ctes, .. }) if stmt.recursive => match ctes.first() {
                Some(cte) => self.statement(&cte.query),
                None => self.select(&stmt.query),
            },
            _ => self.select(&stmt.query),
        }
        match stmt.check_option {
            ViewCheckOption::None => {}
            ViewCheckOption::Local => self.word("WITH LOCAL CHECK OPTION"),
            ViewCheckOption::Cascaded => self.word("WITH CASCADED CHECK OPTION"),
        }
    }

    pub(super) fn refresh_materialized_view(&mut self, stmt: &RefreshMaterializedViewStmt) {
        self.word("REFRESH MATERIALIZED VIEW");
        self.word_if(stmt.concurrently, "CONCURRENTLY");
        self.object_name(&stmt.name);
        self.word_if(!stmt.with_data, "WITH NO DATA");
    }

    pub(super) fn create_statistics(&mut self, stmt: &CreateStatisticsStmt) {
        self.word("CREATE STATISTICS");
        self.word_if(stmt.if_not_exists, "IF NOT EXISTS");
        if let Some(name) = &stmt.name {
            self.object_name(name);
        }
        self.column_list(&stmt.kinds);
        self.word("ON");
        self.list(&stmt.exprs, |p, key| p.index_key(key));
        self.from("FROM", &stmt.from);
    }

    pub(super) fn generic_options(&mut self, options: &[GenericOption]) {
        if options.is_empty() {
            return;
        }
        self.word("OPTIONS");
        self.parens(|p| {
            p.list(options, |p, option| {
                match option.action {
                    GenericOptionAction::Unspecified => {}
                    GenericOptionAction::Set => p.word("SET"),
                    GenericOptionAction::Add => p.word("ADD"),
                    GenericOptionAction::Drop => p.word("DROP"),
                }
                p.word(&format!("\"{}\"", option.name.replace('"', "\"\"")));
                if let Some(value) = &option.value {
                    p.string(value);
                }
            });
        });
    }
}
