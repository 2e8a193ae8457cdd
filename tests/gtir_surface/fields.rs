use pelton::exec::gtir::GtirProgram;
use pelton::front::gtir::text;
use pelton::ir::NodeKind;
use pelton::scalar::{DType, Scalar};

use super::harness::*;

#[test]
fn tuples() {
    let setup =
        || Setup::new().columns("t", &[&[1.0, 2.0], &[10.0, 20.0]]).columns("out", &[&[0.0; 2], &[0.0; 2]]);
    let domain = "c⟨ Kᵥ: [0, 2[ ⟩";
    for (value, first, second) in [
        ("{t[1], t[0]}", [10.0, 20.0], [1.0, 2.0]),
        ("(⇑(λ(t) → {(·t)[1], (·t)[0] + 1.0}))(t)", [10.0, 20.0], [2.0, 3.0]),
        ("map_tuple(λ(x) → (⇑(λ(x) → ·x + 1.0))(x))(t)", [2.0, 3.0], [11.0, 21.0]),
        ("tree_map_tuple(λ(x) → (⇑(λ(x) → ·x + 1.0))(x))({t, t[0]})[0]", [2.0, 3.0], [11.0, 21.0]),
        ("tree_map_tuple(λ(x, y) → (⇑(λ(x, y) → ·x + ·y))(x, y))(t, t)", [2.0, 4.0], [20.0, 40.0]),
        ("if 1 < 2 then t else {t[1], t[1]}", [1.0, 2.0], [10.0, 20.0]),
        ("concat_where(Kᵥ < 1, t, {t[1], t[0]})", [1.0, 20.0], [10.0, 2.0]),
        ("concat_where(Kᵥ < 1, (⇑(λ(t) → {(·t)[1], (·t)[0]}))(t), t)", [10.0, 2.0], [1.0, 20.0]),
    ] {
        println!("{value}");
        let program = format!("p(t, out) {{ {{out[0], out[1]}} @ {{{domain}, {domain}}} ← {value}; }}");
        expect(&program, setup, &[("out_0", &first), ("out_1", &second)]);
    }
}

#[test]
fn each_target_has_its_own_domain() {
    let program = "p(a, t) { {t[0], t[1]} @ {c⟨ Kᵥ: [0, 1[ ⟩, c⟨ Kᵥ: [1, 3[ ⟩} ← {a, a}; }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).columns("t", &[&[0.0; 3], &[0.0; 3]]);
    expect(program, setup, &[("t_0", &[1.0, 0.0, 0.0]), ("t_1", &[0.0, 2.0, 3.0])]);
}

#[test]
fn masks() {
    let a = [1.0, 2.0, 3.0, 4.0];
    for (mask, expected) in [
        ("Kᵥ < 2", [1.0, 2.0, 0.0, 0.0]),
        ("2 <= Kᵥ", [0.0, 0.0, 3.0, 4.0]),
        ("Kᵥ == 1", [0.0, 2.0, 0.0, 0.0]),
        ("not_eq(Kᵥ, 1)", [1.0, 0.0, 3.0, 4.0]),
        ("Kᵥ < 1 ∨ Kᵥ > 2", [1.0, 0.0, 0.0, 4.0]),
        ("Kᵥ > 0 ∧ Kᵥ < 3", [0.0, 2.0, 3.0, 0.0]),
        ("¬(Kᵥ > 0 ∧ Kᵥ < 3)", [1.0, 0.0, 0.0, 4.0]),
        ("c⟨ Kᵥ: [1, ∞[ ⟩", [0.0, 2.0, 3.0, 4.0]),
        ("c⟨ Kᵥ: [-∞, 3[ ⟩", [1.0, 2.0, 3.0, 0.0]),
        ("Kᵥ < -5", [0.0; 4]),
        ("Kᵥ < n", [1.0, 2.0, 3.0, 0.0]),
    ] {
        println!("{mask}");
        let program = format!("p(a, n, out) {{ out @ c⟨ Kᵥ: [0, 4[ ⟩ ← concat_where({mask}, a, 0.0); }}");
        let setup = || Setup::new().column("a", &a).scalar("n", Scalar::I32(3)).column("out", &[9.0; 4]);
        expect(&program, setup, &[("out", &expected)]);
    }
}

#[test]
fn masks_keep_reads_in_bounds() {
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 3[ ⟩ ← concat_where(Kᵥ < 1, 7.0, (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a)))((⇑(λ(a) → ·a × 2.0))(a))); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0, 3.0]).column("out", &[0.0; 3]);
    expect(program, setup, &[("out", &[7.0, 2.0, 4.0])]);
}

/// Each side of a choice between coordinates is computed in a map of its own, where all reads are certain.
#[test]
fn masks_cut_maps() {
    let program = "p(a, b, out) { out @ c⟨ Kᵥ: [0, 4[ ⟩ ← concat_where(Kᵥ < 1, b, (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(a) + ·a))(a)); }";
    let setup = || {
        let inputs = Setup::new().column("a", &[1.0, 2.0, 3.0, 4.0]).column("b", &[7.0]);
        inputs.column("out", &[0.0; 4])
    };
    expect(program, setup, &[("out", &[7.0, 3.0, 5.0, 7.0])]);
    let mut lowered = setup();
    lowered.args.column_axis = Some("K".to_owned());
    let program = GtirProgram::new(&text::read(program).unwrap(), &lowered.args).unwrap().program;
    let graph = &program.graphs[program.root.unwrap()];
    let (mut maps, mut guarded) = (0, 0);
    for (_, state) in graph.states() {
        for (node, kind) in state.live_nodes() {
            maps += usize::from(matches!(kind.kind, NodeKind::MapEntry(_)));
            if matches!(kind.kind, NodeKind::Tasklet(_)) {
                guarded += state.in_edges(node).filter(|(_, edge)| edge.memlet.dynamic).count();
            }
        }
    }
    assert_eq!((maps, guarded), (2, 0));
}

#[test]
fn masks_in_two_dimensions() {
    let program = "p(a, out) { out @ c⟨ Iₕ: [0, 2[, Kᵥ: [0, 2[ ⟩ ← concat_where(Iₕ < 1 ∧ Kᵥ >= 1, a, 0.0); }";
    let dims = [("Iₕ", 0, 2), ("Kᵥ", 0, 2)];
    let setup = || {
        Setup::new().field("a", DType::F64, &dims, &[1.0, 2.0, 3.0, 4.0]).field(
            "out",
            DType::F64,
            &dims,
            &[9.0; 4],
        )
    };
    expect(program, setup, &[("out", &[0.0, 2.0, 0.0, 0.0])]);
}

#[test]
fn broadcasts() {
    let program = "p(a, out) { out @ c⟨ Iₕ: [0, 2[, Kᵥ: [0, 2[ ⟩ ← broadcast(a, {Iₕ, Kᵥ}); }";
    let dims = [("Iₕ", 0, 2), ("Kᵥ", 0, 2)];
    let setup = || Setup::new().column("a", &[1.0, 2.0]).field("out", DType::F64, &dims, &[9.0; 4]);
    expect(program, setup, &[("out", &[1.0, 2.0, 1.0, 2.0])]);
    let scalar = "p(out) { out @ c⟨ Kᵥ: [0, 2[ ⟩ ← broadcast(0.5, {Kᵥ}); }";
    expect(scalar, || Setup::new().column("out", &[0.0; 2]), &[("out", &[0.5, 0.5])]);
}

#[test]
fn index_is_the_coordinate() {
    let program = "p(out) { out @ c⟨ Kᵥ: [2, 4[ ⟩ ← index(Kᵥ); }";
    let setup = || Setup::new().field("out", DType::I32, &[("Kᵥ", 2, 2)], &[0.0; 2]);
    expect(program, setup, &[("out", &[2.0, 3.0])]);
}

#[test]
fn empty_and_negative_domains_write_nothing() {
    for stop in ["0", "-3", "n"] {
        let program = format!(
            "p(a, n, out) {{ out @ c⟨ Kᵥ: [0, {stop}[ ⟩ ← (⇑(λ(a) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(a)))((⇑(λ(a) → ·a + 1.0))(a)); }}"
        );
        let setup =
            || Setup::new().column("a", &[1.0]).scalar("n", Scalar::I32(-1)).column("out", &[9.0, 9.0]);
        expect(&program, setup, &[("out", &[9.0, 9.0])]);
    }
}

#[test]
fn functions_are_values() {
    let program = "p(a, out) { twice = λ(f, x) → f(f(x)); inc = λ(x) → (⇑(λ(x) → ·x + 1.0))(x); \
                   out @ c⟨ Kᵥ: [0, 2[ ⟩ ← twice(inc, a); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    expect(program, setup, &[("out", &[3.0, 4.0])]);
}

#[test]
fn scalars_and_domains_are_values() {
    let program = "p(a, n, s, out) { f = λ(d, x, s) → as_fieldop(λ(x, s) → ·x × ·s, d)(x, s); \
                   out @ c⟨ Kᵥ: [0, n[ ⟩ ← f(c⟨ Kᵥ: [0, n[ ⟩, a, s + 1.0); }";
    let setup = || {
        Setup::new()
            .column("a", &[1.0, 2.0])
            .scalar("n", Scalar::I32(2))
            .scalar("s", Scalar::F64(1.5))
            .column("out", &[0.0; 2])
    };
    expect(program, setup, &[("out", &[2.5, 5.0])]);
}

#[test]
fn shadowed_names() {
    let program = "p(a, out) { f = λ(exp, a) → (λ(a) → (⇑(λ(exp) → ·exp + 1.0))(a))(exp); \
                   out @ c⟨ Kᵥ: [0, 2[ ⟩ ← f(a, out); }";
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    expect(program, setup, &[("out", &[2.0, 3.0])]);
}

#[test]
fn shared_lets_are_not_evaluated_again_and_again() {
    // 2^60 evaluations if every use of a let were one.
    let mut value = "a".to_owned();
    for _ in 0..60 {
        value = format!("(λ(x) → (⇑(λ(x, y) → 0.5 × ·x + 0.5 × ·y))(x, x))({value})");
    }
    let program = format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← {value}; }}");
    let setup = || Setup::new().column("a", &[1.0, 2.0]).column("out", &[0.0; 2]);
    expect(&program, setup, &[("out", &[1.0, 2.0])]);
}

#[test]
fn long_chains_are_no_problem() {
    let length = 20_000;
    let mut value = String::new();
    for _ in 0..length {
        value += "(λ(x) → ";
    }
    value += "x";
    for _ in 0..length {
        value += ")((⇑(λ(x) → ·x + 1.0))(x))";
    }
    let source = format!("p(x, out) {{ out @ c⟨ Kᵥ: [0, 1[ ⟩ ← {value}; }}");
    let setup = Setup::new().column("x", &[1.0]).column("out", &[0.0]);
    let args = run_oracle(&source, setup).unwrap();
    assert_eq!(values(&args, "out"), [1.0 + length as f64]);
}
#[test]
fn nesting_that_is_too_deep_is_refused() {
    let depth = 500_000;
    let value = format!("{}a{}", "neg(".repeat(depth), ")".repeat(depth));
    let setup = Setup::new().column("a", &[1.0]).column("out", &[0.0]);
    let error = oracle_error(&format!("p(a, out) {{ out @ c⟨ Kᵥ: [0, 1[ ⟩ ← {value}; }}"), setup);
    assert_eq!(error.code, "P0614");
}

#[test]
fn lets_thousands_deep_run_on_every_engine() {
    let length = 3_000;
    let mut value = "(λ(x) → ".repeat(length) + "x";
    for _ in 0..length {
        value += ")((⇑(λ(x) → ·x + 1.0))(x))";
    }
    let source = format!("p(x, out) {{ out @ c⟨ Kᵥ: [0, 2[ ⟩ ← {value}; }}");
    let setup = || Setup::new().column("x", &[1.0, 2.0]).column("out", &[0.0; 2]);
    expect(&source, setup, &[("out", &[1.0 + length as f64, 2.0 + length as f64])]);
}

#[test]
fn masks_of_tuples_and_in_several_dimensions() {
    let dims = [("Iₕ", 0, 3), ("Kᵥ", 0, 3)];
    let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let setup = || Setup::new().field("a", DType::F64, &dims, &a).field("out", DType::F64, &dims, &[0.0; 9]);
    for (mask, expected) in [
        ("(Iₕ < 1 ∨ Iₕ > 1) ∧ Kᵥ >= 1", [0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 8.0, 9.0]),
        ("¬(Iₕ == 1 ∧ Kᵥ == 1)", [1.0, 2.0, 3.0, 4.0, 0.0, 6.0, 7.0, 8.0, 9.0]),
        ("Iₕ < 2 ∨ Kᵥ < 1", [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 0.0, 0.0]),
        ("c⟨ Iₕ: [1, 3[, Kᵥ: [0, 2[ ⟩", [0.0, 0.0, 0.0, 4.0, 5.0, 0.0, 7.0, 8.0, 0.0]),
        ("c⟨ Iₕ: [2, 1[, Kᵥ: [0, 2[ ⟩", [0.0; 9]),
    ] {
        println!("{mask}");
        let program =
            format!("p(a, out) {{ out @ c⟨ Iₕ: [0, 3[, Kᵥ: [0, 3[ ⟩ ← concat_where({mask}, a, 0.0); }}");
        expect(&program, setup, &[("out", &expected)]);
    }
    let nested = "p(a, out) { out @ c⟨ Iₕ: [0, 3[, Kᵥ: [0, 3[ ⟩ ← \
                  concat_where(Kᵥ < 1, {a, {0.0, a}}, {0.0, concat_where(Iₕ < 1, {a, 5.0}, {1.0, 2.0})})[1][1]; }";
    expect(nested, setup, &[("out", &[1.0, 5.0, 5.0, 4.0, 2.0, 2.0, 7.0, 2.0, 2.0])]);
}

#[test]
fn masks_of_shifted_computed_fields() {
    // Each side of the mask is needed on its own part only: the boundary reads stay inside.
    let program = "p(a, out) { out @ c⟨ Kᵥ: [0, 4[ ⟩ ← \
                   (λ(t) → concat_where(Kᵥ < 1, (⇑(λ(t) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(t)))(t), \
                   concat_where(Kᵥ > 2, (⇑(λ(t) → ·⟪Kᵥ→Kᵥ, -1ₒ⟫(t)))(t), \
                   (⇑(λ(t) → ·⟪Kᵥ→Kᵥ, 1ₒ⟫(t) + ·⟪Kᵥ→Kᵥ, -1ₒ⟫(t)))(t))))((⇑(λ(a) → sqrt(·a × ·a)))(a)); }";
    let setup = || Setup::new().column("a", &[1.0, -2.0, 3.0, 4.0]).column("out", &[0.0; 4]);
    expect(program, setup, &[("out", &[2.0, 4.0, 6.0, 3.0])]);
}

#[test]
fn fields_without_dimensions() {
    let program = "p(a, z, out) { out @ c⟨ Kᵥ: [0, 2[ ⟩ ← (⇑(λ(a, z) → ·a × ·z))(a, z); }";
    let setup =
        || Setup::new().column("a", &[1.0, 2.0]).field("z", DType::F64, &[], &[3.0]).column("out", &[0.0; 2]);
    expect(program, setup, &[("out", &[3.0, 6.0])]);
}
