//! Scalars, and everything that depends on symbols only, stay symbolic.

use pelton::exec::gtir::GtirProgram;
use pelton::front::gtir::text;
use pelton::ir::{BlockKind, NodeKind};
use pelton::scalar::{DType, Scalar};

use super::harness::*;

/// Tasklets, transients and assignments between states that copy or compute a scalar of the program.
///
/// Sizes of fields may be assigned: a guarded read keeps its index inside the array.
fn counts(source: &str, mut setup: Setup) -> (usize, usize, usize) {
    setup.args.column_axis = Some("K".to_owned());
    let lowered = GtirProgram::new(&text::read(source).unwrap(), &setup.args).unwrap();
    let program = &lowered.program;
    let graph = program.root_graph().unwrap();
    let mut tasklets = 0;
    for block in graph.blocks.values() {
        let BlockKind::State(state) = &block.kind else { continue };
        tasklets += state.live_nodes().filter(|(_, node)| matches!(node.kind, NodeKind::Tasklet(_))).count();
    }
    let transients = graph.data.values().filter(|data| data.transient).count();
    let assignments = graph.regions.values().flat_map(|region| &region.edges);
    let of_scalars = |text: &str| {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| word == "n" || word == "flag")
    };
    let assignments = assignments.flat_map(|edge| &edge.assignments);
    (tasklets, transients, assignments.filter(|(_, value)| of_scalars(&value.text.text)).count())
}

fn setup() -> Setup {
    Setup::new()
        .column("a", &[1.0, 2.0, 3.0, 4.0])
        .scalar("n", Scalar::I32(2))
        .scalar("flag", Scalar::Bool(true))
        .column("out", &[0.0; 4])
}

/// A statement is as many maps as it has sides to choose from, or fewer; scalars make no tasklets of their own.
#[test]
fn statements_are_maps_per_side_whatever_their_scalars_are() {
    for (value, sides) in [
        ("a", 1),
        ("(⇑(λ(a, s) → ·a + ·s))(a, cast_(n × 2 + 1, float64))", 1),
        ("(λ(m) → concat_where(Kᵥ < m, a, 0.0))(maximum(n, 1))", 2),
        ("(λ(m) → (λ(k) → concat_where(Kᵥ < k ∨ Kᵥ > m, a, 0.0))(m - 1))(n + 1)", 3),
        ("if flag ∧ n > 1 then a else (⇑(λ(a) → ·a × 2.0))(a)", 2),
        ("concat_where(Kᵥ < if flag then n else 1, a, 1.0)", 2),
        ("(⇑(λ(a, k) → if ·k < 2 then ·a else 0.0))(a, index(Kᵥ))", 2),
    ] {
        let source = format!("p(a, n, flag, out) {{ out @ c⟨ Kᵥ: [0, n + 1[ ⟩ ← {value}; }}");
        let (tasklets, transients, assigned) = counts(&source, setup());
        assert!(tasklets <= sides, "{value}: {tasklets}");
        assert_eq!((transients, assigned), (0, 0), "{value}");
    }
}

#[test]
fn conditions_of_statements_are_no_tasklets() {
    let source = "p(a, n, flag, out) { \
                  if (flag ∧ n > 1) { out @ c⟨ Kᵥ: [0, n[ ⟩ ← a; } else { out @ c⟨ Kᵥ: [0, n[ ⟩ ← 0.0; } }";
    assert_eq!(counts(source, setup()), (2, 0, 0));
}

#[test]
fn a_scan_is_one_map_over_columns() {
    let source = "p(a, n, flag, out) { out @ c⟨ Kᵥ: [0, n[ ⟩ ← \
                  (⇑scan(λ(s, a) → s + ·a, True, cast_(n, float64)))(a); }";
    let (tasklets, transients, _) = counts(source, setup());
    assert_eq!((tasklets, transients), (1, 0));
}

#[test]
fn temporaries_have_no_negative_extent() {
    // Read at two places each, and expensive: materialised.
    let source = "p(a, n, out) { out @ c⟨ Kᵥ: [1, n[ ⟩ ← \
                  (⇑(λ(t) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(t) + ·⟪Kᵥ→Kᵥ, 1ₒ⟫(t) + ·t))((⇑(λ(a) → exp(sin(·a) + cos(·a))))(a)); }";
    let make = |n| Setup::new().column("a", &[0.0; 4]).scalar("n", Scalar::I32(n)).column("out", &[5.0; 4]);
    let lowered = GtirProgram::new(&text::read(source).unwrap(), &make(3).args).unwrap();
    let program = &lowered.program;
    let graph = program.root_graph().unwrap();
    let temporary = graph.data.values().find(|data| data.transient).expect("one temporary");
    let n = program.names.lookup("n").unwrap();
    for (value, extent) in [(3, 4), (1, 2), (0, 1), (-1, 0), (-7, 0)] {
        let env = pelton::exec::bind::Symbols(&|name| (name == n).then_some(Scalar::I32(value)));
        assert_eq!(program.exprs.eval(temporary.shape()[0], &env), Ok(extent), "n = {value}");
    }
    expect(source, || make(-5), &[("out", &[5.0; 4])]);
}

#[test]
fn loops_follow_the_memory() {
    // `I` is contiguous in all fields: it is the innermost parameter of the map although it is written first.
    let source = "p(a, out) { out @ c⟨ Iₕ: [0, 2[, Kᵥ: [0, 3[ ⟩ ← (⇑(λ(a) → ·a + 1.0))(a); }";
    let mut setup = Setup::new().field("a", DType::F64, &[("Iₕ", 0, 2), ("Kᵥ", 0, 3)], &[0.0; 6]).field(
        "out",
        DType::F64,
        &[("Iₕ", 0, 2), ("Kᵥ", 0, 3)],
        &[0.0; 6],
    );
    for binding in setup.args.memory.bindings.values_mut() {
        if let pelton::memory::Binding::Array { strides, .. } = binding {
            *strides = vec![8, 16];
        }
    }
    let lowered = GtirProgram::new(&text::read(source).unwrap(), &setup.args).unwrap();
    let program = &lowered.program;
    let graph = program.root_graph().unwrap();
    let maps = graph.states().flat_map(|(_, state)| state.live_nodes()).filter_map(|(_, node)| {
        let NodeKind::MapEntry(map) = &node.kind else { return None };
        Some(map.params.iter().map(|&name| program.names[name].to_owned()).collect::<Vec<_>>())
    });
    assert_eq!(maps.collect::<Vec<_>>(), [["i_K", "i_I"]]);
}
