//! From arrays in files to the arguments of a program.
//!
//! The program says what it takes ([`required_arguments`]); the file has what was recorded. Between the two:
//!
//! - a scalar or symbol comes as a 0-d array (or one of a single element), in any type that holds the same
//!   number as the declared type;
//! - an array of vectors comes as an array of numbers whose last dimension counts lanes;
//! - raw bytes (`|V2`, `|V1`) and unsigned integers of the right size stand for the float types NumPy lacks;
//! - records are matched by field names;
//! - the text `__None__` stands for an optional argument that was not given;
//! - arrays the program returns (`__return`, `__return_0`, ...) are allocated here, and filled with a
//!   pattern that does not look like a result.

use crate::diag::{Diagnostic, Result};
use crate::entity::Name;
use crate::ir::Program;
use crate::memory::{Arguments, Binding, Buffer, Required, RequiredKind, infer_symbols, required_arguments};
use crate::scalar::{DType, Scalar, StructDef, Type, arith};
use crate::symbolic::{Env, EvalError};

use super::npz::{FileArray, FileArrays, Item, dense_strides};

/// The text that stands for an argument that was not given.
const ABSENT: &str = "__None__";

/// Byte that fills returned arrays before the call: NaN as a float, an odd number as an integer.
const POISON: u8 = 0xFF;

/// The arguments of a program, taken from arrays by name; arrays the program returns are allocated. What the
/// file has beyond the program's arguments goes along if it is a number (a symbol that only shapes mention),
/// and is left out otherwise.
///
/// # Errors
/// `P042x`: an array that does not fit its declaration. That something is missing is for the engine to say.
pub fn bind(program: &Program, arrays: FileArrays) -> Result<Arguments<'static>> {
    let required = required_arguments(program)?;
    let mut given = arrays;
    let mut args = Arguments::new();
    for item in &required {
        let name = &program.names[item.name];
        if let Some(array) = given.shift_remove(name) {
            bind_one(program, item, name, array, &mut args)
                .map_err(|error| error.at(format!("argument {name}")))?;
        }
    }
    for (name, array) in &given {
        if let Some(value) = single_value(array) {
            args.insert_scalar(name, value);
        }
    }
    allocate_returns(program, &required, &mut args)?;
    Ok(args)
}

fn bind_one(
    program: &Program,
    required: &Required,
    name: &str,
    array: FileArray,
    args: &mut Arguments<'static>,
) -> Result<()> {
    if array.text().as_deref() == Some(ABSENT) {
        args.bindings.insert(name.to_owned(), Binding::Absent);
        return Ok(());
    }
    match &required.kind {
        RequiredKind::Array { ty, .. } => bind_array(program, *ty, name, array, args),
        RequiredKind::Scalar(Type::Scalar(dtype)) | RequiredKind::Symbol(dtype) => {
            let value = single_value(&array).ok_or_else(|| {
                Diagnostic::error(
                    "P0421",
                    format!("{name} is one {dtype}, but the file has {}", described(&array)),
                )
            })?;
            args.insert_scalar(name, converted(value, *dtype)?);
            Ok(())
        }
        RequiredKind::Scalar(ty) => bind_array(program, *ty, name, array, args),
        RequiredKind::Other(_) => Err(Diagnostic::error(
            "P0424",
            format!("{name} is a structure, stream or array of containers, which files cannot bring"),
        )
        .with_help("call the program through the library")),
    }
}

/// The number, if the array holds exactly one.
pub fn single_value(array: &FileArray) -> Option<Scalar> {
    match array.item {
        Item::Number(dtype) if array.shape.iter().all(|&extent| extent == 1) => {
            Scalar::from_le_bytes(dtype, &array.bytes)
        }
        _ => None,
    }
}

/// The value in another type, if it is the same number there. Floating-point values may be rounded to a
/// narrower floating-point type, as a caller's `float` is.
pub fn converted(value: Scalar, dtype: DType) -> Result<Scalar> {
    let result = arith::cast(dtype, value);
    let back = arith::cast(value.dtype(), result);
    let rounds = (value.dtype().is_float() || value.dtype().is_complex())
        && (dtype.is_float() || dtype.is_complex())
        && (dtype.is_complex() || value.as_complex().im == 0.0);
    if back == value || rounds {
        return Ok(result);
    }
    let shown = crate::check::compare::show(value);
    Err(Diagnostic::error("P0422", format!("{shown} ({}) does not fit {dtype}", value.dtype())))
}

fn described(array: &FileArray) -> String {
    format!("{} of shape {:?}", array.item.name(), array.shape)
}

fn bind_array(
    program: &Program,
    ty: Type,
    name: &str,
    array: FileArray,
    args: &mut Arguments<'static>,
) -> Result<()> {
    let mismatch = |array: &FileArray, wanted: &str| {
        Diagnostic::error(
            "P0420",
            format!("{name} has elements of type {wanted}, but the file has {}", described(array)),
        )
        .with_help("convert the array before saving it; Pelton does not reinterpret bytes")
    };
    let mut strides = array.strides();
    let mut shape = array.shape.clone();
    match ty {
        Type::Scalar(dtype) => {
            let fits = match array.item {
                Item::Number(given) => given == dtype || stands_for(given, dtype),
                Item::Raw(bytes) => bytes == dtype.bytes(),
                _ => false,
            };
            if !fits {
                return Err(mismatch(&array, dtype.name()));
            }
        }
        Type::Vector(dtype, lanes) => {
            let lanes = usize::from(lanes);
            let wanted = format!("{dtype} in vectors of {lanes}");
            let last = shape.last_mut().filter(|extent| lanes > 0 && **extent % lanes == 0);
            match (&array.item, last) {
                (Item::Number(given), Some(extent)) if *given == dtype && !array.fortran_order => {
                    *extent /= lanes
                }
                _ => return Err(mismatch(&array, &wanted)),
            }
            strides = dense_strides(dtype.bytes() * lanes, &shape, false);
        }
        Type::Struct(id) => {
            let def = program.structs.get(id).ok_or_else(|| mismatch(&array, "an unknown record type"))?;
            let bytes = record_bytes(program, def, &array)
                .ok_or_else(|| mismatch(&array, &format!("record {}", &program.names[def.name])))?;
            let strides = dense_strides(def.bytes, &shape, array.fortran_order);
            insert(args, name, ty, shape, strides, bytes);
            return Ok(());
        }
        Type::Opaque(_) => return Err(mismatch(&array, "something files cannot bring")),
    }
    insert(args, name, ty, shape, strides, array.bytes);
    Ok(())
}

fn insert(
    args: &mut Arguments<'static>,
    name: &str,
    ty: Type,
    shape: Vec<usize>,
    strides: Vec<isize>,
    bytes: Vec<u8>,
) {
    let buffer = args.buffers.push(Buffer::Owned(bytes));
    args.bindings.insert(name.to_owned(), Binding::Array { buffer, offset: 0, ty, shape, strides });
}

/// Whether an unsigned integer of a file may hold the bits of a type that NumPy lacks.
fn stands_for(given: DType, declared: DType) -> bool {
    matches!(
        (given, declared),
        (DType::U16, DType::BF16) | (DType::U8, DType::F8E4M3 | DType::F8E5M2) | (DType::U8, DType::Bool)
    )
}

/// The records of a file in the layout of the declared type, matched by field name.
fn record_bytes(program: &Program, def: &StructDef, array: &FileArray) -> Option<Vec<u8>> {
    let Item::Record { fields, bytes: item_bytes } = &array.item else { return None };
    if fields.len() != def.fields.len() || *item_bytes == 0 {
        return None;
    }
    let mut moves = Vec::with_capacity(fields.len());
    for field in &def.fields {
        let (_, item, offset) = fields.iter().find(|(name, ..)| *name == program.names[field.name])?;
        let Item::Number(dtype) = item else { return None };
        if field.ty != Type::Scalar(*dtype) {
            return None;
        }
        moves.push((*offset, field.offset, dtype.bytes()));
    }
    let count = array.bytes.len() / item_bytes;
    let mut out = vec![0; count.checked_mul(def.bytes)?];
    for (source, target) in array.bytes.chunks_exact(*item_bytes).zip(out.chunks_exact_mut(def.bytes.max(1)))
    {
        for &(from, to, length) in &moves {
            target.get_mut(to..to + length)?.copy_from_slice(source.get(from..from + length)?);
        }
    }
    Some(out)
}

/// Allocates the arrays that the program returns and that nobody gave.
fn allocate_returns(program: &Program, required: &[Required], args: &mut Arguments<'static>) -> Result<()> {
    let missing = |item: &&Required| {
        let name = &program.names[item.name];
        name.starts_with("__return") && args.get(name).is_none()
    };
    let missing: Vec<&Required> = required.iter().filter(missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let symbols = infer_symbols(program, args)?;
    let env = Symbols(&|name| symbols.get(&name).copied());
    for item in missing {
        let name = &program.names[item.name];
        match &item.kind {
            RequiredKind::Array { ty, shape, .. } => {
                let shape: Vec<usize> = shape
                    .iter()
                    .map(|&extent| extent_of(program.exprs.eval(extent, &env), program, name))
                    .collect::<Result<_>>()?;
                let item_bytes = ty.bytes(&program.structs);
                let bytes = shape.iter().try_fold(item_bytes, |bytes, &extent| bytes.checked_mul(extent));
                let bytes = bytes
                    .filter(|&bytes| isize::try_from(bytes).is_ok())
                    .ok_or_else(|| too_large(name, &shape))?;
                let mut memory: Vec<u8> = Vec::new();
                memory.try_reserve_exact(bytes).map_err(|_| too_large(name, &shape))?;
                let fill = if *ty == Type::BOOL { 0 } else { POISON };
                memory.resize(bytes, fill);
                args.insert_array(name, *ty, item_bytes, &shape, memory);
            }
            RequiredKind::Scalar(Type::Scalar(dtype)) => args.insert_scalar(name, Scalar::zero(*dtype)),
            _ => {}
        }
    }
    Ok(())
}

fn too_large(name: &str, shape: &[usize]) -> Diagnostic {
    Diagnostic::error("P0423", format!("{name} of shape {shape:?} does not fit memory"))
}

fn extent_of(value: std::result::Result<i64, EvalError>, program: &Program, name: &str) -> Result<usize> {
    let what = match value {
        Ok(extent) => match usize::try_from(extent) {
            Ok(extent) => return Ok(extent),
            Err(_) => format!("an extent of {name} is {extent}"),
        },
        Err(EvalError::Unknown(symbol)) => {
            format!("the shape of {name} needs {}, which has no value", &program.names[symbol])
        }
        Err(error) => format!("the shape of {name} cannot be computed: {error:?}"),
    };
    Err(Diagnostic::error("P0423", what)
        .with_help("give the symbols that the shape mentions (--set NAME=VALUE)"))
}

/// Values of symbols for evaluation.
pub struct Symbols<'a>(pub &'a dyn Fn(Name) -> Option<Scalar>);

impl Env for Symbols<'_> {
    fn symbol(&self, name: Name) -> Option<Scalar> {
        (self.0)(name)
    }
}

/// The arrays of a call as a file holds them: dense, in the order of the bindings, records with their fields.
pub fn unbind(program: &Program, args: &Arguments<'_>, wanted: &dyn Fn(&str) -> bool) -> FileArrays {
    let mut arrays = FileArrays::new();
    for (name, binding) in args.bindings.iter().filter(|(name, _)| wanted(name)) {
        match binding {
            Binding::Array { buffer, offset, ty, shape, strides } => {
                let Some(buffer) = args.buffers.get(*buffer) else { continue };
                if let Some(array) = dense(program, buffer.bytes(), *offset, *ty, shape, strides) {
                    arrays.insert(name.clone(), array);
                }
            }
            Binding::Scalar(value) => {
                let mut bytes = vec![0; value.dtype().bytes()];
                value.write_le_bytes(&mut bytes);
                let item = Item::Number(value.dtype());
                arrays
                    .insert(name.clone(), FileArray { item, shape: Vec::new(), fortran_order: false, bytes });
            }
            Binding::Absent => {}
        }
    }
    arrays
}

fn dense(
    program: &Program,
    bytes: &[u8],
    offset: usize,
    ty: Type,
    shape: &[usize],
    strides: &[isize],
) -> Option<FileArray> {
    let mut shape = shape.to_vec();
    let item_bytes = ty.bytes(&program.structs);
    let dense_c = dense_strides(item_bytes, &shape, false);
    let dense_f = dense_strides(item_bytes, &shape, true);
    let count: usize = shape.iter().product();
    let whole = bytes.get(offset..offset.checked_add(count.checked_mul(item_bytes)?)?);
    let (bytes, fortran_order) = if shape.contains(&0) {
        (Vec::new(), false)
    } else if strides == dense_c {
        (whole?.to_vec(), false)
    } else if strides == dense_f {
        (whole?.to_vec(), true)
    } else {
        (gathered(bytes, offset, item_bytes, &shape, strides)?, false)
    };
    let item = match ty {
        Type::Scalar(dtype) => Item::Number(dtype),
        Type::Vector(dtype, lanes) => {
            match shape.last_mut() {
                Some(extent) => *extent *= usize::from(lanes),
                None => shape.push(lanes.into()),
            }
            Item::Number(dtype)
        }
        Type::Struct(id) => {
            let def = program.structs.get(id)?;
            let fields = def.fields.iter().map(|field| match field.ty {
                Type::Scalar(dtype) => {
                    Some((program.names[field.name].to_owned(), Item::Number(dtype), field.offset))
                }
                _ => None,
            });
            Item::Record { fields: fields.collect::<Option<_>>()?, bytes: def.bytes }
        }
        Type::Opaque(_) => return None,
    };
    Some(FileArray { item, shape, fortran_order, bytes })
}

/// Elements of any layout, row by row.
fn gathered(
    bytes: &[u8],
    offset: usize,
    item_bytes: usize,
    shape: &[usize],
    strides: &[isize],
) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(shape.iter().product::<usize>() * item_bytes);
    let mut index = vec![0usize; shape.len()];
    loop {
        let at = index.iter().zip(strides).try_fold(offset.cast_signed(), |at, (&position, &stride)| {
            at.checked_add(stride.checked_mul(position.cast_signed())?)
        })?;
        let at = usize::try_from(at).ok()?;
        out.extend_from_slice(bytes.get(at..at.checked_add(item_bytes)?)?);
        let mut dimension = shape.len();
        loop {
            if dimension == 0 {
                return Some(out);
            }
            dimension -= 1;
            index[dimension] += 1;
            if index[dimension] < shape[dimension] {
                break;
            }
            index[dimension] = 0;
        }
    }
}
