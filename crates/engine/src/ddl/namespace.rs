//! CREATE SCHEMA and its changes. DROP stands with the other drops.

use ochre_base::{Error, Oid, Result, Severity, SqlState};
use ochre_catalog::NamespaceDescriptor;
use ochre_catalog::authority::{AclKind, Privileges};
use ochre_parser::ast::CreateSchemaStmt;

use crate::errors;
use crate::session::Session;
use crate::tag::CommandTag;

impl Session {
    pub(crate) fn create_schema(&self, statement: &CreateSchemaStmt) -> Result<CommandTag> {
        let tag = CommandTag::Plain("CREATE SCHEMA");
        if !statement.elements.is_empty() {
            return Err(Error::unsupported("elements in CREATE SCHEMA"));
        }
        let owner = match &statement.authorization {
            Some(role) => self.role_of(role)?,
            None => self.state.user_oid(),
        };
        let name = match &statement.name {
            Some(name) => name.to_string(),
            None => self.state.catalog().role(owner).map(|role| role.name.to_string()).unwrap_or_default(),
        };
        self.require_database(Privileges::CREATE)?;
        self.require_may_become(owner)?;
        refuse_reserved(&name)?;
        self.lock_schema_name(&name)?;
        if self.state.catalog().namespace_named(&name).is_some() {
            let message = format!("schema \"{name}\" already exists");
            if !statement.if_not_exists {
                return Err(Error::new(SqlState::DUPLICATE_SCHEMA, message));
            }
            self.state.notice(Error::with_severity(
                Severity::Notice,
                SqlState::DUPLICATE_SCHEMA,
                format!("{message}, skipping"),
            ));
            return Ok(tag);
        }
        let acl = self.initial_acl_of(owner, AclKind::Namespace, Oid::INVALID);
        let namespace =
            NamespaceDescriptor { oid: self.new_oid(), name: name.into(), owner, comment: None, acl };
        self.put_namespace(namespace)?;
        Ok(tag)
    }

    fn lock_schema_name(&self, name: &str) -> Result<()> {
        let process = self.state.process_id;
        self.state.instance.locks().lock_name(&self.txn().waiter(), process, ochre_base::Oid::INVALID, name)
    }

    pub(crate) fn put_namespace(&self, namespace: NamespaceDescriptor) -> Result<()> {
        let transaction = self.transaction.as_ref().expect("N1: a statement runs in a transaction");
        self.state.catalog.borrow_mut().put_namespace(&self.state.database, transaction, namespace)
    }

    pub(crate) fn rename_schema(&self, old: &str, new: &str) -> Result<CommandTag> {
        refuse_reserved(new)?;
        self.lock_schema_name(new)?;
        let catalog = self.state.catalog();
        let namespace = catalog.namespace_named(old).ok_or_else(|| errors::undefined_schema(old))?;
        if catalog.namespace_named(new).is_some() {
            return Err(Error::new(SqlState::DUPLICATE_SCHEMA, format!("schema \"{new}\" already exists")));
        }
        self.require_owner_of_namespace(namespace)?;
        self.require_database(Privileges::CREATE)?;
        if ochre_catalog::builtin::namespaces().iter().any(|builtin| builtin.oid == namespace.oid) {
            return Err(Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied to rename schema \"{old}\""),
            ));
        }
        let mut namespace = (**namespace).clone();
        namespace.name = new.into();
        self.put_namespace(namespace)?;
        Ok(CommandTag::Plain("ALTER SCHEMA"))
    }

    /// A namespace's name.
    pub(crate) fn namespace_name(&self, oid: ochre_base::Oid) -> String {
        self.state.catalog().namespace(oid).map(|namespace| namespace.name.to_string()).unwrap_or_default()
    }
}

fn refuse_reserved(name: &str) -> Result<()> {
    if name.starts_with("pg_") {
        return Err(Error::new(SqlState::RESERVED_NAME, format!("unacceptable schema name \"{name}\""))
            .detail("The prefix \"pg_\" is reserved for system schemas."));
    }
    Ok(())
}
