//! PL/pgSQL: the interpreter of the trees that `ochre_plpgsql` makes.
//!
//! # Role
//! [`PlCode`] is a routine's tree with what was prepared of its pieces of SQL; [`run::Run`] is one call of it.
//!
//! # Invariants
//! - V1: scopes are entered and left like the blocks of the text, so a name at one place of the text has the same slot in
//!   every call. What is prepared of a piece refers to variables by slot.
//! - V2: what was prepared with a record of one shape is made anew for another ([`piece`]).
//!
//! # Not done
//! Cursors that outlive the call or that SQL's FETCH and WHERE CURRENT OF can name; a cursor's rows are computed when it is
//! opened, those of a loop whose body may end the transaction when the loop begins.

mod assign;
mod check;
mod conditions;
mod cursor;
mod declare;
mod frame;
mod loops;
mod piece;
mod raise;
mod result;
mod run;
mod statement;
mod value;
mod variables;

use std::sync::Arc;

use hashbrown::HashMap;
use ochre_base::{Error, Result, SqlState};
use ochre_expr::{Expr, Function};
use ochre_plpgsql::ast::Body;
use ochre_types::{Datum, SqlType};
use parking_lot::Mutex;

use super::{Host, Invocation, with_context};
use crate::session::Session;
use piece::Piece;
use run::Run;
use variables::Shape;

pub(crate) use frame::TriggerCall;

/// A declaration's type with the catalog it was looked up in.
type KnownType = (u64, SqlType, Option<Shape>);

/// A conversion over `$1`, where one is needed.
type KnownCast = Arc<Option<Expr>>;

/// A routine in PL/pgSQL, ready to run.
pub(crate) struct PlCode {
    body: Body,
    /// What was prepared, by the address of the piece in the tree, which never moves, and for queries of cursors by where
    /// their arguments are.
    pieces: Mutex<HashMap<(usize, usize), Arc<Piece>>>,
    /// Types of declarations, by address, with the catalog they were looked up in.
    types: Mutex<HashMap<usize, KnownType>>,
    /// Conversions of assignments, by the types' ids and modifiers.
    casts: Mutex<HashMap<(SqlType, SqlType), KnownCast>>,
}

impl PlCode {
    /// Parses a function's body and looks it through.
    ///
    /// # Errors
    /// 42601 and what else the text is wrong with.
    pub(crate) fn new(session: &Session, function: &Function) -> Result<PlCode> {
        PlCode::parse(session, function).map_err(|error| compilation(function, error))
    }

    fn parse(session: &Session, function: &Function) -> Result<PlCode> {
        let body = ochre_plpgsql::parse(&function.source)?;
        if function.return_type == ochre_types::oids::TRIGGER && !function.arg_types.is_empty() {
            let error = Error::new(
                SqlState::INVALID_FUNCTION_DEFINITION,
                "trigger functions cannot have declared arguments",
            );
            return Err(error
                .hint("The arguments of the trigger can be accessed through TG_NARGS and TG_ARGV instead."));
        }
        check::check(session, function, &body)?;
        Ok(PlCode { body, pieces: Mutex::default(), types: Mutex::default(), casts: Mutex::default() })
    }

    /// Runs a function for its value.
    pub(crate) fn value(&self, host: Host<'_>, invocation: &Invocation<'_>, args: &[Datum]) -> Result<Datum> {
        Run::new(self, host, invocation).value(args)
    }

    /// Runs a function for its rows.
    pub(crate) fn rows(
        &self,
        host: Host<'_>,
        invocation: &Invocation<'_>,
        args: &[Datum],
    ) -> Result<Vec<Vec<Datum>>> {
        Run::new(self, host, invocation).rows(args)
    }

    /// Runs a trigger function: the row it returns, `None` for NULL.
    pub(crate) fn trigger(
        &self,
        host: Host<'_>,
        invocation: &Invocation<'_>,
        call: &TriggerCall<'_>,
    ) -> Result<Option<Arc<[Datum]>>> {
        Run::new(self, host, invocation).fire(call)
    }
}

/// An error of a body's text.
fn compilation(function: &Function, error: Error) -> Error {
    with_context(error, format!("compilation of PL/pgSQL function \"{}\" near line 1", function.name))
}
