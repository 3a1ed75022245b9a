//! `pg_operator`, `pg_cast` and the operator classes.

use ochre_base::Oid;
use ochre_expr::{CastContext, CastMethod};

use super::Rows;
use crate::oids;
use crate::stored::RowWriter;

/// Estimators of built-in operators, by name.
fn estimator(name: &str) -> Oid {
    ochre_expr::functions_named(name).first().map_or(Oid::INVALID, |function| function.oid)
}

fn method(name: &str) -> Oid {
    Oid(match name {
        "btree" => 403,
        "hash" => 405,
        "gist" => 783,
        "gin" => 2742,
        "spgist" => 4000,
        "brin" => 3580,
        _ => 0,
    })
}

pub(super) fn operators() -> Rows {
    ochre_expr::operators()
        .iter()
        .map(|operator| {
            RowWriter::new(oids::PG_OPERATOR)
                .set("oid", operator.oid)
                .set("oprname", &*operator.name)
                .set("oprnamespace", oids::PG_CATALOG)
                .set("oprowner", oids::BOOTSTRAP_ROLE)
                .set("oprkind", if operator.is_prefix() { b'l' } else { b'b' })
                .set("oprcanmerge", operator.can_merge)
                .set("oprcanhash", operator.can_hash)
                .set("oprleft", operator.left)
                .set("oprright", operator.right)
                .set("oprresult", operator.result)
                .set("oprcom", operator.commutator)
                .set("oprnegate", operator.negator)
                .set("oprcode", operator.function.oid)
                .set("oprrest", estimator(&operator.restrict_estimator))
                .set("oprjoin", estimator(&operator.join_estimator))
                .values()
        })
        .collect()
}

pub(super) fn casts() -> Rows {
    ochre_expr::casts()
        .iter()
        .map(|cast| {
            let (function, how) = match cast.method {
                CastMethod::Function(function) => (function.oid, b'f'),
                CastMethod::Relabel => (Oid::INVALID, b'b'),
                CastMethod::Io => (Oid::INVALID, b'i'),
            };
            let context = match cast.context {
                CastContext::Implicit => b'i',
                CastContext::Assignment => b'a',
                CastContext::Explicit => b'e',
            };
            RowWriter::new(oids::PG_CAST)
                .set("oid", cast.oid)
                .set("castsource", cast.source)
                .set("casttarget", cast.target)
                .set("castfunc", function)
                .set("castcontext", context)
                .set("castmethod", how)
                .values()
        })
        .collect()
}

pub(super) fn classes() -> Rows {
    ochre_expr::operator_classes()
        .iter()
        .map(|class| {
            RowWriter::new(oids::PG_OPCLASS)
                .set("oid", class.oid)
                .set("opcmethod", method(&class.method))
                .set("opcname", &*class.name)
                .set("opcnamespace", oids::PG_CATALOG)
                .set("opcowner", oids::BOOTSTRAP_ROLE)
                .set("opcfamily", class.family)
                .set("opcintype", class.input_type)
                .set("opcdefault", class.is_default)
                .set("opckeytype", class.key_type)
                .values()
        })
        .collect()
}

pub(super) fn families() -> Rows {
    let mut seen = std::collections::HashSet::new();
    ochre_expr::operator_classes()
        .iter()
        .filter(|class| seen.insert(class.family))
        .map(|class| {
            RowWriter::new(oids::PG_OPFAMILY)
                .set("oid", class.family)
                .set("opfmethod", method(&class.method))
                .set("opfname", &*class.family_name)
                .set("opfnamespace", oids::PG_CATALOG)
                .set("opfowner", oids::BOOTSTRAP_ROLE)
                .values()
        })
        .collect()
}

pub(super) fn members() -> Rows {
    ochre_expr::operator_family_members()
        .iter()
        .map(|member| {
            RowWriter::new(oids::PG_AMOP)
                .set("oid", member.oid)
                .set("amopfamily", member.family)
                .set("amoplefttype", member.left)
                .set("amoprighttype", member.right)
                .set("amopstrategy", member.strategy)
                .set("amoppurpose", member.purpose)
                .set("amopopr", member.operator)
                .set("amopmethod", method(&member.method))
                .set("amopsortfamily", member.sort_family)
                .values()
        })
        .collect()
}

pub(super) fn support_functions() -> Rows {
    ochre_expr::operator_family_functions()
        .iter()
        .map(|support| {
            RowWriter::new(oids::PG_AMPROC)
                .set("oid", support.oid)
                .set("amprocfamily", support.family)
                .set("amproclefttype", support.left)
                .set("amprocrighttype", support.right)
                .set("amprocnum", support.number)
                .set("amproc", support.function)
                .values()
        })
        .collect()
}
