//! Rows of the stored catalogs as descriptors.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::authority::{Acl, AclItem};
use crate::descriptor::{
    ColumnDescriptor, ColumnList, ConstraintDescriptor, ConstraintKind, DatabaseDescriptor,
    DefaultAclDescriptor, Field, ForeignKey, GeneratedKind, IdentityKind, IndexDescriptor, IndexKey,
    IndexMethod, Inheritance, Membership, NamespaceDescriptor, Origin, Persistence, ReferentialAction,
    RelationDescriptor, RelationKind, RoleDescriptor, SequenceDescriptor, TriggerDescriptor,
};
use crate::partition::{PartitionBound, PartitionKey};
use crate::{builtin, fit, oids};
use ochre_base::{Error, FileId, Lsn, Oid, Result};
use ochre_types::{Datum, PhysicalType, SqlType, row_array, type_info};

use super::encode::split_expressions;

/// The rows of each catalog as read.
pub type CatalogRows = HashMap<Oid, Vec<Vec<Datum>>>;

/// Reads a row by column names.
pub(super) struct RowReader<'a> {
    relation: &'static Arc<RelationDescriptor>,
    values: &'a [Datum],
}

impl<'a> RowReader<'a> {
    pub(super) fn new(catalog: Oid, values: &'a [Datum]) -> RowReader<'a> {
        RowReader { relation: builtin::relation(catalog).expect("catalogs are built in"), values }
    }

    pub(super) fn value(&self, column: &str) -> &'a Datum {
        let number = self.relation.column_named(column).expect("catalog columns are known").number;
        self.values.get(number as usize - 1).unwrap_or(&Datum::Null)
    }

    pub(super) fn integer(&self, column: &str) -> i64 {
        self.value(column).as_i64().unwrap_or(0)
    }

    pub(super) fn oid(&self, column: &str) -> Oid {
        Oid(self.integer(column) as u32)
    }

    pub(super) fn flag(&self, column: &str) -> bool {
        self.value(column).as_bool().unwrap_or(false)
    }

    pub(super) fn letter(&self, column: &str) -> u8 {
        if let Datum::Char(letter) = self.value(column) { *letter } else { 0 }
    }

    pub(super) fn float(&self, column: &str) -> f64 {
        match self.value(column) {
            Datum::Float32(value) => f64::from(*value),
            Datum::Float64(value) => *value,
            _ => 0.0,
        }
    }

    pub(super) fn text(&self, column: &str) -> Option<Arc<str>> {
        self.value(column).as_str().map(Arc::from)
    }

    pub(super) fn name(&self, column: &str) -> Arc<str> {
        self.text(column).unwrap_or_default()
    }

    pub(super) fn array(&self, column: &str) -> Vec<Datum> {
        if let Datum::Array(array) = self.value(column) { array.elements.clone() } else { Vec::new() }
    }

    pub(super) fn numbers(&self, column: &str) -> Vec<i64> {
        self.array(column).iter().filter_map(Datum::as_i64).collect()
    }

    pub(super) fn acl(&self, column: &str) -> Option<Acl> {
        let Datum::Array(array) = self.value(column) else { return None };
        Some(array.elements.iter().filter_map(|item| AclItem::from_bytes(item.as_bytes()?)).collect())
    }

    pub(super) fn texts(&self, column: &str) -> Vec<Arc<str>> {
        self.array(column).iter().filter_map(|value| value.as_str().map(Arc::from)).collect()
    }
}

/// Gathers what belongs to each relation, from all catalogs.
pub(super) struct Gathered<'a> {
    pub(super) rows: &'a CatalogRows,
}

impl<'a> Gathered<'a> {
    pub(super) fn readers(&self, catalog: Oid) -> impl Iterator<Item = RowReader<'a>> + use<'a> {
        self.rows.get(&catalog).into_iter().flatten().map(move |values| RowReader::new(catalog, values))
    }

    fn by<T>(
        &self,
        catalog: Oid,
        mut read: impl FnMut(&RowReader<'a>) -> Result<(Oid, T)>,
    ) -> Result<HashMap<Oid, Vec<T>>> {
        let mut map: HashMap<Oid, Vec<T>> = HashMap::new();
        for row in self.readers(catalog) {
            let (key, value) = read(&row)?;
            map.entry(key).or_default().push(value);
        }
        Ok(map)
    }
}

#[cold]
pub(super) fn damaged(what: &str, oid: Oid) -> Error {
    Error::corrupt(format!("the catalog's rows of {what} {oid} do not fit together"))
}

/// Every user relation that the rows describe, indexes and sequences included.
///
/// # Errors
/// XX001 when rows contradict each other.
pub fn relations(rows: &CatalogRows) -> Result<Vec<Arc<RelationDescriptor>>> {
    let gathered = Gathered { rows };
    let arrays = gathered.readers(oids::PG_CLASS).map(|row| row_array(row.oid("reltype"))).collect();
    let mut parts = Parts {
        columns: columns(&gathered, &arrays)?,
        comments: comments(&gathered),
        files: gathered
            .readers(oids::OCHRE_RELATION)
            .map(|row| {
                let file = FileId(row.integer("relfile") as u64);
                (
                    row.oid("relid"),
                    (file, row.integer("schemaversion") as u16, row.integer("usablefrom") as u64),
                )
            })
            .collect(),
        column_lists: gathered.by(oids::OCHRE_COLUMN_LIST, |row| column_list(row, &arrays))?,
        constraints: gathered.by(oids::PG_CONSTRAINT, constraint)?,
        views: gathered
            .readers(oids::PG_REWRITE)
            .map(|row| (row.oid("ev_class"), row.name("ev_action")))
            .collect(),
        triggers: gathered
            .by(oids::PG_TRIGGER, |row| Ok((row.oid("tgrelid"), super::trigger::decode(row))))?,
        owners: gathered
            .readers(oids::PG_DEPEND)
            .filter(|row| row.oid("classid") == oids::PG_CLASS)
            .map(|row| {
                let column = row.integer("refobjsubid") as i16;
                (row.oid("objid"), (row.oid("refobjid"), column, row.letter("deptype") == b'i'))
            })
            .collect(),
        parents: super::inheritance::parents(&gathered),
        keys: super::inheritance::keys(&gathered)?,
        sequences: gathered
            .readers(oids::PG_SEQUENCE)
            .map(|row| (row.oid("seqrelid"), sequence(&row)))
            .collect(),
    };
    let mut relations: HashMap<Oid, RelationDescriptor> = HashMap::new();
    let mut files = HashSet::new();
    for row in gathered.readers(oids::PG_CLASS) {
        let relation = parts.relation(&row)?;
        let (oid, is_new) = (relation.oid, relation.file.is_none_or(|file| files.insert(file)));
        if relations.insert(oid, relation).is_some() || !is_new {
            return Err(damaged("relation", oid).detail("Another relation has its number or its file."));
        }
    }
    attach_indexes(&gathered, &parts, &mut relations)?;
    let find = |oid| relations.get(&oid).or_else(|| builtin::relation(oid).map(|relation| &**relation));
    for relation in relations.values() {
        fit::check(relation, &find).map_err(|misfit| {
            damaged(relation.kind.word(), relation.oid).detail(format!("Found: {misfit}."))
        })?;
    }
    Ok(relations.into_values().map(Arc::new).collect())
}

/// What the other catalogs know of relations, by relation.
struct Parts {
    columns: HashMap<Oid, Vec<ColumnDescriptor>>,
    comments: HashMap<(Oid, Oid, i64), Arc<str>>,
    files: HashMap<Oid, (FileId, u16, u64)>,
    column_lists: HashMap<Oid, Vec<ColumnList>>,
    constraints: HashMap<Oid, Vec<ConstraintDescriptor>>,
    triggers: HashMap<Oid, Vec<TriggerDescriptor>>,
    views: HashMap<Oid, Arc<str>>,
    owners: HashMap<Oid, (Oid, i16, bool)>,
    sequences: HashMap<Oid, SequenceDescriptor>,
    parents: HashMap<Oid, Vec<(i64, Oid, bool)>>,
    keys: HashMap<Oid, Arc<PartitionKey>>,
}

impl Parts {
    fn relation(&mut self, row: &RowReader<'_>) -> Result<RelationDescriptor> {
        let oid = row.oid("oid");
        let kind =
            RelationKind::from_letter(row.letter("relkind")).ok_or_else(|| damaged("relation", oid))?;
        let mut columns = self.columns.remove(&oid).unwrap_or_default();
        columns.sort_by_key(|column| column.number);
        let counted = row.integer("relnatts") == columns.len() as i64;
        if !counted || columns.iter().enumerate().any(|(i, column)| column.number as usize != i + 1) {
            return Err(damaged("relation", oid));
        }
        for column in &mut columns {
            column.comment = self.comments.get(&(oid, oids::PG_CLASS, i64::from(column.number))).cloned();
        }
        let file = self.files.get(&oid).copied();
        let mut column_lists = self.column_lists.remove(&oid).unwrap_or_default();
        column_lists.sort_by_key(|list| list.version);
        let mut constraints = self.constraints.remove(&oid).unwrap_or_default();
        constraints.sort_by_key(|constraint| constraint.oid);
        for constraint in &mut constraints {
            constraint.comment = self.comments.get(&(constraint.oid, oids::PG_CONSTRAINT, 0)).cloned();
        }
        let mut triggers = self.triggers.remove(&oid).unwrap_or_default();
        triggers.sort_by(|a, b| a.name.cmp(&b.name));
        for trigger in &mut triggers {
            trigger.comment = self.comments.get(&(trigger.oid, oids::PG_TRIGGER, 0)).cloned();
        }
        let sequence = self.sequences.remove(&oid).map(|mut sequence| {
            if let Some((table, column, identity)) = self.owners.get(&oid) {
                sequence.owned_by = Some((*table, *column));
                sequence.identity = *identity;
            }
            Arc::new(sequence)
        });
        let row_type = row.oid("reltype");
        let inheritance = self.inheritance(row)?;
        Ok(RelationDescriptor {
            inheritance,
            oid,
            namespace: row.oid("relnamespace"),
            name: row.name("relname"),
            kind,
            persistence: match row.letter("relpersistence") {
                b't' => Persistence::Temporary,
                _ => Persistence::Permanent,
            },
            owner: row.oid("relowner"),
            shared: false,
            builtin: false,
            file: file.map(|(file, _, _)| file),
            columns,
            column_lists: column_lists.into_iter().map(Arc::new).collect(),
            schema_version: file.map_or(1, |(_, version, _)| version),
            indexes: Vec::new(),
            constraints: constraints.into_iter().map(Arc::new).collect(),
            view_query: self.views.remove(&oid),
            sequence,
            index: None,
            row_type,
            // The array type is always made right after the row type.
            array_type: if row_type.is_valid() { row_array(row_type) } else { Oid::INVALID },
            row_estimate: row.float("reltuples"),
            page_estimate: row.integer("relpages") as u32,
            comment: self.comments.get(&(oid, oids::PG_CLASS, 0)).cloned(),
            options: row.texts("reloptions"),
            has_triggers: row.flag("relhastriggers"),
            populated: row.flag("relispopulated"),
            has_indexes: row.flag("relhasindex"),
            triggers: triggers.into_iter().map(Arc::new).collect(),
            acl: row.acl("relacl"),
        })
    }
}

impl Parts {
    fn inheritance(&mut self, row: &RowReader<'_>) -> Result<Inheritance> {
        let oid = row.oid("oid");
        let mut parents = self.parents.remove(&oid).unwrap_or_default();
        parents.sort_unstable();
        let bound = match row.text("relpartbound") {
            Some(text) => {
                Some(Arc::new(PartitionBound::parse(&text).ok_or_else(|| damaged("partition", oid))?))
            }
            None => None,
        };
        Ok(Inheritance {
            // No snapshot is older than the start.
            detaching: parents.iter().any(|(.., detaching)| *detaching).then_some(Lsn(0)),
            parents: parents.into_iter().map(|(_, parent, _)| parent).collect(),
            has_children: row.flag("relhassubclass"),
            key: self.keys.remove(&oid),
            bound,
        })
    }
}

fn columns(gathered: &Gathered<'_>, arrays: &HashSet<Oid>) -> Result<HashMap<Oid, Vec<ColumnDescriptor>>> {
    let mut defaults: HashMap<(Oid, i64), (Oid, Arc<str>)> = gathered
        .readers(oids::PG_ATTRDEF)
        .map(|row| ((row.oid("adrelid"), row.integer("adnum")), (row.oid("oid"), row.name("adbin"))))
        .collect();
    let mut statistics: HashMap<(Oid, i16), _> = gathered
        .readers(oids::PG_STATISTIC)
        .map(|row| {
            let (relation, column, statistics) = super::statistics::decode(&row);
            ((relation, column), Arc::new(statistics))
        })
        .collect();
    gathered.by(oids::PG_ATTRIBUTE, |row| {
        let relation = row.oid("attrelid");
        let number = row.integer("attnum") as i16;
        let column = ColumnDescriptor {
            number,
            name: row.name("attname"),
            ty: column_type(row.oid("atttypid"), row.integer("atttypmod") as i32, arrays),
            collation: row.oid("attcollation"),
            not_null: row.flag("attnotnull"),
            dropped: row.flag("attisdropped"),
            default: defaults.remove(&(relation, i64::from(number))),
            identity: match row.letter("attidentity") {
                b'a' => Some(IdentityKind::Always),
                b'd' => Some(IdentityKind::ByDefault),
                _ => None,
            },
            generated: match row.letter("attgenerated") {
                b's' => Some(GeneratedKind::Stored),
                b'v' => Some(GeneratedKind::Virtual),
                _ => None,
            },
            missing: row.array("attmissingval").into_iter().next(),
            comment: None,
            statistics: statistics.remove(&(relation, number)),
            storage: Some(row.letter("attstorage"))
                .filter(|letter| *letter != super::encode::type_storage(row.oid("atttypid"))),
            origin: Origin { local: row.flag("attislocal"), inherited: row.integer("attinhcount") as i16 },
            acl: row.acl("attacl"),
        };
        Ok((relation, column))
    })
}

pub(super) fn comments(gathered: &Gathered<'_>) -> HashMap<(Oid, Oid, i64), Arc<str>> {
    let own = gathered.readers(oids::PG_DESCRIPTION).map(|row| {
        ((row.oid("objoid"), row.oid("classoid"), row.integer("objsubid")), row.name("description"))
    });
    let shared = gathered
        .readers(oids::PG_SHDESCRIPTION)
        .map(|row| ((row.oid("objoid"), row.oid("classoid"), 0), row.name("description")));
    own.chain(shared).collect()
}

/// The type of a column. What is not built in is the type of a relation's rows, which may be dropped by now, or of arrays of
/// such rows: users make no other types that columns can have.
fn column_type(oid: Oid, typmod: i32, arrays: &HashSet<Oid>) -> SqlType {
    match type_info(oid) {
        None if arrays.contains(&oid) => SqlType::with_physical(oid, typmod, PhysicalType::Array),
        None if oid >= Oid::FIRST_USER => SqlType::with_physical(oid, typmod, PhysicalType::Record),
        _ => SqlType::new(oid, typmod),
    }
}

fn column_list(row: &RowReader<'_>, arrays: &HashSet<Oid>) -> Result<(Oid, ColumnList)> {
    let relation = row.oid("relid");
    let (numbers, types, typmods) = (row.numbers("attnums"), row.numbers("typids"), row.numbers("typmods"));
    if numbers.len() != types.len() || numbers.len() != typmods.len() {
        return Err(damaged("relation", relation));
    }
    let fields = numbers
        .iter()
        .zip(types.iter().zip(&typmods))
        .map(|(number, (ty, typmod))| Field {
            number: *number as i16,
            ty: column_type(Oid(*ty as u32), *typmod as i32, arrays),
        })
        .collect();
    Ok((relation, ColumnList { version: row.integer("schemaversion") as u16, fields }))
}

fn action(letter: u8) -> ReferentialAction {
    match letter {
        b'r' => ReferentialAction::Restrict,
        b'c' => ReferentialAction::Cascade,
        b'n' => ReferentialAction::SetNull,
        b'd' => ReferentialAction::SetDefault,
        _ => ReferentialAction::NoAction,
    }
}

fn attribute_numbers(numbers: Vec<i64>) -> Vec<i16> {
    numbers.into_iter().map(|number| number as i16).collect()
}

fn constraint(row: &RowReader<'_>) -> Result<(Oid, ConstraintDescriptor)> {
    let oid = row.oid("oid");
    let table = row.oid("conrelid");
    let kind =
        ConstraintKind::from_letter(row.letter("contype")).ok_or_else(|| damaged("constraint", oid))?;
    let foreign = (kind == ConstraintKind::ForeignKey).then(|| ForeignKey {
        table: row.oid("confrelid"),
        columns: attribute_numbers(row.numbers("confkey")),
        on_update: action(row.letter("confupdtype")),
        on_delete: action(row.letter("confdeltype")),
        match_full: row.letter("confmatchtype") == b'f',
        delete_columns: attribute_numbers(row.numbers("confdelsetcols")),
    });
    let constraint = ConstraintDescriptor {
        oid,
        name: row.name("conname"),
        namespace: row.oid("connamespace"),
        table,
        kind,
        columns: attribute_numbers(row.numbers("conkey")),
        index: row.oid("conindid"),
        expression: row.text("conbin"),
        foreign,
        deferrable: row.flag("condeferrable"),
        initially_deferred: row.flag("condeferred"),
        enforced: row.flag("conenforced"),
        validated: row.flag("convalidated"),
        no_inherit: row.flag("connoinherit"),
        origin: Origin { local: row.flag("conislocal"), inherited: row.integer("coninhcount") as i16 },
        parent: row.oid("conparentid"),
        comment: None,
    };
    Ok((table, constraint))
}

fn sequence(row: &RowReader<'_>) -> SequenceDescriptor {
    SequenceDescriptor {
        ty: SqlType::new(row.oid("seqtypid"), -1),
        start: row.integer("seqstart"),
        increment: row.integer("seqincrement"),
        minimum: row.integer("seqmin"),
        maximum: row.integer("seqmax"),
        cache: row.integer("seqcache"),
        cycle: row.flag("seqcycle"),
        owned_by: None,
        identity: false,
    }
}

/// Builds the indexes' descriptors and hangs each on its own relation and on its table.
fn attach_indexes(
    gathered: &Gathered<'_>,
    parts: &Parts,
    relations: &mut HashMap<Oid, RelationDescriptor>,
) -> Result<()> {
    let constraint_of: HashMap<Oid, Oid> = relations
        .values()
        .flat_map(|relation| &relation.constraints)
        .filter(|c| matches!(c.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique))
        .map(|c| (c.index, c.oid))
        .collect();
    let method_of = |row: &RowReader<'_>| {
        let method = row.oid("relam");
        IndexMethod::ALL.into_iter().find(|known| known.oid() == method && *known != IndexMethod::BTree)
    };
    let others: HashMap<Oid, IndexMethod> =
        gathered.readers(oids::PG_CLASS).filter_map(|row| Some((row.oid("oid"), method_of(&row)?))).collect();
    let mut indexes = Vec::new();
    for row in gathered.readers(oids::PG_INDEX) {
        let oid = row.oid("indexrelid");
        let own = relations.get(&oid).ok_or_else(|| damaged("index", oid))?;
        let (file, _, usable_from) = match parts.files.get(&oid).copied() {
            Some(file) => file,
            None if own.kind == RelationKind::PartitionedIndex => (FileId(0), 1, 0),
            None => return Err(damaged("index", oid)),
        };
        let mut index = index(&row, own)?;
        let table = relations.get(&index.table).ok_or_else(|| damaged("index", oid))?;
        for key in &mut index.keys {
            // The index's own columns may tell of a type that the table's had before.
            if let Some(column) = table.column(key.number) {
                key.ty = column.ty;
            }
        }
        index.file = file;
        if let Some(method) = others.get(&oid) {
            index.method = *method;
        }
        index.usable_from = Lsn(usable_from);
        index.constraint = constraint_of.get(&oid).copied();
        indexes.push(Arc::new(index));
    }
    indexes.sort_by_key(|index| index.oid);
    for index in indexes {
        relations.get_mut(&index.oid).expect("found above").index = Some(Arc::clone(&index));
        relations.get_mut(&index.table).expect("found above").indexes.push(index);
    }
    Ok(())
}

fn index(row: &RowReader<'_>, own: &RelationDescriptor) -> Result<IndexDescriptor> {
    let oid = own.oid;
    let columns = attribute_numbers(row.numbers("indkey"));
    let key_count = row.integer("indnkeyatts") as usize;
    let (collations, classes, options) =
        (row.numbers("indcollation"), row.numbers("indclass"), row.numbers("indoption"));
    let texts = row.text("indexprs").unwrap_or_default();
    let mut expressions = split_expressions(&texts).ok_or_else(|| damaged("index", oid))?.into_iter();
    if [collations.len(), classes.len(), options.len()].iter().any(|length| *length != key_count)
        || own.columns.len() != columns.len()
        || columns.len() < key_count
    {
        return Err(damaged("index", oid));
    }
    let mut keys = Vec::with_capacity(key_count);
    for i in 0..key_count {
        let expression = match columns[i] {
            0 => Some(expressions.next().ok_or_else(|| damaged("index", oid))?.into()),
            _ => None,
        };
        keys.push(IndexKey {
            number: columns[i],
            expression,
            ty: own.columns[i].ty,
            collation: Oid(collations[i] as u32),
            operator_class: Oid(classes[i] as u32),
            descending: options[i] & 1 != 0,
            nulls_first: options[i] & 2 != 0,
        });
    }
    Ok(IndexDescriptor {
        oid,
        namespace: own.namespace,
        name: Arc::clone(&own.name),
        table: row.oid("indrelid"),
        owner: own.owner,
        method: IndexMethod::BTree,
        file: FileId(0),
        keys,
        included: columns[key_count..].to_vec(),
        unique: row.flag("indisunique"),
        primary: row.flag("indisprimary"),
        nulls_not_distinct: row.flag("indnullsnotdistinct"),
        clustered: row.flag("indisclustered"),
        immediate: row.flag("indimmediate"),
        predicate: row.text("indpred"),
        valid: row.flag("indisvalid"),
        ready: row.flag("indisready"),
        usable_from: Lsn::ZERO,
        constraint: None,
        column_names: own.columns.iter().map(|column| Arc::clone(&column.name)).collect(),
        page_estimate: own.page_estimate,
        row_estimate: own.row_estimate,
        comment: own.comment.clone(),
        options: own.options.clone(),
    })
}

/// Every stored namespace.
pub fn namespaces(rows: &CatalogRows) -> Vec<Arc<NamespaceDescriptor>> {
    let gathered = Gathered { rows };
    let comments = comments(&gathered);
    gathered
        .readers(oids::PG_NAMESPACE)
        .map(|row| {
            let oid = row.oid("oid");
            // Directories of before there were access lists have none here: everybody may use the namespace.
            let initial = (oid == oids::PUBLIC).then(|| builtin::public_namespace().acl).flatten();
            Arc::new(NamespaceDescriptor {
                oid,
                name: row.name("nspname"),
                owner: row.oid("nspowner"),
                comment: comments.get(&(oid, oids::PG_NAMESPACE, 0)).cloned(),
                acl: row.acl("nspacl").or(initial),
            })
        })
        .collect()
}

/// Every stored role.
pub fn roles(rows: &CatalogRows) -> Vec<Arc<RoleDescriptor>> {
    let gathered = Gathered { rows };
    let comments = comments(&gathered);
    let mut memberships: HashMap<Oid, Vec<Membership>> = HashMap::new();
    for row in gathered.readers(oids::PG_AUTH_MEMBERS) {
        memberships.entry(row.oid("member")).or_default().push(Membership {
            oid: row.oid("oid"),
            role: row.oid("roleid"),
            grantor: row.oid("grantor"),
            admin: row.flag("admin_option"),
            inherit: row.flag("inherit_option"),
            set: row.flag("set_option"),
        });
    }
    gathered
        .readers(oids::PG_AUTHID)
        .map(|row| {
            let oid = row.oid("oid");
            Arc::new(RoleDescriptor {
                oid,
                name: row.name("rolname"),
                superuser: row.flag("rolsuper"),
                inherit: row.flag("rolinherit"),
                create_role: row.flag("rolcreaterole"),
                create_database: row.flag("rolcreatedb"),
                can_login: row.flag("rolcanlogin"),
                replication: row.flag("rolreplication"),
                bypass_rls: row.flag("rolbypassrls"),
                connection_limit: row.integer("rolconnlimit") as i32,
                password: row.text("rolpassword"),
                valid_until: row.value("rolvaliduntil").as_i64(),
                comment: comments.get(&(oid, oids::PG_AUTHID, 0)).cloned(),
                memberships: memberships.remove(&oid).unwrap_or_default(),
            })
        })
        .collect()
}

/// Every stored row of what ALTER DEFAULT PRIVILEGES has laid down.
pub fn default_acls(rows: &CatalogRows) -> Vec<Arc<DefaultAclDescriptor>> {
    let gathered = Gathered { rows };
    gathered
        .readers(oids::PG_DEFAULT_ACL)
        .map(|row| {
            Arc::new(DefaultAclDescriptor {
                oid: row.oid("oid"),
                role: row.oid("defaclrole"),
                namespace: row.oid("defaclnamespace"),
                kind: row.letter("defaclobjtype"),
                acl: row.acl("defaclacl").unwrap_or_default(),
            })
        })
        .collect()
}

/// Every stored database.
pub fn databases(rows: &CatalogRows) -> Vec<Arc<DatabaseDescriptor>> {
    let gathered = Gathered { rows };
    let comments = comments(&gathered);
    gathered
        .readers(oids::PG_DATABASE)
        .map(|row| {
            let oid = row.oid("oid");
            Arc::new(DatabaseDescriptor {
                oid,
                name: row.name("datname"),
                owner: row.oid("datdba"),
                is_template: row.flag("datistemplate"),
                allow_connections: row.flag("datallowconn"),
                connection_limit: row.integer("datconnlimit") as i32,
                comment: comments.get(&(oid, oids::PG_DATABASE, 0)).cloned(),
                acl: row.acl("datacl"),
            })
        })
        .collect()
}
