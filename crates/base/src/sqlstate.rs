//! PostgreSQL's SQLSTATE codes.

use std::fmt;

/// A five-character SQLSTATE; drivers branch on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState([u8; 5]);

impl SqlState {
    /// A code from its five ASCII characters.
    ///
    /// # Panics
    /// When the text is not five bytes long.
    pub const fn new(code: &str) -> SqlState {
        let b = code.as_bytes();
        assert!(b.len() == 5, "a SQLSTATE has five characters");
        SqlState([b[0], b[1], b[2], b[3], b[4]])
    }

    /// The five characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made from ASCII text")
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The codes by PostgreSQL's condition names.
#[rustfmt::skip]
impl SqlState {
    pub const SUCCESSFUL_COMPLETION: SqlState = SqlState::new("00000");
    pub const WARNING: SqlState = SqlState::new("01000");
    pub const NO_DATA: SqlState = SqlState::new("02000");
    pub const CONNECTION_EXCEPTION: SqlState = SqlState::new("08000");
    pub const PROTOCOL_VIOLATION: SqlState = SqlState::new("08P01");
    pub const SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION: SqlState = SqlState::new("08001");
    pub const CONNECTION_FAILURE: SqlState = SqlState::new("08006");
    pub const FEATURE_NOT_SUPPORTED: SqlState = SqlState::new("0A000");
    pub const INVALID_TRANSACTION_INITIATION: SqlState = SqlState::new("0B000");
    pub const CARDINALITY_VIOLATION: SqlState = SqlState::new("21000");
    pub const DATA_EXCEPTION: SqlState = SqlState::new("22000");
    pub const STRING_DATA_RIGHT_TRUNCATION: SqlState = SqlState::new("22001");
    pub const NUMERIC_VALUE_OUT_OF_RANGE: SqlState = SqlState::new("22003");
    pub const NULL_VALUE_NOT_ALLOWED: SqlState = SqlState::new("22004");
    pub const INVALID_DATETIME_FORMAT: SqlState = SqlState::new("22007");
    pub const DATETIME_FIELD_OVERFLOW: SqlState = SqlState::new("22008");
    pub const INVALID_TIME_ZONE_DISPLACEMENT_VALUE: SqlState = SqlState::new("22009");
    pub const INVALID_PRECEDING_OR_FOLLOWING_SIZE: SqlState = SqlState::new("22013");
    pub const SUBSTRING_ERROR: SqlState = SqlState::new("22011");
    pub const DIVISION_BY_ZERO: SqlState = SqlState::new("22012");
    pub const INTERVAL_FIELD_OVERFLOW: SqlState = SqlState::new("22015");
    pub const INVALID_CHARACTER_VALUE_FOR_CAST: SqlState = SqlState::new("22018");
    pub const INVALID_ESCAPE_CHARACTER: SqlState = SqlState::new("22019");
    pub const INVALID_REGULAR_EXPRESSION: SqlState = SqlState::new("2201B");
    pub const INVALID_ARGUMENT_FOR_LOGARITHM: SqlState = SqlState::new("2201E");
    pub const INVALID_ARGUMENT_FOR_POWER_FUNCTION: SqlState = SqlState::new("2201F");
    pub const INVALID_ARGUMENT_FOR_WIDTH_BUCKET_FUNCTION: SqlState = SqlState::new("2201G");
    pub const INVALID_ROW_COUNT_IN_LIMIT_CLAUSE: SqlState = SqlState::new("2201W");
    pub const INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE: SqlState = SqlState::new("2201X");
    pub const INVALID_TABLESAMPLE_REPEAT: SqlState = SqlState::new("2202G");
    pub const INVALID_TABLESAMPLE_ARGUMENT: SqlState = SqlState::new("2202H");
    pub const INVALID_ARGUMENT_FOR_NTILE_FUNCTION: SqlState = SqlState::new("22014");
    pub const INVALID_ARGUMENT_FOR_NTH_VALUE_FUNCTION: SqlState = SqlState::new("22016");
    pub const CHARACTER_NOT_IN_REPERTOIRE: SqlState = SqlState::new("22021");
    pub const INVALID_PARAMETER_VALUE: SqlState = SqlState::new("22023");
    pub const INVALID_ESCAPE_SEQUENCE: SqlState = SqlState::new("22025");
    pub const STRING_DATA_LENGTH_MISMATCH: SqlState = SqlState::new("22026");
    pub const ARRAY_SUBSCRIPT_ERROR: SqlState = SqlState::new("2202E");
    pub const SEQUENCE_GENERATOR_LIMIT_EXCEEDED: SqlState = SqlState::new("2200H");
    pub const FLOATING_POINT_EXCEPTION: SqlState = SqlState::new("22P01");
    pub const INVALID_TEXT_REPRESENTATION: SqlState = SqlState::new("22P02");
    pub const INVALID_BINARY_REPRESENTATION: SqlState = SqlState::new("22P03");
    pub const BAD_COPY_FILE_FORMAT: SqlState = SqlState::new("22P04");
    pub const UNTRANSLATABLE_CHARACTER: SqlState = SqlState::new("22P05");
    pub const NONSTANDARD_USE_OF_ESCAPE_CHARACTER: SqlState = SqlState::new("22P06");
    pub const INTEGRITY_CONSTRAINT_VIOLATION: SqlState = SqlState::new("23000");
    pub const RESTRICT_VIOLATION: SqlState = SqlState::new("23001");
    pub const NOT_NULL_VIOLATION: SqlState = SqlState::new("23502");
    pub const FOREIGN_KEY_VIOLATION: SqlState = SqlState::new("23503");
    pub const UNIQUE_VIOLATION: SqlState = SqlState::new("23505");
    pub const CHECK_VIOLATION: SqlState = SqlState::new("23514");
    pub const EXCLUSION_VIOLATION: SqlState = SqlState::new("23P01");
    pub const INVALID_CURSOR_STATE: SqlState = SqlState::new("24000");
    pub const INVALID_TRANSACTION_STATE: SqlState = SqlState::new("25000");
    pub const ACTIVE_SQL_TRANSACTION: SqlState = SqlState::new("25001");
    pub const READ_ONLY_SQL_TRANSACTION: SqlState = SqlState::new("25006");
    pub const NO_ACTIVE_SQL_TRANSACTION: SqlState = SqlState::new("25P01");
    pub const IN_FAILED_SQL_TRANSACTION: SqlState = SqlState::new("25P02");
    pub const IDLE_IN_TRANSACTION_SESSION_TIMEOUT: SqlState = SqlState::new("25P03");
    pub const TRANSACTION_TIMEOUT: SqlState = SqlState::new("25P04");
    pub const INVALID_SQL_STATEMENT_NAME: SqlState = SqlState::new("26000");
    pub const INVALID_AUTHORIZATION_SPECIFICATION: SqlState = SqlState::new("28000");
    pub const INVALID_PASSWORD: SqlState = SqlState::new("28P01");
    pub const DEPENDENT_OBJECTS_STILL_EXIST: SqlState = SqlState::new("2BP01");
    pub const INVALID_TRANSACTION_TERMINATION: SqlState = SqlState::new("2D000");
    pub const INVALID_CURSOR_NAME: SqlState = SqlState::new("34000");
    pub const EXTERNAL_ROUTINE_EXCEPTION: SqlState = SqlState::new("38000");
    pub const SAVEPOINT_EXCEPTION: SqlState = SqlState::new("3B000");
    pub const INVALID_SAVEPOINT_SPECIFICATION: SqlState = SqlState::new("3B001");
    pub const INVALID_CATALOG_NAME: SqlState = SqlState::new("3D000");
    pub const INVALID_SCHEMA_NAME: SqlState = SqlState::new("3F000");
    pub const TRANSACTION_ROLLBACK: SqlState = SqlState::new("40000");
    pub const SERIALIZATION_FAILURE: SqlState = SqlState::new("40001");
    pub const DEADLOCK_DETECTED: SqlState = SqlState::new("40P01");
    pub const SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION: SqlState = SqlState::new("42000");
    pub const SYNTAX_ERROR: SqlState = SqlState::new("42601");
    pub const INSUFFICIENT_PRIVILEGE: SqlState = SqlState::new("42501");
    pub const CANNOT_COERCE: SqlState = SqlState::new("42846");
    pub const GROUPING_ERROR: SqlState = SqlState::new("42803");
    pub const WINDOWING_ERROR: SqlState = SqlState::new("42P20");
    pub const INVALID_RECURSION: SqlState = SqlState::new("42P19");
    pub const INVALID_FOREIGN_KEY: SqlState = SqlState::new("42830");
    pub const INVALID_NAME: SqlState = SqlState::new("42602");
    pub const NAME_TOO_LONG: SqlState = SqlState::new("42622");
    pub const RESERVED_NAME: SqlState = SqlState::new("42939");
    pub const DATATYPE_MISMATCH: SqlState = SqlState::new("42804");
    pub const INDETERMINATE_DATATYPE: SqlState = SqlState::new("42P18");
    pub const COLLATION_MISMATCH: SqlState = SqlState::new("42P21");
    pub const INDETERMINATE_COLLATION: SqlState = SqlState::new("42P22");
    pub const WRONG_OBJECT_TYPE: SqlState = SqlState::new("42809");
    pub const GENERATED_ALWAYS: SqlState = SqlState::new("428C9");
    pub const UNDEFINED_COLUMN: SqlState = SqlState::new("42703");
    pub const UNDEFINED_FUNCTION: SqlState = SqlState::new("42883");
    pub const UNDEFINED_TABLE: SqlState = SqlState::new("42P01");
    pub const UNDEFINED_PARAMETER: SqlState = SqlState::new("42P02");
    pub const UNDEFINED_OBJECT: SqlState = SqlState::new("42704");
    pub const DUPLICATE_COLUMN: SqlState = SqlState::new("42701");
    pub const DUPLICATE_CURSOR: SqlState = SqlState::new("42P03");
    pub const DUPLICATE_DATABASE: SqlState = SqlState::new("42P04");
    pub const DUPLICATE_FUNCTION: SqlState = SqlState::new("42723");
    pub const DUPLICATE_PREPARED_STATEMENT: SqlState = SqlState::new("42P05");
    pub const DUPLICATE_SCHEMA: SqlState = SqlState::new("42P06");
    pub const DUPLICATE_TABLE: SqlState = SqlState::new("42P07");
    pub const DUPLICATE_ALIAS: SqlState = SqlState::new("42712");
    pub const DUPLICATE_OBJECT: SqlState = SqlState::new("42710");
    pub const AMBIGUOUS_COLUMN: SqlState = SqlState::new("42702");
    pub const AMBIGUOUS_FUNCTION: SqlState = SqlState::new("42725");
    pub const AMBIGUOUS_PARAMETER: SqlState = SqlState::new("42P08");
    pub const AMBIGUOUS_ALIAS: SqlState = SqlState::new("42P09");
    pub const INVALID_COLUMN_REFERENCE: SqlState = SqlState::new("42P10");
    pub const INVALID_COLUMN_DEFINITION: SqlState = SqlState::new("42611");
    pub const INVALID_CURSOR_DEFINITION: SqlState = SqlState::new("42P11");
    pub const INVALID_DATABASE_DEFINITION: SqlState = SqlState::new("42P12");
    pub const INVALID_FUNCTION_DEFINITION: SqlState = SqlState::new("42P13");
    pub const INVALID_PREPARED_STATEMENT_DEFINITION: SqlState = SqlState::new("42P14");
    pub const INVALID_SCHEMA_DEFINITION: SqlState = SqlState::new("42P15");
    pub const INVALID_TABLE_DEFINITION: SqlState = SqlState::new("42P16");
    pub const INVALID_OBJECT_DEFINITION: SqlState = SqlState::new("42P17");
    pub const WITH_CHECK_OPTION_VIOLATION: SqlState = SqlState::new("44000");
    pub const INSUFFICIENT_RESOURCES: SqlState = SqlState::new("53000");
    pub const DISK_FULL: SqlState = SqlState::new("53100");
    pub const OUT_OF_MEMORY: SqlState = SqlState::new("53200");
    pub const TOO_MANY_CONNECTIONS: SqlState = SqlState::new("53300");
    pub const CONFIGURATION_LIMIT_EXCEEDED: SqlState = SqlState::new("53400");
    pub const PROGRAM_LIMIT_EXCEEDED: SqlState = SqlState::new("54000");
    pub const STATEMENT_TOO_COMPLEX: SqlState = SqlState::new("54001");
    pub const TOO_MANY_COLUMNS: SqlState = SqlState::new("54011");
    pub const TOO_MANY_ARGUMENTS: SqlState = SqlState::new("54023");
    pub const OBJECT_NOT_IN_PREREQUISITE_STATE: SqlState = SqlState::new("55000");
    pub const OBJECT_IN_USE: SqlState = SqlState::new("55006");
    pub const CANT_CHANGE_RUNTIME_PARAM: SqlState = SqlState::new("55P02");
    pub const LOCK_NOT_AVAILABLE: SqlState = SqlState::new("55P03");
    pub const QUERY_CANCELED: SqlState = SqlState::new("57014");
    pub const ADMIN_SHUTDOWN: SqlState = SqlState::new("57P01");
    pub const IDLE_SESSION_TIMEOUT: SqlState = SqlState::new("57P05");
    pub const CRASH_SHUTDOWN: SqlState = SqlState::new("57P02");
    pub const CANNOT_CONNECT_NOW: SqlState = SqlState::new("57P03");
    pub const DATABASE_DROPPED: SqlState = SqlState::new("57P04");
    pub const SYSTEM_ERROR: SqlState = SqlState::new("58000");
    pub const IO_ERROR: SqlState = SqlState::new("58030");
    pub const UNDEFINED_FILE: SqlState = SqlState::new("58P01");
    pub const CONFIG_FILE_ERROR: SqlState = SqlState::new("F0000");
    pub const INTERNAL_ERROR: SqlState = SqlState::new("XX000");
    pub const DATA_CORRUPTED: SqlState = SqlState::new("XX001");
    pub const INDEX_CORRUPTED: SqlState = SqlState::new("XX002");
}
