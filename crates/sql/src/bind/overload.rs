//! Which of several functions or operators with one name a call means: PostgreSQL's rules, in order. An exact match; what
//! the arguments can be converted to; most exact matches; most preferred types; the category that unknown arguments must
//! have; and at last that unknown arguments are of the same type as the known ones.
//!
//! # References
//! PostgreSQL documentation, chapter "Type Conversion".

use ochre_base::Oid;
use ochre_catalog::CatalogSnapshot;
use ochre_expr::{Function, FunctionRef, Operator};
use ochre_types::oids;
use smallvec::SmallVec;

use super::coerce::{CoercionContext, can_coerce, is_preferred};

/// Argument types of one call.
pub(crate) type ArgTypes = SmallVec<[Oid; 4]>;

/// The functions that a name may mean.
#[derive(Debug, Clone)]
pub(crate) enum Overloads {
    Builtin(&'static [&'static Function]),
    /// Those of users too, in the order of the search path.
    Mixed(Vec<FunctionRef>),
}

impl Overloads {
    fn iter(&self) -> impl Iterator<Item = FunctionRef> + '_ {
        let (builtin, mixed) = match self {
            Overloads::Builtin(functions) => (*functions, &[][..]),
            Overloads::Mixed(functions) => (&[][..], functions.as_slice()),
        };
        builtin.iter().map(|function| FunctionRef::Builtin(function)).chain(mixed.iter().cloned())
    }

    /// The first of them.
    pub(crate) fn first(&self) -> Option<FunctionRef> {
        self.iter().next()
    }

    /// Whether one of them is like this.
    pub(crate) fn any(&self, test: impl Fn(&Function) -> bool) -> bool {
        self.iter().any(|function| test(&function))
    }

    /// What is found of the first of them for which anything is.
    pub(crate) fn find_map<T>(&self, find: impl Fn(&Function) -> Option<T>) -> Option<T> {
        self.iter().find_map(|function| find(&function))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first().is_none()
    }
}

/// A function that a call might mean.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// The function.
    pub function: FunctionRef,
    /// The types its parameters have in this call: variadic ones spread, positions in the order of the call's arguments.
    pub types: ArgTypes,
    /// How many arguments at the end are gathered into the variadic array; 0: none.
    pub variadic: usize,
    /// For each parameter of the function the argument that fills it; `None`: its default.
    pub mapping: Option<Vec<Option<usize>>>,
    /// Another function fits as well with its defaults.
    pub ambiguous: bool,
}

/// The outcome of a search.
#[derive(Debug)]
pub(crate) enum Choice<T> {
    /// This one.
    One(T),
    /// Several are equally good.
    Ambiguous,
    /// None fits.
    None,
}

/// Candidates for a call by the number and names of its arguments.
pub(crate) fn candidates(
    functions: &Overloads,
    count: usize,
    names: &[Option<&str>],
    expand_variadic: bool,
) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let named = names.iter().any(Option::is_some);
    for function in functions.iter() {
        let declared = function.arg_types.len();
        if named {
            if let Some(candidate) = named_candidate(&function, count, names) {
                found.push(candidate);
            }
            continue;
        }
        if declared == count {
            let types = function.arg_types.iter().copied().collect();
            found.push(Candidate {
                function: function.clone(),
                types,
                variadic: 0,
                mapping: None,
                ambiguous: false,
            });
        } else if declared > count && declared - count <= function.default_count {
            let types = function.arg_types[..count].iter().copied().collect();
            let mapping = (0..declared).map(|i| (i < count).then_some(i)).collect();
            found.push(Candidate {
                function: function.clone(),
                types,
                variadic: 0,
                mapping: Some(mapping),
                ambiguous: false,
            });
        }
        // VARIADIC "any" takes the arguments as they are; a typed one gathers at least one of them.
        if function.variadic.is_valid() && expand_variadic && count >= declared {
            let fixed = declared - 1;
            if function.variadic == oids::ANY {
                if count > declared {
                    let mut types: ArgTypes = function.arg_types[..fixed].iter().copied().collect();
                    types.extend(std::iter::repeat_n(oids::ANY, count - fixed));
                    found.push(Candidate { function, types, variadic: 0, mapping: None, ambiguous: false });
                }
                continue;
            }
            let mut types: ArgTypes = function.arg_types[..fixed].iter().copied().collect();
            types.extend(std::iter::repeat_n(function.variadic, count - fixed));
            found.push(Candidate {
                function,
                types,
                variadic: count - fixed,
                mapping: None,
                ambiguous: false,
            });
        }
    }
    // The same types with and without spreading, or with and without defaults: the plainer one wins.
    let mut kept: Vec<Candidate> = Vec::with_capacity(found.len());
    for candidate in found {
        let rival = kept.iter().position(|other| other.types == candidate.types);
        match rival {
            Some(i) => {
                // A list of arguments is plainer than a variadic one. Between defaults and none, or other defaults, nothing
                // decides, unless one of the two is built in.
                let same_kind = |a: &FunctionRef, b: &FunctionRef| {
                    matches!((a, b), (FunctionRef::User(_), FunctionRef::User(_)))
                };
                let variadic = |c: &Candidate| c.variadic > 0;
                if variadic(&candidate) == variadic(&kept[i])
                    && candidate.mapping.is_some() | kept[i].mapping.is_some()
                    && same_kind(&candidate.function, &kept[i].function)
                {
                    kept[i].ambiguous = true;
                    continue;
                }
                let plainer = |c: &Candidate| (c.variadic > 0, c.mapping.is_some());
                if plainer(&candidate) < plainer(&kept[i]) {
                    kept[i] = candidate;
                }
            }
            None => kept.push(candidate),
        }
    }
    kept
}

fn named_candidate(function: &FunctionRef, count: usize, names: &[Option<&str>]) -> Option<Candidate> {
    let declared = function.arg_types.len();
    if count > declared || function.arg_names.is_empty() {
        return None;
    }
    // Names of all arguments; those of output arguments do not count.
    let inputs: Vec<&str> = if function.arg_modes.is_empty() {
        function.arg_names.iter().map(|name| &**name).collect()
    } else {
        let is_input = |mode: &ochre_expr::ParameterMode| {
            use ochre_expr::ParameterMode;
            matches!(mode, ParameterMode::In | ParameterMode::InOut | ParameterMode::Variadic)
        };
        let pairs = function.arg_names.iter().zip(function.arg_modes.iter());
        pairs.filter(|(_, mode)| is_input(mode)).map(|(name, _)| &**name).collect()
    };
    let mut mapping: Vec<Option<usize>> = vec![None; declared];
    let mut types = ArgTypes::new();
    for (argument, name) in names.iter().enumerate() {
        let parameter = match name {
            None => argument,
            Some(name) => inputs.iter().position(|input| input == name)?,
        };
        if mapping[parameter].is_some() {
            return None;
        }
        mapping[parameter] = Some(argument);
        types.push(function.arg_types[parameter]);
    }
    let first_default = declared - function.default_count;
    let complete = mapping.iter().enumerate().all(|(i, argument)| argument.is_some() || i >= first_default);
    complete.then(|| Candidate {
        function: function.clone(),
        types,
        variadic: 0,
        mapping: Some(mapping),
        ambiguous: false,
    })
}

/// Chooses among functions by argument types.
pub(crate) fn choose_function(
    catalog: &CatalogSnapshot,
    candidates: Vec<Candidate>,
    actual: &[Oid],
) -> Choice<Candidate> {
    if let Some(exact) = candidates.iter().position(|candidate| candidate.types.as_slice() == actual) {
        let mut candidates = candidates;
        let chosen = candidates.swap_remove(exact);
        return if chosen.ambiguous { Choice::Ambiguous } else { Choice::One(chosen) };
    }
    let mut fitting: Vec<Candidate> = candidates
        .into_iter()
        .filter(|candidate| can_coerce(catalog, actual, &candidate.types, CoercionContext::Implicit))
        .collect();
    match fitting.len() {
        0 => Choice::None,
        1 if fitting[0].ambiguous => Choice::Ambiguous,
        1 => Choice::One(fitting.remove(0)),
        _ => {
            let types: Vec<&[Oid]> = fitting.iter().map(|candidate| candidate.types.as_slice()).collect();
            match select_candidate(catalog, &types, actual) {
                Some(index) if fitting[index].ambiguous => Choice::Ambiguous,
                Some(index) => Choice::One(fitting.swap_remove(index)),
                None => Choice::Ambiguous,
            }
        }
    }
}

/// Chooses among operators with one name; `left` is invalid for a prefix operator.
pub(crate) fn choose_operator(
    catalog: &CatalogSnapshot,
    operators: &[&'static Operator],
    left: Option<Oid>,
    right: Oid,
) -> Choice<&'static Operator> {
    let fits_arity = |operator: &&&'static Operator| operator.is_prefix() == left.is_none();
    // Exact, an unknown operand taken for the other's type.
    let (l, r) = match left {
        Some(l) if l == oids::UNKNOWN && right != oids::UNKNOWN => (Some(right), right),
        Some(l) if right == oids::UNKNOWN && l != oids::UNKNOWN => (Some(l), l),
        other => (other, right),
    };
    let exact = operators.iter().filter(fits_arity).find(|operator| match l {
        Some(l) => operator.left == l && operator.right == r,
        None => operator.right == r,
    });
    if let Some(exact) = exact {
        return Choice::One(exact);
    }
    let actual: ArgTypes = left.into_iter().chain(std::iter::once(right)).collect();
    let mut fitting: Vec<(&'static Operator, ArgTypes)> = Vec::new();
    for operator in operators.iter().filter(fits_arity) {
        let types: ArgTypes = if left.is_some() {
            [operator.left, operator.right].into_iter().collect()
        } else {
            std::iter::once(operator.right).collect()
        };
        if can_coerce(catalog, &actual, &types, CoercionContext::Implicit) {
            fitting.push((operator, types));
        }
    }
    match fitting.len() {
        0 => Choice::None,
        1 => Choice::One(fitting[0].0),
        _ => {
            let types: Vec<&[Oid]> = fitting.iter().map(|(_, types)| types.as_slice()).collect();
            match select_candidate(catalog, &types, &actual) {
                Some(index) => Choice::One(fitting[index].0),
                None => Choice::Ambiguous,
            }
        }
    }
}

/// The best of several candidates that all fit.
fn select_candidate(catalog: &CatalogSnapshot, candidates: &[&[Oid]], actual: &[Oid]) -> Option<usize> {
    let unknowns = actual.iter().filter(|ty| **ty == oids::UNKNOWN).count();
    let known = |i: usize| actual[i] != oids::UNKNOWN;
    let all: Vec<usize> = (0..candidates.len()).collect();

    // Most exact matches on known arguments.
    let exact = |c: usize| (0..actual.len()).filter(|i| known(*i) && candidates[c][*i] == actual[*i]).count();
    let remaining = keep_best(&all, exact);
    if let [only] = remaining.as_slice() {
        return Some(*only);
    }
    // Most exact or preferred types of the argument's category.
    let preferred = |c: usize| {
        let good = |i: &usize| {
            let ty = candidates[c][*i];
            known(*i)
                && (ty == actual[*i]
                    || catalog.type_category(ty) == catalog.type_category(actual[*i]) && is_preferred(ty))
        };
        (0..actual.len()).filter(good).count()
    };
    let mut remaining = keep_best(&remaining, preferred);
    if let [only] = remaining.as_slice() {
        return Some(*only);
    }
    if unknowns == 0 {
        return None;
    }
    if let Some(narrowed) = narrow_by_category(catalog, candidates, actual, &remaining) {
        remaining = narrowed;
        if let [only] = remaining.as_slice() {
            return Some(*only);
        }
    }
    // All known arguments of one type: the unknown ones may be of it too.
    if unknowns < actual.len() {
        let mut types = actual.iter().filter(|ty| **ty != oids::UNKNOWN);
        let first = *types.next()?;
        if types.all(|ty| *ty == first) {
            let assumed: ArgTypes = std::iter::repeat_n(first, actual.len()).collect();
            let mut fitting = remaining
                .iter()
                .filter(|c| can_coerce(catalog, &assumed, candidates[**c], CoercionContext::Implicit));
            if let (Some(only), None) = (fitting.next(), fitting.next()) {
                return Some(*only);
            }
        }
    }
    None
}

fn keep_best(from: &[usize], score: impl Fn(usize) -> usize) -> Vec<usize> {
    let best = from.iter().map(|c| score(*c)).max().unwrap_or(0);
    from.iter().copied().filter(|c| score(*c) == best).collect()
}

/// Decides the category of each unknown argument (string if any candidate takes one) and keeps what fits it.
fn narrow_by_category(
    catalog: &CatalogSnapshot,
    candidates: &[&[Oid]],
    actual: &[Oid],
    remaining: &[usize],
) -> Option<Vec<usize>> {
    let mut slots: Vec<Option<(u8, bool)>> = vec![None; actual.len()];
    for (i, ty) in actual.iter().enumerate() {
        if *ty != oids::UNKNOWN {
            continue;
        }
        let mut slot: Option<(u8, bool)> = None;
        let mut conflict = false;
        for c in remaining {
            let candidate = candidates[*c][i];
            let (kind, preferred) = (catalog.type_category(candidate), is_preferred(candidate));
            match slot {
                None => slot = Some((kind, preferred)),
                Some((known, has_preferred)) if known == kind => {
                    slot = Some((known, has_preferred || preferred))
                }
                Some(_) if kind == b'S' => slot = Some((kind, preferred)),
                Some(_) => conflict = true,
            }
        }
        if conflict && slot.is_none_or(|(kind, _)| kind != b'S') {
            return None;
        }
        slots[i] = slot;
    }
    let fits = |c: &usize| {
        slots.iter().enumerate().all(|(i, slot)| match slot {
            None => true,
            Some((kind, has_preferred)) => {
                let ty = candidates[*c][i];
                catalog.type_category(ty) == *kind && (!*has_preferred || is_preferred(ty))
            }
        })
    };
    let kept: Vec<usize> = remaining.iter().copied().filter(fits).collect();
    (!kept.is_empty()).then_some(kept)
}
