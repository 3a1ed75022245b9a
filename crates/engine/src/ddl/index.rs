//! CREATE INDEX, and the indexes of keys.

use std::sync::Arc;

use ochre_base::limits::MAX_INDEX_COLUMNS;
use ochre_base::{Error, Lsn, Oid, Result, SqlState};
use ochre_catalog::{
    ColumnDescriptor, ColumnList, Field, IndexDescriptor, IndexKey, IndexMethod, Persistence,
    RelationDescriptor, RelationKind,
};
use ochre_parser::ast::{self, CreateIndexStmt, DefElem, IndexElem, NullsOrder, ObjectName, SortDirection};
use ochre_txn::locks::RelationLockMode;
use ochre_types::{SqlType, ValueOrder, oids as type_oids};

use super::create_table::new_column;
use super::names;
use super::partitioned_index::NO_FILE;
use crate::authority::Need;
use crate::session::Session;
use crate::settings::{ACCEPTED_STORAGE_PARAMETERS, GIN_STORAGE_PARAMETERS, boolean};
use crate::tag::CommandTag;

/// An index to be made.
pub(crate) struct NewIndex {
    pub name: String,
    pub method: IndexMethod,
    pub keys: Vec<NewIndexKey>,
    pub included: Vec<i16>,
    pub unique: bool,
    pub primary: bool,
    pub nulls_not_distinct: bool,
    pub predicate: Option<Arc<str>>,
    pub constraint: Option<Oid>,
    /// Whether each row is checked, not the statement's or the transaction's outcome.
    pub immediate: bool,
    pub options: Vec<Arc<str>>,
    /// ON ONLY: what a partitioned table's partitions have is attached one by one.
    pub alone: bool,
}

/// One key of it.
pub(crate) struct NewIndexKey {
    pub number: i16,
    pub expression: Option<Arc<str>>,
    pub name: Arc<str>,
    pub ty: SqlType,
    pub collation: Oid,
    pub operator_class: Option<Oid>,
    pub descending: bool,
    pub nulls_first: bool,
}

impl NewIndexKey {
    /// A plain ascending column.
    pub(crate) fn column(table: &RelationDescriptor, number: i16) -> NewIndexKey {
        let column = table.column(number).expect("the caller found the column");
        NewIndexKey {
            number,
            expression: None,
            name: Arc::clone(&column.name),
            ty: column.ty,
            collation: column.collation,
            operator_class: None,
            descending: false,
            nulls_first: false,
        }
    }
}

/// Checks a WITH clause: only the accepted parameters that mean nothing here pass.
pub(crate) fn check_options(options: &[DefElem]) -> Result<()> {
    for option in options {
        let name = option.name.as_str();
        if option.namespace.is_some() || !ACCEPTED_STORAGE_PARAMETERS.contains(&name) {
            return Err(Error::unsupported(format!("storage parameter \"{name}\"")));
        }
    }
    Ok(())
}

/// Checks the WITH clause of a GIN index.
pub(crate) fn check_gin_options(options: &[DefElem]) -> Result<()> {
    let invalid = |message: String| Error::new(SqlState::INVALID_PARAMETER_VALUE, message);
    for option in options {
        let name = option.name.as_str();
        if option.namespace.is_some() || !GIN_STORAGE_PARAMETERS.contains(&name) {
            return Err(invalid(format!("unrecognized parameter \"{name}\"")));
        }
        let Some(value) = option.value.as_ref().map(ast::DefValue::as_text) else { continue };
        if name == "fastupdate" && boolean(&value).is_none() {
            return Err(invalid(format!("invalid value for boolean option \"{name}\": {value}")));
        }
        if name == "gin_pending_list_limit" {
            let limit: i32 = value
                .parse()
                .map_err(|_| invalid(format!("invalid value for integer option \"{name}\": {value}")))?;
            if limit < 64 {
                return Err(invalid(format!("value {value} out of bounds for option \"{name}\""))
                    .detail("Valid values are between \"64\" and \"2147483647\"."));
            }
        }
    }
    Ok(())
}

/// Options as `pg_class.reloptions` shows them.
fn option_texts(options: &[DefElem]) -> Vec<Arc<str>> {
    options
        .iter()
        .map(|option| {
            let value = option.value.as_ref().map_or_else(|| "true".to_string(), ast::DefValue::as_text);
            format!("{}={value}", option.name).into()
        })
        .collect()
}

/// The names of columns joined for a made-up name.
pub(crate) fn joined_names(table: &RelationDescriptor, numbers: &[i16]) -> String {
    let names = numbers.iter().filter_map(|number| table.column(*number)).map(|column| &*column.name);
    names.collect::<Vec<_>>().join("_")
}

/// The type whose operator classes a type uses.
fn operator_class_type(ty: SqlType) -> Oid {
    match ty.oid {
        type_oids::VARCHAR => type_oids::TEXT,
        type_oids::CIDR => type_oids::INET,
        _ if ty.order() == ValueOrder::Range => type_oids::ANYRANGE,
        _ if ty.element().is_some() && !matches!(ty.oid, type_oids::OIDVECTOR | type_oids::INT2VECTOR) => {
            type_oids::ANYARRAY
        }
        _ if ty.physical == ochre_types::PhysicalType::Record => type_oids::RECORD,
        type_oids::REGCLASS
        | type_oids::REGTYPE
        | type_oids::REGPROC
        | type_oids::REGROLE
        | type_oids::REGNAMESPACE => type_oids::OID,
        other => other,
    }
}

/// The default operator class of a type, if the method has one.
pub(crate) fn find_operator_class(method: &str, ty: SqlType) -> Option<Oid> {
    let input = operator_class_type(ty);
    ochre_expr::operator_classes()
        .iter()
        .find(|class| &*class.method == method && class.input_type == input && class.is_default)
        .map(|class| class.oid)
}

/// The default operator class of a type.
///
/// # Errors
/// 42704 for a type that the method has none for.
pub(crate) fn default_operator_class(method: IndexMethod, ty: SqlType, type_text: &str) -> Result<Oid> {
    let method = method.name();
    find_operator_class(method, ty).ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("data type {type_text} has no default operator class for access method \"{method}\""),
        )
        .hint("You must specify an operator class for the index or define a default operator class for the data type.")
    })
}

fn named_operator_class(method: IndexMethod, name: &ObjectName, ty: SqlType, type_text: &str) -> Result<Oid> {
    let method = method.name();
    let class = ochre_expr::operator_classes()
        .iter()
        .find(|class| &*class.method == method && *class.name == **name.name())
        .ok_or_else(|| {
            Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!("operator class \"{name}\" does not exist for access method \"{method}\""),
            )
        })?;
    if ![ty.oid, operator_class_type(ty)].contains(&class.input_type) {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("operator class \"{name}\" does not accept data type {type_text}"),
        ));
    }
    Ok(class.oid)
}

/// The access method that a statement names, if it can do what the statement asks of it.
fn index_method(statement: &CreateIndexStmt) -> Result<IndexMethod> {
    let Some(name) = &statement.method else { return Ok(IndexMethod::BTree) };
    let Some(method) = IndexMethod::named(name) else {
        if ["gist", "spgist", "brin"].contains(&name.as_str()) {
            return Err(Error::unsupported(format!("access method \"{name}\"")));
        }
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{name}\" does not exist"),
        ));
    };
    if method == IndexMethod::BTree {
        return Ok(method);
    }
    let is_sorted = |element: &IndexElem| element.direction != SortDirection::Default;
    let places_nulls = |element: &IndexElem| element.nulls != NullsOrder::Default;
    let asked = [
        (statement.unique, "unique indexes"),
        (!statement.include.is_empty(), "included columns"),
        (statement.elements.len() > 1 && method == IndexMethod::Hash, "multicolumn indexes"),
        (statement.elements.iter().any(is_sorted), "ASC/DESC options"),
        (statement.elements.iter().any(places_nulls), "NULLS FIRST/LAST options"),
    ];
    match asked.into_iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("access method \"{name}\" does not support {what}"),
        )),
        None => Ok(method),
    }
}

impl Session {
    /// CREATE INDEX that keeps writers out.
    ///
    /// # Errors
    /// 25001 for CONCURRENTLY, besides what is wrong with the statement.
    pub(crate) fn create_index(&self, statement: &CreateIndexStmt) -> Result<CommandTag> {
        if statement.concurrently {
            return Err(crate::errors::not_from_a_function("CREATE INDEX CONCURRENTLY"));
        }
        if let Some((table, new, _)) = self.index_of(statement)? {
            self.create_index_on(table, new)?;
        }
        Ok(CommandTag::Plain("CREATE INDEX"))
    }

    /// CREATE INDEX CONCURRENTLY.
    ///
    /// # Errors
    /// 25001 within a transaction block, besides what is wrong with the statement.
    pub(crate) fn create_index_concurrently(&mut self, statement: &CreateIndexStmt) -> Result<CommandTag> {
        self.prevent_in_block("CREATE INDEX CONCURRENTLY")?;
        match self.index_of(statement)? {
            Some((table, new, true)) => self.create_index_beside_writers(table, new)?,
            Some((table, new, false)) => {
                self.create_index_on(table, new)?;
            }
            None => {}
        }
        Ok(CommandTag::Plain("CREATE INDEX"))
    }

    /// What a statement wants to be made of which table, and whether beside its writers; `None` when it is there already.
    fn index_of(&self, statement: &CreateIndexStmt) -> Result<Option<(Oid, NewIndex, bool)>> {
        let method = index_method(statement)?;
        if statement.tablespace.as_ref().is_some_and(|name| *name != "pg_default") {
            return Err(Error::unsupported("tablespaces"));
        }
        match method {
            IndexMethod::Gin => check_gin_options(&statement.options)?,
            _ => check_options(&statement.options)?,
        }
        // Nobody else uses a temporary table.
        let found = self.state.find_relation(&statement.table.name)?;
        let temporary = found.is_some_and(|found| found.persistence == Persistence::Temporary);
        let concurrently = statement.concurrently && !temporary;
        let mode = match concurrently {
            true => RelationLockMode::ShareUpdateExclusive,
            false => RelationLockMode::Share,
        };
        let table = self.require_and_lock(&statement.table.name, mode, Need::Owner)?;
        self.state.require_creation(table.namespace)?;
        self.require_user_relation(&table)?;
        if table.kind == RelationKind::PartitionedTable && concurrently {
            return Err(Error::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("cannot create index on partitioned table \"{}\" concurrently", table.name),
            ));
        }
        if !table.kind.is_table() && table.kind != RelationKind::MaterializedView {
            return Err(Error::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("cannot create index on relation \"{}\"", table.name),
            )
            .detail(format!("This operation is not supported for {}.", table.kind.plural())));
        }
        check_column_count(statement.elements.len() + statement.include.len())?;
        let mut keys = Vec::with_capacity(statement.elements.len());
        for element in &statement.elements {
            keys.push(self.index_key(&table, method, element, &keys)?);
        }
        let mut included = Vec::new();
        for element in &statement.include {
            let ast::IndexKey::Column(name) = &element.key else {
                return Err(Error::unsupported("expressions in INCLUDE"));
            };
            let column = table.column_named(name).ok_or_else(|| {
                Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
            })?;
            included.push(column.number);
        }
        let predicate = match &statement.predicate {
            Some(expr) => Some(Arc::from(self.bind_index_predicate(&table, expr)?)),
            None => None,
        };
        let name = match &statement.name {
            Some(name) => name.to_string(),
            None => {
                let middle = keys.iter().map(|key| &*key.name).collect::<Vec<_>>().join("_");
                names::choose_relation(&self.state.catalog(), table.namespace, &table.name, &middle, "idx")
            }
        };
        if !self.take_relation_name(table.namespace, &name, statement.if_not_exists)? {
            return Ok(None);
        }
        let new = NewIndex {
            name,
            method,
            keys,
            included,
            unique: statement.unique,
            primary: false,
            nulls_not_distinct: statement.nulls_not_distinct,
            predicate,
            constraint: None,
            immediate: true,
            options: option_texts(&statement.options),
            alone: statement.table.only,
        };
        Ok(Some((table.oid, new, concurrently)))
    }

    fn index_key(
        &self,
        table: &RelationDescriptor,
        method: IndexMethod,
        element: &IndexElem,
        before: &[NewIndexKey],
    ) -> Result<NewIndexKey> {
        if !element.opclass_options.is_empty() {
            return Err(Error::unsupported("operator class parameters"));
        }
        let mut key = match &element.key {
            ast::IndexKey::Column(name) => {
                let column = table.column_named(name).ok_or_else(|| {
                    Error::new(SqlState::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist"))
                })?;
                NewIndexKey::column(table, column.number)
            }
            ast::IndexKey::Expr(expr) => {
                let bound = self.bind_index_expression(table, expr)?;
                let name = names::choose(&bound.name, "", "", |name| before.iter().any(|k| *k.name == *name));
                NewIndexKey {
                    number: 0,
                    expression: Some(bound.text.into()),
                    name: name.into(),
                    ty: bound.ty,
                    collation: ochre_types::type_info(bound.ty.oid).map_or(Oid::INVALID, |i| i.collation),
                    operator_class: None,
                    descending: false,
                    nulls_first: false,
                }
            }
        };
        if before.iter().any(|other| other.name == key.name) {
            key.name =
                names::choose(&key.name, "", "", |name| before.iter().any(|k| *k.name == *name)).into();
        }
        if element.collation.is_some() {
            key.collation = self.column_collation(element.collation.as_ref(), key.ty)?;
        }
        key.operator_class = match &element.opclass {
            Some(class) => Some(named_operator_class(method, class, key.ty, &self.type_text(key.ty))?),
            None => None,
        };
        if method == IndexMethod::Gin
            && let Some(element) = key.ty.element()
            && find_operator_class("btree", element).is_none()
        {
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("could not identify a comparison function for type {}", self.type_text(element)),
            ));
        }
        key.descending = element.direction == SortDirection::Desc;
        key.nulls_first = match element.nulls {
            NullsOrder::Default => key.descending,
            NullsOrder::First => true,
            NullsOrder::Last => false,
        };
        Ok(key)
    }

    /// Makes an index and fills it from the table.
    pub(crate) fn create_index_on(&self, table: Oid, new: NewIndex) -> Result<Oid> {
        let relation = self.relation(table);
        if relation.kind == RelationKind::PartitionedTable {
            self.check_partitioned_key(&relation, &new)?;
            // The indexes of partitions get constraints of their own when the table has its.
            let descend = new.constraint.is_none() && !new.alone;
            let valid = !new.alone || self.children(table).is_empty();
            let (mut index, columns) = self.new_index(table, new)?;
            index.valid = valid;
            let oid = self.add_index(&relation, index, columns)?;
            if descend {
                self.index_partitions(table, oid)?;
            }
            return Ok(oid);
        }
        let (mut index, columns) = self.new_index(table, new)?;
        let relation = self.relation(table);
        self.build_index(&relation, &mut index)?;
        self.add_index(&relation, index, columns)
    }

    /// The descriptor of a new index, without a file, and its columns.
    pub(crate) fn new_index(
        &self,
        table: Oid,
        new: NewIndex,
    ) -> Result<(IndexDescriptor, Vec<ColumnDescriptor>)> {
        let relation = self.relation(table);
        let mut keys = Vec::with_capacity(new.keys.len());
        for key in &new.keys {
            let operator_class = match key.operator_class {
                Some(class) => class,
                None => default_operator_class(new.method, key.ty, &self.type_text(key.ty))?,
            };
            keys.push(IndexKey {
                number: key.number,
                expression: key.expression.clone(),
                ty: key.ty,
                collation: key.collation,
                operator_class,
                descending: key.descending,
                nulls_first: key.nulls_first,
            });
        }
        let mut columns: Vec<ColumnDescriptor> = Vec::new();
        for key in &new.keys {
            let mut column = new_column(columns.len() as i16 + 1, &key.name, key.ty);
            column.collation = key.collation;
            columns.push(column);
        }
        for number in &new.included {
            let source = relation.column(*number).expect("included columns were looked up");
            columns.push(new_column(columns.len() as i16 + 1, &source.name, source.ty));
        }
        let oid = self.new_oid();
        let index = IndexDescriptor {
            oid,
            namespace: relation.namespace,
            name: new.name.as_str().into(),
            table,
            owner: relation.owner,
            method: new.method,
            file: NO_FILE,
            keys,
            included: new.included,
            unique: new.unique,
            primary: new.primary,
            nulls_not_distinct: new.nulls_not_distinct,
            clustered: false,
            immediate: new.immediate,
            predicate: new.predicate,
            valid: true,
            ready: true,
            usable_from: Lsn::ZERO,
            constraint: new.constraint,
            column_names: columns.iter().map(|column| Arc::clone(&column.name)).collect(),
            page_estimate: 1,
            row_estimate: 0.0,
            comment: None,
            options: new.options,
        };
        self.lock_relation(oid, RelationLockMode::AccessExclusive)?;
        Ok((index, columns))
    }

    /// Puts an index into the catalog.
    pub(crate) fn add_index(
        &self,
        relation: &Arc<RelationDescriptor>,
        index: IndexDescriptor,
        columns: Vec<ColumnDescriptor>,
    ) -> Result<Oid> {
        let oid = index.oid;
        let index = Arc::new(index);
        self.note_indexed(relation.oid)?;
        self.put_index_relation(relation, &index, columns)?;
        // This is not written: others may make indexes of the table at the same time.
        let database = &self.state.database;
        self.state.catalog.borrow_mut().estimate_rows(database, relation.oid, index.row_estimate);
        Ok(oid)
    }

    /// Notes in a table's own row that it has indexes. Others may make indexes of it at the same time and are not to wait
    /// until this transaction ends, so a small transaction of its own writes the row, as PostgreSQL does in place. Where
    /// somebody holds the row, this one waits for them and writes it.
    fn note_indexed(&self, table: Oid) -> Result<()> {
        let relation = self.relation(table);
        if relation.has_indexes {
            return Ok(());
        }
        let noted = RelationDescriptor { has_indexes: true, ..(*relation).clone() };
        let published = self.state.database.catalog().relation(table).cloned();
        if published.is_some_and(|published| Arc::ptr_eq(&published, &relation)) {
            match self.state.instance.put_relation_at_once(&self.state.database, noted.clone()) {
                Err(error) if error.sqlstate() == SqlState::LOCK_NOT_AVAILABLE => {}
                other => return other,
            }
        }
        self.put_relation(noted).map(|_| ())
    }

    fn put_index_relation(
        &self,
        table: &RelationDescriptor,
        index: &Arc<IndexDescriptor>,
        columns: Vec<ColumnDescriptor>,
    ) -> Result<()> {
        let fields = columns.iter().map(|column| Field { number: column.number, ty: column.ty }).collect();
        self.put_relation(RelationDescriptor {
            oid: index.oid,
            namespace: table.namespace,
            name: Arc::clone(&index.name),
            kind: match table.kind {
                RelationKind::PartitionedTable => RelationKind::PartitionedIndex,
                _ => RelationKind::Index,
            },
            persistence: table.persistence,
            owner: table.owner,
            acl: None,
            shared: false,
            builtin: false,
            file: Some(index.file).filter(|file| *file != NO_FILE),
            columns,
            column_lists: vec![Arc::new(ColumnList { version: 1, fields })],
            schema_version: 1,
            indexes: Vec::new(),
            constraints: Vec::new(),
            view_query: None,
            has_triggers: false,
            populated: true,
            has_indexes: false,
            triggers: Vec::new(),
            inheritance: ochre_catalog::Inheritance::default(),
            sequence: None,
            index: Some(Arc::clone(index)),
            row_type: Oid::INVALID,
            array_type: Oid::INVALID,
            row_estimate: index.row_estimate,
            page_estimate: index.page_estimate,
            comment: None,
            options: Vec::new(),
        })?;
        Ok(())
    }

    /// Replaces an index's descriptor. Its table need not be locked: the catalog hangs it there.
    pub(crate) fn replace_index(&self, index: IndexDescriptor) -> Result<()> {
        let index = Arc::new(index);
        let mut own = (*self.relation(index.oid)).clone();
        own.name = Arc::clone(&index.name);
        own.namespace = index.namespace;
        own.owner = index.owner;
        own.file = Some(index.file).filter(|file| *file != NO_FILE);
        own.comment.clone_from(&index.comment);
        for (column, name) in own.columns.iter_mut().zip(&index.column_names) {
            column.name = Arc::clone(name);
        }
        for (column, key) in own.columns.iter_mut().zip(&index.keys) {
            (column.ty, column.collation) = (key.ty, key.collation);
        }
        own.row_estimate = index.row_estimate;
        own.page_estimate = index.page_estimate;
        own.index = Some(Arc::clone(&index));
        self.put_relation(own)?;
        Ok(())
    }

    /// ALTER INDEX … SET, or RESET, of storage parameters.
    pub(crate) fn set_index_options(
        &self,
        own: &RelationDescriptor,
        options: &[DefElem],
        reset: bool,
    ) -> Result<()> {
        let index = own.index.as_ref().expect("an index's relation has its descriptor");
        match index.method {
            IndexMethod::Gin => check_gin_options(options)?,
            _ => check_options(options)?,
        }
        let named =
            |text: &str| options.iter().any(|option| text.split('=').next() == Some(option.name.as_str()));
        let mut kept: Vec<Arc<str>> = index.options.iter().filter(|text| !named(text)).cloned().collect();
        if !reset {
            kept.extend(option_texts(options));
        }
        self.replace_index(IndexDescriptor { options: kept, ..(**index).clone() })
    }

    /// Drops an index: its rows, its place on the table, its file.
    pub(crate) fn remove_index(&self, oid: Oid) -> Result<()> {
        let own = self.relation(oid);
        let index = own.index.as_ref().expect("an index's relation has its descriptor");
        self.lock_relation(oid, RelationLockMode::AccessExclusive)?;
        let mut table = (*self.relation(index.table)).clone();
        table.indexes.retain(|other| other.oid != oid);
        let table = self.put_relation(table)?;
        if index.file != NO_FILE {
            self.transfer_predicate_locks(index.file, &table);
        }
        self.remove_relation_rows(oid)?;
        self.drop_file(index.file);
        Ok(())
    }
}

/// Refuses more columns than an index may have.
pub(super) fn check_column_count(count: usize) -> Result<()> {
    if count > MAX_INDEX_COLUMNS {
        return Err(Error::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("cannot use more than {MAX_INDEX_COLUMNS} columns in an index"),
        ));
    }
    Ok(())
}
