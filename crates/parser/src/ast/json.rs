//! SQL/JSON and SQL/XML constructors, queries and tables.

use super::{Alias, Expr, Name, Over, P, Pos, SelectStmt, SortItem, TypeName};

/// `expr FORMAT JSON ENCODING enc`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonValue {
    pub expr: Expr,
    pub format: Option<JsonFormat>,
}

/// `FORMAT JSON [ENCODING name]`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonFormat {
    pub encoding: Option<Name>,
    pub pos: Pos,
}

/// `RETURNING type FORMAT …`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonOutput {
    pub type_name: TypeName,
    pub format: Option<JsonFormat>,
}

/// `key VALUE value` or `key: value`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonKeyValue {
    pub key: Expr,
    pub value: JsonValue,
}

/// A JSON expression.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonExpr {
    /// `JSON_OBJECT(key: value …)`. The call form `JSON_OBJECT(a, b)` is an ordinary function call.
    Object {
        pairs: Vec<JsonKeyValue>,
        absent_on_null: bool,
        unique_keys: bool,
        output: Option<JsonOutput>,
        pos: Pos,
    },
    /// `JSON_ARRAY(a, b …)`.
    Array { items: Vec<JsonValue>, absent_on_null: bool, output: Option<JsonOutput>, pos: Pos },
    /// `JSON_ARRAY(SELECT …)`.
    ArrayQuery { query: P<SelectStmt>, format: Option<JsonFormat>, output: Option<JsonOutput>, pos: Pos },
    /// `JSON_OBJECTAGG(key: value …)`.
    ObjectAgg {
        pair: JsonKeyValue,
        absent_on_null: bool,
        unique_keys: bool,
        output: Option<JsonOutput>,
        filter: Option<Expr>,
        over: Option<Over>,
        pos: Pos,
    },
    /// `JSON_ARRAYAGG(x ORDER BY y …)`.
    ArrayAgg {
        value: JsonValue,
        order_by: Vec<SortItem>,
        absent_on_null: bool,
        output: Option<JsonOutput>,
        filter: Option<Expr>,
        over: Option<Over>,
        pos: Pos,
    },
    /// `JSON(x)`.
    Parse { value: JsonValue, unique_keys: bool, pos: Pos },
    /// `JSON_SCALAR(x)`.
    Scalar { expr: Expr, pos: Pos },
    /// `JSON_SERIALIZE(x RETURNING type)`.
    Serialize { value: JsonValue, output: Option<JsonOutput>, pos: Pos },
    /// `JSON_EXISTS`, `JSON_VALUE`, `JSON_QUERY`.
    Query(P<JsonQuery>),
    /// `x IS [NOT] JSON [kind] [WITH UNIQUE KEYS]`; the negation is a NOT around it.
    IsJson { value: JsonValue, kind: JsonKind, unique_keys: bool, pos: Pos },
}

impl JsonExpr {
    /// Where an error points.
    pub fn pos(&self) -> Pos {
        match self {
            JsonExpr::Object { pos, .. }
            | JsonExpr::Array { pos, .. }
            | JsonExpr::ArrayQuery { pos, .. }
            | JsonExpr::ObjectAgg { pos, .. }
            | JsonExpr::ArrayAgg { pos, .. }
            | JsonExpr::Parse { pos, .. }
            | JsonExpr::Scalar { pos, .. }
            | JsonExpr::Serialize { pos, .. }
            | JsonExpr::IsJson { pos, .. } => *pos,
            JsonExpr::Query(query) => query.pos,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonKind {
    Any,
    Object,
    Array,
    Scalar,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonQueryKind {
    Exists,
    Value,
    Query,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JsonQuery {
    pub kind: JsonQueryKind,
    pub context: JsonValue,
    pub path: Expr,
    pub passing: Vec<JsonArgument>,
    pub output: Option<JsonOutput>,
    pub wrapper: JsonWrapper,
    pub quotes: JsonQuotes,
    pub on_empty: Option<JsonBehavior>,
    pub on_error: Option<JsonBehavior>,
    pub pos: Pos,
}

/// `value AS name` in PASSING.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonArgument {
    pub value: JsonValue,
    pub name: Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonWrapper {
    Unspecified,
    Without,
    Conditional,
    Unconditional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonQuotes {
    Unspecified,
    Keep,
    Omit,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JsonBehavior {
    pub kind: JsonBehaviorKind,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JsonBehaviorKind {
    Null,
    Error,
    Empty,
    EmptyArray,
    EmptyObject,
    True,
    False,
    Unknown,
    Default(Expr),
}

/// `JSON_TABLE(…)` in FROM.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonTable {
    pub lateral: bool,
    pub context: JsonValue,
    /// A string constant.
    pub path: Expr,
    pub path_name: Option<Name>,
    pub passing: Vec<JsonArgument>,
    pub columns: Vec<JsonTableColumn>,
    pub on_error: Option<JsonBehavior>,
    pub alias: Option<Alias>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JsonTableColumn {
    pub kind: JsonTableColumnKind,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub enum JsonTableColumnKind {
    Ordinality(Name),
    Regular {
        name: Name,
        type_name: TypeName,
        format: Option<JsonFormat>,
        path: Option<Box<str>>,
        wrapper: JsonWrapper,
        quotes: JsonQuotes,
        on_empty: Option<JsonBehavior>,
        on_error: Option<JsonBehavior>,
    },
    Exists {
        name: Name,
        type_name: TypeName,
        path: Option<Box<str>>,
        on_empty: Option<JsonBehavior>,
        on_error: Option<JsonBehavior>,
    },
    Nested {
        path: Box<str>,
        path_name: Option<Name>,
        columns: P<Vec<JsonTableColumn>>,
    },
}

/// An XML expression.
#[derive(Debug, Clone, PartialEq)]
pub enum XmlExpr {
    /// `XMLCONCAT(a, b)`.
    Concat { args: Vec<Expr>, pos: Pos },
    /// `XMLELEMENT(NAME n, XMLATTRIBUTES(…), …)`.
    Element { name: Name, attributes: Vec<XmlNamed>, args: Vec<Expr>, pos: Pos },
    /// `XMLFOREST(a AS b)`.
    Forest { items: Vec<XmlNamed>, pos: Pos },
    /// `XMLPARSE(DOCUMENT | CONTENT x)`.
    Parse { document: bool, expr: Expr, preserve_whitespace: bool, pos: Pos },
    /// `XMLPI(NAME n, x)`.
    Pi { name: Name, expr: Option<Expr>, pos: Pos },
    /// `XMLROOT(x, VERSION v, STANDALONE s)`.
    Root { expr: Expr, version: Option<Expr>, standalone: XmlStandalone, pos: Pos },
    /// `XMLSERIALIZE(DOCUMENT | CONTENT x AS type [NO] INDENT)`.
    Serialize { document: bool, expr: Expr, type_name: TypeName, indent: bool, pos: Pos },
    /// `x IS [NOT] DOCUMENT`; the negation is a NOT around it.
    IsDocument { expr: Expr, pos: Pos },
}

impl XmlExpr {
    /// Where an error points.
    pub fn pos(&self) -> Pos {
        match self {
            XmlExpr::Concat { pos, .. }
            | XmlExpr::Element { pos, .. }
            | XmlExpr::Forest { pos, .. }
            | XmlExpr::Parse { pos, .. }
            | XmlExpr::Pi { pos, .. }
            | XmlExpr::Root { pos, .. }
            | XmlExpr::Serialize { pos, .. }
            | XmlExpr::IsDocument { pos, .. } => *pos,
        }
    }
}

/// `expr [AS name]`.
#[derive(Debug, Clone, PartialEq)]
pub struct XmlNamed {
    pub expr: Expr,
    pub name: Option<Name>,
    pub pos: Pos,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlStandalone {
    Omitted,
    Yes,
    No,
    NoValue,
}

/// `XMLTABLE(…)` in FROM.
#[derive(Debug, Clone, PartialEq)]
pub struct XmlTable {
    pub lateral: bool,
    /// `XMLNAMESPACES(uri AS name, DEFAULT uri)`; the name is absent for DEFAULT.
    pub namespaces: Vec<XmlNamed>,
    pub row: Expr,
    pub document: Expr,
    pub columns: Vec<XmlTableColumn>,
    pub alias: Option<Alias>,
    pub pos: Pos,
}

#[derive(Debug, Clone, PartialEq)]
pub struct XmlTableColumn {
    pub name: Name,
    /// `None` for FOR ORDINALITY.
    pub type_name: Option<TypeName>,
    pub path: Option<Expr>,
    pub default: Option<Expr>,
    pub not_null: bool,
    pub pos: Pos,
}
