//! Objects as SQL text: `pg_get_indexdef`, `pg_get_constraintdef`.

use std::sync::Arc;

use ochre_base::Result;
use ochre_catalog::{
    CatalogSnapshot, ConstraintDescriptor, ConstraintKind, IndexDescriptor, ReferentialAction,
    RelationDescriptor, RelationKind,
};
use ochre_expr::ColumnNames;

use crate::ddl::quote_identifier;

fn qualified(catalog: &CatalogSnapshot, namespace: ochre_base::Oid, name: &str) -> String {
    let namespace = catalog.namespace(namespace).map(|n| n.name.to_string()).unwrap_or_default();
    format!("{}.{}", quote_identifier(&namespace), quote_identifier(name))
}

/// An expression as an index key shows it: in parentheses, unless it is a function call.
fn key_expression(text: &str) -> String {
    let is_call = text.ends_with(')')
        && text.split('(').next().is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '"'))
        });
    if is_call { text.to_string() } else { format!("({text})") }
}

/// A condition as an index shows it.
fn condition(text: &str) -> String {
    if text.starts_with('(') && text.ends_with(')') { text.to_string() } else { key_expression(text) }
}

/// One key of an index, with its order when `full`.
fn key(catalog: &CatalogSnapshot, index: &IndexDescriptor, position: usize, full: bool) -> Option<String> {
    let table = catalog.relation(index.table)?;
    let Some(key) = index.keys.get(position) else {
        let column = table.column(*index.included.get(position - index.keys.len())?)?;
        return Some(quote_identifier(&column.name));
    };
    let mut text = match &key.expression {
        Some(expression) => key_expression(expression),
        None => quote_identifier(&table.column(key.number)?.name),
    };
    if !full {
        return Some(text);
    }
    let column_collation = table.column(key.number).map(|column| column.collation);
    if key.number != 0 && column_collation.is_some_and(|collation| collation != key.collation) {
        let name = match key.collation.0 {
            950 => "\"C\"",
            951 => "\"POSIX\"",
            811 => "pg_c_utf8",
            962 => "ucs_basic",
            _ => "\"default\"",
        };
        text.push_str(&format!(" COLLATE {name}"));
    }
    let class = ochre_expr::operator_classes().iter().find(|class| class.oid == key.operator_class);
    if let Some(class) = class.filter(|class| !class.is_default) {
        text.push(' ');
        text.push_str(&class.name);
    }
    if key.descending {
        text.push_str(" DESC");
    }
    if key.nulls_first != key.descending {
        text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
    }
    Some(text)
}

/// `pg_get_indexdef`: the whole statement, or with a column number that column.
pub(crate) fn index(catalog: &CatalogSnapshot, index: &IndexDescriptor, column: usize) -> Option<String> {
    if column > 0 {
        return key(catalog, index, column - 1, false);
    }
    let table = catalog.relation(index.table)?;
    let keys: Vec<String> =
        (0..index.keys.len()).map(|i| key(catalog, index, i, true)).collect::<Option<_>>()?;
    let mut text = format!(
        "CREATE {}INDEX {} ON {}{} USING {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        quote_identifier(&index.name),
        // Run from a dump, it would make the partitions' once more.
        if table.kind == RelationKind::PartitionedTable { "ONLY " } else { "" },
        qualified(catalog, table.namespace, &table.name),
        index.method.name(),
        keys.join(", ")
    );
    if !index.included.is_empty() {
        let included: Vec<String> = (index.keys.len()..index.keys.len() + index.included.len())
            .map(|i| key(catalog, index, i, false))
            .collect::<Option<_>>()?;
        text.push_str(&format!(" INCLUDE ({})", included.join(", ")));
    }
    if index.unique && index.nulls_not_distinct {
        text.push_str(" NULLS NOT DISTINCT");
    }
    if !index.options.is_empty() {
        let options: Vec<String> = index
            .options
            .iter()
            .map(|option| match option.split_once('=') {
                Some((name, value)) if quote_identifier(value) == value => format!("{name}={value}"),
                Some((name, value)) => format!("{name}='{value}'"),
                None => option.to_string(),
            })
            .collect();
        text.push_str(&format!(" WITH ({})", options.join(", ")));
    }
    if let Some(predicate) = &index.predicate {
        text.push_str(&format!(" WHERE {}", condition(predicate)));
    }
    Some(text)
}

fn in_parentheses(text: &str) -> String {
    if text.starts_with('(') && text.ends_with(')') { text.to_string() } else { format!("({text})") }
}

/// A constraint for people to read: the condition of a simple CHECK in one pair of parentheses.
pub(crate) fn pretty(text: String) -> String {
    let simple = text.starts_with("CHECK ((") && text.matches('(').count() == 2 && text.contains("))");
    if simple { text.replacen("((", "(", 1).replacen("))", ")", 1) } else { text }
}

/// `pg_get_partkeydef`.
pub(crate) fn partition_key(table: &RelationDescriptor) -> Option<String> {
    let key = table.inheritance.key.as_ref()?;
    let columns: Vec<String> = key
        .columns
        .iter()
        .map(|column| match &column.expression {
            Some(text) => Some(key_expression(text)),
            None => Some(quote_identifier(&table.column(column.number)?.name)),
        })
        .collect::<Option<_>>()?;
    Some(format!("{} ({})", key.strategy.word(), columns.join(", ")))
}

/// `pg_get_partition_constraintdef`; `None` for what is no partition.
pub(crate) fn partition_constraint(
    catalog: &CatalogSnapshot,
    table: &Arc<RelationDescriptor>,
) -> Result<Option<String>> {
    struct Names<'a>(&'a RelationDescriptor);
    impl ColumnNames for Names<'_> {
        fn column(&self, index: usize) -> String {
            self.0.columns.get(index).map_or_else(String::new, |column| quote_identifier(&column.name))
        }
    }
    if table.inheritance.bound.is_none() {
        return Ok(None);
    }
    let conditions = ochre_sql::partition::partition_constraints(catalog, table)?;
    Ok(Some(ochre_expr::Expr::and(conditions).to_sql(&Names(table))))
}

fn action(action: ReferentialAction) -> &'static str {
    match action {
        ReferentialAction::NoAction => "NO ACTION",
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::SetDefault => "SET DEFAULT",
    }
}

/// A relation's name, qualified where the path does not find it.
fn path_name(
    catalog: &CatalogSnapshot,
    path: &[ochre_base::Oid],
    relation: &ochre_catalog::RelationDescriptor,
) -> String {
    match catalog.find_relation(path, &relation.name) {
        Some(found) if found.oid == relation.oid => quote_identifier(&relation.name),
        _ => qualified(catalog, relation.namespace, &relation.name),
    }
}

/// `pg_get_constraintdef`.
pub(crate) fn constraint(
    catalog: &CatalogSnapshot,
    path: &[ochre_base::Oid],
    constraint: &ConstraintDescriptor,
) -> Option<String> {
    let table = catalog.relation(constraint.table)?;
    let names = |table: &ochre_catalog::RelationDescriptor, numbers: &[i16]| {
        let names: Option<Vec<String>> =
            numbers.iter().map(|number| Some(quote_identifier(&table.column(*number)?.name))).collect();
        names.map(|names| names.join(", "))
    };
    let mut text = match constraint.kind {
        ConstraintKind::Check => {
            format!("CHECK ({})", in_parentheses(constraint.expression.as_deref().unwrap_or_default()))
        }
        ConstraintKind::NotNull => format!("NOT NULL {}", names(table, &constraint.columns)?),
        ConstraintKind::PrimaryKey | ConstraintKind::Unique => {
            let index = table.indexes.iter().find(|index| index.oid == constraint.index);
            let mut text = match constraint.kind {
                ConstraintKind::PrimaryKey => "PRIMARY KEY (".to_string(),
                _ if index.is_some_and(|index| index.nulls_not_distinct) => {
                    "UNIQUE NULLS NOT DISTINCT (".to_string()
                }
                _ => "UNIQUE (".to_string(),
            };
            text.push_str(&names(table, &constraint.columns)?);
            text.push(')');
            if let Some(index) = index.filter(|index| !index.included.is_empty()) {
                text.push_str(&format!(" INCLUDE ({})", names(table, &index.included)?));
            }
            text
        }
        ConstraintKind::ForeignKey => {
            let foreign = constraint.foreign.as_ref()?;
            let other = catalog.relation(foreign.table)?;
            let mut text = format!(
                "FOREIGN KEY ({}) REFERENCES {}({})",
                names(table, &constraint.columns)?,
                path_name(catalog, path, other),
                names(other, &foreign.columns)?
            );
            if foreign.match_full {
                text.push_str(" MATCH FULL");
            }
            if foreign.on_update != ReferentialAction::NoAction {
                text.push_str(&format!(" ON UPDATE {}", action(foreign.on_update)));
            }
            if foreign.on_delete != ReferentialAction::NoAction {
                text.push_str(&format!(" ON DELETE {}", action(foreign.on_delete)));
            }
            if !foreign.delete_columns.is_empty() {
                text.push_str(&format!(" ({})", names(table, &foreign.delete_columns)?));
            }
            text
        }
    };
    if constraint.no_inherit && constraint.kind == ConstraintKind::Check {
        text.push_str(" NO INHERIT");
    }
    if constraint.deferrable {
        text.push_str(" DEFERRABLE");
    }
    if constraint.initially_deferred {
        text.push_str(" INITIALLY DEFERRED");
    }
    if !constraint.enforced {
        text.push_str(" NOT ENFORCED");
    } else if !constraint.validated {
        text.push_str(" NOT VALID");
    }
    Some(text)
}
