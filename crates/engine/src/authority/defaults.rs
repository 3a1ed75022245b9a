//! ALTER DEFAULT PRIVILEGES, and the access lists that new objects begin with.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::DefaultAclDescriptor;
use ochre_catalog::authority::{Acl, AclItem, AclKind, Privileges};
use ochre_parser::ast::{AlterDefaultPrivilegesStmt, GrantTarget, ObjectKind};

use super::forbidden;
use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

/// The letter that `pg_default_acl` knows a kind of object by.
fn letter_of(kind: AclKind) -> Option<u8> {
    Some(match kind {
        AclKind::Relation => b'r',
        AclKind::Sequence => b'S',
        AclKind::Function => b'f',
        AclKind::Namespace => b'n',
        _ => return None,
    })
}

/// What two lists allow together.
fn joined(first: &[AclItem], second: &[AclItem]) -> Vec<AclItem> {
    let mut items = first.to_vec();
    for item in second {
        let same = |known: &&mut AclItem| known.grantee == item.grantee && known.grantor == item.grantor;
        match items.iter_mut().find(same) {
            Some(known) => {
                known.privileges = known.privileges.with(item.privileges);
                known.options = known.options.with(item.options);
            }
            None => items.push(*item),
        }
    }
    items
}

/// Whether two lists allow the same.
fn same_list(first: &[AclItem], second: &[AclItem]) -> bool {
    first.len() == second.len() && first.iter().all(|item| second.contains(item))
}

impl Session {
    /// The list of a new object of the acting role; `None` where that is what every such object begins with.
    pub(crate) fn initial_acl(&self, kind: AclKind, namespace: Oid) -> Option<Acl> {
        self.initial_acl_of(self.state.user_oid(), kind, namespace)
    }

    /// The list of a new object of a role.
    pub(crate) fn initial_acl_of(&self, owner: Oid, kind: AclKind, namespace: Oid) -> Option<Acl> {
        let catalog = self.state.catalog();
        let letter = letter_of(kind)?;
        let laid_down = |namespace: Oid| {
            catalog
                .default_acls()
                .find(|known| known.role == owner && known.kind == letter && known.namespace == namespace)
        };
        let everywhere = laid_down(Oid::INVALID);
        let here = laid_down(namespace).filter(|_| namespace.is_valid());
        if everywhere.is_none() && here.is_none() {
            return None;
        }
        let standard = kind.default_list(owner);
        let first = everywhere.map_or_else(|| standard.clone(), |known| known.acl.to_vec());
        let all = joined(&first, here.map_or(&[], |known| &known.acl));
        if same_list(&all, &standard) { None } else { Some(all.into()) }
    }

    pub(crate) fn alter_default_privileges(
        &self,
        statement: &AlterDefaultPrivilegesStmt,
    ) -> Result<CommandTag> {
        let tag = CommandTag::Plain("ALTER DEFAULT PRIVILEGES");
        let GrantTarget::Defaults(object) = &statement.action.target else {
            return Err(Error::internal("default privileges are of a kind of object"));
        };
        let kind = match object {
            ObjectKind::Table => AclKind::Relation,
            ObjectKind::Sequence => AclKind::Sequence,
            ObjectKind::Function | ObjectKind::Procedure | ObjectKind::Routine => AclKind::Function,
            ObjectKind::Schema => AclKind::Namespace,
            other => return Err(Error::unsupported(format!("default privileges on {}", other.as_sql()))),
        };
        let change = self.change_of(&statement.action)?;
        let mut bits = if change.all { kind.all() } else { Privileges::NONE };
        for privilege in &statement.action.privileges {
            let invalid = |message: String| Error::new(SqlState::new("0LP01"), message);
            if !privilege.columns.is_empty() {
                return Err(invalid("default privileges cannot be set for columns".to_owned()));
            }
            let word = privilege.name.to_ascii_uppercase();
            let bit = Privileges::named(&privilege.name).ok_or_else(|| {
                Error::new(
                    SqlState::SYNTAX_ERROR,
                    format!("unrecognized privilege type \"{}\"", privilege.name),
                )
            })?;
            if !kind.all().has(bit) {
                let what = match kind {
                    AclKind::Sequence => "sequence",
                    AclKind::Function => "function",
                    AclKind::Namespace => "schema",
                    _ => "relation",
                };
                return Err(invalid(format!("invalid privilege type {word} for {what}")));
            }
            bits = bits.with(bit);
        }
        let mut roles = Vec::new();
        for role in &statement.roles {
            roles.push(self.role_of(role)?);
        }
        if roles.is_empty() {
            roles.push(self.state.user_oid());
        }
        for role in roles {
            if !self.state.roles().has_role(role) {
                return Err(forbidden("permission denied to change default privileges"));
            }
            if statement.schemas.is_empty() {
                self.change_default(role, Oid::INVALID, kind, bits, &change)?;
            }
            for schema in &statement.schemas {
                if kind == AclKind::Namespace {
                    return Err(Error::new(
                        SqlState::new("0LP01"),
                        "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS",
                    ));
                }
                let catalog = self.state.catalog();
                let namespace =
                    catalog.namespace_named(schema).ok_or_else(|| errors::undefined_schema(schema))?;
                self.change_default(role, namespace.oid, kind, bits, &change)?;
            }
        }
        Ok(tag)
    }

    fn change_default(
        &self,
        role: Oid,
        namespace: Oid,
        kind: AclKind,
        bits: Privileges,
        change: &super::grant::Change,
    ) -> Result<()> {
        let letter = letter_of(kind).unwrap_or(b'r');
        let process = self.state.process_id;
        let name = format!("default {role} {namespace} {letter}");
        let class = ochre_catalog::oids::PG_DEFAULT_ACL;
        self.state.instance.locks().lock_name(&self.txn().waiter(), process, class, &name)?;
        let catalog = self.state.catalog();
        let known = catalog
            .default_acls()
            .find(|known| known.role == role && known.kind == letter && known.namespace == namespace)
            .cloned();
        // For all namespaces the list stands for the whole of what objects begin with; for one, for what comes on top.
        let standard = if namespace.is_valid() { Vec::new() } else { kind.default_list(role) };
        let mut items = known.as_ref().map_or_else(|| standard.clone(), |known| known.acl.to_vec());
        self.update_list(&mut items, role, bits, change)?;
        let transaction = self.txn();
        if same_list(&items, &standard) {
            if let Some(known) = known {
                let mut changes = self.state.catalog.borrow_mut();
                changes.drop_default_acl(&self.state.database, transaction, known.oid)?;
            }
            return Ok(());
        }
        let oid = known.map_or_else(|| self.new_oid(), |known| known.oid);
        let default = DefaultAclDescriptor { oid, role, namespace, kind: letter, acl: items.into() };
        self.state.catalog.borrow_mut().put_default_acl(&self.state.database, transaction, default)
    }
}
