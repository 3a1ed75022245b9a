//! What a type is: its catalog facts, and how its values are held.

use std::sync::LazyLock;

use hashbrown::HashMap;
use ochre_base::Oid;

use crate::type_table::TYPES;
use crate::{ValueOrder, oids};

/// How values of a type are held in memory and, for fixed widths, on disk. The numbers are part of the disk format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PhysicalType {
    /// `bool`.
    Bool = 0,
    /// `"char"`: one byte.
    Char = 1,
    /// `int2`.
    Int16 = 2,
    /// `int4`; `date` as days since 2000-01-01.
    Int32 = 3,
    /// `oid`, `xid`, `cid` and the `reg…` types.
    UInt32 = 4,
    /// `int8`; `time`, `timestamp`, `timestamptz` in microseconds, the latter two since 2000-01-01 (UTC); `money`.
    Int64 = 5,
    /// `xid8`, `pg_lsn`.
    UInt64 = 6,
    /// `float4`.
    Float32 = 7,
    /// `float8`.
    Float64 = 8,
    /// `numeric`.
    Numeric = 9,
    /// `text` and every other type that is a string of bytes here.
    Bytes = 10,
    /// `interval`.
    Interval = 11,
    /// `uuid`.
    Uuid = 12,
    /// Every array type, `int2vector` and `oidvector`.
    Array = 13,
    /// Rows.
    Record = 14,
}

impl PhysicalType {
    /// Bytes of a stored value where that is fixed.
    pub const fn stored_width(self) -> Option<u16> {
        match self {
            PhysicalType::Bool | PhysicalType::Char => Some(1),
            PhysicalType::Int16 => Some(2),
            PhysicalType::Int32 | PhysicalType::UInt32 | PhysicalType::Float32 => Some(4),
            PhysicalType::Int64 | PhysicalType::UInt64 | PhysicalType::Float64 => Some(8),
            PhysicalType::Interval | PhysicalType::Uuid => Some(16),
            PhysicalType::Numeric | PhysicalType::Bytes | PhysicalType::Array | PhysicalType::Record => None,
        }
    }

    /// The physical type with this number.
    pub const fn from_u8(number: u8) -> Option<PhysicalType> {
        use PhysicalType::*;
        const ALL: [PhysicalType; 15] = [
            Bool, Char, Int16, Int32, UInt32, Int64, UInt64, Float32, Float64, Numeric, Bytes, Interval,
            Uuid, Array, Record,
        ];
        if (number as usize) < ALL.len() { Some(ALL[number as usize]) } else { None }
    }
}

/// A type with its modifier, for instance `numeric(10,2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlType {
    pub oid: Oid,
    /// PostgreSQL's `atttypmod`; -1 is none.
    pub typmod: i32,
    pub physical: PhysicalType,
}

macro_rules! sql_types {
    ($($name:ident $physical:ident;)*) => {
        /// The common built-in types without modifier.
        #[allow(missing_docs)]
        impl SqlType {
            $(pub const $name: SqlType = SqlType { oid: oids::$name, typmod: -1, physical: PhysicalType::$physical };)*
        }
    };
}

sql_types! {
    BOOL Bool; CHAR Char; NAME Bytes; BYTEA Bytes; TEXT Bytes; VARCHAR Bytes; BPCHAR Bytes; UNKNOWN Bytes; CSTRING Bytes;
    INT2 Int16; INT4 Int32; INT8 Int64; OID UInt32; XID UInt32; CID UInt32; XID8 UInt64; TID Int64;
    FLOAT4 Float32; FLOAT8 Float64; NUMERIC Numeric; MONEY Int64;
    DATE Int32; TIME Int64; TIMETZ Bytes; TIMESTAMP Int64; TIMESTAMPTZ Int64; INTERVAL Interval;
    UUID Uuid; JSON Bytes; JSONB Bytes; XML Bytes; BIT Bytes; VARBIT Bytes; INET Bytes; CIDR Bytes; VOID Bytes; RECORD Record;
    REGCLASS UInt32; REGTYPE UInt32; REGPROC UInt32; REGPROCEDURE UInt32; REGOPER UInt32; REGOPERATOR UInt32;
    REGNAMESPACE UInt32; REGROLE UInt32; REGCOLLATION UInt32; REGCONFIG UInt32; REGDICTIONARY UInt32;
    INT2VECTOR Array; OIDVECTOR Array;
    BOOL_ARRAY Array; BYTEA_ARRAY Array; CHAR_ARRAY Array; NAME_ARRAY Array; TEXT_ARRAY Array; VARCHAR_ARRAY Array;
    BPCHAR_ARRAY Array; INT2_ARRAY Array; INT4_ARRAY Array; INT8_ARRAY Array; OID_ARRAY Array; FLOAT4_ARRAY Array;
    FLOAT8_ARRAY Array; NUMERIC_ARRAY Array; DATE_ARRAY Array; TIME_ARRAY Array; TIMESTAMP_ARRAY Array;
    TIMESTAMPTZ_ARRAY Array; INTERVAL_ARRAY Array; UUID_ARRAY Array; JSON_ARRAY Array; JSONB_ARRAY Array;
    RECORD_ARRAY Array; CSTRING_ARRAY Array;
    ANY Bytes; ANYELEMENT Bytes; ANYARRAY Array; ANYNONARRAY Bytes; ANYENUM UInt32; ANYCOMPATIBLE Bytes;
    ANYCOMPATIBLEARRAY Array; ANYCOMPATIBLENONARRAY Bytes; TRIGGER Bytes; INTERNAL Bytes;
}

impl SqlType {
    /// A built-in type by its id; ids that are not built in are taken for enums (held as the label's `oid`), so
    /// callers that know better use [`SqlType::with_physical`].
    pub fn new(oid: Oid, typmod: i32) -> SqlType {
        let physical = type_info(oid).map_or(PhysicalType::UInt32, TypeInfo::physical);
        SqlType { oid, typmod, physical }
    }

    /// A type whose physical form the caller knows.
    pub const fn with_physical(oid: Oid, typmod: i32, physical: PhysicalType) -> SqlType {
        SqlType { oid, typmod, physical }
    }

    /// The same type with another modifier.
    #[must_use]
    pub const fn with_typmod(self, typmod: i32) -> SqlType {
        SqlType { typmod, ..self }
    }

    /// The catalog facts of a built-in type.
    pub fn info(self) -> Option<&'static TypeInfo> {
        type_info(self.oid)
    }

    /// The type's name in `pg_type`, or `???` for a type that is not built in.
    pub fn name(self) -> &'static str {
        type_info(self.oid).map_or("???", |info| info.name)
    }

    /// The array type over this one, when there is one.
    pub fn array_of(self) -> Option<SqlType> {
        let array = match type_info(self.oid) {
            Some(info) => info.array,
            None if self.physical == PhysicalType::Record => row_array(self.oid),
            None => Oid::INVALID,
        };
        array.is_valid().then(|| SqlType::with_physical(array, self.typmod, PhysicalType::Array))
    }

    /// The element type of an array type; also of `int2vector` and `oidvector`.
    pub fn element(self) -> Option<SqlType> {
        if self.physical != PhysicalType::Array {
            return None;
        }
        let Some(info) = type_info(self.oid) else {
            return Some(SqlType::with_physical(row_of_array(self.oid), -1, PhysicalType::Record));
        };
        info.element.is_valid().then(|| SqlType::new(info.element, self.typmod))
    }

    /// How values of this type compare and hash.
    pub fn order(self) -> ValueOrder {
        ValueOrder::of(self.oid)
    }
}

/// Row types of built-in relations, and of arrays of such rows, that got their ids one by one.
const SCATTERED_ROW_TYPES: [(u32, u32); 5] =
    [(1248, 10_052), (2842, 10_057), (2843, 10_058), (4066, 10_093), (6101, 10_112)];

/// The type of arrays of a relation's rows, for a row type that the table of types does not list. The array type of a user's
/// relation has the id behind its row type's; that of a built-in one, as in PostgreSQL, the id before it, but for row types
/// whose ids were fixed before there were such arrays.
pub fn row_array(row_type: Oid) -> Oid {
    if let Some((_, array)) = SCATTERED_ROW_TYPES.iter().find(|(row, _)| *row == row_type.0) {
        return Oid(*array);
    }
    match row_type {
        user if user >= Oid::FIRST_USER => Oid(user.0 + 1),
        automatic if automatic.0 > 10_000 => Oid(automatic.0 - 1),
        _ => Oid::INVALID,
    }
}

/// The row type that [`row_array`] gives this array type for.
fn row_of_array(array: Oid) -> Oid {
    if let Some((row, _)) = SCATTERED_ROW_TYPES.iter().find(|(_, known)| *known == array.0) {
        return Oid(*row);
    }
    if array >= Oid::FIRST_USER { Oid(array.0 - 1) } else { Oid(array.0 + 1) }
}

/// A built-in row of `pg_type`. Functions are pairs of object id and name; an id of 0 is none.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct TypeInfo {
    pub oid: Oid,
    pub name: &'static str,
    /// Bytes, or -1 for variable length, -2 for C strings.
    pub length: i16,
    pub by_value: bool,
    /// `b` base, `p` pseudo, `r` range, `m` multirange, `c` composite, `d` domain, `e` enum.
    pub kind: u8,
    pub category: u8,
    pub preferred: bool,
    pub delimiter: u8,
    pub element: Oid,
    pub array: Oid,
    pub input: (u32, &'static str),
    pub output: (u32, &'static str),
    pub receive: (u32, &'static str),
    pub send: (u32, &'static str),
    pub typmod_in: (u32, &'static str),
    pub typmod_out: (u32, &'static str),
    pub analyze: (u32, &'static str),
    pub subscript: (u32, &'static str),
    pub align: u8,
    pub storage: u8,
    pub collation: Oid,
}

impl TypeInfo {
    /// Whether this is an array type proper (`_int4`), which `int2vector` is not.
    pub fn is_array(&self) -> bool {
        self.input.1 == "array_in" && self.element.is_valid()
    }

    /// How values of the type are held.
    pub fn physical(&self) -> PhysicalType {
        match self.oid {
            oids::BOOL => PhysicalType::Bool,
            oids::CHAR => PhysicalType::Char,
            oids::INT2 => PhysicalType::Int16,
            oids::INT4 | oids::DATE => PhysicalType::Int32,
            oids::OID
            | oids::XID
            | oids::CID
            | oids::REGPROC
            | oids::REGPROCEDURE
            | oids::REGOPER
            | oids::REGOPERATOR
            | oids::REGCLASS
            | oids::REGTYPE
            | oids::REGROLE
            | oids::REGNAMESPACE
            | oids::REGCONFIG
            | oids::REGDICTIONARY
            | oids::REGCOLLATION
            | oids::ANYENUM => PhysicalType::UInt32,
            oids::INT8 | oids::TIME | oids::TIMESTAMP | oids::TIMESTAMPTZ | oids::MONEY | oids::TID => {
                PhysicalType::Int64
            }
            oids::XID8 | oids::PG_LSN => PhysicalType::UInt64,
            oids::FLOAT4 => PhysicalType::Float32,
            oids::FLOAT8 => PhysicalType::Float64,
            oids::NUMERIC => PhysicalType::Numeric,
            oids::INTERVAL => PhysicalType::Interval,
            oids::UUID => PhysicalType::Uuid,
            oids::INT2VECTOR
            | oids::OIDVECTOR
            | oids::ANYARRAY
            | oids::ANYCOMPATIBLEARRAY
            | oids::RECORD_ARRAY => PhysicalType::Array,
            oids::RECORD => PhysicalType::Record,
            _ if self.is_array() => PhysicalType::Array,
            _ => PhysicalType::Bytes,
        }
    }
}

static BY_NAME: LazyLock<HashMap<&'static str, &'static TypeInfo>> =
    LazyLock::new(|| TYPES.iter().map(|info| (info.name, info)).collect());

/// Every built-in type that is no table's row type, by ascending object id.
pub fn type_infos() -> &'static [TypeInfo] {
    &TYPES
}

/// The facts of a built-in type.
pub fn type_info(oid: Oid) -> Option<&'static TypeInfo> {
    TYPES.binary_search_by_key(&oid, |info| info.oid).ok().map(|index| &TYPES[index])
}

/// The facts of a built-in type by its name in `pg_type` (`int4`, not `integer`).
pub fn type_info_named(name: &str) -> Option<&'static TypeInfo> {
    BY_NAME.get(name).copied()
}
