//! The header of a `.npy` file: element type, shape and order.

use crate::scalar::DType;

use super::literal::{Literal, parse};

/// What one element of an array in a file is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A number.
    Number(DType),
    /// Bytes without a meaning (`|V2`); the container's declared type decides.
    Raw(usize),
    /// Text of so many code points (`<U8`).
    Text(usize),
    /// A record.
    Record {
        /// Name, element and byte offset per field, in order.
        fields: Vec<(String, Item, usize)>,
        /// Size in bytes.
        bytes: usize,
    },
}

impl Item {
    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            Item::Number(dtype) => dtype.bytes(),
            Item::Raw(bytes) | Item::Record { bytes, .. } => *bytes,
            Item::Text(points) => points.saturating_mul(4),
        }
    }

    /// How a person would call it.
    pub fn name(&self) -> String {
        match self {
            Item::Number(dtype) => dtype.name().to_owned(),
            Item::Raw(bytes) => format!("{bytes} raw bytes"),
            Item::Text(points) => format!("text of {points} characters"),
            Item::Record { fields, .. } => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, item, _)| format!("{name}: {}", item.name())).collect();
                format!("record {{{}}}", fields.join(", "))
            }
        }
    }

    /// Byte ranges that have to be reversed if the file's byte order is foreign.
    pub fn words(&self, at: usize, out: &mut Vec<(usize, usize)>) {
        match self {
            Item::Number(dtype) if dtype.is_complex() => {
                let half = dtype.bytes() / 2;
                out.extend([(at, half), (at + half, half)]);
            }
            Item::Number(dtype) => out.push((at, dtype.bytes())),
            Item::Raw(_) => {}
            Item::Text(points) => out.extend((0..*points).map(|point| (at + 4 * point, 4))),
            Item::Record { fields, .. } => {
                for (_, item, offset) in fields {
                    item.words(at + offset, out);
                }
            }
        }
    }
}

/// A header.
#[derive(Clone, PartialEq, Debug)]
pub struct Header {
    /// Element type.
    pub item: Item,
    /// Extent per dimension.
    pub shape: Vec<usize>,
    /// First dimension fastest.
    pub fortran_order: bool,
    /// The data's byte order is big-endian.
    pub big_endian: bool,
}

/// The largest header we read; NumPy's own limit is 10,000.
const LONGEST: usize = 1 << 16;

/// Reads the header at the start of `bytes`; gives it with the offset of the data.
pub fn read_header(bytes: &[u8]) -> Result<(Header, usize), String> {
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or("it does not start as a .npy file does")?;
    let (length, start) = match *rest {
        [1, _, a, b, ..] => (usize::from(u16::from_le_bytes([a, b])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        [version, ..] if version > 3 => return Err(format!("unknown .npy version {version}")),
        _ => return Err("the header is cut off".into()),
    };
    if length > LONGEST {
        return Err(format!("the header claims {length} bytes"));
    }
    let text = bytes.get(start..start + length).ok_or("the header is cut off")?;
    let text = std::str::from_utf8(text).map_err(|_| "the header is not UTF-8")?;
    let Literal::Dictionary(entries) = parse(text)? else {
        return Err("the header is not a dictionary".into());
    };
    let entry = |key: &str| {
        let found = entries.iter().find(|(name, _)| matches!(name, Literal::Text(name) if name == key));
        found.map(|(_, value)| value).ok_or_else(|| format!("the header has no '{key}'"))
    };
    let mut order = ByteOrder::default();
    let item = item(entry("descr")?, &mut order)?;
    let shape = shape(entry("shape")?)?;
    let Literal::Bool(fortran_order) = *entry("fortran_order")? else {
        return Err("'fortran_order' is not a boolean".into());
    };
    if order.little && order.big {
        return Err("fields of both byte orders in one record".into());
    }
    Ok((Header { item, shape, fortran_order, big_endian: order.big }, start + length))
}

#[derive(Default)]
struct ByteOrder {
    little: bool,
    big: bool,
}

fn shape(literal: &Literal) -> Result<Vec<usize>, String> {
    let Literal::Sequence(extents) = literal else { return Err("'shape' is not a tuple".into()) };
    extents
        .iter()
        .map(|extent| match extent {
            Literal::Integer(extent) => usize::try_from(*extent).map_err(|_| "an extent is too large".into()),
            _ => Err("an extent is not a number".into()),
        })
        .collect()
}

fn item(literal: &Literal, order: &mut ByteOrder) -> Result<Item, String> {
    match literal {
        Literal::Text(text) => plain(text, order),
        Literal::Sequence(fields) => record(fields, order),
        _ => Err("'descr' is neither a type nor a list of fields".into()),
    }
}

fn record(fields: &[Literal], order: &mut ByteOrder) -> Result<Item, String> {
    let mut placed = Vec::with_capacity(fields.len());
    let mut bytes: usize = 0;
    for field in fields {
        let Literal::Sequence(parts) = field else { return Err("a field is not a tuple".into()) };
        let (name, ty) = match parts.as_slice() {
            [Literal::Text(name), ty] => (name, ty),
            // A field may carry a title: ('title', 'name').
            [Literal::Sequence(names), ty] => match names.last() {
                Some(Literal::Text(name)) => (name, ty),
                _ => return Err("a field has no name".into()),
            },
            [_, _, _] => return Err("a field is an array, which is not supported".into()),
            _ => return Err("a field is not a pair of name and type".into()),
        };
        let item = item(ty, order)?;
        let size = item.bytes();
        // Unnamed raw bytes are padding.
        if !(name.is_empty() && matches!(item, Item::Raw(_))) {
            placed.push((name.clone(), item, bytes));
        }
        bytes = bytes.checked_add(size).filter(|&bytes| bytes <= LONGEST).ok_or("a record is too large")?;
    }
    Ok(Item::Record { fields: placed, bytes })
}

fn plain(text: &str, order: &mut ByteOrder) -> Result<Item, String> {
    let unknown = || format!("elements of type '{text}' are not supported");
    let mut letters = text.chars();
    let byte_order = letters.next().ok_or_else(unknown)?;
    let kind = letters.next().ok_or_else(unknown)?;
    if kind == 'O' {
        return Err("elements are pickled Python objects, which are not read".into());
    }
    let size: usize = letters.as_str().parse().map_err(|_| unknown())?;
    let item = match (kind, size) {
        ('b', 1) => Item::Number(DType::Bool),
        ('i', 1) => Item::Number(DType::I8),
        ('i', 2) => Item::Number(DType::I16),
        ('i', 4) => Item::Number(DType::I32),
        ('i', 8) => Item::Number(DType::I64),
        ('u', 1) => Item::Number(DType::U8),
        ('u', 2) => Item::Number(DType::U16),
        ('u', 4) => Item::Number(DType::U32),
        ('u', 8) => Item::Number(DType::U64),
        ('f', 2) => Item::Number(DType::F16),
        ('f', 4) => Item::Number(DType::F32),
        ('f', 8) => Item::Number(DType::F64),
        ('c', 8) => Item::Number(DType::C64),
        ('c', 16) => Item::Number(DType::C128),
        ('V', 1..=LONGEST) => Item::Raw(size),
        ('U', 1..=LONGEST) => Item::Text(size),
        _ => return Err(unknown()),
    };
    match byte_order {
        '<' => order.little = true,
        '>' => order.big = true,
        '|' | '=' => {}
        _ => return Err(unknown()),
    }
    Ok(item)
}

/// The header NumPy would write (version 1.0, padded to 64 bytes). Fails where it would not fit.
pub fn write_header(item: &Item, shape: &[usize], fortran_order: bool) -> Option<Vec<u8>> {
    let extents: Vec<String> = shape.iter().map(usize::to_string).collect();
    let tuple = match extents.as_slice() {
        [one] => format!("({one},)"),
        many => format!("({})", many.join(", ")),
    };
    let order = if fortran_order { "True" } else { "False" };
    let mut text = format!("{{'descr': {}, 'fortran_order': {order}, 'shape': {tuple}, }}", descr(item));
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    while text.len() + 1 < length {
        text.push(' ');
    }
    text.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(length).ok()?.to_le_bytes());
    bytes.extend(text.as_bytes());
    Some(bytes)
}

fn descr(item: &Item) -> String {
    match item {
        Item::Number(dtype) => {
            let (kind, size) = match dtype {
                DType::Bool => return "'|b1'".into(),
                DType::I8 => return "'|i1'".into(),
                DType::U8 => return "'|u1'".into(),
                // NumPy has no such types of its own: raw bytes, as ml_dtypes' arrays are saved.
                DType::BF16 => return "'|V2'".into(),
                DType::F8E4M3 | DType::F8E5M2 => return "'|V1'".into(),
                DType::I16 | DType::I32 | DType::I64 => ('i', dtype.bytes()),
                DType::U16 | DType::U32 | DType::U64 => ('u', dtype.bytes()),
                DType::F16 | DType::F32 | DType::F64 => ('f', dtype.bytes()),
                DType::C64 | DType::C128 => ('c', dtype.bytes()),
            };
            format!("'<{kind}{size}'")
        }
        Item::Raw(bytes) => format!("'|V{bytes}'"),
        Item::Text(points) => format!("'<U{points}'"),
        Item::Record { fields, bytes } => {
            let mut text = String::from("[");
            let mut at = 0;
            for (name, item, offset) in fields {
                if *offset > at {
                    text.push_str(&format!("('', '|V{}'), ", offset - at));
                }
                text.push_str(&format!("('{}', {}), ", name.replace(['\\', '\''], "_"), descr(item)));
                at = offset + item.bytes();
            }
            if *bytes > at {
                text.push_str(&format!("('', '|V{}'), ", bytes - at));
            }
            text.push(']');
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_headers_read_back() {
        let record = Item::Record {
            fields: vec![
                ("idx".into(), Item::Number(DType::I32), 0),
                ("val".into(), Item::Number(DType::F64), 8),
            ],
            bytes: 16,
        };
        for item in [Item::Number(DType::F64), Item::Number(DType::Bool), Item::Text(8), record] {
            for shape in [vec![], vec![3], vec![2, 0, 5]] {
                let bytes = write_header(&item, &shape, true).unwrap();
                assert_eq!(bytes.len() % 64, 0);
                let (header, data) = read_header(&bytes).unwrap();
                assert_eq!(data, bytes.len());
                assert_eq!(
                    header,
                    Header { item: item.clone(), shape, fortran_order: true, big_endian: false }
                );
            }
        }
    }
}
