//! `has_table_privilege` and its sisters, `pg_has_role`, `aclexplode`, `acldefault`, `makeaclitem`.

use ochre_base::{Error, Oid, Result, SqlState};
use ochre_catalog::authority::{AclItem, AclKind, MembershipUse, Privileges, RoleSet};
use ochre_catalog::stored;
use ochre_catalog::{RelationDescriptor, oids};
use ochre_expr::Function;
use ochre_types::{Datum, ObjectNames, oids as type_oids};

use super::clauses::unknown_role;
use crate::session::context::StatementSession;

/// Privileges that a text asks about, each with whether the grant option is meant; having one is enough.
type Asked = Vec<(Privileges, bool)>;

fn asked(text: &str, kinds: &[AclKind]) -> Result<Asked> {
    let mut list = Asked::new();
    for part in text.split(',') {
        let upper = part.trim().to_ascii_uppercase();
        let (word, option) = match upper.strip_suffix(" WITH GRANT OPTION") {
            Some(word) => (word.to_owned(), true),
            None => (upper, false),
        };
        let found = Privileges::named(&word).filter(|bit| kinds.iter().any(|kind| kind.all().has(*bit)));
        let bit = found.ok_or_else(|| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{}\"", part.trim()),
            )
        })?;
        list.push((bit, option));
    }
    Ok(list)
}

/// The grant options that a role has by some list.
fn has_option(
    roles: &RoleSet,
    acl: Option<&ochre_catalog::authority::Acl>,
    kind: AclKind,
    owner: Oid,
    bit: Privileges,
) -> bool {
    roles.grantable(acl, kind, owner).has(bit)
}

/// Answers one of the functions; their names and the types of what they are called with tell which.
///
/// # Errors
/// 22023 for an unknown privilege; those of names that mean nothing.
pub(crate) fn has_privilege(
    session: &StatementSession<'_>,
    function: &Function,
    args: &[Datum],
) -> Result<Datum> {
    let name: &str = &function.name;
    if name == "pg_has_role" {
        return has_role(session, args);
    }
    let objects = if name == "has_column_privilege" { 2 } else { 1 };
    let catalog = session.catalog();
    let (role, rest) = match args.len() > objects + 1 {
        true => (role_of(session, &args[0])?, &args[1..]),
        false => (Some(session.state.user_oid()), args),
    };
    let text = rest.last().and_then(Datum::as_str).unwrap_or_default();
    let role = role.unwrap_or(Oid::INVALID);
    let roles = session.state.roles_of(role);
    let answer = match name {
        "has_table_privilege" => {
            let relation = relation_of(session, &rest[0])?;
            let list = asked(text, &[AclKind::Relation])?;
            let Some(relation) = relation else { return Ok(Datum::Null) };
            on_relation(session, &roles, &relation, &list)
        }
        "has_sequence_privilege" => {
            let relation = relation_of(session, &rest[0])?;
            let list = asked(text, &[AclKind::Sequence])?;
            let Some(relation) = relation else { return Ok(Datum::Null) };
            if relation.sequence.is_none() {
                let message = format!("\"{}\" is not a sequence", relation.name);
                return match rest[0] {
                    Datum::UInt32(_) => Ok(Datum::Null),
                    _ => Err(Error::new(SqlState::WRONG_OBJECT_TYPE, message)),
                };
            }
            on_relation(session, &roles, &relation, &list)
        }
        "has_column_privilege" => {
            let Some(relation) = relation_of(session, &rest[0])? else { return Ok(Datum::Null) };
            let number = match &rest[1] {
                Datum::Int16(number) => match relation.column(*number).filter(|column| !column.dropped) {
                    Some(column) => column.number,
                    None => return Ok(Datum::Null),
                },
                name => {
                    let name = name.as_str().unwrap_or_default();
                    let column = relation.column_named(name);
                    column.ok_or_else(|| crate::errors::undefined_column(name, &relation.name))?.number
                }
            };
            let list = asked(text, &[AclKind::Column])?;
            on_relation(session, &roles, &relation, &list)
                || list.iter().any(|(bit, option)| on_column(&roles, &relation, number, *bit, *option))
        }
        "has_any_column_privilege" => {
            let relation = relation_of(session, &rest[0])?;
            let list = asked(text, &[AclKind::Column])?;
            let Some(relation) = relation else { return Ok(Datum::Null) };
            let on_any = |(bit, option): &(Privileges, bool)| {
                relation
                    .live_columns()
                    .any(|column| on_column(&roles, &relation, column.number, *bit, *option))
            };
            on_relation(session, &roles, &relation, &list) || list.iter().any(on_any)
        }
        "has_schema_privilege" => {
            let found = match &rest[0] {
                Datum::UInt32(oid) => catalog.namespace(Oid(*oid)),
                name => {
                    let name = name.as_str().unwrap_or_default();
                    let found = catalog.namespace_named(name);
                    Some(found.ok_or_else(|| crate::errors::undefined_schema(name))?)
                }
            };
            let list = asked(text, &[AclKind::Namespace])?;
            let Some(namespace) = found else { return Ok(Datum::Null) };
            list.iter().any(|(bit, option)| match option {
                true => has_option(&roles, namespace.acl.as_ref(), AclKind::Namespace, namespace.owner, *bit),
                false => {
                    session.state.temporary_namespace() == Some(namespace.oid)
                        || catalog.namespace_privileges(&roles, namespace.oid, *bit).has(*bit)
                }
            })
        }
        "has_database_privilege" => {
            let found = match &rest[0] {
                Datum::UInt32(oid) => catalog.database(Oid(*oid)),
                name => {
                    let name = name.as_str().unwrap_or_default();
                    let found = catalog.database_named(name);
                    Some(found.ok_or_else(|| crate::errors::undefined_database(name))?)
                }
            };
            let list = asked(text, &[AclKind::Database])?;
            let Some(database) = found else { return Ok(Datum::Null) };
            on_list(&roles, database.acl.as_ref(), AclKind::Database, database.owner, &list)
        }
        "has_function_privilege" => {
            let oid = object_of(session, &rest[0], type_oids::REGPROCEDURE)?;
            let list = asked(text, &[AclKind::Function])?;
            match catalog.routine(oid) {
                Some(routine) => {
                    on_list(&roles, routine.acl.as_ref(), AclKind::Function, routine.owner, &list)
                }
                None if ochre_expr::function(oid).is_some() => {
                    on_list(&roles, None, AclKind::Function, oids::BOOTSTRAP_ROLE, &list)
                }
                None => return Ok(Datum::Null),
            }
        }
        "has_language_privilege" => {
            let list = asked(text, &[AclKind::Language])?;
            on_list(&roles, None, AclKind::Language, oids::BOOTSTRAP_ROLE, &list)
        }
        "has_type_privilege" => {
            let oid = object_of(session, &rest[0], type_oids::REGTYPE)?;
            let list = asked(text, &[AclKind::Type])?;
            let own = catalog.relation_of_type(oid).map(|relation| relation.owner);
            on_list(&roles, None, AclKind::Type, own.unwrap_or(oids::BOOTSTRAP_ROLE), &list)
        }
        "has_tablespace_privilege" => {
            let list = asked(text, &[AclKind::Tablespace])?;
            on_list(&roles, None, AclKind::Tablespace, oids::BOOTSTRAP_ROLE, &list)
        }
        _ => return Err(Error::unsupported(format!("function {name}"))),
    };
    Ok(Datum::Bool(answer))
}

/// The object that an argument names, by its oid or as values of `reg_type` do.
fn object_of(session: &StatementSession<'_>, argument: &Datum, reg_type: Oid) -> Result<Oid> {
    match argument {
        Datum::UInt32(oid) => Ok(Oid(*oid)),
        name => session.state.catalog_names().parse(reg_type, name.as_str().unwrap_or_default()),
    }
}

fn on_list(
    roles: &RoleSet,
    acl: Option<&ochre_catalog::authority::Acl>,
    kind: AclKind,
    owner: Oid,
    list: &Asked,
) -> bool {
    list.iter().any(|(bit, option)| match option {
        true => has_option(roles, acl, kind, owner, *bit),
        false => roles.allowed(acl, kind, owner, *bit).has(*bit),
    })
}

fn on_relation(
    session: &StatementSession<'_>,
    roles: &RoleSet,
    relation: &RelationDescriptor,
    list: &Asked,
) -> bool {
    let catalog = session.catalog();
    let kind = if relation.sequence.is_some() { AclKind::Sequence } else { AclKind::Relation };
    list.iter().any(|(bit, option)| match option {
        true => has_option(roles, relation.acl.as_ref(), kind, relation.owner, *bit),
        false => catalog.relation_privileges(roles, relation, *bit).has(*bit),
    })
}

fn on_column(
    roles: &RoleSet,
    relation: &RelationDescriptor,
    number: i16,
    bit: Privileges,
    option: bool,
) -> bool {
    let acl = relation.column(number).and_then(|column| column.acl.as_ref());
    match option {
        true => acl.is_some() && has_option(roles, acl, AclKind::Column, relation.owner, bit),
        false => roles.allowed(acl, AclKind::Column, relation.owner, bit).has(bit),
    }
}

/// A role by name or id; `None` for PUBLIC.
fn role_of(session: &StatementSession<'_>, value: &Datum) -> Result<Option<Oid>> {
    match value {
        Datum::UInt32(oid) => Ok(Some(Oid(*oid))),
        name => {
            let name = name.as_str().unwrap_or_default();
            if name == "public" {
                return Ok(None);
            }
            Ok(Some(session.catalog().role_named(name).ok_or_else(|| unknown_role(name))?.oid))
        }
    }
}

/// A relation by name or id; `None` for an id that is none's.
fn relation_of(
    session: &StatementSession<'_>,
    value: &Datum,
) -> Result<Option<std::sync::Arc<RelationDescriptor>>> {
    match value {
        Datum::UInt32(oid) => Ok(session.catalog().relation(Oid(*oid)).cloned()),
        name => {
            let name = name.as_str().unwrap_or_default();
            let parts = crate::session::split_dotted(name);
            let found = session.state.find_by_parts(&parts)?;
            Ok(Some(found.ok_or_else(|| crate::errors::undefined_table(name))?))
        }
    }
}

fn has_role(session: &StatementSession<'_>, args: &[Datum]) -> Result<Datum> {
    let catalog = session.catalog();
    let (role, rest) = match args.len() {
        3 => (role_of(session, &args[0])?, &args[1..]),
        _ => (Some(session.state.user_oid()), args),
    };
    let (Some(role), Some(of)) = (role, role_of(session, &rest[0])?) else {
        return Err(unknown_role("public"));
    };
    let text = rest[1].as_str().unwrap_or_default();
    let mut answer = false;
    for part in text.split(',') {
        let upper = part.trim().to_ascii_uppercase();
        answer |= match upper.as_str() {
            "MEMBER" => catalog.is_member(role, of, MembershipUse::Member),
            "USAGE" => catalog.is_member(role, of, MembershipUse::Inherit),
            "SET" => catalog.is_member(role, of, MembershipUse::Set),
            "MEMBER WITH ADMIN OPTION"
            | "MEMBER WITH GRANT OPTION"
            | "USAGE WITH ADMIN OPTION"
            | "USAGE WITH GRANT OPTION"
            | "SET WITH ADMIN OPTION"
            | "SET WITH GRANT OPTION" => catalog.is_admin(role, of),
            _ => {
                return Err(Error::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized privilege type: \"{}\"", part.trim()),
                ));
            }
        };
    }
    Ok(Datum::Bool(answer))
}

/// The rows of `aclexplode`.
pub(crate) fn explode(args: &[Datum]) -> Vec<Vec<Datum>> {
    let Some(Datum::Array(list)) = args.first() else { return Vec::new() };
    let items = list.elements.iter().filter_map(|item| AclItem::from_bytes(item.as_bytes()?));
    let row = |item: AclItem, bit: Privileges, word: &str| {
        vec![
            Datum::UInt32(item.grantor.0),
            Datum::UInt32(item.grantee.0),
            Datum::text(word),
            Datum::Bool(item.options.has(bit)),
        ]
    };
    items.flat_map(|item| item.privileges.words().map(move |(bit, word)| row(item, bit, word))).collect()
}

/// `acldefault`.
///
/// # Errors
/// XX000 for a letter that is no kind's.
pub(crate) fn acl_default(args: &[Datum]) -> Result<Datum> {
    let letter = if let Some(Datum::Char(letter)) = args.first() { *letter } else { 0 };
    let kind = AclKind::from_letter(letter).ok_or_else(|| {
        Error::internal(format!("unrecognized object type abbreviation: {}", char::from(letter)))
    })?;
    let owner = Oid(args.get(1).and_then(Datum::as_i64).unwrap_or(0) as u32);
    Ok(stored::acl_datum(&kind.default_list(owner)))
}

/// `makeaclitem`.
///
/// # Errors
/// 22023 for an unknown privilege.
pub(crate) fn make_item(args: &[Datum]) -> Result<Datum> {
    let role = |place: usize| Oid(args.get(place).and_then(Datum::as_i64).unwrap_or(0) as u32);
    let mut privileges = Privileges::NONE;
    for part in args.get(2).and_then(Datum::as_str).unwrap_or_default().split(',') {
        let bit = Privileges::named(part.trim()).ok_or_else(|| {
            Error::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{}\"", part.trim()),
            )
        })?;
        privileges = privileges.with(bit);
    }
    let options = if args.get(3) == Some(&Datum::Bool(true)) { privileges } else { Privileges::NONE };
    let item = AclItem { grantee: role(0), grantor: role(1), privileges, options };
    Ok(Datum::Bytes(item.to_bytes().as_slice().into()))
}
