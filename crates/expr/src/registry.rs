//! The tables of built-in functions, operators, casts, aggregates and operator classes, and lookups in them.
//!
//! The facts are PostgreSQL's, recorded in `data/*.tsv` by `tools/dump-facts.sh`. They are read once, on first use.
//! Functions are tied to their implementations by PostgreSQL's internal name (`int4pl`), those in SQL by name and
//! argument types.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use ochre_base::Oid;
use ochre_types::{Datum, oids, type_info};

use crate::function::{Function, FunctionKind, Implementation, Language, ParameterMode, Volatility};
use crate::functions::Implementations;
use crate::{
    Aggregate, AggregateKind, CastContext, CastInfo, CastMethod, Operator, OperatorClass,
    OperatorClassMember, OperatorFamilyFunction, errors,
};

/// The five searches that a B-tree answers, by their strategy numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Strategy {
    Less = 1,
    LessOrEqual = 2,
    Equal = 3,
    GreaterOrEqual = 4,
    Greater = 5,
}

/// The operators that order a type.
#[derive(Debug, Clone, Copy)]
pub struct BtreeComparison {
    pub class: &'static OperatorClass,
    pub less: &'static Operator,
    pub less_or_equal: &'static Operator,
    pub equal: &'static Operator,
    pub greater_or_equal: &'static Operator,
    pub greater: &'static Operator,
}

static FUNCTIONS: LazyLock<Vec<Function>> = LazyLock::new(|| {
    let implementations = Implementations::all();
    rows(include_str!("../data/pg_proc.tsv")).map(|row| parse_function(&row, &implementations)).collect()
});

static FUNCTIONS_BY_NAME: LazyLock<HashMap<&'static str, Vec<&'static Function>>> = LazyLock::new(|| {
    let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
    FUNCTIONS.iter().for_each(|function| by_name.entry(&*function.name).or_default().push(function));
    by_name
});

static FUNCTIONS_BY_OID: LazyLock<HashMap<Oid, &'static Function>> =
    LazyLock::new(|| FUNCTIONS.iter().map(|function| (function.oid, function)).collect());

static OPERATORS: LazyLock<Vec<Operator>> =
    LazyLock::new(|| rows(include_str!("../data/pg_operator.tsv")).map(|row| parse_operator(&row)).collect());

static OPERATORS_BY_NAME: LazyLock<HashMap<&'static str, Vec<&'static Operator>>> = LazyLock::new(|| {
    let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
    OPERATORS.iter().for_each(|operator| by_name.entry(&*operator.name).or_default().push(operator));
    by_name
});

static OPERATORS_BY_OID: LazyLock<HashMap<Oid, &'static Operator>> =
    LazyLock::new(|| OPERATORS.iter().map(|operator| (operator.oid, operator)).collect());

static OPERATORS_BY_FUNCTION: LazyLock<HashMap<Oid, &'static Operator>> =
    LazyLock::new(|| OPERATORS.iter().rev().map(|operator| (operator.function.oid, operator)).collect());

static CASTS: LazyLock<Vec<CastInfo>> =
    LazyLock::new(|| rows(include_str!("../data/pg_cast.tsv")).map(|row| parse_cast(&row)).collect());

static CASTS_BY_TYPES: LazyLock<HashMap<(Oid, Oid), &'static CastInfo>> =
    LazyLock::new(|| CASTS.iter().map(|cast| ((cast.source, cast.target), cast)).collect());

static AGGREGATES: LazyLock<Vec<Aggregate>> = LazyLock::new(|| {
    rows(include_str!("../data/pg_aggregate.tsv")).map(|row| parse_aggregate(&row)).collect()
});

static AGGREGATES_BY_FUNCTION: LazyLock<HashMap<Oid, &'static Aggregate>> =
    LazyLock::new(|| AGGREGATES.iter().map(|aggregate| (aggregate.function.oid, aggregate)).collect());

static CLASSES: LazyLock<Vec<OperatorClass>> =
    LazyLock::new(|| rows(include_str!("../data/pg_opclass.tsv")).map(|row| parse_class(&row)).collect());

static MEMBERS: LazyLock<Vec<OperatorClassMember>> =
    LazyLock::new(|| rows(include_str!("../data/pg_amop.tsv")).map(|row| parse_member(&row)).collect());

static FAMILY_FUNCTIONS: LazyLock<Vec<OperatorFamilyFunction>> = LazyLock::new(|| {
    rows(include_str!("../data/pg_amproc.tsv")).map(|row| parse_family_function(&row)).collect()
});

/// (family, operator) to strategy, B-tree families only.
static BTREE_STRATEGIES: LazyLock<HashMap<(Oid, Oid), Strategy>> = LazyLock::new(|| {
    let members = MEMBERS.iter().filter(|member| &*member.method == "btree" && member.purpose == b's');
    members.filter_map(|m| Some(((m.family, m.operator), Strategy::from_number(m.strategy)?))).collect()
});

static BTREE_COMPARISONS: LazyLock<HashMap<Oid, BtreeComparison>> = LazyLock::new(|| {
    let defaults = CLASSES.iter().filter(|class| &*class.method == "btree" && class.is_default);
    defaults.filter_map(|class| Some((class.input_type, class_comparison(class)?))).collect()
});

/// Every built-in function, aggregates and window functions included, by object id.
pub fn functions() -> &'static [Function] {
    &FUNCTIONS
}

/// The built-in function with this object id.
pub fn function(oid: Oid) -> Option<&'static Function> {
    FUNCTIONS_BY_OID.get(&oid).copied()
}

/// What draws the values of identity columns: `nextval` without a look at the sequence's own privileges.
pub fn identity_function() -> &'static Function {
    static FUNCTION: LazyLock<Function> = LazyLock::new(|| {
        let implementations = Implementations::all();
        let mut all =
            rows(include_str!("../data/pg_proc.tsv")).map(|row| parse_function(&row, &implementations));
        let nextval = all.find(|function| &*function.name == "nextval").expect("nextval is built in");
        let draw: crate::function::RowFn = Arc::new(|call, args| {
            let sequence = args.first().and_then(Datum::as_i64).unwrap_or(0);
            call.eval.session.next_identity(Oid(sequence as u32)).map(Datum::Int64)
        });
        Function { implementation: Implementation::Row(draw), ..nextval }
    });
    &FUNCTION
}

/// What the planner makes of a scalar subquery: its first argument, the value of one row, if the second, how many rows there are,
/// is not more than one. It has no row in `pg_proc`, and no text of SQL's can call it.
pub fn single_value_function() -> &'static Function {
    static FUNCTION: LazyLock<Function> = LazyLock::new(|| Function {
        oid: Oid(0),
        name: "single_value".into(),
        kind: FunctionKind::Function,
        language: Language::Internal,
        strict: false,
        returns_set: false,
        volatility: Volatility::Immutable,
        parallel: b's',
        leakproof: false,
        security_definer: false,
        arg_types: [oids::ANYELEMENT, oids::INT8].into(),
        default_count: 0,
        defaults: Box::default(),
        return_type: oids::ANYELEMENT,
        all_arg_types: Box::default(),
        arg_modes: Box::default(),
        arg_names: Box::default(),
        variadic: Oid(0),
        support: "-".into(),
        cost: 1.0,
        rows: 0.0,
        source: "single_value".into(),
        implementation: Implementation::Row(Arc::new(|_, args| match args {
            [_, rows] if rows.as_i64().is_some_and(|rows| rows > 1) => Err(errors::more_than_one_row()),
            [value, ..] => Ok(value.clone()),
            [] => Ok(Datum::Null),
        })),
    });
    &FUNCTION
}

/// The built-in functions with this name, all overloads.
pub fn functions_named(name: &str) -> &'static [&'static Function] {
    FUNCTIONS_BY_NAME.get(name).map_or(&[], |found| found)
}

/// Every built-in operator.
pub fn operators() -> &'static [Operator] {
    &OPERATORS
}

/// The built-in operator with this object id.
pub fn operator(oid: Oid) -> Option<&'static Operator> {
    OPERATORS_BY_OID.get(&oid).copied()
}

/// The built-in operators with this name. `!=` is to be asked for as `<>`.
pub fn operators_named(name: &str) -> &'static [&'static Operator] {
    OPERATORS_BY_NAME.get(name).map_or(&[], |found| found)
}

/// The operator that a function carries out, if it does so for one.
pub fn operator_of_function(function: Oid) -> Option<&'static Operator> {
    OPERATORS_BY_FUNCTION.get(&function).copied()
}

/// Every row of `pg_cast`.
pub fn casts() -> &'static [CastInfo] {
    &CASTS
}

/// How to cast one built-in type into another: by `pg_cast`, or through the text form to and from string types
/// (assignment to one, explicit from one). Equal types, arrays, domains and records are the binder's.
pub fn cast(source: Oid, target: Oid) -> Option<CastInfo> {
    if let Some(cast) = CASTS_BY_TYPES.get(&(source, target)) {
        return Some(**cast);
    }
    // The vectors of the catalogs are arrays under another name.
    if matches!((source, target), (oids::INT2VECTOR, oids::INT2_ARRAY) | (oids::OIDVECTOR, oids::OID_ARRAY)) {
        let (context, method) = (CastContext::Implicit, CastMethod::Relabel);
        return Some(CastInfo { oid: Oid::INVALID, source, target, context, method });
    }
    let is_string = |oid| type_info(oid).is_some_and(|info| info.category == b'S');
    let is_pseudo = |oid| type_info(oid).is_none_or(|info| info.kind == b'p' && oid != oids::UNKNOWN);
    let context = if is_pseudo(source) || is_pseudo(target) {
        return None;
    } else if is_string(target) {
        CastContext::Assignment
    } else if is_string(source) {
        CastContext::Explicit
    } else {
        return None;
    };
    Some(CastInfo { oid: Oid::INVALID, source, target, context, method: CastMethod::Io })
}

/// Every built-in aggregate.
pub fn aggregates() -> &'static [Aggregate] {
    &AGGREGATES
}

/// The aggregate that a function is.
pub fn aggregate(function: Oid) -> Option<&'static Aggregate> {
    AGGREGATES_BY_FUNCTION.get(&function).copied()
}

/// Every built-in operator class.
pub fn operator_classes() -> &'static [OperatorClass] {
    &CLASSES
}

/// Every row of `pg_amop`.
pub fn operator_family_members() -> &'static [OperatorClassMember] {
    &MEMBERS
}

/// Every row of `pg_amproc`.
pub fn operator_family_functions() -> &'static [OperatorFamilyFunction] {
    &FAMILY_FUNCTIONS
}

/// The operators of a type's default B-tree class: what ORDER BY, GROUP BY, DISTINCT, min and max go by. `varchar`
/// answers as `text` does, arrays, records and enums by their polymorphic classes.
pub fn btree_comparison(ty: Oid) -> Option<&'static BtreeComparison> {
    if let Some(found) = BTREE_COMPARISONS.get(&ty) {
        return Some(found);
    }
    let stand_in = match ty {
        oids::VARCHAR | oids::UNKNOWN => oids::TEXT,
        oids::CIDR => oids::INET,
        oids::INT2VECTOR => oids::ANYARRAY,
        oids::REGCLASS
        | oids::REGTYPE
        | oids::REGPROC
        | oids::REGPROCEDURE
        | oids::REGOPER
        | oids::REGOPERATOR
        | oids::REGNAMESPACE
        | oids::REGROLE
        | oids::REGCONFIG
        | oids::REGDICTIONARY
        | oids::REGCOLLATION => oids::OID,
        _ => match type_info(ty) {
            Some(info) if info.is_array() => oids::ANYARRAY,
            Some(info) if info.kind == b'e' => oids::ANYENUM,
            Some(info) if info.kind == b'c' => oids::RECORD,
            Some(info) if info.kind == b'r' => oids::ANYRANGE,
            _ => return None,
        },
    };
    BTREE_COMPARISONS.get(&stand_in)
}

/// What an operator means to a B-tree of this operator family.
pub fn btree_strategy(family: Oid, operator: Oid) -> Option<Strategy> {
    BTREE_STRATEGIES.get(&(family, operator)).copied()
}

impl Strategy {
    fn from_number(number: i16) -> Option<Strategy> {
        Some(match number {
            1 => Strategy::Less,
            2 => Strategy::LessOrEqual,
            3 => Strategy::Equal,
            4 => Strategy::GreaterOrEqual,
            5 => Strategy::Greater,
            _ => return None,
        })
    }
}

fn class_comparison(class: &'static OperatorClass) -> Option<BtreeComparison> {
    let find = |strategy: i16| {
        let member = MEMBERS.iter().find(|m| {
            m.family == class.family
                && m.left == class.input_type
                && m.right == class.input_type
                && m.strategy == strategy
        })?;
        operator(member.operator)
    };
    Some(BtreeComparison {
        class,
        less: find(1)?,
        less_or_equal: find(2)?,
        equal: find(3)?,
        greater_or_equal: find(4)?,
        greater: find(5)?,
    })
}

/// One line of a facts file. The files are part of the program, so a malformed one is a defect of the build.
struct Row {
    fields: Vec<&'static str>,
}

fn rows(text: &'static str) -> impl Iterator<Item = Row> {
    text.lines().map(|line| Row { fields: line.split('\t').collect() })
}

impl Row {
    fn text(&self, index: usize) -> &'static str {
        self.fields.get(index).copied().unwrap_or("")
    }

    fn boxed(&self, index: usize) -> Box<str> {
        self.text(index).into()
    }

    fn oid(&self, index: usize) -> Oid {
        Oid(self.number(index) as u32)
    }

    fn number(&self, index: usize) -> i64 {
        self.text(index).parse().expect("facts files hold numbers where numbers belong")
    }

    fn float(&self, index: usize) -> f32 {
        self.text(index).parse().expect("facts files hold numbers where numbers belong")
    }

    fn bool(&self, index: usize) -> bool {
        self.text(index) == "t"
    }

    fn byte(&self, index: usize) -> u8 {
        self.text(index).as_bytes().first().copied().unwrap_or(0)
    }

    fn oids(&self, index: usize) -> Box<[Oid]> {
        let oid = |text: &str| Oid(text.parse().expect("facts files hold object ids"));
        self.text(index).split(' ').filter(|text| !text.is_empty()).map(oid).collect()
    }
}

fn parse_function(row: &Row, implementations: &Implementations) -> Function {
    let kind = match row.byte(2) {
        b'a' => FunctionKind::Aggregate,
        b'w' => FunctionKind::Window,
        b'p' => FunctionKind::Procedure,
        _ => FunctionKind::Function,
    };
    let language = match row.text(3) {
        "sql" => Language::Sql,
        "c" => Language::C,
        _ => Language::Internal,
    };
    let name = row.text(1);
    let source = if language == Language::Internal { row.text(21) } else { "" };
    let implementation = match kind {
        FunctionKind::Aggregate => Implementation::Aggregate,
        FunctionKind::Window => Implementation::Window,
        _ if language == Language::Internal => match implementations.find(source) {
            // What is left of the system's own functions only the engine can answer.
            Implementation::Missing if source.starts_with("pg_") || source.starts_with("has_") => {
                Implementation::Session
            }
            found => found,
        },
        _ => implementations.find(&format!("{name}({})", row.text(12))),
    };
    let names = row.text(15);
    let defaults = row.text(16);
    let default_count = row.number(10) as usize;
    Function {
        oid: row.oid(0),
        name: name.into(),
        kind,
        language,
        strict: row.bool(4),
        returns_set: row.bool(5),
        volatility: match row.byte(6) {
            b'i' => Volatility::Immutable,
            b's' => Volatility::Stable,
            _ => Volatility::Volatile,
        },
        parallel: row.byte(7),
        leakproof: row.bool(8),
        security_definer: row.bool(9),
        arg_types: row.oids(12),
        default_count,
        defaults: split_defaults(defaults, default_count),
        return_type: row.oid(11),
        all_arg_types: row.oids(13),
        arg_modes: row.text(14).bytes().map(parse_mode).collect(),
        arg_names: if names.is_empty() { Box::default() } else { names.split(' ').map(Box::from).collect() },
        variadic: row.oid(17),
        support: row.boxed(18),
        cost: row.float(19),
        rows: row.float(20),
        source: source.into(),
        implementation,
    }
}

/// Cuts a list of SQL expressions at its top-level commas.
fn split_defaults(text: &str, count: usize) -> Box<[Box<str>]> {
    let mut parts = Vec::with_capacity(count);
    let (mut depth, mut quoted, mut start) = (0, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' | '[' if !quoted => depth += 1,
            ')' | ']' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                parts.push(text[start..at].trim().into());
                start = at + 1;
            }
            _ => {}
        }
    }
    if count > 0 {
        parts.push(text[start..].trim().into());
    }
    parts.into()
}

fn parse_mode(mode: u8) -> ParameterMode {
    match mode {
        b'o' => ParameterMode::Out,
        b'b' => ParameterMode::InOut,
        b'v' => ParameterMode::Variadic,
        b't' => ParameterMode::Table,
        _ => ParameterMode::In,
    }
}

fn parse_operator(row: &Row) -> Operator {
    Operator {
        oid: row.oid(0),
        name: row.boxed(1),
        can_merge: row.bool(3),
        can_hash: row.bool(4),
        left: row.oid(5),
        right: row.oid(6),
        result: row.oid(7),
        commutator: row.oid(8),
        negator: row.oid(9),
        function: function(row.oid(10)).expect("every operator's function is in the facts"),
        restrict_estimator: row.boxed(11),
        join_estimator: row.boxed(12),
    }
}

fn parse_cast(row: &Row) -> CastInfo {
    CastInfo {
        oid: row.oid(0),
        source: row.oid(1),
        target: row.oid(2),
        context: match row.byte(4) {
            b'i' => CastContext::Implicit,
            b'a' => CastContext::Assignment,
            _ => CastContext::Explicit,
        },
        method: match row.byte(5) {
            b'f' => {
                CastMethod::Function(function(row.oid(3)).expect("every cast's function is in the facts"))
            }
            b'i' => CastMethod::Io,
            _ => CastMethod::Relabel,
        },
    }
}

fn parse_aggregate(row: &Row) -> Aggregate {
    let initial = |index| if row.text(index).is_empty() { None } else { Some(row.boxed(index)) };
    Aggregate {
        function: function(row.oid(0)).expect("every aggregate's function is in the facts").into(),
        kind: match row.byte(1) {
            b'o' => AggregateKind::OrderedSet,
            b'h' => AggregateKind::HypotheticalSet,
            _ => AggregateKind::Normal,
        },
        direct_arg_count: row.number(2) as usize,
        support_functions: std::array::from_fn(|i| row.oid(3 + i)),
        final_extra: [row.bool(11), row.bool(12)],
        final_modify: [row.byte(13), row.byte(14)],
        sort_operator: row.oid(15),
        transition_type: row.oid(16),
        transition_space: row.number(17) as i32,
        moving_transition_type: row.oid(18),
        moving_transition_space: row.number(19) as i32,
        initial: [initial(20), initial(21)],
        called: None,
    }
}

fn parse_class(row: &Row) -> OperatorClass {
    OperatorClass {
        oid: row.oid(0),
        method: row.boxed(1),
        name: row.boxed(2),
        family: row.oid(3),
        family_name: row.boxed(4),
        input_type: row.oid(5),
        is_default: row.bool(6),
        key_type: row.oid(7),
    }
}

fn parse_member(row: &Row) -> OperatorClassMember {
    OperatorClassMember {
        oid: row.oid(0),
        method: row.boxed(1),
        family: row.oid(2),
        left: row.oid(3),
        right: row.oid(4),
        strategy: row.number(5) as i16,
        purpose: row.byte(6),
        operator: row.oid(7),
        sort_family: row.oid(8),
    }
}

fn parse_family_function(row: &Row) -> OperatorFamilyFunction {
    OperatorFamilyFunction {
        oid: row.oid(0),
        family: row.oid(1),
        left: row.oid(2),
        right: row.oid(3),
        number: row.number(4) as i16,
        function: row.oid(5),
    }
}
