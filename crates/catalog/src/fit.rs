//! What descriptors that belong together are like: what the layers above rely on and do not look at again.
//!
//! # Role
//! Rows of the stored catalogs have right checksums, which says nothing of what they mean. [`crate::stored::relations`] asks
//! of each relation that it has read, and answers XX001; builds with assertions ask of what DDL publishes, so that what is
//! asked for is what there is.
//!
//! # Not done
//! What texts of SQL say (queries, defaults, checks) is found out when they are bound; that a type, an operator class, a
//! collation or a trigger's function is there, when it is used.

use ochre_base::Oid;

use crate::descriptor::{
    ConstraintDescriptor, ConstraintKind, ForeignKey, IndexDescriptor, RelationDescriptor, RelationKind,
    SequenceDescriptor,
};
use crate::partition::{PartitionBound, PartitionStrategy};

/// Finds a relation of the same catalog.
pub type Find<'f, 'r> = &'f dyn Fn(Oid) -> Option<&'r RelationDescriptor>;

type Fit = Result<(), &'static str>;

fn require(holds: bool, misfit: &'static str) -> Fit {
    if holds { Ok(()) } else { Err(misfit) }
}

/// Whether a user's relation is what others rely on.
///
/// # Errors
/// What is wrong.
pub fn check(relation: &RelationDescriptor, find: Find<'_, '_>) -> Fit {
    let kind = relation.kind;
    let without_file = matches!(
        kind,
        RelationKind::View
            | RelationKind::PartitionedTable
            | RelationKind::PartitionedIndex
            | RelationKind::CompositeType
    );
    require(
        relation.file.is_some() != without_file,
        "a file where there is none, or none where there is one",
    )?;
    let has_query = matches!(kind, RelationKind::View | RelationKind::MaterializedView);
    require(!has_query || relation.view_query.is_some(), "a view has no query")?;
    require(
        relation.index.is_some() == kind.is_index(),
        "an index is described nowhere, or what is no index is described as one",
    )?;
    columns(relation)?;
    match (&relation.sequence, kind) {
        (Some(sequence), RelationKind::Sequence) => sequence_of(sequence, find)?,
        (None, RelationKind::Sequence) => return Err("a sequence is described nowhere"),
        (None, _) => {}
        (Some(_), _) => return Err("what is no sequence is described as one"),
    }
    if let Some(index) = &relation.index {
        index_of(index, find)?;
    }
    relation.constraints.iter().try_for_each(|constraint| constraint_of(constraint, relation, find))?;
    inheritance(relation, find)
}

fn is_live(relation: &RelationDescriptor, number: i16) -> bool {
    relation.column(number).is_some_and(|column| !column.dropped)
}

fn are_live(relation: &RelationDescriptor, numbers: &[i16]) -> bool {
    numbers.iter().all(|number| is_live(relation, *number))
}

fn columns(relation: &RelationDescriptor) -> Fit {
    for column in relation.live_columns() {
        require(
            column.generated.is_none() || column.default.is_some(),
            "a generated column has no expression",
        )?;
    }
    if !matches!(relation.kind, RelationKind::Table | RelationKind::MaterializedView) {
        return Ok(());
    }
    let list =
        relation.column_list(relation.schema_version).ok_or("rows are written under no column list")?;
    let known = |number: i16| relation.column(number).is_some();
    require(list.fields.iter().all(|field| known(field.number)), "rows have a field that is no column")
}

fn sequence_of(sequence: &SequenceDescriptor, find: Find<'_, '_>) -> Fit {
    require(
        sequence.increment != 0 && sequence.cache > 0 && sequence.minimum <= sequence.maximum,
        "a sequence goes nowhere",
    )?;
    let Some((table, column)) = sequence.owned_by else { return Ok(()) };
    let owner = find(table).ok_or("the table of a sequence is gone")?;
    require(is_live(owner, column), "the column of a sequence is gone")
}

fn index_of(index: &IndexDescriptor, find: Find<'_, '_>) -> Fit {
    let table = find(index.table).ok_or("the table of an index is gone")?;
    let kind = find(index.oid).ok_or("an index is no relation")?.kind;
    require(
        match kind {
            RelationKind::PartitionedIndex => table.kind == RelationKind::PartitionedTable,
            _ => matches!(table.kind, RelationKind::Table | RelationKind::MaterializedView),
        },
        "an index is of what has none",
    )?;
    require(!index.keys.is_empty(), "an index has no key")?;
    for key in &index.keys {
        let Some(column) = table.column(key.number) else {
            require(
                key.number == 0 && key.expression.is_some(),
                "an index is over a column that is not there",
            )?;
            continue;
        };
        require(!column.dropped, "an index is over a column that was dropped")?;
        require(column.ty.oid == key.ty.oid, "a key of an index has another type than its column")?;
    }
    require(are_live(table, &index.included), "an index includes a column that is not there")
}

fn constraint_of(
    constraint: &ConstraintDescriptor,
    relation: &RelationDescriptor,
    find: Find<'_, '_>,
) -> Fit {
    let columns = &constraint.columns;
    match constraint.kind {
        ConstraintKind::Check => require(constraint.expression.is_some(), "a check has no expression"),
        ConstraintKind::NotNull => {
            require(columns.len() == 1 && are_live(relation, columns), "NOT NULL is said of no column")
        }
        ConstraintKind::PrimaryKey | ConstraintKind::Unique => {
            require(
                !columns.is_empty() && are_live(relation, columns),
                "a key has a column that is not there",
            )?;
            let index = find(constraint.index).and_then(|index| index.index.as_ref());
            let index = index.ok_or("the index of a key is gone")?;
            require(index.table == relation.oid && index.unique, "the index of a key is another table's")
        }
        ConstraintKind::ForeignKey => {
            require(
                !columns.is_empty() && are_live(relation, columns),
                "a foreign key has a column that is not there",
            )?;
            let foreign = constraint.foreign.as_ref().ok_or("a foreign key refers to nothing")?;
            foreign_key(foreign, constraint, find)
        }
    }
}

fn foreign_key(foreign: &ForeignKey, constraint: &ConstraintDescriptor, find: Find<'_, '_>) -> Fit {
    let table = find(foreign.table).ok_or("a foreign key refers to a table that is gone")?;
    require(
        foreign.columns.len() == constraint.columns.len() && are_live(table, &foreign.columns),
        "a foreign key refers to columns that are not there",
    )?;
    require(
        foreign.delete_columns.iter().all(|number| constraint.columns.contains(number)),
        "a foreign key sets columns that are not its own",
    )?;
    let index = find(constraint.index).and_then(|index| index.index.as_ref());
    let index = index.ok_or("the index that a foreign key refers to is gone")?;
    require(
        index.table == foreign.table
            && index.keys.len() == foreign.columns.len()
            && index.keys.iter().all(|key| foreign.columns.contains(&key.number)),
        "the index that a foreign key refers to is over other columns",
    )
}

fn inheritance(relation: &RelationDescriptor, find: Find<'_, '_>) -> Fit {
    let place = &relation.inheritance;
    require(
        place.key.is_some() == (relation.kind == RelationKind::PartitionedTable),
        "a partitioned table has no key, or what is none has one",
    )?;
    if let Some(key) = &place.key {
        let known = |number: i16, expression: bool| match number {
            0 => expression,
            number => is_live(relation, number),
        };
        require(
            !key.columns.is_empty()
                && key.columns.iter().all(|column| known(column.number, column.expression.is_some())),
            "a partition key is over a column that is not there",
        )?;
        let default = key.default;
        require(!default.is_valid() || find(default).is_some(), "the default partition is gone")?;
    }
    for parent in &place.parents {
        let parent = find(*parent).ok_or("a parent is gone")?;
        require(
            parent.kind.is_index() == relation.kind.is_index() && parent.oid != relation.oid,
            "a parent is of another kind",
        )?;
        let handed_down = |column: &crate::ColumnDescriptor| {
            relation.column_named(&column.name).is_some_and(|own| own.ty.oid == column.ty.oid)
        };
        // What is being detached does not follow its table any more.
        let follows = !relation.kind.is_index() && place.detaching.is_none();
        require(!follows || parent.live_columns().all(handed_down), "a column of a parent is not there")?;
    }
    let Some(bound) = &place.bound else { return Ok(()) };
    let [parent] = place.parents[..] else { return Err("a partition has not one parent") };
    let key = find(parent).and_then(|parent| parent.inheritance.key.as_ref());
    let key = key.ok_or("a partition is of no partitioned table")?;
    let columns = key.columns.len();
    require(
        match (&**bound, key.strategy) {
            (PartitionBound::Default, PartitionStrategy::List | PartitionStrategy::Range) => true,
            (PartitionBound::List(values), PartitionStrategy::List) => !values.is_empty(),
            (PartitionBound::Range { lower, upper }, PartitionStrategy::Range) => {
                lower.len() == columns && upper.len() == columns
            }
            (PartitionBound::Hash { modulus, remainder }, PartitionStrategy::Hash) => {
                *modulus > 0 && (0..*modulus).contains(remainder)
            }
            _ => false,
        },
        "a partition's bound is not of its parent's kind",
    )
}
