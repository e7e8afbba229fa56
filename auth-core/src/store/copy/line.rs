//! A row as a line of PostgreSQL's COPY, in its text format, exactly as PostgreSQL itself writes it.

use sqlx::sqlite::{SqliteRow, SqliteValueRef};
use sqlx::{Decode, Row, Sqlite, TypeInfo, ValueRef};

use crate::error::Cause;

/// The line of a row.
///
/// # Errors
/// A value that our tables cannot have.
pub fn of(row: &SqliteRow) -> Result<Vec<u8>, Cause> {
    let mut line = Vec::with_capacity(256);
    for column in 0..row.len() {
        if column > 0 {
            line.push(b'\t');
        }
        write(row.try_get_raw(column)?, &mut line)?;
    }
    line.push(b'\n');
    Ok(line)
}

fn write(value: SqliteValueRef<'_>, line: &mut Vec<u8>) -> Result<(), Cause> {
    if value.is_null() {
        line.extend_from_slice(b"\\N");
        return Ok(());
    }
    // Each column is of a STRICT table, so this is what PostgreSQL's column is, too.
    match value.type_info().name() {
        "INTEGER" => {
            let number = <i64 as Decode<Sqlite>>::decode(value)?;
            line.extend_from_slice(number.to_string().as_bytes());
        }
        "TEXT" => write_text(<&str as Decode<Sqlite>>::decode(value)?, line),
        "BLOB" => {
            line.extend_from_slice(b"\\\\x");
            for byte in <&[u8] as Decode<Sqlite>>::decode(value)? {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                line.push(DIGITS[usize::from(byte >> 4)]);
                line.push(DIGITS[usize::from(byte & 15)]);
            }
        }
        other => return Err(format!("a value of type {other}").into()),
    }
    Ok(())
}

fn write_text(text: &str, line: &mut Vec<u8>) {
    for byte in text.bytes() {
        let escaped = match byte {
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x0b => b'v',
            _ => {
                line.push(byte);
                continue;
            }
        };
        line.extend_from_slice(&[b'\\', escaped]);
    }
}
