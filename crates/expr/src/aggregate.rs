//! Aggregates: what the planner knows of them, and the states that the executor keeps.

use std::any::{Any, TypeId};
use std::ops::Deref;
use std::sync::Arc;

use ochre_base::{Error, Oid, Result};
use ochre_types::{Column, Datum, Selection, SqlType};

use crate::{EvalContext, FunctionRef};

/// One row of `pg_aggregate` with its function.
#[derive(Debug)]
pub struct Aggregate {
    pub function: FunctionRef,
    pub kind: AggregateKind,
    /// Direct arguments of an ordered-set or hypothetical-set aggregate.
    pub direct_arg_count: usize,
    /// For min and max: the operator that sorts the wanted value first, otherwise invalid.
    pub sort_operator: Oid,
    /// The remaining facts of `pg_aggregate`, by column: transfn, finalfn, combinefn, serialfn, deserialfn, mtransfn,
    /// minvtransfn, mfinalfn, transtype, mtranstype.
    pub support_functions: [Oid; 8],
    pub transition_type: Oid,
    pub moving_transition_type: Oid,
    pub transition_space: i32,
    pub moving_transition_space: i32,
    /// finalextra, mfinalextra.
    pub final_extra: [bool; 2],
    /// finalmodify, mfinalmodify: `r`, `s` or `w`.
    pub final_modify: [u8; 2],
    /// The initial transition values' texts.
    pub initial: [Option<Box<str>>; 2],
    /// Of a user's aggregate in a statement: the functions that it is.
    pub called: Option<CalledAggregate>,
}

/// A user's aggregate with its functions, for arguments of certain types.
#[derive(Debug, Clone, PartialEq)]
pub struct CalledAggregate {
    pub transition: FunctionRef,
    /// The state's type.
    pub state: SqlType,
    /// The state before the first row.
    pub initial: Datum,
    pub finish: Option<FunctionRef>,
}

/// An aggregate as statements hold it.
#[derive(Debug, Clone)]
pub enum AggregateRef {
    Builtin(&'static Aggregate),
    User(Arc<Aggregate>),
}

impl Deref for AggregateRef {
    type Target = Aggregate;

    fn deref(&self) -> &Aggregate {
        match self {
            AggregateRef::Builtin(aggregate) => aggregate,
            AggregateRef::User(aggregate) => aggregate,
        }
    }
}

impl PartialEq for AggregateRef {
    fn eq(&self, other: &AggregateRef) -> bool {
        self.function.oid == other.function.oid && self.called == other.called
    }
}

/// `aggkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AggregateKind {
    Normal,
    OrderedSet,
    HypotheticalSet,
}

/// Which group each row of a batch belongs to.
#[derive(Debug, Clone, Copy)]
pub enum Groups<'a> {
    /// Every selected row belongs to this group.
    One(u32),
    /// Row `i` of the batch belongs to group `groups[i]`; as long as the batch, unselected positions are not read.
    Each(&'a [u32]),
}

/// The states of one aggregate for all groups of an operator. Group numbers start at 0 and have no gaps.
pub trait AggregateState: Send + Any {
    /// Makes sure that groups `0..groups` exist; new ones are in their initial state.
    fn grow(&mut self, groups: usize);

    /// Adds the selected rows. `args` are the evaluated arguments, each as long as the batch (or constant), none for
    /// `count(*)`; `rows` is the batch's length. Groups must exist.
    fn update(
        &mut self,
        groups: Groups<'_>,
        args: &[Arc<Column>],
        rows: usize,
        selection: Option<&Selection>,
        ctx: &EvalContext<'_>,
    ) -> Result<()>;

    /// Adds another state of the same aggregate: its group `g` becomes group `mapping[g]` here.
    fn merge(&mut self, other: Box<dyn AggregateState>, mapping: &[u32]) -> Result<()>;

    /// The results, one row a group, in the order of the groups. The state is spent.
    fn finish(&mut self, ctx: &EvalContext<'_>) -> Result<Column>;

    /// Takes a group's direct arguments, those before WITHIN GROUP; to be called before `finish`.
    ///
    /// # Errors
    /// 22003 for a fraction outside [0, 1].
    fn answer_for(&mut self, _group: u32, _direct: &[Datum]) -> Result<()> {
        Ok(())
    }

    /// The result of one group as it is now, without spending it: for running window frames.
    fn value(&self, group: u32, ctx: &EvalContext<'_>) -> Result<Datum>;

    /// Puts a group back into its initial state.
    fn reset(&mut self, group: u32);

    /// Bytes of memory held, approximately.
    fn memory_bytes(&self) -> usize;

    /// Tells how rows are added: of states that tell the same, one that was given the rows may answer for another one that
    /// would have been given the same arguments.
    fn transition(&self) -> Option<TypeId> {
        None
    }

    /// What is known of the groups, for [`AggregateState::adopt`].
    fn groups(&self) -> Option<&dyn Any> {
        None
    }

    /// Takes over what another state with the same transition knows of its groups.
    ///
    /// # Errors
    /// XX000 when its transition is another one.
    fn adopt(&mut self, _other: &dyn AggregateState) -> Result<()> {
        Err(Error::internal("an aggregate's state cannot be shared"))
    }

    /// For `merge` to get at the concrete type.
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl Aggregate {
    /// Whether states can be joined (`aggcombinefn`).
    pub fn has_combine(&self) -> bool {
        self.called.is_none() && self.support_functions[2].is_valid()
    }

    /// A state without groups for arguments of these types.
    ///
    /// # Errors
    /// 0A000 when the aggregate is not implemented for them.
    pub fn create(&self, arg_types: &[SqlType], result: SqlType) -> Result<Box<dyn AggregateState>> {
        crate::aggregates::create(self, arg_types, result)
    }

    /// As [`Aggregate::create`] for an ordered-set aggregate. Rows must come in the order of WITHIN GROUP; states cannot
    /// be merged.
    ///
    /// # Errors
    /// 0A000 when the aggregate is not implemented.
    pub fn create_ordered_set(
        &self,
        arg_types: &[SqlType],
        result: SqlType,
    ) -> Result<Box<dyn AggregateState>> {
        crate::aggregates::create_ordered_set(self, arg_types, result)
    }

    /// Whether [`Aggregate::create`] knows the aggregate for these types.
    pub fn is_implemented(&self, arg_types: &[SqlType], result: SqlType) -> bool {
        crate::aggregates::is_implemented(self, arg_types, result)
    }
}
