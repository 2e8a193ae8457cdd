//! Random arguments for a program that nobody has any for.

use hashbrown::HashSet;

use crate::check::generate::{Choices, random_number};
use crate::check::locate::add_missing;
use crate::entity::Name;
use crate::ir::{Graph, Program};
use crate::memory::{Arguments, Binding, RequiredKind, required_arguments};
use crate::scalar::{DType, Scalar, Type, arith};

/// Arguments with small sizes; `None` if there is something that cannot be made up, or sizes do not work out. Scalars and symbols
/// that are `known` are not drawn.
pub fn random_inputs(
    program: &Program,
    known: &dyn Fn(&str) -> Option<Scalar>,
    choices: &mut Choices<'_>,
) -> Option<Arguments<'static>> {
    let required = required_arguments(program).ok()?;
    let sizes = size_symbols(program, program.root_graph()?);
    // Most programs want their sizes alike; some have boundaries, so sizes are not too small.
    let common = 4 + choices.below(6) as i64;
    let mut args = Arguments::new();
    for item in &required {
        let name = &program.names[item.name];
        match item.kind {
            RequiredKind::Symbol(dtype) => {
                let value = match sizes.contains(&item.name) {
                    true if choices.chance(75) => common,
                    true => 1 + choices.below(8) as i64,
                    false => choices.below(4) as i64,
                };
                args.insert_scalar(name, arith::cast(dtype, known(name).unwrap_or(Scalar::I64(value))));
            }
            RequiredKind::Scalar(Type::Scalar(dtype)) => {
                let value = random_number(choices, dtype);
                args.insert_scalar(name, arith::cast(dtype, known(name).unwrap_or(value)));
            }
            RequiredKind::Array { ty: Type::Scalar(_), .. } => {}
            _ => return None,
        }
    }
    add_missing(program, &mut args);
    let all_there = required.iter().all(|item| args.get(&program.names[item.name]).is_some());
    if !all_there {
        return None;
    }
    fill(&mut args, choices);
    Some(args)
}

/// Symbols that extents depend on.
fn size_symbols(program: &Program, graph: &Graph) -> HashSet<Name> {
    let extents = graph.data.values().flat_map(|data| data.shape());
    extents.flat_map(|&extent| program.exprs.free_symbols(extent)).collect()
}

fn fill(args: &mut Arguments<'static>, choices: &mut Choices<'_>) {
    let arrays: Vec<(crate::memory::BufferId, DType)> = args
        .bindings
        .values()
        .filter_map(|binding| match binding {
            Binding::Array { buffer, ty: Type::Scalar(dtype), .. } => Some((*buffer, *dtype)),
            _ => None,
        })
        .collect();
    for (buffer, dtype) in arrays {
        // Integers are often indices.
        let indices = dtype.is_integral() && choices.chance(60);
        let Some(buffer) = args.buffers.get_mut(buffer) else { continue };
        for bytes in buffer.bytes_mut().chunks_exact_mut(dtype.bytes()) {
            let value =
                if indices { Scalar::I64(choices.below(4) as i64) } else { random_number(choices, dtype) };
            arith::cast(dtype, value).write_le_bytes(bytes);
        }
    }
}
