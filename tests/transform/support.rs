//! Runs programs on made-up arguments and compares what they leave behind, bit for bit.

use pelton::entity::Name;
use pelton::exec::Format;
use pelton::exec::load::finish;
use pelton::front::pel;
use pelton::interp::{self, Options, Outcome, RequiredKind, required_arguments};
use pelton::ir::{BlockKind, Graph, NodeKind, Program};
use pelton::memory::{Arguments, Binding, Buffer};
use pelton::scalar::{DType, Scalar, Type};
use pelton::symbolic::Env;
use pelton::transform::{self, Report};

/// A program from text, lowered and validated.
pub fn program(text: &str) -> Program {
    let parsed = pel::parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let loaded = finish(parsed, Format::Pel, Vec::new());
    if let Some(error) = loaded.errors().next() {
        panic!("{error}\n{text}");
    }
    loaded.program
}

/// The program after only these rules, each run once over its worklist.
pub fn after(program: &Program, rules: &[&str]) -> (Program, Report) {
    let mut changed = program.clone();
    let options = transform::Options { validate: true, ..transform::Options::default() };
    let report = transform::run(&mut changed, rules, &options, &mut |_, _| {})
        .unwrap_or_else(|error| panic!("{error}\n{}", pel::print_brief(program)));
    assert!(report.rules.iter().all(|rule| rule.undone == 0), "{report}\n{}", pel::print_brief(program));
    (changed, report)
}

/// What a run leaves in the arguments: bytes of all buffers, or the fault.
pub type Left = Result<Vec<Vec<u8>>, String>;

/// Runs on the interpreter with arguments that follow from `seed`; every symbol is `size`.
pub fn run(program: &Program, size: i64, seed: u64) -> Left {
    let mut args = arguments(program, size, seed);
    run_with(program, &mut args)
}

/// Runs on the interpreter.
pub fn run_with(program: &Program, args: &mut Arguments<'_>) -> Left {
    let mut prepared = interp::Prepared::new(program).map_err(|error| error.to_string())?;
    let options = Options { fuel: Some(200_000_000), ..Options::default() };
    match prepared.run(args, &options).map_err(|error| error.to_string())? {
        Outcome::Done(_) => Ok(args.buffers.iter().map(|(_, buffer)| buffer.bytes().to_vec()).collect()),
        Outcome::Trap(fault) => Err(fault.to_string()),
    }
}

fn arguments(program: &Program, size: i64, seed: u64) -> Arguments<'static> {
    let symbols = Everywhere(size);
    let mut random = Random(seed);
    let mut args = Arguments::new();
    for required in required_arguments(program).unwrap() {
        let name = program.names.get(required.name);
        match required.kind {
            RequiredKind::Symbol(dtype) => {
                args.insert_scalar(name, pelton::scalar::arith::cast(dtype, Scalar::I64(size)))
            }
            RequiredKind::Scalar(ty) => args.insert_scalar(name, random.scalar(ty)),
            RequiredKind::Array { ty, shape, .. } => {
                let shape: Vec<usize> = shape
                    .iter()
                    .map(|&extent| usize::try_from(program.exprs.eval(extent, &symbols).unwrap()).unwrap())
                    .collect();
                let dtype = ty.scalar().expect("arrays of numbers");
                let mut bytes = vec![0; shape.iter().product::<usize>() * dtype.bytes()];
                for place in bytes.chunks_mut(dtype.bytes()) {
                    random.scalar(ty).write_le_bytes(place);
                }
                args.insert_array(name, ty, dtype.bytes(), &shape, bytes);
            }
            RequiredKind::Other(_) => panic!("{name} is no array"),
        }
    }
    args
}

/// A copy of arguments that own their memory.
pub fn copied(args: &Arguments<'_>) -> Arguments<'static> {
    let buffers = args.buffers.values().map(|buffer| Buffer::Owned(buffer.bytes().to_vec())).collect();
    let bindings: indexmap::IndexMap<String, Binding> = args.bindings.clone();
    Arguments { buffers, bindings }
}

struct Everywhere(i64);

impl Env for Everywhere {
    fn symbol(&self, _: Name) -> Option<Scalar> {
        Some(Scalar::I64(self.0))
    }
}

/// A small generator of pseudo-random numbers, the same on every machine.
pub struct Random(pub u64);

impl Random {
    /// The next number (splitmix64).
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn scalar(&mut self, ty: Type) -> Scalar {
        let dtype = ty.scalar().unwrap_or(DType::F64);
        // Values whose sums round, so that a changed order of operations shows.
        let value = (self.next() % 2_000_003) as f64 / 7919.0 - 100.0;
        pelton::scalar::arith::cast(dtype, Scalar::F64(value))
    }
}

/// Removes ordering edges at the top level of states: what is left relies on the order in which nodes are stored.
pub fn without_order(program: &mut Program) {
    let ids: Vec<_> = program.graphs.ids().collect();
    for id in ids {
        let blocks: Vec<_> = program.graphs[id].blocks.ids().collect();
        for block in blocks {
            let BlockKind::State(state) = &mut program.graphs[id].blocks[block].kind else { continue };
            let inside: Vec<bool> = (state.edges.values())
                .map(|edge| {
                    matches!(state.nodes[edge.src].kind, NodeKind::MapEntry(_))
                        || matches!(state.nodes[edge.dst].kind, NodeKind::MapExit { .. })
                })
                .collect();
            for ((_, edge), inside) in state.edges.iter_mut().zip(inside) {
                edge.removed |= edge.memlet.is_empty() && !inside;
            }
        }
    }
}

/// How many of everything a program's reachable graphs have: states, maps, access nodes, tasklets, ordering edges.
pub fn counts(program: &Program) -> [usize; 5] {
    let canonical = pelton::ir::canonical::canonical(program);
    let mut counts = [0; 5];
    let graphs: Vec<&Graph> = canonical.graphs.values().collect();
    for (_, state) in graphs.iter().flat_map(|graph| graph.states()) {
        counts[0] += 1;
        for (_, node) in state.live_nodes() {
            match node.kind {
                NodeKind::MapEntry(_) => counts[1] += 1,
                NodeKind::Access { .. } => counts[2] += 1,
                NodeKind::Tasklet(_) => counts[3] += 1,
                _ => {}
            }
        }
        counts[4] += state.edges.values().filter(|edge| !edge.removed && edge.memlet.is_empty()).count();
    }
    counts
}
