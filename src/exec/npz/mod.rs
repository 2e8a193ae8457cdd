//! Arrays in files: NumPy's `.npy` and `.npz`.
//!
//! Reading takes what NumPy writes for numbers, booleans, text, raw bytes and flat records, in both orders
//! and both byte orders; pickled objects are refused. Whatever the bytes are, the answer is arrays or a
//! [`Diagnostic`]: sizes are checked against the data before memory is taken for them. Writing goes to a
//! temporary file that takes the place of the old one only when it is complete.

mod header;
mod literal;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;

use indexmap::IndexMap;

use crate::diag::{Diagnostic, Result};

pub use header::Item;
use header::{Header, read_header, write_header};

/// An array as a file holds it: dense, native byte order.
#[derive(Clone, PartialEq, Debug)]
pub struct FileArray {
    /// What one element is.
    pub item: Item,
    /// Extent per dimension; empty for a single value.
    pub shape: Vec<usize>,
    /// First dimension fastest.
    pub fortran_order: bool,
    /// The elements.
    pub bytes: Vec<u8>,
}

/// Named arrays in the order of the file.
pub type FileArrays = IndexMap<String, FileArray>;

impl FileArray {
    /// Distance between elements per dimension, in bytes.
    pub fn strides(&self) -> Vec<isize> {
        dense_strides(self.item.bytes(), &self.shape, self.fortran_order)
    }

    /// The text, if it is one value of text. Trailing zeros are dropped, as NumPy does.
    pub fn text(&self) -> Option<String> {
        if !matches!(self.item, Item::Text(_)) || !self.shape.is_empty() {
            return None;
        }
        let points = self.bytes.chunks_exact(4).filter_map(|word| {
            let word: [u8; 4] = word.try_into().ok()?;
            char::from_u32(u32::from_ne_bytes(word))
        });
        let text: String = points.collect();
        Some(text.trim_end_matches('\0').to_owned())
    }
}

/// Strides in bytes of a dense array.
pub fn dense_strides(item_bytes: usize, shape: &[usize], fortran_order: bool) -> Vec<isize> {
    let mut strides = vec![0; shape.len()];
    let mut stride = isize::try_from(item_bytes).unwrap_or(isize::MAX);
    let mut place = |slot: &mut isize, extent: usize| {
        *slot = stride;
        stride = stride.saturating_mul(isize::try_from(extent).unwrap_or(isize::MAX));
    };
    if fortran_order {
        strides.iter_mut().zip(shape).for_each(|(slot, &extent)| place(slot, extent));
    } else {
        strides.iter_mut().zip(shape).rev().for_each(|(slot, &extent)| place(slot, extent));
    }
    strides
}

/// Reads a `.npz` file, or a `.npy` file as one array named after the file.
pub fn read(path: &Path) -> Result<FileArrays> {
    let shown = path.display().to_string();
    let mut file = File::open(path)
        .map_err(|error| Diagnostic::error("P0440", format!("cannot open {shown}: {error}")))?;
    let mut magic = [0; 6];
    let is_npy = file.read_exact(&mut magic).is_ok() && &magic == b"\x93NUMPY";
    file.rewind().map_err(|error| Diagnostic::error("P0440", format!("cannot read {shown}: {error}")))?;
    if is_npy {
        let name =
            path.file_stem().map_or_else(|| "array".into(), |stem| stem.to_string_lossy().into_owned());
        let array = read_array(&mut file).map_err(|error| error.inside(shown))?;
        return Ok(IndexMap::from([(name, array)]));
    }
    read_archive(file).map_err(|error| error.inside(shown))
}

/// Reads the arrays of an archive.
pub fn read_archive(source: impl Read + Seek) -> Result<FileArrays> {
    let mut archive = zip::ZipArchive::new(source).map_err(|error| {
        Diagnostic::error("P0441", format!("not a readable .npz archive: {error}"))
            .with_help("write it with numpy.savez; a truncated download or copy is the usual cause")
    })?;
    let mut arrays = IndexMap::with_capacity(archive.len().min(4096));
    for index in 0..archive.len() {
        let damaged = |error| Diagnostic::error("P0441", format!("entry {index} is damaged: {error}"));
        let mut entry = archive.by_index(index).map_err(damaged)?;
        let file_name = entry.name().map_err(damaged)?.into_owned();
        let Some(name) = file_name.strip_suffix(".npy") else { continue };
        let array = read_array(&mut entry)
            .and_then(|array| at_end(&mut entry).map(|()| array))
            .map_err(|error| error.inside(format!("array {name}")))?;
        if arrays.insert(name.to_owned(), array).is_some() {
            return Err(Diagnostic::error("P0441", format!("array {name} is there twice")));
        }
    }
    Ok(arrays)
}

/// Whether the entry ends here. Reading its end is also what makes the archive compare checksums.
fn at_end(entry: &mut impl Read) -> Result<()> {
    match entry.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Diagnostic::error("P0443", "there is more data than the shape takes")),
        Err(error) => Err(Diagnostic::error("P0443", format!("the data is damaged: {error}"))),
    }
}

/// Reads one array in `.npy` form.
pub fn read_array(source: &mut impl Read) -> Result<FileArray> {
    let io_error =
        |error: std::io::Error| Diagnostic::error("P0443", format!("the data is damaged: {error}"));
    let mut start = Vec::new();
    source.by_ref().take(12).read_to_end(&mut start).map_err(io_error)?;
    let header_bytes = match *start.as_slice() {
        [_, _, _, _, _, _, 1, _, a, b, ..] => {
            (10 + usize::from(u16::from_le_bytes([a, b]))).saturating_sub(12)
        }
        [_, _, _, _, _, _, _, _, a, b, c, d] => u32::from_le_bytes([a, b, c, d]) as usize,
        _ => 0,
    };
    source.by_ref().take(header_bytes.min(1 << 20) as u64).read_to_end(&mut start).map_err(io_error)?;
    let (header, data) = read_header(&start).map_err(|what| {
        let code = if what.starts_with("elements") { "P0444" } else { "P0442" };
        Diagnostic::error(code, format!("not a readable array: {what}"))
            .with_help("numbers, booleans, text and flat records are read; convert others before saving")
    })?;
    let Header { item, shape, fortran_order, big_endian } = header;
    let expected = shape
        .iter()
        .try_fold(item.bytes(), |bytes, &extent| bytes.checked_mul(extent))
        .filter(|&bytes| isize::try_from(bytes).is_ok())
        .ok_or_else(|| {
            Diagnostic::error("P0445", format!("an array of shape {shape:?} does not fit memory"))
        })?;
    let mut bytes = start.get(data..).unwrap_or_default().to_vec();
    let missing = (expected as u64).saturating_sub(bytes.len() as u64);
    // The size is only a claim until the data is there: do not reserve more than a little for it.
    bytes.reserve(usize::try_from(missing).unwrap_or(0).min(1 << 26));
    source.by_ref().take(missing).read_to_end(&mut bytes).map_err(io_error)?;
    if bytes.len() < expected {
        return Err(Diagnostic::error(
            "P0443",
            format!("the data ends after {} of {expected} bytes", bytes.len()),
        ));
    }
    bytes.truncate(expected);
    if big_endian != cfg!(target_endian = "big") {
        swap_words(&item, &mut bytes);
    }
    if let Item::Number(crate::scalar::DType::Bool) = item {
        // NumPy reads any byte but zero as true.
        bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
    Ok(FileArray { item, shape, fortran_order, bytes })
}

fn swap_words(item: &Item, bytes: &mut [u8]) {
    let mut words = Vec::new();
    item.words(0, &mut words);
    for element in bytes.chunks_exact_mut(item.bytes().max(1)) {
        for &(at, length) in &words {
            if let Some(word) = element.get_mut(at..at + length) {
                word.reverse();
            }
        }
    }
}

/// Writes arrays as a deflated `.npz` (or one array as `.npy`, if the name ends so). The file appears only
/// when it is complete; on failure an existing one is left as it was.
///
/// # Errors
/// `P0446`.
pub fn write(path: &Path, arrays: &FileArrays) -> Result<()> {
    let is_npy = path.extension().is_some_and(|extension| extension == "npy");
    replace_file(path, |file| match (is_npy, arrays.len()) {
        (false, _) => write_archive(file, arrays),
        (true, 1) => arrays.values().try_for_each(|array| write_array(file, array)),
        (true, count) => Err(std::io::Error::other(format!("a .npy file holds one array, not {count}"))),
    })
}

/// Replaces a file by what `fill` writes, or leaves it as it was if that fails.
///
/// # Errors
/// `P0446`.
pub fn replace_file(path: &Path, fill: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
    let failed = |error: std::io::Error| {
        Diagnostic::error("P0446", format!("cannot write {}: {error}", path.display()))
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pelton-").suffix(".npz.tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(failed)?;
    fill(file.as_file_mut()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// Writes arrays in `.npz` form.
pub fn write_archive(target: impl Write + Seek, arrays: &FileArrays) -> std::io::Result<()> {
    let mut archive = zip::ZipWriter::new(target);
    for (name, array) in arrays {
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Deflated)
            .compression_level(Some(1))
            .large_file(array.bytes.len() >= 1 << 31);
        archive.start_file(format!("{name}.npy"), options).map_err(std::io::Error::other)?;
        write_array(&mut archive, array)?;
    }
    archive.finish().map_err(std::io::Error::other)?.flush()
}

fn write_array(target: &mut impl Write, array: &FileArray) -> std::io::Result<()> {
    let header = write_header(&array.item, &array.shape, array.fortran_order)
        .ok_or_else(|| std::io::Error::other("the header is too long"))?;
    target.write_all(&header)?;
    if cfg!(target_endian = "big") {
        let mut bytes = array.bytes.clone();
        swap_words(&array.item, &mut bytes);
        return target.write_all(&bytes);
    }
    target.write_all(&array.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::scalar::DType;

    fn sample() -> FileArrays {
        let number = |dtype: DType, shape: &[usize]| {
            let bytes = dtype.bytes() * shape.iter().product::<usize>();
            let bytes = (0..bytes).map(|index| (index % 2) as u8).collect();
            FileArray { item: Item::Number(dtype), shape: shape.to_vec(), fortran_order: false, bytes }
        };
        let mut arrays: FileArrays =
            DType::ALL.iter().map(|&dtype| (dtype.name().to_owned(), number(dtype, &[2, 3]))).collect();
        // NumPy has no names for these: they come back as raw bytes.
        arrays.retain(|name, _| !name.starts_with("bfloat") && !name.starts_with("float8"));
        arrays.insert("value".into(), number(DType::F64, &[]));
        arrays.insert("nothing".into(), number(DType::F64, &[0, 4]));
        arrays
    }

    fn archive(arrays: &FileArrays) -> Vec<u8> {
        let mut target = Cursor::new(Vec::new());
        write_archive(&mut target, arrays).unwrap();
        target.into_inner()
    }

    #[test]
    fn archives_read_back() {
        let arrays = sample();
        assert_eq!(read_archive(Cursor::new(archive(&arrays))).unwrap(), arrays);
    }

    #[test]
    fn foreign_byte_order_is_turned() {
        let text = "{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }\n";
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(1i32.to_be_bytes());
        bytes.extend((-2i32).to_be_bytes());
        let array = read_array(&mut bytes.as_slice()).unwrap();
        assert_eq!(array.bytes, [1i32.to_ne_bytes(), (-2i32).to_ne_bytes()].concat());
    }

    #[test]
    fn a_claim_of_more_data_than_there_is_is_refused() {
        let header = write_header(&Item::Number(DType::F64), &[1 << 40], false).unwrap();
        assert_eq!(read_array(&mut header.as_slice()).unwrap_err().code, "P0443");
        let header = write_header(&Item::Number(DType::F64), &[1 << 40, 1 << 40], false).unwrap();
        assert_eq!(read_array(&mut header.as_slice()).unwrap_err().code, "P0445");
    }

    #[test]
    fn every_truncation_is_an_error() {
        let bytes = archive(&sample());
        for length in 0..bytes.len() {
            assert!(read_archive(Cursor::new(&bytes[..length])).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn damaged_data_is_noticed() {
        let arrays = FileArrays::from([("a".to_owned(), sample()["float64"].clone())]);
        let whole = archive(&arrays);
        let start = whole.windows(5).position(|bytes| bytes == b"a.npy").unwrap() + 5;
        let end = whole.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
        for at in start..end {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            // A flip may land where nothing depends on it, but never changes what is read.
            if let Ok(read) = read_archive(Cursor::new(&bytes)) {
                assert_eq!(read, arrays, "byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_archive(Cursor::new(&bytes));
            let mut npy = b"\x93NUMPY\x01\x00".to_vec();
            npy.extend(&bytes);
            let _ = read_array(&mut npy.as_slice());
        }

        #[test]
        fn any_damage_gives_an_answer(at in 0usize..2000, flip in 1u8..) {
            let mut bytes = archive(&sample());
            let at = at % bytes.len();
            bytes[at] ^= flip;
            let _ = read_archive(Cursor::new(&bytes));
        }

        #[test]
        fn any_header_gives_an_answer(text in "[ {}()\\[\\],:'<>|a-zA-Z0-9é]{0,80}") {
            let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.as_bytes());
            let _ = read_array(&mut bytes.as_slice());
        }
    }
}
