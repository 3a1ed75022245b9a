//! An immutable picture of one database's catalog.
//!
//! Maps are behind `Arc` and copied when changed: DDL is rare, and every statement takes a picture by cloning one
//! pointer.

use std::collections::HashMap;
use std::sync::Arc;

use ochre_base::Oid;
use ochre_expr::{FunctionRef, functions_named};

use crate::builtin;
use crate::descriptor::{
    ConstraintDescriptor, DatabaseDescriptor, DefaultAclDescriptor, IndexDescriptor, NamespaceDescriptor,
    RelationDescriptor, RoleDescriptor, RoutineDescriptor,
};

/// One change to a catalog. A transaction's changes are applied to its own picture at once, and to the published one,
/// in the same order, when it commits.
#[derive(Debug, Clone)]
pub enum CatalogChange {
    /// A new or changed relation, its indexes' own relations included by separate changes.
    PutRelation(Arc<RelationDescriptor>),
    DropRelation(Oid),
    PutNamespace(Arc<NamespaceDescriptor>),
    DropNamespace(Oid),
    PutRoutine(Arc<RoutineDescriptor>),
    DropRoutine(Oid),
    PutRole(Arc<RoleDescriptor>),
    DropRole(Oid),
    PutDatabase(Arc<DatabaseDescriptor>),
    DropDatabase(Oid),
    PutDefaultAcl(Arc<DefaultAclDescriptor>),
    DropDefaultAcl(Oid),
}

/// A picture of one database's catalog, with the roles and databases that all databases share.
#[derive(Debug, Clone)]
pub struct CatalogSnapshot {
    /// Raised with every change that is published; a plan made under another number is checked again.
    pub version: u64,
    /// The database that this is a picture of.
    pub database: Oid,
    relations: Arc<HashMap<Oid, Arc<RelationDescriptor>>>,
    relation_names: Arc<HashMap<(Oid, Arc<str>), Oid>>,
    /// The relations of row types and of arrays of rows.
    row_types: Arc<HashMap<Oid, Oid>>,
    namespaces: Arc<HashMap<Oid, Arc<NamespaceDescriptor>>>,
    namespace_names: Arc<HashMap<Arc<str>, Oid>>,
    routines: Arc<HashMap<Oid, Arc<RoutineDescriptor>>>,
    /// The user's routines of a name, in the order of their ids.
    routine_names: Arc<HashMap<Box<str>, Vec<Arc<RoutineDescriptor>>>>,
    roles: Arc<HashMap<Oid, Arc<RoleDescriptor>>>,
    databases: Arc<HashMap<Oid, Arc<DatabaseDescriptor>>>,
    default_acls: Arc<HashMap<Oid, Arc<DefaultAclDescriptor>>>,
    /// The foreign keys that refer to a relation, in the order of their ids.
    referencing: Arc<HashMap<Oid, Vec<Arc<ConstraintDescriptor>>>>,
    /// What inherits from a relation, in the order of the ids.
    children: Arc<HashMap<Oid, Vec<Oid>>>,
}

impl CatalogSnapshot {
    /// A catalog that holds just what is built in.
    pub fn new(database: Oid) -> CatalogSnapshot {
        let mut snapshot = CatalogSnapshot {
            version: 0,
            database,
            relations: Arc::default(),
            relation_names: Arc::default(),
            row_types: Arc::default(),
            namespaces: Arc::default(),
            namespace_names: Arc::default(),
            routines: Arc::default(),
            routine_names: Arc::default(),
            roles: Arc::default(),
            databases: Arc::default(),
            default_acls: Arc::default(),
            referencing: Arc::default(),
            children: Arc::default(),
        };
        for namespace in builtin::namespaces() {
            snapshot.apply(&CatalogChange::PutNamespace(namespace));
        }
        for role in builtin::roles() {
            snapshot.apply(&CatalogChange::PutRole(role));
        }
        for relation in builtin::relations() {
            snapshot.apply(&CatalogChange::PutRelation(Arc::clone(relation)));
        }
        snapshot
    }

    /// Applies one change.
    pub fn apply(&mut self, change: &CatalogChange) {
        match change {
            CatalogChange::PutRelation(relation) => {
                self.forget_relation_name(relation.oid);
                self.forget_foreign_keys(relation.oid);
                self.note_foreign_keys(relation);
                self.note_parents(relation.oid, &relation.inheritance.parents);
                Arc::make_mut(&mut self.relation_names)
                    .insert((relation.namespace, Arc::clone(&relation.name)), relation.oid);
                for ty in [relation.row_type, relation.array_type].into_iter().filter(|ty| ty.is_valid()) {
                    if self.row_types.get(&ty) != Some(&relation.oid) {
                        Arc::make_mut(&mut self.row_types).insert(ty, relation.oid);
                    }
                }
                let relation = self.with_its_indexes(relation);
                if let Some(index) = &relation.index {
                    self.attach_index(index);
                }
                Arc::make_mut(&mut self.relations).insert(relation.oid, relation);
            }
            CatalogChange::DropRelation(oid) => {
                self.detach_index(*oid);
                self.forget_relation_name(*oid);
                self.forget_foreign_keys(*oid);
                self.note_parents(*oid, &[]);
                if let Some(old) = Arc::make_mut(&mut self.relations).remove(oid) {
                    let types = Arc::make_mut(&mut self.row_types);
                    types.remove(&old.row_type);
                    types.remove(&old.array_type);
                }
            }
            CatalogChange::PutNamespace(namespace) => {
                self.forget_namespace_name(namespace.oid);
                Arc::make_mut(&mut self.namespace_names).insert(Arc::clone(&namespace.name), namespace.oid);
                Arc::make_mut(&mut self.namespaces).insert(namespace.oid, Arc::clone(namespace));
            }
            CatalogChange::DropNamespace(oid) => {
                self.forget_namespace_name(*oid);
                Arc::make_mut(&mut self.namespaces).remove(oid);
            }
            CatalogChange::PutRoutine(routine) => {
                self.forget_routine_name(routine.oid);
                let names = Arc::make_mut(&mut self.routine_names);
                let list = names.entry(routine.name().into()).or_default();
                list.push(Arc::clone(routine));
                list.sort_by_key(|routine| routine.oid);
                Arc::make_mut(&mut self.routines).insert(routine.oid, Arc::clone(routine));
            }
            CatalogChange::DropRoutine(oid) => {
                self.forget_routine_name(*oid);
                Arc::make_mut(&mut self.routines).remove(oid);
            }
            CatalogChange::PutRole(role) => {
                Arc::make_mut(&mut self.roles).insert(role.oid, Arc::clone(role));
            }
            CatalogChange::DropRole(oid) => {
                Arc::make_mut(&mut self.roles).remove(oid);
            }
            CatalogChange::PutDatabase(database) => {
                Arc::make_mut(&mut self.databases).insert(database.oid, Arc::clone(database));
            }
            CatalogChange::DropDatabase(oid) => {
                Arc::make_mut(&mut self.databases).remove(oid);
            }
            CatalogChange::PutDefaultAcl(default) => {
                Arc::make_mut(&mut self.default_acls).insert(default.oid, Arc::clone(default));
            }
            CatalogChange::DropDefaultAcl(oid) => {
                Arc::make_mut(&mut self.default_acls).remove(oid);
            }
        }
    }

    /// A table's descriptor with the indexes that there are: two transactions may each have made one, or changed one,
    /// without knowing of the other's.
    fn with_its_indexes(&self, relation: &Arc<RelationDescriptor>) -> Arc<RelationDescriptor> {
        let old = self.relations.get(&relation.oid);
        let known = old.map_or(&[][..], |old| &old.indexes[..]);
        let has_indexes = relation.has_indexes || old.is_some_and(|old| old.has_indexes);
        let newest = |index: &Arc<IndexDescriptor>| self.relations.get(&index.oid)?.index.clone();
        let mut indexes: Vec<_> =
            relation.indexes.iter().map(|index| newest(index).unwrap_or_else(|| Arc::clone(index))).collect();
        for index in known {
            if indexes.iter().all(|other| other.oid != index.oid) {
                indexes.extend(newest(index));
            }
        }
        let same = has_indexes == relation.has_indexes
            && indexes.len() == relation.indexes.len()
            && indexes.iter().zip(&relation.indexes).all(|(a, b)| Arc::ptr_eq(a, b));
        if same {
            return Arc::clone(relation);
        }
        indexes.sort_by_key(|index| index.oid);
        Arc::new(RelationDescriptor { indexes, has_indexes, ..(**relation).clone() })
    }

    /// Hangs an index that is new or has changed on its table.
    fn attach_index(&mut self, index: &Arc<IndexDescriptor>) {
        let Some(table) = self.relations.get(&index.table) else { return };
        if table.indexes.iter().any(|known| Arc::ptr_eq(known, index)) {
            return;
        }
        let mut table = (**table).clone();
        table.indexes.retain(|known| known.oid != index.oid);
        table.indexes.push(Arc::clone(index));
        table.indexes.sort_by_key(|index| index.oid);
        Arc::make_mut(&mut self.relations).insert(table.oid, Arc::new(table));
    }

    /// Takes an index that goes from its table.
    fn detach_index(&mut self, oid: Oid) {
        let Some(index) = self.relations.get(&oid).and_then(|relation| relation.index.as_ref()) else {
            return;
        };
        let Some(table) = self.relations.get(&index.table) else { return };
        if table.indexes.iter().all(|known| known.oid != oid) {
            return;
        }
        let mut table = (**table).clone();
        table.indexes.retain(|known| known.oid != oid);
        Arc::make_mut(&mut self.relations).insert(table.oid, Arc::new(table));
    }

    fn forget_relation_name(&mut self, oid: Oid) {
        if let Some(old) = self.relations.get(&oid) {
            let key = (old.namespace, Arc::clone(&old.name));
            // A name may have gone to another relation in between: only the owner's entry is removed.
            if self.relation_names.get(&key) == Some(&oid) {
                Arc::make_mut(&mut self.relation_names).remove(&key);
            }
        }
    }

    /// Removes the foreign keys that a relation has.
    fn forget_foreign_keys(&mut self, oid: Oid) {
        let Some(old) = self.relations.get(&oid) else { return };
        for constraint in &old.constraints {
            let Some(foreign) = &constraint.foreign else { continue };
            let referencing = Arc::make_mut(&mut self.referencing);
            if let Some(list) = referencing.get_mut(&foreign.table) {
                list.retain(|known| known.oid != constraint.oid);
                if list.is_empty() {
                    referencing.remove(&foreign.table);
                }
            }
        }
    }

    fn note_foreign_keys(&mut self, relation: &RelationDescriptor) {
        for constraint in &relation.constraints {
            let Some(foreign) = &constraint.foreign else { continue };
            let list = Arc::make_mut(&mut self.referencing).entry(foreign.table).or_default();
            list.push(Arc::clone(constraint));
            list.sort_by_key(|constraint| constraint.oid);
        }
    }

    /// Notes what a relation inherits from, in place of what it did before.
    fn note_parents(&mut self, oid: Oid, parents: &[Oid]) {
        let known = self.relations.get(&oid).map_or(&[][..], |old| &old.inheritance.parents[..]);
        if known == parents {
            return;
        }
        let known = known.to_vec();
        let children = Arc::make_mut(&mut self.children);
        for parent in known {
            if let Some(list) = children.get_mut(&parent) {
                list.retain(|child| *child != oid);
                if list.is_empty() {
                    children.remove(&parent);
                }
            }
        }
        for parent in parents {
            let list = children.entry(*parent).or_default();
            list.push(oid);
            list.sort_unstable();
        }
    }

    fn forget_namespace_name(&mut self, oid: Oid) {
        if let Some(old) = self.namespaces.get(&oid) {
            let name = Arc::clone(&old.name);
            if self.namespace_names.get(&name) == Some(&oid) {
                Arc::make_mut(&mut self.namespace_names).remove(&name);
            }
        }
    }

    fn forget_routine_name(&mut self, oid: Oid) {
        let Some(old) = self.routines.get(&oid) else { return };
        let names = Arc::make_mut(&mut self.routine_names);
        if let Some(list) = names.get_mut(old.name()) {
            list.retain(|known| known.oid != oid);
            if list.is_empty() {
                names.remove(old.name());
            }
        }
    }

    /// The user's routine with this id.
    pub fn routine(&self, oid: Oid) -> Option<&Arc<RoutineDescriptor>> {
        self.routines.get(&oid)
    }

    /// The functions that a name means in a namespace.
    pub fn functions_in(&self, namespace: Oid, name: &str) -> Vec<FunctionRef> {
        let builtin =
            functions_named(name).iter().filter(|function| builtin::namespace_of(function) == namespace);
        let own = self.routines_named(name).iter().filter(|routine| routine.namespace == namespace);
        let own = own.map(|routine| FunctionRef::User(Arc::clone(&routine.function)));
        builtin.map(|function| FunctionRef::Builtin(function)).chain(own).collect()
    }

    /// The functions that a name means under a search path: one hides those of later namespaces with the same arguments.
    pub fn functions_on_path(&self, path: &[Oid], name: &str) -> Vec<FunctionRef> {
        let mut all: Vec<FunctionRef> = Vec::new();
        for function in path.iter().flat_map(|namespace| self.functions_in(*namespace, name)) {
            if all.iter().all(|known| known.arg_types != function.arg_types) {
                all.push(function);
            }
        }
        all
    }

    /// The user's routines of a name, in all namespaces.
    pub fn routines_named(&self, name: &str) -> &[Arc<RoutineDescriptor>] {
        if self.routine_names.is_empty() {
            return &[];
        }
        self.routine_names.get(name).map_or(&[], Vec::as_slice)
    }

    /// The routine of a namespace with exactly these input arguments.
    pub fn routine_in(&self, namespace: Oid, name: &str, args: &[Oid]) -> Option<&Arc<RoutineDescriptor>> {
        self.routines_named(name)
            .iter()
            .find(|routine| routine.namespace == namespace && *routine.function.arg_types == *args)
    }

    /// All routines of users, in no order.
    pub fn routines(&self) -> impl Iterator<Item = &Arc<RoutineDescriptor>> {
        self.routines.values()
    }

    /// The relation with this id.
    pub fn relation(&self, oid: Oid) -> Option<&Arc<RelationDescriptor>> {
        self.relations.get(&oid)
    }

    /// The relation whose rows, or arrays of rows, are of this type.
    pub fn relation_of_type(&self, oid: Oid) -> Option<&Arc<RelationDescriptor>> {
        self.relations.get(self.row_types.get(&oid)?)
    }

    /// The relation whose rows are of this type.
    pub fn relation_of_row_type(&self, oid: Oid) -> Option<&Arc<RelationDescriptor>> {
        self.relation_of_type(oid).filter(|relation| relation.row_type == oid)
    }

    /// The relation with this name in one namespace.
    pub fn relation_in(&self, namespace: Oid, name: &str) -> Option<&Arc<RelationDescriptor>> {
        let oid = self.relation_names.get(&(namespace, name) as &dyn NameKey)?;
        self.relations.get(oid)
    }

    /// The first relation with this name along a search path of namespaces.
    pub fn find_relation(&self, path: &[Oid], name: &str) -> Option<&Arc<RelationDescriptor>> {
        path.iter().find_map(|namespace| self.relation_in(*namespace, name))
    }

    /// The namespace with this id.
    pub fn namespace(&self, oid: Oid) -> Option<&Arc<NamespaceDescriptor>> {
        self.namespaces.get(&oid)
    }

    /// The namespace with this name.
    pub fn namespace_named(&self, name: &str) -> Option<&Arc<NamespaceDescriptor>> {
        self.namespaces.get(self.namespace_names.get(name)?)
    }

    /// The namespace of temporary relations on a search path.
    pub fn temporary_namespace(&self, path: &[Oid]) -> Option<Oid> {
        let temporary = |oid: &&Oid| {
            self.namespace(**oid).is_some_and(|namespace| namespace.name.starts_with(crate::TEMPORARY_PREFIX))
        };
        path.iter().find(temporary).copied()
    }

    /// The constraint with this id, by a search over all relations.
    pub fn constraint(&self, oid: Oid) -> Option<&Arc<ConstraintDescriptor>> {
        self.constraints().find(|constraint| constraint.oid == oid)
    }

    /// The constraints of all relations.
    pub fn constraints(&self) -> impl Iterator<Item = &Arc<ConstraintDescriptor>> {
        self.relations.values().flat_map(|relation| &relation.constraints)
    }

    /// The foreign keys of any relation that refer to this one, in the order of their ids.
    pub fn referencing(&self, oid: Oid) -> &[Arc<ConstraintDescriptor>] {
        self.referencing.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// Whether a partition has this constraint because its table has one.
    pub fn is_of_partition(&self, constraint: &ConstraintDescriptor) -> bool {
        constraint.parent.is_valid() && self.whole_reference(constraint).is_none()
    }

    /// The foreign key to a partitioned table that this one, to a partition of it, stands for: both are of one table.
    pub fn whole_reference(&self, constraint: &ConstraintDescriptor) -> Option<&Arc<ConstraintDescriptor>> {
        if constraint.foreign.is_none() || !constraint.parent.is_valid() {
            return None;
        }
        let own = &self.relation(constraint.table)?.constraints;
        own.iter().find(|known| known.oid == constraint.parent)
    }

    /// What inherits from a relation, or is a partition of it, in the order of the ids.
    pub fn children(&self, oid: Oid) -> &[Oid] {
        self.children.get(&oid).map_or(&[], Vec::as_slice)
    }

    /// A relation and all that inherits from it, each once: the relation first, then its children, then theirs.
    pub fn descendants(&self, oid: Oid) -> Vec<Oid> {
        let mut all = vec![oid];
        let mut next = 0;
        while next < all.len() {
            for child in self.children(all[next]) {
                if !all.contains(child) {
                    all.push(*child);
                }
            }
            next += 1;
        }
        all
    }

    /// The role with this id.
    pub fn role(&self, oid: Oid) -> Option<&Arc<RoleDescriptor>> {
        self.roles.get(&oid)
    }

    /// The role with this name.
    pub fn role_named(&self, name: &str) -> Option<&Arc<RoleDescriptor>> {
        self.roles.values().find(|role| &*role.name == name)
    }

    /// The database with this id.
    pub fn database(&self, oid: Oid) -> Option<&Arc<DatabaseDescriptor>> {
        self.databases.get(&oid)
    }

    /// The database with this name.
    pub fn database_named(&self, name: &str) -> Option<&Arc<DatabaseDescriptor>> {
        self.databases.values().find(|database| &*database.name == name)
    }

    /// What ALTER DEFAULT PRIVILEGES has laid down, in no order.
    pub fn default_acls(&self) -> impl Iterator<Item = &Arc<DefaultAclDescriptor>> {
        self.default_acls.values()
    }

    /// All relations, in no order.
    pub fn relations(&self) -> impl Iterator<Item = &Arc<RelationDescriptor>> {
        self.relations.values()
    }

    /// All namespaces, in no order.
    pub fn namespaces(&self) -> impl Iterator<Item = &Arc<NamespaceDescriptor>> {
        self.namespaces.values()
    }

    /// All roles, in no order.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<RoleDescriptor>> {
        self.roles.values()
    }

    /// All databases, in no order.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<DatabaseDescriptor>> {
        self.databases.values()
    }
}

/// A (namespace, name) pair, owned or borrowed, so that a look-up allocates nothing.
trait NameKey {
    fn parts(&self) -> (Oid, &str);
}

impl NameKey for (Oid, Arc<str>) {
    fn parts(&self) -> (Oid, &str) {
        (self.0, &self.1)
    }
}

impl NameKey for (Oid, &str) {
    fn parts(&self) -> (Oid, &str) {
        (self.0, self.1)
    }
}

impl std::hash::Hash for dyn NameKey + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn NameKey + '_ {
    fn eq(&self, other: &dyn NameKey) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn NameKey + '_ {}

impl<'a> std::borrow::Borrow<dyn NameKey + 'a> for (Oid, Arc<str>) {
    fn borrow(&self) -> &(dyn NameKey + 'a) {
        self
    }
}
